//! `failgate check` as a person or a pipeline runs it.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::fs;
use std::process::{Command, Output};

use tempfile::TempDir;

fn check(name: &str, text: &str) -> Output {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join(name), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_failgate"));
    command.current_dir(folder.path()).args(["check", name]).output().unwrap()
}

#[test]
fn the_exit_status_tells_good_from_bad_and_from_unreadable() {
    let good = check("good.json", r#"{"log": {"enabled": true}}"#);
    assert_eq!((good.status.code(), good.stdout.as_slice()), (Some(0), b"".as_slice()));
    let bad = check("bad.json", "{\n  \"log\": {\n    \"level\": \"loud\"\n  }\n}\n");
    assert_eq!(bad.status.code(), Some(1));
    let said = String::from_utf8(bad.stdout).unwrap();
    assert_eq!(
        said,
        "bad.json:3: log.level: must be one of debug, info, warn, error, is \"loud\"\n"
    );
    assert_eq!(check("broken.yaml", "a: [").status.code(), Some(2));
    let nothing = check("service.yaml", "kind: Service\n");
    assert_eq!(nothing.status.code(), Some(2));
    assert!(String::from_utf8(nothing.stderr).unwrap().contains("no configuration of failgate"));
}

#[test]
fn the_shipped_manifests_have_nothing_wrong() {
    let root = failgate_lab::workspace();
    let examples = fs::read_dir(root.join("examples")).unwrap().map(|entry| entry.unwrap().path());
    let mut checked = 0;
    for path in examples.chain([root.join("envoyfilter.yaml")]) {
        let text = fs::read_to_string(&path).unwrap();
        // Examples for others have no configuration of ours.
        if ["kind: WasmPlugin", "failgate.wasm"].iter().any(|ours| text.contains(ours)) {
            let output = check("manifest.yaml", &text);
            assert_eq!(output.status.code(), Some(0), "{}: {output:?}", path.display());
            checked += 1;
        }
    }
    assert!(checked >= 3, "{checked} manifests");
}
