//! What differs between the versions of Envoy, as a document.

use std::fmt::Write as _;

use super::scenarios;
use crate::envoy::SUPPORTED;

const HEAD: &str = "\
# Versions of Envoy

<!-- Written by `cargo xtask docs` from the scenarios; do not edit. -->

The same module runs on every version below. `cargo xtask e2e --envoy all` runs all end-to-end tests on each, and
says how many rows of the tables each version has shown to be true; continuous integration runs them on the last
one, and on the others those of one hop, of the header and of the configuration.

";

const MISSING: &str = "
## What older versions do not have

Where the version is older, the test is reported as not for it.

| since | what | shown by |
|---|---|---|
";

const OTHER: &str = "
## What older versions do otherwise

The verdict takes what there is to tell: where an older Envoy says less, so does the record.

| before | what | shown by | the cause there |
|---|---|---|---|
";

/// The document.
#[must_use]
pub fn document() -> String {
    let mut document = HEAD.to_owned();
    for version in SUPPORTED {
        // Writing to a String cannot fail.
        let _ = writeln!(document, "- {version}");
    }
    document += MISSING;
    for scenario in scenarios() {
        if let Some(since) = scenario.since {
            let _ =
                writeln!(document, "| {} | {} | `{}` |", since.version, since.what, scenario.name);
        }
    }
    document += OTHER;
    for scenario in scenarios() {
        for before in scenario.before_versions() {
            let mut causes = before.causes.to_vec();
            causes.dedup();
            let causes: Vec<_> = causes.iter().map(|cause| format!("`{cause}`")).collect();
            let causes =
                if causes.is_empty() { "no failure".to_owned() } else { causes.join(", ") };
            let (version, what, name) = (before.version, before.what, scenario.name);
            let _ = writeln!(document, "| {version} | {what} | `{name}` | {causes} |");
        }
    }
    document
}
