//! `cargo xtask bench start`: what the module costs a proxy that starts, by the number of its workers.

use std::fs;

use failgate_lab::hop::{Extras, Hop, Mount};
use failgate_lab::{Error, Result, envoy, module};

use crate::progress;

const WORKERS: [u32; 4] = [1, 4, 16, 32];

/// How often each is started; the middle one counts.
const RUNS: usize = 11;

/// Measures and prints a line for each number of workers.
pub fn run() -> Result<()> {
    let module = module::build(&progress)?;
    let envoy = envoy::find(&progress)?;
    println!("Envoy {}, medians of {RUNS} starts", envoy.version);
    println!("workers  CPU until ready  memory  our series  after one failure");
    for workers in WORKERS {
        let mut extras = Extras::default();
        extras.options.concurrency = workers;
        let (mut cpu, mut memory, mut series) = (Vec::new(), Vec::new(), (0, 0));
        for _ in 0..RUNS {
            let hop = Hop::start_with(&envoy, &module, Mount::Filter, "", &extras)?;
            cpu.push(cpu_milliseconds(hop.proxy.pid())?);
            memory.push(resident_kilobytes(hop.proxy.pid())?);
            series.0 = our_series(&hop)?;
            hop.send("failure", "/denied")?;
            hop.record("failure")?;
            series.1 = our_series(&hop)?;
        }
        let (cpu, memory) = (median(cpu), median(memory) / 1000);
        println!("{workers:7}  {cpu:12} ms  {memory:3} MB  {:10}  {:17}", series.0, series.1);
    }
    Ok(())
}

fn our_series(hop: &Hop) -> Result<usize> {
    let page = hop.proxy.admin("/stats/prometheus")?;
    Ok(page.lines().filter(|line| line.starts_with("failgate_")).count())
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).map_err(|error| Error::new(format!("reading {path}"), error))
}

/// The time that all threads have had a processor, of those that still run.
fn cpu_milliseconds(pid: u32) -> Result<u64> {
    let folder = format!("/proc/{pid}/task");
    let threads = fs::read_dir(&folder).map_err(|error| Error::new(folder.clone(), error))?;
    let mut nanoseconds = 0;
    for thread in threads.flatten() {
        let path = thread.path().join("schedstat");
        let text = read(&path.to_string_lossy())?;
        let first = text.split(' ').next().and_then(|first| first.parse::<u64>().ok());
        nanoseconds += first.ok_or_else(|| Error::new(path.display().to_string(), text))?;
    }
    Ok(nanoseconds / 1_000_000)
}

fn resident_kilobytes(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = read(&path)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    number.ok_or_else(|| Error::new(path, status))
}
