//! The third step: a model is asked.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use sc_examples::end::Usage;
use sc_examples::progress::{bar, say, thousands};
use sc_examples::run::at_least_1;
use sc_llm::cellreasoner::{CellResult, Record, parse_response, read_records, write_results};

use super::answers::{Answers, Part, partial};
use super::baselines::{self, Learning, disguised};
use super::local::Local;
use super::remote;
use crate::lines::fingerprint;
use crate::weights::{self, WeightArgs};

/// The flags of the third step.
#[derive(Args, Clone, Debug)]
pub struct InferArgs {
    /// NAME_for_CellReasoner.json, as build-dataset or the published scripts write it
    #[arg(long, value_name = "FILE.json")]
    pub(super) input: PathBuf,
    /// A language model (GPT-Neo, OPT, Phi, Qwen2 or T5), such as CellReasoner-7B: a folder with config.json, weights and
    /// tokenizer.json, a model's folder of a hub's cache, or a .gguf file
    #[arg(long, value_name = "PATH")]
    pub(super) checkpoint: Option<PathBuf>,
    /// Records of other cells with their labels. Majority, marker overlap, TF-IDF + LR and SingleR learn from them and answer
    /// beside the model; without --checkpoint and --endpoint, so does a small decoder, in a minute or two
    #[arg(long, value_name = "FILE.json")]
    pub(super) train: Option<PathBuf>,
    /// Epochs of the small decoder
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = at_least_1, requires = "train")]
    pub(super) epochs: usize,
    /// Ask once more with the names of genes shuffled: how much of an answer is memory of names
    #[arg(long)]
    pub(super) shuffled: bool,
    /// An OpenAI-compatible server in place of --checkpoint; the key is taken from SC_LLM_API_KEY or OPENAI_API_KEY
    #[arg(long, value_name = "URL", conflicts_with = "checkpoint", requires = "model")]
    pub(super) endpoint: Option<String>,
    /// The model, as that server names it
    #[arg(long, value_name = "NAME", requires = "endpoint")]
    pub(super) model: Option<String>,
    /// A file with the labels to choose from, one a line. A model of --checkpoint answers with one of them; a server is told them
    /// and held to them as far as it can be. Without it a model of --checkpoint answers in free text, and the small decoder and a
    /// server have the labels of --train
    #[arg(long, value_name = "FILE.txt")]
    pub(super) labels: Option<PathBuf>,
    #[command(flatten)]
    pub(super) weights: WeightArgs,
    /// Take the most probable token each time; the published settings draw (temperature 0.01 for labels, 0.6 for thoughts)
    #[arg(long)]
    pub(super) greedy: bool,
    /// Tokens of an answer, at most; without it 4096 for free text, and 512 where there are labels to choose from, too few
    /// for a model behind a server that reasons before it answers
    #[arg(long, value_name = "N", value_parser = at_least_1)]
    pub(super) max_new_tokens: Option<usize>,
    /// Tokens of a prompt with its answer, at most; genes are left out from the end where it is too long
    #[arg(long, value_name = "N", default_value_t = 8192, value_parser = at_least_1)]
    pub(super) context: usize,
    /// Put the instruction before the genes in the user's message, as in training, not in the system's, as the published
    /// inference does
    #[arg(long)]
    pub(super) as_trained: bool,
    /// Seed of the draws, of the small decoder and of the shuffled names
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub(super) seed: u64,
    /// Prices per million tokens, for the limit on cost: a TOML file with ["MODEL"], input = 0.15 and output = 0.6 for
    /// each model, or the same as YAML or JSON
    #[arg(long, value_name = "FILE.toml", requires = "endpoint")]
    pub(super) prices: Option<PathBuf>,
    /// Most money that this run spends; the request that could exceed it is not sent
    #[arg(long, value_name = "AMOUNT", requires = "prices")]
    pub(super) max_cost: Option<f64>,
    /// Requests to the server at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = at_least_1, requires = "endpoint")]
    pub(super) concurrency: usize,
    /// Answers that were kept in NAME_CellReasoner_result.answers, and no server: replays an earlier run
    #[arg(long, requires = "endpoint")]
    pub(super) offline: bool,
    /// Ask a server at a private or otherwise special address; this machine needs no leave
    #[arg(long, requires = "endpoint")]
    pub(super) allow_private: bool,
    /// Root certificates that are trusted instead of Mozilla's, for a network whose proxy looks into connections
    #[arg(long, value_name = "FILE.pem", requires = "endpoint")]
    pub(super) root_certificates: Option<PathBuf>,
    /// Threads; all processors without it
    #[arg(long, value_name = "N", value_parser = at_least_1)]
    pub(super) threads: Option<usize>,
    /// The file; NAME_CellReasoner_result.csv beside the input without it
    #[arg(long, value_name = "FILE.csv")]
    pub(super) out: Option<PathBuf>,
    /// Replace the files of an earlier run, and begin anew; without it a run that was cut off goes on
    #[arg(long)]
    pub(super) force: bool,
}

/// Tokens of an answer where nothing is said: those of the published settings, and those that no name of a type needs.
const FREE_TOKENS: usize = 4096;
const LABEL_TOKENS: usize = 512;

impl InferArgs {
    /// Tokens of an answer, at most.
    pub(super) fn answer_tokens(&self) -> usize {
        // A server and the small decoder always choose.
        let chooses = self.labels.is_some() || self.checkpoint.is_none();
        self.max_new_tokens.unwrap_or(if chooses { LABEL_TOKENS } else { FREE_TOKENS })
    }
}

pub(super) fn run(args: &InferArgs) -> Result<()> {
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| super::beside(&args.input, &super::RECORDS, "_CellReasoner_result.csv"));
    let beside = out.with_extension("baselines.csv");
    if args.train.is_none() && args.checkpoint.is_none() && args.endpoint.is_none() {
        bail!(Usage(
            "no model is named: give --checkpoint PATH or --endpoint URL, or --train FILE.json for a small decoder that \
             is trained on the spot"
                .to_owned()
        ));
    }
    if let Some(path) = &args.checkpoint {
        let otherwise =
            "give --train in place of --checkpoint, for a small decoder that is trained on the spot";
        weights::check(path, otherwise)?;
    }
    if args.endpoint.is_some() && args.labels.is_none() && args.train.is_none() {
        bail!(Usage("a server is told what to choose from: give --labels, or --train".to_owned()));
    }
    let has_baselines = args.train.is_some() || args.shuffled;
    let check_free = |may_replace: bool| {
        super::check_free(&out, may_replace)?;
        if has_baselines { super::check_free(&beside, may_replace) } else { Ok(()) }
    };
    if !partial(&out).exists() {
        check_free(args.force)?;
    }
    if let Some(n) = args.threads {
        rayon::ThreadPoolBuilder::new().num_threads(n).build_global().context("cannot start the threads")?;
    }
    let records = read_records(&args.input)?;
    if records.is_empty() {
        bail!(Usage(format!("{} holds no record", args.input.display())));
    }
    let learning = args.train.as_ref().map(|path| Learning::read(path, &records)).transpose()?;
    let labels = match (&args.labels, &learning) {
        (Some(path), _) => Some(read_labels(path)?),
        (None, Some(learning)) if args.checkpoint.is_none() => Some(learning.labels.clone()),
        _ => None,
    };
    let asked = asked(args, labels.as_deref(), learning.as_ref())?;
    let n_times = if args.shuffled { 2 } else { 1 };
    let mut answers = Answers::open(&partial(&out), &records, &asked, n_times, args.force)?;
    // A run that was killed at its end has written some of its files: they are its own.
    let may_replace = args.force || answers.is_begun();
    check_free(may_replace)?;
    let asker = Asker::new(args, learning.as_ref(), &out)?;
    let spent = asker.ask(args, &records, labels.as_deref(), (&out, answers.part(0)), args.max_cost)?;
    let mut others = match &learning {
        Some(learning) => learning.answers(&records, &args.input)?,
        None => Vec::new(),
    };
    if args.shuffled {
        say("once more, with shuffled names of genes");
        let (records, out) = (disguised(&records, args.seed)?, out.with_extension("shuffled.csv"));
        let left = args.max_cost.map(|most| (most - spent).max(0.0));
        asker.ask(args, &records, labels.as_deref(), (&out, answers.part(1)), left)?;
        let part = answers.part(1);
        let said = part.responses().iter().map(|said| parse_response(said.as_deref().unwrap_or_default()));
        others.push(("shuffled gene names".to_owned(), said.map(str::to_owned).collect()));
    }
    let result = |(record, response): (&Record, &Option<String>)| CellResult {
        cell_name: record.cell_name.clone(),
        response: response.clone().unwrap_or_default(),
        label: record.output.clone(),
    };
    let results: Vec<CellResult> = records.iter().zip(answers.part(0).responses()).map(result).collect();
    let written = Written::new(&out, may_replace)?;
    if has_baselines {
        written.put(&beside, |path| baselines::write(path, &records, &others))?;
    }
    written.put(&out, |path| Ok(write_results(&results, path, true)?))?;
    written.finish()?;
    answers.finish()?;
    let n_empty = results.iter().filter(|result| result.prediction().is_empty()).count();
    say(&format!("{} answers, {n_empty} of them empty: {}", thousands(results.len()), out.display()));
    if has_baselines {
        say(&format!("what stands beside them: {}", beside.display()));
    }
    Ok(())
}

/// Files that are written in a folder of their own and then put in place. What a run that was killed left there is known
/// to be of this result, whoever else writes beside it.
struct Written {
    folder: PathBuf,
    may_replace: bool,
}

impl Written {
    /// Makes `NAME_CellReasoner_result.partial.files`, or cleans that of a run that was killed.
    fn new(out: &Path, may_replace: bool) -> Result<Self> {
        let folder = out.with_extension("partial.files");
        let context = || format!("cannot make {}", folder.display());
        std::fs::create_dir_all(&folder).with_context(context)?;
        for entry in std::fs::read_dir(&folder).with_context(context)? {
            std::fs::remove_file(entry.with_context(context)?.path()).with_context(context)?;
        }
        Ok(Self { folder, may_replace })
    }

    fn put(&self, path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let aside = self.folder.join(path.file_name().unwrap_or_default());
        write(&aside)?;
        super::check_free(path, self.may_replace)?;
        std::fs::rename(&aside, path).with_context(|| format!("cannot write {}", path.display()))
    }

    fn finish(self) -> Result<()> {
        let Self { folder, .. } = self;
        std::fs::remove_dir(&folder).with_context(|| format!("cannot remove {}", folder.display()))
    }
}

/// All that the answers depend on beside the records, in words.
fn asked(args: &InferArgs, labels: Option<&[String]>, learning: Option<&Learning>) -> Result<String> {
    let stamp = args.checkpoint.as_deref().map(weights::stamp).transpose()?;
    let is_small = args.checkpoint.is_none() && args.endpoint.is_none();
    Ok(format!(
        "{:?} {stamp:?} {:?} {:?} {labels:?} {} {} {} {} {} {} {:?}",
        args.checkpoint,
        args.endpoint,
        args.model,
        args.weights.words(),
        args.greedy,
        args.answer_tokens(),
        args.context,
        args.as_trained,
        args.seed,
        learning.filter(|_| is_small).map(|learning| {
            let texts = learning.labelled().into_iter();
            let texts =
                texts.flat_map(|(record, label)| [record.instruction.as_str(), record.input.as_str(), label]);
            (args.epochs, fingerprint(texts))
        }),
    ))
}

/// Who is asked.
enum Asker<'a> {
    Local(Box<Local<'a>>),
    Endpoint,
}

impl<'a> Asker<'a> {
    fn new(args: &'a InferArgs, learning: Option<&Learning>, out: &Path) -> Result<Self> {
        if let Some(folder) = &args.checkpoint {
            return Ok(Self::Local(Box::new(Local::open(args, folder)?)));
        }
        let Some(learning) = learning.filter(|_| args.endpoint.is_none()) else { return Ok(Self::Endpoint) };
        let folder = out.with_extension("decoder");
        if args.force && folder.is_dir() {
            std::fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        say(
            "no --checkpoint and no --endpoint: the small decoder shows how the steps work, not what a language model knows",
        );
        let local = Local::train(args, &learning.labelled(), &learning.labels, &folder)?;
        Ok(Self::Local(Box::new(local)))
    }

    /// Asks about the records that have no answer yet; returns what that cost.
    fn ask(
        &self,
        args: &InferArgs,
        records: &[Record],
        labels: Option<&[String]>,
        (out, mut answers): (&Path, Part<'_>),
        max_cost: Option<f64>,
    ) -> Result<f64> {
        let n_done = records.len() - answers.left().len();
        if n_done > 0 {
            say(&format!("{} answers are there already", thousands(n_done)));
        }
        let bar = bar(records.len());
        bar.set_position(n_done as u64);
        let spent = match self {
            Self::Local(local) => local.ask(records, labels, &mut answers, &bar).map(|()| 0.0)?,
            Self::Endpoint => {
                remote::ask(args, records, labels.unwrap_or_default(), (out, &mut answers), &bar, max_cost)?
            }
        };
        bar.finish_and_clear();
        Ok(spent)
    }
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
