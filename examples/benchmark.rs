//! Classical classifiers on labelled cells, compared by cross-validation without leaks, with a report.
//!
//! ```text
//! cargo run --release --example benchmark
//! cargo run --release --example benchmark -- --input pbmc3k.h5ad --label louvain --out results/pbmc3k
//! ```
//!
//! Reads `.h5ad` files and 10x folders; writes report.html, metrics.csv, metrics.json, predictions.csv and figures.
//! In scanpy and scikit-learn the same is `StratifiedKFold` around `filter_genes`, `normalize_total`, `log1p`,
//! `highly_variable_genes`, `scale` and a classifier, with every step but the second and third fitted on the training
//! cells.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use anyhow::Result;
use clap::Parser;
use sc_eval::classifiers::Model;
use sc_eval::{Report, report};
use sc_examples::cells::{CellArgs, Cells};
use sc_examples::end::end;
use sc_examples::fold::{FoldParams, compare};
use sc_examples::progress::{bar, say};
use sc_examples::splits::Rule;
use sc_examples::{facts, map, run};
use sc_prep::FeatureSpaceParams;

/// Compare classical classifiers on labelled cells, without leaks, and write a report.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Args {
    #[command(flatten)]
    cells: CellArgs,
    #[command(flatten)]
    run: run::RunArgs,
    /// Classifiers, separated by commas, of majority, logistic_regression, random_forest, xgboost, svm_linear, svm_rbf, knn,
    /// random_by_prior, gaussian_naive_bayes and nearest_centroid; the first seven without it
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = run::model)]
    models: Vec<Model>,
    /// Highly variable genes to keep, chosen on the training cells of each fold
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = run::at_least_1)]
    n_genes: usize,
    /// Principal components for nearest neighbours
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = run::at_least_1)]
    n_components: usize,
    /// Folds, stratified by label
    #[arg(long, value_name = "K", default_value_t = 5)]
    folds: usize,
    /// Leave out the UMAP of all cells (it takes long above about 50,000)
    #[arg(long)]
    no_map: bool,
    /// Folder of the results
    #[arg(long, value_name = "FOLDER", default_value = "results/benchmark")]
    out: PathBuf,
}

const EXAMPLES: &str = "Examples:
  benchmark                                              # the 700 embedded PBMCs
  benchmark --input pbmc3k.h5ad --label louvain          # your cells, a column of obs
  benchmark --input filtered_gene_bc_matrices/hg19 --labels labels.csv --label louvain
  benchmark --models majority,logistic_regression,xgboost --folds 10 --out results/ten --force";

fn main() -> ExitCode {
    end(benchmark(&Args::parse()))
}

fn benchmark(args: &Args) -> Result<()> {
    let (started, clock) = (SystemTime::now(), Instant::now());
    report::check_folder(&args.out, args.run.force)?;
    args.run.set_threads()?;
    let chosen = if args.models.is_empty() { Model::standard() } else { args.models.clone() };
    let models: Vec<Model> = chosen.into_iter().map(|model| model.with_seed(args.run.seed)).collect();

    let cells = Cells::load(&args.cells)?;
    let splits = Rule::Folds(args.folds).split(&cells, args.run.seed)?;
    let mut manifest = args.run.manifest("benchmark", &cells)?;
    manifest.started(started);
    manifest.duration("read", clock.elapsed());

    let x = cells.log_normalized()?;
    let genes = FeatureSpaceParams { n_top_genes: args.n_genes, ..Default::default() };
    let params = FoldParams { genes, n_components: args.n_components };
    let bar = bar(splits.len() * (models.len() + 1) + 1);
    let (results, preparing) = compare(&x, &cells.labels, &splits, &models, &params, &bar)?;
    manifest.duration("genes of all folds", preparing);

    let start = Instant::now();
    let map = match args.no_map {
        true => None,
        false => map::umap(&x, &params.genes, args.run.seed, |step| bar.set_message(format!("map: {step}")))?,
    };
    manifest.duration("map", start.elapsed());
    bar.finish_and_clear();

    let mut report =
        Report::new("Cell-type classifiers compared", &cells.dataset, cells.labels.clone(), manifest);
    report.cells = cells.names.clone();
    report.umap = map;
    report.models = models.iter().map(|model| model.name().to_owned()).zip(results).collect();
    report.protocol = args.protocol(&params);
    report.notes = cells.notes();
    report.manifest.parameters = args.parameters();
    report.manifest.duration("total before the report", clock.elapsed());
    report.write(&args.out, args.run.force)?;
    write!(std::io::stdout(), "{}", report.table())?;
    say(&format!("report: {}", args.out.join("report.html").display()));
    Ok(())
}

impl Args {
    fn protocol(&self, params: &FoldParams) -> Vec<(String, String)> {
        let rule = Rule::Folds(self.folds).words(None, &[self.run.seed]);
        let mut facts = facts::protocol(rule, params, false);
        facts.push(facts::map());
        facts
    }

    fn parameters(&self) -> Vec<(String, String)> {
        let models: Vec<String> = self.models.iter().map(|model| model.name().to_owned()).collect();
        let named = |name: &str, value: String| (name.to_owned(), value);
        vec![
            named("models", if models.is_empty() { "standard".into() } else { models.join(",") }),
            named("n_genes", self.n_genes.to_string()),
            named("n_components", self.n_components.to_string()),
            named("folds", self.folds.to_string()),
            named("layer", self.cells.layer.clone()),
            named("min_cells_per_class", self.cells.min_cells_per_class.to_string()),
        ]
    }
}
