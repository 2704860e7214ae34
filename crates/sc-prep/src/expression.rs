//! What a matrix holds, as a type: raw counts or log-normalised expression. Each is proven in one pass.
//!
//! A step that needs counts takes [`Counts`], a step that needs logarithms takes [`LogNormalized`]; the wrong one does
//! not compile.

mod counts;
mod log_normalized;

pub use counts::Counts;
pub use log_normalized::LogNormalized;

use rayon::prelude::*;
use sc_io::Csr;

/// Stored values looked at together: a whole block is accepted or searched.
const BLOCK: usize = 4096;

/// The first stored value, in storage order, that is not acceptable: (row, column, value).
pub(crate) fn first_offender(x: &Csr, accepts: impl Fn(f32) -> bool + Sync) -> Option<(usize, usize, f32)> {
    // `&` instead of `&&` on purpose: without branches the compiler checks several values at a time.
    let whole_block = |block: &[f32]| block.iter().fold(true, |ok, &v| ok & accepts(v));
    let block = x.values().par_chunks(BLOCK).position_first(|block| !whole_block(block))?;
    let first = block * BLOCK;
    let at = first + x.values()[first..].iter().position(|&v| !accepts(v))?;
    let row = x.indptr().partition_point(|&offset| offset <= at) - 1;
    Some((row, x.indices()[at] as usize, x.values()[at]))
}
