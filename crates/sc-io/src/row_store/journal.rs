//! The journal of a store: what the matrix is, and which blocks of it are complete.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::{Error, Result, Shape, lock};

/// Lines of JSON, one written at a time.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
}

/// Blocks that are complete, with the CRC-32 of their bytes; the same block may come again, and the last time counts.
pub(super) type Complete = Vec<(usize, u32)>;

impl Journal {
    /// Opens the journal of the matrix at `matrix`, or makes one where there is neither.
    pub(super) fn open(matrix: &Path, shape: Shape, key: &str) -> Result<(Self, Complete)> {
        let mut name = OsString::from(matrix);
        name.push(".journal");
        let path = PathBuf::from(name);
        let failed = |doing| {
            let path = path.clone();
            move |source| Error::Io { path, doing, source }
        };
        let opened = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = opened.map_err(failed("open"))?;
        lock(&file, &path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed("read"))?;
        // What follows the last end of a line is torn.
        let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let text = String::from_utf8_lossy(&bytes[..whole]);
        let mut lines = text.lines();
        let head = head(shape, key);
        let complete = match lines.next() {
            Some(found) => {
                agree(matrix, found, shape, key)?;
                lines.filter_map(block).collect()
            }
            // A matrix without the line that makes it ours is somebody else's.
            None if matrix.exists() => {
                if bytes.is_empty() {
                    // The empty journal is ours, and nobody will miss it.
                    let _ = std::fs::remove_file(&path);
                }
                return Err(Error::Foreign { path: matrix.to_owned() });
            }
            None => Vec::new(),
        };
        file.set_len(whole as u64).map_err(failed("write"))?;
        file.seek(SeekFrom::End(0)).map_err(failed("write"))?;
        let mut journal = Self { path, file };
        if whole == 0 {
            journal.line(&head)?;
        }
        Ok((journal, complete))
    }

    /// Notes that a block is on disk.
    pub(super) fn complete(&mut self, block: usize, crc: u32) -> Result<()> {
        self.line(&format!("{{\"block\":{block},\"crc32\":{crc}}}"))
    }

    fn line(&mut self, text: &str) -> Result<()> {
        let written =
            self.file.write_all(format!("{text}\n").as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|source| Error::Io { path: self.path.clone(), doing: "write", source })
    }
}

/// Closing the file is not enough: a process that is just being started may still hold a copy of it, and with it the lock.
impl Drop for Journal {
    fn drop(&mut self) {
        // At worst the lock ends when the file is closed everywhere.
        let _ = self.file.unlock();
    }
}

fn head(shape: Shape, key: &str) -> String {
    let Shape { n_rows, n_cols, block_rows } = shape;
    format!(
        "{{\"store\":1,\"n_rows\":{n_rows},\"n_cols\":{n_cols},\"block_rows\":{block_rows},\"key\":\"{key}\"}}"
    )
}

/// The value of a field in a line that this module wrote.
fn field<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let (_, rest) = line.split_once(&format!("\"{name}\":"))?;
    Some(rest[..rest.find([',', '}'])?].trim_matches('"'))
}

/// Whether the first line is that of this matrix; if not, in what it differs.
fn agree(path: &Path, line: &str, shape: Shape, key: &str) -> Result<()> {
    let numbers =
        [("store", 1), ("n_rows", shape.n_rows), ("n_cols", shape.n_cols), ("block_rows", shape.block_rows)];
    let fields = numbers.map(|(name, number)| (name, number.to_string()));
    for (what, expected) in fields.into_iter().chain([("key", key.to_owned())]) {
        match field(line, what) {
            Some(found) if found == expected => {}
            Some(found) => {
                let found = found.chars().take(256).collect();
                return Err(Error::OtherRun { path: path.to_owned(), what, found, expected });
            }
            None => return Err(Error::Foreign { path: path.to_owned() }),
        }
    }
    Ok(())
}

/// A line about a block; one that cannot be read is as if it had not been written.
fn block(line: &str) -> Option<(usize, u32)> {
    let (block, crc) = (field(line, "block")?.parse().ok()?, field(line, "crc32")?.parse().ok()?);
    // Bytes that a torn disk left in the middle may look like numbers.
    (line == format!("{{\"block\":{block},\"crc32\":{crc}}}")).then_some((block, crc))
}
