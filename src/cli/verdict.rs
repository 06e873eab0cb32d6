//! What a person is told of a device that was tried, in the words in which they were asked for it, and what they want
//! done where it does not work.

use super::draft::ADDRESS;
use super::person::Person;
use super::{Exit, say};
use crate::config;
use crate::server::operate::{Findings, Pinning};
use crate::vendor::Make;

/// What is wrong with what was said of a device, or with the rest of the file. `is_asked`: a person was asked for it.
pub(super) fn wrong(errors: &config::Errors, table: &str, make: &Make, is_asked: bool) -> String {
    let told = errors.words().map(|(key, message)| {
        let key = key.strip_prefix(table)?;
        Some(match is_asked {
            true => format!("{}: {}", asked(key, make).unwrap_or(key), in_prompts(message, make)),
            false => format!("{key}: {message}"),
        })
    });
    match told.collect::<Option<Vec<_>>>() {
        Some(told) => told.join("\n"),
        None => errors.to_string(),
    }
}

/// What a person was asked for that is this key in the configuration, in as few words as tell it.
fn asked<'a>(key: &str, make: &'a Make) -> Option<&'a str> {
    let own = || {
        let asked = make.keys.iter().find(|own| own.name == key)?.asked;
        let ends = [" of ", " from ", ", "].iter().filter_map(|end| asked.find(end));
        let short = asked.get(..ends.min().unwrap_or(asked.len())).unwrap_or(asked);
        // The device has a name too.
        Some(if short == "Name" { asked } else { short })
    };
    if key == "url" { Some(ADDRESS) } else { own() }
}

/// The text with what a person was asked for in the place of the keys of a file that is not there yet.
pub(super) fn in_prompts(text: &str, make: &Make) -> String {
    let keys = std::iter::once("url").chain(make.keys.iter().map(|key| key.name));
    keys.fold(text.to_owned(), |text, key| match asked(key, make) {
        Some(asked) => text.replace(&format!("`{key}`"), &format!("\"{asked}\"")),
        None => text,
    })
}

/// What the trial found, a line each.
pub(super) fn describe(found: &Findings) {
    let status = found.status.map(|status| format!("answers ({status})")).unwrap_or_default();
    say(&match &found.remark {
        None => format!("It works: it {status}."),
        Some(remark) => format!("It {status}: {remark}."),
    });
    let certificate = found.certificate.iter().map(|certificate| ("certificate", certificate));
    let session = found.session_until.iter().map(|until| ("session until", until));
    let told = found.described.iter().map(|(what, value)| (what.as_str(), value));
    for (what, value) in told.chain(session).chain(certificate) {
        say(&format!("  {what:13}  {value}"));
    }
    match found.pinned {
        Pinning::JustNow => say("                 It is pinned: from now on no other is accepted."),
        Pinning::Unsaved => {
            say("                 Its pin can't be saved: the next contact is the first again.");
        }
        Pinning::Before | Pinning::None => {}
    }
}

/// What to do about a device that does not work.
pub(super) enum Next {
    Again,
    Write,
    GiveUp,
}

pub(super) async fn after_failure(person: &Person) -> Result<Next, Exit> {
    let read = |answer: &str| match answer.to_ascii_lowercase().as_str() {
        "a" | "again" => Ok(Next::Again),
        "w" | "write" => Ok(Next::Write),
        "g" | "give up" => Ok(Next::GiveUp),
        _ => Err("a, w or g"),
    };
    person.parsed("(a)gain with other answers, (w)rite it all the same, or (g)ive up", Some("a"), read).await
}

pub(super) async fn is_again(person: &Person) -> Result<bool, Exit> {
    let read = |answer: &str| match answer.to_ascii_lowercase().as_str() {
        "a" | "again" => Ok(true),
        "g" | "give up" => Ok(false),
        _ => Err("a or g"),
    };
    person.parsed("(a)gain with other answers, or (g)ive up", Some("a"), read).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendor::{MAKES, Registry};

    #[test]
    fn whoever_was_asked_for_an_address_is_told_of_that_and_not_of_a_key() {
        let make = Registry::make("header").unwrap();
        let told = in_prompts("set `value`; should `url` start with https://? `keyward check`", make);
        assert_eq!(told, "set \"Key\"; should \"Address\" start with https://? `keyward check`");
        assert_eq!(in_prompts("`name`", make), "\"Name of the header\"");
        let is_long = |make: &&Make| make.keys.iter().any(|key| key.asked.starts_with("Username of"));
        let make = MAKES.iter().find(is_long).unwrap();
        assert_eq!(in_prompts("`username` and `password`", make), "\"Username\" and \"Password\"");
    }
}
