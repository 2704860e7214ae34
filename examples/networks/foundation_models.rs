//! Frozen foundation models on the cell types of a data set: what their embeddings are worth beside logistic regression on
//! plain genes.
//!
//! ```text
//! cargo run --release --example foundation_models
//! cargo run --release --example foundation_models -- --checkpoint Geneformer-V2-104M --dictionaries geneformer \
//!     --input pbmc3k.h5ad --label louvain --out results/pbmc3k_frozen
//! ```
//!
//! Without an argument a small Geneformer takes part whose weights are random: the control that every pretrained model
//! must beat. In scanpy and scikit-learn the same is an embedding by the model's own package, `train_test_split` twice with
//! `stratify`, `StandardScaler` and `LogisticRegression` for each `C`, chosen on the validation cells.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use sc_examples::progress::say;
use sc_network_examples::end::end;
use sc_network_examples::foundation::{self, FoundationArgs};
use sc_network_examples::pool::one_pool;

/// Embed cells by frozen foundation models, fit classifiers on the embeddings, and compare them with plain baselines.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Args {
    #[command(flatten)]
    foundation: FoundationArgs,
}

const EXAMPLES: &str = "Majority, HVG + PCA + LR and HVG + LR always stand beside the models.

Examples:
  foundation_models                                        # the 700 embedded PBMCs, a small model of random weights
  foundation_models --checkpoint Geneformer-V2-104M --dictionaries geneformer --input pbmc3k.h5ad --label louvain
  foundation_models --checkpoint scGPT_human --random-weights scGPT_human/args.json --input cells.h5ad --label cell_type
                                                           # a pretrained model beside the same one that learnt nothing
  foundation_models --checkpoint geneformer=V1 scgpt=human --dictionaries geneformer=dicts --model-layer last second_to_last
  foundation_models --checkpoint V2 --input pbmc3k.h5ad --label louvain --out results/frozen --resume
  foundation_models --checkpoint V2 --input pbmc3k.h5ad --label louvain --protocol as-published --force

Exit codes: 0 done, 1 failed, 2 usage, 3 input invalid, 4 model or file not there.";

fn main() -> ExitCode {
    one_pool();
    end(compare(&Args::parse()))
}

fn compare(args: &Args) -> Result<()> {
    let (table, page) = foundation::run(&args.foundation.settings()?)?;
    write!(std::io::stdout(), "{table}")?;
    say(&format!("report: {}", page.display()));
    Ok(())
}
