//! `--join`: the lines of one request id, from several proxies, as one story.
//!
//! One proxy's line often shows what another one caused: a caller's sidecar that gives up makes the server's
//! see a client that left, and a server whose connection broke makes the caller's see an error of the
//! application. So the hops are put in order, and the verdict is followed to the hop that it came from.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::sync::Arc;

use failgate_verdict::Record;
use failgate_verdict::terms::{Direction, Gate, Side};
use serde::Serialize;

use super::judging::Failure;
use super::table;
use super::twice::Identity;
use crate::read::{Stream, nanoseconds};
use crate::screen::{Style, plain};

/// Stories with a failure, and as many without one, that are kept at a time; the oldest goes first.
const STORIES: usize = 100_000;

/// Hops of one story; more are counted.
const HOPS: usize = 64;

/// One line of a story.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hop {
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<Arc<str>>,
    #[serde(skip)]
    id: Option<String>,
    #[serde(skip)]
    start: Option<u64>,
    #[serde(skip)]
    at: Place,
    #[serde(skip)]
    identity: Option<Identity>,
    #[serde(flatten)]
    told: Told,
}

/// Where it was, for putting hops in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Place {
    direction: Direction,
    proxy: Option<String>,
    cluster: Option<String>,
}

/// What it told.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Told {
    Failure(Box<Record>),
    Success {
        #[serde(skip_serializing_if = "Option::is_none")]
        proxy: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        upstream_cluster: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        response_code: Option<u16>,
    },
}

impl Hop {
    /// A line that tells of a failure.
    pub fn failed(Failure { record, line, file, identity }: Failure) -> Self {
        let at = Place {
            direction: record.direction.unwrap_or_default(),
            proxy: record.proxy.clone(),
            cluster: record.upstream_cluster.clone(),
        };
        let start = record.time.as_deref().and_then(nanoseconds);
        let id = record.request_id.clone();
        Self { line, file, id, start, at, identity, told: Told::Failure(record) }
    }

    /// A line that tells of a success.
    pub fn succeeded(stream: &Stream<'_>, line: u64, file: Option<Arc<str>>) -> Self {
        let evidence = stream.evidence();
        let (proxy, cluster) =
            (evidence.proxy.map(str::to_owned), evidence.cluster.map(str::to_owned));
        let at =
            Place { direction: evidence.direction, proxy: proxy.clone(), cluster: cluster.clone() };
        let told =
            Told::Success { proxy, upstream_cluster: cluster, response_code: evidence.status };
        Self {
            line,
            file,
            id: stream.request_id().map(str::to_owned),
            start: stream.start(),
            at,
            identity: None,
            told,
        }
    }

    fn record(&self) -> Option<&Record> {
        match &self.told {
            Told::Failure(record) => Some(record),
            Told::Success { .. } => None,
        }
    }

    /// Is it the same stream, told twice: as a record and as a line of the access log, or by two access logs?
    fn is_same_stream(&self, other: &Self) -> bool {
        let identities = self.identity.as_ref().zip(other.identity.as_ref());
        identities.is_some_and(|(one, other)| one.is_same_stream(other))
    }

    /// Does it know more than another that tells the same?
    fn knows_more_than(&self, other: &Self) -> bool {
        let knowledge = |hop: &Self| {
            (hop.identity.is_some_and(|identity| identity.is_record()), hop.at.proxy.is_some())
        };
        knowledge(self) > knowledge(other)
    }
}

/// The stories under way.
#[derive(Debug, Default)]
pub struct Stories {
    failed: Shelf,
    succeeded: Shelf,
}

#[derive(Debug, Default)]
struct Shelf {
    by_age: BTreeMap<u64, Story>,
    by_id: HashMap<String, u64>,
    next: u64,
}

impl Shelf {
    fn add(&mut self, id: String, story: Story) {
        self.by_id.insert(id, self.next);
        self.by_age.insert(self.next, story);
        self.next += 1;
    }

    fn of(&mut self, id: &str) -> Option<&mut Story> {
        self.by_age.get_mut(self.by_id.get(id)?)
    }

    fn take(&mut self, id: &str) -> Option<Story> {
        self.by_age.remove(&self.by_id.remove(id)?)
    }

    fn oldest(&mut self) -> Option<Story> {
        let (_, story) = self.by_age.pop_first()?;
        if let Some(id) = &story.id {
            self.by_id.remove(id);
        }
        Some(story)
    }
}

impl Stories {
    /// Adds a line. Returns a story that is complete: the line itself when it has no request id, or the oldest
    /// when there are too many.
    pub fn add(&mut self, hop: Hop) -> Option<Story> {
        let Some(id) = hop.id.clone() else {
            let story = Story { id: None, hops: vec![hop], more: 0 };
            return story.culprit().is_some().then_some(story);
        };
        if let Some(story) = self.failed.of(&id) {
            story.add(hop);
            return None;
        }
        let failed = hop.record().is_some();
        if let Some(story) = self.succeeded.of(&id) {
            story.add(hop);
            if failed && let Some(story) = self.succeeded.take(&id) {
                self.failed.add(id, story);
            }
        } else {
            let story = Story { id: Some(id.clone()), hops: vec![hop], more: 0 };
            if failed { &mut self.failed } else { &mut self.succeeded }.add(id, story);
        }
        if self.succeeded.by_age.len() > STORIES {
            self.succeeded.oldest();
        }
        if self.failed.by_age.len() > STORIES { self.next() } else { None }
    }

    /// The oldest story with a failure.
    pub fn next(&mut self) -> Option<Story> {
        self.failed.oldest().map(Story::in_order)
    }
}

/// One request, as all proxies tell it.
#[derive(Debug, PartialEq)]
pub struct Story {
    id: Option<String>,
    hops: Vec<Hop>,
    /// Lines beyond the bound.
    more: u64,
}

impl Story {
    fn add(&mut self, hop: Hop) {
        if let Some(told) = self.hops.iter_mut().find(|told| told.is_same_stream(&hop)) {
            if hop.knows_more_than(told) {
                *told = hop;
            }
        } else if self.hops.len() < HOPS {
            self.hops.push(hop);
        } else {
            self.more += 1;
        }
    }

    /// Outbound before inbound. With several callers in the story it is a chain, and the times decide.
    fn in_order(mut self) -> Self {
        let inbound = |hop: &Hop| hop.at.direction == Direction::Inbound;
        let mut callers = self.hops.iter().filter(|hop| !inbound(hop));
        let first = callers.next();
        let is_chain = callers.any(|hop| Some(&hop.at.cluster) != first.map(|it| &it.at.cluster));
        let timed = self.hops.iter().all(|hop| hop.start.is_some());
        if is_chain && timed {
            self.hops.sort_by_key(|hop| (hop.start, inbound(hop)));
        } else {
            self.hops.sort_by_key(|hop| (inbound(hop), hop.start));
        }
        self
    }

    /// The place of the hop whose verdict is the story's: the first that failed, and from there on towards the
    /// application as long as a verdict says that the failure came from there.
    fn decisive(&self) -> Option<usize> {
        let failures =
            self.hops.iter().enumerate().filter_map(|(at, hop)| Some((at, hop.record()?)));
        let mut failures = failures.peekable();
        let (mut decisive, mut record) = failures.next()?;
        for (at, next) in failures {
            // Of several tries of one hop, the last one decided.
            let tried_again = self.is_same_place(decisive, at);
            let came_from_there = passed_on(record) && next.gate != Gate::Downstream;
            if tried_again || came_from_there {
                (decisive, record) = (at, next);
            }
        }
        Some(decisive)
    }

    fn is_same_place(&self, one: usize, other: usize) -> bool {
        let inbound = |at: usize| {
            self.hops.get(at).map(|hop| &hop.at).filter(|at| at.direction == Direction::Inbound)
        };
        inbound(one).is_some() && inbound(one) == inbound(other)
    }

    /// The record that says why the request failed.
    pub fn culprit(&self) -> Option<&Record> {
        self.hops.get(self.decisive()?)?.record()
    }

    /// How often the server was tried, as far as anybody tells.
    fn tries(&self) -> u64 {
        let told = self.hops.iter().filter_map(|hop| hop.record()?.retry.as_ref()?.attempts);
        let seen = self
            .hops
            .iter()
            .filter(|hop| hop.at.direction == Direction::Inbound)
            .map(|hop| self.hops.iter().filter(|other| other.at == hop.at).count() as u64);
        told.chain(seen).max().unwrap_or(1)
    }

    /// Did the caller get a good answer in the end?
    fn recovered(&self) -> bool {
        self.hops.first().is_some_and(|hop| hop.record().is_none())
    }

    /// The story as one JSON object.
    pub fn json(&self) -> impl Serialize {
        #[derive(Serialize)]
        struct Json<'a> {
            v: u8,
            #[serde(skip_serializing_if = "Option::is_none")]
            request_id: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            gate: Option<Gate>,
            #[serde(skip_serializing_if = "Option::is_none")]
            cause: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            proxy: Option<&'a str>,
            /// The place of the decisive hop among `hops`, from 0.
            #[serde(skip_serializing_if = "Option::is_none")]
            decisive: Option<usize>,
            tries: u64,
            recovered: bool,
            hops: &'a [Hop],
        }
        let culprit = self.culprit();
        Json {
            v: 1,
            request_id: self.id.as_deref(),
            gate: culprit.map(|record| record.gate),
            cause: culprit.map(|record| record.cause.name()),
            proxy: culprit.and_then(|record| record.proxy.as_deref()),
            decisive: self.decisive(),
            tries: self.tries(),
            recovered: self.recovered(),
            hops: &self.hops,
        }
    }

    /// The story as a heading and a line for each hop.
    pub fn print(&self, output: &mut impl Write, style: Style) -> io::Result<()> {
        let Some(culprit) = self.culprit() else { return Ok(()) };
        let (row, id) = (culprit.cause.row(), self.id.as_deref().unwrap_or("without a request id"));
        let mut head = format!("{}  {}", style.bold(&plain(id)), style.side(row.side, row.name));
        head += &format!(" at {}", row.gate);
        if self.tries() > 1 {
            head += &format!(", {} tries", self.tries());
        }
        if self.recovered() {
            head += ", recovered";
        }
        writeln!(output, "{head}")?;
        for (at, hop) in self.hops.iter().enumerate() {
            let number = at + 1;
            match &hop.told {
                Told::Failure(record) => {
                    let mark = if self.decisive() == Some(at) { "◀ here" } else { "" };
                    let row = record.cause.row();
                    let cause = style.side(row.side, &format!("{:29}", row.name));
                    let line = format!(
                        "  {number}  {:40}  {:6}  {:8}  {:11}  {cause}  {mark}",
                        table::place(record),
                        table::status(record),
                        table::flags(record),
                        row.gate
                    );
                    writeln!(output, "{}", line.trim_end())?;
                }
                Told::Success { proxy, upstream_cluster, response_code } => {
                    let place = [proxy.as_deref(), upstream_cluster.as_deref()];
                    let place: Vec<&str> = place.into_iter().flatten().collect();
                    let (place, status) = (place.join(" → "), response_code.unwrap_or_default());
                    writeln!(output, "  {number}  {:40}  {status}", plain(&place))?;
                }
            }
        }
        if self.more > 0 {
            writeln!(output, "  and {} more lines", self.more)?;
        }
        if let Some(look) = culprit.look.first() {
            writeln!(output, "  look first: {}", plain(look))?;
        }
        writeln!(output)
    }
}

/// Does the verdict say that the failure came from further on: an answer that was passed on, a connection
/// that broke there, an endpoint that was given up after it had been tried? A timeout of one's own did not.
fn passed_on(record: &Record) -> bool {
    let row = record.cause.row();
    match row.gate {
        Gate::Application => true,
        Gate::Response => {
            row.side == Side::Upstream
                && !matches!(row.error, Some("http_response_timeout" | "connection_read_timeout"))
        }
        Gate::Endpoint => record.retry.as_ref().is_some_and(|retry| retry.attempts > Some(1)),
        Gate::Listener
        | Gate::Request
        | Gate::Filter
        | Gate::Route
        | Gate::Cluster
        | Gate::Pool
        | Gate::Connect
        | Gate::Downstream
        | Gate::Unknown => false,
    }
}

#[cfg(test)]
#[path = "join/tests.rs"]
mod tests;
