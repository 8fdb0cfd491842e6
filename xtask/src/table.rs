//! A table in plain text, and what stands in its cells.

use std::io::IsTerminal as _;

use serde_json::Value;

/// Prints the rows below their head, each column as wide as its widest cell.
pub fn print<const N: usize>(head: [&str; N], rows: &[[String; N]]) {
    let mut widths = head.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [&str; N]| {
        let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let terminal = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let bold = |text: String| if terminal { format!("\x1b[1m{text}\x1b[0m") } else { text };
    println!("\n{}", bold(line(head)));
    for cells in rows {
        println!("{}", line(cells.each_ref().map(String::as_str)));
    }
}

/// What the proxy answered and flagged: `503 UF,URX`.
pub fn status_and_flags(record: &Value) -> String {
    let status = record.get("response_code").map_or_else(|| "0".to_owned(), Value::to_string);
    let flags: Vec<&str> = record
        .get("response_flags")
        .and_then(Value::as_array)
        .map(|flags| flags.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let flags = if flags.is_empty() { "-".to_owned() } else { flags.join(",") };
    format!("{status} {flags}")
}

/// A fact of the record, or nothing.
pub fn text<'a>(record: &'a Value, key: &str) -> &'a str {
    record.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Behind a thing that happened several times in a row.
pub fn times(count: usize) -> String {
    if count > 1 { format!(" (x{count})") } else { String::new() }
}
