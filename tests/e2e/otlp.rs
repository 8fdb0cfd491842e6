//! Records on their way to a collector: a real receiver, on its good days and its bad ones.
//!
//! Two codecs that are not ours read every body: that of OpenTelemetry for Rust, and the one for Python.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use failgate_lab::config::{access_log_on_stdout, cluster};
use failgate_lab::hop::{Extras, Hop, Mount, PATIENCE};
use failgate_lab::otlp::{self, Behaviour, Log, Receiver};
use failgate_lab::{Error, Result, wait_until, workspace};
use failgate_verdict::export::LONGEST_WAIT;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::filter_state::documented;
use crate::{Rig, test};

#[rustfmt::skip]
pub fn add(rig: &Arc<Rig>, trials: &mut Vec<Trial>) {
    trials.push(test(rig, "a_collector_gets_each_record_as_a_log_record", each_record));
    trials.push(test(rig, "an_access_logger_sends_to_the_collector_too", access_logger));
    trials.push(test(rig, "one_failure_is_the_same_in_all_five_places", five_places));
    trials.push(test(rig, "what_may_be_tried_again_is_and_arrives", tried_again));
    trials.push(test(rig, "what_the_collector_refuses_is_not_tried_again", refused));
    trials.push(test(rig, "what_the_collector_takes_in_part_is_counted", in_part));
    trials.push(test(rig, "a_collector_that_is_killed_under_load_costs_no_request_and_no_count", killed));
    trials.push(test(rig, "a_cluster_that_does_not_exist_is_said_once_and_breaks_nothing", no_such_cluster));
    trials.push(test(rig, "an_export_that_fails_is_not_exported", no_recursion));
    trials.push(test(rig, "only_the_plugin_itself_calls_the_collector", never_from_a_stream));
}

/// The name that Istio gives to a collector's cluster.
const COLLECTOR: &str = "outbound|4318||otel-collector.observability.svc.cluster.local";

/// A hop that sends to a receiver. `otlp` has more settings of the sender, `more` other ones.
struct Exporting {
    hop: Hop,
    collector: Receiver,
}

impl Exporting {
    fn start(rig: &Rig, otlp: Value, more: Value) -> Result<Self> {
        Self::start_with(rig, Mount::Filter, otlp, more, Extras::default())
    }

    fn start_with(
        rig: &Rig,
        mount: Mount,
        otlp: Value,
        more: Value,
        mut extras: Extras,
    ) -> Result<Self> {
        let collector = Receiver::start()?;
        let to =
            failgate_lab::config::with(json!({ "cluster": COLLECTOR, "interval": "100ms" }), otlp);
        let settings = failgate_lab::config::with(json!({ "otlp": to }), more);
        extras.clusters.push(cluster(COLLECTOR, &[collector.port()]));
        let hop = Hop::start_with(&rig.envoy, &rig.module, mount, &settings.to_string(), &extras)?;
        Ok(Self { hop, collector })
    }

    /// Sends a request and waits until its stream has ended.
    fn fail(&self, id: &str, path: &str) -> Result<()> {
        self.hop.send(id, path)?;
        self.hop.record(id).map(drop)
    }

    fn count(&self, what: &str) -> Result<u64> {
        let page = self.hop.proxy.admin(&format!("/stats?filter=failgate_otlp_records_{what}"))?;
        Ok(page.lines().filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
    }

    /// Records sent, failed and dropped.
    fn counts(&self) -> Result<[u64; 3]> {
        Ok([self.count("sent")?, self.count("failed")?, self.count("dropped")?])
    }

    /// Waits until just that is counted.
    fn wait_for(&self, expected: [u64; 3]) -> Result<()> {
        let reached = || self.counts().is_ok_and(|now| now == expected);
        wait_until(PATIENCE, &format!("sent, failed, dropped to be {expected:?}"), reached)
            .inspect_err(|_| eprintln!("{:?}\n{}", self.counts(), self.hop.proxy.dump_log()))
    }

    /// What the collector has got, as both codecs read it.
    fn logs(&self) -> Result<Vec<Log>> {
        self.collector.check()?;
        otlp::check(&self.collector.delivered())
    }

    fn lines_that_say(&self, text: &str) -> usize {
        self.hop.proxy.log().all().iter().filter(|line| line.contains(text)).count()
    }
}

fn expect(holds: bool, otherwise: impl ToString) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::new("sending to a collector", otherwise.to_string())) }
}

/// A path for each gate that a hop has a failure of, and a gRPC call.
const ASKED: [&str; 6] =
    ["/denied", "/nowhere", "/no-cluster", "/empty", "/refused", "/status/503"];

/// The attributes that a record must have become: written down here once more, by hand.
fn expected(record: &Value) -> Value {
    let mut attributes = serde_json::Map::new();
    for (key, value) in record.as_object().unwrap() {
        let name = match key.as_str() {
            "v" | "time" | "suppressed" | "trace_id" | "span_id" => continue,
            "method" => "http.request.method".to_owned(),
            "response_code" => "http.response.status_code".to_owned(),
            "protocol" => {
                let (name, version) = value.as_str().unwrap().split_once('/').unwrap();
                attributes.insert("network.protocol.name".into(), name.to_lowercase().into());
                attributes.insert("network.protocol.version".into(), version.into());
                "failgate.protocol".to_owned()
            }
            "grpc_status" => {
                attributes.insert("rpc.system.name".into(), "grpc".into());
                let name = match value.as_u64() {
                    Some(14) => "UNAVAILABLE",
                    Some(7) => "PERMISSION_DENIED",
                    other => panic!("{other:?}"),
                };
                attributes.insert("rpc.response.status_code".into(), name.into());
                continue;
            }
            "service" => {
                for (own, name) in [("host", "server.address"), ("port", "server.port")] {
                    attributes.insert(name.into(), value[own].clone());
                }
                if let Some(subset) = value.get("subset") {
                    attributes.insert("failgate.service.subset".into(), subset.clone());
                }
                continue;
            }
            "hop" | "retry" => {
                for (inner, value) in value.as_object().unwrap() {
                    attributes.insert(format!("failgate.{key}.{inner}"), value.clone());
                }
                continue;
            }
            "cause" => {
                attributes.insert("error.type".into(), value.clone());
                "failgate.cause".to_owned()
            }
            own => format!("failgate.{own}"),
        };
        attributes.insert(name, value.clone());
    }
    Value::Object(attributes)
}

/// Holds what the collector has got against the lines of the log, by request id.
fn as_logged(exporting: &Exporting, logs: &[Log]) -> Result<()> {
    let by_id = |id: &Value| id.as_str().unwrap_or_default().to_owned();
    let lines: BTreeMap<String, Value> = exporting
        .hop
        .proxy
        .records()?
        .into_iter()
        .map(|record| (by_id(&record["request_id"]), record))
        .collect();
    expect(logs.len() == lines.len(), format!("{} of {}", logs.len(), lines.len()))?;
    for log in logs {
        let record = &lines[&by_id(&log.attributes["failgate.request_id"])];
        let expected = expected(record);
        expect(log.attributes == expected, format!("{:#}\nis not\n{expected:#}", log.attributes))?;
        let (gate, cause) = (record["gate"].as_str().unwrap(), record["cause"].as_str().unwrap());
        let body = match record["look"][0].as_str() {
            Some(look) => format!("{gate}: {cause}; look at {look}"),
            None => format!("{gate}: {cause}"),
        };
        expect(log.body == body, format!("{} is not {body}", log.body))?;
        expect(log.event_name == "failgate.failure", &log.event_name)?;
        let severity = if record["side"] == "downstream" { (13, "WARN") } else { (17, "ERROR") };
        let found = (log.severity_number, log.severity_text.as_str());
        expect(found == severity, format!("{found:?}"))?;
        expect(log.resource["service.name"] == record["proxy"], &log.resource)?;
        expect(log.scope["name"] == "failgate", &log.scope)?;
        let duration = record["duration_ms"].as_u64().unwrap();
        let milliseconds = (log.observed_time_unix_nano - log.time_unix_nano) / 1_000_000;
        expect(milliseconds == duration, format!("{milliseconds} ms, {duration} ms"))?;
    }
    Ok(())
}

fn each_record(rig: &Rig) -> Result<()> {
    let exporting = Exporting::start(rig, json!({}), json!({}))?;
    for path in ASKED {
        exporting.fail(path, path)?;
    }
    let grpc = exporting.hop.get("grpc", "/denied").header("content-type", "application/grpc");
    grpc.send(exporting.hop.port())?;
    exporting.hop.record("grpc")?;
    exporting.fail("fine", "/status/200")?;
    exporting.wait_for([7, 0, 0])?;
    as_logged(&exporting, &exporting.logs()?)?;
    for request in exporting.collector.tries() {
        let header = |name: &str| request.headers.get(name).and_then(|it| it.to_str().ok());
        expect(header("content-type") == Some("application/json"), "content-type")?;
        expect(
            header("host") == Some("otel-collector.observability.svc.cluster.local:4318"),
            format!("{:?}", header("host")),
        )?;
        expect(header("user-agent").is_some_and(|it| it.starts_with("failgate/")), "user-agent")?;
    }
    exporting.hop.mock.check()
}

fn access_logger(rig: &Rig) -> Result<()> {
    let exporting =
        Exporting::start_with(rig, Mount::AccessLogger, json!({}), json!({}), Extras::default())?;
    for path in ASKED {
        exporting.fail(path, path)?;
    }
    exporting.wait_for([6, 0, 0])?;
    as_logged(&exporting, &exporting.logs()?)
}

fn five_places(rig: &Rig) -> Result<()> {
    let format: Value = serde_json::from_str(&documented("json")?)
        .map_err(|error| Error::new("reading the format", error))?;
    let extras = Extras {
        access_logs: vec![access_log_on_stdout(&format)],
        bootstrap: crate::metrics::istio(),
        ..Extras::default()
    };
    let always = json!({ "header": { "mode": "always" } });
    let exporting = Exporting::start_with(rig, Mount::Filter, json!({}), always, extras)?;
    let response = exporting.hop.send("five", "/refused")?;
    let (gate, cause) = ("connect", "connection_refused");

    let header = response.values("proxy-status").join(", ");
    expect(header.contains("gate=connect; cause=connection_refused"), header)?;

    let record = exporting.hop.record("five")?.unwrap_or_default();
    expect(record["gate"] == gate && record["cause"] == cause, &record)?;

    let line = exporting
        .hop
        .proxy
        .access_log()
        .wait_for(PATIENCE, |line| line.starts_with('{') && line.contains("five"))?;
    let line: Value =
        serde_json::from_str(&line).map_err(|error| Error::new("reading the access log", error))?;
    expect(line["failure_gate"] == gate && line["failure_cause"] == cause, &line)?;

    let page = exporting.hop.proxy.admin("/stats/prometheus")?;
    let labels = format!("{{component=\"{gate}\",tag=\"{cause}\"}} 1");
    expect(
        page.lines().any(|it| it.starts_with("failgate_failures") && it.ends_with(&labels)),
        &page,
    )?;

    exporting.wait_for([1, 0, 0])?;
    let logs = exporting.logs()?;
    let attributes = &logs[0].attributes;
    expect(attributes["failgate.gate"] == gate, attributes)?;
    expect(attributes["failgate.cause"] == cause && attributes["error.type"] == cause, attributes)
}

/// Stands for what it says: time passes before it is used.
const DATE: &str = "a date three seconds from now";

/// Each way to fail for now, and what the proxy's log says of it.
fn bad_days() -> Vec<(Behaviour, &'static str)> {
    let status = |code, after: Option<String>| Behaviour::Status(code, after);
    vec![
        (status(503, None), "503"),
        (status(429, None), "429"),
        (status(502, None), "502"),
        (status(504, None), "504"),
        (status(503, Some("2".to_owned())), "503"),
        (status(503, Some(DATE.to_owned())), "503"),
        (Behaviour::Babble, "50"),
        (Behaviour::CutShort, "no answer"),
        (Behaviour::Late(Duration::from_secs(60)), "504"),
    ]
}

fn tried_again(rig: &Rig) -> Result<()> {
    let days = bad_days();
    thread::scope(|scope| {
        let tests: Vec<_> =
            days.iter().map(|day| scope.spawn(move || a_bad_day(rig, day))).collect();
        for test in tests {
            test.join().unwrap_or_else(|_| Err(Error::new("a bad day", "a thread panicked")))?;
        }
        Ok(())
    })
}

fn a_bad_day(rig: &Rig, (behaviour, says): &(Behaviour, &str)) -> Result<()> {
    let doing = |error: Error| Error::new(format!("{behaviour:?}"), error);
    let exporting = Exporting::start(rig, json!({ "timeout": "2s" }), json!({}))?;
    let dated = || Behaviour::Status(503, Some(otlp::http_date(Duration::from_secs(3))));
    let has_date = *behaviour == Behaviour::Status(503, Some(DATE.to_owned()));
    exporting.collector.behave(if has_date { dated() } else { behaviour.clone() });
    exporting.fail("one", "/denied")?;
    exporting.fail("two", "/nowhere")?;
    exporting.collector.wait_for(PATIENCE, 2).map_err(doing)?;
    let asked = match behaviour {
        Behaviour::Status(_, Some(after)) if after == "2" => Duration::from_secs(2),
        // The date has whole seconds, and some of its time may be gone by then.
        Behaviour::Status(_, Some(_)) => Duration::from_secs(1),
        // Half a second is the least that it waits by itself.
        Behaviour::Status(..)
        | Behaviour::Accept
        | Behaviour::Partial(_)
        | Behaviour::Late(_)
        | Behaviour::CutShort
        | Behaviour::Babble
        | Behaviour::NoJson => Duration::from_millis(400),
    };
    let pause = exporting.collector.pauses()[0];
    expect(pause >= asked, format!("{behaviour:?}: after {pause:?}"))?;
    exporting.collector.behave(Behaviour::Accept);
    exporting.wait_for([2, 0, 0]).map_err(doing)?;
    let ids: Vec<String> =
        otlp::check(&[exporting.collector.tries().last().unwrap().body.clone()])?
            .iter()
            .map(|log| log.attributes["failgate.request_id"].to_string())
            .collect();
    // The second may have come too late for the batch that was tried again.
    expect(ids.len() == 2 || ids == ["\"two\""], format!("{ids:?}"))?;
    let said = format!("the collector {COLLECTOR} does not take records: {says}");
    expect(
        exporting.lines_that_say(&said) == 1,
        format!("{behaviour:?}\n{}", exporting.hop.proxy.dump_log()),
    )
}

fn refused(rig: &Rig) -> Result<()> {
    let exporting = Exporting::start(rig, json!({}), json!({}))?;
    for (failed, code) in (1..).zip([400, 413, 401, 404, 500]) {
        exporting.collector.behave(Behaviour::Status(code, Some("1".to_owned())));
        exporting.fail(&format!("id-{code}"), "/denied")?;
        exporting.wait_for([0, failed, 0])?;
    }
    exporting.collector.behave(Behaviour::Accept);
    exporting.fail("last", "/denied")?;
    exporting.wait_for([1, 5, 0])?;
    let logs = exporting.logs()?;
    expect(logs.len() == 1 && logs[0].attributes["failgate.request_id"] == "last", "not the last")?;
    expect(exporting.collector.tries().len() == 6, "something was tried again")?;
    expect(exporting.lines_that_say("does not take records: 400") == 1, "400 is not said")?;
    expect(exporting.lines_that_say("does not take records") == 1, "more is said")
}

fn in_part(rig: &Rig) -> Result<()> {
    let exporting = Exporting::start(rig, json!({ "interval": "2s" }), json!({}))?;
    exporting.collector.behave(Behaviour::Partial(2));
    for number in 0..5 {
        exporting.fail(&format!("part-{number}"), "/denied")?;
    }
    exporting.collector.wait_for(PATIENCE, 1)?;
    let in_first = otlp::check(&[exporting.collector.tries()[0].body.clone()])?.len() as u64;
    exporting.collector.behave(Behaviour::NoJson);
    // All five in one batch, unless a tick has come in between.
    let failed = in_first.min(2);
    exporting.wait_for([5 - failed, failed, 0])?;
    exporting.fail("taken", "/denied")?;
    exporting.wait_for([6 - failed, failed, 0])
}

fn killed(rig: &Rig) -> Result<()> {
    const QUEUE: u64 = 50;
    let settings = json!({ "maxQueue": QUEUE, "maxBatch": 20 });
    let mut extras = Extras::default();
    extras.options.concurrency = 2;
    let quiet = json!({ "log": { "enabled": false } });
    let exporting = Exporting::start_with(rig, Mount::Filter, settings, quiet, extras)?;
    let mut asked = 0;
    let mut load = |requests: u64| -> Result<()> {
        for number in 0..requests {
            let response = exporting.hop.send(&format!("load-{asked}-{number}"), "/denied")?;
            expect(response.status == 403, format!("{response:?}"))?;
        }
        asked += requests;
        let counted = || {
            let page = exporting.hop.proxy.admin("/stats?filter=failgate_failures");
            page.is_ok_and(|page| page.trim().ends_with(&format!(" {asked}")))
        };
        wait_until(PATIENCE, &format!("{asked} failures to be counted"), counted)
    };
    load(200)?;
    exporting.collector.die();
    load(1_000)?;
    let warm = exporting.hop.proxy.resident_kilobytes()?;
    load(2_000)?;
    let grown = exporting.hop.proxy.resident_kilobytes()?;
    expect(grown * 4 < warm * 5, format!("{warm} kB grew to {grown} kB"))?;
    // Two workers hold as much as they may; all the rest is counted, and so far nothing has failed.
    let [sent, failed, dropped] = exporting.counts()?;
    expect(failed == 0, format!("{failed} failed"))?;
    let held = 3_200 - sent - dropped;
    expect(held <= 2 * QUEUE, format!("{sent} sent, {dropped} dropped: {held} are held"))?;
    expect(dropped >= 3_000 - 2 * QUEUE, format!("{dropped} dropped"))?;
    exporting.collector.revive()?;
    let all =
        || exporting.counts().is_ok_and(|[sent, failed, dropped]| sent + failed + dropped == 3_200);
    // The longer this machine took so far, the longer is the wait that each worker is in the middle of.
    let patience = PATIENCE + Duration::from_nanos(LONGEST_WAIT);
    wait_until(patience, "what was held to be sent", all)?;
    load(100)?;
    let all =
        || exporting.counts().is_ok_and(|[sent, failed, dropped]| sent + failed + dropped == 3_300);
    wait_until(PATIENCE, "all to be sent", all)?;
    let [sent, failed, now_dropped] = exporting.counts()?;
    expect(failed == 0, format!("{failed} failed"))?;
    expect(now_dropped <= dropped + 2 * QUEUE, format!("{now_dropped} dropped"))?;
    // A batch that had arrived when its answer was cut off may have arrived twice, and no more than that.
    let arrived = exporting.logs()?.len() as u64;
    expect((sent..=sent + 2 * 20).contains(&arrived), format!("{sent} sent, {arrived} arrived"))
}

fn no_such_cluster(rig: &Rig) -> Result<()> {
    // What has failed is dropped as a whole batch: with batches of one, it does not matter when they were tried.
    let settings = json!({ "cluster": "nobody", "maxQueue": 2, "maxBatch": 1 });
    let exporting = Exporting::start(rig, settings, json!({}))?;
    for number in 0..5 {
        exporting.fail(&format!("lost-{number}"), "/denied")?;
    }
    exporting.wait_for([0, 0, 3])?;
    let said = "the collector nobody does not take records: it cannot be called";
    let is_said = || exporting.lines_that_say(said) == 1;
    wait_until(PATIENCE, "the missing cluster to be said", is_said)?;
    let records = exporting.hop.proxy.records()?;
    expect(records.len() == 5, "a line is missing")
}

/// The collector's own proxy sees the exports come in; when they fail there, that is written and not exported.
fn no_recursion(rig: &Rig) -> Result<()> {
    let exporting = Exporting::start(rig, json!({}), json!({}))?;
    let export = exporting.hop.get("export", "/status/503");
    export.header("user-agent", "failgate/0.0.9").send(exporting.hop.port())?;
    let record = exporting.hop.record("export")?;
    expect(record.is_some(), "it is not written")?;
    exporting.fail("other", "/status/503")?;
    exporting.wait_for([1, 0, 0])?;
    let logs = exporting.logs()?;
    expect(logs[0].attributes["failgate.request_id"] == "other", &logs[0].attributes)
}

fn never_from_a_stream(rig: &Rig) -> Result<()> {
    let mut extras = Extras::default();
    extras.options.component_log_level = Some("wasm:trace".to_owned());
    let exporting =
        Exporting::start_with(rig, Mount::Filter, json!({ "maxBatch": 1 }), json!({}), extras)?;
    for path in ASKED {
        exporting.fail(path, path)?;
    }
    exporting.wait_for([6, 0, 0])?;
    let (mut callback, mut calls) = (String::new(), 0);
    for line in exporting.hop.proxy.log().all() {
        // The proxy asks for memory in the middle of other callbacks.
        let entered = line.split_once("[host->vm] ").map(|(_, entered)| entered);
        let entered = entered.filter(|it| it.starts_with("proxy_on_"));
        if let Some(entered) = entered.filter(|it| !it.starts_with("proxy_on_memory_allocate")) {
            callback = entered.to_owned();
        }
        if line.contains("[vm->host] env.proxy_http_call") {
            calls += 1;
            let is_own = ["proxy_on_tick", "proxy_on_http_call_response"];
            expect(is_own.iter().any(|own| callback.starts_with(own)), &callback)?;
        }
    }
    expect(calls >= 6, format!("{calls} calls are in the trace"))?;
    let page = std::fs::read_to_string(workspace().join("docs/otlp.md"));
    let page = page.map_err(|error| Error::new("reading the page", error))?;
    expect(page.contains(COLLECTOR), "the page shows another cluster")
}
