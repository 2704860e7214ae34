//! Memory that begins on a cache line.

#![allow(unsafe_code, reason = "lines and mapped bytes are seen as a slice of words")]

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

/// A cache line of 32-bit words: a word is an `f32`, or a pair of bf16.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u32; 16]);

/// Words of a line.
const LINE: usize = 16;

/// Words from which on memory is asked of the system in large pages: a few of 2 MiB.
const LARGE: usize = 1 << 21;

/// Words that begin on a cache line, so that no load of a vector crosses two. New words are 0.
///
/// A weight of a language model is read once a token, from end to end; in pages of 4 KiB the processor would spend a part
/// of that time looking up where they lie.
#[derive(Default)]
pub(crate) struct Buffer {
    memory: Memory,
}

enum Memory {
    Lines(Vec<Line>),
    Pages(MmapMut),
}

impl Default for Memory {
    fn default() -> Self {
        Self::Lines(Vec::new())
    }
}

impl Memory {
    /// So many words, all 0.
    fn new(words: usize) -> Self {
        match (words >= LARGE).then(|| pages(words)).flatten() {
            Some(pages) => Self::Pages(pages),
            None => Self::Lines(vec![Line([0; LINE]); words.div_ceil(LINE)]),
        }
    }
}

/// New memory straight from the system, which may refuse.
fn pages(words: usize) -> Option<MmapMut> {
    let pages = MmapMut::map_anon(words.next_multiple_of(LINE) * size_of::<u32>()).ok()?;
    // Where there are no large pages, small ones do.
    #[cfg(target_os = "linux")]
    let _ = pages.advise(memmap2::Advice::HugePage);
    Some(pages)
}

impl Buffer {
    /// Grows to at least `words` words; what is there stays.
    pub(crate) fn at_least(&mut self, words: usize) {
        if self.len() >= words {
            return;
        }
        match &mut self.memory {
            Memory::Lines(lines) if words < LARGE => lines.resize(words.div_ceil(LINE), Line([0; LINE])),
            _ => {
                let mut grown = Self { memory: Memory::new(words) };
                grown[..self.len()].copy_from_slice(self);
                *self = grown;
            }
        }
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        let mut copy = Self { memory: Memory::new(self.len()) };
        copy.copy_from_slice(self);
        copy
    }
}

impl Deref for Buffer {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        let (words, n) = match &self.memory {
            Memory::Lines(lines) => (lines.as_ptr().cast(), lines.len() * LINE),
            Memory::Pages(pages) => (pages.as_ptr().cast(), pages.len() / size_of::<u32>()),
        };
        // SAFETY: a line is 16 words without gaps, and the lines of a vector follow one another; mapped memory begins on a
        // page, and every byte of it has been written, by the system first.
        unsafe { std::slice::from_raw_parts(words, n) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u32] {
        let (words, n) = match &mut self.memory {
            Memory::Lines(lines) => (lines.as_mut_ptr().cast(), lines.len() * LINE),
            Memory::Pages(pages) => (pages.as_mut_ptr().cast(), pages.len() / size_of::<u32>()),
        };
        // SAFETY: as in `deref`; the borrow of `self` is exclusive.
        unsafe { std::slice::from_raw_parts_mut(words, n) }
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

    #[test]
    fn large_memory_is_zero_aligned_and_copied_whole() {
        let mut buffer = Buffer::default();
        buffer.at_least(17);
        buffer[16] = 7;
        buffer.at_least(LARGE + 1);
        assert!(matches!(buffer.memory, Memory::Pages(_)));
        assert_eq!((buffer.len(), buffer.as_ptr() as usize % 64), (LARGE + LINE, 0));
        buffer[LARGE] = 9;
        buffer.at_least(LARGE + 17);
        let copy = buffer.clone();
        assert_eq!((copy.len(), copy[16], copy[LARGE], copy[LARGE + 31]), (LARGE + 2 * LINE, 7, 9, 0));
        assert_eq!(*copy, *buffer);
    }
}
