//! Another proxy, which is the peer of TLS: each of its listeners is wrong in a way of its own.

use serde_json::{Value, json};

use super::DOOR;
use super::play::{Scenario, scenario};
use super::site::Parts;
use super::upstream::tls;
use crate::certs::{Authority, Certificate, Name, TRUST_DOMAIN, Validity};
use crate::config::{bootstrap, cluster, extension, http, http_with, listener, with};
use crate::envoy::Envoy;
use crate::proxy::{Options, Proxy};
use crate::{Error, Result};

/// The peer, and the authority that the zoo trusts.
#[derive(Debug)]
pub(super) struct Far {
    proxy: Proxy,
    root: String,
}

/// What the peers are called.
const PEERS: [&str; 8] = [
    "stranger",
    "expired",
    "too-early",
    "other-name",
    "other-identity",
    "wants-a-certificate",
    "wants-a-certificate-later",
    "not-before-tls-1-3",
];

impl Far {
    pub(super) fn start(envoy: &Envoy) -> Result<Self> {
        let (authority, stranger) = (Authority::new(TRUST_DOMAIN)?, Authority::new(TRUST_DOMAIN)?);
        let name = |name: &str| {
            [Name::Dns(format!("{name}.example")), Name::Uri(format!("spiffe://{name}"))]
        };
        let own = name("zoo");
        let sound = || authority.issue(&own, Validity::Now);
        let trusted = json!({ "trusted_ca": { "inline_string": authority.root() } });
        // Before TLS 1.3 a client hears of the refusal before its connection is ready, since then only behind it.
        let wanting = |name: &str, version: &str| {
            let common = with(versions(version, version), json!({ "validation_context": trusted }));
            let listener = near(name, &sound()?, common);
            Ok::<_, Error>(with_context(listener, json!({ "require_client_certificate": true })))
        };
        let listeners = [
            near("stranger", &stranger.issue(&own, Validity::Now)?, json!({})),
            near("expired", &authority.issue(&own, Validity::Expired)?, json!({})),
            near("too-early", &authority.issue(&own, Validity::NotYet)?, json!({})),
            near("other-name", &authority.issue(&name("elsewhere"), Validity::Now)?, json!({})),
            near(
                "other-identity",
                &authority
                    .issue(&[Name::Uri(format!("spiffe://{TRUST_DOMAIN}/a"))], Validity::Now)?,
                json!({}),
            ),
            wanting("wants-a-certificate", "TLSv1_2")?,
            wanting("wants-a-certificate-later", "TLSv1_3")?,
            near("not-before-tls-1-3", &sound()?, versions("TLSv1_3", "TLSv1_3")),
        ];
        let proxy = Proxy::start(envoy, &bootstrap("far", &listeners, &[]), &Options::default())?;
        Ok(Self { proxy, root: authority.root() })
    }

    /// The ports of the peers and their names.
    pub(super) fn ports(&self) -> Result<Vec<(u16, &'static str)>> {
        PEERS.iter().map(|name| Ok((self.proxy.port(name)?, *name))).collect()
    }

    /// A way to each, by the rules of the same authority.
    pub(super) fn build(&self, parts: &mut Parts) -> Result<()> {
        let trusted = json!({ "trusted_ca": { "inline_string": self.root } });
        let named = |kind: &str, name: &str| {
            let names = json!([{ "san_type": kind, "matcher": { "exact": name } }]);
            with(trusted.clone(), json!({ "match_typed_subject_alt_names": names }))
        };
        let context = |validation: Value, versions: Value| {
            let common = with(json!({ "validation_context": validation }), versions);
            tls(json!({ "sni": "zoo.example", "common_tls_context": common }))
        };
        let mut way = |name: &str, peer: &str, context: Value| {
            parts.way(with(cluster(name, &[self.proxy.port(peer)?]), context));
            Ok(())
        };
        for peer in ["stranger", "expired", "too-early", "wants-a-certificate"] {
            way(peer, peer, context(trusted.clone(), json!({})))?;
        }
        let by_host = with(
            context(trusted.clone(), json!({})),
            http_with(json!({ "auto_sni": true, "auto_san_validation": true })),
        );
        way("other-host", "other-name", by_host)?;
        let bundle =
            json!({ "name": TRUST_DOMAIN, "trust_bundle": { "inline_string": self.root } });
        let spiffe = extension(
            "envoy.tls.cert_validator.spiffe",
            "extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig",
            json!({ "trust_domains": [bundle] }),
        );
        let by_identity = with(
            context(json!({ "custom_validator_config": spiffe }), json!({})),
            http_with(json!({ "auto_sni": true, "auto_san_validation": true })),
        );
        way("other-identity", "other-identity", by_identity)?;
        way("other-name", "other-name", context(named("DNS", "zoo.example"), json!({})))?;
        way("other-uri", "other-name", context(named("URI", "spiffe://zoo"), json!({})))?;
        for (peer, version) in
            [("not-before-tls-1-3", "TLSv1_2"), ("wants-a-certificate-later", "TLSv1_3")]
        {
            way(peer, peer, context(trusted.clone(), versions(version, version)))?;
        }
        Ok(())
    }
}

fn versions(least: &str, most: &str) -> Value {
    json!({ "tls_params": {
        "tls_minimum_protocol_version": least,
        "tls_maximum_protocol_version": most,
    } })
}

/// A listener with this certificate.
fn near(name: &str, own: &Certificate, common: Value) -> Value {
    let inline = |pem: &str| json!({ "inline_string": pem });
    let certificate = json!({
        "certificate_chain": inline(&own.chain),
        "private_key": inline(&own.key),
    });
    let common = with(json!({ "tls_certificates": [certificate] }), common);
    let listener = listener(name, "INBOUND", http(&[], &[]));
    with_context(listener, json!({ "common_tls_context": common }))
}

/// The listener with these members of its TLS context.
fn with_context(mut listener: Value, members: Value) -> Value {
    const KIND: &str = "extensions.transport_sockets.tls.v3.DownstreamTlsContext";
    if let Some(chain) = listener.pointer_mut("/filter_chains/0") {
        let socket = chain.get("transport_socket").cloned();
        let socket =
            socket.unwrap_or_else(|| extension("envoy.transport_sockets.tls", KIND, json!({})));
        let context = socket.get("typed_config").cloned().unwrap_or_default();
        let socket = with(socket, json!({ "typed_config": with(context, members) }));
        *chain = with(chain.take(), json!({ "transport_socket": socket }));
    }
    listener
}

const UNTRUSTED: &[&str] = &["tls_certificate_untrusted"];
const SAYS_NO_MORE: &str = "the transport failure reason of a refused certificate is `CERTIFICATE_VERIFY_FAILED` and no more";

const SAYS_NO_NAMES: &str =
    "the transport failure reason of a certificate of another name holds no names";

/// What stops in the handshake with a peer that speaks TLS.
#[rustfmt::skip] // One scenario, one paragraph.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("a_certificate_of_a_stranger_is_untrusted", &["tls_certificate_untrusted"], |play| play.ask("/stranger")).before("1.37", UNTRUSTED, SAYS_NO_MORE),
    scenario("a_certificate_may_be_expired", &["tls_certificate_expired"], |play| play.ask("/expired")).before("1.37", UNTRUSTED, SAYS_NO_MORE),
    scenario("a_certificate_may_be_not_yet_valid", &["tls_certificate_expired"], |play| play.ask("/too-early")).before("1.37", UNTRUSTED, SAYS_NO_MORE),
    scenario("a_certificate_of_another_name_does_not_match", &["tls_san_mismatch"], |play| play.ask("/other-name")).before("1.37", UNTRUSTED, SAYS_NO_MORE).before("1.38", &["tls_san_mismatch"], SAYS_NO_NAMES),
    scenario("a_certificate_of_another_host_does_not_match", &["tls_san_mismatch"], |play| {
        let port = play.port(DOOR)?;
        play.get("/other-host").header("host", "zoo.example").send(port).map(drop)
    }).before("1.37", UNTRUSTED, SAYS_NO_MORE).before("1.38", &["tls_san_mismatch"], SAYS_NO_NAMES),
    scenario("a_certificate_of_another_identity_does_not_match", &["tls_san_mismatch"], |play| play.ask("/other-uri")).before("1.37", UNTRUSTED, SAYS_NO_MORE).before("1.38", &["tls_san_mismatch"], SAYS_NO_NAMES),
    scenario("a_workload_of_another_identity_does_not_match", &["tls_san_mismatch"], |play| {
        let port = play.port(DOOR)?;
        play.get("/other-identity").header("host", "zoo.example").send(port).map(drop)
    }).before("1.40", &[], "the SPIFFE validator does not look whether the peer is the host that was called"),
    scenario("a_client_without_a_certificate_is_told_so", &["tls_alert_received"], |play| play.ask("/wants-a-certificate")),
    scenario("since_tls_1_3_a_client_without_a_certificate_is_cut_off", &["connection_terminated"], |play| play.ask("/wants-a-certificate-later")),
    scenario("a_client_of_an_older_tls_is_told_so", &["tls_alert_received"], |play| play.ask("/not-before-tls-1-3")),
];
