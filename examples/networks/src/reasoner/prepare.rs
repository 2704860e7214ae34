//! The first step: the genes of a list, of every cell.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
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
    super::check_free(&args.out.join(format!("{name}.h5")), args.force)?;
    let adata = match &args.input {
        Some(path) => cellreasoner::open(path)?,
        None => sc_io::datasets::pbmc68k_reduced(),
    };
    let genes = match &args.gene_list {
        Some(path) => GeneList::read(path)?,
        None => variable(&adata)?,
    };
    let prepared = Prepared::new(&adata, &genes)?;
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot create {}", args.out.display()))?;
    prepared.write(&args.out, &name, args.force)?;
    say(&format!(
        "{} cells; {} of the {} listed genes are in the data, {} genes of which are not listed",
        thousands(adata.n_obs()),
        thousands(prepared.matrix.column_names().len()),
        thousands(genes.genes().len()),
        thousands(adata.n_vars() - prepared.matrix.column_names().len())
    ));
    let file = args.out.join(format!("{name}.h5"));
    say(&format!("{} and {}", file.display(), file.with_extension("meta.csv").display()));
    Ok(())
}

/// The most variable genes, the most variable first.
fn variable(adata: &AnnData) -> Result<GeneList> {
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
    let found = seurat(&values, Subset::all(), &HvgParams::top(N_VARIABLE.min(names.len())))?;
    let mut ranked: Vec<(usize, &str)> =
        found.ranks().iter().zip(names).filter_map(|(rank, name)| Some(((*rank)?, name.as_str()))).collect();
    ranked.sort_unstable();
    say(&format!("no --gene-list: the {} most variable genes of the data, in that order", ranked.len()));
    let text: Vec<&str> = ranked.into_iter().map(|(_, name)| name).collect();
    Ok(GeneList::parse(&text.join("\n"))?)
}
