//! The products of a network, for a block of cells.
//!
//! Structs, because closures are not always inlined into the code for the machine's instructions.

use pulp::NullaryFnOnce;

use super::layer::{LANES, Layer};
use crate::classifiers::design::Design;

type Lanes = [f32; LANES];

/// Rows, or inputs, whose sums are held in registers together.
const TILE: usize = 4;

#[inline(always)]
fn lanes(values: &[f32], at: usize) -> &Lanes {
    values[at..at + LANES].first_chunk().expect("LANES values")
}

#[inline(always)]
fn store(out: &mut [f32], sum: &Lanes, relu: bool) {
    for lane in 0..LANES {
        out[lane] = if relu { sum[lane].max(0.0) } else { sum[lane] };
    }
}

/// `out = x · w + intercepts` for dense rows, negative values set to 0 with `relu`.
pub(super) struct Forward<'a> {
    pub(super) layer: &'a Layer,
    /// Rows of `in_width` values, of which the layer reads the first `n_in`.
    pub(super) x: &'a [f32],
    pub(super) in_width: usize,
    pub(super) relu: bool,
    /// Rows of the layer's width.
    pub(super) out: &'a mut [f32],
}

impl NullaryFnOnce for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { layer, x, in_width, relu, out } = self;
        let (width, n_in) = (layer.width(), layer.n_in());
        let n_rows = out.len() / width;
        let row = |r: usize| &x[r * in_width..r * in_width + n_in];
        for (p, panel) in layer.panels().chunks_exact(layer.stride()).enumerate() {
            let mut r = 0;
            while r < n_rows {
                if r + TILE <= n_rows {
                    let sums = forward_tile([row(r), row(r + 1), row(r + 2), row(r + 3)], panel);
                    for (k, sum) in sums.iter().enumerate() {
                        store(&mut out[(r + k) * width + p * LANES..][..LANES], sum, relu);
                    }
                    r += TILE;
                } else {
                    let [sum] = forward_tile([row(r)], panel);
                    store(&mut out[r * width + p * LANES..][..LANES], &sum, relu);
                    r += 1;
                }
            }
        }
    }
}

#[inline(always)]
fn forward_tile<const R: usize>(rows: [&[f32]; R], panel: &[f32]) -> [Lanes; R] {
    let (weights, intercepts) = panel.split_at(panel.len() - LANES);
    let mut sums = [*lanes(intercepts, 0); R];
    for (k, w) in weights.chunks_exact(LANES).enumerate() {
        for r in 0..R {
            let v = rows[r][k];
            for lane in 0..LANES {
                sums[r][lane] = v.mul_add(w[lane], sums[r][lane]);
            }
        }
    }
    sums
}

/// As [`Forward`], for rows that are sparse over a background.
pub(super) struct ForwardSparse<'a> {
    pub(super) layer: &'a Layer,
    pub(super) design: &'a Design,
    /// What the background alone gives: the layer's width.
    pub(super) base: &'a [f32],
    pub(super) rows: &'a [u32],
    pub(super) relu: bool,
    pub(super) out: &'a mut [f32],
}

impl NullaryFnOnce for ForwardSparse<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let n_panels = self.layer.width() / LANES;
        // Panel by panel for all rows: its weights then stay in the cache.
        let mut panel = 0;
        while panel < n_panels {
            for at in 0..self.rows.len() {
                let (js, ds) = self.design.row(self.rows[at] as usize);
                let out = &mut self.out[at * self.layer.width()..][..self.layer.width()];
                match n_panels - panel {
                    1 => sparse_panels::<1>(self.layer, panel, js, ds, self.base, self.relu, out),
                    2 | 3 => sparse_panels::<2>(self.layer, panel, js, ds, self.base, self.relu, out),
                    _ => sparse_panels::<4>(self.layer, panel, js, ds, self.base, self.relu, out),
                }
            }
            panel += match n_panels - panel {
                1 => 1,
                2 | 3 => 2,
                _ => 4,
            };
        }
    }
}

#[inline(always)]
fn sparse_panels<const P: usize>(
    layer: &Layer,
    first: usize,
    js: &[u32],
    ds: &[f32],
    base: &[f32],
    relu: bool,
    out: &mut [f32],
) {
    let stride = layer.stride();
    let mut sums = [[0f32; LANES]; P];
    let panels: [&[f32]; P] = std::array::from_fn(|p| &layer.panels()[(first + p) * stride..][..stride]);
    for (p, sum) in sums.iter_mut().enumerate() {
        *sum = *lanes(base, (first + p) * LANES);
    }
    for (&j, &d) in js.iter().zip(ds) {
        for p in 0..P {
            let w = lanes(panels[p], j as usize * LANES);
            for lane in 0..LANES {
                sums[p][lane] = d.mul_add(w[lane], sums[p][lane]);
            }
        }
    }
    for (p, sum) in sums.iter().enumerate() {
        store(&mut out[(first + p) * LANES..][..LANES], sum, relu);
    }
}

/// `intercepts + background · w`, one panel.
pub(super) struct Base<'a> {
    pub(super) panel: &'a [f32],
    pub(super) background: &'a [f32],
    pub(super) out: &'a mut [f32],
}

impl NullaryFnOnce for Base<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let (weights, intercepts) = self.panel.split_at(self.background.len() * LANES);
        // Four sums, because each waits for its last addition.
        let mut sums = [[0f32; LANES]; TILE];
        for (w, b) in weights.chunks(TILE * LANES).zip(self.background.chunks(TILE)) {
            for (k, &b) in b.iter().enumerate() {
                let w = lanes(w, k * LANES);
                for lane in 0..LANES {
                    sums[k][lane] = b.mul_add(w[lane], sums[k][lane]);
                }
            }
        }
        for lane in 0..LANES {
            let sum = (sums[0][lane] + sums[1][lane]) + (sums[2][lane] + sums[3][lane]);
            self.out[lane] = intercepts[lane] + sum;
        }
    }
}

/// The gradient by the inputs of a layer from that by its outputs; 0 where a rectified input is 0.
pub(super) struct Backward<'a> {
    pub(super) layer: &'a Layer,
    /// Rows of the layer's width.
    pub(super) delta: &'a [f32],
    /// The inputs and the gradient by them: rows of `in_width` values.
    pub(super) x: &'a [f32],
    pub(super) out: &'a mut [f32],
    pub(super) in_width: usize,
    /// Whether the inputs were rectified.
    pub(super) relu: bool,
}

impl NullaryFnOnce for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { layer, delta, x, out, in_width, relu } = self;
        let (width, n_in) = (layer.width(), layer.n_in());
        let rows =
            delta.chunks_exact(width).zip(x.chunks_exact(in_width)).zip(out.chunks_exact_mut(in_width));
        for ((delta, x), out) in rows {
            let mut k = 0;
            while k < n_in {
                if k + TILE <= n_in {
                    let sums = backward_tile::<TILE>(layer, k, delta);
                    out[k..k + TILE].copy_from_slice(&sums);
                    k += TILE;
                } else {
                    let [sum] = backward_tile::<1>(layer, k, delta);
                    out[k] = sum;
                    k += 1;
                }
            }
            if relu {
                for (out, &x) in out.iter_mut().zip(x) {
                    *out = if x > 0.0 { *out } else { 0.0 };
                }
            }
        }
    }
}

#[inline(always)]
fn backward_tile<const K: usize>(layer: &Layer, first: usize, delta: &[f32]) -> [f32; K] {
    let mut sums = [[0f32; LANES]; K];
    for (panel, delta) in layer.panels().chunks_exact(layer.stride()).zip(delta.chunks_exact(LANES)) {
        let w = &panel[first * LANES..(first + K) * LANES];
        for k in 0..K {
            for lane in 0..LANES {
                sums[k][lane] = delta[lane].mul_add(w[k * LANES + lane], sums[k][lane]);
            }
        }
    }
    sums.map(|sum| fold(&sum))
}

/// The sum of the lanes, by halves.
#[inline(always)]
fn fold(sum: &Lanes) -> f32 {
    let mut half = [0f32; LANES / 2];
    for lane in 0..LANES / 2 {
        half[lane] = sum[lane] + sum[lane + LANES / 2];
    }
    let quarter = [half[0] + half[4], half[1] + half[5], half[2] + half[6], half[3] + half[7]];
    (quarter[0] + quarter[2]) + (quarter[1] + quarter[3])
}
