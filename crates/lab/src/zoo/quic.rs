//! HTTP/3, which two Envoys speak with each other: the farther one says what it makes of a request, the nearer
//! one what it makes of the response. Each scenario has two of its own.

use std::io::Write as _;

use serde_json::{Value, json};

use super::play::{Play, Scenario, connect, scenario};
use super::site::everything_to;
use crate::certs::{Authority, Name, TRUST_DOMAIN, Validity};
use crate::client::Request;
use crate::config::{bootstrap, cluster, extension, http, http_with, listener, route, typed, with};
use crate::peers::RawServer;
use crate::proxy::{Options, Proxy};
use crate::streams::Names;
use crate::{Doing as _, PATIENCE, Result, wait_until};

const LISTENER: &str = "quic";
const SOCKET: &str = "envoy.transport_sockets.quic";

/// Two proxies, the second of which speaks HTTP/3 to the first.
struct Pair {
    far: Proxy,
    near: Proxy,
    names: Names,
    _talkative: RawServer,
}

impl Pair {
    fn start(play: &Play<'_>) -> Result<Self> {
        let site = play.zoo.site();
        let authority = Authority::new(TRUST_DOMAIN)?;
        let own = authority.issue(&[Name::Dns("zoo.example".to_owned())], Validity::Now)?;
        let fields: String = (0..130).map(|number| format!("a{number}: 1\r\n")).collect();
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}content-length: 0\r\n\r\n");
        let talkative = RawServer::answering(answer)?;

        let inline = |pem: &str| json!({ "inline_string": pem });
        let certificate = json!({
            "certificate_chain": inline(&own.chain),
            "private_key": inline(&own.key),
        });
        let tls = json!({ "common_tls_context": { "tls_certificates": [certificate] } });
        let kind = "extensions.transport_sockets.quic.v3.QuicDownstreamTransport";
        let socket = extension(SOCKET, kind, json!({ "downstream_tls_context": tls }));
        let routes = [route("default", "/talkative", "talkative"), everything_to("mock")];
        let strict = json!({
            "codec_type": "HTTP3",
            "http3_protocol_options": {},
            "common_http_protocol_options": {
                "max_headers_count": 20,
                "headers_with_underscores_action": "REJECT_REQUEST",
            },
        });
        let mut quic = listener(LISTENER, "INBOUND", with(http(&routes, &[]), strict));
        set(&mut quic, "/address/socket_address", json!({ "protocol": "UDP" }));
        set(&mut quic, "/filter_chains/0", json!({ "transport_socket": socket }));
        let quic = with(quic, json!({ "udp_listener_config": { "quic_options": {} } }));
        let quic = site.patched(quic)?;
        let mut many = with(cluster("talkative", &[talkative.port()]), http_with(json!({})));
        let options = "/typed_extension_protocol_options/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        let common = json!({ "common_http_protocol_options": { "max_headers_count": 1000 } });
        set(&mut many, options, common);
        let clusters = [site.cluster_of("mock", "mock")?, many];
        let far = Proxy::start(
            play.zoo.envoy(),
            &bootstrap("far", &[quic], &clusters),
            &Options::default(),
        )?;

        let trusted = json!({ "trusted_ca": inline(&authority.root()) });
        let tls = json!({
            "sni": "zoo.example",
            "common_tls_context": { "validation_context": trusted },
        });
        let kind = "extensions.transport_sockets.quic.v3.QuicUpstreamTransport";
        let socket = extension(SOCKET, kind, json!({ "upstream_tls_context": tls }));
        const OPTIONS: &str = "extensions.upstreams.http.v3.HttpProtocolOptions";
        let options =
            typed(OPTIONS, json!({ "explicit_http_config": { "http3_protocol_options": {} } }));
        let port = far.port(LISTENER)?;
        let over_quic = with(
            cluster("far", &[port]),
            json!({
                "transport_socket": socket,
                "typed_extension_protocol_options": { format!("envoy.{OPTIONS}"): options },
            }),
        );
        let trailers = json!({ "http_protocol_options": { "enable_trailers": true } });
        let http = with(http(&[everything_to("far")], &[]), trailers);
        let listener = site.patched(site.listener(LISTENER, http))?;
        let near = Proxy::start(
            play.zoo.envoy(),
            &bootstrap("client", &[listener], &[over_quic]),
            &Options::default(),
        )?;
        Ok(Self { far, near, names: Names::new(&[(port, "far")]), _talkative: talkative })
    }

    /// The record of one of them with these details.
    fn record(&self, proxy: &Proxy, details: &str) -> Result<Value> {
        let is = |record: &Value| {
            let own = record.get("response_code_details").and_then(Value::as_str);
            own.is_some_and(|own| own.starts_with(details))
        };
        Ok(self.names.normal(proxy.wait_for_record(PATIENCE, is)?))
    }
}

/// Sets members of an object that is part of another.
fn set(value: &mut Value, place: &str, members: Value) {
    if let Some(part) = value.pointer_mut(place) {
        *part = with(part.take(), members);
    }
}

/// What the farther one refuses.
fn requests(play: &mut Play<'_>) -> Result<()> {
    let pair = Pair::start(play)?;
    let port = pair.near.port(LISTENER)?;
    let many = (0..30).fold(Request::get("/status/200"), |request, number| {
        request.header(format!("a{number}"), "1")
    });
    many.send(port)?;
    Request::get("/status/200").header("under_score", "1").send(port)?;
    let fields: String = (0..30).map(|number| format!("a{number}: 1\r\n")).collect();
    let head = "POST /delay/15000 HTTP/1.1\r\nhost: a\r\nx-request-id: trailers\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut socket = connect(port, head.as_bytes())?;
    let arrived = || play.zoo.mock.requests_of("trailers") > 0;
    wait_until(PATIENCE, "the request to reach the server", arrived)?;
    socket
        .write_all(format!("2\r\nok\r\n0\r\n{fields}\r\n").as_bytes())
        .doing(|| "sending trailers".to_owned())?;
    for details in
        ["http3.too_many_headers", "http3.unexpected_underscore", "http3.too_many_trailers"]
    {
        let record = pair.record(&pair.far, details)?;
        play.found(record);
    }
    Ok(())
}

/// What the nearer one refuses.
fn response(play: &mut Play<'_>) -> Result<()> {
    let pair = Pair::start(play)?;
    Request::get("/talkative")
        .header("x-request-id", "talkative")
        .send(pair.near.port(LISTENER)?)?;
    let record = pair.record(&pair.near, "upstream_reset_before_response_started")?;
    play.found(record);
    Ok(())
}

/// What HTTP/3 has words of its own for.
#[rustfmt::skip] // One scenario, one paragraph.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("a_request_of_http_3_must_be_sound", &["headers_too_large", "malformed_request", "headers_too_large"], requests)
        .before("1.37", &["headers_too_large", "malformed_request", "headers_too_large"], "an underscore in a header of HTTP/3 sets no flag"),
    scenario("a_response_of_too_many_headers_is_reset_by_this_proxy", &["local_reset"], response),
];
