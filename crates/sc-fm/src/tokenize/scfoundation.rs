//! scFoundation's input: log-normalised values of 19,264 genes in a fixed order, then two numbers for the depth of the
//! cell as it is (S) and as it should be (T).
//!
//! The model sees only the positions whose value is above 0, in rising order (Hao et al., Nature Methods 2024,
//! <https://doi.org/10.1038/s41592-024-02305-7>). Genes that a matrix lacks count as 0, genes that the list lacks are
//! left out of values and totals. The reference puts columns in order only where there are fewer than 19,264 of them,
//! and takes any others as they stand; here the names decide always.

mod genes;
mod tokenizer;

pub use genes::GeneList;
pub use tokenizer::{Input, Resolution, ScfoundationParams, ScfoundationTokenizer};
