//! One line of text, whoever wrote it, as a record or as the facts of a stream.
//!
//! Every line is looked at for itself, so formats and sources may be mixed. Whatever put something before
//! the line (kubectl, stern, Docker, CRI) is taken off first. Facts that a format does not have are
//! unknown, which is not the same as absent: see [`Fact`].

mod json;
mod origin;
mod stream;
mod text;
mod time;

pub use json::Keys;
pub use stream::{Fact, Stream};
pub use time::nanoseconds;

use std::borrow::Cow;

use failgate_verdict::Record;

/// A line longer than this is not read: no proxy writes one.
pub const LINE_BYTES: usize = 1 << 20;

/// How deep an access log may be wrapped in the JSON of whoever shipped it.
const DEPTH: u8 = 3;

/// What announces a record in the proxy's own log.
const MARK: &str = "failgate {";

/// What a line is.
#[derive(Debug, PartialEq)]
pub enum Line<'a> {
    /// A record: the stream failed, and the filter has judged it.
    Record(Box<Record>),
    /// A line of an access log: a stream to be judged.
    Stream(Box<Stream<'a>>),
    /// Nothing to judge: an empty line, or one of the proxy's own log.
    Other,
    /// It cannot be read; the reason, in a few words.
    Malformed(&'static str),
}

/// Reads one line, without its line end. `keys` remembers the keys of JSON lines from one to the next.
#[must_use]
pub fn line<'a>(bytes: &'a [u8], keys: &mut Keys) -> Line<'a> {
    if bytes.len() > LINE_BYTES {
        return Line::Malformed("the line is too long");
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => of(Cow::Borrowed(text.trim_ascii()), keys, DEPTH),
        Err(_) => {
            let text = String::from_utf8_lossy(bytes);
            of(Cow::Owned(text.trim_ascii().to_owned()), keys, DEPTH)
        }
    }
}

/// The pod that whoever collected the line put before it, if they did.
#[must_use]
pub fn pod(bytes: &[u8]) -> Option<String> {
    if bytes.first() == Some(&b'{') {
        return None;
    }
    let text = String::from_utf8_lossy(bytes);
    let text = origin::without_colours(text.trim_ascii());
    let (before, _) = text.split_at_checked(start(&text)?)?;
    origin::pod(before).map(str::to_owned)
}

fn of<'a>(text: Cow<'a, str>, keys: &mut Keys, depth: u8) -> Line<'a> {
    match text {
        Cow::Borrowed(text) => borrowed(text, keys, depth),
        Cow::Owned(text) => borrowed(&text, keys, depth).into_owned(),
    }
}

fn borrowed<'a>(text: &'a str, keys: &mut Keys, depth: u8) -> Line<'a> {
    if text.starts_with('{') {
        return object(text, None, keys, depth);
    }
    if text.is_empty() {
        return Line::Other;
    }
    if text.contains('\u{1b}') {
        return of(Cow::Owned(origin::without_colours(text)), keys, depth);
    }
    let Some(start) = start(text) else {
        let own = origin::is_proxys_own(text);
        return if own { Line::Other } else { Line::Malformed("no access log and no record") };
    };
    let (before, rest) = text.split_at_checked(start).unwrap_or(("", text));
    if rest.starts_with(MARK) {
        return marked(rest);
    }
    let pod = origin::pod(before);
    if rest.starts_with('{') {
        return object(rest, pod, keys, depth);
    }
    match text::parse(rest) {
        Ok(mut stream) => {
            stream.pod(pod);
            Line::Stream(Box::new(stream))
        }
        Err(reason) => Line::Malformed(reason),
    }
}

/// Where the record, the JSON object or the access log begins; whichever comes first, since what stands
/// further back may have been written by a caller.
fn start(text: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = text.get(from..)?.find(['{', '[']).map(|at| from + at) {
        let (before, rest) = text.split_at_checked(at)?;
        if rest.starts_with('[') {
            if text::begins(rest) {
                return Some(at);
            }
        } else if before.ends_with("failgate ") && before.contains("wasm log") {
            return Some(at - "failgate ".len());
        } else {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// A record behind its mark. Istio's proxy writes a thread number behind the line.
fn marked(text: &str) -> Line<'_> {
    let json = text.get(MARK.len() - 1..).unwrap_or_default();
    let mut records = serde_json::Deserializer::from_str(json).into_iter::<Record>();
    match records.next() {
        Some(Ok(record)) => Line::Record(Box::new(record)),
        Some(Err(_)) | None => Line::Malformed("a record that is cut off or of another version"),
    }
}

fn object<'a>(text: &'a str, pod: Option<&'a str>, keys: &mut Keys, depth: u8) -> Line<'a> {
    let mut object = json::Object::default();
    if let Err(reason) = object.read(text, keys) {
        return Line::Malformed(reason);
    }
    if object.is_record {
        return match serde_json::from_str(text) {
            Ok(record) => Line::Record(Box::new(record)),
            Err(_) => Line::Malformed("a record of another version, or not a whole one"),
        };
    }
    if object.stream.is_evident() {
        object.stream.pod(pod);
        return Line::Stream(Box::new(object.stream));
    }
    let inner = match object.wrapped {
        Some(inner) if depth > 0 => of(trimmed(inner), keys, depth - 1),
        Some(_) | None => Line::Malformed("JSON without response_code, response_flags or a record"),
    };
    // Whatever a program has to say of itself.
    if object.is_log && matches!(inner, Line::Malformed(_)) { Line::Other } else { inner }
}

fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_ascii()),
        Cow::Owned(text) => Cow::Owned(text.trim_ascii().to_owned()),
    }
}

impl Line<'_> {
    /// The same line, with all of its text its own.
    #[must_use]
    pub fn into_owned(self) -> Line<'static> {
        match self {
            Self::Record(record) => Line::Record(record),
            Self::Stream(stream) => Line::Stream(Box::new(stream.into_owned())),
            Self::Other => Line::Other,
            Self::Malformed(reason) => Line::Malformed(reason),
        }
    }
}

#[cfg(test)]
#[path = "read/tests.rs"]
mod tests;
