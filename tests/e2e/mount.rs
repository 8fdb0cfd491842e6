//! The shipped access-logger mount: what failed comes to the records that are written down, and what did not
//! never enters the VM.

use std::fs;
use std::sync::{Arc, OnceLock};

use failgate_lab::config::{plugin, wasm_filter};
use failgate_lab::envoyfilter::Patches;
use failgate_lab::mount::{Extras, FAILURES, Mounted, SUCCESSES, Scenario};
use failgate_lab::{Error, Result, records};
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::{Rig, one_hop, test};

/// So often each kind of success happens.
const SUCCESSES_OF_EACH_KIND: usize = 20;

pub fn add(rig: &Arc<Rig>, trials: &mut Vec<Trial>) {
    let shared = Arc::new(Shared { rig: Arc::clone(rig), mounted: OnceLock::new() });
    trials.extend(FAILURES.iter().map(|scenario| {
        let shared = Arc::clone(&shared);
        let claim = move || {
            let found = holds(scenario, shared.mounted()?)?;
            shared.rig.proof.add(&found.into());
            Ok::<(), Failed>(())
        };
        Trial::test(scenario.name, claim).with_kind("mount")
    }));
    trials.push(Trial::test("a_success_never_enters_the_vm_of_the_shipped_mount", move || {
        successes(shared.mounted()?).map_err(Failed::from)
    }));
    trials.push(test(rig, "beside_a_wasmplugin_the_second_half_of_the_mount_is_enough", beside));
    trials.push(Trial::test("every_record_of_the_mount_on_file_belongs_to_a_scenario", || {
        no_strays().map_err(Failed::from)
    }));
}

/// One sidecar for all scenarios, started by the first that runs.
struct Shared {
    rig: Arc<Rig>,
    mounted: OnceLock<Result<Mounted>>,
}

impl Shared {
    fn mounted(&self) -> Result<&Mounted> {
        let Rig { envoy, module, .. } = &*self.rig;
        let start = || Mounted::start(envoy, &Patches::shipped(module)?, &Extras::default());
        self.mounted.get_or_init(start).as_ref().map_err(Clone::clone)
    }
}

fn holds(scenario: &Scenario, mounted: &Mounted) -> Result<Vec<Value>> {
    let found = mounted.watch(scenario)?;
    found.check(scenario)?;
    let expected = records::expected("mount", &scenario.file(&mounted.envoy))?;
    records::compare(&expected.into(), &found.records.clone().into())?;
    found.records.iter().try_for_each(one_hop::valid)?;
    mounted.mock.check()?;
    Ok(found.records)
}

fn successes(mounted: &Mounted) -> Result<()> {
    for scenario in SUCCESSES {
        let found = mounted.watch_often(scenario, SUCCESSES_OF_EACH_KIND)?;
        if !found.entries.is_empty() || !found.records.is_empty() {
            return Err(Error::new(scenario.name, format!("{found:#?}")));
        }
    }
    mounted.mock.check()
}

/// The page says that nothing is recorded twice then, and nothing is missed.
fn beside(rig: &Rig) -> Result<()> {
    let patches = Patches::selected(&rig.module, "connections")?;
    let filter = Some(wasm_filter(&plugin(&rig.module.path, "")));
    let mounted = Mounted::start(&rig.envoy, &patches, &Extras { filter, ..Extras::default() })?;
    for scenario in FAILURES {
        let found = mounted.watch(scenario)?.records;
        let causes: Vec<&str> =
            found.iter().filter_map(|record| record["cause"].as_str()).collect();
        if causes != scenario.causes {
            return Err(Error::new(scenario.name, format!("{found:#?}")));
        }
    }
    Ok(())
}

fn no_strays() -> Result<()> {
    let doing = |error| Error::new("reading the records", error);
    for file in fs::read_dir(records::folder().join("mount")).map_err(doing)? {
        let path = file.map_err(doing)?.path();
        let mut files = FAILURES.iter().flat_map(Scenario::files);
        if !files.any(|file| records::path("mount", &file) == path) {
            return Err(Error::new(path.display().to_string(), "no scenario has that name"));
        }
    }
    Ok(())
}
