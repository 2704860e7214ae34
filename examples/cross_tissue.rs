//! Cell-type classifiers taken from one tissue to others: how much of what they score at home is left abroad.
//!
//! ```text
//! cargo run --release --example cross_tissue
//! cargo run --release --example cross_tissue -- --input blood.h5ad --label cell_type --test lung.h5ad --test brain.h5ad \
//!     --ontology cl.obo --out results/blood
//! ```
//!
//! Genes are those that all data sets have; labels are brought together over the Cell Ontology; everything else is learnt
//! on the source's cells alone. In scikit-learn the same is a fit on one data set and `accuracy_score` on another, with
//! the gap taken on the classes that both have.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use anyhow::{Result, bail};
use clap::Parser;
use sc_eval::classifiers::Model;
use sc_eval::protocol::{FoldOutput, Task, Transfer, transfer};
use sc_eval::split::{Split, StratifiedKFold};
use sc_eval::{Report, report};
use sc_examples::cells::{self, CellArgs, Cells};
use sc_examples::end::{Usage, end};
use sc_examples::fold::{Failure, Fold, FoldParams};
use sc_examples::genes::GeneTable;
use sc_examples::ontology::OntologyArgs;
use sc_examples::progress::{bar, say};
use sc_examples::tissues::{self, Tissues};
use sc_examples::{run, transfers};
use sc_prep::FeatureSpaceParams;

/// Take classifiers from one tissue to others, and report what is lost on the way.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Args {
    #[command(flatten)]
    cells: CellArgs,
    #[command(flatten)]
    run: run::RunArgs,
    #[command(flatten)]
    names: OntologyArgs,
    /// A data set to test on; may be given several times
    #[arg(long, value_name = "FILE|FOLDER")]
    test: Vec<PathBuf>,
    /// The column of obs with the cell types of the data sets to test on, where it is not that of --label
    #[arg(long, value_name = "COLUMN")]
    test_label: Option<String>,
    /// A column of obs with the tissue, to go from one tissue of --input to its others
    #[arg(long, value_name = "COLUMN", requires = "train_tissue")]
    tissue_column: Option<String>,
    /// The tissue to learn from, a value of --tissue-column
    #[arg(long, value_name = "NAME", requires = "tissue_column")]
    train_tissue: Option<String>,
    /// A CSV file of identifier,name for data sets that name their genes differently
    #[arg(long, value_name = "FILE.csv")]
    gene_table: Option<PathBuf>,
    /// Classifiers, separated by commas; the usual seven without it
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = run::model)]
    models: Vec<Model>,
    /// Highly variable genes to keep, chosen on training cells
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = run::at_least_1)]
    n_genes: usize,
    /// Principal components for nearest neighbours
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = run::at_least_1)]
    n_components: usize,
    /// Folds of the cross-validation on the source
    #[arg(long, value_name = "K", default_value_t = 5)]
    cv: usize,
    /// Folder of the results
    #[arg(long, value_name = "FOLDER", default_value = "results/cross_tissue")]
    out: PathBuf,
}

const EXAMPLES: &str = "Examples:
  cross_tissue                                           # half of the embedded PBMCs, to the other half made strange
  cross_tissue --input blood.h5ad --label cell_type --test lung.h5ad --test brain.h5ad --ontology cl.obo
  cross_tissue --input lung.h5ad --label cell_type --tissue-column tissue --train-tissue blood --label-map names.csv
  cross_tissue --input blood.h5ad --label cell_type --test lung.h5ad --gene-table ensembl_to_symbol.csv \\
      --ontology cl.obo --classes 'T cell;B cell;monocyte'";

fn main() -> ExitCode {
    end(cross_tissue(&Args::parse()))
}

fn cross_tissue(args: &Args) -> Result<()> {
    let (started, clock) = (SystemTime::now(), Instant::now());
    report::check_folder(&args.out, args.run.force)?;
    args.run.set_threads()?;
    let chosen = if args.models.is_empty() { Model::standard() } else { args.models.clone() };
    let models: Vec<Model> = chosen.into_iter().map(|model| model.with_seed(args.run.seed)).collect();
    let (ontology, classes) = args.names.load()?;
    let genes = args.gene_table.as_deref().map(GeneTable::read).transpose()?.unwrap_or_default();

    let sets = args.sets()?;
    let tissues = Tissues::new(&sets, &genes, ontology.as_ref(), &classes, &args.names.label_names()?)?;
    tissues.tell(&sets);
    let rule = StratifiedKFold { n_splits: args.cv, seed: args.run.seed, ..Default::default() };
    let splits = rule.split(&tissues.source)?;
    let x = tissues.log_normalized()?;
    let genes = FeatureSpaceParams { n_top_genes: args.n_genes, ..Default::default() };
    let params = FoldParams { genes, n_components: args.n_components };

    // Features are made once for all models: for each fold at home, and for all of home against everything abroad.
    let bar = bar((splits.len() + 1) * (models.len() + 1));
    let home = (0..tissues.source.len()).collect();
    let abroad = Split { train: home, test: tissues.rows.concat() };
    let mut folds = Vec::with_capacity(splits.len() + 1);
    for (fold, split) in splits.iter().chain([&abroad]).enumerate() {
        bar.set_message("genes");
        let made = Fold::of_split(&x, split, &tissues.source, &params, false);
        folds.push(made.map_err(|source| sc_eval::Error::Model { fold, source })?);
        bar.inc(1);
    }
    let targets = tissues.targets(&sets);
    let one = |model: &Model| -> Result<Transfer> {
        let (mut fold, mut everywhere) = (0..splits.len(), None);
        let answer = |task: Task<'_>| -> Result<FoldOutput, Failure> {
            let run = |fold: usize| {
                bar.set_message(model.name());
                folds[fold].run(model).inspect(|_| bar.inc(1))
            };
            match task {
                Task::Within { .. } => run(fold.next().expect("a fold for each split")),
                Task::To { target } => {
                    if everywhere.is_none() {
                        everywhere = Some(run(splits.len())?);
                    }
                    Ok(tissues.answer_about(target, everywhere.as_ref().expect("just run")))
                }
            }
        };
        Ok(transfer(&tissues.source, &splits, &targets, answer)?)
    };
    let results = models.iter().map(one).collect::<Result<Vec<_>>>()?;
    bar.finish_and_clear();

    let mut manifest = args.run.manifest("cross_tissue", &sets[0])?;
    for set in &sets[1..] {
        for path in &set.inputs {
            manifest.input(path)?;
        }
    }
    for path in [&args.names.ontology, &args.names.label_map, &args.gene_table].into_iter().flatten() {
        manifest.input(path)?;
    }
    manifest.labels(&tissues.source);
    manifest.started(started);
    manifest.parameters = args.parameters(&models);
    manifest.duration("total before the report", clock.elapsed());
    let title = "Cell-type classifiers taken to other tissues";
    let mut report = Report::new(title, &sets[0].dataset, tissues.source.clone(), manifest);
    let names: Vec<&str> = models.iter().map(Model::name).collect();
    report.answer = Some(transfers::answer(&names, &results));
    report.sections = transfers::sections(&tissues, &sets, &names, &results, ontology.as_ref())?;
    let tables: Vec<String> = (0..targets.len())
        .map(|target| {
            let table = transfers::scores(&names, &results, target);
            format!("To {}: {}\n{}", targets[target].name, table.caption, table.to_text())
        })
        .collect();
    report.models =
        names.iter().map(|name| (*name).to_owned()).zip(results.into_iter().map(|r| r.within)).collect();
    report.protocol = args.protocol(&tissues);
    report.notes = tissues.notes(&sets);
    report.write(&args.out, args.run.force)?;
    write!(std::io::stdout(), "{}\n{}", report.table(), tables.join("\n"))?;
    say(&format!("report: {}", args.out.join("report.html").display()));
    Ok(())
}

impl Args {
    /// The source, then the data sets to test on.
    fn sets(&self) -> Result<Vec<Cells>> {
        match (&self.tissue_column, self.test.is_empty()) {
            (Some(_), false) => {
                bail!(Usage("--tissue-column goes with one file, --test with several".into()))
            }
            (Some(column), true) => self.tissues_of(column),
            (None, true) if self.cells.input.is_none() => {
                // Each half needs a cell of every class in every fold.
                let min = self.cells.min_cells_per_class.max(2 * self.cv);
                let cells = Cells::load(&CellArgs { min_cells_per_class: min, ..self.cells.clone() })?;
                tissues::made_strange(&cells, self.run.seed)
            }
            (None, true) => {
                bail!(Usage("pass --test with a data set, or --tissue-column with --train-tissue".into()))
            }
            (None, false) => {
                let test = |path: &PathBuf| {
                    let label = self.test_label.clone().or_else(|| self.cells.label.clone());
                    Cells::load(&CellArgs {
                        input: Some(path.clone()),
                        label,
                        labels: None,
                        ..self.cells.clone()
                    })
                };
                [Cells::load(&self.cells)].into_iter().chain(self.test.iter().map(test)).collect()
            }
        }
    }

    /// The cells of --train-tissue, then those of each other tissue.
    fn tissues_of(&self, column: &str) -> Result<Vec<Cells>> {
        let Some(input) = &self.cells.input else { bail!(Usage("--tissue-column needs --input".into())) };
        let mut tissues: Vec<String> = cells::values(input, column)?;
        let train = self.train_tissue.clone().unwrap_or_default();
        if !tissues.contains(&train) || tissues.len() < 2 {
            bail!(Usage(format!("column {column:?} holds {}, not {train:?} and others", tissues.join(", "))));
        }
        tissues.sort_by_key(|tissue| *tissue != train);
        let load = |tissue: String| {
            let only = Some((column.to_owned(), vec![tissue.clone()]));
            Cells::load(&CellArgs { name: Some(tissue), only, ..self.cells.clone() })
        };
        tissues.into_iter().map(load).collect()
    }

    fn protocol(&self, tissues: &Tissues) -> Vec<(String, String)> {
        let fact = |name: &str, text: String| (name.to_owned(), text);
        vec![
            fact(
                "At home",
                format!("{} folds, stratified by class, shuffled with seed {}", self.cv, self.run.seed),
            ),
            fact(
                "Abroad",
                "learnt from all cells of the source, asked about all cells of each target".into(),
            ),
            fact(
                "Genes",
                format!("the {} that all data sets have, matched by name", tissues.counts.n_cols()),
            ),
            fact("Each cell alone", "normalised to 10,000 counts of the shared genes, log1p".into()),
            fact(
                "Learnt on cells of the source only",
                format!(
                    "genes in at least 3 cells, at most {} of them by variability (seurat), mean and deviation of each \
                     (clipped at 10), {} principal components for nearest neighbours",
                    self.n_genes, self.n_components
                ),
            ),
            fact(
                "Gap",
                "accuracy at home less accuracy abroad, on cells of the classes that both have".into(),
            ),
        ]
    }

    fn parameters(&self, models: &[Model]) -> Vec<(String, String)> {
        let names: Vec<&str> = models.iter().map(Model::name).collect();
        [
            ("models", names.join(",")),
            ("n_genes", self.n_genes.to_string()),
            ("n_components", self.n_components.to_string()),
            ("cv", self.cv.to_string()),
            ("classes", self.names.classes.join(";")),
            ("layer", self.cells.layer.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}
