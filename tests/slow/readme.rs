//! Every command of the README as its reader does it: with curl, and at a terminal. Needs both, and `python3`.

use tokio::process::Command;

use crate::dialogue::after;
use crate::support::{Answers, Hands, Process, nowhere, read_and_do};

/// A reader with a shell.
struct AtTerminal;

impl Hands for AtTerminal {
    async fn curl(&self, line: &str) -> (u16, String) {
        let line = line.replacen("curl ", "curl -sS -m 60 -w '\\n%{http_code}' ", 1);
        let told = Command::new("sh").args(["-c", &line]).output().await.unwrap();
        assert!(told.status.success() && told.stderr.is_empty(), "{line}: {told:?}");
        let told = String::from_utf8(told.stdout).unwrap();
        let (body, status) = told.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    }

    async fn init(&self, flags: &[&str], answers: &Answers) -> (Process, String) {
        let home = nowhere();
        let typed = [&answers.url, &answers.username, &answers.password].map(|word| format!("{word}\n"));
        let [url, username, password] = typed.each_ref().map(String::as_str);
        // Whatever else is asked is waited for in vain.
        let steps = [
            ("Number or name: ", "enphase\n"),
            ("Address, such as https://envoy.local: ", url),
            ("E-mail address of the Enphase account: ", username),
            ("Password of that account (not shown): ", password),
            ("Name, which becomes the path [solar]: ", "\n"),
        ];
        let told = after(&[], &home, &[&["init"], flags].concat(), &steps, &[]).await;
        assert_eq!(told.code, Some(0), "{}", told.shown);
        // What was in progress is gone from its line.
        let lines = told.shown.lines().map(|line| line.rsplit("\u{1b}[K").next().unwrap_or_default());
        (home, lines.collect::<Vec<_>>().join("\n"))
    }

    fn is_asked(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn every_command_of_the_readme_does_what_it_says_at_a_terminal() {
    read_and_do(AtTerminal).await;
}
