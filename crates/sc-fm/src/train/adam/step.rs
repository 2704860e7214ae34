//! One pass over a variable, its gradient and its moments.

use std::cell::RefCell;

use candle_core::{CpuStorage, InplaceOp1, Layout, Result};
use pulp::Arch;
use rayon::prelude::*;

use super::{AdamParams, Moments};

/// What is the same for all values of a variable, rounded to f32 where PyTorch rounds.
#[derive(Clone, Copy)]
pub(super) struct Factors {
    /// `1 − learning rate · decay`, if the decay is decoupled.
    shrink: Option<f32>,
    /// The decay that is part of the gradient.
    coupled: Option<f32>,
    /// `1 − β₁`.
    new_first: f32,
    beta2: f32,
    /// `1 − β₂`.
    new_second: f32,
    /// `√(1 − β₂ᵗ)`.
    root: f32,
    eps: f32,
    /// `−learning rate / (1 − β₁ᵗ)`.
    negative_size: f32,
}

impl Factors {
    pub(super) fn new(params: &AdamParams, decay: f64, learning_rate: f64, step: u32) -> Self {
        let &AdamParams { beta1, beta2, eps, decoupled, .. } = params;
        let correction = |beta: f64| 1.0 - libm::pow(beta, f64::from(step));
        Self {
            shrink: decoupled.then_some((1.0 - learning_rate * decay) as f32),
            coupled: (!decoupled && decay > 0.0).then_some(decay as f32),
            new_first: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            new_second: (1.0 - beta2) as f32,
            root: correction(beta2).sqrt() as f32,
            eps: eps as f32,
            negative_size: -(learning_rate / correction(beta1)) as f32,
        }
    }
}

/// An operation in place on the variable; the moments come along, for an operation changes one tensor alone.
pub(super) struct Step<'a> {
    arch: Arch,
    factors: Factors,
    gradient: &'a [f32],
    moments: RefCell<&'a mut Moments>,
}

/// Values that one thread takes at a time.
const CHUNK: usize = 1 << 14;

impl<'a> Step<'a> {
    pub(super) fn new(arch: Arch, factors: Factors, gradient: &'a [f32], moments: &'a mut Moments) -> Self {
        Self { arch, factors, gradient, moments: RefCell::new(moments) }
    }
}

impl InplaceOp1 for Step<'_> {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (CpuStorage::F32(values), Some((start, end))) = (storage, layout.contiguous_offsets()) else {
            candle_core::bail!("adam: a variable is not contiguous f32");
        };
        let moments = &mut **self.moments.borrow_mut();
        let values = values[start..end].par_chunks_mut(CHUNK).zip(self.gradient.par_chunks(CHUNK));
        let moments = moments.first.par_chunks_mut(CHUNK).zip(moments.second.par_chunks_mut(CHUNK));
        let (factors, arch) = (self.factors, self.arch);
        values.zip(moments).for_each(|((values, gradient), (first, second))| {
            // Each value by itself, so that wide registers change no bit.
            arch.dispatch(
                #[inline(always)]
                || update(factors, values, gradient, first, second),
            );
        });
        Ok(())
    }
}

#[inline(always)]
fn update(f: Factors, values: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
    for (((x, &gradient), m), v) in values.iter_mut().zip(gradient).zip(first).zip(second) {
        let gradient = match f.coupled {
            Some(decay) => gradient + decay * *x,
            None => gradient,
        };
        if let Some(shrink) = f.shrink {
            *x *= shrink;
        }
        *m += f.new_first * (gradient - *m);
        *v = *v * f.beta2 + f.new_second * gradient * gradient;
        *x += f.negative_size * *m / (v.sqrt() / f.root + f.eps);
    }
}
