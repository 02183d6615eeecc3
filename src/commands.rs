//! What each command of the command line does: sets up log and threads, hands over to the parts, and turns the outcome
//! into an exit code and a few lines for people.

use std::io::{self, Write};
use std::path::Path;

use crate::app::{Signals, start};
use crate::cli::{Command, RunArgs, exit};
use crate::config::{self, Checked, Overrides};
use crate::telemetry::LogFormat;

/// Runs a command; gives the process's exit code.
#[must_use]
pub fn main(command: Command) -> u8 {
    match command {
        Command::Run(args) => run(&args),
        Command::Check(args) => check(&args.config),
        Command::Demo(args) => crate::demo::run(&args),
        Command::Healthcheck(args) => {
            match crate::admin::healthcheck(&args.admin, crate::admin::health::TIMEOUT) {
                Ok(()) => exit::OK,
                Err(error) => {
                    say(&format!("a2a-sidecar: {error}"));
                    exit::FAILED
                }
            }
        }
        Command::Completions(args) => {
            crate::cli::completions(args.shell, &mut io::stdout());
            exit::OK
        }
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn say(line: &str) {
    // Standard error may be closed; there is nowhere else to say so.
    let _ = writeln!(io::stderr(), "{line}");
}

/// For people, or as lines of the log where a program reads all that the process writes.
fn tell(format: LogFormat, texts: &[String]) {
    match format {
        LogFormat::Text => say(&texts.join("\n")),
        LogFormat::Json => {
            for text in texts {
                let lines: Vec<_> = text.lines().map(str::trim).collect();
                tracing::info!("{}", lines.join("; "));
            }
        }
    }
}

/// Why the process ends.
fn tell_fault(format: LogFormat, text: &str) {
    match format {
        LogFormat::Text => say(&format!("a2a-sidecar: {text}")),
        LogFormat::Json => tracing::error!("{text}"),
    }
}

fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Checked, u8> {
    config::load(file, overrides, &environment).map_err(|faults| {
        say(&faults.to_string());
        exit::USAGE
    })
}

fn check(file: &Path) -> u8 {
    match load(Some(file), &Overrides::default()) {
        Ok(checked) => {
            let routes = checked.routes.len();
            say(&format!(
                "{}: no faults; {routes} route{}",
                file.display(),
                if routes == 1 { "" } else { "s" }
            ));
            exit::OK
        }
        Err(code) => code,
    }
}

fn run(args: &RunArgs) -> u8 {
    let overrides = args.overrides();
    let checked = match load(args.config.as_deref(), &overrides) {
        Ok(checked) => checked,
        Err(code) => return code,
    };
    // Written to its end when this is dropped, as the last thing.
    let _log = match crate::telemetry::init_log(checked.log.format, &checked.log.level) {
        Ok(log) => log,
        Err(error) => {
            say(&format!("a2a-sidecar: {error}"));
            return exit::USAGE;
        }
    };
    let format = checked.log.format;
    let failed = |text: &str| {
        tell_fault(format, text);
        exit::FAILED
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("no threads can be had: {error}")),
    };
    let file = args.config.clone();
    let code = runtime.block_on(async {
        let signals = match Signals::catch() {
            Ok(signals) => signals,
            Err(error) => return failed(&format!("signals cannot be received: {error}")),
        };
        match start(checked).await {
            Ok(running) => {
                let read = || {
                    let file = file.as_deref()?;
                    Some(config::load(Some(file), &overrides, &environment))
                };
                running
                    .until_stopped(signals, |texts| tell(format, &texts), read)
                    .await;
                exit::OK
            }
            Err(error) => failed(&error.told()),
        }
    });
    // What is left are reads on behalf of requesters that have gone; they had their time.
    runtime.shutdown_background();
    code
}
