//! What is counted of the failures, in memory that does not grow with their number.
//!
//! Counts by gate, cause and time are exact. Names are exact as long as there is room for them, and
//! then counted together: see [`Names`]. Records are the latest of each cause: see [`Kept`].

use std::collections::BTreeMap;
use std::sync::Arc;

use failgate_verdict::terms::{Delivered, Gate};
use failgate_verdict::{Cause, Record};

use super::kept::Kept;
use super::names::Names;
use super::timeline::Timeline;
use crate::inspect::table::service;
use crate::read::nanoseconds;

/// Upstreams, and proxies, that are counted each for itself.
pub const NAMES: usize = 10_000;

/// The same of one cause.
pub const NAMES_OF_CAUSE: usize = 200;

/// All that is counted.
#[derive(Debug)]
pub struct Tally {
    /// Failures.
    pub failures: u64,
    /// By cause; causes that did not occur are not there.
    pub causes: BTreeMap<Cause, Counted>,
    /// By service, or by cluster where that names no service.
    pub upstreams: Names,
    /// By who wrote the line.
    pub proxies: Names,
    /// Over time.
    pub timeline: Timeline,
    /// Some of the records.
    pub kept: Kept,
    /// Records that the filter did not write, as later records say.
    pub suppressed: u64,
}

/// What is counted of one cause.
#[derive(Debug)]
pub struct Counted {
    /// Failures.
    pub failures: u64,
    /// The first and the last time, nanoseconds since 1970.
    pub times: Option<(u64, u64)>,
    /// Did the requests reach the application?
    pub delivered: BTreeMap<Delivered, u64>,
    /// What to look at first.
    pub looks: Names,
    /// As for all of them.
    pub upstreams: Names,
    /// As for all of them.
    pub proxies: Names,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            failures: 0,
            causes: BTreeMap::new(),
            upstreams: Names::new(NAMES),
            proxies: Names::new(NAMES),
            timeline: Timeline::default(),
            kept: Kept::default(),
            suppressed: 0,
        }
    }
}

impl Default for Counted {
    fn default() -> Self {
        Self {
            failures: 0,
            times: None,
            delivered: BTreeMap::new(),
            looks: Names::new(NAMES_OF_CAUSE),
            upstreams: Names::new(NAMES_OF_CAUSE),
            proxies: Names::new(NAMES_OF_CAUSE),
        }
    }
}

/// The service that was asked, or the cluster where that names no service.
pub fn upstream(record: &Record) -> Option<String> {
    service(record).or_else(|| record.upstream_cluster.clone())
}

impl Tally {
    /// Counts one failure.
    pub fn add(&mut self, record: &Record, line: u64, file: Option<&Arc<str>>) {
        let cause = record.cause;
        let time = record.time.as_deref().and_then(nanoseconds);
        let upstream = upstream(record);
        let upstream = upstream.as_deref();
        let proxy = record.proxy.as_deref();
        self.failures += 1;
        self.suppressed = self.suppressed.saturating_add(record.suppressed.unwrap_or_default());
        self.upstreams.add(upstream, cause);
        self.proxies.add(proxy, cause);
        self.timeline.add(time, cause);
        let counted = self.causes.entry(cause).or_default();
        counted.failures += 1;
        *counted.delivered.entry(record.delivered).or_default() += 1;
        counted.looks.add(record.look.first().map(String::as_str), cause);
        counted.upstreams.add(upstream, cause);
        counted.proxies.add(proxy, cause);
        if let Some(time) = time {
            let (first, last) = counted.times.unwrap_or((time, time));
            counted.times = Some((first.min(time), last.max(time)));
        }
        self.kept.add(record, time, line, file);
    }

    /// How many stopped at a gate.
    pub fn at(&self, gate: Gate) -> u64 {
        let there = self.causes.iter().filter(|(cause, _)| cause.row().gate == gate);
        there.map(|(_, counted)| counted.failures).sum()
    }

    /// The causes, the most frequent first.
    pub fn ranked(&self) -> Vec<(Cause, &Counted)> {
        let mut causes: Vec<_> =
            self.causes.iter().map(|(cause, counted)| (*cause, counted)).collect();
        causes.sort_by(|a, b| b.1.failures.cmp(&a.1.failures).then(a.0.cmp(&b.0)));
        causes
    }
}
