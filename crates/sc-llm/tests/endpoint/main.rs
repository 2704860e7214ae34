//! The client against a server on this machine that does everything wrong that servers do.

#![cfg(feature = "endpoint")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod failures;
mod kept;
mod ladder;
mod limits;
mod outcomes;
#[cfg(feature = "local")]
mod real;
mod secrets;
mod spending;
mod tls;

mod server;

use std::ops::ControlFlow;
use std::time::Duration;

use sc_llm::endpoint::{
    Annotation, Client, EndpointParams, Error, Event, Lexicon, Message, Outcome, Record, Request,
    RetryParams, Role, Structure, Timeouts,
};
use server::Server;

/// Parameters that wait for nothing long, and are asked for labels in text.
fn params(server: &Server) -> EndpointParams {
    EndpointParams {
        structure: Some(Structure::Plain),
        logprobs: false,
        repair: false,
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(5),
            idle: Duration::from_secs(5),
            total: Duration::from_secs(10),
        },
        retry: RetryParams { attempts: 3, backoff: Duration::from_millis(2), ..RetryParams::default() },
        ..EndpointParams::new(&server.base(), "tiny")
    }
}

fn lexicon() -> Lexicon {
    Lexicon::new(&["B cell", "T cell", "NK cell"]).unwrap()
}

fn request(id: &str) -> Request {
    let text = format!("Is {id} a \"B cell\", a \"T cell\" or an \"NK cell\"? It has CD3D and CD3E.");
    Request {
        id: id.to_owned(),
        messages: vec![Message::new(Role::System, "You name cells."), Message::new(Role::User, text)],
    }
}

fn requests(n: usize) -> Vec<Request> {
    (0..n).map(|i| request(&format!("cluster {i}"))).collect()
}

fn run(client: &Client, requests: &[Request]) -> Result<Annotation, Error> {
    client.annotate_all(requests, &lexicon(), &mut |_| ControlFlow::Continue(()))
}

/// The record of one request, and the errors of the attempts that were repeated.
fn one(params: EndpointParams) -> (Record, Vec<String>) {
    let client = Client::new(params, None).unwrap();
    let mut retried = Vec::new();
    let done = client.annotate_all(&requests(1), &lexicon(), &mut |event| {
        if let Event::Retry { error, .. } = event {
            assert!(error.help().is_some() || matches!(error, Error::Status { .. }), "{error}");
            retried.push(error.to_string());
        }
        ControlFlow::Continue(())
    });
    let done = done.unwrap();
    assert!(done.stopped.is_none(), "{:?}", done.stopped);
    (done.records[0].clone(), retried)
}

/// What ends a run of three requests.
fn end(params: EndpointParams) -> (Error, Vec<Record>) {
    let done = run(&Client::new(params, None).unwrap(), &requests(3)).unwrap();
    let error = done.stopped.unwrap();
    assert!(error.help().is_some(), "{error}");
    (error, done.records)
}

fn outcomes(records: &[Record]) -> Vec<Outcome> {
    records.iter().map(|record| record.outcome).collect()
}
