//! Packages of Debian's, unpacked below `target/`.
//!
//! apt downloads into folders of ours, which needs no root; nothing is installed outside of them.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::program::{run, take_place};
use crate::{Doing as _, Error, Result};

/// Unpacks what apt downloads with these arguments into `root`, and has `finish` complete it. `binary` is the
/// program that must be in it; `what` says what is done, for errors.
pub(crate) fn unpack(
    download: &[&str],
    binary: &str,
    root: &Path,
    what: &str,
    finish: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let doing = || what.to_owned();
    let home = root.parent().ok_or_else(|| Error::new(doing(), "it has no folder"))?;
    fs::create_dir_all(home).doing(doing)?;
    let scratch = tempfile::tempdir_in(home).doing(doing)?;
    let (cache, state) = (scratch.path().join("cache"), scratch.path().join("state"));
    let unpacked = scratch.path().join("root");
    for folder in [cache.join("archives/partial"), state.join("lists/partial"), unpacked.clone()] {
        fs::create_dir_all(folder).doing(doing)?;
    }
    let apt = || {
        let mut apt = Command::new("apt-get");
        let setting = |name: &str, path: &Path| format!("{name}={}", path.display());
        for option in [
            setting("Dir::Cache", &cache),
            setting("Dir::State", &state),
            "Dir::State::status=/var/lib/dpkg/status".to_owned(),
            // The folders are ours alone, and nobody else's to write to.
            "Debug::NoLocking=1".to_owned(),
            "APT::Sandbox::User=root".to_owned(),
        ] {
            apt.args(["-o", &option]);
        }
        apt.args(["-qq", "--yes"]);
        apt
    };
    run(apt().arg("update"), what)?;
    let archives = cache.join("archives");
    run(apt().args(download).current_dir(&archives), what)?;
    for entry in fs::read_dir(&archives).doing(doing)?.flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg").arg("-x").arg(entry.path()).arg(&unpacked), what)?;
        }
    }
    if !unpacked.join(binary).is_file() {
        return Err(Error::new(doing(), format!("{binary} is in none of the packages")));
    }
    finish(&unpacked)?;
    take_place(&unpacked, root).doing(doing)
}
