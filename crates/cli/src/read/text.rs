//! The text formats: Istio's, as it is and as it was, and Envoy's own.
//!
//! ```text
//! [TIME] "METHOD PATH PROTOCOL" CODE FLAGS                                      RECEIVED SENT DURATION SERVICE ...  Envoy
//! [TIME] "METHOD PATH PROTOCOL" CODE FLAGS "-" "TRANSPORT"                      RECEIVED SENT DURATION SERVICE ...  Istio 1.1
//! [TIME] "METHOD PATH PROTOCOL" CODE FLAGS DETAILS TERMINATION "TRANSPORT"      RECEIVED SENT DURATION SERVICE ...  Istio 1.9
//! ... "FORWARDED" "AGENT" "REQUEST-ID" "AUTHORITY" "HOST" [CLUSTER LOCAL LOCAL REMOTE SERVER-NAME [ROUTE [KEY=FACT ...]]]
//! ```
//!
//! Only the request line, the forwarded addresses and the user agent are a caller's to write, and Envoy
//! escapes nothing. So the line is read from both ends, and those three are what remains in the middle.

use std::borrow::Cow;

use failgate_verdict::field::{FIELDS, index};

use super::stream::{Fact, Stream};
use crate::format::appended;

const CUT: &str = "an access log that is cut off";
const UNKNOWN: &str = "an access log in no format that is known";

/// Does the text begin as an access log does: `[2026-01-31T23:59:59.999Z] "`?
pub(super) fn begins(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next() == Some(b'[')
        && bytes.by_ref().take(4).all(|byte| byte.is_ascii_digit())
        && bytes.next() == Some(b'-')
        && text.get(..64.min(text.len())).is_none_or(|text| text.contains("] \""))
}

/// Reads a line that [`begins`] so.
pub(super) fn parse(text: &str) -> Result<Stream<'_>, &'static str> {
    let mut line = Reading { rest: text, stream: Stream::default() };
    let time = line.until('[', "] ").ok_or(CUT)?;
    line.put(index("start_time"), time);
    let request = line.until('"', "\" ").ok_or(CUT)?;
    let (method, rest) = request.split_once(' ').ok_or(UNKNOWN)?;
    let (_, protocol) = rest.rsplit_once(' ').ok_or(UNKNOWN)?;
    line.put(index("method"), method);
    line.put(index("protocol"), protocol);
    let code = line.word().filter(|code| is_number(code)).ok_or(UNKNOWN)?;
    line.put(index("response_code"), code);
    let flags = line.word().ok_or(CUT)?;
    line.put(index("response_flags"), flags);
    line.reasons()?;
    let numbers = [line.word(), line.word(), line.word(), line.word()];
    let [Some(_received), Some(_sent), Some(duration), Some(_service)] = numbers else {
        return Err(CUT);
    };
    line.put(index("duration"), duration);
    line.end()?;
    Ok(line.stream)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

struct Reading<'a> {
    rest: &'a str,
    stream: Stream<'a>,
}

impl<'a> Reading<'a> {
    fn put(&mut self, index: usize, text: &'a str) {
        let fact =
            if matches!(text, "" | "-") { Fact::Absent } else { Fact::Text(Cow::Borrowed(text)) };
        self.stream.set(index, fact);
    }

    /// What stands between `open` and the first `close`.
    fn until(&mut self, open: char, close: &str) -> Option<&'a str> {
        let (inside, rest) = self.rest.strip_prefix(open)?.split_once(close)?;
        self.rest = rest;
        Some(inside)
    }

    fn word(&mut self) -> Option<&'a str> {
        let (word, rest) = self.rest.split_once(' ')?;
        self.rest = rest;
        Some(word)
    }

    /// What a format has between the flags and the bytes: details, then termination details, then quoted
    /// what Mixer had to say, in the days of Mixer, and the transport failure reason.
    fn reasons(&mut self) -> Result<(), &'static str> {
        for key in [index("response_code_details"), index("connection_termination_details")] {
            let next = self.rest.split(' ').next().unwrap_or_default();
            if !next.starts_with('"') && !is_number(next) {
                let word = self.word().ok_or(CUT)?;
                self.put(key, word);
            }
        }
        while self.rest.starts_with('"') {
            let quoted = self.until('"', "\" ").ok_or(CUT)?;
            self.put(index("upstream_transport_failure_reason"), quoted);
        }
        if self.rest.starts_with(|it: char| it.is_ascii_digit()) { Ok(()) } else { Err(UNKNOWN) }
    }

    /// The facts that `failgate format` puts behind Istio's text; what looks like them further to the front is
    /// a caller's.
    fn appended(&mut self) {
        let mut end = self.rest;
        let mut facts = Vec::new();
        while let Some((rest, word)) = end.rsplit_once(' ') {
            let Some((key, value)) = word.split_once('=') else { break };
            let Some(index) = FIELDS.iter().position(|field| field.key == key) else { break };
            facts.push((index, value));
            end = rest;
        }
        if facts.len() == appended().count() {
            self.rest = end;
            for (index, value) in facts {
                self.put(index, value);
            }
        }
    }

    /// The end of the line, read from its end.
    fn end(&mut self) -> Result<(), &'static str> {
        self.appended();
        let quotes = self.rest.rfind('"').ok_or(CUT)?;
        let (quoted, words) = self.rest.split_at_checked(quotes + 1).ok_or(CUT)?;
        let words: Vec<&str> = words.split_ascii_whitespace().collect();
        match words.as_slice() {
            [] => {}
            [cluster, _, _, _, _, route @ ..] => {
                self.put(index("upstream_cluster"), cluster);
                match route {
                    [] => {}
                    [route] => self.put(index("route_name"), route),
                    [_, ..] => return Err(UNKNOWN),
                }
            }
            _ => return Err(CUT),
        }
        let mut quoted = Some(quoted);
        let mut last = || {
            let (rest, inside) = quoted?.strip_suffix('"')?.rsplit_once('"')?;
            quoted = Some(rest.trim_end());
            Some(inside)
        };
        let (host, _authority, id) = (last(), last(), last());
        self.put(index("upstream_host"), host.ok_or(CUT)?);
        self.put(index("request_id"), id.ok_or(CUT)?);
        Ok(())
    }
}
