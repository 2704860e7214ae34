//! Reference files, and tensors of a file beside ours.

use std::path::PathBuf;

use candle_core::safetensors::SliceSafetensors;
use candle_core::{DType, Device, Tensor};
use serde_json::Value;

use crate::places;

/// The folders of models of these architectures: those kept with the tests, and those elsewhere on this machine.
pub(crate) fn folders(is_wanted: impl Fn(&str) -> bool) -> Vec<Folder> {
    let mut all = Vec::new();
    for root in [places::kept("llm"), places::fixtures("llm")].into_iter().flatten() {
        let entries = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path());
        let mut paths: Vec<PathBuf> = entries.filter(|path| path.join("config.json").is_file()).collect();
        paths.sort();
        all.extend(paths.into_iter().map(Folder::open).filter(|folder| is_wanted(&folder.architecture())));
    }
    assert!(!all.is_empty(), "there are no reference outputs");
    all
}

/// The reference outputs of one model.
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    pub(crate) io: Tensors,
}

impl Folder {
    fn open(path: PathBuf) -> Self {
        Self { io: Tensors::open(path.join("io.safetensors")), path }
    }

    pub(crate) fn name(&self) -> String {
        self.path.file_name().unwrap().to_string_lossy().into_owned()
    }

    pub(crate) fn architecture(&self) -> String {
        self.json("config.json")["model_type"].as_str().unwrap().to_owned()
    }

    /// The configuration in each form that the folder has.
    pub(crate) fn configs(&self) -> Vec<PathBuf> {
        let names = ["config.json", "config_transformers5.json"];
        names.iter().map(|name| self.path.join(name)).filter(|path| path.is_file()).collect()
    }

    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.path.join(name)).unwrap()).unwrap()
    }

    /// The rows of a padded batch without their padding.
    pub(crate) fn texts(&self, ids: &str, mask: &str) -> Vec<Vec<u32>> {
        let (ids, mask) = (self.io.ids(ids), self.io.ids(mask));
        let valid = |(ids, mask): (&Vec<u32>, &Vec<u32>)| {
            ids.iter().zip(mask).filter(|(_, mask)| **mask == 1).map(|(id, _)| *id).collect()
        };
        ids.iter().zip(&mask).map(valid).collect()
    }
}

/// Tensors of a file by name.
pub(crate) struct Tensors {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Tensors {
    pub(crate) fn open(path: PathBuf) -> Self {
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path, bytes }
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let file = SliceSafetensors::new(&self.bytes).unwrap();
        let mut names: Vec<String> = file.tensors().into_iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        SliceSafetensors::new(&self.bytes).unwrap().get(name).is_ok()
    }

    pub(crate) fn floats(&self, name: &str) -> Tensor {
        let file = SliceSafetensors::new(&self.bytes).unwrap();
        let tensor = file.load(name, &Device::Cpu);
        let tensor = tensor.unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
        tensor.to_dtype(DType::F32).unwrap()
    }

    pub(crate) fn ids(&self, name: &str) -> Vec<Vec<u32>> {
        let file = SliceSafetensors::new(&self.bytes).unwrap();
        file.load(name, &Device::Cpu).unwrap().to_dtype(DType::U32).unwrap().to_vec2().unwrap()
    }
}

/// Token numbers in JSON.
pub(crate) fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

pub(crate) fn values(x: &Tensor) -> Vec<f32> {
    x.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Fails, naming `what`, if the shapes differ or a value is further from the reference than `absolute + relative · |it|`.
#[track_caller]
pub(crate) fn close(what: &str, found: &Tensor, expected: &Tensor, absolute: f32, relative: f32) {
    assert_eq!(found.dims(), expected.dims(), "{what}: shape");
    let (found, wanted) = (values(found), values(expected));
    // NaN is greater than any number in this order, so it cannot hide.
    let excess = |(a, b): (&f32, &f32)| (a - b).abs() - relative * b.abs();
    let Some((at, largest)) =
        found.iter().zip(&wanted).map(excess).enumerate().max_by(|a, b| a.1.total_cmp(&b.1))
    else {
        return;
    };
    let mut place = vec![];
    expected.dims().iter().rev().fold(at, |rest, &size| {
        place.insert(0, rest % size);
        rest / size
    });
    assert!(
        largest <= absolute,
        "{what}: differs by {:e} at {place:?}: {} instead of {}",
        (found[at] - wanted[at]).abs(),
        found[at],
        wanted[at]
    );
}

/// Fails, naming `what`, if two results differ in a bit.
#[track_caller]
pub(crate) fn same_bits(what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}: length");
    let differs = |(a, b): (&f32, &f32)| a.to_bits() != b.to_bits();
    if let Some(at) = found.iter().zip(expected).position(differs) {
        panic!("{what}: bits differ at {at}: {} and {}", found[at], expected[at]);
    }
}
