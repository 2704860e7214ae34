//! Labelled cells with raw counts, from a file, a folder, or the crate itself.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use sc_eval::Labels;
use sc_io::{AnnData, Csr, DataFrame};
use sc_prep::{Counts, LogNormalized, NormalizeTotalParams, log1p, normalize_total};

use crate::end::Usage;
use crate::progress::{say, thousands};

/// Which cells, and which labels.
#[derive(Args, Clone, Debug)]
pub struct CellArgs {
    /// An .h5ad file or a 10x folder with raw counts; without it, the 700 embedded PBMCs are used
    #[arg(long, value_name = "FILE|FOLDER")]
    pub input: Option<PathBuf>,
    /// The column of obs with the cell types
    #[arg(long, value_name = "COLUMN")]
    pub label: Option<String>,
    /// A CSV file with the labels, for a folder that has none: cell name in the first column, COLUMN among the others
    #[arg(long, value_name = "FILE.csv")]
    pub labels: Option<PathBuf>,
    /// Where the raw counts are: X, raw (the file's raw.X), or the name of a layer
    #[arg(long, value_name = "SLOT", default_value = "X")]
    pub layer: String,
    /// Leave out classes with fewer cells
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub min_cells_per_class: usize,
    /// Name of the data set; without it, that of the file.
    #[arg(skip)]
    pub name: Option<String>,
    /// A column of obs and the values of it that take part; all cells without it.
    #[arg(skip)]
    pub only: Option<(String, Vec<String>)>,
    /// A column of obs whose values are kept together in folds, such as the donor.
    #[arg(skip)]
    pub group: Option<String>,
    /// Cells to draw, with the shares of the classes as they are, and the seed of the draw; all cells without it.
    #[arg(skip)]
    pub max_cells: Option<(usize, u64)>,
}

/// Cells that take part: all labelled, none empty.
pub struct Cells {
    /// Name of the data set.
    pub dataset: String,
    /// The column that the labels are from.
    pub label_column: String,
    /// Name of each cell.
    pub names: Vec<String>,
    /// Name of each gene.
    pub genes: Vec<String>,
    /// What else is known of each gene, such as its Ensembl id.
    pub var: DataFrame,
    /// Raw counts, cells × genes.
    pub counts: Csr,
    /// Label of each cell.
    pub labels: Labels,
    /// Group of each cell, such as its donor, if a column was named.
    pub groups: Option<Vec<String>>,
    /// Cells that were read.
    pub n_read: usize,
    /// Why cells were left out, and how many.
    pub dropped: Vec<(String, usize)>,
    /// The files and folders that were read; none for the embedded cells.
    pub inputs: Vec<PathBuf>,
}

/// The label column of the embedded cells.
const EMBEDDED_LABEL: &str = "bulk_labels";

impl Cells {
    /// Reads the cells, proves that their values are raw counts, and leaves out those without a label, without a count,
    /// and those of classes that are too small.
    ///
    /// # Errors
    /// What the reader finds wrong, a label column or layer that does not exist (with those that do), a value that is not
    /// a count (with its cell and gene), fewer than two classes.
    pub fn load(args: &CellArgs) -> Result<Self> {
        let mut adata = match &args.input {
            Some(path) => sc_io::open(path)?,
            None => sc_io::datasets::pbmc68k_reduced(),
        };
        let dataset = match (&args.name, &args.input) {
            (Some(name), _) => name.clone(),
            (None, Some(path)) => path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
            (None, None) => "PBMC 68k, 700 cells (embedded)".to_owned(),
        };
        let (label_column, found) = labels(args, &adata)?;
        let only =
            args.only.as_ref().map(|(column, values)| with_values(&adata, column, values)).transpose()?;
        let groups = args.group.as_ref().map(|column| adata.obs().labels(column)).transpose()?;
        let names = adata.obs().index().to_vec();
        let (counts, var) = counts(args, &mut adata)?;
        let n_read = names.len();

        let empty: Vec<bool> = (0..n_read).map(|i| counts.row(i).1.iter().all(|&v| v == 0.0)).collect();
        let (mut kept, mut dropped): (Vec<usize>, _) = ((0..n_read).collect(), Vec::new());
        let mut keep = |reason: String, keeps: &dyn Fn(usize) -> bool| {
            let before = kept.len();
            kept.retain(|&i| keeps(i));
            dropped.push((reason, before - kept.len()));
        };
        if let (Some((column, values)), Some(only)) = (&args.only, &only) {
            keep(format!("{column} is not {}", values.join(" or ")), &|i| only[i]);
        }
        keep(format!("no label in {label_column:?}"), &|i| found[i].is_some());
        if let (Some(column), Some(groups)) = (&args.group, &groups) {
            keep(format!("no value in {column:?}"), &|i| groups[i].is_some());
        }
        keep("no counts".to_owned(), &|i| !empty[i]);
        if let Some((most, seed)) = args.max_cells {
            let labels: Vec<&str> = kept.iter().filter_map(|&i| found[i].as_deref()).collect();
            let drawn = crate::subset::stratified(&labels, most, seed);
            dropped.push((format!("at most {} cells are drawn", thousands(most)), kept.len() - drawn.len()));
            kept = drawn.into_iter().map(|place| kept[place]).collect();
        }
        let (kept, small) = without_small_classes(kept, &found, args.min_cells_per_class);
        dropped.extend(small);
        dropped.retain(|(_, n)| *n > 0);

        let kept_labels: Vec<&str> = kept.iter().filter_map(|&i| found[i].as_deref()).collect();
        let labels =
            Labels::new(&kept_labels).with_context(|| format!("cannot use label column {label_column:?}"))?;
        let counts = if kept.len() == n_read { counts } else { counts.select_rows(&kept) };
        let names = kept.iter().map(|&i| names[i].clone()).collect();
        let inputs = args.input.iter().chain(&args.labels).cloned().collect();
        let groups = groups.map(|groups| kept.iter().filter_map(|&i| groups[i].clone()).collect());
        let cells = Self {
            dataset,
            label_column,
            names,
            genes: var.index().to_vec(),
            var,
            counts,
            labels,
            groups,
            n_read,
            dropped,
            inputs,
        };
        cells.tell();
        Ok(cells)
    }

    /// The counts of each cell, normalised to 10,000 and `log1p`. This looks at one cell at a time; what compares cells
    /// is learnt inside the folds.
    ///
    /// # Errors
    /// As [`normalize_total`].
    pub fn log_normalized(&self) -> Result<LogNormalized> {
        Ok(log1p(normalize_total(Counts::new(&self.counts)?, &NormalizeTotalParams::to(1e4))?))
    }

    /// What was left out, a sentence each.
    pub fn notes(&self) -> Vec<String> {
        self.dropped
            .iter()
            .map(|(reason, n)| format!("{} cells were left out: {reason}.", thousands(*n)))
            .collect()
    }

    fn tell(&self) {
        let (read, kept) = (thousands(self.n_read), thousands(self.names.len()));
        say(&format!("{}: {read} cells x {} genes", self.dataset, thousands(self.counts.n_cols())));
        for (reason, n) in &self.dropped {
            say(&format!("  left out {} cells: {reason}", thousands(*n)));
        }
        say(&format!(
            "  {kept} cells take part, {} classes of {:?}",
            self.labels.n_classes(),
            self.label_column
        ));
    }
}

/// Whether each cell has one of the values in a column.
fn with_values(adata: &AnnData, column: &str, values: &[String]) -> Result<Vec<bool>> {
    let found = adata.obs().labels(column)?;
    let there: BTreeSet<&str> = found.iter().flatten().map(String::as_str).collect();
    if let Some(absent) = values.iter().find(|value| !there.contains(value.as_str())) {
        let shown: Vec<&str> = there.iter().copied().take(20).collect();
        let text = format!("no cell has {absent:?} in column {column:?}; there are {}", shown.join(", "));
        return Err(Usage(text).into());
    }
    let wanted = |value: &Option<String>| value.as_ref().is_some_and(|value| values.contains(value));
    Ok(found.iter().map(wanted).collect())
}

/// The distinct values of a column of obs, sorted.
///
/// # Errors
/// If the file cannot be read or has no such column.
pub fn values(path: &std::path::Path, column: &str) -> Result<Vec<String>> {
    let labels = sc_io::open(path)?.obs().labels(column)?;
    Ok(labels.into_iter().flatten().collect::<BTreeSet<_>>().into_iter().collect())
}

/// The name of the label column and the label of every cell.
fn labels(args: &CellArgs, adata: &AnnData) -> Result<(String, Vec<Option<String>>)> {
    let name = match (&args.label, &args.input) {
        (Some(name), _) => name.clone(),
        (None, None) => EMBEDDED_LABEL.to_owned(),
        (None, Some(path)) => {
            let columns = adata.obs().column_names().join(", ");
            let there =
                if columns.is_empty() { "it has none".to_owned() } else { format!("it has {columns}") };
            let text = format!("{}: pass --label with a column of obs; {there}", path.display());
            return Err(Usage(text).into());
        }
    };
    let found = match &args.labels {
        Some(path) => {
            let table = sc_io::delimited::read(path)?;
            by_name(&table, &name, adata.obs().index()).with_context(|| format!("{}", path.display()))?
        }
        None if adata.obs().column_names().is_empty() => {
            let text = "the input holds no annotations of cells: pass --labels with a table that has column";
            return Err(Usage(format!("{text} {name:?}")).into());
        }
        None => adata.obs().labels(&name)?,
    };
    // A label of nothing but blanks says nothing.
    let found = found.into_iter().map(|label| label.filter(|label| !label.trim().is_empty())).collect();
    Ok((name, found))
}

/// The raw counts of the slot that was asked for, and the table of its genes.
fn counts(args: &CellArgs, adata: &mut AnnData) -> Result<(Csr, DataFrame)> {
    let (matrix, var) = match args.layer.as_str() {
        "X" => {
            let layers: Vec<&str> = adata.layers().keys().map(String::as_str).collect();
            let there = if layers.is_empty() {
                "no layers".to_owned()
            } else {
                format!("the layers {}", layers.join(", "))
            };
            let matrix = adata.take_x().with_context(|| format!("there is no X; there are {there}"))?;
            (matrix.into_csr(), adata.var())
        }
        "raw" => {
            let raw = adata.raw().context("there is no raw.X in this file")?;
            (raw.x().to_csr(), raw.var())
        }
        layer => (adata.layer(layer)?.to_csr(), adata.var()),
    };
    let slot = if args.layer == "raw" { "raw.X" } else { &args.layer };
    Counts::named(&matrix, adata.obs().index(), var.index()).with_context(|| {
        let others: Vec<&str> =
            adata.layers().keys().map(String::as_str).chain(adata.raw().map(|_| "raw")).collect();
        let others = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
        format!("{slot} is not a matrix of raw counts (other slots, for --layer: {others})")
    })?;
    Ok((matrix, var.clone()))
}

/// Leaves out the classes with fewer than `min` cells.
fn without_small_classes(
    mut kept: Vec<usize>,
    found: &[Option<String>],
    min: usize,
) -> (Vec<usize>, Vec<(String, usize)>) {
    let mut sizes = std::collections::BTreeMap::new();
    for label in kept.iter().filter_map(|&i| found[i].as_ref()) {
        *sizes.entry(label).or_insert(0usize) += 1;
    }
    let small = |label: &Option<String>| label.as_ref().is_some_and(|label| sizes[label] < min);
    let reasons = sizes.iter().filter(|(_, n)| **n < min);
    let reasons =
        reasons.map(|(label, n)| (format!("class {label:?} has fewer than {min} cells"), *n)).collect();
    kept.retain(|&i| !small(&found[i]));
    (kept, reasons)
}

/// Labels from a table of other rows: by the name of the cell; a cell that is not in the table has none.
fn by_name(table: &DataFrame, column: &str, cells: &[String]) -> Result<Vec<Option<String>>> {
    let labels = table.labels(column)?;
    let of: std::collections::BTreeMap<&str, &Option<String>> =
        table.index().iter().map(String::as_str).zip(&labels).collect();
    let found: Vec<Option<String>> =
        cells.iter().map(|cell| of.get(cell.as_str()).copied().cloned().flatten()).collect();
    if found.iter().all(Option::is_none) {
        let (table, cell) = (table.index().first(), cells.first());
        return Err(Usage(format!(
            "no cell of the matrix is in the table: it names {table:?}, the matrix {cell:?}"
        ))
        .into());
    }
    Ok(found)
}
