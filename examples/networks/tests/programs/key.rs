//! The key of a server, which the whole program sends to that server and leaves nowhere.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use super::server::{Request, Server, said, send};
use super::support::program;

const CANARY: &str = "sk-canary-5f81c0d2aa7e";

/// Three cells with their types.
fn records(dir: &Path) -> String {
    let record = |i: usize| {
        let label = ["B", "T"][i % 2];
        format!(
            r#"{{"cell_name": "cell{i}", "instruction": "Which?", "input": "CD3D, CD{i}", "output": "{label}"}}"#
        )
    };
    fs::write(dir.join("x_for_CellReasoner.json"), format!("[{}]", [0, 1, 2].map(record).join(", ")))
        .unwrap();
    fs::write(dir.join("types.txt"), "B\nT\n").unwrap();
    dir.join("x_for_CellReasoner.json").to_str().unwrap().to_owned()
}

/// Names and contents of all files below a folder.
fn files(dir: &Path, all: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, all),
            false => all.push((path.display().to_string(), fs::read(&path).unwrap())),
        }
    }
}

#[track_caller]
fn clean(what: &str, bytes: &[u8]) {
    let is_there = bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
    assert!(!is_there, "{what} holds the key: {}", String::from_utf8_lossy(bytes));
}

/// Runs a step with the key in the environment; returns its exit code. `look` sees the process while it runs.
fn step(dir: &Path, flags: &[&str], look: impl FnOnce(u32)) -> (i32, String) {
    let mut command = Command::new(program("cellreasoner"));
    command.args(flags).env("SC_LLM_API_KEY", CANARY).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    look(child.id());
    let ended = child.wait_with_output().unwrap();
    clean("stdout", &ended.stdout);
    clean("stderr", &ended.stderr);
    let mut left = Vec::new();
    files(dir, &mut left);
    assert!(left.len() >= 2, "the records are there at least");
    for (name, content) in &left {
        clean(name, name.as_bytes());
        clean(name, content);
    }
    (ended.status.code().unwrap(), String::from_utf8(ended.stderr).unwrap())
}

fn infer(dir: &Path, server: &Server, look: impl FnOnce(u32)) -> (i32, String) {
    let (input, labels, base) = (records(dir), dir.join("types.txt"), server.base());
    let flags = ["infer", "--input", &input, "--endpoint", &base, "--model", "m", "--concurrency", "1"];
    step(dir, &[&flags[..], &["--labels", labels.to_str().unwrap()]].concat(), look)
}

/// What the server was sent, whose key it must be, and what was in it as one text.
fn headers(request: &Request) -> String {
    let key = request.header("authorization").unwrap_or_default();
    assert_eq!(key, format!("Bearer {CANARY}"), "the key does go to the server");
    format!("authorization: {key}")
}

#[test]
fn a_run_that_succeeds_leaves_the_key_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let ((began, begins), (go, wait)) = (channel(), channel());
    let gate: Mutex<(Sender<()>, Receiver<()>)> = Mutex::new((began, wait));
    let server = Server::start(move |request: &Request, stream: &mut TcpStream| {
        headers(request);
        if request.is_probe() {
            return send(stream, "200 OK", &[], &said("east"));
        }
        if request.number == 0 {
            // The process stays while it is looked at.
            let gate = gate.lock().unwrap_or_else(PoisonError::into_inner);
            gate.0.send(()).unwrap();
            gate.1.recv().unwrap();
        }
        send(stream, "200 OK", &[], &said("T"));
    });
    let look = |pid: u32| {
        begins.recv().unwrap();
        if cfg!(target_os = "linux") {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
            assert!(line.windows(5).any(|word| word == b"infer"), "another process");
            clean("the command line", &line);
        }
        go.send(()).unwrap();
    };
    let (code, stderr) = infer(dir.path(), &server, look);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(server.requests().len(), 3);
    let result = dir.path().join("x_CellReasoner_result.csv");
    assert_eq!(fs::read_to_string(&result).unwrap().matches(",T,").count(), 3);
    let out = dir.path().join("report");
    let flags = ["evaluate", "--input", result.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let (code, stderr) = step(dir.path(), &flags, |_| ());
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("answers that are the name of the label: 0.333"), "{stderr}");
}

#[test]
fn a_server_that_repeats_the_key_in_what_it_says_does_not_spread_it() {
    let heads =
        ["200 OK", "400 Bad Request", "401 Unauthorized", "403 Forbidden", "404 Not Found", "500 Oops"];
    std::thread::scope(|scope| {
        for head in heads {
            for is_late in [false, true] {
                scope.spawn(move || {
                    let dir = tempfile::tempdir().unwrap();
                    let server = Server::start(move |request: &Request, stream: &mut TcpStream| {
                        let echo = headers(request);
                        let body = match head {
                            "200 OK" => said(&echo),
                            _ => serde_json::json!({"error": {"message": echo, "code": echo}}).to_string(),
                        };
                        match is_late && request.is_probe() {
                            true => send(stream, "200 OK", &[], &said("east")),
                            false => send(stream, head, &[("retry-after-ms", "1"), ("x-echo", &echo)], &body),
                        }
                    });
                    let (code, stderr) = infer(dir.path(), &server, |_| ());
                    let result = dir.path().join("x_CellReasoner_result.csv");
                    assert_eq!(code == 0, result.is_file(), "{head}: {stderr}");
                    assert!(
                        head == "200 OK" || code != 0 && stderr.contains(&head[..3]),
                        "{head}, {is_late}: {stderr}"
                    );
                });
            }
        }
    });
}
