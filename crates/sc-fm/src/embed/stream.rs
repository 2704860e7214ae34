//! A data set on disk, embedded some rows at a time, over any number of interrupted runs.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use ndarray::Array2;
use sc_io::h5ad::backed::{Backed, Rows};
use sc_io::h5ad::{self, append};
use sc_io::row_store::{RowStore, Shape};
use sc_io::{AnnData, DataFrame, Value};
use sha2::{Digest, Sha256};

use super::input::Input;
use super::plan::Watch;
use super::{Choice, EmbedParams, Error, FoundationModel, MatrixChoice, Progress};
use crate::Result;
use crate::checkpoint;
use crate::tokenize::{Report, scfoundation};

/// How a file is embedded.
#[derive(Clone, Debug, PartialEq)]
pub struct FileParams {
    /// How its cells are embedded. Every cell has a row; [`EmbedParams::missing`] is not looked at.
    pub embed: EmbedParams,
    /// Where the result goes.
    pub output: Output,
    /// Where rows are kept until all are there, a `.npy` file with a journal beside it; both are removed in the end.
    /// Default: beside the output, with the slot and `.npy` behind its name.
    pub store: Option<PathBuf>,
    /// Rows that are read, embedded and put on disk together: what an interruption costs at most. Default 256.
    pub block_rows: usize,
    /// Whether a slot or file that is there already is replaced. Default false.
    pub replace: bool,
    /// What stands for the weights of a model that was made in memory, in the record of the run. Models from files are
    /// known by the hashes of those.
    pub identity: Option<String>,
}

/// Where the embedding of a file goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// Into the file itself, which is replaced when the new one is complete.
    #[default]
    Same,
    /// Into a new file with `obs`, the embedding and its provenance, without matrices and genes.
    New(PathBuf),
}

impl Default for FileParams {
    fn default() -> Self {
        Self {
            embed: EmbedParams::default(),
            output: Output::Same,
            store: None,
            block_rows: 256,
            replace: false,
            identity: None,
        }
    }
}

/// What was embedded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EmbeddedFile {
    /// The file with the embedding.
    pub path: PathBuf,
    /// Its key in `obsm`.
    pub obsm_key: &'static str,
    /// Rows and width of the embedding.
    pub dim: (usize, usize),
    /// Rows that are NaN: without a gene of the model, or left out by `filter_pass`.
    pub n_missing: usize,
    /// What it is an embedding of.
    pub choice: Choice,
    /// What the tokeniser knew and left out.
    pub tokens: Report,
}

impl FoundationModel {
    /// Embeds an `.h5ad` file and adds `obsm[`[`obsm_key`](Self::obsm_key)`]`, with the model, the hashes of its files
    /// and the choices made in `uns` under the same key.
    ///
    /// Memory holds the weights, [`EmbedParams::memory`] and one block of rows, however many cells there are. Rows are
    /// put on disk block by block; a run that was cut off, by whatever means, goes on where it was when it is asked for
    /// again with the same file, model and parameters. The result has the same bytes in any case.
    ///
    /// # Errors
    /// Those of [`FoundationModel::embed`], which name cells by their names; [`Error::Io`] for a file that cannot be read
    /// or written, or has the slot already; [`Error::Store`] if the rows on disk are of another run;
    /// [`Error::Identity`]; [`Error::Unsupported`] for scFoundation's inputs that need the whole data set;
    /// [`Error::Cancelled`].
    pub fn embed_file(
        &self,
        path: impl AsRef<Path>,
        params: &FileParams,
        watch: &mut Watch<'_>,
    ) -> Result<EmbeddedFile> {
        let path = path.as_ref();
        let key = self.obsm_key();
        let options = append::AppendOptions { replace: params.replace };
        let target = match &params.output {
            Output::Same => {
                append::check_obsm(path, key, &options).map_err(Error::from)?;
                path
            }
            Output::New(new) if new.exists() && !params.replace => {
                return Err(Error::from(sc_io::Error::Exists { path: new.clone() }).into());
            }
            Output::New(new) => new,
        };
        let (encoder, choice) = self.encoder(&params.embed)?;
        if !matches!(params.embed.input, scfoundation::Input::Counts | scfoundation::Input::LogNormalized) {
            let what = "embedding of a file whose input needs totals or the whole data set";
            return Err(Error::Unsupported { kind: self.kind(), what }.into());
        }
        let file = Backed::open(path).map_err(Error::from)?;
        let (rows, var) = matrix(&file, &params.embed.matrix)?;
        let input = Input::new(&self.network, file.obs(), var, &params.embed)?;
        let about = self.about(path, choice, params)?;
        let store_path = params.store.clone().unwrap_or_else(|| with_ending(target, &format!(".{key}.npy")));
        let shape =
            Shape { n_rows: rows.n_rows(), n_cols: encoder.width(), block_rows: params.block_rows.max(1) };
        let mut store = RowStore::open(&store_path, shape, &about.key).map_err(Error::from)?;

        let report = self.fill(&mut store, &rows, &input, params, watch)?;
        let n_missing = rows.n_rows() - report.cells.n_tokenized;
        let provenance = about.provenance(self, &report, n_missing);
        let mut read = |rows: Range<usize>| store.read_rows(rows).map_err(io::Error::other);
        let slot = Slot { key, n_cols: shape.n_cols, provenance: &provenance, options: &options };
        match &params.output {
            Output::Same => slot.add(path, &mut read)?,
            Output::New(new) => {
                let aside = with_ending(new, ".part");
                let table = AnnData::without_x(file.obs().clone(), DataFrame::new(vec![]));
                let write = h5ad::WriteOptions { overwrite: true, ..Default::default() };
                h5ad::write_with(&table, &aside, &write).map_err(Error::from)?;
                slot.add(&aside, &mut read)?;
                renamed(&aside, new)?;
            }
        }
        drop(store);
        for done in [&store_path, &with_ending(&store_path, ".journal")] {
            let failed = |source| sc_io::Error::Io { path: done.clone(), doing: "remove", source };
            fs::remove_file(done).map_err(failed).map_err(Error::from)?;
        }
        let (path, dim) = (target.to_owned(), (shape.n_rows, shape.n_cols));
        Ok(EmbeddedFile { path, obsm_key: key, dim, n_missing, choice, tokens: report })
    }

    /// Computes the blocks that the store lacks. The others are tokenised alone, for the report.
    fn fill(
        &self,
        store: &mut RowStore,
        rows: &Rows<'_>,
        input: &Input<'_>,
        params: &FileParams,
        watch: &mut Watch<'_>,
    ) -> Result<Report> {
        let Shape { n_rows, n_cols, block_rows } = store.shape();
        let lacking = store.missing();
        let mut left: usize = lacking.iter().map(|&block| store.rows_of(block).len()).sum();
        let share = |done: f64| if n_rows == 0 { 1.0 } else { done / n_rows as f64 };
        let before = share((n_rows - left) as f64);
        let (mut report, mut n_tokens) = (None::<Report>, 0);
        // A data set without cells has a report as well.
        for block in 0..n_rows.div_ceil(block_rows).max(1) {
            let range = store.rows_of(block);
            let x = rows.rows(range.clone()).map_err(Error::from)?;
            let (tokens, at) = input.part(&x, range.start)?;
            drop(x);
            match &mut report {
                Some(report) => report.append(tokens.report()),
                None => report = Some(tokens.report().clone()),
            }
            if lacking.binary_search(&block).is_err() {
                continue;
            }
            let (cells, earlier) = (n_rows - left, n_tokens);
            let (embeddings, _) = self.embed_cells(&tokens, &params.embed, &mut |fraction, done, more| {
                let fraction = share(cells as f64 + fraction * range.len() as f64);
                n_tokens = earlier + more;
                watch(&Progress { cells: cells + done, n_cells: n_rows, tokens: n_tokens, fraction, before })
            })?;
            let mut values = Array2::from_elem((range.len(), n_cols), f32::NAN);
            for (row, embedding) in at.iter().zip(embeddings.rows()) {
                values.row_mut(row - range.start).assign(&embedding);
            }
            let values = values.as_slice().expect("a new array is contiguous");
            store.put(block, values).map_err(Error::from)?;
            left -= range.len();
        }
        let report = report.expect("there is at least one part");
        let cells = report.cells;
        if n_rows > 0 && cells.n_tokenized == 0 {
            let (n_empty, n_filtered) = (cells.n_empty, cells.n_filtered);
            return Err(Error::NoCells { n_cells: n_rows, n_empty, n_filtered }.into());
        }
        Ok(report)
    }

    /// What the rows are computed from.
    fn about(&self, path: &Path, choice: Choice, params: &FileParams) -> Result<About> {
        let hashes = self.report.hashes()?;
        if hashes.weights.is_empty() && params.identity.is_none() {
            return Err(Error::Identity { kind: self.kind() }.into());
        }
        let input = checkpoint::sha256(path)?;
        let EmbedParams { matrix, gene_column, min_known, seed, ties, input: values, resolution, .. } =
            &params.embed;
        let mut text = format!(
            "{} {} {} {} {:?} {}\n{input} {matrix:?} {gene_column:?}\n{min_known} {seed} {ties:?} {values:?} {resolution:?}\n{:?}\n",
            VERSION,
            self.kind(),
            choice.mode,
            choice.layer,
            self.dtype(),
            self.kernel(),
            params.identity,
        );
        for (name, hash) in hashes.weights.iter().chain(&hashes.dictionaries) {
            writeln!(text, "{hash} {name}").expect("text grows without error");
        }
        let key = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(About { key, input, choice, hashes, identity: params.identity.clone() })
    }
}

/// Who writes, in keys and provenance: other versions may round otherwise.
const VERSION: &str = concat!("sc-fm ", env!("CARGO_PKG_VERSION"));

struct About {
    key: String,
    input: String,
    choice: Choice,
    hashes: super::Hashes,
    identity: Option<String>,
}

impl About {
    fn provenance(self, model: &FoundationModel, report: &Report, n_missing: usize) -> Value {
        let made = super::report::Provenance {
            model: &model.report,
            dtype: model.dtype(),
            kernel: model.kernel(),
            choice: self.choice,
            tokens: report,
            n_missing,
        };
        let mut entries = made.entries(self.hashes);
        entries.insert("sha256_input".to_owned(), Value::String(self.input));
        if let Some(identity) = self.identity {
            entries.insert("identity".to_owned(), Value::String(identity));
        }
        Value::Map(entries)
    }
}

/// What is added to a file.
struct Slot<'s> {
    key: &'static str,
    n_cols: usize,
    provenance: &'s Value,
    options: &'s append::AppendOptions,
}

impl Slot<'_> {
    fn add(
        &self,
        path: &Path,
        rows: &mut dyn FnMut(Range<usize>) -> io::Result<Array2<f32>>,
    ) -> Result<(), Error> {
        Ok(append::obsm_rows_about(path, self.key, self.n_cols, self.provenance, self.options, rows)?)
    }
}

/// The matrix of a file, and what names its columns.
pub(crate) fn matrix<'f>(
    file: &'f Backed,
    choice: &MatrixChoice,
) -> Result<(Rows<'f>, &'f DataFrame), Error> {
    Ok(match choice {
        MatrixChoice::X => (file.x()?, file.var()),
        MatrixChoice::Raw => (file.raw_x()?, file.raw_var().ok_or(Error::NoMatrix { matrix: "raw" })?),
        MatrixChoice::Layer(name) => (file.layer(name)?, file.var()),
    })
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn renamed(from: &Path, to: &Path) -> Result<(), Error> {
    let failed = |source| sc_io::Error::Io { path: to.to_owned(), doing: "write", source };
    Ok(fs::rename(from, to).map_err(failed)?)
}

/// Goes on, whatever is done.
pub fn unwatched(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}
