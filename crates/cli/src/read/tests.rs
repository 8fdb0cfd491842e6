use super::*;
use failgate_verdict::judge::Criteria;

const DETAILS: &str = "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}";

fn stream(text: &str) -> Stream<'static> {
    let read = line(text.as_bytes(), &mut Keys::default()).into_owned();
    let Line::Stream(stream) = read else { panic!("{read:?} of {text}") };
    *stream
}

fn record(text: &str) -> Record {
    stream(text).judge(&Criteria::default()).unwrap()
}

fn cause(text: &str) -> &'static str {
    record(text).cause.name()
}

fn istio(reasons: &str, host: &str) -> String {
    format!(
        r#"[2026-01-31T23:59:59.999Z] "GET /x HTTP/1.1" 503 {reasons} 0 91 12 - "-" "curl/8" "id-1" "reviews:8080" "{host}" outbound|8080||reviews.default.svc.cluster.local 10.1.1.1:4000 10.2.2.2:8080 10.1.1.1:5000 - default"#
    )
}

#[test]
fn istios_text_is_read_as_it_is_and_as_it_was() {
    let present = istio(
        &format!("URX,UF {DETAILS} - \"delayed_connect_error:_Connection_refused\""),
        "10.0.0.1:8080",
    );
    let read = record(&present);
    assert_eq!(read.cause.name(), "connection_refused");
    assert_eq!(read.time.as_deref(), Some("2026-01-31T23:59:59.999Z"));
    assert_eq!(read.method.as_deref(), Some("GET"));
    assert_eq!(read.upstream_host.as_deref(), Some("10.0.0.1:8080"));
    assert_eq!(read.route_name.as_deref(), Some("default"));
    assert_eq!(read.request_id.as_deref(), Some("id-1"));
    assert_eq!(read.duration_ms, Some(12));
    assert_eq!(read.response_flags, ["UF", "URX"]);
    assert_eq!(read.direction, Some(failgate_verdict::terms::Direction::Outbound));
    // Mixer's day: no details, a word of Mixer's, and the number of the error.
    let old = istio(r#"UF,URX "-" "delayed_connect_error:_111""#, "10.0.0.1:8080");
    assert_eq!(cause(&old), "connection_refused");
    assert_eq!(record(&old).response_code_details, None);
    // Details, but no termination details yet.
    let between = istio(&format!("UF,URX {DETAILS} \"-\""), "10.0.0.1:8080");
    assert_eq!(cause(&between), "connection_refused");
    // Before routes had names.
    let unnamed = present.strip_suffix(" default").unwrap();
    assert_eq!(record(unnamed), Record { route_name: None, ..read });
}

#[test]
fn envoys_own_text_is_read() {
    let text = r#"[2026-11-21T22:04:11.530Z] "GET /ref HTTP/1.1" 503 UF 0 167 11 - "-" "curl/7" "id-2" "localhost" "127.0.0.1:1""#;
    let read = record(text);
    assert_eq!(read.cause.name(), "connection_failure");
    assert_eq!(read.upstream_cluster, None);
    assert_eq!(read.request_id.as_deref(), Some("id-2"));
}

#[test]
fn a_connection_without_http_is_no_stream_of_http() {
    let text = r#"[2026-01-31T23:59:59.999Z] "- - -" 0 UF,URX - - "delayed_connect_error:_Connection_refused" 0 0 3 - "-" "-" "-" "-" "10.0.0.1:3306" outbound|3306||db.default.svc.cluster.local - 10.2.2.2:3306 10.1.1.1:5000 - -"#;
    let connection = stream(text);
    assert_eq!(connection.evidence().stream, failgate_verdict::evidence::Stream::Connection);
    let read = connection.judge(&Criteria::default()).unwrap();
    assert_eq!(read.cause.name(), "connection_refused");
    let fine =
        text.replace("UF,URX - - \"delayed_connect_error:_Connection_refused\"", "- - - \"-\"");
    assert_eq!(stream(&fine).judge(&Criteria::default()), None);
    let denied =
        fine.replace("0 - - - \"-\"", "0 - - rbac_access_denied_matched_policy[none] \"-\"");
    assert_eq!(cause(&denied), "connection_denied");
    let chain = fine.replace("0 - - - \"-\"", "0 NR filter_chain_not_found - \"-\"");
    assert_eq!(cause(&chain), "filter_chain_not_found");
}

#[test]
fn an_absent_field_is_unknown_and_not_an_absent_fact() {
    let overflow = "upstream_reset_before_response_started{overflow}";
    assert_eq!(cause(&istio(&format!("UO {overflow} - \"-\""), "-")), "connection_pool_overflow");
    assert_eq!(
        cause(&istio(&format!("UO {overflow} - \"-\""), "10.0.0.1:80")),
        "max_requests_overflow"
    );
    let json = |host: &str| {
        cause(&format!(
            r#"{{"response_code":503,"response_flags":"UO","response_code_details":"{overflow}"{host}}}"#
        ))
    };
    assert_eq!(json(""), "upstream_overflow");
    for absent in ["\"-\"", "\"\"", "null"] {
        assert_eq!(json(&format!(",\"upstream_host\":{absent}")), "connection_pool_overflow");
    }
    assert_eq!(json(",\"upstreamHost\":\"10.0.0.1:80\""), "max_requests_overflow");
}

#[test]
fn custom_json_is_read_in_the_usual_spellings() {
    for text in [
        r#"{"response_code":503,"response_flags":"UF,URX","method":"GET","upstream_transport_failure_reason":"delayed connect error: 111"}"#,
        r#"{"responseCode":"503","responseFlags":"URX,UF","upstreamTransportFailureReason":"delayed_connect_error:_Connection_refused"}"#,
        r#"{"status":503,"flags":"UpstreamConnectionFailure,UpstreamRetryLimitExceeded","transport-failure-reason":"delayed connect error: Connection refused"}"#,
        r#"{ "status" : 503 , "flags" : ["URX", "UF"] , "nested":{"a":[1]}, "details":"upstream_reset_before_response_started{connection failure,delayed connect error: 111}"}"#,
        r#"{"response_code":503,"response_flags":32800,"response_code_details":null,"upstream_transport_failure_reason":"delayed connect error: Connection refused"}"#,
    ] {
        let read = record(text);
        assert_eq!(read.cause.name(), "connection_refused", "{text}");
        assert_eq!(read.response_flags, ["UF", "URX"], "{text}");
        assert_eq!(read.response_code, Some(503), "{text}");
    }
}

#[test]
fn the_own_key_of_a_fact_goes_before_its_alias() {
    for text in [
        r#"{"time":"2020-01-01T00:00:00Z","start_time":"2026-01-31T23:59:59.999Z","response_code":500,"response_flags":"-"}"#,
        r#"{"start_time":"2026-01-31T23:59:59.999Z","time":"2020-01-01T00:00:00Z","response_code":500,"response_flags":"-"}"#,
    ] {
        assert_eq!(record(text).time.as_deref(), Some("2026-01-31T23:59:59.999Z"));
    }
}

#[test]
fn a_grpc_status_counts_for_grpc_only() {
    let judge = |facts: &str| {
        let text = format!(
            r#"{{"response_code":200,"response_flags":"-","response_code_details":"via_upstream",{facts}}}"#
        );
        stream(&text).judge(&Criteria::default()).map(|record| record.cause.name())
    };
    assert_eq!(judge(r#""grpc_status":"Unavailable""#), Some("application_error"));
    assert_eq!(judge(r#""grpc_status":"DEADLINE_EXCEEDED""#), Some("application_error"));
    assert_eq!(judge(r#""grpc_status":14"#), Some("application_error"));
    assert_eq!(
        judge(r#""grpc_status":"14","content_type":"application/grpc+proto""#),
        Some("application_error")
    );
    assert_eq!(judge(r#""grpc_status":14,"content_type":"text/plain""#), None);
    assert_eq!(judge(r#""grpc_status":"-""#), None);
    assert_eq!(judge(r#""grpc_status":"CANCELLED""#), None);
    assert_eq!(judge(r#""grpc_status":null"#), None);
}

#[test]
fn a_line_without_a_status_fails_only_when_it_says_so() {
    let judge = |text: &str| stream(text).judge(&Criteria::default()).map(|it| it.cause.name());
    assert_eq!(judge(r#"{"response_flags":"-","upstream_cluster":"a"}"#), None);
    assert_eq!(judge(r#"{"response_flags":"UT"}"#), Some("response_timeout"));
    assert_eq!(
        judge(r#"{"response_flags":"-","response_code":0,"protocol":"HTTP/2"}"#),
        Some("client_reset")
    );
}

#[test]
fn a_flag_that_no_table_knows_is_kept() {
    let read = record(r#"{"response_code":200,"response_flags":"NEW,DI"}"#);
    assert_eq!(read.cause.name(), "unrecognized");
    assert_eq!(read.response_flags, ["DI", "bit63"]);
}

#[test]
fn a_cluster_gives_the_direction_and_loses_its_suffix() {
    let read = record(
        r#"{"response_code":500,"response_flags":"-","upstream_cluster":"inbound|8080||;"}"#,
    );
    assert_eq!(read.upstream_cluster.as_deref(), Some("inbound|8080||"));
    assert_eq!(read.direction, Some(failgate_verdict::terms::Direction::Inbound));
    assert_eq!(read.responder.name(), "application");
}

const RECORD: &str = r#"{"v":1,"gate":"response","cause":"response_timeout","side":"upstream","responder":"this_proxy","delivered":"maybe","error":"http_response_timeout","decided_by":"details","response_code":504}"#;

#[test]
fn records_are_found_wherever_they_stand() {
    let escaped = RECORD.replace('"', "\\\"");
    for text in [
        RECORD.to_owned(),
        format!(
            "[2026-01-31 23:59:59.999][7][warning][wasm] [a/context.cc:1] wasm log failgate: failgate {RECORD}"
        ),
        format!(
            "2026-01-31T23:59:59.999Z\twarning\tenvoy wasm external/a.cc:1\twasm log x: failgate {RECORD}\tthread=17"
        ),
        format!(
            "[pod/a-1/istio-proxy] 2026-01-31T23:59:59.999Z\twarning\tenvoy wasm\twasm log x: failgate {RECORD}"
        ),
        format!(
            "2026-01-31T23:59:59.999999999Z stderr F [2026-01-31 23:59:59.999][7][warning][wasm] [a] wasm log x: failgate {RECORD}"
        ),
        format!(
            r#"{{"log":"[2026-01-31 23:59:59.999][7][warning][wasm] [a] wasm log x: failgate {escaped}\n","stream":"stderr","time":"2026-01-31T23:59:59.999999999Z"}}"#
        ),
        format!(
            r#"{{"level":"warning","time":"2026-01-31T23:59:59.999Z","scope":"envoy wasm","msg":"wasm log x: failgate {escaped}"}}"#
        ),
    ] {
        let Line::Record(record) = line(text.as_bytes(), &mut Keys::default()) else {
            panic!("{text}")
        };
        assert_eq!(record.cause.name(), "response_timeout");
    }
}

#[test]
fn prefixes_are_taken_off_and_name_the_pod() {
    let text = istio("UH no_healthy_upstream - \"-\"", "-");
    let json = r#"{"response_code":503,"response_flags":"UH","response_code_details":"no_healthy_upstream"}"#;
    for body in [text.as_str(), json] {
        let escaped = body.replace('"', "\\\"");
        for (line, pod) in [
            (format!("[pod/reviews-1/istio-proxy] {body}"), Some("reviews-1")),
            (format!("reviews-1 istio-proxy {body}"), Some("reviews-1")),
            (
                format!("\u{1b}[32mreviews-1\u{1b}[0m \u{1b}[32mistio-proxy\u{1b}[0m {body}"),
                Some("reviews-1"),
            ),
            (format!("2026-01-31T23:59:59.999999999Z stdout F {body}"), None),
            (format!("2026-01-31T23:59:59.999999999Z {body}"), None),
            (
                format!(
                    "{{\"log\":\"{escaped}\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-31T23:59:59Z\"}}"
                ),
                None,
            ),
            (format!("{body}\r"), None),
        ] {
            let read = record(&line);
            assert_eq!(read.cause.name(), "no_healthy_upstream", "{line}");
            assert_eq!(read.proxy.as_deref(), pod, "{line}");
        }
    }
}

/// The path, the user agent and the forwarded addresses are the caller's to write.
#[test]
fn a_caller_cannot_write_a_verdict() {
    let agent = format!(r#"x" "y" wasm log x: failgate {RECORD} "z"#);
    let text = istio("UH no_healthy_upstream - \"-\"", "-").replace("curl/8", &agent);
    let read = record(&text);
    assert_eq!(read.cause.name(), "no_healthy_upstream");
    assert_eq!(
        read.upstream_cluster.as_deref(),
        Some("outbound|8080||reviews.default.svc.cluster.local")
    );
    assert_eq!(read.request_id.as_deref(), Some("id-1"));
    let path = istio("UH no_healthy_upstream - \"-\"", "-")
        .replace("/x", "/{\"response_code\":200}[2026-");
    assert_eq!(cause(&path), "no_healthy_upstream");
    let json = format!(
        r#"{{"response_code":200,"response_flags":"-","message":"wasm log x: failgate {}"}}"#,
        RECORD.replace('"', "\\\"")
    );
    assert_eq!(stream(&json).judge(&Criteria::default()), None);
}

#[test]
fn what_is_not_to_be_judged_is_told_from_what_cannot_be_read() {
    let read = |text: &str| line(text.as_bytes(), &mut Keys::default()).into_owned();
    for text in [
        "",
        "  \t",
        "[2026-01-31 23:59:59.999][7][info][main] [source/server.cc:1] starting",
        "2026-01-31T23:59:59.999999Z\tinfo\tReadiness succeeded in 1s",
        r#"{"level":"info","time":"2026-01-31T23:59:59Z","scope":"ads","msg":"connected"}"#,
    ] {
        assert!(
            matches!(read(text), Line::Other | Line::Malformed("no access log and no record")),
            "{text}"
        );
        assert_eq!(read(text), Line::Other, "{text}");
    }
    for text in [
        "NOT A LOG",
        "{",
        "{}",
        r#"{"a":1}"#,
        r#"{"v":1,"gate":"nowhere"}"#,
        r#"{"code":0,"text":"something of somebody's"}"#,
        "[2026-01-31T23:59:59.999Z] \"GET /x HTTP/1.1\" 503",
        "[2026-01-31T23:59:59.999Z] \"GET",
        "wasm log x: failgate {\"v\":1,",
    ] {
        assert!(matches!(read(text), Line::Malformed(_)), "{text}");
    }
    assert!(matches!(line(&vec![b'x'; LINE_BYTES + 1], &mut Keys::default()), Line::Malformed(_)));
}

#[test]
fn no_cut_and_no_stray_byte_is_worse_than_malformed() {
    let whole = istio(
        &format!("URX,UF {DETAILS} - \"delayed_connect_error:_Connection_refused\""),
        "10.0.0.1:8080",
    );
    let json = r#"{"log":"{\"response_code\":503,\"response_flags\":\"UF\"}"}"#;
    for text in [whole.as_str(), json, RECORD] {
        for end in 0..text.len() {
            let _ = line(&text.as_bytes()[..end], &mut Keys::default());
            let mut broken = text.as_bytes().to_vec();
            broken[end] = 0xff;
            let _ = line(&broken, &mut Keys::default());
        }
    }
}
