//! Completions and manual pages, as a package would install them.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::process::{Command, Output};

fn failgate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_failgate")).args(arguments).output().unwrap()
}

#[test]
fn every_shell_completes_commands_and_gates() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = String::from_utf8(failgate(&["completions", shell]).stdout).unwrap();
        assert!(["inspect", "explain", "report"].iter().all(|it| script.contains(it)), "{shell}");
        assert!(
            script.contains("downstream") || matches!(shell, "elvish" | "powershell"),
            "{shell}"
        );
    }
    assert_eq!(failgate(&["completions", "cmd"]).status.code(), Some(2));
}

#[test]
fn every_command_has_a_page_with_its_examples() {
    let page = |arguments: &[&str]| String::from_utf8(failgate(arguments).stdout).unwrap();
    let whole = page(&["man"]);
    assert!(whole.contains(".TH failgate 1") && whole.contains("failgate\\-inspect"), "{whole}");
    for command in ["inspect", "explain", "format", "report", "check", "completions", "man"] {
        let page = page(&["man", command]);
        assert!(page.contains(&format!(".TH failgate-{command} 1")), "{page}");
        assert!(page.contains("Examples:"), "{page}");
    }
    assert_eq!(failgate(&["man", "nothing"]).status.code(), Some(2));
}

#[test]
fn help_has_examples_and_a_version_is_there() {
    let help = String::from_utf8(failgate(&["inspect", "--help"]).stdout).unwrap();
    assert!(help.contains("kubectl logs") && help.contains("--exit-code"), "{help}");
    let help = String::from_utf8(failgate(&["report", "--help"]).stdout).unwrap();
    assert!(help.contains("failgate report access.log") && help.contains("report.html"), "{help}");
    assert!(failgate(&["--version"]).status.success());
    assert_eq!(failgate(&[]).status.code(), Some(2));
}
