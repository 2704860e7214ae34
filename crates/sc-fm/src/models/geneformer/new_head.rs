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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::geneformer::InputFormat;
    use crate::models::{Geneformer, Layer, TokenBatch};

    fn config() -> GeneformerConfig {
        let json = r#"{"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 24, "vocab_size": 30, "max_position_embeddings": 12, "hidden_act": "relu"}"#;
        serde_json::from_str(json).unwrap()
    }

    fn classes(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn with(head: &NewHead, seed: u64) -> Geneformer {
        let mut config = config();
        let mut weights = Geneformer::random_weights(&config, 1, &Device::Cpu).unwrap();
        head.put_on(&mut weights, &mut config, seed).unwrap();
        Geneformer::from_weights(config, InputFormat::V1, &mut weights, Default::default()).unwrap()
    }

    #[test]
    fn each_head_takes_the_place_of_the_others() {
        let batch = TokenBatch::new(&[vec![5, 6, 7], vec![8]]);
        let last = |model: &Geneformer| model.forward(&batch, Layer::Last).unwrap();
        let cells = with(&NewHead::Cells { classes: classes(&["B", "T", "NK"]) }, 1);
        assert_eq!(cells.cell_logits(&last(&cells)).unwrap().dims(), [2, 3]);
        assert_eq!(cells.config().id2label[&2], "NK");
        assert!(cells.mlm_logits(&last(&cells)).is_err() && cells.gene_logits(&last(&cells)).is_err());
        let genes = with(&NewHead::Genes { classes: classes(&["sensitive", "not"]) }, 1);
        assert_eq!(genes.gene_logits(&last(&genes)).unwrap().dims(), [4, 2]);
        let masked = with(&NewHead::MaskedTokens, 1);
        assert_eq!(masked.mlm_logits(&last(&masked)).unwrap().dims(), [4, 30]);
    }

    #[test]
    fn a_head_is_repeated_by_its_seed() {
        let logits = |seed| {
            let model = with(&NewHead::Cells { classes: classes(&["B", "T"]) }, seed);
            let last = model.forward(&TokenBatch::new(&[[5, 6]]), Layer::Last).unwrap();
            model.cell_logits(&last).unwrap().to_vec2::<f32>().unwrap()
        };
        assert_eq!(logits(1), logits(1));
        assert_ne!(logits(1), logits(2));
    }

    #[test]
    fn classes_have_names_of_their_own() {
        let message = |names: &[&str]| {
            let mut config = config();
            let mut weights = Geneformer::random_weights(&config, 1, &Device::Cpu).unwrap();
            let head = NewHead::Genes { classes: classes(names) };
            head.put_on(&mut weights, &mut config, 0).unwrap_err().to_string()
        };
        let expected = r#"`id2label` of the configuration is "B" twice, expected classes of different names"#;
        assert_eq!(message(&["B", "T", "B"]), expected);
        assert!(message(&[]).contains("`id2label`"));
    }

    #[test]
    fn a_model_with_any_head_is_written_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let heads = [
            (NewHead::Cells { classes: classes(&["B", "T"]) }, "BertForSequenceClassification"),
            (NewHead::Genes { classes: classes(&["B", "T"]) }, "BertForTokenClassification"),
            (NewHead::MaskedTokens, "BertForMaskedLM"),
        ];
        for (head, architecture) in heads {
            let model = with(&head, 3);
            model.save(folder.path(), true).unwrap();
            let text = std::fs::read_to_string(folder.path().join("config.json")).unwrap();
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(json["architectures"][0], architecture);
            assert_eq!(json.get("label2id").is_some(), head != NewHead::MaskedTokens);
            let config = GeneformerConfig::read(&folder.path().join("config.json")).unwrap();
            let mut weights = Weights::open(folder.path().join("model.safetensors")).unwrap();
            assert!(
                weights
                    .names()
                    .all(|name| ["bert.", "cls.", "classifier."].iter().any(|p| name.starts_with(p)))
            );
            let read =
                Geneformer::from_weights(config, InputFormat::V1, &mut weights, Default::default()).unwrap();
            let states = |model: &Geneformer| {
                let last = model.forward(&TokenBatch::new(&[[5, 6]]), Layer::Last).unwrap();
                last.states.to_vec2::<f32>().unwrap()
            };
            assert_eq!(states(&model), states(&read));
        }
        let error = with(&NewHead::MaskedTokens, 3).save(folder.path(), false).unwrap_err();
        assert!(error.to_string().contains("model.safetensors"), "{error}");
        let error =
            with(&NewHead::MaskedTokens, 3).save(&folder.path().join("config.json/x"), false).unwrap_err();
        assert!(error.to_string().starts_with("cannot make the folder"), "{error}");
    }
}
