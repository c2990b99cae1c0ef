//! A real browser: Chromium without a window, driven by its own protocol over a WebSocket.
//!
//! Invariant: everything the page complains of is kept: what it writes to the console, what it throws, and what its
//! policy refuses. One page at a time; each call is bounded by [`PATIENCE`]. What is deliberately absent: waiting for a
//! while; tests wait for what they want to see.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, ErrorKind};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine;
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::wait::{PATIENCE, wait_for};

/// What it is called where it is installed.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// How a page is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Width of the window.
    pub width: u32,
    /// Height of the window.
    pub height: u32,
    /// `light` or `dark`.
    pub scheme: &'static str,
}

/// A browser with one page.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    socket: WebSocket<TcpStream>,
    session: String,
    calls: u64,
    events: VecDeque<Value>,
    complaints: Vec<String>,
    /// Removed when it ends.
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts it; none where there is none.
    pub fn start() -> Option<Self> {
        let profile = tempfile::tempdir().expect("a temporary directory");
        let mut child = NAMES.iter().find_map(|name| spawn(name, profile.path()))?;
        let stderr = child.stderr.take().expect("its words");
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        let address = lines
            .find_map(|line| line.strip_prefix("DevTools listening on ").map(str::to_owned))
            .expect("a browser that listens");
        // Who writes into a pipe that nobody reads stands still one day.
        std::thread::spawn(move || lines.for_each(drop));
        let host = address
            .trim_start_matches("ws://")
            .split('/')
            .next()
            .expect("a host");
        let stream = TcpStream::connect(host).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let (socket, _) = tungstenite::client(address.as_str(), stream).expect("a socket");
        let mut browser = Self {
            child,
            socket,
            session: String::new(),
            calls: 0,
            events: VecDeque::new(),
            complaints: Vec::new(),
            _profile: profile,
        };
        browser.open();
        Some(browser)
    }

    fn open(&mut self) {
        let target = self.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = self.call("Target.attachToTarget", &attach);
        session["sessionId"]
            .as_str()
            .expect("a session")
            .clone_into(&mut self.session);
        for domain in ["Page", "Runtime", "Log"] {
            self.call(&format!("{domain}.enable"), &json!({}));
        }
    }

    /// Calls the browser, and gives what it answers.
    #[track_caller]
    pub fn call(&mut self, method: &str, params: &Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut call = json!({"id": id, "method": method, "params": params});
        if !self.session.is_empty() {
            call["sessionId"] = json!(self.session);
        }
        self.socket.send(Message::text(call.to_string())).expect("a call");
        loop {
            let message = self.read();
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.note(message);
        }
    }

    fn read(&mut self) -> Value {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => return serde_json::from_str(&text).expect("JSON"),
                Ok(_) => {}
                // A child of the tests has ended meanwhile.
                Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("a message: {error}"),
            }
        }
    }

    fn note(&mut self, event: Value) {
        let params = &event["params"];
        match event["method"].as_str().unwrap_or_default() {
            "Runtime.consoleAPICalled" => self.complaints.push(params["args"].to_string()),
            "Runtime.exceptionThrown" => self.complaints.push(params["exceptionDetails"].to_string()),
            "Log.entryAdded" => self.complaints.push(params["entry"].to_string()),
            _ => {}
        }
        self.events.push_back(event);
    }

    /// Opens an address and waits until it is loaded.
    #[track_caller]
    pub fn go(&mut self, url: &str) {
        self.events.clear();
        self.call("Page.navigate", &json!({"url": url}));
        self.until_loaded();
    }

    /// Does something that leads to another page, and waits until that is loaded.
    #[track_caller]
    pub fn follow(&mut self, script: &str) {
        self.events.clear();
        self.run(script);
        self.until_loaded();
    }

    fn until_loaded(&mut self) {
        while !self
            .events
            .iter()
            .any(|event| event["method"] == "Page.loadEventFired")
        {
            let event = self.read();
            self.note(event);
        }
    }

    /// Runs a script in the page and gives its value; promises are waited for.
    #[track_caller]
    pub fn run(&mut self, script: &str) -> Value {
        let params =
            json!({"expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": true});
        let result = self.call("Runtime.evaluate", &params);
        assert!(
            result["exceptionDetails"].is_null(),
            "{script}: {}",
            result["exceptionDetails"]
        );
        result["result"]["value"].clone()
    }

    /// Waits until a script is true.
    #[track_caller]
    pub fn until(&mut self, script: &str) {
        wait_for(script, || (self.run(script) == json!(true)).then_some(()));
    }

    /// Looks at pages in another way from now on.
    pub fn look(&mut self, look: Look) {
        let size = json!({"width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": look.width < 600});
        self.call("Emulation.setDeviceMetricsOverride", &size);
        let scheme = json!({"features": [{"name": "prefers-color-scheme", "value": look.scheme}]});
        self.call("Emulation.setEmulatedMedia", &scheme);
    }

    /// Runs no script of pages, or runs it again.
    pub fn set_script(&mut self, runs: Script) {
        let disabled = json!({"value": runs == Script::Off});
        self.call("Emulation.setScriptExecutionDisabled", &disabled);
    }

    /// Keeps a picture of the whole page.
    pub fn picture(&mut self, path: &Path) {
        let picture = self.call("Page.captureScreenshot", &json!({"captureBeyondViewport": true}));
        let data = picture["data"].as_str().expect("a picture");
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(data)
            .expect("base64");
        std::fs::write(path, bytes).expect("a picture is kept");
    }

    /// What was complained of since it was asked last.
    pub fn complaints(&mut self) -> Vec<String> {
        std::mem::take(&mut self.complaints)
    }
}

/// Whether scripts of pages run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// They do.
    On,
    /// They do not.
    Off,
}

fn spawn(name: &str, profile: &Path) -> Option<Child> {
    Command::new(name)
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
        ])
        .args([
            "--no-first-run",
            "--disable-extensions",
            "--remote-debugging-port=0",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg("about:blank")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .ok()
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
