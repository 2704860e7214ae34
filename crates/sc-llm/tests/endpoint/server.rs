//! A server on this machine that answers, fails and lies as the test says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::{Value, json};

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// How many requests there were before, those of the probe not counted.
    pub(crate) number: usize,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The text of the last message.
    pub(crate) fn prompt(&self) -> &str {
        self.body["messages"].as_array().and_then(|all| all.last()?["content"].as_str()).unwrap_or_default()
    }

    pub(crate) fn is_probe(&self) -> bool {
        self.prompt().contains("the word east")
    }
}

pub(crate) struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    requests: Arc<Mutex<Vec<Request>>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Every connection has one request and is closed after the answer.
    pub(crate) fn start(answer: impl Fn(&Request, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, requests) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (ended, seen) = (Arc::clone(&stop), Arc::clone(&requests));
        let (number, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(answer));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                let (answer, seen, number) = (Arc::clone(&answer), Arc::clone(&seen), Arc::clone(&number));
                std::thread::spawn(move || {
                    let Some(mut request) = read(&stream) else { return };
                    if !request.is_probe() {
                        request.number = number.fetch_add(1, Ordering::SeqCst);
                        seen.lock().unwrap().push(request.clone());
                    }
                    answer(&request, &mut stream);
                });
            }
        });
        Self { address, stop, requests, thread: Some(thread) }
    }

    /// Answers probes in text, so that tests see their own requests only.
    pub(crate) fn chat(answer: impl Fn(&Request, &mut TcpStream) + Send + Sync + 'static) -> Self {
        Self::start(move |request, stream| {
            if request.is_probe() {
                send(stream, "200 OK", &[], &said("east"))
            } else {
                answer(request, stream)
            }
        })
    }

    /// Says the same to all.
    pub(crate) fn saying(text: &'static str) -> Self {
        Self::chat(move |_, stream| send(stream, "200 OK", &[], &said(text)))
    }

    pub(crate) fn base(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Requests other than those of the probe.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub(crate) fn read(stream: impl Read) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let path = lines.first()?.split(' ').nth(1)?.to_owned();
    let headers: Vec<(String, String)> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length")?.1.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { number: usize::MAX, path, headers, body: serde_json::from_slice(&body).ok()? })
}

/// Sends all of an answer; the client may have gone.
pub(crate) fn send(stream: &mut impl Write, status: &str, headers: &[(&str, &str)], body: &str) {
    let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    raw(stream, format!("{head}\r\n{body}").as_bytes());
}

/// Sends bytes as they are.
pub(crate) fn raw(stream: &mut impl Write, bytes: &[u8]) {
    let _ = stream.write_all(bytes).and_then(|()| stream.flush());
}

/// The body of an answer with this text.
pub(crate) fn said(text: &str) -> String {
    answer(json!({ "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }))
}

/// The body of an answer with this choice.
pub(crate) fn answer(choice: Value) -> String {
    json!({
        "id": "x", "object": "chat.completion", "model": "tiny-0613", "system_fingerprint": "fp_1",
        "choices": [choice], "usage": { "prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110 },
    })
    .to_string()
}

/// The body of an error as providers send it.
pub(crate) fn failure(message: &str, code: &str) -> String {
    json!({ "error": { "message": message, "type": code, "code": code } }).to_string()
}

/// Counts how many requests are worked on at once.
#[derive(Clone, Default)]
pub(crate) struct Busy(Arc<[AtomicUsize; 2]>);

impl Busy {
    /// Works for a while; the answer is sent after that.
    pub(crate) fn work(&self, milliseconds: u64) {
        let [now, most] = &*self.0;
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        now.fetch_sub(1, Ordering::SeqCst);
    }

    pub(crate) fn most(&self) -> usize {
        self.0[1].load(Ordering::SeqCst)
    }
}
