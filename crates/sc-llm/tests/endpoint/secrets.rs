//! The key, which goes to one server and nowhere else.

use std::path::Path;

use super::*;
use sc_llm::endpoint::{Mode, Secret, write_json_lines};
use server::{raw, send};

const CANARY: &str = "sk-canary-0123456789";

fn key() -> Option<Secret> {
    Some(Secret::new(CANARY).unwrap())
}

/// All that a run leaves: errors, events, records, files.
fn traces(server: &Server, folder: &Path) -> String {
    let params = EndpointParams {
        cache: Some(folder.to_owned()),
        mode: Mode::Refresh,
        repair: true,
        max_reply_bytes: 100_000,
        ..params(server)
    };
    let client = Client::new(params, key()).unwrap();
    let mut text = format!("{client:?}\n{client:#?}\n");
    let mut add = |error: &dyn std::error::Error| {
        let mut next = Some(error);
        while let Some(error) = next {
            text.push_str(&format!("{error} {error:?} {error:#?}\n"));
            next = error.source();
        }
    };
    let done = client.annotate_all(&requests(2), &lexicon(), &mut |event| {
        match &event {
            Event::Retry { error, .. } => add(error),
            event => add(&std::io::Error::other(format!("{event:?}"))),
        }
        ControlFlow::Continue(())
    });
    match done {
        Ok(done) => {
            if let Some(error) = &done.stopped {
                add(error);
            }
            let mut lines = Vec::new();
            write_json_lines(&done.records, &mut lines).unwrap();
            text.push_str(&format!("{done:?}{}", String::from_utf8(lines).unwrap()));
        }
        Err(error) => add(&error),
    }
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        text.push_str(&format!("{}\n{}", path.display(), std::fs::read_to_string(&path).unwrap()));
    }
    text
}

#[test]
fn the_key_is_in_nothing_that_a_run_leaves_even_if_the_server_repeats_it() {
    let heads = ["200 OK", "400 Bad", "401 Unauthorized", "404 a", "429 a", "500 a", "302 a", "503 a"];
    let bodies = [
        "KEY",
        "<html>KEY</html>",
        "{\"error\": {\"message\": \"bad key KEY\", \"code\": \"KEY\", \"param\": \"KEY\"}}",
        "{\"choices\": [{\"message\": {\"content\": \"KEY\", \"refusal\": null}}], \"model\": \"KEY\", \"system_fingerprint\": \"KEY\"}",
        "{\"choices\": [{\"message\": {\"refusal\": \"KEY\"}}]}",
        "{\"choices\": [{\"message\": {\"content\": \"T cell\"}}], \"KEY\": \"Bearer KEY\"}",
        "{\"choices\": [{\"message\": {\"content\": \"\\u0073k-canary\\u002D0123456789\"}}]}",
        "data: {\"choices\": [{\"delta\": {\"content\": \"sk-\\u0063anary-0123456789\"}}]}\n\ndata: [DONE]\n\n",
        "\u{1}KEY",
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut n = 0;
    for head in heads {
        for body in bodies {
            let server = Server::start(move |request, stream| {
                let sent = request.header("authorization").unwrap();
                assert_eq!(sent, format!("Bearer {CANARY}"));
                let fill = |text: &str| text.replace("KEY", CANARY);
                let to = fill("https://elsewhere.example.org/KEY?key=KEY");
                let headers = [
                    ("Location", to.as_str()),
                    ("X-Key", sent),
                    ("x-request-id", sent),
                    ("retry-after-ms", "1"),
                ];
                send(stream, head, &headers, &fill(body));
            });
            let text = traces(&server, folder.path());
            let at = text.find("canary");
            assert!(at.is_none(), "{head} {body}: {}", &text[at.unwrap().saturating_sub(200)..]);
            n += 1;
        }
    }
    assert_eq!(n, heads.len() * bodies.len());
    // Bytes that are cut within the key, not UTF-8, or in a head that cannot be read.
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nKEY",
        "HTTP/1.1 KEY\r\n\r\n",
        "KEY",
        "HTTP/1.1 200 OK\r\nKEY\r\n\r\n",
    ] {
        let server = Server::start(move |_, stream| raw(stream, bytes.replace("KEY", CANARY).as_bytes()));
        assert!(!traces(&server, folder.path()).contains("canary"), "{bytes}");
    }
    let server = Server::start(move |_, stream| {
        raw(stream, format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n\u{0}{CANARY}").as_bytes());
        raw(stream, b"\xff\xfe");
    });
    assert!(!traces(&server, folder.path()).contains("canary"));
}

#[test]
fn no_other_server_is_ever_told_the_key() {
    let other = Server::saying("T cell");
    for status in ["301 a", "302 a", "303 a", "307 a", "308 a"] {
        let to = format!("{}/chat/completions", other.base());
        let server = Server::start(move |_, stream| send(stream, status, &[("Location", &to)], ""));
        let e = run(&Client::new(params(&server), key()).unwrap(), &requests(1)).unwrap_err();
        assert!(matches!(e, Error::Redirect { .. }), "{e}");
    }
    assert_eq!(other.requests().len(), 0);
}

#[test]
fn requests_go_to_the_path_below_the_base_and_hold_no_ids() {
    let server = Server::saying("T cell");
    let base = format!("{}/", server.base());
    let request =
        Request { id: "AAACCTGAGCGTTGCC-1".to_owned(), messages: vec![Message::new(Role::User, "CD3D?")] };
    let client = Client::new(EndpointParams { base, ..params(&server) }, key()).unwrap();
    run(&client, &[request]).unwrap();
    let sent = &server.requests()[0];
    assert_eq!(sent.path, "/v1/chat/completions");
    assert!(!sent.body.to_string().contains("AAACC"));
    assert!(sent.header("user-agent").unwrap().starts_with("sc-llm/"));
}

#[test]
fn a_key_does_not_go_in_the_clear_to_another_machine() {
    let e = Client::new(EndpointParams::new("http://192.0.2.1/v1", "m"), key()).unwrap_err();
    assert!(matches!(e, Error::Refused { .. }) && e.help().is_some(), "{e}");
}

/// The base that a child of the next test asks.
const BASE: &str = "SC_LLM_TEST_BASE";

#[test]
fn no_proxy_that_the_environment_names_sees_anything() {
    if let Ok(base) = std::env::var(BASE) {
        // In the child.
        let params = EndpointParams { base, ..params(&Server::saying("")) };
        let done = run(&Client::new(params, key()).unwrap(), &requests(1)).unwrap();
        return assert_eq!(outcomes(&done.records), [Outcome::Label]);
    }
    let server = Server::saying("T cell");
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "secrets::no_proxy_that_the_environment_names_sees_anything"]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        child.env(name, &address).env(name.to_lowercase(), &address);
    }
    let output = child.env(BASE, server.base()).env("NO_PROXY", "").env("no_proxy", "").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(server.requests().len(), 1);
    proxy.set_nonblocking(true).unwrap();
    let nobody = proxy.accept().unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
}
