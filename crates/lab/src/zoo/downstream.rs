//! How callers leave.

use super::frames;
use super::play::{Play, Scenario, scenario};
use crate::client::Leave;
use crate::{Doing as _, Result};

impl Play<'_> {
    /// Starts a request over HTTP/2 and ends its stream with this code when it has reached the server.
    fn reset_with(&mut self, code: u32) -> Result<()> {
        let id = self.id();
        let mut socket = self.connect("plain", &frames::get("/delay/4000", &id))?;
        self.wait_for_arrival()?;
        std::io::Write::write_all(&mut socket, &frames::rst_stream(code))
            .doing(|| "resetting a stream".to_owned())?;
        self.zoo.record(&id).map(drop)
    }
}

/// What stops at the gate `downstream`.
#[rustfmt::skip] // One scenario, one paragraph.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("a_caller_that_resets_its_connection_has_disconnected", &["client_disconnected"], |play| {
        let (port, request) = (play.port("plain")?, play.get("/delay/4000"));
        let play = &*play;
        request.cancel(port, Leave::Reset, || play.arrived())
    }),
    scenario("a_caller_that_cancels_its_stream_has_reset_it", &["client_reset"], |play| play.reset_with(8)),
    scenario("a_caller_that_refuses_its_own_stream_has_reset_it", &["client_reset"], |play| play.reset_with(7)),
    scenario("a_stream_that_ends_without_an_error_was_reset", &["client_reset"], |play| play.reset_with(0)).before("1.39", &["client_reset"], "a caller's reset without an error has the details `http2.remote_reset` and the flag `DR`"),
];
