//! What can be wrong with a training, before and while it runs.

use std::path::PathBuf;

/// An error of training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No tensor of the model shall change.
    #[error("nothing is to be trained: none of the {n_tensors} tensors is chosen")]
    NothingToTrain {
        /// Tensors of the model.
        n_tensors: usize,
    },
    /// A tensor of a type or in a place in which it cannot be trained.
    #[error("`{name}` is {found}, expected f32 in the memory of the processor")]
    NotTrainable {
        /// Name of the tensor.
        name: String,
        /// Its type and place.
        found: String,
    },
    /// A parameter outside its range.
    #[error("`{field}` is {found}, expected {expected}")]
    Param {
        /// The parameter.
        field: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// Gradients or moments of other variables than those given.
    #[error("{what} of {found} variables, expected {expected}")]
    Variables {
        /// What was given.
        what: &'static str,
        /// How many it has.
        found: usize,
        /// How many there are.
        expected: usize,
    },
    /// A gradient that does not fit its variable.
    #[error("the gradient of `{name}` has {found} values, expected {expected}")]
    Gradient {
        /// Name of the variable.
        name: String,
        /// Values of the gradient.
        found: usize,
        /// Values of the variable.
        expected: usize,
    },
    /// Numbers that are none: nothing can be learnt from them, and no step was made with them.
    #[error("the {what} is {found} in epoch {epoch}, step {step}{}", of_rows(rows))]
    NotFinite {
        /// The loss, or the length of the gradient.
        what: &'static str,
        /// Its value.
        found: f64,
        /// The epoch, from 1 on.
        epoch: usize,
        /// The step, from 1 on over all epochs.
        step: usize,
        /// Rows of the data set that it was computed of.
        rows: Vec<usize>,
    },
    /// A training that needs more memory than it may have.
    #[error(
        "the training needs about {}, with a largest batch of {n_tokens} tokens, but {} are allowed",
        mebibytes(*needed), mebibytes(*limit)
    )]
    Memory {
        /// Bytes that it needs.
        needed: usize,
        /// Bytes that it may have.
        limit: usize,
        /// Tokens of the largest batch.
        n_tokens: usize,
    },
    /// The state of a training elsewhere.
    #[error("{}: the folder holds the state of another training: {what} is {found}, expected {expected}", path.display())]
    OtherRun {
        /// The folder.
        path: PathBuf,
        /// What differs.
        what: String,
        /// What it is there.
        found: String,
        /// What it is here.
        expected: String,
    },
    /// A folder that is in use.
    #[error("{}: another process trains in this folder", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// A file that no training wrote.
    #[error("{}: not the state of a training", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A file that cannot be read or written.
    #[error(transparent)]
    Io(#[from] sc_io::Error),
    /// What a task of another crate reports.
    #[error("the loss cannot be computed")]
    Task {
        /// The report.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The callback wanted no more.
    #[error("stopped by the caller")]
    Cancelled,
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::NothingToTrain { .. } => Some("freeze less, or add a head or an adapter to train"),
            Self::NotTrainable { .. } => {
                Some("load the model on the CPU with `dtype` F32; embeddings may then be stored in any type")
            }
            Self::NotFinite { .. } => {
                Some("lower the learning rate, or look at these cells; the last state on disk is a good one")
            }
            Self::Memory { .. } => Some(
                "lower `batch_size` (and raise `accumulate` instead), set `checkpointing`, or tokenise to a smaller length",
            ),
            Self::OtherRun { .. } => Some("take another folder, or remove this one to begin anew"),
            Self::Busy { .. } => Some("wait for its end, or take another folder"),
            Self::State { .. } => Some("remove the folder to begin anew"),
            Self::Io(error) => error.help(),
            _ => None,
        }
    }
}

fn mebibytes(n: usize) -> String {
    format!("{:.1} MiB", n as f64 / f64::from(1 << 20))
}

/// The first of some rows, in words.
fn of_rows(rows: &[usize]) -> String {
    let shown: Vec<String> = rows.iter().take(12).map(usize::to_string).collect();
    match rows.len() {
        0 => String::new(),
        n if n > shown.len() => format!(", of rows {} and {} more", shown.join(", "), n - shown.len()),
        _ => format!(", of rows {}", shown.join(", ")),
    }
}

/// Refuses a parameter unless `is_good`.
pub(crate) fn check(
    field: &'static str,
    found: impl ToString,
    is_good: bool,
    expected: &'static str,
) -> Result<(), Error> {
    match is_good {
        true => Ok(()),
        false => Err(Error::Param { field, found: found.to_string(), expected }),
    }
}
