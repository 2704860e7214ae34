//! Memory that begins on a cache line.

#![allow(unsafe_code, reason = "a slice of aligned lines is seen as a slice of words")]

use std::ops::{Deref, DerefMut};

/// A cache line of 32-bit words: a word is an `f32`, or a pair of bf16.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u32; 16]);

/// Words that begin on a cache line, so that no load of a vector crosses two. New words are 0.
#[derive(Clone, Default)]
pub(crate) struct Buffer {
    lines: Vec<Line>,
}

impl Buffer {
    /// Grows to at least `words` words; what is there stays.
    pub(crate) fn at_least(&mut self, words: usize) {
        let lines = words.div_ceil(16);
        if self.lines.len() < lines {
            self.lines.resize(lines, Line([0; 16]));
        }
    }
}

impl Deref for Buffer {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        // SAFETY: a line is 16 words without gaps, and the lines of a vector follow one another.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.lines.len() * 16) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u32] {
        // SAFETY: as in `deref`; the borrow of `self` is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.lines.len() * 16) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_begin_on_a_cache_line_and_stay_when_it_grows() {
        let mut buffer = Buffer::default();
        buffer.at_least(3);
        assert_eq!((buffer.len(), buffer.as_ptr() as usize % 64), (16, 0));
        buffer[2] = 7;
        buffer.at_least(17);
        assert_eq!((buffer.len(), buffer[2], buffer[31]), (32, 7, 0));
    }
}
