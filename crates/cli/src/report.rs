//! `failgate report`: one page of HTML about the failures of any number of lines.
//!
//! `tally` counts within fixed bounds while lines are read; `page` draws what it has counted. The page stands by
//! itself: its policy (CSP) forbids every request, and names its one style and its one script by their hashes.
//! The same input gives the same bytes.

mod kept;
mod names;
mod page;
mod tally;
mod timeline;

use std::cell::RefCell;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use failgate_verdict::record::rfc_3339;

use crate::args::{Inspect, Report};
use crate::inspect;
use crate::screen::count;
use page::Page;
use tally::Tally;

/// Reads all inputs and writes the page. Returns the exit status.
///
/// # Errors
/// When the page cannot be written.
pub fn run(options: &Report) -> io::Result<u8> {
    if let Some(input) = options.files.iter().find(|input| is_same(input, &options.output)) {
        eprintln!("failgate: {} would be written over: it is an input", input.display());
        return Ok(2);
    }
    let reading = Inspect {
        files: options.files.clone(),
        which: options.which.clone(),
        ..Inspect::default()
    };
    let tally = RefCell::new(Tally::default());
    let rest = inspect::failures(
        &reading,
        Box::new(|record, line, file| tally.borrow_mut().add(record, line, file)),
    )?;
    let tally = tally.into_inner();
    if rest.unreadable && rest.lines == 0 {
        return Ok(2);
    }
    let failures = tally.failures;
    let page = Page { tally: &tally, rest: &rest, chosen: &chosen(options) }.html();
    if options.output.as_os_str() == "-" {
        let mut output = io::stdout().lock();
        output.write_all(page.as_bytes())?;
        output.flush()?;
    } else {
        fs::write(&options.output, &page).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", options.output.display()))
        })?;
        eprintln!(
            "failgate: {}: {} failures in {} lines, {} kB",
            options.output.display(),
            count(failures),
            count(rest.lines),
            count(page.len().div_ceil(1000) as u64),
        );
    }
    Ok(if rest.unreadable { 2 } else { 0 })
}

/// Do both names stand for one file? A log is not written over by its report.
fn is_same(one: &Path, other: &Path) -> bool {
    let (one, other) = (fs::canonicalize(one), fs::canonicalize(other));
    matches!((one, other), (Ok(one), Ok(other)) if one == other)
}

/// What was asked for, where that is less than everything.
fn chosen(options: &Report) -> Vec<String> {
    let gates = options.which.gate.iter().map(|gate| format!("--gate {gate}"));
    let causes = options.which.cause.iter().map(|cause| format!("--cause {cause}"));
    let since = options.which.since.map(|since| format!("--since {}", rfc_3339(since)));
    gates.chain(causes).chain(since).collect()
}
