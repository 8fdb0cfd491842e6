//! How the module comes to the proxy of the shipped mount, and what happens when it does not come.

use std::fs;
use std::sync::Arc;

use failgate_lab::client::Leave;
use failgate_lab::envoyfilter::Patches;
use failgate_lab::mount::{Extras, FAILURES, Mounted, SUCCESSES};
use failgate_lab::peers::{RawServer, Refused};
use failgate_lab::{Error, Result, workspace};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::{Rig, test};

const PAGE: &str = "docs/access-logger.md";

#[rustfmt::skip]
pub fn add(rig: &Arc<Rig>, trials: &mut Vec<Trial>) {
    trials.push(test(rig, "a_module_that_is_loaded_over_http_works_like_one_in_a_file", over_http));
    trials.push(test(rig, "a_module_that_cannot_be_loaded_over_http_stops_no_traffic", not_over_http));
    trials.push(test(rig, "the_settings_of_the_shipped_mount_reach_the_module", settings));
    trials.push(test(rig, "all_mounts_of_a_thread_share_one_vm", one_vm));
    trials.push(test(rig, "a_module_whose_file_is_missing_is_refused_with_all_its_listeners", no_file));
}

/// The source of the module's code that the page shows, with this hash.
fn remote(sha256: &str) -> Result<Value> {
    let doing = || format!("reading {PAGE}");
    let page =
        fs::read_to_string(workspace().join(PAGE)).map_err(|error| Error::new(doing(), error))?;
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut blocks = blocks.filter(|block| block.starts_with("code:\n  remote:"));
    let block = blocks.next().ok_or_else(|| Error::new(doing(), "it shows no remote code"))?;
    let mut block: Value =
        serde_saphyr::from_str(block).map_err(|error| Error::new(doing(), error))?;
    block["code"]["remote"]["sha256"] = json!(sha256);
    Ok(block["code"].take())
}

/// A server that has these bytes, whatever it is asked for.
fn server(status: &str, bytes: &[u8]) -> Result<RawServer> {
    let length = bytes.len();
    let head =
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    RawServer::leaving([head.as_bytes(), bytes].concat(), Leave::Close)
}

fn module(rig: &Rig) -> Result<(Vec<u8>, String)> {
    let bytes =
        fs::read(&rig.module.path).map_err(|error| Error::new("reading the module", error))?;
    let hash = ring::digest::digest(&ring::digest::SHA256, &bytes);
    let hash = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((bytes, hash))
}

/// The shipped patches, with the code from a server.
fn over_http_with(rig: &Rig, hash: &str) -> Result<Patches> {
    let mut patches = Patches::shipped(&rig.module)?;
    patches.set("/vm_config/code", &remote(hash)?)?;
    Ok(patches)
}

fn extras(modules: Option<u16>) -> Extras {
    Extras { modules, ..Extras::default() }
}

fn over_http(rig: &Rig) -> Result<()> {
    let (bytes, hash) = module(rig)?;
    let server = server("200 OK", &bytes)?;
    let patches = over_http_with(rig, &hash)?;
    let mounted = Mounted::start(&rig.envoy, &patches, &extras(Some(server.port())))?;
    for scenario in FAILURES.iter().chain(SUCCESSES) {
        mounted.watch(scenario)?.check(scenario)?;
    }
    server.check()
}

fn not_over_http(rig: &Rig) -> Result<()> {
    let (bytes, hash) = module(rig)?;
    let sound = over_http_with(rig, &hash)?;
    let other = over_http_with(rig, &"0".repeat(64))?;
    let nobody = Refused::open()?;
    let silent = RawServer::silent()?;
    let without = server("404 Not Found", b"")?;
    let with = server("200 OK", &bytes)?;
    for (what, patches, modules) in [
        ("nobody is there", &sound, Some(nobody.port())),
        ("it is not there", &sound, Some(without.port())),
        ("nobody answers", &sound, Some(silent.port())),
        ("it is another", &other, Some(with.port())),
        ("there is no such cluster", &sound, None),
    ] {
        let mounted = Mounted::start(&rig.envoy, patches, &extras(modules))
            .map_err(|error| Error::new(what, error))?;
        for scenario in SUCCESSES {
            scenario.happen(&mounted).map_err(|error| Error::new(what, error))?;
        }
        if !mounted.proxy.records()?.is_empty() {
            return Err(Error::new(what, "there are records all the same"));
        }
    }
    without.check()?;
    with.check()
}

fn no_file(rig: &Rig) -> Result<()> {
    let mut patches = Patches::shipped(&rig.module)?;
    patches.set("/vm_config/code/local/filename", &json!("/nowhere/failgate.wasm"))?;
    match Mounted::start(&rig.envoy, &patches, &Extras::default()) {
        Err(error) if error.to_string().contains("Invalid path: /nowhere/failgate.wasm") => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(Error::new(PAGE, "it says that Envoy refuses this")),
    }
}

fn settings(rig: &Rig) -> Result<()> {
    let mut patches = Patches::shipped(&rig.module)?;
    patches.set("/configuration/value", &json!(r#"{"ignore":["connection_refused"]}"#))?;
    let mounted = Mounted::start(&rig.envoy, &patches, &Extras::default())?;
    let named = |name| FAILURES.iter().filter(move |it| it.causes.first() == Some(&name));
    for scenario in named("connection_refused") {
        scenario.happen(&mounted)?;
    }
    for scenario in named("application_error") {
        mounted.watch(scenario)?;
    }
    match mounted.proxy.records()?.iter().find(|it| it["cause"] == "connection_refused") {
        None => Ok(()),
        Some(record) => Err(Error::new("a cause that is to be ignored", record)),
    }
}

/// Envoy has a VM a worker, one for its main thread, and the one that those are made from.
fn one_vm(rig: &Rig) -> Result<()> {
    let mounted = Mounted::start(&rig.envoy, &Patches::shipped(&rig.module)?, &Extras::default())?;
    match mounted.proxy.stat("wasm.envoy.wasm.runtime.v8.active")? {
        3 => Ok(()),
        other => Err(Error::new("counting the VMs of one worker", other)),
    }
}
