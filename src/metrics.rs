//! Counters of the proxy: failures by gate and cause, and what the module has to say of itself.
//!
//! The labels stand in the name, and the proxy's `stats_tags` take them out. `component` and `tag` are two that
//! Istio's own bootstrap knows, so that a stock mesh has them as labels without any configuration. The list of
//! causes is closed; a counter is defined when it is first needed, since most never are.

use alloc::borrow::Cow;
use alloc::format;
use alloc::vec::Vec;
use core::cell::RefCell;

use failgate_verdict::Cause;

use crate::host;

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// Failures of this cause.
    Failure(Cause),
    /// Records that were not written, for the rate limit.
    RecordsSuppressed,
    /// Records that the collector has taken.
    OtlpRecordsSent,
    /// Records that made room for others, or that nobody was left to send.
    OtlpRecordsDropped,
    /// Records that the collector has refused.
    OtlpRecordsFailed,
    /// Places in the configuration that could not be read as meant.
    ConfigurationErrors,
}

impl Counter {
    fn name(self) -> Cow<'static, str> {
        match self {
            Self::Failure(cause) => {
                let gate = cause.row().gate;
                format!("failgate_failures.component.{gate}.tag.{cause};.total").into()
            }
            Self::OtlpRecordsSent => "failgate_otlp_records_sent.total".into(),
            Self::OtlpRecordsDropped => "failgate_otlp_records_dropped.total".into(),
            Self::OtlpRecordsFailed => "failgate_otlp_records_failed.total".into(),
            Self::RecordsSuppressed => "failgate_records_suppressed.total".into(),
            Self::ConfigurationErrors => "failgate_configuration_errors.total".into(),
        }
    }
}

/// The counters of one VM; the proxy adds up those of all of them.
pub struct Metrics {
    enabled: bool,
    /// What has been counted, and the proxy's number for it.
    defined: RefCell<Vec<(Counter, u32)>>,
}

impl Metrics {
    /// Counters that count, or do not.
    pub fn new(enabled: bool) -> Self {
        Self { enabled, defined: RefCell::default() }
    }

    /// Adds to a counter.
    pub fn add(&self, counter: Counter, count: usize) {
        if !self.enabled || count == 0 {
            return;
        }
        let Ok(mut defined) = self.defined.try_borrow_mut() else { return };
        let known = defined.iter().find(|(known, _)| *known == counter).map(|(_, number)| *number);
        let number = known.or_else(|| {
            let number = host::define_counter(&counter.name())?;
            defined.push((counter, number));
            Some(number)
        });
        if let (Some(number), Ok(count)) = (number, i64::try_from(count)) {
            host::add_to_counter(number, count);
        }
    }
}
