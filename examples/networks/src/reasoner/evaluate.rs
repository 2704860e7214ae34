//! The fourth step: what the answers are worth.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use sc_eval::Manifest;
use sc_eval::ontology::{BROAD_CLASSES, OntologyScores, ScoreRule};
use sc_eval::report::check_folder;
use sc_examples::end::Usage;
use sc_examples::ontology;
use sc_examples::progress::say;
use sc_llm::cellreasoner::{CellResult, OnMissing, PairScores, PublishedScore, read_results};

use super::page;

/// The flags of the fourth step.
#[derive(Args, Clone, Debug)]
pub struct EvaluateArgs {
    /// NAME_CellReasoner_result.csv with a column labels
    #[arg(long, value_name = "FILE.csv")]
    input: PathBuf,
    /// The table of scored pairs (Ground Truth, Model Prediction, Evaluation Score), .csv or .xlsx: the score as published
    #[arg(long, value_name = "FILE", required_unless_present = "ontology")]
    pairs: Option<PathBuf>,
    /// What answers count that the table does not have
    #[arg(long, value_name = "WHAT", default_value = "drop")]
    on_missing: Missing,
    /// A release of the Cell Ontology, OBO or CELLxGENE's JSON, plain or .gz: a score that drops nothing
    #[arg(long, value_name = "FILE")]
    ontology: Option<PathBuf>,
    /// An answer that says more than the truth counts half
    #[arg(long, requires = "ontology")]
    strict: bool,
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

/// What was found.
pub(super) struct Found {
    pub(super) results: Vec<CellResult>,
    /// Name of the rule for answers that the table does not have, and the score.
    pub(super) published: Option<(&'static str, PublishedScore)>,
    pub(super) ontology: Option<OntologyScores>,
    /// By the true label: the labels, the places of their cells, and their ontology scores.
    pub(super) by_label: Vec<(String, Vec<usize>, Option<OntologyScores>)>,
}

pub(super) fn run(args: &EvaluateArgs) -> Result<()> {
    check_folder(&args.out, args.force)?;
    let results = read_results(&args.input)?;
    if results.is_empty() {
        bail!(Usage(format!("{} holds no answer", args.input.display())));
    }
    let published = match &args.pairs {
        Some(path) => {
            let (words, rule) = match args.on_missing {
                Missing::Drop => ("left out", OnMissing::Drop),
                Missing::Zero => ("counted 0", OnMissing::Zero),
                Missing::Error => ("an error", OnMissing::Error),
            };
            Some((words, PublishedScore::new(&results, &PairScores::read(path)?, rule)?))
        }
        None => None,
    };
    let mut by_label = std::collections::BTreeMap::<String, Vec<usize>>::new();
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
    let (mut ontology, mut of_labels) = (None, vec![None; by_label.len()]);
    if let Some(path) = &args.ontology {
        let terms = ontology::read(path)?;
        let rule = if args.strict { ScoreRule::strict() } else { ScoreRule::default() };
        let classes = terms.terms(BROAD_CLASSES)?;
        let score = |places: &[usize]| {
            let predicted: Vec<&str> = places.iter().map(|&place| results[place].prediction()).collect();
            let truth: Vec<&str> =
                places.iter().map(|&place| results[place].label.as_deref().unwrap_or_default()).collect();
            terms.scores(&predicted, &truth, &classes, &rule)
        };
        ontology = Some(score(&(0..results.len()).collect::<Vec<_>>())?);
        of_labels =
            by_label.values().map(|places| score(places).map(Some)).collect::<Result<_, sc_eval::Error>>()?;
    }
    let by_label =
        by_label.into_iter().zip(of_labels).map(|((label, places), score)| (label, places, score)).collect();
    let found = Found { results, published, ontology, by_label };

    let mut manifest = Manifest::new("cellreasoner evaluate", env!("CARGO_PKG_VERSION"));
    manifest.command = std::env::args().collect();
    if let Some(name) = manifest.command.first_mut() {
        "cellreasoner".clone_into(name);
    }
    for path in [Some(&args.input), args.pairs.as_ref(), args.ontology.as_ref()].into_iter().flatten() {
        manifest.input(path)?;
    }
    let name = args.input.file_name().unwrap_or_default().to_string_lossy();
    page::report(&found, &name, manifest).write(&args.out, args.force)?;
    for line in page::lines(&found) {
        say(&line);
    }
    say(&format!("report: {}", args.out.join("report.html").display()));
    Ok(())
}
