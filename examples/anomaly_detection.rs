//! Whether cells of a type that was never seen are noticed: each type in turn is left out of training, and then asked
//! about beside held-out cells of the others.
//!
//! ```text
//! cargo run --release --example anomaly_detection
//! cargo run --release --example anomaly_detection -- --input pbmc3k.h5ad --label louvain --cv 5
//! ```
//!
//! Scores are how unsure a classifier is (1 - its largest probability, entropy, margin), how badly an autoencoder gives a
//! cell back, and distances in principal components. Genes, components and models are learnt on the training cells alone.
//! In scikit-learn the same is a fit without a class, `roc_auc_score` and `average_precision_score` on the scores.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use anyhow::{Result, bail};
use clap::Parser;
use sc_eval::classifiers::Model;
use sc_eval::protocol::AnomalyParams;
use sc_eval::{Report, report};
use sc_examples::cells::{CellArgs, Cells};
use sc_examples::end::{Usage, end};
use sc_examples::fold::FoldParams;
use sc_examples::progress::{bar, say};
use sc_examples::splits::Rule;
use sc_examples::strange::{self, Detector, Methods};
use sc_examples::{facts, run};
use sc_prep::FeatureSpaceParams;

/// Leave out one cell type at a time, and say whether its cells are noticed as strange.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Args {
    #[command(flatten)]
    cells: CellArgs,
    #[command(flatten)]
    run: run::RunArgs,
    /// Classifiers that say how probable each class is (xgboost, svm_rbf, ... as well), separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = run::model,
          default_value = "logistic_regression,random_forest,mlp,knn")]
    models: Vec<Model>,
    /// What needs no classifier, separated by commas
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "reconstruction_error,neighbor_distance,centroid_distance"
    )]
    detectors: Vec<Detector>,
    /// A type with fewer cells is never the unseen one
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = run::at_least_1)]
    min_cells: usize,
    /// Share of the cells that is held out, as the known ones to ask about
    #[arg(long, value_name = "SHARE", default_value_t = 0.2)]
    test_size: f64,
    /// Hold out every cell once, in so many folds, instead of one share
    #[arg(long, value_name = "K", conflicts_with = "test_size")]
    cv: Option<usize>,
    /// A column of obs whose cells are held out together, such as the donor
    #[arg(long, value_name = "COLUMN")]
    group: Option<String>,
    /// Cells to draw, with the shares of the labels as they are; all without it
    #[arg(long, value_name = "N", value_parser = run::at_least_1)]
    max_cells: Option<usize>,
    /// Highly variable genes to keep, chosen on training cells
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = run::at_least_1)]
    n_genes: usize,
    /// Principal components for distances and nearest neighbours
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = run::at_least_1)]
    n_components: usize,
    /// Folder of the results
    #[arg(long, value_name = "FOLDER", default_value = "results/anomaly_detection")]
    out: PathBuf,
}

const EXAMPLES: &str = "Examples:
  anomaly_detection                                      # the 700 embedded PBMCs
  anomaly_detection --input pbmc3k.h5ad --label louvain --cv 5 --models logistic_regression,xgboost
  anomaly_detection --input kang.h5ad --label cell_type --group donor --min-cells 50 --max-cells 5000

Exit codes: 0 done, 1 failed, 2 usage, 3 input invalid.";

fn main() -> ExitCode {
    end(detect(&Args::parse()))
}

fn detect(args: &Args) -> Result<()> {
    let (started, clock) = (SystemTime::now(), Instant::now());
    report::check_folder(&args.out, args.run.force)?;
    args.run.set_threads()?;
    let seed = args.run.seed;
    let models = args.models.iter().map(|model| model.clone().with_seed(seed)).collect();
    let methods = Methods { models, detectors: args.detectors.clone(), seed };
    let mut names: Vec<String> = methods.list().iter().map(ToString::to_string).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        bail!(Usage(format!("{:?} is asked for twice", twice[0])));
    }
    let max_cells = args.max_cells.map(|most| (most, seed));
    let cells = Cells::load(&CellArgs { group: args.group.clone(), max_cells, ..args.cells.clone() })?;
    let rule = args.cv.map_or(Rule::TestSize(args.test_size), Rule::Folds);
    let splits = rule.split(&cells, seed)?;
    let mut manifest = args.run.manifest("anomaly_detection", &cells)?;
    manifest.started(started);
    manifest.duration("read", clock.elapsed());

    let genes = FeatureSpaceParams { n_top_genes: args.n_genes, ..Default::default() };
    let fold = FoldParams { genes, n_components: args.n_components };
    let params = AnomalyParams { min_cells: args.min_cells, ..Default::default() };
    let bar = bar(strange::n_steps(&cells.labels, splits.len(), &methods, args.min_cells));
    let x = cells.log_normalized()?;
    let found = strange::compare(&x, &cells.labels, &splits, (&methods, &params, &fold), &bar)?;
    bar.finish_and_clear();

    manifest.parameters = args.parameters(&names);
    manifest.duration("total before the report", clock.elapsed());
    let title = "Cells of types that were never seen";
    let mut report = Report::new(title, &cells.dataset, cells.labels.clone(), manifest);
    report.cells.clone_from(&cells.names);
    report.answer = Some(strange::headline(&found));
    report.key_figures = strange::key_figures(&found);
    report.sections = strange::sections(&found);
    report.protocol = facts::protocol(rule.words(args.group.as_deref(), &[seed]), &fold, false);
    report.protocol.push((
        "Unseen type".into(),
        "all its cells are left out of training, and all are asked about in every split".into(),
    ));
    report.notes = cells.notes();
    report.write(&args.out, args.run.force)?;
    write!(std::io::stdout(), "{}", strange::means(&found).to_text())?;
    say(&format!("report: {}", args.out.join("report.html").display()));
    Ok(())
}

impl Args {
    fn parameters(&self, methods: &[String]) -> Vec<(String, String)> {
        [
            ("methods", methods.join("; ")),
            ("min_cells", self.min_cells.to_string()),
            ("cv", self.cv.map_or("one split".to_owned(), |k| k.to_string())),
            ("test_size", self.test_size.to_string()),
            ("group", self.group.clone().unwrap_or_else(|| "none".to_owned())),
            ("max_cells", self.max_cells.map_or("all".to_owned(), |n| n.to_string())),
            ("n_genes", self.n_genes.to_string()),
            ("n_components", self.n_components.to_string()),
            ("layer", self.cells.layer.clone()),
            ("min_cells_per_class", self.cells.min_cells_per_class.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}
