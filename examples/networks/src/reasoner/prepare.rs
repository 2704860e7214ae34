//! The first step: the genes of a list, of every cell.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use sc_eval::split::{GroupShuffleSplit, Size, StratifiedShuffleSplit};
use sc_eval::{Labels, Manifest};
use sc_examples::progress::{say, thousands};
use sc_examples::splits::numbered;
use sc_io::{AnnData, Counts, Matrix};
use sc_llm::cellreasoner::{self, GeneList, Prepared};
use sc_prep::highly_variable_genes::{HvgParams, seurat};
use sc_prep::{NormalizeTotalParams, Subset, log1p, normalize_total};
use serde::Serialize;

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
    #[arg(long, value_name = "SHARE", requires = "label_column", value_parser = share)]
    test_share: Option<f64>,
    /// The column of the types of cells, which both parts have in equal shares; cells without a type are left out
    #[arg(long, value_name = "COLUMN", requires = "test_share")]
    label_column: Option<String>,
    /// A column, such as the donor, whose values are on one side with all their cells: --test-share is then a share of these
    /// values, and the types fall as they fall; cells without a value are left out
    #[arg(long, value_name = "COLUMN", requires = "test_share")]
    group: Option<String>,
    /// Seed of the draw of test cells or groups
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

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if 0.0 < share && share < 1.0 => Ok(share),
        _ => Err("expected a share between 0 and 1, such as 0.2".to_owned()),
    }
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
    let record = args.out.join(format!("{name}.manifest.json"));
    for file in &files {
        super::check_free(&args.out.join(format!("{file}.h5")), args.force)?;
    }
    let adata = match &args.input {
        Some(path) => cellreasoner::open(path)?,
        None => sc_io::datasets::pbmc68k_reduced(),
    };
    let mut manifest = args.manifest(&adata)?;
    let mut groups = None;
    let rows = match (args.test_share, &args.label_column) {
        (Some(share), Some(column)) => {
            let rule = Aside { column, group: args.group.as_deref(), share, seed: args.seed };
            let parts = rule.divide(&adata, &mut manifest)?;
            groups = parts.groups;
            parts.rows
        }
        _ => vec![(0..adata.n_obs()).collect()],
    };
    manifest.cells_kept = rows.iter().map(Vec::len).sum();
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
                "{} cells; {} of the {} listed genes are in the data; {} genes of the data are not listed",
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
    let n_cells = files.iter().zip(&rows).map(|(file, rows)| (file.clone(), rows.len())).collect();
    let text = format!("{}\n", serde_json::to_string_pretty(&Written { n_cells, groups, manifest })?);
    sc_io::atomic::write_aside(&record, true, |file| file.write_all(text.as_bytes()))?;
    say(&format!("how they were made: {}", record.display()));
    Ok(())
}

impl PreprocessArgs {
    /// What is known before anything is divided. It holds no time, so that the same flags write the same file.
    fn manifest(&self, adata: &AnnData) -> Result<Manifest> {
        let mut manifest = Manifest::new("cellreasoner preprocess", env!("CARGO_PKG_VERSION"));
        for path in [&self.input, &self.gene_list].into_iter().flatten() {
            manifest.input(path)?;
        }
        if self.input.is_none() {
            manifest.parameter("input", "the 700 embedded PBMCs");
        }
        manifest.seed = self.test_share.map(|_| self.seed);
        let texts = [
            ("test_share", self.test_share.map(|share| share.to_string())),
            ("label_column", self.label_column.clone()),
            ("group", self.group.clone()),
        ];
        for (name, value) in texts {
            manifest.parameter(name, value.as_deref().unwrap_or("none"));
        }
        (manifest.cells_read, manifest.n_genes) = (adata.n_obs(), adata.n_vars());
        Ok(manifest)
    }
}

/// NAME.manifest.json.
#[derive(Serialize)]
struct Written {
    /// Cells of each pair of files.
    n_cells: BTreeMap<String, usize>,
    /// Which groups are on which side, where groups stay together.
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Sides>,
    #[serde(flatten)]
    manifest: Manifest,
}

/// Names of groups.
#[derive(Serialize)]
struct Sides {
    train: BTreeSet<String>,
    test: BTreeSet<String>,
}

/// How cells are set aside.
struct Aside<'a> {
    /// The types.
    column: &'a str,
    group: Option<&'a str>,
    share: f64,
    seed: u64,
}

struct Parts {
    /// Training and test cells, in the order of the data.
    rows: Vec<Vec<usize>>,
    groups: Option<Sides>,
}

impl Aside<'_> {
    fn divide(&self, adata: &AnnData, manifest: &mut Manifest) -> Result<Parts> {
        let mut kept: Vec<usize> = (0..adata.n_obs()).collect();
        let mut known = |column: &str| -> Result<Vec<Option<String>>> {
            let found = adata.obs().labels(column)?;
            let n = kept.len();
            kept.retain(|&row| found[row].is_some());
            let (n_lost, why) = (n - kept.len(), format!("no value in {column:?}"));
            if n_lost > 0 {
                say(&format!("left out {} cells: {why}", thousands(n_lost)));
            }
            manifest.dropped(why, n_lost);
            Ok(found)
        };
        let types = known(self.column)?;
        let groups = self.group.map(known).transpose()?;
        let of = |values: &[Option<String>], row: usize| values[row].clone().unwrap_or_default();
        let labels = Labels::new(&kept.iter().map(|&row| of(&types, row)).collect::<Vec<_>>())?;
        manifest.labels(&labels);
        let split = match &groups {
            None => {
                let test_size = Size::Share(self.share);
                let rule = StratifiedShuffleSplit { test_size, seed: self.seed, ..Default::default() };
                rule.split(&labels)?.remove(0)
            }
            Some(groups) => {
                let names: Vec<String> = kept.iter().map(|&row| of(groups, row)).collect();
                let rule = GroupShuffleSplit {
                    test_groups: Size::Share(self.share),
                    seed: self.seed,
                    ..Default::default()
                };
                rule.split(&numbered(&names))?.remove(0)
            }
        };
        let rows: Vec<Vec<usize>> = [split.train, split.test]
            .into_iter()
            .map(|places| {
                let mut rows: Vec<usize> = places.into_iter().map(|place| kept[place]).collect();
                rows.sort_unstable();
                rows
            })
            .collect();
        let all = |values: &[Option<String>], rows: &[usize]| {
            rows.iter().map(|&row| of(values, row)).collect::<BTreeSet<String>>()
        };
        let unknown: Vec<String> =
            all(&types, &rows[1]).difference(&all(&types, &rows[0])).cloned().collect();
        if !unknown.is_empty() {
            say(&format!(
                "only test cells are of these types, which nothing can learn: {}",
                unknown.join(", ")
            ));
        }
        let groups =
            groups.map(|groups| Sides { train: all(&groups, &rows[0]), test: all(&groups, &rows[1]) });
        if let (Some(Sides { train, test }), Some(column)) = (&groups, self.group) {
            say(&format!(
                "{column}: {} values for training, {} set aside; no value is on both sides",
                thousands(train.len()),
                thousands(test.len())
            ));
        }
        Ok(Parts { rows, groups })
    }
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
