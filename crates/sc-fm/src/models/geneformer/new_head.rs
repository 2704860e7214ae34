//! Heads to train on an encoder that has others, or none.

use candle_core::{DType, Device, Tensor};

use super::GeneformerConfig;
use crate::Result;
use crate::checkpoint::Weights;
use crate::models::normal::normal;
use crate::models::{Error, load};

/// A head as training begins with it: weights N(0, `initializer_range`²), biases 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewHead {
    /// The masked language model; its decoder is the table of tokens.
    MaskedTokens,
    /// The classifier of cells, with a pooler below it.
    Cells {
        /// Names of the classes.
        classes: Vec<String>,
    },
    /// The classifier of tokens.
    Genes {
        /// Names of the classes.
        classes: Vec<String>,
    },
}

/// Streams of random numbers of heads begin behind those of encoders.
const FIRST_STREAM: u64 = 1 << 32;

impl NewHead {
    /// Puts the head in place of those that the weights have, and the names of its classes into the configuration.
    ///
    /// * `weights`: with Hugging Face's names, with or without `bert.` in front.
    ///
    /// # Errors
    /// [`Error::Config`] without classes, or with a name twice.
    pub fn put_on(&self, weights: &mut Weights, config: &mut GeneformerConfig, seed: u64) -> Result<()> {
        config.id2label = self.labels(config)?;
        weights.remove_all(|name| {
            let name = name.strip_prefix("bert.").unwrap_or(name);
            ["cls.", "pooler.", "classifier."].iter().any(|head| name.starts_with(head))
        });
        let (width, deviation) = (config.hidden_size, config.initializer_range);
        let mut stream = FIRST_STREAM;
        let mut linear = |name: &str, outputs: usize| -> Result<()> {
            let values = normal(outputs * width, deviation, seed, stream);
            stream += 1;
            weights
                .insert(format!("{name}.weight"), Tensor::from_vec(values, (outputs, width), &Device::Cpu)?);
            weights.insert(format!("{name}.bias"), Tensor::zeros(outputs, DType::F32, &Device::Cpu)?);
            Ok(())
        };
        match self {
            Self::Cells { classes } => {
                linear("bert.pooler.dense", width)?;
                linear("classifier", classes.len())?;
            }
            Self::Genes { classes } => linear("classifier", classes.len())?,
            Self::MaskedTokens => {
                linear("cls.predictions.transform.dense", width)?;
                let norm = "cls.predictions.transform.LayerNorm";
                weights.insert(format!("{norm}.weight"), Tensor::ones(width, DType::F32, &Device::Cpu)?);
                weights.insert(format!("{norm}.bias"), Tensor::zeros(width, DType::F32, &Device::Cpu)?);
                let bias = Tensor::zeros(config.vocab_size, DType::F32, &Device::Cpu)?;
                weights.insert("cls.predictions.bias".to_owned(), bias);
            }
        }
        Ok(())
    }

    /// The configuration's `id2label`.
    fn labels(&self, config: &GeneformerConfig) -> Result<std::collections::BTreeMap<u32, String>, Error> {
        let (Self::Cells { classes } | Self::Genes { classes }) = self else {
            return Ok(config.id2label.clone());
        };
        load::check_sizes(&[("id2label", classes.len())])?;
        let mut sorted: Vec<&String> = classes.iter().collect();
        sorted.sort_unstable();
        match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => {
                Err(load::refuse("id2label", format!("{:?} twice", pair[0]), "classes of different names"))
            }
            None => Ok((0..).zip(classes.iter().cloned()).collect()),
        }
    }
}
