//! What can be wrong with a checkpoint.

/// An error in a checkpoint: which file, which tensor, what was found, what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model needs a tensor that the checkpoint lacks.
    #[error("the checkpoint has no tensor {name:?}, expected {expected:?}")]
    Missing {
        /// The tensor's name.
        name: String,
        /// Its shape.
        expected: Vec<usize>,
    },
    /// A tensor of another shape than the model's.
    #[error("tensor {name:?} has shape {found:?}, expected {expected:?}")]
    Shape {
        /// The tensor's name.
        name: String,
        /// Its shape in the checkpoint.
        found: Vec<usize>,
        /// The shape that the configuration asks for.
        expected: Vec<usize>,
    },
    /// Tensors that no part of the model took.
    #[error("the checkpoint holds {} tensors that the model does not use: {}", names.len(), names.join(", "))]
    Unused {
        /// Their names, sorted.
        names: Vec<String>,
    },
}
