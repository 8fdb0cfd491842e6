//! What an upstream does: connections that are not made, streams that are reset, responses that are late.

use std::io::Write as _;

use serde_json::{Value, json};

use super::play::{Scenario, scenario};
use super::site::{Parts, Site, over_http2, to_the_server};
use crate::config::{extension, http, http2_with, retry_after, with};
use crate::{Doing as _, PATIENCE, Result, wait_until};

/// Servers that answer the first bytes of a connection with these.
pub(super) const ANSWERS: &[(&str, &[u8])] = &[
    (
        "answers-with-too-many-headers",
        b"HTTP/1.1 200 OK\r\na: 1\r\nb: 1\r\nc: 1\r\nd: 1\r\ncontent-length: 0\r\n\r\n",
    ),
    // A ServerHello of TLS 1.1.
    (
        "speaks-tls-1-1",
        &[
            22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
            16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 0, 0, 47, 0,
        ],
    ),
    // A record of a type that TLS does not have.
    ("speaks-a-broken-tls", &[99, 3, 3, 0, 1, 0]),
];

/// The clusters and their ways.
pub(super) fn build(site: &Site<'_>, parts: &mut Parts) -> Result<()> {
    for peer in [
        "goes-away",
        "refuses-the-stream",
        "cancels-the-stream",
        "resets-with-connect-error",
        "resets-without-error",
        "says-an-invalid-header",
        "says-less-than-it-promised",
    ] {
        parts.way(over_http2(site.cluster_of(peer, peer)?));
    }
    let short = http2_with(json!({}), json!({ "max_stream_duration": "0.2s" }));
    parts.way(with(site.cluster_of("short-streams", "mock")?, short));
    let per_try = json!({ "retry_policy": { "retry_on": "5xx", "num_retries": 0, "per_try_idle_timeout": "0.2s" } });
    parts.way_with(site.cluster_of("idle-tries", "mock")?, per_try);
    parts.clusters.push(site.cluster_of("tried-later", "mock")?);
    let later = with(json!({ "retry_on": "5xx", "num_retries": 1 }), retry_after());
    let action = json!({ "cluster": "tried-later", "retry_policy": later });
    let small = json!({ "route": action, "request_body_buffer_limit": 8 });
    let http = http(&[with(to_the_server(), small)], &[]);
    parts.listener(site.listener("tried-later", http));
    let idle = json!({ "idle_timeout": "0.2s" });
    parts.way_with(site.cluster_of("idle-route", "mock")?, idle);
    let bind = json!({ "upstream_bind_config": {
        "source_address": { "address": "192.0.2.1", "port_value": 0 },
    } });
    parts.way(with(site.cluster_of("foreign-source", "mock")?, bind));
    // The kernel gives up after these milliseconds (`TCP_USER_TIMEOUT`), long before Envoy does.
    let given_up = json!({ "upstream_bind_config": {
        "source_address": { "address": "127.0.0.1", "port_value": 0 },
        "socket_options": [{ "level": 6, "name": 18, "int_value": 100, "state": "STATE_PREBIND" }],
    }, "connect_timeout": "60s" });
    parts.way(with(site.cluster_of("given-up", "black-hole")?, given_up));
    parts.way(addressed("broadcast", "127.255.255.255"));
    for peer in ["resets-at-once", "speaks-tls-1-1", "speaks-a-broken-tls"] {
        parts.way(with(site.cluster_of(peer, peer)?, tls(json!({}))));
    }
    let secret = json!({ "common_tls_context": { "validation_context_sds_secret_config": {
        "name": "undelivered",
        "sds_config": {
            "resource_api_version": "V3",
            "initial_fetch_timeout": "0.1s",
            "api_config_source": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "grpc_services": [super::site::grpc_service("refused")],
            },
        },
    } } });
    parts.way(with(site.cluster_of("no-secret", "mock")?, tls(secret)));
    Ok(())
}

/// A cluster with an endpoint that is not the zoo's.
fn addressed(name: &str, address: &str) -> Value {
    let address = json!({ "socket_address": { "address": address, "port_value": 80 } });
    with(
        crate::config::cluster(name, &[]),
        json!({ "load_assignment": {
        "cluster_name": name,
        "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address } }] }],
    } }),
    )
}

/// What makes a cluster speak TLS.
pub(super) fn tls(context: Value) -> Value {
    const KIND: &str = "extensions.transport_sockets.tls.v3.UpstreamTlsContext";
    json!({ "transport_socket": extension("envoy.transport_sockets.tls", KIND, context) })
}

/// What stops at the gates `connect` and `response`.
#[rustfmt::skip] // One scenario, one paragraph.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("a_server_that_goes_away_has_refused_the_stream", &["stream_refused"], |play| play.ask("/goes-away")),
    scenario("a_refused_stream_was_not_delivered", &["stream_refused"], |play| play.ask("/refuses-the-stream")),
    scenario("a_cancelled_stream_is_the_upstreams", &["upstream_reset"], |play| play.ask("/cancels-the-stream")),
    scenario("a_stream_may_be_reset_with_connect_error", &["upstream_reset"], |play| play.ask("/resets-with-connect-error")),
    scenario("a_stream_may_be_reset_without_an_error", &["upstream_reset"], |play| play.ask("/resets-without-error")),
    scenario("an_invalid_header_of_the_response_is_a_protocol_error", &["protocol_error"], |play| play.ask("/says-an-invalid-header")),
    scenario("a_response_shorter_than_it_says_is_incomplete", &["response_incomplete"], |play| play.ask("/says-less-than-it-promised")).before("1.37", &["response_incomplete"], "an HTTP/2 response that is shorter than it says is a `remote_reset` with the flag `UR`, not a `protocol_error` with `UPE`"),
    scenario("a_stream_upstream_may_take_no_longer_than_its_duration", &["max_stream_duration"], |play| play.ask("/short-streams/delay/4000")),
    scenario("a_try_that_falls_silent_is_idle", &["per_try_timeout"], |play| play.ask("/idle-tries/delay/4000")),
    scenario("a_route_has_an_idle_timeout_of_its_own", &["stream_idle_timeout"], |play| play.ask("/idle-route/delay/4000")),
    scenario("a_body_may_be_too_large_to_be_tried_again", &["retry_buffer_exceeded"], |play| {
        let id = play.id();
        let head = format!("POST /status/503?header=retry-after:30 HTTP/1.1\r\nhost: a\r\nx-request-id: {id}\r\ncontent-length: 64\r\n\r\nhalf");
        let mut socket = play.connect("tried-later", head.as_bytes())?;
        let waits = || play.zoo.proxy.stat("cluster.tried-later.retry.upstream_rq_503").is_ok_and(|tries| tries > 0);
        wait_until(PATIENCE, "the request to wait for its second try", waits)?;
        socket.write_all(&[b'.'; 60]).doing(|| "sending the rest".to_owned())?;
        play.zoo.record(&id).map(drop)
    }),
    scenario("a_source_address_of_another_host_cannot_be_bound", &["local_connection_failure"], |play| play.ask("/foreign-source")),
    scenario("a_connection_that_the_kernel_gives_up_has_timed_out", &["connection_timeout"], |play| play.ask("/given-up")),
    scenario("a_broadcast_address_is_no_host", &["host_unreachable"], |play| play.ask("/broadcast")),
    scenario("a_reset_during_the_handshake_is_a_connection_reset", &["connection_reset"], |play| play.ask("/resets-at-once")),
    scenario("a_server_of_tls_1_1_has_no_protocol_in_common", &["tls_protocol_mismatch"], |play| play.ask("/speaks-tls-1-1")),
    scenario("a_broken_handshake_is_a_tls_error", &["tls_error"], |play| play.ask("/speaks-a-broken-tls")),
    scenario("a_secret_that_is_not_delivered_is_missing", &["tls_secret_missing"], |play| play.ask("/no-secret")),
];
