//! Two Envoys that believe each other by the certificates of a mesh, and nobody else.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may say what it expects and stop there, as the test itself may"
)]

use std::time::Duration;

use failgate_lab::certs::{Authority, Certificate, Name, TRUST_DOMAIN, Validity};
use failgate_lab::client::{Ending, Request, send_raw};
use failgate_lab::envoy::{self, Envoy};
use failgate_lab::grpc::Call;
use failgate_lab::mock::Mock;
use failgate_lab::proxy::{Options, Proxy};
use failgate_lab::{http2, wait_until};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(10);
const TLS_1_2: &str = "TLSv1_2";
const TLS_1_3: &str = "TLSv1_3";

fn envoy() -> Envoy {
    envoy::find(&|progress| eprintln!("{progress}")).unwrap()
}

fn socket(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

fn stdout(format: &str) -> Value {
    json!({"name": "stdout", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
        "log_format": {"text_format_source": {"inline_string": format}}}})
}

/// A listener that speaks any HTTP and logs to stdout in `format`.
fn listener(name: &str, routes: &Value, format: &str) -> Value {
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
        "access_log": [stdout(format)],
    });
    json!({"name": name, "address": socket(0), "filter_chains": [{"filters": [
        {"name": "http", "typed_config": manager}]}]})
}

fn cluster(name: &str, port: u16, http2: bool) -> Value {
    let version = if http2 { "http2_protocol_options" } else { "http_protocol_options" };
    let endpoint = json!({"endpoint": {"address": socket(port)}});
    json!({"name": name, "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {version: {}}}}})
}

/// The part of TLS that both ends have: a certificate, if any, and whom to believe.
fn common(own: Option<&Certificate>, root: &str, peer: &Value, newest: &str) -> Value {
    let inline = |text: &str| json!({"inline_string": text});
    let own = own.map(
        |own| json!({"certificate_chain": inline(&own.chain), "private_key": inline(&own.key)}),
    );
    json!({
        "alpn_protocols": ["h2"],
        "tls_params": {"tls_maximum_protocol_version": newest},
        "tls_certificates": own.into_iter().collect::<Vec<_>>(),
        "validation_context": {
            "trusted_ca": inline(root),
            "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": peer}]},
    })
}

fn server(own: &Certificate, root: &str, mock: &Mock) -> Proxy {
    let routes = json!([
        {"match": {"prefix": "/mock.MockService/"}, "route": {"cluster": "grpc"}},
        {"match": {"prefix": "/"}, "route": {"cluster": "http"}}]);
    let mut inbound = listener("inbound", &routes, "%RESPONSE_CODE% %DOWNSTREAM_PEER_URI_SAN%\n");
    inbound["filter_chains"][0]["transport_socket"] = json!({"name": "tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": true,
        "common_tls_context": common(Some(own), root, &json!({"prefix": "spiffe://cluster.local/"}), TLS_1_3)}});
    // What fails before HTTP is known to the listener only.
    inbound["access_log"] = json!([stdout("%DOWNSTREAM_TRANSPORT_FAILURE_REASON%\n")]);
    let clusters = [cluster("http", mock.port(), false), cluster("grpc", mock.grpc_port(), true)];
    let bootstrap = json!({"static_resources": {"listeners": [inbound], "clusters": clusters}});
    Proxy::start(&envoy(), &bootstrap, &Options::default()).unwrap()
}

fn client(own: Option<&Certificate>, root: &str, peer: &str, newest: &str, port: u16) -> Proxy {
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster": "server"}}]);
    let format = "%RESPONSE_CODE% %RESPONSE_FLAGS% %UPSTREAM_TRANSPORT_FAILURE_REASON%\n";
    let mut server = cluster("server", port, true);
    server["transport_socket"] = json!({"name": "tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": common(own, root, &json!({"exact": peer}), newest)}});
    let listeners = [listener("outbound", &routes, format)];
    let bootstrap = json!({"static_resources": {"listeners": listeners, "clusters": [server]}});
    Proxy::start(&envoy(), &bootstrap, &Options::default()).unwrap()
}

/// The line that the proxy logs behind so many others, with the errors of BoringSSL in short.
fn logged(proxy: &Proxy, before: usize) -> String {
    wait_until(SOON, "the access log", || proxy.access_log().all().len() > before)
        .unwrap_or_else(|error| panic!("{error}\n{}", proxy.dump_log()));
    let line = &proxy.access_log().all()[before];
    match line.split_once("TLS_error:|") {
        Some((head, error)) => head.to_owned() + &in_short(error),
        None => line.clone(),
    }
}

fn in_short(error: &str) -> String {
    const X509: &str = "X509_verify_cert:_certificate_verification_error_at_depth_0:_";
    let error = error.rsplit("OPENSSL_internal:").next().unwrap().replace(":TLS_error_end", "");
    let error = error.replace("CERTIFICATE_VERIFY_FAILED:verify_cert_failed:_", "");
    error.replace(X509, "X509:").replace("SAN_matcher,_certificate_SANs_are_", "SAN:")
}

/// What a version says of such a refusal: 1.36 names BoringSSL's error only, 1.37 no names of the peer.
fn told(version: &str, line: &str) -> String {
    let cut = |line: &str, from: &str, to: &str| match line.split_once(from) {
        Some((head, _)) => head.to_owned() + to,
        None => line.to_owned(),
    };
    match version.split('.').nth(1).unwrap().parse::<u32>().unwrap() {
        ..=36 => {
            let line = cut(line, ":peer_did_not", "");
            let line = cut(&line, "X509:", "CERTIFICATE_VERIFY_FAILED");
            cut(&line, "SAN:", "CERTIFICATE_VERIFY_FAILED")
        }
        37 => cut(line, "SAN:", "SAN_matcher"),
        _ => line.to_owned(),
    }
}

#[test]
fn workloads_of_one_mesh_believe_each_other() {
    let mesh = Authority::new(TRUST_DOMAIN).unwrap();
    let mock = Mock::start().unwrap();
    let own = mesh.workload("default", "server").unwrap();
    let server = server(&own, &mesh.root(), &mock);
    let own = mesh.workload("default", "client").unwrap();
    let peer = "spiffe://cluster.local/ns/default/sa/server";
    assert_eq!(mesh.spiffe_id("default", "server"), peer);
    let client = client(Some(&own), &mesh.root(), peer, TLS_1_3, server.port("inbound").unwrap());
    let port = client.port("outbound").unwrap();

    let response = Request::get("/status/204").within(SOON).send(port).unwrap();
    assert_eq!(response.status, 204, "{}{}", client.dump_log(), server.dump_log());
    let reply = Call::status(0).within(SOON).send(port).unwrap();
    assert_eq!((reply.status, reply.ending()), (Some(0), http2::Ending::Complete));
    assert_eq!((mock.requests("/status/204"), mock.requests("/mock.MockService/Status")), (1, 1));
    assert_eq!(logged(&server, 0), "204 spiffe://cluster.local/ns/default/sa/client");
    mock.check().unwrap();
}

#[test]
fn a_stranger_is_refused_and_with_tls_1_3_only_the_side_that_refuses_knows_why() {
    let mesh = Authority::new(TRUST_DOMAIN).unwrap();
    let stranger = Authority::new(TRUST_DOMAIN).unwrap();
    let mock = Mock::start().unwrap();
    let own = mesh.workload("default", "server").unwrap();
    let server = server(&own, &mesh.root(), &mock);
    let issue = |validity, id: &str| mesh.issue(&[Name::Uri(id.to_owned())], validity).unwrap();
    let id = mesh.spiffe_id("default", "client");
    let good = issue(Validity::Now, &id);
    let foreign = stranger.workload("default", "client").unwrap();
    let expired = issue(Validity::Expired, &id);
    let early = issue(Validity::NotYet, &id);
    let elsewhere = issue(Validity::Now, "spiffe://elsewhere/ns/default/sa/client");
    let unnamed = mesh.issue(&[Name::Dns("client.local".to_owned())], Validity::Now).unwrap();
    const UNKNOWN_CA: &str = "UF X509:unable_to_get_local_issuer_certificate";
    const UNKNOWN_NAME: &str = "UF SAN:[spiffe://cluster.local/ns/default/sa/server]";
    let (root, other_root) = (mesh.root(), stranger.root());
    let (peer, other) = (mesh.spiffe_id("default", "server"), mesh.spiffe_id("default", "other"));
    // The client's certificate and whom it believes; what it logs by TLS version; what the server logs.
    #[rustfmt::skip]
    let cases = [
        (None,             &root,       &peer,  "UF SSLV3_ALERT_HANDSHAKE_FAILURE",    "UC -", "PEER_DID_NOT_RETURN_A_CERTIFICATE:peer_did_not_provide_required_client_certificate"),
        (Some(&foreign),   &root,       &peer,  "UF TLSV1_ALERT_UNKNOWN_CA",           "UC -", "X509:unable_to_get_local_issuer_certificate"),
        (Some(&expired),   &root,       &peer,  "UF SSLV3_ALERT_CERTIFICATE_EXPIRED",  "UC -", "X509:certificate_has_expired"),
        (Some(&early),     &root,       &peer,  "UF SSLV3_ALERT_CERTIFICATE_EXPIRED",  "UC -", "X509:certificate_is_not_yet_valid"),
        (Some(&elsewhere), &root,       &peer,  "UF SSLV3_ALERT_CERTIFICATE_UNKNOWN",  "UC -", "SAN:[spiffe://elsewhere/ns/default/sa/client]"),
        (Some(&unnamed),   &root,       &peer,  "UF SSLV3_ALERT_CERTIFICATE_UNKNOWN",  "UC -", "SAN:[client.local]"),
        (Some(&good),      &other_root, &peer,  UNKNOWN_CA,                        UNKNOWN_CA, "TLSV1_ALERT_UNKNOWN_CA"),
        (Some(&good),      &root,       &other, UNKNOWN_NAME,                    UNKNOWN_NAME, "SSLV3_ALERT_CERTIFICATE_UNKNOWN"),
    ];
    let version = envoy().version;
    for (own, root, peer, with_1_2, with_1_3, inbound) in cases {
        for (newest, outbound) in [(TLS_1_2, with_1_2), (TLS_1_3, with_1_3)] {
            let before = server.access_log().all().len();
            let client = client(own, root, peer, newest, server.port("inbound").unwrap());
            let request = Request::get("/status/200").within(SOON);
            let response = request.send(client.port("outbound").unwrap()).unwrap();
            assert_eq!((response.status, response.ending), (503, Ending::Complete));
            let outbound = told(&version, &format!("503 {outbound}"));
            assert_eq!(logged(&client, 0), outbound, "{newest}, {inbound}");
            let inbound = told(&version, inbound);
            assert_eq!(logged(&server, before), inbound, "{newest}, {outbound}");
        }
    }
    assert_eq!(mock.requests("/status/200"), 0);
    mock.check().unwrap();
}

#[test]
fn plain_text_is_refused() {
    let mesh = Authority::new(TRUST_DOMAIN).unwrap();
    let mock = Mock::start().unwrap();
    let own = mesh.workload("default", "server").unwrap();
    let server = server(&own, &mesh.root(), &mock);
    let port = server.port("inbound").unwrap();
    let (bytes, ending) = send_raw(port, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", SOON).unwrap();
    assert_ne!(ending, Ending::Silent);
    assert!(!bytes.starts_with(b"HTTP"), "{bytes:?}");
    assert_eq!(mock.connections(), 0);
}
