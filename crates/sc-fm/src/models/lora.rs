//! Adapters of low rank (Hu et al. 2021), <https://arxiv.org/abs/2106.09685>, in the files of Hugging Face's `peft`.

mod config;
mod params;

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Tensor};

pub use params::LoraParams;

use self::config::{LoraConfig, Written};
use super::parts::QKV;
use super::{LoadOptions, load};
use crate::Result;
use crate::checkpoint::{self, Adapters, LORA_A, LORA_B, Weights, write_safetensors};
use crate::train::Variables;

/// An adapter of low rank: for some linear layers `A` (`r × in`) and `B` (`out × r`), and layers trained whole. A clone
/// shares its memory.
#[derive(Clone, Debug)]
pub struct LoraAdapter {
    layers: BTreeMap<String, LowRank>,
    /// Tensors of layers trained whole.
    whole: BTreeMap<String, Tensor>,
    dropout: f64,
    task: Option<String>,
}

/// What is added to a layer: `scale · B A`.
#[derive(Clone, Debug)]
struct LowRank {
    a: Tensor,
    b: Tensor,
    scale: f64,
}

const PREFIX: &str = "base_model.model.";

impl LoraAdapter {
    /// From a folder with `adapter_config.json` and `adapter_model.safetensors` (or `.bin`).
    ///
    /// # Errors
    /// [`Error::Read`](super::Error::Read), [`Error::Parse`](super::Error::Parse),
    /// [`Error::Config`](super::Error::Config) for adapters of another kind, and those of [`Weights::open_with`];
    /// [`Missing`](checkpoint::Error::Missing) and [`Shape`](checkpoint::Error::Shape) for matrices that the configuration
    /// does not have so.
    pub fn load(folder: &Path, options: &LoadOptions) -> Result<Self> {
        let folder = load::folder(folder)?;
        let config: LoraConfig = load::config(&folder.join("adapter_config.json"), "a LoRA adapter")?;
        config.validate()?;
        let weights = load::weights(&folder, options)?;
        let bare = |name: &str| Some(name.strip_prefix(PREFIX).unwrap_or(name).to_owned());
        let adapter =
            Self::of_weights(weights.renamed(bare), config.lora_dropout, |layer| Ok(config.of(layer)?))?;
        Ok(Self { task: config.task_type, ..adapter })
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
        Self::of_weights(weights, params.dropout, |_| Ok((params.rank, params.scale())))
    }

    /// * `shape`: the rank of a layer's adapter and its scale.
    fn of_weights(
        mut weights: Weights,
        dropout: f64,
        shape: impl Fn(&str) -> Result<(usize, f64)>,
    ) -> Result<Self> {
        let (mut layers, mut whole) = (BTreeMap::new(), BTreeMap::new());
        let names: Vec<String> = weights.names().map(str::to_owned).collect();
        for layer in names.iter().filter_map(|name| name.strip_suffix(LORA_A)) {
            let (rank, scale) = shape(layer)?;
            let (a, b) = (format!("{layer}{LORA_A}"), format!("{layer}{LORA_B}"));
            let size =
                |name: &str, axis: usize| weights.shape(name).and_then(|shape| shape.get(axis).copied());
            let (inputs, outputs) = (size(&a, 1).unwrap_or(0), size(&b, 0).unwrap_or(0));
            let (a, b) = (weights.take(&a, &[rank, inputs])?, weights.take(&b, &[outputs, rank])?);
            layers.insert(layer.to_owned(), LowRank { a, b, scale });
        }
        for name in weights.names().map(str::to_owned).collect::<Vec<_>>() {
            let shape = weights.shape(&name).unwrap_or_default().to_vec();
            whole.insert(name.clone(), weights.take(&name, &shape)?);
        }
        Ok(Self { layers, whole, dropout, task: None })
    }

    /// Says what the model is for, in `peft`'s words (`CAUSAL_LM`, `SEQ_2_SEQ_LM`), for the file.
    #[must_use]
    pub fn for_task(self, task: impl Into<String>) -> Self {
        Self { task: Some(task.into()), ..self }
    }

    /// The same adapter with the values of variables that a model with it was trained on.
    ///
    /// # Errors
    /// [`Missing`](checkpoint::Error::Missing) for a tensor without a variable, and what the tensor library reports.
    pub fn trained(&self, variables: &Variables) -> Result<Self> {
        let names = variables.iter().map(|(name, _)| name.to_owned());
        let mut weights = Weights::new(names.zip(variables.snapshot()?));
        let mut adapter = self.clone();
        for (layer, low) in &mut adapter.layers {
            low.a = weights.take(&format!("{layer}{LORA_A}"), low.a.dims())?;
            low.b = weights.take(&format!("{layer}{LORA_B}"), low.b.dims())?;
        }
        for (name, tensor) in &mut adapter.whole {
            *tensor = weights.take(name, tensor.dims())?;
        }
        Ok(adapter)
    }

    /// New adapters for the weights of a model, which then computes what it did; see [`LoraParams::put_on`].
    ///
    /// # Errors
    /// As [`LoraParams::put_on`].
    pub fn new(params: &LoraParams, mut weights: Weights, seed: u64) -> Result<Self> {
        params.put_on(&mut weights, seed)?;
        weights.remove_all(|name| !name.ends_with(LORA_A) && !name.ends_with(LORA_B));
        Self::of_weights(weights, params.dropout, |_| Ok((params.rank, params.scale())))
    }

    /// The tensors by the names that they have among the weights of a model, sorted.
    pub fn tensors(&self) -> impl Iterator<Item = (String, &Tensor)> {
        let low = self.layers.iter().flat_map(|(layer, LowRank { a, b, .. })| {
            [(format!("{layer}{LORA_A}"), a), (format!("{layer}{LORA_B}"), b)]
        });
        low.chain(self.whole.iter().map(|(name, tensor)| (name.clone(), tensor)))
    }

    /// What the product of each layer's adapter is multiplied by.
    pub fn scales(&self) -> impl Iterator<Item = f64> {
        self.layers.values().map(|low| low.scale)
    }

    /// The share of an adapter's input that is dropped in training.
    pub fn dropout(&self) -> f64 {
        self.dropout
    }

    /// Names of the layers with an adapter, sorted.
    pub fn layers(&self) -> impl Iterator<Item = &str> {
        self.layers.keys().map(String::as_str)
    }

    /// Writes `adapter_config.json` and `adapter_model.safetensors` into a folder, which is made if it is not there.
    ///
    /// Adapters of a Geneformer or a language model load in `peft` on the Hugging Face model of the same base, layers trained
    /// whole as its `modules_to_save`. Those of an scGPT have names of their own inside the fused projection (`q_proj`,
    /// `k_proj`, `v_proj`), which no layer of PyTorch has: [`LoraAdapter::load`] reads them, `peft` does not.
    ///
    /// * `base`: name or path of the model that the adapter is for, as it shall stand in the file.
    ///
    /// # Errors
    /// [`Error::Folder`](super::Error::Folder), and those of [`write_safetensors`]; with `overwrite` false a file that is there is an error.
    pub fn save(&self, folder: &Path, base: Option<&str>, overwrite: bool) -> Result<()> {
        load::make_folder(folder)?;
        let layers: BTreeMap<String, &LowRank> =
            self.layers.iter().map(|(layer, low)| (peft_name(layer), low)).collect();
        let mut tensors: Vec<(String, &Tensor)> = Vec::new();
        for (layer, LowRank { a, b, .. }) in &layers {
            tensors.push((format!("{PREFIX}{layer}{LORA_A}"), a));
            tensors.push((format!("{PREFIX}{layer}{LORA_B}"), b));
        }
        for (name, tensor) in &self.whole {
            tensors.push((format!("{PREFIX}{}", peft_name(name)), tensor));
        }
        let targets =
            layers.iter().map(|(layer, low)| (layer.as_str(), (low.a.dims()[0], low.scale))).collect();
        let mut whole: Vec<String> = self.whole.keys().map(|name| module(name)).collect();
        whole.dedup();
        let config =
            Written { targets, dropout: self.dropout, whole, task: self.task.as_deref(), base }.json();
        let tensors = tensors.iter().map(|(name, tensor)| (name.as_str(), *tensor));
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
    pub fn put_on(self, weights: &mut Weights) -> Result<()> {
        let mut own = BTreeMap::new();
        for (layer, LowRank { a, b, scale }) in self.layers {
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
            let layer = match rows {
                Some(_) => layer,
                None => name.trim_end_matches(".weight").to_owned(),
            };
            own.insert(format!("{layer}{LORA_A}"), scale);
            weights.insert(format!("{layer}{LORA_A}"), a);
            weights.insert(format!("{layer}{LORA_B}"), b);
        }
        weights.set_adapters(Adapters { scale: 1.0, dropout: self.dropout, own });
        replace_whole(self.whole, weights)
    }

    /// `W + scale · B A` in place of each weight that has an adapter, computed in f32; layers that were trained whole replace
    /// theirs, or come in addition.
    ///
    /// * `weights`: of the model that the adapter was trained on, with the names of its file.
    ///
    /// # Errors
    /// [`Missing`](checkpoint::Error::Missing) and [`Shape`](checkpoint::Error::Shape) if the adapter is none of this
    /// model.
    pub fn merge_into(self, weights: &mut Weights) -> Result<()> {
        for (layer, LowRank { a, b, scale }) in self.layers {
            let (outputs, inputs) = (b.dims()[0], a.dims()[1]);
            let product = (b.matmul(&a)? * scale)?.to_dtype(DType::F32)?;
            let add = |weight: Tensor| {
                let sum = (weight.to_dtype(DType::F32)? + &product)?;
                sum.to_dtype(weight.dtype())
            };
            let (name, part) = place(weights, &layer);
            let merged = match part {
                None => add(weights.take(&name, &[outputs, inputs])?)?,
                Some(part) => {
                    let all = weights.take(&name, &[QKV.len() * outputs, inputs])?;
                    let rows = |i: usize| all.narrow(0, i * outputs, outputs);
                    let rows: candle_core::Result<Vec<Tensor>> =
                        (0..QKV.len()).map(|i| if i == part { add(rows(i)?) } else { rows(i) }).collect();
                    Tensor::cat(&rows?, 0)?
                }
            };
            weights.insert(name, merged);
        }
        replace_whole(self.whole, weights)
    }
}

fn replace_whole(whole: BTreeMap<String, Tensor>, weights: &mut Weights) -> Result<()> {
    for (name, tensor) in whole {
        let name = own_name(weights, &name);
        if weights.contains(&name) {
            weights.take(&name, tensor.dims())?;
        }
        weights.insert(name, tensor);
    }
    Ok(())
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

/// The module of `modules_to_save` that a tensor belongs to: a head whole, of a network's body the layer alone.
fn module(name: &str) -> String {
    let bare = name.strip_prefix("bert.").unwrap_or(name);
    let body = ["model.", "transformer.", "encoder.", "decoder."];
    let is_body = body.iter().any(|body| bare.starts_with(body));
    let parts = if is_body { bare.rsplit_once('.') } else { bare.split_once('.') };
    parts.map_or(bare, |(module, _)| module).to_owned()
}

#[cfg(test)]
mod tests;
