//! The third step: a model is asked.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use sc_examples::end::Usage;
use sc_examples::progress::{bar, say, thousands};
use sc_examples::run::at_least_1;
use sc_llm::cellreasoner::{CellResult, read_records, write_results};

use super::answers::{Answers, partial};
use super::{local, remote};

/// The flags of the third step.
#[derive(Args, Clone, Debug)]
pub struct InferArgs {
    /// NAME_for_CellReasoner.json, as build-dataset or the published scripts write it
    #[arg(long, value_name = "FILE.json")]
    pub(super) input: PathBuf,
    /// A folder with a language model: GPT-Neo, OPT, Phi, Qwen2 or T5, such as CellReasoner-7B
    #[arg(long, value_name = "FOLDER", required_unless_present = "endpoint")]
    pub(super) checkpoint: Option<PathBuf>,
    /// An OpenAI-compatible server in place of a folder; the key is taken from SC_LLM_API_KEY or OPENAI_API_KEY
    #[arg(long, value_name = "URL", conflicts_with = "checkpoint", requires_all = ["model", "labels"])]
    pub(super) endpoint: Option<String>,
    /// The model, as that server names it
    #[arg(long, value_name = "NAME", requires = "endpoint")]
    pub(super) model: Option<String>,
    /// A file with the labels, one a line: every answer is one of them. Without it, answers are free text
    #[arg(long, value_name = "FILE.txt")]
    pub(super) labels: Option<PathBuf>,
    /// How weights of a folder are held
    #[arg(long, value_name = "HOW", default_value = "f32")]
    pub(super) precision: Precision,
    /// Take the most probable token each time; the published settings draw (temperature 0.01 for labels, 0.6 for thoughts)
    #[arg(long)]
    pub(super) greedy: bool,
    /// Tokens of an answer, at most
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = at_least_1)]
    pub(super) max_new_tokens: usize,
    /// Tokens of a prompt with its answer, at most; genes are left out from the end where it is too long
    #[arg(long, value_name = "N", default_value_t = 8192, value_parser = at_least_1)]
    pub(super) context: usize,
    /// Put the instruction before the genes in the user's message, as in training, not in the system's, as the published
    /// inference does
    #[arg(long)]
    pub(super) as_trained: bool,
    /// Seed of the draws
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub(super) seed: u64,
    /// Prices of models, for the limit on cost: a YAML file
    #[arg(long, value_name = "FILE.yaml", requires = "endpoint")]
    pub(super) prices: Option<PathBuf>,
    /// Most money; the request that could exceed it is not sent
    #[arg(long, value_name = "AMOUNT", requires = "endpoint")]
    pub(super) max_cost: Option<f64>,
    /// Requests to the server at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = at_least_1, requires = "endpoint")]
    pub(super) concurrency: usize,
    /// Answers that were kept, and no server: replays an earlier run
    #[arg(long, requires = "endpoint")]
    pub(super) offline: bool,
    /// Ask a server at a private or otherwise special address; this machine needs no leave
    #[arg(long, requires = "endpoint")]
    pub(super) allow_private: bool,
    /// Threads; all processors without it
    #[arg(long, value_name = "N", value_parser = at_least_1)]
    pub(super) threads: Option<usize>,
    /// The file; NAME_CellReasoner_result.csv beside the input without it
    #[arg(long, value_name = "FILE.csv")]
    pub(super) out: Option<PathBuf>,
    /// Replace the file of an earlier run, and begin anew
    #[arg(long)]
    pub(super) force: bool,
}

/// How weights are held.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Precision {
    /// Single precision
    F32,
    /// Brain floats of 16 bits
    Bf16,
    /// 8 bits in blocks of 32
    Q8_0,
    /// 4 bits in blocks of 256
    Q4K,
}

pub(super) fn run(args: &InferArgs) -> Result<()> {
    let known = ["_for_CellReasoner.json", ".json"];
    let out =
        args.out.clone().unwrap_or_else(|| super::beside(&args.input, &known, "_CellReasoner_result.csv"));
    super::check_free(&out, args.force)?;
    if let Some(n) = args.threads {
        rayon::ThreadPoolBuilder::new().num_threads(n).build_global().context("cannot start the threads")?;
    }
    let records = read_records(&args.input)?;
    if records.is_empty() {
        bail!(Usage(format!("{} holds no record", args.input.display())));
    }
    let labels = args.labels.as_ref().map(read_labels).transpose()?;
    let asked = format!(
        "{:?} {:?} {:?} {labels:?} {:?} {} {} {} {} {}",
        args.checkpoint,
        args.endpoint,
        args.model,
        args.precision,
        args.greedy,
        args.max_new_tokens,
        args.context,
        args.as_trained,
        args.seed
    );
    let mut answers = Answers::open(&partial(&out), &records, &asked, args.force)?;
    if answers.n_done() > 0 {
        say(&format!("{} answers are there already", thousands(answers.n_done())));
    }
    let bar = bar(records.len());
    bar.set_position(answers.n_done() as u64);
    match &labels {
        Some(labels) if args.endpoint.is_some() => {
            remote::ask(args, &records, labels, (&out, &mut answers), &bar)?;
        }
        _ => local::ask(args, &records, labels.as_deref(), &mut answers, &bar)?,
    }
    bar.finish_and_clear();
    let result = |(record, response): (&sc_llm::cellreasoner::Record, &Option<String>)| CellResult {
        cell_name: record.cell_name.clone(),
        response: response.clone().unwrap_or_default(),
        label: record.output.clone(),
    };
    let results: Vec<CellResult> = records.iter().zip(&answers.responses).map(result).collect();
    write_results(&results, &out, args.force)?;
    answers.finish()?;
    let n_empty = results.iter().filter(|result| result.prediction().is_empty()).count();
    say(&format!("{} answers, {n_empty} of them empty: {}", thousands(results.len()), out.display()));
    Ok(())
}

fn read_labels(path: &PathBuf) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let labels: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if labels.is_empty() {
        bail!(Usage(format!("{} holds no label", path.display())));
    }
    Ok(labels)
}
