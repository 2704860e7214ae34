//! A matrix that grows on disk block by block, over any number of interrupted runs.
//!
//! A long computation of one row a cell (an embedding) writes its rows here as they are ready. Whatever ends it, the next run
//! opens the store with the same key, is told which blocks are missing, and goes on. What is on disk in the end is the
//! same, byte for byte, however often it was interrupted and in whatever order the blocks came.
//!
//! Two files: the matrix is a plain `.npy` array of single precision, at its full size from the start; beside it, the journal
//! `.npy.journal` has one line of JSON that says what the matrix is, and one for every block that is complete, with its
//! CRC-32. A block is on disk before its line is; a line that was torn, and a block that does not fit its line, are as if
//! they had not been written.
//!
//! ```
//! use sc_io::row_store::{RowStore, Shape};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("embedding.npy");
//! let key = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"; // of inputs and parameters
//! let shape = Shape { n_rows: 10, n_cols: 3, block_rows: 4 };
//! {
//!     let mut store = RowStore::open(&path, shape, key)?;
//!     store.put(1, &[1.0; 12])?; // rows 4 to 7; then something goes wrong
//! }
//! let mut store = RowStore::open(&path, shape, key)?;
//! for block in store.missing() {
//!     let rows = store.rows_of(block);
//!     store.put(block, &vec![2.0; rows.len() * 3])?;
//! }
//! assert_eq!(store.read()?[[4, 0]], 1.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod journal;

pub use error::Error;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use flate2::Crc;
use ndarray::Array2;

use journal::Journal;

/// What functions of this module return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Numbers that are converted at a time.
const BLOCK: usize = 1 << 15;

/// The shape of the matrix and of its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Number of rows.
    pub n_rows: usize,
    /// Number of columns.
    pub n_cols: usize,
    /// Rows of a block; the last may have fewer. At least 1.
    pub block_rows: usize,
}

impl Shape {
    fn blocks(&self) -> usize {
        self.n_rows.div_ceil(self.block_rows)
    }

    fn bytes(&self) -> Option<u64> {
        (self.n_rows as u64).checked_mul(self.n_cols as u64)?.checked_mul(4).filter(|&n| n < 1 << 62)
    }
}

/// A matrix on disk, some blocks of which are complete.
#[derive(Debug)]
pub struct RowStore {
    path: PathBuf,
    shape: Shape,
    file: File,
    /// Where the numbers start.
    start: u64,
    journal: Journal,
    done: Vec<bool>,
}

impl RowStore {
    /// Opens a store, or makes it where there is none.
    ///
    /// * `key`: what the rows are computed from: letters, digits and `-`, at best a SHA-256 of all inputs and parameters.
    ///
    /// # Errors
    /// [`Error::OtherRun`] if the store was made with another key or shape; [`Error::Foreign`] if there is a file that no
    /// store made; [`Error::Busy`] if it is open elsewhere; [`Error::BadInput`] for a key or shape that makes no sense;
    /// [`Error::Io`].
    pub fn open(path: impl AsRef<Path>, shape: Shape, key: &str) -> Result<Self> {
        let path = path.as_ref();
        let bad = |why: &str| Error::BadInput { why: why.to_owned() };
        if key.is_empty() || key.len() > 256 || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(bad("a key has 1 to 256 letters, digits and `-`"));
        }
        if shape.block_rows == 0 {
            return Err(bad("a block has at least one row"));
        }
        let bytes = shape.bytes().ok_or_else(|| bad("the matrix is too large"))?;
        let (journal, complete) = Journal::open(path, shape, key)?;
        let header = npy_header(shape);
        let file = matrix(path, &header, bytes, complete.is_empty())?;
        let done = vec![false; shape.blocks()];
        let mut store =
            Self { path: path.to_owned(), shape, file, start: header.len() as u64, journal, done };
        for (block, crc) in complete {
            if block < store.done.len() {
                store.done[block] = store.crc_of(block)? == crc;
            }
        }
        Ok(store)
    }

    /// The `.npy` file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The shape.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The blocks that are not complete, in order.
    pub fn missing(&self) -> Vec<usize> {
        (0..self.done.len()).filter(|&block| !self.done[block]).collect()
    }

    /// The rows of a block; none if there is no such block.
    pub fn rows_of(&self, block: usize) -> Range<usize> {
        let at = |block: usize| block.saturating_mul(self.shape.block_rows).min(self.shape.n_rows);
        at(block)..at(block.saturating_add(1))
    }

    /// Writes a block, row behind row, and makes sure that it is on disk. A block may be written again.
    ///
    /// # Errors
    /// [`Error::BadInput`] if there is no such block or it has another number of values; [`Error::Io`].
    pub fn put(&mut self, block: usize, values: &[f32]) -> Result<()> {
        let rows = self.rows_of(block);
        let expected = rows.len() * self.shape.n_cols;
        if block >= self.done.len() || values.len() != expected {
            let why =
                format!("block {block} of {} has {expected} values, not {}", self.done.len(), values.len());
            return Err(Error::BadInput { why });
        }
        let failed = |source| Error::Io { path: self.path.clone(), doing: "write", source };
        // Until the new line is written, the old one must not stand for half-new bytes; its CRC sees to that.
        self.done[block] = false;
        let offset = self.start + (rows.start * self.shape.n_cols * 4) as u64;
        self.file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        let mut crc = Crc::new();
        let mut bytes = Vec::with_capacity(BLOCK * 4);
        for piece in values.chunks(BLOCK) {
            bytes.clear();
            bytes.extend(piece.iter().flat_map(|value| value.to_le_bytes()));
            crc.update(&bytes);
            self.file.write_all(&bytes).map_err(failed)?;
        }
        self.file.sync_data().map_err(failed)?;
        self.journal.complete(block, crc.sum())?;
        self.done[block] = true;
        Ok(())
    }

    fn crc_of(&mut self, block: usize) -> Result<u32> {
        let mut crc = Crc::new();
        self.pieces(self.rows_of(block), |bytes| crc.update(bytes))?;
        Ok(crc.sum())
    }

    /// The bytes of some rows, piece by piece.
    fn pieces(&mut self, rows: Range<usize>, mut each: impl FnMut(&[u8])) -> Result<()> {
        let failed = |source| Error::Io { path: self.path.clone(), doing: "read", source };
        let row = self.shape.n_cols * 4;
        self.file.seek(SeekFrom::Start(self.start + (rows.start * row) as u64)).map_err(failed)?;
        let mut left = rows.len() * row;
        let mut bytes = vec![0; left.min(BLOCK * 4)];
        while left > 0 {
            let n = left.min(bytes.len());
            self.file.read_exact(&mut bytes[..n]).map_err(failed)?;
            each(&bytes[..n]);
            left -= n;
        }
        Ok(())
    }

    /// Some rows, `rows.len() × n_cols`, of which every block is complete.
    ///
    /// # Errors
    /// [`Error::Incomplete`] if one is not; [`Error::BadInput`] for rows that the matrix does not have; [`Error::Io`].
    pub fn read_rows(&mut self, rows: Range<usize>) -> Result<Array2<f32>> {
        if rows.start > rows.end || rows.end > self.shape.n_rows {
            let why = format!("rows {rows:?} are not in 0..{}", self.shape.n_rows);
            return Err(Error::BadInput { why });
        }
        let blocks = rows.start / self.shape.block_rows..rows.end.div_ceil(self.shape.block_rows);
        let missing = if rows.is_empty() { 0 } else { blocks.filter(|&block| !self.done[block]).count() };
        if missing > 0 {
            return Err(Error::Incomplete { path: self.path.clone(), missing, blocks: self.done.len() });
        }
        let mut values = Vec::with_capacity(rows.len() * self.shape.n_cols);
        self.pieces(rows.clone(), |bytes| {
            let (numbers, _) = bytes.as_chunks::<4>();
            values.extend(numbers.iter().map(|&b| f32::from_le_bytes(b)));
        })?;
        let shape = (rows.len(), self.shape.n_cols);
        Ok(Array2::from_shape_vec(shape, values).expect("as many values were read as the rows have"))
    }

    /// The whole matrix, which must be complete.
    ///
    /// # Errors
    /// As [`RowStore::read_rows`].
    pub fn read(&mut self) -> Result<Array2<f32>> {
        self.read_rows(0..self.shape.n_rows)
    }
}

/// The head of the array (NumPy's format, version 1.0), a multiple of 64 bytes.
fn npy_header(shape: Shape) -> Vec<u8> {
    let Shape { n_rows, n_cols, .. } = shape;
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({n_rows}, {n_cols}), }}");
    while (10 + text.len() + 1) % 64 != 0 {
        text.push(' ');
    }
    text.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    // Two numbers of 20 digits do not make it longer than 16 bits can say.
    header.extend((text.len() as u16).to_le_bytes());
    header.extend(text.as_bytes());
    header
}

/// Opens the array, or makes it at its full size. One that is shorter was never finished, or was cut: it is made again.
fn matrix(path: &Path, header: &[u8], bytes: u64, is_new: bool) -> Result<File> {
    let failed = |doing| move |source| Error::Io { path: path.to_owned(), doing, source };
    let opened = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path);
    let mut file = opened.map_err(failed("open"))?;
    let length = file.metadata().map_err(failed("read"))?.len();
    let full = header.len() as u64 + bytes;
    let mut found = vec![0; header.len().min(length as usize)];
    file.read_exact(&mut found).map_err(failed("read"))?;
    if length > full || !header.starts_with(&found) {
        return Err(Error::Foreign { path: path.to_owned() });
    }
    if length < full {
        if !is_new {
            tracing::warn!("{}: cut short; what is missing is computed again", path.display());
        }
        file.seek(SeekFrom::Start(0))
            .and_then(|_| file.write_all(header))
            .and_then(|()| file.set_len(full))
            .and_then(|()| file.sync_all())
            .map_err(failed("write"))?;
    }
    Ok(file)
}

/// Takes the lock of a file, which ends with the process.
fn lock(file: &File, path: &Path) -> Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(Error::Busy { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(Error::Io { path: path.to_owned(), doing: "lock", source }),
    }
}
