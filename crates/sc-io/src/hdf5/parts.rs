//! A dataset in parts: some of its rows at a time, any number of times, from any thread.

use std::ops::Range;

use rust_hdf5::format::messages::data_layout::DataLayoutMessage;

use super::Decoded;
use super::chunk_index::ChunkIndex;
use super::chunks::{Read, Rows, Values};
use super::convert::{Number, convert};
use super::dataset::{Dataset, unfit};
use super::dtype::Dtype;
use super::object::Fault;
use crate::Problem;

/// A dataset whose chunks were looked up once.
#[derive(Debug)]
pub(crate) struct Parts<'f> {
    dataset: Dataset<'f>,
    index: Option<ChunkIndex>,
}

impl<'f> Parts<'f> {
    pub(super) fn new(dataset: Dataset<'f>) -> Result<Self, Fault> {
        let index = Self::index(&dataset).map_err(|p| dataset.fault(p))?;
        Ok(Self { dataset, index })
    }

    fn index(dataset: &Dataset<'_>) -> Decoded<Option<ChunkIndex>> {
        // All positions fit, so that nothing below can overflow.
        let count = dataset.count()?;
        if count.checked_mul(dataset.element_size).is_none() {
            let expected = "a number of values that can be addressed".to_owned();
            return Err(Problem::Shape { found: dataset.dims.clone(), expected });
        }
        match dataset.layout {
            DataLayoutMessage::Compact { .. } | DataLayoutMessage::Contiguous { .. } => Ok(None),
            _ => ChunkIndex::read(dataset).map(Some),
        }
    }

    /// The dataset.
    pub(crate) fn dataset(&self) -> &Dataset<'f> {
        &self.dataset
    }

    /// The numbers of some rows (positions along the first axis), row behind row.
    pub(crate) fn numbers<T: Number>(&self, rows: Range<usize>) -> Result<Vec<T>, Fault> {
        self.read(rows).map_err(|p| self.dataset.fault(p))
    }

    fn read<T: Number>(&self, rows: Range<usize>) -> Decoded<Vec<T>> {
        let dataset = &self.dataset;
        let &Dtype::Number { kind, big_endian } = dataset.dtype() else {
            return Err(Problem::Dtype { found: dataset.dtype().describe(), expected: "numbers" });
        };
        let length = dataset.dims.first().copied().unwrap_or(0);
        if rows.start > rows.end || rows.end as u64 > length || dataset.is_null() {
            let expected = format!("at least {} rows", rows.end);
            return Err(Problem::Shape { found: dataset.dims.clone(), expected });
        }
        let row = |n: u64, &d: &u64| n.checked_mul(d);
        let count = dataset.dims.iter().skip(1).try_fold(rows.len() as u64, row);
        let bytes = count.and_then(|n| n.checked_mul(T::SIZE.max(kind.size() as u64)));
        dataset.file.budget.allow(bytes)?;
        let mut out = vec![T::default(); count.unwrap_or(0) as usize];
        let values = Values { per_element: 1, convert: &|bytes, out| convert(kind, big_endian, bytes, out) };
        let rows = Rows { start: rows.start as u64, end: rows.end as u64 };
        Read::rows(dataset, rows)
            .into(&mut out, &values, self.index.as_ref())
            .map_err(|e| unfit::<T>(e, kind, big_endian))?;
        Ok(out)
    }
}
