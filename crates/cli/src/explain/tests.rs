use super::*;
use failgate_verdict::cause::CAUSES;
use failgate_verdict::details::{DETAILS, RESETS};
use failgate_verdict::flags::FLAGS;
use failgate_verdict::transport::TRANSPORT;

fn page(text: &str) -> String {
    let subject = subject::of(text).unwrap_or_else(|| panic!("{text} is not known"));
    Page { style: Style::default(), glyphs: Glyphs::ASCII }.of(&subject)
}

fn cause(text: &str) -> Option<&'static str> {
    match subject::of(text)?.about {
        About::Cause(cause) => Some(cause.name()),
        About::Record(record) => Some(record.cause.name()),
        About::Gate(_) | About::Nothing => None,
    }
}

#[test]
fn everything_that_a_table_knows_is_explained() {
    for flag in FLAGS {
        let expected = flag.cause.map(Cause::name);
        for name in [flag.short, flag.long, &flag.short.to_lowercase(), &flag.long.to_lowercase()] {
            assert_eq!(cause(name), expected, "{name}");
            page(name);
        }
    }
    for row in CAUSES {
        let text = page(row.name);
        assert!(
            text.contains("means") && text.contains("is not") && text.contains("look at"),
            "{text}"
        );
        assert!(text.contains("commands"), "{text}");
    }
    for gate in GATES {
        assert!(page(gate.name).contains(gate.says) || gate.says.len() > 80, "{}", gate.name);
    }
    let details = DETAILS.iter().map(|row| row.pattern.text());
    let resets = RESETS.iter().map(|row| row.pattern.text());
    let transports = TRANSPORT.iter().map(|row| row.pattern.text());
    for text in details.chain(resets).chain(transports) {
        page(text);
    }
}

#[test]
fn a_status_with_flags_is_judged_as_a_line_would_be() {
    assert_eq!(cause("503 URX,UF"), Some("connection_failure"));
    assert_eq!(
        cause("503 UF,URX upstream_reset_before_response_started{connection_timeout}"),
        Some("connection_timeout")
    );
    assert_eq!(cause("0 DC"), Some("client_disconnected"));
    assert_eq!(cause("503 -"), Some("application_error"));
    assert_eq!(cause("504 UpstreamRequestTimeout"), Some("response_timeout"));
    assert_eq!(cause("200 -"), None);
    assert_eq!(cause("503"), None);
}

#[test]
fn texts_of_envoy_are_found_in_either_spelling() {
    for text in ["upstream_reset_before_response_started{overflow}", "overflow"] {
        assert_eq!(cause(text), Some("upstream_overflow"), "{text}");
    }
    assert_eq!(cause("delayed connect error: Connection refused"), Some("connection_refused"));
    assert_eq!(cause("delayed_connect_error:_111"), Some("connection_refused"));
    assert_eq!(cause("transport socket timeout was reached"), Some("downstream_tls_timeout"));
    assert_eq!(cause("rbac_access_denied_matched_policy[none]"), Some("authorization_denied"));
    assert_eq!(cause("tls-san mismatch"), Some("tls_san_mismatch"));
}

#[test]
fn flags_may_have_details_behind_them() {
    assert_eq!(
        cause("UO upstream_reset_before_response_started{overflow}"),
        Some("upstream_overflow")
    );
    assert_eq!(cause("- via_upstream"), None);
    assert_eq!(
        cause(
            "UF,URX upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}"
        ),
        Some("connection_refused")
    );
    assert_eq!(subject::of("UF nonsense"), None);
    // An attempt before the last may have arrived.
    assert!(page("UF").contains("the request did not reach the application; a retry is safe"));
    assert!(page("UF,URX").contains("does not say whether it reached the application"));
}

#[test]
fn what_a_caller_got_instead_of_a_response_is_explained() {
    let reset = "upstream connect error or disconnect/reset before headers. ";
    for (body, expected) in [
        ("no healthy upstream", "no_healthy_upstream"),
        ("upstream request timeout", "response_timeout"),
        ("stream timeout", "stream_idle_timeout"),
        ("RBAC: access denied", "authorization_denied"),
        ("fault filter abort", "fault_injected"),
        (&format!("{reset}reset reason: connection failure"), "connection_failure"),
        (&format!("{reset}reset reason: connection termination"), "connection_terminated"),
        (&format!("{reset}reset reason: overflow"), "upstream_overflow"),
        (
            &format!(
                "{reset}retried and the latest reset reason: remote connection failure, transport failure reason: delayed connect error: Connection refused"
            ),
            "connection_refused",
        ),
    ] {
        assert_eq!(cause(body), Some(expected), "{body}");
    }
    let retried = page(&format!("{reset}retried and the latest reset reason: connection timeout"));
    assert!(retried.contains("does not say whether it reached the application"), "{retried}");
    assert_eq!(subject::of(&format!("{reset}something else")), None);
}

#[test]
fn the_traps_are_named() {
    for (asked, trap) in [
        ("-", "not that nothing failed"),
        ("503 -", "not that nothing failed"),
        ("DC", "reaches its timeout"),
        ("UC", "STRICT mTLS with TLS 1.3"),
        ("200 UH", "gRPC"),
        ("200 -", "gRPC"),
        ("via_upstream", "another proxy on the way"),
        ("URX", "last attempt's"),
        ("UAEX", "UAEX alone stands for both"),
    ] {
        let text = page(asked).split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(trap), "{asked}: {text}");
    }
}

#[test]
fn a_pasted_line_leads_to_the_resource_to_check() {
    let line = r#"[2026-01-31T23:59:59.999Z] "GET /x HTTP/1.1" 503 URX,UF upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused} - "delayed_connect_error:_Connection_refused" 0 91 12 - "-" "curl/8" "id-1" "reviews:8080" "10.0.0.1:8080" outbound|8080||reviews.shop.svc.cluster.local - 10.2.2.2:8080 10.1.1.1:5000 - default"#;
    let text = page(line);
    assert!(
        text.starts_with(
            "a line of an access log: 503 UF,URX\nconnection_refused: stopped at connect"
        ),
        "{text}"
    );
    assert!(text.contains("X connect"), "{text}");
    assert!(text.contains("look at     Service/reviews.shop targetPort of port 8080\n"), "{text}");
    assert!(text.contains("commands    kubectl get service -n shop reviews -o yaml\n"), "{text}");
    assert!(text.contains("istioctl proxy-config endpoints POD.NAMESPACE --cluster 'outbound|8080||reviews.shop.svc.cluster.local'"), "{text}");
    let fine = line.replace("503 URX,UF", "200 -").replace("upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}", "via_upstream");
    assert!(page(&fine).contains("it tells of no failure"));
}

#[test]
fn what_is_not_known_has_neighbours() {
    assert_eq!(subject::of("conection_refused"), None);
    assert_eq!(subject::nearest_to("conection_refused").first(), Some(&"connection_refused"));
    assert!(subject::nearest_to("UFX").contains(&"UF"));
    for (asked, near) in [
        ("UpstreamConectionFailure", "UpstreamConnectionFailure"),
        ("conect", "connect"),
        ("route_not_fond", "route_not_found"),
        ("upstream_per_try_timout", "upstream_per_try_timeout"),
        ("remote_conection_failure", "remote_connection_failure"),
        ("tls san missmatch", "tls_san_mismatch"),
    ] {
        assert_eq!(subject::of(asked), None, "{asked}");
        assert!(
            subject::nearest_to(asked).contains(&near),
            "{asked}: {:?}",
            subject::nearest_to(asked)
        );
    }
    for none in ["14", "99", "600", "70000"] {
        assert_eq!(subject::of(none), None, "{none}");
    }
    assert_eq!(subject::nearest_to("xyzzy plugh"), [""; 0]);
    assert_eq!(subject::of(""), None);
}

#[test]
fn no_page_is_wider_than_a_screen() {
    for row in CAUSES {
        let text = page(row.name);
        for line in
            text.lines().filter(|line| !line.contains("kubectl") && !line.contains("istioctl"))
        {
            assert!(line.chars().count() <= 115, "{line}");
        }
    }
}
