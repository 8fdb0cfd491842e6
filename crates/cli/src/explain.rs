//! `failgate explain`: a flag, a text of Envoy's, a cause, a gate, a status with flags, or a whole line; what it
//! means, what it does not mean, and what to look at.
//!
//! Whatever is asked about becomes evidence, and the judge says what it means: there is no second table of
//! flags here. `guide` has the words.

pub mod command;
pub mod guide;
mod nearest;
mod pipeline;
mod subject;

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write};

use failgate_verdict::cause::Cause;
use failgate_verdict::look::look;
use failgate_verdict::terms::{DECIDED_BY, DELIVERED, Direction, GATES, Gate, RESPONDERS, Term};
use failgate_verdict::{Evidence, Record};

use crate::args::Explain;
use crate::read::LINE_BYTES;
use crate::screen::{Style, plain, wrapped};
use pipeline::Glyphs;
use subject::{About, Subject};

/// The column that texts begin at.
const INDENT: usize = 12;

/// Explains what was asked, or the first line of standard input. Returns the exit status.
///
/// # Errors
/// When the output cannot be written, or the input cannot be read.
pub fn run(options: &Explain) -> io::Result<u8> {
    let text = if options.words.is_empty() { first_line()? } else { options.words.join(" ") };
    let text = text.trim();
    let Some(subject) = subject::of(text) else {
        let asked = plain(text.get(..80).unwrap_or(text));
        eprintln!("failgate: `{asked}` is nothing that Envoy or failgate says, as far as is known");
        let near = subject::nearest_to(text);
        if near.is_empty() {
            eprintln!(
                "ask for a flag, response code details, a cause or a gate, or paste a whole line"
            );
        } else {
            eprintln!("nearest: {}", near.join(", "));
        }
        return Ok(2);
    };
    let glyphs = if options.ascii { Glyphs::ASCII } else { Glyphs::of_locale() };
    let mut output = io::stdout().lock();
    let page = Page { style: Style::new(options.color), glyphs };
    output.write_all(page.of(&subject).as_bytes())?;
    output.flush()?;
    Ok(0)
}

fn first_line() -> io::Result<String> {
    if io::stdin().is_terminal() {
        eprintln!("failgate: paste a line of a log, and press Enter");
    }
    let mut bytes = Vec::new();
    let mut input = io::stdin().lock().take(LINE_BYTES as u64);
    while bytes.trim_ascii().is_empty() && input.read_until(b'\n', &mut bytes)? > 0 {}
    // A record that was set out in lines, as jq does it.
    if bytes.trim_ascii() == b"{" {
        while !bytes.ends_with(b"\n}\n") && input.read_until(b'\n', &mut bytes)? > 0 {}
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// How a page is written.
struct Page {
    style: Style,
    glyphs: Glyphs,
}

impl Page {
    fn of(&self, subject: &Subject) -> String {
        let mut page = format!("{}\n", self.style.bold(&plain(&subject.title)));
        match &subject.about {
            About::Cause(cause) => self.cause(&mut page, *cause, None),
            About::Record(record) => self.cause(&mut page, record.cause, Some(record)),
            About::Gate(gate) => self.gate(&mut page, *gate),
            About::Nothing => {}
        }
        for note in &subject.notes {
            self.entry(&mut page, "note", note);
        }
        page
    }

    fn cause(&self, page: &mut String, cause: Cause, record: Option<&Record>) {
        let row = cause.row();
        let name = self.style.side(row.side, row.name);
        *page += &format!("{name}: stopped at {}, on the {} side\n\n", row.gate, row.side);
        *page += &pipeline::drawn(row.gate, self.glyphs);
        *page += "\n\n";
        if let Some(guide) = guide::of(cause) {
            self.entry(page, "means", guide.means);
            self.entry(page, "is not", guide.is_not.trim_start_matches("Not "));
        }
        match record {
            Some(record) => self.verdict(page, record),
            None => self.entry(page, "delivered", &said(DELIVERED, row.delivered)),
        }
        let general = || {
            look(cause, &Evidence { direction: Direction::Outbound, ..Evidence::default() }, None)
        };
        let entries = record.map_or_else(general, |record| record.look.clone());
        for (index, entry) in entries.iter().enumerate() {
            self.entry(page, if index == 0 { "look at" } else { "" }, entry);
        }
        let commands = guide::of(cause).map_or([].as_slice(), |guide| guide.commands);
        for (index, template) in commands.iter().enumerate() {
            let head = if index == 0 { "commands" } else { "" };
            let command = plain(&command::filled(template, record)).into_owned();
            *page += &format!("{}{command}\n", self.head(head));
        }
    }

    /// What only a whole line or a record can tell.
    fn verdict(&self, page: &mut String, record: &Record) {
        self.entry(page, "delivered", &said(DELIVERED, record.delivered));
        self.entry(page, "answered by", &said(RESPONDERS, record.responder));
        let evidence = [
            ("response code details", &record.response_code_details),
            ("transport failure reason", &record.upstream_transport_failure_reason),
            ("downstream transport failure reason", &record.downstream_transport_failure_reason),
            ("connection termination details", &record.connection_termination_details),
        ];
        self.entry(page, "decided by", &format!("the {}", said(DECIDED_BY, record.decided_by)));
        for (name, text) in evidence {
            if let Some(text) = text {
                self.entry(page, "", &format!("{name}: {text}"));
            }
        }
        if let Some(policy) = &record.policy {
            self.entry(page, "policy", policy);
        }
    }

    fn gate(&self, page: &mut String, gate: Gate) {
        *page += &format!("\n{}\n\n", pipeline::drawn(gate, self.glyphs));
        let question = GATES.iter().find(|row| row.value == gate).map_or("", |row| row.says);
        self.entry(page, "asks", question);
        for (index, cause) in Cause::all().filter(|cause| cause.row().gate == gate).enumerate() {
            let means = guide::of(cause).map_or("", |guide| guide.means);
            let name = self.style.side(cause.row().side, cause.name());
            let head = self.head(if index == 0 { "causes" } else { "" });
            *page += &format!("{head}{name}\n");
            *page += &wrapped(means, INDENT + 2, " ".repeat(INDENT + 2).as_str());
        }
    }

    fn head(&self, name: &str) -> String {
        let padding = " ".repeat(INDENT.saturating_sub(name.len()));
        format!("{}{padding}", self.style.dim(name))
    }

    fn entry(&self, page: &mut String, name: &str, text: &str) {
        *page += &wrapped(&plain(text), INDENT, &self.head(name));
    }
}

/// What a word says.
fn said<T: PartialEq>(terms: &'static [Term<T>], value: T) -> String {
    let term = terms.iter().find(|term| term.value == value);
    term.map_or_else(String::new, |term| term.says.to_owned())
}

#[cfg(test)]
#[path = "explain/tests.rs"]
mod tests;
