//! What is in the log, and what never is.

use std::net::SocketAddr;

use async_trait::async_trait;
use http::{request, response};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::clock::Clock;
use crate::config::Environment;
use crate::server::Server;
use crate::twin::generic::{Generic, Scheme};
use crate::twin::{Twin as _, serve};
use crate::vendor::{Account, Asked, Moment, Refusal, Registry, Session, Vendor, Verdict, Visit};

/// The hook is the process's, and there is one.
static HOOK: Mutex<()> = Mutex::new(());

#[test]
fn an_event_is_one_line_whatever_is_in_it() {
    let forged = "a\nERROR \u{1b}[31mforged\r\u{7f}\u{9b}é\n";
    assert_eq!(one_line(forged, Form::Plain), "a\\nERROR \\u{1b}[31mforged\\r\\u{7f}\\u{9b}é\n");
    assert_eq!(one_line("\u{1b}[32m INFO\u{1b}[0m a\n", Form::Painted), "\u{1b}[32m INFO\u{1b}[0m a\n");
}

#[test]
fn a_line_is_cut_between_two_letters_and_says_so() {
    let endless = "ä\n€".repeat(20_000);
    for form in [Form::Plain, Form::Painted, Form::Json] {
        let line = one_line(&endless, form);
        assert!(line.len() < 2 * LONGEST + 100, "{}", line.len());
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.contains('€') && line.contains(CUT));
        let whole = "a".repeat(LONGEST);
        assert_eq!(one_line(&format!("{whole}\n"), form), format!("{whole}\n"));
    }
    let cut: serde_json::Value = serde_json::from_str(&one_line(&endless, Form::Json)).unwrap();
    assert!(cut["cut"].as_str().unwrap().ends_with(CUT));
    let line = one_line(&endless, Form::Plain);
    assert!(line.len() < LONGEST + 20 && line.ends_with(&format!("{CUT}\n")), "{}", line.len());
}

#[test]
fn a_panic_is_counted_in_whatever_thread() {
    let _alone = HOOK.lock();
    let panics = count_panics();
    std::thread::spawn(|| panic!("as a test wants it")).join().unwrap_err();
    drop(std::panic::take_hook());
    // Another test may panic by intent in the meantime.
    assert!(panics.load(Ordering::Relaxed) >= 1);
}

/// What the make panics with holds what it is to keep.
struct Indiscreet(Arc<dyn Vendor>);

#[async_trait]
impl Vendor for Indiscreet {
    fn account(&self) -> Account<'_> {
        self.0.account()
    }

    async fn login(&self, visit: &Visit<'_>) -> Result<Session, Refusal> {
        self.0.login(visit).await
    }

    fn sign(&self, held: &Session, moment: Moment<'_>, head: &mut request::Parts) -> Result<(), Refusal> {
        self.0.sign(held, moment, head)?;
        let path = head.uri.path();
        assert!(path.ends_with("/sample"), "{:?}", secret(&self.account()));
        Ok(())
    }

    fn judge(&self, held: &Session, asked: &Asked<'_>, answered: &response::Parts) -> Verdict {
        self.0.judge(held, asked, answered)
    }
}

/// The secret of an account, in plain.
fn secret(account: &Account<'_>) -> String {
    match account.proofs.first() {
        Some(config::SecretSource::Plain(secret)) => secret.expose().to_owned(),
        _ => panic!("an account with another secret"),
    }
}

/// Lines that a test reads.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

async fn get(address: SocketAddr, target: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let asked = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(asked.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[test]
fn a_request_that_panics_is_counted_and_told_of_without_what_the_panic_says() {
    let _alone = HOOK.lock();
    let lines = Lines::default();
    let subscriber =
        fmt().with_max_level(LevelFilter::TRACE).with_ansi(false).with_writer(lines.clone()).finish();
    // One thread for all of it, so that one subscriber hears all of it.
    let _listening = tracing::subscriber::set_default(subscriber);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (leaked, left) = runtime.block_on(provoke());
    drop(std::panic::take_hook());
    let log = String::from_utf8(lines.0.lock().clone()).unwrap();
    let told =
        log.lines().filter(|line| line.contains("an error of keyward's own") && line.contains(file!()));
    assert_eq!(told.count(), 1, "{log}");
    assert!(left[0].starts_with("HTTP/1.1 500 ") && left[0].contains("internal"), "{}", left[0]);
    assert!(left[1].starts_with("HTTP/1.1 200 "), "{}", left[1]);
    for text in left.iter().chain([&log]) {
        assert!(!text.contains(&leaked), "{text}");
    }
}

/// Has a server meet its own error. What the panic said, and all that left.
async fn provoke() -> (String, Vec<String>) {
    const COUNTED: &str = "\nkeyward_panics_total ";
    let panics = count_panics();
    let twin = Generic::new(Scheme::Bearer);
    let served = serve(twin.clone().face(), None, "127.0.0.1:0".parse().unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "listen = \"127.0.0.1:0\"\n[devices.meter]\nvendor = \"{}\"\nurl = \"{}\"\n{}",
        twin.vendor(),
        served.url(),
        twin.stanza()
    );
    let mut config =
        config::parse(&text, &folder.path().join("proxy.toml"), &Environment::default(), &Registry).unwrap();
    let driver = &mut config.devices[0].driver;
    let leaked = secret(&driver.vendor.account());
    driver.vendor = Arc::new(Indiscreet(Arc::clone(&driver.vendor)));
    let server = Server::bind(config, Clock::system(), Vec::new()).await.unwrap();
    let counted = Arc::clone(&panics);
    let metrics = &server.reloader().gateway.metrics;
    metrics.follow(Box::new(move || counted.load(Ordering::Relaxed)), Box::new(|| 0));
    let (address, _) = server.addresses()[0];
    let stop = CancellationToken::new();
    let running = tokio::spawn(server.run(stop.clone().cancelled_owned()));
    let count = async || {
        let metrics = get(address, "/metrics").await;
        let (_, count) = metrics.split_once(COUNTED).expect("a figure");
        (count.lines().next().unwrap().parse::<u64>().unwrap(), metrics)
    };
    let (before, _) = count().await;
    let mut left = vec![get(address, "/meter/twin/echo").await, get(address, "/meter/twin/sample").await];
    let (after, metrics) = count().await;
    assert!(after > before, "{before}, then {after}");
    left.extend([metrics, get(address, "/-/devices").await, get(address, "/").await]);
    stop.cancel();
    running.await.unwrap();
    (leaked, left)
}
