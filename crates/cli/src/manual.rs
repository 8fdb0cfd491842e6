//! Shell completions and manual pages, from the definitions that parse the arguments.

use std::io::{self, Write as _};

use clap::CommandFactory as _;

use crate::args::{Arguments, Completions, Manual};

const NAME: &str = "failgate";

/// Prints the completions of a shell. Returns the exit status.
///
/// # Errors
/// When the output cannot be written.
pub fn completions(options: &Completions) -> io::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Arguments::command(), NAME, &mut script);
    print(&script)
}

/// Prints the manual page of the command, or of one of its commands. Returns the exit status.
///
/// # Errors
/// When the output cannot be written.
pub fn page(options: &Manual) -> io::Result<u8> {
    let mut command = Arguments::command();
    command.build();
    let chosen = match &options.command {
        Some(name) => command.find_subcommand(name).cloned().map(|chosen| {
            let title = format!("{NAME}-{name}");
            chosen.display_name(title)
        }),
        None => Some(command),
    };
    let Some(chosen) = chosen else {
        eprintln!("failgate: there is no such command");
        return Ok(2);
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(chosen).render(&mut page)?;
    print(&page)
}

fn print(bytes: &[u8]) -> io::Result<u8> {
    let mut output = io::stdout().lock();
    output.write_all(bytes)?;
    output.flush()?;
    Ok(0)
}
