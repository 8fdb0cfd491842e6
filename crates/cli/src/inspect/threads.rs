//! Lines judged by several threads, in the order in which they were read.
//!
//! ```text
//!             ┌─▶ judge ─┐
//! read ─ batch ─▶ judge ─▶ show
//!             └─▶ judge ─┘
//! ```
//!
//! Batches go round: the first to the first judge, the second to the second, and so they are taken back, which
//! keeps their order. Every channel is bounded, so a slow output stops the reading. Threads are not waited for:
//! one may be reading from a terminal when the output has been closed.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread;

use super::TOO_LONG;
use super::judging::{Judging, Told};
use super::reading::{self, Place, Sink};
use super::twice::PATIENCE;
use crate::args::Inspect;

/// A batch has so many bytes, or one line more.
const BATCH: usize = 1 << 18;

/// Batches that may wait for a judge, and for the screen.
const QUEUE: usize = 2;

/// What is read.
enum Batch {
    Lines(Lines),
    Unreadable(String),
    End,
}

/// Lines of one place.
#[derive(Default)]
struct Lines {
    place: Place,
    bytes: Vec<u8>,
    /// The number of each line, and where it ends in `bytes`; one that is too long is not there.
    ends: Vec<(u64, Option<usize>)>,
    /// So many lines have been read of that place.
    read: u64,
}

/// What a batch came to.
pub enum Judged {
    /// What its lines told, each with its number.
    Lines {
        /// Where they come from.
        place: Place,
        /// What they told.
        told: Vec<(u64, Told)>,
        /// So many lines have been read of that place.
        read: u64,
    },
    /// An input cannot be read.
    Unreadable(String),
    /// There are no more.
    End,
}

/// The threads under way.
pub struct Threads {
    judges: Vec<Receiver<Judged>>,
    next: usize,
}

impl Threads {
    /// Starts to read what the options name, with so many judges.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(options: &Inspect, judges: usize) -> io::Result<Self> {
        let (mut batches, mut judged) = (Vec::new(), Vec::new());
        for _ in 0..judges.max(1) {
            let (send_batch, receive_batch) = sync_channel(QUEUE);
            let (send, receive) = sync_channel(QUEUE);
            let judging = Judging::new(options);
            thread::Builder::new().spawn(move || judge(judging, &receive_batch, &send))?;
            batches.push(send_batch);
            judged.push(receive);
        }
        let options = options.clone();
        thread::Builder::new().spawn(move || {
            let mut round = Round { judges: batches, next: 0, lines: Lines::default() };
            // Fails only when nobody takes the lines any more.
            let _ = reading::read_all(&options, &mut round)
                .and_then(|_| round.complete())
                .and_then(|()| round.send(Batch::End));
        })?;
        Ok(Self { judges: judged, next: 0 })
    }

    /// The next batch, if it is there already.
    ///
    /// # Errors
    /// When a thread has ended before its time.
    pub fn ready(&self) -> io::Result<Option<Judged>> {
        match self.judge()?.try_recv() {
            Ok(judged) => Ok(Some(judged)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(ended()),
        }
    }

    /// The next batch. With `impatient`, `None` when there is none soon.
    ///
    /// # Errors
    /// When a thread has ended before its time.
    pub fn wait(&self, impatient: bool) -> io::Result<Option<Judged>> {
        if !impatient {
            return self.judge()?.recv().map(Some).map_err(|_| ended());
        }
        match self.judge()?.recv_timeout(PATIENCE) {
            Ok(judged) => Ok(Some(judged)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(ended()),
        }
    }

    /// The batch was taken; the one after it is another judge's.
    pub fn advance(&mut self) {
        self.next = (self.next + 1) % self.judges.len().max(1);
    }

    fn judge(&self) -> io::Result<&Receiver<Judged>> {
        self.judges.get(self.next).ok_or_else(ended)
    }
}

fn ended() -> io::Error {
    io::Error::other("a thread that reads has ended before its time")
}

/// Judges batches until there are no more, or nobody wants them.
fn judge(mut judging: Judging, batches: &Receiver<Batch>, judged: &SyncSender<Judged>) {
    for batch in batches {
        let answer = match batch {
            Batch::Lines(lines) => {
                let told = told(&mut judging, &lines);
                Judged::Lines { place: lines.place, told, read: lines.read }
            }
            Batch::Unreadable(message) => Judged::Unreadable(message),
            Batch::End => Judged::End,
        };
        if judged.send(answer).is_err() {
            return;
        }
    }
}

fn told(judging: &mut Judging, lines: &Lines) -> Vec<(u64, Told)> {
    let mut told = Vec::new();
    let mut start = 0;
    for (number, end) in &lines.ends {
        let one = match *end {
            Some(end) => {
                let line = lines.bytes.get(start..end).unwrap_or_default();
                start = end;
                judging.told(line, *number, lines.place.file.as_ref())
            }
            None => Some(Told::Malformed(TOO_LONG)),
        };
        told.extend(one.map(|one| (*number, one)));
    }
    told
}

/// Fills batches, and gives them to the judges by turns.
struct Round {
    judges: Vec<SyncSender<Batch>>,
    next: usize,
    lines: Lines,
}

impl Round {
    fn send(&mut self, batch: Batch) -> io::Result<()> {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        let judge = self.judges.get(self.next).ok_or_else(gone)?;
        self.next = (self.next + 1) % self.judges.len();
        judge.send(batch).map_err(|_| gone())
    }

    /// Sends what is there.
    fn complete(&mut self) -> io::Result<()> {
        let bytes = Vec::with_capacity(BATCH + BATCH / 4);
        let (place, read) = (self.lines.place.clone(), self.lines.read);
        let empty = Lines { place, bytes, ends: Vec::new(), read };
        let lines = std::mem::replace(&mut self.lines, empty);
        self.send(Batch::Lines(lines))
    }
}

impl Sink for Round {
    fn begin(&mut self, place: Place) -> io::Result<()> {
        self.complete()?;
        (self.lines.place, self.lines.read) = (place, 0);
        // Whoever shows them must know where they come from before the first one comes.
        self.complete()
    }

    fn line(&mut self, number: u64, bytes: Option<&[u8]>) -> io::Result<()> {
        let Lines { bytes: all, ends, .. } = &mut self.lines;
        all.extend_from_slice(bytes.unwrap_or_default());
        ends.push((number, bytes.map(|_| all.len())));
        Ok(())
    }

    fn read(&mut self, lines: u64) -> io::Result<()> {
        self.lines.read = lines;
        // Empty lines take room too.
        let is_full = self.lines.bytes.len() >= BATCH || self.lines.ends.len() >= BATCH / 16;
        if is_full { self.complete() } else { Ok(()) }
    }

    fn wait(&mut self) -> io::Result<()> {
        let is_waited_for = self.lines.place.is_live && !self.lines.ends.is_empty();
        if is_waited_for { self.complete() } else { Ok(()) }
    }

    fn unreadable(&mut self, message: String) -> io::Result<()> {
        self.complete()?;
        self.send(Batch::Unreadable(message))
    }
}
