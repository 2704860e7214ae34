//! Sets of tokens on disk, in the form that Hugging Face `datasets` writes and loads (`load_from_disk`): a folder with an
//! Arrow stream, `dataset_info.json` and `state.json`, as Geneformer's tokeniser stores its `.dataset`.
//!
//! Columns: `input_ids` (lists of int32), `length` (int64), `counts` (lists of float32, if the tokens have values), and the
//! columns of `obs` that were asked for.

mod read;
mod write;

pub use read::{TokenSet, load};
pub use write::save;

/// The tokens of a cell.
const INPUT_IDS: &str = "input_ids";
/// Their number.
const LENGTH: &str = "length";
/// Their values.
const COUNTS: &str = "counts";
/// The file that lists the others.
const STATE: &str = "state.json";
/// The file that describes the columns.
const INFO: &str = "dataset_info.json";

#[cfg(test)]
mod tests;
