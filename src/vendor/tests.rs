//! What every make puts onto a request and makes of an answer.

mod answers;
mod digest;
mod egauge;
mod enphase;
mod scripted;
mod signing;
mod verdicts;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderMap, Method, Request, request};

use super::*;
use crate::clock::Clock;
use crate::config::{Environment, parse};
use crate::disk::Folder;
use crate::upstream::cloud::Cloud;
use crate::upstream::{Pin, Settings, Upstream};

/// A day in 2026.
const NOW: Timestamp = Timestamp::from_seconds(1_780_000_000);

/// A stanza of each make.
const STANZAS: [(&str, &str); 11] = [
    ("egauge", "username = \"owner\"\npassword = \"s3cret\""),
    ("enlighted", "username = \"bob\"\napi_key = \"s3cret\""),
    ("enlighted", "username = \"bob\"\napi_key = \"s3cret\"\napi = \"4.5\""),
    ("yombo", "auth_key = \"s3cret\""),
    ("enphase", "serial = \"121935144671\"\nusername = \"owner@example.com\"\npassword = \"s3cret\""),
    ("bearer", "token = \"s3cret\""),
    ("basic", "username = \"owner\"\npassword = \"s3cret\""),
    ("header", "name = \"X-Key\"\nvalue = \"s3cret\""),
    ("query", "name = \"key\"\nvalue = \"s3cret\""),
    ("digest", "username = \"owner\"\npassword = \"s3cret\""),
    ("open", ""),
];

/// What is said of keys that are wrong for this make.
fn mistakes(make: &str, keys: &str) -> String {
    let text = format!("[devices.it]\nvendor = \"{make}\"\nurl = \"http://127.0.0.1:9\"\n{keys}\n");
    let environment = Environment::from_iter([] as [(&str, &str); 0]);
    match parse(&text, Path::new("proxy.toml"), &environment, &Registry) {
        Ok(_) => panic!("read without a word: {keys}"),
        Err(errors) => errors.to_string(),
    }
}

#[test]
fn what_no_header_can_carry_is_a_mistake_in_the_configuration() {
    let broken = "s3cret\\nX: y";
    for (make, key, keys) in [
        ("bearer", "token", format!("token = \"{broken}\"")),
        ("header", "value", format!("value = \"{broken}\"\nname = \"X-Key\"")),
        ("yombo", "auth_key", format!("auth_key = \"{broken}\"")),
        ("enlighted", "api_key", format!("api_key = \"{broken}\"\nusername = \"bob\"\napi = \"4.5\"")),
        ("enlighted", "username", format!("username = \"{broken}\"\napi_key = \"k\"")),
        ("digest", "username", format!("username = \"{broken}\"\npassword = \"k\"")),
    ] {
        let said = mistakes(make, &keys);
        let expected = format!("proxy.toml:4:{}: devices.it.{key}: it is sent in a header", key.len() + 4);
        assert!(said.starts_with(&expected), "{expected}\n{said}");
        assert!(key == "username" || !said.contains("s3cret"), "{said}");
    }
    // Hashed, encoded or sent in a body it is as good as any.
    Device::new("enlighted", &format!("username = \"bob\"\napi_key = \"{broken}\""));
    Device::new("basic", &format!("username = \"bob\"\npassword = \"{broken}\""));
    Device::new("query", &format!("name = \"key\"\nvalue = \"{broken}\""));
}

/// A device of this make, and the vendor that its keys make.
struct Device {
    vendor: Arc<dyn Vendor>,
    upstream: Arc<Upstream>,
    cloud: Cloud,
    tally: Tally,
}

/// Counts on, whatever is counted.
#[derive(Default)]
struct Tally(AtomicU64);

impl Count for Tally {
    fn next(&self, _: &str) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl Device {
    fn new(make: &str, keys: &str) -> Self {
        Self::at("http://127.0.0.1:9", make, keys)
    }

    fn at(url: &str, make: &str, keys: &str) -> Self {
        let config = parse(
            &format!("[devices.it]\nvendor = \"{make}\"\nurl = \"{url}\"\n{keys}\n"),
            Path::new("proxy.toml"),
            &Environment::from_iter([] as [(&str, &str); 0]),
            &Registry,
        );
        let device = config.unwrap_or_else(|errors| panic!("{errors}")).devices.remove(0);
        let settings = Settings {
            device: device.name.clone(),
            url: device.url,
            trust: device.trust,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(5),
            max_connections: 1,
            keeps_connections: true,
            clock: Clock::starting_at(NOW),
            max_waiting: 1,
            max_streams: 1,
            min_interval: Duration::ZERO,
            path_interval: Duration::ZERO,
        };
        let pin =
            Arc::new(Pin::new(Arc::new(Folder::new("certs", "")), &device.name, Clock::starting_at(NOW)));
        let upstream = Upstream::new(settings, pin, None, None).unwrap();
        Self { vendor: device.driver.vendor, upstream, cloud: Cloud::default(), tally: Tally::default() }
    }

    fn visit(&self) -> Visit<'_> {
        Visit {
            device: &self.upstream,
            cloud: &self.cloud,
            now: NOW,
            refused: None,
            within: Duration::from_secs(5),
            count: &self.tally,
        }
    }

    async fn login(&self) -> Result<Session, Refusal> {
        self.vendor.login(&self.visit()).await
    }

    /// A request with this session on it.
    fn signed(&self, held: &Session, request: Request<()>) -> request::Parts {
        let mut head = request.into_parts().0;
        self.vendor.sign(held, Moment { nth: &|| 1, time: &|| NOW }, &mut head).unwrap();
        head
    }

    /// What is made of an answer to a GET of `/api/x` that accepts anything.
    fn judged(&self, held: &Session, answer: Response) -> Verdict {
        self.judged_for(held, "*/*", answer)
    }

    fn judged_for(&self, held: &Session, accept: &str, answer: Response) -> Verdict {
        let standing = Standing { is_proven: true, ..Standing::default() };
        self.judged_as(held, (accept, standing), answer)
    }

    fn judged_as(&self, held: &Session, (accept, standing): (&str, Standing), answer: Response) -> Verdict {
        let headers = HeaderMap::from_iter([(http::header::ACCEPT, accept.parse().unwrap())]);
        let asked = Asked { method: &Method::GET, path: "/api/x", headers: &headers, standing };
        self.vendor.judge(held, &asked, &answer.into_parts().0)
    }
}

type Response = http::Response<()>;

fn answer(status: u16, headers: &[(&str, &str)]) -> Response {
    let mut answer = http::Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    answer.body(()).unwrap()
}

fn get(uri: &str) -> Request<()> {
    Request::get(uri).body(()).unwrap()
}

fn header<'a>(head: &'a request::Parts, name: &str) -> Vec<&'a str> {
    head.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

/// A verdict in one word, for tables.
fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Expired => "expired",
        Verdict::Doubt => "doubt",
        Verdict::Rotated(_) => "rotated",
        Verdict::Challenged(_) => "challenged",
        Verdict::Refused(_) => "refused",
        Verdict::Starting(_) => "starting",
        Verdict::Again { .. } => "again",
    }
}

/// A refusal in one word.
fn kind(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Unreachable(_) => "unreachable",
        Refusal::Unavailable { .. } => "unavailable",
        Refusal::Rejected(_) => "rejected",
        Refusal::Person(_) => "person",
        Refusal::Enough(_) => "enough",
        Refusal::Odd(_) => "odd",
    }
}

/// For how many seconds a refusal asks to be left alone.
fn wait(refusal: &Refusal) -> Option<u64> {
    match refusal {
        Refusal::Unavailable { retry_after, .. } => retry_after.map(|wait| wait.as_secs()),
        _ => None,
    }
}

#[test]
fn every_make_has_a_stanza_here() {
    for make in MAKES {
        assert!(STANZAS.iter().any(|(name, _)| *name == make.name), "{}", make.name);
    }
}

/// What is said of a stanza that is wrong.
fn said(make: &str, keys: &str) -> String {
    let text = format!("[devices.it]\nvendor = \"{make}\"\nurl = \"http://127.0.0.1:9\"\n{keys}\n");
    let environment = Environment::from_iter([] as [(&str, &str); 0]);
    parse(&text, Path::new("proxy.toml"), &environment, &Registry).map(drop).unwrap_err().to_string()
}

#[test]
fn keys_that_do_not_go_together_are_refused_with_what_would_be_right() {
    for (make, keys, expected) in [
        ("enphase", "serial = \"1\"", "`username` and `password`"),
        ("enphase", "serial = \"1\"\nusername = \"a@b.c\"", "password"),
        ("enphase", "serial = \"1\"\npassword = \"s3cret\"", "username"),
        ("enphase", "serial = \"1\"\ntoken = \"s3cret\"\nlogin_url = \"http://example.com/\"", "https"),
        ("basic", "username = \"a:b\"\npassword = \"s3cret\"", "colon"),
        ("header", "name = \"Host\"\nvalue = \"s3cret\"", "`host` belongs to the connection"),
        ("header", "name = \"a b\"\nvalue = \"s3cret\"", "no header name"),
        ("yombo", "auth_key = \"s3cret\"\nheader = \"transfer-encoding\"", "belongs to the connection"),
        ("enlighted", "username = \"bob\"\napi_key = \"s3cret\"\napi = \"4\"", "\"4.5\""),
    ] {
        let said = said(make, keys);
        assert!(said.contains(expected), "{make}: {said}");
        assert!(!said.contains("s3cret"), "{said}");
    }
}
