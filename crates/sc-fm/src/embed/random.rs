//! Models that have learnt nothing: the control that a pretrained one must beat.

use std::path::Path;

use candle_core::Device;

use super::model::Network;
use super::open::{scgpt_input, scgpt_vocabulary, vocabulary_in};
use super::{Error, FoundationModel, Kind, LoadReport, OpenParams};
use crate::Result;
use crate::checkpoint::dictionary;
use crate::models::geneformer::{GeneformerConfig, InputFormat};
use crate::models::scgpt::{ScgptConfig, Specials};
use crate::models::{Geneformer, Scgpt};
use crate::tokenize::vocabulary::Vocabulary;

impl FoundationModel {
    /// A model of the shape that a configuration describes, with random weights.
    ///
    /// * `config`: a `config.json` of Geneformer or an `args.json` of scGPT, under any name.
    /// * `params`: where the dictionaries are (beside the configuration by default), and the precision of products.
    ///   Weights are `F32`, on the CPU.
    ///
    /// Same seed, same weights, on every machine.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`models::Error::Config`](crate::models::Error::Config).
    pub fn random(config: impl AsRef<Path>, params: &OpenParams, seed: u64) -> Result<Self> {
        let path = config.as_ref();
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let told = params.dictionaries.as_deref().unwrap_or(folder);
        let described = dictionary::read(path)?;
        let precision = params.load.precision;
        let (network, kind, weights, dictionaries) = if described.get("embsize").is_some() {
            let (vocabulary, file) = scgpt_vocabulary(told)?;
            let config = ScgptConfig::read(path)?;
            let input = scgpt_input(path, &config)?;
            let mut weights = Scgpt::random_weights(&config, vocabulary.n_tokens(), seed)?;
            let specials = Specials { pad: vocabulary.pad(), cls: vocabulary.cls() };
            let model =
                Scgpt::from_weights(config, vocabulary.n_tokens(), specials, &mut weights, precision)?;
            let network = Network::Scgpt { model: Box::new(model), vocabulary, input };
            (network, Kind::Scgpt, weights, vec![file])
        } else {
            if let Some(found) = described.get("model_type").and_then(|name| name.as_str())
                && found != "bert"
            {
                let (path, found) = (path.to_owned(), found.to_owned());
                return Err(Error::OtherModel { path, found }.into());
            }
            let config = GeneformerConfig::read(path)?;
            let (vocabulary, files) =
                vocabulary_in(&[told.to_owned()], config.vocab_size, params.series.as_deref())?;
            vocabulary.check_size(config.vocab_size)?;
            let mut weights = Geneformer::random_weights(&config, seed, &Device::Cpu)?;
            let format = InputFormat::of(&vocabulary);
            let model = Box::new(Geneformer::from_weights(config, format, &mut weights, precision)?);
            (Network::Geneformer { model, vocabulary }, Kind::Geneformer, weights, files)
        };
        let weights = weights.report();
        let report = LoadReport { kind, source: None, weights, dictionaries, releases: vec![] };
        Ok(Self { network, report })
    }

    /// The dictionaries of a Geneformer; none of the other models.
    pub fn vocabulary(&self) -> Option<&Vocabulary> {
        match &self.network {
            Network::Geneformer { vocabulary, .. } => Some(vocabulary),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_and_its_dictionaries_are_enough() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("args.json", r#"{"embsize": 8, "nheads": 2, "d_hid": 12, "nlayers": 1, "max_seq_len": 30}"#);
        write("vocab.json", r#"{"CD4": 0, "CD8A": 1}"#);
        write(
            "tiny.json",
            r#"{"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12,
                "vocab_size": 3, "max_position_embeddings": 9, "hidden_act": "relu", "model_type": "bert"}"#,
        );
        write("token_dictionary.json", r#"{"<pad>": 0, "ENSG1": 1, "ENSG2": 2}"#);
        write("gene_median_dictionary.json", r#"{"ENSG1": 1.5, "ENSG2": 2}"#);
        write("ensembl_mapping_dict.json", r#"{"ENSG1": "ENSG1", "ENSG2": "ENSG2"}"#);
        let random =
            |name: &str| FoundationModel::random(folder.path().join(name), &OpenParams::default(), 7);

        let model = random("tiny.json").unwrap();
        assert_eq!((model.kind(), model.report().dictionaries.len()), (Kind::Geneformer, 3));
        assert_eq!(model.vocabulary().unwrap().n_genes(), 2);
        assert!(model.report().weights.n_parameters > 300 && model.report().releases.is_empty());
        let model = random("args.json").unwrap();
        assert_eq!((model.kind(), model.report().dictionaries.len()), (Kind::Scgpt, 1));
        assert!(model.report().weights.n_parameters > 300 && model.vocabulary().is_none());

        write("token_dictionary.json", r#"{"<pad>": 0, "ENSG1": 1}"#);
        let error = random("tiny.json").unwrap_err().to_string();
        assert!(error.contains('2') && error.contains('3'), "{error}");
        write("tiny.json", r#"{"model_type": "roberta"}"#);
        assert!(random("tiny.json").unwrap_err().to_string().contains("\"roberta\""));
    }
}
