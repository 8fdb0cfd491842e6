//! What a real Prometheus makes of the counters, and whether the rules that are shipped are good.

use std::collections::BTreeSet;
use std::sync::Arc;

use failgate_lab::hop::{Hop, Mount};
use failgate_lab::prometheus::{self, Prometheus};
use failgate_lab::{Error, Result, workspace};
use failgate_verdict::cause::Cause;
use failgate_verdict::terms::GATES;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::metrics::{ASKED, COUNTED, ask, documented, hop, istio};
use crate::{Rig, test, yaml};

const RULES: &str = "examples/prometheus-rules.yaml";
const TESTS: &str = "tests/prometheus-rules.yaml";

#[rustfmt::skip]
pub fn add(rig: &Arc<Rig>, trials: &mut Vec<Trial>) {
    trials.push(test(rig, "a_real_prometheus_has_gate_and_cause_as_labels", scraped));
    trials.push(test(rig, "promtool_reads_the_metrics_and_misses_only_what_envoy_never_writes", linted));
    trials.push(test(rig, "each_shipped_rule_is_right_and_tested", rules));
    trials.push(test(rig, "the_shipped_rules_name_gates_and_causes_that_there_are", words_of_rules));
}

fn progress(what: &str) {
    eprintln!("  {what}");
}

/// Two proxies, and one of them once more with its labels renamed as the page on metrics shows it.
fn scraped(rig: &Rig) -> Result<()> {
    let tools = prometheus::find(&progress)?;
    let stock = hop(rig, Mount::Filter, r#"{"x":1}"#, istio())?;
    let plain = hop(rig, Mount::Filter, "", documented()?)?;
    for proxy in [&stock, &plain] {
        ask(proxy, &ASKED)?;
    }
    let port = |hop: &Hop| hop.proxy.admin_port();
    let jobs = [("istio", port(&stock)), ("plain", port(&plain)), ("renamed", port(&stock))];
    let mut configuration = Prometheus::scraping(&jobs);
    configuration["rule_files"] = json!([workspace().join(RULES)]);
    configuration["scrape_configs"][2]["metric_relabel_configs"] =
        renaming_documented()?["metric_relabel_configs"].clone();
    let prometheus = Prometheus::start(&tools, &configuration)?;

    for (job, proxy, names) in
        [("istio", &stock, ["component", "tag"]), ("plain", &plain, ["gate", "cause"])]
    {
        let series = COUNTED.map(|(gate, cause, count)| {
            let labels = json!({
                "__name__": "failgate_failures_total",
                "job": job,
                "instance": format!("127.0.0.1:{}", port(proxy)),
                names[0]: gate,
                names[1]: cause,
            });
            (labels, count)
        });
        prometheus.wait_for(&format!("failgate_failures_total{{job=\"{job}\"}}"), &series)?;
    }
    let by_gate = COUNTED.map(|(gate, _, count)| (json!({ "gate": gate }), count));
    prometheus.wait_for(r#"sum by (gate) (failgate_failures_total{job="plain"})"#, &by_gate)?;
    let both = COUNTED.map(|(gate, cause, count)| (json!({ "gate": gate, "cause": cause }), count));
    let renamed = r#"sum by (gate, cause) (failgate_failures_total{job="renamed"})"#;
    prometheus.wait_for(renamed, &both)?;
    let mistakes = r#"sum without (instance) (failgate_configuration_errors_total{job="istio"})"#;
    prometheus.wait_for(mistakes, &[(json!({ "job": "istio" }), "1")])?;
    // The shipped rules: the same labels, whatever the proxy calls them.
    for job in ["istio", "plain"] {
        let rate = format!(
            "count by (gate, cause) (gate_cause:failgate_failures:rate5m{{job=\"{job}\"}})"
        );
        let ones = both.clone().map(|(labels, _)| (labels, "1"));
        prometheus.wait_for(&rate, &ones)?;
    }
    let alert =
        r#"count by (alertname) (ALERTS{alertname="FailgateConfigurationErrors",job="istio"})"#;
    let fires = json!({ "alertname": "FailgateConfigurationErrors" });
    prometheus.wait_for(alert, &[(fires, "1")])
}

/// The renaming in the page on metrics.
fn renaming_documented() -> Result<Value> {
    let doing = || "reading the page on metrics".to_owned();
    let page = std::fs::read_to_string(workspace().join("docs/metrics.md"));
    let page = page.map_err(|error| Error::new(doing(), error))?;
    let block = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    serde_saphyr::from_str(block.unwrap_or_default()).map_err(|error| Error::new(doing(), error))
}

fn linted(rig: &Rig) -> Result<()> {
    let tools = prometheus::find(&progress)?;
    for bootstrap in [istio(), documented()?] {
        let hop = hop(rig, Mount::Filter, r#"{"log":{"maxPerSecond":1},"x":1}"#, bootstrap)?;
        ask(&hop, &ASKED[..1])?;
        for _ in 0..20 {
            hop.send("storm", "/status/503")?;
        }
        let has_all = || {
            let page = hop.proxy.admin("/stats/prometheus").unwrap_or_default();
            OURS.iter().all(|name| page.contains(name)).then_some(page)
        };
        failgate_lab::wait_until(failgate_lab::PATIENCE, "all our metrics", || {
            has_all().is_some()
        })?;
        let page = has_all().unwrap_or_default();
        let lints = tools.lint_metrics(&page)?;
        let ours: BTreeSet<_> =
            lints.iter().filter(|lint| lint.starts_with("failgate")).cloned().collect();
        // Envoy writes no help texts, for its own metrics neither.
        let expected: BTreeSet<_> =
            OURS.iter().map(|name| format!("{name} no help text")).collect();
        if ours != expected {
            return Err(Error::new("promtool check metrics", format!("{lints:#?}")));
        }
    }
    Ok(())
}

const OURS: [&str; 3] = [
    "failgate_configuration_errors_total",
    "failgate_failures_total",
    "failgate_records_suppressed_total",
];

fn rules(_: &Rig) -> Result<()> {
    let tools = prometheus::find(&progress)?;
    tools.check_rules(&workspace().join(RULES))?;
    tools.test_rules(&workspace().join(TESTS))?;
    // A rule that no test asks for would pass it.
    let tests = yaml(TESTS)?.to_string();
    for rule in names_of_rules()? {
        let asked = [format!("\"alertname\":\"{rule}\""), format!("\"expr\":\"{rule}\"")];
        if !asked.iter().any(|asked| tests.contains(asked)) {
            return Err(Error::new(TESTS, format!("nothing asks for {rule}")));
        }
    }
    Ok(())
}

fn names_of_rules() -> Result<Vec<String>> {
    let rules = yaml(RULES)?;
    let rules = rules["groups"][0]["rules"].as_array().cloned().unwrap_or_default();
    let name = |rule: &Value| Some(rule["alert"].as_str().or(rule["record"].as_str())?.to_owned());
    let names: Vec<_> = rules.iter().filter_map(name).collect();
    if names.len() == rules.len() && names.len() > 5 {
        Ok(names)
    } else {
        Err(Error::new(RULES, format!("{names:?}")))
    }
}

fn words_of_rules(_: &Rig) -> Result<()> {
    let text = yaml(RULES)?.to_string();
    let words = |label: &str| {
        let values = text.split(label).skip(1).filter_map(|rest| rest.split('"').nth(1));
        let values = values.map(|value| value.trim_end_matches('\\'));
        values.flat_map(|value| value.split('|')).map(str::to_owned).collect::<Vec<_>>()
    };
    let causes = [words("{cause=~\\"), words("{cause=\\")].concat();
    let gates = words("{gate=\\");
    if causes.len() < 8 || gates.len() < 4 {
        return Err(Error::new(RULES, format!("{causes:?} {gates:?}")));
    }
    let unknown = causes.iter().filter(|name| Cause::named(name).is_none());
    let unknown =
        unknown.chain(gates.iter().filter(|name| GATES.iter().all(|gate| gate.name != **name)));
    match unknown.cloned().collect::<Vec<_>>().as_slice() {
        [] => Ok(()),
        unknown => Err(Error::new(RULES, format!("there is no {unknown:?}"))),
    }
}
