//! A YAML document as JSON, with the line that every key stands on. JSON is YAML too.

use std::collections::HashMap;

use saphyr::{LoadableYamlNode as _, MarkedYaml, Scalar, YamlData};
use serde_json::{Map, Value};

/// Nesting that no manifest has.
const DEPTH: usize = 64;

/// One document of a file.
#[derive(Debug)]
pub struct Document {
    /// What it says.
    pub value: Value,
    /// The line of each place, counted from 1, by its path: keys between dots, list positions in brackets.
    lines: HashMap<String, usize>,
}

impl Document {
    /// All documents of a text. The error is a sentence with the line in it.
    pub fn all(text: &str) -> Result<Vec<Self>, String> {
        let nodes = MarkedYaml::load_from_str(text).map_err(|error| error.to_string())?;
        Ok(nodes.iter().map(Self::of).collect())
    }

    fn of(node: &MarkedYaml<'_>) -> Self {
        let mut lines = HashMap::new();
        lines.insert(String::new(), node.span.start.line());
        let value = value(node, "", &mut lines, DEPTH);
        Self { value, lines }
    }

    /// The line of a place, or of the nearest place around it that is there.
    pub fn line(&self, path: &str) -> usize {
        let mut path = path;
        loop {
            if let Some(line) = self.lines.get(path) {
                return *line;
            }
            let end = path.rfind(['.', '[']).unwrap_or_default();
            path = path.get(..end).unwrap_or_default();
        }
    }
}

fn value(
    node: &MarkedYaml<'_>,
    path: &str,
    lines: &mut HashMap<String, usize>,
    depth: usize,
) -> Value {
    let Some(depth) = depth.checked_sub(1) else { return Value::Null };
    match &node.data {
        YamlData::Value(scalar) => match scalar {
            Scalar::Null => Value::Null,
            Scalar::Boolean(boolean) => (*boolean).into(),
            Scalar::Integer(number) => (*number).into(),
            Scalar::FloatingPoint(number) => Value::from(number.into_inner()),
            Scalar::String(text) => text.as_ref().into(),
        },
        YamlData::Representation(text, ..) => text.as_ref().into(),
        YamlData::Sequence(list) => {
            let mut values = Vec::new();
            for (index, entry) in list.iter().enumerate() {
                let path = format!("{path}[{index}]");
                lines.insert(path.clone(), entry.span.start.line());
                values.push(value(entry, &path, lines, depth));
            }
            values.into()
        }
        YamlData::Mapping(mapping) => {
            let mut object = Map::new();
            for (key, entry) in mapping {
                let name = value(key, "", &mut HashMap::new(), depth);
                let name = name.as_str().map_or_else(|| name.to_string(), str::to_owned);
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                lines.insert(path.clone(), key.span.start.line());
                object.insert(name, value(entry, &path, lines, depth));
            }
            object.into()
        }
        YamlData::Tagged(_, inner) => value(inner, path, lines, depth),
        YamlData::Alias(_) | YamlData::BadValue => Value::Null,
    }
}
