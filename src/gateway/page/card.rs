//! One device on the page.

use std::time::Duration;

use maud::{Markup, PreEscaped, html};

use super::view::{Session, Shown, View};
use super::words::{ago, count, latency, left};
use crate::clock::Timestamp;

/// Width and height of the line of latencies, in its own units.
const LINE: (f64, f64) = (120.0, 28.0);
/// Of a fingerprint so much is shown at first: eight bytes.
const SHORT: usize = 23;

/// The card of a device. `may_accept`: whether who looks may accept a certificate.
pub(super) fn card(view: &View, may_accept: bool, now: Timestamp) -> Markup {
    let name = &view.name;
    let state = view.how.name;
    let is_unasked = state == "unknown" && view.how.detail.is_none();
    html! {
        article id={ "device-" (name) } class="card" data-state=(state) aria-labelledby={ "name-" (name) } {
            header {
                h2 id={ "name-" (name) } { (icon(state)) (name) }
                span.state { (state) @if is_unasked { small { ", not asked yet" } } }
                p.what {
                    (view.vendor) " · " (view.url) " · "
                    @if view.opens { a href={ (name) "/" } { "/" (name) "/" } } @else { code { "/" (name) "/" } }
                    @for host in &view.hosts { " · " code { (host) } }
                }
                (line(&view.latencies))
            }
            @match &view.offered {
                Some(offered) => (offer(view, offered, may_accept)),
                None => (trouble(view)),
            }
            dl.facts {
                div { dt { "Session" } dd { (session(&view.session, now)) } }
                div { dt { "Certificate" } dd { (certificate(view, now)) } }
                div { dt { "Last error" } dd { (last_error(view, now)) } }
                div.traffic {
                    (figure("Requests", view.requests)) (figure("Errors", view.errors))
                    (figure("Logins", view.logins)) (figure("Cache hits", view.recalls.0))
                }
            }
        }
    }
}

fn figure(name: &str, number: u64) -> Markup {
    html! { div { dt { (name) } dd { (count(number)) } } }
}

/// What is wrong and what to do, where something is.
fn trouble(view: &View) -> Markup {
    let Some(detail) = view.how.detail.as_deref() else { return html! {} };
    html! {
        p.trouble {
            @if view.how.name == "unknown" { "Not asked since keyward started. Before that: " }
            (sentence(detail)) @if let Some(fault) = view.how.fault { " " code { (fault) } }
        }
    }
}

/// Words for a place in the middle of a sentence, as one of their own.
fn sentence(detail: &str) -> String {
    let mut letters = detail.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if detail.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

fn session(session: &Session, now: Timestamp) -> Markup {
    html! {
        @match (session.expires_at, session.renewed_at) {
            (Some(end), renewed) => {
                (left(end, now))
                @if end <= now { "; the next request brings another" }
                @if let Some(renewed) = renewed { span.more { "renewed " (ago(renewed, now)) } }
            },
            (None, Some(renewed)) => { "since " (ago(renewed, now)) span.more { "its end is not known" } },
            (None, None) if session.is_needless => "needs none",
            (None, None) if session.is_fixed => "a fixed credential",
            (None, None) => "none yet",
        }
    }
}

fn certificate(view: &View, now: Timestamp) -> Markup {
    let Some(shown) = &view.certificate else {
        return html! { @if view.url.starts_with("https:") { "none seen yet" } @else { "none: plain HTTP" } };
    };
    html! {
        (left(shown.not_after, now))
        @if let Some(taken) = shown.taken_over_at {
            span.more { "re-issued by the device, taken over " (ago(taken, now)) }
        }
        details id={ "certificate-" (view.name) } {
            summary { code { (shown.sha256.get(..SHORT).unwrap_or_default()) "…" } }
            (fingerprint(shown))
            p { (shown.subject) @if let Some(at) = shown.pinned_at { ", pinned " (ago(at, now)) } }
        }
    }
}

fn fingerprint(shown: &Shown) -> Markup {
    html! { code.fingerprint { (shown.sha256) } }
}

fn last_error(view: &View, now: Timestamp) -> Markup {
    html! {
        @match &view.last_fault {
            None => "none",
            Some(last) => {
                (ago(last.at, now)) " " code { (last.fault) }
                // What is wrong now is told above.
                @if !view.how.detail.as_ref().is_some_and(|detail| detail.ends_with(&last.detail)) {
                    details id={ "error-" (view.name) } { summary { "what it was" } p { (sentence(&last.detail)) } }
                }
            },
        }
    }
}

/// The certificate that the device shows instead of the pinned one. What is accepted is what stands here: the button
/// names it.
fn offer(view: &View, offered: &Shown, may_accept: bool) -> Markup {
    let name = &view.name;
    html! {
        section.offer aria-labelledby={ "offer-" (name) } {
            h3 id={ "offer-" (name) } { "It shows another certificate than the one pinned" }
            p {
                "If you know why, since you replaced or reset " (name) ", say, compare the fingerprint with what the device \
                 itself tells, and accept it. If not, somebody may stand in between: nothing was sent there. "
                @if let Some(fault) = view.how.fault { code { (fault) } }
            }
            dl {
                @if let Some(pinned) = &view.certificate { div { dt { "Pinned" } dd { (fingerprint(pinned)) } } }
                div {
                    dt { "Shown" }
                    dd {
                        (fingerprint(offered))
                        p { (offered.subject) ", valid from " (day(offered.not_before)) " until " (day(offered.not_after)) }
                    }
                }
            }
            @if may_accept {
                form method="post" action="-/trust" {
                    input type="hidden" name="device" value=(name);
                    input type="hidden" name="sha256" value=(offered.sha256);
                    button id={ "accept-" (name) } { "Accept the certificate shown" }
                }
            } @else {
                p { "It is not accepted from here: use " code { "keyward trust " (name) } " where keyward runs." }
            }
        }
    }
}

fn day(at: Timestamp) -> Markup {
    let text = at.to_string();
    html! { time datetime=(text) title=(text) { (text.get(..10).unwrap_or(&text)) } }
}

/// The last latencies as a line, and in words.
fn line(latencies: &[Duration]) -> Markup {
    let Some(slowest) = latencies.iter().max() else { return html! {} };
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
    let (width, height) = LINE;
    let words = match latencies.len() {
        1 => format!("The last answer took {}", latency(median)),
        many => format!(
            "Half of the last {many} answers within {}, the slowest took {}",
            latency(median),
            latency(*slowest)
        ),
    };
    html! {
        figure.latency title=(words) {
            svg viewBox={ "0 0 " (width) " " (height) } role="img" aria-label=(words) preserveAspectRatio="none" {
                polyline points=(points(latencies, *slowest));
            }
            figcaption aria-hidden="true" { (latency(median)) }
        }
    }
}

/// The newest at the right edge; the slowest at the top, with room for the line's own width.
fn points(latencies: &[Duration], slowest: Duration) -> String {
    let (width, height) = LINE;
    let highest = slowest.as_secs_f64().max(f64::EPSILON);
    let steps = u32::try_from(latencies.len().saturating_sub(1)).unwrap_or(u32::MAX).max(1);
    let point = |(nth, took): (u32, &Duration)| {
        let x = width * f64::from(nth) / f64::from(steps);
        let y = height - 2.0 - (height - 4.0) * took.as_secs_f64() / highest;
        format!("{x:.1},{y:.1}")
    };
    let mut points: Vec<_> = (0..).zip(latencies).map(point).collect();
    if let ([only], y) = (points.as_slice(), height - 2.0) {
        // A line of one point is none.
        points = vec![only.clone(), format!("{width:.1},{:.1}", y - (height - 4.0))];
    }
    points.join(" ")
}

/// A sign of its own shape for each state, for whom colours tell nothing.
fn icon(state: &str) -> Markup {
    let shape = match state {
        "ok" => "<path d=\"m5 8.5 2 2 4-4.5\"/>",
        "degraded" => "<path d=\"M8 4.5v4.5M8 11.5v.1\"/>",
        "down" => "<path d=\"m5.5 5.5 5 5m0-5-5 5\"/>",
        _ => "<path d=\"M5 8h6\"/>",
    };
    html! { svg.icon viewBox="0 0 16 16" aria-hidden="true" { circle cx="8" cy="8" r="7.5" {} (PreEscaped(shape)) } }
}
