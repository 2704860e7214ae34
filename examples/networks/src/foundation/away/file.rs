//! The other file: which of its cells are asked about, and its rows in blocks.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Context, Result};
use sc_eval::manifest::{InputFile, hash_input};
use sc_io::expression::{NotCounts, Place};
use sc_io::h5ad::backed::{Backed, Rows};
use sc_io::{AnnData, Csr, DataFrame, Matrix};
use sc_prep::{Counts, LogNormalized, NormalizeTotalParams, log1p, normalize_total};
use sha2::{Digest, Sha256};

use super::AwaySettings;
use super::comparison::Comparison;
use super::genes::Alignment;
use crate::foundation::Settings;
use crate::foundation::embeddings::hex;
use crate::foundation::prepared::Sets;
use sc_examples::cells::Cells;
use sc_examples::genes::GeneTable;
use sc_examples::progress::{bar, say, thousands};
use sc_examples::subset::stratified;
use sc_examples::tissues::stack;

/// Cells of a block.
const BLOCK: usize = 256;
/// Rows of the file that are read at once when cells of it were drawn, and when all are looked at.
const WINDOW: usize = 1024;

/// The other file, opened and compared with the first data set.
pub(in crate::foundation) struct Away<'f> {
    /// Its name.
    pub(in crate::foundation) name: String,
    pub(super) comparison: Comparison,
    pub(super) genes: Alignment,
    pub(super) label: String,
    /// Variable genes of each seed that it has, and all of them.
    pub(super) variable: Vec<(usize, usize)>,
    pub(super) dropped: Vec<(String, usize)>,
    /// What its cells are, by hash.
    pub(super) sha256: String,
    /// The files that were read.
    pub(in crate::foundation) inputs: Vec<InputFile>,
    rows: Rows<'f>,
    var: &'f DataFrame,
    /// Names of its genes, those that the first data set has as that names them.
    own_names: Vec<String>,
    /// Rows that are asked about, ascending.
    asked: Vec<usize>,
}

impl<'f> Away<'f> {
    /// Proves that the values of all cells are counts, and finds the cells that are asked about: those with a label and a
    /// count, or so many drawn of them.
    ///
    /// * `x`: the first data set, and the training cells of its seeds.
    ///
    /// # Errors
    /// A column that the file does not have (with those that it has), a value that is no count (with its cell and gene), no
    /// class that both have, fewer than half of the variable genes; as reading.
    pub(in crate::foundation) fn open(
        file: &'f Backed,
        away: &AwaySettings,
        cells: &Cells,
        (x, sets): (&LogNormalized, &BTreeMap<u64, Sets>),
        settings: &Settings,
    ) -> Result<Self> {
        let last = file.path().file_name().unwrap_or(file.path().as_os_str());
        let name = last.to_string_lossy().into_owned();
        let label = away.label.clone().unwrap_or_else(|| cells.label_column.clone());
        let found = file.obs().labels(&label).with_context(|| format!("--test {}", file.path().display()))?;
        let (ontology, coarse) = away.names.load()?;
        let map = away.names.label_names()?;
        let read = |label: &str| map.get(label).map_or(label, String::as_str).to_owned();
        let names: Vec<Option<String>> = found
            .into_iter()
            .map(|label| label.filter(|label| !label.trim().is_empty()).map(|label| read(&label)))
            .collect();

        let (rows, var) = matrix(file, &settings.cells.layer)?;
        let table = away.gene_table.as_deref().map(GeneTable::read).transpose()?.unwrap_or_default();
        let genes = Alignment::new(&cells.genes, var.index(), &table);
        let examples = [(name.as_str(), var.index().first()), (&cells.dataset, cells.genes.first())];
        let variable = settings
            .seeds
            .iter()
            .map(|seed| genes.variable(x, &sets[seed].train, &settings.fold.genes, examples))
            .collect::<Result<Vec<_>>>()?;

        let has_counts = proven(file, &rows, var, &settings.cells.layer)?;
        let (mut asked, mut dropped): (Vec<usize>, _) = ((0..rows.n_rows()).collect(), Vec::new());
        let mut keep = |reason: String, keeps: &dyn Fn(usize) -> bool| {
            let before = asked.len();
            asked.retain(|&row| keeps(row));
            dropped.push((reason, before - asked.len()));
        };
        keep(format!("no label in {label:?}"), &|row| names[row].is_some());
        keep("label mapped to nothing".to_owned(), &|row| {
            names[row].as_ref().is_some_and(|name| !name.is_empty())
        });
        keep("no counts".to_owned(), &|row| has_counts[row]);
        let name_of = |row: &usize| names[*row].as_deref().unwrap_or_default();
        if let Some(most) = away.max_cells {
            let drawn = stratified(&asked.iter().map(name_of).collect::<Vec<_>>(), most, settings.seeds[0]);
            dropped.push((format!("at most {} cells are drawn", thousands(most)), asked.len() - drawn.len()));
            asked = drawn.into_iter().map(|place| asked[place]).collect();
        }
        dropped.retain(|(_, n)| *n > 0);
        let of_cells: Vec<&str> = asked.iter().map(name_of).collect();
        let comparison = Comparison::new(&cells.labels, &of_cells, read, ontology.as_ref(), &coarse)?;

        let mut inputs = hash_input(file.path())?;
        let of_file: Vec<&str> = inputs.iter().map(|input| input.sha256.as_str()).collect();
        let mut hash = Sha256::new_with_prefix(format!("{of_file:?} {} {asked:?}", settings.cells.layer));
        for path in [&away.gene_table, &away.names.ontology, &away.names.label_map].into_iter().flatten() {
            inputs.extend(hash_input(path)?);
        }
        let own_name = |(column, own): (usize, &String)| match genes.of_column(column) {
            Some(gene) => cells.genes[gene].clone(),
            None => own.clone(),
        };
        let own_names: Vec<String> = var.index().iter().enumerate().map(own_name).collect();
        hash.update(format!("{own_names:?}"));
        let sha256 = hex(hash);
        let away = Self {
            name,
            comparison,
            genes,
            label,
            variable,
            dropped,
            sha256,
            inputs,
            rows,
            var,
            own_names,
            asked,
        };
        away.tell();
        Ok(away)
    }

    /// Cells that are asked about.
    pub(in crate::foundation) fn n_cells(&self) -> usize {
        self.asked.len()
    }

    /// The cells in blocks, by their place among those that are asked about.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        (0..self.asked.len()).step_by(BLOCK).map(|first| first..(first + BLOCK).min(self.asked.len()))
    }

    /// Cells in the genes of the first data set: 10,000 counts of these each, log1p.
    pub(super) fn log_normalized(&self, cells: Range<usize>) -> Result<LogNormalized> {
        let counts = self.genes.apply(&self.read(cells)?);
        Ok(log1p(normalize_total(Counts::new(&counts)?, &NormalizeTotalParams::to(1e4))?))
    }

    /// Cells with all genes of the file.
    ///
    /// * `own_genes`: whether the model's genes are named as the first data set names them, and not by what the file
    ///   knows of its genes.
    pub(super) fn adata(&self, cells: Range<usize>, own_genes: bool) -> Result<AnnData> {
        let obs = DataFrame::new(cells.clone().map(|cell| cell.to_string()).collect());
        let var = if own_genes { DataFrame::new(self.own_names.clone()) } else { self.var.clone() };
        Ok(AnnData::new(Matrix::Csr(self.read(cells)?), obs, var)?)
    }

    fn read(&self, cells: Range<usize>) -> Result<Csr> {
        if cells.is_empty() {
            return Ok(self.rows.rows(0..0)?);
        }
        let near = self.asked[cells].chunk_by(|a, b| a / WINDOW == b / WINDOW);
        let part = |rows: &[usize]| {
            let (first, last) = (rows[0], rows[rows.len() - 1]);
            let all = self.rows.rows(first..last + 1)?;
            let places: Vec<usize> = rows.iter().map(|row| row - first).collect();
            Ok(if places.len() == all.n_rows() { all } else { all.select_rows(&places) })
        };
        stack(&near.map(part).collect::<Result<Vec<_>>>()?)
    }

    fn tell(&self) {
        let (shared, unknown) = (self.comparison.n_shared(), self.comparison.n_unknown());
        say(&format!("{}: {} cells, asked about", self.name, thousands(self.n_cells())));
        for (reason, n) in &self.dropped {
            say(&format!("  left out {} cells: {reason}", thousands(*n)));
        }
        let genes = [self.genes.n_shared(), self.own_names.len()].map(thousands);
        say(&format!("  {} of its {} genes are genes of the first data set", genes[0], genes[1]));
        let (shared, unknown) = (thousands(shared), thousands(unknown));
        say(&format!(
            "  {shared} cells are of classes that models learn, {unknown} of types that they cannot know"
        ));
    }
}

/// The matrix of a slot, and what names its columns.
fn matrix<'f>(file: &'f Backed, layer: &str) -> Result<(Rows<'f>, &'f DataFrame)> {
    Ok(match layer {
        "X" => (file.x()?, file.var()),
        "raw" => (file.raw_x()?, file.raw_var().context("there is no raw.X in this file")?),
        layer => (file.layer(layer)?, file.var()),
    })
}

/// Whether each cell has a count, after a look at every value.
fn proven(file: &Backed, rows: &Rows<'_>, var: &DataFrame, layer: &str) -> Result<Vec<bool>> {
    let bar = bar(rows.n_rows());
    bar.set_message(format!("counts of {}", file.path().display()));
    let mut has_counts = Vec::with_capacity(rows.n_rows());
    for chunk in rows.chunks(WINDOW) {
        let (range, x) = chunk?;
        Counts::new(&x)
            .map_err(|error| NotCounts {
                obs: Place::new(range.start + error.obs.index, file.obs().index()),
                var: Place::new(error.var.index, var.index()),
                value: error.value,
            })
            .with_context(|| {
                let slot = if layer == "raw" { "raw.X" } else { layer };
                format!("{slot} of --test {} is not a matrix of raw counts", file.path().display())
            })?;
        has_counts.extend((0..x.n_rows()).map(|row| x.row(row).1.iter().any(|&value| value > 0.0)));
        bar.set_position(range.end as u64);
    }
    bar.finish_and_clear();
    Ok(has_counts)
}
