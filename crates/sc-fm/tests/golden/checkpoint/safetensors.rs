//! `.safetensors` files, against the library of the format.

use std::path::{Path, PathBuf};

use candle_core::Device;
use safetensors::{Dtype, SafeTensors};
use sc_fm::checkpoint::{Weights, write_safetensors};

use super::bits;
use crate::support;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "safetensors") {
            found.push(path);
        }
    }
}

/// The bits of the numbers that the format's own library finds, whole numbers other than bytes with 64 of them.
fn expected(dtype: Dtype, bytes: &[u8]) -> Vec<u64> {
    let is_signed = matches!(dtype, Dtype::I8 | Dtype::I16 | Dtype::I32);
    let number = |bytes: &[u8]| {
        let fill = if is_signed && bytes[bytes.len() - 1] >= 0x80 { 0xff } else { 0 };
        let mut low = [fill; 8];
        low[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(low)
    };
    bytes.chunks(dtype.bitsize() / 8).map(number).collect()
}

fn compare(root: &Path) -> usize {
    let mut found = Vec::new();
    files(root, &mut found);
    for path in &found {
        let mut weights = Weights::open(path).unwrap();
        let bytes = std::fs::read(path).unwrap();
        for (name, view) in SafeTensors::deserialize(&bytes).unwrap().iter() {
            let tensor = weights.take(name, view.shape()).unwrap();
            assert!(bits(&tensor) == expected(view.dtype(), view.data()), "{}: {name}", path.display());
        }
        weights.finish().unwrap();
    }
    found.len()
}

#[test]
fn every_file_holds_what_the_library_of_the_format_finds_in_it() {
    assert!(compare(&support::kept()) > 0);
    let Some(root) = support::fixtures() else { return };
    assert!(compare(&root) > 0);
}

#[test]
fn a_file_of_transformers_is_written_back_byte_by_byte() {
    let Some(root) = support::fixtures() else { return };
    let path = root.join("geneformer_tiny_v1/mlm/model.safetensors");
    let tensors = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("model.safetensors");
    write_safetensors(&copy, tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)), &[], false)
        .unwrap();
    assert!(std::fs::read(path).unwrap() == std::fs::read(copy).unwrap());
}
