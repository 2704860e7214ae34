//! How a program ends: an error with its causes and what to do about it, and an exit code.

use std::process::ExitCode;

use anyhow::Error;

/// Flags that contradict each other, or lack something.
#[derive(Debug)]
pub struct Usage(pub String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// A model or file that is not there and that nothing fetches unasked.
#[derive(Debug)]
pub struct NotFetched {
    /// What is not there.
    pub text: String,
    /// Where it comes from.
    pub help: String,
}

impl std::fmt::Display for NotFetched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for NotFetched {}

/// The exit code of a result: 0 done, 1 failed, 2 usage, 3 input invalid, 4 model or file not there. An error is printed to stderr with the chain
/// of its causes and, where a library knows what to do next, its advice.
pub fn end(result: Result<(), Error>) -> ExitCode {
    end_with(result, |_| None)
}

/// The exit code and the advice of an error of a crate that this package does not use.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The exit code.
    pub code: u8,
    /// What to do about it.
    pub help: Option<&'a str>,
}

/// [`end`], where `know` speaks for errors of other crates.
pub fn end_with(
    result: Result<(), Error>,
    know: for<'a> fn(&'a (dyn std::error::Error + 'static)) -> Option<Known<'a>>,
) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    let mut text = format!("error: {error}");
    for cause in error.chain().skip(1) {
        text += &format!("\n  because {cause}");
    }
    let advice = |cause| help(cause).or_else(|| know(cause)?.help);
    if let Some(help) = error.chain().find_map(advice) {
        text += &format!("\nhelp: {help}");
    }
    crate::progress::say(&text);
    let known = error.chain().find_map(|cause| Some(know(cause)?.code));
    ExitCode::from(known.unwrap_or_else(|| code(&error)))
}

fn help<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a str> {
    let io = cause.downcast_ref::<sc_io::Error>().and_then(sc_io::Error::help);
    let prep = cause.downcast_ref::<sc_prep::Error>().and_then(sc_prep::Error::help);
    let eval = cause.downcast_ref::<sc_eval::Error>().and_then(sc_eval::Error::help);
    let counts = cause.downcast_ref::<sc_io::NotCounts>().and_then(sc_io::NotCounts::help);
    let rows = cause.downcast_ref::<sc_io::row_store::Error>().and_then(sc_io::row_store::Error::help);
    let fetch = cause.downcast_ref::<NotFetched>().map(|error| error.help.as_str());
    io.or(counts).or(prep).or(eval).or(rows).or(fetch)
}

fn code(error: &Error) -> u8 {
    use sc_eval::Error as Eval;
    for cause in error.chain() {
        if cause.is::<Usage>()
            || matches!(cause.downcast_ref::<sc_prep::Error>(), Some(sc_prep::Error::Parameter { .. }))
        {
            return 2;
        }
        if cause.is::<NotFetched>() {
            return 4;
        }
        if cause.is::<sc_io::Error>() || cause.is::<sc_io::NotCounts>() || cause.is::<sc_prep::Error>() {
            return 3;
        }
        match cause.downcast_ref::<Eval>() {
            Some(
                Eval::OneClass { .. }
                | Eval::OneClassLeft { .. }
                | Eval::ClassSmallerThanFolds { .. }
                | Eval::Empty { .. }
                | Eval::Damaged { .. }
                | Eval::FewGroups { .. }
                | Eval::Incomplete { .. },
            ) => {
                return 3;
            }
            Some(
                Eval::Parameter { .. }
                | Eval::UnknownModel { .. }
                | Eval::UnknownEngine { .. }
                | Eval::EngineNotBuilt { .. }
                | Eval::EngineModel { .. }
                | Eval::EngineParameter { .. }
                | Eval::NotEmpty { .. }
                | Eval::OtherPlan { .. },
            ) => return 2,
            _ => {}
        }
    }
    1
}
