//! Answers that are kept, gone on with and replayed.

use std::path::Path;

use super::*;
use sc_llm::endpoint::Mode;
use server::{failure, said, send};

fn keeping(server: &Server, folder: &Path, mode: Mode) -> EndpointParams {
    EndpointParams { cache: Some(folder.to_owned()), mode, ..params(server) }
}

fn client(server: &Server, folder: &Path, mode: Mode) -> Client {
    Client::new(keeping(server, folder, mode), None).unwrap()
}

/// What does not depend on where an answer was taken from.
fn content(records: &[Record]) -> Vec<Record> {
    records.iter().map(|record| Record { from_cache: false, ..record.clone() }).collect()
}

#[test]
fn answers_are_asked_for_once_and_replayed_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::saying("T cell");
    let first = run(&client(&server, folder.path(), Mode::Online), &requests(3)).unwrap();
    assert!(first.records.iter().all(|record| !record.from_cache) && first.spent.tokens > 330);
    let again = run(&client(&server, folder.path(), Mode::Online), &requests(4)).unwrap();
    assert_eq!(server.requests().len(), 4);
    let from_cache: Vec<bool> = again.records.iter().map(|record| record.from_cache).collect();
    assert_eq!(from_cache, [true, true, true, false]);
    assert_eq!(again.spent.tokens, 110);

    let offline = client(&server, folder.path(), Mode::Offline);
    drop(server);
    let replayed = run(&offline, &requests(4)).unwrap();
    assert_eq!((content(&replayed.records), replayed.spent.tokens), (content(&again.records), 0));
    let missing = run(&offline, &[request("cluster 1"), request("new one")]).unwrap();
    let e = missing.stopped.unwrap();
    assert!(matches!(&e, Error::NotKept { id, .. } if id == "new one") && e.help().is_some(), "{e}");
    assert_eq!(missing.records[1].outcome, Outcome::NotAsked);
}

#[test]
fn everything_that_an_answer_depends_on_is_part_of_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::saying("T cell");
    let base = keeping(&server, folder.path(), Mode::Online);
    run(&Client::new(base.clone(), None).unwrap(), &requests(1)).unwrap();
    let extra = serde_json::Map::from_iter([("top_p".to_owned(), serde_json::json!(0.5))]);
    for changed in [
        EndpointParams { model: "other".to_owned(), ..base.clone() },
        EndpointParams { temperature: 0.5, ..base.clone() },
        EndpointParams { seed: 1, ..base.clone() },
        EndpointParams { max_tokens: 99, ..base.clone() },
        EndpointParams { structure: Some(Structure::JsonObject), ..base.clone() },
        EndpointParams { extra, ..base.clone() },
    ] {
        let done = run(&Client::new(changed.clone(), None).unwrap(), &requests(1)).unwrap();
        assert!(!done.records[0].from_cache, "{changed:?}");
    }
    // Patience is none of it.
    let patient = EndpointParams { concurrency: 9, max_reply_bytes: 1 << 20, ..base };
    assert!(run(&Client::new(patient, None).unwrap(), &requests(1)).unwrap().records[0].from_cache);
}

#[test]
fn errors_are_not_kept_and_a_run_goes_on_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::chat(|request, stream| match request.number {
        0..3 => send(stream, "200 OK", &[], &said("B cell")),
        3 => send(stream, "401 Unauthorized", &[], &failure("expired", "x")),
        _ => send(stream, "200 OK", &[], &said("T cell")),
    });
    let params = EndpointParams { concurrency: 1, ..keeping(&server, folder.path(), Mode::Online) };
    let first = run(&Client::new(params.clone(), None).unwrap(), &requests(6)).unwrap();
    assert!(matches!(first.stopped, Some(Error::Unauthorized { .. })));
    let second = run(&Client::new(params, None).unwrap(), &requests(6)).unwrap();
    assert!(second.stopped.is_none());
    let labels: Vec<usize> = second.records.iter().filter_map(|record| record.label_index).collect();
    assert_eq!((labels, server.requests().len()), (vec![0, 0, 0, 1, 1, 1], 7));
}

#[test]
fn refresh_asks_again_and_replaces() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::chat(|request, stream| {
        send(stream, "200 OK", &[], &said(if request.number == 0 { "B cell" } else { "T cell" }));
    });
    let label =
        |mode| run(&client(&server, folder.path(), mode), &requests(1)).unwrap().records[0].label_index;
    assert_eq!((label(Mode::Online), label(Mode::Refresh), label(Mode::Online)), (Some(0), Some(1), Some(1)));
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn damaged_files_are_asked_for_again_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::saying("T cell");
    run(&client(&server, folder.path(), Mode::Online), &requests(1)).unwrap();
    let damage = || {
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, text.replace("T cell", "B cell")).unwrap();
        }
    };
    damage();
    let done = run(&client(&server, folder.path(), Mode::Online), &requests(1)).unwrap();
    assert_eq!((done.records[0].label_index, done.records[0].from_cache), (Some(1), false));
    damage();
    let done = run(&client(&server, folder.path(), Mode::Offline), &requests(1)).unwrap();
    let e = done.stopped.unwrap();
    assert!(matches!(e, Error::Damaged { .. }) && e.help().is_some(), "{e}");
}

#[test]
fn offline_without_a_probe_is_an_error_before_anything_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::saying("T cell");
    let e = run(&client(&server, folder.path(), Mode::Offline), &requests(1)).unwrap_err();
    assert!(matches!(&e, Error::NotKept { id, .. } if id == "probe"), "{e}");
    let e =
        Client::new(EndpointParams { cache: None, ..keeping(&server, folder.path(), Mode::Offline) }, None);
    assert!(matches!(e.unwrap_err(), Error::BadParams { field: "cache", .. }));
}

#[test]
fn what_a_provider_asks_for_is_kept_with_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let long = "s".repeat(5000);
    let server = Server::chat(move |_, stream| {
        let headers = [
            ("x-request-id", "req-1"),
            ("openai-processing-ms", "12"),
            ("server", long.as_str()),
            ("set-cookie", "a=b"),
        ];
        send(stream, "200 OK", &headers, &said("T cell"));
    });
    run(&client(&server, folder.path(), Mode::Online), &requests(1)).unwrap();
    let texts = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let text = texts.into_iter().find(|text| text.contains("openai-processing-ms")).unwrap();
    let entry: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(entry["headers"]["openai-processing-ms"], "12");
    assert!(entry["headers"]["server"].as_str().unwrap().len() < 400 && !text.contains("a=b"));
    assert!(run(&client(&server, folder.path(), Mode::Online), &requests(1)).unwrap().records[0].from_cache);
}

/// Writes a kept answer as the first version did.
fn write_entry(folder: &Path, request: &str, body: &str) {
    use sha2::{Digest, Sha256};
    let sha256 = |text: &str| -> String {
        Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let (key, body) = (sha256(request), serde_json::Value::from(body));
    let kept = format!("\"body\":{body},\"date\":\"2026-01-01T00:00:00Z\",\"seconds\":0.5");
    let digest = sha256(&format!("{{{kept}}}"));
    let entry = format!(
        "{{\"format\":\"sc-llm answer 1\",\"key\":\"{key}\",\"request\":{request},{kept},\"sha256\":\"{digest}\"}}"
    );
    std::fs::write(folder.join(format!("{key}.json")), entry).unwrap();
}

#[test]
fn a_folder_from_before_lists_of_tokens_is_replayed() {
    let folder = tempfile::tempdir().unwrap();
    write_entry(
        folder.path(),
        "{\"base\":\"http://127.0.0.1:1/v1\",\"body\":{\"extra\":{},\"labels\":[\"north\",\"south\"],\"logprobs\":true,\
         \"max_tokens\":512,\"model\":\"tiny\",\"question\":\"Reply with the word east and with nothing else.\",\
         \"stream\":false,\"structure\":\"plain\"},\"sample\":0,\"what\":\"probe\"}",
        "{\"structure\":\"plain\",\"tried\":[{\"structure\":\"plain\",\"verdict\":\"enforced\"}],\"logprobs\":true,\
         \"temperature\":true,\"seed\":true,\"model\":\"tiny-0613\",\"fingerprint\":null,\
         \"date\":\"2026-01-01T00:00:00Z\",\"newer_limit\":false,\"stream_usage\":true}",
    );
    write_entry(
        folder.path(),
        "{\"base\":\"http://127.0.0.1:1/v1\",\"body\":{\"logprobs\":true,\"max_tokens\":512,\"messages\":[\
         {\"content\":\"You name cells.\",\"role\":\"system\"},{\"content\":\"Is cluster 0 a \\\"B cell\\\", a \\\"T cell\\\" \
         or an \\\"NK cell\\\"? It has CD3D and CD3E.\\n\\nAnswer with one of the allowed labels, word for word, and \
         nothing else.\",\"role\":\"user\"}],\"model\":\"tiny\",\"seed\":0,\"temperature\":0.0},\"sample\":0,\
         \"what\":\"answer\"}",
        "{\"choices\": [{\"message\": {\"content\": \"T cell\"}, \
         \"logprobs\": {\"content\": [{\"token\": \"T cell\", \"logprob\": 0.0}]}}]}",
    );
    let params = EndpointParams {
        structure: Some(Structure::Plain),
        cache: Some(folder.path().to_owned()),
        mode: Mode::Offline,
        root_certificates: Some(folder.path().join("on another machine.pem")),
        ..EndpointParams::new("http://127.0.0.1:1/v1", "tiny")
    };
    let client = Client::new(params, None).unwrap();
    let done = run(&client, &requests(1)).unwrap();
    assert!(done.stopped.is_none(), "{:?}", done.stopped);
    let record = &done.records[0];
    assert!(record.from_cache && record.label_index == Some(1), "{record:?}");
    assert_eq!((client.probe().unwrap().top_logprobs, record.confidence), (0, Some(1.0)));
}
