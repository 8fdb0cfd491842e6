//! The filter: failgate as a Proxy-Wasm module.
//!
//! One module, mounted as an HTTP filter or as an access logger. It looks at a stream once, when the
//! stream has ended, and never touches traffic: no pause, no body, no change to a request. What it reads
//! goes to the judge in `failgate-verdict`, which knows what it means.

mod host;
mod report;
mod stream;

use std::rc::Rc;

use failgate_verdict::field::attribute;
use failgate_verdict::settings::Settings;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use host::Level;
use report::Reporter;
use stream::Mount;

/// The entry that the SDK's macro makes. It is the host's alone, so nothing here is public.
mod entry {
    use super::Plugin;

    proxy_wasm::main! {{
        proxy_wasm::set_root_context(|_| Box::new(Plugin::default()));
    }}
}

/// The plugin in one VM, and at the same time the access logger.
#[derive(Default)]
struct Plugin {
    reporter: Option<Rc<Reporter>>,
}

impl Context for Plugin {}

impl RootContext for Plugin {
    /// Never refuses: what is wrong in the configuration is said, and the default stands in its place.
    fn on_configure(&mut self, size: usize) -> bool {
        let configuration = host::configuration(size);
        let (settings, problems) = Settings::parse(&configuration);
        // Each worker has a VM of its own, and all of them read the same configuration: one says so.
        if host::share("failgate.configuration", &configuration) {
            host::log(
                Level::Info,
                concat!("failgate ", env!("CARGO_PKG_VERSION"), " is configured"),
            );
            for problem in problems {
                let message =
                    format!("failgate configuration: {problem}; the default stands in its place");
                host::log(Level::Error, &message);
            }
        }
        let proxy = host::text(const { attribute("node_cluster") })
            .or_else(|| host::text(const { attribute("node_id") }));
        self.reporter = Some(Rc::new(Reporter::new(settings, proxy)));
        true
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(HttpStream { reporter: self.reporter.clone() }))
    }

    fn on_log(&mut self) {
        if let Some(reporter) = &self.reporter {
            reporter.stream_ended(Mount::AccessLogger);
        }
    }
}

/// One HTTP stream, when the module is mounted as a filter.
struct HttpStream {
    reporter: Option<Rc<Reporter>>,
}

impl Context for HttpStream {}

impl HttpContext for HttpStream {
    fn on_log(&mut self) {
        if let Some(reporter) = &self.reporter {
            reporter.stream_ended(Mount::Filter);
        }
    }
}
