//! A model in a folder of its own.

use std::path::Path;

use serde_json::json;

use super::model::Network;
use super::{Error, FoundationModel};
use crate::Result;
use crate::models::write_json;

impl FoundationModel {
    /// Writes the model with its dictionaries into a folder, which is made if it is not there:
    /// [`open`](FoundationModel::open) gives the same model again.
    ///
    /// A Geneformer is written as `config.json` and `model.safetensors`, which Hugging Face's transformers loads, with the
    /// dictionaries as `.json`; an scGPT as `args.json`, `vocab.json` and `model.safetensors`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for scFoundation, and for a model with adapters; files that cannot be written; with
    /// `overwrite` false, files that are there.
    pub fn save(&self, folder: impl AsRef<Path>, overwrite: bool) -> Result<()> {
        let folder = folder.as_ref();
        let refuse = |what| Err(Error::Unsupported { kind: self.kind(), what }.into());
        match &self.network {
            Network::Geneformer { model, vocabulary } => {
                if model.source().has_adapters() {
                    return refuse(ADAPTERS);
                }
                model.save(folder, overwrite)?;
                Ok(vocabulary.save(folder, overwrite)?)
            }
            Network::Scgpt { model, vocabulary, input } => {
                if model.source().has_adapters() {
                    return refuse(ADAPTERS);
                }
                model.save(folder, overwrite)?;
                let mut args = serde_json::to_value(model.config()).unwrap_or_default();
                args["max_seq_len"] = json!(input.max_length);
                if let Some(n_bins) = input.n_bins {
                    args["n_bins"] = json!(n_bins);
                }
                // In place of those that tell nothing of the input.
                write_json(folder, "args.json", &args, true)?;
                Ok(vocabulary.save(folder.join("vocab.json"), overwrite)?)
            }
            Network::Scfoundation { .. } => refuse("files that could be written here"),
        }
    }
}

const ADAPTERS: &str = "files for a model with adapters that are not merged";

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use crate::embed::{EmbedParams, OpenParams};

    #[test]
    fn a_saved_model_opens_as_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let model = testing::model();
        model.save(folder.path(), false).unwrap();
        let again = FoundationModel::open(folder.path(), &OpenParams::default()).unwrap();
        assert_eq!(again.vocabulary(), model.vocabulary().map(|v| v.clone().with_own_ids()).as_ref());
        let embed = |model: &FoundationModel| {
            let found = model.embed(&testing::data(9), &EmbedParams::default()).unwrap();
            found.values.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
        };
        assert_eq!(embed(&again), embed(&model));
        let error = model.save(folder.path(), false).unwrap_err();
        assert!(error.to_string().contains("model.safetensors"), "{error}");
        model.save(folder.path(), true).unwrap();
    }
}
