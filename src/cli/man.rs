//! `keyward man`: the manual pages, for packages.

use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{Arguments, Exit, say};

/// What stands behind the part that the command line's own description yields.
const FILES: [(&str, &str); 4] = [
    (
        "proxy.toml",
        "The configuration: the file of --config, else of $KEYWARD_CONFIG, else ./proxy.toml, else \
         /etc/keyward/proxy.toml.",
    ),
    (
        "certs/",
        "The devices' certificates, pinned at the first contact; beside proxy.toml, or in $STATE_DIRECTORY where a \
         service manager gives one.",
    ),
    ("state/", "There too: sessions that outlive a restart, and the control socket of the running keyward."),
    ("proxy.schema.json", "What editors need to check proxy.toml while it is typed."),
];

const ENVIRONMENT: [(&str, &str); 5] = [
    ("KEYWARD_CONFIG", "In place of --config."),
    ("KEYWARD_LISTEN", "In place of listen in proxy.toml."),
    ("KEYWARD_STATE, KEYWARD_CERTS", "In place of state and certs."),
    ("KEYWARD_LOG, KEYWARD_LOG_FORMAT", "In place of level and format of [log]."),
    ("NO_COLOR", "Set to anything, there are no colours."),
];

const EXITS: [(&str, &str); 3] = [
    ("0", "Fine."),
    ("1", "What was asked for did not work: a device can't be used, say."),
    ("2", "The command line or proxy.toml has to be changed."),
];

/// Prints the page of keyward, or of one of its commands.
///
/// # Errors
/// There is no such command, or nobody reads what is printed.
pub(super) fn man(of: Option<&str>) -> Result<(), Exit> {
    let mut program = Arguments::command().disable_help_subcommand(true);
    program.build();
    let command = match of {
        None => program.clone(),
        Some(name) => {
            let found = program.find_subcommand(name).cloned();
            found.ok_or_else(|| {
                Exit::Usage(format!("there is no command {name:?}; `keyward --help` lists them"))
            })?
        }
    };
    // A page has room for what a screen has not.
    let mut command = command.mut_args(|argument| argument.hide(false));
    let notes = command.get_after_help().map(ToString::to_string);
    // The library calls it extra, which says nothing.
    command = command.after_help(None::<&str>);
    let title = command.get_display_name().unwrap_or("keyward").to_owned();
    let version = format!("keyward {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command).title(title).source(version);
    let mut page = Vec::new();
    man.render(&mut page).map_err(anyhow::Error::from)?;
    let mut rest = Roff::new();
    if let Some(notes) = notes {
        rest.control("SH", ["NOTES"]);
        rest.text([roman(notes.replace('\n', " "))]);
    }
    if of.is_none() {
        for (heading, terms) in
            [("FILES", FILES.as_slice()), ("ENVIRONMENT", &ENVIRONMENT), ("EXIT STATUS", &EXITS)]
        {
            rest.control("SH", [heading]);
            for (term, words) in terms {
                rest.control("TP", []);
                rest.text([bold(*term)]);
                rest.text([roman(*words)]);
            }
        }
    }
    rest.to_writer(&mut page).map_err(anyhow::Error::from)?;
    say(String::from_utf8_lossy(&page).trim_end());
    Ok(())
}
