//! From values to vectors.

use candle_core::{DType, Result, Tensor};

use super::{InputEmbStyle, ScgptConfig};
use crate::checkpoint::Error;
use crate::models::parts::Parts;
use crate::nn::{Activation, LayerNorm, Linear, embedding};

/// What the reference cuts continuous values off at.
const MAX_VALUE: f64 = 512.0;

#[derive(Clone, Debug)]
pub(super) enum ValueEncoder {
    /// Linear, ReLU, linear, norm; values above [`MAX_VALUE`] count as that.
    Continuous { first: Linear, second: Linear, norm: LayerNorm },
    /// An embedding and a norm.
    Category { table: Tensor, norm: LayerNorm },
    /// The values themselves, as factors.
    Scaling,
}

impl ValueEncoder {
    pub(super) fn take(config: &ScgptConfig, parts: &mut Parts<'_>) -> std::result::Result<Self, Error> {
        let width = config.embsize;
        match config.input_emb_style {
            InputEmbStyle::Scaling => Ok(Self::Scaling),
            InputEmbStyle::Category => {
                let name = "value_encoder.embedding.weight";
                let table = parts.take(name, &[parts.n_rows(name), width])?;
                Ok(Self::Category { table, norm: parts.layer_norm("value_encoder.enc_norm", width, 1e-5)? })
            }
            InputEmbStyle::Continuous => {
                let first = parts.linear("value_encoder.linear1", width, 1)?;
                let second = parts.linear("value_encoder.linear2", width, width)?;
                let norm = parts.layer_norm("value_encoder.norm", width, 1e-5)?;
                Ok(Self::Continuous { first, second, norm })
            }
        }
    }

    /// Number of categories; 0 where values are numbers.
    pub(super) fn n_categories(&self) -> usize {
        match self {
            Self::Category { table, .. } => table.dims()[0],
            _ => 0,
        }
    }

    /// For `values`: `rows` of `F32`: `rows × width`, or `rows × 1` of factors.
    pub(super) fn forward(&self, values: &Tensor, dtype: DType) -> Result<Tensor> {
        match self {
            Self::Continuous { first, second, norm } => {
                let values = values.minimum(MAX_VALUE)?.unsqueeze(1)?.to_dtype(dtype)?;
                let hidden = first.forward(&values, Activation::Relu)?;
                norm.forward(&second.forward(&hidden, Activation::Identity)?)
            }
            Self::Category { table, norm } => {
                norm.forward(&embedding(table, &values.to_dtype(DType::U32)?.to_vec1()?)?)
            }
            Self::Scaling => values.unsqueeze(1)?.to_dtype(dtype),
        }
    }
}
