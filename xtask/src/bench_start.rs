//! `cargo xtask bench start`: what the module costs a proxy that starts, by the number of its workers.

use failgate_lab::hop::{Extras, Hop, Mount};
use failgate_lab::{Result, envoy, module};

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
            cpu.push(hop.proxy.cpu_time()?);
            memory.push(hop.proxy.resident_kilobytes()?);
            series.0 = our_series(&hop)?;
            hop.send("failure", "/denied")?;
            hop.record("failure")?;
            series.1 = our_series(&hop)?;
        }
        let (cpu, memory) = (median(cpu).as_millis(), median(memory) / 1000);
        println!("{workers:7}  {cpu:12} ms  {memory:3} MB  {:10}  {:17}", series.0, series.1);
    }
    Ok(())
}

fn our_series(hop: &Hop) -> Result<usize> {
    let page = hop.proxy.admin("/stats/prometheus")?;
    Ok(page.lines().filter(|line| line.starts_with("failgate_")).count())
}

fn median<T: Copy + Default + Ord>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}
