//! The fourth step: what the answers are worth.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use sc_eval::Manifest;
use sc_eval::ontology::{BROAD_CLASSES, OntologyScores, ScoreRule};
use sc_eval::report::check_folder;
use sc_examples::end::Usage;
use sc_examples::ontology;
use sc_examples::progress::say;
use sc_llm::cellreasoner::{CellResult, OnMissing, PairScores, read_results};

use super::scores::{Rules, Scores};
use super::{baselines, page};

/// The flags of the fourth step.
#[derive(Args, Clone, Debug)]
pub struct EvaluateArgs {
    /// NAME_CellReasoner_result.csv with a column labels
    #[arg(long, value_name = "FILE.csv")]
    input: PathBuf,
    /// The table of scored pairs (Ground Truth, Model Prediction, Evaluation Score), .csv or .xlsx: the score as published
    #[arg(long, value_name = "FILE")]
    pairs: Option<PathBuf>,
    /// What an answer counts that the table of pairs does not have
    #[arg(long, value_name = "WHAT", default_value = "drop")]
    on_missing: Missing,
    /// A release of the Cell Ontology, OBO or CELLxGENE's JSON, plain or .gz: a score that drops nothing
    #[arg(long, value_name = "FILE")]
    ontology: Option<PathBuf>,
    /// An answer that says more than the truth counts half
    #[arg(long, requires = "ontology")]
    strict: bool,
    /// Answers of baselines to the same cells, as infer --train writes them; NAME_CellReasoner_result.baselines.csv beside the
    /// input, if there is one, without it
    #[arg(long, value_name = "FILE.csv")]
    baselines: Option<PathBuf>,
    /// Folder of the report
    #[arg(long, value_name = "FOLDER", default_value = "results/cellreasoner/evaluation")]
    out: PathBuf,
    /// Replace an earlier report
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Missing {
    /// Nothing: they are left out of the mean, as published
    Drop,
    /// 0
    Zero,
    /// They are an error
    Error,
}

impl From<Missing> for OnMissing {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Drop => Self::Drop,
            Missing::Zero => Self::Zero,
            Missing::Error => Self::Error,
        }
    }
}

/// What was found.
pub(super) struct Found {
    pub(super) results: Vec<CellResult>,
    /// What answers count that the table of pairs does not have.
    pub(super) on_missing: OnMissing,
    pub(super) scores: Scores,
    /// What stands beside the answers: the methods and their scores.
    pub(super) baselines: Vec<(String, Scores)>,
    /// By the true label: the labels, the places of their cells, and their ontology scores.
    pub(super) by_label: Vec<(String, Vec<usize>, Option<OntologyScores>)>,
}

pub(super) fn run(args: &EvaluateArgs) -> Result<()> {
    check_folder(&args.out, args.force)?;
    let results = read_results(&args.input)?;
    if results.is_empty() {
        bail!(Usage(format!("{} holds no answer", args.input.display())));
    }
    let mut by_label = BTreeMap::<String, Vec<usize>>::new();
    for (place, result) in results.iter().enumerate() {
        let Some(label) = &result.label else {
            bail!(Usage(format!(
                "{} has no label for {}: build the data set with --label-column",
                args.input.display(),
                result.cell_name
            )));
        };
        by_label.entry(label.clone()).or_default().push(place);
    }
    let beside = match &args.baselines {
        Some(path) => Some(path.clone()),
        None => Some(args.input.with_extension("baselines.csv")).filter(|path| path.is_file()),
    };
    let rules = Rules {
        pairs: args.pairs.as_ref().map(PairScores::read).transpose()?,
        ontology: match &args.ontology {
            Some(path) => {
                let terms = ontology::read(path)?;
                let classes = terms.terms(BROAD_CLASSES)?;
                Some((terms, classes))
            }
            None => None,
        },
        rule: if args.strict { ScoreRule::strict() } else { ScoreRule::default() },
    };
    let on_missing = args.on_missing.into();
    let scores = rules.score(&results, on_missing)?;
    let mut baselines = Vec::new();
    if let Some(path) = &beside {
        let cells: Vec<&str> = results.iter().map(|result| result.cell_name.as_str()).collect();
        for (method, answers) in baselines::read(path, &cells)? {
            let other = |(result, response): (&CellResult, String)| CellResult { response, ..result.clone() };
            let others: Vec<CellResult> = results.iter().zip(answers).map(other).collect();
            // What the model must not do, baselines may.
            let on_missing = if on_missing == OnMissing::Error { OnMissing::Drop } else { on_missing };
            baselines.push((method, rules.score(&others, on_missing)?));
        }
    }
    let mut groups = Vec::new();
    for (label, places) in by_label {
        let own: Vec<CellResult> = places.iter().map(|&place| results[place].clone()).collect();
        let scores = rules.terms(&own)?;
        groups.push((label, places, scores));
    }
    let found = Found { results, on_missing, scores, baselines, by_label: groups };

    let mut manifest = Manifest::new("cellreasoner evaluate", env!("CARGO_PKG_VERSION"));
    manifest.command = std::env::args().collect();
    if let Some(name) = manifest.command.first_mut() {
        "cellreasoner".clone_into(name);
    }
    let inputs = [Some(&args.input), args.pairs.as_ref(), args.ontology.as_ref(), beside.as_ref()];
    for path in inputs.into_iter().flatten() {
        manifest.input(path)?;
    }
    let name = args.input.file_name().unwrap_or_default().to_string_lossy();
    page::report(&found, &name, manifest)?.write(&args.out, args.force)?;
    for line in page::lines(&found)? {
        say(&line);
    }
    if !found.baselines.is_empty() {
        write!(std::io::stdout(), "{}", page::comparison(&found)?.to_text())?;
    }
    say(&format!("report: {}", args.out.join("report.html").display()));
    Ok(())
}
