//! `failgate explain` as a person runs it.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

fn explain(words: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_failgate"));
    command.arg("explain").args(words).env("LC_ALL", "C.UTF-8");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Fails when it does not want any input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

#[test]
fn words_need_no_quotes_unless_the_shell_wants_them() {
    let apart = explain(&["503", "URX,UF"], "");
    let together = explain(&["503 URX,UF"], "");
    assert_eq!(apart.stdout, together.stdout);
    assert_eq!(apart.status.code(), Some(0));
    assert!(text(&apart.stdout).contains("✗ connect"));
    assert!(text(&explain(&["-"], "").stdout).contains("no flag was set"));
}

#[test]
fn the_pipeline_is_drawn_with_what_the_terminal_knows() {
    let ascii = explain(&["--ascii", "UF"], "");
    assert!(text(&ascii.stdout).contains("X connect"));
    assert!(ascii.stdout.is_ascii());
}

#[test]
fn a_line_may_come_from_standard_input() {
    let line = r#"{"response_code":503,"response_flags":"UO","response_code_details":"upstream_reset_before_response_started{overflow}","upstream_host":null}"#;
    let output = explain(&[], &format!("\n{line}\n"));
    assert!(text(&output.stdout).contains("connection_pool_overflow: stopped at pool"));
}

#[test]
fn an_unknown_word_gets_the_nearest_names_and_status_2() {
    let output = explain(&["conection_refused"], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(
        text(&output.stderr).ends_with("nearest: connection_refused\n"),
        "{}",
        text(&output.stderr)
    );
}
