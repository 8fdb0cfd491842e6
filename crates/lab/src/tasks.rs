//! Tasks of a server's: when one of them panics it is noted, which tokio would keep to itself.

use std::sync::{Arc, Mutex};

use crate::{Error, Result, lock};

/// Starts tasks and notes their panics; its clones share what they note.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks {
    panics: Arc<Mutex<Vec<String>>>,
}

impl Tasks {
    /// Whether no task has panicked; `doing` is what they are for.
    ///
    /// # Errors
    /// When one has.
    pub(crate) fn check(&self, doing: &str) -> Result<()> {
        match lock(&self.panics).as_slice() {
            [] => Ok(()),
            panics => Err(Error::new(doing, panics.join("; "))),
        }
    }
}

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        let task = tokio::spawn(async move { drop(task.await) });
        let panics = Arc::clone(&self.panics);
        tokio::spawn(async move {
            if let Err(error) = task.await
                && error.is_panic()
            {
                lock(&panics).push(error.to_string());
            }
        });
    }
}
