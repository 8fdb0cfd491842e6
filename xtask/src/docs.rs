//! `cargo xtask docs`: the documents that are written from the tables.

use failgate_cli::causes;
use failgate_lab::zoo::versions;
use failgate_lab::{Error, Result, records, workspace};

/// Writes `docs/causes.md` and `docs/versions.md`.
pub fn write() -> Result<()> {
    for (path, document) in [
        ("docs/causes.md", causes::document(&records::corpus(records::WORLDS)?)),
        ("docs/versions.md", versions::document()),
    ] {
        std::fs::write(workspace().join(path), document)
            .map_err(|error| Error::new(format!("writing {path}"), error))?;
        println!("{path}");
    }
    Ok(())
}
