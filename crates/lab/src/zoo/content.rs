//! Filters that read what a request carries: bodies of JSON and of gRPC, and files.

use std::fs;

use serde_json::{Value, json};

use super::play::{Scenario, scenario};
use super::site::{Parts, Site, filter, to_the_server};
use crate::config::{typed, with};
use crate::versions::{Since, since};
use crate::{Doing as _, Result};

pub(super) const MCP: Since = since("1.37", "the filter mcp");
const SCRUBBER: Since = since("1.37", "the filter proto_api_scrubber");
const A2A: Since = since("1.38", "the filter a2a");
const FILES: Since = since("1.38", "the filter file_server");
const AI: Since = since("1.40", "the filter ai_protocol_manager, as it is configured here");

/// A `google.protobuf.FileDescriptorSet` of the package `p`: a message `M` with a string `a`, and a service
/// `S` with a method `C` of `M` to `M`.
fn descriptors() -> Vec<u8> {
    let bytes = |number: u8, bytes: &[u8]| {
        let length = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
        [&[number << 3 | 2, length][..], bytes].concat()
    };
    let number = |number: u8, value: u8| vec![number << 3, value];
    let field = [bytes(1, b"a"), number(3, 1), number(4, 1), number(5, 9)].concat();
    let message = [bytes(1, b"M"), bytes(2, &field)].concat();
    let method = [bytes(1, b"C"), bytes(2, b".p.M"), bytes(3, b".p.M")].concat();
    let service = [bytes(1, b"S"), bytes(2, &method)].concat();
    let file = [
        bytes(1, b"p.proto"),
        bytes(2, b"p"),
        bytes(4, &message),
        bytes(6, &service),
        bytes(12, b"proto3"),
    ];
    bytes(1, &file.concat())
}

/// A listener for every filter.
pub(super) fn build(site: &Site<'_>, parts: &mut Parts) -> Result<()> {
    let path = site.folder.join("descriptors");
    fs::write(&path, descriptors()).doing(|| format!("writing {}", path.display()))?;
    let transcoder = json!({
        "proto_descriptor": path,
        "services": ["p.S"],
        "auto_mapping": true,
        "request_validation_options": { "reject_unknown_method": true },
    });
    let transcoder = filter("grpc_json_transcoder", "GrpcJsonTranscoder", transcoder);
    parts.gate(site, "transcoder", &[transcoder], json!({}));

    let bridge = filter("connect_grpc_bridge", "FilterConfig", json!({}));
    let http = crate::config::http(&[to_the_server()], &[bridge]);
    let listener = site.listener("connect-bridge", http);
    parts.listener(with(listener, json!({ "per_connection_buffer_limit_bytes": 1024 })));

    let scrubber = json!({
        "descriptor_set": { "data_source": { "filename": path } },
        "filtering_mode": "OVERRIDE",
    });
    let files = json!({
        "path_mappings": [{ "request_path_prefix": "/", "file_path_prefix": site.folder }],
        "manager_config": { "thread_pool": { "thread_count": 1 } },
    });
    let mcp = json!({ "traffic_mode": "REJECT_NO_MCP" });
    for (since, name, filter) in [
        (MCP, "mcp", filter("mcp", "Mcp", mcp)),
        (SCRUBBER, "scrubber", filter("proto_api_scrubber", "ProtoApiScrubberConfig", scrubber)),
        (A2A, "a2a", filter("a2a", "A2a", json!({ "traffic_mode": "REJECT" }))),
        (FILES, "files", filter("file_server", "FileServerConfig", files)),
    ] {
        if site.has(since) {
            parts.gate(site, name, &[filter], json!({}));
        }
    }
    if site.has(AI) {
        let kind = "extensions.filters.http.ai_protocol_manager.v3.AiProtocolManagerPerRoute";
        let declared = typed(kind, json!({ "request": {} }));
        let route: Value = with(
            to_the_server(),
            json!({ "typed_per_filter_config": { "envoy.filters.http.ai_protocol_manager": declared } }),
        );
        let handling = json!({ "request_handling": {} });
        let filter = filter("ai_protocol_manager", "AiProtocolManager", handling);
        parts.gate_to(site, "ai", filter, &[route]);
    }
    Ok(())
}

const JSON: (&str, &str) = ("content-type", "application/json");

/// What stops at the gate `filter` for what it carries.
#[rustfmt::skip] // One scenario, one paragraph.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("a_body_that_is_no_json_is_not_transcoded", &["filter_response"], |play| {
        play.post_to("transcoder", "/p.S/C", &[JSON], "{\"a\":")
    }),
    scenario("a_method_that_is_not_described_is_not_transcoded", &["filter_response"], |play| {
        play.post_to("transcoder", "/p.S/Other", &[JSON], "{}")
    }),
    scenario("a_bridge_to_grpc_has_room_for_a_kilobyte", &["filter_response"], |play| {
        let body = "x".repeat(4096);
        play.post_to("connect-bridge", "/p.S/C", &[JSON, ("connect-protocol-version", "1")], &body)
    }),
    scenario("what_is_no_mcp_is_rejected", &["filter_response"], |play| play.post("mcp", &[JSON], "{}")).since(MCP).before("1.39", &["filter_response"], "the details of the filter mcp begin with `mcp_filter_`"),
    scenario("a_method_that_is_not_described_is_not_scrubbed", &["filter_response"], |play| {
        play.post_to("scrubber", "/p.S/Other", &[("content-type", "application/grpc")], "\0\0\0\0\0")
    }).since(SCRUBBER),
    scenario("what_is_no_a2a_is_rejected", &["filter_response"], |play| play.post("a2a", &[JSON], "{}")).since(A2A),
    scenario("a_file_is_not_posted_to", &["filter_response"], |play| play.post("files", &[], "x")).since(FILES),
    scenario("what_an_ai_is_asked_must_be_json", &["filter_response"], |play| play.post("ai", &[JSON], "{\"a\" 1")).since(AI),
];
