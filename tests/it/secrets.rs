//! A hunt for every secret in everything that leaves: answers, pages, figures, and the log at its most talkative.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use http::{HeaderMap, Method, Request};
use keyward::config::Address;
use keyward::gateway::RequestId;
use keyward::gateway::admit::{Arrival, DoorId, Peer};
use keyward::twin::cloud::{CloudSettings, Trouble};
use keyward::twin::enphase::{Enphase, EnphaseSettings};
use keyward::twin::yombo::{Starting, Yombo, YomboSettings};
use keyward::twin::{Twin, every};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::MutexGuard;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::support::{Ask, Device, End, Lab, Line, Reply};

/// What a caller shows that is a secret of its own.
const CALLERS: &str = "callers-own-0123456789abcdef";

/// What is configured of each device beside the usual.
const MORE: &str = "timeout = \"2s\"\nmax_body = 100000\nmax_streams = 0\n";

/// Where a device answers with what it got.
const ECHO: &str = "/it/twin/echo";

/// What is logged, of every test that runs in this process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

/// A look at the log by one test at a time: what another reads of it is gone.
struct Listening {
    log: Log,
    _alone: MutexGuard<'static, ()>,
}

impl Listening {
    /// To the one log, at its most talkative: of keyward, and of every library that it is made of.
    async fn begun() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let log = LOG.get_or_init(|| {
            let log = Log::default();
            let writer = log.clone();
            let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
            let filter: Targets = "trace".parse().unwrap();
            tracing_subscriber::registry().with(lines.with_filter(filter)).init();
            log
        });
        Self { log: log.clone(), _alone: ALONE.lock().await }
    }

    /// What was logged since this was asked last.
    fn news(&self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut *self.log.0.lock().unwrap())).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A secret in every form in which it may have slipped out.
fn forms(secret: &str) -> Vec<String> {
    let percent = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    let json = serde_json::Value::from(secret).to_string();
    let mut forms = vec![
        secret.to_owned(),
        percent.to_lowercase(),
        percent,
        form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        hex::encode(secret),
        hex::encode_upper(secret),
        json.trim_matches('"').to_owned(),
        secret.escape_debug().to_string(),
        secret.escape_default().to_string(),
        secret.replace('&', "&amp;"),
    ];
    // Behind a user's name, say: wherever it begins within a group of three bytes, and but for what it shares a
    // letter with.
    for before in 0..3 {
        let text = [&b"::"[..before], secret.as_bytes()].concat();
        let own = (before * 8).div_ceil(6);
        let whole = text.len() * 8 / 6;
        forms.extend(
            [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)]
                .map(|form| form[own..whole].to_owned()),
        );
    }
    forms
}

#[test]
fn a_secret_is_found_in_every_form() {
    let secret = "s3cr3t?~\u{ff}>with more of it";
    let found = |text: &str| forms(secret).iter().any(|form| text.contains(form));
    for user in ["", "a", "ab", "abc", "abcd"] {
        for engine in [STANDARD, URL_SAFE] {
            assert!(found(&engine.encode(format!("{user}:{secret}"))), "{user}");
            assert!(found(&engine.encode(format!("{user}:{secret}{user}"))), "{user}");
        }
    }
    assert!(found(&hex::encode_upper(format!("a{secret}"))) && found(&format!("{:?}", Some(secret))));
    assert!(!found("anything else"));
}

/// Everything that left.
#[derive(Default)]
struct Seen(Vec<(String, String)>);

impl Seen {
    fn note(&mut self, whence: &str, reply: &Reply) {
        self.0.push((
            whence.to_owned(),
            format!("{:?}\n{}", reply.headers, String::from_utf8_lossy(&reply.body)),
        ));
    }

    async fn ask(&mut self, lab: &Lab, ask: &Ask, whence: &str) {
        let reply = lab
            .send(
                &ask.clone()
                    .with("Authorization", &format!("Bearer {CALLERS}"))
                    .with("Cookie", &format!("a={CALLERS}")),
            )
            .await;
        self.note(whence, &reply);
    }

    /// The names of the faults among the answers.
    fn faults(&self) -> impl Iterator<Item = String> {
        let named = |(_, text): &(String, String)| {
            let (_, rest) = text.split_once("\"fault\":\"")?;
            Some(rest.split('"').next()?.to_owned())
        };
        self.0.iter().filter_map(named)
    }

    fn holds_none_of(&self, twin: &dyn Twin) {
        let hunt = |secret: &str, places: &[&(String, String)]| hunt(secret, twin.vendor(), places);
        let all: Vec<_> = self.0.iter().collect();
        twin.secrets().iter().for_each(|secret| hunt(secret.expose(), &all));
        // What a caller sends to a device the device may send back.
        let ours: Vec<_> = self.0.iter().filter(|(whence, _)| !whence.starts_with(ECHO)).collect();
        hunt(CALLERS, &ours);
    }
}

/// Looks for a secret in every form.
fn hunt(secret: &str, whose: &str, places: &[&(String, String)]) {
    for form in forms(secret) {
        let found = places.iter().find(|(_, text)| text.contains(&form));
        assert!(found.is_none(), "a secret of {whose} leaves by {}", found.unwrap().0);
    }
}

/// All that may be asked of one device, in every state that it can be in.
async fn visit(seen: &mut Seen, lab: &Lab, device: &Device) {
    let twin = &device.twin;
    let sample = format!("/it{}", twin.sample());
    let everything = [
        sample.as_str(),
        &format!("{ECHO}?apikey={CALLERS}&_auth_key={CALLERS}"),
        "/it/twin/cookies",
        "/it/twin/redirect?to=/x",
        "/it/twin/status?code=500",
        "/it/twin/html",
        "/it/twin/raw?text=nonsense",
        "/it/twin/break?n=10&after=0",
        "/it/auth/check_jwt",
        "/it/api/auth/unauthorized",
        "/it/api/auth/logout",
        "/it/../x",
        "/it",
        "/unknown/",
        "/",
        "/readyz",
        "/metrics",
        "/-/devices",
    ];
    for target in everything.into_iter().chain(twin.forbidden().map(|_| "/it/forbidden")) {
        let target = if target == "/it/forbidden" {
            format!("/it{}", twin.forbidden().unwrap())
        } else {
            target.to_owned()
        };
        for accept in ["application/json", "text/html"] {
            let ask = Ask::get(&target).with("Accept", accept);
            match lab.connect().await.ask(&ask).await {
                Ok(reply) => seen.note(&target, &reply),
                // What breaks off has brought nothing.
                Err(_) => assert!(target.contains("break"), "{target}"),
            }
            if !target.contains("break") {
                seen.ask(lab, &ask, &target).await;
            }
        }
    }
    seen.ask(lab, &Ask::post("/it/twin/upload", "body"), "an upload").await;
    let check = lab.check("it").await;
    seen.0.push(("a check".to_owned(), format!("{check:?}")));
}

/// What is refused before a device is asked, or for what it does.
async fn be_refused(seen: &mut Seen, lab: &mut Lab, device: &Device) {
    let long = vec![b'x'; 70 * 1024];
    let upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")];
    device.twin.lapse();
    for ask in [
        Ask::post("/it/twin/upload", long),
        Ask::post("/it/twin/upload", vec![b'x'; 100_001]),
        Ask::get("/it/twin/echo").with("Host", "evil.example"),
        Ask::get("/it/twin/echo").with("Origin", "https://evil.example"),
        Ask::get("/it/twin/echo").by(Method::TRACE),
        Ask::get("/it/twin/websocket")
            .with_all(&upgrade)
            .with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        // The beginning of an answer.
        Ask::get("/it/twin/raw?text=HTTP/1.1%20200%20OK%0D%0A"),
    ] {
        seen.ask(lab, &ask, "a refusal").await;
    }
    lab.reconfigure(
        &device.table("it", "timeout = \"100ms\"\naccess = \"read\"\nacts_on_get = []\nmax_streams = 0\n"),
    )
    .await;
    for ask in [Ask::post("/it/twin/upload", "x"), Ask::get("/it/twin/slow?ms=3600000")] {
        seen.ask(lab, &ask, "a refusal").await;
    }
    lab.reconfigure(&device.table("it", MORE)).await;
    be_a_stranger(seen, lab).await;
}

/// What nobody on this machine can be refused for: another network.
async fn be_a_stranger(seen: &mut Seen, lab: &Lab) {
    let door = DoorId::of([&Address { host: "127.0.0.1".to_owned(), port: 0 }]).remove(0);
    let peer = Peer {
        remote: "203.0.113.9:49152".parse().unwrap(),
        local: lab.address(),
        door: Arc::new(door),
        secure: false,
        ending: CancellationToken::new(),
    };
    let target = format!("{ECHO}?apikey={CALLERS}");
    let asked = Request::get(&target).header("Host", "localhost").header("X-API-Key", CALLERS);
    let asked = asked.header("Authorization", format!("Bearer {CALLERS}")).body(Body::empty()).unwrap();
    let arrival = Arrival { peer: Arc::new(peer), id: RequestId::new() };
    let (mut asked, body) = asked.into_parts();
    let (head, body) = lab.front().answer(&mut asked, body, &arrival).await.into_parts();
    let body = axum::body::to_bytes(axum::body::Body::new(body), usize::MAX).await.unwrap();
    let reply = Reply { status: head.status, headers: head.headers, body, trailers: HeaderMap::new() };
    seen.note("a stranger's refusal", &reply);
}

/// Every file in the server's folder but those that hold sessions.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if !path.ends_with("state/it.json") && path.is_file() {
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            files.push((path.display().to_string(), text));
        }
    }
    files
}

#[tokio::test]
async fn no_secret_leaves_in_any_form_whatever_goes_wrong() {
    let log = Listening::begun().await;
    let mut faults = BTreeSet::new();
    for twin in every().await.unwrap() {
        let mut device = Device::new(Arc::clone(&twin));
        let mut lab = Lab::new(&device.table("it", MORE)).await;
        let mut seen = Seen::default();
        visit(&mut seen, &lab, &device).await;
        be_refused(&mut seen, &mut lab, &device).await;
        twin.lapse();
        visit(&mut seen, &lab, &device).await;
        twin.reboot();
        visit(&mut seen, &lab, &device).await;
        twin.lock_out();
        visit(&mut seen, &lab, &device).await;
        device.leave().await;
        visit(&mut seen, &lab, &device).await;
        device.come_back().await;
        let certificate = device.certificate.stolen().unwrap();
        device.shows(certificate).await;
        visit(&mut seen, &lab, &device).await;
        lab.restart(End::Stopped).await;
        visit(&mut seen, &lab, &device).await;
        lab.stop().await;
        let files = files(&lab.path(""));
        assert!(files.iter().any(|(name, _)| name.ends_with("certs/it.pem")));
        seen.0.extend(files);
        let news = log.news();
        assert!(news.contains("answered"), "there is no log to hunt in");
        seen.0.push(("the log".to_owned(), news));
        seen.holds_none_of(&*twin);
        faults.extend(seen.faults());
    }
    let expected = [
        "bad_path",
        "body_too_large",
        "certificate_changed",
        "client_not_allowed",
        "device_broke_off",
        "device_busy",
        "device_garbled",
        "device_timeout",
        "device_unreachable",
        "host_not_allowed",
        "login_refused",
        "method_not_allowed",
        "not_replayed",
        "origin_not_allowed",
        "read_only",
        "unknown_device",
    ];
    let missing: Vec<_> = expected.iter().filter(|fault| !faults.contains(**fault)).collect();
    assert!(missing.is_empty(), "never seen: {missing:?}");
}

/// Faults that only one make has, and those of a way round.
#[tokio::test]
async fn no_secret_leaves_by_a_fault_that_one_make_alone_has() {
    let log = Listening::begun().await;
    let gateway = Enphase::with_cloud(EnphaseSettings::default(), CloudSettings::default()).await.unwrap();
    let house = Yombo::new(YomboSettings::default());
    let (solar, yombo) =
        (Device::new(Arc::<Enphase>::clone(&gateway)), Device::new(Arc::<Yombo>::clone(&house)));
    for device in [&solar, &yombo] {
        let mut lab = Lab::new(&device.table("it", MORE)).await;
        let mut seen = Seen::default();
        visit(&mut seen, &lab, device).await;
        let arrivals = device.twin.arrivals();
        let via = arrivals.iter().rev().find_map(|arrival| arrival.headers.get("via")).unwrap();
        let via = via.to_str().unwrap().to_owned();
        seen.ask(&lab, &Ask::get(ECHO).with("Via", &via), "a loop").await;
        house.start(Some(Starting::Json));
        gateway.cloud().strike(Trouble::Unavailable);
        device.twin.lapse();
        visit(&mut seen, &lab, device).await;
        gateway.cloud().clear();
        gateway.become_serial("202500000001");
        lab.stop().await;
        // Of another server, which has met nobody yet.
        let mut lab = Lab::new(&device.table("it", MORE)).await;
        visit(&mut seen, &lab, device).await;
        lab.stop().await;
        seen.0.push(("the log".to_owned(), log.news()));
        seen.holds_none_of(&*device.twin);
        gateway.cloud().secrets().iter().for_each(|secret| {
            hunt(secret.expose(), "the cloud", &seen.0.iter().collect::<Vec<_>>());
        });
        let faults: BTreeSet<_> = seen.faults().collect();
        let expected: &[&str] = match device.twin.vendor() {
            "enphase" => &["loop", "login_unavailable", "wrong_device"],
            _ => &["loop", "device_starting"],
        };
        let missing: Vec<_> = expected.iter().filter(|fault| !faults.contains(**fault)).collect();
        assert!(missing.is_empty(), "never seen: {missing:?}");
    }
}

/// What callers show is a secret too, and so is the key of our own certificate.
#[tokio::test]
async fn no_key_of_a_door_leaves_in_any_form() {
    const KEY: &str = "a key of callers? 0123456789";
    const OTHER: &str = "a key of callers! 9876543210";
    let log = Listening::begun().await;
    let device = Device::new(every().await.unwrap().remove(0));
    let doors = format!(
        "[access]\norigins = [\"http://dash.example\"]\n[access.keys.one]\nkey = {KEY:?}\n\
         [access.keys.other]\nkey = {OTHER:?}\ndevices = [\"it\"]\nmethods = [\"POST\"]\n\
         [[listeners]]\nlisten = \"127.0.0.1:0\"\ndevice = \"it\"\n\
         [[listeners]]\nlisten = \"127.0.0.1:0\"\ntls = \"self-signed\"\nkeys = false\n"
    );
    let mut lab = Lab::new(&format!("{}{doors}", device.table("it", ""))).await;
    let certificate = std::fs::read(lab.path("certs/own/cert.pem")).unwrap();
    let mut seen = Seen::default();
    for key in [KEY, OTHER, &KEY[1..]] {
        let basic = format!("Basic {}", STANDARD.encode(format!("me:{key}")));
        for (name, value) in [
            ("Authorization", basic),
            ("Authorization", format!("Bearer {key}")),
            ("X-API-Key", key.to_owned()),
        ] {
            for path in [
                "/",
                "/metrics",
                "/-/devices",
                "/readyz",
                "/it/twin/sample",
                ECHO,
                "/it/../x",
                "/unknown/",
                "/twin/echo",
            ] {
                for origin in ["http://dash.example", "http://evil.example"] {
                    let ask = Ask::get(path).with(name, &value).with("Origin", origin);
                    for reply in [lab.send(&ask).await, lab.send_by(1, &ask).await] {
                        seen.note(path, &reply);
                    }
                    let mut line = Line::by_tls(lab.doors()[2], &certificate).await.unwrap();
                    seen.note(path, &line.ask(&ask).await.unwrap());
                }
            }
        }
    }
    for arrival in device.twin.arrivals() {
        seen.0.push(("the device".to_owned(), format!("{} {:?}", arrival.target, arrival.headers)));
    }
    lab.stop().await;
    let private = std::fs::read_to_string(lab.path("certs/own/key.pem")).unwrap();
    seen.0.extend(files(&lab.path("")).into_iter().filter(|(name, _)| !name.ends_with("own/key.pem")));
    seen.0.push(("the log".to_owned(), log.news()));
    let all: Vec<_> = seen.0.iter().collect();
    hunt(KEY, "a caller", &all);
    hunt(OTHER, "a caller", &all);
    hunt(private.lines().nth(1).unwrap(), "our own certificate", &all);
    let faults: BTreeSet<_> = seen.faults().collect();
    for fault in ["key_required", "key_not_allowed", "origin_not_allowed", "bad_path", "unknown_device"] {
        assert!(faults.contains(fault), "never seen: {fault}");
    }
}

#[tokio::test]
async fn what_is_saved_is_for_its_owner_alone() {
    for twin in every().await.unwrap() {
        let device = Device::new(Arc::clone(&twin));
        let mut lab = Lab::new(&device.table("it", "")).await;
        lab.get(&format!("/it{}", twin.sample())).await;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&lab.path("state")), 0o700);
        assert_eq!(mode(&lab.path("state/control.sock")), 0o600);
        // What is just being saved has no name to last.
        lab.stop().await;
        for file in std::fs::read_dir(lab.path("state")).unwrap() {
            let path = file.unwrap().path();
            assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
        }
    }
}
