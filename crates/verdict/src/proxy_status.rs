//! `Proxy-Status` (RFC 9209): what one proxy tells the next one of a response.
//!
//! A member of ours names the proxy and carries our gate and cause beside the RFC's own parameters:
//! `"mock-server.default"; error=connection_terminated; gate=response; cause=connection_terminated`. One
//! without an error says that the application itself answered so. Each field line is read by itself, so that
//! one that is no List silences no other; Envoy joins the lines of `proxy-status`, but of no other name.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::cause::Cause;
use crate::structured::{Bare, Member, members, unescaped, write_string};
use crate::text::bounded;

/// The header's name, in lower case.
pub const NAME: &str = "proxy-status";

/// A proxy's name in a member is cut at this many bytes.
const PROXY_BYTES: usize = 128;

/// What a member of ours says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The proxy that says so.
    pub name: String,
    /// Why the request failed there; its gate follows.
    pub cause: Cause,
}

/// Writes a member of ours. `received` is the status that came from upstream, when one did.
#[must_use]
pub fn member(proxy: Option<&str>, cause: Cause, received: Option<u16>) -> String {
    let mut text = String::new();
    write_string(bounded(proxy.unwrap_or("envoy"), PROXY_BYTES), &mut text);
    let mut parameter = |name: &str, value: &str| {
        for part in ["; ", name, "=", value] {
            text.push_str(part);
        }
    };
    if let Some(status) = received {
        parameter("received-status", &status.to_string());
    }
    if let Some(error) = cause.row().error {
        parameter("error", error);
    }
    parameter("gate", cause.row().gate.name());
    parameter("cause", cause.name());
    text
}

/// What becomes of a response's header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sifted {
    /// The field lines that stay, in order.
    pub lines: Vec<String>,
    /// Is that anything else than what was there?
    pub changed: bool,
    /// What the member of ours that was added last says: that of the proxy next to this one.
    pub claim: Option<Claim>,
}

/// Reads the field lines of a header and takes members of ours out, unless `keep_ours`; the members of
/// others stay as they are, in order. A line that is no List stays too, unless `drop_broken`.
#[must_use]
pub fn sift<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    keep_ours: bool,
    drop_broken: bool,
) -> Sifted {
    let mut sifted = Sifted::default();
    for line in lines {
        let text = String::from_utf8_lossy(line);
        if members(&text).any(|member| member.is_err()) {
            if drop_broken {
                sifted.changed = true;
            } else {
                sifted.lines.push(text.into_owned());
            }
            continue;
        }
        let list = || members(&text).filter_map(Result::ok);
        let Some(last) = list().filter(is_ours).last() else {
            sifted.lines.push(text.into_owned());
            continue;
        };
        sifted.claim = claim(&last);
        if keep_ours {
            sifted.lines.push(text.into_owned());
            continue;
        }
        sifted.changed = true;
        let mut others = String::new();
        for member in list().filter(|member| !is_ours(member)) {
            if !others.is_empty() {
                others.push_str(", ");
            }
            others.push_str(member.text);
        }
        if !others.is_empty() {
            sifted.lines.push(others);
        }
    }
    sifted
}

/// A member with a gate and a cause is ours, or wants to be taken for ours.
fn is_ours(member: &Member<'_>) -> bool {
    member.parameter("gate").is_some() && member.parameter("cause").is_some()
}

/// What a member says; `None` when it does not say it in our words.
fn claim(member: &Member<'_>) -> Option<Claim> {
    let Some(Bare::Token(cause)) = member.parameter("cause") else { return None };
    let cause = Cause::named(cause)?;
    if member.parameter("gate") != Some(Bare::Token(cause.row().gate.name())) {
        return None;
    }
    let name: String = match member.item? {
        Bare::String(text) => unescaped(text).collect(),
        Bare::Token(text) => text.to_string(),
        Bare::Integer(_)
        | Bare::Decimal(_)
        | Bare::Bytes(_)
        | Bare::Boolean(_)
        | Bare::Date(_)
        | Bare::Display(_) => return None,
    };
    let name = bounded(&name, PROXY_BYTES).to_string();
    Some(Claim { name, cause })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    const TERMINATED: &str = r#""mock-server.default"; error=connection_terminated; gate=response; cause=connection_terminated"#;

    fn named(name: &str) -> Cause {
        Cause::named(name).unwrap()
    }

    fn sifted(lines: &[&str], keep_ours: bool) -> Sifted {
        sift(lines.iter().map(|line| line.as_bytes()), keep_ours, false)
    }

    #[test]
    fn a_member_says_error_gate_and_cause() {
        assert_eq!(
            member(Some("mock-server.default"), named("connection_terminated"), None),
            TERMINATED
        );
        assert_eq!(
            member(Some("a.b"), named("application_error"), Some(503)),
            r#""a.b"; received-status=503; gate=application; cause=application_error"#
        );
    }

    #[test]
    fn every_member_that_is_written_reads_back() {
        for cause in Cause::all() {
            for name in ["a.default", "with \"quotes\" and \\", ""] {
                let line = member(Some(name), cause, Some(502));
                let read = sifted(&[&line], false);
                assert_eq!(read.claim, Some(Claim { name: name.into(), cause }));
                assert_eq!((read.lines.len(), read.changed), (0, true));
            }
        }
        let long = member(Some(&"é".repeat(1000)), named("dns_failure"), None);
        assert!(long.len() < 256 && members(&long).all(|member| member.is_ok()), "{long}");
    }

    #[test]
    fn members_of_others_stay_in_order_and_as_they_were() {
        let line = format!(
            r#"ExampleCDN;  received-status=200, {TERMINATED} , "b c";details="x, y", (inner list)"#
        );
        let sifted = sifted(&["first", &line, "last"], false);
        assert_eq!(
            sifted.lines,
            [
                "first",
                r#"ExampleCDN;  received-status=200, "b c";details="x, y", (inner list)"#,
                "last"
            ]
        );
        assert!(sifted.changed);
        assert_eq!(sifted.claim.unwrap().name, "mock-server.default");
    }

    #[test]
    fn what_holds_nothing_of_ours_is_not_changed() {
        for lines in [
            &["ExampleCDN; error=dns_error"][..],
            &["a", "b"],
            &["\"gate=response; cause=x\""],
            &["a;gate=x"],
            &[],
        ] {
            let read = sifted(lines, false);
            assert_eq!(
                (read.lines, read.changed, read.claim),
                (lines.iter().map(ToString::to_string).collect(), false, None)
            );
        }
    }

    #[test]
    fn the_last_member_of_ours_is_the_next_hops() {
        let first = member(Some("far"), named("dns_failure"), None);
        let last = member(Some("near"), named("application_error"), Some(500));
        for lines in [&[format!("{first}, x, {last}, y")][..], &[first.clone(), last.clone()]] {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            assert_eq!(sifted(&lines, false).claim.unwrap().name, "near");
            let kept = sifted(&lines, true);
            assert_eq!(
                (kept.lines, kept.changed, kept.claim.unwrap().name),
                (lines.iter().map(ToString::to_string).collect(), false, "near".into())
            );
        }
    }

    #[test]
    fn a_line_that_is_no_list_says_nothing_and_silences_no_other() {
        let broken = format!("{TERMINATED}, \"unclosed");
        let read = sifted(&[&broken, TERMINATED], false);
        assert_eq!(read.lines, [broken.as_str()]);
        assert_eq!(read.claim.unwrap().cause, named("connection_terminated"));
        assert_eq!(sifted(&[&broken], false).claim, None);
        let dropped = sift([broken.as_bytes(), b"\xff\xfe", b"kept"].into_iter(), false, true);
        assert_eq!((dropped.lines, dropped.changed), ([String::from("kept")].into(), true));
    }

    /// It is taken out as ours, and it is not believed.
    #[test]
    fn a_member_that_is_ours_in_other_words_is_taken_out_and_not_believed() {
        for forged in [
            "x; gate=response; cause=no_such_cause",
            "x; gate=listener; cause=connection_terminated",
            "x; gate=\"response\"; cause=connection_terminated",
            "x; gate; cause",
            "5; gate=response; cause=connection_terminated",
            "(x); gate=response; cause=connection_terminated",
        ] {
            let read = sifted(&[forged], false);
            assert_eq!((read.lines.len(), read.changed, read.claim), (0, true, None), "{forged}");
        }
    }

    #[test]
    fn ten_thousand_forgeries_are_taken_out() {
        let line = [TERMINATED; 10_000].join(", ") + ", other";
        let read = sifted(&[&line], false);
        assert_eq!(read.lines, ["other"]);
    }
}
