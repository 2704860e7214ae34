//! Files made to harm: each is an error that names the element, quickly and in little memory.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::Path;
use std::time::{Duration, Instant};

use ndarray::Array2;
use rust_hdf5::{DatatypeMessage, H5File, H5Group};
use sc_io::h5ad::{self, ReadOptions, WriteOptions, read_bytes};
use sc_io::{AnnData, Categorical, Column, Csr, DataFrame, Error, Matrix, Problem, Value};

/// A small file, stored plainly, so that its parts are found in its bytes.
fn good() -> Vec<u8> {
    let x = Array2::from_shape_fn(
        (20, 10),
        |(i, j)| if (i + 3 * j) % 7 == 0 { (i + j) as f32 + 0.5 } else { 0.0 },
    );
    let mut obs = DataFrame::new((0..20).map(|i| format!("cell{i:02}")).collect());
    let labels: Vec<Option<&str>> = (0..20).map(|i| Some(["alpha", "beta_", "gamma"][i * i % 3])).collect();
    obs.insert("cell_type", Column::Categorical(Categorical::from_labels(&labels))).unwrap();
    let var = DataFrame::new((0..10).map(|j| format!("gene{j}")).collect());
    let mut adata = AnnData::new(Matrix::Csr(Csr::from_dense(x.view())), obs, var).unwrap();
    adata.uns_mut().insert("note".into(), Value::from("nothing"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("good.h5ad");
    h5ad::write_with(&adata, &path, &WriteOptions { compression: None, overwrite: false }).unwrap();
    std::fs::read(path).unwrap()
}

fn read(bytes: Vec<u8>) -> Result<AnnData, Error> {
    let start = Instant::now();
    let result = read_bytes("hostile.h5ad", bytes, &ReadOptions::default());
    assert!(start.elapsed() < Duration::from_secs(2), "took {:?}", start.elapsed());
    result
}

/// The element and the problem of a file in which one stretch of bytes, found once, was replaced.
fn damaged(find: &[u8], replace: &[u8]) -> (String, Problem) {
    let mut bytes = good();
    let at: Vec<usize> = (0..=bytes.len() - find.len()).filter(|&i| bytes[i..].starts_with(find)).collect();
    assert_eq!(at.len(), 1, "{find:?} is found at {at:?}");
    bytes[at[0]..at[0] + replace.len()].copy_from_slice(replace);
    element(read(bytes))
}

/// The element at fault and its problem; every problem that has advice gives it.
fn element(result: Result<AnnData, Error>) -> (String, Problem) {
    let e = result.unwrap_err();
    let help = e.help();
    let Error::Element { element, source, .. } = e else {
        panic!("expected an error of one element, found {e:?}")
    };
    if matches!(
        source,
        Problem::Sparse(_)
            | Problem::NotExact { .. }
            | Problem::Declared { .. }
            | Problem::OtherFile { .. }
            | Problem::Encoding { .. }
            | Problem::Outside { .. }
    ) {
        assert!(help.is_some(), "{source:?}");
    }
    (element, source)
}

fn le<T: Copy, const N: usize>(values: &[T], bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|&v| bytes(v)).collect()
}

/// `indptr`, `indices` of the good file, as stored.
fn sparse() -> (Vec<i32>, Vec<i32>) {
    let adata = read(good()).unwrap();
    let Some(Matrix::Csr(x)) = adata.x() else { panic!("sparse by row") };
    (x.indptr().iter().map(|&i| i as i32).collect(), x.indices().iter().map(|&j| j as i32).collect())
}

#[test]
fn a_lying_indptr_is_refused() {
    let (indptr, _) = sparse();
    let stored = le(&indptr, i32::to_le_bytes);
    let cases: [(usize, i32); 4] = [(0, -7), (0, 1), (10, 1_000_000), (20, 2_000_000)];
    for (at, value) in cases {
        let mut lying = indptr.clone();
        lying[at] = value;
        let (element, problem) = damaged(&stored, &le(&lying, i32::to_le_bytes));
        assert_eq!(element, "X/indptr", "{problem:?}");
    }
}

#[test]
fn an_index_that_is_negative_too_large_or_repeated_is_refused() {
    let (_, indices) = sparse();
    let stored = le(&indices, i32::to_le_bytes);
    for value in [-5, 10, i32::MAX, indices[0]] {
        let mut lying = indices.clone();
        lying[1] = value;
        let (element, _) = damaged(&stored, &le(&lying, i32::to_le_bytes));
        assert_eq!(element, "X/indices");
    }
}

#[test]
fn a_shape_that_is_not_that_of_the_arrays_is_refused_before_anything_is_allocated() {
    let stored = le(&[20i64, 10], i64::to_le_bytes);
    for shape in [[1_000_000_000_000, 10], [-20, 10], [20, 5], [i64::MAX, i64::MAX], [19, 10]] {
        let (element, problem) = damaged(&stored, &le(&shape, i64::to_le_bytes));
        assert!(element.starts_with('X'), "{element}: {problem:?}");
    }
}

#[test]
fn codes_and_categories_that_do_not_fit_are_refused() {
    // The squares modulo 3 are 0 and 1, so that gamma never occurs.
    let codes: Vec<u8> = (0..20u32).map(|i| (i * i % 3) as u8).collect();
    let (element, _) = damaged(&codes, &[77]);
    assert_eq!(element, "obs/cell_type/codes");
    let (element, problem) = damaged(b"alpha", b"beta_");
    assert_eq!(element, "obs/cell_type/categories");
    assert!(matches!(problem, Problem::Invalid(e) if matches!(*e, Error::DuplicateCategory { .. })));
}

#[test]
fn an_unknown_encoding_is_named() {
    let (element, problem) = damaged(b"csr_matrix", b"qua_matrix");
    assert_eq!(element, "X");
    assert!(matches!(problem, Problem::Encoding { encoding, .. } if encoding == "qua_matrix"));
    let e = Error::Element {
        path: "a".into(),
        element,
        source: Problem::Encoding {
            encoding: "csr_matrix".into(),
            version: "9.9.9".into(),
            expected: "0.1.0",
        },
    };
    assert!(e.help().is_some_and(|help| help.contains("newer anndata")));
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    let (element, problem) = damaged(b"cell07", b"\xff\xfell07");
    assert_eq!(element, "obs/_index");
    assert!(matches!(problem, Problem::Text { at: 7 }));
}

#[test]
fn a_column_that_is_listed_but_not_there_is_named() {
    let (element, problem) = element(made(|file| {
        let raw = file.create_group("raw").unwrap();
        let var = raw.create_group("var").unwrap();
        encode(&var, "dataframe", "0.2.0");
        var.set_attr_string("_index", "_index").unwrap();
        var.set_attr_string_array("column-order", &["ghost"]).unwrap();
        var.write_vlen_strings("_index", &["g"]).unwrap();
        raw.new_dataset::<f32>().shape([3, 1]).create("X").unwrap();
    }));
    assert_eq!(element, "raw/var/ghost");
    assert!(matches!(problem, Problem::Missing { present } if present == ["_index"]));
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let bytes = good();
    for keep in (0..bytes.len()).step_by(61) {
        let e = read(bytes[..keep].to_vec()).unwrap_err();
        assert!(
            matches!(e, Error::Truncated { .. } | Error::NotHdf5 { .. } | Error::Element { .. }),
            "{e:?}"
        );
    }
    let help = read(bytes[..bytes.len() - 1].to_vec()).unwrap_err().help();
    assert!(help.is_some_and(|help| help.contains("cut short")));
}

/// The file says that it is shorter, so that only the addresses in it are wrong.
#[test]
fn an_address_behind_the_end_is_refused() {
    let bytes = good();
    assert_eq!(bytes[8], 2, "superblock version 2: the end of the file at byte 28, a checksum at byte 44");
    let mut outside = 0;
    for keep in (bytes.len() / 4..bytes.len()).step_by(997) {
        let mut cut = bytes[..keep].to_vec();
        cut[28..36].copy_from_slice(&(keep as u64).to_le_bytes());
        let checksum = rust_hdf5::format::checksum::checksum_metadata(&cut[..44]);
        cut[44..48].copy_from_slice(&checksum.to_le_bytes());
        // What is cut off at the very end may be padding.
        let result = read(cut);
        if result.is_err()
            && let (_, Problem::Outside { end, .. }) = element(result)
        {
            assert_eq!(end, keep as u64);
            outside += 1;
        }
    }
    assert!(outside > 0);
}

/// A file that an attacker makes with a library: a good frame, and whatever `make` adds.
fn made(make: impl FnOnce(&H5File)) -> Result<AnnData, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made.h5ad");
    let file = H5File::create(&path).unwrap();
    let root = file.root_group();
    encode(&root, "anndata", "0.1.0");
    for (name, prefix) in [("obs", "c"), ("var", "g")] {
        let table = root.create_group(name).unwrap();
        encode(&table, "dataframe", "0.2.0");
        table.set_attr_string("_index", "_index").unwrap();
        table.set_attr_array_numeric::<f64>("column-order", &[]).unwrap();
        let names: Vec<String> = (0..3).map(|i| format!("{prefix}{i}")).collect();
        table.write_vlen_strings("_index", &names.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    }
    make(&file);
    file.close().unwrap();
    timed(&path)
}

fn timed(path: &Path) -> Result<AnnData, Error> {
    let start = Instant::now();
    let result = h5ad::read(path);
    assert!(start.elapsed() < Duration::from_secs(2), "took {:?}", start.elapsed());
    result
}

fn encode(group: &H5Group, encoding: &str, version: &str) {
    group.set_attr_string("encoding-type", encoding).unwrap();
    group.set_attr_string("encoding-version", version).unwrap();
}

#[test]
fn what_lies_in_another_file_is_never_read() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, [7u8; 36]).unwrap();
    let secret = secret.to_str().unwrap().to_owned();

    let storage = made(|file| {
        file.new_dataset::<f32>().shape([3, 3]).external(&[(&secret, 0, 36)]).create("X").unwrap();
    });
    let (at, problem) = element(storage);
    assert_eq!(at, "X");
    let named = |target: &str| target == secret;
    assert!(
        matches!(&problem, Problem::OtherFile { what: "external storage", target } if named(target)),
        "{problem:?}"
    );

    let link = made(|file| file.create_external_link("X", &secret, "/X").unwrap());
    let (at, problem) = element(link);
    assert_eq!(at, "X");
    assert!(matches!(problem, Problem::OtherFile { what: "an external link", .. }), "{problem:?}");

    let virtual_dataset = made(|file| {
        let all = || rust_hdf5::Selection::All;
        file.new_dataset::<f32>()
            .shape([3, 3])
            .virtual_mapping(all(), &secret, "X", all())
            .create("X")
            .unwrap();
    });
    let (at, problem) = element(virtual_dataset);
    assert_eq!(at, "X");
    assert!(matches!(problem, Problem::OtherFile { what: "a virtual dataset", .. }), "{problem:?}");
}

#[test]
fn values_that_were_never_stored_are_not_allocated() {
    // 4 TB of which no byte is in the file.
    let (at, problem) = element(made(|file| {
        let shape = [1_000_000, 1_000_000];
        file.new_dataset::<f32>().shape(shape).chunk(&[1000, 1000]).create("X").unwrap();
    }));
    assert_eq!(at, "X");
    assert!(matches!(problem, Problem::Declared { declared: 4_000_000_000_000.., .. }), "{problem:?}");
}

#[test]
fn a_bomb_of_zeros_is_not_inflated() {
    let (at, problem) = element(made(|file| {
        let d = file
            .new_dataset::<u8>()
            .shape([200_000_000])
            .chunk(&[1_000_000])
            .deflate(9)
            .create("bomb")
            .unwrap();
        let zeros = vec![0u8; 1_000_000];
        for i in 0..200 {
            d.write_chunk(i, &zeros).unwrap();
        }
        let uns = file.create_group("uns").unwrap();
        uns.link("bomb", "/bomb").unwrap();
    }));
    assert_eq!(at, "uns/bomb");
    assert!(matches!(problem, Problem::Declared { .. }), "{problem:?}");
}

#[test]
fn the_limit_on_size_can_be_raised() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zeros.h5ad");
    let x = Matrix::Dense(Array2::zeros((3000, 3000)));
    let names = |n: usize| DataFrame::new((0..n).map(|i| i.to_string()).collect());
    h5ad::write(&AnnData::new(x, names(3000), names(3000)).unwrap(), &path).unwrap();
    let e = h5ad::read(&path).unwrap_err();
    assert!(matches!(&e, Error::Element { source: Problem::Declared { factor: 64, .. }, .. }), "{e:?}");
    assert!(e.help().is_some());
    assert_eq!(h5ad::read_with(&path, &ReadOptions { max_expand: 1000 }).unwrap().n_obs(), 3000);
}

#[test]
fn a_group_inside_itself_ends() {
    let (at, problem) = element(made(|file| {
        let uns = file.create_group("uns").unwrap();
        uns.link("loop", "/uns").unwrap();
    }));
    assert_eq!(at, "uns/loop");
    assert!(matches!(problem, Problem::TooDeep { limit: 64 }), "{problem:?}");
}

#[test]
fn links_that_lead_to_each_other_end() {
    let (at, _) = element(made(|file| {
        file.create_soft_link("X", "/Y").unwrap();
        file.create_soft_link("Y", "/X").unwrap();
    }));
    assert_eq!(at, "X");
}

#[test]
fn nesting_ends() {
    let (at, problem) = element(made(|file| {
        let mut group = file.create_group("uns").unwrap();
        for _ in 0..200 {
            group = group.create_group("d").unwrap();
        }
    }));
    assert!(at.starts_with("uns/d/d/"));
    assert!(matches!(problem, Problem::TooDeep { limit: 64 }), "{problem:?}");
}

#[test]
fn groups_that_share_their_members_are_not_walked_for_ever() {
    // Each level names the next one four times: 4^30 paths to the innermost group.
    let result = made(|file| {
        let store = file.create_group("store").unwrap();
        for level in 0..30 {
            store.create_group(&format!("level{level}")).unwrap();
        }
        for level in 0..29 {
            let group = file.root_group().group(&format!("store/level{level}"));
            let group = group.unwrap();
            for name in ["a", "b", "c", "d"] {
                group.link(name, &format!("/store/level{}", level + 1)).unwrap();
            }
        }
        let uns = file.create_group("uns").unwrap();
        uns.link("start", "/store/level0").unwrap();
    });
    let (_, problem) = element(result);
    // Whichever comes first: the number of objects, or the bytes that they are read from.
    assert!(matches!(problem, Problem::TooMany { .. } | Problem::Malformed(_)), "{problem:?}");
}

#[test]
fn counts_that_single_precision_would_change_are_refused() {
    let (at, problem) = element(made(|file| {
        let d = file.new_dataset::<i64>().shape([3, 3]).create("X").unwrap();
        d.write_raw(&[1i64, 2, 3, 4, 16_777_217, 6, 7, 8, 9]).unwrap();
    }));
    assert_eq!(at, "X");
    assert!(matches!(&problem, Problem::NotExact { at: 4, value } if value == "16777217"), "{problem:?}");
    let e = Error::Element { path: "a".into(), element: at, source: problem };
    assert!(e.help().is_some());
}

#[test]
fn compressors_that_are_unknown_or_stacked_are_refused() {
    let filtered = |ids: &[u16]| {
        let filters = ids.iter().map(|&id| rust_hdf5::Filter { id, flags: 0, cd_values: vec![4] }).collect();
        let pipeline = rust_hdf5::FilterPipeline { filters };
        let (at, problem) = element(made(|file| {
            let d = file.new_dataset::<f32>().shape([3, 3]).chunk(&[3, 3]).filter_pipeline(pipeline);
            d.create("X").unwrap().write_chunk_raw(0, &[0; 8], 0).unwrap();
        }));
        assert_eq!(at, "X");
        problem.to_string()
    };
    assert!(filtered(&[32008]).contains("filter 32008"));
    assert!(filtered(&[1, 1]).contains("two compressors"));
}

#[test]
fn an_array_of_text_is_no_matrix() {
    let (at, problem) = element(made(|file| {
        let text = DatatypeMessage::FixedString { size: 4, padding: 1, charset: 1 };
        let d = file.new_dataset::<u8>().datatype(text).shape([3, 3]).create("X").unwrap();
        d.write_raw_bytes(&[b'x'; 36]).unwrap();
    }));
    assert_eq!(at, "X");
    assert!(matches!(problem, Problem::Kind { .. }), "{problem:?}");
}

#[cfg(unix)]
#[test]
fn a_device_is_not_read() {
    assert!(matches!(h5ad::read("/dev/zero"), Err(Error::Io { .. })));
    assert!(matches!(sc_io::open("/dev/zero"), Err(Error::Io { .. })));
}
