//! A classifier in a folder.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};

use super::body::Recipe;
use super::fine_tuned::{FineTuned, Head, Training};
use super::probe::{BIAS, DEVIATION, MEAN, Probe, Scale, WEIGHT, tensor};
use super::{Error, Method};
use crate::Result;
use crate::checkpoint::{Weights, write_safetensors};
use crate::embed::{Choice, EmbedParams, FoundationModel, Network, OpenParams};
use crate::models::{LoraAdapter, LoraParams, write_json};
use crate::train::{EpochRecord, Variables, hash_tensors};

/// The description of a classifier.
const DESCRIPTION: &str = "classifier.json";
/// The number of each class.
const LABELS: &str = "labels.json";
/// The tensors of a probe.
const PROBE: &str = "probe.safetensors";
/// Increased when the files change.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Description {
    format: u32,
    written_by: String,
    model: String,
    /// What is in the folder: the whole model, adapters for it, or a probe.
    holds: Holds,
    method: String,
    lora: Option<LoraParams>,
    classes: Vec<String>,
    seed: u64,
    /// Place in the history of the epoch that was kept.
    best: usize,
    history: Vec<EpochRecord>,
    /// Mode and layer of the embeddings below a probe.
    embedding: Option<(String, String)>,
    /// SHA-256 of the tensors of the model that is not in the folder.
    base: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Holds {
    Model,
    Adapters,
    Probe,
}

impl FineTuned {
    /// Writes the classifier into a folder, which is made if it is not there; [`FineTuned::open`] reads it.
    ///
    /// A tuned model is written as [`FoundationModel::save`] does: a Geneformer loads in Hugging Face's transformers.
    /// Adapters are written as `adapter_config.json` and `adapter_model.safetensors`, those of a Geneformer for `peft`; a
    /// probe as `probe.safetensors`. The model below these is not written. `labels.json` has the number of each class,
    /// `classifier.json` the history of the training.
    ///
    /// # Errors
    /// Files that cannot be written, or, with `overwrite` false, are there.
    pub fn save(&self, folder: impl AsRef<Path>, overwrite: bool) -> Result<()> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder)
            .map_err(|source| sc_io::Error::Io { path: folder.to_owned(), doing: "create", source })
            .map_err(Error::from)?;
        let (holds, embedding) = match &self.head {
            Head::Probe(probe) => {
                save_probe(probe, &folder.join(PROBE), overwrite)?;
                let Choice { mode, layer } = probe.choice;
                (Holds::Probe, Some((mode.to_string(), layer.to_string())))
            }
            Head::Model => match self.adapter()? {
                Some(adapter) => {
                    adapter.save(folder, None, overwrite)?;
                    (Holds::Adapters, None)
                }
                None => {
                    self.model.save(folder, overwrite)?;
                    (Holds::Model, None)
                }
            },
        };
        let labels: BTreeMap<&str, usize> = self.classes.iter().map(String::as_str).zip(0..).collect();
        write_json(folder, LABELS, &serde_json::json!(labels), overwrite)?;
        let base = if holds == Holds::Model { None } else { hash_of_body(&self.model)? };
        let description = Description {
            format: FORMAT,
            written_by: concat!("sc-fm ", env!("CARGO_PKG_VERSION")).to_owned(),
            model: self.model.kind().to_string(),
            holds,
            method: self.training.method.name().to_owned(),
            lora: match &self.training.method {
                Method::Lora(params) => Some(params.clone()),
                _ => None,
            },
            classes: self.classes.clone(),
            seed: self.training.seed,
            best: self.training.best,
            history: self.training.history.clone(),
            embedding,
            base,
        };
        let json = serde_json::to_value(description)
            .map_err(|source| Error::Parse { path: folder.join(DESCRIPTION), source })?;
        Ok(write_json(folder, DESCRIPTION, &json, overwrite)?)
    }

    /// Reads what [`FineTuned::save`] wrote.
    ///
    /// * `base`: the model that adapters or a probe were trained on; not looked at where the folder holds the whole model.
    /// * `params`: how a whole model is opened.
    ///
    /// Data sets are tokenised with the default parameters from then on; see [`FineTuned::with_input`].
    ///
    /// # Errors
    /// [`Error::NoClassifier`], [`Error::Parse`], [`Error::NoBase`]; [`Error::Mismatch`] for another model than the
    /// classifier's, or files of several classifiers; those of [`FoundationModel::open`].
    pub fn open(
        folder: impl AsRef<Path>,
        base: Option<&FoundationModel>,
        params: &OpenParams,
    ) -> Result<Self> {
        let folder = folder.as_ref();
        let path = folder.join(DESCRIPTION);
        if !path.is_file() {
            return Err(Error::NoClassifier { path: folder.to_owned() }.into());
        }
        let described: Description = read_json(&path)?;
        let mismatch = |what, found: String, expected: String| {
            Err(Error::Mismatch { path: folder.to_owned(), what, found, expected }.into())
        };
        if described.format != FORMAT {
            return mismatch("the format", described.format.to_string(), FORMAT.to_string());
        }
        let labels: BTreeMap<String, usize> = read_json(&folder.join(LABELS))?;
        if !labels.iter().map(|(name, &n)| (name, n)).eq(described.classes.iter().zip(0..)) {
            let names = |names: Vec<&String>| format!("{names:?}");
            let found = names(labels.keys().collect());
            return mismatch(
                "the classes of `labels.json`",
                found,
                names(described.classes.iter().collect()),
            );
        }
        if described.best >= described.history.len() {
            let expected = format!("below {}", described.history.len());
            return mismatch("the best epoch", described.best.to_string(), expected);
        }
        let method = match (described.method.as_str(), &described.lora) {
            ("Lora", Some(lora)) => Method::Lora(lora.clone()),
            ("LinearProbe", _) => Method::LinearProbe,
            _ => Method::Full,
        };
        let (model, head) = match described.holds {
            Holds::Model => (FoundationModel::open(folder, params)?, Head::Model),
            holds => {
                let base = base.ok_or_else(|| Error::NoBase { path: folder.to_owned() })?;
                if base.kind().to_string() != described.model {
                    return mismatch("the model", base.kind().to_string(), described.model);
                }
                let (found, expected) = (hash_of_body(base)?, described.base.clone());
                if found != expected {
                    let hash = |hash: Option<String>| hash.unwrap_or_else(|| "none".to_owned());
                    return mismatch("SHA-256 of the model's tensors", hash(found), hash(expected));
                }
                match holds {
                    Holds::Probe => {
                        let choice = described.embedding.as_ref().map(|(mode, layer)| {
                            Ok::<_, crate::Error>(Choice { mode: mode.parse()?, layer: layer.parse()? })
                        });
                        let Some(choice) = choice.transpose()? else {
                            return mismatch("the embedding", "none".to_owned(), "mode and layer".to_owned());
                        };
                        let embed = EmbedParams {
                            mode: Some(choice.mode),
                            layer: Some(choice.layer),
                            ..Default::default()
                        };
                        let width = base.width(&embed)?;
                        let probe = open_probe(&folder.join(PROBE), choice, described.classes.len(), width)?;
                        (base.clone(), Head::Probe(Box::new(probe)))
                    }
                    _ => {
                        let recipe = Recipe::new(base, &described.classes, &method)?;
                        let mut weights = recipe.body()?;
                        LoraAdapter::load(folder, &params.load)?.put_on(&mut weights)?;
                        (recipe.model(recipe.build(&mut weights)?), Head::Model)
                    }
                }
            }
        };
        if let (Head::Model, Some(found)) = (&head, n_classes(&model))
            && found != described.classes.len()
        {
            return mismatch(
                "the number of classes of the head",
                found.to_string(),
                described.classes.len().to_string(),
            );
        }
        if matches!(head, Head::Model) && n_classes(&model).is_none() {
            return mismatch("the head", "none".to_owned(), "a classifier of cells".to_owned());
        }
        let training =
            Training { method, seed: described.seed, history: described.history, best: described.best };
        Ok(Self::new(described.classes, model, head, training, EmbedParams::default()))
    }

    /// The same classifier with its adapters added to the weights of the model, so that the whole can be saved and
    /// fine-tuned further; probabilities agree up to rounding. Without adapters it is the same.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn merged(&self) -> Result<Self> {
        let Some(adapter) = self.adapter()? else { return Ok(self.clone()) };
        let plain = Method::Full;
        let recipe = Recipe::with_adapters(&self.model, &self.classes, &plain)?;
        let mut weights = recipe.body()?;
        weights.remove_all(|name| name.contains(".lora_"));
        adapter.merge_into(&mut weights)?;
        let model = recipe.model(recipe.build(&mut weights)?);
        Ok(Self { model, ..self.clone() })
    }

    /// The adapters with the head, if the model has adapters.
    fn adapter(&self) -> Result<Option<LoraAdapter>> {
        let Method::Lora(params) = &self.training.method else { return Ok(None) };
        let mut weights = match &self.model.network {
            Network::Geneformer { model, .. } if model.source().has_adapters() => model.weights()?,
            Network::Scgpt { model, .. } if model.source().has_adapters() => model.weights()?,
            _ => return Ok(None),
        };
        let heads = ["bert.pooler.", "classifier.", "cls_decoder."];
        weights
            .remove_all(|name| !name.contains(".lora_") && !heads.iter().any(|head| name.starts_with(head)));
        Ok(Some(LoraAdapter::of(params, &Variables::of(&mut weights, |_| true)?)?))
    }
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| sc_io::Error::Io {
        path: path.to_owned(),
        doing: "read",
        source,
    })?;
    serde_json::from_str(&text).map_err(|source| Error::Parse { path: path.to_owned(), source })
}

/// Classes of the head that a model has.
fn n_classes(model: &FoundationModel) -> Option<usize> {
    let (source, name) = match &model.network {
        Network::Geneformer { model, .. } => (model.source(), "classifier.weight"),
        Network::Scgpt { model, .. } => (model.source(), "cls_decoder.out_layer.weight"),
        Network::Scfoundation { .. } => return None,
    };
    source.rows(name)
}

/// SHA-256 of the tensors of a model's body; none of scFoundation.
fn hash_of_body(model: &FoundationModel) -> Result<Option<String>> {
    if matches!(model.network, Network::Scfoundation { .. }) {
        return Ok(None);
    }
    let mut weights = Recipe::with_adapters(model, &[], &Method::Full)?.body()?;
    weights.remove_all(|name| name.contains(".lora_"));
    Ok(Some(hash_tensors(weights.iter())?))
}

fn save_probe(probe: &Probe, path: &Path, overwrite: bool) -> Result<()> {
    let vector = |values: &Array1<f32>| tensor(values.view().insert_axis(ndarray::Axis(0)))?.squeeze(0);
    let tensors = [
        (WEIGHT, tensor(probe.weight.view())?),
        (BIAS, vector(&probe.bias)?),
        (MEAN, vector(&probe.scale.mean)?),
        (DEVIATION, vector(&probe.scale.deviation)?),
    ];
    Ok(write_safetensors(path, tensors.iter().map(|(name, tensor)| (*name, tensor)), &[], overwrite)?)
}

fn open_probe(path: &Path, choice: Choice, n_classes: usize, width: usize) -> Result<Probe> {
    let mut weights = Weights::open(path)?;
    let probe = weights.build(|weights| {
        let mut vector = |name: &str, n: usize| -> Result<Array1<f32>> {
            // A tensor that is missing is told by `build`, and has no values of its own.
            Ok(Array1::from_vec(weights.take(name, &[n])?.contiguous()?.to_vec1()?))
        };
        let bias = vector(BIAS, n_classes)?;
        let scale = Scale { mean: vector(MEAN, width)?, deviation: vector(DEVIATION, width)? };
        let weight = weights.take(WEIGHT, &[n_classes, width])?.contiguous()?.flatten_all()?.to_vec1()?;
        let weight =
            Array2::from_shape_vec((n_classes, width), weight).expect("as many values as the shape has");
        Ok::<_, crate::Error>(Probe { choice, scale, weight, bias })
    })?;
    Ok(probe)
}
