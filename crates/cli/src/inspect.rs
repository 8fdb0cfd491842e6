//! `failgate inspect`: lines in, failures out, as they come.
//!
//! Memory does not grow with the input: a line is bounded, a table of counts is bounded, what waits for its
//! other half is bounded, and `--join` keeps a bounded number of stories. What cannot be read is counted and
//! reported at the end, never fatal.

mod input;
mod join;
mod judging;
mod pieces;
mod reading;
mod source;
mod summary;
pub(crate) mod table;
mod threads;
mod twice;

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use failgate_verdict::{Cause, Record};
use serde::Serialize;

use crate::args::{Inspect, Show, Which};
use crate::screen::{Style, count};
use join::{Hop, Stories, Story};
use judging::{Failure, Judging, Told};
use reading::{Place, Sink};
use summary::Summary;
use threads::{Judged, Threads};
use twice::Window;

/// Malformed lines that are named; the rest is counted.
const NAMED: usize = 10;

/// How often a file that does not grow is looked at again.
const POLL: Duration = Duration::from_millis(200);

const TOO_LONG: &str = "the line is too long";

/// Reads all inputs and shows the failures. Returns the exit status.
///
/// # Errors
/// When the output cannot be written.
pub fn run(options: &Inspect) -> io::Result<u8> {
    let output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let mut inspection = Inspection::new(options, output);
    inspection.take_all()?;
    let found = options.exit_code && inspection.shown > 0;
    Ok(if inspection.unreadable { 2 } else { u8::from(found) })
}

/// Takes a failure with the number of its line and, when there are several inputs, the name of its own.
pub(crate) type Each<'a> = Box<dyn FnMut(&Record, u64, Option<&Arc<str>>) + 'a>;

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
    inspection.take_all()?;
    let Inspection { lines, malformed, unreadable, .. } = inspection;
    Ok(Rest { lines, malformed, unreadable })
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
    judging: Judging,
    place: Place,
    lines: u64,
    shown: u64,
    unreadable: bool,
    malformed: Malformed,
    window: Window,
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
        let at_the_end = options.format == Show::Summary || options.join;
        let quiet = !at_the_end && io::stdout().is_terminal();
        Self {
            options,
            output,
            style: Style::new(options.color),
            judging: Judging::new(options),
            place: Place::default(),
            lines: 0,
            shown: 0,
            unreadable: false,
            malformed: Malformed::default(),
            window: Window::default(),
            summary: (options.format == Show::Summary).then(Box::default),
            stories: options.join.then(Stories::default),
            each: None,
            progress: (io::stderr().is_terminal() && !quiet).then(Progress::default),
        }
    }

    /// Takes every input to its end, in one thread or in several.
    fn take_all(&mut self) -> io::Result<()> {
        let inputs = reading::inputs(self.options);
        let follows = self.options.follow && inputs.iter().any(|path| path.as_os_str() != "-");
        let cores = std::thread::available_parallelism();
        let jobs = self.options.jobs.or(cores.ok()).map_or(1, NonZeroUsize::get);
        // What is live needs a thread that can be waited for while another one reads.
        if follows || (jobs == 1 && !inputs.iter().any(|path| source::is_live(path))) {
            self.read_all()?;
        } else {
            self.take_from(Threads::start(self.options, jobs)?)?;
        }
        self.finish()
    }

    /// Reads and judges in one thread: every input to its end, or for ever.
    fn read_all(&mut self) -> io::Result<()> {
        let mut growing = reading::read_all(self.options, self)?;
        while !growing.is_empty() {
            self.rest()?;
            self.output.flush()?;
            std::thread::sleep(POLL);
            for (source, place) in &mut growing {
                self.place = place.clone();
                // What was written before a rotation comes first.
                reading::read(source, self)?;
                if let Err(error) = source.refresh() {
                    eprintln!("failgate: {}: {error}", source.name);
                }
                reading::read(source, self)?;
            }
        }
        Ok(())
    }

    /// Takes what the threads have read and judged, to the end.
    fn take_from(&mut self, mut threads: Threads) -> io::Result<()> {
        loop {
            let judged = match threads.ready()? {
                Some(judged) => judged,
                None => {
                    // Whoever waits for the next line has seen all before it.
                    self.output.flush()?;
                    let impatient = self.place.is_live && !self.window.is_empty();
                    match threads.wait(impatient)? {
                        Some(judged) => judged,
                        None => {
                            self.overdue()?;
                            continue;
                        }
                    }
                }
            };
            threads.advance();
            match judged {
                Judged::End => return Ok(()),
                Judged::Unreadable(message) => self.unreadable(message)?,
                Judged::Lines { place, told, read } => {
                    self.place = place;
                    for (number, told) in told {
                        self.told(number, told)?;
                    }
                    self.lines = self.place.before + read;
                    if self.place.is_live {
                        self.overdue()?;
                    }
                    if let Some(progress) = &mut self.progress {
                        progress.show(self.lines, self.shown);
                    }
                }
            }
        }
    }

    fn told(&mut self, number: u64, told: Told) -> io::Result<()> {
        match told {
            Told::Malformed(reason) => {
                self.malformed.add(reason, number, self.place.file.as_deref());
                Ok(())
            }
            Told::Success(hop) => {
                if let Some(stories) = &mut self.stories {
                    stories.add(*hop);
                }
                Ok(())
            }
            Told::Failure(failure) => {
                let line = self.place.before + number;
                self.window.add(failure, line);
                while let Some(failure) = self.window.next(line) {
                    self.told_once(*failure)?;
                }
                Ok(())
            }
        }
    }

    /// Shows what has waited long enough for a record.
    fn overdue(&mut self) -> io::Result<()> {
        while let Some(failure) = self.window.next_in_time() {
            self.told_once(*failure)?;
        }
        Ok(())
    }

    /// Shows what waits for a record.
    fn rest(&mut self) -> io::Result<()> {
        while let Some(failure) = self.window.rest() {
            self.told_once(*failure)?;
        }
        Ok(())
    }

    fn told_once(&mut self, failure: Failure) -> io::Result<()> {
        let Some(stories) = &mut self.stories else { return self.failure(&failure) };
        match stories.add(Hop::failed(failure)) {
            Some(story) => self.story(&story),
            None => Ok(()),
        }
    }

    fn is_wanted(&self, cause: Cause) -> bool {
        let Which { gate, cause: causes, .. } = &self.options.which;
        (gate.is_empty() || gate.contains(&cause.row().gate))
            && (causes.is_empty() || causes.contains(&cause))
    }

    fn failure(&mut self, Failure { record, line, file, .. }: &Failure) -> io::Result<()> {
        if !self.is_wanted(record.cause) {
            return Ok(());
        }
        self.shown += 1;
        if let Some(each) = &mut self.each {
            each(record, *line, file.as_ref());
            return Ok(());
        }
        match (self.options.format, &mut self.summary) {
            (_, Some(summary)) => summary.add(record),
            (Show::Json, None) => {
                serde_json::to_writer(
                    &mut self.output,
                    &Found { record, line: *line, file: file.as_deref() },
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
        self.rest()?;
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

/// Judged here and now.
impl<W: Write> Sink for Inspection<'_, W> {
    fn begin(&mut self, place: Place) -> io::Result<()> {
        self.place = place;
        Ok(())
    }

    fn line(&mut self, number: u64, bytes: Option<&[u8]>) -> io::Result<()> {
        let told = match bytes {
            Some(bytes) => self.judging.told(bytes, number, self.place.file.as_ref()),
            None => Some(Told::Malformed(TOO_LONG)),
        };
        told.map_or(Ok(()), |told| self.told(number, told))
    }

    fn read(&mut self, lines: u64) -> io::Result<()> {
        self.lines = self.place.before + lines;
        // The clock costs more than a line does.
        if let Some(progress) = self.progress.as_mut().filter(|_| lines.is_multiple_of(4096)) {
            progress.show(self.lines, self.shown);
        }
        Ok(())
    }

    fn wait(&mut self) -> io::Result<()> {
        if !self.place.is_live {
            return Ok(());
        }
        self.rest()?;
        self.output.flush()
    }

    fn unreadable(&mut self, message: String) -> io::Result<()> {
        eprintln!("{message}");
        self.unreadable = true;
        Ok(())
    }
}

impl Malformed {
    fn add(&mut self, reason: &str, number: u64, file: Option<&str>) {
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
        if Instant::now() < self.next {
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
