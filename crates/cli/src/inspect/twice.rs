//! Streams that are told twice: by the filter in a record, and by the access log in a line.
//!
//! Where both are on, one failure has two lines, and counts once. The record wins, since it knows more; the
//! proxy writes it first, and the access log up to ten seconds later, when it flushes. Runtimes that read the
//! two streams by turns may still swap them, so a line waits for a record that may follow.
//!
//! Two lines are one stream only when the request id, the start, the status and the flags are the same, and
//! nothing else that both of them state differs. A request that a client sends again has another start; the
//! next proxy's line has another direction, cluster or endpoint.

use std::collections::VecDeque;
use std::collections::hash_map::{DefaultHasher, HashMap};
use std::hash::{Hash, Hasher as _};
use std::time::{Duration, Instant};

use failgate_verdict::Record;
use failgate_verdict::terms::Direction;

use super::judging::Failure;
use crate::read::nanoseconds;

/// So many failures that were not told twice yet are remembered, the youngest.
const REMEMBERED: usize = 10_000;

/// Of one request id, so many.
const OF_ONE_ID: usize = 16;

/// A line waits for its record so many lines.
pub const AHEAD: u64 = 1_000;

/// Where lines come as they are written, it waits no longer than that.
pub const PATIENCE: Duration = Duration::from_millis(200);

/// What tells a stream from all others. Texts are kept as hashes: it is small, and their bytes do not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    id: u64,
    /// Milliseconds since 1970, which is what a record keeps.
    start: u64,
    status: Option<u16>,
    flags: u64,
    duration: Option<u64>,
    direction: Option<Direction>,
    /// Cluster, endpoint, details and method.
    stated: [Option<u64>; 4],
    /// The name that the proxy has for itself.
    node: Option<u64>,
    /// The pod that whoever collected the log names.
    pod: Option<u64>,
    is_record: bool,
}

impl Identity {
    /// Of a failure; `None` when it has no request id or no time. `pod` is what the line's prefix names.
    pub fn of(record: &Record, is_record: bool, pod: Option<&str>) -> Option<Self> {
        let id = hashed(record.request_id.as_deref()?);
        let start = nanoseconds(record.time.as_deref()?)? / 1_000_000;
        let text = |text: &Option<String>| text.as_deref().map(hashed);
        // An access log writes underscores for spaces.
        let details = record.response_code_details.as_ref().map(|it| hashed(it.replace(' ', "_")));
        // A line that does not name its proxy goes by the name of its pod.
        let node = record.proxy.as_deref().filter(|name| is_record || pod != Some(name));
        Some(Self {
            id,
            start,
            status: record.response_code,
            flags: hashed(&record.response_flags),
            duration: record.duration_ms,
            direction: record.direction,
            stated: [
                text(&record.upstream_cluster),
                text(&record.upstream_host),
                details,
                text(&record.method),
            ],
            node: node.map(hashed),
            pod: pod.map(hashed),
            is_record,
        })
    }

    /// Was it the filter that told?
    pub fn is_record(&self) -> bool {
        self.is_record
    }

    /// Is it the same stream, as far as both tell?
    pub fn is_same_stream(&self, other: &Self) -> bool {
        fn agree<T: PartialEq>(one: Option<T>, other: Option<T>) -> bool {
            one.is_none() || other.is_none() || one == other
        }
        // The time that Envoy gives to a filter has been seen a millisecond after the one that it logs. Some logs
        // have whole seconds.
        let apart = if self.is_record == other.is_record { 0 } else { 1 };
        let second = |it: &Self| it.start.is_multiple_of(1000).then_some(it.start / 1000);
        let starts = self.start.abs_diff(other.start) <= apart
            || second(self).is_some_and(|second| second == other.start / 1000)
            || second(other).is_some_and(|second| second == self.start / 1000);
        let stated = self.stated.iter().zip(&other.stated);
        self.id == other.id
            && starts
            && self.status == other.status
            && self.flags == other.flags
            && agree(self.duration, other.duration)
            && agree(self.direction, other.direction)
            && stated.into_iter().all(|(one, other)| agree(*one, *other))
            && agree(self.node, other.node)
            && agree(self.pod, other.pod)
    }
}

fn hashed(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The last failures, and those that wait. What goes in comes out in the same order, without what was told
/// already.
#[derive(Default)]
pub struct Window {
    seen: HashMap<u64, Vec<Seen>>,
    /// What is in `seen`, by its request id and number, oldest first; some of it may be gone.
    order: VecDeque<(u64, u64)>,
    waiting: VecDeque<Waiting>,
    /// How many have gone in.
    count: u64,
}

struct Seen {
    number: u64,
    identity: Identity,
}

struct Waiting {
    number: u64,
    /// `None` when its record came.
    failure: Option<Box<Failure>>,
    /// The line that it waits for at most; a failure that only keeps the order waits for none.
    until: u64,
    since: Instant,
}

impl Window {
    /// Takes a failure, found on that line of all that were read.
    pub fn add(&mut self, failure: Box<Failure>, line: u64) {
        self.count += 1;
        let number = self.count;
        let mut until = 0;
        if let Some(identity) = failure.identity {
            match self.other(&identity) {
                // The line has been shown, or the record: it is the same failure.
                Some(other) if !identity.is_record || !self.withdraw(other, line) => return,
                Some(_) => {}
                None => {
                    self.remember(number, identity);
                    until = if identity.is_record { 0 } else { line + AHEAD };
                }
            }
        }
        let failure = Some(failure);
        self.waiting.push_back(Waiting { number, failure, until, since: Instant::now() });
    }

    /// The next failure that need not wait, now that so many lines were read.
    pub fn next(&mut self, lines: u64) -> Option<Box<Failure>> {
        self.next_if(|first| first.until < lines)
    }

    /// The next failure that has waited long enough, where lines come as they are written.
    pub fn next_in_time(&mut self) -> Option<Box<Failure>> {
        self.next_if(|first| first.until == 0 || first.since.elapsed() >= PATIENCE)
    }

    /// The next failure, when no more lines will come.
    pub fn rest(&mut self) -> Option<Box<Failure>> {
        self.next_if(|_| true)
    }

    /// Does any failure wait?
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn next_if(&mut self, goes: impl Fn(&Waiting) -> bool) -> Option<Box<Failure>> {
        loop {
            let first =
                self.waiting.pop_front_if(|first| first.failure.is_none() || goes(first))?;
            if first.failure.is_some() {
                return first.failure;
            }
        }
    }

    /// The number of the failure that tells of the same stream the other way, which is forgotten then.
    fn other(&mut self, identity: &Identity) -> Option<u64> {
        let seen = self.seen.get_mut(&identity.id)?;
        let at = seen.iter().position(|seen| {
            seen.identity.is_record != identity.is_record && seen.identity.is_same_stream(identity)
        })?;
        Some(seen.remove(at).number)
    }

    /// Takes back a line that still waits for the record that was found on that line.
    fn withdraw(&mut self, number: u64, line: u64) -> bool {
        let at = self.waiting.partition_point(|waiting| waiting.number < number);
        let waiting = self.waiting.get_mut(at).filter(|it| it.number == number);
        let Some(waiting) = waiting.filter(|it| line <= it.until) else { return false };
        waiting.failure.take().is_some()
    }

    fn remember(&mut self, number: u64, identity: Identity) {
        // Hardly any id has more than one, and there are many of them.
        let seen = self.seen.entry(identity.id).or_insert_with(|| Vec::with_capacity(1));
        if seen.len() == OF_ONE_ID {
            seen.remove(0);
        }
        seen.push(Seen { number, identity });
        self.order.push_back((identity.id, number));
        if self.order.len() > REMEMBERED
            && let Some((id, number)) = self.order.pop_front()
            && let Some(seen) = self.seen.get_mut(&id)
        {
            seen.retain(|seen| seen.number != number);
            if seen.is_empty() {
                self.seen.remove(&id);
            }
        }
    }
}

#[cfg(test)]
#[path = "twice/tests.rs"]
mod tests;
