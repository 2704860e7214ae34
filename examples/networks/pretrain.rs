//! Pretrains a Geneformer on raw counts, without labels: from scratch, or on from a checkpoint.
//!
//! ```text
//! cargo run --release --example pretrain
//! cargo run --release --example pretrain -- --input blood.h5ad lung.h5ad --dictionaries geneformer --out models/blood
//! ```
//!
//! Without an argument a small model learns from the 700 embedded PBMCs. What comes out is a folder that
//! `foundation_models --checkpoint` takes and that Hugging Face's transformers loads (`BertForMaskedLM`). In Python the same
//! is Geneformer's `TranscriptomeTokenizer` and `GeneformerPretrainer`.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use sc_network_examples::end::end;
use sc_network_examples::pool::one_pool;
use sc_network_examples::pretraining::{self, PretrainArgs};

/// Pretrain a Geneformer on raw counts, without labels.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Args {
    #[command(flatten)]
    pretraining: PretrainArgs,
}

const EXAMPLES: &str = "Files are read some rows at a time, so they may be larger than memory. A run that was cut off goes on where it was
when it is started again with the same flags.

Examples:
  pretrain                                                     # a small model of the 700 embedded PBMCs
  pretrain --input blood.h5ad --dictionaries geneformer --layers 4 --width 128 --max-length 512 --out models/blood
  pretrain --input a.h5ad b.h5ad --checkpoint Geneformer-V2-104M --learning-rate 1e-5 --out models/continued
  foundation_models --checkpoint models/blood --input pbmc3k.h5ad --label louvain

Exit codes: 0 done, 1 failed, 2 usage, 3 input invalid, 4 model or file not there.";

fn main() -> ExitCode {
    one_pool();
    end(pretrain(&Args::parse()))
}

fn pretrain(args: &Args) -> Result<()> {
    let table = pretraining::run(&args.pretraining)?;
    Ok(write!(std::io::stdout(), "{table}")?)
}
