//! What a run has proved: how many tests passed, and which rows the records of those that did have shown.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use failgate_lab::{Error, Result};
use libtest_mimic::Conclusion;
use serde_json::{Value, json};

use crate::rows::{Rows, all, gather};

/// The rows shown so far.
#[derive(Default)]
pub struct Proof(Mutex<Rows>);

impl Proof {
    /// Takes the records of a scenario that came to what it should.
    pub fn add(&self, records: &Value) {
        gather(records, &mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Writes all of it where `FAILGATE_PROOF` says, if it says so.
    pub fn write(&self, conclusion: &Conclusion) -> Result<()> {
        let Some(path) = env::var_os("FAILGATE_PROOF").map(PathBuf::from) else { return Ok(()) };
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let proof = json!({
            "passed": conclusion.num_passed,
            "failed": conclusion.num_failed,
            "not_on_this_version": conclusion.num_ignored,
            "rows": *rows,
            "of": all().len(),
        });
        fs::write(&path, format!("{proof:#}\n"))
            .map_err(|error| Error::new(format!("writing {}", path.display()), error))
    }
}
