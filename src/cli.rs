//! The command line: what may be said, the help for it, completions. What the commands do is in [`crate::app`].
//!
//! Values that the file may hold too (addresses, URLs, modes) stay text here and are checked by [`crate::config`], so that
//! a flag and a key are refused with the same words.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::Overrides;
use crate::telemetry::LogFormat;

/// What the process ends with.
pub mod exit {
    /// All went well.
    pub const OK: u8 = 0;
    /// It was tried and failed.
    pub const FAILED: u8 = 1;
    /// The command line or the configuration is wrong: nothing was tried.
    pub const USAGE: u8 = 2;
}

/// Where the operators' listener is unless told otherwise: for `healthcheck`, which reads no file.
const ADMIN: &str = "127.0.0.1:9901";

const EXAMPLES: &str = "\
Examples:
  a2a-sidecar --worker http://127.0.0.1:9999
          Serve the worker at http://127.0.0.1:8080, every mode in every version of A2A
  a2a-sidecar --worker http://127.0.0.1:9999 --listen 0.0.0.0:8080 --public-url https://a.example.com
          The same for the network, with the address that the agent card is to give
  a2a-sidecar --worker http://127.0.0.1:9999 --webhook-allow 10.0.0.0/8
          Deliver webhooks into a private network too
  a2a-sidecar check --config sidecar.toml
          Report everything that is wrong with a configuration
  a2a-sidecar demo
          See it at work, without an agent of your own

A flag may be given as a variable instead: --public-url as A2A_SIDECAR_PUBLIC_URL. Flags win over the file.
SIGHUP reads the file anew, SIGTERM drains and stops.
Exit code: 0 all went well, 1 something failed, 2 the command line or the configuration is wrong.";

/// Give every requester every mode of any A2A worker: blocking, polling, streaming, push and callback.
#[derive(Debug, Parser)]
#[command(
    name = "a2a-sidecar",
    version,
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    max_term_width = 100
)]
struct Cli {
    #[command(flatten)]
    run: RunArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Serve; the same as no command at all
    #[command(after_help = EXAMPLES)]
    Run(RunArgs),
    /// Report everything that is wrong with a configuration, with the code that `run` uses
    Check(CheckArgs),
    /// Show the sidecar at work, without an agent of your own
    Demo(DemoArgs),
    /// Ask a running sidecar whether it is ready: exit code 0 if it is, else 1
    Healthcheck(HealthcheckArgs),
    /// Print a script with which a shell completes the command line
    Completions(CompletionsArgs),
}

/// `run`
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct RunArgs {
    /// The configuration file (TOML); every key is described in config/default.toml
    #[arg(
        short,
        long,
        value_name = "FILE",
        env = "A2A_SIDECAR_CONFIG",
        hide_env = true
    )]
    pub config: Option<PathBuf>,
    /// The worker: the only thing that has no default
    #[arg(
        short,
        long,
        value_name = "URL",
        env = "A2A_SIDECAR_WORKER",
        hide_env = true
    )]
    pub worker: Option<String>,
    /// Where to serve requesters [default: 127.0.0.1:8080]
    #[arg(
        short,
        long,
        value_name = "ADDR",
        env = "A2A_SIDECAR_LISTEN",
        hide_env = true
    )]
    pub listen: Option<String>,
    /// Where to serve operators: /ready, /live, /metrics, /tasks; empty for nowhere [default: 127.0.0.1:9901]
    #[arg(long, value_name = "ADDR", env = "A2A_SIDECAR_ADMIN", hide_env = true)]
    pub admin: Option<String>,
    /// The address at which requesters reach the sidecar, for agent cards [default: what they asked for]
    #[arg(
        long,
        value_name = "URL",
        env = "A2A_SIDECAR_PUBLIC_URL",
        hide_env = true
    )]
    pub public_url: Option<String>,
    /// Where to keep tasks: sqlite:PATH or memory: [default: SQLite in the user's state directory]
    #[arg(long, value_name = "STORE", env = "A2A_SIDECAR_STORE", hide_env = true)]
    pub store: Option<String>,
    /// A net, address or host inside that webhooks may go to; may be given several times
    #[arg(
        long,
        value_name = "CIDR-or-host",
        env = "A2A_SIDECAR_WEBHOOK_ALLOW",
        hide_env = true,
        value_delimiter = ','
    )]
    pub webhook_allow: Vec<String>,
    /// How to watch the worker's tasks: auto, off, or of blocking, poll, stream, push, callback those to use [default: auto]
    #[arg(
        long,
        value_name = "MODE",
        env = "A2A_SIDECAR_OBSERVE",
        hide_env = true
    )]
    pub observe: Option<String>,
    /// How to log, on standard error [default: text]
    #[arg(
        long,
        value_name = "FORMAT",
        env = "A2A_SIDECAR_LOG_FORMAT", hide_env = true,
        value_parser = PossibleValuesParser::new(LogFormat::NAMES).map(|name| LogFormat::from_name(&name).unwrap_or_default())
    )]
    pub log_format: Option<LogFormat>,
}

/// `check`
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct CheckArgs {
    /// The configuration file (TOML)
    #[arg(
        short,
        long,
        value_name = "FILE",
        env = "A2A_SIDECAR_CONFIG",
        hide_env = true
    )]
    pub config: PathBuf,
}

/// `demo`
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct DemoArgs {
    /// Go on serving at the end, to try it by hand
    #[arg(long)]
    pub hold: bool,
    /// No colours, and a line for each thing heard instead of a table that is drawn anew
    #[arg(long)]
    pub plain: bool,
}

/// `healthcheck`
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct HealthcheckArgs {
    /// Where the sidecar serves operators
    #[arg(long, value_name = "ADDR", env = "A2A_SIDECAR_ADMIN", hide_env = true, default_value = ADMIN)]
    pub admin: String,
}

/// `completions`
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct CompletionsArgs {
    /// For which shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

impl RunArgs {
    /// What the flags say about the configuration.
    #[must_use]
    pub fn overrides(&self) -> Overrides {
        Overrides {
            worker: self.worker.clone(),
            listen: self.listen.clone(),
            admin: self.admin.clone(),
            public_url: self.public_url.clone(),
            store: self.store.clone(),
            webhook_allow: self.webhook_allow.clone(),
            observe: self.observe.clone(),
            log_format: self.log_format,
        }
    }
}

/// Reads a command line, the program's name first.
///
/// # Errors
/// A wrong command line, and also `--help` and `--version`, which are errors by clap's lights: `error.exit()` prints
/// each where it belongs and ends the process with 2 or 0.
pub fn parse<I, T>(args: I) -> Result<Command, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let cli = Cli::try_parse_from(args)?;
    Ok(cli.command.unwrap_or(Command::Run(cli.run)))
}

/// Writes a completion script.
pub fn completions(shell: Shell, out: &mut dyn Write) {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }
}
