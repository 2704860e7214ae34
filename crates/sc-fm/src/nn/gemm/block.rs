//! The product of some rows with some panels, on one thread.

#![allow(unsafe_code, reason = "the caller's micro-kernel, and tiles written through a pointer")]

use std::ops::Range;

use super::Epilogue;
use super::buffer::Buffer;
use super::micro::{Micro, Operands, PANEL, STRIDE, Target};
use super::packed::Packed;
use super::view::View;

/// Where a product is written: row `i` begins at `i · stride`.
#[derive(Clone, Copy)]
pub(super) struct Out {
    pub(super) values: *mut f32,
    pub(super) stride: usize,
}

// SAFETY: a plain address. Whoever uses it has to own what it writes (`multiply`).
unsafe impl Send for Out {}
// SAFETY: as above.
unsafe impl Sync for Out {}

/// Writes the rows `rows` and the columns of the panels `panels` of `a · bᵀ`.
///
/// # Safety
/// The processor has the instructions of `M`, and `b` is packed for it. `out` names `a.rows()` rows of `b.outputs()`
/// values; nobody else uses those of this block meanwhile, and they are initialised if the product is added to them.
pub(super) unsafe fn multiply<M: Micro>(
    a: View<'_>,
    b: &Packed,
    (rows, panels): (Range<usize>, Range<usize>),
    epilogue: &Epilogue<'_>,
    out: Out,
    scratch: &mut Buffer,
) {
    // SAFETY: the caller says.
    let mut micro = unsafe { M::enter() };
    let per_word = M::FORMAT.per_word();
    let size = rows.len().next_multiple_of(M::ROWS) * STRIDE;
    scratch.at_least(size * M::FORMAT.parts());
    let (high, low) = scratch.split_at_mut(size);
    for step in (0..b.steps).step_by(M::BLOCK) {
        let words = (b.steps - step).min(M::BLOCK);
        let values = step * per_word..a.columns().min((step + words) * per_word);
        // SAFETY: the caller says that the processor has the instructions.
        unsafe { pack_rows::<M>(a, rows.clone(), values, words, [&mut *high, &mut *low]) };
        let last = step + words == b.steps;
        for panel in panels.clone() {
            let [b_high, b_low] = b.panel(panel, step);
            let column = panel * PANEL;
            let bias = epilogue.bias.filter(|_| last);
            for first_row in (0..rows.len()).step_by(M::ROWS) {
                let at = first_row * STRIDE;
                let a_low = if M::FORMAT.parts() == 1 { &[] } else { &low[at..] };
                let operands = Operands { a: &high[at..], a_low, b: b_high, b_low, words };
                let target = Target {
                    out: out.values.wrapping_add((rows.start + first_row) * out.stride + column),
                    stride: out.stride,
                    rows: (rows.len() - first_row).min(M::ROWS),
                    columns: (b.outputs - column).min(PANEL),
                    first: step == 0 && !epilogue.accumulate,
                    bias: bias.map_or(std::ptr::null(), |bias| bias[column..].as_ptr()),
                    relu: epilogue.relu && last,
                };
                // SAFETY: the caller says that the processor has the instructions and that the block is ours; the
                // bias has a value for each output.
                unsafe { micro.tile(operands, target) };
            }
        }
    }
}

/// Packs some inputs of some rows of the left operand, as `words` words to a row.
///
/// # Safety
/// The processor has the instructions of `M`.
unsafe fn pack_rows<M: Micro>(
    a: View<'_>,
    rows: Range<usize>,
    values: Range<usize>,
    words: usize,
    [high, low]: [&mut [u32]; 2],
) {
    let parts = M::FORMAT.parts();
    if a.in_row(rows.start, values.clone()).is_some() {
        for (i, row) in rows.enumerate() {
            let values = a.in_row(row, values.clone()).expect("one row lies as the others do");
            let places = i * STRIDE..i * STRIDE + words;
            let low = if parts == 2 { &mut low[places.clone()] } else { &mut [] };
            // SAFETY: the caller says.
            unsafe { M::convert(values, &mut high[places], low) };
        }
        return;
    }
    // A transposed operand is read by columns, some rows at a time, and dealt out to the rows.
    const ROWS: usize = 32;
    let (per_word, used) = (M::FORMAT.per_word(), values.len().div_ceil(M::FORMAT.per_word()));
    for first in (0..rows.len()).step_by(ROWS) {
        let n = ROWS.min(rows.len() - first);
        let mut pair = [[0f32; ROWS]; 2];
        for (step, k) in values.clone().step_by(per_word).enumerate() {
            a.copy_column(rows.start + first, k, &mut pair[0][..n]);
            match per_word == 2 && k + 1 < values.end {
                true => a.copy_column(rows.start + first, k + 1, &mut pair[1][..n]),
                false => pair[1].fill(0.0),
            }
            for i in 0..n {
                let [word, below] = M::FORMAT.word(pair[0][i], pair[1][i]);
                high[(first + i) * STRIDE + step] = word;
                if parts == 2 {
                    low[(first + i) * STRIDE + step] = below;
                }
            }
        }
        for i in first..first + n {
            high[i * STRIDE + used..i * STRIDE + words].fill(0);
            if parts == 2 {
                low[i * STRIDE + used..i * STRIDE + words].fill(0);
            }
        }
    }
}
