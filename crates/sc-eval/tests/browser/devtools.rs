//! A browser without a window, driven over its debugging socket on the loopback interface.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// The browsers looked for, in this order.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// Runs before any script of a page: what ran, what the policy stopped, and what went wrong.
const WATCH: &str = "globalThis.ran = []; globalThis.stopped = []; globalThis.failed = [];
    for (const name of ['alert', 'confirm', 'prompt']) globalThis[name] = (text) => { ran.push(text); };
    document.addEventListener('securitypolicyviolation', (event) => stopped.push(event.violatedDirective));
    addEventListener('error', (event) => failed.push(String(event.message)));";

pub(crate) struct Browser {
    process: Child,
    socket: TcpStream,
    next: u64,
    session: Option<String>,
    /// Addresses that pages asked for.
    pub(crate) requests: Vec<String>,
    loaded: bool,
    dir: tempfile::TempDir,
}

impl Browser {
    /// Starts the first browser on the path; `None` where there is none.
    pub(crate) fn start() -> Option<Self> {
        let path = std::env::var_os("PATH")?;
        let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        let program = NAMES
            .iter()
            .flat_map(|name| folders.iter().map(move |dir| dir.join(name)))
            .find(|p| p.is_file())?;
        let dir = tempfile::tempdir().unwrap();
        let mut process = Command::new(program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-sync",
            ])
            .args(["--disable-component-update", "--disable-extensions", "--no-first-run", "--mute-audio"])
            .args(["--remote-debugging-port=0", "--window-size=1200,900"])
            .arg(format!("--user-data-dir={}", dir.path().join("profile").display()))
            .arg("about:blank")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a browser on the path starts");
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            line.split_once("DevTools listening on ws://").map(|(_, address)| address.trim().to_owned())
        });
        // The rest is read away, so that the browser never waits for room to write.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let address = address.expect("the browser says where it listens");
        let (host, path) = address.split_once('/').unwrap();
        let socket = open(host, path);
        let (requests, session) = (Vec::new(), None);
        let mut browser = Self { process, socket, next: 0, session, requests, loaded: false, dir };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", attach)["sessionId"].as_str().map(str::to_owned);
        browser.session = session;
        for domain in ["Page", "Runtime", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": WATCH }));
        Some(browser)
    }

    /// Opens a page and waits until it is loaded; what earlier pages asked for is forgotten.
    pub(crate) fn open(&mut self, html: &str) {
        let file = self.dir.path().join("page.html");
        std::fs::write(&file, html).unwrap();
        self.open_file(&file);
    }

    fn open_file(&mut self, file: &Path) {
        self.requests.clear();
        self.loaded = false;
        self.call("Page.navigate", json!({ "url": format!("file://{}", file.display()) }));
        while !self.loaded {
            self.receive();
        }
        // Two frames, so that what a page does at its start is done.
        self.eval("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))");
    }

    /// The value of an expression in the page.
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", params);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Moves the mouse and, if it is to, clicks or turns the wheel by so much.
    pub(crate) fn mouse(&mut self, (x, y): (f64, f64), click: bool, wheel: f64) {
        let mut send = |kind: &str, more: Value| {
            let mut params = json!({ "type": kind, "x": x, "y": y, "pointerType": "mouse" });
            params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            self.call("Input.dispatchMouseEvent", params);
        };
        send("mouseMoved", json!({}));
        if click {
            send("mousePressed", json!({ "button": "left", "buttons": 1, "clickCount": 1 }));
            send("mouseReleased", json!({ "button": "left", "clickCount": 1 }));
        }
        if wheel != 0.0 {
            send("mouseWheel", json!({ "deltaX": 0, "deltaY": wheel }));
        }
    }

    /// Presses a key, such as `Enter`.
    pub(crate) fn key(&mut self, key: &str, text: &str) {
        let code = if key == "Enter" { 13 } else { 0 };
        let mut down = json!({ "type": "keyDown", "key": key, "windowsVirtualKeyCode": code });
        if !text.is_empty() {
            down["text"] = text.into();
        }
        self.call("Input.dispatchKeyEvent", down);
        let up = json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code });
        self.call("Input.dispatchKeyEvent", up);
    }

    /// Sends a command and waits for its answer.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        send(&mut self.socket, message.to_string().as_bytes());
        loop {
            let answer = self.receive();
            if answer["id"] == id {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    fn receive(&mut self) -> Value {
        let message: Value = serde_json::from_slice(&receive(&mut self.socket)).unwrap();
        match message["method"].as_str() {
            Some("Page.loadEventFired") => self.loaded = true,
            Some("Network.requestWillBeSent") => {
                self.requests.push(message["params"]["request"]["url"].as_str().unwrap().to_owned());
            }
            _ => {}
        }
        message
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Opens a web socket (RFC 6455).
fn open(host: &str, path: &str) -> TcpStream {
    let mut socket = TcpStream::connect(host).expect("the browser listens");
    socket.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let key = "AAAAAAAAAAAAAAAAAAAAAA==";
    let request = format!(
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n\
         Sec-WebSocket-Version: 13\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    socket
}

/// Sends one text. The mask of zeros leaves it as it is, which is allowed and enough between two programs of one test.
fn send(socket: &mut TcpStream, text: &[u8]) {
    let mut frame = vec![0x81];
    match text.len() {
        n @ ..126 => frame.push(0x80 | n as u8),
        n @ ..65_536 => {
            frame.push(0x80 | 126);
            frame.extend((n as u16).to_be_bytes());
        }
        n => {
            frame.push(0x80 | 127);
            frame.extend((n as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(text);
    socket.write_all(&frame).unwrap();
}

/// Receives one text, from as many frames as it comes in.
fn receive(socket: &mut TcpStream) -> Vec<u8> {
    let mut text = Vec::new();
    loop {
        let mut head = [0; 2];
        socket.read_exact(&mut head).expect("the browser answers in time");
        let length = match head[1] & 0x7f {
            126 => {
                let mut n = [0; 2];
                socket.read_exact(&mut n).unwrap();
                u64::from(u16::from_be_bytes(n))
            }
            127 => {
                let mut n = [0; 8];
                socket.read_exact(&mut n).unwrap();
                u64::from_be_bytes(n)
            }
            n => u64::from(n),
        };
        let start = text.len();
        text.resize(start + length as usize, 0);
        socket.read_exact(&mut text[start..]).unwrap();
        match head[0] & 0x0f {
            // A ping or a pong within a text is none of it.
            9 | 10 => text.truncate(start),
            8 => panic!("the browser closed the socket"),
            _ if head[0] & 0x80 != 0 => return text,
            _ => {}
        }
    }
}
