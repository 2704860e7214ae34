//! Matrices read some rows at a time are those read whole, for every form, type and layout of storage.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use ndarray::Array2;
use rayon::prelude::*;
use rust_hdf5::H5File;
use sc_io::h5ad::backed::{Backed, Rows, Storage};
use sc_io::h5ad::{self, ReadOptions, WriteOptions};
use sc_io::{AnnData, Csr, DataFrame, Error, InvalidSparse, Matrix, Problem};

/// Chunks of every size give the rows of the matrix as it is read whole.
fn assert_same(rows: &Rows<'_>, whole: &Matrix, sizes: &[usize], what: &str) {
    let whole = whole.to_csr();
    assert_eq!((rows.n_rows(), rows.n_cols()), (whole.n_rows(), whole.n_cols()), "{what}");
    for &n in sizes {
        let mut next = 0;
        for chunk in rows.chunks(n) {
            let (range, chunk) = chunk.unwrap_or_else(|e| panic!("{what}: {e:?}"));
            assert_eq!(range, next..(next + n).min(whole.n_rows()), "{what}");
            // Bit by bit, so that a NaN equals itself.
            let expected = whole.select_rows(&range.clone().collect::<Vec<_>>());
            assert_eq!(chunk.indptr(), expected.indptr(), "{what}, rows {range:?}");
            assert_eq!(chunk.indices(), expected.indices(), "{what}, rows {range:?}");
            let bits = |m: &Csr| m.values().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert!(bits(&chunk) == bits(&expected), "{what}: values of rows {range:?}");
            next = range.end;
        }
        assert_eq!(next, whole.n_rows(), "{what}");
    }
}

fn assert_file_same(path: &Path, sizes: &[usize]) {
    let name = path.display();
    let whole = h5ad::read(path).unwrap_or_else(|e| panic!("{name}: {e:?}"));
    let file = Backed::open(path).unwrap_or_else(|e| panic!("{name}: {e:?}"));
    let tables = |obs: &DataFrame, var: &DataFrame| format!("{obs:?} {var:?}");
    assert!(tables(file.obs(), file.var()) == tables(whole.obs(), whole.var()), "{name}: the tables");
    match whole.x() {
        Some(x) => assert_same(&file.x().unwrap(), x, sizes, &format!("{name}: X")),
        None => assert!(matches!(file.x(), Err(Error::NoMatrix { slot: "X", .. }))),
    }
    match whole.raw() {
        Some(raw) => {
            assert!(format!("{:?}", file.raw_var()) == format!("{:?}", Some(raw.var())), "{name}: raw.var");
            assert_same(&file.raw_x().unwrap(), raw.x(), sizes, &format!("{name}: raw.X"));
        }
        None => {
            assert!(file.raw_var().is_none());
            let e = file.raw_x().unwrap_err();
            assert!(e.to_string().ends_with("the file has no `raw.X`") && e.help().is_some());
        }
    }
    for (layer, matrix) in whole.layers() {
        assert_same(&file.layer(layer).unwrap(), matrix, sizes, &format!("{name}: layer {layer}"));
    }
}

fn fixture(folder: &Path, name: &str) -> PathBuf {
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let mut bytes = Vec::new();
    let file = std::fs::File::open(&packed).unwrap_or_else(|e| panic!("{}: {e}", packed.display()));
    flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    let path = folder.join(name.trim_end_matches(".gz"));
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn every_type_layout_filter_and_chunk_index_is_read_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["storage_earliest", "storage_latest", "userblock", "nullable"] {
        assert_file_same(&fixture(folder.path(), &format!("{name}.h5ad.gz")), &[1, 3, 7, 1000]);
    }
}

/// `SC_TEST_DATA`, else `../shared/data` beside the repository.
fn data() -> Option<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder =
        std::env::var_os("SC_TEST_DATA").map_or_else(|| repository.join("../shared/data"), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("SC_REQUIRE_DATA").is_none(),
        "SC_REQUIRE_DATA is set, but there is no {folder:?}"
    );
    // Straight to stderr: the test harness swallows what the print macros write.
    let note = b"left out (no real-data folder; set SC_TEST_DATA): a test of reading in parts\n";
    std::io::stderr().write_all(note).unwrap();
    None
}

#[test]
fn real_files_are_read_in_parts_as_they_are_read_whole() {
    let Some(data) = data() else { return };
    let mut seen = 0;
    for folder in ["h5ad", "tissues", "pbmc3k"] {
        let mut paths: Vec<PathBuf> =
            std::fs::read_dir(data.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|e| e == "h5ad")) {
            // Row by row, many rows take long; what the sizes test does not depend on their number.
            let rows = Backed::open(path).unwrap().n_obs();
            assert_file_same(path, if rows > 3000 { &[7, 1000] } else { &[1, 7, 1000] });
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen} files in {}", data.display());
}

fn sparse(n_rows: usize, n_cols: usize) -> Csr {
    let value = |(i, j): (usize, usize)| if (i * 7 + j * 3) % 5 == 0 { (i + j) as f32 + 0.5 } else { 0.0 };
    Csr::from_dense(Array2::from_shape_fn((n_rows, n_cols), value).view())
}

fn adata(x: Matrix) -> AnnData {
    let names = |prefix: &str, n: usize| DataFrame::new((0..n).map(|i| format!("{prefix}{i}")).collect());
    let (obs, var) = (names("c", x.n_rows()), names("g", x.n_cols()));
    AnnData::new(x, obs, var).unwrap()
}

fn written(folder: &Path, x: Matrix, compression: Option<u32>) -> PathBuf {
    let path = folder.join("a.h5ad");
    h5ad::write_with(&adata(x), &path, &WriteOptions { compression, overwrite: true }).unwrap();
    path
}

#[test]
fn every_form_of_matrix_gives_the_same_rows_in_any_order_from_any_thread() {
    let folder = tempfile::tempdir().unwrap();
    let csr = sparse(301, 40);
    let forms = [
        (Matrix::Csr(csr.clone()), Storage::Csr),
        (Matrix::Csc(csr.to_csc()), Storage::Csc),
        (Matrix::Dense(csr.to_dense()), Storage::Dense),
    ];
    for (x, storage) in forms {
        for compression in [None, Some(4)] {
            let file = Backed::open(written(folder.path(), x.clone(), compression)).unwrap();
            let rows = file.x().unwrap();
            assert_eq!(rows.storage(), storage);
            assert_same(&rows, &x, &[1, 7, 1000], "in order");
            (0..301).into_par_iter().rev().for_each(|i| {
                let range = i..(i + 1 + i % 40).min(301);
                let expected = csr.select_rows(&range.clone().collect::<Vec<_>>());
                assert_eq!(rows.rows(range).unwrap(), expected);
            });
            assert_eq!(rows.rows(5..5).unwrap().nnz(), 0);
        }
    }
}

#[test]
fn matrices_without_rows_columns_or_values_are_read() {
    let folder = tempfile::tempdir().unwrap();
    for shape in [(0, 4), (4, 0), (3, 4)] {
        let empty = Csr::from_dense(Array2::zeros(shape).view());
        for x in [Matrix::Csr(empty.clone()), Matrix::Csc(empty.to_csc()), Matrix::Dense(empty.to_dense())] {
            assert_file_same(&written(folder.path(), x, Some(4)), &[1, 1000]);
        }
    }
}

#[test]
fn rows_and_slots_that_are_not_there_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = Backed::open(written(folder.path(), Matrix::Csr(sparse(4, 3)), None)).unwrap();
    let rows = file.x().unwrap();
    let backwards = std::ops::Range { start: 3, end: 2 };
    for range in [0..5, 4..9, 9..9, backwards] {
        assert!(matches!(rows.rows(range), Err(Error::OutOfBounds { bound: 4, .. })));
    }
    assert!(matches!(file.layer("counts"), Err(Error::NoSlot { known, .. }) if known.is_empty()));
    assert!(matches!(Backed::open(folder.path().join("none")), Err(Error::NoSuchPath { .. })));
}

/// A file with these arrays as `X`, 3 cells × 3 genes.
fn made(
    encoding: &str,
    shape: [i64; 2],
    indptr: &[i64],
    indices: &[i64],
    values: &[i64],
) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made.h5ad");
    let file = H5File::create(&path).unwrap();
    let root = file.root_group();
    let encode = |group: &rust_hdf5::H5Group, encoding: &str, version: &str| {
        group.set_attr_string("encoding-type", encoding).unwrap();
        group.set_attr_string("encoding-version", version).unwrap();
    };
    encode(&root, "anndata", "0.1.0");
    for (name, prefix) in [("obs", "c"), ("var", "g")] {
        let table = root.create_group(name).unwrap();
        encode(&table, "dataframe", "0.2.0");
        table.set_attr_string("_index", "_index").unwrap();
        table.set_attr_array_numeric::<f64>("column-order", &[]).unwrap();
        let names: Vec<String> = (0..3).map(|i| format!("{prefix}{i}")).collect();
        table.write_vlen_strings("_index", &names.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    }
    let x = root.create_group("X").unwrap();
    encode(&x, encoding, "0.1.0");
    x.set_attr_array_numeric("shape", &shape).unwrap();
    for (name, array) in [("indptr", indptr), ("indices", indices), ("data", values)] {
        x.new_dataset::<i64>().shape([array.len()]).create(name).unwrap().write_raw(array).unwrap();
    }
    drop((x, root));
    file.close().unwrap();
    (folder, path)
}

/// The element at fault and what is wrong with it, on opening the matrix or on reading all its rows one by one; reading
/// the file whole must refuse it too.
fn refused(
    encoding: &str,
    shape: [i64; 2],
    indptr: &[i64],
    indices: &[i64],
    values: &[i64],
) -> (String, Problem) {
    let (_folder, path) = made(encoding, shape, indptr, indices, values);
    assert!(h5ad::read(&path).is_err());
    let file = Backed::open(&path).unwrap();
    let read: Result<(), Error> =
        file.x().and_then(|rows| rows.chunks(1).try_for_each(|chunk| chunk.map(drop)));
    match read.unwrap_err() {
        Error::Element { element, source, .. } => (element, source),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_matrix_that_contradicts_itself_is_refused_with_the_row_of_the_whole() {
    let v = [1, 2, 3, 4];
    type Case<'a> = ([i64; 2], &'a [i64], &'a [i64], &'a [i64]);
    let cases: [Case<'_>; 10] = [
        ([3, 3], &[0, 1, 2], &[0, 1], &v[..2]),
        ([3, 3], &[1, 1, 2, 2], &[0, 1], &v[..2]),
        ([3, 3], &[0, 2, 1, 2], &[0, 1], &v[..2]),
        ([3, 3], &[0, 1, 2, 3], &[0, 1], &v[..2]),
        ([3, 3], &[0, 1, 2, 2], &[0, 1], &v[..3]),
        ([3, 3], &[0, 1, -1, 2], &[0, 1], &v[..2]),
        ([4, 3], &[0, 1, 2, 2, 2], &[0, 1], &v[..2]),
        ([3, 4], &[0, 1, 2, 2], &[0, 1], &v[..2]),
        ([1 << 31, 3], &[0, 1, 2, 2], &[0, 1], &v[..2]),
        ([3, -3], &[0, 1, 2, 2], &[0, 1], &v[..2]),
    ];
    for (shape, indptr, indices, values) in cases {
        for encoding in ["csr_matrix", "csc_matrix"] {
            let (element, problem) = refused(encoding, shape, indptr, indices, values);
            assert!(element == "X" || element == "X/indptr", "{element}: {problem:?}");
        }
    }
    // The second row (CSR) or column (CSC) names 3, names 1 twice, or names what is no place at all.
    for encoding in ["csr_matrix", "csc_matrix"] {
        let (element, problem) = refused(encoding, [3, 3], &[0, 1, 3, 4], &[0, 1, 3, 2], &v);
        assert_eq!(element, "X/indices");
        let bound = InvalidSparse::IndexBound { major: 1, index: 3, bound: 3 };
        assert!(matches!(problem, Problem::Sparse(e) if e == bound));
        let (element, problem) = refused(encoding, [3, 3], &[0, 1, 3, 4], &[0, 1, 1, 2], &v);
        assert_eq!(element, "X/indices");
        let order = InvalidSparse::IndexOrder { major: 1, before: 1, after: 1 };
        assert!(matches!(problem, Problem::Sparse(e) if e == order));
        let (element, problem) = refused(encoding, [3, 3], &[0, 1, 3, 4], &[0, 1, -2, 2], &v);
        assert_eq!(element, "X/indices");
        assert!(matches!(problem, Problem::Value { at: 2, .. }), "{problem:?}");
        let (element, problem) =
            refused(encoding, [3, 3], &[0, 1, 3, 4], &[0, 1, 2, 2], &[1, 2, 3, 16_777_217]);
        assert_eq!(element, "X/data");
        assert!(matches!(problem, Problem::NotExact { at: 3, .. }), "{problem:?}");
    }
}

#[test]
fn unsorted_columns_are_sorted_as_they_are_when_the_file_is_read_whole() {
    for encoding in ["csr_matrix", "csc_matrix"] {
        let (_folder, path) = made(encoding, [3, 3], &[0, 3, 3, 5], &[2, 0, 1, 1, 0], &[1, 2, 3, 4, 5]);
        assert_file_same(&path, &[1, 2, 1000]);
    }
}

#[test]
fn a_matrix_beyond_the_limit_on_size_is_read_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), Matrix::Dense(Array2::zeros((3000, 3000))), Some(9));
    let whole = h5ad::read(&path).unwrap_err();
    assert!(matches!(whole, Error::Element { source: Problem::Declared { .. }, .. }));
    let file = Backed::open(&path).unwrap();
    let rows = file.x().unwrap();
    assert_eq!(rows.chunks(500).map(|chunk| chunk.unwrap().1.nnz()).sum::<usize>(), 0);
    // One piece may not be beyond it either.
    let piece = rows.rows(0..3000).unwrap_err();
    assert!(
        matches!(piece, Error::Element { source: Problem::Declared { .. }, .. }) && piece.help().is_some()
    );
    let options = ReadOptions { max_expand: 1000 };
    assert_eq!(Backed::open_with(&path, &options).unwrap().x().unwrap().rows(0..3000).unwrap().nnz(), 0);
}

/// A byte changed: an error or some content, never a panic.
#[test]
fn no_single_byte_makes_reading_in_parts_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.h5ad");
    let csr = sparse(12, 9);
    for (x, compression) in [
        (Matrix::Csr(csr.clone()), Some(4)),
        (Matrix::Csc(csr.to_csc()), None),
        (Matrix::Dense(csr.to_dense()), Some(4)),
    ] {
        let bytes = std::fs::read(written(folder.path(), x, compression)).unwrap();
        for at in (0..bytes.len()).step_by(3) {
            let mut damaged = bytes.clone();
            damaged[at] ^= [0xff, 0x01, 0x80][at / 3 % 3];
            std::fs::write(&path, damaged).unwrap();
            let Ok(file) = Backed::open(&path) else { continue };
            if let Ok(rows) = file.x() {
                rows.chunks(5).for_each(drop);
            }
        }
    }
}
