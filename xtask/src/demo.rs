//! `cargo xtask demo`: real failures in a real Envoy, and what failgate says of each.

use failgate_lab::hop::{Hop, Mount};
use failgate_lab::scenario::{ONE_HOP, Outcome};
use failgate_lab::{Result, envoy, module};
use serde_json::Value;

use crate::progress;
use crate::table::{self, status_and_flags, text, times};

/// The cause whose record is shown whole.
const SHOWN: &str = "connection_refused";

const HEAD: [&str; 5] = ["request", "status flags", "gate", "cause", "look first"];

/// Plays every scenario of one hop; true when each got the causes that it expects.
pub fn run(keep: bool) -> Result<bool> {
    progress("building the module");
    let module = module::build(&progress)?;
    let envoy = envoy::find(&progress)?;
    progress(&format!("starting Envoy {}", envoy.version));
    let hop = Hop::start(&envoy, &module, Mount::Filter, "")?;
    let (mut table, mut failures, mut unexpected) = (Vec::new(), 0, Vec::new());
    for scenario in ONE_HOP {
        progress(&format!("playing: {}", scenario.name.replace('_', " ")));
        let outcomes = scenario.play(&hop)?;
        let failed: Vec<_> = outcomes.iter().filter_map(row).collect();
        let found: Vec<_> = failed.iter().map(|[_, _, _, cause, _]| cause.as_str()).collect();
        if found != scenario.causes {
            let (name, expected) = (scenario.name, scenario.causes);
            unexpected.push(format!("{name}: expected {expected:?}, got {found:?}"));
        }
        failures += failed.len();
        table.extend(folded(&failed));
    }
    hop.mock.check()?;
    table::print(HEAD, &table);
    println!("\n{failures} failures, each diagnosed by the filter in a real Envoy.");
    unexpected.iter().for_each(|unexpected| println!("NOT AS EXPECTED  {unexpected}"));
    if let Some(record) = hop.proxy.records()?.iter().find(|it| text(it, "cause") == SHOWN) {
        println!(
            "\nOne whole record, as it stands in Envoy's log behind `failgate ` (here on several lines):\n"
        );
        println!("{record:#}");
    }
    if keep {
        let port = hop.port();
        println!(
            "\nEnvoy is running; its admin page is http://127.0.0.1:{}",
            hop.proxy.admin_port()
        );
        println!(
            "Try http://127.0.0.1:{port}/refused, /denied, /slow/delay/5000, /status/503 with curl."
        );
        println!("Its log, records among it, is shown here. Ctrl-C ends it.\n");
        hop.follow()?;
    }
    Ok(unexpected.is_empty())
}

/// The diagnosis of a request, if it failed.
fn row(outcome: &Outcome) -> Option<[String; 5]> {
    let record = outcome.record.as_ref()?;
    let look = record.get("look").and_then(|look| look.get(0)).and_then(Value::as_str);
    Some([
        outcome.request.clone(),
        status_and_flags(record),
        text(record, "gate").to_owned(),
        text(record, "cause").to_owned(),
        look.unwrap_or_default().to_owned(),
    ])
}

/// The same request with the same answer several times in a row is one line.
fn folded(rows: &[[String; 5]]) -> impl Iterator<Item = [String; 5]> {
    rows.chunk_by(|one, other| one == other).filter_map(|alike| {
        let [request, rest @ ..] = alike.first()?.clone();
        let [status, gate, cause, look] = rest;
        Some([request + &times(alike.len()), status, gate, cause, look])
    })
}
