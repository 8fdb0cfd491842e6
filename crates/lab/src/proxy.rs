//! A running Envoy: started from a bootstrap, ready when it says so, gone when it is dropped.
//!
//! Listeners bind port 0; Envoy's admin interface tells their ports, and a file tells where the
//! admin interface itself is. That one is on loopback whatever the bootstrap says.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Ending, Request};
use crate::envoy::Envoy;
use crate::lines::Lines;
use crate::process::Process;
use crate::{Doing as _, Error, PATIENCE, POLL, Result, wait_until};

/// How an Envoy is started; the default suits a test.
#[derive(Debug, Clone)]
pub struct Options {
    /// Worker threads.
    pub concurrency: u32,
    /// Log levels of single components, such as `wasm:debug,router:trace`; the rest log warnings.
    pub component_log_level: Option<String>,
    /// More command line arguments, taken as they are.
    pub arguments: Vec<String>,
    /// How long it may take to become ready.
    pub ready_within: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            concurrency: 1,
            component_log_level: None,
            arguments: Vec::new(),
            ready_within: Duration::from_secs(30),
        }
    }
}

/// A running Envoy. Dropping it kills the process and waits until it is gone.
#[derive(Debug)]
pub struct Proxy {
    process: Process,
    log: Lines,
    access_log: Lines,
    admin: u16,
    ports: BTreeMap<String, u16>,
    _folder: TempDir,
}

impl Proxy {
    /// Starts Envoy and waits until it is live and every listener of the bootstrap has its port.
    ///
    /// # Errors
    /// When Envoy rejects the bootstrap, with the last lines of its log; when it is not ready in time.
    pub fn start(envoy: &Envoy, bootstrap: &Value, options: &Options) -> Result<Self> {
        let doing = || format!("starting Envoy {}", envoy.version);
        let folder = tempfile::Builder::new().prefix("failgate-").tempdir().doing(doing)?;
        let config = folder.path().join("bootstrap.json");
        let address = folder.path().join("admin");
        let bootstrap = with_admin(bootstrap);
        fs::write(&config, format!("{bootstrap:#}")).doing(doing)?;

        let mut command = Command::new(&envoy.path);
        command.arg("--config-path").arg(&config);
        command.arg("--admin-address-path").arg(&address);
        command.arg("--disable-hot-restart");
        command.args(["--concurrency", &options.concurrency.to_string()]);
        command.args(["--log-level", "warning"]);
        // Access logs are buffered for ten seconds otherwise.
        command.args(["--file-flush-interval-msec", "20"]);
        if let Some(levels) = &options.component_log_level {
            command.args(["--component-log-level", levels]);
        }
        command.args(&options.arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().doing(doing)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let process = Process::guarded(child)?;
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
            return Err(Error::new(doing(), "its output is not a pipe"));
        };
        let mut proxy = Self {
            process,
            log: Lines::collect(stderr),
            access_log: Lines::collect(stdout),
            admin: 0,
            ports: BTreeMap::new(),
            _folder: folder,
        };
        let deadline = Instant::now() + options.ready_within;
        proxy.become_ready(&address, &listener_names(&bootstrap), deadline).map_err(|error| {
            // Envoy says why right before it exits: wait for its last words.
            proxy.process.end();
            proxy.log.finish();
            Error::new(doing(), format!("{error}\n{}", proxy.last_words()))
        })?;
        Ok(proxy)
    }

    /// The port of the listener with this name.
    ///
    /// # Errors
    /// When there is no such listener; the error names those that there are.
    pub fn port(&self, listener: &str) -> Result<u16> {
        self.ports.get(listener).copied().ok_or_else(|| {
            let known: Vec<_> = self.ports.keys().map(String::as_str).collect();
            let reason = format!("there are only [{}]", known.join(", "));
            Error::new(format!("looking for the listener {listener}"), reason)
        })
    }

    /// The port of a listener that is delivered after the start, once it is there.
    ///
    /// # Errors
    /// When it is not there in time.
    pub fn wait_for_port(&self, listener: &str) -> Result<u16> {
        let port = || listener_ports(&self.admin("/listeners?format=json").ok()?)?.remove(listener);
        let mut found = None;
        wait_until(PATIENCE, &format!("the listener {listener}"), || {
            found = port();
            found.is_some()
        })?;
        found.ok_or_else(|| Error::new(format!("looking for the listener {listener}"), "gone"))
    }

    /// Envoy's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The time that Envoy's threads have had a processor.
    ///
    /// # Errors
    /// When Envoy has ended, or this is not Linux.
    pub fn cpu_time(&self) -> Result<Duration> {
        self.process.cpu_time()
    }

    /// How much memory Envoy holds, in kB.
    ///
    /// # Errors
    /// As [`Proxy::cpu_time`].
    pub fn resident_kilobytes(&self) -> Result<u64> {
        self.process.resident_kilobytes()
    }

    /// The port of the admin interface.
    #[must_use]
    pub fn admin_port(&self) -> u16 {
        self.admin
    }

    /// Asks the admin interface (GET), such as `/stats?filter=wasm` or `/clusters?format=json`.
    ///
    /// # Errors
    /// When it does not answer 200.
    pub fn admin(&self, path: &str) -> Result<String> {
        ask(self.admin, Request::get(path))
    }

    /// Tells the admin interface to do something (POST), such as `/logging?wasm=debug`.
    ///
    /// # Errors
    /// When it does not answer 200.
    pub fn admin_post(&self, path: &str) -> Result<String> {
        ask(self.admin, Request::new("POST", path))
    }

    /// The value of one counter or gauge; 0 when Envoy does not know it (yet).
    ///
    /// # Errors
    /// When the admin interface does not answer.
    pub fn stat(&self, name: &str) -> Result<u64> {
        let stats = self.admin("/stats")?;
        let value = stats.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        Ok(value.and_then(|value| value.trim().parse().ok()).unwrap_or(0))
    }

    /// Envoy's log, which is its stderr: what the filter logs is here, records included.
    #[must_use]
    pub fn log(&self) -> &Lines {
        &self.log
    }

    /// Envoy's stdout: the access log of a bootstrap that writes it to `/dev/stdout`.
    #[must_use]
    pub fn access_log(&self) -> &Lines {
        &self.access_log
    }

    /// The first log line that `wanted` accepts; see [`Lines::wait_for`].
    ///
    /// # Errors
    /// When there is none `within` that time.
    pub fn wait_for_line(&self, within: Duration, wanted: impl Fn(&str) -> bool) -> Result<String> {
        self.log.wait_for(within, wanted)
    }

    /// All records so far; see [`Lines::records`].
    ///
    /// # Errors
    /// When a record is not JSON.
    pub fn records(&self) -> Result<Vec<Value>> {
        self.log.records()
    }

    /// The first record that `wanted` accepts; see [`Lines::wait_for_record`].
    ///
    /// # Errors
    /// When there is none `within` that time, or a record is not JSON.
    pub fn wait_for_record(
        &self,
        within: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        self.log.wait_for_record(within, wanted)
    }

    /// At least `count` records; see [`Lines::wait_for_records`].
    ///
    /// # Errors
    /// When there are fewer `within` that time, or a record is not JSON.
    pub fn wait_for_records(&self, within: Duration, count: usize) -> Result<Vec<Value>> {
        self.log.wait_for_records(within, count)
    }

    /// Everything that Envoy has said, to be printed when a test fails.
    #[must_use]
    pub fn dump_log(&self) -> String {
        let mut dump = format!("--- Envoy {} stderr ---\n", self.pid());
        dump.extend(self.log.all().into_iter().map(|line| line + "\n"));
        dump += "--- stdout ---\n";
        dump.extend(self.access_log.all().into_iter().map(|line| line + "\n"));
        dump
    }

    /// Asks Envoy to quit, waits until it has, and returns its whole output as [`Proxy::dump_log`] does.
    ///
    /// # Errors
    /// When it does not quit within ten seconds; it is killed then.
    pub fn shutdown(mut self) -> Result<String> {
        self.admin_post("/quitquitquit")?;
        let gone = || self.process.exited().is_some();
        wait_until(Duration::from_secs(10), "Envoy to quit", gone)?;
        self.log.finish();
        self.access_log.finish();
        Ok(self.dump_log())
    }

    fn become_ready(&mut self, address: &Path, names: &[String], deadline: Instant) -> Result<()> {
        self.admin = self.poll(deadline, "the admin address", |_| {
            fs::read_to_string(address).ok()?.trim().parse().ok().map(|it: SocketAddr| it.port())
        })?;
        self.poll(deadline, "Envoy to be live", |proxy| proxy.admin("/ready").ok())?;
        self.ports = self.poll(deadline, "the listeners' ports", |proxy| {
            let ports = listener_ports(&proxy.admin("/listeners?format=json").ok()?)?;
            names.iter().all(|name| ports.contains_key(name)).then_some(ports)
        })?;
        Ok(())
    }

    fn poll<T>(
        &mut self,
        deadline: Instant,
        what: &str,
        mut look: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T> {
        loop {
            if let Some(found) = look(self) {
                return Ok(found);
            }
            let reason = match self.process.exited() {
                Some(how) => format!("it has ended ({how})"),
                None if Instant::now() >= deadline => "not in time".to_owned(),
                None => {
                    thread::sleep(POLL);
                    continue;
                }
            };
            return Err(Error::new(format!("waiting for {what}"), reason));
        }
    }

    fn last_words(&self) -> String {
        let lines = self.log.all();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.process.end();
        self.log.finish();
        self.access_log.finish();
    }
}

/// Keeps proxies running until one of them ends by itself or the user presses Ctrl-C, and shows `show` each
/// line that they log meanwhile.
///
/// # Errors
/// When the interrupt cannot be listened for.
pub fn follow(proxies: &mut [&mut Proxy], show: impl Fn(&str)) -> Result<()> {
    let doing = || "waiting for Ctrl-C".to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.doing(doing)?.block_on(async {
        let interrupt = tokio::signal::ctrl_c();
        let mut shown: Vec<_> = proxies.iter().map(|proxy| proxy.log.all().len()).collect();
        let ended = async {
            while proxies.iter_mut().all(|proxy| proxy.process.exited().is_none()) {
                tokio::time::sleep(Duration::from_millis(100)).await;
                for (proxy, shown) in proxies.iter().zip(&mut shown) {
                    let lines = proxy.log.all();
                    lines.iter().skip(*shown).for_each(|line| show(line));
                    *shown = lines.len();
                }
            }
        };
        tokio::select! {
            heard = interrupt => heard.doing(doing),
            () = ended => Ok(()),
        }
    })
}

fn ask(port: u16, request: Request) -> Result<String> {
    let doing = format!("asking Envoy's admin interface: {} {}", request.method, request.path);
    let response = request.send(port)?;
    let text = String::from_utf8_lossy(&response.body).into_owned();
    if response.status == 200 && response.ending == Ending::Complete {
        return Ok(text);
    }
    Err(Error::new(doing, format!("{} ({:?}): {text}", response.status, response.ending)))
}

/// The bootstrap with the admin interface on a free loopback port, where Envoy's own options find it.
fn with_admin(bootstrap: &Value) -> Value {
    let mut bootstrap = bootstrap.clone();
    if let Some(fields) = bootstrap.as_object_mut() {
        let admin = fields.entry("admin").or_insert_with(|| json!({}));
        if let Some(admin) = admin.as_object_mut() {
            let address = json!({"socket_address": {"address": "127.0.0.1", "port_value": 0}});
            admin.insert("address".to_owned(), address);
        }
    }
    bootstrap
}

/// The names of the bootstrap's listeners that have a socket of their own.
fn listener_names(bootstrap: &Value) -> Vec<String> {
    let listeners = bootstrap.pointer("/static_resources/listeners").and_then(Value::as_array);
    let listeners = listeners.map(Vec::as_slice).unwrap_or_default().iter();
    let sockets =
        listeners.filter(|listener| listener.pointer("/address/socket_address").is_some());
    sockets.filter_map(|listener| Some(listener.get("name")?.as_str()?.to_owned())).collect()
}

fn listener_ports(answer: &str) -> Option<BTreeMap<String, u16>> {
    let answer: Value = serde_json::from_str(answer).ok()?;
    let listeners = answer.get("listener_statuses").and_then(Value::as_array);
    let listeners = listeners.map(Vec::as_slice).unwrap_or_default().iter();
    let port = |listener: &Value| {
        let name = listener.get("name")?.as_str()?;
        let port = listener.pointer("/local_address/socket_address/port_value")?.as_u64()?;
        Some((name.to_owned(), u16::try_from(port).ok().filter(|port| *port != 0)?))
    };
    Some(listeners.filter_map(port).collect())
}
