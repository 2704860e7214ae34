//! The factors of attention, laid out as the tiles read them.

use super::tile::ROWS;

/// Keys in a panel: the columns of the widest tile.
pub(super) const PANEL: usize = 64;

/// The columns of one head in rows of all heads.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    /// From the first row's first column of the head on.
    pub(super) data: &'a [f32],
    /// Distance between rows.
    pub(super) stride: usize,
    pub(super) n_rows: usize,
    /// Columns of the head.
    pub(super) size: usize,
}

impl<'a> View<'a> {
    /// Row `i`.
    #[inline(always)]
    pub(super) fn row(self, i: usize) -> &'a [f32] {
        &self.data[i * self.stride..][..self.size]
    }
}

/// Rows in tiles of [`ROWS`], column by column within a tile, times `scale`; the last tile is filled up with 0.
///
/// * `out`: `n_rows` rounded up to [`ROWS`], times the head size.
#[inline(always)]
pub(super) fn tiles(rows: View<'_>, scale: f32, out: &mut [f32]) {
    for (t, tile) in out.chunks_exact_mut(ROWS * rows.size).enumerate() {
        for m in 0..ROWS {
            let i = t * ROWS + m;
            if i < rows.n_rows {
                for (out, x) in tile[m..].iter_mut().step_by(ROWS).zip(rows.row(i)) {
                    *out = x * scale;
                }
            } else {
                tile[m..].iter_mut().step_by(ROWS).for_each(|out| *out = 0.0);
            }
        }
    }
}

/// Rows one after another, times `scale`, each filled up with 0 to `width`.
#[inline(always)]
pub(super) fn rows(rows: View<'_>, scale: f32, width: usize, out: &mut [f32]) {
    for (i, out) in out.chunks_exact_mut(width).enumerate() {
        let (values, rest) = out.split_at_mut(rows.size);
        for (out, x) in values.iter_mut().zip(rows.row(i)) {
            *out = x * scale;
        }
        rest.fill(0.0);
    }
}

/// The transpose, in panels of [`PANEL`] rows: `size × 64` each, the last one `size × (what is left, rounded up to
/// 16)` and filled up with 0.
///
/// * `out`: `n_rows` rounded up to 16, times the head size.
#[inline(always)]
pub(super) fn panels(rows: View<'_>, out: &mut [f32]) {
    /// Rows read side by side: a line of the cache takes as many of their values.
    const SIDE: usize = 16;
    for (p, panel) in out.chunks_mut(PANEL * rows.size).enumerate() {
        let width = panel.len() / rows.size;
        for j in (0..width).step_by(SIDE) {
            let first = p * PANEL + j;
            if first + SIDE <= rows.n_rows {
                let sources: [&[f32]; SIDE] = std::array::from_fn(|i| rows.row(first + i));
                for (c, out) in panel.chunks_exact_mut(width).enumerate() {
                    let out: &mut [f32] = &mut out[j..j + SIDE];
                    for i in 0..SIDE {
                        out[i] = sources[i][c];
                    }
                }
            } else {
                for (c, out) in panel.chunks_exact_mut(width).enumerate() {
                    for (i, out) in out[j..j + SIDE].iter_mut().enumerate() {
                        *out = if first + i < rows.n_rows { rows.row(first + i)[c] } else { 0.0 };
                    }
                }
            }
        }
    }
}
