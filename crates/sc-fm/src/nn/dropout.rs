//! Dropout (Srivastava et al. 2014), <https://jmlr.org/papers/v15/srivastava14a.html>, whose draws belong to cells.
//!
//! What is dropped of a cell follows from the seed of the run, the number of the step, the cell's own number, the site in
//! the model and the place in the cell, by a stream of ChaCha8. So it is the same in any batch, at any place of it, on
//! any number of threads; and the backward pass draws again what the forward pass drew, instead of keeping it.

mod chacha;
pub(super) mod elementwise;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};
use pulp::{Arch, Simd, WithSimd};

use super::simd::LANES;
use super::{Packing, cpu};
use chacha::{GROUP, Words, words};

/// The randomness of one step of training.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainingStep {
    seed: u64,
    step: u64,
    cells: Arc<[u64]>,
}

impl TrainingStep {
    /// * `seed`: of the run; `step`: its number in the run; `cells`: for each packed cell a number of its own, its row in
    ///   the data set for instance. Cells of the same number drop the same.
    pub fn new(seed: u64, step: u64, cells: impl Into<Arc<[u64]>>) -> Self {
        Self { seed, step, cells: cells.into() }
    }

    /// Dropout at one site of the model.
    ///
    /// * `site`: a number that no other site has; `rate`: the share that is dropped, at least 0 and below 1. It is rounded
    ///   to 1/65,536, and what stays is multiplied by `1 / (1 − rate)` of the rounded rate.
    pub fn dropout(&self, site: u32, rate: f64) -> Dropout {
        Dropout { step: self.clone(), site, rate }
    }
}

/// A place in a model where something is dropped.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// The step of training.
    pub step: &'a TrainingStep,
    /// Which rows are which cell's.
    pub packing: &'a Packing,
    /// The number of the site.
    pub number: u32,
}

impl Site<'_> {
    /// The dropout of the share `rate` here.
    pub fn dropout(&self, rate: f64) -> Dropout {
        self.step.dropout(self.number, rate)
    }
}

/// Values become 0 with some probability; what stays grows, so that the expectation does not change.
#[derive(Clone, Debug)]
pub struct Dropout {
    step: TrainingStep,
    site: u32,
    rate: f64,
}

/// Smallest words (of 16 bits, in the upper half) that stay, and what values that stay are multiplied by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    pub(super) from: u32,
    pub(super) scale: f32,
}

impl Dropout {
    /// For `x`: `rows × width`, rows packed by `packing`; differentiable. The same tensor where nothing is dropped.
    ///
    /// # Errors
    /// A rate outside 0 to 1, another number of cells or rows than expected, and what the tensor library reports.
    pub fn forward(&self, x: &Tensor, packing: &Packing) -> Result<Tensor> {
        let (rows, width) = x.dims2()?;
        if rows != packing.n_rows() {
            bail!("dropout: {rows} rows, but the cells have {}", packing.n_rows());
        }
        let Some(keep) = self.keep(packing)? else { return Ok(x.clone()) };
        if cpu::is_fused(&[x]) {
            let op = elementwise::Elementwise::new(self.clone(), packing.clone(), keep, Arch::new());
            return x.contiguous()?.apply_op1(op);
        }
        let mut factors = vec![1.0; rows * width];
        elementwise::apply(self, packing, keep, Arch::new(), &mut factors);
        x * Tensor::from_vec(factors, (rows, width), x.device())?.to_dtype(x.dtype())?
    }

    /// What stays; nothing where nothing is dropped.
    pub(super) fn keep(&self, packing: &Packing) -> Result<Option<Keep>> {
        if !(0.0..1.0).contains(&self.rate) {
            bail!("dropout: the rate is {}, expected at least 0 and below 1", self.rate);
        }
        if self.step.cells.len() != packing.n_cells() {
            bail!(
                "dropout: numbers of {} cells, but the batch has {}",
                self.step.cells.len(),
                packing.n_cells()
            );
        }
        let dropped = ((self.rate * 65_536.0).round() as u32).min(65_535);
        let scale = (65_536.0 / f64::from(65_536 - dropped)) as f32;
        Ok((dropped > 0).then_some(Keep { from: dropped << 16, scale }))
    }

    /// The draws of a cell at this site; `part` tells apart what has draws of its own, the heads of an attention.
    pub(super) fn draws(&self, cell: usize, part: usize) -> Draws {
        let TrainingStep { seed, step, cells } = &self.step;
        let half = |x: u64| [x as u32, (x >> 32) as u32];
        let ([a, b], [c, d]) = (half(*seed), half(*step));
        // The last two words keep these streams apart from others under the same seed.
        let key =
            [a, b, c, d, self.site, part as u32, u32::from_le_bytes(*b"drop"), u32::from_le_bytes(*b"outs")];
        Draws { key, cell: cells[cell] }
    }
}

/// The stream of a cell at a site: 16 bits for each value. Values are numbered in chunks of [`LANES`]; two chunks share
/// the halves of 16 words.
#[derive(Clone, Copy)]
pub(super) struct Draws {
    key: [u32; 8],
    cell: u64,
}

/// Chunks of values for which one group of words is enough.
pub(super) const CHUNKS: usize = 2 * GROUP / LANES;

impl Draws {
    /// Words for the chunks `CHUNKS · group..`, as many as `out` has room for; it has room for whole groups.
    #[inline(always)]
    pub(super) fn fill<S: Simd>(self, simd: S, group: u64, out: &mut [u32]) {
        for (group, out) in (group..).zip(out.as_chunks_mut::<GROUP>().0) {
            words(simd, Words { key: self.key, stream: self.cell, first: group * LANES as u64 }, out);
        }
    }
}

/// `scale · x` where the chunk's words stay, else 0, for a whole chunk.
///
/// * `words`: from [`Draws::fill`]; `chunk`: counted from the first of them.
#[inline(always)]
pub(super) fn drop_chunk<S: Simd>(simd: S, keep: Keep, words: &[u32], chunk: usize, x: &mut [f32]) {
    let words = &words[chunk / 2 * LANES..][..LANES];
    let (words, values) = (S::as_simd_u32s(words).0, S::as_mut_simd_f32s(&mut x[..LANES]).0);
    let (from, up) =
        (simd.splat_u32s(keep.from), simd.splat_u32s(if chunk.is_multiple_of(2) { 16 } else { 0 }));
    let (zero, scale) = (simd.splat_f32s(0.0), simd.splat_f32s(keep.scale));
    for (x, &word) in values.iter_mut().zip(words) {
        let dropped = simd.less_than_u32s(simd.wrapping_dyn_shl_u32s(word, up), from);
        *x = simd.select_f32s(dropped, zero, simd.mul_f32s(*x, scale));
    }
}

/// Drops among values that begin with a chunk.
pub(super) struct Drop<'a> {
    pub(super) draws: Draws,
    pub(super) keep: Keep,
    /// The group of the first value.
    pub(super) group: u64,
    pub(super) values: &'a mut [f32],
}

impl WithSimd for Drop<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { draws, keep, group, values } = self;
        let mut words = [0; GROUP];
        for (group, values) in (group..).zip(values.chunks_mut(CHUNKS * LANES)) {
            draws.fill(simd, group, &mut words);
            let (whole, rest) = values.as_chunks_mut::<LANES>();
            let n = whole.len();
            for (chunk, x) in whole.iter_mut().enumerate() {
                drop_chunk(simd, keep, &words, chunk, x);
            }
            if !rest.is_empty() {
                let mut last = [0.0; LANES];
                last[..rest.len()].copy_from_slice(rest);
                drop_chunk(simd, keep, &words, n, &mut last);
                rest.copy_from_slice(&last[..rest.len()]);
            }
        }
    }
}
