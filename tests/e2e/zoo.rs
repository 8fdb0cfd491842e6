//! Every scenario of the zoo comes to the records that are written down.

use std::fs;
use std::sync::{Arc, OnceLock};

use failgate_lab::zoo::{self, Scenario, Zoo};
use failgate_lab::{Error, Result, records};
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::{Rig, one_hop};

pub fn add(rig: &Arc<Rig>, trials: &mut Vec<Trial>) {
    let shared = Arc::new(Shared { rig: Arc::clone(rig), zoo: OnceLock::new() });
    trials.extend(zoo::scenarios().map(|scenario| {
        let shared = Arc::clone(&shared);
        let claim = move || {
            let found = holds(scenario, shared.zoo()?)?;
            shared.rig.proof.add(&found.into());
            Ok::<(), Failed>(())
        };
        let is_for = scenario.is_for(&rig.envoy);
        Trial::test(scenario.name, claim).with_kind("zoo").with_ignored_flag(!is_for)
    }));
    trials.push(Trial::test("every_record_of_the_zoo_on_file_belongs_to_a_scenario", || {
        no_strays().map_err(Failed::from)
    }));
}

/// One zoo for all scenarios, opened by the first that runs.
struct Shared {
    rig: Arc<Rig>,
    zoo: OnceLock<Result<Zoo>>,
}

impl Shared {
    fn zoo(&self) -> Result<&Zoo> {
        let start = || Zoo::start(&self.rig.envoy, &self.rig.module);
        self.zoo.get_or_init(start).as_ref().map_err(Clone::clone)
    }
}

fn holds(scenario: &Scenario, zoo: &Zoo) -> Result<Vec<Value>> {
    let compare = || {
        let found = scenario.play(zoo)?;
        scenario.check(zoo.envoy(), &found)?;
        let expected = records::expected("zoo", &scenario.file(zoo.envoy()))?;
        records::compare(&expected.into(), &found.clone().into())?;
        found.iter().try_for_each(one_hop::valid)?;
        Ok(found)
    };
    let found = compare().inspect_err(|_: &Error| eprintln!("{}", zoo.proxy.dump_log()))?;
    zoo.mock.check()?;
    Ok(found)
}

fn no_strays() -> Result<()> {
    let doing = |error| Error::new("reading the records", error);
    for file in fs::read_dir(records::folder().join("zoo")).map_err(doing)? {
        let path = file.map_err(doing)?.path();
        let mut files = zoo::scenarios().flat_map(Scenario::files);
        if !files.any(|file| records::path("zoo", &file) == path) {
            return Err(Error::new(path.display().to_string(), "no scenario has that name"));
        }
    }
    Ok(())
}
