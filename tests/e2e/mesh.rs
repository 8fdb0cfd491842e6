//! Every case of a mesh comes to the records that are written down, on both sides.

use std::fs;
use std::sync::{Arc, OnceLock};

use failgate_lab::client::Request;
use failgate_lab::mesh::cases::{CASES, Case};
use failgate_lab::mesh::{HTTP, Mesh, Options, Sides};
use failgate_lab::{Error, Result, records, workspace};
use libtest_mimic::{Failed, Trial};

use crate::{Rig, one_hop, test};

pub fn add(rig: &Arc<Rig>, trials: &mut Vec<Trial>) {
    let shared = Arc::new(Shared { rig: Arc::clone(rig), mesh: OnceLock::new() });
    trials.extend(CASES.iter().map(|case| {
        let shared = Arc::clone(&shared);
        let claim = move || {
            let found = holds(case, shared.mesh()?)?;
            shared.rig.proof.add(&found.json());
            Ok::<(), Failed>(())
        };
        Trial::test(case.file(), claim).with_kind("mesh")
    }));
    trials.push(test(
        rig,
        "a_sidecar_without_the_module_writes_nothing_and_the_other_does",
        one_side_without_the_module,
    ));
    trials.push(test(
        rig,
        "a_caller_without_a_sidecar_is_served_where_plain_text_is_permitted",
        plain_text_where_permitted,
    ));
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
        let Rig { envoy, module, .. } = &*self.rig;
        let start = || Mesh::start(envoy, module, &Options::default());
        self.mesh.get_or_init(start).as_ref().map_err(Clone::clone)
    }
}

fn holds(case: &Case, mesh: &Mesh) -> Result<Sides> {
    let found = Sides::of(&case.play(mesh)?);
    let compare = || {
        case.check(&found)?;
        records::compare(&records::on_file("mesh", &case.file())?, &found.json())
    };
    compare().inspect_err(|_| eprintln!("{}", mesh.dump_log()))?;
    found.client.iter().chain(&found.server).try_for_each(one_hop::valid)?;
    mesh.mock.check()?;
    Ok(found)
}

fn one_side_without_the_module(rig: &Rig) -> Result<()> {
    let module = Some(String::new());
    for options in [
        Options { client: None, server: module.clone() },
        Options { client: module.clone(), server: None },
    ] {
        let mesh = Mesh::start(&rig.envoy, &rig.module, &options)?;
        mesh.get("one-side", "mock-server", "/status/503").send(mesh.port(HTTP)?)?;
        let Sides { client, server } = mesh.records("one-side", 1)?;
        let written = [client.len(), server.len()];
        if written != [&options.client, &options.server].map(|side| usize::from(side.is_some())) {
            return Err(Error::new(format!("{options:?}: {written:?}"), mesh.dump_log()));
        }
    }
    Ok(())
}

fn plain_text_where_permitted(rig: &Rig) -> Result<()> {
    let mesh = Mesh::start(&rig.envoy, &rig.module, &Options::default())?;
    let answered = |port| Request::get("/status/200").send(port).map(|response| response.status);
    let answers = [mesh.permissive_port()?, mesh.server.port("inbound_8080")?].map(answered);
    match answers {
        [Ok(200), Ok(0)] => Ok(()),
        other => Err(Error::new(format!("{other:?}"), mesh.dump_log())),
    }
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
