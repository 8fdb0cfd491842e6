//! `cargo xtask e2e`: the end-to-end tests on several versions of Envoy, one after the other.

use std::env;
use std::fs;
use std::process::Command;

use failgate_lab::envoy::{self, DEFAULT_VERSION, SUPPORTED};
use failgate_lab::{Error, Result, workspace};
use serde_json::Value;

use crate::progress;
use crate::table;

/// What the command line asks for.
#[derive(Default)]
struct Options<'a> {
    versions: Vec<&'a str>,
    smoke: bool,
    filter: Option<&'a str>,
}

impl<'a> Options<'a> {
    fn parse(words: &[&'a str]) -> Result<Self> {
        let wrong = |word: &str| Error::new("reading the options of e2e", format!("{word:?}"));
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--smoke" => options.smoke = true,
                "--envoy" => match words.next() {
                    Some(&"all") => options.versions.extend(SUPPORTED),
                    Some(&"older") => {
                        let older = SUPPORTED.into_iter().filter(|it| *it != DEFAULT_VERSION);
                        options.versions.extend(older);
                    }
                    Some(version) if !version.starts_with('-') => options.versions.push(version),
                    Some(_) | None => return Err(wrong("--envoy without a version")),
                },
                word if word.starts_with('-') || options.filter.is_some() => {
                    return Err(wrong(word));
                }
                word => options.filter = Some(word),
            }
        }
        if options.versions.is_empty() {
            options.versions.push(DEFAULT_VERSION);
        }
        Ok(options)
    }
}

/// Runs the tests and prints what each version has proved. Whether all of them passed on all versions.
pub fn run(words: &[&str]) -> Result<bool> {
    let options = Options::parse(words)?;
    let mut rows = Vec::new();
    let mut all_passed = true;
    for version in &options.versions {
        let (passed, proof) = test(version, &options)?;
        all_passed &= passed;
        let number = |key: &str| proof.get(key).map_or_else(|| "?".to_owned(), Value::to_string);
        let shown = proof.get("rows").and_then(Value::as_array).map_or(0, Vec::len);
        rows.push([
            (*version).to_owned(),
            number("passed"),
            number("failed"),
            number("not_on_this_version"),
            format!("{shown} of {}", number("of")),
        ]);
    }
    table::print(["Envoy", "passed", "failed", "not on this version", "rows shown"], &rows);
    Ok(all_passed)
}

/// Whether the tests passed on that version, and what they have proved; null when they did not get to say.
fn test(version: &str, options: &Options<'_>) -> Result<(bool, Value)> {
    let envoy = envoy::find_version(version, &progress)?;
    let folder = workspace().join("target/e2e");
    let doing = || format!("testing on Envoy {version}");
    fs::create_dir_all(&folder).map_err(|error| Error::new(doing(), error))?;
    let proof = folder.join(format!("{version}.json"));
    // What is there is of another run.
    let _ = fs::remove_file(&proof);
    progress(&format!("Envoy {version}…"));
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(workspace()).args(["test", "--test", "e2e", "--"]).args(options.filter);
    // What cargo has told this program of itself would make build scripts run again, and half of the tests be built.
    for (name, _) in env::vars_os() {
        let is_own = name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_"));
        if is_own || name == "CARGO_MANIFEST_DIR" {
            command.env_remove(name);
        }
    }
    command.env("ENVOY_BIN", &envoy.path).env("FAILGATE_PROOF", &proof);
    if options.smoke {
        command.env("FAILGATE_E2E", "smoke");
    }
    let status = command.status().map_err(|error| Error::new(doing(), error))?;
    let said = fs::read_to_string(&proof).ok().and_then(|text| serde_json::from_str(&text).ok());
    Ok((status.success(), said.unwrap_or_default()))
}
