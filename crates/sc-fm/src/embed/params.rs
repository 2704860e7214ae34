use serde::{Deserialize, Serialize};

use super::Mode;
use crate::models::Layer;
use crate::tokenize::scfoundation::{Input, Resolution};
use crate::tokenize::scgpt::CellTies;

/// How a data set is embedded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EmbedParams {
    /// What stands for a cell. Default: as the model's reference has it.
    pub mode: Option<Mode>,
    /// The layer whose states are taken. Default: as the model's reference has it.
    pub layer: Option<Layer>,
    /// Which matrix of the data set is embedded. Default `X`.
    pub matrix: MatrixChoice,
    /// Column of `var` that holds the gene ids (Geneformer: Ensembl ids; the others: symbols). Default: the first of the
    /// usual ones, else the index.
    pub gene_column: Option<String>,
    /// Bytes for hidden values. Default 1 GiB. Not kept in files, since it is of the machine. A cell that needs more is computed all the same, alone.
    #[serde(skip)]
    pub memory: usize,
    /// What becomes of cells without a gene of the model. Default: a row of NaN.
    pub missing: MissingCells,
    /// Smallest share of the columns that must be genes of the model. Default 0.5.
    pub min_known: f64,
    /// Seed of the draws of scGPT's input, of bins and of the genes of long cells. Default 0.
    pub seed: u64,
    /// Where scGPT's values go that several bins share. Default: the middle.
    pub ties: CellTies,
    /// What the matrix holds, for scFoundation; the others tell by themselves. Default counts.
    pub input: Input,
    /// The depth that scFoundation sees cells at. Default a total of 10⁴.
    pub resolution: Resolution,
}

impl Default for EmbedParams {
    fn default() -> Self {
        Self {
            mode: None,
            layer: None,
            matrix: MatrixChoice::X,
            gene_column: None,
            memory: 1 << 30,
            missing: MissingCells::Nan,
            min_known: 0.5,
            seed: 0,
            ties: CellTies::Middle,
            input: Input::Counts,
            resolution: Resolution::Target(4.0),
        }
    }
}

/// A matrix of a data set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatrixChoice {
    /// `X`.
    #[default]
    X,
    /// `raw.X`, with the genes of `raw.var`.
    Raw,
    /// A layer.
    Layer(String),
}

/// What becomes of a cell that has no embedding: without a gene of the model, or with a `filter_pass` other than 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingCells {
    /// Its row is NaN, so that rows and observations stay aligned.
    #[default]
    Nan,
    /// It has no row.
    Drop,
}
