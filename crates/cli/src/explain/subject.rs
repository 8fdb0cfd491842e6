//! What somebody asks about: found by trying, from the most exact reading to the loosest.

use failgate_verdict::cause::{CAUSES, Cause};
use failgate_verdict::details::{self, DETAILS, Meaning, RESETS};
use failgate_verdict::evidence::Evidence;
use failgate_verdict::flags::{FLAGS, Flag, Flags};
use failgate_verdict::judge::Criteria;
use failgate_verdict::record::{Facts, Record};
use failgate_verdict::terms::{GATES, Gate};
use failgate_verdict::{judge, termination, transport};

use super::nearest::nearest;
use crate::read::{self, Keys, Line, Stream};

/// What was asked about, and what there is to say beside its cause.
#[derive(Debug, PartialEq)]
pub struct Subject {
    /// What it is called.
    pub title: String,
    /// What it is.
    pub about: About,
    /// What else one must know.
    pub notes: Vec<String>,
}

/// What a subject is.
#[derive(Debug, PartialEq)]
pub enum About {
    /// A cause, in general.
    Cause(Cause),
    /// One failure, with its facts.
    Record(Box<Record>),
    /// A gate.
    Gate(Gate),
    /// Nothing that failed; the notes say why not.
    Nothing,
}

const NO_FLAG: &str = "`-` says that no flag was set, and not that nothing failed. A denial by an AuthorizationPolicy, a \
    JWT that was not accepted, a direct response, an overloaded proxy, CSRF, Lua and ext_proc set none. Look at the \
    response code details: whatever is not `via_upstream` was made by this proxy.";
const GRPC: &str = "With gRPC the HTTP status is 200 even when the call failed: its own status is in the trailers. \
    %GRPC_STATUS% puts it into the access log.";
const STARTED: &str = "A 2xx or 3xx status beside such a flag is the upstream's, from before it failed; or the call is \
    gRPC, whose errors have the HTTP status 200.";
const STATUS: &str = "A status names the result, not the cause. Ask again with the flags and, if they are there, the \
    response code details: `failgate explain 503 UF`, or paste the whole line.";
const UPSTREAMS: &str = "The response came from upstream and was passed on: this proxy did not make it. Whether the \
    application made it or another proxy on the way, these details do not say; the server's own line of the same \
    request id does: failgate inspect --join.";
const MARKS: [(&str, &str); 3] = [
    (
        "URX",
        "The retries are used up. It says nothing about the cause, which is the last attempt's: look at the flag beside it. Alone, the last attempt was answered, with an error.",
    ),
    (
        "DI",
        "A delay was injected on purpose. It is no failure by itself, and may have led to a timeout.",
    ),
    ("RFCF", "The response came from the cache filter. It is no failure."),
];

/// What Envoy writes to a caller instead of a response, and the details that go with it: `source/common/router`,
/// `source/common/http/conn_manager_impl.cc` and the RBAC filter.
const BODIES: [(&str, &str); 3] = [
    ("upstream request timeout", "response_timeout"),
    ("stream timeout", "stream_idle_timeout"),
    ("RBAC: access denied", "rbac_access_denied_matched_policy[none]"),
];

/// What a body says of a reset begins so, and may say before the reason that it was retried.
const RESET: &str = "upstream connect error or disconnect/reset before headers. ";

const BODY: &str =
    "This is the text that Envoy sends to the caller. The access log has more: paste its line.";

/// What the text is; `None` when it is nothing that is known.
pub fn of(text: &str) -> Option<Subject> {
    whole_line(text)
        .or_else(|| status_and_flags(text))
        .or_else(|| flags(text))
        .or_else(|| word(text))
        .or_else(|| body(text))
        .or_else(|| envoys(text))
}

/// The names nearest to a text that is none.
pub fn nearest_to(text: &str) -> Vec<&'static str> {
    let flags = FLAGS.iter().flat_map(|flag| [flag.short, flag.long]);
    let causes = CAUSES.iter().map(|row| row.name);
    let gates = GATES.iter().map(|gate| gate.name);
    let details = DETAILS.iter().map(|row| row.pattern.text());
    let resets = RESETS.iter().map(|row| row.pattern.text());
    nearest(text, flags.chain(causes).chain(gates).chain(details).chain(resets))
}

fn subject(title: impl Into<String>, about: About, notes: &[&str]) -> Subject {
    let notes = notes.iter().map(|note| (*note).to_owned()).collect();
    Subject { title: title.into(), about, notes }
}

fn whole_line(text: &str) -> Option<Subject> {
    match read::line(text.as_bytes(), &mut Keys::default()) {
        Line::Record(record) => Some(failure("a record", *record)),
        Line::Stream(stream) => Some(match stream.judge(&Criteria::default()) {
            Some(record) => failure("a line of an access log", record),
            None => fine("a line of an access log", &stream),
        }),
        Line::Other | Line::Malformed(_) => None,
    }
}

fn failure(what: &str, record: Record) -> Subject {
    let mut title = format!("{what}: {}", record.response_code.unwrap_or_default());
    title += &match record.response_flags.as_slice() {
        [] => " -".to_owned(),
        flags => format!(" {}", flags.join(",")),
    };
    let mut notes = Vec::new();
    if record.response_code == Some(200) {
        notes.push(if record.grpc_status.is_some() { GRPC } else { STARTED });
    }
    let notes = notes.iter().map(|note| (*note).to_owned()).collect();
    Subject { title, about: About::Record(Box::new(record)), notes }
}

fn fine(what: &str, stream: &Stream<'_>) -> Subject {
    let title = format!("{what}: it tells of no failure");
    let mut notes = vec![
        "Nothing in it says that this proxy or the upstream failed. A 4xx that came from upstream is the application's business.",
    ];
    if stream.status() == Some(200) && stream.evidence().grpc_status.is_none() {
        notes.push(GRPC);
    }
    subject(title, About::Nothing, &notes)
}

/// `503 URX,UF`, and maybe details: as dashboards and people write it.
fn status_and_flags(text: &str) -> Option<Subject> {
    let mut words =
        text.splitn(3, |it: char| it.is_ascii_whitespace()).filter(|word| !word.is_empty());
    let is_status = |status: &u16| *status == 0 || (100..600).contains(status);
    let status: u16 = words.next()?.parse().ok().filter(is_status)?;
    let Some(flags) = words.next() else {
        return Some(subject(format!("status {status}"), About::Nothing, &[STATUS, NO_FLAG]));
    };
    let set = Flags::parse(&flags.to_ascii_uppercase()).or_else(|_| Flags::parse(flags)).ok()?;
    let details = words.next().map(str::trim).filter(|details| !matches!(*details, "" | "-"));
    let status = Some(status).filter(|status| *status != 0);
    let evidence = Evidence { status, flags: set, details, ..Evidence::default() };
    let Some(verdict) = judge(&evidence) else {
        let notes = if status == Some(200) { [NO_FLAG, GRPC] } else { [NO_FLAG, STATUS] };
        return Some(subject(text, About::Nothing, &notes));
    };
    let record = Record::new(&verdict, &evidence, &Facts::default());
    let mut notes = Vec::new();
    if status.is_some_and(|status| status < 400) {
        notes.push(STARTED);
    }
    if set.is_empty() && details.is_none() {
        notes.push(NO_FLAG);
    }
    notes.extend(mark(set));
    Some(subject(text, About::Record(Box::new(record)), &notes))
}

/// Flags, and maybe details.
fn flags(text: &str) -> Option<Subject> {
    if matches!(text, "-" | "\"-\"") {
        return Some(subject("- (no flag)", About::Nothing, &[NO_FLAG]));
    }
    let (names, details) = text.split_once(' ').unwrap_or((text, ""));
    let details = Some(details.trim()).filter(|details| !matches!(*details, "" | "-"));
    if details.is_some_and(|details| details::meaning(details).is_none()) {
        return None;
    }
    let set = Flags::parse(names)
        .or_else(|_| Flags::parse(&names.to_ascii_uppercase()).map_err(|_| ""))
        .ok();
    let set = set.or_else(|| long_name(names)).filter(|set| !set.is_empty())?;
    let named = |flag: &&Flag| set.any_of(Flags(1 << flag.bit));
    let titles: Vec<_> =
        FLAGS.iter().filter(named).map(|flag| format!("{} {}", flag.short, flag.long)).collect();
    let mut title = titles.join(", ");
    let mut notes: Vec<&str> = mark(set).collect();
    let Some(cause) = set.cause() else { return Some(subject(title, About::Nothing, &notes)) };
    let Some(details) = details else {
        notes.push("This is what the flag alone says. Response code details and the transport failure reason say more: paste the whole line.");
        // Before the last attempt there were others.
        let retried = set.any_of(Flags::URX).then(|| failed(set, None)).flatten();
        return Some(subject(title, retried.unwrap_or(About::Cause(cause)), &notes));
    };
    title += &format!(" {details}");
    Some(subject(title, failed(set, Some(details))?, &notes))
}

/// A failure of which there is no more than that.
fn failed(flags: Flags, details: Option<&str>) -> Option<About> {
    let evidence = Evidence { status: Some(503), flags, details, ..Evidence::default() };
    let mut record = Record::new(&judge(&evidence)?, &evidence, &Facts::default());
    record.response_code = None;
    Some(About::Record(Box::new(record)))
}

/// What a caller got instead of a response.
fn body(text: &str) -> Option<Subject> {
    let title = format!("the body of a response: {text}");
    let is_same = |(body, _): &&(&str, &str)| text.trim_end_matches('.').eq_ignore_ascii_case(body);
    if let Some((_, details)) = BODIES.iter().find(is_same) {
        let About::Record(record) = failed(Flags::NONE, Some(details))? else { return None };
        return Some(subject(title, About::Cause(record.cause), &[BODY]));
    }
    let (before, reason) = text.strip_prefix(RESET)?.split_once("reset reason: ")?;
    let (reason, transport) =
        reason.split_once(", transport failure reason: ").unwrap_or((reason, ""));
    let bar = if transport.is_empty() { "" } else { "|" };
    let details = format!("upstream_reset_before_response_started{{{reason}{bar}{transport}}}");
    // `retried and the latest`: what the attempts before came to, nobody says.
    let flags = if before.is_empty() { Flags::NONE } else { Flags::URX };
    Some(subject(title, failed(flags, Some(&details))?, &[BODY]))
}

fn long_name(text: &str) -> Option<Flags> {
    let flag = FLAGS.iter().find(|flag| flag.long.eq_ignore_ascii_case(text))?;
    Some(Flags(1 << flag.bit))
}

/// What the flags say that never decide.
fn mark(set: Flags) -> impl Iterator<Item = &'static str> {
    MARKS
        .into_iter()
        .filter(move |(name, _)| Flags::parse(name).is_ok_and(|mark| set.any_of(mark)))
        .map(|(_, note)| note)
}

/// A cause or a gate, by its name.
fn word(text: &str) -> Option<Subject> {
    let name = text.to_ascii_lowercase().replace([' ', '-'], "_");
    if let Some(cause) = Cause::named(&name) {
        return Some(subject(format!("cause {name}"), About::Cause(cause), &[]));
    }
    let gate = GATES.iter().find(|gate| gate.name == name)?;
    Some(subject(format!("gate {name}"), About::Gate(gate.value), &[]))
}

/// A text of Envoy's: details, a reset reason, termination details, a transport failure reason.
fn envoys(text: &str) -> Option<Subject> {
    let title = |kind: &str| format!("{kind}: {text}");
    match details::meaning(text) {
        Some(Meaning::Upstreams | Meaning::Replaced) => {
            return Some(subject(title("response code details"), About::Nothing, &[UPSTREAMS]));
        }
        Some(Meaning::Cause(cause)) => {
            return Some(subject(title("response code details"), About::Cause(cause), &[]));
        }
        Some(Meaning::ResetBefore | Meaning::ResetAfter) => {
            let evidence =
                Evidence { status: Some(503), details: Some(text), ..Evidence::default() };
            let cause = judge(&evidence)?.cause;
            return Some(subject(title("response code details"), About::Cause(cause), &[]));
        }
        None => {}
    }
    if let Some(reset) = RESETS.iter().find(|row| row.pattern.matches(text)) {
        return Some(subject(title("reset reason"), About::Cause(reset.cause), &[]));
    }
    if let Some(cause) = termination::cause_of(text) {
        return Some(subject(title("connection termination details"), About::Cause(cause), &[]));
    }
    let cause = transport::cause_of(text)?;
    Some(subject(title("transport failure reason"), About::Cause(cause), &[]))
}
