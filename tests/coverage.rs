//! Every row of the judge's tables was seen to be true in a real Envoy, or says why it was not.
//!
//! What was seen is on file: the records below `crates/lab/records/`, each compared whole with what a real
//! Envoy led to. Rows that are in none of them are listed in `unprovoked.json` beside them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects"
)]

#[path = "e2e/rows.rs"]
mod rows;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use failgate_lab::records;
use serde::Deserialize;
use serde_json::Value;

use rows::{Rows, all, gather};

/// The rows that no record shows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unprovoked {
    /// Rows that this lab cannot make Envoy produce, and why.
    cannot_be_provoked: BTreeMap<String, String>,
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn seen() -> Rows {
    let mut rows = Rows::new();
    for world in fs::read_dir(records::folder()).unwrap() {
        let world = world.unwrap().path();
        if world.is_dir() {
            for file in fs::read_dir(world).unwrap() {
                gather(&read(&file.unwrap().path()), &mut rows);
            }
        }
    }
    rows
}

#[test]
fn every_row_was_seen_in_a_real_envoy_or_says_why_not() {
    let unprovoked = read(&records::folder().join("unprovoked.json"));
    let unprovoked: Unprovoked = serde_json::from_value(unprovoked).unwrap();
    let (all, seen) = (all(), seen());
    println!(
        "{} of {} rows seen; {} cannot be provoked",
        seen.len(),
        all.len(),
        unprovoked.cannot_be_provoked.len()
    );

    for (row, reason) in &unprovoked.cannot_be_provoked {
        assert!(reason.split(' ').count() > 3, "{row}: the reason is {reason:?}");
    }
    let listed: Rows = unprovoked.cannot_be_provoked.into_keys().collect();
    let unknown: Rows = listed.difference(&all).cloned().collect();
    assert!(unknown.is_empty(), "listed, and in no table: {unknown:#?}");
    let needless: Rows = listed.intersection(&seen).cloned().collect();
    assert!(needless.is_empty(), "listed, and seen all the same: {needless:#?}");
    let missing: Rows =
        all.difference(&seen).filter(|row| !listed.contains(*row)).cloned().collect();
    assert!(missing.is_empty(), "neither seen nor listed: {missing:#?}");
}
