//! The flags.

use std::path::PathBuf;

use clap::Args;
use sc_examples::run::at_least_1;

/// The flags of the program.
#[derive(Args, Clone, Debug)]
pub struct PretrainArgs {
    /// .h5ad files with raw counts; without it, the 700 embedded PBMCs are used
    #[arg(long, value_name = "FILE.h5ad", num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// A folder with a Geneformer to go on with
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["layers", "width", "heads", "max_length"])]
    pub checkpoint: Option<PathBuf>,
    /// The folder of Geneformer's dictionaries; without it, those of the checkpoint, or the genes of the first file with
    /// their medians there
    #[arg(long, value_name = "FOLDER")]
    pub dictionaries: Option<PathBuf>,
    /// What the names of the dictionaries end in, such as gc104M, where the folder has several
    #[arg(long, value_name = "ENDING")]
    pub series: Option<String>,
    /// Layers of a new model
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = at_least_1)]
    pub layers: usize,
    /// Values of a token in a new model; its feed-forward part has twice as many
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_1)]
    pub width: usize,
    /// Heads of the attention of a new model
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = at_least_1)]
    pub heads: usize,
    /// Tokens of a cell at most, in a new model; genes of lower rank are left out
    #[arg(long, value_name = "N", default_value_t = 2048, value_parser = at_least_1)]
    pub max_length: usize,
    /// Passes over the cells
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = at_least_1)]
    pub epochs: usize,
    /// Cells of a training step
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = at_least_1)]
    pub batch_size: usize,
    /// Highest learning rate; it rises over 5 % of the steps and falls to 0
    #[arg(long, value_name = "RATE", default_value_t = 1e-3)]
    pub learning_rate: f64,
    /// Decay of the weights
    #[arg(long, value_name = "DECAY", default_value_t = 0.001)]
    pub weight_decay: f64,
    /// Share of the cells that are held back; the epoch that does best on them is kept. 0: all train, the last epoch is kept
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    pub validation: f64,
    /// Seed of new weights, order of the cells, masks and dropout
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub seed: u64,
    /// Keep of each layer its input alone and compute it twice: a third of the memory, a quarter more time, the same results
    #[arg(long)]
    pub checkpointing: bool,
    /// Threads; all processors without it. The number changes no result
    #[arg(long, value_name = "N", value_parser = at_least_1)]
    pub threads: Option<usize>,
    /// Replace the model of an earlier run in the folder
    #[arg(long)]
    pub force: bool,
    /// Folder of the model
    #[arg(long, value_name = "FOLDER", default_value = "results/pretrain")]
    pub out: PathBuf,
}
