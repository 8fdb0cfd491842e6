//! What differs between the versions of Envoy: how a scenario or a test says so, and the document of all that is said.

use std::fmt::Write as _;

use crate::envoy::{Envoy, SUPPORTED};
use crate::{mount, zoo};

/// What Envoy has had from a version on.
#[derive(Clone, Copy, Debug)]
pub struct Since {
    /// The first version that has it, such as `1.38`.
    pub version: &'static str,
    /// What it is.
    pub what: &'static str,
}

/// What Envoy has had from a version on.
pub(crate) const fn since(version: &'static str, what: &'static str) -> Since {
    Since { version, what }
}

/// Other records of older Envoys, which are on file as `NAME@VERSION.json`.
#[derive(Clone, Copy, Debug)]
pub struct Before {
    /// The first version that comes to the usual records.
    pub version: &'static str,
    /// The causes of the older Envoys' records, in order.
    pub causes: &'static [&'static str],
    /// What the older Envoys do.
    pub what: &'static str,
}

impl Before {
    pub(crate) fn file(&self, name: &str) -> String {
        format!("{name}@{}", self.version)
    }
}

/// What older Envoys do wherever no filter chain matches.
pub(crate) const NO_DIRECTION: &str = "a connection without a filter chain has no direction";

/// A test that is no scenario, and cannot be made of every supported Envoy.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    /// A sentence, which is also its name.
    pub name: &'static str,
    /// What Envoy must have for it.
    pub since: Since,
}

impl Test {
    /// Whether it can be made on this version.
    #[must_use]
    pub fn is_for(&self, envoy: &Envoy) -> bool {
        envoy.is_since(self.since.version)
    }
}

/// The access logger for OpenTelemetry as `docs/access-log.md` shows it.
pub const OTLP_OVER_HTTP: Test = Test {
    name: "envoys_opentelemetry_access_log_has_the_verdict_over_http",
    since: since("1.37", "OTLP over HTTP (`http_service`) in the access logger for OpenTelemetry"),
};

/// All such tests.
const TESTS: [Test; 1] = [OTLP_OVER_HTTP];

const HEAD: &str = "\
# Versions of Envoy

<!-- Written by `cargo xtask docs` from the scenarios; do not edit. -->

The same module runs on every version below. `cargo xtask e2e --envoy all` runs all end-to-end tests on each, and
says how many rows of the tables each version has shown to be true; continuous integration runs them on the last
one, and on the others those of one hop, of the shipped mount, of the header and of the configuration.

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
    let scenarios = zoo::scenarios().filter_map(|it| Some((it.since?, it.name)));
    for (since, name) in scenarios.chain(TESTS.map(|test| (test.since, test.name))) {
        let _ = writeln!(document, "| {} | {} | `{name}` |", since.version, since.what);
    }
    document += OTHER;
    let of_zoo =
        zoo::scenarios().flat_map(|it| it.before_versions().map(|before| (before, it.name)));
    let of_mount =
        mount::FAILURES.iter().flat_map(|it| it.before_versions().map(|before| (before, it.name)));
    for (before, name) in of_zoo.chain(of_mount) {
        let mut causes = before.causes.to_vec();
        causes.dedup();
        let causes: Vec<_> = causes.iter().map(|cause| format!("`{cause}`")).collect();
        let causes = if causes.is_empty() { "no failure".to_owned() } else { causes.join(", ") };
        let (version, what) = (before.version, before.what);
        let _ = writeln!(document, "| {version} | {what} | `{name}` | {causes} |");
    }
    document
}
