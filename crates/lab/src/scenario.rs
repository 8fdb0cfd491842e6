//! The scenarios of one hop: each provokes failures in a real Envoy and names the causes that must come out.
//!
//! A scenario says what it expects as causes; the whole records are kept in `records/one-hop/`, one file a
//! scenario, and compared by the end-to-end tests.

use serde_json::Value;

use crate::client::{Leave, Request, send_raw};
use crate::hop::{Hop, PATIENCE};
use crate::{Result, wait_until};

/// A way to fail.
pub struct Scenario {
    /// A sentence, which is also its name.
    pub name: &'static str,
    /// The causes of the records that it leads to, in order.
    pub causes: &'static [&'static str],
    play: fn(&mut Play<'_>) -> Result<()>,
}

/// One request of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What was asked, for people.
    pub request: String,
    /// The record, volatile facts replaced; `None` when the request did not fail.
    pub record: Option<Value>,
}

impl Scenario {
    /// Plays it.
    ///
    /// # Errors
    /// When it cannot be provoked; a wrong record is not an error here.
    pub fn play(&self, hop: &Hop) -> Result<Vec<Outcome>> {
        let mut play = Play { name: self.name, hop, asked: Vec::new(), outcomes: Vec::new() };
        (self.play)(&mut play)?;
        for (id, request) in play.asked {
            play.outcomes.push(Outcome { request, record: hop.record(&id)? });
        }
        Ok(play.outcomes)
    }
}

/// A scenario under way.
struct Play<'a> {
    name: &'static str,
    hop: &'a Hop,
    asked: Vec<(String, String)>,
    outcomes: Vec<Outcome>,
}

impl Play<'_> {
    /// A request whose record will be looked for.
    fn request(&mut self, path: &str) -> Request {
        let id = format!("{}-{}", self.name, self.asked.len() + 1);
        self.asked.push((id.clone(), format!("GET {path}")));
        self.hop.get(&id, path)
    }

    /// Sends a request and waits for whatever comes back.
    fn ask(&mut self, path: &str) -> Result<()> {
        self.request(path).send(self.hop.port())?;
        Ok(())
    }

    /// Waits until the server has seen so many requests for that path.
    fn wait_for_server(&self, path: &str, requests: usize) -> Result<()> {
        let seen = || self.hop.mock.requests(path) >= requests;
        wait_until(PATIENCE, &format!("{path} to reach the server"), seen)
    }

    /// Sends bytes that may be no request at all; Envoy's access log must say `details` of them.
    fn send_raw(&mut self, request: &str, bytes: &str, details: &str) -> Result<()> {
        send_raw(self.hop.port(), bytes.as_bytes(), PATIENCE)?;
        let record = Some(self.hop.record_without_id(details)?);
        self.outcomes.push(Outcome { request: request.to_owned(), record });
        Ok(())
    }
}

const fn scenario(
    name: &'static str,
    causes: &'static [&'static str],
    play: fn(&mut Play<'_>) -> Result<()>,
) -> Scenario {
    Scenario { name, causes, play }
}

/// All scenarios of one hop, in the order of the pipeline. No two share a cluster that a failure changes.
pub const ONE_HOP: &[Scenario] = &[
    scenario("a_success_is_not_reported", &[], |play| play.ask("/status/200")),
    scenario("an_answer_of_400_is_the_applications_business", &[], |play| play.ask("/status/404")),
    scenario("a_request_that_is_not_http_is_malformed", &["malformed_request"], |play| {
        play.send_raw("bytes that are not HTTP", "NOT HTTP\r\n\r\n", "http1.codec_error")
    }),
    scenario("a_request_without_a_host_is_named", &["missing_host"], |play| {
        let request = format!("GET / HTTP/1.1\r\nx-request-id: {}-1\r\n\r\n", play.name);
        play.asked.push((format!("{}-1", play.name), "GET / without a host".to_owned()));
        send_raw(play.hop.port(), request.as_bytes(), PATIENCE).map(drop)
    }),
    scenario("a_denial_names_its_policy", &["authorization_denied"], |play| play.ask("/denied")),
    scenario("a_rate_limit_lets_one_through_and_stops_the_next", &["rate_limited"], |play| {
        play.ask("/rate-limited/status/200")?;
        play.ask("/rate-limited/status/200")
    }),
    scenario("an_injected_fault_is_not_the_applications", &["fault_injected"], |play| {
        play.ask("/fault/status/200")
    }),
    scenario("a_path_without_a_route_is_not_found", &["route_not_found"], |play| {
        play.ask("/nowhere")
    }),
    scenario("a_host_outside_the_registry_is_blocked", &["egress_blocked"], |play| {
        play.ask("/blocked")
    }),
    scenario("a_direct_response_is_this_proxys", &["direct_response"], |play| {
        play.ask("/direct-response")
    }),
    scenario("a_subset_that_does_not_exist_is_no_cluster", &["cluster_not_found"], |play| {
        play.ask("/no-cluster")
    }),
    scenario("an_empty_cluster_has_no_endpoints", &["no_endpoints"], |play| play.ask("/empty")),
    scenario(
        "five_errors_eject_the_endpoint",
        &[
            "application_error",
            "application_error",
            "application_error",
            "application_error",
            "application_error",
            "endpoints_unhealthy",
        ],
        |play| {
            (0..5).try_for_each(|_| play.ask("/ejected/status/503"))?;
            play.hop.wait_for_ejection("ejected")?;
            play.ask("/ejected/status/503")
        },
    ),
    scenario("a_full_pool_stops_the_third_call", &["connection_pool_overflow"], |play| {
        let port = play.hop.port();
        let first = play.request("/full-pool/delay/2000").start(port)?;
        play.wait_for_server("/delay/2000", 1)?;
        let second = play.request("/full-pool/delay/2000").start(port)?;
        play.hop.wait_for_pending("full-pool")?;
        play.ask("/full-pool/delay/2000")?;
        first.finish()?;
        second.finish().map(drop)
    }),
    scenario(
        "one_request_at_a_time_stops_two_of_three",
        &["max_requests_overflow", "max_requests_overflow"],
        |play| {
            let first = play.request("/max-requests/delay/1500").start(play.hop.port())?;
            play.wait_for_server("/delay/1500", 1)?;
            play.ask("/max-requests/delay/1500")?;
            play.ask("/max-requests/delay/1500")?;
            first.finish().map(drop)
        },
    ),
    scenario(
        "an_endpoint_is_ejected_while_its_request_is_retried",
        &["endpoints_unhealthy"],
        |play| play.ask("/ejected-while-retrying/status/503?header=retry-after:1"),
    ),
    scenario(
        "dropped_syns_are_a_connection_timeout_until_the_endpoint_is_ejected",
        &["connection_timeout", "endpoints_unhealthy"],
        |play| {
            play.ask("/black-hole")?;
            play.hop.wait_for_ejection("black-hole")?;
            play.ask("/black-hole")
        },
    ),
    scenario(
        "a_refused_connection_says_so_until_the_endpoint_is_ejected",
        &["connection_refused", "endpoints_unhealthy"],
        |play| {
            play.ask("/refused")?;
            play.hop.wait_for_ejection("refused")?;
            play.ask("/refused")
        },
    ),
    scenario("tls_to_a_plain_text_server_is_a_plaintext_peer", &["tls_plaintext_peer"], |play| {
        play.ask("/tls-to-plain-text")
    }),
    scenario(
        "a_reset_before_the_response_is_a_terminated_connection",
        &["connection_terminated"],
        |play| play.ask("/reset-before-response/50"),
    ),
    scenario(
        "a_close_before_the_response_is_a_terminated_connection",
        &["connection_terminated"],
        |play| play.ask("/close-before-response/50"),
    ),
    scenario("a_reset_in_the_response_leaves_it_incomplete", &["response_incomplete"], |play| {
        play.ask("/reset-after-response/50")
    }),
    scenario("a_close_in_the_response_leaves_it_incomplete", &["response_incomplete"], |play| {
        play.ask("/close-after-response/50")
    }),
    scenario("an_answer_of_no_protocol_is_a_protocol_error", &["protocol_error"], |play| {
        play.ask("/wrong-protocol/0")
    }),
    scenario("a_late_response_is_a_response_timeout", &["response_timeout"], |play| {
        play.ask("/slow/delay/5000")
    }),
    scenario("a_late_try_is_a_per_try_timeout", &["per_try_timeout"], |play| {
        play.ask("/per-try-timeout/delay/5000")
    }),
    scenario("a_caller_that_cancels_has_disconnected", &["client_disconnected"], |play| {
        let request = play.request("/delay/4000");
        request.cancel(play.hop.port(), Leave::Close, || play.hop.mock.requests("/delay/4000") == 1)
    }),
    scenario("an_error_of_the_application_is_its_own", &["application_error"], |play| {
        play.ask("/status/503")
    }),
];
