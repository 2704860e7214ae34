use sc_io::{Column, Counts, Csr, DataFrame};

use super::*;
use crate::tokenize::rank::{RankParams, RankTokenizer, TokenizeParams};
use crate::tokenize::vocabulary::Vocabulary;
use crate::tokenize::{Cells, Error, Tokens};

/// 2,500 cells, every third of them empty.
fn tokens(keep_counts: bool) -> (Tokens, DataFrame) {
    let names = ["<cls>", "<eos>", "A", "B", "C"];
    let tokens = names.iter().map(|name| name.to_string()).zip(0..);
    let vocabulary = Vocabulary::new(tokens, ["A", "B", "C"].map(|name| (name.to_owned(), 1.5))).unwrap();
    let tokenizer = RankTokenizer::new(&vocabulary, &["A", "B", "C"], &RankParams::V2).unwrap();
    let value = |(i, j): (usize, usize)| if i % 3 == 1 { 0.0 } else { ((i * 5 + j * 3) % 4 + 1) as f32 };
    let x = Csr::from_dense(ndarray::Array2::from_shape_fn((2_500, 3), value).view());
    let params = TokenizeParams { keep_counts, ..Default::default() };
    let tokens = tokenizer.tokenize(Counts::new(&x).unwrap(), &Cells::default(), &params).unwrap();
    let mut obs = DataFrame::new((0..2_500).map(|i| i.to_string()).collect());
    obs.insert("type", Column::Strings((0..2_500).map(|i| format!("t{}", i % 7)).collect())).unwrap();
    obs.insert("n", Column::I64((0..2_500).collect())).unwrap();
    obs.insert("score", Column::F64((0..2_500).map(f64::from).collect())).unwrap();
    obs.insert("ok", Column::NullableBool((0..2_500).map(|i| (i % 5 > 0).then_some(i % 2 == 0)).collect()))
        .unwrap();
    (tokens, obs)
}

#[test]
fn what_is_saved_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.dataset");
    for keep_counts in [false, true] {
        let (tokens, obs) = tokens(keep_counts);
        save(&path, &tokens, &obs, &["type", "n", "score", "ok"], true).unwrap();
        let set = load(&path).unwrap();
        assert_eq!((set.ids.as_slice(), set.offsets.as_slice()), (tokens.ids(), tokens.offsets()));
        assert_eq!(set.values.as_deref(), tokens.values());
        assert_eq!((set.n_cells(), set.cell(3)), (tokens.n_cells(), tokens.cell(3)));
        assert_eq!(set.packing(), tokens.packing());
        let names: Vec<&str> = set.obs.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["type", "n", "score", "ok"]);
        let rows = tokens.rows();
        for (name, column) in &set.obs[..2] {
            assert_eq!(column.labels().unwrap(), obs.column(name).unwrap().select(rows).labels().unwrap());
        }
        assert_eq!(set.obs[2].1, obs.column("score").unwrap().select(rows));
        assert_eq!(set.obs[3].1, obs.column("ok").unwrap().select(rows));
    }
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["cells.dataset"], "nothing is left aside");
}

#[test]
fn folders_that_may_not_be_replaced_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (tokens, obs) = tokens(false);
    let path = folder.path().join("mine");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("thesis"), "years").unwrap();
    let error = save(&path, &tokens, &obs, &[], false).unwrap_err();
    assert!(error.to_string().contains("exists already") && error.help().is_some(), "{error}");
    let error = save(&path, &tokens, &obs, &[], true).unwrap_err();
    assert!(error.to_string().contains("is not replaced"), "{error}");
    assert_eq!(std::fs::read_to_string(path.join("thesis")).unwrap(), "years");
}

#[test]
fn tables_and_columns_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (tokens, mut obs) = tokens(false);
    let path = folder.path().join("cells");
    let save = |obs: &DataFrame, columns: &[&str]| save(&path, &tokens, obs, columns, false).unwrap_err();
    let short = obs.select(&[0, 1]);
    assert!(matches!(save(&short, &["n"]), Error::Length { found: 2, expected: 2_500, .. }));
    assert!(save(&obs, &["typ"]).to_string().contains("did you mean \"type\"?"));
    obs.insert("length", Column::I64(vec![0; 2_500])).unwrap();
    assert!(save(&obs, &["length"]).to_string().contains("\"length\""));
    assert!(!path.exists());
}

#[test]
fn damaged_and_lying_sets_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (tokens, obs) = tokens(false);
    let path = folder.path().join("cells");
    assert!(matches!(load(&path), Err(Error::Io(_))));
    save(&path, &tokens, &obs, &[], false).unwrap();
    let data = path.join("data-00000-of-00001.arrow");
    let bytes = std::fs::read(&data).unwrap();
    for cut in [0, 10, 300, bytes.len() / 2] {
        std::fs::write(&data, &bytes[..cut]).unwrap();
        // A stream may end between two batches; anywhere else it is damaged.
        if let Ok(set) = load(&path) {
            assert!(set.n_cells() < tokens.n_cells() && set.n_cells() % 1_000 == 0);
        }
    }
    for (state, message) in [
        ("{", "not valid JSON"),
        ("{}", "_data_files"),
        (r#"{"_data_files": [{"filename": "../x"}]}"#, "no name of a file"),
        (r#"{"_data_files": [], "_indices_files": [{"filename": "i"}]}"#, "selection"),
    ] {
        std::fs::write(path.join(STATE), state).unwrap();
        let error = load(&path).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn a_set_that_datasets_saved_is_loaded_and_what_is_not_read_is_named() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/fm/saved_tokens");
    let set = load(path).unwrap();
    assert_eq!((set.ids, set.offsets), (vec![2, 5, 3, 2, 3], vec![0, 3, 5]));
    let [types, x, ok] = set.obs.as_slice() else { panic!("{:?}", set.obs) };
    assert_eq!(types.1.labels().unwrap(), [Some("a".to_owned()), Some("b".to_owned())]);
    assert!(matches!(&x.1, Column::F64(x) if x[0] == 1.5 && x[1].is_nan()), "{x:?}");
    assert_eq!(ok.1, Column::NullableBool(vec![Some(true), Some(false)]));
    assert_eq!((set.left_out, set.values), (vec!["c".to_owned()], None));
}
