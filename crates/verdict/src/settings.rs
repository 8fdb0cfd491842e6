//! The configuration (`pluginConfig`): every setting once, and how a JSON text becomes settings.
//!
//! A diagnostic filter must never break traffic, so nothing here fails: what cannot be read is a
//! [`Problem`] that names the key and the reason, and the default stands in its place.

use alloc::borrow::{Cow, ToOwned};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::cause::Cause;
use crate::cluster::ClusterName;
use crate::json::{self, Value};
use crate::judge::Criteria;
use crate::proxy_status::NAME;
use crate::record::EXTRA_FIELDS;
use crate::terms::for_people;
use crate::text::{bounded, whole};

/// All settings. The default is what an empty configuration means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The record as a line of the proxy's log.
    pub log: Log,
    /// The `Proxy-Status` header.
    pub header: Header,
    /// The verdict as filter state, for the proxy's own access logs.
    pub filter_state: FilterState,
    /// Counters of the proxy.
    pub metrics: Metrics,
    /// The record as an OTLP log record, sent to a collector.
    pub otlp: Otlp,
    /// What a record tells beyond its usual facts: some of [`EXTRA_FIELDS`].
    pub fields: Vec<&'static str>,
    /// Causes that are not reported.
    pub ignore: Vec<Cause>,
    /// gRPC statuses of an upstream that count as failures, 1 to 16; `None` means the default set.
    pub grpc_statuses: Option<Vec<u32>>,
}

/// `log`: the record as a line of the proxy's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Is a line written at all?
    pub enabled: bool,
    /// At which level: one of [`LEVELS`].
    pub level: &'static str,
    /// Lines per second and VM, 1 to 10,000. Twice as many may come in one burst.
    pub max_per_second: u64,
}

/// `header`: what the next proxy is told of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Who is told: one of [`MODES`].
    pub mode: &'static str,
    /// The header's name, in lower case.
    pub name: String,
}

/// `filterState`: the verdict as filter state, for the proxy's own access logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterState {
    /// Is it set at all?
    pub enabled: bool,
}

/// `metrics`: counters of the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Are failures counted at all?
    pub enabled: bool,
}

/// `otlp`: the record as an OTLP log record, sent to a collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    /// The proxy's cluster that the collector is; empty when nothing is sent.
    pub cluster: String,
    /// The authority of the requests; empty means what the cluster's name tells.
    pub authority: String,
    /// The path of the requests.
    pub path: String,
    /// Milliseconds between two batches, unless more has come than one holds; 100 to 60,000.
    pub interval: u64,
    /// Milliseconds that the collector has to answer, 100 to 60,000.
    pub timeout: u64,
    /// Records held by one VM until they are sent, 1 to 10,000.
    pub max_queue: u64,
    /// Records in one request, 1 to 1,000.
    pub max_batch: u64,
}

impl Otlp {
    /// The authority of the requests.
    #[must_use]
    pub fn authority(&self) -> String {
        let name = ClusterName::parse(&self.cluster);
        match (name.host, name.port) {
            _ if !self.authority.is_empty() => self.authority.clone(),
            (Some(host), Some(port)) => format!("{host}:{port}"),
            _ => self.cluster.clone(),
        }
    }
}

/// The modes of the header. `off`: it is neither read nor written. `mesh`: an inbound sidecar writes it to
/// callers that came over mTLS, and every proxy reads it and takes it out. `always`: every proxy writes it.
pub const MODES: &[&str] = &["off", "mesh", "always"];

/// The levels of the proxy's log at which a line can be written. Istio hides those before `warn`.
pub const LEVELS: &[&str] = &["debug", "info", "warn", "error"];

impl Default for Settings {
    fn default() -> Self {
        let log = Log { enabled: true, level: "warn", max_per_second: 50 };
        let header = Header { mode: "mesh", name: NAME.to_owned() };
        let filter_state = FilterState { enabled: true };
        let metrics = Metrics { enabled: true };
        let otlp = Otlp {
            cluster: String::new(),
            authority: String::new(),
            path: "/v1/logs".to_owned(),
            interval: 1_000,
            timeout: 10_000,
            max_queue: 1_000,
            max_batch: 100,
        };
        let (fields, ignore) = (Vec::new(), Vec::new());
        Self { log, header, filter_state, metrics, otlp, fields, ignore, grpc_statuses: None }
    }
}

/// One setting: a row of [`SETTINGS`].
pub struct Setting {
    /// Where it stands: keys between dots.
    pub path: &'static str,
    /// What it may be, and where it goes.
    pub kind: Kind,
    /// What it does.
    pub says: &'static str,
}

/// What a setting may be, and the place in [`Settings`] that it goes to.
pub enum Kind {
    /// `true` or `false`.
    Boolean(fn(&mut Settings) -> &mut bool),
    /// A whole number between the two, both included.
    Integer(u64, u64, fn(&mut Settings) -> &mut u64),
    /// One of these words.
    Choice(&'static [&'static str], fn(&mut Settings) -> &mut &'static str),
    /// Any of these words, in a list.
    Words(&'static [&'static str], fn(&mut Settings) -> &mut Vec<&'static str>),
    /// A duration between the two, both included, in milliseconds. It is written with its unit: `250ms`, `5s`.
    Duration(u64, u64, fn(&mut Settings) -> &mut u64),
    /// A text of some form.
    Text(&'static Form, fn(&mut Settings) -> &mut String),
    /// A list of names of causes.
    Causes(fn(&mut Settings) -> &mut Vec<Cause>),
    /// A list of gRPC status numbers, 1 to 16.
    GrpcStatuses(fn(&mut Settings) -> &mut Option<Vec<u32>>),
}

/// What a text must look like.
pub struct Form {
    /// In words.
    pub expected: &'static str,
    /// As a regular expression that says the same.
    pub pattern: &'static str,
    /// Does a text look so?
    pub accepts: fn(&str) -> bool,
}

/// A header that carries structured fields. Another header must not be lost because somebody gave its name.
const HEADER_NAME: Form = Form {
    expected: "`proxy-status` or a header name in lower case that begins with `x-`",
    pattern: for_people("^(proxy-status|x-(?!envoy-)[a-z0-9-]{1,62})$"),
    accepts: |name| {
        let token = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let own = (3..=64).contains(&name.len()) && name.starts_with("x-");
        name == NAME || (own && name.bytes().all(token) && !name.starts_with("x-envoy-"))
    },
};

/// What can stand in a header, or nothing.
const NAME_OR_NOTHING: Form = Form {
    expected: "a name without spaces, of 256 characters at most",
    pattern: for_people("^[!-~]{0,256}$"),
    accepts: |name| name.len() <= 256 && name.bytes().all(|byte| byte.is_ascii_graphic()),
};

const PATH: Form = Form {
    expected: "a path that begins with `/`, of 256 characters at most",
    pattern: for_people("^/[!-~]{0,255}$"),
    accepts: |path| path.starts_with('/') && (NAME_OR_NOTHING.accepts)(path),
};

const fn setting(path: &'static str, kind: Kind, says: &'static str) -> Setting {
    Setting { path, kind, says: for_people(says) }
}

/// Every setting.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    setting("log.enabled",      Kind::Boolean(|s| &mut s.log.enabled),                  "write each record as a line of the proxy's log"),
    setting("log.level",        Kind::Choice(LEVELS, |s| &mut s.log.level),             "the level of that line; Istio hides what is below `warn`"),
    setting("log.maxPerSecond", Kind::Integer(1, 10_000, |s| &mut s.log.max_per_second), "lines per second and VM, in bursts of twice as many; the rest is counted in `suppressed`"),
    setting("header.mode",      Kind::Choice(MODES, |s| &mut s.header.mode),            "who is told by the header: nobody, the next proxy of the mesh, every caller"),
    setting("header.name",      Kind::Text(&HEADER_NAME, |s| &mut s.header.name),       "the header's name"),
    setting("filterState.enabled", Kind::Boolean(|s| &mut s.filter_state.enabled),      "set `failgate.gate`, `failgate.cause` and `failgate.look` for the access log"),
    setting("metrics.enabled",  Kind::Boolean(|s| &mut s.metrics.enabled),              "count failures by gate and cause, records suppressed and mistakes of the configuration"),
    setting("otlp.cluster",     Kind::Text(&NAME_OR_NOTHING, |s| &mut s.otlp.cluster),  "the proxy's cluster of an OpenTelemetry collector that takes OTLP over HTTP; without one nothing is sent"),
    setting("otlp.authority",   Kind::Text(&NAME_OR_NOTHING, |s| &mut s.otlp.authority), "the authority of the requests; without one it is what the cluster's name tells"),
    setting("otlp.path",        Kind::Text(&PATH, |s| &mut s.otlp.path),                "the path of the requests"),
    setting("otlp.interval",    Kind::Duration(100, 60_000, |s| &mut s.otlp.interval),  "time between two batches, unless more waits than one holds"),
    setting("otlp.timeout",     Kind::Duration(100, 60_000, |s| &mut s.otlp.timeout),   "time that the collector has to answer"),
    setting("otlp.maxQueue",    Kind::Integer(1, 10_000, |s| &mut s.otlp.max_queue),    "records that a VM holds until they are sent; the oldest make room, and are counted"),
    setting("otlp.maxBatch",    Kind::Integer(1, 1_000, |s| &mut s.otlp.max_batch),     "records in one request"),
    setting("fields",           Kind::Words(EXTRA_FIELDS, |s| &mut s.fields),           "facts to add to each record that may tell of persons; a path is written without its query, and `trace` means the ids of trace and span"),
    setting("ignore",           Kind::Causes(|s| &mut s.ignore),                        "causes that are not reported"),
    setting("grpcStatuses",     Kind::GrpcStatuses(|s| &mut s.grpc_statuses),           "gRPC statuses of an upstream that count as failures"),
];

/// A place in the configuration that could not be read as meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: keys between dots, list positions in brackets. Empty for the whole text.
    pub path: String,
    /// What is wrong there, and what was expected.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the configuration" } else { &self.path };
        write!(f, "{path}: {}", self.reason)
    }
}

impl Settings {
    /// Reads a configuration in JSON; an empty text is an empty one.
    #[must_use]
    pub fn parse(json: &[u8]) -> (Self, Vec<Problem>) {
        let mut reading = Reading { settings: Self::default(), problems: Vec::new() };
        if !json.trim_ascii().is_empty() {
            match json::parse(json) {
                Ok(Value::Object(object)) => reading.object("", &object),
                Ok(Value::Null) => {}
                Ok(other) => reading.expected("", "an object", &other),
                Err(error) => reading.problem("", format!("is not JSON: {error}")),
            }
        }
        (reading.settings, reading.problems)
    }

    /// Which failures these settings count.
    #[must_use]
    pub fn criteria(&self) -> Criteria {
        let own = self.grpc_statuses.as_ref();
        own.map_or_else(Criteria::default, |own| Criteria::with_grpc_failures(own.iter().copied()))
    }
}

struct Reading {
    settings: Settings,
    problems: Vec<Problem>,
}

impl Reading {
    fn object(&mut self, prefix: &str, object: &[(Cow<'_, str>, Value<'_>)]) {
        for (key, value) in object {
            let path = format!("{prefix}{key}");
            let group = format!("{path}.");
            if let Some(setting) = SETTINGS.iter().find(|setting| setting.path == path) {
                self.setting(setting, value);
            } else if !SETTINGS.iter().any(|setting| setting.path.starts_with(&group)) {
                self.problem(&printable(bounded(&path, 128)), "unknown key".to_owned());
            } else if let Value::Object(inner) = value {
                self.object(&group, inner);
            } else {
                self.expected(&path, "an object", value);
            }
        }
    }

    fn setting(&mut self, setting: &Setting, value: &Value<'_>) {
        let path = setting.path;
        match (&setting.kind, value) {
            (Kind::Boolean(place), Value::Boolean(value)) => *place(&mut self.settings) = *value,
            (Kind::Boolean(_), _) => self.expected(path, "true or false", value),
            (Kind::Integer(least, most, place), _) => match value.as_unsigned() {
                Some(number) if (*least..=*most).contains(&number) => {
                    *place(&mut self.settings) = number;
                }
                _ => self.expected(path, &format!("a whole number from {least} to {most}"), value),
            },
            (Kind::Choice(words, place), _) => {
                match words.iter().find(|word| value.as_text() == Some(word)) {
                    Some(word) => *place(&mut self.settings) = word,
                    None => self.expected(path, &format!("one of {}", words.join(", ")), value),
                }
            }
            (Kind::Text(form, place), _) => {
                match value.as_text().filter(|text| (form.accepts)(text)) {
                    Some(text) => *place(&mut self.settings) = text.to_owned(),
                    None => self.expected(path, form.expected, value),
                }
            }
            (Kind::Duration(least, most, place), _) => {
                match value.as_text().and_then(milliseconds) {
                    Some(duration) if (*least..=*most).contains(&duration) => {
                        *place(&mut self.settings) = duration;
                    }
                    _ => {
                        let (least, most) = (duration(*least), duration(*most));
                        let expected = format!("a duration from \"{least}\" to \"{most}\"");
                        self.expected(path, &expected, value);
                    }
                }
            }
            (Kind::Words(words, place), Value::List(list)) => {
                let read = |value: &Value<'_>| {
                    words.iter().find(|word| value.as_text() == Some(word)).copied()
                };
                let expected = format!("one of {}", words.join(", "));
                *place(&mut self.settings) = self.list(path, list, &expected, read);
            }
            (Kind::Causes(place), Value::List(list)) => {
                let read = |value: &Value<'_>| value.as_text().and_then(Cause::named);
                *place(&mut self.settings) = self.list(path, list, "the name of a cause", read);
            }
            (Kind::GrpcStatuses(place), Value::List(list)) => {
                let read = |value: &Value<'_>| {
                    let number = value.as_unsigned().and_then(|number| u32::try_from(number).ok());
                    number.filter(|number| (1..=16).contains(number))
                };
                let statuses = self.list(path, list, "a gRPC status from 1 to 16", read);
                // A list of nothing but mistakes must not switch the reports off.
                if list.is_empty() || !statuses.is_empty() {
                    *place(&mut self.settings) = Some(statuses);
                }
            }
            (Kind::Words(..) | Kind::Causes(_) | Kind::GrpcStatuses(_), _) => {
                self.expected(path, "a list", value)
            }
        }
    }

    /// The entries of a list that can be read; each other one is a problem of its own.
    fn list<T>(
        &mut self,
        path: &str,
        list: &[Value<'_>],
        expected: &str,
        read: impl Fn(&Value<'_>) -> Option<T>,
    ) -> Vec<T> {
        let mut entries = Vec::new();
        for (index, value) in list.iter().enumerate() {
            match read(value) {
                Some(entry) => entries.push(entry),
                None => self.expected(&format!("{path}[{index}]"), expected, value),
            }
        }
        entries
    }

    fn expected(&mut self, path: &str, expected: &str, value: &Value<'_>) {
        let found = match value {
            Value::Null => "null".to_owned(),
            Value::Boolean(true) => "true".to_owned(),
            Value::Boolean(false) => "false".to_owned(),
            Value::Number(digits) => bounded(digits, 64).to_owned(),
            Value::Text(text) => format!("\"{}\"", printable(bounded(text, 64))),
            Value::List(_) => "a list".to_owned(),
            Value::Object(_) => "an object".to_owned(),
        };
        self.problem(path, format!("must be {expected}, is {found}"));
    }

    fn problem(&mut self, path: &str, reason: String) {
        self.problems.push(Problem { path: path.to_owned(), reason });
    }
}

/// Reads a duration: a whole number and its unit, `ms`, `s` or `m`.
fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let unit = match text.get(digits..)? {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return None,
    };
    whole(text.get(..digits)?)?.checked_mul(unit)
}

/// Writes milliseconds as a configuration does: `250ms`, `5s`.
#[must_use]
pub fn duration(milliseconds: u64) -> String {
    if milliseconds.is_multiple_of(1_000) {
        format!("{}s", milliseconds / 1_000)
    } else {
        format!("{milliseconds}ms")
    }
}

/// The text without control characters: a problem is a line of a log.
fn printable(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { char::REPLACEMENT_CHARACTER } else { it }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn problems(json: &str) -> Vec<String> {
        Settings::parse(json.as_bytes()).1.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_setting_is_read() {
        let json = br#"{
            "log": { "enabled": false, "level": "error", "maxPerSecond": 7 },
            "header": { "mode": "always", "name": "x-failgate" },
            "filterState": { "enabled": false },
            "metrics": { "enabled": false },
            "otlp": {
                "cluster": "outbound|4318||otel-collector.observability.svc.cluster.local",
                "authority": "collector",
                "path": "/logs",
                "interval": "250ms",
                "timeout": "1m",
                "maxQueue": 10,
                "maxBatch": 5
            },
            "fields": ["trace", "path"],
            "ignore": ["client_disconnected", "client_reset"],
            "grpcStatuses": [2, 14]
        }"#;
        let (settings, problems) = Settings::parse(json);
        assert_eq!(problems, []);
        assert_eq!(settings.log, Log { enabled: false, level: "error", max_per_second: 7 });
        assert_eq!(settings.header, Header { mode: "always", name: "x-failgate".to_owned() });
        assert_eq!(settings.filter_state, FilterState { enabled: false });
        assert_eq!(settings.metrics, Metrics { enabled: false });
        let otlp = Otlp {
            cluster: "outbound|4318||otel-collector.observability.svc.cluster.local".to_owned(),
            authority: "collector".to_owned(),
            path: "/logs".to_owned(),
            interval: 250,
            timeout: 60_000,
            max_queue: 10,
            max_batch: 5,
        };
        assert_eq!(settings.otlp, otlp);
        assert_eq!(settings.fields, ["trace", "path"]);
        let ignored: Vec<&str> = settings.ignore.iter().map(|cause| cause.name()).collect();
        assert_eq!(ignored, ["client_disconnected", "client_reset"]);
        assert_eq!(settings.criteria(), Criteria::with_grpc_failures([2, 14]));
    }

    #[test]
    fn no_configuration_is_the_default() {
        for json in ["", " \n", "{}", "null"] {
            assert_eq!(
                Settings::parse(json.as_bytes()),
                (Settings::default(), Vec::new()),
                "{json}"
            );
        }
    }

    #[test]
    fn each_mistake_is_named_and_the_other_settings_stand() {
        let cases = [
            ("{", "the configuration: is not JSON: a value is missing at line 1 column 2"),
            ("[]", "the configuration: must be an object, is a list"),
            (r#"{"log":true}"#, "log: must be an object, is true"),
            (r#"{"log":{"enabled":"yes"}}"#, r#"log.enabled: must be true or false, is "yes""#),
            (
                r#"{"log":{"level":"loud"}}"#,
                r#"log.level: must be one of debug, info, warn, error, is "loud""#,
            ),
            (
                r#"{"log":{"maxPerSecond":0}}"#,
                "log.maxPerSecond: must be a whole number from 1 to 10000, is 0",
            ),
            (
                r#"{"log":{"maxPerSecond":1.5}}"#,
                "log.maxPerSecond: must be a whole number from 1 to 10000, is 1.5",
            ),
            (
                r#"{"log":{"maxPerSecond":-1}}"#,
                "log.maxPerSecond: must be a whole number from 1 to 10000, is -1",
            ),
            (r#"{"log":{"enable":true}}"#, "log.enable: unknown key"),
            (r#"{"logs":{}}"#, "logs: unknown key"),
            (r#"{"a\nb":{}}"#, "a\u{fffd}b: unknown key"),
            (
                r#"{"ignore":"a\u001b[31m\"\u0085"}"#,
                "ignore: must be a list, is \"a\u{fffd}[31m\"\u{fffd}\"",
            ),
            (
                r#"{"header":{"mode":"on"}}"#,
                r#"header.mode: must be one of off, mesh, always, is "on""#,
            ),
            (
                r#"{"header":{"name":"content-length"}}"#,
                r#"header.name: must be `proxy-status` or a header name in lower case that begins with `x-`, is "content-length""#,
            ),
            (
                r#"{"header":{"name":"x-a b"}}"#,
                r#"header.name: must be `proxy-status` or a header name in lower case that begins with `x-`, is "x-a b""#,
            ),
            (
                r#"{"header":{"name":"x-envoy-max-retries"}}"#,
                r#"header.name: must be `proxy-status` or a header name in lower case that begins with `x-`, is "x-envoy-max-retries""#,
            ),
            (
                r#"{"otlp":{"cluster":"a b"}}"#,
                r#"otlp.cluster: must be a name without spaces, of 256 characters at most, is "a b""#,
            ),
            (
                r#"{"otlp":{"authority":"a\r\nx: y"}}"#,
                "otlp.authority: must be a name without spaces, of 256 characters at most, is \"a\u{fffd}\u{fffd}x: y\"",
            ),
            (
                r#"{"otlp":{"path":"v1/logs"}}"#,
                r#"otlp.path: must be a path that begins with `/`, of 256 characters at most, is "v1/logs""#,
            ),
            (
                r#"{"otlp":{"interval":5}}"#,
                r#"otlp.interval: must be a duration from "100ms" to "60s", is 5"#,
            ),
            (
                r#"{"otlp":{"interval":"99ms"}}"#,
                r#"otlp.interval: must be a duration from "100ms" to "60s", is "99ms""#,
            ),
            (
                r#"{"otlp":{"timeout":"1.5s"}}"#,
                r#"otlp.timeout: must be a duration from "100ms" to "60s", is "1.5s""#,
            ),
            (
                r#"{"otlp":{"timeout":"99999999999999999999m"}}"#,
                r#"otlp.timeout: must be a duration from "100ms" to "60s", is "99999999999999999999m""#,
            ),
            (
                r#"{"otlp":{"maxQueue":0}}"#,
                "otlp.maxQueue: must be a whole number from 1 to 10000, is 0",
            ),
            (
                r#"{"otlp":{"maxBatch":1001}}"#,
                "otlp.maxBatch: must be a whole number from 1 to 1000, is 1001",
            ),
            (
                r#"{"fields":["path","authorization"]}"#,
                r#"fields[1]: must be one of path, authority, user_agent, downstream_remote_address, requested_server_name, trace, is "authorization""#,
            ),
            (r#"{"fields":"path"}"#, r#"fields: must be a list, is "path""#),
            (r#"{"ignore":"client_reset"}"#, r#"ignore: must be a list, is "client_reset""#),
            (
                r#"{"ignore":["client_rest"]}"#,
                r#"ignore[0]: must be the name of a cause, is "client_rest""#,
            ),
            (
                r#"{"grpcStatuses":[14,0]}"#,
                "grpcStatuses[1]: must be a gRPC status from 1 to 16, is 0",
            ),
            (r#"{"grpcStatuses":{}}"#, "grpcStatuses: must be a list, is an object"),
            (r#"{"grpcStatuses":null}"#, "grpcStatuses: must be a list, is null"),
        ];
        for (json, expected) in cases {
            assert_eq!(problems(json), [expected], "{json}");
        }
        let (settings, problems) = Settings::parse(
            br#"{"log":{"level":"error","maxPerSecond":"x"},"ignore":[1,"client_reset"]}"#,
        );
        assert_eq!(problems.len(), 2);
        assert_eq!(settings.log, Log { level: "error", ..Settings::default().log });
        assert_eq!(settings.ignore.len(), 1);
    }

    #[test]
    fn durations_have_a_unit() {
        for (text, expected) in [
            ("250ms", Some(250)),
            ("5s", Some(5_000)),
            ("2m", Some(120_000)),
            ("5", None),
            ("s", None),
            ("", None),
            ("5 s", None),
            ("-5s", None),
            ("5h", None),
            ("5é", None),
        ] {
            assert_eq!(milliseconds(text), expected, "{text}");
        }
        assert_eq!([duration(250), duration(1_000), duration(60_000)], ["250ms", "1s", "60s"]);
    }

    #[test]
    fn a_collector_is_addressed_as_its_cluster_tells() {
        let authority = |cluster: &str, authority: &str| {
            let (cluster, authority) = (cluster.to_owned(), authority.to_owned());
            Otlp { cluster, authority, ..Settings::default().otlp }.authority()
        };
        assert_eq!(
            authority("outbound|4318||otel.ns.svc.cluster.local", ""),
            "otel.ns.svc.cluster.local:4318"
        );
        assert_eq!(authority("collector", ""), "collector");
        assert_eq!(authority("outbound|4318||otel.ns.svc.cluster.local", "a:1"), "a:1");
    }

    #[test]
    fn a_list_of_mistakes_does_not_switch_the_reports_off() {
        let (settings, problems) = Settings::parse(br#"{"grpcStatuses":["UNAVAILABLE"]}"#);
        assert_eq!(settings.grpc_statuses, None);
        assert_eq!(problems.len(), 1);
        assert_eq!(Settings::parse(br#"{"grpcStatuses":[]}"#).0.grpc_statuses, Some(Vec::new()));
    }

    #[test]
    fn garbage_is_a_problem_and_nothing_worse() {
        let deep = "[".repeat(100_000);
        assert_eq!(problems(&deep).len(), 1);
        assert_eq!(Settings::parse(&[0xff, 0xfe, 0x00]).1.len(), 1);
        let long = format!(
            r#"{{"{}":1,"log":{{"level":"{}"}}}}"#,
            "k".repeat(100_000),
            "v".repeat(100_000)
        );
        assert!(problems(&long).iter().all(|problem| problem.len() < 300));
    }
}
