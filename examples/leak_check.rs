//! Can the benchmark be fooled? Its pipeline under four tests for leaks, beside pipelines that leak on purpose.
//!
//! ```text
//! cargo run --release --example leak_check
//! cargo run --release --example leak_check -- --input pbmc3k.h5ad --label louvain --out results/pbmc3k_leaks
//! cargo run --release --example leak_check -- --as-published
//! ```
//!
//! With `--as-published` the pipeline in question chooses and scales genes on all cells before it divides them, as many
//! do: in scikit-learn, `StandardScaler().fit(X)` before `train_test_split`. The tests catch it.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use anyhow::{Result, bail};
use clap::Parser;
use sc_eval::classifiers::{LogisticRegressionParams, Model};
use sc_eval::{Report, report};
use sc_examples::cells::{CellArgs, Cells};
use sc_examples::end::end;
use sc_examples::leak_sections::{self, Found};
use sc_examples::leaks::{Checked, Examined, Prepared};
use sc_examples::methods::MethodArgs;
use sc_examples::progress::{bar, say};
use sc_examples::splits::Rule;
use sc_examples::{facts, run};

/// Test a pipeline for information that leaks from test cells, and report what was found.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Args {
    #[command(flatten)]
    cells: CellArgs,
    #[command(flatten)]
    run: run::RunArgs,
    #[command(flatten)]
    methods: MethodArgs,
    /// Check a pipeline that chooses and scales genes on all cells before it divides them
    #[arg(long)]
    as_published: bool,
    /// Leave out the pipelines that leak on purpose
    #[arg(long)]
    no_controls: bool,
    /// End with exit code 1 if a leak was found
    #[arg(long)]
    deny: bool,
    /// Shuffles of the labels, 7 to 16
    #[arg(long, value_name = "N", default_value_t = 10)]
    shuffles: usize,
    /// Folds, stratified by label
    #[arg(long, value_name = "K", default_value_t = 3)]
    folds: usize,
    /// Folder of the results
    #[arg(long, value_name = "FOLDER", default_value = "results/leak_check")]
    out: PathBuf,
}

const EXAMPLES: &str =
    "Without --models, logistic_regression is checked. The time grows with shuffles, folds and models.

Examples:
  leak_check                                             # the benchmark's pipeline on the 700 embedded PBMCs
  leak_check --as-published                              # one that leaks, and is caught
  leak_check --input pbmc3k.h5ad --label louvain --models logistic_regression,knn --deny

Exit codes: 0 done, 1 failed or a leak with --deny, 2 usage, 3 input invalid.";

fn main() -> ExitCode {
    end(leak_check(&Args::parse()))
}

fn leak_check(args: &Args) -> Result<()> {
    let (started, clock) = (SystemTime::now(), Instant::now());
    report::check_folder(&args.out, args.run.force)?;
    args.run.set_threads()?;
    let logistic = Model::LogisticRegression(LogisticRegressionParams::default());
    let models = args.methods.models(args.run.seed, vec![logistic]);
    let params = args.methods.fold();

    let cells = Cells::load(&args.cells)?;
    let splits = Rule::Folds(args.folds).split(&cells, args.run.seed)?;
    let mut manifest = args.run.manifest("leak_check", &cells)?;
    let (in_question, controls) = args.pipelines();
    let bar = bar(0);
    let (n_shuffles, seed) = (args.shuffles, args.run.seed);
    let check = Checked { cells: &cells, splits: &splits, params: &params, n_shuffles, seed, bar: &bar };
    bar.set_length(((models.len() + controls.len()) * check.n_runs()) as u64);
    let checked = models.iter().map(|model| check.examine(in_question, model)).collect::<Result<_, _>>()?;
    let found = Found {
        checked,
        copies: check.copies()?,
        planted_copies: if args.no_controls { None } else { Some(check.planted_copies()?) },
        controls: controls
            .iter()
            .map(|&control| check.examine(control, &models[0]))
            .collect::<Result<Vec<Examined>, _>>()?,
    };
    bar.finish_and_clear();

    manifest.started(started);
    manifest.parameters = args.parameters(&models);
    manifest.duration("total before the report", clock.elapsed());
    let title = "Does anything leak from test cells?";
    let mut report = Report::new(title, &cells.dataset, cells.labels.clone(), manifest);
    report.cells = cells.names.clone();
    report.answer = Some(leak_sections::answer(&found));
    report.key_figures = leak_sections::key_figures(&found);
    report.sections = leak_sections::sections(&found);
    report.protocol = facts::protocol(Rule::Folds(args.folds).words(None, &[seed]), &params, false);
    if args.as_published {
        report.protocol.truncate(2);
        report.protocol.push(("Learnt on all cells".to_owned(), Prepared::OnAllCells.words().to_owned()));
    }
    report.notes = cells.notes();
    report.write(&args.out, args.run.force)?;
    let table =
        if args.no_controls { leak_sections::summary(&found) } else { leak_sections::verdicts(&found) };
    write!(std::io::stdout(), "{}", table.to_text())?;
    say(&leak_sections::answer(&found));
    say(&format!("report: {}", args.out.join("report.html").display()));
    match found.count() {
        (leaks, n) if leaks > 0 && args.deny => bail!("{leaks} of {n} tests found a leak"),
        _ => Ok(()),
    }
}

impl Args {
    /// The pipeline in question, and those to compare with.
    fn pipelines(&self) -> (Prepared, Vec<Prepared>) {
        let (in_question, other) = match self.as_published {
            true => (Prepared::OnAllCells, Prepared::OnTrainingCells),
            false => (Prepared::OnTrainingCells, Prepared::OnAllCells),
        };
        (in_question, if self.no_controls { Vec::new() } else { vec![other, Prepared::GenesByLabel] })
    }

    fn parameters(&self, models: &[Model]) -> Vec<(String, String)> {
        let mut parameters = self.methods.parameters(models);
        parameters.extend(
            [
                ("pipeline", self.pipelines().0.name().to_owned()),
                ("shuffles", self.shuffles.to_string()),
                ("folds", self.folds.to_string()),
                ("layer", self.cells.layer.clone()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        parameters
    }
}
