//! Transport failure reasons: why an upstream connection did not become ready.
//!
//! The text comes from the socket (`delayed connect error: Connection refused`; older Envoys print the
//! error number) or from BoringSSL's error queue (`TLS_error:|CODE:SSL routines:OPENSSL_internal:REASON`).
//! It may quote the peer's certificate, so what Envoy says of the certificate is looked for first, and a
//! peer cannot choose its row. Source: `source/common/tls/` of Envoy, and what 1.36 to 1.40 printed.

use crate::cause::{Cause, cause};
use crate::text::Pattern::{self, Has};

/// One family of transport failures.
#[derive(Debug)]
pub struct Transport {
    /// What the reason holds.
    pub pattern: Pattern,
    /// What it means.
    pub cause: Cause,
    /// A whole reason, as Envoy prints it.
    pub example: &'static str,
}

const fn row(pattern: Pattern, name: &str, example: &'static str) -> Transport {
    Transport { pattern, cause: cause(name), example }
}

/// Every family. **The order is precedence**: the first row that matches decides.
#[rustfmt::skip]
pub const TRANSPORT: &[Transport] = &[
    // Our verification of the peer's certificate. The subject names come first, since they are quoted.
    row(Has("verify_cert_failed:_SAN_matcher"),    "tls_san_mismatch", "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: SAN matcher, certificate SANs are [a.test]:TLS_error_end"),
    row(Has("verify_cert_failed:_verify_SAN_list"), "tls_san_mismatch", "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: verify SAN list, expected SANs: [a], certificate SANs: [b]:TLS_error_end"),
    row(Has("verify_cert_failed:_URI_SAN"),        "tls_san_mismatch", "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: URI SAN peer identity mismatches, expected SANs: a:TLS_error_end"),
    row(Has("verify_cert_failed:_SAN_match"),      "tls_san_mismatch", "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: SAN match:TLS_error_end"),
    row(Has("Hostname_mismatch"),                  "tls_san_mismatch", "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: X509_verify_cert: certificate verification error at depth 0: Hostname mismatch:TLS_error_end"),
    row(Has("certificate_has_expired"),            "tls_certificate_expired", "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: X509_verify_cert: certificate verification error at depth 0: certificate has expired:TLS_error_end"),
    row(Has("certificate_is_not_yet_valid"),       "tls_certificate_expired", "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: X509_verify_cert: certificate verification error at depth 0: certificate is not yet valid:TLS_error_end"),
    row(Has("CERTIFICATE_VERIFY_FAILED"),          "tls_certificate_untrusted", "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: X509_verify_cert: certificate verification error at depth 0: unable to get local issuer certificate:TLS_error_end"),
    // The handshake itself.
    row(Has("Secret_is_not_supplied_by_SDS"),      "tls_secret_missing", "TLS error: Secret is not supplied by SDS"),
    row(Has("_ALERT_"),                            "tls_alert_received", "TLS_error:|268436496:SSL routines:OPENSSL_internal:SSLV3_ALERT_HANDSHAKE_FAILURE:TLS_error_end"),
    row(Has("WRONG_VERSION_NUMBER"),               "tls_plaintext_peer", "TLS_error:|268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end"),
    row(Has("HTTP_REQUEST"),                       "tls_plaintext_peer", "TLS_error:|268435612:SSL routines:OPENSSL_internal:HTTP_REQUEST:TLS_error_end"),
    row(Has("HTTPS_PROXY_REQUEST"),                "tls_plaintext_peer", "TLS_error:|268435611:SSL routines:OPENSSL_internal:HTTPS_PROXY_REQUEST:TLS_error_end"),
    row(Has("UNSUPPORTED_PROTOCOL"),               "tls_protocol_mismatch", "TLS_error:|268435696:SSL routines:OPENSSL_internal:UNSUPPORTED_PROTOCOL:TLS_error_end"),
    row(Has("NO_SHARED_CIPHER"),                   "tls_protocol_mismatch", "TLS_error:|268435640:SSL routines:OPENSSL_internal:NO_SHARED_CIPHER:TLS_error_end"),
    row(Has("NO_APPLICATION_PROTOCOL"),            "tls_protocol_mismatch", "TLS_error:|268435723:SSL routines:OPENSSL_internal:NO_APPLICATION_PROTOCOL:TLS_error_end"),
    // The socket, also from inside a TLS error.
    row(Has("Connection_reset_by_peer"),           "connection_reset", "TLS_error:|33554536:system library:OPENSSL_internal:Connection reset by peer:TLS_error_end"),
    row(Has("error:_104"),                         "connection_reset", "delayed connect error: 104"),
    row(Has("TLS_error"),                          "tls_error", "TLS_error:|268435610:SSL routines:OPENSSL_internal:DECRYPTION_FAILED_OR_BAD_RECORD_MAC:TLS_error_end"),
    row(Has("Connection_refused"),                 "connection_refused", "delayed connect error: Connection refused"),
    row(Has("connect_error:_111"),                 "connection_refused", "delayed connect error: 111"),
    row(Has("Connection_timed_out"),               "connection_timeout", "delayed connect error: Connection timed out"),
    row(Has("connect_error:_110"),                 "connection_timeout", "delayed connect error: 110"),
    row(Has("No_route_to_host"),                   "host_unreachable", "delayed connect error: No route to host"),
    row(Has("Network_is_unreachable"),             "host_unreachable", "immediate connect error: Network is unreachable"),
    row(Has("Host_is_unreachable"),                "host_unreachable", "delayed connect error: Host is unreachable"),
    row(Has("connect_error:_113"),                 "host_unreachable", "delayed connect error: 113"),
    row(Has("connect_error:_101"),                 "host_unreachable", "immediate connect error: 101"),
];

/// What a transport failure reason says; `None` when it is empty or in no row.
#[must_use]
pub fn cause_of(reason: &str) -> Option<Cause> {
    TRANSPORT.iter().find(|row| row.pattern.matches(reason)).map(|row| row.cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_the_first_to_match_its_own_example_in_both_spellings() {
        for row in TRANSPORT {
            for example in [row.example.into(), row.example.replace(' ', "_")] {
                let first = TRANSPORT.iter().find(|row| row.pattern.matches(&example)).unwrap();
                assert_eq!(first.pattern, row.pattern, "{example}");
            }
        }
    }

    /// Certificates are the peer's to write: a subject name must not choose the verdict.
    #[test]
    fn a_name_in_the_peers_certificate_does_not_choose_the_row() {
        let reason = "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify \
            cert failed: SAN matcher, certificate SANs are [Connection_refused, certificate_has_expired, \
            WRONG_VERSION_NUMBER]:TLS_error_end";
        assert_eq!(cause_of(reason), Cause::named("tls_san_mismatch"));
    }

    #[test]
    fn the_lenient_and_the_old_spellings_are_read_too() {
        let inspector = "TLS_error|error:100000f7:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end";
        assert_eq!(cause_of(inspector), Cause::named("tls_plaintext_peer"));
        let old = "TLS error: 268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED";
        assert_eq!(cause_of(old), Cause::named("tls_certificate_untrusted"));
        assert_eq!(
            cause_of("immediate connect error: 111|Connection refused"),
            Cause::named("connection_refused")
        );
    }

    #[test]
    fn what_no_row_knows_has_no_cause() {
        assert_eq!(cause_of(""), None);
        assert_eq!(cause_of("failed to bind to 10.0.0.1:0: Cannot assign requested address"), None);
    }
}
