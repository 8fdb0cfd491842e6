//! `failgate format`: an access-log format with all the evidence, for whoever writes the logs.
//!
//! It is Istio's own format with the facts added that it lacks, so nothing that anybody reads by is lost. The
//! operators are those of `failgate_verdict::field`, by which `inspect` reads too.

use std::io::{self, Write as _};

use failgate_verdict::field::{FIELDS, Field};
use serde_json::{Map, Value};

use crate::args::{Encoding, For, Format};

/// What Istio's format has beside the facts that are evidence: key and operator, in the order of its text.
const OTHERS: [(&str, &str); 11] = [
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
    ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
    ("user_agent", "%REQ(USER-AGENT)%"),
    ("authority", "%REQ(:AUTHORITY)%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
];

/// Istio's text, a key for each operator.
const TEXT: &str = "[{start_time}] \"{method} {path} {protocol}\" {response_code} {response_flags} \
    {response_code_details} {connection_termination_details} \"{upstream_transport_failure_reason}\" \
    {bytes_received} {bytes_sent} {duration} {upstream_service_time} \"{x_forwarded_for}\" \"{user_agent}\" \
    \"{request_id}\" \"{authority}\" \"{upstream_host}\" {upstream_cluster} {upstream_local_address} \
    {downstream_local_address} {downstream_remote_address} {requested_server_name} {route_name}";

/// Facts that the filter needs and no verdict depends on.
const NO_EVIDENCE: [&str; 3] =
    ["downstream_mtls", "upstream_peer_uri_san", "upstream_local_uri_san"];

/// Facts that stand behind Istio's text, as `key=value`. What a caller writes is not among them: a text is
/// not escaped. A gRPC status needs no content type, since Envoy writes none for other requests.
pub fn appended() -> impl Iterator<Item = &'static Field> {
    let callers = ["content_type"];
    evidence().filter(move |field| {
        !callers.contains(&field.key) && !TEXT.contains(&format!("{{{}}}", field.key))
    })
}

/// The facts that a verdict or a record needs.
fn evidence() -> impl Iterator<Item = &'static Field> {
    FIELDS.iter().filter(|field| !NO_EVIDENCE.contains(&field.key))
}

/// The format as JSON: key and operator.
#[must_use]
pub fn json() -> Value {
    let facts = evidence().map(|field| (field.key, field.operator));
    let pair = |(key, operator): (&str, &str)| (key.to_owned(), Value::from(operator));
    facts.chain(OTHERS).map(pair).collect::<Map<_, _>>().into()
}

/// The format as a line of text.
#[must_use]
pub fn text() -> String {
    let mut line = TEXT.to_owned();
    for (key, operator) in evidence().map(|field| (field.key, field.operator)).chain(OTHERS) {
        line = line.replace(&format!("{{{key}}}"), operator);
    }
    for field in appended() {
        line += &format!(" {}={}", field.key, field.operator);
    }
    line + "\n"
}

/// Prints the format as the configuration of whoever writes the log. Returns the exit status.
///
/// # Errors
/// When the output cannot be written.
pub fn run(options: &Format) -> io::Result<u8> {
    let document = match options.target {
        For::MeshConfig => mesh_config(options.encoding),
        For::Telemetry => telemetry(options.encoding),
        For::Envoy => envoy(options.encoding),
        For::Bare => bare(options.encoding),
    };
    let mut output = io::stdout().lock();
    output.write_all(document.as_bytes())?;
    output.flush()?;
    Ok(0)
}

/// The format alone.
fn bare(encoding: Encoding) -> String {
    match encoding {
        Encoding::Json => format!("{:#}\n", json()),
        Encoding::Text => text(),
    }
}

fn mesh_config(encoding: Encoding) -> String {
    let name = match encoding {
        Encoding::Json => "JSON",
        Encoding::Text => "TEXT",
    };
    format!(
        "# MeshConfig, as in `istioctl install -f` or the chart's values.\n\
         meshConfig:\n  accessLogFile: /dev/stdout\n  accessLogEncoding: {name}\n  accessLogFormat: |\n{}",
        indented(&bare(encoding), 4)
    )
}

fn telemetry(encoding: Encoding) -> String {
    let format = match encoding {
        Encoding::Json => format!("labels:\n{}", indented(&labels(), 2)),
        Encoding::Text => format!("text: |\n{}", indented(&text(), 2)),
    };
    format!(
        "# MeshConfig: a provider with the format.\n\
         meshConfig:\n  extensionProviders:\n  - name: failgate-access-log\n    envoyFileAccessLog:\n      \
         path: /dev/stdout\n      logFormat:\n{}---\n\
         # And where it is used: here in the whole mesh.\n\
         apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata:\n  name: failgate-access-log\n  \
         namespace: istio-system\nspec:\n  accessLogging:\n  - providers:\n    - name: failgate-access-log\n",
        indented(&format, 8)
    )
}

fn envoy(encoding: Encoding) -> String {
    let format = match encoding {
        Encoding::Json => format!("json_format:\n{}", indented(&labels(), 2)),
        Encoding::Text => {
            format!("text_format_source:\n  inline_string: |\n{}", indented(&text(), 4))
        }
    };
    format!(
        "access_log:\n- name: envoy.access_loggers.stdout\n  typed_config:\n    \
         \"@type\": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog\n    \
         log_format:\n{}",
        indented(&format, 6)
    )
}

/// Keys and operators as YAML. An operator holds nothing that ends a string in double quotes.
fn labels() -> String {
    let facts = evidence().map(|field| (field.key, field.operator)).chain(OTHERS);
    facts.map(|(key, operator)| format!("{key}: \"{operator}\"\n")).collect()
}

fn indented(text: &str, by: usize) -> String {
    text.lines().map(|line| format!("{}{line}\n", " ".repeat(by))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::document::Document;

    #[test]
    fn every_fact_of_the_evidence_is_in_both_encodings() {
        let (json, text) = (json(), text());
        for field in evidence() {
            assert_eq!(json[field.key], field.operator);
            assert!(text.contains(field.operator) || field.key == "content_type", "{}", field.key);
        }
        for key in NO_EVIDENCE {
            assert!(FIELDS.iter().any(|field| field.key == key), "{key}");
        }
        assert!(!text.contains(['{', '}']), "{text}");
        assert_eq!(text.lines().count(), 1);
    }

    /// The keys of Istio's JSON format: `pilot/pkg/model/telemetry_logging.go`.
    #[test]
    fn nothing_is_lost_that_istio_logs() {
        let istios = [
            "start_time",
            "route_name",
            "method",
            "path",
            "protocol",
            "response_code",
            "response_flags",
            "response_code_details",
            "connection_termination_details",
            "bytes_received",
            "bytes_sent",
            "duration",
            "upstream_service_time",
            "x_forwarded_for",
            "user_agent",
            "request_id",
            "authority",
            "upstream_host",
            "upstream_cluster",
            "upstream_local_address",
            "downstream_local_address",
            "downstream_remote_address",
            "requested_server_name",
            "upstream_transport_failure_reason",
        ];
        for key in istios {
            assert!(json().get(key).is_some(), "{key}");
            assert!(TEXT.contains(&format!("{{{key}}}")), "{key}");
        }
    }

    #[test]
    fn what_is_printed_is_yaml_and_says_what_it_should() {
        let at = |yaml: &str, path: &str| {
            let documents = Document::all(yaml).unwrap();
            documents[0].value.pointer(path).cloned().unwrap_or_else(|| panic!("{path}: {yaml}"))
        };
        let log = "/access_log/0/typed_config/log_format";
        assert_eq!(at(&envoy(Encoding::Json), &format!("{log}/json_format")), json());
        assert_eq!(
            at(&envoy(Encoding::Text), &format!("{log}/text_format_source/inline_string")),
            text()
        );
        let provider = "/meshConfig/extensionProviders/0/envoyFileAccessLog/logFormat";
        assert_eq!(at(&telemetry(Encoding::Json), &format!("{provider}/labels")), json());
        assert_eq!(at(&telemetry(Encoding::Text), &format!("{provider}/text")), text());
        assert_eq!(at(&mesh_config(Encoding::Text), "/meshConfig/accessLogFormat"), text());
        let format = at(&mesh_config(Encoding::Json), "/meshConfig/accessLogFormat");
        assert_eq!(serde_json::from_str::<Value>(format.as_str().unwrap()).unwrap(), json());
    }

    #[test]
    fn an_operator_can_stand_between_quotes() {
        for (key, operator) in json().as_object().unwrap() {
            let operator = operator.as_str().unwrap();
            assert!(
                operator.starts_with('%')
                    && operator.ends_with('%')
                    && !operator.contains(['"', '\\']),
                "{key}"
            );
        }
    }
}
