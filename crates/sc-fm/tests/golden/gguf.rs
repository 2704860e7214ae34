//! A GGUF file as the reference library writes it, and the values that it reads in it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use sc_fm::checkpoint::Weights;
use sc_fm::checkpoint::gguf::{Array, Gguf, Value};
use sc_fm::nn::gemm::{BlockFormat, Kernel, Precision};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gguf")
}

fn expected(name: &str) -> Vec<f32> {
    let mut weights = Weights::open(folder().join("values.safetensors")).unwrap();
    let shape = weights.shape(name).unwrap_or_else(|| panic!("no tensor {name}")).to_vec();
    weights.take(name, &shape).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn metadata_of_every_type_is_read() {
    let file = Gguf::open(folder().join("blocks.gguf")).unwrap();
    let strings = |texts: &[&str]| Array::String(texts.iter().map(|text| (*text).to_owned()).collect());
    let expected = [
        ("general.architecture", Value::String("qwen2".to_owned())),
        ("t.u8", Value::U8(200)),
        ("t.i8", Value::I8(-100)),
        ("t.u16", Value::U16(60_000)),
        ("t.i16", Value::I16(-30_000)),
        ("t.u32", Value::U32(4_000_000_000)),
        ("t.i32", Value::I32(-2_000_000_000)),
        ("t.f32", Value::F32(1e-6)),
        ("t.bool", Value::Bool(true)),
        ("t.string", Value::String("γδ T cell".to_owned())),
        ("t.u64", Value::U64(1 << 63)),
        ("t.i64", Value::I64(-(1 << 62))),
        ("t.f64", Value::F64(0.1)),
        ("t.texts", Value::Array(strings(&["", "a", "Ġb"]))),
        ("t.numbers", Value::Array(Array::I32(vec![1, -2, 3]))),
        ("t.floats", Value::Array(Array::F32(vec![0.5, -1.5]))),
        ("t.truths", Value::Array(Array::Bool(vec![true, false]))),
    ];
    assert_eq!(file.metadata().len(), expected.len());
    for (key, value) in expected {
        assert_eq!(file.get(key), Some(&value), "{key}");
    }
}

#[test]
fn every_type_is_read_to_the_last_bit() {
    let file = Gguf::open(folder().join("blocks.gguf")).unwrap();
    assert!(!file.tensors().is_empty());
    for tensor in file.tensors() {
        let (name, found) = (tensor.name(), file.values(tensor.name()).unwrap());
        let differs = found.iter().zip(&expected(name)).position(|(a, b)| a.to_bits() != b.to_bits());
        assert!(differs.is_none(), "{name}: value {differs:?}");
        assert_eq!(found.len(), expected(name).len(), "{name}");
        // What is packed is the same again, where the kernel takes it as it is.
        let kernel = Kernel::new(file.precision(name).unwrap());
        let packed = file.packed(name, kernel).unwrap();
        let (rows, columns) = tensor.dims();
        let mut values = vec![0.0; rows * columns];
        packed.unpack(0..rows, &mut values);
        let Some(format) = tensor.kind().blocks() else { continue };
        if is_kept(format) {
            assert!(same_bits(&values, &found), "{name}");
            continue;
        }
        // Rounded to eight bits for each 32.
        for (at, (exact, rounded)) in found.chunks(32).zip(values.chunks(32)).enumerate() {
            let largest = exact.iter().fold(0f32, |largest, value| largest.max(value.abs()));
            let apart = exact.iter().zip(rounded).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            // Scales below the normal numbers of 16 bits have steps of their own.
            assert!(apart <= largest / 220.0 + 128.0 * 3e-8, "{name}, block {at}: {apart} of {largest}");
        }
    }
    let kinds = file.tensors().iter().filter_map(|tensor| tensor.kind().blocks());
    assert_eq!(kinds.collect::<HashSet<_>>().len(), BlockFormat::ALL.len());
}

fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

/// Whether products are computed with the very values of such blocks.
fn is_kept(format: BlockFormat) -> bool {
    use BlockFormat::{Q4_0, Q5_0};
    format == format.product_format() || matches!(format, Q4_0 | Q5_0)
}

#[test]
fn eight_bits_are_quantised_to_the_bytes_of_the_reference() {
    let file = Gguf::open(folder().join("blocks.gguf")).unwrap();
    let mut blocks = Vec::new();
    assert!(BlockFormat::Q8_0.quantize(&expected("q8_0.from"), &mut blocks));
    let found = file.bytes("q8_0").unwrap();
    assert_eq!(blocks.len(), found.len());
    let differs = blocks.iter().zip(&found).position(|(a, b)| a != b);
    assert!(differs.is_none(), "block {:?}", differs.map(|at| at / 34));
    assert_eq!(file.precision("q8_0").unwrap(), Precision::Q8_0);
}
