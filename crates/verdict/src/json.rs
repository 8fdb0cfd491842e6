//! A JSON text as a value, with the place of what is wrong in it.
//!
//! `serde_json` would read it too, but its reading alone is a tenth of the module.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;

use hifijson::token::Lex as _;
use hifijson::value::parse_bounded;
use hifijson::{SliceLexer, value};

/// A JSON value. An object has its keys as they stand in the text: one that stands twice is there twice.
pub(crate) type Value<'a> = value::Value<&'a str, Cow<'a, str>>;

/// Lists and objects may be nested so deep.
const DEPTH: usize = 32;

/// Reads a text that is one value. The error says what is wrong, and where.
pub(crate) fn parse(json: &[u8]) -> Result<Value<'_>, String> {
    let mut lexer = SliceLexer::new(json);
    let value =
        lexer.exactly_one(SliceLexer::ws_peek, |next, lexer| parse_bounded(DEPTH, next, lexer));
    value.map_err(|error| {
        let read = json.len().saturating_sub(lexer.as_slice().len());
        let read = json.get(..read).unwrap_or(json);
        let line = read.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = read.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        format!("{error} at line {line} column {column}")
    })
}

/// The number, if it is a whole one and not negative.
pub(crate) fn unsigned(value: &Value<'_>) -> Option<u64> {
    match value {
        Value::Number((digits, _)) => digits.parse().ok(),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

/// The text, if it is one.
pub(crate) fn text<'a>(value: &'a Value<'_>) -> Option<&'a str> {
    match value {
        Value::String(text) => Some(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    #[test]
    fn every_kind_of_value_is_read() {
        let json = r#"{"b":[null,true,-3,1.5,18446744073709551615,"a\n\u00e9"],"a":{}}"#;
        let value = parse(json.as_bytes()).unwrap();
        assert_eq!(value.to_string(), json.replace("\\u00e9", "é"));
    }

    #[test]
    fn a_mistake_is_named_with_its_place() {
        let cases = [
            ("", "value expected at line 1 column 1"),
            ("{\n  \"a\": 1,\n  b\n}", "string expected at line 3 column 3"),
            ("[1 2]", "comma or end of sequence expected at line 1 column 4"),
            ("{} x", "end of file expected at line 1 column 4"),
            ("[01]", "comma or end of sequence expected at line 1 column 3"),
            ("-", "expected digit at line 1 column 2"),
            ("\"a", "unterminated string at line 1 column 3"),
            ("\"\u{1}\"", "invalid string control character at line 1 column 3"),
            (r#"["\ud800"]"#, "expected low surrogate at line 1 column 9"),
            ("nul", "value expected at line 1 column 2"),
        ];
        for (json, expected) in cases {
            assert_eq!(parse(json.as_bytes()).unwrap_err(), expected, "{json}");
        }
    }
}
