//! `keyward init` and `keyward add`: ask for a device, try it, write it down.

use std::path::{Path, PathBuf};

use super::beside::beside;
use super::document::{self, Document};
use super::given::Given;
use super::writing::{Manner, Writing};
use super::{Exit, load};
use crate::config::{self, Environment, place_of_new};

#[derive(Debug, clap::Args)]
#[command(override_usage = "keyward init [OPTIONS] [DEVICE]", after_help = FLAGS)]
pub(super) struct InitArguments {
    /// Its name, which is also the path: meter, say
    #[arg(hide = true)]
    device: Option<String>,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
#[command(override_usage = "keyward add [OPTIONS] [DEVICE]", after_help = FLAGS)]
pub(super) struct AddArguments {
    /// Its name, which is also the path: meter, say
    #[arg(hide = true)]
    device: Option<String>,
    #[command(flatten)]
    how: How,
}

impl InitArguments {
    /// The configuration that it was told to write.
    pub(super) fn named(&self) -> Option<&Path> {
        self.how.config.as_deref()
    }
}

impl AddArguments {
    /// The configuration that it was told to write.
    pub(super) fn named(&self) -> Option<&Path> {
        self.how.config.as_deref()
    }
}

const FLAGS: &str = "DEVICE is its name and path. What no flag says is asked. A secret comes from a\n\
                     file, `-` (standard input) or a variable: --password-env NAME.";

#[derive(Debug, clap::Args)]
struct How {
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    manner: Manner,
    /// File to write
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// `keyward init`.
pub(super) async fn init(arguments: InitArguments, environment: Environment) -> Result<(), Exit> {
    let environment = beside(arguments.named(), environment).await;
    let InitArguments { device, how } = arguments;
    let file = place_of_new(how.config.as_deref(), &environment);
    if file.is_dir() {
        // Whoever named it is told so.
        config::find(how.config.as_deref(), &environment)?;
    }
    if file.symlink_metadata().is_ok() {
        return Err(Exit::Usage(format!(
            "{} is there already, and stays as it is: `keyward add DEVICE` writes one more device into it",
            file.display()
        )));
    }
    let folder = document::folder(&file);
    if !folder.is_dir() {
        return Err(Exit::Usage(format!(
            "there is no folder {0}: `mkdir -p {0}` makes it",
            folder.display()
        )));
    }
    let writing = Writing { file: &file, before: None, environment: &environment };
    writing.one_device(device, how.given, how.manner).await
}

/// `keyward add`.
pub(super) async fn add(arguments: AddArguments, environment: Environment) -> Result<(), Exit> {
    let environment = beside(arguments.named(), environment).await;
    let AddArguments { device, how } = arguments;
    let file = config::find(how.config.as_deref(), &environment)?;
    let file = file.ok_or_else(|| {
        Exit::Usage(
            "there is no proxy.toml here and none in /etc/keyward: `keyward init` writes one".to_owned(),
        )
    })?;
    let before = Document::read(&file)?;
    if !before.devices().is_empty() {
        // What is wrong there already is told before anything is asked.
        load(Some(&file), &environment)?;
    }
    let writing = Writing { file: &file, before: Some(before), environment: &environment };
    writing.one_device(device, how.given, how.manner).await
}
