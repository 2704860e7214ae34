//! From a folder to a model.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::model::Network;
use super::{Error, FoundationModel, LoadReport};
use crate::Result;
use crate::checkpoint::{self, Weights, dictionary, hub};
use crate::models::geneformer::{GeneformerConfig, InputFormat};
use crate::models::scfoundation::Model;
use crate::models::scgpt::{InputEmbStyle, ScgptConfig, Specials};
use crate::models::{Geneformer, LoadOptions, Scfoundation, Scgpt};
use crate::registry;
use crate::tokenize::bins::N_BINS;
use crate::tokenize::scfoundation::GeneList;
use crate::tokenize::scgpt::{ScgptParams, ScgptVocabulary, ValueEncoding};
use crate::tokenize::vocabulary::Vocabulary;

/// The models that are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// [`Geneformer`].
    Geneformer,
    /// [`Scgpt`].
    Scgpt,
    /// [`Scfoundation`].
    Scfoundation,
}

impl Kind {
    /// The key of `obsm` that embeddings go to.
    pub fn obsm_key(self) -> &'static str {
        match self {
            Self::Geneformer => "X_geneformer",
            Self::Scgpt => "X_scGPT",
            Self::Scfoundation => "X_scfoundation",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Geneformer => "Geneformer",
            Self::Scgpt => "scGPT",
            Self::Scfoundation => "scFoundation",
        })
    }
}

/// How a model is opened.
#[derive(Clone, Debug, Default)]
pub struct OpenParams {
    /// Folder (or file, where the model has but one) of the dictionaries. Default: they are looked for beside the weights
    /// and, for Geneformer, where its repository has them (`geneformer/` beside the checkpoint's folder).
    pub dictionaries: Option<PathBuf>,
    /// What the names of Geneformer's dictionaries end in, such as `gc104M`, where a folder has several that fit.
    pub series: Option<String>,
    /// Device and type of numbers.
    pub load: LoadOptions,
}

impl FoundationModel {
    /// Finds out which model a folder holds, and loads it.
    ///
    /// * `path`: a folder with `config.json` and weights (Geneformer), with `args.json`, `vocab.json` and weights (scGPT),
    ///   or with `models.ckpt` and the gene list (scFoundation, of which the model for cells is taken); or a model's
    ///   folder in a hub cache, of which the revision `main` is taken.
    ///
    /// Weights are compared with the known releases by their size and, where that agrees, by their hash.
    ///
    /// # Errors
    /// [`Error::NoModel`], [`Error::SeveralModels`], [`Error::OtherModel`]; [`Error::NoDictionary`],
    /// [`Error::SeveralDictionaries`]; [`models::Error::Dictionary`](crate::models::Error::Dictionary) if the dictionary
    /// is not the model's; what is wrong with a file.
    pub fn open(path: impl AsRef<Path>, params: &OpenParams) -> Result<Self> {
        let path = path.as_ref();
        let folder = match path.join("snapshots").is_dir() {
            true => hub::resolve(path, "main")?.path,
            false => path.to_owned(),
        };
        let kind = kind_of(&folder)?;
        let options = checkpoint::OpenParams {
            dtype: Some(params.load.dtype),
            device: params.load.device.clone(),
            ..Default::default()
        };
        let (network, weights, dictionaries) = match kind {
            Kind::Geneformer => geneformer(&folder, params, &options)?,
            Kind::Scgpt => scgpt(&folder, params, &options)?,
            Kind::Scfoundation => scfoundation(&folder, params)?,
        };
        let releases = registry::identify(&folder)?;
        let releases = releases.into_iter().map(|(release, _)| release.name).collect();
        let source = Some(path.to_owned());
        let report = LoadReport { kind, source, weights: weights.report(), dictionaries, releases };
        Ok(Self { network, report })
    }
}

/// The checkpoint of scFoundation.
const SCFOUNDATION: &str = "models.ckpt";
/// Its gene list.
const GENE_LIST: &str = "OS_scRNA_gene_index.19264.tsv";

/// The model that the files of a folder speak of.
fn kind_of(folder: &Path) -> Result<Kind, Error> {
    let kinds =
        [("config.json", Kind::Geneformer), ("args.json", Kind::Scgpt), (SCFOUNDATION, Kind::Scfoundation)];
    let here: Vec<_> = kinds.iter().filter(|(name, _)| folder.join(name).is_file()).collect();
    match here.as_slice() {
        [(_, kind)] => Ok(*kind),
        [] => Err(Error::NoModel {
            path: folder.to_owned(),
            found: names(folder, |_| true).unwrap_or_default(),
        }),
        _ => {
            let found = here.iter().map(|(name, _)| *name).collect();
            Err(Error::SeveralModels { path: folder.to_owned(), found })
        }
    }
}

/// The first names in a folder that are accepted, sorted.
fn names(folder: &Path, accepts: impl Fn(&str) -> bool) -> std::io::Result<Vec<String>> {
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = entries.collect::<std::io::Result<Vec<String>>>()?;
    names.retain(|name| accepts(name));
    names.sort();
    names.truncate(12);
    Ok(names)
}

type Opened = (Network, Weights, Vec<PathBuf>);

fn geneformer(folder: &Path, params: &OpenParams, options: &checkpoint::OpenParams) -> Result<Opened> {
    let path = folder.join("config.json");
    let described = dictionary::read(&path)?;
    if let Some(found) =
        described.get("model_type").and_then(|name| name.as_str()).filter(|name| *name != "bert")
    {
        return Err(Error::OtherModel { path, found: found.to_owned() }.into());
    }
    let config = GeneformerConfig::read(&path)?;
    let (vocabulary, dictionaries) = match &params.dictionaries {
        Some(told) => vocabulary_in(std::slice::from_ref(told), config.vocab_size, params.series.as_deref())?,
        None => {
            let mut folders = vec![folder.to_owned()];
            // The repository keeps dictionaries beside the folders of its checkpoints, one of which is its root.
            for root in [Some(folder), folder.parent()].into_iter().flatten() {
                folders.push(root.join("geneformer"));
                folders.push(root.join("geneformer/gene_dictionaries_30m"));
            }
            vocabulary_in(&folders, config.vocab_size, params.series.as_deref())?
        }
    };
    let mut weights = Weights::open_with(folder, options)?;
    let model =
        Geneformer::from_weights(config, InputFormat::of(&vocabulary), &mut weights, params.load.precision)?;
    vocabulary.check_size(model.config().vocab_size)?;
    Ok((Network::Geneformer { model: Box::new(model), vocabulary }, weights, dictionaries))
}

/// How the names of Geneformer's dictionaries start.
const STARTS: [&str; 3] = ["token_dictionary", "gene_median_dictionary", "ensembl_mapping_dict"];

/// The dictionaries of the first folder that has a token dictionary of the right size.
pub(super) fn vocabulary_in(
    folders: &[PathBuf],
    n_tokens: usize,
    series: Option<&str>,
) -> Result<(Vocabulary, Vec<PathBuf>)> {
    let is_dictionary = |name: &str, start: &str, end: &str| {
        let stem = name.strip_suffix(".pkl").or_else(|| name.strip_suffix(".json"));
        stem.and_then(|stem| stem.strip_prefix(start)).is_some_and(|rest| rest.ends_with(end))
    };
    let mut other_size = None;
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        let wanted = series.unwrap_or_default();
        let all = names(folder, |name| is_dictionary(name, STARTS[0], wanted));
        let mut found = vec![];
        for name in all.map_err(|source| unreadable(folder, source))? {
            match dictionary::tokens(folder.join(&name))?.len() {
                n if n == n_tokens => found.push(name),
                n => other_size = other_size.or(Some(n)),
            }
        }
        match found.as_slice() {
            [] => {}
            [name] => {
                let stem = name.trim_end_matches(".pkl").trim_end_matches(".json");
                let ending = &stem[STARTS[0].len()..];
                let vocabulary = Vocabulary::open_series(folder, ending)?;
                let files = STARTS.iter().flat_map(|start| {
                    names(folder, |name| is_dictionary(name, start, ending)).unwrap_or_default()
                });
                return Ok((vocabulary, files.map(|name| folder.join(name)).collect()));
            }
            _ => return Err(Error::SeveralDictionaries { path: folder.clone(), n_tokens, found }.into()),
        }
    }
    match other_size {
        Some(found) => Err(crate::models::Error::Dictionary { found, expected: n_tokens }.into()),
        None => {
            let what = format!("token dictionary (token_dictionary*.pkl or .json) of {n_tokens} tokens");
            Err(Error::NoDictionary { what, looked: folders.to_vec() }.into())
        }
    }
}

fn unreadable(path: &Path, source: std::io::Error) -> Error {
    sc_io::Error::Io { path: path.to_owned(), doing: "read", source }.into()
}

fn scgpt(folder: &Path, params: &OpenParams, options: &checkpoint::OpenParams) -> Result<Opened> {
    let path = folder.join("args.json");
    let config = ScgptConfig::read(&path)?;
    let input = scgpt_input(&path, &config)?;
    let (vocabulary, file) = scgpt_vocabulary(params.dictionaries.as_deref().unwrap_or(folder))?;
    let mut weights = Weights::open_with(folder, options)?;
    let specials = Specials { pad: vocabulary.pad(), cls: vocabulary.cls() };
    let model =
        Scgpt::from_weights(config, vocabulary.n_tokens(), specials, &mut weights, params.load.precision)?;
    let network = Network::Scgpt { model: Box::new(model), vocabulary, input };
    Ok((network, weights, vec![file]))
}

/// What the `args.json` says of the input, where it does.
pub(super) fn scgpt_input(path: &Path, config: &ScgptConfig) -> Result<ScgptParams> {
    let args = dictionary::read(path)?;
    let number = |name: &str| args.get(name).and_then(|n| usize::try_from(n.as_i64()?).ok());
    let n_bins = number("n_bins").unwrap_or(N_BINS);
    let encoding = match config.input_emb_style {
        InputEmbStyle::Category => ValueEncoding::Category { n_bins },
        _ => ValueEncoding::Continuous,
    };
    let defaults = ScgptParams::default();
    let max_length = number("max_seq_len").unwrap_or(defaults.max_length);
    Ok(ScgptParams { max_length, n_bins: Some(n_bins), encoding, ..defaults })
}

/// The vocabulary of a folder, or of a file.
pub(super) fn scgpt_vocabulary(told: &Path) -> Result<(ScgptVocabulary, PathBuf)> {
    let path = if told.is_dir() { told.join("vocab.json") } else { told.to_owned() };
    if !path.is_file() {
        let what = "vocabulary (vocab.json)".to_owned();
        return Err(Error::NoDictionary { what, looked: vec![told.to_owned()] }.into());
    }
    Ok((ScgptVocabulary::open(&path)?, path))
}

fn scfoundation(folder: &Path, params: &OpenParams) -> Result<Opened> {
    let told = params.dictionaries.as_deref().unwrap_or(folder);
    let list = if told.is_dir() { told.join(GENE_LIST) } else { told.to_owned() };
    if !list.is_file() {
        let what = format!("gene list ({GENE_LIST})");
        return Err(Error::NoDictionary { what, looked: vec![told.to_owned()] }.into());
    }
    let genes = GeneList::open(&list)?;
    let (config, mut weights) = Scfoundation::read(&folder.join(SCFOUNDATION), Model::Cell, &params.load)?;
    let model = Scfoundation::from_weights(config, &mut weights, params.load.precision)?;
    let (found, expected) = (genes.n_genes(), model.config().n_genes());
    if found != expected {
        return Err(Error::GeneList { found, expected }.into());
    }
    Ok((Network::Scfoundation { model: Box::new(model), genes }, weights, vec![list]))
}
