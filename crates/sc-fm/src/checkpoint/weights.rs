//! Named tensors, each taken once.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Device, Tensor};
use sc_io::nearest::nearest;

use super::deferred::Deferred;
use super::record::{FileRecord, Ignored, Renamed, Report};
use super::{Error, Misfit};
use crate::nn::Linear;
use crate::nn::gemm::Packed;

/// The tensors of a checkpoint. A model takes what it needs by name and shape; what is left over is an error.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use sc_fm::checkpoint::{Error, Weights};
///
/// let tensor = |size: usize| Tensor::zeros(size, DType::F32, &Device::Cpu);
/// let mut weights = Weights::new([("norm.weigth".to_owned(), tensor(3)?), ("norm.bias".to_owned(), tensor(3)?)]);
/// let error = weights
///     .build(|weights| Ok::<_, Error>((weights.take("norm.weight", &[3])?, weights.take("norm.bias", &[3])?)))
///     .unwrap_err();
/// let message = error.to_string();
/// assert!(message.contains(r#"1 tensor is missing: norm.weight [3] (near: norm.weigth)"#), "{message}");
/// assert!(message.contains(r#"1 tensor is not used: norm.weigth"#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Weights {
    tensors: BTreeMap<String, Tensor>,
    /// Names that two tensors have.
    twice: BTreeSet<String>,
    /// Names in the file, for tensors that have another name now.
    origins: BTreeMap<String, String>,
    /// By their names in the file: tensors that are still there, and only their shapes in `tensors`.
    deferred: BTreeMap<String, Deferred>,
    /// What was missing so far, while a model is built.
    building: Option<Misfits>,
    /// What the model that is being built, or was last built, has taken.
    taken: BTreeMap<String, Tensor>,
    /// What adapters of low rank among the tensors are multiplied by, and the share dropped of what goes into them.
    adapters: Option<Adapters>,
    report: Report,
}

/// What was missing while a model is built.
#[derive(Debug, Default)]
struct Misfits {
    all: Vec<Misfit>,
    /// Values that stand in for what is missing, and the most that may: a configuration that lies about sizes must not cost
    /// more memory than the file would.
    n_values: usize,
    most_values: usize,
}

/// Values that stand in for what is missing, however small a file is.
const FEW_VALUES: usize = 1 << 16;

/// What the products of a model's adapters are multiplied by, and the share dropped of what goes into them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Adapters {
    pub(crate) scale: f64,
    pub(crate) dropout: f64,
    /// The scale of adapters that have one of their own, by the name of their first tensor.
    pub(crate) own: BTreeMap<String, f64>,
}

/// Ends of the names of an adapter's two matrices.
pub(crate) const LORA_A: &str = ".lora_A.weight";
pub(crate) const LORA_B: &str = ".lora_B.weight";

impl Weights {
    /// From tensors by name. Variables stay variables: a model built of them can be trained.
    pub fn new(tensors: impl IntoIterator<Item = (String, Tensor)>) -> Self {
        let mut weights = Self::default();
        for (name, tensor) in tensors {
            weights.insert(name, tensor);
        }
        weights
    }

    pub(crate) fn loaded(
        tensors: impl IntoIterator<Item = (String, Tensor)>,
        files: Vec<FileRecord>,
        revision: Option<String>,
    ) -> Self {
        let mut weights = Self::new(tensors);
        weights.report = Report { files, revision, ..Report::default() };
        weights
    }

    pub(crate) fn insert(&mut self, name: String, tensor: Tensor) {
        match self.tensors.contains_key(&name) {
            true => _ = self.twice.insert(name),
            false => _ = self.tensors.insert(name, tensor),
        }
    }

    /// A tensor that is read when it is asked for.
    pub(super) fn defer(&mut self, tensor: Deferred) -> Result<(), Error> {
        let name = tensor.entry().0.to_owned();
        self.insert(name.clone(), tensor.placeholder()?);
        self.deferred.insert(name, tensor);
        Ok(())
    }

    /// A tensor, from the file if it is still there, and whether it was.
    fn read(&self, name: &str, tensor: &Tensor) -> Result<(Tensor, bool), Error> {
        let origin = self.origins.get(name).map_or(name, String::as_str);
        match self.deferred.get(origin) {
            Some(deferred) => Ok((deferred.read()?, true)),
            None => Ok((tensor.clone(), false)),
        }
    }

    /// Puts in place of every tensor that is (still) there what `replace` makes of it, in the order of the names.
    pub(crate) fn replace<E: From<Error>>(
        &mut self,
        mut replace: impl FnMut(&str, &Tensor) -> Result<Tensor, E>,
    ) -> Result<(), E> {
        let names: Vec<String> = self.tensors.keys().cloned().collect();
        for name in names {
            let (tensor, was_on_disk) = self.read(&name, &self.tensors[&name])?;
            if was_on_disk {
                let origin = self.origins.get(&name).unwrap_or(&name);
                self.deferred.remove(origin);
            }
            let tensor = replace(&name, &tensor)?;
            self.tensors.insert(name, tensor);
        }
        Ok(())
    }

    /// Says what the adapters among the tensors have in common; without it they are no part of a model.
    pub(crate) fn set_adapters(&mut self, adapters: Adapters) {
        self.adapters = Some(adapters);
    }

    pub(crate) fn adapters(&self) -> Option<&Adapters> {
        self.adapters.as_ref()
    }

    /// The layer with its adapter of low rank, `{name}.lora_A.weight` (`r × inputs`) and `{name}.lora_B.weight`
    /// (`outputs × r`), if one was [put](crate::models::LoraAdapter::put_on) on it.
    ///
    /// # Errors
    /// As [`Weights::take`].
    pub fn adapted(&mut self, linear: Linear, name: &str) -> Result<Linear, Error> {
        let (a, b) = (format!("{name}{LORA_A}"), format!("{name}{LORA_B}"));
        let (Some(adapters), Some(&[rank, _])) = (&self.adapters, self.shape(&a)) else {
            return Ok(linear);
        };
        let (scale, dropout) = (adapters.own.get(&a).copied().unwrap_or(adapters.scale), adapters.dropout);
        let tensor = |source| Error::Tensor { name: name.to_owned(), source };
        let (outputs, inputs) = linear.dims().map_err(tensor)?;
        let (a, b) = (self.take(&a, &[rank, inputs])?, self.take(&b, &[outputs, rank])?);
        let beside = |part: Tensor| part.to_device(linear.device()).map_err(tensor);
        let (a, b) = (beside(a)?, beside(b)?);
        Ok(linear.with_adapter(a, b, scale).map_err(tensor)?.with_adapter_dropout(dropout))
    }

    /// Whether a tensor of this name is (still) there.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The shape of a tensor that is (still) there.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(Tensor::dims)
    }

    /// The names that are (still) there, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Takes out all whose names are chosen, because other tensors come in their place.
    pub(crate) fn remove_all(&mut self, is_chosen: impl Fn(&str) -> bool) {
        self.tensors.retain(|name, _| !is_chosen(name));
    }

    /// Name and tensor of all that is (still) there, in the order of the names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Takes a tensor out.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Shape`]; inside [`Weights::build`] these come at its end, all together.
    /// [`Error::Twice`] if two tensors have this name.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        if self.twice.contains(name) {
            return Err(Error::Twice { names: self.twice.iter().cloned().collect() });
        }
        let tensor = self.tensors.remove(name);
        if let Some(tensor) = &tensor
            && tensor.dims() == shape
        {
            self.report.n_taken += 1;
            self.report.n_parameters += tensor.elem_count();
            let (tensor, was_on_disk) = self.read(name, tensor)?;
            if was_on_disk {
                // Another tensor may come in its place.
                self.deferred.remove(self.origins.get(name).map_or(name, String::as_str));
            }
            // Who reads one tensor after another does not want all of them kept.
            if self.building.is_some() && !was_on_disk {
                self.taken.insert(name.to_owned(), tensor.clone());
            }
            return Ok(tensor);
        }
        let (name, expected) = (name.to_owned(), shape.to_vec());
        let found = tensor.map(|tensor| tensor.dims().to_vec());
        if let Some(misfits) = &mut self.building {
            let (expected, found) = (expected.clone(), found.clone());
            misfits.all.push(Misfit { name: name.clone(), expected, found, nearest: None });
            let n_values = shape.iter().fold(1_usize, |n, &size| n.saturating_mul(size));
            misfits.n_values = misfits.n_values.saturating_add(n_values);
            // Nothing comes of it but the shape: `build` returns an error.
            if misfits.n_values <= misfits.most_values {
                let zero =
                    Tensor::zeros((), DType::F32, &Device::Cpu).and_then(|zero| zero.broadcast_as(shape));
                return zero.map_err(|source| Error::Tensor { name, source });
            }
        }
        let nearest = nearest(&name, self.names(), name.len() / 2).map(str::to_owned);
        Err(match found {
            Some(found) => Error::Shape { name, found, expected },
            None => Error::Missing { name, expected, nearest },
        })
    }

    /// Takes out a matrix that a GGUF file has in blocks, packed for products: `Q8_0` and `Q4_K` bit for bit, other blocks
    /// as [`product_format`](crate::nn::gemm::BlockFormat::product_format) says. `None` for any other tensor, and for one of
    /// another shape; then it is still there for [`take`](Self::take).
    ///
    /// # Errors
    /// As [`Gguf::packed`](super::gguf::Gguf::packed).
    pub fn take_blocks(&mut self, name: &str, shape: [usize; 2]) -> Result<Option<Packed>, Error> {
        if self.twice.contains(name) || self.shape(name) != Some(&shape) {
            return Ok(None);
        }
        let origin = self.origins.get(name).map_or(name, String::as_str);
        let Some(packed) = self.deferred.get(origin).map(Deferred::packed).transpose()?.flatten() else {
            return Ok(None);
        };
        self.tensors.remove(name);
        self.report.n_taken += 1;
        self.report.n_parameters += shape[0] * shape[1];
        Ok(Some(packed))
    }

    /// Builds a model, and says that it is complete: all that it takes is there in its shape, and nothing is left over.
    /// What does not fit is told in one error, with the nearest names.
    ///
    /// # Errors
    /// [`Error::Mismatch`], [`Error::Unused`], [`Error::Twice`]; what `build` returns.
    pub fn build<T, E: From<Error>>(
        &mut self,
        build: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let n_values: usize = self.tensors.values().map(Tensor::elem_count).sum();
        self.building = Some(Misfits { most_values: n_values.max(FEW_VALUES), ..Misfits::default() });
        self.taken.clear();
        let built = build(self);
        let misfits = self.building.take().unwrap_or_default().all;
        match built {
            Err(error) if misfits.is_empty() => Err(error),
            // What is left over says nothing of a model that was given up half-way.
            Err(_) => Err(self.mismatch(misfits, Vec::new()).into()),
            Ok(model) => {
                let unused = self.names().map(str::to_owned).collect();
                match misfits.is_empty() {
                    true => self.check_rest().map(|()| model).map_err(E::from),
                    false => Err(self.mismatch(misfits, unused).into()),
                }
            }
        }
    }

    fn mismatch(&self, mut misfits: Vec<Misfit>, unused: Vec<String>) -> Error {
        misfits.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        for misfit in misfits.iter_mut().filter(|misfit| misfit.found.is_none()).take(Error::LISTED) {
            misfit.nearest = nearest(&misfit.name, self.names(), misfit.name.len() / 2).map(str::to_owned);
        }
        Error::Mismatch { misfits, unused }
    }

    /// The tensors that the model last built has taken, by the names under which it took them.
    pub(crate) fn taken(&mut self) -> BTreeMap<String, Tensor> {
        std::mem::take(&mut self.taken)
    }

    /// Leaves a tensor out, if it is there; `reason` goes into the report. Returns whether it was there.
    pub fn ignore(&mut self, name: &str, reason: &'static str) -> bool {
        let was_there = self.tensors.remove(name).is_some();
        if was_there {
            self.report.ignored.push(Ignored { name: name.to_owned(), reason });
        }
        was_there
    }

    /// Leaves a tensor out that must be equal to another one of the model, if it is there.
    ///
    /// # Errors
    /// [`Error::NotTied`] if it has another shape or any other value.
    pub fn tied(&mut self, name: &str, other: &Tensor, to: &'static str) -> Result<(), Error> {
        let Some(tensor) = self.tensors.get(name) else { return Ok(()) };
        let (tensor, _) = self.read(name, tensor)?;
        let is_equal = || -> candle_core::Result<bool> {
            if tensor.dims() != other.dims() || tensor.dtype() != other.dtype() || tensor.elem_count() == 0 {
                return Ok(tensor.dims() == other.dims() && tensor.dtype() == other.dtype());
            }
            Ok(tensor.eq(other)?.min_all()?.to_scalar::<u8>()? == 1)
        };
        match is_equal() {
            Ok(true) => {
                self.ignore(name, "equal to the tensor that it is tied to");
                Ok(())
            }
            Ok(false) => Err(Error::NotTied { name: name.to_owned(), to }),
            Err(source) => Err(Error::Tensor { name: name.to_owned(), source }),
        }
    }

    /// Gives every tensor the name that `rename` returns; `None` drops it. A name that two tensors would have is an error
    /// when it is taken, and at the end.
    #[must_use]
    pub fn renamed(mut self, rename: impl Fn(&str) -> Option<String>) -> Self {
        if let Some(adapters) = &mut self.adapters {
            let own = std::mem::take(&mut adapters.own);
            adapters.own =
                own.into_iter().filter_map(|(name, scale)| Some((rename(&name)?, scale))).collect();
        }
        let mut origins = std::mem::take(&mut self.origins);
        for (name, tensor) in std::mem::take(&mut self.tensors) {
            let origin = origins.remove(&name).unwrap_or_else(|| name.clone());
            match rename(&name) {
                None => self.report.ignored.push(Ignored { name: origin, reason: "not a name of the model" }),
                Some(new) => {
                    if new != origin {
                        self.origins.insert(new.clone(), origin);
                    }
                    self.insert(new, tensor);
                }
            }
        }
        self
    }

    /// What was loaded, taken, renamed and left out so far.
    pub fn report(&self) -> Report {
        let renamed = |(to, from): (&String, &String)| Renamed { from: from.clone(), to: to.clone() };
        Report { renamed: self.origins.iter().map(renamed).collect(), ..self.report.clone() }
    }

    /// Says that the model is complete.
    ///
    /// # Errors
    /// [`Error::Unused`] if a tensor was not taken, [`Error::Twice`] if two had one name.
    pub fn finish(self) -> Result<(), Error> {
        self.check_rest()
    }

    fn check_rest(&self) -> Result<(), Error> {
        if !self.twice.is_empty() {
            return Err(Error::Twice { names: self.twice.iter().cloned().collect() });
        }
        match self.tensors.is_empty() {
            true => Ok(()),
            false => Err(Error::Unused { names: self.tensors.keys().cloned().collect() }),
        }
    }
}

#[cfg(test)]
mod tests;
