//! What happens to the sidecar: every kind of failure that the patches let through, and of success that they do not.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};

use super::Mounted;
use super::sidecar::{
    DENIED, GATEWAY, HTTP, PERMISSIVE, STRICT, WITH_CERTIFICATE, WITHOUT_CERTIFICATE, meant,
    tcp_address,
};
use crate::client::{Leave, Request};
use crate::envoy::Envoy;
use crate::grpc::Call;
use crate::versions::{Before, NO_DIRECTION};
use crate::{Doing as _, Error, PATIENCE, Result, wait_until};

/// Something that happens.
pub struct Scenario {
    /// A sentence, which is also its name.
    pub name: &'static str,
    /// The causes of the records that it leads to, in order: none for a success.
    pub causes: &'static [&'static str],
    /// What older Envoys come to instead.
    before: Option<Before>,
    play: fn(&Play<'_>) -> Result<Scene>,
}

/// Connections that stay open until the scenario is over.
pub(super) type Scene = Vec<TcpStream>;

impl Scenario {
    /// The scenario, with other records of the same causes before that version.
    const fn before(self, version: &'static str, what: &'static str) -> Self {
        Self { before: Some(Before { version, causes: self.causes, what }), ..self }
    }

    /// What older Envoys come to instead.
    pub fn before_versions(&self) -> impl Iterator<Item = &Before> {
        self.before.iter()
    }

    /// What its file is called on this version.
    #[must_use]
    pub fn file(&self, envoy: &Envoy) -> String {
        match self.before.filter(|before| !envoy.is_since(before.version)) {
            Some(before) => before.file(self.name),
            None => self.name.to_owned(),
        }
    }

    /// What its files are called, on whatever version.
    pub fn files(&self) -> impl Iterator<Item = String> {
        let before = self.before_versions().map(|before| before.file(self.name));
        [self.name.to_owned()].into_iter().chain(before)
    }

    /// Lets it happen, whatever the module makes of it.
    ///
    /// # Errors
    /// When a caller does not get what it should.
    pub fn happen(&self, mounted: &Mounted) -> Result<()> {
        self.play(mounted).map(drop)
    }

    /// Plays it.
    pub(super) fn play(&self, mounted: &Mounted) -> Result<Scene> {
        (self.play)(&Play { name: self.name, mounted })
    }
}

const fn scenario(
    name: &'static str,
    causes: &'static [&'static str],
    play: fn(&Play<'_>) -> Result<Scene>,
) -> Scenario {
    Scenario { name, causes, before: None, play }
}

/// A scenario under way.
struct Play<'a> {
    name: &'static str,
    mounted: &'a Mounted,
}

const NOTHING: Scene = Vec::new();

impl Play<'_> {
    fn port(&self, listener: &str) -> Result<u16> {
        self.mounted.proxy.port(listener)
    }

    /// A request of the workload's to a service.
    fn to(&self, service: &str, path: &str) -> Request {
        let host = format!("{service}.default.svc.cluster.local");
        let request = Request::get(path).header("host", host).behind(meant(HTTP));
        request.header("x-request-id", self.name)
    }

    /// Sends it out, and expects this status.
    fn out(&self, request: &Request, status: u16) -> Result<Scene> {
        expect(status, request.send(self.port("virtualOutbound")?)?.status)
    }

    /// A request to this port of the workload's.
    fn inward(&self, address: &str, path: &str, status: u16) -> Result<Scene> {
        let request = Request::get(path).header("x-request-id", self.name).behind(meant(address));
        expect(status, request.send(self.port("virtualInbound")?)?.status)
    }

    /// A gRPC call of the workload's, which must end with this status.
    fn call(&self, service: &str, call: Call, status: u32) -> Result<Scene> {
        let host = format!("{service}.default.svc.cluster.local");
        let call = call.header("host", host).header("x-request-id", self.name);
        let reply = call.behind(meant(HTTP)).send(self.port("virtualOutbound")?)?;
        expect(Some(status), reply.status)
    }

    /// A connection to a listener for the address that was meant, with some words on it.
    fn say(&self, listener: &str, address: &str, words: &str) -> Result<TcpStream> {
        say(self.port(listener)?, address, words)
    }

    /// A connection of the workload's to a service that is no HTTP.
    fn tcp(&self, service: &str) -> Result<TcpStream> {
        self.say("virtualOutbound", &tcp_address(service), "hello")
    }

    /// A request through the caller that opens TLS.
    fn over_tls(&self, caller: &str, status: u16) -> Result<Scene> {
        let request = Request::get("/status/200").behind(meant(STRICT));
        expect(status, request.send(self.mounted.caller.port(caller)?)?.status)
    }

    fn arrived(&self) -> bool {
        self.mounted.mock.requests_of(self.name) > 0
    }
}

fn say(port: u16, address: &str, words: &str) -> Result<TcpStream> {
    let doing = || format!("writing to port {port}");
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).doing(doing)?;
    socket.write_all((meant(address) + words).as_bytes()).doing(doing)?;
    Ok(socket)
}

fn expect<T: PartialEq + std::fmt::Debug>(expected: T, found: T) -> Result<Scene> {
    if expected == found {
        return Ok(NOTHING);
    }
    Err(Error::new("reading an answer", format!("expected {expected:?}, got {found:?}")))
}

const PLAIN_TEXT: &str =
    "tls_inspector leaves no transport failure reason where it meets plain text";

/// Every kind of failure.
#[rustfmt::skip] // One scenario, one paragraph.
pub const FAILURES: &[Scenario] = &[
    scenario("a_failure_with_a_flag_enters", &["connection_refused"], |play| {
        play.out(&play.to("refused", "/"), 503)
    }),
    scenario("an_error_of_the_application_enters", &["application_error"], |play| {
        play.out(&play.to("mock-server", "/status/500"), 500)
    }),
    scenario("a_host_outside_the_registry_enters", &["egress_blocked"], |play| {
        play.out(&play.to("outside", "/"), 502)
    }),
    scenario("a_refusal_without_a_flag_enters", &["authorization_denied"], |play| {
        play.inward(PERMISSIVE, "/denied", 403)
    }),
    scenario("a_refused_connection_to_the_workload_enters", &["connection_refused"], |play| {
        play.inward(PERMISSIVE, "/", 503)
    }),
    scenario("a_path_that_a_gateway_does_not_know_enters", &["route_not_found"], |play| {
        let request = Request::get("/").header("x-request-id", play.name);
        expect(404, request.send(play.port(GATEWAY)?)?.status)
    }),
    scenario("a_grpc_failure_behind_a_success_enters", &["application_error"], |play| {
        play.call("grpc", Call::status_after_headers(14), 14)
    }),
    scenario("a_grpc_failure_without_messages_enters", &["application_error"], |play| {
        play.call("grpc", Call::status(13), 13)
    }),
    scenario("a_grpc_call_that_cannot_be_passed_on_enters", &["connection_refused"], |play| {
        play.call("refused", Call::status(0), 14)
    }),
    scenario("a_grpc_call_that_a_policy_denies_enters", &["authorization_denied"], |play| {
        let call = Call::at("/denied", &[]).header("x-request-id", play.name).behind(meant(PERMISSIVE));
        expect(Some(7), call.send(play.port("virtualInbound")?)?.status)
    }),
    scenario("a_grpc_call_answered_by_what_is_no_grpc_enters", &["application_error"], |play| {
        play.out(&play.to("mock-server", "/status/200").header("content-type", "application/grpc"), 200)
    }),
    scenario("a_caller_that_leaves_enters", &["client_disconnected"], |play| {
        let port = play.port("virtualOutbound")?;
        play.to("mock-server", "/delay/4000").cancel(port, Leave::Close, || play.arrived())?;
        Ok(NOTHING)
    }),
    scenario("a_caller_that_cancels_its_stream_enters", &["client_reset"], |play| {
        let port = play.port("virtualOutbound")?;
        play.to("mock-server", "/delay/4000").cancel_http2(port, || play.arrived())?;
        Ok(NOTHING)
    }),
    scenario("a_response_that_breaks_off_enters", &["response_incomplete"], |play| {
        play.out(&play.to("mock-server", "/close-after-response/0"), 200)
    }),

    scenario("a_tcp_connection_that_is_refused_enters_once", &["connection_refused"], |play| {
        Ok(vec![play.tcp("tcp-refused")?])
    }),
    scenario("a_tcp_connection_to_an_empty_cluster_enters_once", &["no_endpoints"], |play| {
        Ok(vec![play.tcp("tcp-empty")?])
    }),
    scenario("a_tcp_connection_to_no_cluster_enters_once", &["cluster_not_found"], |play| {
        Ok(vec![play.tcp("tcp-nowhere")?])
    }),
    scenario("a_tcp_connection_above_the_limit_enters_once", &["upstream_overflow"], |play| {
        let before = play.mounted.silent.connections();
        let first = play.tcp("tcp-full")?;
        let there = || play.mounted.silent.connections() > before;
        wait_until(PATIENCE, "the first connection to reach the server", there)?;
        Ok(vec![first, play.tcp("tcp-full")?])
    }),
    scenario("a_tcp_connection_that_lasts_too_long_enters_once", &["max_connection_duration"], |play| {
        Ok(vec![play.tcp("tcp-brief")?])
    }),
    scenario("a_tcp_connection_that_is_passed_through_enters_when_it_fails", &["connection_refused"], |play| {
        let refused = format!("127.0.0.1:{}", play.mounted.refused.port());
        Ok(vec![play.say("virtualOutbound", &refused, "hello")?])
    }).before("1.37", PLAIN_TEXT),
    scenario("a_connection_into_the_black_hole_enters_once", &["egress_blocked"], |play| {
        Ok(vec![play.say("virtualOutbound", "10.244.0.9:15001", "hello")?])
    }),

    scenario("plain_text_where_mtls_is_required_enters_once", &["filter_chain_not_found"], |play| {
        play.inward(STRICT, "/", 0)
    }).before("1.38", NO_DIRECTION),
    scenario("a_caller_without_a_certificate_enters_once", &["downstream_tls_error"], |play| {
        play.over_tls(WITHOUT_CERTIFICATE, 0)
    }).before("1.37", "the transport failure reason of a missing certificate does not say in words what was required"),
    scenario("a_connection_that_a_policy_denies_enters_once", &["connection_denied"], |play| {
        Ok(vec![play.say("virtualInbound", DENIED, "hello")?])
    }).before("1.37", PLAIN_TEXT),
];

/// Every kind of success.
#[rustfmt::skip] // One scenario, one paragraph.
pub const SUCCESSES: &[Scenario] = &[
    scenario("http_1", &[], |play| play.out(&play.to("mock-server", "/status/200"), 200)),
    scenario("http_2", &[], |play| {
        let request = play.to("mock-server", "/stream/3/0");
        expect(200, request.send_http2(play.port("virtualOutbound")?)?.status)
    }),
    scenario("a_gateway's", &[], |play| {
        let request = Request::get("/status/200").header("host", "shop.example");
        expect(200, request.send(play.port(GATEWAY)?)?.status)
    }),
    scenario("over mTLS", &[], |play| play.over_tls(WITH_CERTIFICATE, 200)),
    scenario("a redirect", &[], |play| play.out(&play.to("mock-server", "/status/302"), 302)),
    scenario("a 404 of the application", &[], |play| play.out(&play.to("mock-server", "/status/404"), 404)),
    scenario("a 403 of the application", &[], |play| play.out(&play.to("mock-server", "/status/403"), 403)),
    scenario("grpc", &[], |play| play.call("grpc", Call::status(0), 0)),
    scenario("grpc, not found by the application", &[], |play| play.call("grpc", Call::status(5), 5)),
    scenario("a web socket that the client closes", &[], |play| {
        let request = "GET / HTTP/1.1\r\nhost: websocket.default.svc.cluster.local\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        let mut socket = play.say("virtualOutbound", HTTP, request)?;
        let mut head = [0; 12];
        socket.read_exact(&mut head).doing(|| "reading the head of a response".to_owned())?;
        expect(b"HTTP/1.1 101".as_slice(), head.as_slice())
    }),
    scenario("tcp", &[], |play| {
        let request = Request::get("/status/500").behind(meant(&tcp_address("tcp-mock")));
        expect(500, request.send(play.port("virtualOutbound")?)?.status)
    }),
    scenario("tcp, passed through", &[], |play| {
        let mock = format!("127.0.0.1:{}", play.mounted.mock.port());
        expect(200, Request::get("/status/200").behind(meant(&mock)).send(play.port("virtualOutbound")?)?.status)
    }),
];
