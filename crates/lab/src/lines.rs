//! The lines that a program writes: collected by a thread, waited for with deadlines, and searched for
//! the filter's records. Envoy's log line for a record ends `wasm log NAME: failgate {…}`.

use std::io::{BufRead as _, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Doing as _, Error, Result, lock};

/// What one stream of a program has said so far.
#[derive(Debug)]
pub struct Lines {
    shared: Arc<Shared>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    said: Mutex<Said>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Said {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    /// Reads until the stream ends, in a thread of its own.
    pub fn collect(stream: impl Read + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let reader = thread::spawn({
            let shared = Arc::clone(&shared);
            move || read(stream, &shared)
        });
        Self { shared, reader: Some(reader) }
    }

    /// All lines so far, without their line ends.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        lock(&self.shared.said).lines.clone()
    }

    /// The first line, of those so far and those to come, that `wanted` accepts.
    ///
    /// # Errors
    /// When there is none `within` that time, or the stream ends without one.
    pub fn wait_for(&self, within: Duration, wanted: impl Fn(&str) -> bool) -> Result<String> {
        self.wait(within, |line| Ok(wanted(line).then(|| line.to_owned())))
    }

    /// Waits until `wanted` has accepted `count` lines, of those so far and those to come.
    ///
    /// # Errors
    /// When there are fewer `within` that time, or the stream ends with fewer.
    pub fn wait_for_count(
        &self,
        within: Duration,
        count: usize,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let mut seen = 0;
        if count == 0 {
            return Ok(());
        }
        self.wait(within, |line| {
            seen += usize::from(wanted(line));
            Ok((seen >= count).then_some(()))
        })
    }

    /// All records so far.
    ///
    /// # Errors
    /// When a line announces a record and what follows is not JSON.
    pub fn records(&self) -> Result<Vec<Value>> {
        let said = lock(&self.shared.said);
        said.lines.iter().filter_map(|line| record(line).transpose()).collect()
    }

    /// The first record, of those so far and those to come, that `wanted` accepts.
    ///
    /// # Errors
    /// As [`Lines::records`]; and when there is none `within` that time, or the stream ends without one.
    pub fn wait_for_record(
        &self,
        within: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        self.wait(within, |line| Ok(record(line)?.filter(&wanted)))
    }

    /// Waits for at least `count` records and returns all of them.
    ///
    /// # Errors
    /// As [`Lines::wait_for_record`].
    pub fn wait_for_records(&self, within: Duration, count: usize) -> Result<Vec<Value>> {
        let mut seen = 0;
        if count > 0 {
            self.wait(within, |line| {
                seen += usize::from(record(line)?.is_some());
                Ok((seen >= count).then_some(()))
            })?;
        }
        self.records()
    }

    /// Waits until the stream has ended, so that nothing said before is missed.
    pub(crate) fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            // The reader cannot panic; were it to, its lines so far are all there is.
            let _ = reader.join();
        }
    }

    /// Shows `look` every line once, old ones first, until it finds something.
    fn wait<T>(
        &self,
        within: Duration,
        mut look: impl FnMut(&str) -> Result<Option<T>>,
    ) -> Result<T> {
        let deadline = Instant::now() + within;
        let mut seen = 0;
        let mut said = lock(&self.shared.said);
        loop {
            for line in said.lines.iter().skip(seen) {
                if let Some(found) = look(line)? {
                    return Ok(found);
                }
            }
            seen = said.lines.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if said.ended || left.is_zero() {
                let why =
                    if said.ended { "the output ended".into() } else { format!("{within:?}") };
                let reason = format!("not one of {seen} lines was it ({why})");
                return Err(Error::new("waiting for a line of output", reason));
            }
            said =
                self.shared.more.wait_timeout(said, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The record in a log line; `None` for any other line.
///
/// # Errors
/// When the line announces a record and what follows is not one JSON object.
pub fn record(line: &str) -> Result<Option<Value>> {
    const MARK: &str = "failgate {";
    let Some(start) = line.find(MARK) else {
        return Ok(None);
    };
    let json = line.get(start + MARK.len() - 1..).unwrap_or_default();
    serde_json::from_str(json).map(Some).doing(|| format!("reading the record in {line:?}"))
}

fn read(stream: impl Read, shared: &Shared) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    while stream.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
        lock(&shared.said).lines.push(text);
        shared.more.notify_all();
        line.clear();
    }
    lock(&shared.said).ended = true;
    shared.more.notify_all();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_the_object_after_the_marker() {
        let line = r#"[2026-01-01 00:00:00.000][7][warning][wasm] [source/x.cc:1] wasm log failgate: failgate {"v":1,"cause":"a {b}"}"#;
        assert_eq!(record(line).unwrap().unwrap()["cause"], "a {b}");
        assert_eq!(record("wasm log failgate: ready").unwrap(), None);
    }

    #[test]
    fn a_broken_record_is_an_error_and_not_silence() {
        let lines = Lines::collect(&b"wasm log failgate: failgate {\"v\":1,\n"[..]);
        let error = lines.wait_for_record(Duration::from_secs(5), |_| true).unwrap_err();
        assert!(error.to_string().contains("reading the record"), "{error}");
    }

    #[test]
    fn a_stream_that_ended_is_not_waited_for() {
        let lines = Lines::collect(&b"one\ntwo"[..]);
        assert_eq!(lines.wait_for(Duration::from_secs(60), |line| line == "two").unwrap(), "two");
        assert!(lines.wait_for(Duration::from_secs(60), |line| line == "three").is_err());
    }
}
