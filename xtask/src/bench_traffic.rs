//! `cargo xtask bench traffic`: what the module costs Envoy for each request.
//!
//! Several Envoys of one worker each serve the same requests in turn, so whatever else this machine does meets all
//! of them alike. The server behind them is an Envoy of its own: neither its time nor the caller's is counted.

use std::thread;
use std::time::Duration;

use failgate_lab::client::Request;
use failgate_lab::config::{
    bootstrap, cluster, http, http2, listener, plugin, route, wasm_filter, with,
};
use failgate_lab::envoy::Envoy;
use failgate_lab::envoyfilter::{Context, Patches};
use failgate_lab::http2::{Connection, Ending};
use failgate_lab::module::Module;
use failgate_lab::proxy::{Options, Proxy};
use failgate_lab::{Error, PATIENCE, Result, envoy, module, wait_until};
use serde_json::{Value, json};

use crate::progress;

/// A round of one Envoy and one kind of request: short, so that the turns come often.
const REQUESTS: u32 = 1_000;
const ROUNDS: usize = 20;
/// V8 compiles in the background what it is asked for often; these rounds are not counted.
const WARM_ROUNDS: usize = 4;
/// How often all of it is done with fresh processes, in case one of them is slow by chance.
const STARTS: usize = 4;

const CONNECTIONS: u32 = 4;
/// Requests at once on each connection.
const BATCH: usize = 50;

/// An Envoy that is measured.
struct Arm {
    name: &'static str,
    mount: Mount,
    configuration: &'static str,
}

enum Mount {
    None,
    /// As a WasmPlugin.
    Filter,
    /// As `envoyfilter.yaml`.
    AccessLogger,
}

/// The most that `log.maxPerSecond` can be: more than these Envoys can serve here.
const EVERY_LINE: &str = r#"{ "log": { "maxPerSecond": 10000 } }"#;

/// The first is what the others are compared with.
#[rustfmt::skip]
const ARMS: [Arm; 5] = [
    Arm { name: "none",                      mount: Mount::None,         configuration: "" },
    Arm { name: "WasmPlugin",                mount: Mount::Filter,       configuration: "{}" },
    Arm { name: "access logger",             mount: Mount::AccessLogger, configuration: "{}" },
    Arm { name: "WasmPlugin, every line",    mount: Mount::Filter,       configuration: EVERY_LINE },
    Arm { name: "access logger, every line", mount: Mount::AccessLogger, configuration: EVERY_LINE },
];

impl Arm {
    /// How many lines may be written makes no difference where there are none.
    fn serves(&self, kind: &Kind) -> bool {
        kind.fails || self.configuration != EVERY_LINE
    }
}

/// A kind of request.
struct Kind {
    name: &'static str,
    path: &'static str,
    status: u16,
    fails: bool,
}

#[rustfmt::skip]
const KINDS: [Kind; 4] = [
    Kind { name: "200",           path: "/server/200", status: 200, fails: false },
    Kind { name: "404",           path: "/server/404", status: 404, fails: false },
    Kind { name: "503",           path: "/server/503", status: 503, fails: true },
    Kind { name: "404, no route", path: "/nowhere",    status: 404, fails: true },
];

/// Measures, and prints a line for each kind of request and Envoy.
pub fn run() -> Result<()> {
    let module = module::build(&progress)?;
    let envoy = envoy::find(&progress)?;
    let server = Proxy::start(&envoy, &server(), &Options::default())?;
    let behind = server.port("server")?;
    let mut arms: Vec<_> = ARMS.iter().map(Measured::new).collect();
    for start in 1..=STARTS {
        progress(&format!("start {start} of {STARTS}"));
        let start = |arm: &Measured| Running::start(arm.arm, &envoy, &module, behind);
        let mut running = arms.iter().map(start).collect::<Result<Vec<_>>>()?;
        for round in 0..WARM_ROUNDS + ROUNDS {
            for (number, kind) in KINDS.iter().enumerate() {
                let turns = arms.iter_mut().zip(&mut running);
                let mut turns: Vec<_> = turns.filter(|(own, _)| own.arm.serves(kind)).collect();
                // Each is the first as often as any other, and has either neighbour before it.
                let first = round.checked_rem(turns.len()).unwrap_or_default();
                turns.rotate_left(first);
                if round % 2 == 1 {
                    turns.reverse();
                }
                for (arm, running) in turns {
                    let micros = running.serve(kind)?;
                    if round >= WARM_ROUNDS {
                        arm.micros.get_mut(number).into_iter().for_each(|own| own.push(micros));
                    }
                }
            }
        }
        for (arm, running) in arms.iter_mut().zip(running) {
            running.check(arm.arm)?;
            arm.memory.push((running.memory, running.proxy.resident_kilobytes()?));
        }
    }
    let processors = thread::available_parallelism().map_or(0, usize::from);
    println!("Envoy {}, one worker, {processors} processors", envoy.version);
    println!("module: {} bytes, {} gzipped", module.raw_bytes, module.gzip_bytes);
    println!(
        "CPU time of Envoy for a request in µs, median (and quartiles) of {STARTS} times {ROUNDS}"
    );
    println!(
        "rounds of {REQUESTS}; `more` is against the Envoy without the module in the same round\n"
    );
    report(&arms);
    Ok(())
}

fn report(arms: &[Measured]) {
    println!("{:13}  {:25}  {:24}  more", "request", "module", "CPU time");
    for (number, kind) in KINDS.iter().enumerate() {
        let of = |arm: &Measured| arm.micros.get(number).cloned().unwrap_or_default();
        let without = arms.first().map(of).unwrap_or_default();
        for arm in arms.iter().filter(|own| own.arm.serves(kind)) {
            let own = of(arm);
            let more = own.iter().zip(&without).map(|(own, without)| own - without).collect();
            let (own, more) = (quartiles(own), quartiles(more));
            println!("{:13}  {:25}  {own:24}  {more}", kind.name, arm.arm.name);
        }
    }
    println!("\n{:25}  memory at the start  and in the end", "module");
    for arm in arms {
        let mut memory = arm.memory.clone();
        memory.sort_unstable();
        let (before, after) = memory.get(memory.len() / 2).copied().unwrap_or_default();
        println!("{:25}  {:16} MB  {:7} MB", arm.arm.name, before / 1000, after / 1000);
    }
}

/// The median, and between which values the middle half lies.
fn quartiles(mut values: Vec<f64>) -> String {
    values.sort_unstable_by(f64::total_cmp);
    let at = |quarter: usize| values.get(values.len() * quarter / 4).copied().unwrap_or(f64::NAN);
    format!("{:6.2} ({:.2} to {:.2})", at(2), at(1), at(3))
}

/// What was measured of an arm.
struct Measured {
    arm: &'static Arm,
    /// For each of [`KINDS`] the time of a request, round by round.
    micros: [Vec<f64>; KINDS.len()],
    /// For each start in kB, before the first request and behind the last one.
    memory: Vec<(u64, u64)>,
}

impl Measured {
    fn new(arm: &'static Arm) -> Self {
        Self { arm, micros: Default::default(), memory: Vec::new() }
    }
}

/// A running Envoy.
struct Running {
    proxy: Proxy,
    connections: Vec<Connection>,
    /// In kB, before the first request.
    memory: u64,
    /// How many of its requests have failed.
    failed: u64,
}

impl Running {
    fn start(arm: &Arm, envoy: &Envoy, module: &Module, behind: u16) -> Result<Self> {
        let proxy = Proxy::start(envoy, &proxy(arm, module, behind)?, &Options::default())?;
        let port = proxy.port("outbound")?;
        let memory = proxy.resident_kilobytes()?;
        let connections = (0..CONNECTIONS).map(|_| Connection::open(port));
        Ok(Self { proxy, connections: connections.collect::<Result<_>>()?, memory, failed: 0 })
    }

    /// Serves a round, and tells how many microseconds of a processor one request took.
    fn serve(&mut self, kind: &Kind) -> Result<f64> {
        let before = self.settled(kind)?;
        let each = usize::try_from(REQUESTS / CONNECTIONS).unwrap_or_default();
        thread::scope(|scope| {
            let senders = self.connections.iter().map(|own| scope.spawn(|| send(own, kind, each)));
            let senders: Vec<_> = senders.collect();
            let lost = || Error::new("sending requests", "a thread panicked");
            senders.into_iter().try_for_each(|own| own.join().unwrap_or_else(|_| Err(lost())))
        })?;
        let taken = self.settled(kind)?.saturating_sub(before);
        self.failed += u64::from(REQUESTS) * u64::from(kind.fails);
        Ok(taken.as_secs_f64() * 1e6 / f64::from(REQUESTS))
    }

    /// The time so far, when nothing is left to do: a stream's log comes after its last byte, but the one worker
    /// does one thing after another, and has answered one more request.
    fn settled(&mut self, kind: &Kind) -> Result<Duration> {
        self.connections.first().map_or(Ok(()), |own| send(own, kind, 1))?;
        self.failed += u64::from(kind.fails);
        self.proxy.cpu_time()
    }

    /// Has the module been asked at all, and does it call failures what this does?
    fn check(&self, arm: &Arm) -> Result<()> {
        let expected = if matches!(arm.mount, Mount::None) { 0 } else { self.failed };
        let counted = || {
            let page = self.proxy.admin("/stats?filter=failgate_failures").unwrap_or_default();
            let values =
                page.lines().filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
            values.sum::<u64>()
        };
        let what = format!("{expected} failures to be counted by {}", arm.name);
        wait_until(PATIENCE, &what, || counted() == expected)
    }
}

/// Sends so many requests and looks at every answer.
fn send(connection: &Connection, kind: &Kind, requests: usize) -> Result<()> {
    let requests = vec![Request::get(kind.path); requests];
    for requests in requests.chunks(BATCH) {
        for answer in connection.send_all(requests) {
            let answer = answer?;
            if (answer.status, answer.ending) != (kind.status, Ending::Complete) {
                return Err(Error::new(kind.path, format!("{answer:?}")));
            }
        }
    }
    Ok(())
}

fn server() -> Value {
    let routes = KINDS.iter().map(|kind| {
        json!({
            "match": { "path": format!("/{}", kind.status) },
            "direct_response": { "status": kind.status, "body": { "inline_string": "hello" } },
        })
    });
    let routes: Vec<_> = routes.collect();
    bootstrap("server", &[listener("server", "UNSPECIFIED", http(&routes, &[]))], &[])
}

/// A client's sidecar: one route to the server, and the module where the arm has it.
fn proxy(arm: &Arm, module: &Module, behind: u16) -> Result<Value> {
    const SERVER: &str = "outbound|8080||server.default.svc.cluster.local";
    let filter = || wasm_filter(&plugin(&module.path, arm.configuration));
    let filters = if matches!(arm.mount, Mount::Filter) { vec![filter()] } else { Vec::new() };
    let routes = [route("default", "/server", SERVER)];
    let mut listener = listener("outbound", "OUTBOUND", http(&routes, &filters));
    if matches!(arm.mount, Mount::AccessLogger) {
        let mut patches = Patches::shipped(module)?;
        patches.set("/configuration/value", &json!(arm.configuration))?;
        listener = patches.apply(Context::SidecarOutbound, listener)?;
    }
    let cluster = with(cluster(SERVER, &[behind]), http2(json!({})));
    Ok(bootstrap("client", &[listener], &[cluster]))
}
