//! What servers enforce, what they pretend to, and what they complain about.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use sc_llm::endpoint::Verdict;
use serde_json::{Value, json};
use server::{failure, said, send};

/// How a request asks for labels.
fn way(body: &Value) -> Structure {
    let has = |name: &str| body.get(name).is_some();
    match body["response_format"]["type"].as_str() {
        Some("json_schema") => Structure::JsonSchema,
        Some("json_object") if body["response_format"]["schema"].is_object() => Structure::ObjectSchema,
        Some("json_object") => Structure::JsonObject,
        _ if has("structured_outputs") => Structure::StructuredOutputs,
        _ if has("guided_choice") => Structure::GuidedChoice,
        _ if has("json_schema") => Structure::SchemaField,
        _ if has("tools") => Structure::ToolCall,
        _ => Structure::Plain,
    }
}

/// The answer that a server which enforces this way gives; the second label.
fn obeying(body: &Value) -> String {
    let choice = |labels: &Value| labels[1].as_str().unwrap().to_owned();
    let object = |schema: &Value| {
        let label = &schema["properties"]["cell_type"];
        let label = if label["enum"].is_array() { json!(choice(&label["enum"])) } else { json!(1) };
        json!({ "cell_type": label }).to_string()
    };
    match way(body) {
        Structure::JsonSchema => object(&body["response_format"]["json_schema"]["schema"]),
        Structure::StructuredOutputs => choice(&body["structured_outputs"]["choice"]),
        Structure::GuidedChoice => choice(&body["guided_choice"]),
        Structure::SchemaField => object(&body["json_schema"]),
        Structure::ObjectSchema => object(&body["response_format"]["schema"]),
        Structure::ToolCall => object(&body["tools"][0]["function"]["parameters"]),
        Structure::JsonObject => "{\"cell_type\": \"T cell\"}".to_owned(),
        _ => "T cell".to_owned(),
    }
}

fn free(server: &Server) -> EndpointParams {
    EndpointParams { structure: None, ..params(server) }
}

/// A server that enforces one way, and refuses or ignores others.
fn only(enforced: Structure, refuses: bool) -> Server {
    Server::start(move |request, stream| {
        let asked = way(&request.body);
        if asked == enforced && asked == Structure::ToolCall {
            let call = json!({ "function": { "name": "answer", "arguments": obeying(&request.body) } });
            let choice = json!({ "message": { "content": null, "tool_calls": [call] } });
            send(stream, "200 OK", &[], &server::answer(choice));
        } else if asked == enforced {
            send(stream, "200 OK", &[], &said(&obeying(&request.body)));
        } else if refuses && asked != Structure::Plain {
            send(stream, "400 Bad Request", &[], &failure("unknown way to ask", "invalid_request_error"));
        } else {
            send(stream, "200 OK", &[], &said(if request.is_probe() { "east" } else { "T cell" }));
        }
    })
}

#[test]
fn the_strongest_way_that_is_enforced_is_found_and_used() {
    for enforced in Structure::ALL {
        for refuses in [false, true] {
            let server = only(enforced, refuses);
            let client = Client::new(free(&server), None).unwrap();
            let probe = client.probe().unwrap();
            assert_eq!(probe.structure, enforced);
            let before = probe.tried.iter().take_while(|tried| tried.structure < enforced);
            for tried in before {
                match &tried.verdict {
                    Verdict::Ignored => assert!(!refuses),
                    Verdict::Refused(why) => assert!(refuses && why.contains("400: unknown way to ask")),
                    other => panic!("{enforced:?}: {other:?} for {tried:?}"),
                }
            }
            let done = run(&client, &requests(2)).unwrap();
            assert_eq!(outcomes(&done.records), [Outcome::Label; 2], "{enforced:?}");
            assert_eq!(done.records[0].label_index, Some(1));
            assert!(server.requests().iter().all(|request| way(&request.body) == enforced));
        }
    }
}

#[test]
fn a_server_that_ignores_all_ways_is_asked_in_text_and_never_believed() {
    let server = Server::start(|request, stream| {
        let text = if request.is_probe() { "east" } else { "{\"cell_type\": \"unicorn\"}" };
        send(stream, "200 OK", &[], &said(text));
    });
    let client = Client::new(free(&server), None).unwrap();
    let probe = client.probe().unwrap();
    assert_eq!(probe.structure, Structure::Plain);
    assert!(
        probe.tried.iter().all(|tried| tried.verdict == Verdict::Ignored)
            && probe.tried.len() == Structure::ALL.len() - 1
    );
    assert_eq!((probe.model.as_deref(), probe.fingerprint.as_deref()), (Some("tiny-0613"), Some("fp_1")));
    assert_eq!(outcomes(&run(&client, &requests(1)).unwrap().records), [Outcome::Unparsed]);
}

#[test]
fn a_server_that_lies_after_the_probe_is_not_believed_either() {
    let server = Server::start(|request, stream| {
        let text = if request.is_probe() {
            obeying(&request.body)
        } else {
            "{\"cell_type\": \"unicorn\"}".to_owned()
        };
        send(stream, "200 OK", &[], &said(&text));
    });
    let client = Client::new(free(&server), None).unwrap();
    assert_eq!(client.probe().unwrap().structure, Structure::JsonSchema);
    let done = run(&client, &requests(1)).unwrap();
    assert_eq!((done.records[0].outcome, done.records[0].label.as_deref()), (Outcome::Unparsed, None));
}

#[test]
fn fields_that_a_server_complains_about_are_given_up() {
    let server = Server::start(|request, stream| {
        for (name, message) in [
            ("max_tokens", "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
            ("temperature", "Unsupported value: 'temperature' does not support 0 with this model."),
            ("logprobs", "This model does not support logprobs."),
            ("seed", "Unrecognized request argument supplied: seed"),
        ] {
            if request.body.get(name).is_some() {
                return send(stream, "400 Bad Request", &[], &failure(message, "unsupported_parameter"));
            }
        }
        assert_eq!(request.body["max_completion_tokens"], 512);
        send(stream, "200 OK", &[], &said(&obeying(&request.body)));
    });
    let client = Client::new(EndpointParams { logprobs: true, ..free(&server) }, None).unwrap();
    let probe = client.probe().unwrap();
    assert_eq!(probe.structure, Structure::JsonSchema);
    assert_eq!((probe.temperature, probe.seed, probe.logprobs), (false, false, false));
    assert_eq!(outcomes(&run(&client, &requests(1)).unwrap().records), [Outcome::Label]);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_server_that_refuses_everything_says_why() {
    let server = Server::start(|_, stream| send(stream, "400 Bad Request", &[], &failure("go away", "x")));
    let e = Client::new(free(&server), None).unwrap().probe().unwrap_err();
    assert!(e.to_string().contains("400: go away"), "{e}");
}

#[test]
fn hundreds_of_labels_are_asked_for_by_number() {
    let names: Vec<String> = (0..800).map(|n| format!("cell type {n}")).collect();
    let lexicon = Lexicon::new(&names).unwrap();
    let server = only(Structure::JsonSchema, true);
    let client = Client::new(free(&server), None).unwrap();
    let done = client.annotate_all(&requests(1), &lexicon, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(done.records[0].label.as_deref(), Some("cell type 1"));
    assert!(server.requests()[0].prompt().contains("\n799: \"cell type 799\""));
}

/// What the schema of a request allows.
fn listed(body: &Value) -> &Value {
    &body["response_format"]["json_schema"]["schema"]["properties"]["cell_type"]
}

/// What becomes of many labels at a server that takes some ways to list them: requests, and the probes of lists.
fn ask_for_one_of(
    n_labels: usize,
    takes: impl Fn(&Value) -> bool + Send + Sync + 'static,
) -> (Vec<server::Request>, usize) {
    let names: Vec<String> = (0..n_labels).map(|n| format!("cell type {n}")).collect();
    let lexicon = Lexicon::new(&names).unwrap();
    let n_probes = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&n_probes);
    let server = Server::start(move |request, stream| {
        let asked = listed(&request.body);
        let is_many = asked["enum"].as_array().is_none_or(|list| list.len() > 2);
        let is_schema = way(&request.body) == Structure::JsonSchema;
        if request.is_probe() && is_schema && is_many {
            assert_eq!(request.prompt(), "Reply with the word east and with nothing else.");
            seen.fetch_add(1, Ordering::SeqCst);
        }
        match is_schema {
            true if is_many && !takes(asked) => {
                send(stream, "400 Bad Request", &[], &failure("unknown keyword", "invalid_schema"));
            }
            true if asked["type"] == "integer" => {
                send(stream, "200 OK", &[], &said("{\"cell_type\": 1}"));
            }
            true => send(stream, "200 OK", &[], &said(&obeying(&request.body))),
            false => send(stream, "200 OK", &[], &said("cell type 1")),
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let params = EndpointParams { cache: Some(folder.path().to_owned()), ..free(&server) };
    for part in requests(4).chunks(2) {
        let client = Client::new(params.clone(), None).unwrap();
        for request in part {
            let request = std::slice::from_ref(request);
            let done = client.annotate_all(request, &lexicon, &mut |_| ControlFlow::Continue(())).unwrap();
            assert_eq!(done.records[0].label_index, Some(1), "{:?}", done.records);
        }
    }
    // Replayed without the server.
    let offline = EndpointParams { mode: sc_llm::endpoint::Mode::Offline, ..params };
    let client = Client::new(offline, None).unwrap();
    let done = client.annotate_all(&requests(4), &lexicon, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(outcomes(&done.records), [Outcome::Label; 4], "{:?}", done.stopped);
    let all = server.requests();
    assert_eq!(all.len(), 4);
    (all, n_probes.load(Ordering::SeqCst))
}

#[test]
fn many_labels_are_listed_in_the_way_that_a_server_takes() {
    let (requests, n_probes) = ask_for_one_of(800, |asked| asked.get("maximum").is_some());
    assert_eq!(n_probes, 1, "asked once, and kept");
    assert!(requests.iter().all(|request| listed(&request.body)["maximum"] == 799));

    let (requests, n_probes) = ask_for_one_of(800, |asked| asked.get("enum").is_some());
    assert_eq!(n_probes, 2);
    assert!(requests.iter().all(|request| listed(&request.body)["enum"][799] == 799));
    assert!(requests[0].prompt().contains("\n799: \"cell type 799\""));

    let (requests, n_probes) = ask_for_one_of(800, |_| false);
    assert_eq!(n_probes, 2);
    assert!(requests.iter().all(|request| way(&request.body) == Structure::Plain));

    let (requests, n_probes) = ask_for_one_of(300, |_| true);
    assert_eq!(n_probes, 1);
    assert!(requests.iter().all(|request| listed(&request.body)["enum"][299] == "cell type 299"));

    let is_short = |asked: &Value| asked["enum"].as_array().is_none_or(|list| list.len() <= 200);
    let (requests, n_probes) = ask_for_one_of(300, is_short);
    assert_eq!(n_probes, 2);
    assert!(requests.iter().all(|request| listed(&request.body)["maximum"] == 299));
}

#[test]
fn a_server_that_is_busy_is_not_taken_for_one_that_understands_nothing() {
    let server = Server::start(|request, stream| match way(&request.body) {
        Structure::JsonSchema => send(stream, "429 Too Many Requests", &[("retry-after-ms", "1")], ""),
        _ => send(stream, "200 OK", &[], &said(&obeying(&request.body))),
    });
    let e = Client::new(free(&server), None).unwrap().probe().unwrap_err();
    assert!(matches!(e, Error::Status { status: 429, .. }), "{e}");
}

/// A server that lists at most so many tokens in the place of one, and complains about more in these words.
fn lists(most: u64, complaint: &'static str) -> Server {
    Server::start(move |request, stream| {
        let top = request.body["top_logprobs"].as_u64().unwrap_or(0);
        if top > most {
            return send(stream, "400 Bad Request", &[], &failure(complaint, "invalid_request_error"));
        }
        let text = if request.is_probe() { "east" } else { "T cell" };
        let other = json!({ "token": "B", "logprob": -3.0 });
        let tokens =
            json!([{ "token": text, "logprob": -0.5, "top_logprobs": vec![other; top.min(1) as usize] }]);
        let choice = json!({ "message": { "content": text }, "logprobs": { "content": tokens } });
        send(stream, "200 OK", &[], &server::answer(choice));
    })
}

#[test]
fn a_server_is_asked_for_as_many_tokens_as_it_lists_and_never_again_for_more() {
    let sent = |server: &Server| -> Vec<Value> {
        let params = EndpointParams { logprobs: true, structure: Some(Structure::Plain), ..params(server) };
        let client = Client::new(params, None).unwrap();
        let records = run(&client, &requests(2)).unwrap().records;
        assert!(records.iter().all(|record| record.confidence.is_some()));
        server.requests().iter().map(|request| request.body["top_logprobs"].clone()).collect()
    };
    let unknown = "Unrecognized request argument supplied: top_logprobs";
    assert_eq!(sent(&lists(20, unknown)), [20, 20]);
    assert_eq!(sent(&lists(5, "top_logprobs must be at most 5")), [5, 5]);
    assert_eq!(sent(&lists(0, unknown)), [Value::Null, Value::Null]);
    // Words that could be about the other field.
    assert_eq!(sent(&lists(0, "Requested sample logprobs of 20")), [Value::Null, Value::Null]);

    // One that takes the field and lists nothing.
    let server = Server::start(|request, stream| {
        let text = if request.is_probe() { "east" } else { "T cell" };
        let tokens = json!([{ "token": text, "logprob": -0.5, "top_logprobs": [] }]);
        let choice = json!({ "message": { "content": text }, "logprobs": { "content": tokens } });
        send(stream, "200 OK", &[], &server::answer(choice));
    });
    assert_eq!(sent(&server), [Value::Null, Value::Null]);
}
