//! CellReasoner (Cao et al. 2025) in four steps, with the published file layouts: counts to gene lists, gene lists to
//! prompts, prompts to answers, answers to a score that drops nothing.
//!
//! ```text
//! cargo run --release --example cellreasoner -- preprocess --input pbmc.rds --gene-list ranked_hvg.list --out work
//! cargo run --release --example cellreasoner -- build-dataset --input work/pbmc.h5 --label-column seurat_annotations
//! cargo run --release --example cellreasoner -- infer --input work/pbmc_for_CellReasoner.json --checkpoint CellReasoner-7B
//! cargo run --release --example cellreasoner -- evaluate --input work/pbmc_CellReasoner_result.csv --pairs all_pair_score.xlsx
//! ```
//!
//! Steps of the published scripts and of this program can be mixed: `.h5`, `.meta.csv`, `_for_CellReasoner.json` and
//! `_CellReasoner_result.csv` are the same.

use std::process::ExitCode;

use clap::Parser;
use sc_network_examples::end::end;
use sc_network_examples::pool::one_pool;
use sc_network_examples::reasoner::{self, Step};

/// From counts to gene lists, prompts, answers and a score, in the files of CellReasoner.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Args {
    #[command(subcommand)]
    step: Step,
}

const EXAMPLES: &str = "Examples:
  cellreasoner preprocess --input pbmc.rds --gene-list ranked_hvg.list --out work
  cellreasoner build-dataset --input work/pbmc.h5 --label-column seurat_annotations
  cellreasoner infer --input work/pbmc_for_CellReasoner.json --checkpoint CellReasoner-7B
  cellreasoner infer --input work/pbmc_for_CellReasoner.json --endpoint http://localhost:8000/v1 --model qwen --labels types.txt
  cellreasoner evaluate --input work/pbmc_CellReasoner_result.csv --pairs all_pair_score.xlsx --ontology cl.obo

Exit codes: 0 done, 1 failed, 2 usage, 3 input invalid, 4 model or file not there.";

fn main() -> ExitCode {
    one_pool();
    end(reasoner::run(&Args::parse().step))
}
