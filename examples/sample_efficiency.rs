//! Learning curves: how many annotated cells a classifier needs.
//!
//! ```text
//! cargo run --release --example sample_efficiency
//! cargo run --release --example sample_efficiency -- --input blood.h5ad --label cell_type --folds 6 --out results/blood_curve
//! ```
//!
//! Genes, scale and components are learnt from the cells of each draw, not from all training cells: a laboratory that has
//! 100 annotated cells has no others to choose genes from. In scikit-learn the same is `learning_curve` around such a
//! pipeline, with draws that keep the shares of the classes.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use anyhow::{Result, bail};
use clap::Parser;
use sc_eval::classifiers::Model;
use sc_eval::protocol::{SampleEfficiencyParams, sample_efficiency_all};
use sc_eval::{Report, report};
use sc_examples::cells::{CellArgs, Cells};
use sc_examples::end::{Usage, end};
use sc_examples::fold::Fold;
use sc_examples::methods::MethodArgs;
use sc_examples::progress::{bar, say};
use sc_examples::splits::Rule;
use sc_examples::{facts, learning, run};

/// Train classifiers on more and more cells, test them on the same ones, and report learning curves.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Args {
    #[command(flatten)]
    cells: CellArgs,
    #[command(flatten)]
    run: run::RunArgs,
    #[command(flatten)]
    methods: MethodArgs,
    /// Numbers of training cells [default: 100,500,1000,5000,10000; for the embedded cells 50,100,200,500]
    #[arg(long, value_name = "SIZES", value_delimiter = ',')]
    sizes: Vec<usize>,
    /// Draws of each size
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = run::at_least_1)]
    repeats: usize,
    /// A column of obs whose cells stay on one side of the split, such as the donor
    #[arg(long, value_name = "COLUMN")]
    group: Option<String>,
    /// Folds, stratified by label; more folds leave more training cells
    #[arg(long, value_name = "K", default_value_t = 5)]
    folds: usize,
    /// Folder of the results
    #[arg(long, value_name = "FOLDER", default_value = "results/sample_efficiency")]
    out: PathBuf,
}

const EXAMPLES: &str = "Examples:
  sample_efficiency                                      # the 700 embedded PBMCs
  sample_efficiency --input pbmc3k.h5ad --label louvain --sizes 50,100,500,1000,2000 --repeats 10
  sample_efficiency --input kang.h5ad --label cell_type --models logistic_regression,knn --folds 6
  sample_efficiency --input kang.h5ad --label cell_type --group donor --folds 4     # whole donors are tested

Exit codes: 0 done, 1 failed, 2 usage, 3 input invalid.";

fn main() -> ExitCode {
    end(sample_efficiency(&Args::parse()))
}

fn sample_efficiency(args: &Args) -> Result<()> {
    let (started, clock) = (SystemTime::now(), Instant::now());
    report::check_folder(&args.out, args.run.force)?;
    args.run.set_threads()?;
    if args.group.is_some() && args.cells.input.is_none() {
        bail!(Usage("--group needs --input: the embedded cells have no such column".into()));
    }
    let models = args.methods.models(args.run.seed, Model::standard());
    let params = args.methods.fold();
    let protocol = SampleEfficiencyParams {
        sizes: args.sizes(),
        n_repeats: args.repeats,
        seed: args.run.seed,
        ..Default::default()
    };

    let cells = Cells::load(&CellArgs { group: args.group.clone(), ..args.cells.clone() })?;
    let rule = Rule::Folds(args.folds);
    let splits = rule.split(&cells, args.run.seed)?;
    let x = cells.log_normalized()?;
    let mut manifest = args.run.manifest("sample_efficiency", &cells)?;
    let bar = bar(splits.len() * args.repeats * protocol.sizes.len() * models.len());
    let found = sample_efficiency_all(&cells.labels, &splits, models.len(), &protocol, |train, test| {
        bar.set_message(format!("{} cells: genes", train.len()));
        let truth = cells.labels.select(train);
        let fold = Fold::new(&x, (train, test), (&truth, cells.labels.n_classes()), &params)?;
        let run = |model: &Model| {
            bar.set_message(format!("{} cells: {}", train.len(), model.name()));
            fold.run(model).inspect(|_| bar.inc(1))
        };
        models.iter().map(run).collect::<Result<Vec<_>, _>>()
    })?;
    bar.finish_and_clear();

    let results: Vec<_> = models.iter().map(Model::name).zip(found).collect();
    manifest.started(started);
    manifest.parameters = args.parameters(&models, &protocol);
    manifest.duration("total before the report", clock.elapsed());
    let majority = cells.labels.counts().into_iter().max().unwrap_or(0) as f64 / cells.labels.len() as f64;
    let title = "How many annotated cells a classifier needs";
    let mut report = Report::new(title, &cells.dataset, cells.labels.clone(), manifest);
    report.cells = cells.names.clone();
    report.answer = Some(learning::answer(&results));
    report.key_figures = learning::key_figures(&results);
    report.sections = learning::sections(&results, majority);
    report.protocol = facts::protocol(rule.words(args.group.as_deref(), &[args.run.seed]), &params, false);
    report.protocol.push(("Drawn".to_owned(), args.drawn()));
    report.notes = cells.notes();
    report.notes.extend(learning::note(&results));
    report.write(&args.out, args.run.force)?;
    write!(std::io::stdout(), "{}", learning::table(&results).to_text())?;
    learning::note(&results).iter().for_each(|note| say(note));
    say(&format!("report: {}", args.out.join("report.html").display()));
    Ok(())
}

impl Args {
    /// The sizes asked for, ascending, each once.
    fn sizes(&self) -> Vec<usize> {
        let mut sizes = match (self.sizes.is_empty(), &self.cells.input) {
            (false, _) => self.sizes.clone(),
            (true, Some(_)) => SampleEfficiencyParams::default().sizes,
            (true, None) => vec![50, 100, 200, 500],
        };
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    fn drawn(&self) -> String {
        format!(
            "{} times each size from the training cells of every fold, stratified by label, smaller draws within larger ones, \
             seed {}; features are learnt from the cells drawn alone",
            self.repeats, self.run.seed
        )
    }

    fn parameters(&self, models: &[Model], protocol: &SampleEfficiencyParams) -> Vec<(String, String)> {
        let sizes: Vec<String> = protocol.sizes.iter().map(usize::to_string).collect();
        let mut parameters = self.methods.parameters(models);
        parameters.extend(
            [
                ("sizes", sizes.join(",")),
                ("repeats", self.repeats.to_string()),
                ("folds", self.folds.to_string()),
                ("group", self.group.clone().unwrap_or_else(|| "none".to_owned())),
                ("layer", self.cells.layer.clone()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        parameters
    }
}
