use std::path::PathBuf;

use super::{Kind, Mode};

/// A folder that holds no model, or a data set that it cannot embed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data set cannot be read or written.
    #[error(transparent)]
    Io(#[from] sc_io::Error),
    /// The rows on disk cannot be used.
    #[error(transparent)]
    Store(#[from] sc_io::row_store::Error),
    /// A model without files, of which a later run could not tell whether it is the same.
    #[error("this {kind} was made in memory, and nothing says which one it is")]
    Identity {
        /// The model.
        kind: Kind,
    },
    /// No model that is known here.
    #[error("{}: no model in this folder, which holds {}", path.display(), listed(found))]
    NoModel {
        /// The folder.
        path: PathBuf,
        /// The first of its files.
        found: Vec<String>,
    },
    /// Files of several models.
    #[error("{}: files of several models: {}", path.display(), found.join(", "))]
    SeveralModels {
        /// The folder.
        path: PathBuf,
        /// The files that say which model it is.
        found: Vec<&'static str>,
    },
    /// A configuration of another model.
    #[error("{}: `model_type` is {found:?}, expected \"bert\"", path.display())]
    OtherModel {
        /// The configuration.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// The dictionary of a model is nowhere.
    #[error("no {what} in {}", looked.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "))]
    NoDictionary {
        /// What was looked for.
        what: String,
        /// The folders looked through.
        looked: Vec<PathBuf>,
    },
    /// Dictionaries of several releases that would all fit.
    #[error("{}: several token dictionaries have {n_tokens} tokens: {}", path.display(), found.join(", "))]
    SeveralDictionaries {
        /// The folder.
        path: PathBuf,
        /// Tokens of the model.
        n_tokens: usize,
        /// The files.
        found: Vec<String>,
    },
    /// A gene list of another length than the model's.
    #[error("the gene list has {found} genes, but the model has {expected}")]
    GeneList {
        /// Genes of the list.
        found: usize,
        /// Genes of the model.
        expected: usize,
    },
    /// A mode that the model does not have.
    #[error("{kind} has no embedding {mode:?}, expected one of {expected}")]
    Mode {
        /// The model.
        kind: Kind,
        /// What was asked for.
        mode: Mode,
        /// What it has.
        expected: &'static str,
    },
    /// A layer that the model gives no states of.
    #[error("{kind} gives the states of its last layer alone, but {found} is asked for")]
    Layer {
        /// The model.
        kind: Kind,
        /// What was asked for.
        found: crate::models::Layer,
    },
    /// Something that only the other models have.
    #[error("{kind} has no {what}")]
    Unsupported {
        /// The model.
        kind: Kind,
        /// What was asked for.
        what: &'static str,
    },
    /// A name of nothing.
    #[error("{found:?} is no {what}, expected {expected}")]
    Name {
        /// What the name should be of.
        what: &'static str,
        /// The name.
        found: String,
        /// The known ones.
        expected: &'static str,
    },
    /// A data set without the matrix.
    #[error("the data set has no {matrix}")]
    NoMatrix {
        /// The matrix asked for.
        matrix: &'static str,
    },
    /// Nothing to embed.
    #[error(
        "none of {n_cells} cells has a gene of the model: {n_empty} without counts in them, {n_filtered} left out by `filter_pass`"
    )]
    NoCells {
        /// Rows of the matrix.
        n_cells: usize,
        /// Rows without a gene of the model.
        n_empty: usize,
        /// Rows that the filter left out.
        n_filtered: usize,
    },
    /// Tokens without what the model reads besides.
    #[error("the tokens have no values, which {kind} takes in")]
    NoValues {
        /// The model.
        kind: Kind,
    },
    /// Tokens of a larger matrix.
    #[error("a cell of the tokens is row {row} of its matrix, but {n_rows} rows are asked for")]
    Rows {
        /// The row.
        row: usize,
        /// Rows asked for.
        n_rows: usize,
    },
    /// Not one label a row.
    #[error("{found} labels for {expected} rows of the embedding, expected one for each")]
    Labels {
        /// Labels given.
        found: usize,
        /// Rows.
        expected: usize,
    },
    /// The callback wanted no more.
    #[error("stopped by the caller")]
    Cancelled,
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        _ => names.join(", "),
    }
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Io(error) => error.help(),
            Self::Store(error) => error.help(),
            Self::Identity { .. } => Some("set `identity` to something that changes with the weights"),
            Self::NoModel { .. } => Some(
                "give the folder of a checkpoint: config.json and model.safetensors of a Geneformer, args.json, \
                 vocab.json and best_model.pt of an scGPT, models.ckpt of scFoundation",
            ),
            Self::SeveralModels { .. } => Some("put each model into a folder of its own"),
            Self::OtherModel { .. } => Some("of the models with a config.json only Geneformer is known here"),
            Self::NoDictionary { .. } => {
                Some("put the files that came with the release beside the weights, or name their folder")
            }
            Self::SeveralDictionaries { .. } => Some("name the series of the release, such as gc104M"),
            Self::GeneList { .. } => Some("take the gene list of the same release as the weights"),
            Self::Mode { .. } => Some("leave the mode out to have the one of the model's reference"),
            Self::Layer { .. } => Some("leave the layer out"),
            Self::Name { what: "layer", .. } => Some(
                "what one program calls emb_layer -1 is second_to_last, and last in another; here layers have names",
            ),
            Self::NoMatrix { .. } => Some("name the matrix that holds the counts: X, raw or a layer"),
            Self::NoCells { .. } => {
                Some("see whether the matrix is the right one and its columns are the genes that var names")
            }
            _ => None,
        }
    }
}
