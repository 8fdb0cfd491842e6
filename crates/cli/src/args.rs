//! The arguments, as help, completions and the manual page show them too.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use failgate_verdict::cause::{CAUSES, Cause};
use failgate_verdict::terms::{GATES, Gate};

use crate::read::nanoseconds;

/// Which gate of Envoy's pipeline stopped a request, why, and what to look at first.
#[derive(Debug, Parser)]
#[command(name = "failgate", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what a flag, a text of Envoy's, a cause, a gate or a whole line means
    Explain(Explain),
    /// Print an access-log format that carries all the evidence
    Format(Format),
    /// Judge the failed requests of access logs, and show failgate's records
    Inspect(Inspect),
    /// Write a page of HTML about the failed requests: counts, times, records, explanations
    Report(Report),
    /// Check the configuration of the filter before it is applied
    Check(Check),
    /// Print the completions of a shell
    Completions(Completions),
    /// Print a manual page
    Man(Manual),
}

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  failgate explain UF
  failgate explain 503 URX,UF
  failgate explain 'upstream_reset_before_response_started{overflow}'
  failgate explain tls_san_mismatch
  failgate explain connect
  kubectl logs deploy/reviews -c istio-proxy --tail=1 | failgate explain";

/// What to explain.
#[derive(Debug, Default, Args)]
#[command(after_help = EXPLAIN_EXAMPLES)]
pub struct Explain {
    /// A flag, response code details, a transport failure reason, a cause, a gate, a status with flags, or a
    /// whole line of a log; nothing reads one line from standard input
    #[arg(value_name = "WORD", allow_hyphen_values = true)]
    pub words: Vec<String>,
    /// Draw with ASCII only
    #[arg(long)]
    pub ascii: bool,
    /// When to use colours; NO_COLOR switches them off too
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

const FORMAT_EXAMPLES: &str = "\
Examples:
  failgate format > mesh-config.yaml
  failgate format --for telemetry --encoding text
  failgate format --for envoy

Without these facts a line still gets a verdict, a less exact one: Istio's own format has neither
the number of attempts nor that of endpoints.";

/// Whose access-log format to print.
#[derive(Clone, Copy, Debug, Default, Args)]
#[command(after_help = FORMAT_EXAMPLES)]
pub struct Format {
    /// Whose configuration to print
    #[arg(long = "for", value_enum, default_value_t, value_name = "WHAT")]
    pub target: For,
    /// How the log is written
    #[arg(long, value_enum, default_value_t, value_name = "ENCODING")]
    pub encoding: Encoding,
}

/// Whose configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum For {
    /// Istio's MeshConfig, for the whole mesh
    #[default]
    MeshConfig,
    /// A provider in Istio's MeshConfig, and the Telemetry resource that uses it
    Telemetry,
    /// An access log of a plain Envoy
    Envoy,
    /// The format alone
    Bare,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Encoding {
    /// An object a line
    #[default]
    Json,
    /// Istio's text, with the rest behind it
    Text,
}

const INSPECT_EXAMPLES: &str = "\
Examples:
  kubectl logs deploy/reviews -c istio-proxy | failgate inspect
  kubectl logs -l app=reviews -c istio-proxy --prefix -f | failgate inspect --gate connect
  failgate inspect --format summary --since 2h access.log access.log.1.gz
  failgate inspect --join client.log server.log
  failgate inspect --format json access.log | jq .cause

Lines may be failgate's records, or access logs in Istio's or Envoy's text format or in JSON,
mixed, with what kubectl, stern, Docker or CRI put before them; lines that a runtime cut into
pieces are put together. Lines without a time pass --since. A line that cannot be read is
counted and reported on stderr.

Where the filter and the access log both tell of a failure, it counts once, and the record
stands. They are known by the request id, the time and whatever else both say, with at most
10,000 other failures in between.";

/// What to read, and how to show it.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = INSPECT_EXAMPLES)]
pub struct Inspect {
    /// Files to read, gzip or plain; `-` or none is standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// How to show failures
    #[arg(long, short, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Show,
    /// Go on reading as the files grow
    #[arg(long, conflicts_with = "join")]
    pub follow: bool,
    /// Which failures
    #[command(flatten)]
    pub which: Which,
    /// Put the lines of one request id from several proxies together
    #[arg(long)]
    pub join: bool,
    /// Exit with 1 when failures were found
    #[arg(long)]
    pub exit_code: bool,
    /// Judge with so many threads, which changes nothing but the time; one for each core when it is not given
    #[arg(long, short, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// When to use colours; NO_COLOR switches them off too
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

/// Which failures are asked for.
#[derive(Clone, Debug, Default, Args)]
pub struct Which {
    /// Only failures at this gate; may be given several times
    #[arg(long, value_name = "GATE", value_parser = gates())]
    pub gate: Vec<Gate>,
    /// Only failures of this cause; may be given several times
    #[arg(long, value_name = "CAUSE", value_parser = causes(), hide_possible_values = true)]
    pub cause: Vec<Cause>,
    /// Only requests since then: a time (RFC 3339), a day, or that long ago (90s, 5m, 1h30m, 2d)
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub since: Option<u64>,
}

/// How failures are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Show {
    /// A line for each
    #[default]
    Table,
    /// A record for each, with the number of its line
    Json,
    /// Counts by gate, cause and service
    Summary,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// When the output is a terminal and `NO_COLOR` is not set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

const REPORT_EXAMPLES: &str = "\
Examples:
  failgate report access.log access.log.1.gz
  kubectl logs -l app=reviews -c istio-proxy --prefix --tail=-1 | failgate report -o reviews.html
  failgate report --since 2h --gate connect -o - access.log > connect.html

The page is one file that loads nothing. With JavaScript off it lacks only the search.
Every failure is counted; the table of records is bounded, and says what it leaves out.
Exits with 2 when an input could not be read to its end.";

/// What to report on, and where to.
#[derive(Debug, Default, Args)]
#[command(after_help = REPORT_EXAMPLES)]
pub struct Report {
    /// Files to read, gzip or plain; `-` or none is standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Where to write the page; `-` is standard output
    #[arg(long, short, value_name = "FILE", default_value = "report.html")]
    pub output: PathBuf,
    /// Which failures
    #[command(flatten)]
    pub which: Which,
}

const CHECK_EXAMPLES: &str = "\
Examples:
  failgate check wasmplugin.yaml envoyfilter.yaml
  kubectl get wasmplugins -A -o yaml | failgate check -

Exits with 1 when something is wrong or unwise, and with 2 when a file cannot be read or has no
configuration of failgate in it.";

/// What to check.
#[derive(Clone, Debug, Args)]
#[command(after_help = CHECK_EXAMPLES)]
pub struct Check {
    /// A WasmPlugin, an EnvoyFilter, a configuration of Envoy's, or the settings alone, in YAML or JSON; `-` is
    /// standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
}

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  failgate completions bash > ~/.local/share/bash-completion/completions/failgate
  failgate completions zsh > ~/.zfunc/_failgate";

/// Whose completions to print.
#[derive(Clone, Copy, Debug, Args)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub struct Completions {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

const MANUAL_EXAMPLES: &str = "\
Examples:
  failgate man > failgate.1
  failgate man inspect > failgate-inspect.1";

/// Which manual page to print.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = MANUAL_EXAMPLES)]
pub struct Manual {
    /// One of the commands; none is the page of failgate itself
    #[arg(value_name = "COMMAND")]
    pub command: Option<String>,
}

fn gates() -> impl TypedValueParser<Value = Gate> {
    PossibleValuesParser::new(GATES.iter().map(|gate| gate.name)).map(|name| {
        let gate = GATES.iter().find(|gate| gate.name == name);
        gate.map_or(Gate::Unknown, |gate| gate.value)
    })
}

fn causes() -> impl TypedValueParser<Value = Cause> {
    PossibleValuesParser::new(CAUSES.iter().map(|row| row.name))
        .try_map(|name| Cause::named(&name).ok_or("no such cause"))
}

/// Nanoseconds since 1970, of a time or of a time ago. A day alone begins at midnight in UTC.
fn since(text: &str) -> Result<u64, String> {
    let expected =
        "expected a time such as 2026-01-31T23:59:59Z, or how long ago, such as 90s, 5m, 1h30m, 2d";
    let is_day = text.len() == 10 && text.contains('-');
    let time = if is_day { nanoseconds(&format!("{text}T00:00:00Z")) } else { nanoseconds(text) };
    if let Some(time) = time {
        return Ok(time);
    }
    let ago = ago(text).ok_or(expected)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.saturating_sub(ago).as_nanos()).map_err(|error| error.to_string())
}

/// `1h30m`: numbers, each with its unit.
fn ago(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0_u64;
    while !rest.is_empty() {
        let end = rest.find(|it: char| !it.is_ascii_digit())?;
        let (number, unit) = rest.split_at_checked(end)?;
        let unit_seconds = match unit.chars().next()? {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        };
        let number: u64 = number.parse().ok()?;
        seconds = seconds.checked_add(number.checked_mul(unit_seconds)?)?;
        rest = unit.get(1..)?;
    }
    (!text.is_empty()).then_some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definitions_hold_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_example_is_a_command() {
        let readme = include_str!("../../../README.md");
        let mut seen = 0;
        let command = Arguments::command();
        let helps = command.get_subcommands().map(|command| {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Examples:\n  "), "{}", command.get_name());
            // Wider lines are wrapped in the middle of a command.
            assert!(help.lines().all(|line| line.len() <= 98), "{help}");
            help
        });
        for line in
            [readme.to_owned()].into_iter().chain(helps).collect::<Vec<_>>().join("\n").lines()
        {
            let command = line.split('|').map(str::trim).find(|part| part.starts_with("failgate "));
            let Some(command) = command.filter(|_| !line.starts_with('|')) else { continue };
            let command = command.split(['#', '>']).next().unwrap_or_default();
            let words: Vec<&str> = command.split_ascii_whitespace().collect();
            if words.get(1).is_some_and(|word| word.chars().all(|it| it.is_ascii_lowercase())) {
                assert!(Arguments::try_parse_from(&words).is_ok(), "{line}");
                seen += 1;
            }
        }
        assert!(seen >= 19, "{seen} examples");
    }

    #[test]
    fn since_is_a_time_or_a_time_ago() {
        assert_eq!(since("1970-01-01T00:00:01Z"), Ok(1_000_000_000));
        assert_eq!(since("1970-01-02"), Ok(86_400_000_000_000));
        assert_eq!(since("1970-01-01 01:00:01+01:00"), Ok(1_000_000_000));
        assert_eq!(since("1795290458"), Ok(1_795_290_458_000_000_000));
        assert_eq!(ago("90s"), Some(Duration::from_secs(90)));
        assert_eq!(ago("2h"), Some(Duration::from_secs(7200)));
        assert_eq!(ago("1d2h3m4s"), Some(Duration::from_secs(93_784)));
        assert!(since("2h").unwrap() < since("5m").unwrap());
        for text in [
            "",
            "x",
            "5",
            "m",
            "5w",
            "5ms",
            "1h30",
            "-5m",
            "2026-01-32T00:00:00Z",
            "2026-13-01",
            "2026-01-31T23:59:59",
            "99999999999999999999d",
            "18446744073709551615d",
            "é",
        ] {
            assert!(since(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_gate_and_cause_can_be_asked_for() {
        for row in CAUSES {
            let arguments = ["failgate", "inspect", "--cause", row.name, "--gate", row.gate.name()];
            let Command::Inspect(options) = Arguments::parse_from(arguments).command else {
                panic!("{arguments:?}")
            };
            assert_eq!(options.which.cause, [Cause::named(row.name).unwrap()]);
            assert_eq!(options.which.gate, [row.gate]);
        }
    }
}
