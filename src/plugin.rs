//! The contexts that the proxy knows by number: plugins, and the streams of each.
//!
//! A VM is one thread. It runs every plugin of the proxy that has the same code and the same VM id, each
//! with a configuration of its own.

use alloc::format;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

use failgate_verdict::field::attribute;
use failgate_verdict::settings::Settings;

use crate::collector::Collector;
use crate::host::{self, Headers, Level, OneThread};
use crate::metrics::{Counter, Metrics};
use crate::report::Reporter;
use crate::stream::Passed;

/// So many mistakes of a configuration are told one by one.
const PROBLEMS: usize = 20;

/// What the proxy calls by a number.
struct Context {
    number: u32,
    kind: Kind,
    /// The reporter of its plugin; none before the plugin is configured.
    reporter: Option<Rc<Reporter>>,
    /// What the stream's response headers told when they passed.
    passed: Option<Passed>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The plugin itself, which is told of streams where it is mounted as an access logger.
    Plugin,
    /// One stream, where it is mounted as a filter.
    Stream,
}

/// The contexts, sorted by number. The proxy counts upwards, so a new one goes to the end, and most that
/// end are near it.
static CONTEXTS: OneThread<RefCell<Vec<Context>>> = OneThread(RefCell::new(Vec::new()));

/// Uses the contexts. No callback comes in meanwhile, so they cannot be in use already.
fn contexts<T>(act: impl FnOnce(&mut Vec<Context>) -> T) -> Option<T> {
    CONTEXTS.0.try_borrow_mut().ok().map(|mut contexts| act(&mut contexts))
}

fn find(contexts: &[Context], number: u32) -> Result<usize, usize> {
    contexts.binary_search_by_key(&number, |context| context.number)
}

/// Uses one context, if it is known.
fn with<T>(number: u32, act: impl FnOnce(&mut Context) -> Option<T>) -> Option<T> {
    contexts(|contexts| {
        let at = find(contexts, number).ok()?;
        contexts.get_mut(at).and_then(act)
    })
    .flatten()
}

fn reporter(number: u32) -> Option<Rc<Reporter>> {
    with(number, |context| context.reporter.clone())
}

fn put(context: Context) {
    contexts(|contexts| match find(contexts, context.number) {
        Ok(at) => {
            if let Some(place) = contexts.get_mut(at) {
                *place = context;
            }
        }
        Err(at) => contexts.insert(at, context),
    });
}

/// A plugin has begun (`parent` is 0), or a stream of the plugin `parent`.
pub fn created(number: u32, parent: u32) {
    let kind = if parent == 0 { Kind::Plugin } else { Kind::Stream };
    put(Context { number, kind, reporter: reporter(parent), passed: None });
}

/// The plugin has a configuration. What is wrong in it is said, and the default stands in its place.
pub fn configured(number: u32, configuration: &[u8]) {
    let (settings, problems) = Settings::parse(configuration);
    let metrics = Metrics::new(settings.metrics.enabled);
    // Each worker has a VM of its own, and all of them read the same configuration: one says so.
    if host::share("failgate.configuration", configuration) {
        host::log(Level::Info, concat!("failgate ", env!("CARGO_PKG_VERSION"), " is configured"));
        for problem in problems.iter().take(PROBLEMS) {
            let message =
                format!("failgate configuration: {problem}; the default stands in its place");
            host::log(Level::Error, &message);
        }
        metrics.add(Counter::ConfigurationErrors, problems.len());
        if let Some(more) = problems.len().checked_sub(PROBLEMS).filter(|more| *more > 0) {
            host::log(Level::Error, &format!("failgate configuration: {more} more mistakes"));
        }
    }
    let node = host::text(const { attribute("node_id") });
    let proxy = host::text(const { attribute("node_cluster") }).or_else(|| node.clone());
    let collector = Collector::new(&settings.otlp, proxy.as_deref(), node.as_deref());
    let reporter = Some(Rc::new(Reporter::new(settings, proxy, metrics, collector)));
    put(Context { number, kind: Kind::Plugin, reporter, passed: None });
}

/// The response headers of a stream pass.
pub fn response_headers(number: u32) {
    if let Some(reporter) = reporter(number) {
        let passed = reporter.response_headers();
        with(number, |context| context.passed.replace(passed));
    }
}

/// A stream has ended: the one with this number, or some stream of the plugin with this number, if that is
/// mounted as an access logger.
pub fn stream_ended(number: u32) {
    let ended = with(number, |context| {
        Some((context.reporter.clone()?, context.kind, context.passed.take()))
    });
    if let Some((reporter, kind, passed)) = ended {
        reporter.stream_ended(passed, kind == Kind::Stream);
    }
}

/// The plugin's time has come to send what waits.
pub fn tick(number: u32) {
    if let Some(reporter) = reporter(number) {
        reporter.tick();
    }
}

/// A call of the plugin's is over.
pub fn answered(number: u32, call: u32, headers: &Headers, body: &dyn Fn() -> Vec<u8>) {
    if let Some(reporter) = reporter(number) {
        reporter.answered(call, headers, body);
    }
}

/// The context is over. What a plugin still has to send goes to another one that sends too, if there is one:
/// the one with the new configuration.
pub fn deleted(number: u32) {
    let ended = contexts(|contexts| {
        let ended = find(contexts, number).ok().map(|at| contexts.remove(at))?;
        let plugins = contexts.iter().rev().filter(|context| context.kind == Kind::Plugin);
        let mut reporters = plugins.filter_map(|context| context.reporter.clone());
        let successor =
            if ended.kind == Kind::Plugin { reporters.find(|it| it.exports()) } else { None };
        Some((ended, successor))
    });
    if let Some((Context { kind: Kind::Plugin, reporter: Some(reporter), .. }, successor)) =
        ended.flatten()
    {
        reporter.close(successor.as_deref());
    }
}
