//! A classifier in a folder.

mod genes;
mod tasks;

use std::path::Path;

use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};

use super::body::{Recipe, Top, with_body};
use super::fine_tuned::{FineTuned, Head};
use super::gene_data::GeneReport;
use super::probe::{BIAS, DEVIATION, MEAN, Probe, Scale, WEIGHT, tensor};
use super::trained::Training;
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
const FORMAT: u32 = 2;

#[derive(Serialize, Deserialize)]
struct Description {
    format: u32,
    written_by: String,
    model: String,
    classifies: Classifies,
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
    /// How data sets are tokenised.
    input: EmbedParams,
    /// What became of the genes that a classifier of genes was given.
    genes: Option<GeneReport>,
    /// Name and classes of each of several tasks.
    tasks: Option<Vec<(String, Vec<String>)>>,
    /// SHA-256 of the tensors of the model that is not in the folder.
    base: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Classifies {
    Cells,
    Genes,
    Tasks,
}

impl Classifies {
    fn name(self) -> &'static str {
        match self {
            Self::Cells => "cells",
            Self::Genes => "genes",
            Self::Tasks => "cells, for several tasks",
        }
    }
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
        create(folder)?;
        let (holds, embedding) = match &self.head {
            Head::Probe(probe) => {
                save_probe(probe, &folder.join(PROBE), overwrite)?;
                let Choice { mode, layer } = probe.choice;
                (Holds::Probe, Some((mode.to_string(), layer.to_string())))
            }
            Head::Model => (save_model(&self.model, &self.training.method, folder, overwrite)?, None),
        };
        let described = Description {
            embedding,
            ..Description::new(
                Classifies::Cells,
                &self.model,
                holds,
                &self.training,
                &self.classes,
                &self.input,
            )?
        };
        described.write(folder, overwrite)
    }

    /// Reads what [`FineTuned::save`] wrote.
    ///
    /// * `base`: the model that adapters or a probe were trained on; not looked at where the folder holds the whole model.
    /// * `params`: how a whole model is opened.
    ///
    /// Data sets are tokenised as the training cells were, but for [`EmbedParams::memory`], which is of the machine; see
    /// [`FineTuned::with_input`].
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
        let described = Description::read(folder, Classifies::Cells)?;
        let (model, head) = match described.holds {
            Holds::Probe => {
                let base = described.base(folder, base)?;
                let Some((mode, layer)) = &described.embedding else {
                    return Err(mismatch(folder, "the embedding", "none", "mode and layer").into());
                };
                let choice = Choice { mode: mode.parse()?, layer: layer.parse()? };
                let (mode, layer) = (Some(choice.mode), Some(choice.layer));
                let width = base.width(&EmbedParams { mode, layer, ..Default::default() })?;
                let probe = open_probe(&folder.join(PROBE), choice, described.classes.len(), width)?;
                (base.clone(), Head::Probe(Box::new(probe)))
            }
            _ => (described.open_model(folder, base, params, Top::Cells(&described.classes))?, Head::Model),
        };
        let (training, input) = described.training(folder)?;
        Ok(Self { classes: described.classes, model, head, training, input })
    }

    /// The same classifier with its adapters added to the weights of the model, so that the whole can be saved and
    /// fine-tuned further; probabilities agree up to rounding. Without adapters it is the same.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn merged(&self) -> Result<Self> {
        let model = merged(&self.model, &self.training.method, Top::Cells(&self.classes))?;
        Ok(Self { model, ..self.clone() })
    }
}

impl Description {
    fn new(
        classifies: Classifies,
        model: &FoundationModel,
        holds: Holds,
        training: &Training,
        classes: &[String],
        input: &EmbedParams,
    ) -> Result<Self> {
        Ok(Self {
            format: FORMAT,
            written_by: concat!("sc-fm ", env!("CARGO_PKG_VERSION")).to_owned(),
            model: model.kind().to_string(),
            classifies,
            holds,
            method: training.method.name().to_owned(),
            lora: match &training.method {
                Method::Lora(params) => Some(params.clone()),
                _ => None,
            },
            classes: classes.to_vec(),
            seed: training.seed,
            best: training.best,
            history: training.history.clone(),
            embedding: None,
            input: input.clone(),
            genes: None,
            tasks: None,
            base: if holds == Holds::Model { None } else { hash_of_body(model)? },
        })
    }

    /// Writes it, and the number of each class.
    fn write(&self, folder: &Path, overwrite: bool) -> Result<()> {
        write_json(folder, LABELS, &self.labels(), overwrite)?;
        let json = serde_json::to_value(self)
            .map_err(|source| Error::Parse { path: folder.join(DESCRIPTION), source })?;
        Ok(write_json(folder, DESCRIPTION, &json, overwrite)?)
    }

    /// The number of each class; of several tasks for each task.
    fn labels(&self) -> serde_json::Value {
        let numbers = |classes: &[String]| {
            classes
                .iter()
                .zip(0u64..)
                .map(|(class, n)| (class.clone(), n.into()))
                .collect::<serde_json::Map<_, _>>()
        };
        match &self.tasks {
            None => numbers(&self.classes).into(),
            Some(tasks) => {
                let tasks = tasks.iter().map(|(name, classes)| (name.clone(), numbers(classes).into()));
                tasks.collect::<serde_json::Map<_, _>>().into()
            }
        }
    }

    fn read(folder: &Path, expected: Classifies) -> Result<Self, Error> {
        let path = folder.join(DESCRIPTION);
        if !path.is_file() {
            return Err(Error::NoClassifier { path: folder.to_owned() });
        }
        // The format alone first: another one may have other fields.
        let json: serde_json::Value = read_json(&path)?;
        if let Some(found) = json.get("format").filter(|found| **found != FORMAT) {
            return Err(mismatch(folder, "the format", found, FORMAT));
        }
        let described: Self = serde_json::from_value(json).map_err(|source| Error::Parse { path, source })?;
        if described.classifies != expected {
            let (found, expected) = (described.classifies.name(), expected.name());
            return Err(mismatch(folder, "what it classifies", found, expected));
        }
        let (labels, expected): (serde_json::Value, _) =
            (read_json(&folder.join(LABELS))?, described.labels());
        if labels != expected {
            return Err(mismatch(folder, "`labels.json`", labels, expected));
        }
        Ok(described)
    }

    fn training(&self, folder: &Path) -> Result<(Training, EmbedParams), Error> {
        let (best, history) = (self.best, self.history.clone());
        if best >= history.len() {
            return Err(mismatch(folder, "the best epoch", best, format!("below {}", history.len())));
        }
        Ok((Training { method: self.method(), seed: self.seed, history, best }, self.input.clone()))
    }

    fn method(&self) -> Method {
        match (self.method.as_str(), &self.lora) {
            ("Lora", Some(lora)) => Method::Lora(lora.clone()),
            ("LinearProbe", _) => Method::LinearProbe,
            _ => Method::Full,
        }
    }

    /// The model that was trained on, which is not in the folder.
    fn base<'b>(&self, folder: &Path, base: Option<&'b FoundationModel>) -> Result<&'b FoundationModel> {
        let base = base.ok_or_else(|| Error::NoBase { path: folder.to_owned() })?;
        if base.kind().to_string() != self.model {
            return Err(mismatch(folder, "the model", base.kind(), &self.model).into());
        }
        let found = hash_of_body(base)?;
        if found != self.base {
            let hash = |hash: &Option<String>| hash.clone().unwrap_or_else(|| "none".to_owned());
            return Err(
                mismatch(folder, "SHA-256 of the model's tensors", hash(&found), hash(&self.base)).into()
            );
        }
        Ok(base)
    }

    /// The model, whole or of a base and adapters.
    fn open_body(
        &self,
        folder: &Path,
        base: Option<&FoundationModel>,
        params: &OpenParams,
        top: Top<'_>,
    ) -> Result<FoundationModel> {
        match self.holds {
            Holds::Model => FoundationModel::open(folder, params),
            _ => {
                let base = self.base(folder, base)?;
                let method = self.method();
                let recipe = Recipe::new(base, top, &method)?;
                let mut weights = recipe.body()?;
                LoraAdapter::load(folder, &params.load)?.put_on(&mut weights)?;
                Ok(with_body(base, recipe.build(&mut weights)?))
            }
        }
    }

    /// The model with its head, which must be the one that is described.
    fn open_model(
        &self,
        folder: &Path,
        base: Option<&FoundationModel>,
        params: &OpenParams,
        top: Top<'_>,
    ) -> Result<FoundationModel> {
        let model = self.open_body(folder, base, params, top)?;
        let expected = self.classes.len();
        match head_of(&model) {
            Some((classifies, _)) if classifies != self.classifies => {
                let (found, expected) = (classifies.name(), self.classifies.name());
                Err(mismatch(folder, "what the head classifies", found, expected).into())
            }
            Some((_, found)) if found != expected => {
                Err(mismatch(folder, "the number of classes of the head", found, expected).into())
            }
            Some(_) => Ok(model),
            None => {
                let expected = format!("a classifier of {}", self.classifies.name());
                Err(mismatch(folder, "the head", "none", expected).into())
            }
        }
    }
}

fn mismatch(folder: &Path, what: &'static str, found: impl ToString, expected: impl ToString) -> Error {
    Error::Mismatch {
        path: folder.to_owned(),
        what,
        found: found.to_string(),
        expected: expected.to_string(),
    }
}

fn create(folder: &Path) -> Result<(), Error> {
    let failed = |source| sc_io::Error::Io { path: folder.to_owned(), doing: "create", source };
    Ok(std::fs::create_dir_all(folder).map_err(failed)?)
}

/// Writes a model, or the adapters that it has.
fn save_model(model: &FoundationModel, method: &Method, folder: &Path, overwrite: bool) -> Result<Holds> {
    match adapter(model, method)? {
        Some(adapter) => {
            adapter.save(folder, None, overwrite)?;
            Ok(Holds::Adapters)
        }
        None => {
            model.save(folder, overwrite)?;
            Ok(Holds::Model)
        }
    }
}

/// A model with its adapters added to its weights.
fn merged(model: &FoundationModel, method: &Method, top: Top<'_>) -> Result<FoundationModel> {
    let Some(adapter) = adapter(model, method)? else { return Ok(model.clone()) };
    let plain = Method::Full;
    let recipe = Recipe::with_adapters(model, top, &plain)?;
    let mut weights = recipe.body()?;
    weights.remove_all(|name| name.contains(".lora_"));
    adapter.merge_into(&mut weights)?;
    Ok(with_body(model, recipe.build(&mut weights)?))
}

/// The adapters with the head, if the model has adapters.
fn adapter(model: &FoundationModel, method: &Method) -> Result<Option<LoraAdapter>> {
    let Method::Lora(params) = method else { return Ok(None) };
    let mut weights = match &model.network {
        Network::Geneformer { model, .. } if model.source().has_adapters() => model.weights()?,
        Network::Scgpt { model, .. } if model.source().has_adapters() => model.weights()?,
        _ => return Ok(None),
    };
    let heads = ["bert.pooler.", "classifier.", "cls_decoder."];
    weights.remove_all(|name| !name.contains(".lora_") && !heads.iter().any(|head| name.starts_with(head)));
    Ok(Some(LoraAdapter::of(params, &Variables::of(&mut weights, |_| true)?)?))
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| sc_io::Error::Io {
        path: path.to_owned(),
        doing: "read",
        source,
    })?;
    serde_json::from_str(&text).map_err(|source| Error::Parse { path: path.to_owned(), source })
}

/// What the head of a model classifies, and how many classes it has.
fn head_of(model: &FoundationModel) -> Option<(Classifies, usize)> {
    match &model.network {
        Network::Geneformer { model, .. } => {
            let of_cells = model.source().names().any(|name| name.starts_with("pooler."));
            let classifies = if of_cells { Classifies::Cells } else { Classifies::Genes };
            Some((classifies, model.source().rows("classifier.weight")?))
        }
        Network::Scgpt { model, .. } => {
            Some((Classifies::Cells, model.source().rows("cls_decoder.out_layer.weight")?))
        }
        Network::Scfoundation { .. } => None,
    }
}

/// SHA-256 of the tensors of a model's body; none of scFoundation.
fn hash_of_body(model: &FoundationModel) -> Result<Option<String>> {
    if matches!(model.network, Network::Scfoundation { .. }) {
        return Ok(None);
    }
    let mut weights = Recipe::with_adapters(model, Top::Cells(&[]), &Method::Full)?.body()?;
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
