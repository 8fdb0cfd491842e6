//! Response code details: what triggered the response, in Envoy's own word for it.
//!
//! Sources: `ResponseCodeDetailValues` in Envoy's `envoy/stream_info/stream_info.h`, the details that each
//! filter and codec sends with its local reply, and what 1.36 to 1.40 were seen to print. Envoy calls the
//! list unstable, and some details carry a policy's name, a reason or a path, so rows match beginnings.
//! For a reset the details hold its reason, and maybe the transport failure: see [`Reset`].

use crate::cause::{Cause, cause};
use crate::terms::Gate;
use crate::text::Pattern::{self, Ends, Has, Is, Starts};
use crate::text::{split_once, starts};

/// One kind of details.
#[derive(Debug)]
pub struct Details {
    /// What the details are.
    pub pattern: Pattern,
    /// What they mean.
    pub meaning: Meaning,
}

/// What details mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The response was the upstream's; this proxy passed it on.
    Upstreams,
    /// So it was, and this proxy did not pass it on: another stream took the place of this one.
    Replaced,
    /// This cause.
    Cause(Cause),
    /// The upstream stream was reset before a response started; the reason inside decides.
    ResetBefore,
    /// The same, after the response had started: the caller got a part of it.
    ResetAfter,
}

const fn is(text: &'static str, name: &str) -> Details {
    like(Is(text), name)
}

const fn like(pattern: Pattern, name: &str) -> Details {
    means(pattern, Meaning::Cause(cause(name)))
}

const fn means(pattern: Pattern, meaning: Meaning) -> Details {
    Details { pattern, meaning }
}

/// Every kind of details. **The order is precedence**: whole texts, then beginnings, then ends and parts.
#[rustfmt::skip]
pub const DETAILS: &[Details] = &[
    // Passed on: source/common/router/router.cc, source/extensions/filters/http/cache.
    means(Is("via_upstream"), Meaning::Upstreams),
    means(Is("internal_redirect"), Meaning::Replaced),
    means(Is("cache.insert_via_upstream"), Meaning::Upstreams),
    means(Is("cache.response_from_cache_filter"), Meaning::Upstreams),

    // The listener and the overload manager.
    is("filter_chain_not_found", "filter_chain_not_found"),
    is("overload", "proxy_overloaded"),
    like(Starts("overload_error"), "proxy_overloaded"),
    is("forced_goaway", "proxy_overloaded"), // an HTTP/2 connection, closed by a load shed point

    // The HTTP connection manager: source/common/http/conn_manager_impl.cc.
    is("low_version", "unsupported_protocol_version"),
    is("missing_host_header", "missing_host"),
    is("empty_host_header", "missing_host"), // the dynamic forward proxy has no name to look up
    is("missing_path_rejected", "invalid_path"),
    is("absolute_path_rejected", "invalid_path"),
    is("path_normalization_failed", "invalid_path"),
    is("early_connect_data", "malformed_request"),
    is("upgrade_failed", "upgrade_rejected"),
    is("request_header_timeout", "request_timeout"),
    is("request_overall_timeout", "request_timeout"),
    is("request_payload_too_large", "request_too_large"),
    is("stream_idle_timeout", "stream_idle_timeout"),
    is("max_duration_timeout", "max_stream_duration"),
    is("duration_timeout", "max_connection_duration"),
    is("downstream_remote_disconnect", "client_disconnected"),
    like(Starts("downstream_local_disconnect"), "connection_closed_locally"),
    is("http2.remote_reset", "client_reset"),
    is("http2.remote_refuse", "client_reset"),
    like(Starts("filter_removed_required_"), "filter_failed"),
    like(Starts("filter_added_invalid_"), "filter_failed"),
    is("rejecting_because_detection_failed", "filter_response"),

    // HTTP filters.
    like(Starts("rbac_access_denied"), "authorization_denied"),
    like(Starts("jwt_authn_access_denied"), "authentication_failed"),
    is("missing_api_key", "authentication_failed"),
    is("unknown_api_key", "authentication_failed"),
    is("unkonwn_api_key", "authentication_failed"), // as Envoy 1.36 spells it
    is("client_not_allowed", "authentication_failed"),
    like(Starts("oauth."), "authentication_failed"),
    like(Starts("Unauthorized"), "authentication_failed"),
    like(Starts("OAuth "), "authentication_failed"), // OAuth server returned an error: ...
    is("ext_authz_denied", "external_authorization_denied"),
    is("ext_authz_error", "external_authorization_error"),
    is("ext_authz_invalid", "external_authorization_error"),
    is("local_rate_limited", "rate_limited"),
    is("request_rate_limited", "rate_limited"),
    is("rate_limited_by_quota", "rate_limited"),
    is("rate_limiter_error", "rate_limit_error"),
    is("fault_filter_abort", "fault_injected"),
    like(Starts("ext_proc_"), "external_processing_error"),
    like(Starts("header_mutation_"), "external_processing_error"), // what the processor changed was refused
    like(Starts("Invalid_attempt_to_modify_"), "external_processing_error"), // the same, in Envoy 1.36
    is("denied_by_admission_control", "admission_denied"),
    like(Starts("health_check_failed"), "health_check_failed"),
    is("health_check_cached", "health_check_failed"),
    is("wasm_fail_stream", "filter_failed"),
    like(Starts("wasm_"), "filter_response"),
    is("lua_response", "filter_response"),
    is("csrf_origin_mismatch", "filter_response"),
    is("cors_response", "filter_response"),
    is("admin_filter_response", "filter_response"),
    is("invalid_cdn_loop_header", "filter_response"),
    is("cdn_loop_detected", "filter_response"),
    like(Starts("grpc_bridge_"), "filter_response"),
    like(Starts("connect_bridge_"), "filter_response"),
    like(Starts("file_server_"), "filter_response"),
    like(Starts("a2a_filter_"), "filter_response"),
    like(Starts("mcp_"), "filter_response"),
    like(Starts("ai_protocol_manager_"), "filter_response"),
    like(Starts("dynamic_module_"), "filter_response"),
    like(Starts("proto_api_scrubber"), "filter_response"),

    // The router: source/common/router/router.cc.
    is("route_not_found", "route_not_found"),
    is("cache_no_route", "route_not_found"),
    is("route_configuration_not_found", "route_config_not_found"),
    is("direct_response", "direct_response"),
    is("cluster_not_found", "cluster_not_found"),
    is("cache_no_cluster", "cluster_not_found"),
    is("dynamic_forward_proxy_cluster_is_gone", "cluster_not_found"),
    is("sub_cluster_warming_timeout", "cluster_not_found"),
    is("maintenance_mode", "maintenance_mode"),
    like(Starts("request_headers_failed_strict_check"), "invalid_envoy_headers"),
    is("no_healthy_upstream", "no_healthy_upstream"),
    like(Starts("dns_resolution_failure"), "dns_failure"),
    is("drop_overload", "load_shed"),
    is("unconditional_drop_overload", "load_shed"),
    is("sub_cluster_overflow", "upstream_overflow"),
    is("dns_cache_overflow", "upstream_overflow"),
    like(Ends("_pending_request_overflow"), "upstream_overflow"),
    is("response_timeout", "response_timeout"),
    is("upstream_response_timeout", "response_timeout"),
    is("upstream_per_try_timeout", "per_try_timeout"),
    is("upstream_per_try_idle_timeout", "per_try_timeout"),
    is("upstream_max_stream_duration_reached", "max_stream_duration"),
    is("response_payload_too_large", "response_too_large"),
    is("request_payload_exceeded_retry_buffer_limit", "retry_buffer_exceeded"),
    is("websocket_handshake_unsuccessful", "upgrade_refused"),
    is("cache_upstream_reset", "response_incomplete"),
    is("cache.aborted_body", "response_incomplete"),
    means(Starts("upstream_reset_before_response_started"), Meaning::ResetBefore),
    means(Starts("upstream_reset_after_response_started"), Meaning::ResetAfter),

    // The codecs, the header validator, and other families known by an end or a part of their names.
    like(Starts("codec_error:"), "malformed_request"),
    like(Ends("headers_too_large"), "headers_too_large"),
    like(Ends("too_many_headers"), "headers_too_large"),
    like(Ends("too_many_trailers"), "headers_too_large"),
    like(Ends("header_list_size_too_large"), "headers_too_large"),
    like(Ends("cookies_total_bytes_too_large"), "headers_too_large"),
    like(Has("_url_path"), "invalid_path"),
    like(Starts("uhv."), "malformed_request"),
    like(Starts("http1."), "malformed_request"),
    like(Starts("http2."), "malformed_request"),
    like(Starts("http3."), "malformed_request"),
    like(Ends("_basic_auth"), "authentication_failed"),
    like(Has("_transcode_"), "filter_response"),
];

/// What the details mean; `None` when they are in no row.
#[must_use]
pub fn meaning(details: &str) -> Option<Meaning> {
    DETAILS.iter().find(|row| row.pattern.matches(details)).map(|row| row.meaning)
}

/// Do the details say that the response was the upstream's?
#[must_use]
pub fn is_upstreams(details: &str) -> bool {
    matches!(meaning(details), Some(Meaning::Upstreams | Meaning::Replaced))
}

/// What filters say of a reply that was asked for: to a preflight, to a health check that passes.
const ASKED_FOR: [Pattern; 2] = [Is("cors_response"), Starts("health_check_ok")];

/// Do the details say that the response is the upstream's, the route's own or one that a filter was asked for, and
/// that all of it went out?
#[must_use]
pub fn is_whole(details: &str) -> bool {
    is_upstreams(details)
        || meaning(details) == Some(Meaning::Cause(const { cause("direct_response") }))
        || ASKED_FOR.iter().any(|pattern| pattern.matches(details))
}

/// Do the details say that no whole response came, whatever status it began with? Not all that does sets a flag.
#[must_use]
pub fn is_cut(details: &str) -> bool {
    match meaning(details) {
        Some(Meaning::Cause(cause)) => cause.row().gate == Gate::Response,
        Some(Meaning::ResetBefore | Meaning::ResetAfter) => true,
        Some(Meaning::Upstreams | Meaning::Replaced) | None => false,
    }
}

/// Do the details say that another stream took the place of this one?
#[must_use]
pub fn is_replaced(details: &str) -> bool {
    meaning(details) == Some(Meaning::Replaced)
}

/// Why an upstream stream was reset, as the details write it: `...{REASON}` or `...{REASON|TRANSPORT}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset<'a> {
    /// Envoy's reset reason.
    pub reason: &'a str,
    /// The transport failure reason, when the connection never became ready.
    pub transport: Option<&'a str>,
}

impl<'a> Reset<'a> {
    /// Reads the part between the outermost braces. A text without them has an empty reason; one that was
    /// cut before its last brace is read to its end.
    #[must_use]
    pub fn parse(details: &'a str) -> Self {
        let inside = split_once(details, "{").map_or("", |(_, inside)| inside);
        let inside = inside.strip_suffix('}').unwrap_or(inside);
        // The transport reason has bars of its own, so the first one splits; Envoy 1.2x wrote a comma.
        let split = split_once(inside, "|").or_else(|| split_once(inside, ","));
        let (reason, transport) = split.unwrap_or((inside, ""));
        Self { reason, transport: Some(transport).filter(|transport| !transport.is_empty()) }
    }

    /// The row of the reason; `None` when it is in no row.
    #[must_use]
    pub fn row(&self) -> Option<&'static ResetReason> {
        RESETS.iter().find(|row| row.pattern.matches(self.reason))
    }
}

/// One reset reason.
#[derive(Debug)]
pub struct ResetReason {
    /// Its text.
    pub pattern: Pattern,
    /// What it means when the response had not started.
    pub cause: Cause,
    /// Is it a failure to connect, which the transport failure reason explains further?
    pub connecting: bool,
    /// Had the upstream said all that it had to say? Then it did not break off when its response had started.
    pub answered: bool,
}

const fn reset(reason: &'static str, name: &str) -> ResetReason {
    ResetReason { pattern: Is(reason), cause: cause(name), connecting: false, answered: false }
}

const fn connecting(reason: &'static str, name: &str) -> ResetReason {
    ResetReason { pattern: Is(reason), cause: cause(name), connecting: true, answered: false }
}

/// Every reset reason: `resetReasonToString` in Envoy's `source/common/http/utility.cc`.
#[rustfmt::skip]
pub const RESETS: &[ResetReason] = &[
    connecting("local_connection_failure",   "local_connection_failure"),
    connecting("remote_connection_failure",  "connection_failure"),
    connecting("connection_failure",         "connection_failure"), // before the split into local and remote
    connecting("connection_timeout",         "connection_timeout"),
    reset("connection_termination",          "connection_terminated"),
    reset("overflow",                        "upstream_overflow"),
    reset("protocol_error",                  "protocol_error"),
    reset("remote_reset",                    "upstream_reset"),
    reset("remote_reset_(no_error)",         "upstream_reset"),
    reset("remote_error_with_CONNECT_request", "upstream_reset"),
    reset("remote_refused_stream_reset",     "stream_refused"),
    reset("local_reset",                     "local_reset"),
    reset("local_refused_stream_reset",      "local_reset"),
    ResetReason { answered: true, ..reset("HTTP/1_premature_upstream_half_close", "local_reset") },
    reset("overload_manager_reset",          "proxy_overloaded"),
];

/// Are these the details of an RBAC denial?
pub(crate) fn is_rbac(details: &str) -> bool {
    starts(details, "rbac_access_denied")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reset_reason_is_found_by_its_text() {
        for row in RESETS {
            let details =
                alloc::format!("upstream_reset_before_response_started{{{}}}", row.pattern.text());
            assert_eq!(Reset::parse(&details).row().unwrap().pattern, row.pattern);
        }
    }

    #[test]
    fn what_was_asked_for_is_whole_and_what_was_refused_is_not() {
        for details in
            ["via_upstream", "direct_response", "cors_response", "health_check_ok_cluster_healthy"]
        {
            assert!(is_whole(details) && !is_cut(details), "{details}");
        }
        for details in [
            "health_check_failed",
            "fault_filter_abort",
            "max_duration_timeout",
            "",
            "new_in_envoy",
        ] {
            assert!(!is_whole(details), "{details}");
        }
    }

    #[test]
    fn the_first_bar_splits_and_only_the_outermost_braces_count() {
        let reset = Reset::parse(
            "upstream_reset_before_response_started{remote_connection_failure|TLS_error:|1:{a}:TLS_error_end}",
        );
        assert_eq!(reset.reason, "remote_connection_failure");
        assert_eq!(reset.transport, Some("TLS_error:|1:{a}:TLS_error_end"));
    }

    #[test]
    fn the_old_comma_and_a_cut_text_are_read() {
        let old = Reset::parse(
            "upstream_reset_before_response_started{connection failure,delayed connect error: 111}",
        );
        assert_eq!(old.reason, "connection failure");
        assert_eq!(old.transport, Some("delayed connect error: 111"));
        assert!(old.row().unwrap().connecting);
        assert_eq!(Reset::parse("upstream_reset_before_response_started{overfl").reason, "overfl");
        assert_eq!(Reset::parse("upstream_reset_before_response_started").reason, "");
        assert_eq!(Reset::parse("x{overflow|}").transport, None);
    }

    #[test]
    fn text_that_a_caller_wrote_does_not_choose_the_row() {
        let details = "Unauthorized, and redirecting to OAuth server is not allowed: /x_url_path/headers_too_large";
        let expected = Meaning::Cause(cause("authentication_failed"));
        assert_eq!(meaning(details), Some(expected));
    }

    #[test]
    fn unknown_details_have_no_meaning() {
        assert_eq!(meaning("something_new"), None);
        assert_eq!(meaning(""), None);
    }
}
