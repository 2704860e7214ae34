//! Adapters of low rank (Hu et al. 2021), <https://arxiv.org/abs/2106.09685>, in the files of Hugging Face's `peft`.

mod config;
mod params;

use std::path::Path;

use candle_core::Tensor;

pub use params::LoraParams;

use self::config::{LoraConfig, Written};
use super::parts::{LORA_A, LORA_B, QKV};
use super::{LoadOptions, load};
use crate::Result;
use crate::checkpoint::{self, Adapters, Weights, write_safetensors};
use crate::train::Variables;

/// An adapter of low rank: for some linear layers `A` (`r × in`) and `B` (`out × r`), and layers trained whole.
#[derive(Debug)]
pub struct LoraAdapter {
    r: usize,
    scale: f64,
    dropout: f64,
    weights: Weights,
}

const PREFIX: &str = "base_model.model.";

impl LoraAdapter {
    /// From a folder with `adapter_config.json` and `adapter_model.safetensors` (or `.bin`).
    ///
    /// # Errors
    /// [`Error::Read`](super::Error::Read), [`Error::Parse`](super::Error::Parse),
    /// [`Error::Config`](super::Error::Config) for adapters of another kind, and those of [`Weights::open_with`].
    pub fn load(folder: &Path, options: &LoadOptions) -> Result<Self> {
        let folder = load::folder(folder)?;
        let config: LoraConfig = load::config(&folder.join("adapter_config.json"), "a LoRA adapter")?;
        config.validate()?;
        let weights = load::weights(&folder, options)?;
        let bare = |name: &str| Some(name.strip_prefix(PREFIX).unwrap_or(name).to_owned());
        let (r, scale, dropout) = (config.r, config.scale(), config.lora_dropout);
        Ok(Self { r, scale, dropout, weights: weights.renamed(bare) })
    }

    /// What was trained of a model with adapters: a copy of the variables, which further steps do not change.
    ///
    /// * `params`: with which the adapters were made.
    ///
    /// # Errors
    /// Those of [`LoraParams::validate`], and what the tensor library reports.
    pub fn of(params: &LoraParams, variables: &Variables) -> Result<Self> {
        params.validate()?;
        let names = variables.iter().map(|(name, _)| name.to_owned());
        let weights = Weights::new(names.zip(variables.snapshot()?));
        let scale = params.alpha / params.rank as f64;
        Ok(Self { r: params.rank, scale, dropout: params.dropout, weights })
    }

    /// Writes `adapter_config.json` and `adapter_model.safetensors` into a folder, which is made if it is not there.
    ///
    /// Adapters of a Geneformer load in `peft` on the Hugging Face model of the same base, layers trained whole as its
    /// `modules_to_save`. Those of an scGPT have names of their own inside the fused projection (`q_proj`, `k_proj`,
    /// `v_proj`), which no layer of PyTorch has: [`LoraAdapter::load`] reads them, `peft` does not.
    ///
    /// * `base`: name or path of the model that the adapter is for, as it shall stand in the file.
    ///
    /// # Errors
    /// [`Error::Folder`](super::Error::Folder), and those of [`write_safetensors`]; with `overwrite` false a file that is there is an error.
    pub fn save(&self, folder: &Path, base: Option<&str>, overwrite: bool) -> Result<()> {
        load::make_folder(folder)?;
        let tensors: Vec<(String, &Tensor)> =
            self.weights.iter().map(|(name, tensor)| (peft_name(name), tensor)).collect();
        let layer = |name: &str| name.strip_suffix(LORA_A).map(str::to_owned);
        let targets = tensors.iter().filter_map(|(name, _)| layer(name)).collect();
        let mut whole: Vec<String> = tensors.iter().filter_map(|(name, _)| module(name)).collect();
        whole.dedup();
        let (r, scale, dropout) = (self.r, self.scale, self.dropout);
        let config = Written { r, scale, dropout, targets, whole, base }.json();
        let names: Vec<String> = tensors.iter().map(|(name, _)| format!("{PREFIX}{name}")).collect();
        let tensors = names.iter().map(String::as_str).zip(tensors.iter().map(|(_, tensor)| *tensor));
        write_safetensors(folder.join("adapter_model.safetensors"), tensors, &[], overwrite)?;
        Ok(load::write_json(folder, "adapter_config.json", &config, overwrite)?)
    }

    /// Gives the weights of a model the adapters to train on: a model built of them then has them. Layers that were
    /// trained whole replace theirs, or come in addition.
    ///
    /// * `weights`: of the model that the adapter was trained on, with the names of its file.
    ///
    /// # Errors
    /// [`Missing`](checkpoint::Error::Missing) and [`Shape`](checkpoint::Error::Shape) if the adapter is none of this
    /// model.
    pub fn put_on(mut self, weights: &mut Weights) -> Result<()> {
        weights.set_adapters(Adapters { scale: self.scale, dropout: self.dropout });
        for layer in self.layers() {
            let (a, b) = self.take(&layer)?;
            // The layer must be there, in its shape.
            let (name, rows) = place(weights, &layer);
            let found = weights.shape(&name).map(<[usize]>::to_vec);
            let mut expected = vec![b.dims()[0], a.dims()[1]];
            if rows.is_some() {
                expected[0] *= QKV.len();
            }
            match found {
                Some(found) if found == expected => {}
                Some(found) => return Err(checkpoint::Error::Shape { name, found, expected }.into()),
                None => return Err(checkpoint::Error::Missing { name, expected, nearest: None }.into()),
            }
            let own = match rows {
                Some(_) => layer,
                None => name.trim_end_matches(".weight").to_owned(),
            };
            weights.insert(format!("{own}{LORA_A}"), a);
            weights.insert(format!("{own}{LORA_B}"), b);
        }
        self.replace_whole(weights)
    }

    /// `W + scale · B A` in place of each weight that has an adapter; layers that were trained whole replace theirs, or
    /// come in addition.
    ///
    /// * `weights`: of the model that the adapter was trained on, with the names of its file.
    ///
    /// # Errors
    /// [`Missing`](checkpoint::Error::Missing) and [`Shape`](checkpoint::Error::Shape) if the adapter is none of this
    /// model.
    pub fn merge_into(mut self, weights: &mut Weights) -> Result<()> {
        for layer in self.layers() {
            let (a, b) = self.take(&layer)?;
            let (outputs, inputs) = (b.dims()[0], a.dims()[1]);
            let product = (b.matmul(&a)? * self.scale)?;
            let (name, part) = place(weights, &layer);
            let merged = match part {
                None => (weights.take(&name, &[outputs, inputs])? + product)?,
                Some(part) => {
                    let all = weights.take(&name, &[QKV.len() * outputs, inputs])?;
                    let rows = |i: usize| all.narrow(0, i * outputs, outputs);
                    let rows: candle_core::Result<Vec<Tensor>> = (0..QKV.len())
                        .map(|i| if i == part { rows(i)? + &product } else { rows(i) })
                        .collect();
                    Tensor::cat(&rows?, 0)?
                }
            };
            weights.insert(name, merged);
        }
        self.replace_whole(weights)
    }

    /// The layers with an adapter, sorted.
    fn layers(&self) -> Vec<String> {
        self.weights.names().filter_map(|name| name.strip_suffix(LORA_A)).map(str::to_owned).collect()
    }

    /// The matrices of a layer's adapter.
    fn take(&mut self, layer: &str) -> Result<(Tensor, Tensor)> {
        let (a, b) = (format!("{layer}{LORA_A}"), format!("{layer}{LORA_B}"));
        let size =
            |name: &str, axis: usize| self.weights.shape(name).and_then(|shape| shape.get(axis).copied());
        let (inputs, outputs) = (size(&a, 1).unwrap_or(0), size(&b, 0).unwrap_or(0));
        Ok((self.weights.take(&a, &[self.r, inputs])?, self.weights.take(&b, &[outputs, self.r])?))
    }

    fn replace_whole(&mut self, weights: &mut Weights) -> Result<()> {
        let whole: Vec<String> = self.weights.names().map(str::to_owned).collect();
        for name in whole {
            let shape = self.weights.shape(&name).unwrap_or_default().to_vec();
            let tensor = self.weights.take(&name, &shape)?;
            let name = own_name(weights, &name);
            if weights.contains(&name) {
                weights.take(&name, &shape)?;
            }
            weights.insert(name, tensor);
        }
        Ok(())
    }
}

/// The name that a tensor has among the weights: with `bert.` in front, or without.
fn own_name(weights: &Weights, name: &str) -> String {
    let bare = name.strip_prefix("bert.").unwrap_or(name);
    let prefixed = format!("bert.{bare}");
    let found = [name, bare, &prefixed].into_iter().find(|name| weights.contains(name));
    found.unwrap_or(name).to_owned()
}

/// The weight of a layer, and which third of it the layer is, if it is part of a fused projection.
fn place(weights: &Weights, layer: &str) -> (String, Option<usize>) {
    let third = (0..).zip(QKV).find_map(|(i, part)| Some((i, layer.strip_suffix(part)?.strip_suffix('.')?)));
    if let Some((i, attention)) = third
        && let Some(name) = weights.names().find(|name| params::fused(name) == Some(attention))
    {
        return (name.to_owned(), Some(i));
    }
    (own_name(weights, &format!("{layer}.weight")), None)
}

/// The name in Hugging Face's models, which have `bert.` in front of what is not a head.
fn peft_name(name: &str) -> String {
    let is_body = ["embeddings.", "encoder.layer.", "pooler."].iter().any(|part| name.starts_with(part));
    if is_body { format!("bert.{name}") } else { name.to_owned() }
}

/// The module of `modules_to_save` that a tensor belongs to; none for one of an adapter.
fn module(name: &str) -> Option<String> {
    if name.ends_with(LORA_A) || name.ends_with(LORA_B) {
        return None;
    }
    name.strip_prefix("bert.").unwrap_or(name).split('.').next().map(str::to_owned)
}

#[cfg(test)]
mod tests;
