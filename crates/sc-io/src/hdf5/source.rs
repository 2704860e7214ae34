//! The bytes of a file: on disk or in memory, every read checked against the length.

use std::borrow::Cow;

use rust_hdf5::format::{BlockReader, FormatError, FormatResult};

use super::Decoded;
use super::budget::Budget;
use crate::Problem;

#[derive(Debug)]
enum Bytes {
    File(std::fs::File),
    Memory(Cow<'static, [u8]>),
}

/// Bytes that can be read at any offset, from any thread.
#[derive(Debug)]
pub(super) struct Source {
    bytes: Bytes,
    length: u64,
    /// Where the HDF5 part starts; every address in the file counts from there.
    base: u64,
}

impl Source {
    /// A file on disk. The length is taken once: a file that shrinks later gives errors, not other bytes.
    pub(super) fn file(file: std::fs::File) -> std::io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self { bytes: Bytes::File(file), length, base: 0 })
    }

    pub(super) fn memory(bytes: Cow<'static, [u8]>) -> Self {
        let length = bytes.len() as u64;
        Self { bytes: Bytes::Memory(bytes), length, base: 0 }
    }

    pub(super) fn set_base(&mut self, base: u64) {
        self.base = base;
    }

    /// Length of the file, a block in front of the HDF5 part included.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Fills `out` from `address` on.
    pub(super) fn read_into(&self, address: u64, out: &mut [u8]) -> Decoded<()> {
        let offset = self.offset(address, out.len() as u64)?;
        match &self.bytes {
            Bytes::File(file) => read_exact_at(file, out, offset)?,
            Bytes::Memory(bytes) => {
                let start = offset as usize;
                out.copy_from_slice(&bytes[start..start + out.len()]);
            }
        }
        Ok(())
    }

    /// `length` bytes from `address` on.
    pub(super) fn read(&self, address: u64, length: u64) -> Decoded<Vec<u8>> {
        self.offset(address, length)?;
        let mut out = vec![0; usize::try_from(length).map_err(|_| self.outside(address, length))?];
        self.read_into(address, &mut out)?;
        Ok(out)
    }

    /// At most `length` bytes from `address` on; fewer only at the end of the file.
    pub(super) fn read_at_most(&self, address: u64, length: u64) -> Decoded<Vec<u8>> {
        let start = self.offset(address, 0)?;
        self.read(address, length.min(self.length - start))
    }

    fn offset(&self, address: u64, length: u64) -> Decoded<u64> {
        address
            .checked_add(self.base)
            .filter(|offset| offset.checked_add(length).is_some_and(|end| end <= self.length))
            .ok_or_else(|| self.outside(address, length))
    }

    fn outside(&self, offset: u64, length: u64) -> Problem {
        Problem::Outside { offset, length, end: self.length }
    }
}

#[cfg(unix)]
fn read_exact_at(file: &std::fs::File, out: &mut [u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, out, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &std::fs::File, mut out: &mut [u8], mut offset: u64) -> std::io::Result<()> {
    while !out.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, out, offset) {
            Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                out = &mut out[n..];
                offset += n as u64;
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Lets the decoders that walk a heap or a tree read through a [`Source`], within the [`Budget`].
pub(super) struct Blocks<'a> {
    pub(super) source: &'a Source,
    pub(super) budget: &'a Budget,
}

impl BlockReader for Blocks<'_> {
    fn read_block(&mut self, offset: u64, length: usize) -> FormatResult<Vec<u8>> {
        let block = self.source.read_at_most(offset, length as u64);
        let read = block.and_then(|block| self.budget.walk(block.len() as u64).map(|()| block));
        read.map_err(|e| FormatError::InvalidData(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_read_past_the_end() {
        let mut source = Source::memory(Cow::Borrowed(b"0123456789"));
        source.set_base(2);
        assert_eq!(source.read(0, 3).unwrap(), b"234");
        assert_eq!(source.read_at_most(6, 100).unwrap(), b"89");
        for (address, length) in
            [(8, 1), (0, 9), (u64::MAX, 1), (u64::MAX - 2, 1), (0, u64::MAX), (1 << 62, 0)]
        {
            assert!(
                matches!(source.read(address, length), Err(Problem::Outside { .. })),
                "{address} {length}"
            );
        }
        assert!(matches!(source.read_at_most(9, 1), Err(Problem::Outside { .. })));
    }
}
