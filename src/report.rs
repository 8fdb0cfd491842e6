//! From an ended stream to a record in each place where one is wanted.

use alloc::format;
use alloc::string::String;
use core::cell::RefCell;

use failgate_verdict::judge::Criteria;
use failgate_verdict::rate::TokenBucket;
use failgate_verdict::record::Record;
use failgate_verdict::settings::Settings;

use crate::header::Header;
use crate::host::{self, Level};
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
}

impl Reporter {
    /// A reporter with these settings.
    pub fn new(settings: Settings, proxy: Option<String>) -> Self {
        let lines = RefCell::new(TokenBucket::new(settings.log.max_per_second));
        let header = Header::new(&settings.header);
        Self { criteria: settings.criteria(), settings, proxy, lines, header }
    }

    /// Looks at response headers that pass.
    pub fn response_headers(&self) -> Passed {
        self.header.pass(&host::response_headers(), self.criteria, self.proxy.as_deref())
    }

    /// Reports the stream that has just ended, if it failed. `passed` is what its response headers told.
    pub fn stream_ended(&self, passed: Option<Passed>) {
        let Some(ended) = stream::ended(passed) else { return };
        let evidence = ended.evidence(self.proxy.as_deref());
        let Some(verdict) = self.criteria.judge(&evidence) else { return };
        if self.settings.ignore.contains(&verdict.cause) {
            return;
        }
        self.log(Record::new(&verdict, &evidence, &ended.facts()));
    }

    fn log(&self, mut record: Record) {
        if !self.settings.log.enabled {
            return;
        }
        let Ok(mut lines) = self.lines.try_borrow_mut() else { return };
        let Some(suppressed) = lines.take(host::now()) else { return };
        record.suppressed = (suppressed > 0).then_some(suppressed);
        // Nothing in a record can fail to be written as JSON.
        if let Ok(json) = serde_json::to_string(&record) {
            host::log(level(self.settings.log.level), &format!("{PREFIX}{json}"));
        }
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
