//! `failgate inspect`: lines in, failures out, as they come.
//!
//! Memory does not grow with the input: a line is bounded, a table of counts is bounded, and `--join` keeps
//! a bounded number of stories. What cannot be read is counted and reported at the end, never fatal.

mod input;
mod join;
mod source;
mod summary;
pub(crate) mod table;

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use failgate_verdict::judge::Criteria;
use failgate_verdict::{Cause, Record};
use serde::Serialize;

use crate::args::{Inspect, Show};
use crate::read::{self, Keys, Line, nanoseconds};
use crate::screen::{Style, count};
use input::Text;
use join::{Hop, Stories, Story};
use source::Source;
use summary::Summary;

/// Malformed lines that are named; the rest is counted.
const NAMED: usize = 10;

/// How often a file that does not grow is looked at again.
const POLL: Duration = Duration::from_millis(200);

/// Reads all inputs and shows the failures. Returns the exit status.
///
/// # Errors
/// When the output cannot be written.
pub fn run(options: &Inspect) -> io::Result<u8> {
    let output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let mut inspection = Inspection::new(options, output);
    let unreadable = inspection.read_all()?;
    inspection.finish()?;
    let found = options.exit_code && inspection.shown > 0;
    Ok(if unreadable { 2 } else { u8::from(found) })
}

/// Takes a failure with the number of its line and, when there are several inputs, the name of its own.
pub(crate) type Each<'a> = Box<dyn FnMut(&Record, u64, Option<&Rc<str>>) + 'a>;

/// What there was besides failures.
pub(crate) struct Rest {
    /// Lines read.
    pub lines: u64,
    /// Lines that could not be read.
    pub malformed: Malformed,
    /// Could an input not be opened, or not be read to its end?
    pub unreadable: bool,
}

/// Reads all inputs and gives each failure that was asked for to `each`, as they come.
///
/// # Errors
/// Never by itself; nothing is written.
pub(crate) fn failures(options: &Inspect, each: Each<'_>) -> io::Result<Rest> {
    let mut inspection = Inspection::new(options, io::sink());
    inspection.progress = io::stderr().is_terminal().then(Progress::default);
    inspection.each = Some(each);
    let unreadable = inspection.read_all()?;
    inspection.finish()?;
    Ok(Rest { lines: inspection.lines, malformed: inspection.malformed, unreadable })
}

/// A record with the place that it was found at.
#[derive(Serialize)]
struct Found<'a> {
    #[serde(flatten)]
    record: &'a Record,
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
}

struct Inspection<'a, W: Write> {
    options: &'a Inspect,
    output: W,
    style: Style,
    criteria: Criteria,
    keys: Keys,
    lines: u64,
    shown: u64,
    malformed: Malformed,
    summary: Option<Box<Summary>>,
    stories: Option<Stories>,
    /// Who takes the failures, instead of the output.
    each: Option<Each<'a>>,
    progress: Option<Progress>,
}

/// Lines that could not be read.
#[derive(Default)]
pub(crate) struct Malformed {
    /// How many.
    pub count: u64,
    /// The first of them: file, number and reason.
    pub named: Vec<String>,
}

impl<'a, W: Write> Inspection<'a, W> {
    fn new(options: &'a Inspect, output: W) -> Self {
        let quiet = options.format == Show::Table && !options.join && io::stdout().is_terminal();
        Self {
            options,
            output,
            style: Style::new(options.color),
            criteria: Criteria::default(),
            keys: Keys::default(),
            lines: 0,
            shown: 0,
            malformed: Malformed::default(),
            summary: (options.format == Show::Summary).then(Box::default),
            stories: options.join.then(Stories::default),
            each: None,
            progress: (io::stderr().is_terminal() && !quiet).then(Progress::default),
        }
    }

    /// Reads every input to its end, or for ever. True when one could not be read.
    fn read_all(&mut self) -> io::Result<bool> {
        let mut unreadable = false;
        let mut growing = Vec::new();
        let many = self.options.files.len() > 1;
        let standard_input = [std::path::PathBuf::from("-")];
        let files = if self.options.files.is_empty() {
            &standard_input
        } else {
            self.options.files.as_slice()
        };
        for path in files {
            let follow = self.options.follow && path.as_os_str() != "-";
            match Source::open(path, follow) {
                Ok(mut source) => {
                    let name: Option<Rc<str>> = many.then(|| source.name.as_str().into());
                    unreadable |= !self.read(&mut source, name.as_ref())?;
                    if follow {
                        growing.push((source, name));
                    }
                }
                Err(error) => {
                    eprintln!("failgate: {}: {error}", path.display());
                    unreadable = true;
                }
            }
        }
        while !growing.is_empty() {
            self.output.flush()?;
            std::thread::sleep(POLL);
            for (source, name) in &mut growing {
                // What was written before a rotation comes first.
                self.read(source, name.as_ref())?;
                if let Err(error) = source.refresh() {
                    eprintln!("failgate: {}: {error}", source.name);
                }
                self.read(source, name.as_ref())?;
            }
        }
        Ok(unreadable)
    }

    /// Reads what there is; false when reading failed. The error is the output's.
    fn read(&mut self, source: &mut Source, file: Option<&Rc<str>>) -> io::Result<bool> {
        loop {
            // Whoever waits for the next line has seen all before it.
            if source.lines.must_wait() {
                self.output.flush()?;
            }
            match source.lines.next() {
                Ok(None) => return Ok(true),
                Ok(Some((number, text))) => {
                    self.lines += 1;
                    match text {
                        Text::Line(bytes) => self.line(bytes, number, file)?,
                        Text::TooLong => self.malformed.add("the line is too long", number, file),
                    }
                }
                Err(error) => {
                    eprintln!("failgate: {}: {error}", source.name);
                    return Ok(false);
                }
            }
            if let Some(progress) = &mut self.progress {
                progress.show(self.lines, self.shown);
            }
        }
    }

    fn line(&mut self, bytes: &[u8], number: u64, file: Option<&Rc<str>>) -> io::Result<()> {
        let record = match read::line(bytes, &mut self.keys) {
            Line::Other => return Ok(()),
            Line::Malformed(reason) => {
                self.malformed.add(reason, number, file);
                return Ok(());
            }
            Line::Record(record) => record,
            Line::Stream(stream) => match stream.judge(&self.criteria) {
                Some(record) => Box::new(record),
                None => {
                    // A success may belong to a story: the last of several tries.
                    if let (Some(stories), true) =
                        (&mut self.stories, stream.began_since(self.options.since))
                    {
                        stories.add(Hop::succeeded(&stream, number, file.cloned()));
                    }
                    return Ok(());
                }
            },
        };
        if self
            .options
            .since
            .is_some_and(|since| started(&record).is_some_and(|start| start < since))
        {
            return Ok(());
        }
        let Some(stories) = &mut self.stories else {
            return self.failure(&record, number, file);
        };
        match stories.add(Hop::failed(record, number, file.cloned())) {
            Some(story) => self.story(&story),
            None => Ok(()),
        }
    }

    fn is_wanted(&self, cause: Cause) -> bool {
        let Inspect { gate, cause: causes, .. } = self.options;
        (gate.is_empty() || gate.contains(&cause.row().gate))
            && (causes.is_empty() || causes.contains(&cause))
    }

    fn failure(&mut self, record: &Record, line: u64, file: Option<&Rc<str>>) -> io::Result<()> {
        if !self.is_wanted(record.cause) {
            return Ok(());
        }
        self.shown += 1;
        if let Some(each) = &mut self.each {
            each(record, line, file);
            return Ok(());
        }
        match (self.options.format, &mut self.summary) {
            (_, Some(summary)) => summary.add(record),
            (Show::Json, None) => {
                serde_json::to_writer(
                    &mut self.output,
                    &Found { record, line, file: file.map(|it| &**it) },
                )?;
                self.output.write_all(b"\n")?;
            }
            (Show::Table | Show::Summary, None) => {
                if self.shown == 1 {
                    table::head(&mut self.output, self.style)?;
                }
                table::row(&mut self.output, self.style, record)?;
            }
        }
        Ok(())
    }

    fn story(&mut self, story: &Story) -> io::Result<()> {
        let Some(culprit) = story.culprit() else { return Ok(()) };
        if !self.is_wanted(culprit.cause) {
            return Ok(());
        }
        self.shown += 1;
        match (self.options.format, &mut self.summary) {
            (_, Some(summary)) => summary.add(culprit),
            (Show::Json, None) => {
                serde_json::to_writer(&mut self.output, &story.json())?;
                self.output.write_all(b"\n")?;
            }
            (Show::Table | Show::Summary, None) => story.print(&mut self.output, self.style)?,
        }
        Ok(())
    }

    /// Shows what was kept, and reports what could not be read.
    fn finish(&mut self) -> io::Result<()> {
        if let Some(mut stories) = self.stories.take() {
            while let Some(story) = stories.next() {
                self.story(&story)?;
            }
        }
        if let Some(summary) = self.summary.take() {
            summary.print(&mut self.output, self.style, self.lines)?;
        }
        self.output.flush()?;
        if let Some(progress) = &mut self.progress {
            progress.clear();
        }
        self.malformed.report();
        Ok(())
    }
}

fn started(record: &Record) -> Option<u64> {
    nanoseconds(record.time.as_deref()?)
}

impl Malformed {
    fn add(&mut self, reason: &str, number: u64, file: Option<&Rc<str>>) {
        self.count += 1;
        if self.named.len() < NAMED {
            let file = file.map(|file| format!("{file}:")).unwrap_or_default();
            self.named.push(format!("  {file}{number}: {reason}"));
        }
    }

    fn report(&self) {
        if self.count == 0 {
            return;
        }
        let lines = if self.count == 1 { "line" } else { "lines" };
        eprintln!(
            "failgate: {} {lines} could not be read:\n{}",
            count(self.count),
            self.named.join("\n")
        );
        let more = self.count - self.named.len() as u64;
        if more > 0 {
            eprintln!("  and {} more", count(more));
        }
    }
}

/// How far it is, on stderr, for inputs that take long.
struct Progress {
    next: Instant,
    shown: bool,
}

impl Default for Progress {
    fn default() -> Self {
        Self { next: Instant::now() + Duration::from_secs(1), shown: false }
    }
}

impl Progress {
    fn show(&mut self, lines: u64, failures: u64) {
        // The clock costs more than a line does.
        if !lines.is_multiple_of(4096) || Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + Duration::from_millis(250);
        self.shown = true;
        eprint!("\r\u{1b}[K{} lines, {} failures", count(lines), count(failures));
    }

    fn clear(&mut self) {
        if self.shown {
            eprint!("\r\u{1b}[K");
        }
    }
}
