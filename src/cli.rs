//! The commands. What goes wrong is told in words for a person; see [`Exit`] for the codes.

mod beside;
mod check;
mod demo;
mod discover;
mod document;
mod draft;
mod given;
mod health;
mod init;
mod log;
mod man;
mod neighbour;
mod next;
mod person;
mod process;
mod report;
mod run;
mod secrets;
mod service;
mod stanza;
mod terminal;
mod trial;
mod trust;
mod verdict;
mod welcome;
mod words;
mod writing;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use futures_util::future::LocalBoxFuture;
use tokio::runtime::Builder;

use crate::config::{self, Config, Environment, Missing};
use crate::disk::plain;
use crate::server::StartError;
use crate::vendor::{Driver, Registry};

/// Keeps the keys to the devices of a home or a building.
#[derive(Debug, Parser)]
#[command(name = "keyward", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve proxy.toml, or a page that says what to write
    Run(ConfigArgument),
    /// Serve simulated devices, to try keyward without one
    Demo {
        /// Without it 127.0.0.1:8480, or a free port
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<config::Address>,
    },
    /// Ask for a first device, try it, and write proxy.toml
    Init(init::InitArguments),
    /// Ask for one more device, try it, and write it into proxy.toml
    Add(init::AddArguments),
    /// Find devices on the network, as stanzas to paste
    Discover,
    /// Say what is wrong with proxy.toml or a device, and what to do
    Check(check::Arguments),
    /// Accept the certificate that a device shows now
    Trust(trust::Arguments),
    /// Ask the running keyward whether it serves, as a container does
    Health(ConfigArgument),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page of keyward, or of one of its commands
    Man {
        /// The command
        command: Option<String>,
    },
    /// Print the JSON Schema of proxy.toml, for editors
    EditorSchema,
}

#[derive(Debug, clap::Args)]
struct ConfigArgument {
    /// In place of $KEYWARD_CONFIG or ./proxy.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Command {
    /// The configuration that it was told to read.
    fn named(&self) -> Option<&Path> {
        match self {
            Self::Run(of) | Self::Health(of) => of.config.as_deref(),
            Self::Init(of) => of.named(),
            Self::Add(of) => of.named(),
            Self::Check(of) => of.named(),
            Self::Trust(of) => of.named(),
            _ => None,
        }
    }
}

/// Why a command ends, and with which code.
#[derive(Debug, thiserror::Error)]
enum Exit {
    /// 1: what was asked for did not work.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
    /// 1, too, where all that there is to say has been said.
    #[error("it has been said")]
    Told,
    /// 2: the command or the configuration has to be changed.
    #[error("{0}")]
    Usage(String),
}

impl From<StartError> for Exit {
    fn from(error: StartError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<Missing> for Exit {
    fn from(missing: Missing) -> Self {
        let help = if missing.is_folder { "" } else { ": `keyward init` asks for a device and writes it" };
        Self::Usage(format!("{missing}{help}"))
    }
}

/// Carries out the command line.
pub fn main() -> ExitCode {
    process::prepare();
    let arguments = Arguments::try_parse().unwrap_or_else(|error| given::told(error).exit());
    let environment = Environment::read();
    let named = arguments.command.named().map(Path::to_owned);
    let here = environment.clone();
    let outcome = match arguments.command {
        Command::Run(ConfigArgument { config }) => {
            run::handed().and_then(|handed| in_runtime(Box::pin(run::run(config, environment, handed))))
        }
        Command::Demo { listen } => in_runtime(Box::pin(demo::demo(listen, environment))),
        Command::Init(arguments) => in_runtime(Box::pin(init::init(arguments, environment))),
        Command::Add(arguments) => in_runtime(Box::pin(init::add(arguments, environment))),
        Command::Discover => in_runtime(Box::pin(discover::discover(environment))),
        Command::Check(arguments) => in_runtime(Box::pin(check::check(arguments, environment))),
        Command::Trust(arguments) => in_runtime(Box::pin(trust::trust(arguments, environment))),
        Command::Health(ConfigArgument { config }) => {
            in_runtime(Box::pin(health::health(config, environment)))
        }
        Command::Completions { shell } => {
            // The library would end in a panic where nobody reads any more.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "keyward", &mut script);
            say(String::from_utf8_lossy(&script).trim_end());
            Ok(())
        }
        Command::Man { command } => man::man(command.as_deref()),
        Command::EditorSchema => {
            say(stanza::SCHEMA.trim_end());
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Exit::Told) => ExitCode::FAILURE,
        Err(exit) => {
            let option = words::option(named.as_deref(), &here);
            tell(&words::pasteable(&plain(&exit), &option));
            ExitCode::from(if matches!(exit, Exit::Usage(_)) { 2 } else { 1 })
        }
    }
}

/// Every command is of the same type here: a runtime is compiled once for each type that it waits for.
fn in_runtime(command: LocalBoxFuture<'_, Result<(), Exit>>) -> Result<(), Exit> {
    // Where there is one processor threads would take turns, and what they tell each other costs a fiftieth of a request.
    // What musl's allocator asks of the kernel costs more than that if there is one thread.
    let is_alone = cfg!(not(target_env = "musl"))
        && available_parallelism().is_ok_and(|processors| processors.get() == 1);
    let mut builder = if is_alone { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    let runtime =
        builder.enable_all().thread_keep_alive(SPARE_THREAD).build().map_err(anyhow::Error::from)?;
    let outcome = runtime.block_on(command);
    // A name being looked up can't be called off, and is nobody's business any more.
    runtime.shutdown_background();
    outcome
}

/// Finds and reads the configuration.
fn load(named: Option<&Path>, environment: &Environment) -> Result<Config<Driver>, Exit> {
    let file = config::find(named, environment)?;
    read(&file.ok_or_else(|| Exit::Usage(NO_FILE.to_owned()))?, environment)
}

/// A thread that has waited for a file or a name is kept so long for the next one. Each has memory of its own, and
/// devices that are met at one time take as many.
const SPARE_THREAD: Duration = Duration::from_secs(1);

fn read(file: &Path, environment: &Environment) -> Result<Config<Driver>, Exit> {
    config::load(file, environment, &Registry).map_err(|errors| Exit::Usage(errors.to_string()))
}

/// What a first configuration may look like.
const EXAMPLE: &str = "\
[devices.meter]
vendor   = \"egauge\"
url      = \"https://egauge12345.local\"
username = \"owner\"
password = { file = \"meter.password\" }
";

const NO_FILE: &str = "\
there is no proxy.toml here and none in /etc/keyward.

    keyward init     asks for your first device and writes one
    keyward demo     shows how it works without a device

Or name one with --config.";

/// A line for the person at the terminal. Whoever has stopped reading (`keyward check | head`) misses nothing.
fn say(line: &str) {
    drop(writeln!(std::io::stdout(), "{line}"));
}

/// A line about what went wrong.
fn tell(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}
