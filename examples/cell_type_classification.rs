//! Classifiers compared on the cell types of one or several data sets: folds, seeds and models as a grid on disk, which
//! can be interrupted at any moment and resumed to the same results.
//!
//! ```text
//! cargo run --release --example cell_type_classification
//! cargo run --release --example cell_type_classification -- --input pbmc3k.h5ad --label louvain --seeds 1 2 3
//! cargo run --release --example cell_type_classification -- --config examples/benchmark.yaml
//! ```
//!
//! Writes results.csv, results.json, times.csv, cz_benchmarks.json (the layout of cz-benchmarks' results), the answer of
//! every model in every fold under cells/, and a report. In scanpy and scikit-learn the same is `StratifiedKFold` for each
//! seed around `filter_genes`, `normalize_total`, `log1p`, `highly_variable_genes`, `scale` and a classifier, with every
//! step but the second and third fitted on the training cells.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use sc_eval::grid::merge;
use sc_examples::end::end;
use sc_examples::progress::say;
use sc_examples::record::Record;
use sc_examples::settings::StudyArgs;
use sc_examples::study::Study;

/// Compare classifiers on the cell types of one or several data sets, without leaks, in a run that can be resumed.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Args {
    #[command(flatten)]
    study: StudyArgs,
}

const EXAMPLES: &str = "Examples:
  cell_type_classification                                                # the 700 embedded PBMCs
  cell_type_classification --input pbmc3k.h5ad --label louvain --seeds 1 2 3 --out results/pbmc3k
  cell_type_classification --input pbmc3k.h5ad --label louvain --seeds 1 2 3 --out results/pbmc3k --resume
  cell_type_classification --input blood.h5ad lung.h5ad --label cell_type --max-cells 10000 --models xgboost knn
  cell_type_classification --input kang.h5ad --label cell_type --group donor --cv 4     # whole donors are tested
  cell_type_classification --input atlas.h5ad --label cell_type --tissues blood lung --test-size 0.2 --use-pca
  cell_type_classification --config examples/benchmark.yaml --jobs 2

Exit codes: 0 done, 1 failed, 2 usage, 3 input invalid.";

fn main() -> ExitCode {
    end(classify(&Args::parse()))
}

fn classify(args: &Args) -> Result<()> {
    let settings = args.study.settings("cell_type_classification")?;
    let out = settings.out.clone();
    Study::load("cell_type_classification", settings)?.run()?;
    let merged = merge(&out, false)?;
    merged.write(&out)?;
    let pages = Record::read(&out, &merged)?.write_reports(&merged, &out, &out)?;
    write!(std::io::stdout(), "{}", merged.table())?;
    for page in pages {
        say(&format!("report: {}", page.display()));
    }
    Ok(())
}
