//! How a program that runs networks ends.

use std::process::ExitCode;

use anyhow::Error;
use sc_examples::end::{Known, end_with};

/// [`sc_examples::end::end`], which also knows what [`sc_fm`] and [`sc_llm`] say.
pub fn end(result: Result<(), Error>) -> ExitCode {
    end_with(result, |cause| {
        if let Some(error) = cause.downcast_ref::<sc_llm::Error>() {
            return Some(Known { code: 3, help: error.help() });
        }
        let error = cause.downcast_ref::<sc_fm::Error>()?;
        Some(Known { code: 3, help: error.help() })
    })
}
