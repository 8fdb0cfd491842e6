//! `cargo xtask bench inspect`: how fast a large access log is read, beside jq on the same file and core.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use failgate_lab::{Error, Result, workspace};
use serde_json::json;

use crate::progress;

const LINES: u64 = 1_000_000;

/// One line of so many is a failure.
const FAILURE_IN: u64 = 100;

/// How often each is run; the fastest counts.
const RUNS: usize = 3;

/// How much faster than jq it has to be.
const FACTOR: f64 = 10.0;

/// Measures; true when it is as fast as it has to be.
pub fn inspect() -> Result<bool> {
    progress("building the command line");
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(workspace()).args([
        "build",
        "--release",
        "--locked",
        "--package",
        "failgate-cli",
    ]);
    if !build.status().map_err(|error| Error::new("building", error))?.success() {
        return Err(Error::new("building", "cargo failed"));
    }
    let log = workspace().join("target/bench/access.json");
    progress(&format!("writing {LINES} lines to {}", log.display()));
    let bytes = write(&log).map_err(|error| Error::new(log.display().to_string(), error))?;
    let failgate = workspace().join("target/release/failgate");
    let every = fastest(&failgate, &["inspect", "--format", "json"], &log)?;
    report("failgate inspect --format json", every, bytes);
    let ours = fastest(&failgate, &["inspect", "--format", "json", "--jobs", "1"], &log)?;
    report("failgate inspect --format json --jobs 1", ours, bytes);
    let jq = fastest(&PathBuf::from("jq"), &["-c", "select(.response_flags!=\"-\")"], &log)?;
    report("jq -c 'select(.response_flags!=\"-\")'", jq, bytes);
    let factor = jq.as_secs_f64() / ours.as_secs_f64();
    println!("{factor:.1} times as fast on one core, {FACTOR} wanted");
    Ok(factor >= FACTOR)
}

fn report(name: &str, time: Duration, bytes: u64) {
    let seconds = time.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a speed is not exact")]
    let megabytes = bytes as f64 / 1e6 / seconds;
    println!("{name:40} {seconds:7.2} s  {megabytes:7.0} MB/s");
}

/// With one thread each, both use one core.
fn fastest(program: &Path, arguments: &[&str], log: &Path) -> Result<Duration> {
    let mut fastest = Duration::MAX;
    for _ in 0..RUNS {
        let started = Instant::now();
        let mut command = Command::new(program);
        command.args(arguments).arg(log).stdout(Stdio::null());
        let status =
            command.status().map_err(|error| Error::new(program.display().to_string(), error))?;
        if !status.success() {
            return Err(Error::new(program.display().to_string(), status));
        }
        fastest = fastest.min(started.elapsed());
    }
    Ok(fastest)
}

/// A log in Istio's JSON format; returns its size.
fn write(path: &Path) -> std::io::Result<u64> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut fine = json!({
        "start_time": "2026-01-31T23:59:59.999Z", "route_name": "default", "method": "GET",
        "path": "/productpage?u=normal", "protocol": "HTTP/1.1", "response_code": 200, "response_flags": "-",
        "response_code_details": "via_upstream", "connection_termination_details": null,
        "upstream_transport_failure_reason": null, "bytes_received": 0, "bytes_sent": 4183, "duration": 23,
        "upstream_service_time": "22", "x_forwarded_for": "10.1.2.3",
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
        "request_id": "6c22425c-331c-4da3-b765-26b3e96b4c5a", "authority": "reviews.default:8080",
        "upstream_host": "10.0.3.17:8080", "upstream_cluster": "outbound|8080||reviews.default.svc.cluster.local",
        "upstream_local_address": "10.0.1.2:43210", "downstream_local_address": "10.96.3.4:8080",
        "downstream_remote_address": "10.0.1.2:55555", "requested_server_name": null,
    });
    let success = format!("{fine}\n");
    let reason = "delayed_connect_error:_Connection_refused";
    if let Some(facts) = fine.as_object_mut() {
        let details =
            format!("upstream_reset_before_response_started{{remote_connection_failure|{reason}}}");
        facts.insert("response_code".to_owned(), json!(503));
        facts.insert("response_flags".to_owned(), json!("URX,UF"));
        facts.insert("response_code_details".to_owned(), json!(details));
        facts.insert("upstream_transport_failure_reason".to_owned(), json!(reason));
    }
    let failure = format!("{fine}\n");
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for number in 1..=LINES {
        let line = if number % FAILURE_IN == 0 { &failure } else { &success };
        file.write_all(line.as_bytes())?;
    }
    file.flush()?;
    file.get_ref().metadata().map(|metadata| metadata.len())
}
