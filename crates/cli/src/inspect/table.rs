//! Failures as lines of a table, printed as they come, so the columns have fixed widths.

use std::io::{self, Write};

use failgate_verdict::Record;
use failgate_verdict::terms::Direction;

use crate::screen::{Style, plain};

/// The heading.
pub fn head(output: &mut impl Write, style: Style) -> io::Result<()> {
    let head = format!(
        "{:18}  {:6}  {:8}  {:11}  {:29}  {:40}  look first",
        "time", "status", "flags", "gate", "cause", "where"
    );
    writeln!(output, "{}", style.bold(&head))
}

/// One failure.
pub fn row(output: &mut impl Write, style: Style, record: &Record) -> io::Result<()> {
    let row = record.cause.row();
    let gate = style.side(record.side, &format!("{:11}", row.gate));
    let cause = style.side(record.side, &format!("{:29}", row.name));
    let look = record.look.first().map_or("", String::as_str);
    let line = format!(
        "{:18}  {:6}  {:8}  {gate}  {cause}  {:40}  {}",
        time(record),
        status(record),
        flags(record),
        place(record),
        plain(look),
    );
    writeln!(output, "{}", line.trim_end())
}

/// Month, day and time of day.
pub fn time(record: &Record) -> String {
    let time = record.time.as_deref().and_then(|time| time.get(5..23)).unwrap_or("-");
    plain(time).replace('T', " ")
}

/// The HTTP status, and the gRPC status of a gRPC request.
pub fn status(record: &Record) -> String {
    let status = record.response_code.unwrap_or_default();
    match record.grpc_status {
        Some(grpc) => format!("{status}/{grpc}"),
        None => status.to_string(),
    }
}

/// The flags, as an access log writes them.
pub fn flags(record: &Record) -> String {
    if record.response_flags.is_empty() {
        return "-".to_owned();
    }
    plain(&record.response_flags.join(",")).into_owned()
}

/// Who spoke, and to whom: `client.default → reviews.default:8080`; an inbound sidecar speaks to its own
/// application.
pub fn place(record: &Record) -> String {
    let proxy = record.proxy.as_deref().unwrap_or_default();
    let arrow = if record.direction == Some(Direction::Inbound) { "← inbound" } else { "→" };
    let upstream = service(record).or_else(|| record.upstream_cluster.clone()).unwrap_or_default();
    let text = match record.direction {
        Some(Direction::Inbound) => format!("{proxy} {arrow}"),
        Some(Direction::Outbound | Direction::Unspecified) | None if upstream.is_empty() => {
            proxy.to_owned()
        }
        Some(Direction::Outbound | Direction::Unspecified) | None => {
            format!("{proxy} {arrow} {upstream}")
        }
    };
    plain(text.trim()).into_owned()
}

/// The service that was asked, with its port: `reviews.default:8080`.
pub fn service(record: &Record) -> Option<String> {
    let service = record.service.as_ref()?;
    let host = service.host.as_deref()?;
    let host = host.split_once(".svc.").map_or(host, |(short, _)| short);
    Some(service.port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}
