//! The command `failgate`.

use std::process::ExitCode;

use clap::Parser as _;
use failgate_cli::args::{Arguments, Command};
use failgate_cli::{check, explain, format, inspect, manual, report};

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Check(options) => check::run(&options),
        Command::Completions(options) => manual::completions(&options),
        Command::Explain(options) => explain::run(&options),
        Command::Format(options) => format::run(&options),
        Command::Inspect(options) => inspect::run(&options),
        Command::Man(options) => manual::page(&options),
        Command::Report(options) => report::run(&options),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        // Whoever reads us has enough; that is no mistake of ours or theirs.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failgate: {error}");
            ExitCode::from(2)
        }
    }
}
