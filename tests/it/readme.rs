//! Every command of the README does what the README says. `tests/slow` does the same with a real curl, at a terminal.

use std::io::Write as _;

use crate::support::{Answers, Ask, Hands, Line, Process, nowhere, read_and_do};

/// A reader who has nothing but keyward and these tests.
struct Bare;

impl Hands for Bare {
    async fn curl(&self, line: &str) -> (u16, String) {
        // Quoted or not, of these lines no word has a space in it but for a header.
        let mut words = line.split('\'').flat_map(|part| match part.contains(": ") {
            true => vec![part],
            false => part.split_whitespace().collect(),
        });
        assert_eq!(words.next(), Some("curl"));
        let (mut url, mut headers) = (None, Vec::new());
        while let Some(word) = words.next() {
            match word {
                "-H" => headers.extend(words.next().unwrap().split_once(": ")),
                option if option.starts_with('-') => panic!("{line}: what is {option}?"),
                word => url = word.strip_prefix("http://"),
            }
        }
        let (authority, target) = url.unwrap().split_once('/').unwrap();
        let address = authority.replace("localhost", "127.0.0.1").parse().unwrap();
        let ask = Ask::get(format!("/{target}")).with_all(&headers);
        let reply = Line::to(address).await.ask(&ask).await.unwrap();
        (reply.status.as_u16(), reply.text().to_owned())
    }

    async fn init(&self, flags: &[&str], answers: &Answers) -> (Process, String) {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writeln!(writer, "{}", answers.password).unwrap();
        let home = nowhere().given(reader.into());
        let asked = ["--vendor", "enphase", "--url", &answers.url, "--username", &answers.username];
        let words = [&["init"], &asked[..], &["--password-file", "-"], flags].concat();
        drop(writer);
        let ended = home.carry_out(&words).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        (home, ended.out)
    }

    fn is_asked(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn every_command_of_the_readme_does_what_it_says() {
    read_and_do(Bare).await;
}
