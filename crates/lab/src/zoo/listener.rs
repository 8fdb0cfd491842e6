//! Connections that never become HTTP: listeners, network filters and TCP proxies, which have access loggers
//! of their own.

use serde_json::{Value, json};

use super::play::{Scenario, scenario};
use super::site::{Parts, Site};
use crate::Result;
use crate::certs::{Authority, TRUST_DOMAIN};
use crate::config::{cluster, extension, http, listener, tcp_proxy, with};
use crate::versions::NO_DIRECTION;

const TLS: &str = "extensions.transport_sockets.tls.v3.DownstreamTlsContext";

/// The listeners, and clusters of connections.
pub(super) fn build(site: &Site<'_>, parts: &mut Parts) -> Result<()> {
    let quick = json!({ "connect_timeout": "0.2s" });
    parts.clusters.push(site.cluster_of("tcp-refused", "refused")?);
    parts.clusters.push(with(site.cluster_of("tcp-black-hole", "black-hole")?, quick));
    parts.clusters.push(site.cluster_of("tcp-silent", "silent")?);
    parts.clusters.push(site.cluster_of("tcp-denied", "silent")?);
    parts.clusters.push(cluster("tcp-empty", &[]));
    for name in ["tcp-refused", "tcp-black-hole", "tcp-empty", "tcp-nowhere"] {
        parts.listener(tcp(name, tcp_proxy(name)));
    }
    let mut short = tcp_proxy("tcp-silent");
    if let Some(members) = short.get_mut("typed_config") {
        *members = with(members.take(), json!({ "max_downstream_connection_duration": "0.2s" }));
    }
    parts.listener(tcp("tcp-silent", short));

    let never = json!({ "filter_chain_match": { "destination_port": 1 } });
    parts.listener(chain_with(listener("no-chain", "INBOUND", http(&[], &[])), never));

    let any = json!({ "permissions": [{ "any": true }], "principals": [{ "any": true }] });
    let policies = json!({ "ns[default]-policy[deny]-rule[0]": any });
    let rules =
        json!({ "stat_prefix": "rbac", "rules": { "action": "DENY", "policies": policies } });
    let rbac = extension("rbac", "extensions.filters.network.rbac.v3.RBAC", rules);
    let denied = json!({ "filters": [rbac, tcp_proxy("tcp-denied")] });
    parts.listener(chain_with(listener("denied", "INBOUND", json!({})), denied));

    let own = Authority::new(TRUST_DOMAIN)?.workload("default", "zoo")?;
    let inline = |pem: &str| json!({ "inline_string": pem });
    let certificate = json!({
        "certificate_chain": inline(&own.chain),
        "private_key": inline(&own.key),
    });
    let context = json!({ "common_tls_context": { "tls_certificates": [certificate] } });
    let tls = json!({ "transport_socket": extension("tls", TLS, context) });
    let impatient = with(tls.clone(), json!({ "transport_socket_connect_timeout": "0.2s" }));
    for (name, members) in [("tls", tls), ("impatient-tls", impatient)] {
        let own = listener(name, "INBOUND", http(&[], &[]));
        parts.listener(chain_with(own, members));
    }
    Ok(())
}

/// The listener with these members of its filter chain.
fn chain_with(mut listener: Value, members: Value) -> Value {
    if let Some(chain) = listener.pointer_mut("/filter_chains/0") {
        *chain = with(chain.take(), members);
    }
    listener
}

/// A listener of connections.
fn tcp(name: &str, proxy: Value) -> Value {
    chain_with(listener(name, "OUTBOUND", json!({})), json!({ "filters": [proxy] }))
}

/// What stops at the gate `listener`, and connections that have no stream.
#[rustfmt::skip] // One scenario, one paragraph.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("a_connection_that_is_refused_says_so_without_http", &["connection_refused"], |play| {
        play.say("tcp-refused", b"hello", "upstream_cluster", "tcp-refused")
    }),
    scenario("a_connection_that_times_out_is_a_failure_without_http", &["connection_failure"], |play| {
        play.say("tcp-black-hole", b"hello", "upstream_cluster", "tcp-black-hole")
    }),
    scenario("a_connection_to_an_empty_cluster_has_no_endpoints", &["no_endpoints"], |play| {
        play.say("tcp-empty", b"hello", "upstream_cluster", "tcp-empty")
    }),
    scenario("a_connection_to_no_cluster_is_not_found", &["cluster_not_found"], |play| {
        play.say("tcp-nowhere", b"hello", "cause", "cluster_not_found")
    }),
    scenario("a_connection_may_live_no_longer_than_its_duration", &["max_connection_duration"], |play| {
        play.say("tcp-silent", b"hello", "upstream_cluster", "tcp-silent")
    }),
    scenario("a_connection_that_matches_no_filter_chain_is_closed", &["filter_chain_not_found"], |play| {
        play.say("no-chain", b"hello", "cause", "filter_chain_not_found")
    }).before("1.38", &["filter_chain_not_found"], NO_DIRECTION),
    scenario("a_connection_may_be_denied_by_a_policy", &["connection_denied"], |play| {
        play.say("denied", b"hello", "cause", "connection_denied")
    }),
    scenario("a_caller_of_plain_text_breaks_the_handshake", &["downstream_tls_error"], |play| {
        play.say("tls", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", "cause", "downstream_tls_error")
    }),
    scenario("a_caller_that_says_nothing_times_the_handshake_out", &["downstream_tls_timeout"], |play| {
        play.say("impatient-tls", b"", "cause", "downstream_tls_timeout")
    }),
];
