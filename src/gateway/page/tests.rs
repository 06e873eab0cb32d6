//! What the page shows, of devices that are made up.

use std::time::Duration;

use super::card::card;
use super::view::{Session, Shown, View};
use super::*;
use crate::gateway::condition::Condition;
use crate::metrics::LastFault;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const HOSTILE: &str = "<script>alert(\"1\")</script>'&";
const DAY: Duration = Duration::from_secs(86_400);

fn view(name: &str, state: &'static str) -> View {
    View {
        name: name.to_owned(),
        vendor: "open",
        url: "https://10.0.0.1".to_owned(),
        hosts: Vec::new(),
        opens: false,
        how: Condition { name: state, fault: None, detail: None },
        session: Session::default(),
        certificate: None,
        offered: None,
        last_fault: None,
        requests: 0,
        errors: 0,
        logins: 0,
        recalls: (0, 0),
        latencies: Vec::new(),
    }
}

fn shown(sha256: &str) -> Shown {
    Shown {
        sha256: sha256.to_owned(),
        subject: "CN=meter".to_owned(),
        not_before: NOW.minus(DAY),
        not_after: NOW.plus(DAY * 203),
        pinned_at: Some(NOW.minus(DAY * 2)),
        taken_over_at: None,
    }
}

fn drawn(view: &View) -> String {
    card(view, true, NOW).into_string()
}

#[test]
fn whatever_stands_in_a_name_an_address_or_a_message_is_text() {
    let hostile = View {
        name: HOSTILE.to_owned(),
        url: HOSTILE.to_owned(),
        hosts: vec![HOSTILE.to_owned()],
        opens: true,
        how: Condition { name: "down", fault: Some("device_garbled"), detail: Some(HOSTILE.to_owned()) },
        certificate: Some(Shown { subject: HOSTILE.to_owned(), ..shown(HOSTILE) }),
        offered: Some(Shown { subject: HOSTILE.to_owned(), ..shown(HOSTILE) }),
        last_fault: Some(LastFault { fault: "device_garbled", detail: format!("b{HOSTILE}"), at: NOW }),
        latencies: vec![DAY, DAY],
        ..view("", "down")
    };
    let drawn = drawn(&hostile);
    assert!(!drawn.contains("<script") && !drawn.contains("=\"<"), "{drawn}");
    let escaped = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;'&amp;";
    assert!(drawn.matches(escaped).count() >= 15, "{drawn}");
    let troubled = self::drawn(&View { offered: None, ..hostile });
    assert!(troubled.contains(&format!("<p class=\"trouble\">{escaped}.")), "{troubled}");
    let drawn = drawn + &troubled;
    // No value ends the attribute that it stands in.
    assert!(!drawn.contains("alert(\""), "{drawn}");
}

#[test]
fn the_button_names_the_certificate_that_is_shown_and_is_for_whom_may_press_it() {
    let changed =
        View { certificate: Some(shown("AA:AA")), offered: Some(shown("BB:BB")), ..view("meter", "down") };
    let offered = drawn(&changed);
    assert!(offered.contains("<form method=\"post\" action=\"-/trust\">"), "{offered}");
    assert!(offered.contains("<input type=\"hidden\" name=\"device\" value=\"meter\">"), "{offered}");
    assert!(offered.contains("<input type=\"hidden\" name=\"sha256\" value=\"BB:BB\">"), "{offered}");
    assert!(!offered.contains("value=\"AA:AA\"") && offered.contains(">AA:AA<"), "{offered}");
    let read = card(&changed, false, NOW).into_string();
    assert!(
        !read.contains("<form") && read.contains("keyward trust meter") && read.contains(">BB:BB<"),
        "{read}"
    );
    assert!(!drawn(&View { offered: None, ..changed }).contains("<form"));
}

#[test]
fn a_session_and_a_certificate_are_told_by_what_is_left_of_them() {
    let session = |session| drawn(&View { session, ..view("meter", "ok") });
    let (ends, got) = (Some(NOW.plus(DAY * 203)), Some(NOW.minus(DAY * 3)));
    let both = session(Session { expires_at: ends, renewed_at: got, ..Session::default() });
    assert!(both.contains(">for 203 days</time>") && both.contains(">3 days ago</time>"), "{both}");
    let endless = session(Session { renewed_at: got, ..Session::default() });
    assert!(endless.contains("its end is not known"), "{endless}");
    assert!(session(Session { is_fixed: true, ..Session::default() }).contains("a fixed credential"));
    assert!(session(Session { is_needless: true, ..Session::default() }).contains("needs none"));
    assert!(session(Session::default()).contains("none yet"));
    let pinned = drawn(&View { certificate: Some(shown("AA:BB")), ..view("meter", "ok") });
    assert!(pinned.contains(">for 203 days</time>") && pinned.contains("pinned <time"), "{pinned}");
    let plain = drawn(&View { url: "http://10.0.0.1".to_owned(), ..view("meter", "ok") });
    assert!(plain.contains("none: plain HTTP"), "{plain}");
}

#[test]
fn the_line_of_latencies_stays_within_its_frame_and_is_told_in_words() {
    for latencies in [vec![0], vec![7], vec![0, 0], vec![3, 9, 6], vec![u64::MAX / 2, 1]] {
        let latencies: Vec<_> = latencies.into_iter().map(Duration::from_millis).collect();
        let drawn = drawn(&View { latencies: latencies.clone(), ..view("meter", "ok") });
        let points = drawn.split("points=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let points: Vec<(f64, f64)> = points
            .split(' ')
            .map(|point| {
                point.split_once(',').map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap())).unwrap()
            })
            .collect();
        assert_eq!(points.len(), latencies.len().max(2), "{points:?}");
        assert!(
            points.iter().all(|(x, y)| (0.0..=120.0).contains(x) && (2.0..=26.0).contains(y)),
            "{points:?}"
        );
    }
    let drawn =
        drawn(&View { latencies: [3, 9, 6].map(Duration::from_millis).to_vec(), ..view("meter", "ok") });
    assert!(drawn.contains("Half of the last 3 answers within 6.0 ms, the slowest took 9.0 ms"), "{drawn}");
}

fn house() -> House {
    let config = crate::config::unwritten(
        std::path::Path::new("proxy.toml"),
        &crate::config::Environment::default(),
        &crate::vendor::Registry,
    );
    let folder = tempfile::tempdir().unwrap();
    let (state, certs) = (folder.path().join("state"), folder.path().join("certs"));
    let config = crate::config::Config { state, certs, ..config.unwrap() };
    crate::server::build_house(config, crate::clock::Clock::system())
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn one_sentence_tells_how_all_of_them_are() {
    let house = house();
    let sentence = |states: &[(&str, &'static str)]| {
        let devices = states.iter().map(|(name, state)| view(name, state)).collect();
        Sight { house: &house, devices, may_accept: true, now: NOW }.summary().into_string()
    };
    for (states, state, words) in [
        (&[][..], "unknown", "keyward runs, and has no device yet"),
        (&[("a", "ok")], "ok", "The device is well"),
        (&[("a", "ok"), ("b", "ok")], "ok", "All 2 devices are well"),
        (&[("a", "unknown"), ("b", "unknown")], "unknown", "No device has been asked yet"),
        (&[("a", "ok"), ("b", "unknown")], "ok", "1 of 2 devices well, the others not asked yet"),
        (&[("a", "ok"), ("b", "down")], "down", "b is down"),
        (&[("a", "degraded"), ("b", "ok")], "degraded", "a is degraded"),
        (&[("a", "degraded"), ("b", "down"), ("c", "down")], "down", "b and c are down, a is degraded"),
    ] {
        let said = sentence(states);
        assert!(
            said.contains(&format!(">{words}</p>")) && said.contains(&format!("data-state=\"{state}\"")),
            "{said}"
        );
        assert_eq!(said.contains("data-title=\"keyward\""), !["down", "degraded"].contains(&state), "{said}");
    }
}

#[test]
fn the_page_asks_for_nothing_elsewhere_and_its_links_are_relative() {
    let house = House { warnings: vec![HOSTILE.to_owned(), format!("a\n  {HOSTILE}")], ..house() };
    let sight = Sight { house: &house, devices: vec![view("meter", "ok")], may_accept: true, now: NOW };
    let page = sight.document("").into_string();
    for attribute in ["href=\"", "src=\"", "action=\""] {
        for value in page.split(attribute).skip(1) {
            assert!(
                !value.starts_with(['/', '#']) && !value.split('"').next().unwrap().contains(':'),
                "{value}"
            );
        }
    }
    assert!(page.contains("<li>a<pre>  &lt;script&gt;"), "{page}");
    assert!(!page.contains("style=") && !page.contains("<script>") && !page.contains("<base"), "{page}");
    let below = sight.document("/api/hassio_ingress/x").into_string();
    assert!(below.contains("<base href=\"/api/hassio_ingress/x/\">"), "{below}");
}

#[test]
fn without_a_configuration_the_page_says_what_to_write_and_where() {
    let welcome = Welcome { places: vec!["/here/proxy.toml".to_owned()], example: HOSTILE.to_owned() };
    let house = House { welcome: Some(welcome), ..house() };
    let page = Sight::of(&house, true, NOW).document("").into_string();
    assert!(page.contains("<code>/here/proxy.toml</code>") && page.contains("&lt;script&gt;"), "{page}");
    assert!(page.contains("keyward check") && page.contains("keyward demo"), "{page}");
}
