//! A storm of failures: what is written is bounded, all is counted, and nothing else happens.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use failgate_lab::client::Request;
use failgate_lab::hop::{Extras, Hop, Mount};
use failgate_lab::http2::Connection;
use failgate_lab::{Error, PATIENCE, Result, wait_until};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::{Rig, test};

#[rustfmt::skip]
pub fn add(rig: &Arc<Rig>, trials: &mut Vec<Trial>) {
    trials.push(test(rig, "twenty_thousand_failures_in_a_row_are_bounded_and_counted", |rig| storm(rig, 1)));
    trials.push(test(rig, "twenty_thousand_failures_of_two_workers_are_bounded_and_counted", |rig| storm(rig, 2)));
}

const FAILURES: u64 = 20_000;
/// After so many everything that grows to a size of its own has grown.
const WARM: u64 = 2_000;
/// Connections at once, and requests at once on each.
const CONNECTIONS: u64 = 4;
const BATCH: usize = 50;
/// The defaults of `log.maxPerSecond`, and what its bursts are.
const LINES_PER_SECOND: u64 = 50;
const BURST: u64 = 2 * LINES_PER_SECOND;

/// Requests that fail in three ways, with what Envoy answers.
const ASKED: [(&str, &str, (u16, &str)); 3] = [
    ("/fault", "fault_injected", (503, "fault filter abort")),
    ("/denied", "authorization_denied", (403, "RBAC: access denied")),
    ("/status/503", "application_error", (503, "")),
];

fn storm(rig: &Rig, workers: u32) -> Result<()> {
    let mut extras = Extras::default();
    extras.options.concurrency = workers;
    let hop = Hop::start_with(&rig.envoy, &rig.module, Mount::Filter, "", &extras)?;
    weather(&hop, u64::from(workers)).inspect_err(|_| eprintln!("{}", last_lines(&hop)))
}

fn weather(hop: &Hop, workers: u64) -> Result<()> {
    let began = Instant::now();
    let mut asked = Asked::default();
    fail(hop, WARM, &mut asked)?;
    counted(hop, &asked)?;
    let warm = hop.proxy.resident_kilobytes()?;
    fail(hop, FAILURES - WARM, &mut asked)?;
    counted(hop, &asked)?;
    let grown = hop.proxy.resident_kilobytes()?;
    // What a bucket gains goes on for as long as there are failures, however long this machine takes.
    let seconds = began.elapsed().as_secs() + 1;
    let written = records(hop, &asked)?.len() as u64;
    let most = workers * (BURST + LINES_PER_SECOND * seconds);
    expect(written >= BURST && written <= most, &format!("{written} lines, at most {most}"))?;
    let suppressed = counter(hop, "failgate_records_suppressed")?;
    expect(written + suppressed == FAILURES, &format!("{written} written, {suppressed} not"))?;
    expect(grown * 4 < warm * 5, &format!("{warm} kB grew to {grown} kB"))?;

    // A worker's last line cannot tell what came after it. Each one's next line does.
    let deadline = Instant::now() + PATIENCE;
    loop {
        thread::sleep(Duration::from_millis(50));
        fail(hop, CONNECTIONS, &mut asked)?;
        counted(hop, &asked)?;
        let failed: u64 = asked.iter().sum();
        let records = records(hop, &asked)?;
        let told = records.iter().filter_map(|record| record["suppressed"].as_u64()).sum::<u64>();
        let all = records.len() as u64 + told;
        expect(all <= failed, &format!("{all} of {failed} are told"))?;
        if all == failed {
            return hop.mock.check();
        }
        expect(Instant::now() < deadline, &format!("{all} of {failed} are told, and no more"))?;
    }
}

fn expect(holds: bool, otherwise: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::new("a storm", otherwise)) }
}

/// How often each of [`ASKED`] has been asked.
type Asked = [u64; ASKED.len()];

/// Sends so many requests and looks at every answer.
fn fail(hop: &Hop, requests: u64, asked: &mut Asked) -> Result<()> {
    let each = usize::try_from(requests / CONNECTIONS).unwrap();
    thread::scope(|scope| {
        let senders: Vec<_> =
            (0..CONNECTIONS).map(|_| scope.spawn(|| fail_on_one(hop, each))).collect();
        for sender in senders {
            let lost = || Error::new("a storm", "a thread panicked");
            let sent = sender.join().unwrap_or_else(|_| Err(lost()))?;
            asked.iter_mut().zip(sent).for_each(|(asked, sent)| *asked += sent);
        }
        Ok(())
    })
}

fn fail_on_one(hop: &Hop, requests: usize) -> Result<Asked> {
    let connection = Connection::open(hop.port())?;
    let mut asked = Asked::default();
    let which: Vec<usize> = (0..ASKED.len()).cycle().take(requests).collect();
    for which in which.chunks(BATCH) {
        let requests: Vec<_> = which.iter().map(|which| Request::get(ASKED[*which].0)).collect();
        for (answer, which) in connection.send_all(&requests).into_iter().zip(which) {
            let (answer, (path, _, expected)) = (answer?, ASKED[*which]);
            let found = (answer.status, answer.text());
            expect(found == (expected.0, expected.1.to_owned()), &format!("{path}: {answer:?}"))?;
            asked[*which] += 1;
        }
    }
    Ok(asked)
}

/// Waits until all are counted, by their causes and no more: a stream's log comes after its last byte.
fn counted(hop: &Hop, asked: &Asked) -> Result<()> {
    let all: u64 = asked.iter().sum();
    let counted = || counter(hop, "failgate_failures");
    wait_until(PATIENCE, "all failures to be counted", || counted().is_ok_and(|now| now >= all))?;
    for ((_, cause, _), asked) in ASKED.iter().zip(asked) {
        let counted = counter(hop, &format!(".tag.{cause};"))?;
        expect(counted == *asked, &format!("{counted} of {cause} are counted, not {asked}"))?;
    }
    expect(counted()? == all, "there is a cause that nobody asked for")
}

/// The records of all streams.
fn records(hop: &Hop, asked: &Asked) -> Result<Vec<Value>> {
    hop.records_of(usize::try_from(asked.iter().sum::<u64>()).unwrap())
}

/// The sum of the counters with that in their names.
fn counter(hop: &Hop, name: &str) -> Result<u64> {
    let page = hop.proxy.admin("/stats?filter=failgate")?;
    let lines = page.lines().filter(|line| line.contains(name));
    Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
}

fn last_lines(hop: &Hop) -> String {
    let lines = hop.proxy.log().all();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
