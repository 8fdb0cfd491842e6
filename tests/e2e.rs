//! End to end: every claim here is made of a real Envoy with the module that ships, and nothing between.
//!
//! The tests of one hop share one Envoy per mount; whoever needs another configuration starts another. A test
//! that is not for the version of Envoy that was found is reported as ignored. `FAILGATE_E2E=smoke` leaves the
//! few tests that `cargo xtask e2e --smoke` is about.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects"
)]

#[path = "e2e/configuration.rs"]
mod configuration;
#[path = "e2e/cost.rs"]
mod cost;
#[path = "e2e/delivery.rs"]
mod delivery;
#[path = "e2e/examples.rs"]
mod examples;
#[path = "e2e/filter_state.rs"]
mod filter_state;
#[path = "e2e/garbage.rs"]
mod garbage;
#[path = "e2e/header.rs"]
mod header;
#[path = "e2e/mesh.rs"]
mod mesh;
#[path = "e2e/metrics.rs"]
mod metrics;
#[path = "e2e/mount.rs"]
mod mount;
#[path = "e2e/one_hop.rs"]
mod one_hop;
#[path = "e2e/otlp.rs"]
mod otlp;
#[path = "e2e/persons.rs"]
mod persons;
#[path = "e2e/prometheus.rs"]
mod prometheus;
#[path = "e2e/proof.rs"]
mod proof;
#[path = "e2e/reconfiguration.rs"]
mod reconfiguration;
#[path = "e2e/rows.rs"]
mod rows;
#[path = "e2e/sinks.rs"]
mod sinks;
#[path = "e2e/storm.rs"]
mod storm;
#[path = "e2e/zoo.rs"]
mod zoo;

use std::env;
use std::process::ExitCode;
use std::sync::Arc;

use failgate_lab::envoy::{self, Envoy};
use failgate_lab::hop::{Hop, Mount};
use failgate_lab::module::{self, Module};
use failgate_lab::{Error, Result, records, workspace};
use libtest_mimic::{Arguments, Conclusion, Failed, Trial};
use serde_json::Value;

use proof::Proof;

/// What a test needs to start a hop of its own.
struct Rig {
    envoy: Envoy,
    module: Module,
    proof: Proof,
}

impl Rig {
    fn hop(&self, mount: Mount, configuration: &str) -> Result<Hop> {
        Hop::start(&self.envoy, &self.module, mount, configuration)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let rig = match rig() {
        Ok(rig) => Arc::new(rig),
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut trials = Vec::new();
    one_hop::add(&rig, &mut trials);
    if env::var_os("FAILGATE_E2E").is_some_and(|set| set == "smoke") {
        // Each gate but the listener's, in the mount that sees more; then what the filter alone can do, and
        // the patches that are shipped.
        trials.retain(|trial| trial.kind() == one_hop::FILTER);
        header::add(&rig, &mut trials);
        configuration::add(&rig, &mut trials);
        mount::add(&rig, &mut trials);
        return conclude(&rig, libtest_mimic::run(&arguments, trials));
    }
    mesh::add(&rig, &mut trials);
    zoo::add(&rig, &mut trials);
    mount::add(&rig, &mut trials);
    delivery::add(&rig, &mut trials);
    header::add(&rig, &mut trials);
    filter_state::add(&rig, &mut trials);
    sinks::add(&rig, &mut trials);
    metrics::add(&rig, &mut trials);
    prometheus::add(&rig, &mut trials);
    otlp::add(&rig, &mut trials);
    persons::add(&rig, &mut trials);
    examples::add(&rig, &mut trials);
    configuration::add(&rig, &mut trials);
    reconfiguration::add(&rig, &mut trials);
    cost::add(&rig, &mut trials);
    garbage::add(&rig, &mut trials);
    storm::add(&rig, &mut trials);
    // The trials own every Envoy, so all are gone when this returns.
    conclude(&rig, libtest_mimic::run(&arguments, trials))
}

fn conclude(rig: &Rig, conclusion: Conclusion) -> ExitCode {
    match rig.proof.write(&conclusion) {
        Ok(()) => conclusion.exit_code(),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn rig() -> Result<Rig> {
    let say = |progress: &str| eprintln!("  {progress}");
    Ok(Rig { module: module::build(&say)?, envoy: envoy::find(&say)?, proof: Proof::default() })
}

/// A test that starts hops of its own.
fn test(rig: &Arc<Rig>, name: &str, claim: fn(&Rig) -> Result<()>) -> Trial {
    let rig = Arc::clone(rig);
    Trial::test(name, move || claim(&rig).map_err(Failed::from))
}

/// What a YAML file of the project says.
fn yaml(path: &str) -> Result<Value> {
    let doing = || format!("reading {path}");
    let text = std::fs::read_to_string(workspace().join(path))
        .map_err(|error| Error::new(doing(), error))?;
    serde_saphyr::from_str(&text).map_err(|error| Error::new(doing(), error))
}

/// Fails with what Envoy said when the records differ, or when one of them is not what the schema says.
fn assert_records(hop: &Hop, expected: &[Value], found: &[Value]) -> Result<()> {
    records::compare(&expected.into(), &found.into())
        .inspect_err(|_| eprintln!("{}", hop.proxy.dump_log()))?;
    found.iter().try_for_each(one_hop::valid)
}
