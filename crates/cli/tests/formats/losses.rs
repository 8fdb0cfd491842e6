//! What a log can say that lacks some of the evidence: the cause that was judged live, the facts that are
//! missing, and the cause that is right without them. `None` is a failure that nothing else tells of.

/// A less exact verdict.
#[derive(Debug)]
pub struct Loss {
    /// The cause, with all the evidence.
    pub exact: &'static str,
    /// The facts that are missing; without just these the verdict is the less exact one.
    pub lacks: &'static [&'static str],
    /// The cause without them.
    pub read: Option<&'static str>,
}

const fn row(
    exact: &'static str,
    lacks: &'static [&'static str],
    read: Option<&'static str>,
) -> Loss {
    Loss { exact, lacks, read }
}

const DETAILS: &[&str] = &["response_code_details"];
const TERMINATION: &[&str] = &["connection_termination_details"];
const CONNECTING: &[&str] = &["response_code_details", "upstream_transport_failure_reason"];
const DETAILS_AND_GRPC: &[&str] = &["response_code_details", "grpc_status"];
const DOWNSTREAM: &[&str] = &["downstream_transport_failure_reason"];
const GRPC: &[&str] = &["grpc_status"];
const ENDPOINTS: &[&str] = &["upstream_endpoints"];
const CLUSTER: &[&str] = &["upstream_cluster", "upstream_endpoints"];
const HOP: &[&str] = &["hop"];

/// Every loss that the corpus shows.
#[rustfmt::skip]
pub const LOSSES: &[Loss] = &[
    row("connection_terminated",         HOP,         Some("application_error")),
    row("application_error",             GRPC,        None),
    row("authentication_failed",        GRPC,        None),
    row("authorization_denied",          GRPC,        None),
    row("filter_response",               GRPC,        None),
    row("endpoints_unhealthy",           ENDPOINTS,   Some("no_healthy_upstream")),
    row("no_endpoints",                  ENDPOINTS,   Some("no_healthy_upstream")),
    row("egress_blocked",                CLUSTER,     Some("no_healthy_upstream")),
    row("downstream_tls_error",          DOWNSTREAM,  None),
    row("connection_denied",             TERMINATION, None),
    row("downstream_tls_timeout",        TERMINATION, None),
    row("connection_refused",            CONNECTING,  Some("connection_failure")),
    row("connection_reset",              CONNECTING,  Some("connection_failure")),
    row("connection_timeout",           CONNECTING,  Some("connection_failure")),
    row("host_unreachable",              CONNECTING,  Some("connection_failure")),
    row("tls_alert_received",            CONNECTING,  Some("connection_failure")),
    row("tls_certificate_expired",       CONNECTING,  Some("connection_failure")),
    row("tls_certificate_untrusted",     CONNECTING,  Some("connection_failure")),
    row("tls_error",                     CONNECTING,  Some("connection_failure")),
    row("tls_plaintext_peer",            CONNECTING,  Some("connection_failure")),
    row("tls_protocol_mismatch",         CONNECTING,  Some("connection_failure")),
    row("tls_san_mismatch",              CONNECTING,  Some("connection_failure")),
    row("tls_secret_missing",            CONNECTING,  Some("connection_failure")),
    row("admission_denied",              DETAILS,     Some("application_error")),
    row("authentication_failed",         DETAILS,     None),
    row("authorization_denied",          DETAILS,     None),
    row("cluster_not_found",            DETAILS,     Some("application_error")),
    row("connection_closed_locally",     DETAILS,     Some("client_disconnected")),
    row("connection_pool_overflow",      DETAILS,     Some("upstream_overflow")),
    row("connection_timeout",            DETAILS,     Some("connection_failure")),
    row("direct_response",               DETAILS,     Some("application_error")),
    row("egress_blocked",                DETAILS,     Some("application_error")),
    row("external_authorization_error",  DETAILS,     Some("external_authorization_denied")),
    row("external_processing_error",     DETAILS,     Some("application_error")),
    row("filter_chain_not_found",        DETAILS,     Some("route_not_found")),
    row("filter_failed",                 DETAILS,     Some("application_error")),
    row("filter_failed",                 DETAILS,     Some("malformed_request")),
    row("filter_response",               DETAILS,     None),
    row("filter_response",               DETAILS,     Some("application_error")),
    row("filter_response",               DETAILS,     Some("unrecognized")),
    row("headers_too_large",             DETAILS,     Some("client_reset")),
    row("headers_too_large",             DETAILS,     Some("malformed_request")),
    row("invalid_path",                  DETAILS,     None),
    row("local_connection_failure",      DETAILS,     Some("connection_failure")),
    row("maintenance_mode",              DETAILS,     Some("upstream_overflow")),
    row("malformed_request",            DETAILS,     None),
    row("malformed_request",            DETAILS,     Some("client_reset")),
    row("max_requests_overflow",         DETAILS,     Some("upstream_overflow")),
    row("max_stream_duration",           DETAILS,     Some("application_error")),
    row("max_stream_duration",          DETAILS,     None),
    row("missing_host",                  DETAILS,     None),
    row("per_try_timeout",               DETAILS,     Some("response_timeout")),
    row("proxy_overloaded",              DETAILS,     Some("application_error")),
    row("proxy_overloaded",              DETAILS,     Some("client_reset")),
    row("proxy_overloaded",              DETAILS,     Some("malformed_request")),
    row("rate_limited",                  DETAILS,     None),
    row("request_timeout",               DETAILS,     None),
    row("request_too_large",             DETAILS,     None),
    row("response_incomplete",           DETAILS,     Some("connection_terminated")),
    row("response_incomplete",           DETAILS,     Some("protocol_error")),
    row("response_incomplete",           DETAILS,     Some("upstream_reset")),
    row("response_incomplete",          DETAILS,     None),
    row("response_incomplete",          DETAILS,     Some("application_error")),
    row("response_too_large",            DETAILS,     Some("application_error")),
    row("retry_buffer_exceeded",         DETAILS,     Some("application_error")),
    row("route_not_found",              DETAILS,     None),
    row("stream_refused",                DETAILS,     Some("upstream_reset")),
    row("unrecognized",                 DETAILS,     None),
    row("unsupported_protocol_version",  DETAILS,     Some("malformed_request")),
    row("upgrade_refused",              DETAILS,     None),
    row("upgrade_rejected",              DETAILS,     None),
    row("upstream_overflow",             DETAILS,     Some("application_error")),
    row("filter_response",              DETAILS_AND_GRPC, None),
];
