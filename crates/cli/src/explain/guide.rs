//! What each cause means, what it does not mean, and which commands show more: one row a cause.
//!
//! The words of the terminal and of the causes reference. What to look at stands with the cause itself, in
//! `failgate_verdict::cause`. Commands are templates; see `super::command`.

use failgate_verdict::Cause;

/// What is known of a cause beyond its row in the verdict crate.
#[derive(Debug)]
pub struct Guide {
    /// The cause.
    pub cause: &'static str,
    /// What happened.
    pub means: &'static str,
    /// What one might take it for, and it is not.
    pub is_not: &'static str,
    /// Commands that show more, most useful first.
    pub commands: &'static [&'static str],
}

const fn row(
    cause: &'static str,
    means: &'static str,
    is_not: &'static str,
    commands: &'static [&'static str],
) -> Guide {
    Guide { cause, means, is_not, commands }
}

/// The row of a cause. Every cause has one; a test looks.
#[must_use]
pub fn of(cause: Cause) -> Option<&'static Guide> {
    GUIDES.iter().find(|guide| guide.cause == cause.name())
}

const ANALYZE: &str = "istioctl analyze -n {namespace}";
const AUTHORIZATION: &str = "kubectl get authorizationpolicies -A";
const CLUSTERS: &str = "istioctl proxy-config clusters {proxy} --fqdn {host} -o yaml";
const DESCRIBE: &str = "istioctl experimental describe service {service}.{namespace}";
const DESTINATION_RULES: &str = "kubectl get destinationrules -A";
const ENDPOINTS: &str = "istioctl proxy-config endpoints {proxy} --cluster '{cluster}'";
const EXTENSIONS: &str = "kubectl get wasmplugins,envoyfilters -A";
const GATEWAYS: &str = "kubectl get gateways.networking.istio.io -A";
const JOIN: &str = "failgate inspect --join CLIENT.log SERVER.log";
const LISTENERS: &str = "istioctl proxy-config listeners {proxy}";
const LOGS: &str =
    "kubectl logs -n {namespace} -l app={service} --all-containers --prefix --since=10m";
const MESH: &str = "kubectl get configmap -n istio-system istio -o yaml";
const NETWORK_POLICIES: &str = "kubectl get networkpolicies -n {namespace}";
const PEER_AUTHENTICATION: &str = "kubectl get peerauthentications -A";
const PODS: &str = "kubectl get pods -n {namespace} -o wide";
const PREVIOUS: &str = "kubectl get events -n {namespace} --sort-by=.lastTimestamp";
const PROXY_LOGS: &str = "istioctl proxy-config log {proxy} --level connection:debug,router:debug";
const REQUEST_AUTHENTICATION: &str = "kubectl get requestauthentications -A";
const ROUTES: &str = "istioctl proxy-config routes {proxy} -o yaml";
const SECRETS: &str = "istioctl proxy-config secret {proxy}";
const SERVICE: &str = "kubectl get service -n {namespace} {service} -o yaml";
const SERVICE_ENTRIES: &str = "kubectl get serviceentries -A";
const SIDECARS: &str = "kubectl get sidecars -A";
const SLICES: &str =
    "kubectl get endpointslices -n {namespace} -l kubernetes.io/service-name={service}";
const STATUS: &str = "istioctl proxy-status";
const TOP: &str = "kubectl top pods -n {namespace} --containers";
const VIRTUAL_SERVICES: &str = "kubectl get virtualservices -A";

/// Every cause, in the order of the pipeline.
#[rustfmt::skip]
pub const GUIDES: &[Guide] = &[
    row("filter_chain_not_found",
        "A connection came in that no filter chain of the listener accepts: wrong SNI, no TLS where TLS is expected, or the other way round.",
        "Not a missing route (NR is its flag too): no request was ever read from this connection.",
        &[LISTENERS, GATEWAYS, PEER_AUTHENTICATION]),
    row("downstream_tls_error",
        "The caller's TLS handshake with this proxy failed; no request was read.",
        "Not seen by the server's HTTP access log, and to a caller with TLS 1.3 it may look like a connection that was closed (UC).",
        &[PEER_AUTHENTICATION, SECRETS, DESTINATION_RULES]),
    row("downstream_tls_timeout",
        "A caller opened a connection and did not finish its TLS handshake in time.",
        "Not a slow application: no request was read.",
        &[LISTENERS, NETWORK_POLICIES]),
    row("connection_denied",
        "An L4 authorization policy closed the connection before any request was read.",
        "Not a 403: the caller gets no HTTP answer, its own proxy says UC or a reset.",
        &["kubectl get authorizationpolicy {policy} -o yaml", AUTHORIZATION]),
    row("proxy_overloaded",
        "This proxy's overload manager refused the work to protect its memory or its CPU.",
        "Not an overloaded application: the request never left the proxy.",
        &[TOP, STATUS]),

    row("malformed_request",
        "What the client sent is not valid HTTP, so the codec rejected it.",
        "Not an application's 400: the application never saw the request. A client that speaks TLS or another protocol to an HTTP port looks like this too.",
        &[LISTENERS, SERVICE]),
    row("headers_too_large",
        "The request's headers are larger, or more, than this proxy accepts.",
        "Not a body that is too large; cookies are the usual reason.",
        &[LISTENERS]),
    row("unsupported_protocol_version",
        "The client speaks HTTP/1.0, which this proxy does not accept (426).",
        "Not a wrong port: the request was understood, and refused for its version.",
        &[LISTENERS]),
    row("missing_host",
        "The request has no Host header, so no route can be looked for.",
        "Not a missing route.",
        &[LISTENERS]),
    row("invalid_path",
        "The path could not be normalized or is not allowed: escaped slashes, a fragment, a zero byte.",
        "Not a path without a route (that is NR), and not the application's 404.",
        &[MESH]),
    row("invalid_envoy_headers",
        "An x-envoy-* header of the request has a value that Envoy cannot use.",
        "Not a mistake of the route.",
        &[ROUTES]),
    row("upgrade_rejected",
        "The client asked for a protocol upgrade that this listener or route does not allow.",
        "Not refused by the application: that would be upgrade_refused.",
        &[LISTENERS, ROUTES]),
    row("request_timeout",
        "The client did not send its whole request in time (408).",
        "Not a slow application: it had nothing to answer yet.",
        &[LISTENERS]),
    row("request_too_large",
        "The request's body is larger than a filter of this proxy buffers (413).",
        "Not necessarily the application's limit.",
        &[EXTENSIONS]),

    row("authorization_denied",
        "An AuthorizationPolicy denied the request, or there are ALLOW policies and none of them matched.",
        "Not the application's 403: it never saw the request. The flag is `-`, so a dashboard of flags does not show it.",
        &["kubectl get authorizationpolicy {policy} -o yaml", "istioctl experimental authz check {proxy}", AUTHORIZATION]),
    row("authentication_failed",
        "The request's credentials are missing, expired or not accepted here: a JWT, an API key, basic or OAuth2 authentication.",
        "Not the application's 401: it never saw the request. The flag is `-`. A failed fetch of the key set looks like a bad token.",
        &[REQUEST_AUTHENTICATION, MESH]),
    row("external_authorization_denied",
        "The external authorizer was asked and said no.",
        "Not an outage of the authorizer, unless the details are missing: UAEX alone stands for both.",
        &[AUTHORIZATION, MESH]),
    row("external_authorization_error",
        "The external authorizer could not be asked, or failed; requests are denied meanwhile.",
        "Not a denial, although the flag (UAEX) and the status (403) are those of one.",
        &[MESH, STATUS]),
    row("rate_limited",
        "A rate limit, local or global, was used up (429).",
        "Not a circuit breaker (UO), and not the application's own limit.",
        &[EXTENSIONS]),
    row("rate_limit_error",
        "The rate limit service failed, and the filter is configured to deny then.",
        "Not a limit that was reached.",
        &[EXTENSIONS, STATUS]),
    row("fault_injected",
        "A VirtualService aborts some requests on purpose.",
        "Not a real failure: somebody is testing, or forgot to stop.",
        &[VIRTUAL_SERVICES]),
    row("external_processing_error",
        "The external processor failed or timed out.",
        "Not the application: whether it saw the request depends on the phase.",
        &[EXTENSIONS]),
    row("admission_denied",
        "The admission control filter turned requests away because too many failed before.",
        "Not the first failure: earlier records say what failed.",
        &[EXTENSIONS]),
    row("health_check_failed",
        "This proxy answers that it is not healthy: a health check filter, or draining.",
        "Not a check by the upstream cluster; it is about this proxy itself.",
        &[PODS, PREVIOUS]),
    row("filter_failed",
        "An extension crashed or left the stream without what it needs, and is configured to fail closed.",
        "Not the application, and not a policy's decision.",
        &[EXTENSIONS, "kubectl logs -n {namespace} -l app={service} -c istio-proxy --since=10m"]),
    row("filter_config_missing",
        "A filter's configuration has not arrived, so requests are refused until it does.",
        "Not a filter that failed: it has not started.",
        &[STATUS, EXTENSIONS]),
    row("filter_response",
        "A filter of this proxy answered by itself: Lua, CSRF, Wasm, a transcoder.",
        "Not the application's answer, whatever its status.",
        &[EXTENSIONS, LISTENERS]),

    row("route_not_found",
        "No route matches the request's host and path.",
        "Not the application's 404, and not a missing endpoint: the request has not been given to any cluster.",
        &[ROUTES, VIRTUAL_SERVICES, GATEWAYS, ANALYZE]),
    row("route_config_not_found",
        "The listener waits for its routes, which istiod has not delivered.",
        "Not a missing VirtualService: nothing at all is known of the routes yet.",
        &[STATUS, ROUTES]),
    row("egress_blocked",
        "The host is not in the registry, and the mesh lets no traffic out to unknown hosts (REGISTRY_ONLY).",
        "Not a gateway's 502: this proxy made it, from the route `block_all` or the BlackHoleCluster.",
        &[SERVICE_ENTRIES, SIDECARS, MESH]),
    row("direct_response",
        "A route answers by itself with a fixed status.",
        "Not the application.",
        &[VIRTUAL_SERVICES, ROUTES]),

    row("cluster_not_found",
        "The route leads to a cluster that this proxy does not have: a subset that no DestinationRule defines, or a service outside of its Sidecar's scope.",
        "Not a service without endpoints (UH): the cluster itself is unknown.",
        &[DESTINATION_RULES, CLUSTERS, SIDECARS, ANALYZE]),
    row("maintenance_mode",
        "A runtime setting keeps all traffic from this cluster.",
        "Not a circuit breaker, although the flag is UO.",
        &[CLUSTERS]),

    row("no_endpoints",
        "The cluster has no endpoint at all: no Pod is selected or ready.",
        "Not outlier detection: there is nobody to eject.",
        &[SLICES, PODS, SERVICE, ENDPOINTS]),
    row("endpoints_unhealthy",
        "The cluster has endpoints, and all of them are ejected or unhealthy at the moment.",
        "Not a missing Pod: look at what failed before, not at the Service.",
        &[ENDPOINTS, DESTINATION_RULES, JOIN]),
    row("no_healthy_upstream",
        "No endpoint could be picked. Whether there are none or all are ejected, this line does not say.",
        "Not necessarily a missing Pod: outlier detection looks just the same here.",
        &[ENDPOINTS, SLICES, PODS]),
    row("dns_failure",
        "The upstream's name could not be resolved.",
        "Not a refused connection: no address was known.",
        &[SERVICE_ENTRIES, "kubectl logs -n kube-system -l k8s-app=kube-dns --since=10m"]),
    row("load_shed",
        "The load assignment drops part of this cluster's traffic.",
        "Not a circuit breaker of this proxy.",
        &[ENDPOINTS]),

    row("connection_pool_overflow",
        "No connection was free, and the queue for one was full.",
        "Not an error of the application: a limit of this proxy's DestinationRule, which each proxy counts for itself.",
        &[CLUSTERS, DESTINATION_RULES]),
    row("max_requests_overflow",
        "As many requests as the DestinationRule allows were under way at the same time.",
        "Not a full connection pool: an endpoint had been picked already.",
        &[CLUSTERS, DESTINATION_RULES]),
    row("upstream_overflow",
        "A circuit breaker was open: of connections, of pending requests, of requests or of retries.",
        "Not an error of the application. Which limit it was depends on whether an endpoint had been picked, which this line does not say.",
        &[CLUSTERS, DESTINATION_RULES]),

    row("connection_refused",
        "The endpoint's machine answered that nobody listens on that port.",
        "Not a firewall: that would time out. A sidecar that runs without its application refuses just so.",
        &[SERVICE, ENDPOINTS, PODS]),
    row("connection_timeout",
        "The connection, TCP and TLS together, was not ready in time.",
        "Not a slow response: no request was sent. A peer that waits for another protocol than TLS also times out here.",
        &[NETWORK_POLICIES, ENDPOINTS, PODS]),
    row("connection_reset",
        "The peer reset the connection while it was being made.",
        "Not a reset in the middle of a request.",
        &[SERVICE, AUTHORIZATION, PEER_AUTHENTICATION]),
    row("host_unreachable",
        "There is no way to the endpoint's address: the Pod is gone, or the network does not lead there.",
        "Not a refused connection: nobody answered at all.",
        &[ENDPOINTS, SLICES, PODS]),
    row("local_connection_failure",
        "This proxy could not open a socket of its own.",
        "Not the upstream's fault.",
        &[TOP]),
    row("tls_plaintext_peer",
        "This proxy spoke TLS, and the peer answered in plain text.",
        "Not a bad certificate: there was none. The server has no sidecar, or its port is excluded from it.",
        &[DESCRIBE, DESTINATION_RULES, PEER_AUTHENTICATION, PODS]),
    row("tls_certificate_untrusted",
        "This proxy does not trust the issuer of the server's certificate.",
        "Not an expired certificate, unless an Envoy before 1.37 wrote the line: it does not say which.",
        &[SECRETS, CLUSTERS, DESTINATION_RULES]),
    row("tls_certificate_expired",
        "The server's certificate is expired, or not valid yet.",
        "Not an untrusted issuer.",
        &[SECRETS, STATUS]),
    row("tls_san_mismatch",
        "The server's certificate is valid, and made out to another identity than expected.",
        "Not an untrusted issuer: the server's service account or the expected names are wrong.",
        &[CLUSTERS, SECRETS, DESTINATION_RULES]),
    row("tls_alert_received",
        "The peer broke off the TLS handshake: it does not accept our certificate, our protocol or our ciphers.",
        "Not seen with TLS 1.3 when it is about our certificate: then the connection is closed after the handshake (UC).",
        &[SECRETS, PEER_AUTHENTICATION, DESTINATION_RULES]),
    row("tls_secret_missing",
        "The certificate that the connection needs has not been delivered to this proxy.",
        "Not the peer's fault: nothing was sent to it.",
        &[SECRETS, STATUS, DESTINATION_RULES]),
    row("tls_protocol_mismatch",
        "The two sides have no TLS version, cipher or application protocol in common.",
        "Not a certificate's problem.",
        &[DESTINATION_RULES, CLUSTERS]),
    row("tls_error",
        "The TLS handshake with the upstream failed for another reason, which the transport failure reason names.",
        "Not a TCP problem: the connection was there.",
        &[SECRETS, CLUSTERS, DESTINATION_RULES]),
    row("connection_failure",
        "A connection to the endpoint could not be made, and the line does not say why.",
        "Not a response of the application: no request was sent on that attempt.",
        &[ENDPOINTS, SERVICE, NETWORK_POLICIES, PROXY_LOGS]),

    row("response_timeout",
        "The response did not come within the route's timeout.",
        "Not necessarily a slow application: retries share this time, and a server that was never reached is slow too.",
        &[VIRTUAL_SERVICES, LOGS, JOIN]),
    row("per_try_timeout",
        "One attempt took longer than retries.perTryTimeout.",
        "Not the route's own timeout: that may be longer.",
        &[VIRTUAL_SERVICES, LOGS]),
    row("stream_idle_timeout",
        "Nothing moved on the stream for as long as it may be idle.",
        "Not a limit of the whole duration.",
        &[LISTENERS, ROUTES]),
    row("max_stream_duration",
        "The stream lasted as long as it may.",
        "Not an idle stream: long downloads and server streams end so too.",
        &[ROUTES, LISTENERS]),
    row("connection_terminated",
        "The upstream's connection was closed after it had been made and before a response came.",
        "Not proof of a crash. Under STRICT mTLS with TLS 1.3 a rejected client certificate, plain text sent to a proxy that wants TLS, and an L4 denial look just the same; so does a keep-alive connection that the server closed as the request left.",
        &[PEER_AUTHENTICATION, AUTHORIZATION, LOGS, PREVIOUS, JOIN]),
    row("upstream_reset",
        "The upstream reset the stream before it responded.",
        "Not a closed connection: others on the same connection go on.",
        &[LOGS, JOIN]),
    row("stream_refused",
        "The upstream refused the stream before it did anything with it: draining, or too many streams.",
        "Not a failure of the request itself: a retry is safe.",
        &[PODS, PREVIOUS]),
    row("protocol_error",
        "What came back is not valid in the protocol that was expected.",
        "Not a bad gateway in between: this proxy made the 502. HTTP/1 and HTTP/2 mixed up by a port's name is the usual reason.",
        &[SERVICE, CLUSTERS, LOGS]),
    row("response_incomplete",
        "The response had started, and its rest did not come.",
        "Not a success, although the status says 200. An HTTP/1 body that is cut off is called a protocol error (UPE) by Envoy.",
        &[LOGS, PREVIOUS, JOIN]),
    row("local_reset",
        "This proxy reset the upstream stream itself.",
        "Not the upstream's doing.",
        &[PROXY_LOGS, EXTENSIONS]),
    row("response_too_large",
        "The response is larger than a filter of this proxy buffers.",
        "Not a failure of the application.",
        &[EXTENSIONS]),
    row("retry_buffer_exceeded",
        "The request's body is too large to be kept for a retry.",
        "Not a limit of the application.",
        &[VIRTUAL_SERVICES]),
    row("upgrade_refused",
        "The application answered a protocol upgrade with an ordinary response.",
        "Not a proxy's decision.",
        &[LOGS]),

    row("client_disconnected",
        "Whoever called this proxy closed the connection before the response was complete.",
        "Not proof that the user left: a caller's own proxy that reaches its timeout does just this. Its line of the same request id says UT.",
        &[JOIN, VIRTUAL_SERVICES]),
    row("client_reset",
        "Whoever called this proxy reset the stream: a cancel, or a gRPC deadline.",
        "Not proof that the user cancelled: a caller's own proxy that reaches its timeout does just this.",
        &[JOIN, VIRTUAL_SERVICES]),
    row("connection_closed_locally",
        "This proxy closed the caller's connection.",
        "Not the caller's doing.",
        &[PODS, PREVIOUS]),
    row("max_connection_duration",
        "The caller's connection was as old as it may become.",
        "Not an error of the application.",
        &[LISTENERS]),

    row("application_error",
        "Every gate was passed, and the response that came back says that it failed.",
        "Not necessarily the application's own: `via_upstream` only says that this proxy did not make it. The server's sidecar may have; its line of the same request id tells.",
        &[LOGS, JOIN]),

    row("unrecognized",
        "It failed, and what the line says is in no table.",
        "Not nothing: the evidence is kept as it was.",
        &[PROXY_LOGS]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_one_row_in_the_same_order() {
        let causes: Vec<&str> = Cause::all().map(Cause::name).collect();
        let guides: Vec<&str> = GUIDES.iter().map(|guide| guide.cause).collect();
        assert_eq!(guides, causes);
    }

    #[test]
    fn every_row_says_something_in_whole_sentences() {
        for guide in GUIDES {
            for text in [guide.means, guide.is_not] {
                assert!(text.len() > 15 && text.ends_with('.') && !text.contains("  "), "{text}");
            }
            assert!(guide.is_not.starts_with("Not "), "{}", guide.is_not);
            assert!(!guide.commands.is_empty(), "{}", guide.cause);
        }
    }
}
