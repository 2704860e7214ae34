//! Servers that are busy, broken, slow or something else.

use std::time::{Duration, Instant};

use super::*;
use server::{answer, failure, raw, said, send};

/// Fails the first attempt in some way and answers the second.
fn second_time_lucky(fail: impl Fn(&mut std::net::TcpStream) + Send + Sync + 'static) -> Server {
    Server::chat(move |request, stream| {
        if request.number == 0 { fail(stream) } else { send(stream, "200 OK", &[], &said("T cell")) }
    })
}

fn is_retried(server: &Server) -> String {
    let (record, retried) = one(params(server));
    assert_eq!((record.outcome, record.label_index), (Outcome::Label, Some(1)), "{record:?}");
    assert_eq!((server.requests().len(), retried.len()), (2, 1), "{retried:?}");
    retried[0].clone()
}

/// A failure after one attempt only.
fn is_not_retried(server: &Server) -> String {
    let (record, retried) = one(params(server));
    assert_eq!(
        (record.outcome, retried.len(), server.requests().len()),
        (Outcome::Failed, 0, 1),
        "{record:?}"
    );
    record.why.unwrap()
}

#[test]
fn a_server_that_is_busy_is_asked_again_when_it_says() {
    let headers: [&[(&str, &str)]; 8] = [
        &[],
        &[("retry-after-ms", "5")],
        &[("Retry-After", "0")],
        &[("Retry-After", "0.005")],
        &[("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT")],
        &[("x-ratelimit-reset-requests", "5ms"), ("x-ratelimit-remaining-requests", "0")],
        &[("x-ratelimit-reset-tokens", "0.005s")],
        &[("x-ratelimit-reset", "0.005")],
    ];
    for headers in headers {
        let server = second_time_lucky(move |stream| {
            send(stream, "429 Too Many Requests", headers, &failure("slow down", "rate_limit_exceeded"));
        });
        assert!(is_retried(&server).contains("429: slow down"));
    }
    let server = Server::chat(|_, stream| {
        send(stream, "429 Too Many Requests", &[("retry-after-ms", "60")], &failure("slow down", "x"));
    });
    let before = Instant::now();
    let (record, retried) = one(params(&server));
    assert!(before.elapsed() >= Duration::from_millis(120), "two pauses of 60 ms");
    assert_eq!((record.outcome, retried.len(), server.requests().len()), (Outcome::Failed, 2, 3));
}

#[test]
fn a_server_that_asks_for_too_much_time_is_given_up() {
    let server = Server::chat(|_, stream| send(stream, "503 Busy", &[("Retry-After", "3600")], ""));
    assert!(is_not_retried(&server).contains("asks to wait 3600 s, at most 60 s"));
}

#[test]
fn statuses_that_pass_are_tried_again_and_others_are_not() {
    for status in ["408 a", "409 a", "425 a", "500 a", "502 a", "503 a", "504 a", "529 a"] {
        let server = second_time_lucky(move |stream| send(stream, status, &[], "<html>busy</html>"));
        assert!(is_retried(&server).contains("busy"), "{status}");
    }
    for status in ["400 a", "403 a", "404 a", "413 a", "422 a"] {
        let server = Server::chat(move |_, stream| send(stream, status, &[], &failure("no\u{1b}[2J", "bad")));
        let why = is_not_retried(&server);
        assert!(why.contains(&status[..3]) && !why.contains('\u{1b}'), "{why}");
    }
}

#[test]
fn a_refused_key_and_an_empty_account_end_the_run_at_once() {
    let server = Server::chat(|_, stream| {
        send(stream, "401 Unauthorized", &[], &failure("bad key", "invalid_api_key"))
    });
    let (error, records) = end(params(&server));
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    assert_eq!((outcomes(&records), server.requests().len()), (vec![Outcome::NotAsked; 3], 1));

    for (status, code) in [("429 Too Many Requests", "insufficient_quota"), ("402 Payment Required", "x")] {
        let server = Server::chat(move |request, stream| match request.number {
            0 => send(stream, "200 OK", &[], &said("B cell")),
            _ => send(stream, status, &[], &failure("no money", code)),
        });
        let (error, records) = end(EndpointParams { concurrency: 1, ..params(&server) });
        assert!(matches!(error, Error::NoQuota { .. }), "{error}");
        assert_eq!(outcomes(&records), [Outcome::Label, Outcome::NotAsked, Outcome::NotAsked]);
        assert_eq!(server.requests().len(), 2);
    }
}

#[test]
fn answers_that_break_off_are_asked_for_again() {
    let body = said("T cell");
    let half = body[..body.len() / 2].to_owned();
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{half}", body.len());
    let chunk =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{half}\r\n", half.len());
    let too_long = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len() + 9);
    for sent in [
        String::new(),
        "HTTP/1.1 200".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Le".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\n\n\n\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{half}"),
        long,
        chunk,
        too_long,
    ] {
        let shown = sent.clone();
        let server = second_time_lucky(move |stream| raw(stream, sent.as_bytes()));
        let why = is_retried(&server);
        assert!(why.contains("broke off") || why.contains("no answer"), "{shown}: {why}");
    }
}

#[test]
fn answers_come_in_chunks_and_with_too_small_a_length() {
    let body = said("T cell");
    let (a, b) = body.split_at(40);
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{a}\r\n{:x}\r\n{b}\r\n0\r\n\r\n",
        a.len(),
        b.len()
    );
    let server = Server::chat(move |_, stream| raw(stream, chunked.as_bytes()));
    assert_eq!(one(params(&server)).0.outcome, Outcome::Label);
    let short = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 40\r\n\r\n{body}");
    let server = Server::chat(move |_, stream| raw(stream, short.as_bytes()));
    let (record, retried) = one(params(&server));
    assert_eq!((record.outcome, retried.len()), (Outcome::Failed, 2), "{record:?}");
}

#[test]
fn a_slow_start_is_waited_for_and_a_stall_is_not() {
    let timeouts = |first_byte, idle| Timeouts {
        first_byte: Duration::from_millis(first_byte),
        idle: Duration::from_millis(idle),
        ..params(&Server::saying("")).timeouts
    };
    // Silent for longer than parts of an answer may be apart.
    let server = Server::chat(|_, stream| {
        std::thread::sleep(Duration::from_millis(300));
        send(stream, "200 OK", &[], &said("T cell"));
    });
    let (record, retried) = one(EndpointParams { timeouts: timeouts(3000, 100), ..params(&server) });
    assert_eq!((record.outcome, retried.len()), (Outcome::Label, 0), "{retried:?}");
    let (record, retried) = one(EndpointParams { timeouts: timeouts(100, 3000), ..params(&server) });
    assert!(
        record.outcome == Outcome::Failed
            && retried[0].contains("the start of the answer took more than 0.1 s")
    );

    let server = second_time_lucky(|stream| {
        raw(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"choices\"");
        std::thread::sleep(Duration::from_millis(400));
    });
    let (record, retried) = one(EndpointParams { timeouts: timeouts(3000, 100), ..params(&server) });
    assert_eq!(record.outcome, Outcome::Label);
    assert!(retried[0].contains("the next part of the answer took more than 0.1 s"), "{retried:?}");
}

#[test]
fn lines_that_keep_the_connection_alive_count_as_life() {
    let server = Server::chat(|_, stream| {
        raw(stream, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        for _ in 0..6 {
            std::thread::sleep(Duration::from_millis(60));
            raw(stream, b"\n");
        }
        raw(stream, said("T cell").as_bytes());
    });
    let timeouts = Timeouts { idle: Duration::from_millis(250), ..params(&server).timeouts };
    let (record, retried) = one(EndpointParams { timeouts, ..params(&server) });
    assert_eq!((record.outcome, retried.len()), (Outcome::Label, 0), "{retried:?}");
}

#[test]
fn comments_between_events_count_as_life_and_silence_does_not() {
    let event =
        "data: {\"choices\": [{\"delta\": {\"content\": \"T cell\"}, \"finish_reason\": \"stop\"}]}\n\n";
    let server = |silence: u64| {
        Server::start(move |request, stream| {
            raw(stream, b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n");
            let pause = if request.is_probe() { 0 } else { silence };
            for _ in 0..6 {
                std::thread::sleep(Duration::from_millis(pause));
                raw(stream, b": keep-alive\n\n");
            }
            raw(stream, event.as_bytes());
            raw(stream, b"data: [DONE]\n\n");
        })
    };
    for (silence, expected) in [(60, Outcome::Label), (600, Outcome::Failed)] {
        let server = server(silence);
        let timeouts = Timeouts { idle: Duration::from_millis(250), ..params(&server).timeouts };
        let retry = RetryParams { attempts: 1, ..params(&server).retry };
        let (record, _) = one(EndpointParams { timeouts, retry, stream: true, ..params(&server) });
        assert_eq!(record.outcome, expected, "{record:?}");
        let is_idle = |why: String| why.contains("the next part of the answer took more than 0.25 s");
        assert!(record.why.is_none_or(is_idle));
    }
}

#[test]
fn a_request_with_all_its_attempts_has_one_limit() {
    let server = Server::chat(|_, stream| send(stream, "500 a", &[("retry-after-ms", "40")], ""));
    let timeouts = Timeouts { total: Duration::from_millis(200), ..params(&server).timeouts };
    let retry = RetryParams { attempts: 1000, ..params(&server).retry };
    let (record, _) = one(EndpointParams { timeouts, retry, ..params(&server) });
    assert_eq!(record.outcome, Outcome::Failed);
    assert!((2..=6).contains(&server.requests().len()), "{}", server.requests().len());

    let server = Server::chat(|_, stream| {
        raw(stream, b"HTTP/1.1 200 OK\r\n\r\n");
        for _ in 0..20 {
            std::thread::sleep(Duration::from_millis(20));
            raw(stream, b"\n");
        }
    });
    let (record, _) = one(EndpointParams { timeouts, ..params(&server) });
    assert!(record.why.unwrap().contains("with all its attempts took more than 0.2 s"));
}

#[test]
fn no_redirect_is_followed() {
    for status in ["301 a", "302 a", "303 a", "307 a", "308 a"] {
        let other = Server::saying("T cell");
        for to in [other.base(), "/elsewhere".to_owned(), "file:///etc/passwd".to_owned()] {
            let server = Server::chat({
                let to = to.clone();
                move |_, stream| send(stream, status, &[("Location", &to)], "")
            });
            let (error, _) = end(params(&server));
            assert!(matches!(&error, Error::Redirect { to: found, .. } if *found == to), "{error}");
            assert_eq!((server.requests().len(), other.requests().len()), (1, 0));
        }
    }
}

#[test]
fn answers_without_end_are_cut() {
    let limit = EndpointParams { max_reply_bytes: 10_000, ..params(&Server::saying("")) };
    let endless = |head: &'static [u8], part: &'static [u8]| {
        Server::chat(move |_, stream| {
            use std::io::Write;
            raw(stream, head);
            // Until the client has gone.
            while stream.write_all(part).is_ok() {}
        })
    };
    for server in [
        endless(b"HTTP/1.1 200 OK\r\n\r\n", &[b' '; 4096]),
        endless(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", &[b'{'; 4096]),
        endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"8\r\nxxxxxxxx\r\n"),
    ] {
        let (record, retried) = one(EndpointParams { base: server.base(), ..limit.clone() });
        assert_eq!((record.outcome, retried.len()), (Outcome::Failed, 0), "{record:?}");
        assert!(record.why.unwrap().contains("more than 10000 bytes"));
    }
    let server = endless(b"HTTP/1.1 200 OK\r\n", b"X-Header: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n");
    assert_eq!(one(params(&server)).0.outcome, Outcome::Failed);
}

#[test]
fn what_is_no_answer_of_a_model_is_said_to_be_none() {
    for (body, words) in [
        ("<html><body>Sign in</body></html>", "neither a JSON object nor a stream of events: \"<html>"),
        ("{\"choices\": oops}", "is not JSON"),
        ("[1, 2]", "neither a JSON object"),
        ("{}", "has no choices"),
        ("{\"choices\": []}", "has no choices"),
        ("{\"choices\": {\"0\": {}}}", "has no choices"),
        ("{\"choices\": [{\"text\": \"T cell\"}]}", "has no message"),
        ("data: {oops}\n\n", "not JSON"),
    ] {
        let server = Server::chat(move |_, stream| send(stream, "200 OK", &[], body));
        let why = is_not_retried(&server);
        assert!(why.contains(words), "{body}: {why}");
    }
    let server =
        Server::chat(|_, stream| raw(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe"));
    assert!(is_not_retried(&server).contains("not UTF-8"));
}

#[test]
fn an_error_that_comes_with_status_200_is_one() {
    let server = second_time_lucky(|stream| {
        send(stream, "200 OK", &[], r#"{"error": {"message": "upstream is busy", "code": 502}}"#);
    });
    assert!(is_retried(&server).contains("502: upstream is busy"));
    let server = Server::chat(|_, stream| send(stream, "200 OK", &[], &failure("wrong", "bad_request")));
    assert!(is_not_retried(&server).contains("wrong"));
}

#[test]
fn of_several_choices_the_first_by_its_own_account_counts() {
    let server = Server::chat(|_, stream| {
        let choice =
            |index: u32, text: &str| serde_json::json!({ "index": index, "message": { "content": text } });
        let body = serde_json::json!({ "choices": [choice(1, "B cell"), choice(0, "NK cell")] });
        send(stream, "200 OK", &[], &body.to_string());
    });
    assert_eq!(one(params(&server)).0.label.as_deref(), Some("NK cell"));
}

#[test]
fn an_answer_may_come_in_events() {
    let server = Server::start(|request, stream| {
        assert_eq!(request.body["stream"], true);
        assert_eq!(request.body["stream_options"]["include_usage"], true);
        raw(stream, b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: keep-alive\n\n");
        let text = if request.is_probe() { "east" } else { "NK cell" };
        for part in text.split_inclusive(' ') {
            let event = serde_json::json!({ "choices": [{ "index": 0, "delta": { "content": part } }] });
            raw(stream, format!("data: {event}\n\n: keep-alive\n\n").as_bytes());
        }
        raw(stream, b"data: {\"choices\": [], \"usage\": {\"prompt_tokens\": 90, \"completion_tokens\": 3}}\n\ndata: [DONE]\n\n");
    });
    let (record, retried) = one(EndpointParams { stream: true, ..params(&server) });
    assert_eq!((record.label_index, record.tokens.output, retried.len()), (Some(2), 3, 0));
}

#[test]
fn nobody_at_the_address_is_an_error_of_the_probe() {
    let nobody = params(&Server::saying("")).base;
    let client = Client::new(EndpointParams { base: nobody, ..params(&Server::saying("")) }, None).unwrap();
    let e = run(&client, &requests(2)).unwrap_err();
    assert!(matches!(e, Error::Connect { .. }) && e.help().is_some(), "{e}");
    let server =
        Server::start(|_, stream| send(stream, "404 Not Found", &[], &failure("no model", "not_found")));
    let e = run(&Client::new(params(&server), None).unwrap(), &requests(2)).unwrap_err();
    assert!(matches!(e, Error::Status { status: 404, .. }) && e.help().is_some(), "{e}");
}

#[test]
fn an_answer_with_a_lying_usage_is_still_an_answer() {
    let server = Server::chat(|_, stream| {
        let mut body: serde_json::Value =
            serde_json::from_str(&answer(serde_json::json!({ "message": { "content": "T cell" } }))).unwrap();
        body["usage"] = serde_json::json!({ "prompt_tokens": u64::MAX, "completion_tokens": u64::MAX });
        body["model"] = serde_json::json!(7);
        send(stream, "200 OK", &[], &body.to_string());
    });
    let (record, _) = one(params(&server));
    assert_eq!((record.outcome, record.tokens.total(), record.model), (Outcome::Label, u64::MAX, None));
}
