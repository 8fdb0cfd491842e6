//! Evidence as each kind of log would write it, and what of it each kind can carry.

use failgate_cli::format;
use failgate_verdict::cluster::ClusterName;
use failgate_verdict::evidence::{Evidence, UpstreamHost};
use failgate_verdict::field::FIELDS;
use failgate_verdict::record::{Facts, Record};
use serde_json::{Map, Value};

/// When everything happened.
pub const START: &str = "2026-01-31T23:59:59.999Z";

/// What a proxy knows of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    pub evidence: Evidence<'a>,
    pub facts: Facts<'a>,
}

/// The same, of which a part was lost, with the texts as a log writes them.
pub struct Carried<'a> {
    told: Told<'a>,
    details: Option<String>,
    termination: Option<String>,
    transport: Option<String>,
    downstream_transport: Option<String>,
}

impl Carried<'_> {
    pub fn told(&self) -> Told<'_> {
        let evidence = Evidence {
            details: self.details.as_deref(),
            termination: self.termination.as_deref(),
            transport: self.transport.as_deref(),
            downstream_transport: self.downstream_transport.as_deref(),
            ..self.told.evidence
        };
        Told { evidence, facts: self.told.facts }
    }
}

/// One kind of log.
pub struct Format {
    pub name: &'static str,
    /// Facts that it has no field for.
    lacks: &'static [&'static str],
    /// Does it carry all that a record needs?
    pub is_complete: bool,
    pub line: fn(&Told<'_>) -> String,
}

/// What Istio's own formats lack.
const ISTIO: &[&str] = &[
    "content_type",
    "grpc_status",
    "downstream_transport_failure_reason",
    "upstream_request_attempt_count",
    "upstream_endpoints",
    "upstream_connection_ready",
    "upstream_response_started",
    "direction",
    "node_cluster",
    "node_id",
];
const MIXER: &[&str] = &[
    "content_type",
    "grpc_status",
    "downstream_transport_failure_reason",
    "upstream_request_attempt_count",
    "upstream_endpoints",
    "upstream_connection_ready",
    "upstream_response_started",
    "direction",
    "node_cluster",
    "node_id",
    "response_code_details",
    "connection_termination_details",
];
const ENVOY: &[&str] = &[
    "content_type",
    "grpc_status",
    "downstream_transport_failure_reason",
    "upstream_request_attempt_count",
    "upstream_endpoints",
    "upstream_connection_ready",
    "upstream_response_started",
    "direction",
    "node_cluster",
    "node_id",
    "response_code_details",
    "connection_termination_details",
    "upstream_transport_failure_reason",
    "upstream_cluster",
    "route_name",
];

pub const FORMATS: &[Format] = &[
    Format {
        name: "our JSON",
        lacks: &[],
        is_complete: true,
        line: |told| json(told, &[], &|key| key.to_owned()),
    },
    Format { name: "our text", lacks: &[], is_complete: true, line: our_text },
    Format { name: "camelCase, all strings", lacks: &[], is_complete: true, line: strings },
    Format { name: "aliases", lacks: &[], is_complete: true, line: |told| json(told, &[], &alias) },
    Format {
        name: "Istio JSON",
        lacks: ISTIO,
        is_complete: false,
        line: |told| json(told, ISTIO, &|key| key.to_owned()),
    },
    Format { name: "Istio text", lacks: ISTIO, is_complete: false, line: |told| istio_text(told) },
    Format {
        name: "Istio text of Mixer's day",
        lacks: MIXER,
        is_complete: false,
        line: mixer_text,
    },
    Format { name: "Envoy text", lacks: ENVOY, is_complete: false, line: envoy_text },
];

impl Format {
    /// What is left of what was told.
    pub fn carried<'a>(&self, told: &Told<'a>) -> Carried<'a> {
        without(told, &[self.lacks, ["hop"].as_slice()].concat())
    }

    /// Has it a field for that fact? What the next proxy said in a header is in no access log.
    pub fn has(&self, key: &str) -> bool {
        key != "hop" && !self.lacks.contains(&key)
    }
}

/// What was told, without these facts.
pub fn without<'a>(told: &Told<'a>, lacks: &[&str]) -> Carried<'a> {
    let has = |key: &str| !lacks.contains(&key);
    let kept = |key: &str, text: Option<&'a str>| text.filter(|_| has(key));
    let evidence = told.evidence;
    let cluster = kept("upstream_cluster", evidence.cluster);
    let direction = if has("direction") {
        evidence.direction
    } else {
        cluster.map(ClusterName::parse).unwrap_or_default().direction
    };
    let number = |key: &str, number: Option<u64>| number.filter(|_| has(key));
    let evidence = Evidence {
        direction,
        proxy: kept("node_cluster", evidence.proxy),
        grpc_status: evidence.grpc_status.filter(|_| has("grpc_status")),
        attempts: number("upstream_request_attempt_count", evidence.attempts),
        endpoints: number("upstream_endpoints", evidence.endpoints),
        cluster,
        route: kept("route_name", evidence.route),
        connection_ready: evidence.connection_ready.filter(|_| has("upstream_connection_ready")),
        response_started: evidence.response_started.filter(|_| has("upstream_response_started")),
        hop: evidence.hop.filter(|_| has("hop")),
        ..evidence
    };
    let logged = |key: &str, text: Option<&str>| {
        text.filter(|_| has(key)).map(|text| text.replace(' ', "_"))
    };
    Carried {
        details: logged("response_code_details", evidence.details),
        termination: logged("connection_termination_details", evidence.termination),
        transport: logged("upstream_transport_failure_reason", evidence.transport),
        downstream_transport: logged(
            "downstream_transport_failure_reason",
            evidence.downstream_transport,
        ),
        told: Told { evidence, facts: told.facts },
    }
}

/// A record with its texts as a log writes them.
pub fn as_logged(mut record: Record) -> Record {
    let texts = [
        &mut record.response_code_details,
        &mut record.connection_termination_details,
        &mut record.upstream_transport_failure_reason,
        &mut record.downstream_transport_failure_reason,
    ];
    for text in texts.into_iter().flatten() {
        *text = text.replace(' ', "_");
    }
    record
}

/// A record as each of those writes it who stand between a proxy and a terminal.
pub fn record_lines(json: &str) -> Vec<String> {
    let logged = format!("wasm log failgate: failgate {json}");
    let envoy = format!("[2026-01-31 23:59:59.999][7][warning][wasm] [a/context.cc:1198] {logged}");
    let docker =
        serde_json::json!({ "log": format!("{envoy}\n"), "stream": "stderr", "time": START });
    vec![
        json.to_owned(),
        envoy.clone(),
        format!(
            "2026-01-31T23:59:59.999999Z\twarning\tenvoy wasm a/context.cc:1198\t{logged}\tthread=17"
        ),
        format!("[pod/reviews-v1-7d9/istio-proxy] {envoy}"),
        format!("reviews-v1-7d9 istio-proxy {envoy}"),
        format!("2026-01-31T23:59:59.999999999Z stderr F {envoy}"),
        docker.to_string(),
    ]
}

/// The fact as a log writes it; `None` when there is none.
fn fact(told: &Told<'_>, key: &str) -> Option<String> {
    let Told { evidence, facts } = told;
    let logged = |text: Option<&str>| text.map(|text| text.replace(' ', "_"));
    let duration = |said: Option<bool>| said.filter(|said| *said).map(|_| "390.03us".to_owned());
    match key {
        "start_time" => facts.start.map(|_| START.to_owned()),
        "duration" => facts.duration.map(|duration| (duration / 1_000_000).to_string()),
        "protocol" => logged(evidence.protocol),
        "method" => logged(facts.method),
        "content_type" => evidence.grpc_status.map(|_| "application/grpc".to_owned()),
        "request_id" => logged(facts.request_id),
        "response_code" => Some(evidence.status.unwrap_or_default().to_string()),
        "grpc_status" => evidence.grpc_status.map(|status| status.to_string()),
        "response_flags" => {
            Some(evidence.flags.short_names().join(",")).filter(|it| !it.is_empty())
        }
        "response_code_details" => logged(evidence.details),
        "connection_termination_details" => logged(evidence.termination),
        "upstream_transport_failure_reason" => logged(evidence.transport),
        "downstream_transport_failure_reason" => logged(evidence.downstream_transport),
        "upstream_cluster" => logged(evidence.cluster),
        "upstream_host" => match evidence.upstream_host {
            UpstreamHost::Address(address) => Some(address.to_owned()),
            UpstreamHost::Absent | UpstreamHost::Unknown => None,
        },
        "upstream_request_attempt_count" => evidence.attempts.map(|attempts| attempts.to_string()),
        "upstream_endpoints" => evidence.endpoints.map(|endpoints| endpoints.to_string()),
        "upstream_connection_ready" => duration(evidence.connection_ready),
        "upstream_response_started" => duration(evidence.response_started),
        "route_name" => logged(evidence.route),
        "direction" => Some((evidence.direction as u8).to_string()),
        "node_cluster" => logged(evidence.proxy),
        // What nobody needs is there too, as in a real line.
        "bytes_sent" | "bytes_received" => Some("0".to_owned()),
        "user_agent" => Some("curl/8.0 (x; \"y\" z=1)".to_owned()),
        "path" => Some("/a?b={\"c\":[".to_owned()),
        _ => None,
    }
}

/// As `%…%` writes it into a text.
fn word(told: &Told<'_>, key: &str) -> String {
    fact(told, key).unwrap_or_else(|| "-".to_owned())
}

/// Numbers as numbers, and null for nothing: what Envoy makes of a `json_format`.
fn json(told: &Told<'_>, lacks: &[&str], spelled: &dyn Fn(&str) -> String) -> String {
    let mut object = Map::new();
    for key in
        format::json().as_object().unwrap().keys().filter(|key| !lacks.contains(&key.as_str()))
    {
        let value = match fact(told, key) {
            None => Value::Null,
            Some(text) if matches!(key.as_str(), "response_code" | "duration") => {
                text.parse::<u64>().unwrap().into()
            }
            Some(text) => text.into(),
        };
        object.insert(spelled(key), value);
    }
    Value::Object(object).to_string()
}

fn strings(told: &Told<'_>) -> String {
    let mut object = Map::new();
    for key in format::json().as_object().unwrap().keys() {
        let mut words = key.split('_');
        let mut camel = words.next().unwrap().to_owned();
        for word in words {
            let (first, rest) = word.split_at(1);
            camel += &(first.to_uppercase() + rest);
        }
        object.insert(camel, word(told, key).into());
    }
    Value::Object(object).to_string()
}

/// The last alias of a key that has any.
fn alias(key: &str) -> String {
    let field = FIELDS.iter().find(|field| field.key == key);
    field.and_then(|field| field.aliases.last()).map_or(key, |alias| alias).to_owned()
}

fn our_text(told: &Told<'_>) -> String {
    let appended =
        format::appended().map(|field| format!(" {}={}", field.key, word(told, field.key)));
    istio_text(told) + &appended.collect::<String>()
}

fn filled(told: &Told<'_>, template: &str) -> String {
    let mut line = String::new();
    for (index, part) in template.split(['{', '}']).enumerate() {
        line += &if index % 2 == 1 { word(told, part) } else { part.to_owned() };
    }
    line
}

const REQUEST: &str =
    "[{start_time}] \"{method} {path} {protocol}\" {response_code} {response_flags} ";
const REST: &str = "{bytes_received} {bytes_sent} {duration} - \"-\" \"{user_agent}\" \"{request_id}\" \"a:80\" \"{upstream_host}\"";
const CLUSTER: &str = " {upstream_cluster} 10.0.0.1:1 10.0.0.2:2 10.0.0.3:3 - {route_name}";

fn istio_text(told: &Told<'_>) -> String {
    let reasons = "{response_code_details} {connection_termination_details} \"{upstream_transport_failure_reason}\" ";
    filled(told, &[REQUEST, reasons, REST, CLUSTER].concat())
}

fn mixer_text(told: &Told<'_>) -> String {
    filled(
        told,
        &[REQUEST, "\"-\" \"{upstream_transport_failure_reason}\" ", REST, CLUSTER].concat(),
    )
}

fn envoy_text(told: &Told<'_>) -> String {
    filled(told, &[REQUEST, REST].concat())
}
