//! Finds a Chromium, and installs Debian's below `target/` when there is none.
//!
//! The headless shell is the same browser without its window.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::module::exclusive;
use crate::program::on_path;
use crate::{Doing as _, Result, debian, workspace};

/// How apt gets the browser and what this machine lacks of its libraries, and a font, so that texts have a width.
const DOWNLOAD: [&str; 7] = [
    "install",
    "--download-only",
    "--reinstall",
    "--no-install-recommends",
    "chromium-headless-shell",
    "fontconfig-config",
    "fonts-dejavu-core",
];

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
    let root = workspace().join("target/chromium/root");
    let _lock = exclusive(&workspace().join("target/chromium.lock"))?;
    if !root.join(BINARY).is_file() {
        install(&root, progress)?;
    }
    let libraries =
        env::join_paths(libraries(&root)?).doing(|| "naming its libraries".to_owned())?;
    let environment = vec![
        ("LD_LIBRARY_PATH", libraries),
        ("FONTCONFIG_FILE", root.join(FONTS).into_os_string()),
    ];
    Ok(Chromium { path: root.join(BINARY), environment })
}

fn install(root: &Path, progress: &dyn Fn(&str)) -> Result<()> {
    let doing = || format!("installing Chromium in {} ({ADVICE})", root.display());
    progress("downloading Chromium and what it needs (about 100 MB)…");
    debian::unpack(&DOWNLOAD, BINARY, root, &doing(), |unpacked| {
        fs::write(unpacked.join(FONTS), fonts(root)).doing(doing)
    })
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
