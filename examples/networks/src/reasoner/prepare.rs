//! The first step: the genes of a list, of every cell.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use sc_eval::Labels;
use sc_eval::split::{Size, StratifiedShuffleSplit};
use sc_examples::progress::{say, thousands};
use sc_io::{AnnData, Counts, Matrix};
use sc_llm::cellreasoner::{self, GeneList, Prepared};
use sc_prep::highly_variable_genes::{HvgParams, seurat};
use sc_prep::{NormalizeTotalParams, Subset, log1p, normalize_total};

/// The flags of the first step.
#[derive(Args, Clone, Debug)]
pub struct PreprocessArgs {
    /// An .h5ad file, a 10x folder, or a Seurat object in .rds or .rda; without it, the 700 embedded PBMCs
    #[arg(long, value_name = "FILE|FOLDER")]
    input: Option<PathBuf>,
    /// The genes, one a line, in the order in which a cell lists them, such as the published ranked_hvg.list; without it,
    /// the 1,000 most variable genes of the data, which published models have not seen in this order
    #[arg(long, value_name = "FILE")]
    gene_list: Option<PathBuf>,
    /// Sets so large a share of the cells aside, such as 0.2: files NAME_train and NAME_test in place of NAME, and variable
    /// genes of the training cells alone
    #[arg(long, value_name = "SHARE", requires = "label_column")]
    test_share: Option<f64>,
    /// The column of cells whose types both parts shall have in equal shares; cells without a type are left out
    #[arg(long, value_name = "COLUMN", requires = "test_share")]
    label_column: Option<String>,
    /// Seed of the draw of test cells
    #[arg(long, value_name = "SEED", default_value_t = 42, requires = "test_share")]
    seed: u64,
    /// What the files are called; that of the input without it
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Folder of the files
    #[arg(long, value_name = "FOLDER", default_value = "results/cellreasoner")]
    out: PathBuf,
    /// Replace files of an earlier run
    #[arg(long)]
    force: bool,
}

/// Genes of a list that is made of the data.
const N_VARIABLE: usize = 1000;

pub(super) fn run(args: &PreprocessArgs) -> Result<()> {
    let name = match (&args.name, &args.input) {
        (Some(name), _) => name.clone(),
        (None, Some(input)) => cellreasoner::stem(input),
        (None, None) => "pbmc68k_reduced".to_owned(),
    };
    let parts: &[&str] = if args.test_share.is_some() { &["_train", "_test"] } else { &[""] };
    let files: Vec<String> = parts.iter().map(|part| format!("{name}{part}")).collect();
    for file in &files {
        super::check_free(&args.out.join(format!("{file}.h5")), args.force)?;
    }
    let adata = match &args.input {
        Some(path) => cellreasoner::open(path)?,
        None => sc_io::datasets::pbmc68k_reduced(),
    };
    let rows = match (args.test_share, &args.label_column) {
        (Some(share), Some(column)) => divided(&adata, column, share, args.seed)?,
        _ => vec![(0..adata.n_obs()).collect()],
    };
    let genes = match &args.gene_list {
        Some(path) => GeneList::read(path)?,
        None => variable(&adata, &rows[0])?,
    };
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot create {}", args.out.display()))?;
    for (place, (rows, file)) in rows.iter().zip(&files).enumerate() {
        let prepared = match args.test_share {
            Some(_) => Prepared::new(&adata.select_obs(rows)?, &genes)?,
            None => Prepared::new(&adata, &genes)?,
        };
        prepared.write(&args.out, file, args.force)?;
        let n_listed = prepared.matrix.column_names().len();
        if place == 0 {
            say(&format!(
                "{} cells; {} of the {} listed genes are in the data, {} genes of which are not listed",
                thousands(adata.n_obs()),
                thousands(n_listed),
                thousands(genes.genes().len()),
                thousands(adata.n_vars() - n_listed)
            ));
        }
        let matrix = args.out.join(format!("{file}.h5"));
        let table = matrix.with_extension("meta.csv");
        say(&format!("{} cells: {} and {}", thousands(rows.len()), matrix.display(), table.display()));
    }
    Ok(())
}

/// Training and test cells, in the order of the data.
fn divided(adata: &AnnData, column: &str, share: f64, seed: u64) -> Result<Vec<Vec<usize>>> {
    let found = adata.obs().labels(column)?;
    let labelled: Vec<usize> = (0..found.len()).filter(|&row| found[row].is_some()).collect();
    if labelled.len() < found.len() {
        say(&format!("left out {} cells: no label in {column:?}", thousands(found.len() - labelled.len())));
    }
    let names: Vec<&str> = found.iter().flatten().map(String::as_str).collect();
    let rule =
        StratifiedShuffleSplit { test_size: Size::Share(share), seed, ..StratifiedShuffleSplit::default() };
    let split = rule.split(&Labels::new(&names)?)?.remove(0);
    let part = |places: Vec<usize>| {
        let mut rows: Vec<usize> = places.into_iter().map(|place| labelled[place]).collect();
        rows.sort_unstable();
        rows
    };
    Ok(vec![part(split.train), part(split.test)])
}

/// The genes that are most variable in some cells, the most variable first.
fn variable(adata: &AnnData, rows: &[usize]) -> Result<GeneList> {
    let x = adata.x().context("there is no X, and without it no list of variable genes: pass --gene-list")?;
    let csr;
    let x = match x {
        Matrix::Csr(x) => x,
        other => {
            csr = other.to_csr();
            &csr
        }
    };
    let counts = Counts::new(x)
        .context("variable genes are found in raw counts, and X holds none: pass --gene-list")?;
    let values = log1p(normalize_total(counts, &NormalizeTotalParams::to(1e4))?);
    let names = adata.var().index();
    let found = seurat(&values, Subset::rows(rows), &HvgParams::top(N_VARIABLE.min(names.len())))?;
    let mut ranked: Vec<(usize, &str)> =
        found.ranks().iter().zip(names).filter_map(|(rank, name)| Some(((*rank)?, name.as_str()))).collect();
    ranked.sort_unstable();
    say(&format!("no --gene-list: the {} most variable genes of the data, in that order", ranked.len()));
    let text: Vec<&str> = ranked.into_iter().map(|(_, name)| name).collect();
    Ok(GeneList::parse(&text.join("\n"))?)
}
