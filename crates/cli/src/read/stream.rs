//! The facts of one stream as a log line states them, and the evidence that they are.
//!
//! Kept by their place in `failgate_verdict::field::FIELDS`, as text: what they mean is decided once, here.

use std::borrow::Cow;

use failgate_verdict::cluster::ClusterName;
use failgate_verdict::evidence::{self, Evidence, UpstreamHost};
use failgate_verdict::field::{FIELDS, index};
use failgate_verdict::flags::Flags;
use failgate_verdict::judge::Criteria;
use failgate_verdict::record::{Facts, Record};
use failgate_verdict::terms::{Direction, GRPC_STATUSES};

use super::time::nanoseconds;

/// What a line says of one fact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fact<'a> {
    /// The line's format has no such field.
    #[default]
    Unknown,
    /// It has the field, and there is nothing in it: `-`, an empty string, null.
    Absent,
    /// What it says.
    Text(Cow<'a, str>),
}

/// The facts of one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream<'a> {
    facts: [Fact<'a>; FIELDS.len()],
    /// The pod that wrote the line, as the prefix names it.
    pod: Option<Cow<'a, str>>,
}

/// A flag that no row knows, such as one that an extension registered, is kept as this bit.
const UNKNOWN_FLAG: Flags = Flags(1 << 63);

/// The place of a fact, by its key.
macro_rules! at {
    ($key:literal) => {
        const { index($key) }
    };
}

impl<'a> Stream<'a> {
    pub(super) fn fact(&self, index: usize) -> &Fact<'a> {
        self.facts.get(index).unwrap_or(&Fact::Unknown)
    }

    pub(super) fn set(&mut self, index: usize, fact: Fact<'a>) {
        if let Some(place) = self.facts.get_mut(index) {
            *place = fact;
        }
    }

    /// Who wrote the line, for want of a better name.
    pub(super) fn pod(&mut self, pod: Option<&'a str>) {
        if self.pod.is_none() {
            self.pod = pod.map(Cow::Borrowed);
        }
    }

    /// The same facts, with all of their text their own.
    #[must_use]
    pub fn into_owned(self) -> Stream<'static> {
        let facts = self.facts.map(|fact| match fact {
            Fact::Unknown => Fact::Unknown,
            Fact::Absent => Fact::Absent,
            Fact::Text(text) => Fact::Text(Cow::Owned(text.into_owned())),
        });
        Stream { facts, pod: self.pod.map(|pod| Cow::Owned(pod.into_owned())) }
    }

    fn known(&self, index: usize) -> bool {
        *self.fact(index) != Fact::Unknown
    }

    fn text(&self, index: usize) -> Option<&str> {
        match self.fact(index) {
            Fact::Text(text) => Some(text),
            Fact::Unknown | Fact::Absent => None,
        }
    }

    fn number(&self, index: usize) -> Option<u64> {
        self.text(index)?.parse().ok()
    }

    /// `None` when the format does not say, and otherwise whether it says anything.
    fn given(&self, index: usize) -> Option<bool> {
        self.known(index).then(|| self.text(index).is_some())
    }

    /// Is there enough to call it a line of an access log? A lone `status` may be anybody's.
    pub(super) fn is_evident(&self) -> bool {
        let company =
            [at!("method"), at!("protocol"), at!("upstream_cluster"), at!("upstream_host")];
        self.known(at!("response_flags"))
            || self.known(at!("response_code_details"))
            || self.known(at!("response_code")) && company.iter().any(|index| self.known(*index))
    }

    /// The status that the caller received; `None` when there was no response.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        let status = self.number(at!("response_code"))?;
        u16::try_from(status).ok().filter(|status| *status != 0)
    }

    /// Judges, and writes the verdict down with the facts. `None` when the stream did not fail, or when the
    /// line does not say that it did.
    #[must_use]
    pub fn judge(&self, criteria: &Criteria) -> Option<Record> {
        let evidence = self.evidence();
        if !self.known(at!("response_code")) && !tells(&evidence) {
            return None;
        }
        let verdict = criteria.judge(&evidence)?;
        Some(Record::new(&verdict, &evidence, &self.facts()))
    }

    /// The evidence for the judge.
    #[must_use]
    pub fn evidence(&self) -> Evidence<'_> {
        let cluster = self.text(at!("upstream_cluster")).map(without_suffix);
        Evidence {
            stream: self.kind(),
            direction: self.direction(cluster),
            proxy: self.proxy(),
            protocol: self.text(at!("protocol")),
            status: self.status(),
            grpc_status: self.grpc_status(),
            flags: self.flags(),
            details: self.text(at!("response_code_details")),
            termination: self.text(at!("connection_termination_details")),
            transport: self.text(at!("upstream_transport_failure_reason")),
            downstream_transport: self.text(at!("downstream_transport_failure_reason")),
            attempts: self.number(at!("upstream_request_attempt_count")),
            endpoints: self.number(at!("upstream_endpoints")),
            upstream_host: match self.fact(at!("upstream_host")) {
                Fact::Unknown => UpstreamHost::Unknown,
                Fact::Absent => UpstreamHost::Absent,
                Fact::Text(address) => UpstreamHost::Address(address),
            },
            cluster,
            route: self.text(at!("route_name")),
            connection_ready: self.given(at!("upstream_connection_ready")),
            response_started: self.given(at!("upstream_response_started")),
            // An access log does not have the header: it is taken off before the log is written.
            hop: None,
        }
    }

    /// The facts that no verdict depends on.
    #[must_use]
    pub fn facts(&self) -> Facts<'_> {
        Facts {
            start: self.start(),
            duration: self.number(at!("duration")).and_then(|it| it.checked_mul(1_000_000)),
            method: self.text(at!("method")),
            request_id: self.request_id(),
            ..Facts::default()
        }
    }

    /// When the request began, nanoseconds since 1970 in UTC.
    #[must_use]
    pub fn start(&self) -> Option<u64> {
        nanoseconds(self.text(at!("start_time"))?)
    }

    /// Did it begin at or after that time? Also when the line does not say when it began.
    #[must_use]
    pub fn began_since(&self, since: Option<u64>) -> bool {
        since.is_none_or(|since| self.start().is_none_or(|start| start >= since))
    }

    /// `x-request-id`.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.text(at!("request_id"))
    }

    /// Who speaks: the node's cluster or its id, or the pod that a prefix of the line names.
    fn proxy(&self) -> Option<&str> {
        let node = self.text(at!("node_cluster")).or_else(|| self.text(at!("node_id")));
        node.or(self.pod.as_deref())
    }

    /// A connection without an HTTP stream has no status, and nothing that only a request has.
    fn kind(&self) -> evidence::Stream {
        let request = [at!("protocol"), at!("method")];
        let without_request = request.iter().all(|index| self.text(*index).is_none())
            && request.iter().any(|index| self.known(*index));
        let ended = self.text(at!("connection_termination_details")).is_some()
            && request.iter().all(|index| !self.known(*index))
            && self.text(at!("response_code_details")).is_none();
        if self.status().is_none() && (without_request || ended) {
            evidence::Stream::Connection
        } else {
            evidence::Stream::Http
        }
    }

    fn direction(&self, cluster: Option<&str>) -> Direction {
        match self.text(at!("direction")) {
            Some(text) if text.eq_ignore_ascii_case("inbound") => Direction::Inbound,
            Some(text) if text.eq_ignore_ascii_case("outbound") => Direction::Outbound,
            Some(text) => Direction::from_number(text.parse().unwrap_or_default()),
            None => cluster.map(ClusterName::parse).unwrap_or_default().direction,
        }
    }

    fn flags(&self) -> Flags {
        let Some(text) = self.text(at!("response_flags")) else { return Flags::NONE };
        // The attribute is a number.
        if let Ok(bits) = text.parse() {
            return Flags(bits);
        }
        let each = text.split(',').map(|name| Flags::parse(name).unwrap_or(UNKNOWN_FLAG));
        Flags(each.fold(0, |set, flag| set | flag.0))
    }

    /// Only a gRPC request has one; Envoy makes one up for every other, unless it writes `-`.
    fn grpc_status(&self) -> Option<u32> {
        let content_type = self.text(at!("content_type"));
        if content_type.is_some_and(|value| !value.starts_with("application/grpc")) {
            return None;
        }
        let text = self.text(at!("grpc_status"))?;
        text.parse().ok().or_else(|| grpc_status(text))
    }
}

/// Does the evidence of a stream whose status is not known speak of a failure?
fn tells(evidence: &Evidence<'_>) -> bool {
    !evidence.flags.without(Flags::HARMLESS).is_empty()
        || evidence.is_local_reply()
        || evidence.grpc_status.is_some_and(|status| status != 0)
        || evidence.termination.is_some()
}

/// Istio may end a cluster's name for statistics with `;`, which is no part of it.
fn without_suffix(cluster: &str) -> &str {
    if cluster.contains('|') { cluster.trim_end_matches(';') } else { cluster }
}

/// The number of a gRPC status: `DEADLINE_EXCEEDED`, or as `%GRPC_STATUS%` spells it (`source/common/grpc/common.cc`)
/// `DeadlineExceeded`, and `Canceled` with one l.
fn grpc_status(name: &str) -> Option<u32> {
    let folded = |name: &str| name.replace('_', "").to_ascii_uppercase();
    let own = folded(name);
    let own = if own == "CANCELED" { "CANCELLED" } else { &own };
    let found = (0..).zip(GRPC_STATUSES).find(|(_, status)| folded(status) == own);
    found.map(|(number, _)| number)
}
