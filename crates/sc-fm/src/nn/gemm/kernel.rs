//! Which micro-kernel computes, chosen when the program runs.

use half::f16;
use rayon::prelude::*;

use super::blocks::BlockFormat;
use super::error::Error;
use super::micro::{Format, Micro};
use super::quantized::{Quantized, Weight};
use super::view::View;

/// How exactly products are computed. More is never wrong: a processor without the instructions for less computes f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Fused multiply-adds in f32: the same bits on every processor.
    F32,
    /// The fastest way to errors of a few 10⁻⁶ of the sum of absolute products: three products of bf16 in the tile
    /// registers (AMX) of processors that have them, else as `F32`.
    #[default]
    F32Grade,
    /// Weights rounded to f16 (errors of a few 10⁻⁴; those that are stored so stay as they are), products and sums as `F32`:
    /// the same bits on every processor, in half the memory.
    F16,
    /// Operands rounded to bf16 (errors of a few 10⁻³), sums in f32, where the processor multiplies bf16; else as `F32`.
    Bf16,
    /// Weights in blocks of 32 with 8 bits a value, rows rounded to 8 bits where they are multiplied (errors of some
    /// 10⁻³): the same bits on every processor. For weights that are not trained.
    Q8_0,
    /// As `Q8_0`, with weights of 4 bits in blocks of 256 (errors of a few 10⁻²). A weight whose rows are not whole
    /// blocks is stored as `Q8_0`.
    #[allow(non_camel_case_types, reason = "the name of GGML")]
    Q4_K,
}

impl Precision {
    /// Whether weights are stored in blocks of whole numbers.
    pub fn is_quantized(self) -> bool {
        matches!(self, Self::Q8_0 | Self::Q4_K)
    }

    /// Whether there are values that weights cannot hold.
    pub(crate) fn has_limits(self) -> bool {
        self.is_quantized() || self == Self::F16
    }
}

/// A micro-kernel that this processor can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kernel(pub(super) Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Scalar,
    ScalarF16,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx2F16,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx512F16,
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    AmxBf16,
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    AmxSplit,
    Quantized(Quantized),
    #[cfg(test)]
    PlainBf16,
    #[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
    EmulatedBf16,
    #[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
    EmulatedSplit,
}

/// Runs `$body` with `$micro` as the type of a kernel that multiplies floating point numbers.
macro_rules! with_micro {
    ($kernel:expr, $micro:ident => $body:expr) => {{
        use crate::nn::gemm::{self, kernel::Kind};
        match $kernel.0 {
            Kind::Scalar => {
                type $micro = gemm::scalar::Scalar<false>;
                $body
            }
            Kind::ScalarF16 => {
                type $micro = gemm::scalar::Scalar<true>;
                $body
            }
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => {
                type $micro = gemm::avx2::Avx2<false>;
                $body
            }
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2F16 => {
                type $micro = gemm::avx2::Avx2<true>;
                $body
            }
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => {
                type $micro = gemm::avx512::Avx512<false>;
                $body
            }
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512F16 => {
                type $micro = gemm::avx512::Avx512<true>;
                $body
            }
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Bf16 => {
                type $micro = gemm::avx512::Avx512Bf16;
                $body
            }
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Kind::AmxBf16 => {
                type $micro = gemm::amx::Amx<gemm::amx::Registers, false>;
                $body
            }
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Kind::AmxSplit => {
                type $micro = gemm::amx::Amx<gemm::amx::Registers, true>;
                $body
            }
            Kind::Quantized(_) => unreachable!("products with blocks go another way"),
            #[cfg(test)]
            Kind::PlainBf16 => {
                type $micro = gemm::tests::plain::PlainBf16;
                $body
            }
            #[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
            Kind::EmulatedBf16 => {
                type $micro = gemm::amx::Amx<gemm::amx::emulated::Emulated, false>;
                $body
            }
            #[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
            Kind::EmulatedSplit => {
                type $micro = gemm::amx::Amx<gemm::amx::emulated::Emulated, true>;
                $body
            }
        }
    }};
}
pub(super) use with_micro;

impl Kernel {
    /// The fastest kernel of this processor for a precision.
    pub fn new(precision: Precision) -> Self {
        let blocks = match precision {
            Precision::Q8_0 => Some(Weight::Q8),
            Precision::Q4_K => Some(Weight::Q4),
            _ => None,
        };
        if let Some(weight) = blocks {
            let mut kernels = Quantized::available().into_iter().filter(|kernel| kernel.weight == weight);
            return Self(Kind::Quantized(kernels.next_back().expect("there is a plain kernel")));
        }
        let (wanted, plain): (&[&str], Kind) = match precision {
            Precision::F16 => (&["f16-avx512", "f16-avx2"], Kind::ScalarF16),
            Precision::F32Grade => (&["bf16x3-amx", "f32-avx512", "f32-avx2"], Kind::Scalar),
            Precision::Bf16 => (&["bf16-amx", "bf16-avx512", "f32-avx512", "f32-avx2"], Kind::Scalar),
            _ => (&["f32-avx512", "f32-avx2"], Kind::Scalar),
        };
        let available = Self::available();
        let find = |name: &&str| available.iter().find(|kernel| kernel.name() == *name).copied();
        wanted.iter().find_map(find).unwrap_or(Self(plain))
    }

    /// Every kernel that this processor can run; the first is the plain one.
    pub fn available() -> Vec<Self> {
        let mut kinds = vec![Kind::Scalar, Kind::ScalarF16];
        #[cfg(target_arch = "x86_64")]
        {
            let has = [
                is_x86_feature_detected!("avx2"),
                is_x86_feature_detected!("fma"),
                is_x86_feature_detected!("f16c"),
            ];
            if has == [true; 3] {
                kinds.extend([Kind::Avx2, Kind::Avx2F16]);
            }
            if is_x86_feature_detected!("avx512f") {
                kinds.extend([Kind::Avx512, Kind::Avx512F16]);
                if is_x86_feature_detected!("avx512bf16") {
                    kinds.push(Kind::Avx512Bf16);
                }
                #[cfg(target_os = "linux")]
                if super::amx::permitted() {
                    kinds.extend([Kind::AmxBf16, Kind::AmxSplit]);
                }
            }
        }
        kinds.extend(Quantized::available().into_iter().map(Kind::Quantized));
        kinds.into_iter().map(Self).collect()
    }

    /// Its name, for the record of a run: the arithmetic and the instructions.
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Scalar => "f32-scalar",
            Kind::ScalarF16 => "f16-scalar",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "f32-avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2F16 => "f16-avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "f32-avx512",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512F16 => "f16-avx512",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Bf16 => "bf16-avx512",
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Kind::AmxBf16 => "bf16-amx",
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Kind::AmxSplit => "bf16x3-amx",
            Kind::Quantized(kernel) => kernel.name(),
            #[cfg(test)]
            Kind::PlainBf16 => "bf16-plain",
            #[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
            Kind::EmulatedBf16 => "bf16-emulated",
            #[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
            Kind::EmulatedSplit => "bf16x3-emulated",
        }
    }

    /// The blocks that it multiplies with; none for floating point numbers.
    pub fn blocks(self) -> Option<BlockFormat> {
        self.quantized().map(Quantized::format)
    }

    pub(super) fn quantized(self) -> Option<Quantized> {
        match self.0 {
            Kind::Quantized(kernel) => Some(kernel),
            _ => None,
        }
    }

    /// Refuses values that are finite, and are so no longer as the kernel holds them.
    ///
    /// * `first`: number of the first output of `weight`.
    pub(super) fn check_range(self, first: usize, weight: View<'_>) -> Result<(), Error> {
        if self.quantized().is_some() || self.format() != Format::F16 {
            return Ok(());
        }
        let is_held = |value: &f32| !value.is_finite() || f16::from_f32_const(*value).is_finite();
        let refused = (0..weight.rows()).into_par_iter().find_map_first(|row| {
            let mut copy = Vec::new();
            let values = weight.rows_or_copy(row..row + 1, &mut copy);
            // Most rows have no value that would be rounded up to infinity.
            let largest = values.iter().fold(0f32, |largest, value| largest.max(value.abs()));
            let may_be_lost = largest > f16::MAX.to_f32_const();
            let input = may_be_lost.then(|| values.iter().position(|value| !is_held(value))).flatten()?;
            Some(Error::NotHeld { output: first + row, input, value: values[input], format: "f16" })
        });
        refused.map_or(Ok(()), Err)
    }

    /// Itself, or that for `Q8_0` where rows are not whole blocks of `Q4_K`.
    pub(super) fn for_inputs(self, inputs: usize) -> Self {
        match self.0 {
            Kind::Quantized(kernel) => Self(Kind::Quantized(kernel.for_inputs(inputs))),
            _ => self,
        }
    }

    pub(super) fn format(self) -> Format {
        with_micro!(self, M => M::FORMAT)
    }

    pub(super) fn rows(self) -> usize {
        with_micro!(self, M => M::ROWS)
    }
}
