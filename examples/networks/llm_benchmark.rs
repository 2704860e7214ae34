//! Language models that name cells, beside baselines that need none.
//!
//! ```text
//! cargo run --release --example llm_benchmark
//! cargo run --release --example llm_benchmark -- --model gpt-neo-1.3B opt-1.3b flan-t5-large phi-1_5 \
//!     --input pbmc3k.h5ad --label louvain --tissue "peripheral blood" --out results/pbmc3k_llm
//! ```
//!
//! Without an argument a small decoder is trained on the training cells on the spot. In Python the same is a loop over
//! `model.generate` of transformers, or over a client of a server, with a JSON prompt; there an answer that is no label is
//! usually dropped, and here it is counted as wrong.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use sc_examples::progress::say;
use sc_network_examples::end::end;
use sc_network_examples::llm::{self, LlmArgs};
use sc_network_examples::pool::one_pool;

/// Ask language models for the types of cells and clusters, and compare them with baselines.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
#[command(mut_arg("seed", |arg| arg.help(SEED)), mut_arg("force", |arg| arg.help(FORCE)))]
struct Args {
    #[command(flatten)]
    llm: LlmArgs,
}

const SEED: &str = "Seed of the test cells, the clusters, the small decoder and the shuffled names";
const FORCE: &str = "Begin anew and replace the results in the folder; answers of servers are kept";

const EXAMPLES: &str = "Tasks:
  markers          the first Wilcoxon markers of a Leiden cluster of the test cells -> the type of most of its cells
  expression       the highest genes of a cell with their values, as JSON -> its type
  barcode-cluster  the barcode of a cell -> the number of its Leiden cluster: a control that must stay at chance

Beside the models stand majority, random by prior, and TF-IDF of the prompt's words + LR; where genes are asked about, also
marker overlap, nearest centroid and SingleR. Each model is asked once more with shuffled gene names, in the last way of
--decoding, which shows how much of an answer rests on the genes.

Servers: answers are kept in OUT/answers, so none is paid for twice; --offline replays them. A key is taken from the
environment alone and goes to its own server alone. Posterior and template are for models of --model alone: they need the
weights.

A run that is cut off, however it is, goes on with the same flags and --resume: what is trained is trained, and what was
answered is not asked again.

Examples:
  llm_benchmark                                            # the 700 embedded PBMCs, a small decoder trained on the spot
  llm_benchmark --model gpt-neo-1.3B --tasks markers --decoding constrained posterior
  llm_benchmark --model neo=models/gpt-neo-1.3B flan=models/flan-t5-large --input pbmc3k.h5ad --label louvain
  llm_benchmark --model phi-1_5 --input cells.h5ad --label cell_type --max-test 200 --resume
  llm_benchmark --model Qwen2.5-1.5B-Instruct-Q8_0.gguf phi-1_5 --precision q8_0   # the fastest, and a quarter of the memory
  llm_benchmark --model phi-1_5 --decoding free constrained template --max-new-tokens 40   # a reason before each label
  llm_benchmark --endpoint llama3.1@http://localhost:11434/v1 --model phi-1_5 --tissue \"peripheral blood\"
  llm_benchmark --endpoint gpt=gpt-4o-mini@https://api.openai.com/v1 --prices prices.toml --max-cost 0.50

Exit codes: 0 done, 1 failed, 2 usage, 3 input invalid, 4 model or file not there.";

fn main() -> ExitCode {
    one_pool();
    end(compare(&Args::parse()))
}

fn compare(args: &Args) -> Result<()> {
    let (table, page) = llm::run(&args.llm)?;
    write!(std::io::stdout(), "{table}")?;
    say(&format!("report: {}", page.display()));
    Ok(())
}
