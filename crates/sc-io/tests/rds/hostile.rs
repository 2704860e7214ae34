//! Files that lie. Whatever the bytes, the answer is a value or a typed error, in little memory.

use std::io::Write;

use sc_io::rds::{Damage, Error, File, ReadOptions};

use super::objects::{GENES, assay, assay5, counts, empty, experiment, seurat};
use super::writer::{Format, R, named, rds};
use super::{CELLS, read_bytes};

fn objects() -> Vec<Vec<u8>> {
    let layers: &[(&str, &[usize], &[usize], f64)] =
        &[("counts.a", &[0, 1, 2, 3], &[0, 1], 1.0), ("counts.b", &[0, 1, 2, 3], &[2], 1.0)];
    let five = seurat(vec![("RNA", assay5(layers))], "RNA", &CELLS);
    let three = seurat(vec![("RNA", assay(counts(), counts(), empty(), &GENES))], "RNA", &CELLS);
    let mut files: Vec<Vec<u8>> = [&five, &three, &experiment(true), &R::Others, &R::Function]
        .map(|object| rds(object, Format::Xdr, 3))
        .to_vec();
    files.push(rds(&three, Format::Ascii, 2));
    files
}

/// Reads everything there is to read; errors are as good as values here.
fn try_all(bytes: &[u8]) {
    let Ok(file) = File::from_bytes("hostile.rds", bytes, 256) else { return };
    let _ = file.contents();
    for assay in [None, Some("protein")] {
        for layer in [None, Some("counts.a")] {
            let options = ReadOptions {
                assay: assay.map(str::to_owned),
                layer: layer.map(str::to_owned),
                ..ReadOptions::default()
            };
            let _ = file.anndata(&options);
        }
    }
}

#[test]
fn a_file_cut_short_anywhere_is_a_typed_error() {
    for bytes in objects() {
        for end in 0..bytes.len() {
            let error = File::from_bytes("short.rds", &bytes[..end], 256).unwrap_err();
            assert!(error.help().is_some());
            assert!(
                matches!(error, sc_io::Error::Rds(Error::Stream { .. } | Error::NotR { .. })),
                "{error:?}"
            );
        }
    }
}

#[test]
fn changed_bytes_give_a_value_or_an_error() {
    for bytes in objects() {
        for at in 0..bytes.len() {
            for change in [1u8, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= change;
                try_all(&changed);
            }
        }
    }
}

#[test]
fn changed_bytes_of_compressed_files_give_a_value_or_an_error() {
    let bytes = rds(&counts(), Format::Xdr, 3);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&bytes).unwrap();
    let mut bzip = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    bzip.write_all(&bytes).unwrap();
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(0)).unwrap();
    xz.write_all(&bytes).unwrap();
    for file in [gzip.finish().unwrap(), bzip.finish().unwrap(), xz.finish().unwrap()] {
        for at in 0..file.len() {
            try_all(&file[..at]);
            for bit in 0..8 {
                let mut changed = file.clone();
                changed[at] ^= 1 << bit;
                try_all(&changed);
            }
        }
    }
}

fn damage(bytes: &[u8]) -> Damage {
    match read_bytes(bytes, &ReadOptions::default()) {
        Err(sc_io::Error::Rds(error @ Error::Stream { .. })) => {
            let Error::Stream { source, .. } = error else { unreachable!() };
            source
        }
        other => panic!("{other:?}"),
    }
}

/// A header, and these numbers behind it.
fn stream(numbers: &[i32]) -> Vec<u8> {
    let numbers = [2, 0x0004_0301, 0x0002_0300].iter().chain(numbers);
    [b"X\n".to_vec(), numbers.flat_map(|n| n.to_be_bytes()).collect()].concat()
}

#[test]
fn lengths_that_lie_cost_nothing() {
    // 2^31 - 1 reals are more than the file may mean; 2^22 may be meant, and are not there.
    assert!(matches!(damage(&stream(&[14, i32::MAX])), Damage::TooLarge { .. }));
    assert!(matches!(damage(&stream(&[14, 1 << 22])), Damage::Bytes(_)));
    assert!(matches!(damage(&stream(&[14, -1, 1 << 20, 0])), Damage::Value { .. }));
    assert!(matches!(damage(&stream(&[14, -2])), Damage::Value { .. }));
    assert!(matches!(damage(&stream(&[19, i32::MAX])), Damage::Bytes(_)));
    assert!(matches!(damage(&stream(&[16, 1, 9, i32::MAX])), Damage::TooLarge { .. }));
    assert!(matches!(damage(&stream(&[16, 1, 13, 0])), Damage::Value { .. }));
    assert!(matches!(damage(&stream(&[255 | 7 << 8])), Damage::Value { .. }));
    assert!(matches!(damage(&stream(&[77])), Damage::Type { code: 77 }));
}

#[test]
fn another_version_of_the_format_is_named() {
    let mut bytes = stream(&[254]);
    bytes[5] = 9;
    assert!(matches!(damage(&bytes), Damage::Version { found: 9 }));
}

#[test]
fn a_recipe_for_a_long_vector_is_refused_before_it_is_made() {
    let recipe = R::Altrep("compact_intseq", Box::new(R::Real(vec![1e12, 1.0, 1.0])));
    let damage = damage(&rds(&recipe, Format::Xdr, 3));
    assert!(matches!(damage, Damage::TooLarge { .. }), "{damage:?}");
}

#[test]
fn a_bomb_is_refused_and_an_honest_file_is_allowed_by_an_option() {
    // 100 MB of zeros in 100 kB.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&stream(&[13, 25_000_000])).unwrap();
    for _ in 0..100 {
        gzip.write_all(&[0; 1_000_000]).unwrap();
    }
    let bytes = gzip.finish().unwrap();
    assert!(matches!(damage(&bytes), Damage::TooLarge { file, .. } if file == bytes.len() as u64));
    assert!(File::from_bytes("zeros.rds", &bytes, 1100).is_ok());
}

#[test]
fn objects_in_objects_are_refused_past_a_depth_and_long_lists_are_not_deep() {
    let nested = |n: usize| (0..n).fold(R::Null, |inner, _| R::List(vec![inner]));
    let bytes = rds(&nested(400), Format::Xdr, 3);
    assert!(matches!(damage(&bytes), Damage::TooDeep { limit: 256 }));
    assert!(File::from_bytes("x", &rds(&nested(200), Format::Xdr, 3), 256).is_ok());
    let long = R::Pairs((0..50_000).map(|i| (format!("n{i}"), R::Null)).collect());
    assert!(File::from_bytes("x", &rds(&long, Format::Xdr, 3), 256).is_ok());
}

#[test]
fn an_axis_that_nothing_backs_is_refused() {
    let wide = R::Real(vec![]).with("dim", R::Integer(vec![0, i32::MAX]));
    let error = read_bytes(&rds(&wide, Format::Xdr, 3), &ReadOptions::default()).unwrap_err();
    assert!(matches!(error, sc_io::Error::Element { .. }), "{error:?}");
    let rows = R::List(vec![]).with("class", super::text("data.frame"));
    let rows = rows.with("row.names", R::Integer(vec![i32::MIN, -i32::MAX])).with("names", named(vec![]));
    let _ = read_bytes(&rds(&rows, Format::Xdr, 3), &ReadOptions::default());
}

#[test]
fn a_dictionary_of_4_gib_is_refused_before_it_is_taken() {
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(0)).unwrap();
    xz.write_all(&rds(&counts(), Format::Xdr, 3)).unwrap();
    let mut bytes = xz.finish().unwrap();
    // The header of the block: its size, flags, the filter, one byte of properties, the size of the dictionary.
    assert_eq!((bytes[12], bytes[13] & 3, bytes[14], bytes[15]), (2, 0, 0x21, 1));
    bytes[16] = 40;
    let mut crc = flate2::Crc::new();
    crc.update(&bytes[12..20]);
    bytes[20..24].copy_from_slice(&crc.sum().to_le_bytes());
    let Damage::Bytes(error) = damage(&bytes) else { panic!("another error") };
    assert!(error.to_string().contains("dictionary"), "{error}");
}
