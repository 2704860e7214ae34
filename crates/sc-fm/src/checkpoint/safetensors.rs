//! `.safetensors` files, read and written.

mod write;

pub use write::write;

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::element::{Buffer, Place, count};
use super::pickle::Value;
use super::source::Source;
use super::{Error, KIND_BYTES, Stored, file_kind, json};

/// A header of this length names a quarter of a million tensors.
const MAX_HEADER: u64 = 1 << 25;

/// A file whose header is read and checked; its numbers are still on disk.
#[derive(Debug)]
pub(crate) struct Safetensors {
    source: Source,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    stored: Stored,
    shape: Vec<usize>,
    place: Place,
}

impl Safetensors {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let source = Source::open(path)?;
        let start = source.read(0, source.length().min(KIND_BYTES))?;
        let (Some(length), true) = (start.first_chunk::<8>(), start.get(8) == Some(&b'{')) else {
            return Err(source.format(0, file_kind(&start), "the header of a .safetensors file"));
        };
        let length = u64::from_le_bytes(*length);
        if length > MAX_HEADER || length > source.length() - 8 {
            return Err(source.format(0, format!("a header of {length} bytes"), "one that fits the file"));
        }
        let header = json::from_bytes(&source.read(8, length)?, path)?;
        let mut entries = Vec::new();
        for (name, entry) in header.entries().unwrap_or_default() {
            let name = name.as_str().expect("JSON has text for keys");
            if name != "__metadata__" {
                entries.push(Entry::read(name, entry, &source, 8 + length)?);
            }
        }
        let file = Self { source, entries };
        file.check_order(8 + length)?;
        Ok(file)
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    pub(crate) fn load(&self, dtype: Option<DType>, device: &Device) -> Result<Vec<(String, Tensor)>, Error> {
        let load = |entry: usize| Ok((self.entries[entry].name.clone(), self.read(entry, dtype, device)?));
        (0..self.entries.len()).into_par_iter().map(load).collect()
    }

    /// Number of tensors.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Name and shape of a tensor.
    pub(crate) fn entry(&self, entry: usize) -> (&str, &[usize]) {
        let Entry { name, shape, .. } = &self.entries[entry];
        (name, shape)
    }

    /// One tensor.
    pub(crate) fn read(&self, entry: usize, dtype: Option<DType>, device: &Device) -> Result<Tensor, Error> {
        let entry = &self.entries[entry];
        let count = entry.place.length as usize / entry.stored.size();
        let numbers = Buffer::read(&self.source, entry.place, entry.stored, 0..count, dtype)?;
        let failed = |source| Error::Tensor { name: entry.name.clone(), source };
        numbers.into_tensor(&entry.shape, device).map_err(failed)
    }

    /// The numbers fill the rest of the file, without gaps and without two tensors in one place.
    fn check_order(&self, start: u64) -> Result<(), Error> {
        let mut places: Vec<(Place, &str)> =
            self.entries.iter().map(|entry| (entry.place, entry.name.as_str())).collect();
        places.sort_by_key(|(place, _)| (place.offset, place.length));
        let mut end = start;
        for (place, name) in places {
            if place.offset != end {
                return Err(self.source.format(
                    place.offset,
                    format!("tensor {name:?}"),
                    "each right after the one before",
                ));
            }
            end += place.length;
        }
        match end == self.source.length() {
            true => Ok(()),
            false if end > self.source.length() => Err(self.source.format(
                self.source.length(),
                "the end of the file",
                "the rest of the tensors",
            )),
            false => Err(self.source.format(
                end,
                format!("{} bytes more", self.source.length() - end),
                "the end of the file",
            )),
        }
    }
}

impl Entry {
    fn read(name: &str, entry: &Value, source: &Source, start: u64) -> Result<Self, Error> {
        let wrong =
            |found: String, expected| source.format(8, format!("tensor {name:?} with {found}"), expected);
        let dtype = entry.get("dtype").and_then(Value::as_str).unwrap_or("none");
        let stored = Stored::from_name(dtype).ok_or_else(|| Error::Dtype {
            path: source.path().to_owned(),
            name: name.to_owned(),
            found: dtype.to_owned(),
        })?;
        let sizes = |key: &str| -> Option<Vec<u64>> {
            entry.get(key)?.items()?.iter().map(|size| u64::try_from(size.as_i64()?).ok()).collect()
        };
        let shape: Option<Vec<usize>> = sizes("shape")
            .and_then(|shape| shape.into_iter().map(|size| usize::try_from(size).ok()).collect());
        let shape = shape.ok_or_else(|| wrong("no shape".to_owned(), "a list of sizes"))?;
        let offsets = sizes("data_offsets").unwrap_or_default();
        let &[begin, end] = offsets.as_slice() else {
            return Err(wrong("no place".to_owned(), "two offsets"));
        };
        let bytes = count(&shape).and_then(|count| count.checked_mul(stored.size()));
        if bytes.map(|bytes| bytes as u64) != end.checked_sub(begin) {
            return Err(wrong(
                format!("shape {shape:?} and the place {begin}..{end}"),
                "as many bytes as the shape has",
            ));
        }
        let offset = start.checked_add(begin).filter(|_| start.checked_add(end).is_some());
        let offset =
            offset.ok_or_else(|| wrong(format!("the place {begin}..{end}"), "one inside the file"))?;
        Ok(Self {
            name: name.to_owned(),
            stored,
            shape,
            place: Place { offset, length: end - begin, crc: None },
        })
    }
}

#[cfg(test)]
mod tests;
