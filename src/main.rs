//! The binary: reads the command line, runs the command, and turns its outcome into an exit code.

use std::process::ExitCode;

use a2a_sidecar::cli::{self, exit};
use a2a_sidecar::commands;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(command) => ExitCode::from(commands::main(command)),
        Err(error) => {
            let code = if error.use_stderr() {
                exit::USAGE
            } else {
                exit::OK
            };
            // Nowhere is left to say that standard output is closed.
            let _ = error.print();
            ExitCode::from(code)
        }
    }
}
