//! Structured fields (RFC 9651, which replaces RFC 8941): reading a List, and writing one's items.
//!
//! Strict, and without allocation: a member keeps its own text, so what is passed on is passed on as it
//! was. The `sfv` crate reads more, but it needs `std` and can panic; the tests hold the two together.

/// A bare item: RFC 9651 section 3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bare<'a> {
    /// 15 digits at most.
    Integer(i64),
    /// 12 digits, a point, 1 to 3 digits.
    Decimal(&'a str),
    /// What stands between the quotes, escapes included.
    String(&'a str),
    /// A word.
    Token(&'a str),
    /// Base64 between colons.
    Bytes(&'a str),
    /// `?1` or `?0`.
    Boolean(bool),
    /// Seconds since 1970.
    Date(i64),
    /// Unicode text, percent-encoded, as it stands between the quotes.
    Display(&'a str),
}

/// One member of a List.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// The member as it was written.
    pub text: &'a str,
    /// The bare item; `None` for an inner list.
    pub item: Option<Bare<'a>>,
    parameters: &'a str,
}

impl<'a> Member<'a> {
    /// The value of a parameter; of several with that key the last one counts.
    #[must_use]
    pub fn parameter(&self, key: &str) -> Option<Bare<'a>> {
        let mut cursor = Cursor { rest: self.parameters };
        let mut value = None;
        while cursor.take(";") {
            cursor.skip(is_space);
            let (name, bare) = cursor.parameter()?;
            if name == key {
                value = Some(bare);
            }
        }
        value
    }
}

/// The text is no List, so by RFC 9651 section 4.2 it says nothing at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoList;

/// The members of a List, in order. Only when every one is `Ok` has the text been a List.
pub fn members(text: &str) -> impl Iterator<Item = Result<Member<'_>, NoList>> {
    let mut cursor = Cursor { rest: text };
    cursor.skip(is_space);
    let mut ended = cursor.rest.is_empty();
    core::iter::from_fn(move || {
        if ended {
            return None;
        }
        let member = cursor.member();
        ended = match member {
            Some(_) => cursor.rest.is_empty(),
            None => true,
        };
        Some(member.ok_or(NoList))
    })
}

/// Writes a String item: printable ASCII, quoted; any other character becomes a `?`.
pub fn write_string(text: &str, to: &mut alloc::string::String) {
    to.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => to.extend(['\\', character]),
            ' '..='~' => to.push(character),
            _ => to.push('?'),
        }
    }
    to.push('"');
}

/// What a String item says: its text between the quotes without the escapes.
pub fn unescaped(text: &str) -> impl Iterator<Item = char> {
    let mut escaped = false;
    text.chars().filter(move |character| {
        escaped = *character == '\\' && !escaped;
        !escaped
    })
}

fn is_space(byte: u8) -> bool {
    byte == b' '
}

/// OWS of RFC 9110.
fn is_optional_white_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[derive(Clone, Copy)]
struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip(&mut self, space: fn(u8) -> bool) {
        self.run(space);
    }

    /// The longest start whose bytes all fit; it may be empty.
    fn run(&mut self, fits: impl Fn(u8) -> bool) -> &'a str {
        let end = self.rest.bytes().position(|byte| !fits(byte)).unwrap_or(self.rest.len());
        self.cut(end)
    }

    fn cut(&mut self, at: usize) -> &'a str {
        match self.rest.split_at_checked(at) {
            Some((start, rest)) => {
                self.rest = rest;
                start
            }
            None => "",
        }
    }

    /// A member and the comma behind it, if one follows.
    fn member(&mut self) -> Option<Member<'a>> {
        let start = self.rest;
        let item = if self.take("(") {
            self.inner_list()?;
            None
        } else {
            Some(self.bare()?)
        };
        let parameters = self.parameters()?;
        let text = start.get(..start.len() - self.rest.len())?;
        self.skip(is_optional_white_space);
        if self.take(",") {
            self.skip(is_optional_white_space);
            if self.rest.is_empty() {
                return None; // a comma with nothing behind it
            }
        } else if !self.rest.is_empty() {
            return None;
        }
        Some(Member { text, item, parameters })
    }

    fn inner_list(&mut self) -> Option<()> {
        loop {
            self.skip(is_space);
            if self.take(")") {
                return Some(());
            }
            self.bare()?;
            self.parameters()?;
            if !self.rest.starts_with([' ', ')']) {
                return None;
            }
        }
    }

    fn parameters(&mut self) -> Option<&'a str> {
        let start = self.rest;
        while self.take(";") {
            self.skip(is_space);
            self.parameter()?;
        }
        start.get(..start.len() - self.rest.len())
    }

    fn parameter(&mut self) -> Option<(&'a str, Bare<'a>)> {
        if !self.rest.starts_with(|first: char| first.is_ascii_lowercase() || first == '*') {
            return None;
        }
        let key = self.run(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte)
        });
        let value = if self.take("=") { self.bare()? } else { Bare::Boolean(true) };
        Some((key, value))
    }

    fn bare(&mut self) -> Option<Bare<'a>> {
        match self.rest.bytes().next()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b'*' | b'A'..=b'Z' | b'a'..=b'z' => {
                let token =
                    |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte);
                Some(Bare::Token(self.run(token)))
            }
            b':' => self.bytes(),
            b'?' => {
                let value = self.take("?1");
                (value || self.take("?0")).then_some(Bare::Boolean(value))
            }
            b'@' => {
                self.cut(1);
                let Bare::Integer(seconds) = self.number()? else { return None };
                Some(Bare::Date(seconds))
            }
            b'%' => self.display(),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Bare<'a>> {
        let start = self.rest;
        self.take("-");
        let whole = self.run(|byte| byte.is_ascii_digit()).len();
        if whole == 0 || whole > 15 {
            return None;
        }
        if !self.take(".") {
            let text = start.get(..start.len() - self.rest.len())?;
            return text.parse().ok().map(Bare::Integer);
        }
        let fraction = self.run(|byte| byte.is_ascii_digit()).len();
        if whole > 12 || fraction == 0 || fraction > 3 {
            return None;
        }
        start.get(..start.len() - self.rest.len()).map(Bare::Decimal)
    }

    fn string(&mut self) -> Option<Bare<'a>> {
        self.cut(1);
        let start = self.rest;
        loop {
            self.run(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\');
            if self.rest.starts_with('"') {
                let text = start.get(..start.len() - self.rest.len())?;
                self.cut(1);
                return Some(Bare::String(text));
            }
            if !self.take("\\\"") && !self.take("\\\\") {
                return None;
            }
        }
    }

    fn bytes(&mut self) -> Option<Bare<'a>> {
        self.cut(1);
        let text = self.run(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
        let digits = text.trim_end_matches('=');
        let padding = text.len() - digits.len();
        let whole = !digits.contains('=')
            && match digits.len() % 4 {
                0 => padding == 0,
                2 => padding == 0 || padding == 2,
                3 => padding <= 1,
                _ => false,
            };
        (whole && self.take(":")).then_some(Bare::Bytes(text))
    }

    fn display(&mut self) -> Option<Bare<'a>> {
        self.cut(1);
        if !self.take("\"") {
            return None;
        }
        let text = self.run(|byte| matches!(byte, b' '..=b'~') && byte != b'"');
        (self.take("\"") && is_percent_encoded(text)).then_some(Bare::Display(text))
    }
}

/// Two lower-case digits behind each `%`, and UTF-8 when decoded.
fn is_percent_encoded(text: &str) -> bool {
    let mut bytes = text.bytes();
    let mut decoded = alloc::vec::Vec::new();
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        match (bytes.next().and_then(digit), bytes.next().and_then(digit)) {
            (Some(high), Some(low)) => decoded.push(high * 16 + low),
            _ => return false,
        }
    }
    core::str::from_utf8(&decoded).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;
    use std::format;

    fn list(text: &str) -> Option<Vec<Member<'_>>> {
        members(text).collect::<Result<_, _>>().ok()
    }

    fn accepted_by_sfv(text: &str) -> bool {
        sfv::Parser::new(text).with_version(sfv::Version::Rfc9651).parse::<sfv::List>().is_ok()
    }

    /// RFC 9651: each rule of sections 3 and 4.2 with its edge on both sides.
    #[rustfmt::skip]
    const EDGES: &[(&str, bool)] = &[
        // Lists.
        ("", true), ("   ", true), ("a", true), ("  a  ", true), ("a,b", true), ("a \t,\t b", true), ("a, b, a", true),
        ("a,", false), ("a,  ", false), (",a", false), ("a,,b", false), ("a b", false), ("\ta", false), ("a\t", true), ("a\tb", false), ("a;b ,c", true),
        // Parameters.
        ("a;b", true), ("a;b=1;c=?0", true), ("a; b=1", true), ("a ;b", false), ("a;B=1", false), ("a;b=", false), ("a;", false), ("a;b =1", false), ("a;b= 1", false),
        ("a;*b=1", true), ("a;b*.-_9=1", true), ("a;1=1", false), ("a;\tb", false),
        // Integers and decimals.
        ("0", true), ("-0", true), ("00", true), ("999999999999999", true), ("-999999999999999", true), ("9999999999999999", false), ("-", false), ("--1", false), ("+1", false),
        ("1.5", true), ("1.123", true), ("1.1234", false), ("1.", false), (".1", false), ("123456789012.1", true), ("1234567890123.1", false), ("1.1.1", false), ("1e5", false),
        // Strings.
        (r#""""#, true), (r#""a b""#, true), (r#""a\"b\\""#, true), (r#""a\b""#, false), (r#""a"#, false), (r#""a\"#, false), ("\"é\"", false), ("\"\u{7f}\"", false), ("\"\t\"", false), (r#""a","b""#, true), (r#""a,b""#, true), (r#""a"b"#, false),
        // Tokens.
        ("*", true), ("a:/b", true), ("A!#$%&'*+-.^_`|~9", true), ("a(b", false), ("a=b", false), ("é", false), ("a@b", false),
        // Byte sequences.
        ("::", true), (":aGVsbG8=:", true), (":aGVsbG8:", true), (":a:", false), (":a", false), (":a=b=:", false), (":aGVs bG8=:", false), (":-_:", false),
        // Booleans.
        ("?1", true), ("?0", true), ("?", false), ("?2", false), ("?10", false),
        // Dates.
        ("@0", true), ("@-1659578233", true), ("@1.5", false), ("@", false), ("@a", false),
        // Display strings.
        (r#"%"This is intended for display to %c3%bcsers.""#, true), (r#"%"%C3%BC""#, false), (r#"%"%c3""#, false), (r#"%"%c""#, false), (r#"%"a"#, false), ("%a", false), ("%\"é\"", false),
        // Inner lists.
        ("()", true), ("(a)", true), ("( a  b )", true), ("(a;b=1 c);d", true), ("(a,b)", false), ("(a", false), ("(\"a\"\"b\")", false), ("((a))", false), ("(a)b", false), ("(a\tb)", false),
    ];

    #[test]
    fn each_rule_holds_at_its_edges() {
        for (text, valid) in EDGES {
            assert_eq!(list(text).is_some(), *valid, "{text:?}");
        }
    }

    #[test]
    fn another_implementation_agrees_on_the_edges() {
        for (text, valid) in EDGES {
            assert_eq!(accepted_by_sfv(text), *valid, "{text:?}");
        }
    }

    /// Pieces of the grammar put together at random, by a generator with a fixed seed.
    #[test]
    fn another_implementation_agrees_on_what_is_put_together_from_pieces() {
        #[rustfmt::skip]
        let pieces = ["a", "\"", "b c", "\\", ";", "=", ",", " ", "\t", "1", ".", "-", "?1", "?", ":", "aa", "(", ")", "*", "@", "%", "%\"", "c3", "é", "\u{0}", "gate", "_", "\"x\""];
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap() % below
        };
        let mut valid = 0;
        for _ in 0..200_000 {
            let length = 1 + random(8);
            let text: String = (0..length).map(|_| pieces[random(pieces.len())]).collect();
            assert_eq!(list(&text).is_some(), accepted_by_sfv(&text), "{text:?}");
            valid += usize::from(list(&text).is_some());
        }
        assert!(valid > 10_000, "hardly any text was valid: {valid}");
    }

    #[test]
    fn members_keep_their_text_and_their_parameters() {
        let text = r#"  "a;b, \"c"; error=timeout;n=-5 ,	(x y);z, tok;error=one;error="two" "#;
        let list = list(text).unwrap();
        let texts: Vec<&str> = list.iter().map(|member| member.text).collect();
        assert_eq!(
            texts,
            [r#""a;b, \"c"; error=timeout;n=-5"#, "(x y);z", r#"tok;error=one;error="two""#]
        );
        assert_eq!(list[0].item, Some(Bare::String(r#"a;b, \"c"#)));
        assert_eq!(list[0].parameter("error"), Some(Bare::Token("timeout")));
        assert_eq!(list[0].parameter("n"), Some(Bare::Integer(-5)));
        assert_eq!(list[0].parameter("none"), None);
        assert_eq!((list[1].item, list[1].parameter("z")), (None, Some(Bare::Boolean(true))));
        assert_eq!(list[2].parameter("error"), Some(Bare::String("two")));
    }

    #[test]
    fn a_string_is_written_so_that_it_reads_back() {
        for text in ["", "a.b", "a\"b\\c", "back\\\\slash\""] {
            let mut written = String::new();
            write_string(text, &mut written);
            let members = list(&written).unwrap();
            let Some(Bare::String(read)) = members[0].item else { panic!("{written}") };
            assert_eq!(unescaped(read).collect::<String>(), text);
        }
        let mut written = String::new();
        write_string("né\n", &mut written);
        assert_eq!(written, r#""n??""#);
    }

    #[test]
    fn ten_thousand_members_are_read_in_order() {
        let text = (0..10_000).map(|n| format!("m{n}")).collect::<Vec<_>>().join(", ");
        assert_eq!(members(&text).filter(Result::is_ok).count(), 10_000);
    }
}
