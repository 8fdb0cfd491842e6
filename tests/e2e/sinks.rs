//! The verdict in what Envoy itself sends and counts, configured by what the documents and the examples show.

use std::sync::Arc;

use failgate_cli::format;
use failgate_lab::config::{access_log_on_stdout, cluster, http2, typed, with};
use failgate_lab::hop::{Extras, Hop, Mount, PATIENCE};
use failgate_lab::otlp::{self, Encoding, Log, Receiver};
use failgate_lab::versions::OTLP_OVER_HTTP;
use failgate_lab::{Error, Result};
use libtest_mimic::Trial;
use serde_json::{Map, Value, json};

use crate::filter_state::{self, REFUSED, documented};
use crate::{Rig, test, yaml};

#[rustfmt::skip]
pub fn add(rig: &Arc<Rig>, trials: &mut Vec<Trial>) {
    trials.push(test(rig, OTLP_OVER_HTTP.name, over_http).with_ignored_flag(!OTLP_OVER_HTTP.is_for(&rig.envoy)));
    trials.push(test(rig, "envoys_opentelemetry_access_log_has_the_verdict_over_grpc", over_grpc));
    trials.push(test(rig, "the_example_of_a_meshconfig_is_our_format_with_the_verdict_and_runs", meshconfig));
    trials.push(test(rig, "the_expression_of_the_example_of_a_telemetry_is_the_gate", telemetry));
    trials.push(test(rig, "the_example_of_a_collector_takes_both_kinds_of_otlp", collector));
}

const MESH_CONFIG: &str = "examples/meshconfig.yaml";
const TELEMETRY: &str = "examples/telemetry.yaml";
const COLLECTOR: &str = "otel-collector";

fn expect(holds: bool, claim: &str, otherwise: impl std::fmt::Display) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::new(claim, otherwise)) }
}

/// A hop with this access logger beside those of text and JSON, a receiver behind the cluster that it names, and these members of that cluster.
fn hop(rig: &Rig, logger: Value, receiver: &Receiver, members: Value) -> Result<Hop> {
    let mut access_logs = filter_state::access_logs()?;
    access_logs.push(logger);
    let extras = Extras {
        access_logs,
        clusters: vec![with(cluster(COLLECTOR, &[receiver.port()]), members)],
        ..Extras::default()
    };
    Hop::start_with(&rig.envoy, &rig.module, Mount::Filter, "", &extras)
}

/// Sends a request that fails and one that does not, sees both in the other access logs, and returns what was
/// received of each.
fn received(hop: &Hop, receiver: &Receiver, encoding: Encoding) -> Result<[Log; 2]> {
    filter_state::expect(hop, "failed", "/refused", Some(REFUSED))?;
    filter_state::expect(hop, "fine", "/status/200", None)?;
    // Envoy sends a batch each second; both may be in one, or not.
    let of = |logs: &[Log], id: &str| {
        let mut own = logs.iter().filter(|log| log.attributes["request_id"] == id);
        own.next().cloned().filter(|_| own.next().is_none())
    };
    for count in 1..=2 {
        let tries = receiver.wait_for(PATIENCE, count)?;
        receiver.check()?;
        let other = tries.iter().find(|it| it.encoding != encoding);
        expect(other.is_none(), "the encoding", format!("{other:?}"))?;
        let logs = otlp::decode(&receiver.delivered())?;
        if let (Some(failed), Some(fine)) = (of(&logs, "failed"), of(&logs, "fine")) {
            return Ok([failed, fine]);
        }
    }
    Err(Error::new("receiving", format!("{:#?}", otlp::decode(&receiver.delivered()))))
}

/// The attributes that say where and why.
fn verdict(log: &Log) -> [&str; 3] {
    ["failgate.gate", "failgate.cause", "failgate.look"]
        .map(|key| log.attributes[key].as_str().unwrap_or("absent"))
}

fn has_verdicts([failed, fine]: &[Log; 2]) -> Result<()> {
    expect(verdict(failed) == REFUSED, "the failed request", format!("{failed:#?}"))?;
    expect(verdict(fine) == ["-"; 3], "the other one", format!("{fine:#?}"))
}

fn over_http(rig: &Rig) -> Result<()> {
    let receiver = Receiver::start()?;
    let documented: Value = serde_saphyr::from_str(&documented("yaml")?)
        .map_err(|error| Error::new("reading the page on access logs", error))?;
    let hop = hop(rig, documented["access_log"][0].clone(), &receiver, json!({}))?;
    let logs = received(&hop, &receiver, Encoding::Protobuf)?;
    expect(
        logs[0].body == "GET 503 UF,URX" || logs[0].body == "GET 503 URX,UF",
        "the body",
        &logs[0].body,
    )?;
    has_verdicts(&logs)
}

/// What Istio makes of the provider in the example: `pilot/pkg/model/telemetry_logging.go`.
fn over_grpc(rig: &Rig) -> Result<()> {
    let provider = yaml(MESH_CONFIG)?["meshConfig"]["extensionProviders"][0].take();
    let format = &provider["envoyOtelAls"]["logFormat"];
    let label =
        |(key, value): (&String, &Value)| json!({ "key": key, "value": { "string_value": value } });
    let labels: Vec<_> = format["labels"].as_object().into_iter().flatten().map(label).collect();
    let kind = "extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig";
    let logger = json!({
        "name": "envoy.access_loggers.open_telemetry",
        "typed_config": typed(kind, json!({
            "common_config": {
                "log_name": "otel_envoy_accesslog",
                "grpc_service": { "envoy_grpc": { "cluster_name": COLLECTOR } },
                "transport_api_version": "V3",
            },
            "body": { "string_value": format["text"] },
            "attributes": { "values": labels },
        })),
    });
    let receiver = Receiver::start()?;
    let hop = hop(rig, logger, &receiver, http2(json!({})))?;
    let logs = received(&hop, &receiver, Encoding::Grpc)?;
    has_verdicts(&logs)?;
    // And the resource is the proxy.
    expect(logs[0].resource["node_name"] == hop_node(), "the resource", &logs[0].resource)
}

fn hop_node() -> Value {
    json!("sidecar~127.0.0.1~client-0.default~default.svc.cluster.local")
}

fn meshconfig(rig: &Rig) -> Result<()> {
    let mesh = yaml(MESH_CONFIG)?["meshConfig"].take();
    let text = mesh["accessLogFormat"].as_str().unwrap_or_default();
    let format: Value =
        serde_json::from_str(text).map_err(|error| Error::new(MESH_CONFIG, error))?;
    let page: Map<String, Value> = serde_json::from_str(&documented("json")?)
        .map_err(|error| Error::new("reading the page on access logs", error))?;
    let verdict = page.into_iter().filter(|(key, _)| key.starts_with("failure_"));
    let expected = with(format::json(), Value::Object(verdict.collect()));
    let same = format == expected && mesh["accessLogEncoding"] == "JSON";
    expect(same, "what `failgate format` prints, and the verdict", &mesh)?;

    let extras = Extras { access_logs: vec![access_log_on_stdout(&format)], ..Extras::default() };
    let hop = Hop::start_with(&rig.envoy, &rig.module, Mount::Filter, "", &extras)?;
    hop.send("mesh", "/refused")?;
    let line = hop.proxy.access_log().wait_for(PATIENCE, |line| line.contains("\"mesh\""))?;
    let line: Value = serde_json::from_str(&line).map_err(|error| Error::new(line, error))?;
    let found = ["failure_gate", "failure_cause", "failure_look"].map(|key| line[key].as_str());
    expect(found == REFUSED.map(Some), "the line's verdict", &line)?;
    let response_code = line["response_code"] == 503 && line["route_name"] == "default";
    expect(response_code, "the line's evidence", &line)
}

/// Envoy's own CEL stands for that of Istio's filter, which is the same library.
fn telemetry(rig: &Rig) -> Result<()> {
    let spec = yaml(TELEMETRY)?["spec"].take();
    let tags = &spec["metrics"][0]["overrides"][0]["tagOverrides"];
    let expression = tags["failure_gate"]["value"].as_str().unwrap_or_default();
    let log = json!({ "id": "%REQ(X-REQUEST-ID)%", "label": format!("%CEL({expression})%") });
    let extras = Extras { access_logs: vec![access_log_on_stdout(&log)], ..Extras::default() };
    let hop = Hop::start_with(&rig.envoy, &rig.module, Mount::Filter, "", &extras)?;
    for (id, path, label) in
        [("failed", "/refused", json!("connect")), ("fine", "/status/200", Value::Null)]
    {
        hop.send(id, path)?;
        let line = hop.proxy.access_log().wait_for(PATIENCE, |line| line.contains(id))?;
        let found: Value = serde_json::from_str(&line).map_err(|error| Error::new(id, error))?;
        expect(found["label"] == label, id, line)?;
    }
    // What the resource names is there to be named.
    let mesh = yaml(MESH_CONFIG)?["meshConfig"].take();
    let provider = &spec["accessLogging"][0]["providers"][0]["name"];
    let known = &mesh["extensionProviders"][0]["name"];
    expect(provider.is_string() && provider == known, "the provider", &spec)?;
    let labels: Vec<_> = tags.as_object().into_iter().flatten().map(|(name, _)| name).collect();
    let named = &mesh["defaultConfig"]["extraStatTags"];
    expect(*named == json!(labels), "the label's name", &mesh)
}

fn collector(_: &Rig) -> Result<()> {
    let path = "examples/opentelemetry-collector.yaml";
    let config = yaml(path)?;
    let pipeline = &config["service"]["pipelines"]["logs"];
    for kind in ["receivers", "processors", "exporters"] {
        let used: Vec<_> = pipeline[kind].as_array().into_iter().flatten().collect();
        let known = |name: &&Value| config[kind].get(name.as_str().unwrap_or_default()).is_some();
        expect(!used.is_empty() && used.iter().all(known), path, format!("{kind}: {used:?}"))?;
        let defined = config[kind].as_object().map_or(0, Map::len);
        expect(defined == used.len(), path, format!("{kind} that nothing uses"))?;
    }
    let port = |protocol: &str| &config["receivers"]["otlp"]["protocols"][protocol]["endpoint"];
    let ports = port("http") == "0.0.0.0:4318" && port("grpc") == "0.0.0.0:4317";
    expect(ports, path, &config)?;
    let provider = yaml(MESH_CONFIG)?["meshConfig"]["extensionProviders"][0].take();
    expect(provider["envoyOtelAls"]["port"] == 4317, MESH_CONFIG, provider)
}
