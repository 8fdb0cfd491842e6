//! Whole records as they must come out, kept as files: `records/WORLD/SCENARIO.json`. One hop's is a list of
//! records; a mesh's is an object with a list for each side. `SCENARIO@VERSION.json` is what Envoys before that
//! version come to.
//!
//! The files are written from a real Envoy by `cargo xtask record`, read by people, and compared by the
//! end-to-end tests. They are the corpus of what the filter has been seen to say.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::scenario::Outcome;
use crate::{Doing as _, Error, Result, workspace};

/// Where the worlds are, a folder each.
#[must_use]
pub fn folder() -> PathBuf {
    workspace().join("crates/lab/records")
}

/// The file of a scenario.
#[must_use]
pub fn path(world: &str, scenario: &str) -> PathBuf {
    folder().join(world).join(format!("{scenario}.json"))
}

/// The records of the outcomes, in order.
#[must_use]
pub fn of(outcomes: &[Outcome]) -> Vec<Value> {
    outcomes.iter().filter_map(|outcome| outcome.record.clone()).collect()
}

/// What a scenario must come to; a scenario without failures has no file.
///
/// # Errors
/// When the file is not a list in JSON.
pub fn expected(world: &str, scenario: &str) -> Result<Vec<Value>> {
    let doing = || format!("reading {}", path(world, scenario).display());
    let records = on_file(world, scenario)?;
    if records.is_null() { Ok(Vec::new()) } else { serde_json::from_value(records).doing(doing) }
}

/// What is in the file of a scenario, whatever its world keeps there: null when there is no file.
///
/// # Errors
/// When the file is not JSON.
pub fn on_file(world: &str, scenario: &str) -> Result<Value> {
    let path = path(world, scenario);
    if !path.exists() {
        return Ok(Value::Null);
    }
    let doing = || format!("reading {}", path.display());
    serde_json::from_str(&fs::read_to_string(&path).doing(doing)?).doing(doing)
}

/// Every world that records are kept of.
pub const WORLDS: &[&str] = &["one-hop", "mesh", "zoo", "mount"];

/// Every record on file of these worlds, in the order of the files' names, those of older Envoys last.
///
/// # Errors
/// When a file cannot be read, or is not JSON.
pub fn corpus(worlds: &[&str]) -> Result<Vec<Value>> {
    fn collect(value: Value, records: &mut Vec<Value>) {
        match value {
            Value::Object(object) if object.contains_key("cause") => {
                records.push(Value::Object(object))
            }
            Value::Object(object) => {
                object.into_iter().for_each(|(_, value)| collect(value, records))
            }
            Value::Array(list) => list.into_iter().for_each(|value| collect(value, records)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let folder = folder();
    let mut paths = Vec::new();
    for world in worlds {
        let doing = || format!("listing the records of {world}");
        for entry in fs::read_dir(folder.join(world)).doing(doing)? {
            paths.push(entry.doing(doing)?.path());
        }
    }
    // Whoever takes the first record that suits does not want an older Envoy's.
    paths.sort_by_cached_key(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (name.contains('@'), path.clone())
    });
    let mut records = Vec::new();
    for path in paths {
        let doing = || format!("reading {}", path.display());
        collect(
            serde_json::from_str(&fs::read_to_string(&path).doing(doing)?).doing(doing)?,
            &mut records,
        );
    }
    Ok(records)
}

/// Writes down what a scenario came to: a list, or null and lists by their names.
///
/// # Errors
/// When the file cannot be written.
pub fn write(world: &str, scenario: &str, records: &Value) -> Result<()> {
    let path = path(world, scenario);
    let doing = || format!("writing {}", path.display());
    if records.is_null() || records.as_array().is_some_and(Vec::is_empty) {
        return match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).doing(doing),
            Ok(()) | Err(_) => Ok(()),
        };
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).doing(doing)?;
    }
    let json = serde_json::to_string_pretty(records).doing(doing)?;
    fs::write(&path, json + "\n").doing(doing)
}

/// Fails when the records differ from what is expected; the error shows both, line by line.
///
/// # Errors
/// The first difference.
pub fn compare(expected: &Value, records: &Value) -> Result<()> {
    if expected == records {
        return Ok(());
    }
    let pretty = |records: &Value| serde_json::to_string_pretty(records).unwrap_or_default();
    let (expected, records) = (pretty(expected), pretty(records));
    let (old, new): (Vec<_>, Vec<_>) = (expected.lines().collect(), records.lines().collect());
    let mut shown = String::new();
    for line in 0..old.len().max(new.len()) {
        let (old, new) = (old.get(line), new.get(line));
        if old != new {
            shown +=
                &format!("\n  expected {}\n  got      {}", old.unwrap_or(&""), new.unwrap_or(&""));
        }
    }
    Err(Error::new("comparing whole records", format!("they differ{shown}\n{records}")))
}
