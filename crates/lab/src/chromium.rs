//! Finds a Chromium, and installs Debian's below `target/` when there is none.
//!
//! apt resolves what this machine lacks and downloads it into folders of ours, which needs no root; nothing is
//! installed outside of `target/`. The headless shell is the same browser without its window.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::module::exclusive;
use crate::program::{on_path, run};
use crate::{Doing as _, Error, Result, workspace};

/// What is installed: the browser, and a font, so that texts have a width.
const PACKAGES: [&str; 3] = ["chromium-headless-shell", "fontconfig-config", "fonts-dejavu-core"];

const BINARY: &str = "usr/lib/chromium/chromium-headless-shell";

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

const ADVICE: &str = "to provide a Chromium: set CHROME to one, put `chromium` or `google-chrome` on PATH, or \
                      run on a Debian with apt-get, so that it can be downloaded";

/// A Chromium, and what it needs around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chromium {
    /// The program.
    pub path: PathBuf,
    /// Variables to run it with.
    pub(crate) environment: Vec<(&'static str, OsString)>,
}

/// Finds a Chromium: `CHROME`, one on PATH, else Debian's below `target/`.
///
/// # Errors
/// When there is none and none can be installed; the error says how else to provide one.
pub fn find(progress: &dyn Fn(&str)) -> Result<Chromium> {
    if let Some(path) = env::var_os("CHROME").filter(|path| !path.is_empty()) {
        return Ok(Chromium { path: path.into(), environment: Vec::new() });
    }
    if let Some(path) = NAMES.into_iter().find_map(on_path) {
        return Ok(Chromium { path, environment: Vec::new() });
    }
    let home = workspace().join("target/chromium");
    let root = home.join("root");
    let _lock = exclusive(&workspace().join("target/chromium.lock"))?;
    if !root.join(BINARY).is_file() {
        install(&home, &root, progress)?;
    }
    let libraries =
        env::join_paths(libraries(&root)?).doing(|| "naming its libraries".to_owned())?;
    let environment = vec![
        ("LD_LIBRARY_PATH", libraries),
        ("FONTCONFIG_FILE", root.join(FONTS).into_os_string()),
    ];
    Ok(Chromium { path: root.join(BINARY), environment })
}

fn install(home: &Path, root: &Path, progress: &dyn Fn(&str)) -> Result<()> {
    let doing = || format!("installing Chromium in {} ({ADVICE})", home.display());
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
    progress("downloading Chromium and what it needs (about 100 MB)…");
    run(apt().arg("update"), &doing())?;
    let download = ["install", "--download-only", "--reinstall", "--no-install-recommends"];
    run(apt().args(download).args(PACKAGES), &doing())?;
    for entry in fs::read_dir(cache.join("archives")).doing(doing)?.flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg").arg("-x").arg(entry.path()).arg(&unpacked), &doing())?;
        }
    }
    if !unpacked.join(BINARY).is_file() {
        return Err(Error::new(doing(), "the packages have no browser in them"));
    }
    fs::write(unpacked.join(FONTS), fonts(root)).doing(doing)?;
    // What is there without a browser is somebody's leftover; rename needs the name to be free.
    if root.exists() {
        fs::remove_dir_all(root).doing(doing)?;
    }
    fs::rename(&unpacked, root).doing(doing)
}

const FONTS: &str = "fonts.conf";

fn fonts(root: &Path) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<!DOCTYPE fontconfig SYSTEM \"fonts.dtd\">\n<fontconfig>\n\
         <dir>{0}/usr/share/fonts</dir>\n<cachedir>{0}/cache</cachedir>\n\
         <alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>\n\
         </fontconfig>\n",
        root.display()
    )
}

/// The folders that have shared libraries, but for the browser's own.
fn libraries(root: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    let mut waiting = vec![root.join("usr/lib"), root.join("lib")];
    while let Some(folder) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let entry = entry.doing(|| format!("listing {}", folder.display()))?;
            let path = entry.path();
            if entry.file_type().is_ok_and(|it| it.is_dir()) && !path.ends_with("chromium") {
                waiting.push(path);
            } else if entry.file_name().to_string_lossy().contains(".so")
                && !folders.contains(&folder)
            {
                folders.push(folder.clone());
            }
        }
    }
    folders.sort();
    Ok(folders)
}
