//! Tensors of a file beside tensors of ours.

use std::path::{Path, PathBuf};

use candle_core::safetensors::SliceSafetensors;
use candle_core::{DType, Device, Tensor};
use sc_fm::checkpoint::Weights;
use sc_fm::compute::Compute;
use serde_json::Value;

use crate::support;

/// Most that a value may differ from the reference's.
pub(crate) const TOLERANCE: f32 = 1e-4;

/// Runs `test` on each folder of reference outputs whose name begins with `prefix`: those kept with the tests, and
/// those that are elsewhere on this machine.
pub(crate) fn for_each(prefix: &str, mut test: impl FnMut(&Path)) {
    let mut n = 0;
    for root in [Some(support::kept()), support::fixtures()].into_iter().flatten() {
        let entries = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path());
        let is_one =
            |path: &PathBuf| path.is_dir() && path.file_name().unwrap().to_string_lossy().starts_with(prefix);
        let mut folders: Vec<PathBuf> = entries.filter(is_one).collect();
        folders.sort();
        for folder in folders {
            test(&folder);
            n += 1;
        }
    }
    assert!(n > 0, "no folder of reference outputs begins with {prefix}");
}

/// [`for_each`], once with the kernels of the processor, and once with the operations that a GPU takes.
pub(crate) fn for_each_everywhere(prefix: &str, mut test: impl FnMut(&Path)) {
    for compute in [Compute::Cpu, Compute::Portable] {
        let _scope = compute.enter();
        for_each(prefix, |folder| test(folder));
    }
}

/// Tensors of a file by name, read when asked for.
pub(crate) struct Tensors {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Tensors {
    pub(crate) fn open(path: PathBuf) -> Self {
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path, bytes }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        SliceSafetensors::new(&self.bytes).unwrap().get(name).is_ok()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        let file = SliceSafetensors::new(&self.bytes).unwrap();
        let mut names: Vec<String> = file.tensors().into_iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.into_iter()
    }

    pub(crate) fn get(&self, name: &str) -> Tensor {
        let file = SliceSafetensors::new(&self.bytes).unwrap();
        file.load(name, &Device::Cpu).unwrap_or_else(|error| panic!("{}: {error}", self.path.display()))
    }

    pub(crate) fn floats(&self, name: &str) -> Tensor {
        self.get(name).to_dtype(DType::F32).unwrap()
    }

    pub(crate) fn ids(&self, name: &str) -> Vec<Vec<u32>> {
        self.get(name).to_dtype(DType::U32).unwrap().to_vec2().unwrap()
    }

    pub(crate) fn id_row(&self, name: &str) -> Vec<u32> {
        self.get(name).to_dtype(DType::U32).unwrap().to_vec1().unwrap()
    }

    /// The leading entries of each row along the second axis, one row of cells after another: what is left of a padded
    /// `cells × length × …` without its padding.
    pub(crate) fn packed(&self, name: &str, lengths: &[usize]) -> Tensor {
        packed(&self.floats(name), lengths)
    }
}

pub(crate) fn packed(padded: &Tensor, lengths: &[usize]) -> Tensor {
    assert_eq!(padded.dim(0).unwrap(), lengths.len());
    let cells = lengths.iter().enumerate();
    let cells: Vec<Tensor> =
        cells.map(|(i, &length)| padded.get(i).unwrap().narrow(0, 0, length).unwrap()).collect();
    Tensor::cat(&cells, 0).unwrap()
}

/// All tensors of a file as weights.
pub(crate) fn weights(path: &Path) -> Weights {
    let tensors = candle_core::safetensors::load(path, &Device::Cpu);
    Weights::new(tensors.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

pub(crate) fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Fails, naming `what`, if the shapes differ or a value is further from the reference than `tolerance`.
#[track_caller]
pub(crate) fn close(what: &str, found: &Tensor, expected: &Tensor, tolerance: f32) {
    assert_eq!(found.dims(), expected.dims(), "{what}: shape");
    let flat = |x: &Tensor| x.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (found, wanted) = (flat(found), flat(expected));
    let differences = found.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).enumerate();
    // NaN is greater than any number in this order, so it cannot hide.
    let Some((at, largest)) = differences.max_by(|a, b| a.1.total_cmp(&b.1)) else { return };
    let mut place = vec![];
    expected.dims().iter().rev().fold(at, |rest, &size| {
        place.insert(0, rest % size);
        rest / size
    });
    assert!(
        largest <= tolerance,
        "{what}: differs by {largest:e} at {place:?}: {} instead of {}",
        found[at],
        wanted[at]
    );
}
