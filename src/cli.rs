//! The commands. What goes wrong is told in words for a person; see [`Exit`] for the codes.

mod check;
mod demo;
mod health;
mod log;
mod process;
mod run;
mod trust;
mod welcome;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::{self, Config, Environment};
use crate::server::StartError;
use crate::vendor::{Driver, Registry};

/// Keeps the keys to the devices of a home or a building.
#[derive(Debug, Parser)]
#[command(name = "keyward", version, max_term_width = 100, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the devices of proxy.toml; without one, a page that says what to write
    Run(ConfigArgument),
    /// Serve a simulated device of every vendor, to try keyward without one
    Demo {
        /// Address to listen on; without it 127.0.0.1:8480, or a free port where that is taken
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<config::Address>,
    },
    /// Say what is wrong with proxy.toml, then whether each device can be reached and logged in to
    Check {
        #[command(flatten)]
        config: ConfigArgument,
        /// Only read proxy.toml, ask no device
        #[arg(long)]
        offline: bool,
    },
    /// Accept the certificate that a device shows now
    Trust(trust::Arguments),
    /// Ask the running keyward whether it serves; for a container's health check
    Health(ConfigArgument),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, clap::Args)]
struct ConfigArgument {
    /// Configuration file [default: $KEYWARD_CONFIG, ./proxy.toml or /etc/keyward/proxy.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Why a command ends, and with which code.
#[derive(Debug, thiserror::Error)]
enum Exit {
    /// 1: what was asked for did not work.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
    /// 2: the command or the configuration has to be changed.
    #[error("{0}")]
    Usage(String),
}

impl From<StartError> for Exit {
    fn from(error: StartError) -> Self {
        Self::Usage(error.to_string())
    }
}

/// Carries out the command line.
pub fn main() -> ExitCode {
    process::prepare();
    let arguments = Arguments::parse();
    let environment = Environment::read();
    let outcome = match arguments.command {
        Command::Run(ConfigArgument { config }) => {
            run::handed().and_then(|handed| in_runtime(run::run(config, environment, handed)))
        }
        Command::Demo { listen } => in_runtime(demo::demo(listen)),
        Command::Check { config, offline } => in_runtime(check::check(config.config, environment, offline)),
        Command::Trust(arguments) => in_runtime(trust::trust(arguments, environment)),
        Command::Health(ConfigArgument { config }) => in_runtime(health::health(config, environment)),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "keyward", &mut std::io::stdout());
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => {
            tell(&exit.to_string());
            ExitCode::from(if matches!(exit, Exit::Usage(_)) { 2 } else { 1 })
        }
    }
}

fn in_runtime<F: Future<Output = Result<(), Exit>>>(command: F) -> Result<(), Exit> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(anyhow::Error::from)?;
    let outcome = runtime.block_on(command);
    // A name being looked up can't be called off, and is nobody's business any more.
    runtime.shutdown_background();
    outcome
}

/// Finds and reads the configuration.
fn load(named: Option<&Path>, environment: &Environment) -> Result<Config<Driver>, Exit> {
    let file = config::find(named, environment).map_err(|missing| Exit::Usage(missing.to_string()))?;
    read(&file.ok_or_else(|| Exit::Usage(no_file()))?, environment)
}

fn read(file: &Path, environment: &Environment) -> Result<Config<Driver>, Exit> {
    config::load(file, environment, &Registry).map_err(|errors| Exit::Usage(errors.to_string()))
}

/// What a first configuration may look like.
const EXAMPLE: &str = "\
[devices.meter]
vendor   = \"egauge\"
url      = \"https://egauge12345.local\"
username = \"owner\"
password = { env = \"METER_PASSWORD\" }
";

fn no_file() -> String {
    let example: String = EXAMPLE.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "there is no proxy.toml here and none in /etc/keyward. Write one, for example\n\n{example}\n\
         or name one with --config. `keyward demo` shows how it works without a device."
    )
}

/// A line for the person at the terminal. Whoever has stopped reading (`keyward check | head`) misses nothing.
fn say(line: &str) {
    drop(writeln!(std::io::stdout(), "{line}"));
}

/// A line about what went wrong.
fn tell(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}
