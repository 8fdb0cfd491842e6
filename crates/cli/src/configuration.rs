//! The settings for people and for editors: the table of `docs/configuration.md` and a JSON Schema, both written
//! from the rows that the filter reads by.

use std::fmt::Write as _;

use failgate_verdict::cause::Cause;
use failgate_verdict::settings::{Kind, SETTINGS, Setting, Settings, duration};
use serde_json::{Map, Value, json};

/// The rows of the table: key, type, default and meaning.
#[must_use]
pub fn table() -> String {
    let mut rows = String::new();
    for setting in SETTINGS {
        let kind = match &setting.kind {
            Kind::Boolean(_) => "true or false".to_owned(),
            Kind::Integer(least, most, _) => format!("whole number, {least} to {most}"),
            Kind::Choice(words, _) => format!("one of {}", words.join(", ")),
            Kind::Words(words, _) => format!("list of {}", words.join(", ")),
            Kind::Duration(least, most, _) => {
                format!("duration, `\"{}\"` to `\"{}\"`", duration(*least), duration(*most))
            }
            Kind::Text(form, _) => form.expected.to_owned(),
            Kind::Causes(_) => "list of causes".to_owned(),
            Kind::GrpcStatuses(_) => "list of gRPC statuses, 1 to 16".to_owned(),
        };
        // Writing to a string does not fail.
        let (path, default) = (setting.path, default(setting));
        _ = writeln!(rows, "| `{path}` | {kind} | `{default}` | {} |", setting.says);
    }
    rows
}

/// The JSON Schema of a configuration, draft 2020-12.
#[must_use]
pub fn schema() -> Value {
    let mut groups = Map::new();
    for setting in SETTINGS {
        let (group, key) = setting.path.split_once('.').unwrap_or(("", setting.path));
        let mut value = kind(&setting.kind);
        if let Value::Object(members) = &mut value {
            members.insert("default".to_owned(), default(setting));
            members.insert("description".to_owned(), setting.says.into());
        }
        if group.is_empty() {
            groups.insert(key.to_owned(), value);
        } else {
            let entry = groups.entry(group).or_insert_with(
                || json!({ "type": "object", "additionalProperties": false, "properties": {} }),
            );
            if let Some(properties) = entry.get_mut("properties").and_then(Value::as_object_mut) {
                properties.insert(key.to_owned(), value);
            }
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "failgate configuration, version 1",
        "description": "The pluginConfig of a WasmPlugin. All of it is optional.",
        "type": ["object", "null"],
        "additionalProperties": false,
        "properties": groups,
    })
}

fn kind(kind: &Kind) -> Value {
    match kind {
        Kind::Boolean(_) => json!({ "type": "boolean" }),
        Kind::Integer(least, most, _) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Kind::Choice(words, _) => json!({ "enum": words }),
        Kind::Words(words, _) => json!({ "type": "array", "items": { "enum": words } }),
        // A pattern cannot bound a number of more than one unit: the description does.
        Kind::Duration(least, most, _) => json!({
            "type": "string",
            "pattern": "^[0-9]+(ms|s|m)$",
            "$comment": format!("{} to {}", duration(*least), duration(*most)),
        }),
        Kind::Text(form, _) => json!({ "type": "string", "pattern": form.pattern }),
        Kind::Causes(_) => {
            let names: Vec<&str> = Cause::all().map(Cause::name).collect();
            json!({ "type": "array", "items": { "enum": names } })
        }
        Kind::GrpcStatuses(_) => {
            json!({ "type": "array", "items": { "type": "integer", "minimum": 1, "maximum": 16 } })
        }
    }
}

fn default(setting: &Setting) -> Value {
    let mut defaults = Settings::default();
    match &setting.kind {
        Kind::Boolean(place) => json!(*place(&mut defaults)),
        Kind::Integer(_, _, place) => json!(*place(&mut defaults)),
        Kind::Choice(_, place) => json!(*place(&mut defaults)),
        Kind::Words(_, place) => json!(place(&mut defaults)),
        Kind::Duration(_, _, place) => json!(duration(*place(&mut defaults))),
        Kind::Text(_, place) => json!(place(&mut defaults)),
        Kind::Causes(place) => json!(place(&mut defaults)),
        Kind::GrpcStatuses(_) => defaults.criteria().grpc_failures().collect(),
    }
}

/// The schema as a file has it.
///
/// # Errors
/// None: a value of JSON can be written.
pub fn schema_file() -> serde_json::Result<String> {
    serde_json::to_string_pretty(&schema()).map(|text| text + "\n")
}
