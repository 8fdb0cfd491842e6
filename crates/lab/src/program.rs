//! Programs of this machine: where they are, what they print, and how what is installed takes its place.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Doing as _, Error, Result};

/// The program of that name on PATH.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let executable = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    };
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|folder| folder.join(name)).find(executable)
}

/// The program's stdout; when it fails, an error with its stderr.
pub(crate) fn run(command: &mut Command, what: &str) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().doing(|| what.to_owned())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(what, format!("{}: {}", output.status, said.trim())))
}

/// Moves a folder to its place. What is there without being complete is another version or somebody's leftover;
/// rename needs the name to be free.
pub(crate) fn take_place(fresh: &Path, place: &Path) -> io::Result<()> {
    if place.exists() {
        fs::remove_dir_all(place)?;
    }
    fs::rename(fresh, place)
}
