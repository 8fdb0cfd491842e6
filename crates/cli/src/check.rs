//! `failgate check`: what the filter would say of its configuration, before anything is applied, and what it
//! cannot say: how the proxy is told to treat it.
//!
//! The settings are read by the filter's own reader, `failgate_verdict::settings`; here they are only found:
//! in a WasmPlugin, in an EnvoyFilter, or bare.

pub(crate) mod document;
mod gateway;
mod secrets;

use std::io::{self, Read as _, Write as _};
use std::path::Path;

use failgate_verdict::settings::{SETTINGS, Settings};
use serde_json::{Map, Value};

use crate::args::Check;
use crate::screen::plain;
use document::Document;

/// No manifest is larger, in bytes.
const FILE_BYTES: u64 = 16 << 20;

/// The types of the messages that mount a Wasm module in Envoy end so.
const MOUNTS: [&str; 3] = [
    "extensions.filters.http.wasm.v3.Wasm",
    ACCESS_LOGGER,
    "extensions.filters.network.wasm.v3.Wasm",
];
const ACCESS_LOGGER: &str = "extensions.access_loggers.wasm.v3.WasmAccessLog";

/// Settings of what an access logger cannot do.
const NOT_FOR_ACCESS_LOGGERS: [&str; 2] = ["header", "filterState"];

/// What a WasmPlugin may say: `extensions/v1alpha1/wasm.proto` of Istio's API. The API server drops other keys
/// with no more than a warning.
const WASM_PLUGIN: [&str; 16] = [
    "failStrategy",
    "imagePullPolicy",
    "imagePullSecret",
    "match",
    "phase",
    "pluginConfig",
    "pluginName",
    "priority",
    "selector",
    "sha256",
    "targetRef",
    "targetRefs",
    "type",
    "url",
    "verificationKey",
    "vmConfig",
];

/// Something that is wrong, or unwise.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    line: usize,
    path: String,
    reason: String,
}

/// Checks the files. Returns the exit status: 1 when something was found, 2 when a file cannot be read.
///
/// # Errors
/// When the output cannot be written.
pub fn run(options: &Check) -> io::Result<u8> {
    let mut output = io::stdout().lock();
    let mut status = 0;
    for path in &options.files {
        let name = path.display().to_string();
        let checked = read(path).and_then(|text| findings(&text));
        let (found, mounts) = match checked {
            Ok(checked) => checked,
            Err(reason) => {
                eprintln!("failgate: {name}: {}", plain(&reason));
                status = 2;
                continue;
            }
        };
        if mounts == 0 {
            eprintln!("failgate: {name}: no configuration of failgate in it");
            status = 2;
        }
        for Finding { line, path, reason } in &found {
            writeln!(output, "{name}:{line}: {}: {}", plain(path), plain(reason))?;
            status = status.max(1);
        }
    }
    output.flush()?;
    Ok(status)
}

fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        io::stdin().take(FILE_BYTES).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES).read_to_string(&mut text))
    };
    read.map(|_| text).map_err(|error| error.to_string())
}

/// What is wrong in a text, and how many configurations of failgate it has.
fn findings(text: &str) -> Result<(Vec<Finding>, usize), String> {
    let mut found = Vec::new();
    let mut mounts = 0;
    for document in Document::all(text)? {
        let mut checking = Checking { document: &document, found: &mut found, always: Vec::new() };
        mounts += checking.manifest("", &document.value);
    }
    Ok((found, mounts))
}

/// Settings alone are an object with a key of ours, or an empty one. Another's file is not read as settings
/// with nothing but mistakes in it.
fn is_settings(value: &Value) -> bool {
    let Some(object) = value.as_object() else { return !value.is_null() };
    let is_ours = |key: &String| {
        SETTINGS.iter().any(|setting| setting.path.split('.').next() == Some(key.as_str()))
    };
    object.is_empty() || object.keys().any(is_ours)
}

struct Checking<'a> {
    document: &'a Document,
    found: &'a mut Vec<Finding>,
    /// Where the header is told to every caller, line and path.
    always: Vec<(usize, String)>,
}

impl Checking<'_> {
    fn add(&mut self, path: &str, reason: impl Into<String>) {
        self.add_at(self.document.line(path), path, reason);
    }

    fn add_at(&mut self, line: usize, path: &str, reason: impl Into<String>) {
        let path = if path.is_empty() { "the configuration" } else { path };
        self.found.push(Finding { line, path: path.to_owned(), reason: reason.into() });
    }

    /// A manifest, a list of them as kubectl prints one, a configuration of Envoy's, or the settings alone.
    fn manifest(&mut self, path: &str, value: &Value) -> usize {
        let mounts = self.mounts(path, value);
        for (line, path) in std::mem::take(&mut self.always) {
            if let Some(reached) = gateway::reached(value, &path) {
                let reason = "whoever calls from outside is told what failed inside";
                self.add_at(line, &path, format!("is always, {reached}: {reason}"));
            }
        }
        mounts
    }

    fn mounts(&mut self, path: &str, value: &Value) -> usize {
        match value.get("kind").and_then(Value::as_str) {
            Some("WasmPlugin") => self.wasm_plugin(path, value),
            Some("EnvoyFilter") => self.envoy_filter(path, value),
            Some(kind) if kind.ends_with("List") => {
                let items = value.get("items").and_then(Value::as_array).into_iter().flatten();
                let items =
                    items.enumerate().map(|(index, item)| (format!("{path}items[{index}]"), item));
                items.map(|(path, item)| self.manifest(&path, item)).sum()
            }
            Some(_) => 0,
            None => match self.envoy(path, value) {
                0 if is_settings(value) => self.settings(path, value),
                mounts => mounts,
            },
        }
    }

    /// The settings of a WasmPlugin, and how Istio is told to treat it. One of somebody else's is none of ours.
    fn wasm_plugin(&mut self, path: &str, manifest: &Value) -> usize {
        let spec = manifest.get("spec").unwrap_or(&Value::Null);
        let text = |key: &str| spec.get(key).and_then(Value::as_str);
        let name = manifest.pointer("/metadata/name").and_then(Value::as_str);
        if ![text("url"), text("pluginName"), name]
            .into_iter()
            .flatten()
            .any(|it| it.contains("failgate"))
        {
            return 0;
        }
        for key in spec.as_object().into_iter().flat_map(Map::keys) {
            if !WASM_PLUGIN.contains(&key.as_str()) {
                let path = joined(&joined(path, "spec"), key);
                self.add(&path, format!("unknown key; there are {}", WASM_PLUGIN.join(", ")));
            }
        }
        match spec.get("failStrategy") {
            Some(strategy) if strategy == "FAIL_OPEN" => {}
            Some(other) => {
                let other = other.as_str().map_or_else(|| other.to_string(), str::to_owned);
                self.add(&joined(path, "spec.failStrategy"), format!("must be FAIL_OPEN, is {other}: a diagnosis must not stop traffic"));
            }
            None => self.add(&joined(path, "spec"), "failStrategy is missing, which means FAIL_CLOSE; it must be FAIL_OPEN: a diagnosis must not stop traffic"),
        }
        if let Some(settings) = spec.get("pluginConfig") {
            self.settings(&joined(path, "spec.pluginConfig"), settings);
        }
        1
    }

    /// The mounts in an EnvoyFilter, and which workloads they are for.
    fn envoy_filter(&mut self, path: &str, manifest: &Value) -> usize {
        let mounts = self.envoy(path, manifest);
        let spec = manifest.get("spec").unwrap_or(&Value::Null);
        let selects = ["workloadSelector", "targetRefs"].iter().any(|key| spec.get(key).is_some());
        if mounts > 0 && !selects && names_a_file(spec) {
            let reason = "workloadSelector is missing, and Envoy refuses every listener that names a file which is not there: select the workloads that have the module's file";
            self.add(&joined(path, "spec"), reason);
        }
        mounts
    }

    /// Every mount of the module in a configuration of Envoy's, wherever it stands.
    fn envoy(&mut self, path: &str, value: &Value) -> usize {
        let entries: Vec<(String, &Value)> = match value {
            Value::Object(object) => {
                if let Some(config) = object.get("config").filter(|_| is_a(value, &MOUNTS)) {
                    let told = self.always.len();
                    let mounts = self.plugin(&joined(path, "config"), config);
                    if mounts > 0 && is_a(value, &[ACCESS_LOGGER]) {
                        self.access_logger(path, config);
                        self.always.truncate(told);
                    }
                    return mounts;
                }
                let logger = object.get("typed_config").filter(|it| is_a(it, &[ACCESS_LOGGER]));
                if logger.is_some_and(is_ours) && !object.contains_key("filter") {
                    let reason = "filter is missing: the module is called for every request, and not only for what failed";
                    self.add(path, reason);
                }
                object.iter().map(|(key, value)| (joined(path, key), value)).collect()
            }
            Value::Array(list) => list
                .iter()
                .enumerate()
                .map(|(index, value)| (format!("{path}[{index}]"), value))
                .collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
        };
        entries.into_iter().map(|(path, value)| self.envoy(&path, value)).sum()
    }

    /// What an access logger is told in vain.
    fn access_logger(&mut self, path: &str, config: &Value) {
        let json = config.pointer("/configuration/value").and_then(Value::as_str).unwrap_or("{}");
        let settings: Value = serde_json::from_str(json).unwrap_or_default();
        let path = joined(path, "config.configuration.value");
        let vain = NOT_FOR_ACCESS_LOGGERS.iter().filter(|key| settings.get(key).is_some());
        for key in vain {
            let reason = "does nothing here: an access logger is called when all is over";
            self.add_at(self.line_within(&path, json, key), &joined(&path, key), reason);
        }
    }

    /// Envoy's `PluginConfig`.
    fn plugin(&mut self, path: &str, config: &Value) -> usize {
        if !is_ours(config) {
            return 0;
        }
        let remote = config.pointer("/vm_config/code/remote");
        if remote.is_some_and(|remote| remote.get("sha256").is_none()) {
            let own = joined(path, "vm_config.code.remote");
            self.add(&own, "sha256 is missing: Envoy refuses every listener with such a module");
        }
        // Protobuf reads either spelling.
        let either = |snake: &str, camel: &str| config.get(snake).or_else(|| config.get(camel));
        let policy = either("failure_policy", "failurePolicy");
        let open = policy.is_some_and(|policy| policy == "FAIL_OPEN")
            || either("fail_open", "failOpen").is_some_and(|open| open == true);
        if !open {
            self.add(path, "failure_policy must be FAIL_OPEN: a diagnosis must not stop traffic");
        }
        let Some(configuration) = config.get("configuration") else { return 1 };
        let own = joined(path, "configuration");
        match configuration.get("value") {
            Some(Value::String(json)) => self.json(&joined(&own, "value"), json),
            // The module gets the bytes of any other message, a `Struct` too, and finds no JSON in them.
            _ => self.add(
                &own,
                "must be a google.protobuf.StringValue whose value is the settings as JSON",
            ),
        }
        1
    }

    fn settings(&mut self, path: &str, settings: &Value) -> usize {
        for (own, reason) in problems(&settings.to_string(), settings) {
            self.add(&joined(path, &own), reason);
        }
        if is_told_to_all(settings) {
            let path = joined(path, "header.mode");
            self.always.push((self.document.line(&path), path));
        }
        1
    }

    /// Settings within a text.
    fn json(&mut self, path: &str, json: &str) {
        let settings: Value = serde_json::from_str(json).unwrap_or_default();
        for (own, reason) in problems(json, &settings) {
            self.add_at(self.line_within(path, json, &own), &joined(path, &own), reason);
        }
        if is_told_to_all(&settings) {
            let line = self.line_within(path, json, "header.mode");
            self.always.push((line, joined(path, "header.mode")));
        }
    }

    /// The line of a place within a text: its lines are counted from that of the text's key.
    fn line_within(&self, path: &str, json: &str, place: &str) -> usize {
        let line = self.document.line(path);
        let inner = Document::all(json).ok().and_then(|documents| documents.into_iter().next());
        // Below the key when the text has lines of its own, as a block has.
        let below = inner.map_or(0, |inner| inner.line(place));
        if json.contains('\n') { line + below } else { line }
    }
}

/// What is wrong with settings, by place: what the filter would say, and what looks like a secret.
fn problems(json: &str, settings: &Value) -> Vec<(String, String)> {
    let mut secrets = secrets::named(settings);
    let mut problems = Vec::new();
    for problem in Settings::parse(json.as_bytes()).1 {
        let mut reason = reason(problem.reason);
        if let Some(at) = secrets.iter().position(|secret| *secret == problem.path) {
            reason = format!("{reason}: it {}", secrets::REASON);
            secrets.remove(at);
        }
        problems.push((problem.path, reason));
    }
    problems.extend(secrets.into_iter().map(|path| (path, secrets::REASON.to_owned())));
    problems
}

/// Does every caller get the header?
fn is_told_to_all(settings: &Value) -> bool {
    settings.pointer("/header/mode").is_some_and(|mode| mode == "always")
}

/// What may be known under another name, when a key is not.
fn reason(reason: String) -> String {
    if reason != "unknown key" {
        return reason;
    }
    let known: Vec<&str> = SETTINGS.iter().map(|setting| setting.path).collect();
    format!("unknown key; there are {}", known.join(", "))
}

/// Is it a message of one of these types?
fn is_a(message: &Value, types: &[&str]) -> bool {
    let own = message.get("@type").and_then(Value::as_str);
    own.is_some_and(|own| types.iter().any(|kind| own.ends_with(kind)))
}

/// Is it about failgate, or another module?
fn is_ours(message: &Value) -> bool {
    message.to_string().contains("failgate")
}

/// Is a module's code taken from a file of the proxy's container anywhere in it?
fn names_a_file(value: &Value) -> bool {
    match value {
        Value::Object(object) => {
            object.get("code").is_some_and(|code| code.pointer("/local/filename").is_some())
                || object.values().any(names_a_file)
        }
        Value::Array(list) => list.iter().any(names_a_file),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn joined(path: &str, key: &str) -> String {
    match (path, key) {
        ("", key) => key.to_owned(),
        (path, "") => path.to_owned(),
        (path, key) => format!("{path}.{key}"),
    }
}

#[cfg(test)]
#[path = "check/tests.rs"]
mod tests;
