//! Every scenario of one hop, in both mounts, comes to the records that are written down.

use std::sync::{Arc, LazyLock, OnceLock};

use failgate_lab::hop::{Hop, Mount};
use failgate_lab::scenario::{ONE_HOP, Scenario};
use failgate_lab::{Error, Result, records, workspace};
use jsonschema::Validator;
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::{Rig, assert_records};

/// The kind of the tests of the module as a filter.
pub const FILTER: &str = "filter";

pub fn add(rig: &Arc<Rig>, trials: &mut Vec<Trial>) {
    for (mount, kind) in [(Mount::Filter, FILTER), (Mount::AccessLogger, "access logger")] {
        let shared = Arc::new(Shared { rig: Arc::clone(rig), mount, hop: OnceLock::new() });
        trials.extend(ONE_HOP.iter().map(|scenario| {
            let shared = Arc::clone(&shared);
            let claim = move || {
                let found = holds(scenario, shared.hop()?)?;
                shared.rig.proof.add(&found.into());
                Ok::<(), Failed>(())
            };
            Trial::test(scenario.name, claim).with_kind(kind)
        }));
    }
    trials.push(Trial::test("every_record_on_file_belongs_to_a_scenario", || {
        no_strays().map_err(Failed::from)
    }));
}

/// One Envoy for all scenarios of a mount, started by the first that runs.
struct Shared {
    rig: Arc<Rig>,
    mount: Mount,
    hop: OnceLock<Result<Hop>>,
}

impl Shared {
    fn hop(&self) -> Result<&Hop> {
        self.hop.get_or_init(|| self.rig.hop(self.mount, "")).as_ref().map_err(Clone::clone)
    }
}

fn holds(scenario: &Scenario, hop: &Hop) -> Result<Vec<Value>> {
    let found = records::of(&scenario.play(hop)?);
    let causes: Vec<&str> = found.iter().filter_map(|record| record["cause"].as_str()).collect();
    if causes != scenario.causes {
        let reason = format!("expected {:?}, got {causes:?}\n{found:#?}", scenario.causes);
        return Err(Error::new(scenario.name, reason));
    }
    assert_records(hop, &records::expected("one-hop", scenario.name)?, &found)?;
    hop.mock.check()?;
    Ok(found)
}

fn no_strays() -> Result<()> {
    let folder = workspace().join("crates/lab/records/one-hop");
    for file in
        std::fs::read_dir(&folder).map_err(|error| Error::new("reading the records", error))?
    {
        let path = file.map_err(|error| Error::new("reading the records", error))?.path();
        if !ONE_HOP.iter().any(|scenario| records::path("one-hop", scenario.name) == path) {
            return Err(Error::new(path.display().to_string(), "no scenario has that name"));
        }
    }
    Ok(())
}

/// Is the record what the published schema says?
pub fn valid(record: &Value) -> Result<()> {
    static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
        let schema = include_str!("../../schema/record.v1.json");
        jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap()
    });
    // The records on file have their volatile facts replaced; the schema knows times as times.
    let mut record = record.clone();
    if record.get("time").is_some_and(|time| time == "TIME") {
        record["time"] = "2026-01-31T23:59:59.999Z".into();
    }
    let errors: Vec<String> = SCHEMA
        .iter_errors(&record)
        .map(|error| format!("{error} at {}", error.instance_path()))
        .collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Error::new("validating a record", format!("{errors:?} in {record:#}")))
    }
}
