//! Every case of a mesh comes to the records that are written down, on both sides.

use std::fs;
use std::sync::{Arc, OnceLock};

use failgate_lab::mesh::cases::{CASES, Case};
use failgate_lab::mesh::{Mesh, Options, Sides};
use failgate_lab::{Error, Result, records, workspace};
use libtest_mimic::{Failed, Trial};

use crate::{Rig, one_hop};

pub fn add(rig: &Arc<Rig>, trials: &mut Vec<Trial>) {
    let shared = Arc::new(Shared { rig: Arc::clone(rig), mesh: OnceLock::new() });
    trials.extend(CASES.iter().map(|case| {
        let shared = Arc::clone(&shared);
        let claim = move || holds(case, shared.mesh()?).map_err(Failed::from);
        Trial::test(case.file(), claim).with_kind("mesh")
    }));
    trials.push(Trial::test("every_record_of_a_mesh_on_file_belongs_to_a_case", || {
        no_strays().map_err(Failed::from)
    }));
}

/// Two Envoys for all cases, started by the first that runs.
struct Shared {
    rig: Arc<Rig>,
    mesh: OnceLock<Result<Mesh>>,
}

impl Shared {
    fn mesh(&self) -> Result<&Mesh> {
        let Rig { envoy, module } = &*self.rig;
        let start = || Mesh::start(envoy, module, &Options::default());
        self.mesh.get_or_init(start).as_ref().map_err(Clone::clone)
    }
}

fn holds(case: &Case, mesh: &Mesh) -> Result<()> {
    let found = Sides::of(&case.play(mesh)?);
    let compare = || {
        case.check(&found)?;
        records::compare(&records::on_file("mesh", &case.file())?, &found.json())
    };
    compare().inspect_err(|_| eprintln!("{}", mesh.dump_log()))?;
    found.client.iter().chain(&found.server).try_for_each(one_hop::valid)?;
    mesh.mock.check()
}

fn no_strays() -> Result<()> {
    let doing = |error| Error::new("reading the records", error);
    for file in fs::read_dir(workspace().join("crates/lab/records/mesh")).map_err(doing)? {
        let path = file.map_err(doing)?.path();
        if !CASES.iter().any(|case| records::path("mesh", &case.file()) == path) {
            return Err(Error::new(path.display().to_string(), "no case has that name"));
        }
    }
    Ok(())
}
