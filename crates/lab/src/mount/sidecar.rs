//! The configuration of the sidecar: what Istio makes of a few services, before any EnvoyFilter.

use serde_json::{Value, json};

use super::Extras;
use crate::Result;
use crate::config::{
    self, cluster, extension, filter_chain, http_by_host, http2, limits, listener, tcp_proxy,
    typed, virtual_host, with,
};
use crate::envoyfilter::{Context, Patches};
use crate::mesh::tls::{self, Identity};
use crate::streams;

/// The gateway's listener.
pub(super) const GATEWAY: &str = "0.0.0.0_80";
/// The address of every HTTP service: which one is meant, the `host` says.
pub(super) const HTTP: &str = "10.96.0.1:8080";
/// The port of the workload that takes mTLS and nothing else, and speaks HTTP.
pub(super) const STRICT: &str = "10.244.0.9:8080";
/// The port of the workload that speaks HTTP to whoever calls.
pub(super) const PERMISSIVE: &str = "10.244.0.9:8081";
/// The port of the workload that is no HTTP, and that a policy closes.
pub(super) const DENIED: &str = "10.244.0.9:9000";
/// The caller's listener that presents a certificate, and the one that has none.
pub(super) const WITH_CERTIFICATE: &str = "with-certificate";
pub(super) const WITHOUT_CERTIFICATE: &str = "without-certificate";

/// A service that is no HTTP: its name, and the address that it has in the cluster.
#[rustfmt::skip]
pub(super) const TCP: &[(&str, &str)] = &[
    ("tcp-mock",    "10.96.1.1"),
    ("tcp-refused", "10.96.1.2"),
    ("tcp-empty",   "10.96.1.3"),
    ("tcp-nowhere", "10.96.1.4"),
    ("tcp-full",    "10.96.1.5"),
    ("tcp-brief",   "10.96.1.6"),
];
const TCP_PORT: u16 = 9000;

/// Where the servers are.
pub(super) struct Ports {
    pub(super) mock: u16,
    pub(super) grpc: u16,
    pub(super) refused: u16,
    pub(super) silent: u16,
    pub(super) websocket: u16,
}

/// What a caller says first: the address that it meant, as `HOST:PORT`.
pub(super) fn meant(address: &str) -> String {
    let (host, port) = address.split_once(':').unwrap_or((address, "80"));
    format!("PROXY TCP4 10.244.0.7 {host} 40000 {port}\r\n")
}

/// The address of a service of [`TCP`].
pub(super) fn tcp_address(name: &str) -> String {
    let host = TCP.iter().find(|(own, _)| *own == name).map_or("", |(_, host)| host);
    format!("{host}:{TCP_PORT}")
}

/// The sidecar with these patches.
pub(super) fn bootstrap(
    ports: &Ports,
    own: &Identity,
    patches: &Patches,
    extras: &Extras,
) -> Result<Value> {
    let filter = extras.filter.as_ref();
    let mut listeners = Vec::new();
    let inbound = [virtual_inbound(own, filter)].map(|it| (Context::SidecarInbound, it));
    let outbound = [virtual_outbound(), http_outbound(filter)].into_iter().chain(tcp_outbound());
    let outbound = outbound.map(|it| (Context::SidecarOutbound, it));
    let gateway = [(Context::Gateway, gateway(filter))];
    for (context, listener) in inbound.into_iter().chain(outbound).chain(gateway) {
        listeners.push(streams::watched(patches.apply(context, listener)?));
    }
    Ok(config::bootstrap("sidecar", &listeners, &clusters(ports, extras.modules)))
}

fn outbound(port: u16, name: &str) -> String {
    format!("outbound|{port}||{name}.default.svc.cluster.local")
}

/// What reads the address that was meant, where `original_dst` does in a Pod.
fn listener_filters() -> Value {
    let filter = |name: &str, message: &str| {
        let kind = format!("extensions.filters.listener.{name}.v3.{message}");
        extension(&format!("envoy.filters.listener.{name}"), &kind, json!({}))
    };
    json!([filter("proxy_protocol", "ProxyProtocol"), filter("tls_inspector", "TlsInspector")])
}

/// A filter chain under a name of Istio's, for connections to a port.
fn chain(name: &str, port: Option<u16>, filters: Value) -> Value {
    let chain = with(json!({ "name": name }), filters);
    match port {
        Some(port) => with(chain, json!({ "filter_chain_match": { "destination_port": port } })),
        None => chain,
    }
}

fn to_cluster(cluster: &str) -> Value {
    json!({ "filters": [tcp_proxy(cluster)] })
}

/// The listener that takes every connection of the workload's, and hands it to the listener that it was meant for.
fn virtual_outbound() -> Value {
    let chains = [
        chain("virtualOutbound-blackhole", Some(15001), to_cluster("BlackHoleCluster")),
        chain("virtualOutbound-catchall-tcp", None, to_cluster("PassthroughCluster")),
    ];
    let members = json!({
        "use_original_dst": true,
        "listener_filters": listener_filters(),
        "filter_chains": chains,
    });
    with(listener("virtualOutbound", "OUTBOUND", json!({})), members)
}

/// A listener that has no socket, only the address for which connections are handed over.
fn handed_over(name: &str, host: &str, port: u16, filters: Value) -> Value {
    let address = json!({ "socket_address": { "address": host, "port_value": port } });
    let members = json!({
        "address": address,
        "bind_to_port": false,
        "filter_chains": [chain("", None, filters)],
    });
    with(listener(name, "OUTBOUND", json!({})), members)
}

fn http_outbound(filter: Option<&Value>) -> Value {
    let services = ["mock-server", "grpc", "refused", "websocket"].map(|name| {
        let host = format!("{name}.default.svc.cluster.local");
        let route = everything_to("default", &outbound(8080, name));
        virtual_host(&format!("{host}:8080"), &[&host], &[route])
    });
    let block = json!({ "name": "block_all", "match": { "prefix": "/" }, "direct_response": { "status": 502 } });
    let block = virtual_host("block_all", &["*"], &[block]);
    let hosts: Vec<_> = services.into_iter().chain([block]).collect();
    handed_over(
        "0.0.0.0_8080",
        "0.0.0.0",
        8080,
        filter_chain(http_by_host(&hosts, filter.map_or(&[], std::slice::from_ref))),
    )
}

fn everything_to(name: &str, cluster: &str) -> Value {
    let route = json!({ "cluster": cluster, "timeout": "0s" });
    json!({ "name": name, "match": { "prefix": "/" }, "route": route })
}

fn tcp_outbound() -> impl Iterator<Item = Value> {
    TCP.iter().map(|(name, host)| {
        let mut proxy = tcp_proxy(&outbound(TCP_PORT, name));
        if let Some(own) = proxy.get_mut("typed_config").filter(|_| *name == "tcp-brief") {
            // A `maxConnectionDuration` of a DestinationRule.
            *own = with(own.take(), json!({ "max_downstream_connection_duration": "0.2s" }));
        }
        let filters = json!({ "filters": [proxy] });
        handed_over(&format!("{host}_{TCP_PORT}"), host, TCP_PORT, filters)
    })
}

/// The listener that takes every connection to the workload: a filter chain a port.
fn virtual_inbound(own: &Identity, filter: Option<&Value>) -> Value {
    let http = |port: u16| {
        let route = everything_to("default", &format!("inbound|{port}||"));
        let host = virtual_host(&format!("inbound|http|{port}"), &["*"], &[route]);
        let filters: Vec<_> = [deny("http")].into_iter().chain(filter.cloned()).collect();
        filter_chain(http_by_host(&[host], &filters))
    };
    let mut strict = chain("0.0.0.0_8080", Some(8080), http(8080));
    if let Some(accepts) = strict.get_mut("filter_chain_match") {
        *accepts = with(accepts.take(), json!({ "transport_protocol": "tls" }));
    }
    let strict = with(strict, json!({ "transport_socket": own.downstream() }));
    let closed = json!({ "filters": [deny("network"), tcp_proxy("inbound|9000||")] });
    let chains = json!([
        chain("virtualInbound-blackhole", Some(15006), to_cluster("BlackHoleCluster")),
        strict,
        chain("0.0.0.0_8081", Some(8081), http(8081)),
        chain("0.0.0.0_9000", Some(9000), closed),
    ]);
    let members = json!({ "listener_filters": listener_filters(), "filter_chains": chains });
    with(listener("virtualInbound", "INBOUND", json!({})), members)
}

/// An AuthorizationPolicy as a filter: over HTTP it denies one path, else everything.
fn deny(layer: &str) -> Value {
    let permission = match layer {
        "http" => json!({ "url_path": { "path": { "prefix": "/denied" } } }),
        _ => json!({ "any": true }),
    };
    let policy = json!({ "permissions": [permission], "principals": [{ "any": true }] });
    let rules =
        json!({ "action": "DENY", "policies": { "ns[default]-policy[deny]-rule[0]": policy } });
    let mut members = json!({ "rules": rules });
    if layer == "network" {
        members = with(members, json!({ "stat_prefix": "tcp." }));
    }
    extension(
        &format!("envoy.filters.{layer}.rbac"),
        &format!("extensions.filters.{layer}.rbac.v3.RBAC"),
        members,
    )
}

fn gateway(filter: Option<&Value>) -> Value {
    let host = virtual_host(
        "shop.example:80",
        &["shop.example"],
        &[everything_to("", &outbound(8080, "mock-server"))],
    );
    listener(GATEWAY, "OUTBOUND", http_by_host(&[host], filter.map_or(&[], std::slice::from_ref)))
}

fn clusters(ports: &Ports, modules: Option<u16>) -> Vec<Value> {
    let original = |name: &str| {
        json!({
            "name": name,
            "type": "ORIGINAL_DST",
            "connect_timeout": "10s",
            "lb_policy": "CLUSTER_PROVIDED",
        })
    };
    let mut clusters = vec![
        cluster("BlackHoleCluster", &[]),
        original("PassthroughCluster"),
        cluster("inbound|8080||", &[ports.mock]),
        cluster("inbound|8081||", &[ports.refused]),
        cluster("inbound|9000||", &[ports.silent]),
        cluster(&outbound(8080, "mock-server"), &[ports.mock]),
        with(cluster(&outbound(8080, "grpc"), &[ports.grpc]), http2(json!({}))),
        cluster(&outbound(8080, "refused"), &[ports.refused]),
        cluster(&outbound(8080, "websocket"), &[ports.websocket]),
        cluster(&outbound(TCP_PORT, "tcp-mock"), &[ports.mock]),
        cluster(&outbound(TCP_PORT, "tcp-refused"), &[ports.refused]),
        cluster(&outbound(TCP_PORT, "tcp-empty"), &[]),
        with(
            cluster(&outbound(TCP_PORT, "tcp-full"), &[ports.silent]),
            json!({ "circuit_breakers": limits(json!({ "max_connections": 1 })) }),
        ),
        cluster(&outbound(TCP_PORT, "tcp-brief"), &[ports.silent]),
    ];
    clusters.extend(modules.map(|port| cluster(&outbound(80, "modules"), &[port])));
    clusters
}

/// The caller: to the port `inbound` it opens TLS, and passes on which address was meant.
pub(super) fn caller(own: &Identity, peer: &str, inbound: u16) -> Value {
    let none = typed("extensions.transport_sockets.tls.v3.UpstreamTlsContext", json!({}));
    let none = json!({ "name": tls::TLS, "typed_config": none });
    let ways = [
        (WITH_CERTIFICATE, own.upstream("sidecar", peer, &["istio"])),
        (WITHOUT_CERTIFICATE, none),
    ];
    let kind = "extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport";
    let clusters = ways.map(|(name, socket)| {
        let members = json!({ "config": { "version": "V1" }, "transport_socket": socket });
        let socket = extension("envoy.transport_sockets.upstream_proxy_protocol", kind, members);
        with(cluster(name, &[inbound]), json!({ "transport_socket": socket }))
    });
    let listeners = [WITH_CERTIFICATE, WITHOUT_CERTIFICATE].map(|name| {
        let members = json!({
            "listener_filters": listener_filters(),
            "filter_chains": [to_cluster(name)],
        });
        with(listener(name, "OUTBOUND", json!({})), members)
    });
    config::bootstrap("caller", &listeners, &clusters)
}
