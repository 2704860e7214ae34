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
        for (i, row) in rows.clone().enumerate() {
            let high = &mut high[i * STRIDE..][..words];
            let low = match M::FORMAT.parts() {
                1 => &mut [][..],
                _ => &mut low[i * STRIDE..][..words],
            };
            // SAFETY: the caller says that the processor has the instructions.
            unsafe { pack_row::<M>(a, row, values.clone(), high, low) };
        }
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

/// Packs a part of one row of the left operand.
///
/// # Safety
/// The processor has the instructions of `M`.
unsafe fn pack_row<M: Micro>(
    a: View<'_>,
    row: usize,
    values: Range<usize>,
    high: &mut [u32],
    low: &mut [u32],
) {
    match a.in_row(row, values.clone()) {
        // SAFETY: the caller says.
        Some(values) => unsafe { M::convert(values, high, low) },
        None => {
            let per_word = M::FORMAT.per_word();
            for (step, k) in values.clone().step_by(per_word).enumerate() {
                let second = if per_word == 2 && k + 1 < values.end { a.get(row, k + 1) } else { 0.0 };
                let [word, below] = M::FORMAT.word(a.get(row, k), second);
                high[step] = word;
                if let Some(low) = low.get_mut(step) {
                    *low = below;
                }
            }
            let used = values.len().div_ceil(per_word);
            high[used..].fill(0);
            if let Some(low) = low.get_mut(used..) {
                low.fill(0);
            }
        }
    }
}
