//! An scGPT that has learnt nothing.

use candle_core::{Device, Tensor};

use super::{InputEmbStyle, Scgpt, ScgptConfig};
use crate::Result;
use crate::checkpoint::Weights;
use crate::models::load;
use crate::models::normal::normal;

/// Standard deviation of new weights.
const DEVIATION: f64 = 0.02;

impl Scgpt {
    /// Random weights of what an embedding needs: no decoder, no batch labels. They are drawn from N(0, 0.02²), biases
    /// are 0 and norms do nothing; the reference starts from other distributions.
    ///
    /// Same seed, same weights, on every machine.
    ///
    /// # Errors
    /// [`Error::Config`](crate::models::Error::Config) for a shape that cannot be, and for values that come in as
    /// categories: how many there are, only weights tell.
    pub fn random_weights(config: &ScgptConfig, n_tokens: usize, seed: u64) -> Result<Weights> {
        config.validate()?;
        if config.input_emb_style == InputEmbStyle::Category {
            return Err(load::refuse("input_emb_style", "category", "continuous or scaling").into());
        }
        let (width, inner) = (config.embsize, config.d_hid);
        let mut new = New { tensors: vec![], seed };
        new.matrix("encoder.embedding.weight", n_tokens, width)?;
        new.norm("encoder.enc_norm", width)?;
        if config.input_emb_style == InputEmbStyle::Continuous {
            new.linear("value_encoder.linear1", width, 1)?;
            new.linear("value_encoder.linear2", width, width)?;
            new.norm("value_encoder.norm", width)?;
        }
        for layer in 0..config.nlayers {
            let name = |part: &str| format!("transformer_encoder.layers.{layer}.{part}");
            new.matrix(&name("self_attn.in_proj_weight"), 3 * width, width)?;
            new.flat(&name("self_attn.in_proj_bias"), 3 * width, 0.0)?;
            new.linear(&name("self_attn.out_proj"), width, width)?;
            new.linear(&name("linear1"), inner, width)?;
            new.linear(&name("linear2"), width, inner)?;
            new.norm(&name("norm1"), width)?;
            new.norm(&name("norm2"), width)?;
        }
        Ok(Weights::new(new.tensors))
    }
}

/// Tensors so far.
struct New {
    tensors: Vec<(String, Tensor)>,
    seed: u64,
}

impl New {
    fn matrix(&mut self, name: &str, rows: usize, columns: usize) -> Result<()> {
        // Each tensor has a stream of its own.
        let values = normal(rows * columns, DEVIATION, self.seed, self.tensors.len() as u64);
        self.tensors.push((name.to_owned(), Tensor::from_vec(values, (rows, columns), &Device::Cpu)?));
        Ok(())
    }

    fn flat(&mut self, name: &str, n: usize, value: f32) -> Result<()> {
        self.tensors.push((name.to_owned(), Tensor::full(value, n, &Device::Cpu)?));
        Ok(())
    }

    fn linear(&mut self, name: &str, outputs: usize, inputs: usize) -> Result<()> {
        self.matrix(&format!("{name}.weight"), outputs, inputs)?;
        self.flat(&format!("{name}.bias"), outputs, 0.0)
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<()> {
        self.flat(&format!("{name}.weight"), width, 1.0)?;
        self.flat(&format!("{name}.bias"), width, 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Specials;
    use super::*;
    use crate::nn::gemm::Precision;

    fn config(style: &str) -> ScgptConfig {
        let text = format!(
            r#"{{"embsize": 8, "nheads": 2, "d_hid": 12, "nlayers": 2, "input_emb_style": "{style}"}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn every_tensor_of_a_random_model_is_taken() {
        for style in ["continuous", "scaling"] {
            let config = config(style);
            let mut weights = Scgpt::random_weights(&config, 20, 1).unwrap();
            let specials = Specials { pad: 17, cls: 18 };
            let model = Scgpt::from_weights(config, 20, specials, &mut weights, Precision::F32).unwrap();
            assert_eq!((model.n_tokens(), model.config().nlayers), (20, 2));
        }
    }

    #[test]
    fn categories_need_weights() {
        let error = Scgpt::random_weights(&config("category"), 20, 1).unwrap_err();
        assert!(error.to_string().contains("input_emb_style"), "{error}");
    }
}
