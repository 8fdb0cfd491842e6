//! A real Prometheus and its promtool: found on PATH, or Debian's, unpacked below `target/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Ending, Request};
use crate::lines::Lines;
use crate::module::exclusive;
use crate::process::Process;
use crate::program::on_path;
use crate::{Doing as _, Error, PATIENCE, POLL, Result, debian, workspace};

/// The programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools {
    prometheus: PathBuf,
    promtool: PathBuf,
}

/// Finds both on PATH, else unpacks Debian's package.
///
/// # Errors
/// When they are not on PATH and the package cannot be had; the error says how else to provide them.
pub fn find(progress: &dyn Fn(&str)) -> Result<Tools> {
    if let (Some(prometheus), Some(promtool)) = (on_path("prometheus"), on_path("promtool")) {
        return Ok(Tools { prometheus, promtool });
    }
    let home = workspace().join("target/prometheus");
    let _lock = exclusive(&home.join("lock"))?;
    let package = home.join("package");
    let programs = package.join("usr/bin");
    let tools =
        Tools { prometheus: programs.join("prometheus"), promtool: programs.join("promtool") };
    if !tools.prometheus.is_file() || !tools.promtool.is_file() {
        // What it depends on is for its pages and its user only.
        progress("downloading Debian's prometheus (about 19 MB)…");
        let what = format!("unpacking Debian's prometheus in {} ({ADVICE})", home.display());
        debian::unpack(&["download", "prometheus"], "usr/bin/promtool", &package, &what, |_| {
            Ok(())
        })?;
    }
    Ok(tools)
}

const ADVICE: &str = "to provide Prometheus: put `prometheus` and `promtool` on PATH; without them, Debian's \
                      apt-get and dpkg are needed so that its package can be unpacked";

impl Tools {
    /// What `promtool check metrics` finds to improve in a page of metrics, a line each.
    ///
    /// # Errors
    /// When it cannot read the page.
    pub fn lint_metrics(&self, page: &str) -> Result<Vec<String>> {
        let doing = || "having promtool read a page of metrics".to_owned();
        let file = tempfile::NamedTempFile::new().doing(doing)?;
        fs::write(file.path(), page).doing(doing)?;
        let page = fs::File::open(file.path()).doing(doing)?;
        let output = Command::new(&self.promtool).args(["check", "metrics"]).stdin(page).output();
        let output = output.doing(doing)?;
        let said = String::from_utf8_lossy(&output.stderr);
        // 3 is its status for a page that it can read and would write otherwise.
        match output.status.code() {
            Some(0 | 3) => Ok(said.lines().map(str::to_owned).collect()),
            _ => Err(Error::new(doing(), format!("{}: {}", output.status, said.trim()))),
        }
    }

    /// Runs `promtool check rules` on a file.
    ///
    /// # Errors
    /// When a rule is wrong; the error says which.
    pub fn check_rules(&self, file: &Path) -> Result<String> {
        self.promtool(&["check", "rules", "--lint-fatal"], file)
    }

    /// Runs `promtool test rules` on a file of tests.
    ///
    /// # Errors
    /// When a test fails; the error says which, and what came instead.
    pub fn test_rules(&self, file: &Path) -> Result<String> {
        self.promtool(&["test", "rules"], file)
    }

    fn promtool(&self, arguments: &[&str], file: &Path) -> Result<String> {
        let what = format!("promtool {} {}", arguments.join(" "), file.display());
        let mut promtool = Command::new(&self.promtool);
        let output = promtool.args(arguments).arg(file).stdin(Stdio::null()).output();
        let output = output.doing(|| what.clone())?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        if output.status.success() { Ok(said) } else { Err(Error::new(what, said)) }
    }
}

/// A running Prometheus. Dropping it kills the process and waits until it is gone.
#[derive(Debug)]
pub struct Prometheus {
    process: Process,
    log: Lines,
    port: u16,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts it with this configuration and waits until it listens.
    ///
    /// # Errors
    /// When it rejects the configuration or does not listen in time, with what it says.
    pub fn start(tools: &Tools, configuration: &Value) -> Result<Self> {
        let doing = || "starting Prometheus".to_owned();
        let folder = tempfile::Builder::new().prefix("failgate-").tempdir().doing(doing)?;
        let file = folder.path().join("prometheus.json");
        // JSON is YAML.
        fs::write(&file, format!("{configuration:#}")).doing(doing)?;
        let mut command = Command::new(&tools.prometheus);
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg("--web.listen-address=127.0.0.1:0");
        command.current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().doing(doing)?;
        let stderr = child.stderr.take();
        let process = Process::guarded(child)?;
        let stderr = stderr.ok_or_else(|| Error::new(doing(), "its output is not a pipe"))?;
        let mut prometheus =
            Self { process, log: Lines::collect(stderr), port: 0, _folder: folder };
        let line = prometheus.log.wait_for(PATIENCE, |line| line.contains("msg=\"Listening on\""));
        let line = line.map_err(|error| {
            Error::new(doing(), format!("{error}\n{}", prometheus.log.all().join("\n")))
        })?;
        let port = line.split("address=127.0.0.1:").nth(1).map(str::trim);
        prometheus.port = port.unwrap_or_default().parse().doing(|| format!("reading {line}"))?;
        Ok(prometheus)
    }

    /// A configuration that scrapes each of these ports of loopback, as a job of its own, several times a
    /// second; Envoy's page of metrics.
    #[must_use]
    pub fn scraping(jobs: &[(&str, u16)]) -> Value {
        let job = |(name, port): &(&str, u16)| {
            json!({
                "job_name": name,
                "metrics_path": "/stats/prometheus",
                "static_configs": [{ "targets": [format!("127.0.0.1:{port}")] }],
            })
        };
        json!({
            "global": { "scrape_interval": "250ms", "scrape_timeout": "250ms", "evaluation_interval": "250ms" },
            "scrape_configs": jobs.iter().map(job).collect::<Vec<_>>(),
        })
    }

    /// What a query of PromQL is answered with now: the labels and the value of each series.
    ///
    /// # Errors
    /// When it does not answer, or with an error.
    pub fn query(&self, query: &str) -> Result<Vec<(Value, String)>> {
        let answer = self.ask("/api/v1/query", query)?;
        let series = answer.pointer("/data/result").and_then(Value::as_array);
        let series = series.map(Vec::as_slice).unwrap_or_default().iter();
        let pair = |series: &Value| {
            let value = series.pointer("/value/1").and_then(Value::as_str)?.to_owned();
            Some((series.get("metric")?.clone(), value))
        };
        Ok(series.filter_map(pair).collect())
    }

    /// Asks until `expected` is the answer, in any order.
    ///
    /// # Errors
    /// When it is not in time; the error has the last answer.
    pub fn wait_for(&self, query: &str, expected: &[(Value, &str)]) -> Result<()> {
        let order = |one: &(Value, String), other: &(Value, String)| {
            one.0.to_string().cmp(&other.0.to_string())
        };
        let mut expected: Vec<_> =
            expected.iter().map(|(labels, value)| (labels.clone(), (*value).to_owned())).collect();
        expected.sort_by(order);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.query(query).map(|mut found| {
                found.sort_by(order);
                found
            });
            if found.as_ref().is_ok_and(|found| *found == expected) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let reason = format!("expected {expected:#?}, got {found:#?}");
                let log = self.log.all().join("\n");
                return Err(Error::new(format!("asking {query}"), format!("{reason}\n{log}")));
            }
            std::thread::sleep(POLL * 10);
        }
    }

    fn ask(&self, path: &str, query: &str) -> Result<Value> {
        let doing = || format!("asking Prometheus {query}");
        let encode = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
            _ => format!("%{byte:02x}"),
        };
        let query: String = query.bytes().map(encode).collect();
        let path = format!("{path}?query={query}");
        let response = Request::get(path).within(Duration::from_secs(5)).send(self.port)?;
        if response.status != 200 || response.ending != Ending::Complete {
            return Err(Error::new(doing(), response.text()));
        }
        serde_json::from_slice(&response.body).doing(doing)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.process.end();
        self.log.finish();
    }
}
