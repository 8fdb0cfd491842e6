//! Failures counted: by gate in the order of the pipeline, by cause, by service, by who spoke.

use std::collections::HashMap;
use std::io::{self, Write};

use failgate_verdict::terms::GATES;
use failgate_verdict::{Cause, Record};

use super::table::service;
use crate::screen::{Style, count, plain};

/// Names that are counted; those that come later are counted together.
const NAMES: usize = 10_000;

/// Rows of a list.
const SHOWN: usize = 10;

/// The width of the longest bar.
const BAR: u64 = 40;

/// What has been counted.
#[derive(Default)]
pub struct Summary {
    failures: u64,
    causes: HashMap<Cause, (u64, Option<String>)>,
    services: Names,
    proxies: Names,
    first: Option<String>,
    last: Option<String>,
}

#[derive(Default)]
struct Names {
    counts: HashMap<String, u64>,
    others: u64,
}

impl Names {
    fn add(&mut self, name: Option<&str>) {
        let Some(name) = name else { return };
        if let Some(count) = self.counts.get_mut(name) {
            *count += 1;
        } else if self.counts.len() < NAMES {
            self.counts.insert(name.to_owned(), 1);
        } else {
            self.others += 1;
        }
    }

    fn print(&self, output: &mut impl Write, style: Style, head: &str) -> io::Result<()> {
        if self.counts.is_empty() {
            return Ok(());
        }
        writeln!(output, "\n{}", style.bold(head))?;
        let mut rows: Vec<_> = self.counts.iter().collect();
        rows.sort_unstable_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        for (name, number) in rows.iter().take(SHOWN) {
            writeln!(output, "{:>10}  {}", count(**number), plain(name))?;
        }
        let rest: u64 =
            rows.iter().skip(SHOWN).map(|(_, number)| **number).sum::<u64>() + self.others;
        if rest > 0 {
            writeln!(output, "{:>10}  others", count(rest))?;
        }
        Ok(())
    }
}

impl Summary {
    /// Counts one failure.
    pub fn add(&mut self, record: &Record) {
        self.failures += 1;
        let cause = self.causes.entry(record.cause);
        cause.or_insert_with(|| (0, record.look.first().cloned())).0 += 1;
        let upstream = service(record).or_else(|| record.upstream_cluster.clone());
        self.services.add(upstream.as_deref());
        self.proxies.add(record.proxy.as_deref());
        if let Some(time) = &record.time {
            if self.first.as_ref().is_none_or(|first| time < first) {
                self.first = Some(time.clone());
            }
            if self.last.as_ref().is_none_or(|last| time > last) {
                self.last = Some(time.clone());
            }
        }
    }

    /// Prints what has been counted of so many lines.
    pub fn print(&self, output: &mut impl Write, style: Style, lines: u64) -> io::Result<()> {
        write!(output, "{} failures in {} lines", count(self.failures), count(lines))?;
        if let (Some(first), Some(last)) = (&self.first, &self.last) {
            write!(output, ", {} to {}", plain(first), plain(last))?;
        }
        writeln!(output)?;
        if self.failures == 0 {
            return Ok(());
        }
        self.gates(output, style)?;
        self.causes(output, style)?;
        self.services.print(output, style, "upstreams")?;
        self.proxies.print(output, style, "proxies")
    }

    fn gates(&self, output: &mut impl Write, style: Style) -> io::Result<()> {
        writeln!(output, "\n{}", style.bold("gates"))?;
        for gate in GATES {
            let at = self.causes.iter().filter(|(cause, _)| cause.row().gate == gate.value);
            let number: u64 = at.map(|(_, (number, _))| number).sum();
            // Whatever happened at all is seen.
            let width = (number * BAR).div_ceil(self.failures.max(1));
            let bar: String =
                std::iter::repeat_n('█', usize::try_from(width).unwrap_or_default()).collect();
            let line = format!("{:>10}  {:11}  {bar}", count(number), gate.name);
            let line = line.trim_end();
            writeln!(output, "{}", if number == 0 { style.dim(line) } else { line.to_owned() })?;
        }
        Ok(())
    }

    fn causes(&self, output: &mut impl Write, style: Style) -> io::Result<()> {
        writeln!(output, "\n{}", style.bold("causes"))?;
        let mut rows: Vec<_> = self.causes.iter().collect();
        rows.sort_unstable_by(|a, b| b.1.0.cmp(&a.1.0).then(a.0.cmp(b.0)));
        for (cause, (number, look)) in rows {
            let name = style.side(cause.row().side, &format!("{:29}", cause.name()));
            let look = look.as_deref().unwrap_or_default();
            writeln!(output, "{:>10}  {name}  {}", count(*number), plain(look))?;
        }
        Ok(())
    }
}
