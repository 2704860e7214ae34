//! What can be wrong with a training, before and while it runs.

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
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::NothingToTrain { .. } => Some("freeze less, or add a head or an adapter to train"),
            Self::NotTrainable { .. } => {
                Some("load the model on the CPU with `dtype` F32; embeddings may then be stored in any type")
            }
            _ => None,
        }
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
