//! Downloads from a server on this machine that does everything wrong that servers do.

#![cfg(feature = "fetch")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod addresses;
mod archive;

mod server;

use std::net::TcpStream;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sc_io::fetch::{Artifact, Error, FetchOptions, Fetched, fetch};
use server::{Request, Server, send, serve};
use sha2::{Digest, Sha256};

/// Bytes that are never the same twice in a row.
fn file(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i.wrapping_mul(31) ^ (i >> 8).wrapping_mul(17)) as u8).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn artifact(url: String, bytes: &[u8]) -> Artifact {
    let (size, sha256) = (Some(bytes.len() as u64), Some(sha256(bytes)));
    Artifact { file: "model.bin".to_owned(), urls: vec![url], size, sha256 }
}

fn unstated(url: String) -> Artifact {
    Artifact { file: "model.bin".to_owned(), urls: vec![url], size: None, sha256: None }
}

fn options() -> FetchOptions {
    FetchOptions {
        backoff: Duration::from_millis(1),
        idle_timeout: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(5),
        ..FetchOptions::default()
    }
}

fn get_with(artifact: &Artifact, folder: &Path, options: &FetchOptions) -> Result<Fetched, Error> {
    fetch(artifact, folder, options, &mut |_| ControlFlow::Continue(()))
}

fn get(artifact: &Artifact, folder: &Path) -> Result<Fetched, Error> {
    get_with(artifact, folder, &options())
}

/// The files of the folder that a user sees.
fn seen(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).map(|entries| entries.map(|e| e.unwrap().file_name()).collect());
    let names: Vec<std::ffi::OsString> = entries.unwrap_or_default();
    let names = names.into_iter().map(|name| name.into_string().unwrap());
    names.filter(|name| !name.starts_with('.')).collect()
}

/// What fails, on a server that answers like this; nothing may be in the folder afterwards.
fn failure(artifact: impl Fn(&Server) -> Artifact, answer: fn(&Request, &mut TcpStream)) -> Error {
    let server = Server::start(answer);
    let folder = tempfile::tempdir().unwrap();
    let options = FetchOptions { retries: 1, ..options() };
    let e = get_with(&artifact(&server), folder.path(), &options).unwrap_err();
    assert_eq!(seen(folder.path()), [""; 0], "{e:?}");
    assert!(e.help().is_some(), "{e:?}");
    e
}

#[test]
fn a_file_is_fetched_once_and_then_taken_from_the_folder() {
    let bytes = file(300_000);
    let served = bytes.clone();
    let server = Server::start(move |request, stream| serve(request, stream, &served, None, usize::MAX));
    let folder = tempfile::tempdir().unwrap();
    let mut artifact = artifact(server.url("/a?key=secret"), &bytes);
    artifact.file = "deep/er/model.bin".to_owned();
    let mut last = None;
    let first = fetch(&artifact, folder.path(), &options(), &mut |progress| {
        assert!(last.is_none_or(|last| last <= progress.bytes));
        last = Some(progress.bytes);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!((first.bytes, first.verified, first.downloaded), (300_000, true, true));
    assert_eq!(first.sha256, sha256(&bytes));
    assert!(first.path.ends_with("deep/er/model.bin") && std::fs::read(&first.path).unwrap() == bytes);
    assert_eq!(last, Some(300_000));
    let again = get(&artifact, folder.path()).unwrap();
    assert_eq!(again, Fetched { downloaded: false, ..first });
    let offline = FetchOptions { offline: true, ..options() };
    assert_eq!(get_with(&artifact, folder.path(), &offline).unwrap(), again);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_cut_connection_is_taken_up_where_it_broke_off() {
    let bytes = file(500_000);
    let served = bytes.clone();
    let server =
        Server::start(move |request, stream| serve(request, stream, &served, Some("\"v1\""), 120_000));
    let folder = tempfile::tempdir().unwrap();
    for artifact in [artifact(server.url("/a"), &bytes), unstated(server.url("/a"))] {
        let before = server.requests().len();
        let fetched = get(&artifact, folder.path()).unwrap();
        assert!(std::fs::read(&fetched.path).unwrap() == bytes);
        let requests = server.requests().split_off(before);
        assert_eq!(
            requests.iter().map(Request::start).collect::<Vec<_>>(),
            [0, 120_000, 240_000, 360_000, 480_000]
        );
        assert!(requests[1..].iter().all(|r| r.header("if-range") == Some("\"v1\"")));
        std::fs::remove_file(&fetched.path).unwrap();
    }
}

#[test]
fn a_file_that_changes_between_attempts_is_fetched_from_its_start() {
    let (old, new) = (file(200_000), file(200_000).into_iter().rev().collect::<Vec<u8>>());
    for respects_if_range in [true, false] {
        let (before, after) = (old.clone(), new.clone());
        let server = Server::start(move |request, stream| match request.number {
            0 => serve(request, stream, &before, Some("\"old\""), 50_000),
            1 if !respects_if_range => {
                let headers = [("ETag", "\"new\""), ("Content-Range", "bytes 50000-199999/200000")];
                send(stream, "206 Partial Content", &headers, &after[50_000..]);
            }
            _ => serve(request, stream, &after, Some("\"new\""), usize::MAX),
        });
        let folder = tempfile::tempdir().unwrap();
        let fetched = get(&unstated(server.url("/a")), folder.path()).unwrap();
        assert!(std::fs::read(&fetched.path).unwrap() == new, "{respects_if_range}");
    }
    // Without a name for the version, only the hash tells, at the end.
    let (before, after) = (old, new.clone());
    let server = Server::start(move |request, stream| match request.number {
        0 => serve(request, stream, &before, None, 50_000),
        _ => serve(request, stream, &after, None, usize::MAX),
    });
    let folder = tempfile::tempdir().unwrap();
    let fetched = get(&artifact(server.url("/a"), &new), folder.path()).unwrap();
    assert!(std::fs::read(&fetched.path).unwrap() == new);
    assert_eq!(server.requests().iter().map(Request::start).collect::<Vec<_>>(), [0, 50_000, 0]);
}

#[test]
fn without_hash_or_version_a_cut_download_starts_anew() {
    let bytes = file(100_000);
    let served = bytes.clone();
    let server = Server::start(move |request, stream| {
        let most = if request.number < 2 { 30_000 + request.number } else { usize::MAX };
        serve(request, stream, &served, Some("W/\"weak\""), most);
    });
    let folder = tempfile::tempdir().unwrap();
    let fetched = get(&unstated(server.url("/a")), folder.path()).unwrap();
    assert_eq!((fetched.bytes, fetched.verified), (100_000, false));
    assert!(server.requests().iter().all(|r| r.header("range").is_none()));
}

#[test]
fn a_server_that_ignores_ranges_sends_everything_again() {
    let bytes = file(100_000);
    let served = bytes.clone();
    let server = Server::start(move |request, stream| {
        let most = if request.number == 0 { 30_000 } else { usize::MAX };
        let length = served.len().to_string();
        send(stream, "200 OK", &[("Content-Length", &length)], &served[..served.len().min(most)]);
    });
    let folder = tempfile::tempdir().unwrap();
    let fetched = get(&artifact(server.url("/a"), &bytes), folder.path()).unwrap();
    assert!(std::fs::read(&fetched.path).unwrap() == bytes);
    assert_eq!(server.requests()[1].start(), 30_000);
}

#[test]
fn a_part_that_was_not_asked_for_is_not_used() {
    let bytes = file(100_000);
    let served = bytes.clone();
    let server = Server::start(move |request, stream| match request.number {
        0 => serve(request, stream, &served, Some("\"v\""), 30_000),
        1 => {
            let headers = [("Content-Range", "bytes 20000-99999/100000"), ("ETag", "\"v\"")];
            send(stream, "206 Partial Content", &headers, &served[20_000..]);
        }
        2 => serve(request, stream, &served, Some("\"v\""), 30_000),
        3 => send(stream, "416 Range Not Satisfiable", &[("Content-Length", "0")], b""),
        _ => serve(request, stream, &served, Some("\"v\""), usize::MAX),
    });
    let folder = tempfile::tempdir().unwrap();
    let fetched = get(&artifact(server.url("/a"), &bytes), folder.path()).unwrap();
    assert!(std::fs::read(&fetched.path).unwrap() == bytes);
    assert_eq!(server.requests().iter().map(Request::start).collect::<Vec<_>>(), [0, 30_000, 0, 30_000, 0]);
}

#[test]
fn busy_servers_are_asked_again_when_they_say() {
    let server = Server::start(|request, stream| match request.number {
        0 => send(stream, "503 Service Unavailable", &[("Content-Length", "0")], b""),
        1 => send(stream, "429 Too Many Requests", &[("Retry-After", "0"), ("Content-Length", "0")], b""),
        _ => serve(request, stream, &file(10), None, usize::MAX),
    });
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(get(&artifact(server.url("/a"), &file(10)), folder.path()).unwrap().bytes, 10);
    assert_eq!(server.requests().len(), 3);

    let e = failure(
        |s| unstated(s.url("/a")),
        |_, stream| {
            send(stream, "429 Too Many Requests", &[("Retry-After", "86400"), ("Content-Length", "0")], b"");
        },
    );
    assert!(matches!(e, Error::Status { status: 429, retry_after: Some(86_400), .. }), "{e:?}");
}

#[test]
fn what_a_server_does_not_have_or_give_is_not_asked_for_again() {
    for status in [403, 404] {
        let server = Server::start(move |_, stream| {
            send(stream, &format!("{status} No"), &[("Content-Length", "4")], b"page");
        });
        let folder = tempfile::tempdir().unwrap();
        let e = get(&unstated(server.url("/a?token=secret")), folder.path()).unwrap_err();
        assert_eq!(e.to_string(), format!("{}: the server answered {status}", server.url("/a?...")));
        assert!(e.help().is_some() && server.requests().len() == 1);
    }
}

#[test]
fn the_next_address_is_tried() {
    let bytes = file(1000);
    let served = bytes.clone();
    let server = Server::start(move |request, stream| match request.path.as_str() {
        "/missing" => send(stream, "404 Not Found", &[("Content-Length", "0")], b""),
        "/wrong" => send(stream, "200 OK", &[("Content-Length", "1000")], &[7; 1000]),
        _ => serve(request, stream, &served, None, usize::MAX),
    });
    let folder = tempfile::tempdir().unwrap();
    let mut artifact = artifact(server.url("/missing"), &bytes);
    artifact.urls.extend([server.url("/wrong"), "https://10.0.0.1/refused".to_owned(), server.url("/good")]);
    assert!(std::fs::read(get(&artifact, folder.path()).unwrap().path).unwrap() == bytes);
}

#[test]
fn wrong_bytes_are_refused() {
    let e = failure(
        |s| artifact(s.url("/a"), &file(1000)),
        |_, stream| {
            send(stream, "200 OK", &[("Content-Length", "1000")], &[7; 1000]);
        },
    );
    assert!(
        matches!(&e, Error::WrongHash { expected, found, .. } if *expected == sha256(&file(1000)) && *found == sha256(&[7; 1000]))
    );
}

#[test]
fn wrong_lengths_are_refused() {
    let e = failure(
        |s| artifact(s.url("/a"), &file(1000)),
        |_, stream| {
            send(stream, "200 OK", &[("Content-Length", "999")], &file(999));
        },
    );
    assert!(matches!(e, Error::WrongSize { found: 999, expected: 1000, .. }), "{e:?}");
    // More is declared than comes, again and again.
    let e = failure(
        |s| unstated(s.url("/a")),
        |_, stream| {
            send(stream, "200 OK", &[("Content-Length", "1000")], &file(10));
        },
    );
    assert!(matches!(e, Error::Cut { found: 10, expected: Some(1000), .. }), "{e:?}");
    // Nothing is declared, and more comes than there can be.
    let e = failure(
        |s| artifact(s.url("/a"), &file(1000)),
        |_, stream| {
            send(stream, "200 OK", &[], &file(2_000_000));
        },
    );
    assert!(matches!(e, Error::WrongSize { expected: 1000, .. }), "{e:?}");
    // Nothing is declared, and less comes.
    let e =
        failure(|s| artifact(s.url("/a"), &file(1000)), |_, stream| send(stream, "200 OK", &[], &file(10)));
    assert!(matches!(e, Error::Cut { found: 10, expected: Some(1000), .. }), "{e:?}");
}

#[test]
fn a_file_beyond_the_limit_is_refused_before_and_during_the_download() {
    for declared in [true, false] {
        let server = Server::start(move |_, stream| {
            let length = [("Content-Length", "1000000")];
            send(stream, "200 OK", if declared { &length } else { &[] }, &file(1_000_000));
        });
        let folder = tempfile::tempdir().unwrap();
        let options = FetchOptions { max_bytes: 100_000, ..options() };
        let e = get_with(&unstated(server.url("/a")), folder.path(), &options).unwrap_err();
        assert!(
            matches!(e, Error::TooLarge { limit: 100_000, found, .. } if declared == (found == 1_000_000)),
            "{e:?}"
        );
        assert!(e.help().is_some() && server.requests().len() == 1);
    }
}

#[test]
fn compressed_answers_are_refused() {
    let e = failure(
        |s| unstated(s.url("/a")),
        |request, stream| {
            assert_eq!(request.header("accept-encoding"), Some("identity"));
            send(stream, "200 OK", &[("Content-Encoding", "gzip"), ("Content-Length", "3")], b"\x1f\x8b\x08");
        },
    );
    assert!(matches!(e, Error::Encoded { encoding, .. } if encoding == "gzip"));
}

#[test]
fn silence_ends_the_wait() {
    for after in [0, 1000] {
        let server = Server::start(move |_, stream| {
            if after > 0 {
                send(stream, "200 OK", &[("Content-Length", "2000")], &file(after));
            }
            std::thread::sleep(Duration::from_secs(3));
        });
        let folder = tempfile::tempdir().unwrap();
        let options = FetchOptions { retries: 0, idle_timeout: Duration::from_millis(200), ..options() };
        // New bytes excuse a silence, so that there is one more attempt where some came.
        let e = get_with(&artifact(server.url("/a"), &file(2000)), folder.path(), &options).unwrap_err();
        assert!(matches!(e, Error::Stalled { .. }), "{e:?}");
        assert!(e.help().is_some());
    }
}

#[test]
fn nobody_who_listens_is_an_error() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let e = get(&unstated(format!("http://127.0.0.1:{port}/a")), folder.path()).unwrap_err();
    assert!(matches!(&e, Error::Connect { .. }) && e.help().is_some(), "{e:?}");
}

#[test]
fn offline_a_file_that_is_not_there_is_named_with_its_address() {
    let folder = tempfile::tempdir().unwrap();
    let offline = FetchOptions { offline: true, ..options() };
    let artifact = artifact("https://user:secret@example.org/a?key=secret".to_owned(), b"x");
    let e = get_with(&artifact, folder.path(), &offline).unwrap_err();
    let help = e.help().unwrap();
    assert!(help.contains("https://example.org/a?...") && help.contains("model.bin"), "{help}");
    assert!(!format!("{e} {help}").contains("secret"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_file_that_is_not_the_artifact_is_replaced_only_when_asked_for() {
    let server = Server::start(|request, stream| serve(request, stream, &file(1000), None, usize::MAX));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.bin");
    let artifact = artifact(server.url("/a"), &file(1000));
    for (old, what) in [(vec![7; 1000], "SHA-256"), (vec![7; 10], "size")] {
        std::fs::write(&path, &old).unwrap();
        let e = get(&artifact, folder.path()).unwrap_err();
        assert!(
            matches!(&e, Error::WrongFile { what: found, .. } if *found == what) && e.help().is_some(),
            "{e:?}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), old);
        let replace = FetchOptions { replace: true, ..options() };
        assert!(get_with(&artifact, folder.path(), &replace).unwrap().downloaded);
        assert_eq!(std::fs::read(&path).unwrap(), file(1000));
    }
}

#[test]
fn a_download_can_be_cancelled_and_taken_up_later() {
    let bytes = file(1_000_000);
    let served = bytes.clone();
    let server =
        Server::start(move |request, stream| serve(request, stream, &served, Some("\"v\""), usize::MAX));
    let folder = tempfile::tempdir().unwrap();
    let artifact = artifact(server.url("/a"), &bytes);
    let e = fetch(&artifact, folder.path(), &options(), &mut |progress| match progress.bytes {
        200_000.. => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    assert!(matches!(e, Err(Error::Cancelled { .. })));
    assert_eq!(seen(folder.path()), [""; 0]);
    assert!(std::fs::read(get(&artifact, folder.path()).unwrap().path).unwrap() == bytes);
    assert!(server.requests()[1].start() >= 200_000);
}

#[test]
fn a_part_that_somebody_damaged_is_thrown_away() {
    let bytes = file(100_000);
    let served = bytes.clone();
    let server = Server::start(move |request, stream| serve(request, stream, &served, None, usize::MAX));
    let folder = tempfile::tempdir().unwrap();
    for part in [vec![7u8; 5000], vec![7; 100_000], vec![7; 200_000]] {
        std::fs::write(folder.path().join(".model.bin.part"), part).unwrap();
        let fetched = get(&artifact(server.url("/a"), &bytes), folder.path()).unwrap();
        assert!(std::fs::read(&fetched.path).unwrap() == bytes);
        std::fs::remove_file(fetched.path).unwrap();
    }
}

#[test]
fn two_who_want_the_same_file_fetch_it_once() {
    let bytes = file(400_000);
    let served = bytes.clone();
    let server = Server::start(move |request, stream| {
        std::thread::sleep(Duration::from_millis(200));
        serve(request, stream, &served, None, usize::MAX);
    });
    let folder = tempfile::tempdir().unwrap();
    let artifact = artifact(server.url("/a"), &bytes);
    let downloads = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let fetched = get(&artifact, folder.path()).unwrap();
                downloads.fetch_add(usize::from(fetched.downloaded), Ordering::Relaxed);
                assert!(std::fs::read(fetched.path).unwrap() == bytes);
            });
        }
    });
    assert_eq!((downloads.into_inner(), server.requests().len()), (1, 1));
}

/// Started by the test below as a process of its own, to be killed.
#[test]
#[ignore = "a part of another test"]
fn the_process_that_is_killed() {
    let (Ok(url), Ok(folder)) = (std::env::var("SC_FETCH_URL"), std::env::var("SC_FETCH_FOLDER")) else {
        panic!("started by hand");
    };
    get(&artifact(url, &file(600_000)), Path::new(&folder)).unwrap();
}

#[test]
fn a_download_whose_process_was_killed_is_taken_up_by_the_next() {
    let bytes = file(600_000);
    let served = bytes.clone();
    // Slowly, so that there is a middle to be killed in.
    let server = Server::start(move |request, stream| {
        let start = request.start();
        let range = format!("bytes {start}-599999/600000");
        let length = (600_000 - start).to_string();
        let status = if start > 0 { "206 Partial Content" } else { "200 OK" };
        let headers = [("Content-Length", length.as_str()), ("ETag", "\"v\""), ("Content-Range", &range)];
        send(stream, status, &headers[..if start > 0 { 3 } else { 2 }], b"");
        for piece in served[start..].chunks(20_000) {
            if std::io::Write::write_all(stream, piece).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join(".model.bin.part");
    let mut least = 100_000;
    for _ in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_process_that_is_killed", "--ignored"])
            .env("SC_FETCH_URL", server.url("/a"))
            .env("SC_FETCH_FOLDER", folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while std::fs::metadata(&part).map_or(0, |meta| meta.len()) < least {
            assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(seen(folder.path()), [""; 0]);
        least += 100_000;
    }
    let fetched = get(&artifact(server.url("/a"), &bytes), folder.path()).unwrap();
    assert!(std::fs::read(fetched.path).unwrap() == bytes);
    let starts: Vec<usize> = server.requests().iter().map(Request::start).collect();
    assert!(starts.len() == 4 && starts[0] == 0 && starts.is_sorted() && starts[3] >= 300_000, "{starts:?}");
}
