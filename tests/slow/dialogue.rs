//! The commands at a terminal, which a pseudo-terminal stands for: what is asked, what is shown, and what is left when
//! somebody leaves in the middle. Needs `python3`, and root where files are given away.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::process::Output;
use std::time::Duration;

use keyward::twin::egauge::{Egauge, EgaugeSettings};
use tokio::process::Command;

use crate::support::{Device, Process};

/// Runs a command at a terminal of its own. For each pair of arguments it waits until the first is shown, then types
/// the second. Prints all that was shown, then whether the terminal shows what is typed, and ends as the command did.
const TERMINAL: &str = r#"
import json, os, pty, select, sys, termios
words, steps, environment = json.loads(sys.argv[1])
child, terminal = pty.fork()
if child == 0:
    os.execvpe(words[0], words, environment)
shown, seen = b"", 0
def read():
    global shown
    if not select.select([terminal], [], [], 20)[0]:
        sys.exit("nothing more is shown: " + repr(shown))
    try:
        more = os.read(terminal, 4096)
    except OSError:
        more = b""
    shown += more
    return bool(more)
for awaited, typed in steps:
    while awaited.encode() not in shown[seen:]:
        if not read():
            sys.exit("it ended without " + awaited + ": " + repr(shown))
    seen = shown.index(awaited.encode(), seen) + len(awaited)
    # A secret may be typed once nothing shows it any more.
    while "not shown" in awaited and termios.tcgetattr(terminal)[3] & termios.ECHO:
        pass
    os.write(terminal, typed.encode())
while read():
    pass
_, status = os.waitpid(child, 0)
sys.stdout.buffer.write(shown)
print("\nECHO" if termios.tcgetattr(terminal)[3] & termios.ECHO else "\nSILENCE")
sys.exit(os.waitstatus_to_exitcode(status))
"#;

/// What was shown, and how it ended.
pub(super) struct Told {
    pub(super) code: Option<i32>,
    pub(super) shown: String,
}

async fn at_terminal(
    process: &Process,
    arguments: &[&str],
    steps: &[(&str, &str)],
    more: &[(&str, &str)],
) -> Told {
    after(&[], process, arguments, steps, more).await
}

/// The same, with these words before the command: those of `ip netns exec`, say.
pub(super) async fn after(
    words: &[&str],
    process: &Process,
    arguments: &[&str],
    steps: &[(&str, &str)],
    more: &[(&str, &str)],
) -> Told {
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let mut environment =
        serde_json::json!({ "TERM": "xterm", "KEYWARD_LISTEN": "127.0.0.1:0", "PATH": path });
    for (name, value) in more {
        environment[*name] = (*value).into();
    }
    let words = [words, &[env!("CARGO_BIN_EXE_keyward")], arguments].concat();
    let told = serde_json::json!([words, steps, environment]);
    let mut command = Command::new("python3");
    command.args(["-c", TERMINAL, &told.to_string()]).current_dir(process.path("")).kill_on_drop(true);
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    assert!(stderr.is_empty(), "{}", String::from_utf8_lossy(&stderr));
    Told { code: status.code(), shown: String::from_utf8(stdout).unwrap() }
}

fn home() -> Process {
    let process = Process::new("");
    std::fs::remove_file(process.path("proxy.toml")).unwrap();
    process
}

fn left(process: &Process) -> BTreeSet<String> {
    let entries = std::fs::read_dir(process.path("")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn meter() -> (Device, String) {
    let device = Device::new(Egauge::new(EgaugeSettings::default()));
    let stanza: toml::Table = device.twin.stanza().parse().unwrap();
    let password = stanza["password"].as_str().unwrap().to_owned();
    (device, password)
}

#[tokio::test]
async fn a_person_is_asked_may_be_wrong_and_never_sees_the_password() {
    let (device, password) = meter();
    let process = home();
    let (url, typed) = (format!("{}\n", device.url()), format!("{password}\n"));
    let steps = [
        ("Number or name: ", "meter\n"),
        ("a number from 1 to", "egauge\n"),
        ("Address", "ftp://nowhere\n"),
        ("only https:// and http://", &url),
        ("Username of a user of the meter: ", "owner\n"),
        ("(not shown): ", "a-wrong-word\n"),
        ("Name, which becomes the path [meter]: ", "Cellar\n"),
        ("a device's name is of", "cellar\n"),
        ("does not work yet: the meter refuses", "\n"),
        ("Number or name [egauge]: ", "\n"),
        ("Address [https://127.0.0.1", "\n"),
        ("Username of a user of the meter [owner]: ", "\n"),
        ("Enter keeps the one before (not shown): ", &typed),
        ("[cellar]: ", "\n"),
    ];
    let told = at_terminal(&process, &["init"], &steps, &[]).await;
    assert_eq!(told.code, Some(0), "{}", told.shown);
    for words in ["It works", "TWIN0001", "session until", "proxy.toml is written", "cellar.password", "ECHO"]
    {
        assert!(told.shown.contains(words), "{words}: {}", told.shown);
    }
    for secret in [password.as_str(), "a-wrong-word"] {
        assert!(!told.shown.contains(secret), "{}", told.shown);
    }
    assert_eq!(std::fs::read_to_string(process.path("cellar.password")).unwrap(), typed);
    let expected = ["proxy.toml", "proxy.schema.json", "cellar.password", "certs", "state"];
    assert_eq!(left(&process), expected.map(str::to_owned).into());
    assert_eq!(process.carry_out(&["check"]).await.code, Some(0));
}

#[tokio::test]
async fn whoever_leaves_in_the_middle_leaves_nothing_and_sees_what_they_type() {
    let (mut device, _) = meter();
    device.leave().await;
    let process = home();
    let url = device.url();
    let flags = ["init", "--vendor", "egauge", "--url", &url, "--username", "owner"];
    let asked = [("(not shown): ", "\u{3}")];
    let failed = [("(not shown): ", "word\n"), ("[meter]: ", "\n"), ("does not work yet: ", "g\n")];
    let ended = [("(not shown): ", "\u{4}\u{3}")];
    for steps in [&asked[..], &failed, &ended] {
        let told = at_terminal(&process, &flags, steps, &[]).await;
        assert_eq!(told.code, Some(1), "{}", told.shown);
        assert!(
            told.shown.contains("given up: no configuration is written") && told.shown.ends_with("ECHO\n"),
            "{}",
            told.shown
        );
        assert_eq!(left(&process), BTreeSet::new(), "{}", told.shown);
    }
    let steps = [("(not shown): ", "word\n"), ("[meter]: ", "\n"), ("does not work yet: ", "w\n")];
    let told = at_terminal(&process, &flags, &steps, &[]).await;
    assert!(told.code == Some(0) && left(&process).contains("meter.password"), "{}", told.shown);
}

#[tokio::test]
async fn who_leaves_while_the_device_is_tried_leaves_nothing_either() {
    let settings = EgaugeSettings { login_delay: Duration::from_secs(60), ..EgaugeSettings::default() };
    let device = Device::new(Egauge::new(settings));
    let process = home();
    let url = device.url();
    let flags = ["init", "--vendor", "egauge", "--url", &url, "--username", "owner"];
    let steps = [("(not shown): ", "word\n"), ("[meter]: ", "\n"), ("trying meter … 1 s", "\u{3}")];
    let told = at_terminal(&process, &flags, &steps, &[]).await;
    assert!(
        told.code == Some(1) && told.shown.contains("given up: no configuration is written"),
        "{}",
        told.shown
    );
    assert_eq!(left(&process), BTreeSet::new());
}

#[tokio::test]
async fn whoever_chose_the_wrong_device_chooses_again_and_is_told_what_stays_of_a_refusal() {
    let (device, _) = meter();
    let process = home();
    let (url, off) = (format!("{}\n", device.url()), "http://127.0.0.1:9\n");
    let steps = [
        ("Number or name: ", "bearer\n"),
        // Nobody waits for what can't be found on the network.
        ("Address", off),
        ("Token (not shown): ", "word\n"),
        ("[device]: ", "cellar\n"),
        ("does not work yet: ", "a\n"),
        ("Number or name [bearer]: ", "egauge\n"),
        ("Address [http://127.0.0.1:9]: ", &url),
        ("Username of a user of the meter: ", "owner\n"),
        ("Password of that user (not shown): ", "word\n"),
        ("[cellar]: ", "\n"),
        ("as \"Username\" and \"Password\"", "g\n"),
    ];
    let told = at_terminal(&process, &["init"], &steps, &[]).await;
    assert_eq!(told.code, Some(1), "{}", told.shown);
    assert!(told.shown.contains("state remembers that the login was refused"), "{}", told.shown);
    assert!(!told.shown.contains("listening for devices"), "{}", told.shown);
    assert_eq!(left(&process), BTreeSet::from(["state".to_owned()]));
}

#[tokio::test]
async fn a_secret_for_standard_input_is_asked_for_where_that_is_a_terminal() {
    let (device, password) = meter();
    let process = home();
    let url = device.url();
    let flags =
        ["init", "--yes", "--vendor", "egauge", "--url", &url, "--username", "owner", "--password-file", "-"];
    let told =
        at_terminal(&process, &flags, &[("password (not shown): ", &format!("{password}\n"))], &[]).await;
    assert!(told.code == Some(0) && !told.shown.contains(&password), "{}", told.shown);
}

#[tokio::test]
async fn what_the_administrator_writes_for_a_service_belongs_to_that() {
    const SERVICE: u32 = 12_345;
    let (device, password) = meter();
    let process = home().with("WORD", password);
    chown(process.path(""), Some(SERVICE), Some(SERVICE)).unwrap();
    let url = device.url();
    let arguments =
        ["init", "--vendor", "egauge", "--url", &url, "--username", "owner", "--password-file", "-"];
    let told = at_terminal(
        &process,
        &arguments,
        &[("(not shown): ", "word\n"), ("[meter]: ", "\n"), ("does not work yet", "w\n")],
        &[],
    )
    .await;
    assert_eq!(told.code, Some(0), "{}", told.shown);
    let saved = ["certs", "certs/meter.pem", "state", "state/meter.json"];
    let belongs = |made: &str| {
        let facts = process.path(made).metadata().unwrap();
        assert_eq!((facts.uid(), facts.gid()), (SERVICE, SERVICE), "{made}");
    };
    ["proxy.toml", "meter.password"].into_iter().chain(saved).for_each(belongs);
    // And so does what is saved later on, while the service is stopped.
    for folder in ["certs", "state"] {
        std::fs::remove_dir_all(process.path(folder)).unwrap();
    }
    let ended = process.carry_out(&["check"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    saved.into_iter().for_each(belongs);
}

#[tokio::test]
async fn who_hits_one_key_by_habit_is_asked_for_the_whole_word() {
    let (mut device, _) = meter();
    let process = Process::new(&device.table("meter", ""));
    assert_eq!(process.carry_out(&["check"]).await.code, Some(0));
    device.shows(keyward::twin::Certificate::self_signed().unwrap()).await;
    for (answer, code) in [("no\n", 1), ("yes\n", 0)] {
        let steps = [("Type yes:", "y\n"), ("Type the whole word yes:", answer)];
        let told = at_terminal(&process, &["trust", "meter"], &steps, &[]).await;
        assert_eq!(told.code, Some(code), "{}", told.shown);
    }
}

#[tokio::test]
async fn colours_are_for_terminals_whose_owner_wants_them() {
    let (device, _) = meter();
    let process = Process::new(&device.table("meter", ""));
    for (more, is_painted) in [(&[][..], true), (&[("NO_COLOR", "1")], false), (&[("TERM", "dumb")], false)] {
        let told = at_terminal(&process, &["check"], &[], more).await;
        assert_eq!(told.code, Some(0), "{}", told.shown);
        assert_eq!(told.shown.contains("\u{1b}[32mok"), is_painted, "{}", told.shown);
    }
    let ended = process.carry_out(&["check"]).await;
    assert!(ended.out.starts_with("ok    meter"), "{ended:?}");
}

#[tokio::test]
async fn what_takes_longer_than_a_second_says_so_to_who_watches() {
    let settings = EgaugeSettings { login_delay: Duration::from_millis(1500), ..EgaugeSettings::default() };
    let device = Device::new(Egauge::new(settings));
    let process = Process::new(&device.table("meter", ""));
    let told = at_terminal(&process, &["check"], &[("asking meter … 1 s", "")], &[]).await;
    let line = told.shown.lines().find(|line| line.contains("answers (200)")).unwrap();
    assert!(line.contains("\r\u{1b}[K"), "what was in progress is gone from the line: {line:?}");
    let ended = process.carry_out(&["check"]).await;
    assert!(!ended.err.contains("asking"), "where nobody watches nothing is told: {ended:?}");
}
