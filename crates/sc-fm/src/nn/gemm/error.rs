//! Weights that cannot be packed.

/// A weight that cannot be packed.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// A value that blocks, or f16, cannot hold.
    #[error("the weight of output {output} and input {input} is {value:e}, which {format} cannot hold")]
    NotHeld {
        /// The row of the weight.
        output: usize,
        /// Its column.
        input: usize,
        /// What is there.
        value: f32,
        /// The name of the format.
        format: &'static str,
    },
    /// Bytes that are not those of a weight of this shape.
    #[error("{found} bytes of {format} for a weight of {outputs} x {inputs}, which has {expected}")]
    Length {
        /// The format of the blocks.
        format: &'static str,
        /// Rows of the weight.
        outputs: usize,
        /// Its columns.
        inputs: usize,
        /// How many bytes there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// Rows that are not whole blocks.
    #[error("rows of {inputs} values, but blocks of {format} have {block}")]
    Ragged {
        /// The format of the blocks.
        format: &'static str,
        /// Columns of the weight.
        inputs: usize,
        /// Values in a block.
        block: usize,
    },
    /// A kernel that multiplies with something else than these blocks.
    #[error("blocks of {format} for the kernel {kernel}, which does not multiply with them")]
    Kernel {
        /// The format of the blocks.
        format: &'static str,
        /// The name of the kernel.
        kernel: &'static str,
    },
    /// A weight whose size cannot be counted.
    #[error("a weight of {outputs} x {inputs} is larger than memory can be")]
    TooLarge {
        /// Rows of the weight.
        outputs: usize,
        /// Its columns.
        inputs: usize,
    },
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::NotHeld { .. } => Some("the weights are damaged or still in training; choose f32 or bf16"),
            _ => None,
        }
    }
}
