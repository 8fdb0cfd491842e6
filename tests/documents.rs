//! What the documents say is what the code does: paths exist, tables and examples are those of the code.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects"
)]

use std::fs;
use std::path::Path;

use failgate_cli::{causes, configuration};
use failgate_lab::module::MOST_RAW_BYTES;
use failgate_lab::versions;
use failgate_lab::{records, workspace};
use failgate_verdict::cause::Cause;
use failgate_verdict::keys::KEYS;
use failgate_verdict::record::{EXTRA_FIELDS, Record, STRING_BYTES};
use failgate_verdict::settings::Settings;
use failgate_verdict::terms::{DECIDED_BY, DELIVERED, GATES, RESPONDERS, SIDES, Term};
use serde_json::{Value, json};

fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap()
}

/// Whatever a text has between backticks, code blocks left out.
fn quoted(text: &str) -> Vec<String> {
    let prose = text.split("```").step_by(2).collect::<String>();
    prose.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_path_named_in_a_document_exists() {
    for document in ["README.md", "ARCHITECTURE.md"] {
        let quoted = quoted(&read(document));
        let paths = quoted.iter().filter(|word| {
            let path = word.contains('/') || word.ends_with(".md");
            path && !word.contains([' ', '*', '{', '<']) && !word.starts_with("target")
        });
        let paths: Vec<_> = paths.collect();
        assert!(paths.len() > 5, "{document} names hardly any path: {paths:?}");
        for path in paths {
            assert!(workspace().join(path).exists(), "{document} names {path}");
        }
    }
}

#[test]
fn the_documents_are_short() {
    assert!(read("README.md").lines().count() <= 150);
    assert!(read("ARCHITECTURE.md").lines().count() <= 80);
}

/// The record in the README is one that a real Envoy led to, but for what changes from run to run.
#[test]
fn the_record_in_the_readme_is_real() {
    let readme = read("README.md");
    let json = readme.split("```json").nth(1).unwrap().split("```").next().unwrap();
    let mut shown: Value = serde_json::from_str(json).unwrap();
    serde_json::from_value::<Record>(shown.clone()).unwrap();
    let scenario = "a_refused_connection_says_so_until_the_endpoint_is_ejected";
    shown["time"] = json!("TIME");
    shown["duration_ms"] = json!(0);
    shown["upstream_host"] = json!("refused");
    assert_eq!(shown, records::expected("one-hop", scenario).unwrap()[0]);
}

#[test]
fn the_gates_in_the_readme_are_those_of_the_code() {
    let readme = read("README.md");
    let rows = GATES.iter().map(|gate| format!("| `{}` | {} |\n", gate.name, gate.says));
    assert!(readme.contains(&rows.collect::<String>()), "the table of gates differs");
}

#[test]
fn the_settings_are_those_of_the_code() {
    let table = configuration::table();
    assert!(read("docs/configuration.md").contains(&table), "not fresh: cargo xtask docs");
    let schema = configuration::schema_file().unwrap();
    assert!(read("schema/configuration.v1.json") == schema, "not fresh: cargo xtask docs");
    for field in EXTRA_FIELDS {
        assert!(read("docs/configuration.md").contains(&format!("\n| `{field}` | `")), "{field}");
    }
}

/// What the schema accepts, the filter reads without a word, and the other way round.
#[test]
fn the_schema_of_the_configuration_is_what_the_filter_reads() {
    let schema = jsonschema::validator_for(&configuration::schema()).unwrap();
    let good = [
        json!(null),
        json!({}),
        json!({ "log": {}, "otlp": {} }),
        json!({ "log": { "enabled": false, "level": "debug", "maxPerSecond": 10000 } }),
        json!({ "header": { "mode": "off", "name": "x-status" } }),
        json!({ "otlp": { "cluster": "outbound|4318||a.b", "interval": "100ms", "timeout": "1m" } }),
        json!({ "otlp": { "path": "/v1/logs", "authority": "a:1", "maxQueue": 1, "maxBatch": 1000 } }),
        json!({ "fields": ["path", "trace"], "ignore": ["client_reset"], "grpcStatuses": [1, 16] }),
    ];
    let bad = [
        json!([]),
        json!("x"),
        json!({ "logs": {} }),
        json!({ "log": null }),
        json!({ "log": { "enabled": "true" } }),
        json!({ "log": { "level": "WARN" } }),
        json!({ "log": { "maxPerSecond": 0 } }),
        json!({ "log": { "maxPerSecond": 10001 } }),
        json!({ "log": { "maxPerSecond": "7" } }),
        json!({ "header": { "name": "set-cookie" } }),
        json!({ "header": { "name": "x-envoy-a" } }),
        json!({ "header": { "name": "x-" } }),
        json!({ "header": { "name": format!("x-{}", "a".repeat(63)) } }),
        json!({ "otlp": { "cluster": "a b" } }),
        json!({ "otlp": { "cluster": "a".repeat(257) } }),
        json!({ "otlp": { "path": "" } }),
        json!({ "otlp": { "interval": 5 } }),
        json!({ "otlp": { "interval": "5" } }),
        json!({ "otlp": { "interval": "1.5s" } }),
        json!({ "fields": ["cookie"] }),
        json!({ "fields": "path" }),
        json!({ "ignore": ["nothing"] }),
        json!({ "grpcStatuses": [0] }),
        json!({ "grpcStatuses": [17] }),
    ];
    for (expected, values) in [(true, good.as_slice()), (false, bad.as_slice())] {
        for value in values {
            let problems = Settings::parse(value.to_string().as_bytes()).1;
            assert_eq!(schema.is_valid(value), expected, "the schema: {value}");
            assert_eq!(problems.is_empty(), expected, "the filter: {value}: {problems:?}");
        }
    }
}

fn names<T>(terms: &[Term<T>]) -> Value {
    terms.iter().map(|term| term.name).collect()
}

#[test]
fn the_schema_has_the_words_of_the_code() {
    let schema: Value = serde_json::from_str(&read("schema/record.v1.json")).unwrap();
    let properties = &schema["properties"];
    assert_eq!(properties["gate"]["enum"], names(GATES));
    assert_eq!(properties["side"]["enum"], names(SIDES));
    assert_eq!(properties["responder"]["enum"], names(RESPONDERS));
    assert_eq!(properties["delivered"]["enum"], names(DELIVERED));
    assert_eq!(properties["decided_by"]["enum"], names(DECIDED_BY));
    assert_eq!(properties["cause"]["enum"], Cause::all().map(Cause::name).collect::<Value>());
    let mut errors: Vec<&str> = Cause::all().filter_map(|cause| cause.row().error).collect();
    errors.sort_unstable();
    errors.dedup();
    assert_eq!(properties["error"]["enum"], json!(errors));
    assert_eq!(properties["policy"]["maxLength"], json!(STRING_BYTES));
    let flattened =
        properties.as_object().unwrap().iter().flat_map(
            |(name, schema)| match schema["properties"].as_object() {
                Some(inner) => inner.keys().map(|inner| format!("{name}.{inner}")).collect(),
                None => vec![name.clone()],
            },
        );
    let paths: Vec<&str> = KEYS.iter().map(|key| key.path).collect();
    assert_eq!(flattened.collect::<Vec<_>>(), paths);
}

#[test]
fn the_causes_are_those_of_the_tables() {
    let written = causes::document(&records::corpus(records::WORLDS).unwrap());
    assert!(read("docs/causes.md") == written, "docs/causes.md is not fresh: cargo xtask docs");
}

#[test]
fn the_versions_are_those_of_the_scenarios() {
    let written = versions::document();
    assert!(read("docs/versions.md") == written, "docs/versions.md is not fresh: cargo xtask docs");
}

/// A ConfigMap holds the module in base64: four characters for three bytes.
#[test]
fn the_largest_size_of_the_module_is_that_of_the_build() {
    let text = read("docs/access-logger.md").replace('\n', " ");
    let most = MOST_RAW_BYTES / 1024;
    assert!(text.contains(&format!("never more than {most} KiB")), "{most} KiB");
    let most = MOST_RAW_BYTES.div_ceil(3) * 4 / 1024;
    assert!(text.contains(&format!("never more than {most} of the 1 MiB")), "{most} KiB");
}

/// Nothing in the project points at the machine that it was made on.
#[test]
fn no_document_names_a_path_of_a_machine() {
    for document in [
        "README.md",
        "ARCHITECTURE.md",
        "docs/access-log.md",
        "docs/configuration.md",
        "docs/proxy-status.md",
        "docs/report.md",
        "schema/record.v1.json",
    ] {
        let text = read(document);
        for root in ["/root/", "/home/", "/tmp/", "/work/"] {
            assert!(!text.contains(root), "{document} names {root}");
        }
    }
    assert!(Path::new(&workspace()).join("LICENSE").exists());
}
