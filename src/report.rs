//! From an ended stream to a record in each place where one is wanted.

use alloc::format;
use alloc::string::String;
use core::cell::RefCell;

use failgate_verdict::judge::Criteria;
use failgate_verdict::rate::TokenBucket;
use failgate_verdict::record::Record;
use failgate_verdict::settings::Settings;
use failgate_verdict::text::spliceable;

use crate::header::Header;
use crate::host::{self, Level};
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
}

impl Reporter {
    /// A reporter with these settings.
    pub fn new(settings: Settings, proxy: Option<String>, metrics: Metrics) -> Self {
        let lines = RefCell::new(TokenBucket::new(settings.log.max_per_second));
        let header = Header::new(&settings.header);
        Self { criteria: settings.criteria(), settings, proxy, lines, header, metrics }
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
        self.count(Counter::Failure(verdict.cause));
        let now = host::now();
        let record = Record::new(&verdict, &evidence, &ended.facts(now));
        if is_filter && self.settings.filter_state.enabled {
            set_filter_state(&record);
        }
        self.log(record, now);
    }

    fn count(&self, counter: Counter) {
        if self.settings.metrics.enabled {
            self.metrics.add(counter, 1);
        }
    }

    fn log(&self, mut record: Record, now: u64) {
        if !self.settings.log.enabled {
            return;
        }
        let Ok(mut lines) = self.lines.try_borrow_mut() else { return };
        let Some(suppressed) = lines.take(now) else {
            self.count(Counter::RecordsSuppressed);
            return;
        };
        record.suppressed = (suppressed > 0).then_some(suppressed);
        // Nothing in a record can fail to be written as JSON.
        if let Ok(json) = serde_json::to_string(&record) {
            host::log(level(self.settings.log.level), &format!("{PREFIX}{json}"));
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
