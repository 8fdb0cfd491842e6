//! From an ended stream to a record in each place where one is wanted.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use failgate_verdict::judge::Criteria;
use failgate_verdict::rate::TokenBucket;
use failgate_verdict::record::Record;
use failgate_verdict::settings::Settings;
use failgate_verdict::text::spliceable;
use failgate_verdict::{keys, otlp};

use crate::collector::{Collector, OWN};
use crate::header::Header;
use crate::host::{self, Headers, Level};
use crate::metrics::{Counter, Metrics};
use crate::stream::{self, Passed};

/// What every line of ours in the proxy's log begins with.
const PREFIX: &str = "failgate ";

/// Judges ended streams and reports the failures, as one configuration of the plugin wants it.
pub struct Reporter {
    settings: Settings,
    criteria: Criteria,
    /// Who speaks: the node's cluster, or its id.
    proxy: Option<String>,
    lines: RefCell<TokenBucket>,
    header: Header,
    metrics: Metrics,
    collector: Option<Collector>,
}

impl Reporter {
    /// A reporter with these settings.
    pub fn new(
        settings: Settings,
        proxy: Option<String>,
        metrics: Metrics,
        collector: Option<Collector>,
    ) -> Self {
        let lines = RefCell::new(TokenBucket::new(settings.log.max_per_second));
        let header = Header::new(&settings.header);
        let criteria = settings.criteria();
        Self { settings, criteria, proxy, lines, header, metrics, collector }
    }

    /// Looks at response headers that pass.
    pub fn response_headers(&self) -> Passed {
        self.header.pass(&host::response_headers(), self.criteria, self.proxy.as_deref())
    }

    /// Reports the stream that has just ended, if it failed. `passed` is what its response headers told;
    /// `is_filter` says that it is a filter of the stream that is told, so that it may have state.
    pub fn stream_ended(&self, passed: Option<Passed>, is_filter: bool) {
        let Some(ended) = stream::ended(passed) else { return };
        let evidence = ended.evidence(self.proxy.as_deref());
        let Some(verdict) = self.criteria.judge(&evidence) else { return };
        if self.settings.ignore.contains(&verdict.cause) {
            return;
        }
        self.metrics.add(Counter::Failure(verdict.cause), 1);
        let now = host::now();
        let line = self.line(now);
        let has_state = is_filter && self.settings.filter_state.enabled;
        let collector = self.collector.as_ref().filter(|_| !ended.is_asked_by(OWN));
        if line.is_none() && !has_state && collector.is_none() {
            return;
        }
        let extra = ended.extra(&self.settings.fields);
        let facts = ended.facts(now, extra.borrowed());
        let mut record = Record::new(&verdict, &evidence, &facts);
        if has_state {
            set_filter_state(&record);
        }
        if let Some(collector) = collector {
            collector.push(otlp::log_record(&record, facts.start, now), &self.metrics);
        }
        if let Some(suppressed) = line {
            record.suppressed = (suppressed > 0).then_some(suppressed);
            let json = keys::write(&record);
            host::log(level(self.settings.log.level), &format!("{PREFIX}{json}"));
        }
    }

    /// May a line be written? If so, how many were not since the last one?
    fn line(&self, now: u64) -> Option<u64> {
        if !self.settings.log.enabled {
            return None;
        }
        let line = self.lines.try_borrow_mut().ok()?.take(now);
        if line.is_none() {
            self.metrics.add(Counter::RecordsSuppressed, 1);
        }
        line
    }

    /// Sends to the collector what is due.
    pub fn tick(&self) {
        if let Some(collector) = &self.collector {
            collector.send(&self.metrics);
        }
    }

    /// A call to the collector is over.
    pub fn answered(&self, call: u32, headers: &Headers, body: &dyn Fn() -> Vec<u8>) {
        if let Some(collector) = &self.collector {
            collector.answered(call, headers, body, &self.metrics);
        }
    }

    /// Does it send to a collector?
    pub fn exports(&self) -> bool {
        self.collector.is_some()
    }

    /// The plugin is over; `successor` sends too, with the configuration that comes next.
    pub fn close(&self, successor: Option<&Self>) {
        if let Some(collector) = &self.collector {
            let successor = successor.and_then(|successor| successor.collector.as_ref());
            collector.close(successor, &self.metrics);
        }
    }
}

/// For the access log of the same stream, which is written after its filters have been told.
fn set_filter_state(record: &Record) {
    host::set_filter_state("failgate.gate", record.gate.name());
    host::set_filter_state("failgate.cause", record.cause.name());
    if let Some(look) = record.look.first() {
        host::set_filter_state("failgate.look", &spliceable(look));
    }
}

fn level(name: &str) -> Level {
    match name {
        "debug" => Level::Debug,
        "info" => Level::Info,
        "error" => Level::Error,
        _ => Level::Warn,
    }
}
