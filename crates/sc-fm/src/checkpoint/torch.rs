//! PyTorch's own files (`.pt`, `.bin`, `.ckpt`): a pickle that describes tensors, and their numbers beside it.
//!
//! Both layouts of `torch.save` are read: the zip archive (since 1.6), whose checksums are verified, and the older row of
//! pickles. Archives of TorchScript hold programs and are refused.

mod layout;
mod view;

pub use view::TensorView;

pub(crate) use view::StorageRef;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::Error;
use super::element::{Buffer, Place};
use super::pickle::Value;
use super::source::Source;

/// A file of `torch.save`, its description read and its numbers still on disk.
#[derive(Debug)]
pub struct TorchFile {
    source: Source,
    value: Value,
    /// Where the numbers of each storage are.
    places: HashMap<String, Place>,
}

impl TorchFile {
    /// Reads what a file holds, apart from the numbers of its tensors.
    ///
    /// # Errors
    /// [`Error::Pickle`] if it holds more than tensors and plain data, [`Error::Format`] if it is damaged or another kind
    /// of file, [`Error::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let source = Source::open(path.as_ref())?;
        let (value, places) = layout::read(&source)?;
        Ok(Self { source, value, places })
    }

    /// Whether a file begins as one of `torch.save` does.
    pub(crate) fn is(start: &[u8]) -> bool {
        layout::is_known(start)
    }

    /// What was saved: dictionaries, configurations, and [`Value::Tensor`] for each tensor.
    pub fn value(&self) -> &Value {
        &self.value
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// The tensors by name of the dictionary that the keys `inside` lead to.
    pub(crate) fn views(&self, inside: &[String]) -> Result<Vec<(&str, &TensorView)>, Error> {
        let lost = || Error::NoStateDict {
            path: self.source.path().to_owned(),
            inside: inside.join("."),
            candidates: candidates(&self.value),
        };
        let place = inside.iter().try_fold(&self.value, |value, key| value.get(key)).ok_or_else(lost)?;
        let entries = place.entries().ok_or_else(lost)?;
        let mut views = Vec::with_capacity(entries.len());
        for entry in entries {
            match entry {
                (Value::Str(name), Value::Tensor(view)) => views.push((name.as_str(), view.as_ref())),
                _ => return Err(lost()),
            }
        }
        Ok(views)
    }

    /// Reads tensors. Those that share a storage and a view share their memory.
    pub(crate) fn load(
        &self,
        views: &[(&str, &TensorView)],
        dtype: Option<DType>,
        device: &Device,
    ) -> Result<Vec<(String, Tensor)>, Error> {
        let mut groups: BTreeMap<&str, Vec<&(&str, &TensorView)>> = BTreeMap::new();
        for view in views {
            groups.entry(&view.1.storage.key).or_default().push(view);
        }
        let groups: Vec<_> = groups.into_values().collect();
        let loaded: Result<Vec<_>, Error> =
            groups.par_iter().map(|views| self.load_storage(views, dtype, device)).collect();
        Ok(loaded?.into_iter().flatten().collect())
    }

    /// Reads the tensors of one storage, of which only the part that they need is kept.
    fn load_storage(
        &self,
        views: &[&(&str, &TensorView)],
        dtype: Option<DType>,
        device: &Device,
    ) -> Result<Vec<(String, Tensor)>, Error> {
        let storage = &views[0].1.storage;
        let place = self.places.get(&storage.key);
        let place = *place.ok_or_else(|| {
            self.source.format(0, format!("no data {:?}", storage.key), "the numbers of a tensor")
        })?;
        let expected = storage.length.checked_mul(storage.stored.size()).map(|length| length as u64);
        if expected != Some(place.length) || views.iter().any(|(_, view)| view.storage != *storage) {
            let found = format!(
                "{} bytes for {} numbers of type {}",
                place.length,
                storage.length,
                storage.stored.name()
            );
            return Err(self.source.format(place.offset, found, "as many as they need, of one type"));
        }
        let start = views.iter().map(|(_, view)| view.offset).min().expect("a group has a view");
        let end = views.iter().filter_map(|(_, view)| view.end()).max().expect("a group has a view");
        let span = Buffer::read(&self.source, place, storage.stored, start..end, dtype)?;
        let tensor = |name: &str, numbers: Buffer, shape: &[usize]| {
            let failed = |source| Error::Tensor { name: name.to_owned(), source };
            numbers.into_tensor(shape, device).map_err(failed)
        };
        let (first, view) = *views[0];
        if view.is_contiguous() && views.iter().all(|(_, other)| *other == view) {
            let tensor = tensor(first, span, view.shape())?;
            return Ok(views.iter().map(|(name, _)| ((*name).to_owned(), tensor.clone())).collect());
        }
        let pick = |&&(name, view): &&(&str, &TensorView)| {
            let own = span.picked(view.offset - start, view.shape(), view.strides());
            Ok((name.to_owned(), tensor(name, own, view.shape())?))
        };
        views.iter().map(pick).collect()
    }
}

/// The keys that lead to dictionaries of tensors.
fn candidates(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), value)];
    while let Some((path, value)) = open.pop() {
        let entries = value.entries().unwrap_or_default();
        if !entries.is_empty() && entries.iter().all(|(_, value)| matches!(value, Value::Tensor(_))) {
            found.push(path);
            continue;
        }
        for (key, value) in entries {
            let key = key.as_str().unwrap_or_default();
            let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            open.push((path, value));
        }
    }
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests;
