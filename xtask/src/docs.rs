//! `cargo xtask docs`: the documents that are written from the tables.

use failgate_cli::{causes, configuration};
use failgate_lab::{Error, Result, records, versions, workspace};

/// Writes `docs/causes.md` and `docs/versions.md`, the table in `docs/configuration.md`, and the schema of the
/// configuration.
pub fn write() -> Result<()> {
    let schema = configuration::schema_file()
        .map_err(|error| Error::new("writing the schema of the configuration", error))?;
    file("docs/causes.md", |_| Ok(causes::document(&records::corpus(records::WORLDS)?)))?;
    file("docs/versions.md", |_| Ok(versions::document()))?;
    file("schema/configuration.v1.json", |_| Ok(schema))?;
    file("docs/configuration.md", |page| {
        let table = page.split_once("|---|---|---|---|\n").and_then(|(before, rest)| {
            let end = rest.find("\n\n")?;
            Some((before, rest.get(end + 1..)?))
        });
        let Some((before, after)) = table else {
            return Err(Error::new("reading docs/configuration.md", "its table is not there"));
        };
        Ok(format!("{before}|---|---|---|---|\n{}{after}", configuration::table()))
    })
}

/// Writes a file anew, from what it was.
fn file(path: &str, content: impl FnOnce(&str) -> Result<String>) -> Result<()> {
    let path = workspace().join(path);
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    std::fs::write(&path, content(&before)?)
        .map_err(|error| Error::new(path.display().to_string(), error))?;
    println!("{}", path.display());
    Ok(())
}
