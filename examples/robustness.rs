//! Cell-type classifiers fitted on clean cells and asked about cells that are worse: noise, lost counts, shallow
//! sequencing, another batch.
//!
//! ```text
//! cargo run --release --example robustness
//! cargo run --release --example robustness -- --input pbmc3k.h5ad --label louvain --noise-levels 0,.1,.2,.5 \
//!     --out results/pbmc3k_robustness
//! ```
//!
//! In scikit-learn the same is a pipeline fitted once a fold and `accuracy_score` on perturbed copies of the test cells,
//! with a paired bootstrap of what is lost. The size of the noise is learnt from training cells too.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use anyhow::Result;
use clap::Parser;
use sc_eval::classifiers::Model;
use sc_eval::protocol::RobustnessParams;
use sc_eval::{Report, report};
use sc_examples::cells::{CellArgs, Cells};
use sc_examples::end::end;
use sc_examples::methods::MethodArgs;
use sc_examples::perturb::{LevelArgs, Perturbed};
use sc_examples::progress::{bar, say};
use sc_examples::splits::Rule;
use sc_examples::{facts, robust_sections, run};

/// Fit classifiers on clean cells, ask them about perturbed ones, and report what is lost.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Args {
    #[command(flatten)]
    cells: CellArgs,
    #[command(flatten)]
    run: run::RunArgs,
    #[command(flatten)]
    methods: MethodArgs,
    #[command(flatten)]
    levels: LevelArgs,
    /// Draws of each perturbation
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = run::at_least_1)]
    repeats: usize,
    /// Let the models learn from cells perturbed in the same way
    #[arg(long)]
    train_perturbed: bool,
    /// Folds, stratified by label
    #[arg(long, value_name = "K", default_value_t = 5)]
    folds: usize,
    /// Folder of the results
    #[arg(long, value_name = "FOLDER", default_value = "results/robustness")]
    out: PathBuf,
}

const EXAMPLES: &str = "Without any of the four --...-levels all four kinds are tried; with some, only those.

Examples:
  robustness                                             # the 700 embedded PBMCs, all four kinds
  robustness --input pbmc3k.h5ad --label louvain --models logistic_regression,random_forest,knn
  robustness --input pbmc3k.h5ad --label louvain --noise-levels 0,.1,.2,.5,1 --repeats 10 --out results/noise
  robustness --input pbmc3k.h5ad --label louvain --batch-levels .2,.5 --train-perturbed --force

Exit codes: 0 done, 1 failed, 2 usage, 3 input invalid.";

fn main() -> ExitCode {
    end(robustness(&Args::parse()))
}

fn robustness(args: &Args) -> Result<()> {
    let (started, clock) = (SystemTime::now(), Instant::now());
    report::check_folder(&args.out, args.run.force)?;
    args.run.set_threads()?;
    let models = args.methods.models(args.run.seed, Model::standard());
    let params = args.methods.fold();
    let protocol = RobustnessParams {
        kinds: args.levels.kinds(),
        n_repeats: args.repeats,
        perturb_training: args.train_perturbed,
        seed: args.run.seed,
        ..Default::default()
    };

    let cells = Cells::load(&args.cells)?;
    let splits = Rule::Folds(args.folds).split(&cells, args.run.seed)?;
    let mut manifest = args.run.manifest("robustness", &cells)?;
    let bar = bar(Perturbed::n_steps(splits.len(), &protocol));
    let found = Perturbed::new(&cells, &models, &params)?.run(&splits, &protocol, &bar)?;
    bar.finish_and_clear();

    let results: Vec<_> = models.iter().map(Model::name).zip(found).collect();
    manifest.started(started);
    manifest.parameters = args.parameters(&models, &protocol);
    manifest.duration("total before the report", clock.elapsed());
    let majority = cells.labels.counts().into_iter().max().unwrap_or(0) as f64 / cells.labels.len() as f64;
    let title = "What cell-type classifiers lose when cells get worse";
    let mut report = Report::new(title, &cells.dataset, cells.labels.clone(), manifest);
    report.cells = cells.names.clone();
    report.answer = Some(robust_sections::answer(&results));
    report.key_figures = robust_sections::key_figures(&results);
    report.sections = robust_sections::sections(&results, majority);
    report.protocol = facts::protocol(Rule::Folds(args.folds).words(None, &[args.run.seed]), &params, false);
    report.protocol.push(("Perturbed".to_owned(), args.perturbed()));
    report.notes = cells.notes();
    report.write(&args.out, args.run.force)?;
    write!(std::io::stdout(), "{}", robust_sections::drops(&results).to_text())?;
    say(&format!("report: {}", args.out.join("report.html").display()));
    Ok(())
}

impl Args {
    fn perturbed(&self) -> String {
        let who = match self.train_perturbed {
            true => "test cells, and the training cells in the same way (their genes are chosen before)",
            false => "test cells only; every model is fitted once a fold, on clean cells",
        };
        let last = self.run.seed.wrapping_add(self.repeats as u64 - 1);
        format!("{who}; {} draws of each level, with seeds {} to {last}", self.repeats, self.run.seed)
    }

    fn parameters(&self, models: &[Model], protocol: &RobustnessParams) -> Vec<(String, String)> {
        let mut parameters = self.methods.parameters(models);
        for kind in &protocol.kinds {
            let levels: Vec<String> = kind.levels.iter().map(f64::to_string).collect();
            parameters.push((format!("levels of {}", kind.name), levels.join(",")));
        }
        parameters.push(("repeats".to_owned(), self.repeats.to_string()));
        parameters.push(("train_perturbed".to_owned(), self.train_perturbed.to_string()));
        parameters.push(("folds".to_owned(), self.folds.to_string()));
        parameters.push(("layer".to_owned(), self.cells.layer.clone()));
        parameters
    }
}
