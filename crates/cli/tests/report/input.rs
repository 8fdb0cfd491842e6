//! Logs to report on: few failures, very many, and such as nobody would wish for.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::OnceLock;

use failgate_verdict::cause::Cause;
use serde_json::json;

/// A refused connection.
pub const FAILED: &str = r#"{"start_time":"2026-01-31T23:59:59.999Z","method":"GET","response_code":503,"response_flags":"UF,URX","response_code_details":"upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}","upstream_host":"10.0.0.1:8080","upstream_cluster":"outbound|8080||reviews.default.svc.cluster.local","request_id":"id-1"}"#;

/// A request that succeeded.
pub const FINE: &str = r#"{"start_time":"2026-01-31T23:59:59.999Z","method":"GET","response_code":200,"response_flags":"-","response_code_details":"via_upstream"}"#;

/// What a caller might write to break out of wherever it is shown, in every way at once.
pub const HOSTILE: &str = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>--></style></pre>\u{1b}[31m\u{202e}\u{2066}\u{200f}&lt;";

/// Three records in which every text that may be any text is this one.
pub fn hostile(text: &str) -> String {
    let mut log = String::new();
    for cause in ["connection_refused", "application_error", "unrecognized"] {
        let row = Cause::named(cause).unwrap().row();
        let record = json!({
            "v": 1, "time": text, "gate": row.gate, "cause": cause, "side": row.side,
            "responder": "this_proxy", "delivered": "maybe", "error": text, "decided_by": "details",
            "look": [text, text, text], "policy": text,
            "hop": { "name": text, "gate": row.gate, "cause": cause },
            "retry": { "attempts": 3, "exhausted": true },
            "proxy": text, "direction": "outbound", "protocol": text, "method": text,
            "response_code": 503, "grpc_status": 14, "response_flags": [text, text],
            "response_code_details": text, "connection_termination_details": text,
            "upstream_transport_failure_reason": text, "downstream_transport_failure_reason": text,
            "upstream_cluster": text, "upstream_host": text, "route_name": text,
            "service": { "host": text, "port": 8080, "subset": text },
            "request_id": text, "duration_ms": 1, "suppressed": 1
        });
        writeln!(log, "{record}").unwrap();
    }
    log
}

/// A hundred thousand failures, counted while they are made, and the page about them.
pub struct Many {
    /// The page.
    pub page: String,
    /// How many there are of each cause.
    pub causes: BTreeMap<String, u64>,
    /// Their times, in order.
    pub times: BTreeMap<String, Vec<String>>,
}

/// Status, flags and details, the cause that they lead to, and one of how many failures is such.
const KINDS: &[(u16, &str, &str, &str, u32)] = &[
    (
        503,
        "UF",
        "upstream_reset_before_response_started{remote_connection_failure|Connection_refused}",
        "connection_refused",
        1,
    ),
    (404, "NR", "route_not_found", "route_not_found", 3),
    (504, "UT", "response_timeout", "response_timeout", 7),
    (500, "-", "via_upstream", "application_error", 11),
    (0, "DC", "downstream_remote_disconnect", "client_disconnected", 13),
    (403, "-", "rbac_access_denied_matched_policy[none]", "authorization_denied", 101),
    (400, "DPE", "http1.codec_error", "malformed_request", 1009),
    (503, "NC", "cluster_not_found", "cluster_not_found", 10007),
];

impl Many {
    /// Made once, since it takes a while.
    pub fn page() -> &'static Self {
        static MANY: OnceLock<Many> = OnceLock::new();
        MANY.get_or_init(Self::made)
    }

    fn made() -> Self {
        let mut log = String::new();
        let (mut causes, mut times) = (BTreeMap::new(), BTreeMap::<String, Vec<String>>::new());
        for at in 0..100_000_u32 {
            // Rare kinds first: most numbers are divisible by 1 alone.
            let kind = KINDS.iter().rev().find(|kind| at % kind.4 == 0).unwrap();
            let (status, flags, details, cause, _) = kind;
            let (seconds, milliseconds) = (at / 30, at % 30 * 33);
            let time = format!(
                "2026-11-21T{:02}:{:02}:{:02}.{milliseconds:03}Z",
                20 + seconds / 3600,
                seconds / 60 % 60,
                seconds % 60
            );
            // More services than are counted each for itself, the busiest of them early.
            let service = if at % 2 == 0 { at % 20 } else { at };
            writeln!(
                log,
                r#"{{"start_time":"{time}","response_code":{status},"response_flags":"{flags}","response_code_details":"{details}","upstream_cluster":"outbound|80||s{service}.shop.svc.cluster.local","proxy":"p{}.shop"}}"#,
                at % 5
            )
            .unwrap();
            *causes.entry((*cause).to_owned()).or_default() += 1;
            times.entry((*cause).to_owned()).or_default().push(time);
        }
        Self { page: super::page(&log), causes, times }
    }
}
