//! A real Chromium that opens pages, over the DevTools protocol in a pipe: messages in JSON, each ended by a zero.
//!
//! Whatever a page asks of the network, says on its console or opens as a dialog is kept for the test to see.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::chromium::Chromium;
use crate::process::Process;
use crate::{Doing as _, Error, Result};

/// How long the browser may take for one thing. A browser starts several processes, on a machine that may be busy.
const PATIENCE: Duration = Duration::from_secs(90);

/// Chromium as a server without a network, a window, or an account to run in a sandbox.
const OPTIONS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
];

/// A browser that runs; it ends when this is dropped.
#[derive(Debug)]
pub struct Browser {
    process: Process,
    commands: ChildStdin,
    messages: Receiver<Value>,
    next: u64,
    seen: Seen,
    folder: TempDir,
}

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Width in CSS pixels. A narrow one is a phone's.
    pub width: u32,
    /// Does the reader prefer dark?
    pub dark: bool,
    /// Is JavaScript on?
    pub script: bool,
}

/// What a page did that somebody could notice.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// What it asked for, itself first.
    pub requests: Vec<String>,
    /// Why requests of its were not made, such as `csp`.
    pub blocked: Vec<String>,
    /// What its console says: errors, warnings, violations of its policy.
    pub console: Vec<String>,
    /// Dialogs that it opened.
    pub dialogs: Vec<String>,
    loaded: bool,
}

/// A page in a tab of its own.
#[derive(Debug)]
pub struct Tab<'a> {
    browser: &'a mut Browser,
    session: String,
    target: String,
}

impl Browser {
    /// Starts it.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(chromium: &Chromium) -> Result<Self> {
        let doing = || format!("starting {}", chromium.path.display());
        let folder = tempfile::tempdir().doing(doing)?;
        let log = File::create(folder.path().join("log")).doing(doing)?;
        // The browser reads commands from 3 and answers on 4.
        let mut program = Command::new("sh")
            .args(["-c", r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null"#, "browser"])
            .arg(&chromium.path)
            .args(OPTIONS)
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .envs(chromium.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .doing(doing)?;
        let pipes = (program.stdin.take(), program.stdout.take());
        let process = Process::guarded(program)?;
        let (Some(commands), Some(answers)) = pipes else {
            return Err(Error::new(doing(), "it has no pipes"));
        };
        let (send, messages) = channel();
        std::thread::spawn(move || {
            let mut answers = BufReader::new(answers);
            let mut bytes = Vec::new();
            while answers.read_until(0, &mut bytes).is_ok_and(|length| length > 0) {
                bytes.pop();
                // Whoever waited has gone, or the browser said what is no message: both end it.
                let Ok(message) = serde_json::from_slice(&bytes) else { break };
                if send.send(message).is_err() {
                    break;
                }
                bytes.clear();
            }
        });
        let mut browser =
            Self { process, commands, messages, next: 0, seen: Seen::default(), folder };
        browser.call(None, "Browser.getVersion", json!({}))?;
        Ok(browser)
    }

    /// Opens a file in a new tab, and waits until it is loaded.
    ///
    /// # Errors
    /// When it is not loaded in time.
    pub fn open(&mut self, file: &Path, view: View) -> Result<Tab<'_>> {
        self.seen = Seen::default();
        let target = self.call(None, "Target.createTarget", json!({ "url": "about:blank" }))?;
        let target = text(&target, "targetId")?;
        let attach = json!({ "targetId": target, "flatten": true });
        let session = text(&self.call(None, "Target.attachToTarget", attach)?, "sessionId")?;
        let mut tab = Tab { browser: self, session, target };
        for domain in ["Page", "Runtime", "Network", "Log"] {
            tab.call(&format!("{domain}.enable"), json!({}))?;
        }
        let phone = view.width < 600;
        let metrics =
            json!({ "width": view.width, "height": 800, "deviceScaleFactor": 1, "mobile": phone });
        tab.call("Emulation.setDeviceMetricsOverride", metrics)?;
        let scheme = if view.dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        tab.call("Emulation.setEmulatedMedia", media)?;
        tab.call("Emulation.setScriptExecutionDisabled", json!({ "value": !view.script }))?;
        let url = format!("file://{}", file.display());
        tab.browser.seen.loaded = false;
        tab.call("Page.navigate", json!({ "url": url }))?;
        let deadline = Instant::now() + PATIENCE;
        while !tab.browser.seen.loaded {
            tab.browser.message(deadline, "Page.loadEventFired")?;
        }
        Ok(tab)
    }

    fn call(&mut self, session: Option<&str>, method: &str, params: Value) -> Result<Value> {
        self.next += 1;
        let id = self.next;
        let mut command = json!({ "id": id, "method": method, "params": params });
        if let (Some(session), Some(object)) = (session, command.as_object_mut()) {
            object.insert("sessionId".to_owned(), session.into());
        }
        let mut bytes = command.to_string().into_bytes();
        bytes.push(0);
        if let Err(reason) = self.commands.write_all(&bytes) {
            return Err(self.error(method, &reason.to_string()));
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Some(mut answer) = self.message(deadline, method)? else { continue };
            if answer.get("id").and_then(Value::as_u64) == Some(id) {
                if let Some(error) = answer.get("error") {
                    return Err(self.error(method, &error.to_string()));
                }
                return Ok(answer.get_mut("result").map(Value::take).unwrap_or_default());
            }
        }
    }

    /// The next message, if it is an answer; an event is taken down.
    fn message(&mut self, deadline: Instant, what: &str) -> Result<Option<Value>> {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(message) = self.messages.recv_timeout(left) else {
            return Err(self.error(what, "no answer"));
        };
        let Some(method) = message.get("method").and_then(Value::as_str) else {
            return Ok(Some(message));
        };
        let at = |pointer: &str| {
            let value = message.pointer(pointer).unwrap_or(&Value::Null);
            value.as_str().map_or_else(|| value.to_string(), str::to_owned)
        };
        match method {
            "Page.loadEventFired" => self.seen.loaded = true,
            "Network.requestWillBeSent" => self.seen.requests.push(at("/params/request/url")),
            "Network.loadingFailed" => self.seen.blocked.push(at("/params/blockedReason")),
            "Log.entryAdded" => self.seen.console.push(at("/params/entry/text")),
            "Runtime.consoleAPICalled" => self.seen.console.push(at("/params/args")),
            "Runtime.exceptionThrown" => self.seen.console.push(at("/params/exceptionDetails")),
            "Page.javascriptDialogOpening" => {
                // The page waits for its dialog, so nothing else will be heard of it.
                self.seen.dialogs.push(at("/params/message"));
                return Err(self.error(what, &format!("a dialog: {}", at("/params/message"))));
            }
            _ => {}
        }
        Ok(None)
    }

    fn error(&mut self, doing: &str, reason: &str) -> Error {
        let log = fs::read(self.folder.path().join("log")).unwrap_or_default();
        let ended = self.process.exited().map(|how| format!(" ({how})")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        Error::new(format!("asking Chromium: {doing}"), format!("{reason}{ended}\n{log}"))
    }
}

impl Tab<'_> {
    fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        let session = self.session.clone();
        self.browser.call(Some(&session), method, params)
    }

    /// The value of an expression of JavaScript, also where the page may run none of its own.
    ///
    /// # Errors
    /// When it throws.
    pub fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let params = json!({ "expression": expression, "returnByValue": true });
        let mut answer = self.call("Runtime.evaluate", params)?;
        if let Some(thrown) = answer.get("exceptionDetails") {
            return Err(Error::new(format!("evaluating {expression}"), thrown));
        }
        Ok(answer.pointer_mut("/result/value").map(Value::take).unwrap_or_default())
    }

    /// Types into whatever has the focus.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn typed(&mut self, text: &str) -> Result<()> {
        self.call("Input.insertText", json!({ "text": text })).map(drop)
    }

    /// Presses a key, such as `Tab` or `/`.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn press(&mut self, key: &str) -> Result<()> {
        for kind in ["keyDown", "keyUp"] {
            let mut params = json!({ "type": kind, "key": key });
            match (key, params.as_object_mut()) {
                ("Tab", Some(object)) => {
                    object.insert("windowsVirtualKeyCode".to_owned(), 9.into());
                }
                (text, Some(object)) if kind == "keyDown" => {
                    object.insert("text".to_owned(), text.into());
                }
                _ => {}
            }
            self.call("Input.dispatchKeyEvent", params)?;
        }
        Ok(())
    }

    /// Writes a picture of the page, from its top to at most that height.
    ///
    /// # Errors
    /// When the browser takes none, or the file cannot be written.
    pub fn picture(&mut self, file: &Path, height: f64) -> Result<()> {
        let metrics = self.call("Page.getLayoutMetrics", json!({}))?;
        let size = |name: &str| {
            let value = metrics.pointer(&format!("/cssContentSize/{name}"));
            value.and_then(Value::as_f64).unwrap_or(1.0)
        };
        let clip = json!({
            "x": 0, "y": 0, "width": size("width"), "height": size("height").min(height), "scale": 1
        });
        let params = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let data = text(&self.call("Page.captureScreenshot", params)?, "data")?;
        let doing = || format!("writing {}", file.display());
        fs::write(file, BASE64_STANDARD.decode(data).doing(doing)?).doing(doing)
    }

    /// What the page did so far.
    #[must_use]
    pub fn seen(&self) -> &Seen {
        &self.browser.seen
    }

    /// Closes it.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn close(self) -> Result<()> {
        let target = json!({ "targetId": self.target });
        self.browser.call(None, "Target.closeTarget", target).map(drop)
    }
}

fn text(answer: &Value, key: &str) -> Result<String> {
    let text = answer.get(key).and_then(Value::as_str).map(str::to_owned);
    text.ok_or_else(|| Error::new("asking Chromium", format!("no {key} in {answer}")))
}
