//! Layers taken out of a checkpoint.

use candle_core::{DType, Device, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sc_fm::checkpoint::{self, Weights};
use sc_fm::compute::{self, Compute};
use sc_fm::nn::gemm::{Packed, Precision};
use sc_fm::nn::{LayerNorm, Linear, RmsNorm};

use super::OpenParams;
use super::decoder::Table;

/// Where tensors come from.
pub(crate) enum Source<'w> {
    /// A checkpoint.
    Weights(&'w mut Weights),
    /// Chance, with a seed.
    Random(u64),
}

/// Where layers compute.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) compute: Compute,
    device: Device,
    /// The type of weights; as they are for the kernels of the processor.
    weights: Option<DType>,
}

impl Place {
    pub(crate) fn new(params: &OpenParams) -> Result<Self, compute::Error> {
        let OpenParams { compute, precision, trainable } = *params;
        if trainable {
            compute.check_training()?;
        }
        let weights = compute.weights(precision)?;
        Ok(Self { compute, device: compute.device()?, weights })
    }

    /// A tensor of f32 where it is computed with.
    fn exact(&self, tensor: &Tensor) -> candle_core::Result<Tensor> {
        tensor.to_dtype(DType::F32)?.to_device(&self.device)
    }

    /// A matrix where it is computed with, in the type of weights.
    fn matrix(&self, tensor: Tensor) -> candle_core::Result<Tensor> {
        match self.weights {
            Some(dtype) => tensor.to_dtype(dtype)?.to_device(&self.device),
            None => Ok(tensor),
        }
    }
}

/// Weights on their way into layers.
pub(crate) struct Parts<'w> {
    pub(crate) source: Source<'w>,
    /// How exact the products with them shall be.
    pub(crate) precision: Precision,
    /// Whether weights stay beside their packed copies, so that gradients can be computed.
    pub(crate) trainable: bool,
    pub(crate) place: Place,
}

impl Parts<'_> {
    /// A tensor by its whole name, as it is stored.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, checkpoint::Error> {
        match &mut self.source {
            Source::Weights(weights) => weights.take(name, shape),
            Source::Random(seed) => random(*seed, name, shape).map_err(|source| failed(name, source)),
        }
    }

    /// Whether a tensor of this name is there.
    pub(crate) fn contains(&self, name: &str) -> bool {
        match &self.source {
            Source::Weights(weights) => weights.contains(name),
            Source::Random(_) => false,
        }
    }

    /// Leaves out a tensor that must be equal to another one, if it is there.
    pub(crate) fn tied(
        &mut self,
        name: &str,
        other: &Tensor,
        to: &'static str,
    ) -> Result<(), checkpoint::Error> {
        match &mut self.source {
            Source::Weights(weights) => weights.tied(name, other, to),
            Source::Random(_) => Ok(()),
        }
    }

    /// A small tensor, which computes in f32 whatever the others are stored in.
    fn exact(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, checkpoint::Error> {
        let tensor = self.take(name, shape)?;
        self.place.exact(&tensor).map_err(|source| failed(name, source))
    }

    /// A vector of one value.
    pub(crate) fn full(&self, value: f32, n: usize) -> candle_core::Result<Tensor> {
        self.place.exact(&Tensor::full(value, n, &Device::Cpu)?)
    }

    /// A linear layer of these tensors.
    pub(crate) fn linear_of(&self, weight: Tensor, bias: Option<Tensor>) -> candle_core::Result<Linear> {
        let bias = bias.map(|bias| self.place.exact(&bias)).transpose()?;
        let linear = Linear::with_precision(self.place.matrix(weight)?, bias, self.precision);
        Ok(if self.trainable { linear } else { linear.released() })
    }

    /// The embedding of tokens, where it is looked up.
    pub(crate) fn placed(&self, embedding: Table) -> candle_core::Result<Table> {
        match embedding {
            Table::Own(table) => self.place.matrix(table).map(Table::Own),
            Table::Packed(_) => Ok(embedding),
        }
    }

    /// `{name}.weight` (`outputs × inputs`), and `{name}.bias` where it has one; with its adapter of low rank, if the
    /// weights have one.
    pub(crate) fn linear(
        &mut self,
        name: &str,
        outputs: usize,
        inputs: usize,
        has_bias: bool,
    ) -> Result<Linear, checkpoint::Error> {
        let whole = format!("{name}.weight");
        let bias = |parts: &mut Self| match has_bias {
            true => parts.exact(&format!("{name}.bias"), &[outputs]).map(Some),
            false => Ok(None),
        };
        let linear = match self.blocks(&whole, [outputs, inputs])? {
            Some(packed) => Linear::packed(packed, bias(self)?).map_err(|source| failed(&whole, source))?,
            None => {
                let weight = self.take(&whole, &[outputs, inputs])?;
                let bias = bias(self)?;
                self.linear_of(weight, bias).map_err(|source| failed(&whole, source))?
            }
        };
        match &mut self.source {
            Source::Weights(weights) => weights.adapted(linear, name),
            Source::Random(_) => Ok(linear),
        }
    }

    /// A matrix that is stored in blocks and can stay so; none if it is not, is to be trained with, or computes elsewhere.
    fn blocks(&mut self, name: &str, shape: [usize; 2]) -> Result<Option<Packed>, checkpoint::Error> {
        match &mut self.source {
            Source::Weights(weights) if !self.trainable && self.place.compute == Compute::Cpu => {
                weights.take_blocks(name, shape)
            }
            _ => Ok(None),
        }
    }

    /// `{name}.weight` and `{name}.bias` of `width` each.
    pub(crate) fn layer_norm(
        &mut self,
        name: &str,
        width: usize,
        eps: f64,
    ) -> Result<LayerNorm, checkpoint::Error> {
        let weight = self.exact(&format!("{name}.weight"), &[width])?;
        Ok(LayerNorm::new(weight, self.exact(&format!("{name}.bias"), &[width])?, eps))
    }

    /// `{name}.weight` of `width`.
    pub(crate) fn rms_norm(
        &mut self,
        name: &str,
        width: usize,
        eps: f64,
    ) -> Result<RmsNorm, checkpoint::Error> {
        Ok(RmsNorm::new(self.exact(&format!("{name}.weight"), &[width])?, eps))
    }

    /// `{name}.weight` of an embedding of tokens, `entries × width`, as it is stored: to be [`placed`](Self::placed) once it
    /// was compared with others.
    pub(crate) fn embedding(
        &mut self,
        name: &str,
        entries: usize,
        width: usize,
    ) -> Result<Table, checkpoint::Error> {
        let name = format!("{name}.weight");
        match self.blocks(&name, [entries, width])? {
            Some(packed) => {
                Ok(Table::Packed(Linear::packed(packed, None).map_err(|source| failed(&name, source))?))
            }
            None => self.take(&name, &[entries, width]).map(Table::Own),
        }
    }

    /// `{name}.weight` of a table of positions, `entries × width`.
    pub(crate) fn positions(
        &mut self,
        name: &str,
        entries: usize,
        width: usize,
    ) -> Result<Tensor, checkpoint::Error> {
        let name = format!("{name}.weight");
        let table = self.take(&name, &[entries, width])?;
        self.place.matrix(table).map_err(|source| failed(&name, source))
    }

    /// `{name}.weight` of a small table in f32: `entries × width`.
    pub(crate) fn exact_embedding(
        &mut self,
        name: &str,
        entries: usize,
        width: usize,
    ) -> Result<Tensor, checkpoint::Error> {
        self.exact(&format!("{name}.weight"), &[entries, width])
    }

    /// The embedding, and the head that is the embedding once more; a tensor of its own in the file must be equal to it.
    pub(crate) fn tied_head(
        &mut self,
        name: &str,
        embedding: Table,
    ) -> Result<(Table, Linear), checkpoint::Error> {
        let embedding = match embedding {
            Table::Own(embedding) => embedding,
            Table::Packed(head) => return Ok((Table::Packed(head.clone()), head)),
        };
        self.tied(name, &embedding, "the embedding of tokens")?;
        let placed = |source| failed(name, source);
        let head = self.linear_of(embedding.clone(), None).map_err(placed)?;
        // Weights in blocks are rounded in any case, and tables are large.
        let is_one = head.is_lossless() || self.precision.is_quantized();
        Ok(match !self.trainable && is_one {
            true => (Table::Packed(head.clone()), head),
            false => (self.placed(Table::Own(embedding)).map_err(placed)?, head),
        })
    }

    /// Leaves out every tensor with one of these endings.
    pub(crate) fn ignore(&mut self, endings: &[&str], reason: &'static str) {
        let Source::Weights(weights) = &mut self.source else { return };
        let is_chosen = |name: &&str| endings.iter().any(|ending| name.ends_with(ending));
        let names: Vec<String> = weights.names().filter(is_chosen).map(str::to_owned).collect();
        names.iter().for_each(|name| _ = weights.ignore(name, reason));
    }
}

/// Numbers between −0.05 and 0.05 for matrices and biases, 1 for the weights of norms. Each tensor has a stream by its name.
fn random(seed: u64, name: &str, shape: &[usize]) -> candle_core::Result<Tensor> {
    if shape.len() == 1 && name.ends_with("weight") {
        return Tensor::ones(shape, DType::F32, &Device::Cpu);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(
        name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        }),
    );
    let mut words = vec![0; 4 * shape.iter().product::<usize>()];
    rng.fill_bytes(&mut words);
    let number = |word: &[u8; 4]| (u32::from_le_bytes(*word) >> 8) as f32 * (0.1 / (1 << 24) as f32) - 0.05;
    Tensor::from_vec(words.as_chunks::<4>().0.iter().map(number).collect(), shape, &Device::Cpu)
}

/// What the tensor library reports of a tensor.
pub(crate) fn failed(name: &str, source: candle_core::Error) -> checkpoint::Error {
    checkpoint::Error::Tensor { name: name.to_owned(), source }
}
