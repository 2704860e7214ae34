//! The bias of attention by distance.

use candle_core::{Result, Tensor};
use sc_fm::nn::Relative;

/// How distances are put into groups: each near one alone, far ones in groups that grow with the distance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buckets {
    pub(super) n: usize,
    pub(super) max_distance: usize,
    /// Whether all groups are for keys behind the query; else half of them are for those ahead.
    pub(super) is_causal: bool,
}

impl Buckets {
    /// The group of a distance, key minus query.
    pub(super) fn of(self, distance: i64) -> usize {
        let (n, offset, far) = match self.is_causal {
            true => (self.n, 0, (-distance).max(0) as usize),
            false => {
                let half = self.n / 2;
                (half, if distance > 0 { half } else { 0 }, distance.unsigned_abs() as usize)
            }
        };
        let exact = n / 2;
        let group = match far < exact {
            true => far,
            false => {
                // In f32 and cut off, as in training: a group more or less at its edge would be another bias.
                let share = libm::logf(far as f32 / exact as f32)
                    / libm::log(self.max_distance as f64 / exact as f64) as f32;
                (exact + (share * (n - exact) as f32) as usize).min(n - 1)
            }
        };
        offset + group
    }
}

/// The biases of a stack.
#[derive(Clone, Debug)]
pub(super) struct Bias {
    /// `groups × heads`.
    table: Tensor,
    buckets: Buckets,
    /// For each head the biases of the distances from `−max_distance` on.
    by_distance: Vec<f32>,
}

impl Bias {
    pub(super) fn new(table: Tensor, buckets: Buckets) -> Result<Self> {
        let (_, n_heads) = table.dims2()?;
        let most = buckets.max_distance as i64;
        let last = if buckets.is_causal { 0 } else { most };
        let values = table.to_vec2::<f32>()?;
        let by_distance = (0..n_heads)
            .flat_map(|head| (-most..=last).map(move |distance| (head, distance)))
            .map(|(head, distance)| values[buckets.of(distance)][head])
            .collect();
        Ok(Self { table, buckets, by_distance })
    }

    /// As fused attention takes it.
    pub(super) fn relative(&self) -> Relative<'_> {
        Relative { table: &self.by_distance, behind: self.buckets.max_distance }
    }

    /// The biases of `n` tokens with one another, `heads × n × n`; differentiable.
    pub(super) fn matrix(&self, n: usize) -> Result<Tensor> {
        let (_, n_heads) = self.table.dims2()?;
        let pairs = (0..n as i64).flat_map(|query| (0..n as i64).map(move |key| key - query));
        let groups: Vec<u32> = pairs.map(|distance| self.buckets.of(distance) as u32).collect();
        let groups = Tensor::from_vec(groups, n * n, self.table.device())?;
        self.table.index_select(&groups, 0)?.reshape((n, n, n_heads))?.permute((2, 0, 1))?.contiguous()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_distances_stand_alone_and_far_ones_together() {
        let encoder = Buckets { n: 32, max_distance: 128, is_causal: false };
        let found: Vec<usize> =
            [0, -1, -7, -8, -11, -12, -16, -127, -128, -5000, 1, 7, 8, 128].map(|d| encoder.of(d)).into();
        assert_eq!(found, [0, 1, 7, 8, 8, 9, 10, 15, 15, 15, 17, 23, 24, 31]);
        let decoder = Buckets { is_causal: true, ..encoder };
        let found: Vec<usize> =
            [3, 0, -1, -15, -16, -18, -19, -32, -127, -128, -900].map(|d| decoder.of(d)).into();
        assert_eq!(found, [0, 0, 1, 15, 16, 16, 17, 21, 31, 31, 31]);
    }
}
