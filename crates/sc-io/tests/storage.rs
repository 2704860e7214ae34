//! Files that other software wrote, with the same matrix stored in every way (`fixtures/PROVENANCE.md`).

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::io::Read;

use ndarray::Array2;
use sc_io::h5ad::{ReadOptions, read_bytes};
use sc_io::{AnnData, Column, Matrix, Value};

fn fixture(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let mut bytes = Vec::new();
    let file = std::fs::File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    bytes
}

fn read(name: &str) -> AnnData {
    read_bytes(name, fixture(name), &ReadOptions::default()).unwrap_or_else(|e| panic!("{name}: {e:?}"))
}

/// The matrix of the fixtures, written down once more.
fn expected() -> Array2<f32> {
    Array2::from_shape_fn((40, 30), |(i, j)| {
        let k = i * 30 + j;
        if (k * 7) % 11 == 0 { (k % 120 + 1) as f32 } else { 0.0 }
    })
}

fn dense(matrix: &Matrix) -> &Array2<f32> {
    match matrix {
        Matrix::Dense(m) => m,
        other => panic!("expected a dense matrix, found {other:?}"),
    }
}

#[test]
fn every_type_layout_and_filter_gives_the_same_numbers() {
    let adata = read("storage_earliest.h5ad.gz");
    assert_eq!(dense(adata.x().unwrap()), expected());
    assert_eq!(adata.layers().len(), 28);
    for (name, layer) in adata.layers().iter().filter(|(name, _)| !name.contains("written")) {
        assert_eq!(dense(layer), expected(), "{name}");
    }
}

#[test]
fn chunks_that_were_never_written_read_as_the_fill_value() {
    let adata = read("storage_earliest.h5ad.gz");
    assert_eq!(dense(&adata.layers()["never written"]), Array2::from_elem((40, 30), -2.0));
    let mut partly = Array2::from_elem((40, 30), 3.5);
    partly.slice_mut(ndarray::s![10..15, ..]).assign(&expected().slice(ndarray::s![10..15, ..]));
    assert_eq!(dense(&adata.layers()["unwritten"]), partly);
}

#[test]
fn every_chunk_index_of_the_later_format_is_read() {
    let adata = read("storage_latest.h5ad.gz");
    assert_eq!(adata.layers().len(), 11);
    for (name, layer) in adata.layers() {
        assert_eq!(dense(layer), expected(), "{name}");
    }
}

#[test]
fn large_groups_and_links_within_the_file_are_followed() {
    let adata = read("storage_latest.h5ad.gz");
    let Some(Value::Map(many)) = adata.uns().get("many") else { panic!("a map") };
    assert_eq!(many.len(), 30);
    assert_eq!(many["number 17"], Value::Int(17));
    assert_eq!(adata.uns()["soft link"], Value::Int(3));
    assert_eq!(adata.uns()["relative link"], Value::Int(4));
    assert_eq!(adata.uns()["many attributes"], Value::String("text".to_owned()));
}

#[test]
fn text_of_fixed_length_and_names_are_read() {
    let adata = read("storage_earliest.h5ad.gz");
    assert_eq!(adata.obs().index()[39], "c39");
    let Some(Column::Strings(kinds)) = adata.obs().get("kind") else { panic!("text") };
    assert_eq!(kinds[..4], ["k0ü", "k1ü", "k2ü", "k0ü"]);
}

#[test]
fn a_block_in_front_of_the_file_is_passed_over() {
    assert_eq!(dense(read("userblock.h5ad.gz").x().unwrap()), expected());
}

#[test]
fn missing_values_are_missing_and_names_may_be_nullable() {
    let adata = read("nullable.h5ad.gz");
    let obs = adata.obs();
    assert_eq!(obs.index(), ["c0", "c1", "c2", "c3", "c4"]);
    let text = [Some("a"), None, Some("b"), Some(""), Some("ü")].map(|t| t.map(str::to_owned)).to_vec();
    assert_eq!(obs.get("text"), Some(&Column::NullableStrings(text)));
    assert_eq!(obs.get("whole"), Some(&Column::NullableI64(vec![Some(1), None, Some(3), Some(4), Some(5)])));
    assert_eq!(
        obs.get("truth"),
        Some(&Column::NullableBool(vec![Some(true), None, Some(false), Some(true), None]))
    );
    let Some(Column::Categorical(ordered)) = obs.get("ordered") else { panic!("categories") };
    assert!(ordered.ordered());
    assert_eq!(
        (ordered.categories(), ordered.codes()),
        (&["lo".to_owned(), "hi".to_owned()][..], &[0, 1, -1, 0, 1][..])
    );
    assert_eq!(obs.labels("numbers").unwrap()[..2], [Some("1.5".to_owned()), Some("2.0".to_owned())]);
    assert_eq!(adata.uns()["nothing"], Value::Null);
    assert_eq!(adata.uns()["real"], Value::Float(1.5));
    assert_eq!(adata.uns()["truth"], Value::Bool(true));
}

/// A file cut short anywhere is an error that says so, since HDF5 declares its length.
#[test]
fn every_truncation_is_noticed() {
    let bytes = fixture("nullable.h5ad.gz");
    for keep in (0..bytes.len()).step_by(97) {
        let cut = bytes[..keep].to_vec();
        let e = read_bytes("cut", cut, &ReadOptions::default()).expect_err("cut short");
        let named = matches!(
            e,
            sc_io::Error::Truncated { .. } | sc_io::Error::NotHdf5 { .. } | sc_io::Error::Element { .. }
        );
        assert!(named, "{keep}: {e:?}");
    }
}

/// Flips every byte in turn: an error or some content, never a panic, and never more memory than the limits allow.
#[test]
fn no_single_byte_makes_the_reader_panic() {
    for name in ["nullable.h5ad.gz", "userblock.h5ad.gz"] {
        let bytes = fixture(name);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= [0xff, 0x01, 0x80][at % 3];
            if let Err(e) = read_bytes("damaged", damaged, &ReadOptions::default()) {
                assert!(!e.to_string().is_empty());
            }
        }
    }
}
