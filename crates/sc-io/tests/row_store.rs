//! Rows on disk, whatever interrupts their writing.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sc_io::row_store::{Error, RowStore, Shape};

const SHAPE: Shape = Shape { n_rows: 1000, n_cols: 7, block_rows: 16 };
const KEY: &str = "0123abc";

/// The values of a block, which depend on nothing else.
fn values(block: usize, n: usize) -> Vec<f32> {
    (0..n).map(|i| (block * 1000 + i) as f32 * 0.25 - 3.0).collect()
}

fn fill(store: &mut RowStore, blocks: &[usize]) {
    for &block in blocks {
        let n = store.rows_of(block).len() * store.shape().n_cols;
        store.put(block, &values(block, n)).unwrap();
    }
}

fn store(path: &Path) -> RowStore {
    RowStore::open(path, SHAPE, KEY).unwrap()
}

/// The bytes of a store that was written without interruption.
fn expected() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let mut store = store(&path);
    let missing = store.missing();
    fill(&mut store, &missing);
    std::fs::read(path).unwrap()
}

fn journal(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}.journal", path.display()))
}

#[test]
fn blocks_come_in_any_order_and_over_several_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    fill(&mut store(&path), &[62, 3, 17]);
    let mut again = store(&path);
    assert!(matches!(again.read(), Err(Error::Incomplete { missing: 60, blocks: 63, .. })));
    assert_eq!(again.read_rows(48..60).unwrap()[[0, 0]], values(3, 1)[0]);
    assert!(again.read_rows(47..60).unwrap_err().help().is_some());
    let mut missing = again.missing();
    assert_eq!(missing.len(), 60);
    missing.reverse();
    fill(&mut again, &missing);
    drop(again);
    let mut complete = store(&path);
    assert!(complete.missing().is_empty());
    let all = complete.read().unwrap();
    assert_eq!((all.dim(), all[[999, 6]]), ((1000, 7), values(62, 56)[55]));
    assert!(std::fs::read(&path).unwrap() == expected());
}

#[test]
fn the_file_is_an_array_of_numpy() {
    let bytes = expected();
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let n = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let head = std::str::from_utf8(&bytes[10..10 + n]).unwrap();
    assert!(
        head.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (1000, 7), }")
            && head.ends_with('\n')
    );
    assert_eq!(((10 + n) % 64, bytes.len()), (0, 10 + n + 4 * 7000));
}

#[test]
fn another_key_or_shape_is_refused_with_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    fill(&mut store(&path), &[5]);
    let before = std::fs::read(&path).unwrap();
    let cases = [
        (SHAPE, "other", "key is 0123abc, expected other"),
        (Shape { n_rows: 999, ..SHAPE }, KEY, "n_rows is 1000, expected 999"),
        (Shape { n_cols: 8, ..SHAPE }, KEY, "n_cols is 7, expected 8"),
        (Shape { block_rows: 8, ..SHAPE }, KEY, "block_rows is 16, expected 8"),
    ];
    for (shape, key, words) in cases {
        let e = RowStore::open(&path, shape, key).unwrap_err();
        assert!(e.to_string().ends_with(words) && e.help().is_some(), "{e}");
    }
    assert!(std::fs::read(&path).unwrap() == before);
    assert_eq!(store(&path).missing().len(), 62);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    for (shape, key) in [
        (SHAPE, ""),
        (SHAPE, "a\"b"),
        (SHAPE, "a\nb"),
        (Shape { block_rows: 0, ..SHAPE }, KEY),
        (Shape { n_rows: usize::MAX, ..SHAPE }, KEY),
    ] {
        assert!(matches!(RowStore::open(&path, shape, key), Err(Error::BadInput { .. })));
    }
    let mut store = store(&path);
    for (block, n) in [(0, 111), (0, 113), (62, 112), (63, 0), (usize::MAX, 0)] {
        assert!(matches!(store.put(block, &vec![0.0; n]), Err(Error::BadInput { .. })), "{block} {n}");
    }
    assert!(matches!(store.read_rows(990..1001), Err(Error::BadInput { .. })));
}

#[test]
fn a_file_that_no_store_made_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    std::fs::write(&path, "somebody's").unwrap();
    let e = RowStore::open(&path, SHAPE, KEY).unwrap_err();
    assert!(matches!(&e, Error::Foreign { .. }) && e.help().is_some());
    // Nor with a journal of ours beside it.
    std::fs::remove_file(&path).unwrap();
    fill(&mut store(&path), &[5]);
    std::fs::write(&path, vec![7; 28_128]).unwrap();
    assert!(matches!(RowStore::open(&path, SHAPE, KEY), Err(Error::Foreign { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), vec![7; 28_128]);
}

#[test]
fn a_store_is_open_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let first = store(&path);
    let e = RowStore::open(&path, SHAPE, KEY).unwrap_err();
    assert!(matches!(&e, Error::Busy { .. }) && e.help().is_some());
    drop(first);
    store(&path);
}

#[test]
fn torn_lines_and_damaged_blocks_are_as_if_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    fill(&mut store(&path), &[0, 1, 2, 3]);
    let (good, lines) = (std::fs::read(&path).unwrap(), std::fs::read(journal(&path)).unwrap());
    let head = lines.iter().position(|&b| b == b'\n').unwrap() + 1;
    // The journal cut anywhere behind its first line.
    for keep in head..lines.len() {
        std::fs::write(journal(&path), &lines[..keep]).unwrap();
        let done = lines[head..keep].iter().filter(|&&b| b == b'\n').count();
        assert_eq!(store(&path).missing()[0], done, "{keep}");
    }
    // Cut in its first line there is nothing yet that the matrix could be of.
    std::fs::write(journal(&path), &lines[..head - 3]).unwrap();
    assert!(matches!(RowStore::open(&path, SHAPE, KEY), Err(Error::Foreign { .. })));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(store(&path).missing().len(), 63);
    // One bit of the second block.
    std::fs::write(journal(&path), &lines).unwrap();
    let mut damaged = good.clone();
    damaged[128 + 16 * 7 * 4 + 5] ^= 1;
    std::fs::write(&path, damaged).unwrap();
    assert_eq!(store(&path).missing()[..2], [1, 4]);
    // The matrix cut short.
    std::fs::write(journal(&path), &lines).unwrap();
    std::fs::write(&path, &good[..128 + 16 * 7 * 4 * 2 + 9]).unwrap();
    let mut again = store(&path);
    assert_eq!(again.missing()[0], 2);
    let missing = again.missing();
    fill(&mut again, &missing);
    assert!(std::fs::read(&path).unwrap() == expected());
}

#[test]
fn a_matrix_without_rows_or_columns_is_complete_when_its_blocks_are() {
    let folder = tempfile::tempdir().unwrap();
    for (i, (n_rows, n_cols, blocks)) in [(0, 5, 0), (5, 0, 3)].into_iter().enumerate() {
        let path = folder.path().join(format!("{i}.npy"));
        let mut store = RowStore::open(&path, Shape { n_rows, n_cols, block_rows: 2 }, KEY).unwrap();
        assert_eq!(store.missing().len(), blocks);
        for block in store.missing() {
            store.put(block, &[]).unwrap();
        }
        assert_eq!(store.read().unwrap().dim(), (n_rows, n_cols));
    }
}

/// Started by the test below as a process of its own, to be killed.
#[test]
#[ignore = "a part of another test"]
fn the_process_that_is_killed() {
    let path = PathBuf::from(std::env::var_os("SC_ROW_STORE").expect("started by hand"));
    let mut store = store(&path);
    let missing = store.missing();
    fill(&mut store, &missing);
}

#[test]
fn runs_that_are_killed_anywhere_add_up_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let start = || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_process_that_is_killed", "--ignored"])
            .env("SC_ROW_STORE", &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut killed = 0;
    for round in 0..60u64 {
        let mut child = start();
        // Later and later, so that every stage is met: opening, the first blocks, the last.
        std::thread::sleep(Duration::from_micros(round * 700));
        child.kill().unwrap();
        killed += usize::from(!child.wait().unwrap().success());
    }
    // The first are killed before they can end; how many more are depends on the machine.
    assert!(killed > 0);
    assert!(start().wait().unwrap().success());
    assert!(store(&path).missing().is_empty());
    assert!(std::fs::read(&path).unwrap() == expected());
}
