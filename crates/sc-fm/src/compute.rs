//! Where a model computes: on the processor, or on an NVIDIA GPU.
//!
//! | | layers | results |
//! |---|---|---|
//! | [`Compute::Cpu`] | the kernels of [`nn`](crate::nn) | the same bits in any company, on any number of threads |
//! | [`Compute::Cuda`] | operations of the tensor library, on the device | as those of the processor, to a tolerance |
//! | [`Compute::Portable`] | the operations of `Cuda`, on the processor | as those of the processor, to a tolerance |
//!
//! On small models with random weights, states of all layers and logits of all language models by `Portable` are those of the
//! references to 2e-4 (of one in which rounding grows to 3.1e-4, where those of `Cpu` are to 2.3e-4), and states and heads of
//! the foundation models to 1e-4. `Cuda` runs the same operations with other kernels. It has not been run yet: tests of language
//! models take it along where a build with the feature finds a GPU.

use std::cell::Cell;
use std::marker::PhantomData;

use candle_core::{DType, Device};

use crate::nn::gemm::Precision;

/// Where a model computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compute {
    /// On the processor, with the kernels of this crate.
    #[default]
    Cpu,
    /// On an NVIDIA GPU, counted from 0; in builds with the feature `cuda`. Weights are held in f32, or in bf16 for
    /// [`Precision::Bf16`], which rounds what is multiplied with them and the products too; all else is f32. For inference.
    Cuda(usize),
    /// On the processor, with the operations that [`Compute::Cuda`] takes: slow, to see what a GPU would make of a model where
    /// there is none.
    Portable,
}

/// Where a model cannot compute.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A GPU, for a build that knows none.
    #[error("GPU {index} is asked for, but this program was built without CUDA")]
    NotBuilt {
        /// The GPU.
        index: usize,
    },
    /// A GPU that is not there, or does not work.
    #[error("GPU {index} cannot be used")]
    Gpu {
        /// The GPU.
        index: usize,
        /// What the tensor library says.
        source: candle_core::Error,
    },
    /// Weights that only the processor multiplies with.
    #[error(
        "weights of {precision:?} are multiplied on the processor alone, but the model shall compute {place}"
    )]
    Precision {
        /// What was asked for.
        precision: Precision,
        /// Where the model shall compute.
        place: String,
    },
    /// Gradients, which only the processor computes.
    #[error("a model is trained on the processor alone, but this one shall compute {place}")]
    Training {
        /// Where the model shall compute.
        place: String,
    },
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::NotBuilt { .. } => {
                "build with the feature `cuda`, which needs NVIDIA's compiler, or compute on the processor"
            }
            Self::Gpu { .. } => "`nvidia-smi` lists the GPUs that work; they are counted from 0",
            Self::Precision { .. } => {
                "choose f32, f16 or bf16 on a GPU; weights in blocks are for the processor"
            }
            Self::Training { .. } => "train on the processor, and open the result on the GPU",
        })
    }
}

impl std::fmt::Display for Compute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => write!(f, "on the processor"),
            Self::Cuda(index) => write!(f, "on GPU {index}"),
            Self::Portable => write!(f, "as on a GPU"),
        }
    }
}

impl Compute {
    /// The device of the tensor library. A GPU is taken hold of anew with each call: tensors of two calls do not meet.
    ///
    /// # Errors
    /// [`Error::NotBuilt`], [`Error::Gpu`].
    pub fn device(self) -> Result<Device, Error> {
        match self {
            Self::Cpu | Self::Portable => Ok(Device::Cpu),
            Self::Cuda(index) if !candle_core::utils::cuda_is_available() => Err(Error::NotBuilt { index }),
            Self::Cuda(index) => Device::new_cuda(index).map_err(|source| Error::Gpu { index, source }),
        }
    }

    /// The type of weights for products of a precision, where the tensor library multiplies; `None` on the processor, whose
    /// kernels round as they go.
    ///
    /// # Errors
    /// [`Error::Precision`].
    pub fn weights(self, precision: Precision) -> Result<Option<DType>, Error> {
        match (self, precision) {
            (Self::Cpu, _) => Ok(None),
            (_, Precision::F32 | Precision::F32Grade) => Ok(Some(DType::F32)),
            (_, Precision::F16) => Ok(Some(DType::F16)),
            (_, Precision::Bf16) => Ok(Some(DType::BF16)),
            _ => Err(Error::Precision { precision, place: self.to_string() }),
        }
    }

    /// Refuses gradients where they are not computed.
    ///
    /// # Errors
    /// [`Error::Training`].
    pub fn check_training(self) -> Result<(), Error> {
        match self {
            Self::Cpu => Ok(()),
            _ => Err(Error::Training { place: self.to_string() }),
        }
    }

    /// Until what is returned is dropped, layers that this thread calls with tensors of the processor take the kernels of this
    /// crate, or for [`Compute::Portable`] the operations of the tensor library.
    ///
    /// Models do so themselves; this is for programs that put layers together on their own.
    pub fn enter(self) -> Scope {
        let before = PORTABLE.replace(self == Self::Portable);
        Scope { before, own_thread: PhantomData }
    }
}

thread_local! {
    static PORTABLE: Cell<bool> = const { Cell::new(false) };
}

/// Whether layers leave the kernels of this crate alone.
pub(crate) fn is_portable() -> bool {
    PORTABLE.get()
}

/// The time in which layers compute as [`Compute::enter`] says.
#[derive(Debug)]
#[must_use = "layers compute so until this is dropped"]
pub struct Scope {
    before: bool,
    /// It belongs to the thread that it was made on.
    own_thread: PhantomData<*const ()>,
}

impl Drop for Scope {
    fn drop(&mut self) {
        PORTABLE.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_nest_and_end() {
        assert!(!is_portable());
        let outer = Compute::Portable.enter();
        assert!(is_portable());
        {
            let _inner = Compute::Cpu.enter();
            assert!(!is_portable());
        }
        assert!(is_portable());
        drop(outer);
        assert!(!is_portable());
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn a_gpu_that_the_build_does_not_know_is_an_error_with_advice() {
        let error = Compute::Cuda(3).device().unwrap_err();
        assert_eq!(error.to_string(), "GPU 3 is asked for, but this program was built without CUDA");
        assert!(error.help().unwrap().contains("feature `cuda`"));
    }

    #[test]
    #[cfg(feature = "cuda")]
    fn a_gpu_that_is_not_there_is_an_error_with_advice() {
        let error = Compute::Cuda(1 << 10).device().unwrap_err();
        assert_eq!(error.to_string(), "GPU 1024 cannot be used");
        assert!(error.help().unwrap().contains("nvidia-smi"));
    }

    #[test]
    fn what_only_the_processor_does_is_refused_elsewhere() {
        for precision in [Precision::Q8_0, Precision::Q4_K] {
            assert_eq!(Compute::Cpu.weights(precision).unwrap(), None);
            let error = Compute::Cuda(0).weights(precision).unwrap_err();
            assert!(error.to_string().ends_with("but the model shall compute on GPU 0"), "{error}");
            assert!(error.help().unwrap().contains("bf16"));
        }
        assert_eq!(Compute::Portable.weights(Precision::Bf16).unwrap(), Some(DType::BF16));
        Compute::Cpu.check_training().unwrap();
        let error = Compute::Cuda(0).check_training().unwrap_err();
        assert!(error.to_string().contains("trained on the processor alone"), "{error}");
        assert!(error.help().unwrap().contains("train on the processor"));
    }
}
