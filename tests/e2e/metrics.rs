//! Counters as a scrape of the proxy sees them, under Istio's bootstrap and under the one that the page shows.

use std::sync::Arc;

use failgate_lab::hop::{Extras, Hop, Mount};
use failgate_lab::{Error, Result, workspace};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::{Rig, test};

#[rustfmt::skip]
pub fn add(rig: &Arc<Rig>, trials: &mut Vec<Trial>) {
    trials.push(test(rig, "a_stock_istio_bootstrap_has_gate_and_cause_as_labels", under_istio));
    trials.push(test(rig, "labels_that_a_mesh_names_for_others_change_none_of_ours", beside_named_labels));
    trials.push(test(rig, "the_documented_bootstrap_names_the_labels_gate_and_cause", as_documented));
    trials.push(test(rig, "what_is_not_written_is_counted_and_so_is_a_mistake", own_health));
    trials.push(test(rig, "metrics_can_be_switched_off", switched_off));
}

/// `stats_tags` and `stats_matcher` of Istio's bootstrap template, as far as they are always there.
pub fn istio() -> Value {
    let tag = |name: &str, regex: &str| json!({ "tag_name": name, "regex": regex });
    let prefixes = [
        "reporter=",
        "component",
        "istio",
        "cluster_manager",
        "listener_manager",
        "server",
        "cluster.xds-grpc",
        "wasm",
    ];
    json!({ "stats_config": {
        "use_all_default_tags": false,
        "stats_tags": [
            tag("cluster_name", r"^cluster\.((.+?(\..+?\.svc\.cluster\.local)?)\.)"),
            tag("response_code", r"_rq(_(\d{3}))$"),
            tag("response_code_class", r"_rq(_(\dxx))$"),
            tag("cache", r"(cache\.(.+?)\.)"),
            tag("component", r"(component\.(.+?)\.)"),
            tag("tag", r"(tag\.(.+?);\.)"),
            tag("wasm_filter", r"(wasm_filter\.(.+?)\.)"),
        ],
        "stats_matcher": { "inclusion_list": { "patterns":
            prefixes.map(|prefix| json!({ "prefix": prefix })) } },
    } })
}

pub fn documented() -> Result<Value> {
    let page = std::fs::read_to_string(workspace().join("docs/metrics.md"));
    let page = page.map_err(|error| Error::new("reading the page on metrics", error))?;
    let json = page
        .split("```json\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap_or_default();
    serde_json::from_str(json).map_err(|error| Error::new("reading the page on metrics", error))
}

pub fn hop(rig: &Rig, mount: Mount, configuration: &str, bootstrap: Value) -> Result<Hop> {
    let mut extras = Extras { bootstrap, ..Extras::default() };
    extras.options.concurrency = 2;
    Hop::start_with(&rig.envoy, &rig.module, mount, configuration, &extras)
}

/// Our lines of a scrape, without comments.
fn scraped(hop: &Hop) -> Result<Vec<String>> {
    let page = hop.proxy.admin("/stats/prometheus")?;
    Ok(page.lines().filter(|line| line.starts_with("failgate_")).map(str::to_owned).collect())
}

/// Asks and waits until the streams are over, so that all is counted.
pub fn ask(hop: &Hop, paths: &[&str]) -> Result<()> {
    for (number, path) in paths.iter().enumerate() {
        let id = format!("ask-{number}");
        hop.send(&id, path)?;
        hop.record(&id)?;
    }
    Ok(())
}

fn expect(hop: &Hop, mut expected: Vec<String>) -> Result<()> {
    let mut found = scraped(hop)?;
    found.sort();
    expected.sort();
    if found == expected {
        Ok(())
    } else {
        Err(Error::new("scraping", format!("expected {expected:#?}, got {found:#?}")))
    }
}

/// What the proxies here are asked.
pub const ASKED: [&str; 6] =
    ["/status/503", "/status/503", "/denied", "/nowhere", "/status/200", "/status/503"];

/// Gate and cause of the failures of [`ASKED`], and how many there are of each.
pub const COUNTED: [(&str, &str, &str); 3] = [
    ("application", "application_error", "3"),
    ("filter", "authorization_denied", "1"),
    ("route", "route_not_found", "1"),
];

fn failures(labels: [&str; 2]) -> Vec<String> {
    let [gate, cause] = labels;
    let line = |(g, c, count)| {
        format!("failgate_failures_total{{{gate}=\"{g}\",{cause}=\"{c}\"}} {count}")
    };
    COUNTED.into_iter().map(line).collect()
}

fn under_istio(rig: &Rig) -> Result<()> {
    for mount in [Mount::Filter, Mount::AccessLogger] {
        let hop = hop(rig, mount, "", istio())?;
        ask(&hop, &ASKED)?;
        expect(&hop, failures(["component", "tag"]))?;
    }
    Ok(())
}

/// A mesh that names labels for other modules loses none of ours.
fn beside_named_labels(rig: &Rig) -> Result<()> {
    let named = |tag: &str| json!({ "tag_name": tag, "regex": format!(r"({tag}=\.=(.*?);\.;)") });
    let mut bootstrap = istio();
    if let Some(tags) = bootstrap["stats_config"]["stats_tags"].as_array_mut() {
        tags.extend(["gate", "cause"].map(named));
    }
    let hop = hop(rig, Mount::Filter, "", bootstrap)?;
    ask(&hop, &ASKED)?;
    expect(&hop, failures(["component", "tag"]))
}

fn as_documented(rig: &Rig) -> Result<()> {
    let hop = hop(rig, Mount::Filter, "", documented()?)?;
    ask(&hop, &ASKED)?;
    expect(&hop, failures(["gate", "cause"]))
}

fn own_health(rig: &Rig) -> Result<()> {
    let hop = hop(rig, Mount::Filter, r#"{"log":{"maxPerSecond":1},"x":1,"y":2}"#, istio())?;
    for _ in 0..40 {
        hop.send("storm", "/status/503")?;
    }
    let written = || hop.proxy.records().map(|records| records.len());
    let count = |name: &str| -> Result<usize> {
        let lines = scraped(&hop)?;
        let value =
            lines.iter().find_map(|line| line.strip_prefix(name)?.rsplit(' ').next()?.parse().ok());
        value.ok_or_else(|| Error::new(name, format!("{lines:#?}")))
    };
    // A stream's log callback comes after its last byte.
    failgate_lab::wait_until(failgate_lab::PATIENCE, "all failures to be counted", || {
        count("failgate_failures_total").is_ok_and(|failed| failed == 40)
    })?;
    let (written, suppressed) = (written()?, count("failgate_records_suppressed_total")?);
    let mistakes = count("failgate_configuration_errors_total")?;
    if written + suppressed == 40 && suppressed > 0 && mistakes == 2 {
        return Ok(());
    }
    Err(Error::new(
        "counting",
        format!("{written} written, {suppressed} suppressed, {mistakes} mistakes"),
    ))
}

fn switched_off(rig: &Rig) -> Result<()> {
    let hop = hop(rig, Mount::Filter, r#"{"metrics":{"enabled":false},"x":1}"#, istio())?;
    ask(&hop, &ASKED)?;
    expect(&hop, vec![])
}
