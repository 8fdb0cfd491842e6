//! The causes: a closed list, one row each.
//!
//! A row says at which gate the cause stops a request, on whose side it is, whether the request usually
//! reached the application, the RFC 9209 error type, and what to look at first. What decides for a cause
//! stands in the tables of evidence (`details`, `resets`, `transport`, `termination`, `flags`).

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::look::{Look, both, inbound, outbound};
use crate::terms::{Delivered, Gate, Side};

/// One cause of failure: a row of [`CAUSES`]. The order is that of the rows: by gate first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cause(u8);

/// What is known of one cause.
#[derive(Debug)]
pub struct Row {
    /// Its name everywhere outside the code.
    pub name: &'static str,
    /// Where it stops a request.
    pub gate: Gate,
    /// On whose side it is.
    pub side: Side,
    /// Did the request reach the application? The usual value; evidence narrows it.
    pub delivered: Delivered,
    /// The error type of RFC 9209 section 2.3; `None` where no caller is left to read one.
    pub error: Option<&'static str>,
    /// What to look at, most likely first.
    pub look: &'static [Look],
}

const fn row(
    name: &'static str,
    gate: Gate,
    side: Side,
    delivered: Delivered,
    error: &'static str,
    look: &'static [Look],
) -> Row {
    let error = if error.is_empty() { None } else { Some(error) };
    Row { name, gate, side, delivered, error, look }
}

use Delivered::{Maybe, No, Yes};
use Gate::{
    Application, Cluster, Connect, Downstream, Endpoint, Filter, Listener, Pool, Request, Response,
    Route, Unknown,
};
use Side::{Downstream as Down, Local, Upstream as Up};

/// Every cause, sorted by gate. An empty error is no error type.
#[rustfmt::skip]
pub const CAUSES: &[Row] = &[
    row("filter_chain_not_found", Listener, Local, No, "destination_not_found", &[
        both("Gateway servers: hosts, port protocol, SNI"), both("PeerAuthentication mtls.mode")]),
    row("downstream_tls_error", Listener, Down, No, "", &[
        both("PeerAuthentication mtls.mode"), both("the caller's DestinationRule trafficPolicy.tls and its certificate")]),
    row("downstream_tls_timeout", Listener, Down, No, "", &[
        both("the caller: it opened a connection and did not finish its TLS handshake"), both("the network between")]),
    row("connection_denied", Listener, Local, No, "", &[
        both("AuthorizationPolicy[/{policy}] rules on ports and principals")]),
    row("proxy_overloaded", Listener, Local, No, "proxy_internal_error", &[
        both("the memory and CPU limits of the proxy[ of {proxy}]"), both("the bootstrap's overload_manager")]),

    row("malformed_request", Request, Down, No, "http_request_error", &[
        both("the client: it does not speak valid HTTP"), both("Service port name or appProtocol: is this port HTTP at all?")]),
    row("headers_too_large", Request, Down, No, "http_request_error", &[
        both("the client's cookies and headers")]),
    row("unsupported_protocol_version", Request, Down, No, "http_request_error", &[
        both("the client: it speaks HTTP/1.0")]),
    row("missing_host", Request, Down, No, "http_request_error", &[
        both("the client: it sent no Host header")]),
    row("invalid_path", Request, Down, No, "http_request_error", &[
        both("the client's request path"), both("MeshConfig pathNormalization")]),
    row("invalid_envoy_headers", Request, Down, No, "http_request_error", &[
        both("the client's x-envoy-* headers")]),
    row("upgrade_rejected", Request, Local, No, "http_upgrade_failed", &[
        both("the upgrade configuration of the listener or route[ {route}]")]),
    row("request_timeout", Request, Down, No, "http_request_error", &[
        both("a slow client"), both("the request and header timeouts of the listener")]),
    row("request_too_large", Request, Down, No, "http_request_error", &[
        both("the buffer limit of the listener or filter"), both("the size of the client's request")]),

    row("authorization_denied", Filter, Local, No, "http_request_denied", &[
        both("AuthorizationPolicy[/{policy}][ rule {rule}]")]),
    row("authentication_failed", Filter, Local, No, "http_request_denied", &[
        both("RequestAuthentication jwtRules"), both("the caller's credentials")]),
    row("external_authorization_denied", Filter, Local, No, "http_request_denied", &[
        both("the external authorizer's decision"), both("AuthorizationPolicy action CUSTOM")]),
    row("external_authorization_error", Filter, Local, No, "proxy_internal_error", &[
        both("the external authorizer's health"), both("MeshConfig extensionProviders")]),
    row("rate_limited", Filter, Local, No, "http_request_denied", &[
        both("the rate limit configuration of this proxy[ ({proxy})]")]),
    row("rate_limit_error", Filter, Local, No, "proxy_internal_error", &[
        both("the rate limit service's health")]),
    row("fault_injected", Filter, Local, No, "proxy_internal_response", &[
        both("VirtualService[/{service}] http.fault.abort")]),
    row("external_processing_error", Filter, Local, No, "proxy_internal_error", &[
        both("the external processor's health")]),
    row("admission_denied", Filter, Local, No, "connection_limit_reached", &[
        both("the admission control filter: the success rate of[ {service}] the upstream fell")]),
    row("health_check_failed", Filter, Local, No, "destination_unavailable", &[
        both("the local health check"), both("is the workload draining?")]),
    row("filter_failed", Filter, Local, No, "proxy_internal_error", &[
        both("the extension that broke the stream: WasmPlugin or EnvoyFilter of this workload[ ({proxy})]")]),
    row("filter_config_missing", Filter, Local, No, "proxy_configuration_error", &[
        both("WasmPlugin and EnvoyFilter of this workload: is their configuration delivered?"), both("istiod connection")]),
    row("filter_response", Filter, Local, No, "proxy_internal_response", &[
        both("the filter that response_code_details names")]),

    row("route_not_found", Route, Local, No, "destination_not_found", &[
        outbound("VirtualService hosts and http.match"), both("Gateway servers.hosts"), outbound("Sidecar egress.hosts")]),
    row("route_config_not_found", Route, Local, No, "destination_not_found", &[
        both("istiod connection: the route configuration has not arrived"), both("istioctl proxy-status")]),
    row("egress_blocked", Route, Local, No, "destination_not_found", &[
        both("ServiceEntry for the requested host"), both("Sidecar or MeshConfig outboundTrafficPolicy: REGISTRY_ONLY")]),
    row("direct_response", Route, Local, No, "proxy_internal_response", &[
        both("VirtualService[/{service}] http.directResponse")]),

    row("cluster_not_found", Cluster, Local, No, "proxy_configuration_error", &[
        outbound("DestinationRule[/{service}] subsets[: {subset}]"), outbound("Service or ServiceEntry[ {service}]"), both("Sidecar egress.hosts")]),
    row("maintenance_mode", Cluster, Local, No, "destination_unavailable", &[
        both("runtime upstream.maintenance_mode[.{cluster}]")]),

    row("no_endpoints", Endpoint, Up, No, "destination_unavailable", &[
        outbound("Service[/{service}] spec.selector"), outbound("EndpointSlice of Service[/{service}]"), both("Pod readiness"),
        outbound("[DestinationRule/{service} subsets: {subset}]")]),
    row("endpoints_unhealthy", Endpoint, Up, No, "destination_unavailable", &[
        outbound("DestinationRule[/{service}] trafficPolicy.outlierDetection"), both("why the endpoints failed before: earlier records of this upstream"),
        both("Pod readiness")]),
    row("no_healthy_upstream", Endpoint, Up, No, "destination_unavailable", &[
        outbound("Service[/{service}] spec.selector"), outbound("EndpointSlice of Service[/{service}]"), both("Pod readiness"),
        outbound("DestinationRule[/{service}] trafficPolicy.outlierDetection")]),
    row("dns_failure", Endpoint, Up, No, "dns_error", &[
        outbound("ServiceEntry[/{service}] hosts and resolution"), both("CoreDNS")]),
    row("load_shed", Endpoint, Local, No, "connection_limit_reached", &[
        both("the drop policy of the load assignment[ of {cluster}]")]),

    row("connection_pool_overflow", Pool, Local, No, "connection_limit_reached", &[
        both("DestinationRule[/{service}] trafficPolicy.connectionPool"), both("connectionPool.tcp.maxConnections and http.http1MaxPendingRequests")]),
    row("max_requests_overflow", Pool, Local, No, "connection_limit_reached", &[
        both("DestinationRule[/{service}] trafficPolicy.connectionPool.http.http2MaxRequests")]),
    row("upstream_overflow", Pool, Local, No, "connection_limit_reached", &[
        both("DestinationRule[/{service}] trafficPolicy.connectionPool")]),

    row("connection_refused", Connect, Up, No, "connection_refused", &[
        outbound("Service[/{service}] targetPort[ of port {port}]"), inbound("the application[ of {proxy}]: is it listening[ on port {port}]?"),
        outbound("is the application listening on that port?")]),
    row("connection_timeout", Connect, Up, No, "connection_timeout", &[
        outbound("NetworkPolicy[ towards {service}]"), both("firewall, node and routes to upstream_host"), both("a TLS peer that never answers: is the port TLS at all?")]),
    row("connection_reset", Connect, Up, No, "connection_terminated", &[
        outbound("Service[/{service}] port name or appProtocol[ of port {port}]"), outbound("AuthorizationPolicy (L4) and PeerAuthentication of the peer"),
        inbound("the application[ of {proxy}]: it closes connections as they open")]),
    row("host_unreachable", Connect, Up, No, "destination_ip_unroutable", &[
        both("routes, CNI and egress to upstream_host"), outbound("EndpointSlice of Service[/{service}]: a stale address?")]),
    row("local_connection_failure", Connect, Local, No, "proxy_internal_error", &[
        both("this proxy's bind and source address"), both("its file descriptor limit")]),
    row("tls_plaintext_peer", Connect, Up, No, "tls_protocol_error", &[
        outbound("DestinationRule[/{service}] trafficPolicy.tls.mode"), outbound("has the server a sidecar? PeerAuthentication and injection of its namespace"),
        inbound("Sidecar ingress tls: the application answers plain text")]),
    row("tls_certificate_untrusted", Connect, Up, No, "tls_certificate_error", &[
        outbound("DestinationRule[/{service}] trafficPolicy.tls.caCertificates"), both("root CA and trust domain on both sides")]),
    row("tls_certificate_expired", Connect, Up, No, "tls_certificate_error", &[
        both("certificate rotation of the server"), both("clocks on both sides")]),
    row("tls_san_mismatch", Connect, Up, No, "tls_certificate_error", &[
        outbound("DestinationRule[/{service}] trafficPolicy.tls.subjectAltNames"), outbound("ServiceEntry[/{service}] subjectAltNames"), both("the server's service account")]),
    row("tls_alert_received", Connect, Up, No, "tls_alert_received", &[
        outbound("DestinationRule[/{service}] trafficPolicy.tls: our client certificate"), both("the CA that the peer trusts")]),
    row("tls_secret_missing", Connect, Local, No, "proxy_configuration_error", &[
        both("istioctl proxy-config secret: has SDS delivered the certificate?"), both("DestinationRule[/{service}] trafficPolicy.tls.credentialName")]),
    row("tls_protocol_mismatch", Connect, Up, No, "tls_protocol_error", &[
        both("TLS versions, ciphers and ALPN on both sides"), outbound("DestinationRule[/{service}] trafficPolicy.tls")]),
    row("tls_error", Connect, Up, No, "tls_protocol_error", &[
        both("TLS settings on both sides"), outbound("DestinationRule[/{service}] trafficPolicy.tls")]),
    row("connection_failure", Connect, Up, No, "destination_unavailable", &[
        outbound("Service[/{service}] targetPort[ of port {port}]"), outbound("NetworkPolicy[ towards {service}]"), outbound("DestinationRule[/{service}] trafficPolicy.tls.mode"),
        inbound("the application[ of {proxy}]: is it listening[ on port {port}]?")]),

    row("response_timeout", Response, Up, Maybe, "http_response_timeout", &[
        both("VirtualService[/{service}] http.timeout"), both("the application's latency")]),
    row("per_try_timeout", Response, Up, Maybe, "http_response_timeout", &[
        both("VirtualService[/{service}] http.retries.perTryTimeout"), both("the application's latency")]),
    row("stream_idle_timeout", Response, Up, Maybe, "connection_read_timeout", &[
        both("the stream idle timeout of the listener or route[ {route}]"), both("which side of the stream fell silent?")]),
    row("max_stream_duration", Response, Up, Maybe, "http_response_timeout", &[
        both("the maximum stream duration of the listener or route[ {route}]")]),
    row("connection_terminated", Response, Up, Maybe, "connection_terminated", &[
        inbound("the application[ of {proxy}]: crash, or its keep-alive timeout against ours"),
        outbound("the application: crash, or its keep-alive timeout against ours"),
        outbound("PeerAuthentication STRICT, AuthorizationPolicy (L4) or a rejected client certificate on the server's side[: {service}]")]),
    row("upstream_reset", Response, Up, Maybe, "connection_terminated", &[
        inbound("the application[ of {proxy}]: it reset the stream"), outbound("the application or its proxy: it reset the stream")]),
    row("stream_refused", Response, Up, No, "connection_terminated", &[
        both("GOAWAY: is the upstream draining or restarting?"), both("the upstream's limit of concurrent streams")]),
    row("protocol_error", Response, Up, Maybe, "http_protocol_error", &[
        both("Service[/{service}] port name or appProtocol[ of port {port}]: HTTP/1 or HTTP/2?"), both("the application's response headers")]),
    row("response_incomplete", Response, Up, Yes, "http_response_incomplete", &[
        inbound("the application[ of {proxy}]: it closed or reset in the middle of its response"),
        outbound("the application: it closed or reset in the middle of its response")]),
    row("local_reset", Response, Local, Maybe, "proxy_internal_error", &[
        both("this proxy reset the stream itself: a timeout, overload or a filter")]),
    row("response_too_large", Response, Up, Yes, "http_response_body_size", &[
        both("the buffer limit of the filter"), both("the size of the application's response")]),
    row("retry_buffer_exceeded", Response, Local, Maybe, "proxy_internal_error", &[
        both("VirtualService[/{service}] http.retries with large request bodies"), both("the per-connection buffer limit")]),
    row("upgrade_refused", Response, Up, Yes, "http_upgrade_failed", &[
        both("the application: it refused the protocol upgrade")]),

    row("client_disconnected", Downstream, Down, Maybe, "", &[
        both("the caller's timeout or cancel"), both("the caller's own proxy: its record says response_timeout if it gave up")]),
    row("client_reset", Downstream, Down, Maybe, "", &[
        both("the caller's cancel or gRPC deadline"), both("the caller's own proxy: its record says response_timeout if it gave up")]),
    row("connection_closed_locally", Downstream, Local, Maybe, "", &[
        both("is this proxy draining or restarting?"), both("its own connection limits and timeouts")]),
    row("max_connection_duration", Downstream, Local, Maybe, "", &[
        both("the maximum connection duration of the listener")]),

    row("application_error", Application, Up, Yes, "", &[
        inbound("the logs of the application[ of {proxy}]"), outbound("the application's own logs[: {service}]")]),

    row("unrecognized", Unknown, Local, Maybe, "proxy_internal_error", &[
        both("the raw evidence in this record")]),
];

impl Cause {
    /// The cause of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|cause| cause.name() == name)
    }

    /// Every cause, sorted by gate.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..u8::MAX).zip(CAUSES).map(|(index, _)| Self(index))
    }

    /// Its name everywhere outside the code.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// All that is known of it.
    #[must_use]
    pub fn row(self) -> &'static Row {
        CAUSES.get(usize::from(self.0)).unwrap_or(LAST)
    }
}

/// `unrecognized`.
const LAST: &Row = match CAUSES {
    [.., last] => last,
    [] => no_such_row(),
};

/// The cause of that name, for tables and constants only: a name without a row does not compile.
pub(crate) const fn cause(name: &str) -> Cause {
    let (mut rows, mut index) = (CAUSES, 0);
    while let [row, rest @ ..] = rows {
        if equal(row.name, name) {
            return Cause(index);
        }
        (rows, index) = (rest, index + 1);
    }
    no_such_row()
}

#[expect(clippy::panic, reason = "reached by the compiler only: every caller is a constant")]
pub(crate) const fn no_such_row() -> ! {
    panic!("no row of that name");
}

/// `==` for strings, which a constant cannot call yet.
pub(crate) const fn equal(left: &str, right: &str) -> bool {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    while let ([a, left_rest @ ..], [b, right_rest @ ..]) = (left, right) {
        if *a != *b {
            return false;
        }
        (left, right) = (left_rest, right_rest);
    }
    left.is_empty() && right.is_empty()
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Cause {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let unknown = || serde::de::Error::custom(alloc::format!("unknown cause `{name}`"));
        Self::named(&name).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// RFC 9209 section 2.3, the registered proxy error types.
    #[rustfmt::skip]
    const RFC_9209: [&str; 32] = [
        "dns_timeout", "dns_error", "destination_not_found", "destination_unavailable",
        "destination_ip_prohibited", "destination_ip_unroutable", "connection_refused",
        "connection_terminated", "connection_timeout", "connection_read_timeout",
        "connection_write_timeout", "connection_limit_reached", "tls_protocol_error",
        "tls_certificate_error", "tls_alert_received", "http_request_error", "http_request_denied",
        "http_response_incomplete", "http_response_header_section_size", "http_response_header_size",
        "http_response_body_size", "http_response_trailer_section_size", "http_response_trailer_size",
        "http_response_transfer_coding", "http_response_content_coding", "http_response_timeout",
        "http_upgrade_failed", "http_protocol_error", "proxy_internal_response", "proxy_internal_error",
        "proxy_configuration_error", "proxy_loop_detected",
    ];

    #[test]
    fn the_rows_are_sorted_by_gate_and_no_name_stands_twice() {
        assert!(CAUSES.is_sorted_by_key(|row| row.gate));
        let mut names: Vec<&str> = CAUSES.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CAUSES.len());
    }

    #[test]
    fn every_error_type_is_registered() {
        for row in CAUSES {
            assert!(row.error.is_none_or(|error| RFC_9209.contains(&error)), "{}", row.name);
        }
    }

    #[test]
    fn only_causes_that_leave_nobody_to_read_it_have_no_error_type() {
        for row in CAUSES.iter().filter(|row| row.error.is_none()) {
            let silent = matches!(row.gate, Listener | Downstream | Application);
            assert!(silent, "{} is answered, so it needs an error type", row.name);
        }
    }

    #[test]
    fn what_never_left_this_proxy_was_not_delivered() {
        for row in CAUSES {
            if row.gate < Response {
                assert_eq!(row.delivered, No, "{}", row.name);
            }
        }
    }

    #[test]
    fn every_cause_says_what_to_look_at_in_both_directions() {
        use crate::terms::Direction;
        for row in CAUSES {
            for direction in [Direction::Inbound, Direction::Outbound, Direction::Unspecified] {
                assert!(
                    row.look.iter().any(|look| look.applies(direction)),
                    "{} says nothing for {direction:?}",
                    row.name
                );
            }
        }
    }

    #[test]
    fn a_cause_reads_back_from_its_name() {
        for cause in Cause::all() {
            assert_eq!(Cause::named(cause.name()), Some(cause));
            let json = serde_json::to_string(&cause).unwrap();
            assert_eq!(serde_json::from_str::<Cause>(&json).unwrap(), cause);
        }
        assert_eq!(Cause::named("no_such_cause"), None);
    }
}
