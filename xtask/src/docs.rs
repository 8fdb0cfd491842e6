//! `cargo xtask docs`: the documents that are written from the tables.

use failgate_cli::causes;
use failgate_lab::{Error, Result, records, workspace};

/// Writes `docs/causes.md`.
pub fn write() -> Result<()> {
    let path = workspace().join("docs/causes.md");
    let document = causes::document(&records::corpus(records::WORLDS)?);
    std::fs::write(&path, document)
        .map_err(|error| Error::new(path.display().to_string(), error))?;
    println!("{}", path.display());
    Ok(())
}
