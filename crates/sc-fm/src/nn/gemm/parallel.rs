//! A product as tasks for the threads of the caller's pool, or as one.

#![allow(
    unsafe_code,
    reason = "threads write columns of the same rows, and memory that is not yet initialised"
)]

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::block::{Out, multiply};
use super::buffer::Buffer;
use super::packed::Packed;
use super::view::View;
use super::{Epilogue, kernel::with_micro, quantized};

/// Multiplications below which a product is not worth a second thread: some 10 µs.
const SERIAL: usize = 1 << 18;

/// Rows of a task: packed (one block of the inner dimension), they stay in the second-level cache while panels pass.
const TASK_ROWS: usize = 96;

/// Panels of a task, at most: its part of the output stays in the second-level cache from block to block.
const TASK_PANELS: usize = 16;

thread_local! {
    static SCRATCH: RefCell<Buffer> = RefCell::default();
}

/// `out = a · wᵀ` with an epilogue, for `a`: `rows × in` and `out`: `rows × out`, on the threads of the caller's pool.
///
/// # Panics
/// If `a` does not have as many columns as the weight has inputs, `out` not a value for each row and output, or the
/// bias not a value for each output.
pub fn gemm(a: View<'_>, weight: &Packed, epilogue: Epilogue<'_>, out: &mut [f32]) {
    assert_eq!(out.len(), a.rows() * weight.outputs, "the output has a value for each row and output");
    let out = Out { values: out.as_mut_ptr(), stride: weight.outputs };
    // SAFETY: `out` is exclusive, initialised, and as long as asked.
    unsafe { run(a, weight, &epilogue, out) }
}

/// As [`gemm`], into new memory.
///
/// # Panics
/// As [`gemm`], and if the epilogue adds to what the output holds.
pub fn gemm_vec(a: View<'_>, weight: &Packed, epilogue: Epilogue<'_>) -> Vec<f32> {
    assert!(!epilogue.accumulate, "new memory holds nothing to add to");
    let n = a.rows() * weight.outputs;
    let mut values = Vec::with_capacity(n);
    let out = Out { values: values.as_mut_ptr(), stride: weight.outputs };
    // SAFETY: the vector has room for all values; without `accumulate` none is read before it is written, and all
    // are written.
    unsafe {
        run(a, weight, &epilogue, out);
        values.set_len(n);
    }
    values
}

/// Products on the thread that calls, for those who share out work themselves: with blocks that stay in the cache, and
/// memory for packed rows that is reused.
#[derive(Default)]
pub struct Serial {
    scratch: Buffer,
}

impl Serial {
    /// `out = a · wᵀ` with an epilogue; row `i` of `out` begins at `i · stride`. Same bits as [`gemm`].
    ///
    /// # Panics
    /// As [`gemm`].
    pub fn gemm(
        &mut self,
        a: View<'_>,
        weight: &Packed,
        epilogue: Epilogue<'_>,
        out: &mut [f32],
        stride: usize,
    ) {
        check(a, weight, &epilogue);
        if a.rows() == 0 || weight.outputs == 0 {
            return;
        }
        assert!(stride >= weight.outputs, "rows of the output do not overlap");
        assert!(
            out.len() >= (a.rows() - 1) * stride + weight.outputs,
            "the output has a value for each row and output"
        );
        let all = (0..a.rows(), 0..weight.panels());
        let out = Out { values: out.as_mut_ptr(), stride };
        // SAFETY: `out` is exclusive, initialised, and as long as asked; the kernel exists only where it can run.
        unsafe {
            if weight.inputs == 0 {
                without_inputs(a.rows(), weight.outputs, &epilogue, out);
            } else if let Some(kernel) = weight.kernel.quantized() {
                quantized::serial(kernel, a, weight, &epilogue, out);
            } else {
                with_micro!(weight.kernel, M => multiply::<M>(a, weight, all, &epilogue, out, &mut self.scratch));
            }
        }
    }
}

fn check(a: View<'_>, weight: &Packed, epilogue: &Epilogue<'_>) {
    assert_eq!(a.columns(), weight.inputs, "rows have a value for each input of the weight");
    if let Some(bias) = epilogue.bias {
        assert_eq!(bias.len(), weight.outputs, "the bias has a value for each output");
    }
}

/// # Safety
/// `out` names `a.rows()` rows of `weight.outputs` values that nobody else uses; initialised if `epilogue.accumulate`.
unsafe fn run(a: View<'_>, weight: &Packed, epilogue: &Epilogue<'_>, out: Out) {
    check(a, weight, epilogue);
    if weight.inputs == 0 {
        // SAFETY: as the caller says.
        return unsafe { without_inputs(a.rows(), weight.outputs, epilogue, out) };
    }
    if let Some(kernel) = weight.kernel.quantized() {
        if a.rows() > 0 && weight.outputs > 0 {
            // SAFETY: as the caller says; a weight is packed for its kernel.
            unsafe { quantized::parallel(kernel, a, weight, epilogue, out) };
        }
        return;
    }
    let compute = |task: (Range<usize>, Range<usize>)| {
        SCRATCH.with_borrow_mut(|scratch| {
            // SAFETY: as the caller says, and tasks do not overlap; a kernel exists only where it can run.
            unsafe { with_micro!(weight.kernel, M => multiply::<M>(a, weight, task, epilogue, out, scratch)) }
        });
    };
    let tasks = Tasks::new(a.rows(), weight);
    match tasks.small || tasks.threads == 1 {
        true => (0..tasks.len()).for_each(|i| compute(tasks.get(i))),
        false => (0..tasks.len()).into_par_iter().with_max_len(1).for_each(|i| compute(tasks.get(i))),
    }
}

/// # Safety
/// As [`run`].
unsafe fn without_inputs(rows: usize, outputs: usize, epilogue: &Epilogue<'_>, out: Out) {
    for i in 0..rows {
        for j in 0..outputs {
            // SAFETY: `(i, j)` is inside the output, which the caller owns.
            unsafe {
                let value = out.values.add(i * out.stride + j);
                let held = if epilogue.accumulate { *value } else { 0.0 };
                let sum = held + epilogue.bias.map_or(0.0, |bias| bias[j]);
                *value = if epilogue.relu && 0.0 > sum { 0.0 } else { sum };
            }
        }
    }
}

/// A product cut into blocks of rows × groups of panels, some for each thread.
struct Tasks {
    tiles: usize,
    tile_rows: usize,
    rows: usize,
    panels: usize,
    row_blocks: usize,
    column_groups: usize,
    threads: usize,
    small: bool,
}

impl Tasks {
    fn new(rows: usize, weight: &Packed) -> Self {
        let (tile_rows, panels) = (weight.kernel.rows(), weight.panels());
        let tiles = rows.div_ceil(tile_rows);
        let row_blocks = rows.div_ceil(TASK_ROWS);
        let threads = rayon::current_num_threads();
        let small = rows.saturating_mul(panels * 32).saturating_mul(weight.steps) < SERIAL;
        // Each group packs the rows of its block anew, so it has 8 panels or more; 16 tasks for a thread keep all of
        // them busy to the end.
        let least = panels.div_ceil(TASK_PANELS);
        let column_groups = match threads {
            1 => least,
            _ => (16 * threads).div_ceil(row_blocks.max(1)).min(panels.div_ceil(8)).max(least),
        };
        Self { tiles, tile_rows, rows, panels, row_blocks, column_groups, threads, small }
    }

    fn len(&self) -> usize {
        if self.panels == 0 { 0 } else { self.row_blocks * self.column_groups }
    }

    fn get(&self, task: usize) -> (Range<usize>, Range<usize>) {
        let (block, group) = (task / self.column_groups, task % self.column_groups);
        let tile = |block: usize| (block * self.tiles / self.row_blocks * self.tile_rows).min(self.rows);
        let panel = |group: usize| group * self.panels / self.column_groups;
        (tile(block)..tile(block + 1), panel(group)..panel(group + 1))
    }
}
