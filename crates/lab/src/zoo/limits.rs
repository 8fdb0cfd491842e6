//! Limits and clusters: what the router says before an upstream connection is tried.

use serde_json::{Value, json};

use super::play::{Scenario, scenario};
use super::site::{Parts, Site, everything_to, filter, grpc_service, over_http2};
use crate::client::Request;
use crate::config::{extension, http, with};
use crate::{Error, PATIENCE, Result, wait_until};

/// The clusters, their ways, and the listeners of filters that choose a cluster.
pub(super) fn build(site: &Site<'_>, parts: &mut Parts) -> Result<()> {
    parts.clusters.push(site.cluster_of("refused", "refused")?);
    parts.way_with(
        site.cluster_of("redirected", "mock")?,
        json!({ "internal_redirect_policy": {} }),
    );
    parts.way(site.cluster_of("in-maintenance", "mock")?);
    parts.set("upstream.maintenance_mode.in-maintenance", json!(100));
    for (name, percent) in [("dropping-all", 100), ("dropping-most", 90)] {
        let mut cluster = site.cluster_of(name, "mock")?;
        let drops = json!([{
            "category": "zoo",
            "drop_percentage": { "numerator": percent, "denominator": "HUNDRED" },
        }]);
        if let Some(assignment) = cluster.get_mut("load_assignment") {
            *assignment = with(assignment.take(), json!({ "policy": { "drop_overloads": drops } }));
        }
        parts.way(cluster);
    }
    parts.clusters.push(over_http2(site.cluster_of("never-delivers", "silent")?));
    strict_headers(site, parts);
    sub_clusters(site, parts)?;
    dynamic_forward_proxy(site, parts);
    on_demand(site, parts);
    Ok(())
}

fn strict_headers(site: &Site<'_>, parts: &mut Parts) {
    let strict = json!({ "strict_check_headers": ["x-envoy-max-retries"] });
    let mut http = http(&[super::site::to_the_server()], &[]);
    http = with(
        http,
        json!({
            "http_filters": [filter("router", "Router", strict)],
            "use_remote_address": true,
            // Only an internal caller's headers are kept to be looked at.
            "internal_address_config": { "cidr_ranges": [{ "address_prefix": "127.0.0.0", "prefix_len": 8 }] },
        }),
    );
    parts.listener(site.listener("strict-headers", http));
}

/// A port that says at once that nobody resolves names there.
const NOBODY: u16 = 1;

/// Names are looked up at that port, for no longer than that many seconds.
fn resolver(port: u16, seconds: u32) -> Value {
    let nobody = json!({ "socket_address": {
        "address": "127.0.0.1",
        "port_value": port,
        "protocol": "UDP",
    } });
    extension(
        "envoy.network.dns_resolver.cares",
        "extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
        json!({ "resolvers": [nobody], "query_timeout_seconds": seconds, "query_tries": 1 }),
    )
}

fn dns_cache(name: &str, members: Value) -> Value {
    with(
        json!({
            "name": name,
            "dns_lookup_family": "V4_ONLY",
            "typed_dns_resolver_config": resolver(NOBODY, 1),
        }),
        members,
    )
}

fn dynamic_forward_proxy(site: &Site<'_>, parts: &mut Parts) {
    const KIND: &str = "extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig";
    let full = json!({ "dns_cache_circuit_breaker": { "max_pending_requests": 0 } });
    let one = json!({ "max_hosts": 1 });
    for (name, members) in [("unknown-names", json!({})), ("no-lookups", full), ("one-name", one)] {
        let cache = dns_cache(name, members);
        let own = json!({ "dns_cache_config": cache });
        parts.clusters.push(json!({
            "name": name,
            "lb_policy": "CLUSTER_PROVIDED",
            "connect_timeout": "1s",
            "cluster_type": extension("envoy.clusters.dynamic_forward_proxy", KIND, own.clone()),
        }));
        let filter = filter("dynamic_forward_proxy", "FilterConfig", own);
        parts.gate_to(site, name, filter, &[everything_to(name)]);
    }
}

/// Room for the cluster of one host.
fn sub_clusters(site: &Site<'_>, parts: &mut Parts) -> Result<()> {
    const KIND: &str = "extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig";
    for (name, timeout) in [("one-host", "5s"), ("never-warm", "0.05s")] {
        let own = json!({ "sub_clusters_config": { "max_sub_clusters": 1 } });
        parts.clusters.push(json!({
            "name": name,
            "lb_policy": "CLUSTER_PROVIDED",
            "connect_timeout": "1s",
            "typed_dns_resolver_config": resolver(site.peers.silent_resolver()?, 5),
            "cluster_type": extension("envoy.clusters.dynamic_forward_proxy", KIND, own),
        }));
        let members = json!({ "sub_cluster_config": { "cluster_init_timeout": timeout } });
        let filter = filter("dynamic_forward_proxy", "FilterConfig", members);
        parts.gate_to(site, name, filter, &[everything_to(name)]);
    }
    Ok(())
}

fn on_demand(site: &Site<'_>, parts: &mut Parts) {
    let source = json!({
        "resource_api_version": "V3",
        "api_config_source": {
            "api_type": "DELTA_GRPC",
            "transport_api_version": "V3",
            "grpc_services": [grpc_service("never-delivers")],
        },
    });
    let config = json!({ "odcds": { "source": source, "timeout": "0.1s" } });
    let route = json!({
        "name": "default",
        "match": { "prefix": "/" },
        "route": { "cluster_header": "x-cluster" },
    });
    parts.gate_to(site, "on-demand", filter("on_demand", "OnDemand", config), &[route]);
}

/// What stops at the gates `cluster`, `endpoint` and `pool`, and the router's own checks.
#[rustfmt::skip] // One scenario, one paragraph.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("a_cluster_in_maintenance_takes_nothing", &["maintenance_mode"], |play| {
        play.ask("/in-maintenance/status/200")
    }),
    scenario("a_grpc_call_that_is_redirected_inside_has_not_failed_yet", &["maintenance_mode"], |play| {
        let port = play.port("door")?;
        let path = "/redirected/status/302?header=location:http%3A//a/in-maintenance";
        Request::get(path).header("content-type", "application/grpc").header("x-request-id", "inside").send(port)?;
        play.both_streams("inside")
    }),
    scenario("a_cluster_that_drops_all_sheds_its_load", &["load_shed"], |play| {
        play.ask("/dropping-all/status/200")
    }),
    scenario("a_cluster_that_drops_most_sheds_some_of_its_load", &["load_shed"], |play| {
        // Nine of ten are dropped: one is soon.
        for _ in 0..100 {
            let port = play.port("door")?;
            if play.get("/dropping-most/status/200").send(port)?.status == 503 {
                return Ok(());
            }
            play.forget();
        }
        Err(Error::new("waiting for a request to be dropped", "none of 100 was"))
    }),
    scenario("a_header_of_envoys_must_make_sense", &["invalid_envoy_headers"], |play| {
        let port = play.port("strict-headers")?;
        play.get("/status/200").header("x-envoy-max-retries", "many").send(port).map(drop)
    }),
    scenario("a_name_that_nobody_knows_is_a_dns_failure", &["dns_failure"], |play| {
        let port = play.port("unknown-names")?;
        play.get("/").header("host", "unknown.invalid").send(port).map(drop)
    }),
    scenario("a_full_resolver_looks_nothing_up", &["upstream_overflow"], |play| {
        let port = play.port("no-lookups")?;
        play.get("/").header("host", "unknown.invalid").send(port).map(drop)
    }),
    scenario("a_second_host_may_be_one_too_many", &["connection_refused", "upstream_overflow"], |play| {
        let port = play.port("one-host")?;
        play.get("/status/200").header("host", "127.0.0.1:1").send(port)?;
        play.get("/status/200").header("host", "127.0.0.2:1").send(port).map(drop)
    }),
    scenario("a_cluster_of_one_host_may_never_be_warm", &["cluster_not_found"], |play| {
        let port = play.port("never-warm")?;
        play.get("/").header("host", "unknown.invalid").send(port).map(drop)
    }),
    scenario("a_second_name_may_be_one_too_many", &["dns_failure", "upstream_overflow"], |play| {
        let port = play.port("one-name")?;
        let first = play.get("/").header("host", "unknown.invalid").start(port)?;
        let looked_up = || play.zoo.proxy.stat("dns_cache.one-name.num_hosts").is_ok_and(|hosts| hosts == 1);
        wait_until(PATIENCE, "the first name to be looked up", looked_up)?;
        play.get("/").header("host", "other.invalid").send(port)?;
        first.finish().map(drop)
    }),
    scenario("a_name_to_look_up_must_not_be_empty", &["missing_host"], |play| {
        play.say_with_id("unknown-names", "GET / HTTP/1.1\r\nhost: \r\nx-request-id: {id}\r\n\r\n")
    }),
    scenario("a_cluster_that_is_not_delivered_is_not_found", &["cluster_not_found"], |play| {
        let port = play.port("on-demand")?;
        play.get("/").header("x-cluster", "nowhere").send(port).map(drop)
    }),
];
