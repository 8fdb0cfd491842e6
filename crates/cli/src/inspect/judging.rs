//! From the text of a line to what it came to. Every thread that judges has a [`Judging`] of its own.

use std::sync::Arc;

use failgate_verdict::Record;
use failgate_verdict::judge::Criteria;

use super::join::Hop;
use super::twice::Identity;
use crate::args::Inspect;
use crate::read::{self, Keys, Line, nanoseconds};

/// What a line came to that is worth a word.
pub enum Told {
    /// It tells of a failure.
    Failure(Box<Failure>),
    /// It tells of a success, which may belong to a story: the last of several tries.
    Success(Box<Hop>),
    /// It cannot be read.
    Malformed(&'static str),
}

/// A failure, and where it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The facts and the verdict.
    pub record: Box<Record>,
    /// The number of its line, from 1.
    pub line: u64,
    /// The file, when there are several.
    pub file: Option<Arc<str>>,
    /// What tells its stream from others.
    pub identity: Option<Identity>,
}

/// Judges lines.
pub struct Judging {
    criteria: Criteria,
    keys: Keys,
    since: Option<u64>,
    successes: bool,
}

impl Judging {
    /// With the options that are about single lines.
    pub fn new(options: &Inspect) -> Self {
        Self {
            criteria: Criteria::default(),
            keys: Keys::default(),
            since: options.which.since,
            successes: options.join,
        }
    }

    /// Judges one line; `None` when there is nothing to say.
    pub fn told(&mut self, bytes: &[u8], line: u64, file: Option<&Arc<str>>) -> Option<Told> {
        let (record, is_record) = match read::line(bytes, &mut self.keys) {
            Line::Other => return None,
            Line::Malformed(reason) => return Some(Told::Malformed(reason)),
            Line::Record(record) => (record, true),
            Line::Stream(stream) => match stream.judge(&self.criteria) {
                Some(record) => (Box::new(record), false),
                None if self.successes && stream.began_since(self.since) => {
                    let hop = Hop::succeeded(&stream, line, file.cloned());
                    return Some(Told::Success(Box::new(hop)));
                }
                None => return None,
            },
        };
        if self.since.is_some_and(|since| started(&record).is_some_and(|start| start < since)) {
            return None;
        }
        let pod = read::pod(bytes);
        let identity = Identity::of(&record, is_record, pod.as_deref());
        Some(Told::Failure(Box::new(Failure { record, line, file: file.cloned(), identity })))
    }
}

fn started(record: &Record) -> Option<u64> {
    nanoseconds(record.time.as_deref()?)
}
