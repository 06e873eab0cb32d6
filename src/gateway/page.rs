//! The page at `/`: one look tells whether every device is well, and what to do where one is not.
//!
//! Its links are relative, so that it works below another path. Without scripts it shows everything, and is loaded
//! again every few seconds; with them what has changed comes by a stream of events.

mod accept;
mod assets;
mod card;
mod live;
#[cfg(test)]
mod tests;
mod view;
mod words;

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::Method;
use http::header::{self, HeaderValue};
use maud::{DOCTYPE, Markup, html};

pub(super) use accept::accept;
pub(super) use assets::{icon, script, style};
pub(super) use live::{Streams, live};
use view::View;

use super::admit::Admitted;
use super::problem::with_type;
use super::{Gateway, House, Welcome};
use crate::clock::Timestamp;

/// Nothing but what is ours, and no script that stands in the page itself.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
    form-action 'self'; base-uri 'self'; frame-ancestors 'none'";

/// What the page shows of a house at one moment.
struct Sight<'a> {
    house: &'a House,
    devices: Vec<View>,
    /// Whether who looks may accept a certificate.
    may_accept: bool,
    now: Timestamp,
}

/// Answers with the page.
pub(super) async fn first(
    State(gateway): State<Arc<Gateway>>,
    Extension(admitted): Extension<Admitted>,
) -> Response {
    let house = gateway.house.load_full();
    let sight = Sight::of(&house, may_accept(&admitted), gateway.clock.now());
    let mut response = with_type("text/html; charset=utf-8", sight.document(&admitted.base).into_string());
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        // The button's request has to say where it comes from.
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whoever can stand in for a device must not accept that on its behalf: being on the same network is not enough.
fn may_accept(admitted: &Admitted) -> bool {
    admitted.is_known && admitted.shown.permit_own(&Method::POST).is_ok()
}

impl<'a> Sight<'a> {
    fn of(house: &'a House, may_accept: bool, now: Timestamp) -> Self {
        let devices = house.devices.iter().map(|device| View::of(device)).collect();
        Self { house, devices, may_accept, now }
    }

    /// The whole page. `base`: what stands before its path in the browser, if that is not nothing.
    fn document(&self, base: &str) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    @if !base.is_empty() { base href={ (base) "/" }; }
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { "keyward" }
                    link rel="icon" type="image/svg+xml" href="-/icon.svg";
                    link rel="stylesheet" href="-/page.css";
                    noscript { meta http-equiv="refresh" content="10"; }
                    script src="-/page.js" defer {}
                }
                body {
                    header.top {
                        h1 { img src="-/icon.svg" alt="" width="28" height="28"; "keyward" }
                        p id="live" { noscript { "Loaded again every 10 seconds" } }
                    }
                    (self.summary())
                    (self.notices())
                    (self.main())
                    footer {
                        p { "keyward " (env!("CARGO_PKG_VERSION")) }
                        nav aria-label="For programs" { a href="-/devices" { "JSON" } " " a href="metrics" { "Metrics" } }
                    }
                }
            }
        }
    }

    /// The parts that change, by what they are called on the page: the devices each, and what stands above them.
    fn parts(&self) -> Vec<(String, String)> {
        let card = |view: &View| {
            let card = card::card(view, self.may_accept, self.now);
            (format!("device-{}", view.name), card.into_string())
        };
        let above = [("summary", self.summary()), ("notices", self.notices())];
        let above = above.into_iter().map(|(id, markup)| (id.to_owned(), markup.into_string()));
        above.chain(self.devices.iter().map(card)).collect()
    }

    /// How all of them are, in one sentence.
    fn summary(&self) -> Markup {
        let named = |state: &str| -> Vec<&str> {
            let devices = self.devices.iter().filter(|view| view.how.name == state);
            devices.map(|view| view.name.as_str()).collect()
        };
        let [down, degraded, unknown] = ["down", "degraded", "unknown"].map(named);
        let all = self.devices.len();
        let troubled = [(&down, "down"), (&degraded, "degraded")].into_iter();
        let troubles: Vec<_> = troubled
            .filter(|(names, _)| !names.is_empty())
            .map(|(names, state)| format!("{} {state}", words::are(names)))
            .collect();
        let (state, sentence) = match troubles.as_slice() {
            _ if all == 0 => ("unknown", "keyward runs, and has no device yet".to_owned()),
            [] if unknown.len() == all => ("unknown", "No device has been asked yet".to_owned()),
            [] if !unknown.is_empty() => {
                let well = words::count(u64::try_from(all - unknown.len()).unwrap_or_default());
                ("ok", format!("{well} of {all} devices well, the others not asked yet"))
            }
            [] if all == 1 => ("ok", "The device is well".to_owned()),
            [] => ("ok", format!("All {all} devices are well")),
            troubles => (if down.is_empty() { "degraded" } else { "down" }, troubles.join(", ")),
        };
        let title = match troubles.len() {
            0 => "keyward".to_owned(),
            _ => format!("({}) {sentence} · keyward", down.len() + degraded.len()),
        };
        html! { p id="summary" role="status" data-state=(state) data-title=(title) { (sentence) } }
    }

    /// What a person should know beside how the devices are.
    fn notices(&self) -> Markup {
        let house = self.house;
        let troubles: Vec<_> = house.folders.iter().filter_map(|folder| folder.trouble()).collect();
        let told: Vec<_> = house.broken.iter().chain(&troubles).chain(&house.warnings).collect();
        html! {
            section id="notices" aria-label="Notices" hidden[told.is_empty()] {
                @if !told.is_empty() { ul { @for notice in told { (line_by_line(notice)) } } }
            }
        }
    }

    fn main(&self) -> Markup {
        html! {
            main id="devices" {
                @if let Some(welcome) = &self.house.welcome { (self::welcome(welcome)) }
                @for view in &self.devices { (card::card(view, self.may_accept, self.now)) }
            }
        }
    }
}

/// What is told of a file points into its lines, so that these stand as they do there.
fn line_by_line(notice: &str) -> Markup {
    let (first, rest) = notice.split_once('\n').unwrap_or((notice, ""));
    html! { li { (first) @if !rest.is_empty() { pre { (rest) } } } }
}

/// What to write, and where.
fn welcome(Welcome { places, example }: &Welcome) -> Markup {
    html! {
        section.card.welcome aria-labelledby="welcome" {
            h2 id="welcome" { "Name your first device" }
            p {
                "There is no configuration yet. " code { "keyward init" } ", where keyward runs, asks for a device, tries it and \
                 writes one. By hand it goes into a file of one of these names:"
            }
            ul { @for place in places { li { code { (place) } } } }
            pre { code { (example) } }
            p {
                "with the password in the file beside it. It is taken over as soon as it is there, and this page shows the \
                 device. " code { "keyward check" } " says whether everything in it is right; " code { "keyward demo" }
                " shows how it works without a device."
            }
        }
    }
}
