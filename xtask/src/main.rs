//! `cargo xtask`: the project's own commands.

mod bench;
mod bench_start;
mod bench_traffic;
mod demo;
mod demo_mesh;
mod docs;
mod e2e;
mod table;

use std::process::ExitCode;

use failgate_lab::envoy::Envoy;
use failgate_lab::envoyfilter::Patches;
use failgate_lab::hop::{Hop, Mount};
use failgate_lab::mesh::cases::CASES;
use failgate_lab::mesh::{Mesh, Options, Sides};
use failgate_lab::module::Module;
use failgate_lab::mount::{self, Extras, Mounted};
use failgate_lab::records;
use failgate_lab::scenario::ONE_HOP;
use failgate_lab::zoo::{self, Zoo};
use failgate_lab::{Error, Result, envoy, module};

const USAGE: &str = "\
cargo xtask build                   build the module: target/failgate.wasm
cargo xtask demo [--mesh] [--keep]  provoke failures in a real Envoy and print their diagnoses;
                                    --mesh in two sidecars, both sides' in one table;
                                    --keep leaves Envoy running, to be tried with curl
cargo xtask record [WORLD]          write down the records that the end-to-end tests compare with, of all
                                    worlds or one: one-hop, mesh, zoo, mount
cargo xtask e2e [--smoke] [--envoy VERSION]... [FILTER]
                                    run the end-to-end tests on that version of Envoy (on 1.40.0 where none
                                    is named, on `all` that are supported, or on the `older` ones), and say
                                    what each has proved; --smoke runs the few that continuous integration
                                    runs on the older ones
cargo xtask docs                    write docs/causes.md and docs/versions.md, the table of
                                    docs/configuration.md and schema/configuration.v1.json from the tables
cargo xtask bench inspect           measure how fast the command line reads a log, beside jq
cargo xtask bench start             measure what the module costs a proxy that starts, by its workers
cargo xtask bench traffic           measure what the module costs Envoy for each request, in each mount";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["build"] => build().map(|()| true),
        ["demo"] => demo::run(false),
        ["demo", "--keep"] => demo::run(true),
        ["demo", "--mesh"] => demo_mesh::run(false),
        ["demo", "--mesh", "--keep"] | ["demo", "--keep", "--mesh"] => demo_mesh::run(true),
        ["docs"] => docs::write().map(|()| true),
        ["bench", "inspect"] => bench::inspect(),
        ["bench", "start"] => bench_start::run().map(|()| true),
        ["bench", "traffic"] => bench_traffic::run().map(|()| true),
        ["e2e", options @ ..] => e2e::run(options),
        ["record"] => record(records::WORLDS),
        ["record", world @ ("one-hop" | "mesh" | "zoo" | "mount")] => record(&[world]),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(true)
        }
        other => {
            Err(Error::new("reading the command line", format!("{other:?} is none of\n{USAGE}")))
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Says on stderr what takes time.
fn progress(what: &str) {
    eprintln!("  {what}");
}

fn build() -> Result<()> {
    let module = module::build(&progress)?;
    println!(
        "{}: {} bytes, {} gzipped",
        module.path.display(),
        module.raw_bytes,
        module.gzip_bytes
    );
    Ok(())
}

/// Whether every scenario came to the causes that it names; what did not is not written down.
fn record(worlds: &[&str]) -> Result<bool> {
    let module = module::build(&progress)?;
    let envoy = envoy::find(&progress)?;
    let mut all_hold = true;
    for world in worlds {
        match *world {
            "one-hop" => record_one_hop(&envoy, &module)?,
            "mesh" => record_mesh(&envoy, &module)?,
            "mount" => all_hold &= record_mount(&envoy, &module)?,
            _ => all_hold &= record_zoo(&envoy, &module)?,
        }
    }
    Ok(all_hold)
}

fn record_one_hop(envoy: &Envoy, module: &Module) -> Result<()> {
    let hop = Hop::start(envoy, module, Mount::Filter, "")?;
    for scenario in ONE_HOP {
        progress(scenario.name);
        let found = records::of(&scenario.play(&hop)?);
        records::write("one-hop", scenario.name, &found.into())?;
    }
    hop.mock.check()
}

fn record_mesh(envoy: &Envoy, module: &Module) -> Result<()> {
    let mesh = Mesh::start(envoy, module, &Options::default())?;
    for case in CASES {
        progress(&case.file());
        records::write("mesh", &case.file(), &Sides::of(&case.play(&mesh)?).json())?;
    }
    mesh.mock.check()
}

fn record_mount(envoy: &Envoy, module: &Module) -> Result<bool> {
    let mounted = Mounted::start(envoy, &Patches::shipped(module)?, &Extras::default())?;
    let mut all_hold = true;
    for scenario in mount::FAILURES {
        progress(scenario.name);
        let found = mounted.watch(scenario).and_then(|it| it.check(scenario).map(|()| it.records));
        match found {
            Ok(found) => records::write("mount", &scenario.file(envoy), &found.into())?,
            Err(error) => {
                all_hold = false;
                eprintln!("error: {error}");
            }
        }
    }
    mounted.mock.check()?;
    Ok(all_hold)
}

fn record_zoo(envoy: &Envoy, module: &Module) -> Result<bool> {
    let zoo = Zoo::start(envoy, module)?;
    let is_default = envoy.version == envoy::DEFAULT_VERSION;
    let mut all_hold = true;
    for scenario in zoo::scenarios().filter(|scenario| scenario.is_for(envoy)) {
        progress(scenario.name);
        let found =
            scenario.play(&zoo).and_then(|found| scenario.check(envoy, &found).map(|()| found));
        match found {
            // What is on file without a version is what the version that is installed by itself says.
            Ok(_) if !is_default && scenario.file(envoy) == scenario.name => {}
            Ok(found) => records::write("zoo", &scenario.file(envoy), &found.into())?,
            Err(error) => {
                all_hold = false;
                eprintln!("error: {error}");
            }
        }
    }
    zoo.mock.check()?;
    Ok(all_hold)
}
