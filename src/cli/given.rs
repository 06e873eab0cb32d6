//! What a command line says of a device: a flag for each key of each make, as the makes' own tables have them.

use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches, Command, value_parser};

use crate::config::BaseUrl;
use crate::secret::Secret;
use crate::vendor::{Key, Kind, MAKES, Make, Registry};

/// What a flag says that means standard input.
const STDIN: &str = "-";

/// So many makes fit into the line of their flag.
const SHOWN: usize = 5;

/// What is known of a device before anybody is asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    /// Its make.
    pub(super) make: Option<&'static Make>,
    /// Where it is.
    pub(super) url: Option<BaseUrl>,
    /// What somebody called it when they were asked before.
    pub(super) name: Option<String>,
    /// Its make's own keys, as far as they are known.
    pub(super) keys: Vec<(&'static str, Value)>,
}

/// The value of a key.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// It stands in the configuration.
    Text(String),
    /// A secret that stands in this file.
    File(PathBuf),
    /// A secret that stands in this variable.
    Variable(String),
    /// A secret that somebody has typed, which gets a file of its own.
    Typed(Secret),
    /// A secret that standard input brings.
    Stdin,
}

impl Given {
    /// The value of a key.
    pub(super) fn of(&self, key: &str) -> Option<&Value> {
        self.keys.iter().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    /// Sets the value of a key.
    pub(super) fn set(&mut self, key: &'static str, value: Value) {
        self.keys.retain(|(known, _)| *known != key);
        self.keys.push((key, value));
    }
}

/// A key by its name, and which makes have it.
struct Flag {
    key: Key,
    makes: Vec<&'static str>,
}

fn flags() -> Vec<Flag> {
    let mut flags: Vec<Flag> = Vec::new();
    for make in MAKES {
        for key in make.keys {
            match flags.iter_mut().find(|flag| flag.key.name == key.name) {
                Some(flag) => flag.makes.push(make.name),
                None => flags.push(Flag { key: *key, makes: vec![make.name] }),
            }
        }
    }
    flags
}

/// The flags that set this key, without the dashes.
pub(super) fn flag(key: &Key) -> String {
    let name = key.name.replace('_', "-");
    if key.kind == Kind::Secret { format!("{name}-file") } else { name }
}

/// The flag that sets this key, as somebody has to write it.
pub(super) fn with_value(key: &Key) -> String {
    let value = match key.kind {
        Kind::Secret => "FILE",
        Kind::Url => "URL",
        Kind::Text | Kind::Choice(_) => "TEXT",
    };
    format!("--{} {value}", flag(key))
}

/// The flag that names the variable of a secret, without the dashes.
pub(super) fn variable_flag(key: &Key) -> String {
    format!("{}-env", key.name.replace('_', "-"))
}

/// What is wrong with a command line. Whoever writes a secret into it is told where secrets come from.
pub(super) fn told(error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(odd)) = error.get(ContextKind::InvalidArg) else { return error };
    let is_meant = |flag: &Flag| {
        flag.key.kind == Kind::Secret && odd.strip_prefix("--") == Some(&flag.key.name.replace('_', "-"))
    };
    if error.kind() != ErrorKind::UnknownArgument || !flags().iter().any(is_meant) {
        return error;
    }
    let why = format!(
        "a secret is never an argument, which everybody on this machine can read: name a file that it is in with \
         {odd}-file, or a variable with {odd}-env; `{odd}-file -` takes it from standard input, and at a terminal asks \
         for it\n"
    );
    clap::Error::raw(ErrorKind::UnknownArgument, why)
}

impl clap::Args for Given {
    fn augment_args(command: Command) -> Command {
        let makes: Vec<_> = MAKES.iter().map(|make| make.name).collect();
        let first = makes.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
        let vendor = Arg::new("vendor").long("vendor").value_name("MAKE");
        let vendor = vendor
            .value_parser(clap::builder::PossibleValuesParser::new(makes))
            .hide_possible_values(true)
            .help(format!("{first}, …"));
        let url = Arg::new("url").long("url").value_name("URL").value_parser(value_parser!(BaseUrl));
        let command = command.arg(vendor).arg(url.help("Where the device is: https://envoy.local"));
        flags().into_iter().fold(command, |command, Flag { key, makes }| {
            let help = format!("Of {}", makes.join(", "));
            let flag = Arg::new(flag(&key)).long(flag(&key));
            match key.kind {
                Kind::Secret => {
                    let variable = Arg::new(variable_flag(&key)).long(variable_flag(&key));
                    let variable = variable.value_name("NAME").hide(true).help(help.clone());
                    command
                        .arg(flag.value_name("FILE").value_parser(value_parser!(PathBuf)).help(help))
                        .arg(variable.conflicts_with(self::flag(&key)))
                }
                Kind::Text => command.arg(flag.value_name("TEXT").help(help)),
                Kind::Choice(forms) => {
                    let forms = clap::builder::PossibleValuesParser::new(forms);
                    command.arg(
                        flag.value_name("TEXT").value_parser(forms).hide_possible_values(true).help(help),
                    )
                }
                // Where a vendor's cloud is, is nobody's choice but a test's.
                Kind::Url => {
                    let flag = flag.value_name("URL").value_parser(value_parser!(BaseUrl));
                    command.arg(flag.hide(true).help(format!("{help}: {}", key.asked)))
                }
            }
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Given {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let make = matches.get_one::<String>("vendor").and_then(|name| Registry::make(name));
        let mut given = Self { make, url: matches.get_one("url").cloned(), ..Self::default() };
        for Flag { key, .. } in flags() {
            let name = flag(&key);
            let value = match key.kind {
                Kind::Secret => {
                    let file = matches.get_one::<PathBuf>(&name).map(|file| match file.to_str() {
                        Some(STDIN) => Value::Stdin,
                        _ => Value::File(file.clone()),
                    });
                    let variable = || matches.get_one::<String>(&variable_flag(&key)).cloned();
                    file.or_else(|| variable().map(Value::Variable))
                }
                Kind::Url => matches.get_one::<BaseUrl>(&name).map(|url| Value::Text(url.to_string())),
                Kind::Text | Kind::Choice(_) => matches.get_one::<String>(&name).cloned().map(Value::Text),
            };
            given.keys.extend(value.map(|value| (key.name, value)));
        }
        Ok(given)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
