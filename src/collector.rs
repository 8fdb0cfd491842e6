//! The way to an OpenTelemetry collector: batches over HTTP from the plugin's own context, never from a stream's.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use failgate_verdict::export::{Answer, Exporter, Outcome};
use failgate_verdict::text::whole;
use failgate_verdict::{otlp, settings};

use crate::host::{self, Headers, Level};
use crate::metrics::{Counter, Metrics};

/// What our requests call themselves.
const USER_AGENT: &str = concat!("failgate/", env!("CARGO_PKG_VERSION"));
/// A stream whose request calls itself so, of whatever version, is not exported when it fails.
pub const OWN: &str = "failgate/";

/// A collector, and the records that are on their way to it.
pub struct Collector {
    settings: settings::Otlp,
    authority: String,
    timeout: u32,
    exporter: RefCell<Exporter>,
    /// The call that is under way.
    call: Cell<Option<u32>>,
}

impl Collector {
    /// The collector that the settings name, if they name one. From now on the plugin ticks for it.
    pub fn new(
        settings: &settings::Otlp,
        proxy: Option<&str>,
        instance: Option<&str>,
    ) -> Option<Self> {
        if settings.cluster.is_empty() {
            return None;
        }
        let count = |number| usize::try_from(number).unwrap_or(usize::MAX);
        let time = |milliseconds| u32::try_from(milliseconds).unwrap_or(u32::MAX);
        host::tick_every(time(settings.interval));
        let head = otlp::head(proxy, instance, env!("CARGO_PKG_VERSION"));
        let exporter = Exporter::new(head, count(settings.max_queue), count(settings.max_batch));
        Some(Self {
            authority: settings.authority(),
            timeout: time(settings.timeout),
            settings: settings.clone(),
            exporter: RefCell::new(exporter),
            call: Cell::new(None),
        })
    }

    /// Uses the exporter. No callback comes in meanwhile, so it cannot be in use already.
    fn with<T: Default>(&self, act: impl FnOnce(&mut Exporter) -> T) -> T {
        self.exporter.try_borrow_mut().map(|mut it| act(&mut it)).unwrap_or_default()
    }

    /// Takes a log record, to be sent with the next batch.
    pub fn push(&self, record: String, metrics: &Metrics) {
        let dropped = self.with(|exporter| exporter.push(record));
        metrics.add(Counter::OtlpRecordsDropped, dropped);
    }

    /// Sends what is due. Only a plugin's context may call this.
    pub fn send(&self, metrics: &Metrics) {
        let now = host::now();
        let call = self.with(|exporter| Some(self.post(exporter.due(now)?)));
        match call {
            None => {}
            Some(None) => self.conclude(Answer::NONE, now, "it cannot be called", metrics),
            Some(call) => self.call.set(call),
        }
    }

    fn post(&self, body: &str) -> Option<u32> {
        let headers = [
            (":method", "POST"),
            (":path", self.settings.path.as_str()),
            (":authority", self.authority.as_str()),
            ("content-type", "application/json"),
            ("user-agent", USER_AGENT),
        ];
        host::post(&self.settings.cluster, &headers, body, self.timeout)
    }

    /// A call is over. `body` reads what came with the answer.
    pub fn answered(
        &self,
        call: u32,
        headers: &Headers,
        body: &dyn Fn() -> Vec<u8>,
        metrics: &Metrics,
    ) {
        if self.call.get() != Some(call) {
            return;
        }
        self.call.set(None);
        let (now, status) = (host::now(), headers.text(":status"));
        let answer = status
            .as_deref()
            .and_then(whole)
            .map(|status| Answer::of(status, headers.text("retry-after").as_deref(), &body(), now));
        let status = status.as_deref().unwrap_or("no answer");
        self.conclude(answer.unwrap_or(Answer::NONE), now, status, metrics);
        if self.with(|exporter| exporter.is_full()) {
            self.send(metrics);
        }
    }

    /// Counts what has come of a batch, and says so once when it begins to go wrong.
    fn conclude(&self, answer: Answer, now: u64, status: &str, metrics: &Metrics) {
        let Outcome { sent, failed, begins_to_fail } =
            self.with(|exporter| exporter.answered(answer, now));
        metrics.add(Counter::OtlpRecordsSent, sent);
        metrics.add(Counter::OtlpRecordsFailed, failed);
        if begins_to_fail {
            let cluster = &self.settings.cluster;
            host::log(
                Level::Warn,
                &format!("failgate otlp: the collector {cluster} does not take records: {status}"),
            );
        }
    }

    /// Hands what waits to a successor, or counts it as dropped: the plugin is over.
    pub fn close(&self, successor: Option<&Self>, metrics: &Metrics) {
        let (waiting, lost) = self.with(Exporter::close);
        metrics.add(Counter::OtlpRecordsDropped, lost);
        match successor {
            Some(successor) => {
                waiting.into_iter().for_each(|record| successor.push(record, metrics))
            }
            None => metrics.add(Counter::OtlpRecordsDropped, waiting.len()),
        }
    }
}
