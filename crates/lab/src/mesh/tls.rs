//! mTLS between sidecars, as Istio configures it.

use serde_json::{Value, json};

use crate::Result;
use crate::certs::{Authority, Certificate, TRUST_DOMAIN};
use crate::config::extension;

/// What Envoy calls a transport socket of TLS.
pub(crate) const TLS: &str = "envoy.transport_sockets.tls";

/// A workload's certificate and the root that it trusts.
pub(crate) struct Identity {
    own: Certificate,
    root: String,
}

impl Identity {
    /// The identity of a service account in the namespace `default`.
    pub(crate) fn new(authority: &Authority, account: &str) -> Result<Self> {
        Ok(Self { own: authority.workload("default", account)?, root: authority.root() })
    }

    /// The socket of a cluster whose endpoints must be `peer`, a SPIFFE ID.
    pub(crate) fn upstream(&self, sni: &str, peer: &str, alpn: &[&str]) -> Value {
        let context = json!({
            "sni": sni,
            "common_tls_context": self.common(alpn, json!({ "exact": peer })),
        });
        extension(TLS, "extensions.transport_sockets.tls.v3.UpstreamTlsContext", context)
    }

    /// The socket of a listener that takes callers of the same trust domain and no others.
    pub(crate) fn downstream(&self) -> Value {
        let trusted = json!({ "prefix": format!("spiffe://{TRUST_DOMAIN}/") });
        let context = json!({
            "require_client_certificate": true,
            "common_tls_context": self.common(&["h2", "http/1.1"], trusted),
        });
        extension(TLS, "extensions.transport_sockets.tls.v3.DownstreamTlsContext", context)
    }

    fn common(&self, alpn: &[&str], peer: Value) -> Value {
        let inline = |pem: &str| json!({ "inline_string": pem });
        json!({
            "alpn_protocols": alpn,
            "tls_params": {
                "tls_minimum_protocol_version": "TLSv1_2",
                "tls_maximum_protocol_version": "TLSv1_3",
            },
            "tls_certificates": [{
                "certificate_chain": inline(&self.own.chain),
                "private_key": inline(&self.own.key),
            }],
            "validation_context": {
                "trusted_ca": inline(&self.root),
                "match_typed_subject_alt_names": [{ "san_type": "URI", "matcher": peer }],
            },
        })
    }
}
