//! How a program that runs networks ends.

use std::process::ExitCode;

use anyhow::Error;
use sc_examples::end::{Known, end_with};
use sc_llm::{chat, endpoint, tokenizer};

/// [`sc_examples::end::end`], which also knows what [`sc_fm`] and [`sc_llm`] say.
pub fn end(result: Result<(), Error>) -> ExitCode {
    end_with(result, |cause| {
        if let Some(error) = cause.downcast_ref::<sc_fm::Error>() {
            return Some(Known { code: 3, help: error.help() });
        }
        let llm = cause.downcast_ref::<sc_llm::Error>().map(sc_llm::Error::help);
        let endpoint = cause.downcast_ref::<endpoint::Error>().map(endpoint::Error::help);
        let chat = cause.downcast_ref::<chat::Error>().map(chat::Error::help);
        let tokenizer = cause.downcast_ref::<tokenizer::Error>().map(tokenizer::Error::help);
        Some(Known { code: 3, help: llm.or(endpoint).or(chat).or(tokenizer)? })
    })
}
