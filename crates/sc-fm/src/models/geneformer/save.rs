//! A model as Hugging Face's transformers reads it.

use std::path::Path;

use candle_core::Tensor;
use serde_json::{Map, Value, json};

use super::Geneformer;
use crate::Result;
use crate::checkpoint::{Weights, write_safetensors};
use crate::models::load;

impl Geneformer {
    /// The tensors that the model is made of, with Hugging Face's names: to build another model of, with another head or
    /// with adapters, or to train. Constants of f32 on the CPU, in the memory of this model where they are that already.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn weights(&self) -> Result<Weights> {
        let named = |(name, tensor): (String, Tensor)| (hub_name(&name), tensor);
        Ok(Weights::new(self.source().constants()?.into_iter().map(named)))
    }

    /// Writes `config.json` and `model.safetensors` into a folder, which is made if it is not there. `from_pretrained` of
    /// transformers loads it as the model that `architectures` names; [`Geneformer::load`] does with the dictionary of
    /// the release.
    ///
    /// # Errors
    /// [`Error::Folder`](crate::models::Error::Folder); those of [`write_safetensors`]; with `overwrite` false a file that is there is an error.
    pub fn save(&self, folder: &Path, overwrite: bool) -> Result<()> {
        load::make_folder(folder)?;
        let tensors: Vec<(String, Tensor)> =
            self.source().constants()?.into_iter().map(|(name, tensor)| (hub_name(&name), tensor)).collect();
        let named = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
        write_safetensors(folder.join("model.safetensors"), named, &[], overwrite)?;
        Ok(load::write_json(folder, "config.json", &self.hub_config(), overwrite)?)
    }

    /// The configuration with what transformers wants to know besides.
    fn hub_config(&self) -> Value {
        let has = |head: &str| self.source().names().any(|name| name.starts_with(head));
        let (has_classifier, has_pooler) = (has("classifier."), has("pooler."));
        let architecture = match (has_classifier, has_pooler) {
            (true, true) => "BertForSequenceClassification",
            (true, false) => "BertForTokenClassification",
            _ if has("cls.") => "BertForMaskedLM",
            _ => "BertModel",
        };
        let mut config = match serde_json::to_value(self.config()) {
            Ok(Value::Object(config)) => config,
            _ => Map::new(),
        };
        match has_classifier {
            true => {
                let ids = self.config().id2label.iter().map(|(id, label)| (label.clone(), json!(id)));
                config.insert("label2id".to_owned(), Value::Object(ids.collect()));
            }
            false => _ = config.remove("id2label"),
        }
        config.insert("architectures".to_owned(), json!([architecture]));
        config.insert("torch_dtype".to_owned(), json!("float32"));
        Value::Object(config)
    }
}

/// The name of a tensor in Hugging Face's files: `bert.` stands in front of what is not a head.
fn hub_name(name: &str) -> String {
    match ["cls.", "classifier."].iter().any(|head| name.starts_with(head)) {
        true => name.to_owned(),
        false => format!("bert.{name}"),
    }
}
