//! A new configuration of the module, delivered as a mesh delivers it while requests run: by a new version of its
//! listener.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use failgate_lab::client::{Ending, Leave, Request, Response};
use failgate_lab::config::{
    access_log, bootstrap, cluster, http, listener, plugin, route, typed, wasm_access_logger,
    wasm_filter, with,
};
use failgate_lab::hop::{Mount, PATIENCE};
use failgate_lab::mock::Mock;
use failgate_lab::otlp::{self, Receiver};
use failgate_lab::proxy::{Options, Proxy};
use failgate_lab::{Error, Result, wait_until};
use libtest_mimic::Trial;
use serde_json::json;
use tempfile::TempDir;

use crate::{Rig, test};

#[rustfmt::skip]
pub fn add(rig: &Arc<Rig>, trials: &mut Vec<Trial>) {
    trials.push(test(rig, "a_new_configuration_takes_effect_and_disturbs_no_request", |rig| changes(rig, Mount::Filter)));
    trials.push(test(rig, "a_new_configuration_of_an_access_logger_takes_effect_too", |rig| changes(rig, Mount::AccessLogger)));
    trials.push(test(rig, "what_waits_for_the_collector_goes_to_the_new_configuration", handed_over));
    trials.push(test(rig, "what_waits_for_the_collector_is_dropped_and_counted_when_nobody_sends_any_more", dropped));
}

const WORKERS: u32 = 2;
/// What the requests that run all the while are answered with.
const PATHS: [(&str, u16); 2] = [("/server/status/503", 503), ("/server/status/200", 200)];

/// A proxy whose listener is delivered in a file.
struct Delivered<'a> {
    rig: &'a Rig,
    mount: Mount,
    folder: TempDir,
    proxy: Proxy,
    port: u16,
    mock: Mock,
    collector: Receiver,
}

impl<'a> Delivered<'a> {
    fn start(rig: &'a Rig, mount: Mount, configuration: &str) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(|error| Error::new("making a folder", error))?;
        let (mock, collector) = (Mock::start()?, Receiver::start()?);
        let lds = folder.path().join("listeners.json");
        write(rig, mount, &lds, 1, configuration)?;
        let clusters =
            [cluster("server", &[mock.port()]), cluster("collector", &[collector.port()])];
        let bootstrap = bootstrap("client", &[], &clusters);
        let source = json!({ "path_config_source": { "path": lds }, "resource_api_version": "V3" });
        let bootstrap = with(bootstrap, json!({ "dynamic_resources": { "lds_config": source } }));
        let options = Options {
            concurrency: WORKERS,
            // Each context that the proxy makes and deletes is a line.
            component_log_level: Some("wasm:trace".to_owned()),
            arguments: ["--drain-time-s", "3"].map(str::to_owned).to_vec(),
            ..Options::default()
        };
        let proxy = Proxy::start(&rig.envoy, &bootstrap, &options)?;
        let port = proxy.wait_for_port("delivered")?;
        Ok(Self { rig, mount, folder, proxy, port, mock, collector })
    }

    /// Delivers a new version; it is in force for new connections when this returns, or in a moment.
    fn deliver(&self, version: u64, configuration: &str) -> Result<()> {
        write(self.rig, self.mount, &self.place(), version, configuration)?;
        let updated = || self.proxy.stat("listener_manager.listener_in_place_updated");
        let in_force = || updated().is_ok_and(|updates| updates + 1 >= version);
        wait_until(PATIENCE, "the new version to be in force", in_force)
    }

    /// Waits until each worker has the contexts of one configuration only.
    fn wait_for_drain(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let live = live(&self.proxy.log().all());
            let plugins =
                live.values().map(|contexts| contexts.values().filter(|of| **of == 0).count());
            if live.len() == WORKERS as usize && plugins.max() == Some(1) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Error::new("waiting for the old contexts to go", format!("{live:?}")));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn place(&self) -> PathBuf {
        self.folder.path().join("listeners.json")
    }

    fn send(&self, id: &str, path: &str) -> Result<Response> {
        Request::get(path).header("x-request-id", id).send(self.port)
    }

    /// Whether a request that fails is reported now.
    fn reports(&self, id: &str) -> Result<bool> {
        let (path, status) = PATHS[0];
        expect(self.send(id, path)?.status == status, &self.proxy, "the answer passes")?;
        let ended = format!("ended {id}");
        self.proxy.wait_for_line(PATIENCE, |line| line == ended)?;
        Ok(self.proxy.records()?.iter().any(|record| record["request_id"] == id))
    }
}

/// The contexts that each worker has, by its thread: their numbers, and the plugin that they belong to, which is 0
/// for a plugin itself. A worker is who is told that a stream has ended.
fn live(log: &[String]) -> BTreeMap<String, BTreeMap<u32, u32>> {
    let mut live = BTreeMap::<String, BTreeMap<u32, u32>>::new();
    let mut workers = BTreeSet::new();
    for line in log {
        let Some(call) = line.split("[host->vm] proxy_on_").nth(1) else { continue };
        let thread = line.split(['[', ']']).nth(3).unwrap_or_default().to_owned();
        let arguments = call.split(['(', ')']).nth(1).unwrap_or_default().split(", ");
        let mut arguments = arguments.filter_map(|argument| argument.parse::<u32>().ok());
        let (Some(number), of) = (arguments.next(), arguments.next()) else { continue };
        match (call.split('(').next().unwrap_or_default(), of) {
            ("context_create", Some(of)) => {
                live.entry(thread).or_default().insert(number, of);
            }
            ("delete", _) => {
                live.entry(thread).or_default().remove(&number);
            }
            ("log", _) => {
                workers.insert(thread);
            }
            _ => {}
        }
    }
    live.retain(|thread, _| workers.contains(thread));
    live
}

/// Writes the listener beside its place and moves it there: Envoy watches for that.
fn write(rig: &Rig, mount: Mount, place: &Path, version: u64, configuration: &str) -> Result<()> {
    let plugin = plugin(&rig.module.path, configuration);
    // Among the lines of Envoy's log, so that it is read after what the module had to say of the same stream.
    let log = access_log("ended %REQ(X-REQUEST-ID)%\n");
    let (filters, logs) = match mount {
        Mount::Filter => (vec![wasm_filter(&plugin)], vec![log]),
        Mount::AccessLogger => (vec![], vec![wasm_access_logger(&plugin), log]),
    };
    let http = http(&[route("default", "/server", "server")], &filters);
    let listener = listener("delivered", "OUTBOUND", with(http, json!({ "access_log": logs })));
    let listener = with(typed("config.listener.v3.Listener", json!({})), listener);
    let response = json!({ "version_info": version.to_string(), "resources": [listener] });
    let fresh = place.with_extension("new");
    fs::write(&fresh, response.to_string())
        .and_then(|()| fs::rename(&fresh, place))
        .map_err(|error| Error::new(format!("writing {}", place.display()), error))
}

fn expect(holds: bool, proxy: &Proxy, claim: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::new(claim, proxy.dump_log())) }
}

/// Requests on new connections, until it is stopped.
fn traffic(delivered: &Delivered<'_>, stop: &AtomicBool) -> Result<usize> {
    let mut sent = 0;
    while !stop.load(Ordering::SeqCst) {
        let (path, status) = PATHS[sent % PATHS.len()];
        let answer = delivered.send(&format!("traffic-{sent}"), path)?;
        if (answer.status, answer.ending) != (status, Ending::Complete) {
            return Err(Error::new("a request that ran meanwhile", format!("{answer:?}")));
        }
        sent += 1;
        thread::sleep(Duration::from_millis(10));
    }
    Ok(sent)
}

fn changes(rig: &Rig, mount: Mount) -> Result<()> {
    let delivered = Delivered::start(rig, mount, r#"{"log":{"maxPerSecond":10000}}"#)?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let senders = [(); 2].map(|()| scope.spawn(|| traffic(&delivered, &stop)));
        let changed = change(&delivered);
        stop.store(true, Ordering::SeqCst);
        for sender in senders {
            let lost = || Error::new("sending requests", "a thread panicked");
            let sent = sender.join().unwrap_or_else(|_| Err(lost()))?;
            expect(sent > 10, &delivered.proxy, "requests run meanwhile")?;
        }
        changed
    })?;
    counters_went_on(&delivered.proxy)?;
    delivered.mock.check()
}

fn change(delivered: &Delivered<'_>) -> Result<()> {
    let proxy = &delivered.proxy;
    expect(delivered.reports("first")?, proxy, "a failure is reported at first")?;
    let waiting = Request::get("/server/delay/60000").header("x-request-id", "waiting");
    let waiting = waiting.start(delivered.port)?;
    let arrived = || delivered.mock.requests("/delay/60000") == 1;
    wait_until(PATIENCE, "a request that waits", arrived)?;

    let ignoring =
        r#"{"log":{"maxPerSecond":10000},"ignore":["application_error","client_disconnected"]}"#;
    delivered.deliver(2, ignoring)?;
    // It began under the old configuration, so that is its own.
    waiting.leave(Leave::Close)?;
    proxy.wait_for_record(PATIENCE, |record| {
        record["request_id"] == "waiting" && record["cause"] == "client_disconnected"
    })?;
    delivered.wait_for_drain()?;
    for number in 0..20 {
        let reported = delivered.reports(&format!("ignored-{number}"))?;
        expect(!reported, proxy, "the new configuration is in force")?;
    }

    delivered
        .deliver(3, r#"{"log":{"level":"loud","maxPerSecond":10000},"ignore":["nonsense"]}"#)?;
    delivered.wait_for_drain()?;
    for number in 0..20 {
        let reported = delivered.reports(&format!("default-{number}"))?;
        expect(reported, proxy, "the default stands in the place of a mistake")?;
    }
    for mistake in ["log.level: must be", "ignore[0]: must be"] {
        let said = format!("failgate configuration: {mistake}");
        let times = proxy.log().all().iter().filter(|line| line.contains(&said)).count();
        expect(times == 1, proxy, mistake)?;
    }
    Ok(())
}

/// What is counted is what was reported, under all of the configurations together.
fn counters_went_on(proxy: &Proxy) -> Result<()> {
    let count = |name: &str| proxy.stat(&format!("wasmcustom.failgate_{name}.total"));
    let reported = |cause: &str| -> Result<u64> {
        let records = proxy.records()?;
        Ok(records.iter().filter(|record| record["cause"] == cause).count() as u64)
    };
    for (gate, cause) in
        [("application", "application_error"), ("downstream", "client_disconnected")]
    {
        // A stream's log comes after its last byte.
        let same = || -> Result<bool> {
            let counted = count(&format!("failures.component.{gate}.tag.{cause};"))?;
            Ok(counted > 0 && counted == reported(cause)?)
        };
        let what = format!("each failure of {cause} to be counted");
        wait_until(PATIENCE, &what, || same().is_ok_and(|same| same))?;
    }
    expect(count("configuration_errors")? == 2, proxy, "both mistakes are counted, once")
}

const RECORDS: u64 = 20;

/// A proxy with records that wait for a time that is far off.
fn with_records_that_wait(rig: &Rig) -> Result<Delivered<'_>> {
    let patient = r#"{"otlp":{"cluster":"collector","interval":"60s"}}"#;
    let delivered = Delivered::start(rig, Mount::Filter, patient)?;
    for number in 0..RECORDS {
        expect(delivered.reports(&format!("waits-{number}"))?, &delivered.proxy, "a failure")?;
    }
    expect(delivered.collector.tries().is_empty(), &delivered.proxy, "the records wait")?;
    Ok(delivered)
}

fn wait_for_records(delivered: &Delivered<'_>, sent: u64, dropped: u64) -> Result<()> {
    // A counter that nothing was added to is not there.
    let count = |what: &str| {
        let name = format!("wasmcustom.failgate_otlp_records_{what}.total");
        delivered.proxy.stat(&name).unwrap_or_default()
    };
    let counted = || count("sent") == sent && count("dropped") == dropped;
    wait_until(PATIENCE, &format!("{sent} records to be sent, {dropped} dropped"), counted)
        .inspect_err(|_| eprintln!("{} {}", count("sent"), count("dropped")))
}

fn handed_over(rig: &Rig) -> Result<()> {
    let delivered = with_records_that_wait(rig)?;
    delivered.deliver(2, r#"{"otlp":{"cluster":"collector","interval":"100ms"}}"#)?;
    delivered.wait_for_drain()?;
    wait_for_records(&delivered, RECORDS, 0)?;
    let logs = otlp::check(&delivered.collector.delivered())?;
    let ids: BTreeSet<String> =
        logs.iter().map(|log| log.attributes["failgate.request_id"].to_string()).collect();
    expect(ids.len() as u64 == RECORDS, &delivered.proxy, "each record arrives")
}

fn dropped(rig: &Rig) -> Result<()> {
    let delivered = with_records_that_wait(rig)?;
    delivered.deliver(2, "{}")?;
    delivered.wait_for_drain()?;
    wait_for_records(&delivered, 0, RECORDS)?;
    expect(delivered.collector.tries().is_empty(), &delivered.proxy, "nothing is sent")
}
