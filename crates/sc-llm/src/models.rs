//! Language models in this process: GPT-Neo, OPT, Phi, Qwen2 and T5.
//!
//! [`open`] picks the architecture from a folder's `config.json`. A [`State`] is a text that the model has read; its clones
//! share memory, so a prompt's common beginning is read once, and thousands of texts go on from there. Texts lie one after
//! another without padding, and what the model says of one has the same bits in any company, in any number of steps, on
//! any number of threads.

mod config;
mod decoder;
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

use self::decoder::Decoder;
use self::parts::{Parts, Source};
use self::t5::T5;
use crate::Result;

/// How a model is opened.
#[derive(Clone, Debug, Default)]
pub struct OpenParams {
    /// How exact products are, and so what weights are held in. Default: errors of single precision, in the fastest way
    /// that there is.
    pub precision: Precision,
    /// Whether weights stay in memory beside the copies that products read, so that gradients by what goes into a layer
    /// can be computed. Default: no, which halves the memory.
    pub trainable: bool,
}

/// A model that reads texts and says what may follow.
#[derive(Debug)]
pub struct LanguageModel {
    architecture: Architecture,
    limits: Limits,
    network: Network,
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

/// Opens the model in a folder, or in a model's folder of a hub cache.
///
/// # Errors
/// [`Error`], and [`checkpoint::Error`] for weights that are not those of the configuration.
pub fn open(folder: impl AsRef<Path>, params: &OpenParams) -> Result<LanguageModel> {
    let folder = folder.as_ref();
    let files: PathBuf = match folder.join("snapshots").is_dir() {
        true => hub::resolve(folder, "main")?.path,
        false => folder.to_owned(),
    };
    open_files(&files.join("config.json"), &files, params)
}

/// Opens a model from a configuration, and weights that may lie elsewhere: a folder or a file.
///
/// # Errors
/// As [`open`].
pub fn open_files(config: &Path, weights: &Path, params: &OpenParams) -> Result<LanguageModel> {
    let config = Config::read(config)?;
    let open = checkpoint::OpenParams::default();
    // One tensor after another is packed and let go.
    let weights = match params.trainable {
        true => Weights::open_with(weights, &open)?,
        false => Weights::open_deferred(weights, &open)?,
    };
    LanguageModel::new(&config, weights, params)
}

impl LanguageModel {
    /// A model of these weights. Variables stay variables, so a model built of them can be trained.
    ///
    /// # Errors
    /// As [`open`].
    pub fn new(config: &Config, weights: Weights, params: &OpenParams) -> Result<Self> {
        let mut weights = match config {
            Config::Opt(_) => weights.renamed(opt::rename),
            _ => weights,
        };
        let (precision, trainable) = (params.precision, params.trainable);
        let network = weights.build(|weights| {
            config.build(&mut Parts { source: Source::Weights(weights), precision, trainable })
        })?;
        let (architecture, limits) = (config.architecture(), config.limits());
        Ok(Self { architecture, limits, network, report: weights.report() })
    }

    /// A model of random weights, to measure time and memory with. The same seed gives the same model.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn random(config: &Config, seed: u64, params: &OpenParams) -> Result<Self> {
        let (precision, trainable) = (params.precision, params.trainable);
        let network = config.build(&mut Parts { source: Source::Random(seed), precision, trainable })?;
        let (architecture, limits) = (config.architecture(), config.limits());
        Ok(Self { architecture, limits, network, report: Report::default() })
    }

    /// Which architecture it is of.
    pub fn architecture(&self) -> Architecture {
        self.architecture
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
