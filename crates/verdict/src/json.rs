//! A JSON value, no more of it than a configuration needs.
//!
//! `serde_json` parses; its own `Value` would bring a sorted map and the printing of floating-point
//! numbers into the module, and no setting is one.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    /// A number that is not whole, or that no setting could ever hold.
    Number,
    Text(String),
    List(Vec<Value>),
    /// Keys and values as they stand in the text; a key that stands twice is there twice.
    Object(Vec<(String, Value)>),
}

impl Value {
    /// The number, if it is a whole one and not negative.
    pub(crate) fn as_unsigned(&self) -> Option<u64> {
        match self {
            Self::Integer(number) => u64::try_from(*number).ok(),
            Self::Null
            | Self::Boolean(_)
            | Self::Number
            | Self::Text(_)
            | Self::List(_)
            | Self::Object(_) => None,
        }
    }

    /// The text, if it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null
            | Self::Boolean(_)
            | Self::Integer(_)
            | Self::Number
            | Self::List(_)
            | Self::Object(_) => None,
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Number, Value::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = object.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Object(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn every_kind_of_value_is_read() {
        let json = r#"{"b": [null, true, -3, 1.5, 18446744073709551615, "a\n\u00e9"], "a": {}}"#;
        let list = vec![
            Value::Null,
            Value::Boolean(true),
            Value::Integer(-3),
            Value::Number,
            Value::Number,
            Value::Text("a\né".to_owned()),
        ];
        let expected = Value::Object(vec![
            ("b".to_owned(), Value::List(list)),
            ("a".to_owned(), Value::Object(Vec::new())),
        ]);
        assert_eq!(serde_json::from_str::<Value>(json).unwrap(), expected);
    }
}
