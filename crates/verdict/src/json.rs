//! JSON: a text as a value, with the place of what is wrong in it, and how a text is quoted.
//!
//! `serde_json` would do both, and was an eighth of the module.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use hifijson::num::LexWrite as _;
use hifijson::str::LexAlloc as _;
use hifijson::token::Lex as _;
use hifijson::{Error, Expect, SliceLexer};

use crate::text::whole;

/// A JSON value.
#[derive(Debug)]
pub(crate) enum Value<'a> {
    Null,
    Boolean(bool),
    /// A number as it stands in the text.
    Number(&'a str),
    Text(Cow<'a, str>),
    List(Vec<Self>),
    /// Keys and values as they stand in the text; a key that stands twice is there twice.
    Object(Vec<(Cow<'a, str>, Self)>),
}

/// Lists and objects may be nested so deep.
const DEPTH: usize = 32;

/// Reads a text that is one value. The error says what is wrong, and where.
pub(crate) fn parse(json: &[u8]) -> Result<Value<'_>, String> {
    let mut lexer = SliceLexer::new(json);
    let value = lexer.exactly_one(SliceLexer::ws_peek, |next, lexer| value(DEPTH, next, lexer));
    value.map_err(|error| {
        let reason = match error {
            Error::Depth => "nested too deep",
            Error::Num(_) => "a digit is missing",
            Error::Str(_) => "not a valid string",
            Error::Token(Expect::Value | Expect::ValueOrEnd) => "a value is missing",
            Error::Token(Expect::CommaOrEnd) => "a comma or an end is missing",
            Error::Token(Expect::String) => "a key is missing",
            Error::Token(Expect::Colon) => "a colon is missing",
            Error::Token(Expect::Eof) => "there is more behind it",
        };
        let read = json.len().saturating_sub(lexer.as_slice().len());
        let read = json.get(..read).unwrap_or(json);
        let line = read.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = read.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        format!("{reason} at line {line} column {column}")
    })
}

fn value<'a>(depth: usize, next: u8, lexer: &mut SliceLexer<'a>) -> Result<Value<'a>, Error> {
    let depth = depth.checked_sub(1).ok_or(Error::Depth)?;
    match next {
        b'"' => Ok(Value::Text(lexer.discarded().str_string()?)),
        b'[' => {
            let mut list = Vec::new();
            lexer.discarded().seq(b']', SliceLexer::ws_peek, |next, lexer| {
                list.push(value(depth, next, lexer)?);
                Ok::<_, Error>(())
            })?;
            Ok(Value::List(list))
        }
        b'{' => {
            let mut object = Vec::new();
            lexer.discarded().seq(b'}', SliceLexer::ws_peek, |next, lexer| {
                lexer.expect(|_| Some(next), b'"').ok_or(Expect::String)?;
                let key = lexer.str_string()?;
                lexer.expect(SliceLexer::ws_peek, b':').ok_or(Expect::Colon)?;
                let next = lexer.ws_peek().ok_or(Expect::Value)?;
                object.push((key, value(depth, next, lexer)?));
                Ok::<_, Error>(())
            })?;
            Ok(Value::Object(object))
        }
        b'-' | b'0'..=b'9' => {
            let (digits, _) = lexer.num_bytes().validated()?;
            // They are digits, signs, points and exponents: nothing but ASCII.
            Ok(Value::Number(core::str::from_utf8(digits).unwrap_or_default()))
        }
        _ => match lexer.null_or_bool() {
            Some(None) => Ok(Value::Null),
            Some(Some(value)) => Ok(Value::Boolean(value)),
            None => Err(Expect::Value.into()),
        },
    }
}

impl Value<'_> {
    /// The number, if it is a whole one and not negative.
    pub(crate) fn as_unsigned(&self) -> Option<u64> {
        match self {
            Self::Number(digits) => whole(digits),
            Self::Null | Self::Boolean(_) | Self::Text(_) | Self::List(_) | Self::Object(_) => None,
        }
    }

    /// The text, if it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Boolean(_) | Self::Number(_) | Self::List(_) | Self::Object(_) => {
                None
            }
        }
    }
}

/// Adds a text in quotes: valid JSON whatever is in it, and on one line.
pub(crate) fn quote(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' => {
                let hex = |digit: u32| char::from_digit(digit, 16).unwrap_or('0');
                out.push_str("\\u00");
                out.push(hex(u32::from(character) >> 4));
                out.push(hex(u32::from(character) & 15));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Adds a comma, unless what comes next is the first in its list or object.
pub(crate) fn separate(out: &mut String) {
    if !out.ends_with(['{', '[']) {
        out.push(',');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_text_reads_back_as_it_was() {
        let every: String = (0..0x800).chain(0x2020..0x2030).filter_map(char::from_u32).collect();
        let mut out = String::new();
        quote(&mut out, &every);
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), every);
        assert!(!out.contains(|it: char| it < ' '));
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let json = r#"{"b": [null, true, false, -3, 1.5e3, 7, "a\n\u00e9"], "a": {}, "a": 1}"#;
        let Ok(Value::Object(object)) = parse(json.as_bytes()) else { panic!("no object") };
        let keys: Vec<&str> = object.iter().map(|(key, _)| key.as_ref()).collect();
        assert_eq!(keys, ["b", "a", "a"]);
        let values: Vec<&Value<'_>> = object.iter().map(|(_, value)| value).collect();
        let [Value::List(list), Value::Object(empty), Value::Number("1")] = values[..] else {
            panic!("{values:?}")
        };
        assert!(empty.is_empty());
        assert!(matches!(
            &list[..],
            [
                Value::Null,
                Value::Boolean(true),
                Value::Boolean(false),
                Value::Number("-3"),
                Value::Number("1.5e3"),
                Value::Number("7"),
                Value::Text(text),
            ] if text == "a\né"
        ));
        let numbers: Vec<Option<u64>> = list[3..].iter().map(Value::as_unsigned).collect();
        assert_eq!(numbers, [None, None, Some(7), None]);
    }

    #[test]
    fn a_mistake_is_named_with_its_place() {
        let deep = "[".repeat(40);
        let cases = [
            ("", "a value is missing at line 1 column 1"),
            ("{", "a value is missing at line 1 column 2"),
            ("{\n  \"a\": 1,\n  b\n}", "a key is missing at line 3 column 3"),
            ("{\"a\" 1}", "a colon is missing at line 1 column 6"),
            ("[1 2]", "a comma or an end is missing at line 1 column 4"),
            ("{} x", "there is more behind it at line 1 column 4"),
            ("[01]", "a comma or an end is missing at line 1 column 3"),
            ("-", "a digit is missing at line 1 column 2"),
            ("\"a", "not a valid string at line 1 column 3"),
            ("\"\u{1}\"", "not a valid string at line 1 column 3"),
            (r#"["\ud800"]"#, "not a valid string at line 1 column 9"),
            ("nul", "a value is missing at line 1 column 2"),
            (&deep, "nested too deep at line 1 column 33"),
        ];
        for (json, expected) in cases {
            assert_eq!(parse(json.as_bytes()).unwrap_err(), expected, "{json}");
        }
        assert!(parse(b"\"\xff\"").is_err());
    }

    /// What is JSON and what is not is as `serde_json` has it.
    #[test]
    fn it_reads_what_others_read() {
        let pieces = ["{", "}", "[", "]", ",", ":", "\"a\"", "1", "-0.5", "null", "true", " ", "0"];
        let mut seed = 1_u64;
        let mut accepted = 0;
        for _ in 0..200_000 {
            let mut text = String::new();
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let mut choice = seed >> 20;
            for _ in 0..seed >> 61 {
                text.push_str(pieces[usize::try_from(choice % 13).unwrap()]);
                choice /= 13;
            }
            let is_read = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            assert_eq!(parse(text.as_bytes()).is_ok(), is_read, "{text}");
            accepted += usize::from(is_read);
        }
        assert!(accepted > 10_000, "{accepted}");
    }
}
