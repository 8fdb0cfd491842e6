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

/// Lines that a real Envoy wrote, each with what a person has to look at first and a command to do it with.
const LINES: &[(&str, &str, &str)] = &[
    // Istio's text.
    (
        r#"[2026-11-22T00:37:38.238Z] "GET /refused HTTP/1.1" 503 URX,UF upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused} - "delayed_connect_error:_Connection_refused" 0 121 24 - "-" "-" "a_refused_connection_says_so_until_the_endpoint_is_ejected-1" "127.0.0.1:46651" "127.0.0.1:40849" outbound|8080||refused.default.svc.cluster.local - 127.0.0.1:46651 127.0.0.1:58264 - default"#,
        "Service/refused.default targetPort of port 8080",
        "kubectl get service -n default refused -o yaml",
    ),
    (
        r#"[2026-11-22T00:37:30.722Z] "GET /empty HTTP/1.1" 503 UH no_healthy_upstream - "-" 0 19 0 - "-" "-" "an_empty_cluster_has_no_endpoints-1" "127.0.0.1:46651" "-" outbound|8080||empty.default.svc.cluster.local - 127.0.0.1:46651 127.0.0.1:48402 - default"#,
        "Service/empty.default spec.selector",
        "istioctl proxy-config endpoints POD.NAMESPACE --cluster 'outbound|8080||empty.default.svc.cluster.local'",
    ),
    // Istio's JSON.
    (
        r#"{"authority":"127.0.0.1:46651","bytes_received":0,"bytes_sent":81,"connection_termination_details":null,"downstream_local_address":"127.0.0.1:46651","downstream_remote_address":"127.0.0.1:48490","duration":0,"method":"GET","path":"/full-pool/delay/2000","protocol":"HTTP/1.1","request_id":"a_full_pool_stops_the_third_call-3","requested_server_name":null,"response_code":503,"response_code_details":"upstream_reset_before_response_started{overflow}","response_flags":"UO","route_name":"default","start_time":"2026-11-22T00:37:30.871Z","upstream_cluster":"outbound|8080||full-pool.default.svc.cluster.local","upstream_host":null,"upstream_local_address":null,"upstream_service_time":null,"upstream_transport_failure_reason":null,"user_agent":null,"x_forwarded_for":null}"#,
        "DestinationRule/full-pool.default trafficPolicy.connectionPool",
        "istioctl proxy-config clusters POD.NAMESPACE --fqdn full-pool.default.svc.cluster.local -o yaml",
    ),
    (
        r#"{"authority":"127.0.0.1:46651","bytes_received":0,"bytes_sent":19,"connection_termination_details":null,"downstream_local_address":"127.0.0.1:46651","downstream_remote_address":"127.0.0.1:48316","duration":0,"method":"GET","path":"/denied","protocol":"HTTP/1.1","request_id":"a_denial_names_its_policy-1","requested_server_name":null,"response_code":403,"response_code_details":"rbac_access_denied_matched_policy[ns[default]-policy[deny]-rule[0]]","response_flags":"-","route_name":null,"start_time":"2026-11-22T00:37:30.586Z","upstream_cluster":null,"upstream_host":null,"upstream_local_address":null,"upstream_service_time":null,"upstream_transport_failure_reason":null,"user_agent":null,"x_forwarded_for":null}"#,
        "AuthorizationPolicy/default/deny rule 0",
        "kubectl get authorizationpolicy deny -n default -o yaml",
    ),
    // Envoy's text.
    (
        r#"[2026-11-22T00:37:40.769Z] "GET /slow/delay/5000 HTTP/1.1" 504 UT 0 24 201 - "-" "-" "a_late_response_is_a_response_timeout-1" "127.0.0.1:46651" "127.0.0.1:37065""#,
        "VirtualService",
        "kubectl get virtualservices -A",
    ),
    // A record in the proxy's log.
    (
        r#"[2026-11-22 00:37:38.263][23859][warning][wasm] [source/extensions/common/wasm/context.cc:1154] wasm log failgate failgate: failgate {"v":1,"time":"2026-11-22T00:37:38.238Z","gate":"connect","cause":"connection_refused","side":"upstream","responder":"this_proxy","delivered":"maybe","error":"connection_refused","decided_by":"transport","look":["Service/refused.default targetPort of port 8080","is the application listening on that port?"],"retry":{"attempts":3,"exhausted":true},"proxy":"client.default","direction":"outbound","protocol":"HTTP/1.1","method":"GET","response_code":503,"response_flags":["UF","URX"],"response_code_details":"upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}","upstream_transport_failure_reason":"delayed connect error: Connection refused","upstream_cluster":"outbound|8080||refused.default.svc.cluster.local","upstream_host":"127.0.0.1:40849","route_name":"default","service":{"host":"refused.default.svc.cluster.local","port":8080},"request_id":"a_refused_connection_says_so_until_the_endpoint_is_ejected-1","duration_ms":24}"#,
        "Service/refused.default targetPort of port 8080",
        "istioctl proxy-config endpoints deploy/client.default --cluster 'outbound|8080||refused.default.svc.cluster.local'",
    ),
];

#[test]
fn one_command_leads_from_a_pasted_line_to_the_resource_to_check() {
    for (line, look, command) in LINES {
        for output in [explain(&[line], ""), explain(&[], &format!("{line}\n"))] {
            let page = text(&output.stdout);
            assert_eq!(output.status.code(), Some(0), "{line}");
            let first = page.lines().find_map(|line| line.strip_prefix("look at "));
            assert!(first.is_some_and(|first| first.trim().starts_with(look)), "{look}: {page}");
            assert!(page.lines().any(|line| line.ends_with(command)), "{command}: {page}");
        }
    }
}

#[test]
fn a_record_may_be_set_out_in_lines() {
    let readme = include_str!("../../../README.md");
    let (_, record) = readme.split_once("```json\n").unwrap();
    let (record, _) = record.split_once("```").unwrap();
    for output in [explain(&[record], ""), explain(&[], record)] {
        assert!(
            text(&output.stdout).contains("connection_refused: stopped at connect"),
            "{record}"
        );
    }
}

#[test]
fn what_is_like_nothing_gets_a_hint() {
    let output = explain(&["xyzzy", "plugh"], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).ends_with("or paste a whole line\n"), "{}", text(&output.stderr));
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
