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
}

const fn row(pattern: Pattern, name: &str) -> Transport {
    Transport { pattern, cause: cause(name) }
}

/// Every family. **The order is precedence**: the first row that matches decides.
#[rustfmt::skip]
pub const TRANSPORT: &[Transport] = &[
    // Our verification of the peer's certificate. The subject names come first, since they are quoted.
    row(Has("verify_cert_failed:_verify_SAN_list"), "tls_san_mismatch"),
    row(Has("verify_cert_failed:_URI_SAN"),        "tls_san_mismatch"),
    row(Has("verify_cert_failed:_SAN_match"),      "tls_san_mismatch"),
    row(Has("certificate_has_expired"),            "tls_certificate_expired"),
    row(Has("certificate_is_not_yet_valid"),       "tls_certificate_expired"),
    row(Has("CERTIFICATE_VERIFY_FAILED"),          "tls_certificate_untrusted"),
    // The handshake itself.
    row(Has("Secret_is_not_supplied_by_SDS"),      "tls_secret_missing"),
    row(Has("_ALERT_"),                            "tls_alert_received"),
    row(Has("WRONG_VERSION_NUMBER"),               "tls_plaintext_peer"),
    row(Has("HTTP_REQUEST"),                       "tls_plaintext_peer"),
    row(Has("HTTPS_PROXY_REQUEST"),                "tls_plaintext_peer"),
    row(Has("UNSUPPORTED_PROTOCOL"),               "tls_protocol_mismatch"),
    row(Has("NO_SHARED_CIPHER"),                   "tls_protocol_mismatch"),
    row(Has("NO_APPLICATION_PROTOCOL"),            "tls_protocol_mismatch"),
    // The socket, also from inside a TLS error.
    row(Has("Connection_reset_by_peer"),           "connection_reset"),
    row(Has("error:_104"),                         "connection_reset"),
    row(Has("TLS_error"),                          "tls_error"),
    row(Has("Connection_refused"),                 "connection_refused"),
    row(Has("connect_error:_111"),                 "connection_refused"),
    row(Has("Connection_timed_out"),               "connection_timeout"),
    row(Has("connect_error:_110"),                 "connection_timeout"),
    row(Has("No_route_to_host"),                   "host_unreachable"),
    row(Has("Network_is_unreachable"),             "host_unreachable"),
    row(Has("Host_is_unreachable"),                "host_unreachable"),
    row(Has("connect_error:_113"),                 "host_unreachable"),
    row(Has("connect_error:_101"),                 "host_unreachable"),
];

/// What a transport failure reason says; `None` when it is empty or in no row.
#[must_use]
pub fn cause_of(reason: &str) -> Option<Cause> {
    TRANSPORT.iter().find(|row| row.pattern.matches(reason)).map(|row| row.cause)
}

#[cfg(test)]
mod tests {
    use super::*;

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
