//! A server on this machine that answers as the test says.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// How many requests there were before.
    pub(crate) number: usize,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The first byte asked for.
    pub(crate) fn start(&self) -> usize {
        let range = self.header("range").and_then(|range| range.strip_prefix("bytes="));
        range.and_then(|range| range.trim_end_matches('-').parse().ok()).unwrap_or(0)
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
        let (ended, seen, number) = (Arc::clone(&stop), Arc::clone(&requests), AtomicUsize::new(0));
        let answer = Arc::new(answer);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let mut stream = stream.unwrap();
                let Some(request) = read(&stream, number.fetch_add(1, Ordering::Relaxed)) else { continue };
                seen.lock().unwrap().push(request.clone());
                let answer = Arc::clone(&answer);
                std::thread::spawn(move || answer(&request, &mut stream));
            }
        });
        Self { address, stop, requests, thread: Some(thread) }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

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

fn read(stream: &TcpStream, number: usize) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())))
        .collect();
    Some(Request { number, path, headers })
}

/// Sends a status, headers and a body; the client may have gone.
pub(crate) fn send(stream: &mut TcpStream, status: &str, headers: &[(&str, &str)], body: &[u8]) {
    let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let _ =
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).and_then(|()| stream.flush());
}

/// Serves `file` as a good server does, from where it was asked to, but no more than `most` bytes.
pub(crate) fn serve(request: &Request, stream: &mut TcpStream, file: &[u8], etag: Option<&str>, most: usize) {
    let etag_header = etag.map(|etag| ("ETag", etag));
    let same = request.header("if-range").is_none_or(|version| Some(version) == etag);
    let start = if same { request.start() } else { 0 };
    if start >= file.len() && start > 0 {
        return send(stream, "416 Range Not Satisfiable", &[("Content-Length", "0")], b"");
    }
    let rest = &file[start..];
    let length = rest.len().to_string();
    let range = format!("bytes {start}-{}/{}", file.len().saturating_sub(1), file.len());
    let mut headers = vec![("Content-Length", length.as_str())];
    headers.extend(etag_header);
    let status = if start > 0 {
        headers.push(("Content-Range", &range));
        "206 Partial Content"
    } else {
        "200 OK"
    };
    send(stream, status, &headers, &rest[..rest.len().min(most)]);
}
