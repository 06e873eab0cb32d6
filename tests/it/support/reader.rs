//! Somebody who reads the README and does what it says, command by command and in its order.

mod page;

use std::io::Write as _;
use std::net::SocketAddr;

use keyward::twin::cloud::CloudSettings;
use keyward::twin::egauge::{Egauge, EgaugeSettings};
use keyward::twin::enphase::{Enphase, EnphaseSettings};
use toml::Table;

use super::{Device, Process, Running, address_in};
use page::{Command, commands, file, first_configuration, skeleton};

/// What takes minutes, an engine for containers or a network of its own, and where it is run instead: a file of this
/// repository, and how that says it.
const ELSEWHERE: [(&str, &str, &str); 6] = [
    ("cargo test", ".ci/run", "cargo test --locked"),
    ("cargo install --path .", CI, "run: cargo install --path ."),
    ("cargo build --release", CI, "run: cargo build --release"),
    ("just release", ".ci/run", "bash packaging/profiled \"$host\" release"),
    (IMAGE, CI, IMAGE),
    ("keyward discover", "tests/slow/network/names.rs", "carry_out(&[\"discover\"])"),
];
const CI: &str = ".github/workflows/ci.yml";
const IMAGE: &str = "docker build -t keyward . && docker compose up -d";

/// What in the README is one's own.
const URL: &str = "https://envoy.local";
const ACCOUNT: &str = "owner@example.com";

/// How the reader does what takes more than keyward.
pub(crate) trait Hands {
    /// What this line of a shell, a `curl`, gets: the status, and the body.
    async fn curl(&self, line: &str) -> (u16, String);

    /// Carries out `keyward init` where there is nothing yet, with these flags beside. Gives what was shown.
    async fn init(&self, flags: &[&str], answers: &Answers) -> (Process, String);

    /// Whether what was shown begins with questions.
    fn is_asked(&self) -> bool;
}

/// What the reader has for the questions of `keyward init`.
pub(crate) struct Answers {
    pub(crate) url: String,
    pub(crate) username: String,
    pub(crate) password: String,
}

struct Reader<H> {
    hands: H,
    gateway: Device,
    meter: Device,
    home: Process,
    /// The demo, then the server, and where it listens.
    running: Option<(Running, SocketAddr)>,
}

/// Does all that the README says. Whoever writes a command into it that has no place here is told so.
pub(crate) async fn read_and_do(hands: impl Hands) {
    let gateway = Enphase::with_cloud(EnphaseSettings::default(), CloudSettings::default()).await.unwrap();
    let (gateway, meter) = (Device::new(gateway), Device::new(Egauge::new(EgaugeSettings::default())));
    let mut reader = Reader { hands, gateway, meter, home: Process::new(""), running: None };
    let commands = commands();
    assert!(commands.len() > 15, "{}", commands.len());
    for command in &commands {
        reader.carry_out(command).await;
    }
    reader.stop("TERM").await;
}

impl<H: Hands> Reader<H> {
    async fn carry_out(&mut self, command: &Command) {
        let Command { at, line, .. } = command;
        match line.as_str() {
            "cargo run --release -- demo" => self.demo().await,
            "keyward init" => self.init(command).await,
            "keyward run" => self.run().await,
            "keyward add meter" => self.add().await,
            "keyward trust <device>" => drop(self.keyward(command, &["trust", "solar", "--yes"]).await),
            "keyward editor-schema" => {
                let printed = self.keyward(command, &["editor-schema"]).await;
                assert_eq!(printed, file("src/proxy.schema.json"), "{at}");
            }
            line if line.starts_with("curl ") => self.curl(command).await,
            line if line.starts_with("keyward init meter ") => self.init_by_flags(command).await,
            "keyward check"
            | "keyward check --report"
            | "keyward completions bash"
            | "keyward man"
            | "keyward man check" => {
                let words: Vec<_> = line.split(' ').skip(1).collect();
                assert!(!self.keyward(command, &words).await.is_empty(), "{at}");
            }
            _ => {
                let elsewhere = ELSEWHERE.iter().find(|(known, ..)| known == line);
                let (_, place, words) =
                    elsewhere.unwrap_or_else(|| panic!("{at}: nobody runs `{line}`: let {} do it", file!()));
                assert!(file(place).contains(words), "{at}: {place} does not run `{line}` any more");
            }
        }
    }

    /// Where the README's port is.
    fn here(&self, line: &str) -> String {
        let (_, address) = self.running.as_ref().unwrap_or_else(|| panic!("nothing runs for {line}"));
        assert!(line.contains(":8480"), "{line}");
        line.replace(":8480", &format!(":{}", address.port()))
    }

    async fn stop(&mut self, signal: &str) {
        if let Some((running, _)) = self.running.take() {
            running.signal(signal).await;
            let ended = running.ends().await;
            assert_eq!(ended.code, Some(0), "{ended:?}");
        }
    }

    async fn demo(&mut self) {
        let demo = self.home.start(&["demo", "--listen", "127.0.0.1:0"]);
        let printed = demo.prints("Ctrl-C").await;
        self.running = Some((demo, address_in(&printed, "http://")));
        let tries = commands().into_iter().map(|it| it.line).filter(|line| line.starts_with("curl -H"));
        for line in tries {
            assert!(printed.contains(&self.here(&line)), "the demo does not print {line}: {printed}");
        }
    }

    async fn curl(&self, Command { at, line, shown, .. }: &Command) {
        let (status, body) = self.hands.curl(&self.here(line)).await;
        assert_eq!(status, 200, "{at}: {line}: {body}");
        serde_json::from_str::<serde_json::Value>(&body)
            .unwrap_or_else(|error| panic!("{at}: {error}: {body}"));
        let shown = shown.join(" ");
        let shown = skeleton(shown.trim_end().trim_end_matches('…'));
        assert!(skeleton(&body).starts_with(&shown), "{at}: {line}\n{shown}\n{}", skeleton(&body));
    }

    /// Carries out a command to its good end. Gives what it printed, which has in it what is shown of it.
    async fn keyward(&self, Command { at, line, shown, .. }: &Command, words: &[&str]) -> String {
        let ended = self.home.carry_out(words).await;
        assert_eq!(ended.code, Some(0), "{at}: {line}: {ended:?}");
        assert_shows(at, shown, &ended.out);
        ended.out
    }

    /// The README ends the demo with Ctrl-C, and begins with the reader's own device.
    async fn init(&mut self, Command { at, shown, .. }: &Command) {
        self.stop("INT").await;
        let stanza: Table = self.gateway.twin.stanza().parse().unwrap();
        let own = |key: &str| stanza[key].as_str().unwrap().to_owned();
        let answers =
            Answers { url: self.gateway.url(), username: own("username"), password: own("password") };
        let clouds = ["login_url", "token_url", "auth_token_url"];
        // A device in the reader's network has said which it is; one of the loopback can't.
        let keys = [&clouds[..], &["serial"]].concat();
        let flags: Vec<_> =
            keys.iter().flat_map(|key| [format!("--{}", key.replace('_', "-")), own(key)]).collect();
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let (home, told) = self.hands.init(&flags, &answers).await;
        assert!(!told.contains(&answers.password), "{told}");
        let told = told.replace(&answers.username, ACCOUNT);
        let told =
            told.replace(&format!("Address, such as {URL}: {}", answers.url), &format!("Address [{URL}]:"));
        // `tests/slow/network/names.rs` has a network.
        let shown: Vec<_> =
            shown.iter().filter(|line| !line.starts_with("Found on the network")).cloned().collect();
        let from = if self.hands.is_asked() {
            0
        } else {
            shown.iter().position(|line| line.starts_with("It works")).unwrap()
        };
        assert_shows(at, &shown[from..], &told);
        let configuration =
            |text: &str| text.parse::<Table>().unwrap()["devices"]["solar"].as_table().unwrap().clone();
        let mut written = configuration(&std::fs::read_to_string(home.path("proxy.toml")).unwrap());
        written.retain(|key, _| !clouds.contains(&key));
        let expected = first_configuration().replace(URL, &answers.url).replace(ACCOUNT, &answers.username);
        assert_eq!(written, configuration(&expected), "{at}");
        self.home = home;
    }

    async fn run(&mut self) {
        let server = self.home.start(&["run"]);
        let address = server.address().await;
        self.running = Some((server, address));
    }

    /// The meter's password in a file.
    fn password(&self) -> String {
        let stanza: Table = self.meter.twin.stanza().parse().unwrap();
        let file = self.home.path("tmp/meter");
        let mut written = std::fs::File::create(&file).unwrap();
        writeln!(written, "{}", stanza["password"].as_str().unwrap()).unwrap();
        file.to_str().unwrap().to_owned()
    }

    /// The same as `init`, of which the README shows the flags a little later.
    async fn add(&self) {
        let (url, file) = (self.meter.url(), self.password());
        let flags = ["--vendor", "egauge", "--url", &url, "--username", "owner", "--password-file", &file];
        let ended = self.home.carry_out(&[&["add", "meter"], &flags[..]].concat()).await;
        assert!(ended.code == Some(0) && ended.out.contains("meter is added"), "{ended:?}");
        let (server, _) = self.running.as_ref().unwrap();
        server.logs("configuration taken over").await;
    }

    async fn init_by_flags(&self, Command { at, line, .. }: &Command) {
        let home = nowhere();
        let file = self.password();
        let line = line.replace("https://egauge67385.local", &self.meter.url());
        let line = line.replace("/run/secrets/meter", &file);
        let words: Vec<_> = line.split(' ').skip(1).collect();
        let ended = home.carry_out(&words).await;
        assert!(ended.code == Some(0) && ended.out.contains("It works"), "{at}: {ended:?}");
        let written: Table = std::fs::read_to_string(home.path("proxy.toml")).unwrap().parse().unwrap();
        assert_eq!(written["devices"]["meter"]["password"]["file"].as_str(), Some(file.as_str()), "{at}");
    }
}

/// A folder without a configuration.
pub(crate) fn nowhere() -> Process {
    let process = Process::new("").with("KEYWARD_LISTEN", "127.0.0.1:0");
    std::fs::remove_file(process.path("proxy.toml")).unwrap();
    process
}

/// What the README shows is there, in its order; there may be more between.
#[track_caller]
fn assert_shows(at: &str, shown: &[String], told: &str) {
    let told: Vec<_> = told.lines().map(|line| skeleton(line.trim_start_matches('\r'))).collect();
    let mut rest = told.iter();
    for line in shown.iter().filter(|line| !matches!(line.trim(), "" | "…")) {
        let line = skeleton(line);
        assert!(rest.any(|told| *told == line), "{at}: nobody is shown {line:?}, there: {told:#?}");
    }
}
