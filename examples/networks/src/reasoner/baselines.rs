//! What needs no language model, asked about the same cells.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sc_eval::Features;
use sc_eval::classifiers::SingleRParams;
use sc_examples::end::Usage;
use sc_examples::progress::say;
use sc_io::named_matrix::NamedMatrix;
use sc_io::{Column, Counts, Csr, DataFrame, delimited};
use sc_llm::cellreasoner::{Record, read_matrix, read_records};
use sc_llm::evidence::{Disguise, Evidence};
use sc_prep::{NormalizeTotalParams, log1p, normalize_total};

use crate::baselines::{self, Example};
use crate::llm::markers::ranked;

/// Markers of a label, at most.
const N_MARKERS: usize = 50;

/// Records that a method learns from.
pub(super) struct Learning {
    path: PathBuf,
    records: Vec<Record>,
    /// Distinct labels, sorted.
    pub(super) labels: Vec<String>,
    codes: Vec<usize>,
}

/// Answers by method, one for each record.
pub(super) type Answers = Vec<(String, Vec<String>)>;

impl Learning {
    /// Reads records, those with a label.
    ///
    /// # Errors
    /// A file that is none; a cell that is asked about too; fewer than two labels.
    pub(super) fn read(path: &Path, asked: &[Record]) -> Result<Self> {
        let mut records = read_records(path)?;
        let n_read = records.len();
        records.retain(|record| record.output.is_some());
        if records.len() < n_read {
            say(&format!(
                "{}: {} records have no label and teach nothing",
                path.display(),
                n_read - records.len()
            ));
        }
        let names: BTreeSet<&str> = asked.iter().map(|record| record.cell_name.as_str()).collect();
        let shared = || records.iter().filter(|record| names.contains(record.cell_name.as_str()));
        if let Some(first) = shared().next() {
            bail!(Usage(format!(
                "{} of the cells of {} are asked about too, {:?} first: a score on cells that were learnt from says \
                 nothing; preprocess --test-share sets cells aside",
                shared().count(),
                path.display(),
                first.cell_name
            )));
        }
        let all: BTreeSet<&String> = records.iter().filter_map(|record| record.output.as_ref()).collect();
        let labels: Vec<String> = all.into_iter().cloned().collect();
        if labels.len() < 2 {
            bail!(Usage(format!(
                "{} has {} labels, and at least 2 are needed: build it with --label-column",
                path.display(),
                labels.len()
            )));
        }
        let code = |record: &Record| {
            labels
                .iter()
                .position(|label| Some(label) == record.output.as_ref())
                .expect("all labels are listed")
        };
        let codes = records.iter().map(code).collect();
        Ok(Self { path: path.to_owned(), labels, codes, records })
    }

    /// Records with their labels.
    pub(super) fn labelled(&self) -> Vec<(&Record, &str)> {
        self.records
            .iter()
            .zip(&self.codes)
            .map(|(record, &code)| (record, self.labels[code].as_str()))
            .collect()
    }

    /// What majority, marker overlap, TF-IDF with logistic regression and SingleR answer.
    ///
    /// * `input`: the file of the records; SingleR reads the values from the `.h5` file beside it, and beside that of
    ///   the training records.
    pub(super) fn answers(&self, asked: &[Record], input: &Path) -> Result<Answers> {
        let n_labels = self.labels.len();
        let counts = baselines::counts(self.codes.iter().copied(), n_labels);
        let train: Vec<Example<'_>> = self
            .records
            .iter()
            .zip(&self.codes)
            .map(|(record, &label)| Example { genes: genes(record), label })
            .collect();
        let test: Vec<Vec<&str>> = asked.iter().map(genes).collect();
        let markers = self.markers(&train);
        let majority = baselines::majority(&counts);
        let mut answers = vec![
            ("majority", vec![majority; asked.len()]),
            (
                "marker overlap",
                test.iter().map(|genes| baselines::overlap(&markers, &counts, genes)).collect(),
            ),
            ("TF-IDF + LR", baselines::tf_idf(&train, &test, n_labels)?),
        ];
        match self.singler(asked, input) {
            Ok(codes) => answers.push(("SingleR", codes)),
            Err(error) => say(&format!("SingleR is left out: {error:#}")),
        }
        let named = |codes: Vec<usize>| codes.into_iter().map(|code| self.labels[code].clone()).collect();
        Ok(answers.into_iter().map(|(method, codes)| (method.to_owned(), named(codes))).collect())
    }

    /// The genes of each label among the training cells, by whether they are expressed, the most specific first.
    fn markers(&self, train: &[Example<'_>]) -> Vec<Vec<String>> {
        let all: BTreeSet<&str> = train.iter().flat_map(|example| example.genes.iter().copied()).collect();
        let names: Vec<&str> = all.into_iter().collect();
        let place: HashMap<&str, u32> = names.iter().copied().zip(0..).collect();
        let (mut indptr, mut indices) = (vec![0], Vec::new());
        for example in train {
            indices.extend(example.genes.iter().map(|gene| place[gene]).collect::<BTreeSet<u32>>());
            indptr.push(indices.len());
        }
        let is_there = vec![1.0; indices.len()];
        let x = Csr::new(train.len(), names.len(), indptr, indices, is_there)
            .expect("columns rise in every row, and each gene has one");
        let of = |label| (0..train.len()).filter(|&row| train[row].label == label).collect();
        let groups: Vec<Vec<usize>> = (0..self.labels.len()).map(of).collect();
        let named = |genes: Vec<usize>| genes.into_iter().map(|gene| names[gene].to_owned()).collect();
        ranked(&x, &groups, N_MARKERS).into_iter().map(named).collect()
    }

    fn singler(&self, asked: &[Record], input: &Path) -> Result<Vec<usize>> {
        let matrix = |path: &Path| {
            let path = super::beside(path, &super::RECORDS, ".h5");
            read_matrix(&path).map(|matrix| (path, matrix)).map_err(anyhow::Error::from)
        };
        let ((train_path, train), (test_path, test)) = (matrix(&self.path)?, matrix(input)?);
        let there: BTreeSet<&str> = test.column_names().iter().map(String::as_str).collect();
        let common: BTreeSet<&str> =
            train.column_names().iter().map(String::as_str).filter(|gene| there.contains(gene)).collect();
        let common: Vec<&str> = common.into_iter().collect();
        let train =
            values(&train, &self.records, &common).with_context(|| train_path.display().to_string())?;
        let test = values(&test, asked, &common).with_context(|| test_path.display().to_string())?;
        let codes: Vec<u32> = self.codes.iter().map(|&code| code as u32).collect();
        let found = SingleRParams::default().fit(&train, &codes, self.labels.len())?.classify(&test)?;
        Ok(found.codes.into_iter().map(|code| code as usize).collect())
    }
}

/// Logs of values of the records' cells in some genes; counts are normalised over the listed genes first.
fn values(matrix: &NamedMatrix, records: &[Record], genes: &[&str]) -> Result<Features> {
    let place: HashMap<&str, usize> = matrix.row_names().iter().map(String::as_str).zip(0..).collect();
    let row = |record: &Record| {
        place
            .get(record.cell_name.as_str())
            .copied()
            .with_context(|| format!("no cell {:?}", record.cell_name))
    };
    let rows = records.iter().map(row).collect::<Result<Vec<usize>>>()?;
    let place: HashMap<&str, usize> = matrix.column_names().iter().map(String::as_str).zip(0..).collect();
    let columns: Vec<usize> = genes.iter().filter_map(|gene| place.get(gene).copied()).collect();
    let x = matrix.values().select_rows(&rows);
    let logs;
    let x = match Counts::new(&x) {
        Ok(counts) => {
            logs = log1p(normalize_total(counts, &NormalizeTotalParams::to(1e4))?);
            logs.csr().select_columns(&columns)
        }
        // Logs already, as in the layer `data` of Seurat.
        Err(_) => x.select_columns(&columns),
    };
    let (indptr, indices, values) = x.into_parts();
    Ok(Features::sparse(indptr, indices, values, vec![0.0; columns.len()])?)
}

fn genes(record: &Record) -> Vec<&str> {
    record.input.split(", ").collect()
}

/// The same records with the names of all genes shuffled, in all cells alike.
pub(super) fn disguised(records: &[Record], seed: u64) -> Result<Vec<Record>> {
    let all: BTreeSet<&str> = records.iter().flat_map(genes).collect();
    let disguise =
        Disguise::shuffled(&all.into_iter().collect::<Vec<_>>(), seed).map_err(sc_llm::Error::from)?;
    let other = |record: &Record| {
        let evidence = Evidence::Genes(genes(record).into_iter().map(str::to_owned).collect());
        let input = match disguise.apply(&evidence).map_err(sc_llm::Error::from)? {
            Evidence::Genes(genes) => genes.join(", "),
            _ => record.input.clone(),
        };
        Ok(Record { input, ..record.clone() })
    };
    records.iter().map(other).collect()
}

/// Writes the answers beside the result: a column a method.
pub(super) fn write(path: &Path, asked: &[Record], answers: &Answers) -> Result<()> {
    let mut table = DataFrame::new(asked.iter().map(|record| record.cell_name.clone()).collect());
    table.set_index_name(Some("cell_name"))?;
    for (method, answers) in answers {
        table.insert(method.as_str(), Column::Strings(answers.clone()))?;
    }
    Ok(delimited::write(&table, path, true)?)
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// A file that is none, or of other cells.
pub(super) fn read(path: &Path, cells: &[&str]) -> Result<Answers> {
    let table = delimited::read(path)?;
    let place: BTreeMap<&str, usize> = table.index().iter().map(String::as_str).zip(0..).collect();
    let row = |cell: &&str| {
        let absent = || Usage(format!("{} has no answers for cell {cell:?}", path.display()));
        place.get(cell).copied().ok_or_else(absent)
    };
    let rows = cells.iter().map(row).collect::<Result<Vec<usize>, Usage>>()?;
    let of = |method: &str| {
        let column = table.labels(method)?;
        Ok((method.to_owned(), rows.iter().map(|&row| column[row].clone().unwrap_or_default()).collect()))
    };
    table.column_names().into_iter().map(of).collect()
}
