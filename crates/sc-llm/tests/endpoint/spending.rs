//! Prices, estimates, and the request that is not sent.

use super::*;
use sc_llm::endpoint::Prices;
use server::{raw, said, send};

fn priced(server: &Server) -> EndpointParams {
    let prices = Prices::from_yaml("tiny: {input: 10, output: 100}").unwrap();
    EndpointParams { prices, concurrency: 1, max_tokens: 50, ..params(server) }
}

#[test]
fn a_run_ends_before_the_request_that_could_exceed_its_budget() {
    let server = Server::saying("T cell");
    let per_request = 100 + 10;
    // Below what five requests and the probe need, if an answer may have 50 tokens.
    let budget = 5 * per_request + per_request;
    let params = EndpointParams { max_tokens_spent: Some(budget), ..priced(&server) };
    let client = Client::new(params, None).unwrap().with_counter(|_| 100);
    let done = run(&client, &requests(10)).unwrap();
    let e = done.stopped.unwrap();
    assert!(matches!(e, Error::Budget { unit: "tokens", .. }) && e.help().is_some(), "{e}");
    assert!(done.spent.tokens <= budget && done.spent.tokens + 150 > budget, "{:?}", done.spent);
    assert_eq!(server.requests().len() as u64, done.spent.tokens / per_request - 1);
    let labels = done.records.iter().filter(|record| record.outcome == Outcome::Label).count();
    assert_eq!(labels, server.requests().len());

    let params = EndpointParams { max_cost: Some(0.02), ..priced(&server) };
    let done = run(&Client::new(params, None).unwrap().with_counter(|_| 1), &requests(10)).unwrap();
    let e = done.stopped.unwrap();
    assert!(matches!(e, Error::Budget { unit: "of money", .. }), "{e}");
    assert!(done.spent.cost.unwrap() <= 0.02 + 1e-12, "{:?}", done.spent);
    let cost = done.records[0].cost.unwrap();
    assert!((cost - (100.0 * 10.0 + 10.0 * 100.0) * 1e-6).abs() < 1e-9, "{cost}");
}

#[test]
fn many_at_once_keep_to_the_budget_too() {
    let server = Server::saying("T cell");
    let params = EndpointParams { concurrency: 8, max_tokens_spent: Some(2000), ..priced(&server) };
    let client = Client::new(params, None).unwrap().with_counter(|_| 100);
    let done = run(&client, &requests(40)).unwrap();
    assert!(matches!(done.stopped, Some(Error::Budget { .. })), "{:?}", done.stopped);
    assert!(done.spent.tokens <= 2000 && done.spent.tokens > 2000 - 150, "{:?}", done.spent);
}

#[test]
fn nothing_is_sent_if_not_even_the_probe_fits() {
    let server = Server::saying("T cell");
    let client = Client::new(EndpointParams { max_tokens_spent: Some(10), ..priced(&server) }, None).unwrap();
    let e = run(&client, &requests(1)).unwrap_err();
    assert!(matches!(&e, Error::Budget { id, .. } if id == "probe"), "{e}");
    let unknown = EndpointParams { max_cost: Some(1.0), model: "unknown".to_owned(), ..priced(&server) };
    let e = Client::new(unknown, None).unwrap_err();
    assert!(matches!(e, Error::NoPrice { .. }) && e.help().is_some(), "{e}");
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn an_answer_that_broke_off_counts_with_all_that_it_could_have_cost() {
    let server = Server::chat(|request, stream| match request.number {
        0 => raw(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
        1 => send(stream, "500 a", &[], ""),
        _ => send(stream, "200 OK", &[], &said("T cell")),
    });
    let client = Client::new(priced(&server), None).unwrap().with_counter(|_| 100);
    let done = run(&client, &requests(1)).unwrap();
    // The probe, what was cut, nothing for the error, and the answer.
    assert_eq!(done.spent.tokens, 110 + 150 + 110);
    assert_eq!(done.records[0].outcome, Outcome::Label);
}

#[test]
fn an_estimate_sends_nothing_and_is_above_what_is_spent() {
    let server = Server::saying("T cell");
    let client = Client::new(priced(&server), None).unwrap();
    let estimate = client.estimate(&requests(5), &lexicon()).unwrap();
    assert_eq!((estimate.requests, estimate.output, server.requests().len()), (5, 250, 0));
    let body = client.preview(&request("cluster 0"), &lexicon(), Structure::Plain).to_string();
    assert_eq!(estimate.input, 5 * body.len().div_ceil(3) as u64);
    client.probe().unwrap();
    let done = run(&client, &requests(5)).unwrap();
    assert!(estimate.cost.unwrap() > done.spent.cost.unwrap() && done.spent.tokens == 550);
    // What is shown beforehand is what is sent.
    assert_eq!(server.requests()[0].body.to_string(), body);
}
