//! The `Proxy-Status` header, when response headers pass.
//!
//! In a mesh an inbound sidecar tells its caller's proxy who failed, and that proxy takes it in and out
//! again, so that neither an application nor anybody outside sees it. A member of ours is believed only
//! from an upstream that was reached over mTLS; one that cannot be believed does not travel on.

use alloc::boxed::Box;

use failgate_verdict::details::is_upstreams;
use failgate_verdict::field::attribute;
use failgate_verdict::flags::Flags;
use failgate_verdict::judge::Criteria;
use failgate_verdict::proxy_status::{Claim, member, sift};
use failgate_verdict::settings;
use failgate_verdict::terms::{DecidedBy, Direction, Responder};

use crate::host::{self, Headers};
use crate::stream::{Chosen, Head, Passed, Response, details, direction, flags};

/// Reads and writes the header as its settings say.
pub struct Header {
    name: alloc::string::String,
    mode: Mode,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Off,
    Mesh,
    Always,
}

impl Header {
    /// The header as configured.
    pub fn new(settings: &settings::Header) -> Self {
        let mode = match settings.mode {
            "off" => Mode::Off,
            "always" => Mode::Always,
            _ => Mode::Mesh,
        };
        Self { name: settings.name.clone(), mode }
    }

    /// Looks at response headers that pass, and changes nothing but our own member.
    pub fn pass(&self, headers: &Headers, criteria: Criteria, proxy: Option<&str>) -> Passed {
        let head = Head::of(headers);
        let passed = Passed { head, chosen: None, details: None, claim: None };
        let is_there = headers.first(&self.name).is_some();
        if self.mode == Mode::Off || !(is_there || head.is_error()) {
            return passed;
        }
        // Most refusals are the server's own, which nobody is told of.
        let known = if !is_there && head.is_refusal() { details() } else { None };
        if known.as_deref().is_some_and(is_upstreams) {
            return Passed { details: known.map(|known| (Flags::default(), known)), ..passed };
        }
        let direction = direction();
        let claim = if is_there { self.take(headers, direction) } else { None };
        if !head.is_error() {
            return Passed { claim: claim.map(Box::new), ..passed };
        }
        let flags = flags();
        let chosen = Chosen::read(direction, flags);
        let tells = self.tells(direction);
        let details = if tells { known.or_else(details) } else { known };
        if tells {
            let (details, claim) = (details.as_deref(), claim.as_ref());
            self.tell(&Response { head, flags, details, chosen: &chosen, claim }, criteria, proxy);
        }
        Passed {
            head,
            chosen: Some(Box::new(chosen)),
            details: details.map(|details| (flags, details)),
            claim: claim.map(Box::new),
        }
    }

    /// Takes our members out, and says what the next hop's said if it can be believed.
    fn take(&self, headers: &Headers, direction: Direction) -> Option<Claim> {
        let believed = is_mesh();
        // An application is no intermediary and has no such header to send, least of all a broken one.
        let drop_broken = direction == Direction::Inbound;
        let keep_ours = believed && self.mode == Mode::Always;
        let sifted = sift(headers.all(&self.name), keep_ours, drop_broken);
        if sifted.changed {
            host::replace_response_header(&self.name, &sifted.lines);
        }
        sifted.claim.filter(|_| believed)
    }

    /// Is the caller to be told?
    fn tells(&self, direction: Direction) -> bool {
        match self.mode {
            Mode::Off => false,
            Mode::Mesh => {
                direction == Direction::Inbound
                    && host::is_true(const { attribute("downstream_mtls") })
            }
            Mode::Always => true,
        }
    }

    /// Adds our member to a response that is an error: this proxy's, or the application's.
    fn tell(&self, response: &Response<'_>, criteria: Criteria, proxy: Option<&str>) {
        let line = response.judged(|evidence| {
            let verdict = criteria.judge(evidence)?;
            // Who has spoken for the response already has said it all.
            if verdict.decided_by == DecidedBy::Hop || evidence.hop.is_some() {
                return None;
            }
            let passed_on = verdict.responder != Responder::ThisProxy;
            let received = if passed_on { evidence.status } else { None };
            Some(member(proxy, verdict.cause, received))
        });
        if let Some(line) = line {
            host::add_response_header(&self.name, &line);
        }
    }
}

/// Was the upstream reached over mTLS, with an identity of the mesh on both sides?
fn is_mesh() -> bool {
    let identity = |name| host::text(name).is_some_and(|uri| uri.starts_with("spiffe://"));
    identity(const { attribute("upstream_peer_uri_san") })
        && identity(const { attribute("upstream_local_uri_san") })
}
