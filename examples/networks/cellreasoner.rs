//! CellReasoner (Cao et al. 2025) in four steps, with the published file layouts: counts to gene lists, gene lists to
//! prompts, prompts to answers, answers to a score that drops nothing.
//!
//! ```text
//! cargo run --release --example cellreasoner
//! cargo run --release --example cellreasoner -- preprocess --input pbmc.rds --gene-list ranked_hvg.list --out work
//! cargo run --release --example cellreasoner -- build-dataset --input work/pbmc.h5 --label-column seurat_annotations
//! cargo run --release --example cellreasoner -- infer --input work/pbmc_for_CellReasoner.json --checkpoint CellReasoner-7B --precision bf16
//! cargo run --release --example cellreasoner -- evaluate --input work/pbmc_CellReasoner_result.csv --pairs all_pair_score.xlsx
//! ```
//!
//! Without an argument all steps run on the embedded cells, and a small decoder that is trained on the spot answers.
//!
//! Steps of the published scripts and of this program can be mixed: `.h5`, `.meta.csv`, `_for_CellReasoner.json` and
//! `_CellReasoner_result.csv` are the same.

use std::process::ExitCode;

use clap::Parser;
use sc_network_examples::end::end;
use sc_network_examples::pool::one_pool;
use sc_network_examples::reasoner::{self, AllArgs, Step};

/// From counts to gene lists, prompts, answers and a score, in the files of CellReasoner.
///
/// Without a step, all of them on the 700 embedded PBMCs: a fifth of the cells is set aside, a small decoder learns from the
/// others and is asked about these, and the report says how good its answers are beside baselines.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    step: Option<Step>,
    #[command(flatten)]
    all: AllArgs,
}

const EXAMPLES: &str = "Examples:
  cellreasoner                                             # all steps on the embedded cells, without weights
  cellreasoner preprocess --input pbmc.rds --gene-list ranked_hvg.list --out work
  cellreasoner build-dataset --input work/pbmc.h5 --label-column seurat_annotations
  cellreasoner infer --input work/pbmc_for_CellReasoner.json --checkpoint CellReasoner-7B --precision bf16
  cellreasoner infer --input work/pbmc_for_CellReasoner.json --endpoint http://localhost:8000/v1 --model qwen --labels types.txt
  cellreasoner evaluate --input work/pbmc_CellReasoner_result.csv --pairs all_pair_score.xlsx --ontology cl.obo

Beside baselines, with cells set aside, no donor on both sides (without --group, cells of one donor can be on both):
  cellreasoner preprocess --input cells.h5ad --test-share 0.2 --label-column cell_type --group donor --out work
  cellreasoner build-dataset --input work/cells_train.h5 --label-column cell_type
  cellreasoner build-dataset --input work/cells_test.h5 --label-column cell_type
  cellreasoner infer --input work/cells_test_for_CellReasoner.json --train work/cells_train_for_CellReasoner.json --shuffled
  cellreasoner evaluate --input work/cells_test_CellReasoner_result.csv

A step of infer that is cut off, however it is, goes on when it is run again with the same flags, without --force.

Exit codes: 0 done, 1 failed, 2 usage, 3 input invalid, 4 model or file not there.";

fn main() -> ExitCode {
    one_pool();
    let args = Args::parse();
    end(match &args.step {
        Some(step) => reasoner::run(step),
        None => reasoner::run_all(&args.all),
    })
}
