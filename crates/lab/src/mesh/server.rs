//! The server's sidecar: inbound listeners that ask for a certificate, and the server behind them.

use serde_json::{Value, json};

use super::tls::Identity;
use crate::config::{
    self, cluster, extension, filter_chain, http_by_host, http2_with, limits, listener, unlimited,
    virtual_host, with,
};
use crate::mock::Mock;
use crate::streams;

/// Its service account.
pub(super) const ACCOUNT: &str = "mock-server";

/// The listener for HTTP.
pub(super) const HTTP: &str = "inbound_8080";
/// The listener for gRPC.
pub(super) const GRPC: &str = "inbound_9090";
/// The listener for HTTP that takes plain text too.
pub(super) const PERMISSIVE: &str = "inbound_8080_permissive";

/// The bootstrap; `module` is the module as an HTTP filter.
pub(super) fn bootstrap(module: Option<&Value>, own: &Identity, mock: &Mock) -> Value {
    let listeners = [
        inbound(HTTP, super::HTTP, &[mtls(own)], module),
        inbound(GRPC, super::GRPC, &[mtls(own)], module),
        inbound(PERMISSIVE, super::HTTP, &[mtls(own), plain_text()], module),
    ];
    // A connection for every call, so that one whose connection is cut takes no other with it. A limit of
    // one stream is not enough: for a moment Envoy counts a connection that is being cut as free again.
    let grpc = http2_with(json!({}), json!({ "max_requests_per_connection": 1 }));
    let clusters = [
        cluster(&cluster_name(super::HTTP), &[mock.port()]),
        with(cluster(&cluster_name(super::GRPC), &[mock.grpc_port()]), grpc),
    ];
    let unlimited = json!({ "circuit_breakers": limits(unlimited()) });
    config::bootstrap(ACCOUNT, &listeners, &clusters.map(|it| with(it, unlimited.clone())))
}

fn cluster_name(port: u16) -> String {
    format!("inbound|{port}||")
}

fn inbound(name: &str, port: u16, callers: &[Value], module: Option<&Value>) -> Value {
    let route = json!({
        "name": "default",
        "match": { "prefix": "/" },
        "route": {
            "cluster": cluster_name(port),
            "timeout": "0s",
            "retry_policy": { "retry_on": "reset-before-request", "num_retries": 2 },
        },
    });
    let host = virtual_host(&format!("inbound|http|{port}"), &["*"], &[route]);
    let filters: Vec<_> = module.into_iter().cloned().collect();
    let http = with(
        http_by_host(&[host], &filters),
        json!({
            "access_log": [streams::access_log()],
            "server_name": "istio-envoy",
            "forward_client_cert_details": "APPEND_FORWARD",
            "set_current_client_cert_details": { "subject": true, "dns": true, "uri": true },
        }),
    );
    let chains: Vec<_> =
        callers.iter().map(|callers| with(filter_chain(http.clone()), callers.clone())).collect();
    let inspector = "extensions.filters.listener.tls_inspector.v3.TlsInspector";
    let inspector = extension("envoy.filters.listener.tls_inspector", inspector, json!({}));
    with(
        listener(name, "INBOUND", http),
        json!({ "listener_filters": [inspector], "filter_chains": chains }),
    )
}

/// The filter chain for callers with a sidecar.
fn mtls(own: &Identity) -> Value {
    json!({
        "name": "mtls",
        "filter_chain_match": { "transport_protocol": "tls" },
        "transport_socket": own.downstream(),
    })
}

/// The filter chain for callers without one.
fn plain_text() -> Value {
    json!({ "name": "plain-text", "filter_chain_match": { "transport_protocol": "raw_buffer" } })
}
