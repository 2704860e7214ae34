//! scGPT's input: the genes of a cell with counts, in the order of the matrix, each with the bin of its value.
//!
//! The released models take what their `embed_data` makes of a matrix: `<cls>` in front, the genes of the vocabulary
//! with values above 0, values put in 51 bins per cell, and at most 1,200 tokens, drawn at random (Cui et al., Nature
//! Methods 2024, <https://doi.org/10.1038/s41592-024-02201-0>). The reference draws from global generators, so its
//! input changes with the order and the batches of the cells; here every draw belongs to the content of its cell.

mod masking;
mod preprocess;
mod scale;
mod tokenizer;
mod vocabulary;

pub use masking::{MaskParams, mask_values};
pub use preprocess::{Preprocessed, preprocess};
pub use scale::{Scale, scale};
pub use tokenizer::{CellTies, Crop, ScgptParams, ScgptTokenizer};
pub use vocabulary::ScgptVocabulary;

use super::bins::N_BINS;

/// How a model takes in the values: `input_emb_style` of its `args.json`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ValueEncoding {
    /// Bins as numbers (`continuous`, the released models) or as factors (`scaling`).
    #[default]
    Continuous,
    /// Bins as categories of an embedding (`category`), with that many bins.
    Category {
        /// Number of bins, the bin of 0 included.
        n_bins: usize,
    },
}

impl ValueEncoding {
    /// Categories for the released number of bins.
    pub const CATEGORY: Self = Self::Category { n_bins: N_BINS };

    /// The value at `<cls>` and at padding: -2, or the category behind the bins.
    pub fn pad_value(self) -> f32 {
        match self {
            Self::Continuous => -2.0,
            Self::Category { n_bins } => n_bins as f32,
        }
    }

    /// The value that hides another: -1, or the second category behind the bins.
    pub fn mask_value(self) -> f32 {
        match self {
            Self::Continuous => -1.0,
            Self::Category { n_bins } => (n_bins + 1) as f32,
        }
    }

    /// Rows of the embedding of categories; `None` where values are numbers.
    pub fn n_categories(self) -> Option<usize> {
        match self {
            Self::Continuous => None,
            Self::Category { n_bins } => Some(n_bins + 2),
        }
    }
}
