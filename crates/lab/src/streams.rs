//! What a proxy has said of the streams that have ended, found by their request id.
//!
//! The access log goes to Envoy's log too, after all that the module had to say of the same stream: so a
//! stream without a record is told from one that is not over.

use serde_json::{Value, json};

use crate::config;
use crate::proxy::Proxy;
use crate::{Result, lines};

/// What the access log's lines begin with.
const STREAM_ENDED: &str = "stream ended ";

/// One line a stream, with the request id that a scenario gave it.
const FORMAT: &str = "stream ended id=%REQ(X-REQUEST-ID)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n";

/// The access log that [`ended`] reads.
pub(crate) fn access_log() -> Value {
    config::access_log(FORMAT)
}

/// The listener with the access log that [`ended`] reads, behind every access logger that its filters have.
#[must_use]
pub(crate) fn watched(mut listener: Value) -> Value {
    fn watch(value: &mut Value) {
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    match value.as_array_mut().filter(|_| key == "access_log") {
                        Some(loggers) => loggers.push(access_log()),
                        None => watch(value),
                    }
                }
            }
            Value::Array(list) => list.iter_mut().for_each(watch),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    for chains in ["filter_chains", "default_filter_chain"] {
        if let Some(chains) = listener.get_mut(chains) {
            watch(chains);
        }
    }
    listener
}

/// The records that the proxy has written when the access log has that many lines which `which` accepts.
///
/// # Errors
/// When it does not have them in time.
pub(crate) fn ended(
    proxy: &Proxy,
    streams: usize,
    which: impl Fn(&str) -> bool,
) -> Result<Vec<Value>> {
    let ended = |line: &str| line.starts_with(STREAM_ENDED) && which(line);
    proxy.log().wait_for_count(crate::PATIENCE, streams, ended)?;
    proxy.log().all().iter().filter_map(|line| lines::record(line).transpose()).collect()
}

/// The records of one request in the order of its streams: several where it was tried several times.
///
/// # Errors
/// When that many streams do not end in time.
pub(crate) fn of(proxy: &Proxy, id: &str, streams: usize) -> Result<Vec<Value>> {
    let mut records = ended(proxy, streams, |line| line.contains(&format!("id={id} ")))?;
    records.retain(|record| record.get("request_id").is_some_and(|own| own == id));
    Ok(records)
}

/// Addresses whose ports change from run to run, and what they are called instead.
#[derive(Debug)]
pub(crate) struct Names(Vec<(String, &'static str)>);

impl Names {
    /// Names for ports of loopback.
    pub(crate) fn new(names: &[(u16, &'static str)]) -> Self {
        Self(names.iter().map(|(port, name)| (format!("127.0.0.1:{port}"), *name)).collect())
    }

    /// A record whose volatile facts are replaced by what they stand for.
    pub(crate) fn normal(&self, mut record: Value) -> Value {
        self.replace(&mut record);
        for (key, stands_for) in [("time", json!("TIME")), ("duration_ms", json!(0))] {
            if let Some(fact) = record.get_mut(key) {
                *fact = stands_for;
            }
        }
        record
    }

    fn replace(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                for (address, name) in &self.0 {
                    *text = text.replace(address, name);
                }
            }
            Value::Array(list) => list.iter_mut().for_each(|value| self.replace(value)),
            Value::Object(object) => object.values_mut().for_each(|value| self.replace(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}
