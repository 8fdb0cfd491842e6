//! What a connection manager makes of a request before any filter: protocol, form, time.

use serde_json::{Value, json};

use super::frames;
use super::play::{Scenario, scenario};
use super::site::{Parts, Site, filter, to_the_server};
use crate::Result;
use crate::config::{http, with};
use crate::versions::{Since, since};

const COOKIES: Since = since("1.38", "a limit for the cookies of a request");

const CONTENT: &str =
    "POST /delay/4000 HTTP/1.1\r\nhost: a\r\nx-request-id: {id}\r\ncontent-length: 9\r\n\r\nhalf";
const UPGRADE: &str =
    "HTTP/1.1\r\nhost: a\r\nx-request-id: {id}\r\nconnection: upgrade\r\nupgrade: ";

/// A listener for every setting of the connection manager.
pub(super) fn build(site: &Site<'_>, parts: &mut Parts) -> Result<()> {
    parts.clusters.push(site.cluster_of("mock", "mock")?);
    let custom_header = "extensions.http.original_ip_detection.custom_header.v3.CustomHeaderConfig";
    let settings: [(&str, Value); 10] = [
        ("plain", json!({})),
        ("relative-paths", json!({ "http_protocol_options": { "allow_absolute_url": false } })),
        (
            "normalized-paths",
            json!({ "normalize_path": true, "path_with_escaped_slashes_action": "REJECT_REQUEST" }),
        ),
        ("header-timeout", json!({ "request_headers_timeout": "0.2s" })),
        ("request-timeout", json!({ "request_timeout": "0.2s" })),
        ("idle-timeout", json!({ "stream_idle_timeout": "0.2s" })),
        (
            "stream-duration",
            json!({ "common_http_protocol_options": { "max_stream_duration": "0.3s" } }),
        ),
        ("small-headers", json!({ "max_request_headers_kb": 1 })),
        ("few-headers", json!({ "common_http_protocol_options": { "max_headers_count": 4 } })),
        (
            "ip-detection",
            json!({ "original_ip_detection_extensions": [crate::config::extension(
                "envoy.http.original_ip_detection.custom_header",
                custom_header,
                json!({ "header_name": "x-ip", "reject_with_status": { "code": "Forbidden" } }),
            )] }),
        ),
    ];
    for (name, members) in settings {
        parts.gate(site, name, &[], members);
    }
    tunnels(site, parts);
    if site.has(COOKIES) {
        parts.set("envoy.reloadable_features.http2_max_cookies_size_in_kb", json!(2));
    }
    Ok(())
}

/// A listener whose callers may not say a word before the tunnel that they asked for is there.
fn tunnels(site: &Site<'_>, parts: &mut Parts) {
    let upgrade = json!({ "upgrade_type": "CONNECT", "connect_config": {} });
    let route = with(
        to_the_server(),
        json!({
            "match": { "connect_matcher": {} },
            "route": { "cluster": "mock", "upgrade_configs": [upgrade] },
        }),
    );
    let mut patience = json!({});
    if site.envoy.is_since("1.37") {
        patience = json!({ "reject_connect_request_early_data": true });
    } else {
        parts.set("envoy.reloadable_features.reject_early_connect_data", json!(true));
    }
    let members = json!({
        "http_filters": [filter("router", "Router", patience)],
        "upgrade_configs": [{ "upgrade_type": "CONNECT" }],
    });
    parts.listener(site.listener("tunnels", with(http(&[route], &[]), members)));
}

/// What stops at the gate `request`, and streams that took too long.
#[rustfmt::skip] // One scenario, one paragraph.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("a_request_of_http_1_0_is_unsupported", &["unsupported_protocol_version"], |play| {
        play.say("plain", b"GET / HTTP/1.0\r\nhost: a\r\n\r\n", "response_code_details", "low_version")
    }),
    scenario("an_escaped_slash_is_an_invalid_path", &["invalid_path"], |play| {
        play.ask_at("normalized-paths", "/a%2fb")
    }),
    scenario("a_whole_url_may_be_an_invalid_path", &["invalid_path"], |play| {
        play.say_with_id("relative-paths", "GET http://a/ HTTP/1.1\r\nhost: a\r\nx-request-id: {id}\r\n\r\n")
    }),
    scenario("a_tunnel_may_not_be_used_before_it_is_there", &["malformed_request"], |play| {
        play.say_with_id("tunnels", "CONNECT a:1 HTTP/1.1\r\nhost: a\r\nx-request-id: {id}\r\n\r\nearly")
    }),
    scenario("cookies_of_four_kilobytes_may_be_too_many", &["headers_too_large"], |play| {
        let crumb = "x".repeat(100);
        let mut request = vec![(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")];
        request.extend((0..40).map(|_| ("cookie", crumb.as_str())));
        play.say("plain", &frames::request(&request, true), "response_code_details", "http2.cookies")
    }).since(COOKIES),
    scenario("an_upgrade_that_is_not_configured_is_rejected", &["upgrade_rejected"], |play| {
        play.say_with_id("plain", &format!("GET / {UPGRADE}other\r\n\r\n"))
    }),
    scenario("headers_that_never_end_time_out", &["request_timeout"], |play| {
        play.say("header-timeout", b"GET / HTTP/1.1\r\nhost: a\r\n", "response_code_details", "request_header_timeout")
    }),
    scenario("a_body_that_never_ends_times_out", &["request_timeout"], |play| {
        play.say_with_id("request-timeout", CONTENT)
    }),
    scenario("a_stream_that_falls_silent_is_idle", &["stream_idle_timeout"], |play| {
        play.ask_at("idle-timeout", "/delay/4000")
    }),
    scenario("a_response_that_falls_silent_is_cut", &["stream_idle_timeout"], |play| {
        play.ask_at("idle-timeout", "/stream/2/1000")
    }),
    scenario("a_stream_may_take_no_longer_than_its_duration", &["max_stream_duration"], |play| {
        play.ask_at("stream-duration", "/delay/4000")
    }),
    // Envoy cuts the response and says so in the details alone: neither flag nor status is a failure's.
    scenario("a_duration_that_ends_in_the_response_cuts_it", &["max_stream_duration"], |play| {
        play.ask_at("stream-duration", "/stream/40/50")
    }),
    scenario("an_upgrade_may_be_answered_with_something_else", &["upgrade_refused"], |play| {
        play.say_with_id("plain", &format!("GET /status/200 {UPGRADE}websocket\r\n\r\n"))
    }),
    scenario("headers_of_two_kilobytes_may_be_too_large", &["headers_too_large"], |play| {
        let request = format!("GET / HTTP/1.1\r\nhost: a\r\nlong: {}\r\n\r\n", "x".repeat(2048));
        play.say("small-headers", request.as_bytes(), "response_code_details", "http1.headers_too_large")
    }),
    scenario("five_headers_may_be_too_many", &["headers_too_large"], |play| {
        let request = b"GET / HTTP/1.1\r\nhost: a\r\na: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\n\r\n";
        play.say("few-headers", request, "response_code_details", "http1.too_many_headers")
    }),
    scenario("headers_of_http_2_may_be_too_large_too", &["headers_too_large"], |play| {
        let long = "x".repeat(100);
        let mut request = vec![(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")];
        request.extend(["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"].map(|name| (name, long.as_str())));
        let details = if play.zoo.envoy().is_since("1.38") { "http2.header_list" } else { "http2.too_many_headers" };
        play.say("small-headers", &frames::request(&request, true), "response_code_details", details)
    }).before("1.38", &["headers_too_large"], "the details of HTTP/2 headers that are too large are `http2.too_many_headers`, not `http2.header_list_size_too_large`"),
    scenario("a_caller_without_an_address_is_rejected", &["filter_response"], |play| {
        play.ask_at("ip-detection", "/status/200")
    }),
    scenario("a_broken_http_2_connection_takes_its_streams_along", &["malformed_request"], |play| {
        let id = play.id();
        let mut socket = play.connect("plain", &frames::get("/delay/4000", &id))?;
        play.wait_for_arrival()?;
        // Data for a stream that the caller has ended, and a frame of no stream.
        crate::Doing::doing(std::io::Write::write_all(&mut socket, &[0xff; 64]), || "breaking HTTP/2".to_owned())?;
        play.zoo.record(&id).map(drop)
    }),
    scenario("an_invalid_header_of_http_2_is_malformed", &["malformed_request"], |play| {
        let request = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a"), ("Upper Case", "1")];
        play.say("plain", &frames::request(&request, true), "response_code_details", "http2.invalid")
    }),
];
