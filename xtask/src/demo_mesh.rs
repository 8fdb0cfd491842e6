//! `cargo xtask demo --mesh`: every case of a mesh, and what failgate says of it in both sidecars.

use failgate_lab::mesh::cases::{CASES, Case, Outcome};
use failgate_lab::mesh::{GRPC, HTTP, Mesh, Options, Sides};
use failgate_lab::{Result, envoy, module};
use serde_json::Value;

use crate::progress;
use crate::table::{self, status_and_flags, text, times};

const HEAD: [&str; 4] = ["case", "what happens", "client's sidecar", "server's sidecar"];

/// Plays every case; true when each got the causes that it expects, on both sides.
pub fn run(keep: bool) -> Result<bool> {
    progress("building the module");
    let module = module::build(&progress)?;
    let envoy = envoy::find(&progress)?;
    progress(&format!("starting Envoy {} twice", envoy.version));
    let mesh = Mesh::start(&envoy, &module, &Options::default())?;
    let (mut table, mut unexpected) = (Vec::new(), Vec::new());
    for case in CASES {
        progress(&format!("playing {}: {}", case.key, case.name.replace('_', " ")));
        let outcomes = case.play(&mesh)?;
        unexpected.extend(case.check(&Sides::of(&outcomes)).err());
        table.extend(rows(case, &outcomes));
    }
    mesh.mock.check()?;
    table::print(HEAD, &table);
    println!("\n{} cases; – is a side that was not reached, or where nothing failed.", CASES.len());
    unexpected.iter().for_each(|unexpected| println!("NOT AS EXPECTED  {unexpected}"));
    if keep {
        follow(mesh)?;
    }
    Ok(unexpected.is_empty())
}

/// A case's failures, a line each: what is alike in a row is one line, and a success is left out beside them.
fn rows(case: &Case, outcomes: &[Outcome]) -> Vec<[String; 4]> {
    let sides = outcomes
        .iter()
        .map(|outcome| [side(&outcome.records.client), side(&outcome.records.server)]);
    let failed: Vec<_> = sides.filter(|sides| sides.iter().any(|side| side != NOTHING)).collect();
    let mut rows: Vec<_> = failed
        .chunk_by(|one, other| one == other)
        .filter_map(|alike| {
            let [client, server] = alike.first()?;
            Some([
                String::new(),
                format!("then{}", times(alike.len())),
                client.clone(),
                server.clone(),
            ])
        })
        .collect();
    if rows.is_empty() {
        rows.push([String::new(), String::new(), NOTHING.to_owned(), NOTHING.to_owned()]);
    }
    if let Some([key, what, ..]) = rows.first_mut() {
        *key = case.key.to_owned();
        *what = case.name.replace('_', " ") + what.trim_start_matches("then");
    }
    rows
}

/// A side without a record.
const NOTHING: &str = "–";

/// What one side said of one request: its tries are alike, or each is shown.
fn side(records: &[Value]) -> String {
    let verdict = |record: &Value| {
        let (gate, cause) = (text(record, "gate"), text(record, "cause"));
        let tries = record.pointer("/retry/attempts").and_then(Value::as_u64);
        let tries = tries.map(|tries| format!(", {tries} tries")).unwrap_or_default();
        // What an access log says by itself, and who it was.
        let (via, who) = match (text(record, "response_code_details"), text(record, "responder")) {
            ("via_upstream", "upstream_proxy") => (" via_upstream", "the server's sidecar: "),
            ("via_upstream", _) => (" via_upstream", ""),
            _ => ("", ""),
        };
        format!("{}{via} → {who}{gate} / {cause}{tries}", status_and_flags(record))
    };
    let verdicts: Vec<_> = records.iter().map(verdict).collect();
    let folded = verdicts.chunk_by(|one, other| one == other);
    let folded = folded.filter_map(|alike| Some(alike.first()?.clone() + &times(alike.len())));
    let folded: Vec<_> = folded.collect();
    if folded.is_empty() { NOTHING.to_owned() } else { folded.join(", ") }
}

fn follow(mesh: Mesh) -> Result<()> {
    let (http, grpc) = (mesh.port(HTTP)?, mesh.port(GRPC)?);
    let [client, server] = [&mesh.client, &mesh.server].map(|proxy| proxy.admin_port());
    println!(
        "\nBoth sidecars are running; their admin pages are http://127.0.0.1:{client} (client)"
    );
    println!(
        "and http://127.0.0.1:{server} (server). The client's takes HTTP on {http}, gRPC on {grpc}:"
    );
    println!("  curl -i -H 'host: mock-server' http://127.0.0.1:{http}/reset-before-response/100");
    println!("  curl -i -H 'host: slow' http://127.0.0.1:{http}/delay/5000");
    println!("Their logs, records among them, are shown here. Ctrl-C ends it.\n");
    mesh.follow()
}
