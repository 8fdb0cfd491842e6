//! Where a request belongs in a trace: W3C `traceparent`, else B3.
//!
//! Sources: <https://www.w3.org/TR/trace-context/#traceparent-header> and
//! <https://github.com/openzipkin/b3-propagation>.

use alloc::string::String;

use crate::text::split_once;

/// A place in a trace. Neither id is all zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// 32 hexadecimal digits in lower case.
    pub trace_id: String,
    /// 16 hexadecimal digits in lower case.
    pub span_id: String,
}

impl Trace {
    /// Reads the header `traceparent`: `00-TRACE-SPAN-FLAGS`, or more behind that in later versions.
    #[must_use]
    pub fn from_traceparent(value: &str) -> Option<Self> {
        let (version, rest) = split_once(value, "-")?;
        let (trace, rest) = split_once(rest, "-")?;
        let (span, flags) = split_once(rest, "-")?;
        let is_whole = match version {
            "ff" => false,
            "00" => flags.len() == 2,
            _ => flags.len() == 2 || flags.as_bytes().get(2) == Some(&b'-'),
        };
        let digits = version.len() == 2 && is_hex(version) && flags.get(..2).is_some_and(is_hex);
        if is_whole && digits && trace.len() == 32 { Self::new(trace, span) } else { None }
    }

    /// Reads the single header `b3`: `TRACE-SPAN`, with or without what follows.
    #[must_use]
    pub fn from_b3(value: &str) -> Option<Self> {
        let (trace, rest) = split_once(value, "-")?;
        Self::new(trace, split_once(rest, "-").map_or(rest, |(span, _)| span))
    }

    /// Of two ids: the headers `x-b3-traceid`, which may have 16 digits only, and `x-b3-spanid`.
    #[must_use]
    pub fn new(trace: &str, span: &str) -> Option<Self> {
        let is_id = |id: &str| is_hex(id) && id.bytes().any(|digit| digit != b'0');
        if !(matches!(trace.len(), 16 | 32) && span.len() == 16 && is_id(trace) && is_id(span)) {
            return None;
        }
        let mut trace_id = String::new();
        if trace.len() == 16 {
            trace_id.push_str("0000000000000000");
        }
        trace_id.push_str(trace);
        trace_id.make_ascii_lowercase();
        Some(Self { trace_id, span_id: span.to_ascii_lowercase() })
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "5b8efff798038103d269b633813fc60c";
    const SPAN: &str = "eee19b7ec3c1b174";

    fn ids(trace: Option<Trace>) -> Option<(String, String)> {
        trace.map(|trace| (trace.trace_id, trace.span_id))
    }

    #[test]
    fn each_form_is_read() {
        let expected = Some((TRACE.into(), SPAN.into()));
        for value in [
            alloc::format!("00-{TRACE}-{SPAN}-01"),
            alloc::format!("cc-{TRACE}-{SPAN}-01-what-the-future-brings"),
        ] {
            assert_eq!(ids(Trace::from_traceparent(&value)), expected, "{value}");
        }
        for value in [
            alloc::format!("{TRACE}-{SPAN}"),
            alloc::format!("{TRACE}-{SPAN}-1-05e3ac9a4f6e3b90"),
            alloc::format!("{}-{SPAN}-d", TRACE.to_uppercase()),
        ] {
            assert_eq!(ids(Trace::from_b3(&value)), expected, "{value}");
        }
        assert_eq!(
            ids(Trace::new("d269b633813fc60c", SPAN)),
            Some(("0000000000000000d269b633813fc60c".into(), SPAN.into()))
        );
    }

    #[test]
    fn what_is_no_place_in_a_trace_is_none() {
        let zeros = "0".repeat(32);
        for value in [
            "",
            "00",
            "00-a-b-c",
            &alloc::format!("00-{TRACE}-{SPAN}"),
            &alloc::format!("00-{TRACE}-{SPAN}-0"),
            &alloc::format!("00-{TRACE}-{SPAN}-01-more"),
            &alloc::format!("ff-{TRACE}-{SPAN}-01"),
            &alloc::format!("0-{TRACE}-{SPAN}-01"),
            &alloc::format!("00-{zeros}-{SPAN}-01"),
            &alloc::format!("00-{TRACE}-0000000000000000-01"),
            &alloc::format!("00-{}g-{SPAN}-01", &TRACE[1..]),
            &alloc::format!("00-d269b633813fc60c-{SPAN}-01"),
            &alloc::format!("00-{TRACE}-{SPAN}-0é"),
        ] {
            assert_eq!(Trace::from_traceparent(value), None, "{value}");
        }
        for value in ["0", "d", "", "-", &alloc::format!("{TRACE}-1"), &"é".repeat(24)] {
            assert_eq!(Trace::from_b3(value), None, "{value}");
        }
    }
}
