//! A device that is to be configured: what the command line says of it, and what a person is asked.

use std::convert::Infallible;

use super::discover::Found;
use super::given::{Given, Value, flag, variable_flag, with_value};
use super::person::Person;
use super::{Exit, tell};
use crate::config::{BaseUrl, fault_of_name};
use crate::vendor::{Key, Kind, MAKES, Make, Need, Registry};

/// A device with all that its make needs.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// Its name.
    pub(super) name: String,
    /// Its make.
    pub(super) make: &'static Make,
    /// Where it is.
    pub(super) url: BaseUrl,
    /// Its make's keys, as far as they are set.
    pub(super) keys: Vec<(&'static Key, Value)>,
}

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Questions {
    /// What nobody has said yet.
    Open,
    /// Everything, with what was said as the usual answer.
    All,
}

/// What a person is asked for that is `url` in the configuration.
pub(super) const ADDRESS: &str = "Address";

/// Why a device can't have this name: what is wrong with it, or that another has it.
pub(super) fn fault_of(name: &str, taken: &[String]) -> Option<String> {
    match fault_of_name(name) {
        Some(fault) => Some(format!("{name:?}: {fault}")),
        None if taken.iter().any(|other| other == name) => {
            Some(format!("there is a device {name:?} already; {:?} is free", free(name, taken)))
        }
        None => None,
    }
}

/// This name, or the next one like it that nobody has.
pub(super) fn free(name: &str, taken: &[String]) -> String {
    let is_free = |name: &String| !taken.contains(name);
    let numbered = (2..=taken.len() + 2).map(|number| format!("{name}-{number}"));
    std::iter::once(name.to_owned()).chain(numbered).find(is_free).unwrap_or_default()
}

/// A URL, of which people leave out the scheme.
fn url(text: &str) -> Result<BaseUrl, String> {
    let whole = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    whole.parse().map_err(|error: crate::config::Malformed| error.to_string())
}

/// The make that a person means by its number, its name or the beginning of it.
fn make(answer: &str) -> Result<&'static Make, String> {
    let by_number = answer.parse::<usize>().ok().and_then(|number| MAKES.get(number.checked_sub(1)?));
    let by_name = || Registry::make(&answer.to_ascii_lowercase());
    let mut begin_so = MAKES.iter().filter(|make| make.name.starts_with(&answer.to_ascii_lowercase()));
    let by_beginning = begin_so.next().filter(|_| begin_so.next().is_none());
    let found = by_number.or_else(by_name).or(by_beginning);
    found.ok_or_else(|| format!("a number from 1 to {}, or a name from the list", MAKES.len()))
}

/// All that is needed, with nobody there to ask: `silence` says why.
///
/// # Errors
/// What is missing, or is not of this make.
pub(super) fn complete(
    given: &Given,
    name: Option<&str>,
    taken: &[String],
    silence: &str,
) -> Result<Draft, Exit> {
    let mut missing = Vec::new();
    if given.make.is_none() {
        missing.push("--vendor MAKE".to_owned());
    }
    if given.url.is_none() {
        missing.push("--url URL".to_owned());
    }
    for key in given.make.into_iter().flat_map(|make| make.keys).filter(|key| given.of(key.name).is_none()) {
        match key.need {
            Need::Always => missing.push(with_value(key)),
            Need::Unless(other) if given.of(other).is_none() => {
                let other = given.make.and_then(|make| make.keys.iter().find(|key| key.name == other));
                let other = other.map(|other| format!(" (or {})", with_value(other))).unwrap_or_default();
                missing.push(format!("{}{other}", with_value(key)));
            }
            _ => {}
        }
    }
    let (Some(make), Some(url), []) = (given.make, &given.url, missing.as_slice()) else {
        let missing = missing.join(", ");
        return Err(Exit::Usage(format!("{silence}: add {missing}")));
    };
    let name = name.map_or_else(|| free(make.called, taken), str::to_owned);
    Ok(Draft { name, make, url: url.clone(), keys: keys(make, given)? })
}

/// What was given, with the make's keys; what the make does not have is somebody's mistake.
fn keys(make: &'static Make, given: &Given) -> Result<Vec<(&'static Key, Value)>, Exit> {
    let odd = given.keys.iter().find(|(name, _)| !make.keys.iter().any(|key| key.name == *name));
    if let Some((odd, value)) = odd {
        let own = MAKES.iter().flat_map(|make| make.keys).find(|key| key.name == *odd);
        let said = own.map(|key| match value {
            Value::Variable(_) => variable_flag(key),
            _ => flag(key),
        });
        let (said, make_name) = (said.unwrap_or_default(), make.name);
        let known: Vec<_> = make.keys.iter().map(|key| format!("--{}", flag(key))).collect();
        return Err(Exit::Usage(match known.as_slice() {
            [] => format!("--{said}: `{make_name}` needs no credential; leave it out"),
            known => format!("--{said} is no flag of `{make_name}`, whose flags are {}", known.join(", ")),
        }));
    }
    let known = make.keys.iter().filter_map(|key| Some((key, given.of(key.name)?.clone())));
    Ok(known.collect())
}

/// Asks for what is missing. What is learnt is kept in `given`, so that it can be asked again.
///
/// # Errors
/// When there will be no answer, or what the command line says does not go together.
pub(super) async fn asked(
    person: &Person,
    questions: Questions,
    given: &mut Given,
    name: Option<&str>,
    taken: &[String],
    found: impl AsyncFnOnce() -> Vec<Found>,
) -> Result<Draft, Exit> {
    let all = questions == Questions::All;
    let make = match given.make {
        Some(known) if !all => known,
        known => {
            // Who is asked again has the list above.
            if known.is_none() {
                tell("Which device is it?");
                for (number, make) in (1..).zip(MAKES) {
                    tell(&format!("  {number:2}  {:9}  {}", make.name, make.product));
                }
            }
            person.parsed("Number or name", known.map(|known| known.name), make).await?
        }
    };
    given.make = Some(make);
    if all {
        // What was said of another make is not of this one.
        given.keys.retain(|(name, _)| make.keys.iter().any(|key| key.name == *name));
    }
    // Before it asks for what this make does not know.
    keys(make, given)?;
    if given.url.is_none() || all {
        ask_where(person, make, given, found).await?;
    }
    for key in make.keys {
        let is_known = given.of(key.name).is_some();
        let is_asked = match key.need {
            Need::Always | Need::Usually(_) => true,
            Need::Unless(other) => given.of(other).is_none(),
            Need::Seldom => false,
        };
        if is_asked && (!is_known || all) {
            ask_for(person, key, given).await?;
        }
    }
    let name = match name {
        Some(name) => name.to_owned(),
        None => {
            let usual = given.name.clone().unwrap_or_else(|| free(make.called, taken));
            let read = |name: &str| fault_of(name, taken).map_or_else(|| Ok(name.to_owned()), Err);
            person.parsed("Name, which becomes the path", Some(&usual), read).await?
        }
    };
    given.name = Some(name.clone());
    let Some(url) = given.url.clone() else { return Err(Exit::Usage("without an address".to_owned())) };
    Ok(Draft { name, make, url, keys: keys(make, given)? })
}

/// Asks for the secrets that standard input is to bring, where that is a terminal, which would show them.
///
/// # Errors
/// When there will be no answer.
pub(super) async fn ask_for_input(person: &Person, given: &mut Given) -> Result<(), Exit> {
    for (name, value) in &mut given.keys {
        if let Value::Stdin = value {
            let typed = person.secret(name).await?;
            *value = Value::Typed(typed.ok_or_else(|| Exit::Usage(format!("no {name} was typed")))?);
        }
    }
    Ok(())
}

async fn ask_where(
    person: &Person,
    make: &'static Make,
    given: &mut Given,
    found: impl AsyncFnOnce() -> Vec<Found>,
) -> Result<(), Exit> {
    let found = match &given.url {
        Some(_) => Vec::new(),
        // Nobody waits for what will not be recognised.
        None if !make.traces.are_any() => Vec::new(),
        None => found().await.into_iter().filter(|found| found.make.name == make.name).collect(),
    };
    for found in &found {
        tell(&format!("Found on the network: {}", found.words()));
    }
    let known = given.url.as_ref().map(ToString::to_string);
    let usual = known.or_else(|| found.first().map(Found::url));
    let asked = match &usual {
        Some(_) => ADDRESS.to_owned(),
        None => format!("{ADDRESS}, such as {}", make.address),
    };
    let chosen = person.parsed(&asked, usual.as_deref(), url).await?;
    // What it has said of itself need not be asked, and holds for no other device.
    if let Some(found) = found.iter().find(|found| found.url() == chosen.to_string()) {
        for (key, value) in &found.keys {
            if given.of(key).is_none() {
                given.set(key, Value::Text(value.clone()));
            }
        }
    }
    given.url = Some(chosen);
    Ok(())
}

async fn ask_for(person: &Person, key: &'static Key, given: &mut Given) -> Result<(), Exit> {
    let known = given.of(key.name).cloned();
    let usual = match (&known, key.need) {
        (Some(Value::Text(known)), _) => Some(known.as_str()),
        (_, Need::Usually(usual)) => Some(usual),
        _ => None,
    };
    let value = match key.kind {
        Kind::Choice(forms) => {
            let read = |answer: &str| match forms.contains(&answer) {
                true => Ok(answer.to_owned()),
                false => Err(format!("one of {}", forms.join(", "))),
            };
            Value::Text(person.parsed(key.asked, usual, read).await?)
        }
        Kind::Text => {
            let read = |answer: &str| Ok::<_, Infallible>(answer.to_owned());
            Value::Text(person.parsed(key.asked, usual, read).await?)
        }
        Kind::Url => Value::Text(person.parsed(key.asked, usual, url).await?.to_string()),
        Kind::Secret => loop {
            let again = if known.is_some() { "; Enter keeps the one before" } else { "" };
            match (person.secret(&format!("{}{again}", key.asked)).await?, &known) {
                (Some(typed), _) => break Value::Typed(typed),
                (None, Some(known)) => break known.clone(),
                (None, None) => tell("  nothing was typed"),
            }
        },
    };
    given.set(key.name, value);
    Ok(())
}
