//! `failgate report` as a person runs it: what is counted, what the page says, and what it does in a real browser.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects"
)]

#[path = "report/browser.rs"]
mod browser;
#[path = "report/input.rs"]
mod input;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use failgate_cli::explain::guide;
use failgate_lab::{records, workspace};
use failgate_verdict::Record;
use failgate_verdict::cause::Cause;
use flate2::Compression;
use flate2::write::GzEncoder;
use input::{FAILED, FINE, Many};
use serde_json::Value;
use tempfile::TempDir;

fn report(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_failgate"));
    command.arg("report").args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writing = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    output
}

/// The page about this log.
fn page(log: &str) -> String {
    page_of(&[], log)
}

fn page_of(arguments: &[&str], log: &str) -> String {
    let output = report(&[&["-o", "-"], arguments].concat(), log.as_bytes());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    str::from_utf8(&output.stderr).unwrap()
}

/// What stands between two texts, every time.
fn between<'a>(text: &'a str, start: &str, end: &str) -> Vec<&'a str> {
    text.split(start).skip(1).map(|rest| rest.split(end).next().unwrap()).collect()
}

fn section<'a>(page: &'a str, id: &str) -> &'a str {
    between(page, &format!("<section id=\"{id}\""), "</section>")[0]
}

fn text(markup: &str) -> String {
    let mut text = String::new();
    for part in markup.split('<') {
        text += part.split_once('>').map_or(part, |(_, text)| text);
    }
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

fn number(text: &str) -> u64 {
    text.replace(',', "").parse().unwrap()
}

/// The records that the table shows.
fn shown(page: &str) -> Vec<Record> {
    let rows = between(section(page, "records"), "<pre tabindex=\"0\">", "</pre>");
    rows.iter().map(|json| serde_json::from_str(&text(json)).unwrap()).collect()
}

/// How many stopped at each gate, as the drawing says.
fn gates(page: &str) -> BTreeMap<String, u64> {
    let items = between(section(page, "pipeline"), "<li ", "</li>");
    let of = |item: &str| {
        let name = between(item, "g-", "\"")[0].split(' ').next().unwrap().to_owned();
        (name, number(between(item, "<b>", "</b>")[0]))
    };
    items.into_iter().map(of).collect()
}

/// How many failed of each cause, as the ranking says.
fn causes(page: &str) -> BTreeMap<String, u64> {
    let rows = between(section(page, "causes"), "<th scope=\"row\" role=\"rowheader\">", "</tr>");
    let of = |row: &str| {
        let name = between(row, "#cause-", "\"")[0].to_owned();
        (name, number(between(row, "<td class=\"number\" role=\"cell\">", "<")[0]))
    };
    rows.into_iter().map(of).collect()
}

fn corpus() -> Vec<Value> {
    records::corpus(records::WORLDS).unwrap()
}

fn lines(records: &[Value]) -> String {
    records.iter().map(|record| format!("{record}\n")).collect()
}

#[test]
fn every_record_of_the_lab_is_counted_and_shown_whole() {
    let corpus = corpus();
    let page = page(&lines(&corpus));
    let mut expected: Vec<Record> =
        corpus.iter().map(|record| serde_json::from_value(record.clone()).unwrap()).collect();
    let mut shown = shown(&page);
    assert!(shown.len() == corpus.len() && shown.len() > 150, "{}", shown.len());
    for records in [&mut expected, &mut shown] {
        records.sort_by_cached_key(|record| serde_json::to_string(record).unwrap());
    }
    assert!(expected == shown);
    assert!(page.contains(&format!("<h1>{} failed requests</h1>", corpus.len())));
}

#[test]
fn the_counts_are_those_of_a_second_count() {
    let corpus = corpus();
    let page = page(&lines(&corpus));
    let counted = |key: &str| {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for record in &corpus {
            *counts.entry(record[key].as_str().unwrap().to_owned()).or_default() += 1;
        }
        counts
    };
    assert_eq!(causes(&page), counted("cause"));
    let mut gates = gates(&page);
    assert_eq!(gates.len(), 12);
    gates.retain(|_, count| *count > 0);
    assert_eq!(gates, counted("gate"));
}

#[test]
fn a_hundred_thousand_failures_are_counted_exactly_and_the_page_stays_small() {
    let many = Many::page();
    assert!(many.page.len() < 4_000_000, "{} bytes", many.page.len());
    assert!(many.page.contains("<h1>100,000 failed requests</h1>"));
    assert_eq!(causes(&many.page), many.causes);
    let shown = shown(&many.page);
    assert_eq!(shown.len(), 1000);
    assert!(many.page.contains("Showing 1,000 of 100,000: the latest of each cause."));
    // All causes share the room evenly, and each shows its latest.
    let mut of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for record in &shown {
        of.entry(record.cause.name()).or_default().push(record.time.as_deref().unwrap());
    }
    let share = 1000 / of.len();
    for (cause, times) in &of {
        let all = many.causes[*cause];
        assert!(
            times.len() as u64 == all || times.len() >= share,
            "{cause}: {} of {all}",
            times.len()
        );
        let latest: Vec<&str> =
            many.times[*cause].iter().rev().take(times.len()).map(String::as_str).collect();
        assert_eq!(*times, latest, "{cause}");
    }
    // The timeline and the lists of names have all of them too.
    let table = between(section(&many.page, "timeline"), "<td class=\"number\">", "</td>");
    assert_eq!(table.iter().map(|count| number(count)).sum::<u64>(), 100_000);
    assert!((12..=60).contains(&table.len()), "{} bars", table.len());
    let places = section(&many.page, "places");
    let named = between(places, "<td class=\"number\" role=\"cell\">", "<")
        .into_iter()
        .map(number)
        .sum::<u64>();
    assert_eq!(named, 2 * 100_000, "upstreams, and proxies");
    assert!(places.contains("all others") && places.contains("when there was no room for more"));
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let log = lines(&corpus());
    assert!(page(&log) == page(&log));
    assert!(!page(FAILED).contains("report.html"), "where it is written to is no part of it");
}

#[test]
fn every_link_leads_somewhere_and_every_cause_is_explained_in_the_words_of_explain() {
    let corpus = corpus();
    let page = page(&lines(&corpus));
    let ids: Vec<&str> = between(&page, " id=\"", "\"");
    let unique: HashSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), unique.len(), "an id stands twice");
    let links = between(&page, "href=\"", "\"");
    assert!(links.len() > 300);
    for link in links {
        assert!(unique.contains(link.strip_prefix('#').unwrap()), "{link}");
    }
    let words = text(&page).replace('`', "");
    for cause in Cause::all() {
        let guide = guide::of(cause).unwrap();
        let occurs = corpus.iter().any(|record| record["cause"] == cause.name());
        assert_eq!(unique.contains(format!("cause-{cause}").as_str()), occurs, "{cause}");
        if occurs {
            for text in [guide.means, guide.is_not] {
                assert!(words.contains(&text.replace('`', "")), "{cause}: {text}");
            }
        }
    }
}

/// A page in which a log had a say would have an element or an attribute that is not one of these.
#[test]
fn no_text_of_a_log_becomes_markup() {
    let page = page(&input::hostile(input::HOSTILE));
    let tags: HashSet<&str> = between(&page, "<", ">")
        .into_iter()
        .map(|tag| tag.split([' ', '/']).find(|word| !word.is_empty()).unwrap())
        .collect();
    let ours: HashSet<&str> = "!DOCTYPE html head meta title style body a header footer main section nav script \
        p h1 h2 h3 h4 span b br ul ol li dl dt dd div pre code details summary table thead tbody tr th td \
        form label input figure figcaption svg g rect article"
        .split_ascii_whitespace()
        .collect();
    let foreign: Vec<_> = tags.difference(&ours).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    assert_eq!(page.matches("<script").count(), 1);
    for tag in between(&page, "<", ">") {
        assert!(
            !tag.contains(" on") && !tag.contains("javascript:") && !tag.contains("style="),
            "{tag}"
        );
    }
    let hidden =
        |it: char| (it.is_control() && it != '\n') || "\u{202e}\u{2066}\u{200f}".contains(it);
    assert!(!page.contains(hidden), "a character that hides or turns others");
    // What was said is still there to be read.
    assert!(
        text(&page).contains("</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>")
    );
}

#[test]
fn long_and_hostile_records_cannot_make_the_page_large() {
    let long = "<\"&>".repeat(250);
    let log: String = (0..60).map(|_| input::hostile(&long)).collect();
    assert!(log.len() > 4_000_000);
    let page = page(&log);
    assert!(page.len() < 6_000_000, "{} bytes", page.len());
    assert!(shown(&page).len() > 10);
}

/// How it was counted stands in the page, and the document says the same.
#[test]
fn the_document_says_what_the_page_says_of_its_bounds() {
    let page = page(FAILED);
    let said = between(between(&page, "<footer>", "</footer>")[0], "<li>", "</li>");
    let document = fs::read_to_string(workspace().join("docs/report.md")).unwrap();
    let document = document.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.len() >= 4, "{said:?}");
    for sentence in said {
        assert!(document.contains(&text(sentence)), "docs/report.md lacks: {sentence}");
    }
}

#[test]
fn an_empty_input_is_no_failure() {
    for (log, says) in [
        ("", "The input was empty."),
        (FINE, "Requests that succeeded are not counted."),
        ("GARBAGE", "None of the lines could be read"),
    ] {
        let page = page(log);
        assert!(page.contains("<h1>No failed request</h1>") && page.contains(says), "{page}");
        assert!(!page.contains("id=\"pipeline\"") && !page.contains("href=\"#"), "{page}");
    }
    let page = page_of(&["--gate", "route"], FAILED);
    assert!(
        page.contains("without them there may be some")
            && page.contains("<code>--gate route</code>")
    );
}

#[test]
fn lines_that_could_not_be_read_are_counted_and_named() {
    let log = format!("{FAILED}\n<b>GARBAGE\n{}", "{\"cut\n".repeat(1200));
    let output = report(&["-o", "-"], log.as_bytes());
    let page = String::from_utf8(output.stdout.clone()).unwrap();
    let unread = section(&page, "unread");
    assert!(unread.contains("1,201 lines are neither"), "{unread}");
    assert!(unread.contains("<code>2: no access log and no record</code>"), "{unread}");
    assert!(unread.contains("and 1,191 more"), "{unread}");
    assert!(stderr(&output).starts_with("failgate: 1,201 lines could not be read:\n  2: "));
}

#[test]
fn what_the_rate_limit_kept_back_is_said() {
    let mut record = corpus().swap_remove(0);
    record["suppressed"] = 1234.into();
    let page = page(&lines(&[record.clone(), record]));
    assert!(page.contains("At least <b>2,468</b> more failures happened"), "{page}");
}

#[test]
fn failures_without_a_time_are_said_and_not_drawn() {
    let timeless = FAILED.replace("\"start_time\":\"2026-01-31T23:59:59.999Z\",", "");
    let page_of_both = page(&format!("{FAILED}\n{timeless}\n{timeless}"));
    assert!(page_of_both.contains("2 failures without a time are not drawn."));
    assert!(
        section(&page_of_both, "timeline").contains("in steps of 1 s; most at 23:59:59: 1 in 1 s")
    );
    assert!(page(&timeless).contains("No line has a time."));
}

#[test]
fn gate_cause_and_since_choose_and_the_page_says_so() {
    let late = FAILED.replace("2026-01-31", "2026-02-02").replace("UF,URX", "UH").replace(
        "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}",
        "no_healthy_upstream",
    );
    let log = format!("{FAILED}\n{late}");
    let chosen = |arguments: &[&str]| {
        let page = page_of(arguments, &log);
        let said = between(&page, "Only what was asked for: ", "</p>").first().map(|it| text(it));
        (causes(&page).into_keys().collect::<Vec<_>>(), said.unwrap_or_default())
    };
    let (refused, unhealthy) = ("connection_refused".to_owned(), "endpoints_unhealthy".to_owned());
    assert_eq!(chosen(&[]), (vec![refused.clone(), unhealthy.clone()], String::new()));
    assert_eq!(
        chosen(&["--gate", "connect"]),
        (vec![refused.clone()], "--gate connect ".to_owned())
    );
    assert_eq!(chosen(&["--cause", "connection_refused"]).0, [refused]);
    let since = chosen(&["--since", "2026-02-02T00:00:00+01:00"]);
    assert_eq!(since, (vec![unhealthy], "--since 2026-02-01T23:00:00.000Z ".to_owned()));
}

#[test]
fn files_and_gzip_are_read_and_a_file_is_written() {
    let folder = TempDir::new().unwrap();
    let (plain, zipped) = (folder.path().join("one.log"), folder.path().join("two.log.gz"));
    fs::write(&plain, FAILED).unwrap();
    let mut encoder = GzEncoder::new(fs::File::create(&zipped).unwrap(), Compression::fast());
    writeln!(encoder, "{FAILED}").unwrap();
    encoder.finish().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_failgate"));
    let output =
        command.args(["report", "one.log", "two.log.gz"]).current_dir(&folder).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.contains("<h1>2 failed requests</h1>"));
    let places = between(&page, "found in line ", "<");
    assert_eq!(places, ["1 of two.log.gz", "1 of one.log"]);
    assert!(
        stderr(&output).starts_with("failgate: report.html: 2 failures in 2 lines, "),
        "{}",
        stderr(&output)
    );
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn nothing_is_written_over_a_log_or_for_an_input_that_is_not_there() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    fs::write(&log, FAILED).unwrap();
    let over = report(&[path(&log), "-o", path(&folder.path().join("./log"))], b"");
    assert_eq!(over.status.code(), Some(2));
    assert!(stderr(&over).contains("would be written over"), "{}", stderr(&over));
    assert_eq!(fs::read_to_string(&log).unwrap(), FAILED);

    let to: PathBuf = folder.path().join("page.html");
    let missing = report(&["/no/such/file", "-o", path(&to)], b"");
    assert_eq!((missing.status.code(), to.exists()), (Some(2), false));
    let partly = report(&["/no/such/file", path(&log), "-o", path(&to)], b"");
    assert_eq!(partly.status.code(), Some(2));
    assert!(fs::read_to_string(&to).unwrap().contains("An input could not be read to its end"));
    let nowhere = report(&[path(&log), "-o", "/no/such/folder/page.html"], b"");
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(stderr(&nowhere).starts_with("failgate: /no/such/folder/page.html: "));
}
