//! The cases of a mesh: the same failures over HTTP (H) and gRPC (G), as both sidecars tell them.
//!
//! A case says what it expects as causes, the client's side first; the whole records are kept in
//! `records/mesh/`, one file a case, and compared by the end-to-end tests. No two cases share a cluster that
//! a failure changes.

use super::client::{
    BLACK_HOLE, EJECTED, EJECTED_WHILE_RETRYING, FULL_POOL, MAX_REQUESTS, MOCK_SERVER, REFUSED,
    SLOW,
};
use super::play::{NEVER, ONCE, Play, THRICE, TWICE};
use super::{GRPC, HTTP, Mesh, Sides};
use crate::client::Leave;
use crate::grpc::Call;
use crate::http2::Connection;
use crate::{Error, Result};

/// A way to fail, seen from both sides.
pub struct Case {
    /// What it is called for short: `H4`, and `G4` for the same over gRPC.
    pub key: &'static str,
    /// A sentence.
    pub name: &'static str,
    /// The causes of the records of the client's sidecar, in order.
    pub client: &'static [&'static str],
    /// The causes of the records of the server's sidecar, in order.
    pub server: &'static [&'static str],
    play: fn(&mut Play<'_>) -> Result<()>,
}

/// One request of a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What was asked, for people.
    pub request: String,
    /// What both sides wrote of it, volatile facts replaced: at most one record on the client's side, one
    /// for every failed try on the server's.
    pub records: Sides,
}

impl Case {
    /// Plays it.
    ///
    /// # Errors
    /// When it cannot be provoked; a wrong record is not an error here.
    pub fn play(&self, mesh: &Mesh) -> Result<Vec<Outcome>> {
        let mut play = Play::new(mesh, self.key);
        (self.play)(&mut play)?;
        play.outcomes()
    }

    /// Its key and its name, which are the name of its file too.
    #[must_use]
    pub fn file(&self) -> String {
        format!("{}_{}", self.key, self.name)
    }

    /// Whether these are the causes that it expects.
    ///
    /// # Errors
    /// When they are not; the error names both.
    pub fn check(&self, records: &Sides) -> Result<()> {
        let (expected, found) = ([self.client, self.server], records.causes());
        if found == expected {
            return Ok(());
        }
        Err(Error::new(self.file(), format!("expected {expected:?}, got {found:?}")))
    }
}

impl Sides {
    /// All records of the outcomes, in order.
    #[must_use]
    pub fn of(outcomes: &[Outcome]) -> Self {
        let records = || outcomes.iter().map(|outcome| &outcome.records);
        Self {
            client: records().flat_map(|sides| sides.client.clone()).collect(),
            server: records().flat_map(|sides| sides.server.clone()).collect(),
        }
    }
}

const fn case(
    key: &'static str,
    name: &'static str,
    [client, server]: [&'static [&'static str]; 2],
    play: fn(&mut Play<'_>) -> Result<()>,
) -> Case {
    Case { key, name, client, server, play }
}

const FIVE_ERRORS: &[&str] = &["application_error"; 5];
const FIVE_ERRORS_THEN_NONE_LEFT: &[&str] = &[
    "application_error",
    "application_error",
    "application_error",
    "application_error",
    "application_error",
    "endpoints_unhealthy",
];
const TIMEOUT_THEN_NONE_LEFT: &[&str] =
    &["connection_timeout", "endpoints_unhealthy", "endpoints_unhealthy"];

/// All cases, HTTP first.
pub const CASES: &[Case] = &[
    case("H1", "a_success_is_reported_by_nobody", [&[], &[]], |play| {
        play.ask(ONCE, MOCK_SERVER, "/status/200")
    }),
    case(
        "H2",
        "an_error_of_the_application_passes_both_sidecars",
        [&["application_error"], &["application_error"]],
        |play| play.ask(ONCE, MOCK_SERVER, "/status/503"),
    ),
    case(
        "H3",
        "a_caller_that_cancels_has_left_both_sidecars",
        [&["client_disconnected"], &["client_disconnected"]],
        |play| {
            let call = play.get(ONCE, MOCK_SERVER, "/delay/5000").start(play.http()?)?;
            play.wait_for_arrival()?;
            call.leave(Leave::Close)
        },
    ),
    case(
        "H4",
        "a_reset_before_the_response_is_answered_by_the_servers_sidecar",
        [&["connection_terminated"], &["connection_terminated"]],
        |play| play.ask(ONCE, MOCK_SERVER, "/reset-before-response/100"),
    ),
    case(
        "H5",
        "a_reset_in_the_response_leaves_it_incomplete_on_both_sides",
        [&["response_incomplete"], &["response_incomplete"]],
        |play| play.ask(ONCE, MOCK_SERVER, "/reset-after-response/100"),
    ),
    case(
        "H6",
        "a_close_before_the_response_is_answered_by_the_servers_sidecar",
        [&["connection_terminated"], &["connection_terminated"]],
        |play| play.ask(ONCE, MOCK_SERVER, "/close-before-response/100"),
    ),
    case(
        "H7",
        "a_close_in_the_response_leaves_it_incomplete_on_both_sides",
        [&["response_incomplete"], &["response_incomplete"]],
        |play| play.ask(ONCE, MOCK_SERVER, "/close-after-response/100"),
    ),
    case("H8", "a_full_pool_stops_the_third_call", [&["connection_pool_overflow"], &[]], |play| {
        let first = play.get(ONCE, FULL_POOL, "/delay/2000").start(play.http()?)?;
        play.wait_for_arrival()?;
        let second = play.get(ONCE, FULL_POOL, "/delay/0").start(play.http()?)?;
        play.mesh.wait_for_pending(FULL_POOL, HTTP)?;
        play.ask(NEVER, FULL_POOL, "/delay/0")?;
        first.finish()?;
        second.finish().map(drop)
    }),
    case(
        "H9",
        "one_request_at_a_time_stops_two_of_three",
        [&["max_requests_overflow", "max_requests_overflow"], &[]],
        |play| {
            let first = play.get(ONCE, MAX_REQUESTS, "/delay/1500").start(play.http()?)?;
            play.wait_for_arrival()?;
            play.ask(NEVER, MAX_REQUESTS, "/delay/1500")?;
            play.ask(NEVER, MAX_REQUESTS, "/delay/1500")?;
            first.finish().map(drop)
        },
    ),
    case(
        "H10",
        "five_errors_eject_the_endpoint",
        [FIVE_ERRORS_THEN_NONE_LEFT, FIVE_ERRORS],
        |play| {
            (0..5).try_for_each(|_| play.ask(ONCE, EJECTED, "/status/503"))?;
            play.mesh.wait_for_ejection(EJECTED, HTTP)?;
            play.ask(NEVER, EJECTED, "/status/503")
        },
    ),
    // The second request has its first two tries a connect timeout long each; the neighbour's error, half a
    // timeout after the first of them, is the fifth in a row, so the third try finds the endpoint ejected.
    case(
        "H11",
        "dropped_syns_time_out_until_the_endpoint_is_ejected",
        [TIMEOUT_THEN_NONE_LEFT, &[]],
        |play| {
            play.ask(NEVER, BLACK_HOLE, "/status/200")?;
            let neighbour = play.neighbour(play.http()?)?;
            play.ask(NEVER, BLACK_HOLE, "/status/200")?;
            neighbour.finish()?;
            play.ask(NEVER, BLACK_HOLE, "/status/200")
        },
    ),
    // A mesh shows one more record: a request whose endpoint is ejected while it is retried (503 UH with the
    // refusal as transport failure, 3 attempts). A refusal takes no time and the back-off may be none, so
    // whether Envoy's main thread ejects before a retry is a race that cannot be set up; H11 has such a record.
    case(
        "H12",
        "a_refused_connection_says_so_until_the_endpoint_is_ejected",
        [&["connection_refused", "endpoints_unhealthy"], &[]],
        |play| {
            play.ask(NEVER, REFUSED, "/status/200")?;
            play.mesh.wait_for_ejection(REFUSED, HTTP)?;
            play.ask(NEVER, REFUSED, "/status/200")
        },
    ),
    case(
        "H13",
        "a_late_response_is_a_timeout_here_and_a_caller_that_left_there",
        [&["response_timeout"], &["client_disconnected"]],
        |play| play.ask(ONCE, SLOW, "/delay/20000"),
    ),
    case("G1", "a_success_is_reported_by_nobody", [&[], &[]], |play| {
        play.invoke(ONCE, MOCK_SERVER, &Call::status(0))
    }),
    // The mock server asks for a second before each retry, so that the ejection that the second error leads to
    // is over before the third try.
    case(
        "G2",
        "an_endpoint_is_ejected_while_its_request_is_retried",
        [&["endpoints_unhealthy"], &["application_error", "application_error"]],
        |play| {
            let unavailable = Call::status(14).query("header=retry-after:1");
            play.invoke(TWICE, EJECTED_WHILE_RETRYING, &unavailable)
        },
    ),
    // The caller leaves with its whole connection, as a process that ends. One that only resets its stream is
    // a reset (`DR`) for both sidecars.
    case(
        "G3",
        "a_caller_that_leaves_is_a_reset_for_the_servers_sidecar",
        [&["client_disconnected"], &["client_reset"]],
        |play| {
            let call = play.call(ONCE, MOCK_SERVER, &Call::pause("Delay", 5000));
            let connection = Connection::open(play.grpc()?)?;
            let stream = connection.start(call.request())?;
            play.wait_for_arrival()?;
            connection.leave(Leave::Close)?;
            drop(stream);
            Ok(())
        },
    ),
    case(
        "G4",
        "a_reset_before_the_response_is_tried_three_times",
        [&["connection_terminated"], &["connection_terminated"; 3]],
        |play| play.invoke(THRICE, MOCK_SERVER, &Call::pause("ResetBeforeResponse", 100)),
    ),
    case(
        "G5",
        "a_reset_in_the_response_leaves_it_incomplete_on_both_sides",
        [&["response_incomplete"], &["response_incomplete"]],
        |play| play.invoke(ONCE, MOCK_SERVER, &Call::pause("ResetAfterResponse", 100)),
    ),
    case(
        "G6",
        "a_close_before_the_response_is_tried_three_times",
        [&["connection_terminated"], &["connection_terminated"; 3]],
        |play| play.invoke(THRICE, MOCK_SERVER, &Call::pause("CloseBeforeResponse", 100)),
    ),
    case(
        "G7",
        "a_close_in_the_response_leaves_it_incomplete_on_both_sides",
        [&["response_incomplete"], &["response_incomplete"]],
        |play| play.invoke(ONCE, MOCK_SERVER, &Call::pause("CloseAfterResponse", 100)),
    ),
    case("G8", "a_full_pool_stops_the_third_call", [&["connection_pool_overflow"], &[]], |play| {
        let connection = Connection::open(play.grpc()?)?;
        let first = play.call(ONCE, FULL_POOL, &Call::pause("Delay", 2000));
        let first = connection.start(first.request())?;
        play.wait_for_arrival()?;
        let second = play.call(ONCE, FULL_POOL, &Call::pause("Delay", 0));
        let second = connection.start(second.request())?;
        play.mesh.wait_for_pending(FULL_POOL, GRPC)?;
        play.invoke(NEVER, FULL_POOL, &Call::pause("Delay", 0))?;
        first.finish()?;
        second.finish().map(drop)
    }),
    case(
        "G9",
        "one_request_at_a_time_stops_two_of_three",
        [&["max_requests_overflow", "max_requests_overflow"], &[]],
        |play| {
            let first = play.call(ONCE, MAX_REQUESTS, &Call::pause("Delay", 1500));
            let first = Connection::open(play.grpc()?)?.start(first.request())?;
            play.wait_for_arrival()?;
            play.invoke(NEVER, MAX_REQUESTS, &Call::pause("Delay", 1500))?;
            play.invoke(NEVER, MAX_REQUESTS, &Call::pause("Delay", 1500))?;
            first.finish().map(drop)
        },
    ),
    case(
        "G10",
        "five_errors_eject_the_endpoint",
        [FIVE_ERRORS_THEN_NONE_LEFT, FIVE_ERRORS],
        |play| {
            (0..5).try_for_each(|_| play.invoke(ONCE, EJECTED, &Call::status(13)))?;
            play.mesh.wait_for_ejection(EJECTED, GRPC)?;
            play.invoke(NEVER, EJECTED, &Call::status(13))
        },
    ),
    // As H11.
    case(
        "G11",
        "dropped_syns_time_out_until_the_endpoint_is_ejected",
        [TIMEOUT_THEN_NONE_LEFT, &[]],
        |play| {
            play.invoke(NEVER, BLACK_HOLE, &Call::status(0))?;
            let neighbour = play.neighbour(play.grpc()?)?;
            play.invoke(NEVER, BLACK_HOLE, &Call::status(0))?;
            neighbour.finish()?;
            play.invoke(NEVER, BLACK_HOLE, &Call::status(0))
        },
    ),
    // As H12.
    case(
        "G12",
        "a_refused_connection_says_so_until_the_endpoint_is_ejected",
        [&["connection_refused", "endpoints_unhealthy"], &[]],
        |play| {
            play.invoke(NEVER, REFUSED, &Call::status(0))?;
            play.mesh.wait_for_ejection(REFUSED, GRPC)?;
            play.invoke(NEVER, REFUSED, &Call::status(0))
        },
    ),
    case(
        "G13",
        "a_late_response_is_a_timeout_here_and_a_reset_there",
        [&["response_timeout"], &["client_reset"]],
        |play| play.invoke(ONCE, SLOW, &Call::pause("Delay", 20_000)),
    ),
];
