//! `cargo xtask demo`: real failures in a real Envoy, and what failgate says of each.

use std::io::IsTerminal as _;

use failgate_lab::hop::{Hop, Mount};
use failgate_lab::scenario::{ONE_HOP, Outcome, Scenario};
use failgate_lab::{Result, envoy, module};
use serde_json::Value;

use crate::progress;

/// The cause whose record is shown whole.
const SHOWN: &str = "connection_refused";

/// Plays every scenario of one hop; true when each got the causes that it expects.
pub fn run(keep: bool) -> Result<bool> {
    progress("building the module");
    let module = module::build(&progress)?;
    let envoy = envoy::find(&progress)?;
    progress(&format!("starting Envoy {}", envoy.version));
    let hop = Hop::start(&envoy, &module, Mount::Filter, "")?;
    let mut table = Table::default();
    for scenario in ONE_HOP {
        progress(&format!("playing: {}", scenario.name.replace('_', " ")));
        let outcomes = scenario.play(&hop)?;
        table.add(scenario, &outcomes);
    }
    hop.mock.check()?;
    table.print();
    if let Some(record) =
        hop.proxy.records()?.iter().find(|record| text(record, "cause") == Some(SHOWN))
    {
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
    Ok(table.unexpected.is_empty())
}

/// The diagnoses, a line each.
#[derive(Default)]
struct Table {
    rows: Vec<[String; 5]>,
    failures: usize,
    unexpected: Vec<String>,
}

const HEAD: [&str; 5] = ["request", "status flags", "gate", "cause", "look first"];

impl Table {
    fn add(&mut self, scenario: &Scenario, outcomes: &[Outcome]) {
        let found: Vec<&str> =
            outcomes.iter().filter_map(|it| text(it.record.as_ref()?, "cause")).collect();
        if found != scenario.causes {
            let expected = scenario.causes;
            self.unexpected
                .push(format!("{}: expected {expected:?}, got {found:?}", scenario.name));
        }
        let failed = outcomes.iter().filter_map(|it| Some(row(&it.request, it.record.as_ref()?)));
        let failed: Vec<_> = failed.collect();
        self.failures += failed.len();
        // The same request with the same answer several times in a row is one line.
        for alike in failed.chunk_by(|one, other| one == other) {
            if let Some([request, rest @ ..]) = alike.first().cloned() {
                let times =
                    if alike.len() > 1 { format!(" (x{})", alike.len()) } else { String::new() };
                let [status, gate, cause, look] = rest;
                self.rows.push([request + &times, status, gate, cause, look]);
            }
        }
    }

    fn print(&self) {
        let mut widths = HEAD.map(str::len);
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let line = |cells: [&str; 5]| {
            let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let terminal = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let bold = |text: String| if terminal { format!("\x1b[1m{text}\x1b[0m") } else { text };
        println!("\n{}", bold(line(HEAD)));
        for cells in &self.rows {
            println!("{}", line(cells.each_ref().map(String::as_str)));
        }
        println!("\n{} failures, each diagnosed by the filter in a real Envoy.", self.failures);
        for unexpected in &self.unexpected {
            println!("NOT AS EXPECTED  {unexpected}");
        }
    }
}

fn row(request: &str, record: &Value) -> [String; 5] {
    let status = record.get("response_code").map_or_else(|| "0".to_owned(), Value::to_string);
    let flags: Vec<&str> = record
        .get("response_flags")
        .and_then(Value::as_array)
        .map(|flags| flags.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let flags = if flags.is_empty() { "-".to_owned() } else { flags.join(",") };
    let look = record.get("look").and_then(|look| look.get(0)).and_then(Value::as_str);
    [
        request.to_owned(),
        format!("{status} {flags}"),
        text(record, "gate").unwrap_or_default().to_owned(),
        text(record, "cause").unwrap_or_default().to_owned(),
        look.unwrap_or_default().to_owned(),
    ]
}

fn text<'a>(record: &'a Value, key: &str) -> Option<&'a str> {
    record.get(key).and_then(Value::as_str)
}
