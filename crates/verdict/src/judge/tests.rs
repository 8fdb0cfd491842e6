//! What the judge must say, written down once more in the words of the vocabulary.
//!
//! The tables are checked against this copy on purpose: a row that is changed by mistake differs from it.

use super::*;
use crate::cause::CAUSES;
use crate::details::{DETAILS, RESETS, ResetReason};
use crate::evidence::Hop;
use crate::flags::FLAGS;
use crate::text::Pattern;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Debug;

/// Cause, gate, side, delivered, error.
#[rustfmt::skip]
const CONTRACT: &[(&str, &str, &str, &str, &str)] = &[
    ("filter_chain_not_found",        "listener", "local", "no", "destination_not_found"),
    ("downstream_tls_error",          "listener", "downstream", "no", ""),
    ("downstream_tls_timeout",        "listener", "downstream", "no", ""),
    ("connection_denied",             "listener", "local", "no", ""),
    ("proxy_overloaded",              "listener", "local", "no", "proxy_internal_error"),
    ("malformed_request",             "request", "downstream", "no", "http_request_error"),
    ("headers_too_large",             "request", "downstream", "no", "http_request_error"),
    ("unsupported_protocol_version",  "request", "downstream", "no", "http_request_error"),
    ("missing_host",                  "request", "downstream", "no", "http_request_error"),
    ("invalid_path",                  "request", "downstream", "no", "http_request_error"),
    ("invalid_envoy_headers",         "request", "downstream", "no", "http_request_error"),
    ("upgrade_rejected",              "request", "local", "no", "http_upgrade_failed"),
    ("request_timeout",               "request", "downstream", "no", "http_request_error"),
    ("request_too_large",             "request", "downstream", "no", "http_request_error"),
    ("authorization_denied",          "filter", "local", "no", "http_request_denied"),
    ("authentication_failed",         "filter", "local", "no", "http_request_denied"),
    ("external_authorization_denied", "filter", "local", "no", "http_request_denied"),
    ("external_authorization_error",  "filter", "local", "no", "proxy_internal_error"),
    ("rate_limited",                  "filter", "local", "no", "http_request_denied"),
    ("rate_limit_error",              "filter", "local", "no", "proxy_internal_error"),
    ("fault_injected",                "filter", "local", "no", "proxy_internal_response"),
    ("external_processing_error",     "filter", "local", "no", "proxy_internal_error"),
    ("admission_denied",              "filter", "local", "no", "connection_limit_reached"),
    ("health_check_failed",           "filter", "local", "no", "destination_unavailable"),
    ("filter_failed",                 "filter", "local", "no", "proxy_internal_error"),
    ("filter_config_missing",         "filter", "local", "no", "proxy_configuration_error"),
    ("filter_response",               "filter", "local", "no", "proxy_internal_response"),
    ("route_not_found",               "route", "local", "no", "destination_not_found"),
    ("route_config_not_found",        "route", "local", "no", "destination_not_found"),
    ("egress_blocked",                "route", "local", "no", "destination_not_found"),
    ("direct_response",               "route", "local", "no", "proxy_internal_response"),
    ("cluster_not_found",             "cluster", "local", "no", "proxy_configuration_error"),
    ("maintenance_mode",              "cluster", "local", "no", "destination_unavailable"),
    ("no_endpoints",                  "endpoint", "upstream", "no", "destination_unavailable"),
    ("endpoints_unhealthy",           "endpoint", "upstream", "no", "destination_unavailable"),
    ("no_healthy_upstream",           "endpoint", "upstream", "no", "destination_unavailable"),
    ("dns_failure",                   "endpoint", "upstream", "no", "dns_error"),
    ("load_shed",                     "endpoint", "local", "no", "connection_limit_reached"),
    ("connection_pool_overflow",      "pool", "local", "no", "connection_limit_reached"),
    ("max_requests_overflow",         "pool", "local", "no", "connection_limit_reached"),
    ("upstream_overflow",             "pool", "local", "no", "connection_limit_reached"),
    ("connection_refused",            "connect", "upstream", "no", "connection_refused"),
    ("connection_timeout",            "connect", "upstream", "no", "connection_timeout"),
    ("connection_reset",              "connect", "upstream", "no", "connection_terminated"),
    ("host_unreachable",              "connect", "upstream", "no", "destination_ip_unroutable"),
    ("local_connection_failure",      "connect", "local", "no", "proxy_internal_error"),
    ("tls_plaintext_peer",            "connect", "upstream", "no", "tls_protocol_error"),
    ("tls_certificate_untrusted",     "connect", "upstream", "no", "tls_certificate_error"),
    ("tls_certificate_expired",       "connect", "upstream", "no", "tls_certificate_error"),
    ("tls_san_mismatch",              "connect", "upstream", "no", "tls_certificate_error"),
    ("tls_alert_received",            "connect", "upstream", "no", "tls_alert_received"),
    ("tls_secret_missing",            "connect", "local", "no", "proxy_configuration_error"),
    ("tls_protocol_mismatch",         "connect", "upstream", "no", "tls_protocol_error"),
    ("tls_error",                     "connect", "upstream", "no", "tls_protocol_error"),
    ("connection_failure",            "connect", "upstream", "no", "destination_unavailable"),
    ("response_timeout",              "response", "upstream", "maybe", "http_response_timeout"),
    ("per_try_timeout",               "response", "upstream", "maybe", "http_response_timeout"),
    ("stream_idle_timeout",           "response", "upstream", "maybe", "connection_read_timeout"),
    ("max_stream_duration",           "response", "upstream", "maybe", "http_response_timeout"),
    ("connection_terminated",         "response", "upstream", "maybe", "connection_terminated"),
    ("upstream_reset",                "response", "upstream", "maybe", "connection_terminated"),
    ("stream_refused",                "response", "upstream", "no", "connection_terminated"),
    ("protocol_error",                "response", "upstream", "maybe", "http_protocol_error"),
    ("response_incomplete",           "response", "upstream", "yes", "http_response_incomplete"),
    ("local_reset",                   "response", "local", "maybe", "proxy_internal_error"),
    ("response_too_large",            "response", "upstream", "yes", "http_response_body_size"),
    ("retry_buffer_exceeded",         "response", "local", "maybe", "proxy_internal_error"),
    ("upgrade_refused",               "response", "upstream", "yes", "http_upgrade_failed"),
    ("client_disconnected",           "downstream", "downstream", "maybe", ""),
    ("client_reset",                  "downstream", "downstream", "maybe", ""),
    ("connection_closed_locally",     "downstream", "local", "maybe", ""),
    ("max_connection_duration",       "downstream", "local", "maybe", ""),
    ("application_error",             "application", "upstream", "yes", ""),
    ("unrecognized",                  "unknown", "local", "maybe", "proxy_internal_error"),
];

#[test]
fn the_causes_are_those_of_the_contract() {
    let rows: Vec<_> = CAUSES
        .iter()
        .map(|row| {
            let (gate, side, delivered) = (row.gate.name(), row.side.name(), row.delivered.name());
            (row.name, gate, side, delivered, row.error.unwrap_or_default())
        })
        .collect();
    for (ours, contract) in rows.iter().zip(CONTRACT) {
        assert_eq!(ours, contract);
    }
    assert_eq!(rows.len(), CONTRACT.len());
}

/// Evidence as an access log writes it: `status flags details`, with `-` for none.
fn evidence(line: &'static str) -> Evidence<'static> {
    let mut words = line.splitn(3, ' ');
    let status = words.next().and_then(|word| word.parse().ok()).filter(|status| *status != 0);
    let flags = Flags::parse(words.next().unwrap()).unwrap();
    let details = words.next().filter(|word| *word != "-");
    Evidence { status, flags, details, ..Evidence::default() }
}

/// `cause decided_by responder delivered`, or `-` when the stream did not fail.
fn verdict(evidence: &Evidence<'_>) -> String {
    judge(evidence).map_or_else(
        || "-".into(),
        |v| format!("{} {} {} {}", v.cause, v.decided_by, v.responder, v.delivered),
    )
}

fn cause_of(evidence: &Evidence<'_>) -> &'static str {
    judge(evidence).map_or("-", |verdict| verdict.cause.name())
}

/// Whole details, and the cause that the vocabulary gives them.
#[rustfmt::skip]
const DETAILS_CONTRACT: &[(&str, &str)] = &[
    ("filter_chain_not_found", "filter_chain_not_found"),
    ("overload", "proxy_overloaded"),
    ("overload_error:Envoy_overloaded", "proxy_overloaded"),
    ("forced_goaway", "proxy_overloaded"),
    ("upstream_reset_before_response_started{overload_manager_reset}", "proxy_overloaded"),
    ("overload_error:Envoy overloaded", "proxy_overloaded"),
    ("http1.codec_error", "malformed_request"),
    ("http1.invalid_characters", "malformed_request"),
    ("http2.violation.of.messaging.rule", "malformed_request"),
    ("http3.inconsistent_content_length", "malformed_request"),
    ("codec_error:x", "malformed_request"),
    ("early_connect_data", "malformed_request"),
    ("uhv.invalid_method", "malformed_request"),
    ("codec_error:The_user_callback_function_failed", "malformed_request"),
    ("http1.invalid_url", "malformed_request"),
    ("http2.invalid.header.field", "malformed_request"),
    ("http3.invalid_header_field", "malformed_request"),
    ("http1.headers_too_large", "headers_too_large"),
    ("http1.too_many_headers", "headers_too_large"),
    ("http2.header_list_size_too_large", "headers_too_large"),
    ("http2.cookies_total_bytes_too_large", "headers_too_large"),
    ("http3.too_many_trailers", "headers_too_large"),
    ("http2.too_many_headers", "headers_too_large"),
    ("low_version", "unsupported_protocol_version"),
    ("missing_host_header", "missing_host"),
    ("empty_host_header", "missing_host"),
    ("path_normalization_failed", "invalid_path"),
    ("absolute_path_rejected", "invalid_path"),
    ("missing_path_rejected", "invalid_path"),
    ("uhv.fragment_in_url_path", "invalid_path"),
    ("uhv.percent_00_in_url_path", "invalid_path"),
    ("request_headers_failed_strict_check{x-envoy-max-retries}", "invalid_envoy_headers"),
    ("upgrade_failed", "upgrade_rejected"),
    ("request_header_timeout", "request_timeout"),
    ("request_overall_timeout", "request_timeout"),
    ("request_payload_too_large", "request_too_large"),
    ("rbac_access_denied_matched_policy[none]", "authorization_denied"),
    ("rbac_access_denied_matched_policy[ns[a]-policy[b]-rule[0]]", "authorization_denied"),
    ("rbac_access_denied_matched_policy[ns[foo]-policy[bar]-rule[0]]", "authorization_denied"),
    ("jwt_authn_access_denied{Jwt_is_expired}", "authentication_failed"),
    ("no_credential_for_basic_auth", "authentication_failed"),
    ("invalid_scheme_for_basic_auth", "authentication_failed"),
    ("missing_api_key", "authentication_failed"),
    ("unknown_api_key", "authentication_failed"),
    ("unkonwn_api_key", "authentication_failed"),
    ("client_not_allowed", "authentication_failed"),
    ("oauth.missing_credentials", "authentication_failed"),
    ("Unauthorized, and redirecting to OAuth server is not allowed: /a", "authentication_failed"),
    ("OAuth server returned an error: ?error=denied", "authentication_failed"),
    ("jwt_authn_access_denied{Jwt_is_missing}", "authentication_failed"),
    ("Unauthorized, and redirecting to OAuth server is not allowed: /", "authentication_failed"),
    ("ext_authz_denied", "external_authorization_denied"),
    ("ext_authz_error", "external_authorization_error"),
    ("ext_authz_invalid", "external_authorization_error"),
    ("local_rate_limited", "rate_limited"),
    ("request_rate_limited", "rate_limited"),
    ("rate_limited_by_quota", "rate_limited"),
    ("rate_limiter_error", "rate_limit_error"),
    ("fault_filter_abort", "fault_injected"),
    ("ext_proc_error_gRPC_error_14{x}", "external_processing_error"),
    ("ext_proc_error_gRPC_error_14{upstream}", "external_processing_error"),
    ("denied_by_admission_control", "admission_denied"),
    ("health_check_failed", "health_check_failed"),
    ("health_check_failed_no_cluster_found", "health_check_failed"),
    ("health_check_cached", "health_check_failed"),
    ("health_check_failed_cluster_unhealthy", "health_check_failed"),
    ("wasm_fail_stream", "filter_failed"),
    ("filter_removed_required_response_headers", "filter_failed"),
    ("filter_added_invalid_request_data", "filter_failed"),
    ("filter_removed_required_request_headers", "filter_failed"),
    ("lua_response", "filter_response"),
    ("csrf_origin_mismatch", "filter_response"),
    ("cors_response", "filter_response"),
    ("wasm_close_stream", "filter_response"),
    ("grpc_json_transcode_failure{x}", "filter_response"),
    ("early_grpc_json_reverse_transcode_failure", "filter_response"),
    ("grpc_bridge_data_too_small", "filter_response"),
    ("connect_bridge_unary_request_too_large", "filter_response"),
    ("cdn_loop_detected", "filter_response"),
    ("invalid_cdn_loop_header", "filter_response"),
    ("rejecting_because_detection_failed", "filter_response"),
    ("admin_filter_response", "filter_response"),
    ("file_server_not_found", "filter_response"),
    ("a2a_filter_x", "filter_response"),
    ("mcp_filter_x", "filter_response"),
    ("ai_protocol_manager_x", "filter_response"),
    ("dynamic_module_x", "filter_response"),
    ("proto_api_scrubber_x", "filter_response"),
    ("grpc_bridge_content_type_wrong", "filter_response"),
    ("header_mutation_set_headers_failed", "external_processing_error"),
    ("Invalid_attempt_to_modify_a", "external_processing_error"),
    ("a2a_filter_reject", "filter_response"),
    ("mcp_filter_reject", "filter_response"),
    ("ai_protocol_manager_reject", "filter_response"),
    ("dynamic_module_error", "filter_response"),
    ("proto_api_scrubber_blocked", "filter_response"),
    ("early_grpc_json_transcode_failure{bad}", "filter_response"),
    ("route_not_found", "route_not_found"),
    ("cache_no_route", "route_not_found"),
    ("route_configuration_not_found", "route_config_not_found"),
    ("direct_response", "direct_response"),
    ("cluster_not_found", "cluster_not_found"),
    ("cache_no_cluster", "cluster_not_found"),
    ("dynamic_forward_proxy_cluster_is_gone", "cluster_not_found"),
    ("sub_cluster_warming_timeout", "cluster_not_found"),
    ("maintenance_mode", "maintenance_mode"),
    ("no_healthy_upstream", "no_healthy_upstream"),
    ("dns_resolution_failure{cares_norecords}", "dns_failure"),
    ("dns_resolution_failure{cares_norecords:Domain_name_not_found}", "dns_failure"),
    ("drop_overload", "load_shed"),
    ("unconditional_drop_overload", "load_shed"),
    ("upstream_reset_before_response_started{overflow}", "upstream_overflow"),
    ("sub_cluster_overflow", "upstream_overflow"),
    ("dns_cache_overflow", "upstream_overflow"),
    ("dynamic_forward_proxy_pending_request_overflow", "upstream_overflow"),
    ("upstream_reset_before_response_started{connection_timeout}", "connection_timeout"),
    ("upstream_reset_before_response_started{local_connection_failure}", "local_connection_failure"),
    ("upstream_reset_before_response_started{local_connection_failure|failed_to_bind_to_10.0.0.1:0:_Cannot_assign_requested_address}", "local_connection_failure"),
    ("upstream_reset_before_response_started{remote_connection_failure}", "connection_failure"),
    ("upstream_reset_before_response_started{connection_failure}", "connection_failure"),
    ("upstream_reset_before_response_started{connection failure,delayed connect error: 111}", "connection_refused"),
    ("upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}", "connection_refused"),
    ("upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_timed_out}", "connection_timeout"),
    ("upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_110}", "connection_timeout"),
    ("upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_104}", "connection_reset"),
    ("upstream_reset_before_response_started{remote_connection_failure|TLS_error:|33554536:system_library:OPENSSL_internal:Connection_reset_by_peer:TLS_error_end}", "connection_reset"),
    ("upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_No_route_to_host}", "host_unreachable"),
    ("upstream_reset_before_response_started{remote_connection_failure|immediate_connect_error:_Network_is_unreachable}", "host_unreachable"),
    ("upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Host_is_unreachable}", "host_unreachable"),
    ("upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_113}", "host_unreachable"),
    ("upstream_reset_before_response_started{remote_connection_failure|immediate_connect_error:_101}", "host_unreachable"),
    ("upstream_reset_before_response_started{remote_connection_failure|TLS_error:|268435703:SSL_routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end}", "tls_plaintext_peer"),
    ("upstream_reset_before_response_started{remote_connection_failure|TLS_error:|1:SSL_routines:OPENSSL_internal:HTTP_REQUEST:TLS_error_end}", "tls_plaintext_peer"),
    ("upstream_reset_before_response_started{remote_connection_failure|TLS_error:|1:SSL_routines:OPENSSL_internal:HTTPS_PROXY_REQUEST:TLS_error_end}", "tls_plaintext_peer"),
    ("upstream_reset_before_response_started{remote_connection_failure|TLS_error:|268435581:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:TLS_error_end}", "tls_certificate_untrusted"),
    ("upstream_reset_before_response_started{remote_connection_failure|TLS_error:|1:CERTIFICATE_VERIFY_FAILED:verify_cert_failed:_X509_verify_cert:_certificate_verification_error_at_depth_0:_certificate_has_expired:TLS_error_end}", "tls_certificate_expired"),
    ("upstream_reset_before_response_started{remote_connection_failure|TLS_error:|1:CERTIFICATE_VERIFY_FAILED:verify_cert_failed:_X509_verify_cert:_certificate_verification_error_at_depth_0:_certificate_is_not_yet_valid:TLS_error_end}", "tls_certificate_expired"),
    ("upstream_reset_before_response_started{remote_connection_failure|TLS_error:|1:CERTIFICATE_VERIFY_FAILED:verify_cert_failed:_SAN_matcher,_certificate_SANs_are_[a]:TLS_error_end}", "tls_san_mismatch"),
    ("upstream_reset_before_response_started{remote_connection_failure|TLS_error:|1:CERTIFICATE_VERIFY_FAILED:verify_cert_failed:_verify_SAN_list:TLS_error_end}", "tls_san_mismatch"),
    ("upstream_reset_before_response_started{remote_connection_failure|TLS_error:|1:CERTIFICATE_VERIFY_FAILED:verify_cert_failed:_URI_SAN_peer_identity_mismatches,_expected_SANs:_a:TLS_error_end}", "tls_san_mismatch"),
    ("upstream_reset_before_response_started{remote_connection_failure|TLS_error:|1:CERTIFICATE_VERIFY_FAILED:verify_cert_failed:_SAN_match:TLS_error_end}", "tls_san_mismatch"),
    ("upstream_reset_before_response_started{remote_connection_failure|TLS_error:|268436526:SSL_routines:OPENSSL_internal:TLSV1_ALERT_PROTOCOL_VERSION:TLS_error_end}", "tls_alert_received"),
    ("upstream_reset_before_response_started{remote_connection_failure|TLS_error:_Secret_is_not_supplied_by_SDS}", "tls_secret_missing"),
    ("upstream_reset_before_response_started{remote_connection_failure|TLS_error:|1:UNSUPPORTED_PROTOCOL:TLS_error_end}", "tls_protocol_mismatch"),
    ("upstream_reset_before_response_started{remote_connection_failure|TLS_error:|1:NO_SHARED_CIPHER:TLS_error_end}", "tls_protocol_mismatch"),
    ("upstream_reset_before_response_started{remote_connection_failure|TLS_error:|1:NO_APPLICATION_PROTOCOL:TLS_error_end}", "tls_protocol_mismatch"),
    ("upstream_reset_before_response_started{remote_connection_failure|TLS_error:|1:SOMETHING_NEW:TLS_error_end}", "tls_error"),
    ("response_timeout", "response_timeout"),
    ("upstream_response_timeout", "response_timeout"),
    ("upstream_per_try_timeout", "per_try_timeout"),
    ("upstream_per_try_idle_timeout", "per_try_timeout"),
    ("stream_idle_timeout", "stream_idle_timeout"),
    ("upstream_max_stream_duration_reached", "max_stream_duration"),
    ("max_duration_timeout", "max_stream_duration"),
    ("upstream_reset_before_response_started{connection_termination}", "connection_terminated"),
    ("upstream_reset_before_response_started{remote_reset}", "upstream_reset"),
    ("upstream_reset_before_response_started{remote_reset_(no_error)}", "upstream_reset"),
    ("upstream_reset_before_response_started{remote_error_with_CONNECT_request}", "upstream_reset"),
    ("cache_upstream_reset", "response_incomplete"),
    ("cache.aborted_body", "response_incomplete"),
    ("upstream_reset_before_response_started{remote_refused_stream_reset}", "stream_refused"),
    ("upstream_reset_before_response_started{protocol_error}", "protocol_error"),
    ("upstream_reset_after_response_started{protocol_error}", "response_incomplete"),
    ("upstream_reset_after_response_started{overflow}", "response_incomplete"),
    ("upstream_reset_before_response_started{local_reset}", "local_reset"),
    ("upstream_reset_before_response_started{local_refused_stream_reset}", "local_reset"),
    ("upstream_reset_before_response_started{HTTP/1_premature_upstream_half_close}", "local_reset"),
    ("upstream_reset_after_response_started{HTTP/1_premature_upstream_half_close}", "local_reset"),
    ("upstream_reset_after_response_started{local_reset}", "response_incomplete"),
    ("response_payload_too_large", "response_too_large"),
    ("request_payload_exceeded_retry_buffer_limit", "retry_buffer_exceeded"),
    ("websocket_handshake_unsuccessful", "upgrade_refused"),
    ("downstream_remote_disconnect", "client_disconnected"),
    ("http2.remote_reset", "client_reset"),
    ("http2.remote_refuse", "client_reset"),
    ("downstream_local_disconnect", "connection_closed_locally"),
    ("downstream_local_disconnect(max_connection_duration_reached)", "connection_closed_locally"),
    ("downstream_local_disconnect(purging_socket_that_have_not_progressed_to_connections)", "connection_closed_locally"),
    ("duration_timeout", "max_connection_duration"),
    ("via_upstream", "application_error"),
    ("cache.insert_via_upstream", "application_error"),
    ("cache.response_from_cache_filter", "application_error"),
    ("internal_redirect", "application_error"),
    ("nobody_knows_this", "unrecognized"),
    ("upstream_reset_before_response_started{nobody_knows_this}", "unrecognized"),
];

#[test]
fn details_mean_what_the_contract_says_in_both_spellings() {
    for (details, cause) in DETAILS_CONTRACT {
        for details in spellings(details) {
            let evidence =
                Evidence { status: Some(503), details: Some(&details), ..Evidence::default() };
            assert_eq!(cause_of(&evidence), *cause, "{details}");
        }
    }
}

#[test]
fn a_response_that_was_cut_has_failed_whatever_its_status() {
    assert_eq!(cause_of(&evidence("200 - max_duration_timeout")), "max_stream_duration");
    assert_eq!(cause_of(&evidence("200 - cache_upstream_reset")), "response_incomplete");
    assert_eq!(cause_of(&evidence("200 RFCF cache.aborted_body")), "response_incomplete");
    assert_eq!(cause_of(&evidence("200 - websocket_handshake_unsuccessful")), "upgrade_refused");
    assert_eq!(cause_of(&evidence("302 - oauth.missing_credentials")), "-");
    assert_eq!(cause_of(&evidence("200 - health_check_cached")), "-");
    assert_eq!(cause_of(&evidence("301 - direct_response")), "-");
}

#[test]
fn a_grpc_call_that_goes_on_in_another_stream_has_not_failed() {
    let redirected = |details| Evidence { grpc_status: Some(2), ..evidence(details) };
    assert_eq!(cause_of(&redirected("302 - internal_redirect")), "-");
    assert_eq!(cause_of(&redirected("503 - internal_redirect")), "application_error");
    assert_eq!(cause_of(&redirected("302 - via_upstream")), "application_error");
}

/// Whole transport failure reasons as Envoy prints them, and the cause that the vocabulary gives them.
#[rustfmt::skip]
const TRANSPORT_CONTRACT: &[(&str, &str)] = &[
    ("TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: SAN matcher, certificate SANs are [a.test]:TLS_error_end", "tls_san_mismatch"),
    ("TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: verify SAN list, expected SANs: [a], certificate SANs: [b]:TLS_error_end", "tls_san_mismatch"),
    ("TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: URI SAN peer identity mismatches, expected SANs: a:TLS_error_end", "tls_san_mismatch"),
    ("TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: SAN match:TLS_error_end", "tls_san_mismatch"),
    ("TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: X509_verify_cert: certificate verification error at depth 0: certificate has expired:TLS_error_end", "tls_certificate_expired"),
    ("TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: X509_verify_cert: certificate verification error at depth 0: certificate is not yet valid:TLS_error_end", "tls_certificate_expired"),
    ("TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: X509_verify_cert: certificate verification error at depth 0: unable to get local issuer certificate:TLS_error_end", "tls_certificate_untrusted"),
    ("TLS error: Secret is not supplied by SDS", "tls_secret_missing"),
    ("TLS_error:|268436496:SSL routines:OPENSSL_internal:SSLV3_ALERT_HANDSHAKE_FAILURE:TLS_error_end", "tls_alert_received"),
    ("TLS_error:|268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end", "tls_plaintext_peer"),
    ("TLS_error:|268435612:SSL routines:OPENSSL_internal:HTTP_REQUEST:TLS_error_end", "tls_plaintext_peer"),
    ("TLS_error:|268435611:SSL routines:OPENSSL_internal:HTTPS_PROXY_REQUEST:TLS_error_end", "tls_plaintext_peer"),
    ("TLS_error:|268435696:SSL routines:OPENSSL_internal:UNSUPPORTED_PROTOCOL:TLS_error_end", "tls_protocol_mismatch"),
    ("TLS_error:|268435640:SSL routines:OPENSSL_internal:NO_SHARED_CIPHER:TLS_error_end", "tls_protocol_mismatch"),
    ("TLS_error:|268435723:SSL routines:OPENSSL_internal:NO_APPLICATION_PROTOCOL:TLS_error_end", "tls_protocol_mismatch"),
    ("TLS_error:|33554536:system library:OPENSSL_internal:Connection reset by peer:TLS_error_end", "connection_reset"),
    ("delayed connect error: 104", "connection_reset"),
    ("TLS_error:|268435610:SSL routines:OPENSSL_internal:DECRYPTION_FAILED_OR_BAD_RECORD_MAC:TLS_error_end", "tls_error"),
    ("delayed connect error: Connection refused", "connection_refused"),
    ("delayed connect error: 111", "connection_refused"),
    ("delayed connect error: Connection timed out", "connection_timeout"),
    ("delayed connect error: 110", "connection_timeout"),
    ("delayed connect error: No route to host", "host_unreachable"),
    ("immediate connect error: Network is unreachable", "host_unreachable"),
    ("delayed connect error: Host is unreachable", "host_unreachable"),
    ("delayed connect error: 113", "host_unreachable"),
    ("immediate connect error: 101", "host_unreachable"),
];

#[test]
fn a_transport_failure_means_what_the_contract_says_in_both_spellings() {
    for (reason, cause) in TRANSPORT_CONTRACT {
        for reason in spellings(reason) {
            assert_eq!(transport::cause_of(&reason), Cause::named(cause), "{reason}");
        }
    }
}

/// Whole connection termination details, and the cause that the vocabulary gives them.
#[rustfmt::skip]
const TERMINATION_CONTRACT: &[(&str, &str)] = &[
    ("rbac_access_denied_matched_policy[none]", "connection_denied"),
    ("transport socket timeout was reached", "downstream_tls_timeout"),
];

#[test]
fn a_termination_means_what_the_contract_says_in_both_spellings() {
    for (details, cause) in TERMINATION_CONTRACT {
        for details in spellings(details) {
            assert_eq!(termination::cause_of(&details), Cause::named(cause), "{details}");
        }
    }
}

/// The two spellings of one text: as access logs and details have it, and as attributes do.
fn spellings(text: &str) -> [String; 2] {
    [text.replace(' ', "_"), text.replace('_', " ")]
}

/// Every row decides some text of the contract, in both spellings: without it the next row that matches, or none,
/// would say something else. Any other row is dead, or says again what the next one says.
fn every_row_is_needed<M: Debug + PartialEq>(rows: &[(Pattern, M)], texts: &[&str]) {
    let decisive = |text: &str| {
        let mut matching = rows.iter().enumerate().filter(|(_, (row, _))| row.matches(text));
        let (index, (_, meaning)) = matching.next()?;
        matching.next().is_none_or(|(_, (_, next))| next != meaning).then_some(index)
    };
    let needed = |text: &&str| {
        let [first, second] = spellings(text).map(|text| decisive(&text));
        first.filter(|_| first == second)
    };
    let needed: Vec<usize> = texts.iter().filter_map(needed).collect();
    for (index, row) in rows.iter().enumerate() {
        assert!(needed.contains(&index), "{row:?}");
    }
}

#[test]
fn without_any_one_row_the_contract_is_broken_in_both_spellings() {
    let texts = |contract: &[(&'static str, _)]| contract.iter().map(|(text, _)| *text).collect();
    let details: Vec<&str> = texts(DETAILS_CONTRACT);
    let reasons: Vec<&str> = details.iter().map(|details| Reset::parse(details).reason).collect();
    let rows: Vec<_> = DETAILS.iter().map(|row| (row.pattern, row.meaning)).collect();
    every_row_is_needed(&rows, &details);
    let says = |row: &ResetReason| (row.cause, row.connecting, row.answered);
    let rows: Vec<_> = RESETS.iter().map(|row| (row.pattern, says(row))).collect();
    every_row_is_needed(&rows, &reasons);
    let rows: Vec<_> = transport::TRANSPORT.iter().map(|row| (row.pattern, row.cause)).collect();
    every_row_is_needed(&rows, &texts(TRANSPORT_CONTRACT));
    let rows: Vec<_> =
        termination::TERMINATION.iter().map(|row| (row.pattern, row.cause)).collect();
    every_row_is_needed(&rows, &texts(TERMINATION_CONTRACT));
    let flags: Vec<&str> = FLAGS_CONTRACT.iter().map(|(short, ..)| *short).collect();
    let rows: Vec<_> = FLAGS.iter().map(|row| (Pattern::Is(row.short), row.bit)).collect();
    every_row_is_needed(&rows, &flags);
}

/// Short and long name, and the cause that the flag alone means.
#[rustfmt::skip]
const FLAGS_CONTRACT: &[(&str, &str, &str)] = &[
    ("LH",    "FailedLocalHealthCheck",           "health_check_failed"),
    ("UH",    "NoHealthyUpstream",                "no_healthy_upstream"),
    ("UT",    "UpstreamRequestTimeout",           "response_timeout"),
    ("LR",    "LocalReset",                       "local_reset"),
    ("UR",    "UpstreamRemoteReset",              "upstream_reset"),
    ("UF",    "UpstreamConnectionFailure",        "connection_failure"),
    ("UC",    "UpstreamConnectionTermination",    "connection_terminated"),
    ("UO",    "UpstreamOverflow",                 "upstream_overflow"),
    ("NR",    "NoRouteFound",                     "route_not_found"),
    ("DI",    "DelayInjected",                    "-"),
    ("FI",    "FaultInjected",                    "fault_injected"),
    ("RL",    "RateLimited",                      "rate_limited"),
    ("UAEX",  "UnauthorizedExternalService",      "external_authorization_denied"),
    ("RLSE",  "RateLimitServiceError",            "rate_limit_error"),
    ("DC",    "DownstreamConnectionTermination",  "client_disconnected"),
    ("URX",   "UpstreamRetryLimitExceeded",       "application_error"),
    ("SI",    "StreamIdleTimeout",                "stream_idle_timeout"),
    ("IH",    "InvalidEnvoyRequestHeaders",       "invalid_envoy_headers"),
    ("DPE",   "DownstreamProtocolError",          "malformed_request"),
    ("UMSDR", "UpstreamMaxStreamDurationReached", "max_stream_duration"),
    ("RFCF",  "ResponseFromCacheFilter",          "-"),
    ("NFCF",  "NoFilterConfigFound",              "filter_config_missing"),
    ("DT",    "DurationTimeout",                  "max_connection_duration"),
    ("UPE",   "UpstreamProtocolError",            "protocol_error"),
    ("NC",    "NoClusterFound",                   "cluster_not_found"),
    ("OM",    "OverloadManagerTerminated",        "proxy_overloaded"),
    ("DF",    "DnsResolutionFailed",              "dns_failure"),
    ("DO",    "DropOverload",                     "load_shed"),
    ("DR",    "DownstreamRemoteReset",            "client_reset"),
    ("UDO",   "UnconditionalDropOverload",        "load_shed"),
];

#[test]
fn a_flag_alone_means_what_the_contract_says() {
    assert_eq!(FLAGS_CONTRACT.len(), FLAGS.len());
    for (bit, (short, long, cause)) in FLAGS_CONTRACT.iter().enumerate() {
        let flags = Flags(1 << bit);
        assert_eq!(Flags::parse(short), Ok(flags));
        assert_eq!(Flags::parse(long), Ok(flags));
        let evidence = Evidence { status: Some(200), flags, ..Evidence::default() };
        assert_eq!(cause_of(&evidence), *cause, "{short}");
    }
}

/// Lines as an access log has them, and the verdict on each: precedence, responder and delivery.
#[rustfmt::skip]
const LINES: &[(&str, &str)] = &[
    // The two-sidecar cases, one side at a time.
    ("200 - via_upstream", "-"),
    ("503 - via_upstream", "application_error status upstream maybe"),
    ("0 DC downstream_remote_disconnect", "client_disconnected details none maybe"),
    ("503 UC upstream_reset_before_response_started{connection_termination}", "connection_terminated details this_proxy maybe"),
    ("200 UPE upstream_reset_after_response_started{protocol_error}", "response_incomplete details none yes"),
    ("503 UO upstream_reset_before_response_started{overflow}", "upstream_overflow details this_proxy no"),
    ("503 UH no_healthy_upstream", "no_healthy_upstream details this_proxy no"),
    ("503 URX,UF upstream_reset_before_response_started{connection_timeout}", "connection_timeout details this_proxy maybe"),
    ("503 URX,UF upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}", "connection_refused transport this_proxy maybe"),
    ("504 UT response_timeout", "response_timeout details this_proxy maybe"),
    ("0 DR http2.remote_reset", "client_reset details none maybe"),
    ("200 URX via_upstream", "application_error flags upstream maybe"),
    // Details beat flags; flags decide when the details are absent or unknown.
    ("403 - rbac_access_denied_matched_policy[none]", "authorization_denied details this_proxy no"),
    ("503 UH dns_resolution_failure{x}", "dns_failure details this_proxy no"),
    ("503 UO maintenance_mode", "maintenance_mode details this_proxy no"),
    ("403 UAEX ext_authz_error", "external_authorization_error details this_proxy no"),
    ("403 UAEX -", "external_authorization_denied flags this_proxy no"),
    ("503 UF something_new", "connection_failure flags this_proxy no"),
    ("503 URX,UF -", "connection_failure flags this_proxy maybe"),
    ("503 UF upstream_reset_before_response_started{something_new}", "connection_failure flags this_proxy no"),
    ("0 DPE http2.remote_reset", "malformed_request details none no"),
    ("0 DPE,DR http2.remote_reset", "client_reset details none maybe"),
    // Statuses decide last.
    ("500 - -", "application_error status upstream maybe"),
    ("404 - -", "-"),
    ("404 - via_upstream", "-"),
    ("404 URX via_upstream", "application_error flags upstream maybe"),
    ("404 - route_not_found", "route_not_found details this_proxy no"),
    ("418 - something_new", "unrecognized details this_proxy maybe"),
    ("302 - oauth.missing_credentials", "-"),
    ("301 - direct_response", "-"),
    ("200 - cors_response", "-"),
    ("403 - cors_response", "filter_response details this_proxy no"),
    ("200 - health_check_ok", "-"),
    ("200 DI via_upstream", "-"),
    ("503 DI via_upstream", "application_error status upstream maybe"),
    ("404 RFCF cache.response_from_cache_filter", "-"),
    ("0 - -", "unrecognized status none maybe"),
    ("200 bit30 via_upstream", "unrecognized flags upstream yes"),
    ("200 bit63 -", "unrecognized flags this_proxy yes"),
    // Switched protocols, and then the client left.
    ("101 DC downstream_remote_disconnect", "-"),
    ("101 - via_upstream", "-"),
    ("101 UC upstream_reset_after_response_started{connection_termination}", "response_incomplete details none yes"),
    ("101 SI stream_idle_timeout", "stream_idle_timeout details none yes"),
    ("403 - websocket_handshake_unsuccessful", "upgrade_refused details upstream maybe"),
    // A timeout after the response had started: the status is the upstream's.
    ("200 UT response_timeout", "response_timeout details none yes"),
    ("200 SI stream_idle_timeout", "stream_idle_timeout details none yes"),
    ("408 SI stream_idle_timeout", "stream_idle_timeout details this_proxy maybe"),
    ("200 DC downstream_remote_disconnect", "client_disconnected details none yes"),
    ("200 DPE http1.codec_error", "malformed_request details none no"),
];

#[test]
fn a_line_gets_the_verdict_that_the_precedence_gives_it() {
    for (line, expected) in LINES {
        assert_eq!(verdict(&evidence(line)), *expected, "{line}");
    }
}

#[test]
fn an_inbound_sidecar_has_only_the_application_behind_it() {
    let inbound = Evidence { direction: Direction::Inbound, ..evidence("503 - via_upstream") };
    assert_eq!(verdict(&inbound), "application_error status application yes");
}

#[test]
fn a_grpc_failure_hides_behind_200() {
    let grpc = |line, status| Evidence { grpc_status: Some(status), ..evidence(line) };
    assert_eq!(verdict(&grpc("200 - via_upstream", 0)), "-");
    assert_eq!(verdict(&grpc("200 - via_upstream", 14)), "application_error grpc upstream maybe");
    // NOT_FOUND is the application's business, unless this proxy itself said so.
    assert_eq!(verdict(&grpc("200 - via_upstream", 5)), "-");
    assert_eq!(
        verdict(&grpc("200 - rbac_access_denied_matched_policy[none]", 7)),
        "authorization_denied details this_proxy no"
    );
    assert_eq!(
        verdict(&grpc("200 UT response_timeout", 14)),
        "response_timeout details this_proxy maybe"
    );
    assert_eq!(cause_of(&grpc("200 - via_upstream", 4_000_000_000)), "-");
}

#[test]
fn the_grpc_statuses_that_count_can_be_chosen() {
    let evidence = Evidence { grpc_status: Some(5), ..evidence("200 - via_upstream") };
    assert!(Criteria::with_grpc_failures([5]).judge(&evidence).is_some());
    assert!(Criteria::with_grpc_failures([0, 17, 99]).judge(&evidence).is_none());
    let unavailable = Evidence { grpc_status: Some(14), ..evidence };
    assert!(Criteria::with_grpc_failures([5]).judge(&unavailable).is_none());
}

#[test]
fn no_healthy_upstream_is_split_by_what_else_is_known() {
    let uh = evidence("503 UH no_healthy_upstream");
    let cause = |evidence: Evidence<'_>| cause_of(&evidence);
    assert_eq!(cause(Evidence { endpoints: Some(0), ..uh }), "no_endpoints");
    assert_eq!(cause(Evidence { endpoints: Some(2), ..uh }), "endpoints_unhealthy");
    assert_eq!(cause(Evidence { attempts: Some(1), ..uh }), "no_healthy_upstream");
    assert_eq!(cause(Evidence { attempts: Some(3), ..uh }), "endpoints_unhealthy");
    assert_eq!(
        cause(Evidence { transport: Some("delayed connect error: 111"), ..uh }),
        "endpoints_unhealthy"
    );
    assert_eq!(cause(Evidence { transport: Some(""), ..uh }), "no_healthy_upstream");
    let host = UpstreamHost::Address("10.0.0.1:80");
    assert_eq!(cause(Evidence { upstream_host: host, ..uh }), "endpoints_unhealthy");
    assert_eq!(
        cause(Evidence { upstream_host: UpstreamHost::Absent, ..uh }),
        "no_healthy_upstream"
    );
    assert_eq!(cause(Evidence { endpoints: Some(0), ..evidence("503 UH -") }), "no_endpoints");
}

#[test]
fn an_overflow_is_split_by_whether_an_endpoint_was_picked() {
    let overflow = evidence("503 UO upstream_reset_before_response_started{overflow}");
    let at = |upstream_host| cause_of(&Evidence { upstream_host, ..overflow });
    assert_eq!(at(UpstreamHost::Absent), "connection_pool_overflow");
    assert_eq!(at(UpstreamHost::Address("10.0.0.1:80")), "max_requests_overflow");
    assert_eq!(at(UpstreamHost::Unknown), "upstream_overflow");
    let host = UpstreamHost::Address("10.0.0.1:80");
    let retried = Evidence { attempts: Some(2), upstream_host: host, ..overflow };
    assert_eq!(cause_of(&retried), "upstream_overflow", "the address is an earlier attempt's");
}

#[test]
fn istios_names_for_unknown_destinations_are_egress_that_was_blocked() {
    let cause = |evidence: Evidence<'_>| cause_of(&evidence);
    let blocked = evidence("502 - direct_response");
    assert_eq!(cause(Evidence { route: Some("block_all"), ..blocked }), "egress_blocked");
    assert_eq!(cause(Evidence { route: Some("mine"), ..blocked }), "direct_response");
    let tcp = Evidence {
        stream: Stream::Connection,
        flags: Flags::parse("UH").unwrap(),
        ..Evidence::default()
    };
    assert_eq!(cause(Evidence { cluster: Some("BlackHoleCluster"), ..tcp }), "egress_blocked");
    let denied = evidence("403 - rbac_access_denied_matched_policy[none]");
    assert_eq!(cause(Evidence { route: Some("block_all"), ..denied }), "authorization_denied");
}

#[test]
fn a_stream_that_ended_with_nothing_was_reset_by_an_http2_client() {
    let nothing = evidence("0 - -");
    for (protocol, cause) in
        [("HTTP/2", "client_reset"), ("HTTP/3", "client_reset"), ("HTTP/1.1", "unrecognized")]
    {
        assert_eq!(cause_of(&Evidence { protocol: Some(protocol), ..nothing }), cause);
    }
}

#[test]
fn the_transport_reason_may_stand_beside_the_details() {
    let beside =
        |line, transport| cause_of(&Evidence { transport: Some(transport), ..evidence(line) });
    let refused = "delayed connect error: Connection refused";
    assert_eq!(beside("503 UF -", refused), "connection_refused");
    assert_eq!(
        beside("503 UF upstream_reset_before_response_started{remote_connection_failure}", refused),
        "connection_refused"
    );
    // A reason that an earlier attempt left behind does not explain this one.
    assert_eq!(
        beside("503 UC upstream_reset_before_response_started{connection_termination}", refused),
        "connection_terminated"
    );
    assert_eq!(beside("503 - via_upstream", refused), "application_error");
}

#[test]
fn a_connection_without_an_http_stream_is_judged_by_what_ended_it() {
    let nothing = Evidence { stream: Stream::Connection, ..Evidence::default() };
    let flags = |text| Flags::parse(text).unwrap();
    assert_eq!(verdict(&nothing), "-", "a TCP connection has no status and needs none");
    let denied = Evidence {
        termination: Some("rbac_access_denied_matched_policy[ns[a]-policy[b]-rule[0]]"),
        ..nothing
    };
    assert_eq!(verdict(&denied), "connection_denied termination none no");
    assert_eq!(format!("{}", judge(&denied).unwrap().policy.unwrap()), "a/b");
    let slow = Evidence { termination: Some("transport socket timeout was reached"), ..nothing };
    assert_eq!(verdict(&slow), "downstream_tls_timeout termination none no");
    let tls = Evidence {
        downstream_transport: Some("TLS_error:|1:HTTP_REQUEST:TLS_error_end"),
        ..nothing
    };
    assert_eq!(verdict(&tls), "downstream_tls_error transport none no");
    let inspected = Evidence {
        downstream_transport: Some(
            "TLS_error|error:100000f7:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end",
        ),
        ..nothing
    };
    assert_eq!(verdict(&inspected), "-", "plain text that was looked at for TLS has not failed");
    let refused = Evidence { flags: flags("UH"), endpoints: Some(0), ..inspected };
    assert_eq!(verdict(&refused), "no_endpoints flags none no");
    let chain = Evidence { details: Some("filter_chain_not_found"), flags: flags("NR"), ..tls };
    assert_eq!(verdict(&chain), "filter_chain_not_found details none no");
    let refused = Evidence {
        flags: flags("UF,URX"),
        transport: Some("delayed connect error: Connection refused"),
        ..nothing
    };
    assert_eq!(verdict(&refused), "connection_refused transport none no");
    assert_eq!(
        verdict(&Evidence { flags: flags("DT"), ..nothing }),
        "max_connection_duration flags none maybe"
    );
    let unknown = Evidence { termination: Some("something new"), ..nothing };
    assert_eq!(verdict(&unknown), "unrecognized termination none maybe");
}

#[test]
fn delivery_is_narrowed_by_what_is_known() {
    let timeout = evidence("504 UT response_timeout");
    let delivered = |evidence: Evidence<'_>| judge(&evidence).unwrap().delivered.name();
    assert_eq!(delivered(timeout), "maybe");
    assert_eq!(delivered(Evidence { attempts: Some(0), ..timeout }), "no");
    assert_eq!(
        delivered(Evidence { connection_ready: Some(false), attempts: Some(1), ..timeout }),
        "no"
    );
    assert_eq!(delivered(Evidence { connection_ready: Some(true), ..timeout }), "maybe");
    assert_eq!(delivered(Evidence { response_started: Some(true), ..timeout }), "yes");
}

/// What stops a request at an early gate may do so when it is on its way upstream already.
#[test]
fn a_request_that_was_under_way_may_have_arrived_whatever_stopped_it() {
    let delivered = |evidence: Evidence<'_>| judge(&evidence).unwrap().delivered.name();
    for line in ["0 - forced_goaway", "0 DPE codec_error:x", "408 - request_overall_timeout"] {
        let early = evidence(line);
        assert_eq!(delivered(early), "no");
        let asked = Evidence { attempts: Some(1), ..early };
        assert_eq!(delivered(Evidence { connection_ready: Some(false), ..asked }), "no");
        assert_eq!(delivered(Evidence { connection_ready: Some(true), ..asked }), "maybe");
        let unasked = Evidence { connection_ready: Some(true), attempts: Some(0), ..early };
        assert_eq!(delivered(unasked), "no");
    }
}

/// An earlier attempt may have been answered by the application before the last one found nobody.
#[test]
fn after_a_retry_nobody_can_promise_that_the_request_did_not_arrive() {
    let delivered = |evidence: Evidence<'_>| judge(&evidence).unwrap().delivered.name();
    let refused = evidence(
        "503 URX,UF upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}",
    );
    assert_eq!(delivered(Evidence { attempts: Some(1), ..refused }), "no");
    assert_eq!(delivered(Evidence { attempts: Some(3), ..refused }), "maybe");
    let timeout = evidence("504 UT response_timeout");
    let connecting = Evidence { connection_ready: Some(false), ..timeout };
    assert_eq!(delivered(Evidence { attempts: Some(2), ..connecting }), "maybe");
    // A log without the number of attempts still has the flag, or the endpoint of an earlier one.
    assert_eq!(delivered(refused), "maybe");
    assert_eq!(delivered(Evidence { flags: refused.flags.without(Flags::URX), ..refused }), "no");
    let unhealthy = evidence("503 UH no_healthy_upstream");
    assert_eq!(delivered(unhealthy), "no");
    let upstream_host = UpstreamHost::Address("10.0.0.1:8080");
    assert_eq!(delivered(Evidence { upstream_host, ..unhealthy }), "maybe");
}

/// Whatever the evidence, there is an answer: every mask of two bits against every kind of details.
#[test]
fn the_judge_is_total() {
    let texts = [
        "",
        "x{",
        "}{",
        "\u{0}",
        "via_upstream",
        "upstream_reset_before_response_started{|}",
        "[[]]",
    ];
    for bits in (0..64).flat_map(|a| (0..64).map(move |b| 1_u64 << a | 1 << b)) {
        for text in texts {
            for stream in [Stream::Http, Stream::Connection] {
                let evidence = Evidence {
                    stream,
                    flags: Flags(bits),
                    details: Some(text),
                    transport: Some(text),
                    termination: Some(text),
                    grpc_status: Some(u32::MAX),
                    ..Evidence::default()
                };
                let Some(verdict) = judge(&evidence) else { continue };
                assert!(
                    !crate::look::look(verdict.cause, &evidence, verdict.policy.as_ref())
                        .is_empty()
                );
            }
        }
    }
}

#[test]
fn the_next_hop_tells_its_own_failure_from_the_applications() {
    let said = |line, name| {
        let hop = Hop { name: "mock-server.default", cause: Cause::named(name).unwrap() };
        verdict(&Evidence { direction: Direction::Outbound, hop: Some(hop), ..evidence(line) })
    };
    let via = "503 - via_upstream";
    assert_eq!(said(via, "application_error"), "application_error status application yes");
    assert_eq!(
        said(via, "connection_terminated"),
        "connection_terminated hop upstream_proxy maybe"
    );
    assert_eq!(said(via, "connection_refused"), "connection_refused hop upstream_proxy no");
    assert_eq!(
        said("404 URX via_upstream", "application_error"),
        "application_error flags application yes"
    );
    // A local reply is not the hop's, whatever an earlier attempt brought.
    assert_eq!(
        said("503 UH no_healthy_upstream", "connection_refused"),
        "no_healthy_upstream details this_proxy no"
    );
    assert_eq!(said("200 - via_upstream", "connection_terminated"), "-");
}

#[test]
fn what_is_local_to_the_next_hop_is_upstream_of_this_one() {
    let side = |name| {
        let hop = Some(Hop { name: "a", cause: Cause::named(name).unwrap() });
        judge(&Evidence { hop, ..evidence("503 - via_upstream") }).unwrap().side.name()
    };
    assert_eq!(side("max_requests_overflow"), "upstream");
    assert_eq!(side("connection_terminated"), "upstream");
    assert_eq!(side("malformed_request"), "downstream");
}

#[test]
fn after_retries_the_next_hop_speaks_of_the_last_attempt_only() {
    let hop = Some(Hop { name: "a", cause: Cause::named("connection_refused").unwrap() });
    let evidence = Evidence { hop, attempts: Some(3), ..evidence("503 URX via_upstream") };
    assert_eq!(verdict(&evidence), "connection_refused hop upstream_proxy maybe");
}
