//! A hunt for every secret in everything that leaves: answers, pages, figures, and the log at its most talkative.

use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keyward::twin::{Twin, every};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::support::{Ask, Device, End, Lab, Reply};

/// What a caller shows that is a secret of its own.
const CALLERS: &str = "callers-own-0123456789abcdef";

/// Where a device answers with what it got.
const ECHO: &str = "/it/twin/echo";

/// Everything that was ever logged, of every test that runs in this process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// The one log, begun as `keyward run` begins it at `trace`.
    fn begun() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let log = Self::default();
            let writer = log.clone();
            let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
            let filter: Targets = "warn,keyward=trace".parse().unwrap();
            tracing_subscriber::registry().with(lines.with_filter(filter)).init();
            log
        })
        .clone()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
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
    vec![
        secret.to_owned(),
        percent.to_lowercase(),
        percent,
        form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        hex::encode(secret),
        hex::encode_upper(secret),
        STANDARD.encode(secret).trim_end_matches('=').to_owned(),
        URL_SAFE_NO_PAD.encode(secret),
        json.trim_matches('"').to_owned(),
        secret.escape_debug().to_string(),
        secret.escape_default().to_string(),
        secret.replace('&', "&amp;"),
    ]
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

    fn holds_none_of(&self, twin: &dyn Twin) {
        let hunt = |secret: &str, places: &[&(String, String)]| {
            for form in forms(secret) {
                let found = places.iter().find(|(_, text)| text.contains(&form));
                assert!(found.is_none(), "a secret of {} leaves by {}", twin.vendor(), found.unwrap().0);
            }
        };
        let all: Vec<_> = self.0.iter().collect();
        twin.secrets().iter().for_each(|secret| hunt(secret.expose(), &all));
        // What a caller sends to a device the device may send back.
        let ours: Vec<_> = self.0.iter().filter(|(whence, _)| !whence.starts_with(ECHO)).collect();
        hunt(CALLERS, &ours);
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

#[tokio::test]
async fn no_secret_leaves_in_any_form_whatever_goes_wrong() {
    let log = Log::begun();
    for twin in every().await.unwrap() {
        let mut device = Device::new(Arc::clone(&twin));
        let mut lab = Lab::new(&device.table("it", "timeout = \"2s\"\n")).await;
        let mut seen = Seen::default();
        visit(&mut seen, &lab, &device).await;
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
        seen.0.push((
            "a certificate's file".to_owned(),
            std::fs::read_to_string(lab.path("certs/it.pem")).unwrap(),
        ));
        lab.stop().await;
        seen.0.push(("the log".to_owned(), log.text()));
        seen.holds_none_of(&*twin);
    }
    let log = log.text();
    assert!(log.contains("logged in") && log.contains("answered"), "there is no log to hunt in");
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
