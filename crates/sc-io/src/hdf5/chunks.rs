//! Values from storage into memory: in blocks or chunks, inflated and converted on the caller's threads.

use std::sync::Arc;

use rayon::prelude::*;
use rust_hdf5::format::UNDEF_ADDR;
use rust_hdf5::format::messages::data_layout::DataLayoutMessage;
use rust_hdf5::format::messages::filter::reverse_filters_masked_into;

use super::chunk_index::{Chunk, ChunkIndex, Grid};
use super::dataset::Dataset;
use super::format;
use crate::Problem;

/// Values of a block of contiguous storage that one thread reads at a time.
const BLOCK: usize = 1 << 16;

/// Converts stored bytes to values; the error is the position of the first that does not fit.
type Convert<'a, T> = &'a (dyn Fn(&[u8], &mut [T]) -> Result<(), usize> + Sync);

/// How stored elements become values in memory.
pub(super) struct Values<'a, T> {
    /// Values in memory for each element: 1, or the bytes of an element when bytes are asked for.
    pub(super) per_element: usize,
    pub(super) convert: Convert<'a, T>,
}

/// Why reading failed.
pub(super) enum ReadError {
    Problem(Problem),
    /// The element at this position does not fit; its bytes.
    Value {
        at: usize,
        bytes: Vec<u8>,
    },
}

impl From<Problem> for ReadError {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

type ReadResult = Result<(), ReadError>;

/// Which rows of a dataset are read: positions along its first axis. A dataset without axes has one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// One reading of a dataset.
pub(super) struct Read<'a> {
    dataset: &'a Dataset<'a>,
    element_size: usize,
    rows: Rows,
    /// Values in one row.
    width: u64,
}

impl<'a> Read<'a> {
    /// All rows.
    pub(super) fn whole(dataset: &'a Dataset<'a>) -> Self {
        Self::rows(dataset, Rows { start: 0, end: dataset.dims.first().copied().unwrap_or(1) })
    }

    /// Some rows, which the dataset has.
    pub(super) fn rows(dataset: &'a Dataset<'a>, rows: Rows) -> Self {
        // Where there are values at all, their number was found to fit before.
        let width = dataset.dims.iter().skip(1).fold(1, |n: u64, &d| n.saturating_mul(d));
        Self { dataset, element_size: dataset.element_size, rows, width }
    }

    /// Fills `out`, which has room for all elements of the rows and holds zeros.
    ///
    /// `index` are the chunks, where they are known already.
    pub(super) fn into<T: Copy + Default + Send + Sync>(
        self,
        out: &mut [T],
        values: &Values<'_, T>,
        index: Option<&ChunkIndex>,
    ) -> ReadResult {
        if out.is_empty() {
            return Ok(());
        }
        match &self.dataset.layout {
            DataLayoutMessage::Compact { data } => {
                let start = self.first() as usize * self.element_size;
                let n = out.len() / values.per_element * self.element_size;
                let Some(data) = data.get(start..).and_then(|data| data.get(..n)) else {
                    return Err(Problem::Malformed("its values are cut short".to_owned()).into());
                };
                self.convert(data, out, values, self.first() as usize)
            }
            DataLayoutMessage::Contiguous { address: UNDEF_ADDR, .. } => self.fill(out, values),
            DataLayoutMessage::Contiguous { address, size } => self.contiguous(*address, *size, out, values),
            _ => {
                // A chunk may be larger than what is read of it; it is inflated whole.
                let asked = (out.len() / values.per_element * self.element_size) as u64;
                let budget = &self.dataset.file.budget;
                if let Some(index) = index {
                    budget.allow(Some(index.grid.bytes.saturating_sub(asked)))?;
                    return self.chunked(index, out, values);
                }
                let index = ChunkIndex::read(self.dataset)?;
                budget.declare(Some(index.grid.bytes.saturating_sub(asked)))?;
                self.chunked(&index, out, values)
            }
        }
    }

    /// The position of the first value among all of the dataset.
    fn first(&self) -> u64 {
        self.rows.start * self.width
    }

    fn convert<T>(&self, bytes: &[u8], out: &mut [T], values: &Values<'_, T>, first: usize) -> ReadResult {
        (values.convert)(bytes, out).map_err(|at| {
            let start = at * self.element_size;
            ReadError::Value { at: first + at, bytes: bytes[start..start + self.element_size].to_vec() }
        })
    }

    /// Every element takes the value that was declared for those never written.
    fn fill<T: Copy>(&self, out: &mut [T], values: &Values<'_, T>) -> ReadResult {
        let Some(fill) = &self.dataset.fill else { return Ok(()) };
        let (first, rest) = out.split_at_mut(values.per_element);
        self.convert(fill, first, values, 0)?;
        for element in rest.chunks_exact_mut(values.per_element) {
            element.copy_from_slice(first);
        }
        Ok(())
    }

    fn contiguous<T: Send>(
        &self,
        address: u64,
        size: u64,
        out: &mut [T],
        values: &Values<'_, T>,
    ) -> ReadResult {
        let skipped = self.first() * self.element_size as u64;
        let bytes = (out.len() / values.per_element * self.element_size) as u64;
        if size < skipped + bytes {
            let why = format!("it has {size} bytes where its shape needs {}", skipped + bytes);
            return Err(Problem::Malformed(why).into());
        }
        // One check of the whole, so that the error does not depend on which block is read first.
        let source = &self.dataset.file.source;
        let end = address.checked_add(skipped + bytes).ok_or(Problem::Outside {
            offset: address,
            length: skipped + bytes,
            end: source.length(),
        })?;
        source.read_at_most(end, 0)?;
        let (address, first) = (address + skipped, self.first() as usize);
        let blocks = out.par_chunks_mut(BLOCK * values.per_element).enumerate();
        first_error(blocks.map_init(Vec::new, |buffer, (i, out)| {
            let n = out.len() / values.per_element * self.element_size;
            buffer.resize(n, 0);
            source.read_into(address + (i * BLOCK * self.element_size) as u64, buffer)?;
            self.convert(buffer, out, values, first + i * BLOCK)
        }))
    }

    /// Chunks that share the first number of their place fill one band of `out`; bands are independent.
    fn chunked<T: Copy + Send + Sync>(
        &self,
        index: &ChunkIndex,
        out: &mut [T],
        values: &Values<'_, T>,
    ) -> ReadResult {
        let ChunkIndex { grid, chunks, .. } = index;
        if (chunks.len() as u64) < grid.total() {
            self.fill(out, values)?;
        }
        let mut bands = Vec::new();
        let mut rest = out;
        let mut row = self.rows.start;
        while row < self.rows.end {
            let number = row / grid.chunk[0];
            let end = (number + 1).saturating_mul(grid.chunk[0]).min(self.rows.end);
            let (band, behind) = rest.split_at_mut(((end - row) * self.width) as usize * values.per_element);
            bands.push((number, Rows { start: row, end }, band));
            (rest, row) = (behind, end);
        }
        first_error(bands.into_par_iter().map_init(Buffers::default, |buffers, (number, rows, out)| {
            let start = chunks.partition_point(|c| c.place[0] < number);
            let end = chunks.partition_point(|c| c.place[0] <= number);
            for at in start..end {
                self.chunk(index, at, rows, buffers, out, values)?;
            }
            Ok(())
        }))
    }

    /// One chunk's part of a band. A chunk of which rows are left over is kept: the next reading probably wants them.
    fn chunk<T: Copy>(
        &self,
        index: &ChunkIndex,
        at: usize,
        rows: Rows,
        buffers: &mut Buffers,
        out: &mut [T],
        values: &Values<'_, T>,
    ) -> ReadResult {
        let (grid, chunk) = (&index.grid, &index.chunks[at]);
        let origin = chunk.place[0] * grid.chunk[0];
        let end = (origin + grid.chunk[0]).min(self.dataset.dims[0]);
        if rows == (Rows { start: origin, end }) {
            let mut image = std::mem::take(&mut buffers.image);
            let result = self
                .inflate(grid, chunk, buffers, &mut image)
                .and_then(|()| self.scatter(grid, chunk, rows, &image, out, values));
            buffers.image = image;
            return result;
        }
        let image = match index.kept.get(at) {
            Some(image) => image,
            None => {
                let mut image = Vec::new();
                self.inflate(grid, chunk, buffers, &mut image)?;
                index.kept.put(at, Arc::from(image))
            }
        };
        self.scatter(grid, chunk, rows, &image, out, values)
    }

    fn inflate(&self, grid: &Grid, chunk: &Chunk, buffers: &mut Buffers, image: &mut Vec<u8>) -> ReadResult {
        image.resize(grid.bytes as usize, 0);
        let source = &self.dataset.file.source;
        match &self.dataset.filters {
            None => source.read_into(chunk.address, image)?,
            Some(filters) => {
                buffers.stored.resize(chunk.size as usize, 0);
                source.read_into(chunk.address, &mut buffers.stored)?;
                reverse_filters_masked_into(filters, &buffers.stored, chunk.skipped_filters, image)
                    .map_err(format)?;
            }
        }
        Ok(())
    }

    /// Copies the part of a chunk that lies in `rows`, run by run along the last axis; `out` starts at the first of them.
    fn scatter<T: Copy>(
        &self,
        grid: &Grid,
        chunk: &Chunk,
        rows: Rows,
        image: &[u8],
        out: &mut [T],
        values: &Values<'_, T>,
    ) -> ReadResult {
        let dims = &self.dataset.dims;
        let origin: Vec<u64> = chunk.place.iter().zip(&grid.chunk).map(|(p, c)| p * c).collect();
        let mut from = vec![0u64; dims.len()];
        let mut to: Vec<u64> =
            origin.iter().zip(dims).zip(&grid.chunk).map(|((&o, &d), &c)| c.min(d - o)).collect();
        from[0] = rows.start - origin[0];
        to[0] = rows.end - origin[0];
        let last = dims.len() - 1;
        let run = (to[last] - from[last]) as usize;
        let runs: u64 = from[..last].iter().zip(&to).map(|(from, to)| to - from).product();
        let first = (rows.start * self.width) as usize;
        let mut within = from.clone();
        for _ in 0..runs {
            let (mut stored, mut target) = (0u64, 0u64);
            for axis in 0..dims.len() {
                stored = stored * grid.chunk[axis] + within[axis];
                target = target * dims[axis] + origin[axis] + within[axis];
            }
            let (stored, target) = (stored as usize * self.element_size, target as usize);
            let at = (target - first) * values.per_element;
            let bytes = &image[stored..stored + run * self.element_size];
            self.convert(bytes, &mut out[at..at + run * values.per_element], values, target)?;
            for axis in (0..last).rev() {
                within[axis] += 1;
                if within[axis] < to[axis] {
                    break;
                }
                within[axis] = from[axis];
            }
        }
        Ok(())
    }
}

/// What one thread needs again for every chunk.
#[derive(Default)]
struct Buffers {
    stored: Vec<u8>,
    image: Vec<u8>,
}

/// The error of the first block that has one, whichever thread met its own first.
fn first_error(results: impl IndexedParallelIterator<Item = ReadResult>) -> ReadResult {
    let first = results
        .enumerate()
        .filter_map(|(i, result)| result.err().map(|e| (i, e)))
        .reduce_with(|a, b| if a.0 <= b.0 { a } else { b });
    first.map_or(Ok(()), |(_, e)| Err(e))
}
