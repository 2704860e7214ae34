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
    /// * `params`: where the dictionaries are; beside the configuration by default; the precision of products. Weights are `F32`.
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
        let (network, kind, dictionaries) = if described.get("embsize").is_some() {
            let (vocabulary, file) = scgpt_vocabulary(told)?;
            let config = ScgptConfig::read(path)?;
            let input = scgpt_input(path, &config)?;
            let specials = Specials { pad: vocabulary.pad(), cls: vocabulary.cls() };
            let mut weights = Scgpt::random_weights(&config, vocabulary.n_tokens(), seed)?;
            let model =
                Scgpt::from_weights(config, vocabulary.n_tokens(), specials, &mut weights, precision)?;
            let model = Box::new(model);
            (Network::Scgpt { model, vocabulary, input }, Kind::Scgpt, vec![file])
        } else {
            match described.get("model_type").and_then(|name| name.as_str()) {
                None | Some("bert") => {}
                Some(found) => {
                    let (path, found) = (path.to_owned(), found.to_owned());
                    return Err(Error::OtherModel { path, found }.into());
                }
            }
            let config = GeneformerConfig::read(path)?;
            let (vocabulary, files) =
                vocabulary_in(&[told.to_owned()], config.vocab_size, params.series.as_deref())?;
            vocabulary.check_size(config.vocab_size)?;
            let mut weights = Geneformer::random_weights(&config, seed, &Device::Cpu)?;
            let format = InputFormat::of(&vocabulary);
            let model = Box::new(Geneformer::from_weights(config, format, &mut weights, precision)?);
            (Network::Geneformer { model, vocabulary }, Kind::Geneformer, files)
        };
        Ok(Self { network, report: LoadReport { dictionaries, ..LoadReport::in_memory(kind) } })
    }

    /// The dictionaries of a Geneformer; none of the other models.
    pub fn vocabulary(&self) -> Option<&Vocabulary> {
        match &self.network {
            Network::Geneformer { vocabulary, .. } => Some(vocabulary),
            _ => None,
        }
    }
}
