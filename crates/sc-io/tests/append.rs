//! Slots added to files that are there: everything else stays as it was.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use ndarray::{Array2, s};
use sc_io::h5ad;
use sc_io::h5ad::append::{AppendOptions, check_obsm, obs_column, obsm, obsm_rows, obsm_rows_about};
use sc_io::{AnnData, Categorical, Column, Error, Problem, Value};

fn added(n: usize) -> Array2<f32> {
    Array2::from_shape_fn((n, 5), |(i, j)| (i * 5 + j) as f32 * 0.5 - 7.0)
}

fn replace() -> AppendOptions {
    AppendOptions { replace: true }
}

fn once() -> AppendOptions {
    AppendOptions::default()
}

/// Adds to a copy of the file, and reads it; the error, where it is one that cannot be added to.
fn assert_added(path: &Path) -> Result<(), Error> {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.h5ad");
    std::fs::copy(path, &copy).unwrap();
    let before = std::fs::read(&copy).unwrap();
    let text = |adata: &AnnData| format!("{adata:?}");
    let mut expected = h5ad::read(path).unwrap();
    let array = added(expected.n_obs());
    if let Err(e) = obsm(&copy, "X_added", array.view(), &once()) {
        assert!(std::fs::read(&copy).unwrap() == before, "a failure changed the file");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        return Err(e);
    }
    expected.insert_obsm("X_added", array).unwrap();
    assert!(text(&h5ad::read(&copy).unwrap()) == text(&expected), "{}", path.display());
    let labels: Vec<Option<&str>> = (0..expected.n_obs()).map(|i| Some(["a", "b"][i % 2])).collect();
    let columns = [
        ("added labels", Column::Categorical(Categorical::from_labels(&labels))),
        ("added scores", Column::F64((0..expected.n_obs()).map(|i| i as f64 / 3.0).collect())),
    ];
    for (name, column) in columns {
        obs_column(&copy, name, &column, &once()).unwrap_or_else(|e| panic!("{}: {e:?}", path.display()));
        expected.obs_mut().insert(name, column).unwrap();
    }
    assert!(text(&h5ad::read(&copy).unwrap()) == text(&expected), "{}", path.display());
    // Replaced, also by another shape and kind.
    let wider = Array2::from_elem((expected.n_obs(), 9), 2.5);
    assert!(matches!(obsm(&copy, "X_added", wider.view(), &once()), Err(Error::SlotTaken { .. })));
    obsm(&copy, "X_added", wider.view(), &replace()).unwrap_or_else(|e| panic!("{}: {e:?}", path.display()));
    expected.insert_obsm("X_added", wider).unwrap();
    let numbers = Column::I64((0..expected.n_obs() as i64).collect());
    obs_column(&copy, "added labels", &numbers, &replace())
        .unwrap_or_else(|e| panic!("{}: {e:?}", path.display()));
    expected.obs_mut().insert("added labels", numbers).unwrap();
    assert!(text(&h5ad::read(&copy).unwrap()) == text(&expected), "{}", path.display());
    Ok(())
}

fn written(folder: &Path) -> PathBuf {
    let path = folder.join("a.h5ad");
    h5ad::write(&sc_io::datasets::pbmc68k_reduced(), &path).unwrap();
    path
}

#[test]
fn slots_are_added_to_files_that_other_software_wrote() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["storage_earliest", "storage_latest", "nullable", "userblock"] {
        let packed =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(format!("{name}.h5ad.gz"));
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(std::fs::File::open(packed).unwrap()).read_to_end(&mut bytes).unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        assert_added(&path).unwrap_or_else(|e| panic!("{name}: {e:?}"));
    }
    assert_added(&written(folder.path())).unwrap();
}

#[test]
fn slots_are_added_to_real_files() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let data =
        std::env::var_os("SC_TEST_DATA").map_or_else(|| repository.join("../shared/data"), PathBuf::from);
    if !data.is_dir() {
        assert!(
            std::env::var_os("SC_REQUIRE_DATA").is_none(),
            "SC_REQUIRE_DATA is set, but there is no {data:?}"
        );
        let note = b"left out (no real-data folder; set SC_TEST_DATA): a test of adding to files\n";
        std::io::stderr().write_all(note).unwrap();
        return;
    }
    let mut refused = Vec::new();
    for folder in ["h5ad", "tissues", "pbmc3k"] {
        let mut paths: Vec<PathBuf> =
            std::fs::read_dir(data.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|e| e == "h5ad")) {
            if let Err(e) = assert_added(path) {
                refused.push(e);
            }
        }
    }
    // Files of anndata 0.6 and older are refused, and no others.
    let old = |e: &Error| matches!(e, Error::Write { source: Problem::Records, .. }) && e.help().is_some();
    assert!(refused.len() < 5 && refused.iter().all(old), "{refused:#?}");
}

#[test]
fn rows_may_come_piece_by_piece() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    let whole = Array2::from_shape_fn((700, 40_000), |(i, j)| ((i * 31 + j) % 97) as f32);
    let mut next = 0;
    obsm_rows(&path, "X_wide", 40_000, &once(), &mut |rows| {
        assert!(rows.start == next && rows.len() < 700);
        next = rows.end;
        Ok(whole.slice(s![rows.start..rows.end, ..]).to_owned())
    })
    .unwrap();
    assert_eq!(
        h5ad::read_with(&path, &h5ad::ReadOptions { max_expand: 10_000 }).unwrap().obsm()["X_wide"],
        whole
    );
}

#[test]
fn failures_leave_the_file_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    let before = std::fs::read(&path).unwrap();
    let e = obsm(&path, "X_added", added(699).view(), &once()).unwrap_err();
    assert_eq!(e.to_string(), "`obsm[\"X_added\"]` has 699 rows, but n_obs = 700");
    let e = obs_column(&path, "bulk_labels", &Column::I64(vec![0; 700]), &once()).unwrap_err();
    assert!(e.to_string().ends_with("`obs[\"bulk_labels\"]` is there already") && e.help().is_some(), "{e}");
    for name in ["", "a/b", "."] {
        assert!(matches!(obsm(&path, name, added(700).view(), &once()), Err(Error::Write { .. })), "{name}");
    }
    let e = obs_column(&path, "_index", &Column::I64(vec![0; 700]), &replace()).unwrap_err();
    assert!(matches!(e, Error::Write { .. }), "{e:?}");
    let failing = obsm_rows(&path, "X_added", 5, &once(), &mut |_| Err(std::io::Error::other("no more")));
    assert!(matches!(failing, Err(Error::Io { doing: "write", .. })));
    let wrong = obsm_rows(&path, "X_added", 5, &once(), &mut |_| Ok(added(3)));
    assert!(matches!(wrong, Err(Error::Write { .. })));
    assert!(std::fs::read(&path).unwrap() == before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(matches!(
        obsm(folder.path().join("none"), "a", added(1).view(), &once()),
        Err(Error::NoSuchPath { .. })
    ));
}

/// A changed byte: an error and the file as it was, or the slot added; never a panic.
#[test]
fn damaged_files_are_refused_or_added_to() {
    let folder = tempfile::tempdir().unwrap();
    let small =
        sc_io::datasets::pbmc68k_reduced().select_obs(&[0, 1, 2]).unwrap().select_vars(&[0, 1]).unwrap();
    let path = folder.path().join("small.h5ad");
    h5ad::write(&small, &path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for at in (0..bytes.len()).step_by(23) {
        let mut damaged = bytes.clone();
        damaged[at] ^= [0xff, 0x01, 0x80][at % 3];
        std::fs::write(&path, &damaged).unwrap();
        if obsm(&path, "X_added", added(3).view(), &once()).is_err() {
            assert!(std::fs::read(&path).unwrap() == damaged);
        }
    }
}

#[test]
fn an_array_comes_with_what_made_it_and_both_are_replaced_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blood.h5ad");
    let mut expected = sc_io::datasets::pbmc68k_reduced();
    h5ad::write(&expected, &path).unwrap();
    for (array, options) in [(added(700), once()), (added(700).slice(s![.., 1..3]).to_owned(), replace())] {
        let about = Value::Map([("layer".to_owned(), Value::from(array.ncols() as i64))].into());
        check_obsm(&path, "X_added", &options).unwrap();
        let mut rows = |rows: std::ops::Range<usize>| Ok(array.slice(s![rows, ..]).to_owned());
        obsm_rows_about(&path, "X_added", array.ncols(), &about, &options, &mut rows).unwrap();
        expected.insert_obsm("X_added", array).unwrap();
        expected.uns_mut().insert("X_added".to_owned(), about);
        assert_eq!(h5ad::read(&path).unwrap(), expected);
    }
    assert!(matches!(check_obsm(&path, "X_added", &once()), Err(Error::SlotTaken { .. })));
    // The array that fails takes the entry with it.
    let before = std::fs::read(&path).unwrap();
    let mut fails = |_| Err(std::io::Error::other("no more rows"));
    obsm_rows_about(&path, "X_other", 4, &Value::Null, &once(), &mut fails).unwrap_err();
    assert!(std::fs::read(&path).unwrap() == before, "a failure changed the file");
}
