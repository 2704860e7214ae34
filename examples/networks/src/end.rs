//! How a program that runs networks ends.

use std::process::ExitCode;

use anyhow::Error;
use sc_examples::end::{Known, end_with};

/// [`sc_examples::end::end`], which also knows what [`sc_fm`] says.
pub fn end(result: Result<(), Error>) -> ExitCode {
    end_with(result, |cause| {
        let error = cause.downcast_ref::<sc_fm::Error>()?;
        Some(Known { code: 3, help: error.help() })
    })
}
