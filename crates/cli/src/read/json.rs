//! A flat JSON object, read in place: which key stands for which fact, and the value as it was written.
//!
//! An access log is mostly successes, so this is the path that has to be fast: nothing is allocated unless a
//! string has escapes, values that no fact needs are skipped, and the keys of the line before are expected
//! in the same places. The keys are those of `failgate_verdict::field`.

use std::borrow::Cow;

use failgate_verdict::field::FIELDS;

use super::stream::{Fact, Stream};

/// Keys under which others wrap a line: Docker, Fluent Bit, Istio's own log in JSON, Google Cloud.
const WRAPPERS: [&str; 5] = ["log", "message", "msg", "jsonPayload", "textPayload"];

/// Keys that only a log line of a program has.
const LOGS: [&str; 2] = ["level", "severity"];

const UNEXPECTED: &str = "not JSON";

/// What a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// A fact, by its place in [`FIELDS`]; `exact` when the key is ours and not an alias.
    Fact {
        index: usize,
        exact: bool,
    },
    /// The line itself, wrapped.
    Wrapper,
    /// `v`, the first key of a record.
    Version,
    /// A program's log.
    Log,
    Nothing,
}

/// The keys of the last object, in their order.
#[derive(Debug, Default)]
pub struct Keys {
    seen: Vec<(String, Meaning)>,
}

/// More keys than this are looked up every time.
const KEYS: usize = 256;

impl Keys {
    fn meaning(&mut self, at: usize, key: &str) -> Meaning {
        if let Some((seen, meaning)) = self.seen.get(at)
            && seen == key
        {
            return *meaning;
        }
        let meaning = meaning(key);
        if let Some(entry) = self.seen.get_mut(at) {
            *entry = (key.to_owned(), meaning);
        } else if self.seen.len() == at && at < KEYS {
            self.seen.push((key.to_owned(), meaning));
        }
        meaning
    }
}

fn meaning(key: &str) -> Meaning {
    if key == "v" {
        return Meaning::Version;
    }
    let exact = FIELDS.iter().position(|row| same(row.key, key));
    if let Some(index) = exact {
        return Meaning::Fact { index, exact: true };
    }
    if WRAPPERS.contains(&key) {
        return Meaning::Wrapper;
    }
    let alias = FIELDS.iter().position(|row| row.aliases.iter().any(|alias| same(alias, key)));
    match alias {
        Some(index) => Meaning::Fact { index, exact: false },
        None if LOGS.contains(&key) => Meaning::Log,
        None => Meaning::Nothing,
    }
}

/// Are two spellings of a key one? Case, `_`, `-`, `.` and `@` do not matter.
fn same(left: &str, right: &str) -> bool {
    let folded = |text: &'_ str| -> Vec<u8> {
        let letters = text.bytes().filter(u8::is_ascii_alphanumeric);
        letters.map(|byte| byte.to_ascii_lowercase()).collect()
    };
    folded(left) == folded(right)
}

/// What an object came to.
#[derive(Debug, Default)]
pub(super) struct Object<'a> {
    /// The facts of a stream.
    pub stream: Stream<'a>,
    /// Does it begin as a record does?
    pub is_record: bool,
    /// Is it a line of a program's log?
    pub is_log: bool,
    /// The text that it wraps.
    pub wrapped: Option<Cow<'a, str>>,
    /// Facts that were found under their own key, by their place.
    exact: u64,
}

impl<'a> Object<'a> {
    /// Reads an object. What follows it must be set off by a space, as a proxy's thread number is.
    pub fn read(&mut self, text: &'a str, keys: &mut Keys) -> Result<(), &'static str> {
        let mut cursor = Cursor { text, at: 0 };
        cursor.expect(b'{')?;
        if cursor.peek() == Some(b'}') {
            return Ok(());
        }
        for index in 0.. {
            cursor.spaces();
            let (key, escaped) = cursor.string()?;
            let meaning = if escaped { meaning(&unescaped(key)) } else { keys.meaning(index, key) };
            cursor.expect(b':')?;
            cursor.spaces();
            let value = cursor.value()?;
            self.take(meaning, value);
            cursor.spaces();
            match cursor.next() {
                Some(b',') => {}
                Some(b'}') => break,
                _ => return Err(UNEXPECTED),
            }
        }
        match cursor.peek() {
            None | Some(b' ' | b'\t' | b'\r') => Ok(()),
            Some(_) => Err(UNEXPECTED),
        }
    }

    fn take(&mut self, meaning: Meaning, value: Value<'a>) {
        match (meaning, value) {
            (Meaning::Fact { index, exact }, value) => {
                let bit = 1 << index;
                let known = !matches!(self.stream.fact(index), Fact::Unknown);
                if !known || (exact && self.exact & bit == 0) {
                    self.stream.set(index, value.into_fact());
                    self.exact |= if exact { bit } else { 0 };
                }
            }
            (Meaning::Version, Value::Bare("1")) => self.is_record = true,
            (Meaning::Wrapper, Value::Text(text, escaped)) => {
                self.wrapped = Some(text_of(text, escaped));
            }
            (Meaning::Wrapper, Value::Nested(text)) => self.wrapped = Some(Cow::Borrowed(text)),
            (Meaning::Log, _) => self.is_log = true,
            (Meaning::Version | Meaning::Wrapper | Meaning::Nothing, _) => {}
        }
    }
}

/// A value as it stands in the text.
#[derive(Clone, Copy)]
enum Value<'a> {
    /// What is between the quotes, and whether there are escapes in it.
    Text(&'a str, bool),
    /// A number, `true`, `false` or `null`.
    Bare(&'a str),
    /// An object or a list.
    Nested(&'a str),
}

impl<'a> Value<'a> {
    fn into_fact(self) -> Fact<'a> {
        match self {
            Self::Text("" | "-", _) | Self::Bare("null") => Fact::Absent,
            Self::Text(text, escaped) => Fact::Text(text_of(text, escaped)),
            // A list of flags reads as its names between commas.
            Self::Nested(list) if list.starts_with('[') => {
                let names: String = list.chars().filter(|it| !"[]\" ".contains(*it)).collect();
                if names.is_empty() { Fact::Absent } else { Fact::Text(Cow::Owned(names)) }
            }
            Self::Bare(text) => Fact::Text(Cow::Borrowed(text)),
            Self::Nested(_) => Fact::Unknown,
        }
    }
}

fn text_of(text: &str, escaped: bool) -> Cow<'_, str> {
    if escaped { Cow::Owned(unescaped(text)) } else { Cow::Borrowed(text) }
}

/// A string without its escapes; one that is wrongly escaped stays as it is.
fn unescaped(text: &str) -> String {
    serde_json::from_str(&format!("\"{text}\"")).unwrap_or_else(|_| text.to_owned())
}

/// Where the first quote or backslash stands. Strings are short, so eight bytes at a time are faster here than
/// a search that is made for long texts.
fn end(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 0xff;
    // The highest bit of the lowest byte that is zero, and maybe of bytes above it.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
    let is_end = |byte: &u8| matches!(byte, b'"' | b'\\');
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found =
            zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
        if found != 0 {
            return Some(index * 8 + (found.trailing_zeros() / 8) as usize);
        }
    }
    rest.iter().position(is_end).map(|at| words.len() * 8 + at)
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), &'static str> {
        self.spaces();
        if self.next() == Some(byte) { Ok(()) } else { Err(UNEXPECTED) }
    }

    fn value(&mut self) -> Result<Value<'a>, &'static str> {
        match self.peek() {
            Some(b'"') => {
                let (text, escaped) = self.string()?;
                Ok(Value::Text(text, escaped))
            }
            Some(b'{' | b'[') => self.nested().map(Value::Nested),
            _ => self.bare().map(Value::Bare),
        }
    }

    /// What is between the quotes, and whether there are escapes in it.
    fn string(&mut self) -> Result<(&'a str, bool), &'static str> {
        if self.next() != Some(b'"') {
            return Err(UNEXPECTED);
        }
        let (start, mut escaped) = (self.at, false);
        loop {
            let rest = self.text.as_bytes().get(self.at..).ok_or(UNEXPECTED)?;
            let found = end(rest).ok_or("JSON that is cut off")?;
            self.at += found;
            if self.next() == Some(b'"') {
                let text = self.text.get(start..self.at - 1).ok_or(UNEXPECTED)?;
                return Ok((text, escaped));
            }
            (self.at, escaped) = (self.at + 1, true);
        }
    }

    fn bare(&mut self) -> Result<&'a str, &'static str> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9' | b'a'..=b'z' | b'E' | b'.' | b'+' | b'-')) {
            self.at += 1;
        }
        self.text.get(start..self.at).filter(|text| !text.is_empty()).ok_or(UNEXPECTED)
    }

    fn nested(&mut self) -> Result<&'a str, &'static str> {
        let (start, mut depth) = (self.at, 0_u32);
        loop {
            match self.peek().ok_or("JSON that is cut off")? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return self.text.get(start..self.at).ok_or(UNEXPECTED);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_string_is_found_wherever_it_stands() {
        for length in 0..40 {
            for at in 0..length {
                for byte in [b'"', b'\\'] {
                    let mut bytes = vec![b'!'; length];
                    bytes[at] = byte;
                    // What comes after the first does not matter, and a byte beside it in value is none.
                    bytes[length - 1] = if at == length - 1 { byte } else { b'"' };
                    bytes[at.saturating_sub(1)] = if at == 0 { byte } else { b'#' };
                    assert_eq!(end(&bytes), Some(at), "{bytes:?}");
                }
            }
            assert_eq!(end(&vec![0xa2; length]), None);
        }
    }

    #[test]
    fn every_spelling_of_a_key_finds_its_fact() {
        for key in [
            "response_flags",
            "responseFlags",
            "ResponseFlags",
            "RESPONSE-FLAGS",
            "response.flags",
            "flags",
        ] {
            let Meaning::Fact { index, .. } = meaning(key) else { panic!("{key}") };
            assert_eq!(FIELDS[index].key, "response_flags", "{key}");
        }
        assert_eq!(meaning("bytes_sent"), Meaning::Nothing);
    }

    #[test]
    fn no_alias_is_the_key_or_the_alias_of_another_fact() {
        let mut spellings: Vec<&str> = Vec::new();
        for row in FIELDS {
            spellings.extend(std::iter::once(&row.key).chain(row.aliases).copied());
        }
        for (index, spelling) in spellings.iter().enumerate() {
            assert!(
                !spellings[index + 1..].iter().any(|other| same(spelling, other)),
                "{spelling}"
            );
        }
        assert!(FIELDS.len() < 64, "the set of exact keys is a mask of 64 bits");
    }

    #[test]
    fn broken_json_is_an_error_and_nothing_worse() {
        let whole = r#"{"a": {"b": [1, "}"]}, "response_code": 503, "c": "\"\\", "d": null}"#;
        assert!(Object::default().read(whole, &mut Keys::default()).is_ok());
        for end in 0..whole.len() {
            assert!(Object::default().read(&whole[..end], &mut Keys::default()).is_err(), "{end}");
        }
        for text in ["{]", "{\"a\" 1}", "{\"a\":}", "{\"a\":1}x", "{\"\\", "{\"a\":[[[["] {
            assert!(Object::default().read(text, &mut Keys::default()).is_err(), "{text}");
        }
    }
}
