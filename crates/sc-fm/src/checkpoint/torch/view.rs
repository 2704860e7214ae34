//! A tensor as a file of PyTorch describes it: a shape and strides over a part of a storage.

use crate::checkpoint::element::{Stored, count};

/// A row of numbers in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StorageRef {
    /// Its name in the file.
    pub(crate) key: String,
    pub(crate) stored: Stored,
    /// How many numbers.
    pub(crate) length: usize,
}

/// A tensor whose numbers are in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorView {
    pub(crate) storage: StorageRef,
    pub(crate) offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

impl TensorView {
    /// A view that stays inside its storage, and has no more numbers than it; `None` for any other.
    pub(crate) fn new(
        storage: StorageRef,
        offset: usize,
        shape: Vec<usize>,
        strides: Vec<usize>,
    ) -> Option<Self> {
        if shape.len() != strides.len() {
            return None;
        }
        let view = Self { storage, offset, shape, strides };
        let fits = count(&view.shape)? <= view.storage.length && view.end()? <= view.storage.length;
        fits.then_some(view)
    }

    /// The type of the numbers in the file.
    pub fn stored(&self) -> Stored {
        self.storage.stored
    }

    /// Its shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(crate) fn strides(&self) -> &[usize] {
        &self.strides
    }

    /// One past the last number of the storage that it reads; `None` if there is no such place.
    pub(crate) fn end(&self) -> Option<usize> {
        if self.shape.contains(&0) {
            return Some(self.offset);
        }
        let steps = self.shape.iter().zip(&self.strides);
        let last = steps.map(|(&size, &stride)| (size - 1).checked_mul(stride));
        last.into_iter().try_fold(self.offset, |end, step| end.checked_add(step?))?.checked_add(1)
    }

    /// Whether its numbers lie one after another, in the order of rows.
    pub(crate) fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape.contains(&0)
            || self.shape.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
                let fits = size == 1 || stride == expected;
                expected *= size;
                fits
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(length: usize, offset: usize, shape: &[usize], strides: &[usize]) -> Option<TensorView> {
        let storage = StorageRef { key: "0".into(), stored: Stored::F32, length };
        TensorView::new(storage, offset, shape.to_vec(), strides.to_vec())
    }

    #[test]
    fn a_view_stays_inside_its_storage() {
        assert!(view(6, 0, &[2, 3], &[3, 1]).unwrap().is_contiguous());
        assert!(!view(6, 0, &[2, 3], &[1, 2]).unwrap().is_contiguous());
        assert!(view(6, 1, &[2, 3], &[3, 1]).is_none());
        assert!(view(6, 6, &[0, 3], &[3, 1]).is_some());
        assert!(view(6, 7, &[0], &[1]).is_none());
        assert!(view(1, 0, &[], &[]).is_some());
        assert!(view(0, 0, &[], &[]).is_none());
        assert!(view(6, 0, &[2, 3], &[3]).is_none());
    }

    #[test]
    fn sizes_that_overflow_or_repeat_are_refused() {
        assert!(view(6, 0, &[usize::MAX, 2], &[0, 0]).is_none());
        assert!(view(6, usize::MAX, &[2], &[1]).is_none());
        assert!(view(6, 0, &[2], &[usize::MAX]).is_none());
        assert!(view(6, 0, &[1000, 1000], &[0, 0]).is_none(), "a million numbers out of one");
        assert!(
            view(6, 0, &[0, usize::MAX, 2], &[1, 1, 1]).is_none(),
            "no numbers, but a shape that overflows"
        );
        assert!(view(6, 0, &[1 << 40, 0], &[7, 7]).unwrap().is_contiguous());
    }
}
