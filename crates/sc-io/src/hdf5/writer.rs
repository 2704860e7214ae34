//! Writing HDF5: groups, attributes, arrays of numbers and of text.
//!
//! Files are laid out as libhdf5 1.8 and later read them. Chunks are compressed here, on the caller's thread pool; times
//! are not recorded, so that the same content gives the same bytes.

use std::ops::Range;
use std::path::Path;

use ndarray::{Array2, Axis};
use rayon::prelude::*;
use rust_hdf5::format::messages::datatype::CompoundMember;
use rust_hdf5::format::messages::filter::{FilterPipeline, apply_filters};
use rust_hdf5::{DatatypeMessage, H5Dataset, H5File, H5Group, H5Type, HBool, Hdf5Error, VarLenUnicode};

use super::object::Fault;
use crate::Problem;

/// Bytes of a chunk before compression, about.
const CHUNK_BYTES: usize = 1 << 20;

/// Chunks that are compressed side by side.
const BATCH: usize = 16;

/// Numbers as they lie on disk.
pub(crate) trait Stored: H5Type + Copy + Sync {
    fn put(self, out: &mut Vec<u8>);
}

macro_rules! stored {
    ($($type:ty),*) => {$(
        impl Stored for $type {
            fn put(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

stored!(i8, i16, i32, i64, f32, f64);

impl Stored for HBool {
    fn put(self, out: &mut Vec<u8>) {
        out.push(self.0);
    }
}

/// A file that is being written.
pub(crate) struct Writer {
    file: H5File,
    compression: Option<u32>,
}

impl Writer {
    pub(crate) fn create(path: &Path, compression: Option<u32>) -> Result<Self, Fault> {
        let created = H5File::options().no_locking().track_times(false).create(path);
        let file = created.map_err(|e| fault("/", e))?;
        Ok(Self { file, compression })
    }

    /// Opens a file that is there, to add to it.
    pub(crate) fn append(path: &Path, compression: Option<u32>) -> Result<Self, Fault> {
        let file = H5File::options().no_locking().open_rw(path).map_err(|e| fault("/", e))?;
        file.set_track_times(false).map_err(|e| fault("/", e))?;
        Ok(Self { file, compression })
    }

    /// Removes a member, whatever it is.
    pub(crate) fn remove(&self, path: &str, is_group: bool) -> Result<(), Fault> {
        let removed = if is_group { self.file.delete_group(path) } else { self.file.delete_dataset(path) };
        removed.map_err(|e| fault(path, e))
    }

    pub(crate) fn root(&self) -> GroupWriter<'_> {
        GroupWriter { writer: self, group: self.file.root_group(), path: String::new() }
    }

    /// Writes what is left to write. Does not wait for the disk: that is up to whoever made the file.
    pub(crate) fn close(self) -> Result<(), Fault> {
        self.file.close_no_sync().map_err(|e| fault("/", e))
    }
}

fn fault(element: &str, error: Hdf5Error) -> Fault {
    Fault::new(
        element,
        match error {
            Hdf5Error::Io(e) => Problem::Io(e),
            other => Problem::Hdf5(Box::new(other)),
        },
    )
}

/// A group that is being written.
pub(crate) struct GroupWriter<'w> {
    writer: &'w Writer,
    group: H5Group,
    path: String,
}

impl<'w> GroupWriter<'w> {
    pub(crate) fn member_path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) }
    }

    fn checked(&self, name: &str) -> Result<String, Fault> {
        let path = self.member_path(name);
        if name.is_empty() || name == "." || name.contains(['/', '\0']) {
            let why = format!("{name:?} cannot be a name in HDF5: it is empty or has a slash in it");
            return Err(Fault::new(path, Problem::Malformed(why)));
        }
        Ok(path)
    }

    pub(crate) fn group(&self, name: &str) -> Result<GroupWriter<'w>, Fault> {
        let path = self.checked(name)?;
        let group = self.group.create_group(name).map_err(|e| fault(&path, e))?;
        Ok(GroupWriter { writer: self.writer, group, path })
    }

    /// A group that is there already.
    pub(crate) fn existing(&self, name: &str) -> Result<GroupWriter<'w>, Fault> {
        let path = self.checked(name)?;
        let group = self.group.group(name).map_err(|e| fault(&path, e))?;
        Ok(GroupWriter { writer: self.writer, group, path })
    }

    pub(crate) fn attribute(&self, name: &str, value: &str) -> Result<(), Fault> {
        self.group.set_attr_string(name, value).map_err(|e| fault(&self.path, e))
    }

    pub(crate) fn string_list_attribute(&self, name: &str, values: &[&str]) -> Result<(), Fault> {
        // An empty list of text is what libhdf5 will not take; anndata writes one of numbers.
        let result = match values {
            [] => self.group.set_attr_array_numeric::<f64>(name, &[]),
            values => self.group.set_attr_string_array(name, values),
        };
        result.map_err(|e| fault(&self.path, e))
    }

    pub(crate) fn number_list_attribute(&self, name: &str, values: &[i64]) -> Result<(), Fault> {
        self.group.set_attr_array_numeric(name, values).map_err(|e| fault(&self.path, e))
    }

    pub(crate) fn bool_attribute(&self, name: &str, value: bool) -> Result<(), Fault> {
        self.group.set_attr_numeric(name, &HBool::from(value)).map_err(|e| fault(&self.path, e))
    }

    /// An array of numbers; `number(i)` is the one at position `i`.
    pub(crate) fn numbers<T: Stored>(
        &self,
        name: &str,
        shape: &[usize],
        number: impl Fn(usize) -> T + Sync,
    ) -> Result<DatasetWriter, Fault> {
        let path = self.checked(name)?;
        let count: usize = shape.iter().product();
        let rows = shape.first().copied().unwrap_or(0);
        let dataset = match self.writer.compression {
            Some(level) if count > 0 && !shape.is_empty() => {
                let width = count / rows;
                let chunk_rows = (CHUNK_BYTES / T::element_size() / width).clamp(1, rows);
                self.chunked(name, shape, chunk_rows, level, &number)
            }
            _ => self.contiguous(name, shape, count, &number),
        };
        let dataset = dataset.map_err(|e| fault(&path, e))?;
        Ok(DatasetWriter { dataset, path })
    }

    fn contiguous<T: Stored>(
        &self,
        name: &str,
        shape: &[usize],
        count: usize,
        number: impl Fn(usize) -> T,
    ) -> Result<H5Dataset, Hdf5Error> {
        let builder = self.group.new_dataset::<T>();
        let dataset = if shape.is_empty() { builder.scalar() } else { builder.shape(shape) }.create(name)?;
        if count > 0 {
            let values: Vec<T> = (0..count).map(number).collect();
            dataset.write_raw(&values)?;
        }
        Ok(dataset)
    }

    /// Chunks of whole rows, a few at a time in memory.
    fn chunked<T: Stored>(
        &self,
        name: &str,
        shape: &[usize],
        chunk_rows: usize,
        level: u32,
        number: &(impl Fn(usize) -> T + Sync),
    ) -> Result<H5Dataset, Hdf5Error> {
        let mut chunk = shape.to_vec();
        chunk[0] = chunk_rows;
        let count: usize = shape.iter().product();
        let per_chunk: usize = chunk.iter().product();
        let filters = FilterPipeline::shuffle_deflate(T::element_size() as u32, level);
        let dataset =
            self.group.new_dataset::<T>().shape(shape).chunk(&chunk).shuffle_deflate(level).create(name)?;
        let compressed = |i: usize| {
            let mut bytes = Vec::with_capacity(per_chunk * T::element_size());
            for at in i * per_chunk..count.min((i + 1) * per_chunk) {
                number(at).put(&mut bytes);
            }
            // Chunks are stored whole, the last one too.
            bytes.resize(per_chunk * T::element_size(), 0);
            apply_filters(&filters, &bytes)
        };
        let chunks: Vec<usize> = (0..shape[0].div_ceil(chunk_rows)).collect();
        for batch in chunks.chunks(BATCH) {
            let images: Vec<_> = batch.par_iter().map(|&i| compressed(i)).collect();
            for (&i, image) in batch.iter().zip(images) {
                dataset.write_chunk_raw(i, &image?, 0)?;
            }
        }
        Ok(dataset)
    }

    /// An array of `f32`, of which `next` gives the rows that it is asked for, in order; a few chunks at a time in memory.
    pub(crate) fn rows(
        &self,
        name: &str,
        shape: [usize; 2],
        level: u32,
        next: &mut dyn FnMut(Range<usize>) -> std::io::Result<Array2<f32>>,
    ) -> Result<DatasetWriter, Fault> {
        let path = self.checked(name)?;
        let [n_rows, n_cols] = shape;
        if n_rows == 0 || n_cols == 0 {
            return self.numbers(name, &shape, |_| 0f32);
        }
        let failed = |e| fault(&path, e);
        let chunk_rows = (CHUNK_BYTES / 4 / n_cols).clamp(1, n_rows);
        let filters = FilterPipeline::shuffle_deflate(4, level);
        let builder = self.group.new_dataset::<f32>().shape(shape).chunk(&[chunk_rows, n_cols]);
        let dataset = builder.shuffle_deflate(level).create(name).map_err(failed)?;
        for start in (0..n_rows).step_by(BATCH * chunk_rows) {
            let range = start..n_rows.min(start + BATCH * chunk_rows);
            let rows = next(range.clone()).map_err(|e| Fault::new(&path, e))?;
            if rows.dim() != (range.len(), n_cols) {
                let found = vec![rows.nrows() as u64, rows.ncols() as u64];
                let expected = format!("[{}, {n_cols}] for rows {range:?}", range.len());
                return Err(Fault::new(&path, Problem::Shape { found, expected }));
            }
            let chunks: Vec<_> = rows.axis_chunks_iter(Axis(0), chunk_rows).collect();
            let images: Vec<_> = chunks
                .into_par_iter()
                .map(|chunk| {
                    let mut bytes = Vec::with_capacity(chunk_rows * n_cols * 4);
                    chunk.iter().for_each(|number| number.put(&mut bytes));
                    // Chunks are stored whole, the last one too.
                    bytes.resize(chunk_rows * n_cols * 4, 0);
                    apply_filters(&filters, &bytes)
                })
                .collect();
            for (i, image) in images.into_iter().enumerate() {
                let image = image.map_err(|e| Fault::new(&path, Problem::Hdf5(Box::new(e))))?;
                dataset.write_chunk_raw(start / chunk_rows + i, &image, 0).map_err(failed)?;
            }
        }
        Ok(DatasetWriter { dataset, path })
    }

    /// A list of texts, or an array of them.
    pub(crate) fn strings<S: AsRef<str>>(
        &self,
        name: &str,
        shape: &[usize],
        values: &[S],
    ) -> Result<DatasetWriter, Fault> {
        let path = self.checked(name)?;
        let values: Vec<&str> = values.iter().map(AsRef::as_ref).collect();
        let dataset = match shape {
            [n] if *n > 0 => self.group.write_vlen_strings(name, &values),
            _ => self.fixed_strings(name, shape, &values),
        };
        let dataset = dataset.map_err(|e| fault(&path, e))?;
        Ok(DatasetWriter { dataset, path })
    }

    /// A list of texts of one length, filled up with zeros.
    pub(crate) fn fixed_length<S: AsRef<str>>(&self, name: &str, values: &[S]) -> Result<(), Fault> {
        let path = self.checked(name)?;
        let texts: Vec<&str> = values.iter().map(AsRef::as_ref).collect();
        self.fixed_strings(name, &[values.len()], &texts).map(drop).map_err(|e| fault(&path, e))
    }

    /// Texts of one length: what the writer has for anything but a list.
    fn fixed_strings(&self, name: &str, shape: &[usize], values: &[&str]) -> Result<H5Dataset, Hdf5Error> {
        let field = Field::strings(values);
        let builder = self.group.new_dataset::<u8>().datatype(field.datatype);
        let dataset = if shape.is_empty() { builder.scalar() } else { builder.shape(shape) }.create(name)?;
        if !values.is_empty() {
            dataset.write_raw_bytes(&field.bytes)?;
        }
        Ok(dataset)
    }

    /// A list of records; each field has `n_rows` values.
    pub(crate) fn records(
        &self,
        name: &str,
        n_rows: usize,
        fields: &[(&str, Field)],
    ) -> Result<DatasetWriter, Fault> {
        let path = self.checked(name)?;
        let mut members = Vec::with_capacity(fields.len());
        let mut size = 0;
        for (name, field) in fields {
            let datatype = field.datatype.clone();
            members.push(CompoundMember { name: (*name).to_owned(), offset: size as u32, datatype });
            size += field.width;
        }
        let mut bytes = Vec::with_capacity(n_rows * size);
        for row in 0..n_rows {
            for (_, field) in fields {
                bytes.extend_from_slice(&field.bytes[row * field.width..(row + 1) * field.width]);
            }
        }
        let datatype = DatatypeMessage::compound(size as u32, members);
        let created = self.group.new_dataset::<u8>().datatype(datatype).shape([n_rows]).create(name);
        let written = created.and_then(|dataset| {
            if !bytes.is_empty() {
                dataset.write_raw_bytes(&bytes)?;
            }
            Ok(dataset)
        });
        Ok(DatasetWriter { dataset: written.map_err(|e| fault(&path, e))?, path })
    }

    /// A dataset without any value.
    pub(crate) fn null(&self, name: &str) -> Result<DatasetWriter, Fault> {
        let path = self.checked(name)?;
        let dataset = self.group.new_dataset::<f32>().null().create(name).map_err(|e| fault(&path, e))?;
        Ok(DatasetWriter { dataset, path })
    }
}

/// One field of records: its type, and its values behind one another.
pub(crate) struct Field {
    datatype: DatatypeMessage,
    width: usize,
    bytes: Vec<u8>,
}

impl Field {
    pub(crate) fn numbers<T: Stored>(values: &[T]) -> Self {
        let mut bytes = Vec::with_capacity(size_of_val(values));
        for &value in values {
            value.put(&mut bytes);
        }
        Self { datatype: T::hdf5_type(), width: T::element_size(), bytes }
    }

    /// Texts, filled up with zeros to the length of the longest. Those of ASCII alone are declared as such: anndata cannot
    /// read records with texts that are declared as UTF-8.
    pub(crate) fn strings(values: &[&str]) -> Self {
        let width = values.iter().map(|v| v.len()).max().unwrap_or(0).max(1);
        let mut bytes = vec![0; values.len() * width];
        for (slot, value) in bytes.chunks_exact_mut(width).zip(values) {
            slot[..value.len()].copy_from_slice(value.as_bytes());
        }
        // Text of 4 GiB would not be in one field; the writer refuses what does not fit its message.
        let size = u32::try_from(width).unwrap_or(u32::MAX);
        let charset = u8::from(!bytes.is_ascii());
        Self { datatype: DatatypeMessage::FixedString { size, padding: 1, charset }, width, bytes }
    }
}

/// A dataset that was written, to hang attributes on.
pub(crate) struct DatasetWriter {
    dataset: H5Dataset,
    path: String,
}

impl DatasetWriter {
    pub(crate) fn attribute(&self, name: &str, value: &str) -> Result<(), Fault> {
        let attribute = self.dataset.new_attr::<VarLenUnicode>().shape(()).create(name);
        attribute.and_then(|a| a.write_string(value)).map_err(|e| fault(&self.path, e))
    }
}
