//! What may tell of persons: nothing of it is anywhere by default, and what is named is there without its secrets.

use std::sync::Arc;

use failgate_lab::client::Request;
use failgate_lab::config::{access_log_on_stdout, cluster};
use failgate_lab::hop::{Extras, Hop, Mount, PATIENCE};
use failgate_lab::otlp::{self, Receiver};
use failgate_lab::{Error, Result};
use failgate_verdict::record::EXTRA_FIELDS;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::filter_state::documented;
use crate::one_hop::valid;
use crate::{Rig, test};

pub fn add(rig: &Arc<Rig>, trials: &mut Vec<Trial>) {
    trials.push(test(rig, "a_request_full_of_secrets_leaves_none_anywhere", nothing));
    trials.push(test(rig, "what_the_configuration_names_is_in_the_record_and_no_more", named));
    trials.push(test(rig, "named_facts_are_bounded_and_escaped", bounded));
    trials.push(test(rig, "the_ids_of_a_trace_are_read_from_either_header", traces));
    trials.push(test(rig, "an_ignored_cause_is_in_no_place", ignored));
}

/// In every part of a request that a client fills in.
const SECRET: &str = "hunter2-tr0ub4dor";

const TRACE: &str = "5b8efff798038103d269b633813fc60c";
const SPAN: &str = "eee19b7ec3c1b174";

/// A hop with all that a record can go to, and what it has said everywhere.
struct Everywhere {
    hop: Hop,
    collector: Receiver,
}

impl Everywhere {
    fn start(rig: &Rig, settings: Value) -> Result<Self> {
        let collector = Receiver::start()?;
        let sinks = json!({
            "header": { "mode": "always" },
            "otlp": { "cluster": "collector", "interval": "100ms" },
        });
        let settings = failgate_lab::config::with(sinks, settings).to_string();
        let format: Value = serde_json::from_str(&documented("json")?)
            .map_err(|error| Error::new("reading the format", error))?;
        let extras = Extras {
            access_logs: vec![access_log_on_stdout(&format)],
            clusters: vec![cluster("collector", &[collector.port()])],
            ..Extras::default()
        };
        let hop = Hop::start_with(&rig.envoy, &rig.module, Mount::Filter, &settings, &extras)?;
        Ok(Self { hop, collector })
    }

    /// What is said of a request in the log, in our part of the access log, in the header, by the counters and to
    /// the collector.
    fn said(&self, request: &Request, id: &str) -> Result<(Value, String)> {
        let response = request.send(self.hop.port())?;
        let record = self.hop.record(id)?.ok_or_else(|| Error::new(id, "no record"))?;
        valid(&record)?;
        let line = self
            .hop
            .proxy
            .access_log()
            .wait_for(PATIENCE, |line| line.starts_with('{') && line.contains(id))?;
        let line: Value = serde_json::from_str(&line)
            .map_err(|error| Error::new("reading the access log", error))?;
        let own: String = ["failure_gate", "failure_cause", "failure_look"]
            .iter()
            .map(|key| line[key].to_string())
            .collect();
        self.collector.wait_for(PATIENCE, 1)?;
        let bodies = self.collector.delivered();
        otlp::check(&bodies)?;
        let sent = bodies.iter().map(|body| String::from_utf8_lossy(body).into_owned());
        let counters = self.hop.proxy.admin("/stats?filter=failgate")?;
        let logged: Vec<String> = self.hop.proxy.log().all();
        let logged = logged.iter().filter(|line| line.contains("failgate")).cloned();
        let header = response.values("proxy-status").join("\n");
        let all = logged.chain(sent).chain([own, counters, header]);
        Ok((record, all.collect::<Vec<_>>().join("\n")))
    }
}

/// A request with the secret wherever a client can put one.
fn secretive(id: &str) -> Request {
    Request::get(format!("/denied?token={SECRET}"))
        .header("x-request-id", id)
        .header("authorization", format!("Bearer {SECRET}"))
        .header("cookie", format!("session={SECRET}"))
        .header("x-api-key", SECRET)
        .header("referer", format!("https://a.example/{SECRET}"))
        .header("x-forwarded-for", SECRET)
        .header("x-forwarded-client-cert", format!("Subject=\"{SECRET}\""))
        .header("proxy-status", format!("a; error=x; details=\"{SECRET}\""))
        .header("traceparent", format!("00-{TRACE}-{SPAN}-01"))
        .header("tracestate", format!("a={SECRET}"))
        .header("baggage", format!("a={SECRET}"))
}

fn lacks(text: &str, words: &[&str]) -> Result<()> {
    match words.iter().find(|word| text.contains(**word)) {
        None => Ok(()),
        Some(word) => Err(Error::new(format!("looking for {word}"), text)),
    }
}

fn expect(holds: bool, otherwise: impl ToString) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::new("what a record tells", otherwise.to_string())) }
}

fn nothing(rig: &Rig) -> Result<()> {
    let everywhere = Everywhere::start(rig, json!({}))?;
    let request = secretive("quiet").header("user-agent", SECRET);
    let (record, all) = everywhere.said(&request, "quiet")?;
    expect(all.matches("authorization_denied").count() >= 5, &all)?;
    lacks(&all, &[SECRET, "127.0.0.1:", "/denied", TRACE, SPAN])?;
    for key in ["path", "authority", "user_agent", "downstream_remote_address", "trace_id"] {
        expect(record.get(key).is_none(), &record)?;
    }
    Ok(())
}

fn named(rig: &Rig) -> Result<()> {
    let everywhere = Everywhere::start(rig, json!({ "fields": EXTRA_FIELDS }))?;
    let request = secretive("told").header("user-agent", "curl/8");
    let (record, all) = everywhere.said(&request, "told")?;
    lacks(&all, &[SECRET, "token"])?;
    expect(record["path"] == "/denied", &record)?;
    expect(record["user_agent"] == "curl/8", &record)?;
    expect(record["authority"].is_string(), &record)?;
    let address = record["downstream_remote_address"].as_str().unwrap_or_default();
    expect(address.starts_with("127.0.0.1:"), &record)?;
    // Without TLS nobody has asked for a name.
    expect(record.get("requested_server_name").is_none(), &record)?;
    let logs = otlp::check(&everywhere.collector.delivered())?;
    expect(logs[0].attributes["url.path"] == "/denied", &logs[0].attributes)?;
    expect(logs[0].attributes["user_agent.original"] == "curl/8", &logs[0].attributes)?;
    expect(
        (logs[0].trace_id.as_str(), logs[0].span_id.as_str()) == (TRACE, SPAN),
        &logs[0].trace_id,
    )
}

fn bounded(rig: &Rig) -> Result<()> {
    let everywhere = Everywhere::start(rig, json!({ "fields": EXTRA_FIELDS }))?;
    let long = "é\"\\{}".repeat(2_000);
    let request = Request::get(format!("/denied/{}", "a".repeat(5_000)))
        .header("x-request-id", "long")
        .header("user-agent", &long)
        .header("traceparent", &long);
    let (record, _) = everywhere.said(&request, "long")?;
    expect(record["path"].as_str().is_some_and(|path| path.len() == 512), &record)?;
    let user_agent = record["user_agent"].as_str().unwrap_or_default();
    expect((509..=512).contains(&user_agent.len()) && long.starts_with(user_agent), &record)?;
    expect(record.get("trace_id").is_none(), &record)
}

fn traces(rig: &Rig) -> Result<()> {
    let everywhere = Everywhere::start(rig, json!({ "fields": ["trace"] }))?;
    let get = |id: &str| Request::get("/denied").header("x-request-id", id);
    let requests = [
        ("w3c", get("w3c").header("traceparent", format!("00-{TRACE}-{SPAN}-00"))),
        ("b3", get("b3").header("b3", format!("{TRACE}-{SPAN}-1"))),
        ("b3-multi", get("b3-multi").header("x-b3-traceid", TRACE).header("x-b3-spanid", SPAN)),
    ];
    for (id, request) in requests {
        let (record, _) = everywhere.said(&request, id)?;
        expect(record["trace_id"] == TRACE && record["span_id"] == SPAN, &record)?;
    }
    Ok(())
}

fn ignored(rig: &Rig) -> Result<()> {
    let everywhere = Everywhere::start(rig, json!({ "ignore": ["authorization_denied"] }))?;
    everywhere.hop.send("ignored", "/denied")?;
    expect(everywhere.hop.record("ignored")?.is_none(), "it is in the log")?;
    let request = everywhere.hop.get("reported", "/nowhere");
    let (_, all) = everywhere.said(&request, "reported")?;
    lacks(&all, &["ignored", "component.filter"])
}
