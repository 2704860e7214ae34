//! Values from storage into memory: in blocks or chunks, inflated and converted on the caller's threads.

use rayon::prelude::*;
use rust_hdf5::format::UNDEF_ADDR;
use rust_hdf5::format::messages::data_layout::DataLayoutMessage;
use rust_hdf5::format::messages::filter::reverse_filters_masked_into;

use super::chunk_index::{self, Chunk, Grid};
use super::dataset::Dataset;
use super::{Decoded, format};
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

/// One reading of a dataset.
pub(super) struct Read<'a> {
    dataset: &'a Dataset<'a>,
    element_size: usize,
}

impl<'a> Read<'a> {
    pub(super) fn new(dataset: &'a Dataset<'a>) -> Decoded<Self> {
        Ok(Self { dataset, element_size: dataset.element_size })
    }

    /// Fills `out`, which has room for all elements and holds zeros.
    pub(super) fn into<T: Copy + Default + Send + Sync>(
        self,
        out: &mut [T],
        values: &Values<'_, T>,
    ) -> ReadResult {
        if out.is_empty() {
            return Ok(());
        }
        match &self.dataset.layout {
            DataLayoutMessage::Compact { data } => {
                let n = out.len() / values.per_element * self.element_size;
                let Some(data) = data.get(..n) else {
                    return Err(Problem::Malformed("its values are cut short".to_owned()).into());
                };
                self.convert(data, out, values, 0)
            }
            DataLayoutMessage::Contiguous { address: UNDEF_ADDR, .. } => self.fill(out, values),
            DataLayoutMessage::Contiguous { address, size } => self.contiguous(*address, *size, out, values),
            _ => {
                let (grid, chunks) = chunk_index::read(self.dataset)?;
                self.chunked(&grid, &chunks, out, values)
            }
        }
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
        let bytes = (out.len() / values.per_element * self.element_size) as u64;
        if size < bytes {
            let why = format!("it has {size} bytes where its shape needs {bytes}");
            return Err(Problem::Malformed(why).into());
        }
        // One check of the whole, so that the error does not depend on which block is read first.
        let source = &self.dataset.file.source;
        let end = address.checked_add(bytes).ok_or(Problem::Outside {
            offset: address,
            length: bytes,
            end: source.length(),
        })?;
        source.read_at_most(end, 0)?;
        let blocks = out.par_chunks_mut(BLOCK * values.per_element).enumerate();
        first_error(blocks.map_init(Vec::new, |buffer, (i, out)| {
            let n = out.len() / values.per_element * self.element_size;
            buffer.resize(n, 0);
            source.read_into(address + (i * BLOCK * self.element_size) as u64, buffer)?;
            self.convert(buffer, out, values, i * BLOCK)
        }))
    }

    /// Chunks that share the first number of their place fill one band of `out`; bands are independent.
    fn chunked<T: Copy + Send + Sync>(
        &self,
        grid: &Grid,
        chunks: &[Chunk],
        out: &mut [T],
        values: &Values<'_, T>,
    ) -> ReadResult {
        let source = &self.dataset.file.source;
        for chunk in chunks {
            if self.dataset.filters.is_none() && chunk.size != grid.bytes {
                let why = format!(
                    "the chunk at {:?} has {} bytes, expected {}",
                    chunk.place, chunk.size, grid.bytes
                );
                return Err(Problem::Malformed(why).into());
            }
            let outside =
                Problem::Outside { offset: chunk.address, length: chunk.size, end: source.length() };
            let end = chunk.address.checked_add(chunk.size).ok_or(outside)?;
            source.read_at_most(end, 0)?;
        }
        // A chunk may be larger than the dataset; it is inflated whole.
        let whole = (out.len() / values.per_element * self.element_size) as u64;
        self.dataset.file.budget.declare(Some(grid.bytes.saturating_sub(whole)))?;

        let total: u64 = grid.counts.iter().product();
        if (chunks.len() as u64) < total {
            self.fill(out, values)?;
        }
        let row: u64 = self.dataset.dims[1..].iter().product();
        let band = usize::try_from(grid.chunk[0].saturating_mul(row)).unwrap_or(usize::MAX).min(out.len());
        if band == 0 {
            return Ok(());
        }
        let bands = out.par_chunks_mut(band.saturating_mul(values.per_element)).enumerate();
        first_error(bands.map_init(Buffers::default, |buffers, (i, out)| {
            let start = chunks.partition_point(|c| c.place[0] < i as u64);
            let end = chunks.partition_point(|c| c.place[0] <= i as u64);
            for chunk in &chunks[start..end] {
                self.inflate(grid, chunk, buffers)?;
                self.scatter(grid, chunk, &buffers.image, out, values, i * band)?;
            }
            Ok(())
        }))
    }

    fn inflate(&self, grid: &Grid, chunk: &Chunk, buffers: &mut Buffers) -> ReadResult {
        let image_size = grid.bytes as usize;
        buffers.image.resize(image_size, 0);
        let source = &self.dataset.file.source;
        match &self.dataset.filters {
            None => source.read_into(chunk.address, &mut buffers.image)?,
            Some(filters) => {
                buffers.stored.resize(chunk.size as usize, 0);
                source.read_into(chunk.address, &mut buffers.stored)?;
                reverse_filters_masked_into(
                    filters,
                    &buffers.stored,
                    chunk.skipped_filters,
                    &mut buffers.image,
                )
                .map_err(format)?;
            }
        }
        Ok(())
    }

    /// Copies the part of a chunk that lies inside the dataset, run by run along the last axis.
    fn scatter<T: Copy>(
        &self,
        grid: &Grid,
        chunk: &Chunk,
        image: &[u8],
        out: &mut [T],
        values: &Values<'_, T>,
        band_start: usize,
    ) -> ReadResult {
        let dims = &self.dataset.dims;
        let origin: Vec<u64> = chunk.place.iter().zip(&grid.chunk).map(|(p, c)| p * c).collect();
        let extent: Vec<u64> =
            origin.iter().zip(dims).zip(&grid.chunk).map(|((&o, &d), &c)| c.min(d - o)).collect();
        let last = dims.len() - 1;
        let run = extent[last] as usize;
        let rows: u64 = extent[..last].iter().product();
        let mut within = vec![0u64; last];
        for _ in 0..rows {
            let (mut stored, mut target) = (0u64, 0u64);
            for axis in 0..last {
                stored = stored * grid.chunk[axis] + within[axis];
                target = target * dims[axis] + origin[axis] + within[axis];
            }
            let stored = (stored * grid.chunk[last]) as usize * self.element_size;
            let target = (target * dims[last] + origin[last]) as usize;
            let at = (target - band_start) * values.per_element;
            let bytes = &image[stored..stored + run * self.element_size];
            self.convert(bytes, &mut out[at..at + run * values.per_element], values, target)?;
            for axis in (0..last).rev() {
                within[axis] += 1;
                if within[axis] < extent[axis] {
                    break;
                }
                within[axis] = 0;
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
