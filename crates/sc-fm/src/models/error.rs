//! What can be wrong with a model's configuration, and with cells that it is given.

use std::path::PathBuf;

use super::Layer;

/// An error of a model. Cells are counted from 0, in the order in which they were given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the model cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A folder for a model cannot be made.
    #[error("cannot make the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A configuration that is no configuration of this model.
    #[error("{} is no configuration of {model}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The model.
        model: &'static str,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A field of the configuration with a value that the model cannot have.
    #[error("`{field}` of the configuration is {found}, expected {expected}")]
    Config {
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// A dictionary of another release than the weights.
    #[error("the token dictionary has {found} tokens, but the model has {expected}")]
    Dictionary {
        /// Tokens of the dictionary.
        found: usize,
        /// `vocab_size` of the model.
        expected: usize,
    },
    /// No layer that an adapter could be given.
    #[error("no linear layer of the encoder has a name that ends in {}", targets.join(", "))]
    NoTarget {
        /// Ends of names asked for.
        targets: Vec<String>,
    },
    /// A cell without tokens.
    #[error("cell {cell} has no token of a gene")]
    EmptyCell {
        /// The cell.
        cell: usize,
    },
    /// A cell of more tokens than the model has positions.
    #[error("cell {cell} has {length} tokens, but the model takes {longest} at most")]
    TooLong {
        /// The cell.
        cell: usize,
        /// Its tokens.
        length: usize,
        /// Positions of the model.
        longest: usize,
    },
    /// A token outside the vocabulary.
    #[error("token {position} of cell {cell} is {token}, but the model has {n_tokens} tokens")]
    Token {
        /// The cell.
        cell: usize,
        /// Place in the cell.
        position: usize,
        /// The token.
        token: u32,
        /// Tokens of the model.
        n_tokens: usize,
    },
    /// Padding inside a cell.
    #[error("token {position} of cell {cell} is padding")]
    Padding {
        /// The cell.
        cell: usize,
        /// Place in the cell.
        position: usize,
    },
    /// A cell that does not stand between the special tokens of its model.
    #[error("cell {cell} has token {found} where the model expects {expected} ({name})")]
    Special {
        /// The cell.
        cell: usize,
        /// The token found.
        found: u32,
        /// The token expected.
        expected: u32,
        /// Name of the token expected.
        name: &'static str,
    },
    /// The model has no `<cls>` token whose state could stand for the cell.
    #[error("the model's input has no <cls> token")]
    NoCls,
    /// A layer that the model does not have.
    #[error("the model has {n_layers} layers, but layer {layer:?} is asked for")]
    Layer {
        /// The layer.
        layer: Layer,
        /// Layers of the model.
        n_layers: usize,
    },
    /// The checkpoint did not hold what the answer needs.
    #[error("the checkpoint has no {head}")]
    NoHead {
        /// The part of the model.
        head: &'static str,
    },
    /// Not one value for each gene of a cell.
    #[error("cell {cell} has {genes} genes, but {values} values")]
    Values {
        /// The cell.
        cell: usize,
        /// Its genes.
        genes: usize,
        /// Its values.
        values: usize,
    },
    /// A value that the model does not know.
    #[error("value {position} of cell {cell} is {value}, expected {expected}")]
    Value {
        /// The cell.
        cell: usize,
        /// Place in the cell.
        position: usize,
        /// The value.
        value: f32,
        /// What it may be.
        expected: String,
    },
    /// Genes of a cell that are not in rising order.
    #[error("gene {position} of cell {cell} is not behind the one before it")]
    Order {
        /// The cell.
        cell: usize,
        /// Place in the cell.
        position: usize,
    },
    /// Not one batch label for each cell.
    #[error("{found} batch labels for {expected} cells, expected one for each")]
    BatchLabels {
        /// Labels given.
        found: usize,
        /// Cells.
        expected: usize,
    },
    /// A batch label that the model was not trained with.
    #[error("the batch label of cell {cell} is {label}, but the model knows {n_labels}")]
    BatchLabel {
        /// The cell.
        cell: usize,
        /// Its label.
        label: u32,
        /// Labels of the model.
        n_labels: usize,
    },
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Dictionary { .. } => Some("take the dictionaries and the weights of the same release"),
            Self::EmptyCell { .. } => Some("drop cells in which no gene of the model has counts"),
            Self::TooLong { .. } => Some("tokenise with the model's own input size"),
            Self::Token { .. } => Some("tokenise with the dictionary of the model's release"),
            Self::Padding { .. } => Some("give the cells without padding"),
            Self::Special { .. } => Some("tokenise with the special tokens of the model's release"),
            Self::NoCls => Some("take the mean over the genes; <cls> came with V2"),
            Self::NoTarget { .. } => Some(
                "Geneformer has `query`, `key`, `value`, `dense`; scGPT `q_proj`, `k_proj`, `v_proj`, `out_proj`",
            ),
            Self::NoHead { .. } => Some("load a checkpoint that was trained with it"),
            Self::BatchLabels { .. } => Some("number the batches as they were numbered in training"),
            _ => None,
        }
    }
}
