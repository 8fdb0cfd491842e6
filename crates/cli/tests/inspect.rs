//! `failgate inspect` as a person runs it: what is printed, what goes to stderr, how it exits.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what it expects")]

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use failgate_lab::records;
use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::pty::OpenptFlags;
use serde_json::Value;
use tempfile::TempDir;

const FAILED: &str = r#"{"start_time":"2026-01-31T23:59:59.999Z","method":"GET","response_code":503,"response_flags":"UF,URX","response_code_details":"upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}","upstream_host":"10.0.0.1:8080","upstream_cluster":"outbound|8080||reviews.default.svc.cluster.local","request_id":"id-1"}"#;
const FINE: &str = r#"{"start_time":"2026-01-31T23:59:59.999Z","method":"GET","response_code":200,"response_flags":"-","response_code_details":"via_upstream"}"#;
const DENIED: &str = r#"[2026-02-01T00:00:01.000Z] "GET / HTTP/1.1" 403 - rbac_access_denied_matched_policy[ns[default]-policy[deny]-rule[0]] - "-" 0 19 0 - "-" "curl" "id-2" "reviews" "-" inbound|8080|| - 10.0.0.2:8080 10.0.0.1:999 - default"#;

fn failgate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_failgate"));
    command.arg("inspect").args(arguments).stdin(Stdio::null()).env_remove("NO_COLOR");
    command
}

fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = failgate(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A thread of its own: the output may fill its pipe before the input is read.
    let writing = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    output
}

fn stdout(output: &Output) -> &str {
    str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    str::from_utf8(&output.stderr).unwrap()
}

fn json(output: &Output) -> Vec<Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn file(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

fn input() -> String {
    [FINE, FAILED, "GARBAGE", "", DENIED].join("\n")
}

#[test]
fn a_failure_is_a_row_and_a_success_is_none() {
    let output = run(&[], input().as_bytes());
    let lines: Vec<&str> = stdout(&output).lines().collect();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines[0].starts_with("time "));
    let words: Vec<&str> = lines[1].split_ascii_whitespace().collect();
    assert_eq!(
        words[..8],
        [
            "01-31",
            "23:59:59.999",
            "503",
            "UF,URX",
            "connect",
            "connection_refused",
            "→",
            "reviews.default:8080"
        ]
    );
    assert!(lines[1].ends_with("Service/reviews.default targetPort of port 8080"));
    assert!(lines[2].contains("authorization_denied"));
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        stderr(&output),
        "failgate: 1 line could not be read:\n  3: no access log and no record\n"
    );
}

#[test]
fn a_record_has_its_line_and_with_several_files_its_file() {
    let folder = TempDir::new().unwrap();
    let (one, two) = (file(&folder, "one", &input()), file(&folder, "two", FAILED));
    let (one, two) = (one.to_str().unwrap(), two.to_str().unwrap());
    let single = json(&run(&["--format", "json", one], b""));
    assert_eq!(single.len(), 2);
    assert_eq!((&single[0]["line"], &single[1]["line"]), (&2.into(), &5.into()));
    assert_eq!(single[0]["file"], Value::Null);
    let several = json(&run(&["--format", "json", one, two], b""));
    let places: Vec<_> = several
        .iter()
        .map(|it| (it["file"].as_str().unwrap(), it["line"].as_u64().unwrap()))
        .collect();
    assert_eq!(places, [(one, 2), (one, 5), (two, 1)]);
    assert_eq!(several[0]["cause"], "connection_refused");
    assert_eq!(several[0]["v"], 1);
}

#[test]
fn gate_cause_and_since_choose() {
    let causes = |arguments: &[&str]| -> Vec<String> {
        let output = run(&[&["--format", "json"], arguments].concat(), input().as_bytes());
        json(&output).iter().map(|it| it["cause"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(causes(&["--gate", "filter"]), ["authorization_denied"]);
    assert_eq!(causes(&["--cause", "connection_refused"]), ["connection_refused"]);
    assert_eq!(causes(&["--gate", "filter", "--gate", "connect"]).len(), 2);
    assert_eq!(causes(&["--gate", "filter", "--cause", "connection_refused"]).len(), 0);
    assert_eq!(causes(&["--since", "2026-02-01T00:00:00Z"]), ["authorization_denied"]);
    assert_eq!(causes(&["--since", "2030-01-01T00:00:00+01:00"]).len(), 0);
}

#[test]
fn the_exit_status_says_what_was_asked_for() {
    let code = |arguments: &[&str], input: &str| run(arguments, input.as_bytes()).status.code();
    assert_eq!(code(&[], FAILED), Some(0));
    assert_eq!(code(&["--exit-code"], FAILED), Some(1));
    assert_eq!(code(&["--exit-code"], FINE), Some(0));
    assert_eq!(code(&["--exit-code", "--gate", "route"], FAILED), Some(0));
    assert_eq!(code(&["--exit-code", "--format", "summary"], FAILED), Some(1));
    assert_eq!(code(&["--exit-code", "--join"], FAILED), Some(1));
    assert_eq!(code(&["/no/such/file"], ""), Some(2));
    assert_eq!(code(&["/"], ""), Some(2));
    assert_eq!(code(&["--gate", "nowhere"], ""), Some(2));
    assert_eq!(code(&["--since", "yesterday"], ""), Some(2));
}

#[test]
fn an_input_that_cannot_be_read_does_not_hide_the_others() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "log", FAILED);
    let output = run(&["--format", "json", "/no/such/file", path.to_str().unwrap()], b"");
    assert_eq!(json(&output).len(), 1);
    assert!(stderr(&output).starts_with("failgate: /no/such/file: "));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn gzip_is_read_as_a_file_and_from_standard_input() {
    let folder = TempDir::new().unwrap();
    let mut zipped = Vec::new();
    // Two members, as logs that were appended to one another have.
    for line in [FAILED, DENIED] {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        writeln!(encoder, "{line}").unwrap();
        zipped.extend(encoder.finish().unwrap());
    }
    let path = folder.path().join("log.gz");
    fs::write(&path, &zipped).unwrap();
    assert_eq!(json(&run(&["--format", "json", path.to_str().unwrap()], b"")).len(), 2);
    assert_eq!(json(&run(&["--format", "json"], &zipped)).len(), 2);
    let cut = run(&["--format", "json"], &zipped[..zipped.len() - 20]);
    assert_eq!(cut.status.code(), Some(2));
    assert!(stderr(&cut).starts_with("failgate: -: "), "{}", stderr(&cut));
}

#[test]
fn the_list_of_malformed_lines_is_bounded() {
    let garbage = "GARBAGE\n".repeat(1000);
    let output = run(&[], garbage.as_bytes());
    assert!(stderr(&output).starts_with("failgate: 1,000 lines could not be read:\n  1: "));
    assert!(stderr(&output).ends_with("  and 990 more\n"));
    assert_eq!(stderr(&output).lines().count(), 12);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn an_over_long_line_is_malformed_and_the_next_is_read() {
    let long = format!("{{\"response_flags\":\"{}\"}}\n{FAILED}", "x".repeat(3 << 20));
    let output = run(&["--format", "json"], long.as_bytes());
    assert_eq!(json(&output)[0]["line"], 2);
    assert!(stderr(&output).contains("1: the line is too long"));
}

#[test]
fn the_summary_counts_by_gate_and_cause() {
    let output = run(
        &["--format", "summary"],
        [&input(), FAILED].map(ToOwned::to_owned).join("\n").as_bytes(),
    );
    let text = stdout(&output);
    assert!(
        text.starts_with(
            "3 failures in 6 lines, 2026-01-31T23:59:59.999Z to 2026-02-01T00:00:01.000Z\n"
        ),
        "{text}"
    );
    assert!(text.lines().any(|line| line.trim_start().starts_with("2  connect ")), "{text}");
    assert!(text.lines().any(|line| line.trim_start().starts_with("0  route")), "{text}");
    assert!(
        text.lines().any(|line| line.trim_start().starts_with("2  connection_refused ")),
        "{text}"
    );
    assert!(text.lines().any(|line| line.trim() == "2  reviews.default:8080"), "{text}");
}

#[test]
fn colours_come_only_when_they_are_wanted() {
    let coloured = |arguments: &[&str], no_color: Option<&str>| {
        let folder = TempDir::new().unwrap();
        let path = file(&folder, "log", FAILED);
        let mut command = failgate(arguments);
        if let Some(value) = no_color {
            command.env("NO_COLOR", value);
        }
        let output = command.arg(path).output().unwrap();
        stdout(&output).contains('\u{1b}')
    };
    assert!(!coloured(&[], None), "a pipe is no terminal");
    assert!(coloured(&["--color", "always"], None));
    assert!(
        coloured(&["--color", "always"], Some("1")),
        "what was asked for on the command line goes first"
    );
    assert!(!coloured(&["--color", "never"], None));
}

/// A terminal: what a person sees, and what a program writes to.
fn terminal() -> (File, File) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let person = rustix::pty::openpt(flags).unwrap();
    rustix::pty::grantpt(&person).unwrap();
    rustix::pty::unlockpt(&person).unwrap();
    let name = rustix::pty::ptsname(&person, Vec::new()).unwrap();
    let program = OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    (person.into(), program)
}

/// All that a terminal shows until the program has closed it, or until it shows that.
fn seen(mut person: File, until: &str) -> String {
    let (mut seen, mut bytes) = (Vec::new(), [0; 4096]);
    // The end is an error of its own here.
    while let Ok(length @ 1..) = person.read(&mut bytes) {
        seen.extend_from_slice(&bytes[..length]);
        if !until.is_empty() && String::from_utf8_lossy(&seen).contains(until) {
            break;
        }
    }
    String::from_utf8(seen).unwrap()
}

#[test]
fn a_terminal_gets_colours_unless_it_does_not_want_them() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "log", FAILED);
    let coloured = |arguments: &[&str], no_color: &str| {
        let (person, program) = terminal();
        let mut command = failgate(arguments);
        let mut child =
            command.arg(&path).env("NO_COLOR", no_color).stdout(program).spawn().unwrap();
        drop(command); // it holds the program's end
        let seen = seen(person, "");
        assert!(child.wait().unwrap().success() && seen.contains("connection_refused"), "{seen}");
        seen.contains('\u{1b}')
    };
    assert!(coloured(&[], ""));
    assert!(!coloured(&[], "1"));
    assert!(!coloured(&["--color", "never"], ""));
    assert!(coloured(&["--color", "always"], "1"));
}

#[test]
fn a_terminal_is_told_how_far_it_is() {
    let (person, program) = terminal();
    let mut command = failgate(&["--format", "json"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(program);
    let mut running = Running(command.spawn().unwrap());
    drop(command);
    let mut stdin = running.0.stdin.take().unwrap();
    let (enough, is_enough) = std::sync::mpsc::channel();
    let writing = std::thread::spawn(move || {
        // It says something after a while, when there is more to read.
        for _ in 0..1200 {
            if is_enough.recv_timeout(Duration::from_millis(50)).is_ok() {
                return;
            }
            writeln!(stdin, "{FAILED}").unwrap();
        }
    });
    let seen = seen(person, " failures");
    assert!(seen.starts_with("\r\u{1b}[K") && seen.contains(" lines, "), "{seen:?}");
    enough.send(()).unwrap();
    writing.join().unwrap();
    assert!(ended(&mut running));
}

#[test]
fn a_log_cannot_move_the_cursor() {
    let line = FAILED.replace("reviews.default", "\\u001b[2Jreviews.default");
    for format in ["table", "summary"] {
        let output = run(&["--format", format], line.as_bytes());
        assert!(stdout(&output).contains("[2Jreviews"), "{}", stdout(&output));
        assert!(!stdout(&output).contains('\u{1b}'));
    }
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let mut child = failgate(&["--format", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    for _ in 0..10_000 {
        if writeln!(stdin, "{FAILED}").is_err() {
            break;
        }
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stderr(&output), "");
}

#[test]
fn two_proxies_logs_are_one_story() {
    let client = FAILED
        .replace("\"UF,URX\"", "\"UT\"")
        .replace("503", "504")
        .replace("upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}", "response_timeout");
    let server = r#"[2026-02-01T00:00:00.001Z] "GET / HTTP/1.1" 0 DC downstream_remote_disconnect - "-" 0 0 999 - "-" "curl" "id-1" "reviews" "10.0.0.1:8080" inbound|8080|| - 10.0.0.2:8080 10.0.0.1:999 - default"#;
    let folder = TempDir::new().unwrap();
    let (server, client) = (file(&folder, "server", server), file(&folder, "client", &client));
    let files = [server.to_str().unwrap(), client.to_str().unwrap()];
    let stories = json(&run(&[&["--join", "--format", "json"], files.as_slice()].concat(), b""));
    assert_eq!(stories.len(), 1);
    assert_eq!(stories[0]["cause"], "response_timeout");
    assert_eq!(stories[0]["decisive"], 0);
    let causes: Vec<_> =
        stories[0]["hops"].as_array().unwrap().iter().map(|hop| hop["cause"].as_str()).collect();
    assert_eq!(causes, [Some("response_timeout"), Some("client_disconnected")]);
    let output = run(&[&["--join"], files.as_slice()].concat(), b"");
    assert!(
        stdout(&output).starts_with("id-1  response_timeout at response\n"),
        "{}",
        stdout(&output)
    );
}

/// What two sidecars said of the same requests in a mesh.
#[test]
fn the_cases_of_a_mesh_become_stories_with_the_cause_where_it_was() {
    for (case, cause, side, tries) in [
        (
            "H13_a_late_response_is_a_timeout_here_and_a_caller_that_left_there",
            "response_timeout",
            "client.default",
            1,
        ),
        (
            "G13_a_late_response_is_a_timeout_here_and_a_reset_there",
            "response_timeout",
            "client.default",
            1,
        ),
        (
            "H4_a_reset_before_the_response_is_answered_by_the_servers_sidecar",
            "connection_terminated",
            "mock-server.default",
            1,
        ),
        (
            "G4_a_reset_before_the_response_is_tried_three_times",
            "connection_terminated",
            "mock-server.default",
            3,
        ),
        (
            "H3_a_caller_that_cancels_has_left_both_sidecars",
            "client_disconnected",
            "client.default",
            1,
        ),
        (
            "G2_an_endpoint_is_ejected_while_its_request_is_retried",
            "application_error",
            "mock-server.default",
            3,
        ),
    ] {
        let sides = records::on_file("mesh", case).unwrap();
        let lines = ["server", "client"].iter().flat_map(|side| sides[side].as_array().unwrap());
        // The client's sidecar says what the server's told it; without its header it could not.
        for with_hop in [true, false] {
            let mut log = String::new();
            for record in lines.clone() {
                let mut record = record.clone();
                if !with_hop && record.as_object_mut().unwrap().remove("hop").is_some() {
                    record["cause"] = "application_error".into();
                    record["gate"] = "application".into();
                }
                log += &format!("{record}\n");
            }
            let stories = json(&run(&["--join", "--format", "json"], log.as_bytes()));
            let story = &stories[0];
            assert_eq!(story["cause"], cause, "{case}: {story:#}");
            assert_eq!(story["proxy"], side, "{case}: {story:#}");
            assert_eq!(story["tries"], tries, "{case}: {story:#}");
        }
    }
}

/// A process that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It is ours, and it never ends by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_file_is_followed_through_its_rotation_and_when_it_is_cut() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "log", &format!("{FAILED}\n"));
    let mut command = failgate(&["--follow", "--format", "json", path.to_str().unwrap()]);
    let mut running = Running(command.stdout(Stdio::piped()).spawn().unwrap());
    let output = BufReader::new(running.0.stdout.take().unwrap());
    let (send, causes) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in output.lines() {
            let record: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let found = (record["cause"].as_str().unwrap().to_owned(), record["line"].as_u64());
            if send.send(found).is_err() {
                break;
            }
        }
    });
    let is_next = |cause: &str, line: u64| {
        let next = causes.recv_timeout(Duration::from_secs(30)).unwrap();
        assert_eq!(next, (cause.to_owned(), Some(line)));
    };
    is_next("connection_refused", 1);
    let mut log = OpenOptions::new().append(true).open(&path).unwrap();
    // A line is read when it is whole.
    let (start, end) = DENIED.split_at(40);
    log.write_all(start.as_bytes()).unwrap();
    log.flush().unwrap();
    writeln!(log, "{end}").unwrap();
    is_next("authorization_denied", 2);
    replace(&path, &format!("{FAILED}\n"));
    is_next("connection_refused", 1);
    // A piece waits for the rest of its line.
    let mut log = OpenOptions::new().append(true).open(&path).unwrap();
    let (start, end) = DENIED.split_at(60);
    writeln!(log, "2026-01-31T23:59:59Z stdout P {start}").unwrap();
    writeln!(log, "2026-01-31T23:59:59Z stdout F {end}").unwrap();
    is_next("authorization_denied", 2);
    fs::write(&path, format!("{DENIED}\n")).unwrap();
    is_next("authorization_denied", 1);
}

fn replace(path: &Path, text: &str) {
    fs::rename(path, path.with_extension("1")).unwrap();
    File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// A record as it stands in the proxy's own log, and the line that Istio's access log has for the same stream.
const RECORDED: &str = r#"2026-02-01T00:00:05.100000Z	warning	envoy wasm a/context.cc:1198	wasm log failgate: failgate {"v":1,"time":"2026-02-01T00:00:05.000Z","gate":"endpoint","cause":"no_endpoints","side":"upstream","responder":"this_proxy","delivered":"no","error":"destination_unavailable","decided_by":"details","look":["Service/reviews.default selector"],"proxy":"client.default","direction":"outbound","protocol":"HTTP/1.1","method":"GET","response_code":503,"response_flags":["UH"],"response_code_details":"no_healthy_upstream","upstream_cluster":"outbound|80||reviews.default.svc.cluster.local","request_id":"id-9","duration_ms":1}	thread=17"#;
const LOGGED: &str = r#"[2026-02-01T00:00:05.000Z] "GET / HTTP/1.1" 503 UH no_healthy_upstream - "-" 0 19 1 - "-" "curl" "id-9" "reviews" "-" outbound|80||reviews.default.svc.cluster.local - 10.96.0.1:80 10.0.0.1:999 - default"#;

#[test]
fn a_record_and_the_line_of_the_same_stream_are_one_failure() {
    let next_hop = LOGGED.replace("outbound|80||reviews.default.svc.cluster.local", "inbound|80||");
    let again = LOGGED.replace("00:00:05.000Z", "00:00:06.000Z");
    let causes = |lines: &[&str]| -> Vec<String> {
        let output = run(&["--format", "json"], lines.join("\n").as_bytes());
        json(&output).iter().map(|it| it["cause"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(causes(&[RECORDED, FINE, LOGGED]), ["no_endpoints"]);
    assert_eq!(causes(&[LOGGED, FINE, RECORDED]), ["no_endpoints"]);
    assert_eq!(causes(&[LOGGED]), ["no_healthy_upstream"]);
    assert_eq!(causes(&[RECORDED, LOGGED, LOGGED]), ["no_endpoints", "no_healthy_upstream"]);
    for other in [next_hop.as_str(), again.as_str()] {
        assert_eq!(causes(&[RECORDED, LOGGED, other]), ["no_endpoints", "no_healthy_upstream"]);
    }
    let prefixed = [RECORDED, LOGGED].map(|line| format!("[pod/client-7d9/istio-proxy] {line}"));
    assert_eq!(causes(&[&prefixed[0], &prefixed[1]]), ["no_endpoints"]);
    let summary = run(&["--format", "summary"], [RECORDED, LOGGED].join("\n").as_bytes());
    assert!(stdout(&summary).starts_with("1 failures in 2 lines"), "{}", stdout(&summary));
    // The record's cause is the one to ask for.
    let asked = ["--cause", "no_healthy_upstream", "--exit-code"];
    assert_eq!(run(&asked, [RECORDED, LOGGED].join("\n").as_bytes()).status.code(), Some(0));
}

#[test]
fn a_line_that_a_container_runtime_cut_is_read_whole() {
    let long =
        FAILED.replace("\"GET\"", &format!("\"GET\",\"user_agent\":\"{}\"", "x".repeat(40_000)));
    let stamp = "2026-01-31T23:59:59.999999999Z";
    let mut cri = Vec::new();
    let pieces: Vec<&[u8]> = long.as_bytes().chunks(16 << 10).collect();
    for (index, piece) in pieces.iter().enumerate() {
        let tag = if index + 1 < pieces.len() { "P" } else { "F" };
        cri.extend([format!("{stamp} stdout {tag} {}", str::from_utf8(piece).unwrap())]);
        cri.push(format!("{stamp} stderr F GARBAGE"));
    }
    cri.push(format!("{stamp} stdout F {DENIED}"));
    let output = run(&["--format", "json"], cri.join("\n").as_bytes());
    let found: Vec<_> =
        json(&output).iter().map(|it| (it["cause"].clone(), it["line"].clone())).collect();
    let expected = [("connection_refused", 1), ("authorization_denied", 7)];
    assert_eq!(found, expected.map(|(cause, line)| (cause.into(), line.into())));
    assert!(stderr(&output).contains("3 lines could not be read:\n  2: "), "{}", stderr(&output));
    let docker = |text: &str| {
        serde_json::json!({ "log": text, "stream": "stdout", "time": stamp }).to_string()
    };
    let (start, end) = long.split_at(20_000);
    let (start, end) = (docker(start), docker(&format!("{end}\n")));
    // Docker writes `stream` behind `log`.
    let lines = [start, end].join("\n");
    let found = json(&run(&["--format", "json"], lines.as_bytes()));
    assert_eq!((found.len(), &found[0]["line"]), (1, &1.into()));
}

/// A few megabytes of everything: failures and successes, records and their lines, pieces, garbage.
fn mixed() -> String {
    let mut text = String::new();
    for number in 0..1_200 {
        let id = format!("id-{number}");
        let line = match number % 10 {
            0 => FAILED.replace("id-1", &id),
            1 => format!("GARBAGE {number}"),
            2 => RECORDED.replace("id-9", &id),
            // The line of the record before, and of the one that follows.
            3 => LOGGED.replace("id-9", &format!("id-{}", number - 1)),
            4 => LOGGED.replace("id-9", &format!("id-{}", number + 8)),
            5 => format!("2026-01-31T23:59:59Z stdout P {}", "x".repeat(1000)),
            6 => format!("2026-01-31T23:59:59Z stdout F {number}"),
            7 => DENIED.replace("id-2", &id),
            _ => {
                FINE.replace("\"GET\"", &format!("\"GET\",\"user_agent\":\"{}\"", "y".repeat(4000)))
            }
        };
        text += &line;
        text.push('\n');
    }
    text + &"z".repeat(2 << 20) + "\n" + FAILED
}

#[test]
fn any_number_of_threads_prints_the_same() {
    let folder = TempDir::new().unwrap();
    let text = mixed();
    let (one, two) = (file(&folder, "one", &text), folder.path().join("two.gz"));
    let mut encoder = GzEncoder::new(File::create(&two).unwrap(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap();
    let files = [one.to_str().unwrap(), "/no/such/file", two.to_str().unwrap()];
    for format in [["--format", "json"].as_slice(), &["--format", "summary"], &["--join"]] {
        let output = |jobs: &str| {
            let output = run(&[format, &["--jobs", jobs], files.as_slice()].concat(), b"");
            (output.status.code(), stdout(&output).to_owned(), stderr(&output).to_owned())
        };
        let alone = output("1");
        assert!(alone.1.lines().count() > 20 && alone.2.contains("and 472 more"), "{}", alone.2);
        assert_eq!(alone.0, Some(2));
        for jobs in ["2", "5"] {
            assert!(output(jobs) == alone, "{format:?} with {jobs} threads");
        }
    }
    // A pipe's lines are those of the file, whoever judges them.
    let file = run(&["--format", "json", "--jobs", "1", files[0]], b"");
    for jobs in ["1", "2"] {
        let piped = run(&["--format", "json", "--jobs", jobs], text.as_bytes());
        assert!(piped.stdout == file.stdout && piped.stderr == file.stderr, "{jobs} threads");
    }
    assert_eq!(run(&["--jobs", "0"], b"").status.code(), Some(2));
}

/// Waits for the end of a process that is expected to end by itself.
fn ended(running: &mut Running) -> bool {
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        if running.0.try_wait().unwrap().is_some() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

#[test]
fn a_line_is_shown_before_the_next_one_is_written_and_a_closed_pipe_ends_it() {
    for jobs in ["1", "3"] {
        let mut command = failgate(&["--format", "json", "--jobs", jobs]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Running(command.spawn().unwrap());
        let mut stdin = running.0.stdin.take().unwrap();
        let stdout = BufReader::new(running.0.stdout.take().unwrap());
        let (send, shown) = std::sync::mpsc::channel();
        // Two lines, and then it closes the pipe.
        let reading = std::thread::spawn(move || {
            stdout.lines().take(2).for_each(|line| drop(send.send(line.unwrap())));
        });
        for (written, cause) in [(RECORDED, "no_endpoints"), (FAILED, "connection_refused")] {
            writeln!(stdin, "{written}").unwrap();
            let line = shown.recv_timeout(Duration::from_secs(30)).unwrap();
            assert!(line.contains(cause), "{line}");
        }
        reading.join().unwrap();
        writeln!(stdin, "{DENIED}").unwrap();
        // Its input is still open, and nothing more comes.
        assert!(ended(&mut running), "{jobs} threads");
        let status = running.0.wait().unwrap();
        let mut said = String::new();
        running.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((status.code(), said.as_str()), (Some(0), ""));
        drop(stdin);
    }
}

/// The most memory that a process has had, in kB, as Linux counts it.
#[cfg(target_os = "linux")]
fn high_water(process: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn memory_does_not_grow_with_the_input() {
    let mut command = failgate(&["--format", "json", "--jobs", "2"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = Running(command.spawn().unwrap());
    let mut stdin = running.0.stdin.take().unwrap();
    let mut number = 0;
    let mut write = |lines: u64| {
        for _ in 0..lines {
            number += 1;
            // Every second one fails, with a request id of its own, which is remembered for its record.
            let id = format!("id-{number}");
            let line = if number % 2 == 0 { FAILED } else { FINE };
            writeln!(stdin, "{}", line.replace("id-1", &id)).unwrap();
        }
    };
    write(25_000);
    let early = high_water(&running.0);
    write(75_000);
    let late = high_water(&running.0);
    assert!(early > 1000 && late < early + 4096, "{early} kB, then {late} kB");
    drop(stdin);
    assert!(ended(&mut running));
}
