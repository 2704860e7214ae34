//! Named tensors, each taken once.

use std::collections::BTreeMap;

use candle_core::Tensor;

use super::Error;

/// The tensors of a checkpoint. A model takes what it needs by name and shape; what is left over is an error.
#[derive(Debug, Default)]
pub struct Weights {
    tensors: BTreeMap<String, Tensor>,
}

impl Weights {
    /// From tensors by name. Variables stay variables: a model built of them can be trained.
    pub fn new(tensors: impl IntoIterator<Item = (String, Tensor)>) -> Self {
        Self { tensors: tensors.into_iter().collect() }
    }

    /// Whether a tensor of this name is (still) there.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The names that are (still) there, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Takes a tensor out.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Shape`].
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        let missing = || Error::Missing { name: name.to_owned(), expected: shape.to_vec() };
        let tensor = self.tensors.remove(name).ok_or_else(missing)?;
        if tensor.dims() != shape {
            let (found, expected) = (tensor.dims().to_vec(), shape.to_vec());
            return Err(Error::Shape { name: name.to_owned(), found, expected });
        }
        Ok(tensor)
    }

    /// Gives every tensor the name that `rename` returns; `None` drops it.
    #[must_use]
    pub fn renamed(self, rename: impl Fn(&str) -> Option<String>) -> Self {
        let renamed = self.tensors.into_iter().filter_map(|(name, tensor)| Some((rename(&name)?, tensor)));
        Self { tensors: renamed.collect() }
    }

    /// Says that the model is complete.
    ///
    /// # Errors
    /// [`Error::Unused`] if a tensor was not taken.
    pub fn finish(self) -> Result<(), Error> {
        match self.tensors.is_empty() {
            true => Ok(()),
            false => Err(Error::Unused { names: self.tensors.into_keys().collect() }),
        }
    }
}
