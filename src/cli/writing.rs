//! One device more in a configuration: from the questions to the file.

use std::path::Path;

use anyhow::anyhow;
use tokio::signal::unix::{SignalKind, signal};

use super::discover::Search;
use super::document::{self, Document};
use super::draft::{self, Draft, Questions};
use super::given::Given;
use super::person::{GivenUp, Person, given_up};
use super::secrets::{SecretFiles, read_streams};
use super::trial::{Traces, visit};
use super::verdict::{Next, after_failure, describe, in_prompts, is_again, wrong};
use super::words::{option, pasteable, word};
use super::{Exit, run, say, stanza, tell};
use crate::config::{self, Environment, whereabouts};
use crate::vendor::Registry;

/// A file that gets a device.
pub(super) struct Writing<'a> {
    /// Where it is, or is to be.
    pub(super) file: &'a Path,
    /// What was there before, if anything.
    pub(super) before: Option<Document>,
    /// What the process was started with.
    pub(super) environment: &'a Environment,
}

/// What the command line says beside what it says of the device.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Manner {
    /// Ask nothing: the default for whatever is not given
    #[arg(long)]
    yes: bool,
    /// Write without trying the device first
    #[arg(long)]
    untested: bool,
}

/// A device that is ready to be written down. Unless it is, its secrets and what its trial left go with it.
struct Ready {
    draft: Draft,
    text: String,
    secrets: SecretFiles,
    traces: Option<Traces>,
    /// A path to try it with.
    path: &'static str,
}

impl Writing<'_> {
    /// Asks for a device, tries it and writes it down. Whoever gives up has nothing left of it.
    ///
    /// # Errors
    /// Why it is not written.
    pub(super) async fn one_device(
        &self,
        name: Option<String>,
        given: Given,
        manner: Manner,
    ) -> Result<(), Exit> {
        let taken = self.before.as_ref().map(Document::devices).unwrap_or_default();
        if let Some(fault) = name.as_deref().and_then(|name| draft::fault_of(name, &taken)) {
            return Err(Exit::Usage(fault));
        }
        document::examine(self.before.as_ref().map_or(self.file, Document::place))?;
        let person = Person::at_terminal();
        let stop = run::stopped(&run::ENDS, || {}).map_err(anyhow::Error::from)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(anyhow::Error::from)?;
        let outcome = tokio::select! {
            biased;
            () = stop => Err(given_up()),
            _ = hangup.recv() => Err(given_up()),
            outcome = self.ask_and_write(name.as_deref(), &taken, given, manner, person) => outcome,
        };
        outcome.map_err(|exit| match exit {
            Exit::Failed(why) if why.is::<GivenUp>() => anyhow!("{why}: {}", self.untouched()).into(),
            exit => exit,
        })
    }

    /// What became of the file where nothing is written.
    fn untouched(&self) -> String {
        match self.before {
            Some(_) => format!("{} stays as it is", self.file.display()),
            None => "no configuration is written".to_owned(),
        }
    }

    async fn ask_and_write(
        &self,
        name: Option<&str>,
        taken: &[String],
        mut given: Given,
        Manner { yes, untested }: Manner,
        person: Option<Person>,
    ) -> Result<(), Exit> {
        if let Some(person) = &person {
            draft::ask_for_input(person, &mut given).await?;
        }
        let silence = if person.is_some() { "--yes asks nothing" } else { "there is no terminal to ask at" };
        let person = person.as_ref().filter(|_| !yes);
        let mut questions = Questions::Open;
        let mut search = Search::begin(person.is_some() && given.url.is_none());
        if person.is_some() {
            let deed = if self.before.is_some() { "adds it to" } else { "writes" };
            tell(&format!(
                "This asks for a device, tries it and {deed} {}. Ctrl-C ends it and writes nothing.\n",
                self.file.display()
            ));
        }
        loop {
            let draft = match person {
                Some(person) => {
                    let found = async || search.found().await;
                    let asked = draft::asked(person, questions, &mut given, name, taken, found).await?;
                    given.keys = asked.keys.iter().map(|(key, value)| (key.name, value.clone())).collect();
                    asked
                }
                None => draft::complete(&given, name, taken, silence)?,
            };
            match self.prepare(draft, untested, person.is_some()).await? {
                Prepared::Ready(ready) => return self.write(*ready).await,
                Prepared::Wrong(why) => {
                    let Some(person) = person else { return Err(Exit::Usage(why)) };
                    tell(&why);
                    if !is_again(person).await? {
                        return Err(given_up());
                    }
                }
                Prepared::Failed(ready, why) => {
                    let Draft { name, make, .. } = &ready.draft;
                    let memory = ready.traces.as_ref().and_then(Traces::memory);
                    let memory = memory.map(|memory| format!("\n{memory}")).unwrap_or_default();
                    let Some(person) = person else {
                        let advice = "--untested writes it down without trying";
                        let untouched = self.untouched();
                        return Err(
                            anyhow!("{name} does not work: {why}\n{untouched}; {advice}{memory}").into()
                        );
                    };
                    let why = pasteable(&in_prompts(&why, make), &self.option());
                    tell(&format!("{name} does not work yet: {why}"));
                    match after_failure(person).await? {
                        Next::Again => {}
                        Next::Write => return self.write(*ready).await,
                        Next::GiveUp => {
                            return Err(anyhow!("{GivenUp}: {}{memory}", self.untouched()).into());
                        }
                    }
                }
            }
            questions = Questions::All;
        }
    }

    /// Makes the text and tries the device.
    async fn prepare(&self, draft: Draft, untested: bool, is_watched: bool) -> Result<Prepared, Exit> {
        let draft = read_streams(draft).await?;
        let mut secrets = SecretFiles::default();
        let entries = match self.linked() {
            Some(place) => secrets.entries(&draft, document::folder(place), false)?,
            None => secrets.entries(&draft, document::folder(self.file), true)?,
        };
        let door = whereabouts(Some(self.file), self.environment).listen;
        let table = stanza::device(&draft, entries, &door);
        let text = match &self.before {
            Some(before) => before.with(&draft.name, &table)?,
            None => stanza::file(&table),
        };
        let ours = format!("devices.{}.", stanza::key(&draft.name));
        let config = match config::parse(&text, self.file, self.environment, &Registry) {
            Ok(config) => config,
            Err(errors) => return Ok(Prepared::Wrong(wrong(&errors, &ours, draft.make, is_watched))),
        };
        // What was there before is what `check` warns of; the line that this is of is not written yet.
        for (_, warning) in config.warnings.iter().filter_map(|warning| warning.split_once(&ours)) {
            let what = warning.split_once(": ").map_or(warning, |(_, what)| what);
            tell(&format!("warning: {what}"));
        }
        let drivers = config.devices.iter().filter(|device| device.name == draft.name);
        let probe = drivers.map(|device| device.driver.vendor.probe()).next();
        let path = draft.make.sample.or(probe).unwrap_or("/");
        if untested {
            return Ok(Prepared::Ready(Box::new(Ready { draft, text, secrets, traces: None, path })));
        }
        if is_watched {
            tell("");
        }
        let (found, traces) = visit(config, &draft.name).await?;
        let ready = |traces| Box::new(Ready { draft, text, secrets, traces: Some(traces), path });
        Ok(match &found.fault {
            None => {
                describe(&found);
                Prepared::Ready(ready(traces))
            }
            Some(told) => Prepared::Failed(ready(traces), told.cause.clone()),
        })
    }

    async fn write(&self, ready: Ready) -> Result<(), Exit> {
        let Ready { draft, text, secrets, traces, path } = ready;
        match &self.before {
            Some(before) => before.replace(&text)?,
            None => document::create(self.file, &text)?,
        }
        let file = self.linked().unwrap_or(self.file).display();
        let beside = secrets.names();
        secrets.keep();
        if let Some(traces) = traces {
            traces.keep();
        }
        // For editors alone; one that is there already may be somebody's own.
        let schema = self.file.with_file_name(stanza::SCHEMA_FILE);
        let is_schema_made = self.before.is_none()
            && schema.symlink_metadata().is_err()
            && document::create(&schema, stanza::SCHEMA).is_ok();
        let beside = match beside.as_slice() {
            [] => String::new(),
            names => format!(", and beside it {}, for its owner alone", names.join(" and ")),
        };
        match self.before {
            Some(_) => say(&format!("{} is added to {file}{beside}.", draft.name)),
            None => say(&format!("{file} is written{beside}.")),
        }
        if is_schema_made {
            say(&format!("{}, for editors, says what may stand in it.", schema.display()));
        }
        let door = self.say_next().await;
        say(&format!("  curl {}", word(&format!("http://{door}/{}{path}", draft.name))));
        Ok(())
    }

    /// Where the file really is, if it is a link into another folder. Relative paths in it mean another file for each of
    /// its names.
    fn linked(&self) -> Option<&Path> {
        let place = self.before.as_ref()?.place();
        let here = document::folder(self.file).canonicalize();
        Some(place).filter(|place| !here.is_ok_and(|here| here == document::folder(place)))
    }

    /// What a command has to say to mean this file.
    pub(super) fn option(&self) -> String {
        option(Some(self.file), self.environment)
    }
}

/// What became of the preparations.
enum Prepared {
    /// It works, or nobody wants to know.
    Ready(Box<Ready>),
    /// It does not work.
    Failed(Box<Ready>, String),
    /// It can't be configured so.
    Wrong(String),
}
