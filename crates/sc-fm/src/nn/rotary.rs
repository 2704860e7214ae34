//! Rotary position embedding (Su et al. 2021), <https://arxiv.org/abs/2104.09864>.

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp1, D, DType, Device, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::cpu;

/// How fast each pair of columns of a head turns.
///
/// Column `i` is paired with column `i + dims / 2`, as GPT-NeoX, Phi and Qwen do it; columns from `dims` on do not turn.
#[derive(Clone, Debug)]
pub struct Rotary {
    frequencies: Vec<f32>,
}

impl Rotary {
    /// Pair `i` turns by `theta^(−2i / dims)` from one position to the next.
    ///
    /// * `dims`: columns of a head that turn; even.
    ///
    /// # Errors
    /// An odd or absent `dims`, a `theta` that is no positive number.
    pub fn new(dims: usize, theta: f64) -> Result<Self> {
        if dims == 0 || dims % 2 == 1 || !(theta.is_finite() && theta > 0.0) {
            bail!(
                "rotary: {dims} columns turn with base {theta}, expected an even number and a base above 0"
            );
        }
        let frequency = |i: usize| libm::pow(theta, -2.0 * i as f64 / dims as f64) as f32;
        Ok(Self { frequencies: (0..dims / 2).map(frequency).collect() })
    }

    /// The angles of rows at these positions, for all heads and layers.
    ///
    /// Angles are products in f32, their cosines those of the angles in f64: bits do not depend on the system, nor on the
    /// type that the model computes in.
    pub fn turns(&self, positions: &[u32]) -> Turns {
        let pairs = self.frequencies.len();
        let mut turns = vec![[0.0; 2]; positions.len() * pairs];
        turns.par_chunks_mut(pairs).zip(positions).with_min_len(16).for_each(|(turns, &position)| {
            for (turn, frequency) in turns.iter_mut().zip(&self.frequencies) {
                let angle = f64::from(position as f32 * frequency);
                *turn = [libm::cos(angle) as f32, libm::sin(angle) as f32];
            }
        });
        Turns { turns: turns.into(), pairs, n_rows: positions.len(), elsewhere: Arc::default() }
    }
}

/// Cosines and sines of rows.
#[derive(Clone, Debug)]
pub struct Turns {
    turns: Arc<[[f32; 2]]>,
    pairs: usize,
    n_rows: usize,
    /// Cosines and sines as tensors, for other devices: put there once for all layers.
    elsewhere: Arc<OnceLock<[Tensor; 2]>>,
}

impl Turns {
    /// The rows with every head turned; differentiable.
    ///
    /// * `x`: `rows × width`, heads of `size` columns one after another.
    ///
    /// # Errors
    /// Shapes that do not fit, and what the tensor library reports.
    pub fn apply(&self, x: &Tensor, size: usize) -> Result<Tensor> {
        let (rows, width) = x.dims2()?;
        if rows != self.n_rows || size < 2 * self.pairs || size == 0 || width % size != 0 {
            bail!(
                "rotary: {rows} x {width} values in heads of {size}, but the angles of {} rows for {} columns",
                self.n_rows,
                2 * self.pairs
            );
        }
        if !cpu::is_fused(&[x]) {
            return self.composed(x, size);
        }
        x.contiguous()?.apply_op1(Turn { turns: self.clone(), size, back: false })
    }

    /// The same in the operations of the tensor library: for other devices and types.
    fn composed(&self, x: &Tensor, size: usize) -> Result<Tensor> {
        let (rows, width) = x.dims2()?;
        let heads = x.reshape((rows, width / size, size))?;
        let [cos, sin] = self.tensors(x.device())?;
        let (cos, sin) = (cos.to_dtype(x.dtype())?, sin.to_dtype(x.dtype())?);
        let (a, b) =
            (heads.narrow(D::Minus1, 0, self.pairs)?, heads.narrow(D::Minus1, self.pairs, self.pairs)?);
        let mut parts = vec![
            (a.broadcast_mul(&cos)? - b.broadcast_mul(&sin)?)?,
            (b.broadcast_mul(&cos)? + a.broadcast_mul(&sin)?)?,
        ];
        if size > 2 * self.pairs {
            parts.push(heads.narrow(D::Minus1, 2 * self.pairs, size - 2 * self.pairs)?);
        }
        Tensor::cat(&parts, D::Minus1)?.reshape((rows, width))
    }

    /// Cosines and sines, `rows × 1 × pairs` each.
    fn tensors(&self, device: &Device) -> Result<[Tensor; 2]> {
        if let Some(tensors) = self.elsewhere.get().filter(|[cos, _]| cos.device().same_device(device)) {
            return Ok(tensors.clone());
        }
        let part = |i: usize| {
            let values: Vec<f32> = self.turns.iter().map(|turn| turn[i]).collect();
            Tensor::from_vec(values, (self.n_rows, 1, self.pairs), device)
        };
        let tensors = [part(0)?, part(1)?];
        _ = self.elsewhere.set(tensors.clone());
        Ok(tensors)
    }
}

struct Turn {
    turns: Turns,
    size: usize,
    /// Whether the angles are negative, as for the gradient.
    back: bool,
}

impl CustomOp1 for Turn {
    fn name(&self) -> &'static str {
        "rotary"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, width) = layout.shape().dims2()?;
        let mut out = cpu::values(x, layout)?.to_vec();
        let Turns { turns, pairs, .. } = &self.turns;
        if width > 0 {
            let rows = out.par_chunks_mut(width).zip(turns.par_chunks(*pairs)).with_min_len(16);
            rows.for_each(|(row, turns)| {
                for head in row.chunks_exact_mut(self.size) {
                    let (first, second) = head[..2 * pairs].split_at_mut(*pairs);
                    for ((a, b), &[cos, sin]) in first.iter_mut().zip(second).zip(turns) {
                        let sin = if self.back { -sin } else { sin };
                        (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
                    }
                }
            });
        }
        Ok(cpu::result(out, layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let gradient = gradient.contiguous()?.to_dtype(DType::F32)?;
        let back = Turn { turns: self.turns.clone(), size: self.size, back: !self.back };
        Ok(Some(gradient.apply_op1_no_bwd(&back)?))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::compute::Compute;
    use crate::nn::testing::{largest_difference, numbers};

    fn values(x: &Tensor) -> Vec<f32> {
        x.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn pairs_turn_by_their_angles_and_the_rest_stays() {
        let turns = Rotary::new(4, 100.0).unwrap().turns(&[0, 3]);
        let x = Tensor::from_vec(numbers(1, 2 * 12), (2, 12), &Device::Cpu).unwrap();
        let (x, y) = (values(&x), values(&turns.apply(&x, 6).unwrap()));
        assert_eq!(x[..12], y[..12], "position 0 does not turn");
        for head in [12, 18] {
            for (pair, angle) in [(0, 3.0_f64), (1, 0.3)] {
                let (a, b) = (f64::from(x[head + pair]), f64::from(x[head + pair + 2]));
                assert!((f64::from(y[head + pair]) - (a * angle.cos() - b * angle.sin())).abs() < 1e-6);
                assert!((f64::from(y[head + pair + 2]) - (b * angle.cos() + a * angle.sin())).abs() < 1e-6);
            }
            assert_eq!(x[head + 4..head + 6], y[head + 4..head + 6]);
        }
    }

    #[test]
    fn scores_depend_on_the_distance_of_positions_alone() {
        let rotary = Rotary::new(8, 10_000.0).unwrap();
        let (q, k) = (numbers(1, 8), numbers(2, 8));
        let turned = |x: &[f32], position| {
            let x = Tensor::from_slice(x, (1, 8), &Device::Cpu).unwrap();
            values(&rotary.turns(&[position]).apply(&x, 8).unwrap())
        };
        let score = |m, n| -> f32 { turned(&q, m).iter().zip(turned(&k, n)).map(|(a, b)| a * b).sum() };
        assert!((score(7, 2) - score(1005, 1000)).abs() < 1e-4);
        assert!((score(7, 2) - score(7, 3)).abs() > 1e-3);
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let turns = Rotary::new(4, 50.0).unwrap().turns(&[5, 2]);
        let (x, w) = (numbers(3, 2 * 10), Tensor::from_vec(numbers(4, 20), (2, 10), &Device::Cpu).unwrap());
        let tensor = |x: &[f32]| Tensor::from_slice(x, (2, 10), &Device::Cpu).unwrap();
        let value = |x: &Tensor| (turns.apply(x, 5).unwrap() * &w).unwrap().sum_all().unwrap();
        let var = Var::from_tensor(&tensor(&x)).unwrap();
        let found = values(value(&var).backward().unwrap().get(&var).unwrap());
        let expected: Vec<f32> = (0..x.len())
            .map(|i| {
                let moved = |step: f32| {
                    let mut x = x.clone();
                    x[i] += step;
                    value(&tensor(&x)).to_scalar::<f32>().unwrap()
                };
                (moved(0.5) - moved(-0.5)) / 1.0
            })
            .collect();
        let (difference, at) = largest_difference(&found, &expected);
        assert!(difference < 1e-5, "{difference} at {at}");
    }

    #[test]
    fn tensors_of_other_devices_and_types_turn_alike() {
        // Heads that turn whole, and heads of which a part stays.
        for size in [4, 7] {
            let turns = Rotary::new(4, 100.0).unwrap().turns(&[0, 3, 700]);
            let x = Tensor::from_vec(numbers(1, 3 * 2 * size), (3, 2 * size), &Device::Cpu).unwrap();
            let expected = values(&turns.apply(&x, size).unwrap());
            let doubles = turns.apply(&x.to_dtype(DType::F64).unwrap(), size).unwrap();
            let _scope = Compute::Portable.enter();
            for found in [turns.apply(&x, size).unwrap(), doubles.to_dtype(DType::F32).unwrap()] {
                let (difference, at) = largest_difference(&values(&found), &expected);
                assert!(difference < 1e-6, "{size}: {difference} at {at}");
            }
        }
    }

    #[test]
    fn what_cannot_turn_is_refused() {
        assert!(
            Rotary::new(3, 10.0).is_err() && Rotary::new(0, 10.0).is_err() && Rotary::new(4, 0.0).is_err()
        );
        let turns = Rotary::new(4, 10.0).unwrap().turns(&[1]);
        let x = Tensor::zeros((1, 6), DType::F32, &Device::Cpu).unwrap();
        let message = turns.apply(&x, 4).unwrap_err().to_string();
        assert!(message.contains("1 x 6 values in heads of 4"), "{message}");
    }
}
