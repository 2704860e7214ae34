//! Language models in this process: GPT-Neo, OPT, Phi, Qwen2 and T5.
//!
//! [`open`] picks the architecture from a folder's `config.json`, or from the metadata of a [GGUF file](crate::gguf). A
//! [`State`] is a text that the model has read; its clones share memory, so a prompt's common beginning is read once, and
//! thousands of texts go on from there. Texts lie one after another without padding, and what the model says of one has the
//! same bits in any company, in any number of steps, on any number of threads.
//!
//! All of that is of the processor. [`OpenParams::compute`] puts a model on an NVIDIA GPU instead, where the same holds to a
//! tolerance: [`Compute`] says what is known of it.

mod checks;
mod config;
mod decoder;
mod drops;
mod error;
mod gpt_neo;
mod label_scores;
mod opt;
mod parts;
mod phi;
mod qwen2;
mod read;
mod t5;

use std::path::{Path, PathBuf};

use sc_fm::checkpoint::{self, Report, Weights, hub};
pub use sc_fm::compute::Compute;
use sc_fm::models::{LoadOptions, LoraAdapter};
use sc_fm::nn::gemm::Precision;
use serde::Deserialize;

pub use error::Error;
pub use gpt_neo::GptNeoConfig;
pub use label_scores::Scoring;
pub use opt::OptConfig;
pub use phi::PhiConfig;
pub use qwen2::Qwen2Config;
pub use read::{State, Vocabulary};
pub use t5::{Side, T5Config};

pub(crate) use self::config::Sizes;
use self::decoder::Decoder;
pub(crate) use self::drops::Drops;
use self::parts::{Parts, Place, Source};
use self::t5::T5;
use crate::{Result, gguf};

/// How a model is opened.
#[derive(Clone, Debug, Default)]
pub struct OpenParams {
    /// How exact products are, and so what weights are held in. Default: errors of single precision, in the fastest way
    /// that there is. Weights that a GGUF file has in blocks stay in these, whatever is asked for.
    pub precision: Precision,
    /// Whether weights stay in memory beside the copies that products read, so that gradients by what goes into a layer
    /// can be computed. Default: no, which halves the memory.
    pub trainable: bool,
    /// Where the model computes. Default: on the processor. Elsewhere weights are f32, f16 or bf16, whatever a file has them in,
    /// and nothing is trained.
    pub compute: Compute,
}

/// A model that reads texts and says what may follow.
#[derive(Debug)]
pub struct LanguageModel {
    architecture: Architecture,
    limits: Limits,
    network: Network,
    compute: Compute,
    report: Report,
}

/// The layers of a model.
#[derive(Clone, Debug)]
enum Network {
    Decoder(Box<Decoder>),
    T5(Box<T5>),
}

/// The architectures known here, by the `model_type` of their configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Architecture {
    /// `gpt_neo`.
    GptNeo,
    /// `opt`.
    Opt,
    /// `phi`.
    Phi,
    /// `qwen2`.
    Qwen2,
    /// `t5`.
    T5,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::GptNeo, Self::Opt, Self::Phi, Self::Qwen2, Self::T5];

    /// The name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::GptNeo => "gpt_neo",
            Self::Opt => "opt",
            Self::Phi => "phi",
            Self::Qwen2 => "qwen2",
            Self::T5 => "t5",
        }
    }
}

/// What a model can take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    vocab_size: usize,
    max_positions: Option<usize>,
}

/// The configuration of any architecture.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Config {
    /// Of a GPT-Neo.
    GptNeo(GptNeoConfig),
    /// Of an OPT.
    Opt(OptConfig),
    /// Of a Phi.
    Phi(PhiConfig),
    /// Of a Qwen2.
    Qwen2(Qwen2Config),
    /// Of a T5.
    T5(T5Config),
}

#[derive(Deserialize)]
struct Kind {
    model_type: String,
}

impl Config {
    /// Reads a `config.json`, in the form of the hub or of transformers 5.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Parse`], [`Error::Architecture`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let Kind { model_type } = config::read(path, "a language model")?;
        match Self::known(model_type)? {
            Architecture::GptNeo => config::read(path, "GPT-Neo").map(Self::GptNeo),
            Architecture::Opt => config::read(path, "OPT").map(Self::Opt),
            Architecture::Phi => config::read(path, "Phi").map(Self::Phi),
            Architecture::Qwen2 => config::read(path, "Qwen2").map(Self::Qwen2),
            Architecture::T5 => config::read(path, "T5").map(Self::T5),
        }
    }

    /// As [`read`](Self::read), of what such a file says.
    ///
    /// # Errors
    /// Those of [`read`](Self::read), with `config.json` for the file.
    pub fn from_json(json: &serde_json::Value) -> Result<Self, Error> {
        let parsed = |source| Error::Parse { path: "config.json".into(), model: "a language model", source };
        let Kind { model_type } = Kind::deserialize(json).map_err(parsed)?;
        match Self::known(model_type)? {
            Architecture::GptNeo => GptNeoConfig::deserialize(json).map(Self::GptNeo),
            Architecture::Opt => OptConfig::deserialize(json).map(Self::Opt),
            Architecture::Phi => PhiConfig::deserialize(json).map(Self::Phi),
            Architecture::Qwen2 => Qwen2Config::deserialize(json).map(Self::Qwen2),
            Architecture::T5 => T5Config::deserialize(json).map(Self::T5),
        }
        .map_err(parsed)
    }

    fn known(model_type: String) -> Result<Architecture, Error> {
        let known = Architecture::ALL.into_iter().find(|architecture| architecture.name() == model_type);
        known.ok_or(Error::Architecture {
            found: model_type,
            known: Architecture::ALL.map(Architecture::name).to_vec(),
        })
    }

    /// Which architecture it is of.
    pub fn architecture(&self) -> Architecture {
        match self {
            Self::GptNeo(_) => Architecture::GptNeo,
            Self::Opt(_) => Architecture::Opt,
            Self::Phi(_) => Architecture::Phi,
            Self::Qwen2(_) => Architecture::Qwen2,
            Self::T5(_) => Architecture::T5,
        }
    }

    /// The weights by the names of today.
    fn renamed(&self, weights: Weights) -> Weights {
        match self {
            Self::Opt(_) => weights.renamed(opt::rename),
            _ => weights,
        }
    }

    /// Rows of the embedding.
    pub(crate) fn vocab_size(&self) -> usize {
        self.limits().vocab_size
    }

    fn limits(&self) -> Limits {
        match self {
            Self::GptNeo(config) => config.limits(),
            Self::Opt(config) => config.limits(),
            Self::Phi(config) => config.limits(),
            Self::Qwen2(config) => config.limits(),
            Self::T5(config) => config.limits(),
        }
    }

    fn build(&self, parts: &mut Parts<'_>) -> Result<Network> {
        let decoder = match self {
            Self::GptNeo(config) => config.build(parts),
            Self::Opt(config) => config.build(parts),
            Self::Phi(config) => config.build(parts),
            Self::Qwen2(config) => config.build(parts),
            Self::T5(config) => return Ok(Network::T5(Box::new(config.build(parts)?))),
        };
        Ok(Network::Decoder(Box::new(decoder?)))
    }
}

/// Opens the model in a folder, in a model's folder of a hub cache, or in a [GGUF file](crate::gguf).
///
/// # Errors
/// [`Error`], [`gguf::Error`], [`checkpoint::Error`] for weights that are not those of the configuration, and
/// [`sc_fm::compute::Error`] where the model cannot compute where it shall.
pub fn open(path: impl AsRef<Path>, params: &OpenParams) -> Result<LanguageModel> {
    let (config, weights) = files(path.as_ref(), params)?;
    LanguageModel::new(&config, weights, params)
}

/// [`open`], with an adapter of low rank beside its weights: a folder in the form of Hugging Face's `peft`. The weights stay
/// as they are, in blocks if they are; [`Base::merged`](crate::sft::Base::merged) adds the adapter to them.
///
/// # Errors
/// As [`open`]; those of [`LoraAdapter::load`] and [`LoraAdapter::put_on`] for options that change what an adapter
/// computes in other ways, and for an adapter of another model.
pub fn open_with_adapter(
    path: impl AsRef<Path>,
    adapter: impl AsRef<Path>,
    params: &OpenParams,
) -> Result<LanguageModel> {
    let (config, weights) = files(path.as_ref(), params)?;
    let mut weights = config.renamed(weights);
    LoraAdapter::load(adapter.as_ref(), &LoadOptions::default())?.put_on(&mut weights)?;
    LanguageModel::new(&config, weights, params)
}

/// Opens a model from a configuration, and weights that may lie elsewhere: a folder or a file.
///
/// # Errors
/// As [`open`].
pub fn open_files(config: &Path, weights: &Path, params: &OpenParams) -> Result<LanguageModel> {
    LanguageModel::new(&Config::read(config)?, read_weights(weights, params)?, params)
}

/// Configuration and weights of a model.
fn files(path: &Path, params: &OpenParams) -> Result<(Config, Weights)> {
    if let Some(file) = gguf::find(path)? {
        let file = gguf::open(&file)?;
        return Ok((Config::from_json(&gguf::config(&file)?)?, gguf::weights(file)?));
    }
    let folder: PathBuf = match path.join("snapshots").is_dir() {
        true => hub::resolve(path, "main")?.path,
        false => path.to_owned(),
    };
    Ok((Config::read(&folder.join("config.json"))?, read_weights(&folder, params)?))
}

fn read_weights(path: &Path, params: &OpenParams) -> Result<Weights> {
    let open = checkpoint::OpenParams::default();
    // One tensor after another is packed and let go.
    Ok(match params.trainable {
        true => Weights::open_with(path, &open)?,
        false => Weights::open_deferred(path, &open)?,
    })
}

impl LanguageModel {
    /// A model of these weights. Variables stay variables, so a model built of them can be trained.
    ///
    /// # Errors
    /// As [`open`].
    pub fn new(config: &Config, weights: Weights, params: &OpenParams) -> Result<Self> {
        let mut weights = config.renamed(weights);
        let network = weights.build(|weights| Self::network(config, Source::Weights(weights), params))?;
        let (architecture, limits) = (config.architecture(), config.limits());
        Ok(Self { architecture, limits, network, compute: params.compute, report: weights.report() })
    }

    /// A model of random weights, to measure time and memory with. The same seed gives the same model.
    ///
    /// # Errors
    /// [`Error::Config`], [`sc_fm::compute::Error`].
    pub fn random(config: &Config, seed: u64, params: &OpenParams) -> Result<Self> {
        let network = Self::network(config, Source::Random(seed), params)?;
        let (architecture, limits) = (config.architecture(), config.limits());
        Ok(Self { architecture, limits, network, compute: params.compute, report: Report::default() })
    }

    fn network(config: &Config, source: Source<'_>, params: &OpenParams) -> Result<Network> {
        let place = Place::new(params)?;
        let _scope = params.compute.enter();
        let (precision, trainable) = (params.precision, params.trainable);
        config.build(&mut Parts { source, precision, trainable, place })
    }

    /// Which architecture it is of.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// Where it computes.
    pub fn compute(&self) -> Compute {
        self.compute
    }

    /// Rows of its embedding. A tokeniser may have fewer tokens; those above them are never meant.
    pub fn vocab_size(&self) -> usize {
        self.limits.vocab_size
    }

    /// Most tokens of a text, if there is a most.
    pub fn max_positions(&self) -> Option<usize> {
        self.limits.max_positions
    }

    /// What was loaded, renamed and left out.
    pub fn report(&self) -> &Report {
        &self.report
    }
}
