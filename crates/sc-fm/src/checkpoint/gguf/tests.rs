use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;

use super::*;
use crate::nn::gemm::{BlockFormat, Epilogue, View, gemm_vec};

fn numbers(n: usize, seed: u32) -> Vec<f32> {
    (0..n as u32).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect()
}

fn metadata() -> Vec<(&'static str, Value)> {
    vec![
        ("general.architecture", Value::String("qwen2".to_owned())),
        ("qwen2.block_count", Value::U32(2)),
        ("a.f32", Value::F32(0.5)),
        ("a.i64", Value::I64(-5)),
        ("a.bool", Value::Bool(true)),
        ("tokenizer.ggml.tokens", Value::Array(Array::String(vec![String::new(), "γδ".to_owned()]))),
        ("tokenizer.ggml.token_type", Value::Array(Array::I32(vec![1, -3]))),
        ("a.truths", Value::Array(Array::Bool(vec![true, false]))),
    ]
}

const KINDS: [Kind; 5] =
    [Kind::F32, Kind::F16, Kind::BF16, Kind::Blocks(BlockFormat::Q8_0), Kind::Blocks(BlockFormat::Q4_K)];

/// A folder with a file of a tensor of each kind, `5 × 512`, a vector and a number.
fn written() -> (tempfile::TempDir, PathBuf, Vec<f32>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    let values = numbers(5 * 512, 1);
    let mut tensors: Vec<NewTensor<'_>> =
        KINDS.map(|kind| NewTensor::of(kind.name(), &[5, 512], kind, &values).unwrap()).into();
    tensors.push(NewTensor::of("vector", &[3], Kind::F32, &values[..3]).unwrap());
    tensors
        .push(NewTensor::of("cube", &[2, 3, 32], Kind::Blocks(BlockFormat::Q8_0), &values[..192]).unwrap());
    tensors.push(NewTensor::of("number", &[], Kind::F16, &[0.25]).unwrap());
    write(&path, &metadata(), tensors, false).unwrap();
    (folder, path, values)
}

#[test]
fn what_is_written_is_read() {
    let (_folder, path, values) = written();
    let file = Gguf::open(&path).unwrap();
    assert_eq!((file.version(), file.metadata().len(), file.tensors().len()), (3, 8, 8));
    for (key, value) in metadata() {
        assert_eq!(file.get(key), Some(&value), "{key}");
    }
    let number = |key: &str| file.get(key).and_then(Value::as_u64);
    assert_eq!((number("qwen2.block_count"), number("a.i64"), number("a.f32")), (Some(2), None, None));
    assert_eq!(file.get("a.f32").and_then(Value::as_f64), Some(0.5));
    assert_eq!(file.get("a.bool").and_then(Value::as_bool), Some(true));
    assert_eq!(file.get("tokenizer.ggml.tokens").and_then(Value::as_strings).map(<[String]>::len), Some(2));
    assert_eq!(file.get("general.architecture").and_then(Value::as_str), Some("qwen2"));
    assert_eq!(file.tensor("cube").unwrap().shape(), [2, 3, 32]);
    assert_eq!(file.tensor("cube").unwrap().dims(), (6, 32));
    assert_eq!(file.values("vector").unwrap(), values[..3]);
    assert_eq!(file.values("number").unwrap(), [0.25]);
    assert_eq!(file.to_tensor("cube").unwrap().dims(), [2, 3, 32]);
    assert_eq!(file.record().size, std::fs::metadata(&path).unwrap().len());
    for kind in KINDS {
        let tensor = file.tensor(kind.name()).unwrap();
        assert_eq!((tensor.kind(), tensor.shape(), tensor.dims()), (kind, [5, 512].as_slice(), (5, 512)));
        let all = file.values(kind.name()).unwrap();
        let error = all.iter().zip(&values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let bound = match kind {
            Kind::F32 => 0.0,
            Kind::F16 => 3e-4,
            Kind::Blocks(BlockFormat::Q4_K) => 0.1,
            _ => 5e-3,
        };
        assert!(error <= bound, "{kind:?}: {error}");
        let mut some = vec![0.0; 2 * 512];
        file.read_rows(kind.name(), 2..4, &mut some).unwrap();
        assert_eq!(some, all[2 * 512..4 * 512], "{kind:?}");
    }
}

#[test]
fn a_packed_tensor_multiplies_as_one_packed_in_memory() {
    let (_folder, path, values) = written();
    let file = Gguf::open(&path).unwrap();
    let a = numbers(3 * 512, 2);
    let product = |packed: &Packed| gemm_vec(View::new(&a, 3, 512), packed, Epilogue::default());
    for kind in KINDS {
        let precision = file.precision(kind.name()).unwrap();
        for kernel in [Kernel::new(precision), Kernel::new(Precision::F32), Kernel::new(Precision::Q8_0)] {
            let packed = file.packed(kind.name(), kernel).unwrap();
            // Blocks as they are, where the kernel takes them; else packed from what was read.
            let from = match (kind.blocks(), kernel.blocks()) {
                (Some(format), Some(own)) if format == own => values.clone(),
                _ => file.values(kind.name()).unwrap(),
            };
            let expected = product(&Packed::new(View::new(&from, 5, 512), kernel));
            assert_eq!(product(&packed), expected, "{kind:?} {}", kernel.name());
        }
    }
}

#[test]
fn names_and_rows_that_are_not_there_are_told() {
    let (_folder, path, _) = written();
    let file = Gguf::open(&path).unwrap();
    let message = file.values("vectr").unwrap_err().to_string();
    assert!(message.ends_with("no tensor is named \"vectr\"; the nearest name is \"vector\""), "{message}");
    for (rows, n) in [(0..6, 6 * 512), (4..5, 511), (0..usize::MAX, 0)] {
        let error = file.read_rows("F32", rows, &mut vec![0.0; n]).unwrap_err();
        assert!(matches!(error, Error::Count { .. }), "{error}");
    }
}

#[test]
fn nothing_is_written_that_could_not_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    let values = numbers(512, 1);
    let new = |shape: &[usize], kind| {
        NewTensor::new("a", shape, kind, |_, values| {
            values.fill(1.0);
            Ok(())
        })
    };
    let twice = vec![new(&[2], Kind::F32), new(&[2], Kind::F32)];
    assert!(matches!(write(&path, &[], twice, false), Err(Error::Twice { .. })));
    let keys = [("a", Value::U8(1)), ("a", Value::U8(2))];
    assert!(matches!(write(&path, &keys, Vec::new(), false), Err(Error::Twice { .. })));
    for format in BlockFormat::ALL.into_iter().filter(|format| *format != format.product_format()) {
        let some = vec![new(&[256], Kind::Blocks(format))];
        assert!(matches!(write(&path, &[], some, false), Err(Error::NotWritten { .. })), "{format:?}");
    }
    let ragged = vec![new(&[2, 33], Kind::Blocks(BlockFormat::Q8_0))];
    assert!(matches!(write(&path, &[], ragged, false), Err(Error::Packing { .. })));
    let deep = vec![new(&[1, 1, 1, 1, 1], Kind::F32)];
    assert!(matches!(write(&path, &[], deep, false), Err(Error::Count { .. })));
    assert!(matches!(NewTensor::of("a", &[3, 5], Kind::F32, &values), Err(Error::Count { found: 512, .. })));
    let alignment = [("general.alignment", Value::U32(64))];
    assert!(matches!(write(&path, &alignment, Vec::new(), false), Err(Error::Entry { .. })));
    let mut nan = values.clone();
    nan[300] = f32::NAN;
    let tensor = NewTensor::of("n", &[2, 256], Kind::Blocks(BlockFormat::Q4_K), &nan).unwrap();
    let error = write(&path, &[], vec![tensor], false).unwrap_err();
    let Error::Packing { source: gemm::Error::NotHeld { output: 1, input: 44, .. }, .. } = error else {
        panic!("{error}");
    };
    assert!(error.help().is_some());
    assert!(!path.exists());
    write(&path, &[], vec![new(&[2], Kind::F32)], false).unwrap();
    let error = write(&path, &[], Vec::new(), false).unwrap_err();
    assert!(matches!(error, Error::Write(_)), "{error}");
    assert_eq!(Gguf::open(&path).unwrap().values("a").unwrap(), [1.0, 1.0]);
}

/// Opens bytes as a file.
fn open(bytes: &[u8]) -> Result<Gguf, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    std::fs::write(&path, bytes).unwrap();
    Gguf::open(path)
}

/// The beginning of a file that has so many tensors and keys.
fn beginning(version: u32, n_tensors: u64, n_keys: u64) -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(version.to_le_bytes());
    bytes.extend(n_tensors.to_le_bytes());
    bytes.extend(n_keys.to_le_bytes());
    bytes
}

fn text(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text].concat()
}

/// A tensor of a header.
fn entry(name: &str, dims: &[u64], kind: u32, place: u64) -> Vec<u8> {
    let mut bytes = text(name.as_bytes());
    bytes.extend((dims.len() as u32).to_le_bytes());
    bytes.extend(dims.iter().flat_map(|size| size.to_le_bytes()));
    bytes.extend(kind.to_le_bytes());
    bytes.extend(place.to_le_bytes());
    bytes
}

/// A file of these tensors and so many bytes of numbers.
fn file(tensors: &[Vec<u8>], numbers: usize) -> Vec<u8> {
    let mut bytes = beginning(3, tensors.len() as u64, 0);
    bytes.extend(tensors.concat());
    bytes.resize(bytes.len().next_multiple_of(32) + numbers, 0);
    bytes
}

fn refused(bytes: &[u8]) -> String {
    let error = open(bytes).unwrap_err().to_string();
    error.split_once(".gguf: ").map_or(error.clone(), |(_, message)| message.to_owned())
}

#[test]
fn files_of_other_kinds_and_versions_are_named() {
    assert_eq!(refused(b""), "at byte 0 is the end of the file, expected a GGUF file");
    assert_eq!(refused(b"PK\x03\x04 and more"), "at byte 0 is a zip archive, expected a GGUF file");
    assert_eq!(refused(&beginning(1, 0, 0)), "at byte 4 is version 1, expected version 2 or 3");
    assert_eq!(refused(&beginning(9, 0, 0)), "at byte 4 is version 9, expected version 2 or 3");
    let message = refused(&beginning(3u32.swap_bytes(), 0, 0));
    assert_eq!(message, "at byte 4 is a file with the highest byte first, expected the lowest byte first");
    assert_eq!(open(&beginning(2, 0, 0)).unwrap().version(), 2);
}

#[test]
fn lies_about_lengths_take_no_memory() {
    let message = refused(&beginning(3, 0, u64::MAX));
    assert!(message.starts_with("at byte 24 is 8 bytes behind the end"), "{message}");
    assert!(refused(&beginning(3, u64::MAX, 0)).starts_with("at byte 24 is 8 bytes behind the end"));
    for length in [1, 1 << 20, 1 << 62, u64::MAX] {
        let mut bytes = beginning(3, 0, 1);
        bytes.extend(u64::to_le_bytes(length));
        assert!(refused(&bytes).contains(&format!("{length} bytes behind the end of the file")));
        for (kind, size) in [(0u32, 1u64), (10, 8), (12, 8)] {
            let mut bytes = [beginning(3, 0, 1), text(b"key")].concat();
            bytes.extend(ARRAY.to_le_bytes());
            bytes.extend(kind.to_le_bytes());
            bytes.extend(length.to_le_bytes());
            let found = length.saturating_mul(size);
            assert!(refused(&bytes).contains(&format!("{found} bytes behind the end of the file")));
        }
    }
}

use super::metadata::{ARRAY, BOOL, STRING};

#[test]
fn metadata_that_is_none_is_refused() {
    let of = |value: &[u8]| refused(&[&beginning(3, 0, 1), text(b"key").as_slice(), value].concat());
    assert!(of(&13u32.to_le_bytes()).contains("a value of type 13, expected a type of 0 to 12"));
    assert!(of(&[BOOL as u8, 0, 0, 0, 2]).contains("the truth value 2, expected 0 or 1"));
    let odd = [&STRING.to_le_bytes(), text(&[0xff, 0xfe]).as_slice()].concat();
    assert!(of(&odd).contains("bytes that are no text, expected text in UTF-8"));
    let array = |kind: u32| [&ARRAY.to_le_bytes()[..], &kind.to_le_bytes(), &1u64.to_le_bytes()].concat();
    assert!(of(&array(ARRAY)).contains("an array of arrays"));
    assert!(of(&array(99)).contains("an array of type 99"));
    let mut twice = beginning(3, 0, 2);
    for _ in 0..2 {
        twice.extend(text(b"key"));
        twice.extend([0, 0, 0, 0, 7]);
    }
    assert!(refused(&twice).contains("the key \"key\" a second time, expected each key once"));
    for (value, said) in [
        (vec![4, 0, 0, 0, 24, 0, 0, 0], "general.alignment 24"),
        (vec![0, 0, 0, 0, 32], "no number of 32 bits"),
    ] {
        let bytes = [beginning(3, 0, 1), text(b"general.alignment"), value].concat();
        assert!(refused(&bytes).contains(said));
    }
}

#[test]
fn tensors_that_do_not_fit_the_file_are_refused() {
    let one = |dims: &[u64], kind, place, numbers| refused(&file(&[entry("a", dims, kind, place)], numbers));
    assert!(open(&file(&[entry("a", &[4, 2], 0, 0)], 32)).is_ok());
    assert!(
        one(&[4, 2], 0, 0, 31)
            .contains("tensor \"a\" with 32 bytes from 0 on, expected a place inside the file")
    );
    assert!(one(&[4], 0, u64::MAX - 31, 32).contains("expected a place inside the file"));
    assert!(one(&[4], 0, 16, 64).contains("a multiple of the alignment"));
    assert!(one(&[1; 5], 0, 0, 64).contains("5 dimensions, expected 4 or fewer"));
    assert!(one(&[1 << 40, 1 << 40], 0, 0, 64).contains("expected one that fits memory"));
    assert!(one(&[0, u64::MAX, u64::MAX], 0, 0, 64).contains("expected one that fits memory"));
    assert!(one(&[33], 8, 0, 64).contains("expected rows of whole blocks"));
    assert!(one(&[128], 12, 0, 144).contains("expected rows of whole blocks"));
    for (number, name) in
        [(20, "IQ4_NL"), (16, "IQ2_XXS"), (34, "TQ1_0"), (39, "MXFP4"), (26, "I32"), (5, "5"), (77, "77")]
    {
        let error = open(&file(&[entry("a", &[256], number, 0)], 4096)).unwrap_err();
        assert!(matches!(&error, Error::GgufType { found, .. } if found == name), "{error}");
        assert!(error.to_string().contains(&format!("tensor \"a\" is of type {name}, expected")), "{error}");
        assert!(error.help().unwrap().contains("llama-quantize"));
    }
    for format in BlockFormat::ALL {
        let (number, values) = (Kind::Blocks(format).number(), format.values() as u64);
        let one = |dims: &[u64], numbers| open(&file(&[entry("a", dims, number, 0)], numbers));
        assert!(one(&[2 * values, 3], 6 * format.bytes()).is_ok(), "{format:?}");
        for (dims, said) in [
            ([2 * values, 3], "expected a place inside the file"),
            ([values / 2, 2], "expected rows of whole blocks"),
            ([values + 1, 3], "expected rows of whole blocks"),
            ([1 << 40, 1 << 40], "expected one that fits memory"),
        ] {
            let error = one(&dims, 6 * format.bytes() - 1).unwrap_err();
            assert!(error.to_string().contains(said), "{format:?}: {error}");
        }
    }
    let twice = file(&[entry("a", &[4], 0, 0), entry("a", &[4], 0, 32)], 64);
    assert_eq!(refused(&twice), "more than one tensor is named a");
    let overlap = file(&[entry("b", &[16], 0, 32), entry("a", &[16], 0, 0)], 128);
    assert!(refused(&overlap).contains("tensor \"b\" inside tensor \"a\", expected a place of its own"));
}

#[test]
fn a_file_cut_short_anywhere_is_an_error_and_changed_bytes_never_a_panic() {
    let (_folder, path, _) = written();
    let bytes = std::fs::read(&path).unwrap();
    let file = Gguf::open(&path).unwrap();
    let end = |tensor: &TensorInfo| tensor.place.offset + tensor.place.length;
    let end = file.tensors().iter().map(end).max().unwrap() as usize;
    let header = file.tensors().iter().map(|tensor| tensor.place.offset).min().unwrap() as usize;
    for length in (0..header).step_by(3).chain([end - 1]) {
        assert!(open(&bytes[..length]).is_err(), "{length}");
    }
    assert!(open(&bytes[..end]).is_ok());
    let mut changed = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let mut put = |at: usize, byte: u8| {
        changed.seek(SeekFrom::Start(at as u64)).unwrap();
        changed.write_all(&[byte]).unwrap();
    };
    for (at, &own) in bytes[..header].iter().enumerate() {
        for byte in [0, 0x80, 0xff, own ^ 1] {
            put(at, byte);
            let Ok(file) = Gguf::open(&path) else { continue };
            file.tensors().iter().for_each(|tensor| _ = tensor.dims());
        }
        put(at, own);
    }
    // A file that shrinks behind our back.
    let cut = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    cut.set_len(header as u64 + 10).unwrap();
    assert!(matches!(file.values("F32"), Err(Error::Format { .. })));
    assert!(matches!(file.packed("Q8_0", Kernel::new(Precision::Q8_0)), Err(Error::Format { .. })));
}
