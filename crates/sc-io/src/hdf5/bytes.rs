//! A message, read from front to back; running out of bytes is an error, never a panic.

use super::Decoded;
use crate::Problem;

pub(super) struct Bytes<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Bytes<'a> {
    /// `what` is what the bytes are, for errors.
    pub(super) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    pub(super) fn take(&mut self, n: usize) -> Decoded<&'a [u8]> {
        let Some((taken, rest)) = self.rest.split_at_checked(n) else {
            return Err(Problem::Malformed(format!("{} is cut short", self.what)));
        };
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn skip(&mut self, n: usize) -> Decoded<()> {
        self.take(n).map(|_| ())
    }

    pub(super) fn u8(&mut self) -> Decoded<u8> {
        self.take(1).map(|b| b[0])
    }

    /// A little-endian number of `width` bytes, 8 at most.
    pub(super) fn uint(&mut self, width: usize) -> Decoded<u64> {
        Ok(uint(self.take(width)?))
    }

    /// What stands in front of the next zero, which is passed over.
    pub(super) fn until_zero(&mut self) -> Decoded<&'a [u8]> {
        let n = self.rest.iter().position(|&b| b == 0).unwrap_or(self.rest.len());
        let text = self.take(n)?;
        self.skip(1)?;
        Ok(text)
    }
}

/// A little-endian number of any width up to 8 bytes.
pub(super) fn uint(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b))
}
