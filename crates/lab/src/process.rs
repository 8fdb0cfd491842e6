//! A program that does not outlive this process, even when this process is killed and drops nothing.
//!
//! The guard is a shell that waits on a pipe which only this process holds: the pipe ends when this
//! process does, however it does, and the guard then kills the program.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::{Doing as _, Error, Result};

/// A program and its guard.
#[derive(Debug)]
pub(crate) struct Process {
    program: Child,
    guard: Option<Child>,
}

impl Process {
    /// Takes charge of a running program.
    pub(crate) fn guarded(program: Child) -> Result<Self> {
        let mut process = Self { program, guard: None };
        let guard = Command::new("sh")
            .args(["-c", r#"read -r _; kill -KILL "$1""#, "guard"])
            .arg(process.id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match guard {
            Ok(guard) => process.guard = Some(guard),
            Err(reason) => {
                process.end();
                return Err(Error::new("starting a process's guard", reason));
            }
        }
        Ok(process)
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.program.id()
    }

    /// The time that those of its threads which still run have had a processor.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        let folder = format!("/proc/{}/task", self.id());
        let threads = fs::read_dir(&folder).doing(|| format!("reading {folder}"))?;
        let mut nanoseconds = 0;
        for thread in threads.flatten() {
            let path = thread.path().join("schedstat").display().to_string();
            let text = read(&path)?;
            let first = text.split(' ').next().and_then(|first| first.parse::<u64>().ok());
            nanoseconds += first.ok_or_else(|| Error::new(path, text))?;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// How much memory it holds, in kB.
    pub(crate) fn resident_kilobytes(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.id());
        let status = read(&path)?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        number.ok_or_else(|| Error::new(path, status))
    }

    /// How it ended, when it has.
    pub(crate) fn exited(&mut self) -> Option<String> {
        match self.program.try_wait() {
            Ok(status) => status.map(|status| status.to_string()),
            Err(reason) => Some(reason.to_string()),
        }
    }

    /// Kills it and waits until it is gone.
    pub(crate) fn end(&mut self) {
        // The guard first: once the program is reaped, its process id may be somebody else's.
        for child in self.guard.iter_mut().chain([&mut self.program]) {
            // Both fail only for a process that has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
        self.guard = None;
    }
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).doing(|| format!("reading {path}"))
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
