//! A right operand in the order in which the micro-kernels read it.

use std::ops::Range;

use half::f16;
use half::slice::HalfFloatSliceExt as _;
use rayon::prelude::*;

use super::blocks::BlockFormat;
use super::buffer::Buffer;
use super::error::Error;
use super::kernel::Kernel;
use super::micro::{Format, PANEL, widen};
use super::quantized;
use super::scalar::half;
use super::view::View;

/// A weight, `out × in`, laid out once for the kernel that will multiply with it.
///
/// Panels of 32 outputs; in a panel, the 32 values of one input after those of another, so that a kernel reads memory
/// from front to back. Missing outputs of the last panel are 0. Blocks of whole numbers lie in panels of 16 outputs.
#[derive(Clone)]
pub struct Packed {
    pub(super) kernel: Kernel,
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    /// Steps of the inner dimension; of blocks the words of a panel divided by `PANEL`.
    pub(super) steps: usize,
    /// The panels; the low parts of all of them after the high parts.
    pub(super) words: Buffer,
}

/// Outputs that are packed at a time, of a weight that comes in pieces: some panels, for some threads.
const PIECE: usize = 128;

impl Packed {
    /// Packs `weight`, `out × in`, on the threads of the caller's pool. In blocks, a value that they cannot hold makes the
    /// outputs with it NaN, and one too large for f16 becomes infinite; [`Packed::try_new`] refuses it.
    pub fn new(weight: View<'_>, kernel: Kernel) -> Self {
        let mut packed = Self::empty((weight.rows(), weight.columns()), kernel);
        if packed.kernel.quantized().is_some() {
            // The place of a value that was not held is for `try_new` to tell.
            _ = packed.fill_blocks(0, weight);
            return packed;
        }
        let (high, low, panel) = packed.parts();
        if panel > 0 {
            let low: Vec<&mut [u32]> = match low.is_empty() {
                true => high.chunks_exact(panel).map(|_| [].as_mut_slice()).collect(),
                false => low.chunks_exact_mut(panel).collect(),
            };
            let panels = high.par_chunks_exact_mut(panel).zip(low).enumerate();
            panels.for_each(|(index, (high, low))| fill(kernel, weight, index, high, low));
        }
        packed
    }

    /// As [`Packed::new`], but refuses values that blocks or f16 cannot hold.
    ///
    /// # Errors
    /// [`Error::NotHeld`] for a value that is too large, and in blocks for one that is not finite; kernels of other floating
    /// point numbers take any.
    pub fn try_new(weight: View<'_>, kernel: Kernel) -> Result<Self, Error> {
        let shape = (weight.rows(), weight.columns());
        match kernel.quantized() {
            Some(_) => {
                let mut packed = Self::try_empty(shape, kernel)?;
                packed.fill_blocks(0, weight)?;
                Ok(packed)
            }
            None => {
                kernel.check_range(0, weight)?;
                Ok(Self::new(weight, kernel))
            }
        }
    }

    /// Packs a weight, `out × in`, that is read in pieces, and never is in memory whole.
    ///
    /// * `read`: fills the values of some rows, row after row. It is called for rows from the first to the last, 128 or
    ///   fewer at a time.
    ///
    /// # Errors
    /// What `read` returns; [`Error::NotHeld`] as [`Packed::try_new`], and [`Error::TooLarge`].
    pub fn from_pieces<E: From<Error>>(
        (outputs, inputs): (usize, usize),
        kernel: Kernel,
        mut read: impl FnMut(Range<usize>, &mut [f32]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut packed = Self::try_empty((outputs, inputs), kernel)?;
        let mut values = vec![0.0; PIECE.min(outputs) * inputs];
        for first in (0..outputs).step_by(PIECE) {
            let rows = first..outputs.min(first + PIECE);
            let values = &mut values[..rows.len() * inputs];
            read(rows.clone(), values)?;
            let piece = View::new(values, rows.len(), inputs);
            match packed.kernel.quantized() {
                Some(_) => packed.fill_blocks(first, piece)?,
                None => {
                    kernel.check_range(first, piece)?;
                    packed.fill_panels(first, piece);
                }
            }
        }
        Ok(packed)
    }

    /// Takes blocks as they are stored, rows of whole blocks one after another.
    ///
    /// * `kernel`: multiplies with their [`product_format`](BlockFormat::product_format).
    ///
    /// # Errors
    /// [`Error::Length`] and [`Error::Ragged`] for bytes that are not a weight of this shape, [`Error::Kernel`] for a kernel
    /// of other blocks, [`Error::TooLarge`], [`Error::NotHeld`].
    pub fn from_blocks(
        blocks: &[u8],
        format: BlockFormat,
        (outputs, inputs): (usize, usize),
        kernel: Kernel,
    ) -> Result<Self, Error> {
        let row = format.row_bytes(inputs)?;
        let expected = row.checked_mul(outputs).ok_or(Error::TooLarge { outputs, inputs })?;
        if blocks.len() != expected {
            let (format, found) = (format.name(), blocks.len());
            return Err(Error::Length { format, outputs, inputs, found, expected });
        }
        Self::from_block_pieces(format, (outputs, inputs), kernel, |rows, bytes| {
            bytes.copy_from_slice(&blocks[rows.start * row..rows.end * row]);
            Ok(())
        })
    }

    /// As [`Packed::from_blocks`], of blocks that are read in pieces.
    ///
    /// * `read`: fills the bytes of some rows. It is called for rows from the first to the last, 128 or fewer at a time.
    ///
    /// # Errors
    /// As [`Packed::from_blocks`], and what `read` returns.
    pub fn from_block_pieces<E: From<Error>>(
        format: BlockFormat,
        (outputs, inputs): (usize, usize),
        kernel: Kernel,
        mut read: impl FnMut(Range<usize>, &mut [u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let row = format.row_bytes(inputs)?;
        let multiplies = kernel.quantized().map(|kernel| (kernel.weight, kernel.format()));
        // Before memory is taken for the bytes of a piece.
        let mut packed = Self::try_empty((outputs, inputs), kernel)?;
        let mut bytes = vec![0; PIECE.min(outputs) * row];
        let weight = match multiplies {
            Some((weight, own)) if own == format.product_format() => weight,
            _ => return Err(Error::Kernel { format: format.name(), kernel: kernel.name() }.into()),
        };
        if format.product_blocks(&[]).is_none() {
            drop(packed);
            return Self::from_pieces((outputs, inputs), kernel, |rows, values| {
                let bytes = &mut bytes[..rows.len() * row];
                read(rows, bytes)?;
                if row > 0 {
                    let rows = bytes.par_chunks(row).zip(values.par_chunks_mut(inputs));
                    rows.for_each(|(bytes, values)| format.dequantize(bytes, values));
                }
                Ok(())
            });
        }
        for first in (0..outputs).step_by(PIECE) {
            let n_rows = PIECE.min(outputs - first);
            let bytes = &mut bytes[..n_rows * row];
            read(first..first + n_rows, bytes)?;
            if row == 0 {
                continue;
            }
            let bytes = format.product_blocks(bytes).expect("the format of products holds these values");
            let panels = packed.quantized_panels().into_par_iter().skip(first / quantized::PANEL);
            let rows = bytes.par_chunks(bytes.len() / n_rows * quantized::PANEL);
            panels.zip(rows).for_each(|(panel, rows)| quantized::from_blocks(weight, rows, inputs, panel));
        }
        Ok(packed)
    }

    /// Packs another weight into the same memory, on this thread alone. Blocks are packed anew.
    pub fn repack(&mut self, weight: View<'_>) {
        if self.kernel.quantized().is_some() {
            *self = Self::new(weight, self.kernel);
            return;
        }
        self.set_shape((weight.rows(), weight.columns()));
        let kernel = self.kernel;
        let (high, mut low, panel) = self.parts();
        if panel > 0 {
            for (index, high) in high.chunks_exact_mut(panel).enumerate() {
                let (first, rest) = low.split_at_mut(panel.min(low.len()));
                fill(kernel, weight, index, high, first);
                low = rest;
            }
        }
    }

    /// The kernel that it is packed for.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Number of outputs: rows of the weight, columns of the product.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Number of inputs: columns of the weight, and of what it is multiplied with.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The values of some rows of the weight, row after row, as the kernel sees them: rounded, where it rounds.
    ///
    /// # Panics
    /// If there are no such rows, or `values` is not as long as they are.
    pub fn unpack(&self, rows: Range<usize>, values: &mut [f32]) {
        assert!(rows.start <= rows.end && rows.end <= self.outputs, "the weight has these rows");
        assert_eq!(values.len(), rows.len() * self.inputs, "every value has a place");
        if values.is_empty() {
            return;
        }
        let Some(kernel) = self.kernel.quantized() else {
            let rows = rows.zip(values.chunks_exact_mut(self.inputs));
            return rows.for_each(|(row, values)| self.unpack_row(row, values));
        };
        let mut rest = values;
        let mut first = rows.start;
        while first < rows.end {
            let (panel, lane) = (first / quantized::PANEL, first % quantized::PANEL);
            let n = (quantized::PANEL - lane).min(rows.end - first);
            let (values, after) = rest.split_at_mut(n * self.inputs);
            quantized::to_rows(
                kernel.weight,
                self.quantized_panel(panel),
                self.inputs,
                lane..lane + n,
                values,
            );
            (rest, first) = (after, first + n);
        }
    }

    /// A row of floating point numbers.
    fn unpack_row(&self, row: usize, values: &mut [f32]) {
        let (panel, lane) = (row / PANEL, row % PANEL);
        let [high, low] = self.panel(panel, 0);
        let value = |words: &[u32], at: usize| match self.kernel.format() {
            Format::F32 => f32::from_bits(words[at * PANEL + lane]),
            Format::F16 => half(&words[at * (PANEL / 2)..], lane),
            _ => widen(words[at / 2 * PANEL + lane] >> (16 * (at % 2)) & 0xffff),
        };
        for (at, into) in values.iter_mut().enumerate() {
            *into = value(high, at) + if low.is_empty() { 0.0 } else { value(low, at) };
        }
    }

    pub(super) fn panels(&self) -> usize {
        self.outputs.div_ceil(PANEL)
    }

    /// The words of a panel from a step on: the high parts, and the low ones, or nothing.
    pub(super) fn panel(&self, panel: usize, step: usize) -> [&[u32]; 2] {
        let (words, before) = (self.panel_words(), step * self.kernel.format().step_words());
        let part = |first: usize| &self.words[first + panel * words..][before..words];
        match self.kernel.format().parts() {
            1 => [part(0), &[]],
            _ => [part(0), part(self.panels() * words)],
        }
    }

    /// Words of a panel, the low parts aside.
    pub(super) fn panel_words(&self) -> usize {
        match self.kernel.quantized() {
            Some(_) => self.steps * PANEL,
            None => self.steps * self.kernel.format().step_words(),
        }
    }

    /// The words of a panel of blocks.
    pub(super) fn quantized_panel(&self, panel: usize) -> &[u32] {
        let words = self.steps * PANEL;
        &self.words[panel * words..][..words]
    }

    /// All panels of blocks.
    fn quantized_panels(&mut self) -> Vec<&mut [u32]> {
        let (words, panels) = (self.steps * PANEL, self.outputs.div_ceil(quantized::PANEL));
        self.words[..panels * words].chunks_exact_mut(words.max(1)).collect()
    }

    /// Packs some rows, from the first of a panel on, in blocks. The rest is packed even where a value is not held.
    fn fill_blocks(&mut self, first: usize, weight: View<'_>) -> Result<(), Error> {
        let (kernel, inputs) =
            (self.kernel.quantized().expect("the kernel multiplies with blocks"), self.inputs);
        let panels = self.quantized_panels().into_iter().skip(first / quantized::PANEL).enumerate();
        let fill = |(index, panel): (usize, &mut [u32])| {
            let rows = index * quantized::PANEL..weight.rows().min((index + 1) * quantized::PANEL);
            let mut copy = Vec::new();
            let values = weight.rows_or_copy(rows.clone(), &mut copy);
            let arch = pulp::Arch::new();
            let packed = arch.dispatch(|| quantized::from_rows(kernel.weight, values, inputs, panel));
            packed.map_err(|(row, input)| (rows.start + row, input, values[row * inputs + input]))
        };
        let panels: Vec<_> = panels.take(weight.rows().div_ceil(quantized::PANEL)).collect();
        let refused: Vec<_> = panels.into_par_iter().map(fill).filter_map(Result::err).collect();
        match refused.first() {
            None => Ok(()),
            Some(&(row, input, value)) => {
                let format = kernel.format().name();
                Err(Error::NotHeld { output: first + row, input, value, format })
            }
        }
    }

    /// Packs some rows, from the first of a panel on, as floating point numbers.
    fn fill_panels(&mut self, first: usize, weight: View<'_>) {
        let kernel = self.kernel;
        let (high, low, panel) = self.parts();
        if panel == 0 {
            return;
        }
        let place = first / PANEL * panel..(first + weight.rows()).div_ceil(PANEL) * panel;
        let high = &mut high[place.clone()];
        let low: Vec<&mut [u32]> = match low.get_mut(place) {
            None => high.chunks_exact(panel).map(|_| [].as_mut_slice()).collect(),
            Some(low) => low.chunks_exact_mut(panel).collect(),
        };
        let panels = high.par_chunks_exact_mut(panel).zip(low).enumerate();
        panels.for_each(|(index, (high, low))| fill(kernel, weight, index, high, low));
    }

    /// Zeros of a shape.
    fn empty(shape: (usize, usize), kernel: Kernel) -> Self {
        let kernel = kernel.for_inputs(shape.1);
        let mut packed = Self { kernel, outputs: 0, inputs: 0, steps: 0, words: Buffer::default() };
        packed.set_shape(shape);
        packed
    }

    /// Zeros of a shape that may come from a file.
    fn try_empty((outputs, inputs): (usize, usize), kernel: Kernel) -> Result<Self, Error> {
        // No format takes more than 8 bytes a value, of rows and columns that fill panels and blocks.
        let rows = outputs.checked_next_multiple_of(PANEL);
        let bytes = rows.zip(inputs.checked_next_multiple_of(256)).and_then(|(rows, inputs)| {
            rows.checked_mul(inputs)?.checked_mul(8).filter(|&bytes| isize::try_from(bytes).is_ok())
        });
        match bytes {
            Some(_) => Ok(Self::empty((outputs, inputs), kernel)),
            None => Err(Error::TooLarge { outputs, inputs }),
        }
    }

    fn set_shape(&mut self, (outputs, inputs): (usize, usize)) {
        (self.outputs, self.inputs) = (outputs, inputs);
        if let Some(kernel) = self.kernel.quantized() {
            // The words of a panel, in the unit of the others.
            self.steps = quantized::panel_words(kernel.weight, inputs).div_ceil(PANEL);
            self.words.at_least(outputs.div_ceil(quantized::PANEL) * self.steps * PANEL);
            return;
        }
        let format = self.kernel.format();
        self.steps = format.words(self.inputs);
        self.words.at_least(format.parts() * self.panels() * self.panel_words());
    }

    /// All high parts, all low parts, and the words of a panel.
    fn parts(&mut self) -> (&mut [u32], &mut [u32], usize) {
        let panel = self.panel_words();
        let (all, parts) = (self.panels() * panel, self.kernel.format().parts());
        let (high, low) = self.words[..parts * all].split_at_mut(all);
        (high, low, panel)
    }
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kernel, outputs, inputs, .. } = self;
        write!(f, "Packed({outputs} x {inputs}, {})", kernel.name())
    }
}

/// Steps that are packed at a time: a few, so that they stay in the nearest cache while the rows are read in turn.
const STEPS: usize = 16;

/// The words of some steps, high parts and low ones.
type Steps = [[[u32; PANEL]; STEPS]; 2];

/// Packs one panel of `weight`.
fn fill(kernel: Kernel, weight: View<'_>, panel: usize, high: &mut [u32], low: &mut [u32]) {
    let format = kernel.format();
    let rows = panel * PANEL..weight.rows().min((panel + 1) * PANEL);
    let steps = weight.columns().div_ceil(format.per_word());
    for start in (0..steps).step_by(STEPS) {
        let (block, inputs) = (start..steps.min(start + STEPS), weight.columns());
        let values = start * format.per_word()..inputs.min(block.end * format.per_word());
        let mut words: Steps = [[[0; PANEL]; STEPS]; 2];
        if weight.in_row(rows.start, values.clone()).is_some() {
            from_rows(format, weight, rows.clone(), values, &mut words);
        } else {
            from_columns(format, weight, rows.clone(), values, &mut words);
        }
        if format == Format::F16 {
            let steps = high.chunks_exact_mut(format.step_words()).skip(block.start);
            steps.zip(&words[0]).take(block.len()).for_each(|(into, step)| to_half(step, into));
            continue;
        }
        let places = block.start * PANEL..block.end * PANEL;
        high[places.clone()].copy_from_slice(&words[0].as_flattened()[..places.len()]);
        if let Some(low) = low.get_mut(places.clone()) {
            low.copy_from_slice(&words[1].as_flattened()[..places.len()]);
        }
    }
    high[steps * format.step_words()..].fill(0);
    if let Some(low) = low.get_mut(steps * PANEL..) {
        low.fill(0);
    }
}

/// Rounds the values of a step, which stand as f32, to f16.
fn to_half(step: &[u32; PANEL], into: &mut [u32]) {
    let mut rounded = [f16::ZERO; PANEL];
    rounded.convert_from_f32_slice(&step.map(f32::from_bits));
    for (word, pair) in into.iter_mut().zip(rounded.chunks_exact(2)) {
        *word = u32::from(pair[0].to_bits()) | u32::from(pair[1].to_bits()) << 16;
    }
}

/// Values that lie side by side in a row: each row is converted, and its words dealt out to the steps.
fn from_rows(format: Format, weight: View<'_>, rows: Range<usize>, values: Range<usize>, words: &mut Steps) {
    let [high, low] = words;
    for (j, row) in rows.enumerate() {
        let values = weight.in_row(row, values.clone()).expect("one row lies as the others do");
        let mut row = [[0; STEPS]; 2];
        let [row_high, row_low] = &mut row;
        format.convert(values, row_high, row_low);
        for (step, word) in high.iter_mut().zip(row_high) {
            step[j] = *word;
        }
        if format.parts() == 2 {
            for (step, word) in low.iter_mut().zip(row_low) {
                step[j] = *word;
            }
        }
    }
}

/// Values that lie side by side in a column (or nowhere): each step is read for all rows.
fn from_columns(
    format: Format,
    weight: View<'_>,
    rows: Range<usize>,
    values: Range<usize>,
    words: &mut Steps,
) {
    let [high, low] = words;
    let (per_word, n) = (format.per_word(), rows.len());
    let (mut first, mut second) = ([0f32; PANEL], [0f32; PANEL]);
    for ((high, low), k) in high.iter_mut().zip(low).zip(values.clone().step_by(per_word)) {
        weight.copy_column(rows.start, k, &mut first[..n]);
        match per_word == 2 && k + 1 < values.end {
            true => weight.copy_column(rows.start, k + 1, &mut second[..n]),
            false => second.fill(0.0),
        }
        for (((high, low), a), b) in high.iter_mut().zip(low).zip(first).zip(second) {
            [*high, *low] = format.word(a, b);
        }
    }
}
