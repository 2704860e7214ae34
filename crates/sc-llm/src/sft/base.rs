//! A model as configuration and tensors: what a training begins with, and what a folder holds.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use candle_core::{DType, Tensor};
use sc_fm::checkpoint::{Weights, write_safetensors};
use sc_fm::models::{LoraAdapter, LoraParams};
use serde_json::Value;

use super::Error;
use crate::models::{Config, LanguageModel, OpenParams};
use crate::{Result, gguf};

/// A model as configuration and tensors of f32, by the names of its file.
#[derive(Clone, Debug)]
pub struct Base {
    config: Value,
    tensors: BTreeMap<String, Tensor>,
}

impl Base {
    /// Reads the model in a folder or a [GGUF file](crate::gguf); numbers of fewer bits become f32.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Json`]; as [`Base::new`] and [`models::open`](crate::models::open).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let folder = path.as_ref();
        let (config, weights) = match gguf::find(folder)? {
            Some(file) => {
                let file = gguf::open(&file)?;
                (gguf::config(&file)?, gguf::weights(file)?)
            }
            None => (config_of(folder)?, Weights::open(folder)?),
        };
        Self::new(config, tensors_of(weights)?)
    }

    /// A model of these tensors. Those that the model leaves out, such as a head that repeats the embedding, are left out
    /// here too: training would make another matrix of it.
    ///
    /// * `config`: as in a `config.json`.
    ///
    /// # Errors
    /// As [`LanguageModel::new`].
    pub fn new(config: Value, tensors: impl IntoIterator<Item = (String, Tensor)>) -> Result<Self> {
        let mut base = Self { config, tensors: tensors.into_iter().collect() };
        let model = base.model(&OpenParams { trainable: true, ..OpenParams::default() })?;
        let report = model.report();
        for ignored in &report.ignored {
            let renamed = report.renamed.iter().find(|renamed| renamed.to == ignored.name);
            base.tensors.remove(renamed.map_or(ignored.name.as_str(), |renamed| renamed.from.as_str()));
        }
        Ok(base)
    }

    /// The same model with other numbers.
    pub(super) fn with(&self, tensors: BTreeMap<String, Tensor>) -> Self {
        Self { config: self.config.clone(), tensors }
    }

    /// The configuration, as in a `config.json`.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// Names and tensors, in the order of the names.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Numbers in all tensors.
    pub fn n_parameters(&self) -> usize {
        self.tensors.values().map(Tensor::elem_count).sum()
    }

    pub(super) fn parsed(&self) -> Result<Config> {
        Ok(Config::from_json(&self.config)?)
    }

    pub(super) fn weights(&self) -> Weights {
        Weights::new(self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.clone())))
    }

    /// The model, to ask.
    ///
    /// # Errors
    /// As [`LanguageModel::new`].
    pub fn model(&self, params: &OpenParams) -> Result<LanguageModel> {
        LanguageModel::new(&self.parsed()?, self.weights(), params)
    }

    /// A new adapter of low rank for this model, to be trained; with it the model computes what it did.
    ///
    /// # Errors
    /// As [`LoraParams::put_on`].
    pub fn new_adapter(&self, params: &LoraParams, seed: u64) -> Result<LoraAdapter> {
        let task = match self.parsed()? {
            Config::T5(_) => "SEQ_2_SEQ_LM",
            _ => "CAUSAL_LM",
        };
        Ok(LoraAdapter::new(params, self.weights(), seed)?.for_task(task))
    }

    /// The model with an adapter beside its weights, to ask.
    ///
    /// # Errors
    /// As [`LoraAdapter::put_on`] and [`LanguageModel::new`].
    pub fn model_with(&self, adapter: &LoraAdapter, params: &OpenParams) -> Result<LanguageModel> {
        let mut weights = self.weights();
        adapter.clone().put_on(&mut weights)?;
        LanguageModel::new(&self.parsed()?, weights, params)
    }

    /// The model with an adapter added to its weights: a plain one, to be saved or trained further.
    ///
    /// # Errors
    /// As [`LoraAdapter::merge_into`] and [`LanguageModel::new`].
    pub fn merged(&self, adapter: &LoraAdapter) -> Result<Self> {
        let mut weights = self.weights();
        adapter.clone().merge_into(&mut weights)?;
        Self::new(self.config.clone(), tensors_of(weights)?)
    }

    /// Writes `config.json` and `model.safetensors` into a folder, which is made if it is not there. With the files of the
    /// model's tokeniser beside them ([`Tokenizer::save`](crate::tokenizer::Tokenizer::save)) the folder is whole.
    ///
    /// # Errors
    /// [`Error::Folder`], those of [`write_safetensors`]; with `overwrite` false a file that is there is an error.
    pub fn save(&self, folder: impl AsRef<Path>, overwrite: bool) -> Result<()> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).map_err(|source| Error::Folder { path: folder.into(), source })?;
        write_safetensors(folder.join("model.safetensors"), self.tensors(), &[], overwrite)?;
        // Keys are written in order, whatever order a map keeps in this build.
        let mut config = self.config.clone();
        config.sort_all_objects();
        let text = format!("{config:#}\n");
        sc_io::atomic::write_aside(folder.join("config.json"), overwrite, |file| {
            file.write_all(text.as_bytes())
        })?;
        Ok(())
    }
}

/// What the `config.json` of a folder says.
fn config_of(folder: &Path) -> Result<Value, Error> {
    let path = folder.join("config.json");
    let text = std::fs::read_to_string(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
    serde_json::from_str(&text).map_err(|source| Error::Json { path, source })
}

/// All tensors of numbers, in f32. Integers are numbers of positions, which no model here asks for.
fn tensors_of(mut weights: Weights) -> Result<Vec<(String, Tensor)>> {
    let names: Vec<String> = weights.names().map(str::to_owned).collect();
    let mut tensors = Vec::new();
    for name in names {
        let shape = weights.shape(&name).unwrap_or_default().to_vec();
        let tensor = weights.take(&name, &shape)?;
        if tensor.dtype().is_float() {
            tensors.push((name, tensor.to_dtype(DType::F32)?));
        }
    }
    Ok(tensors)
}
