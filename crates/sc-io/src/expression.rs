//! What a matrix holds, as a type: raw counts, proven in one pass.
//!
//! A step that needs counts takes [`Counts`]; a matrix of anything else never becomes one.

mod counts;
mod place;

pub use counts::{Counts, NotCounts};
pub use place::Place;

use rayon::prelude::*;

use crate::Csr;

/// Stored values looked at together: a whole block is accepted or searched.
const BLOCK: usize = 4096;

/// The first stored value, in storage order, that is not acceptable: (row, column, value).
pub fn first_offender(x: &Csr, accepts: impl Fn(f32) -> bool + Sync) -> Option<(usize, usize, f32)> {
    // `&` instead of `&&` on purpose: without branches the compiler checks several values at a time.
    let whole_block = |block: &[f32]| block.iter().fold(true, |ok, &v| ok & accepts(v));
    let block = x.values().par_chunks(BLOCK).position_first(|block| !whole_block(block))?;
    let first = block * BLOCK;
    let at = first + x.values()[first..].iter().position(|&v| !accepts(v))?;
    let row = x.indptr().partition_point(|&offset| offset <= at) - 1;
    Some((row, x.indices()[at] as usize, x.values()[at]))
}
