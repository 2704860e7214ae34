//! Whatever is written is read back the same, and written again to the same bytes.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayD, IxDyn};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use sc_io::anndata::Raw;
use sc_io::h5ad::{self, WriteOptions};
use sc_io::{AnnData, Categorical, Column, Csr, DataFrame, Matrix, Value};

/// Names as people give them: blanks, accents, and what HDF5 does not mind.
fn name() -> impl Strategy<Value = String> {
    "[a-zA-Zéß細_.% -]{1,9}".prop_filter("a dot alone is no name", |s| s != "." && s != "_index")
}

fn number() -> impl Strategy<Value = f32> {
    prop_oneof![4 => Just(0.0f32), 4 => (1u16..300).prop_map(f32::from), 1 => -1e30f32..1e30, 1 => Just(f32::INFINITY)]
}

fn dense(rows: usize, columns: usize) -> impl Strategy<Value = Array2<f32>> {
    vec(number(), rows * columns).prop_map(move |v| Array2::from_shape_vec((rows, columns), v).unwrap())
}

fn matrix(rows: usize, columns: usize) -> impl Strategy<Value = Matrix> {
    (dense(rows, columns), 0..3).prop_map(|(m, form)| match form {
        0 => Matrix::Csr(Csr::from_dense(m.view())),
        1 => Matrix::Csc(Csr::from_dense(m.view()).to_csc()),
        _ => Matrix::Dense(m),
    })
}

fn square(n: usize) -> impl Strategy<Value = Csr> {
    dense(n, n).prop_map(|m| Csr::from_dense(m.view()))
}

fn text() -> impl Strategy<Value = String> {
    "[a-zé細/ ]{0,6}"
}

fn column(n: usize) -> impl Strategy<Value = Column> {
    prop_oneof![
        vec(text(), n).prop_map(Column::Strings),
        vec(of(text()), n).prop_map(Column::NullableStrings),
        (vec(of("[a-c]"), n), any::<bool>()).prop_map(|(labels, ordered)| {
            let c = Categorical::from_labels(&labels);
            Column::Categorical(
                Categorical::new(c.codes().to_vec(), c.categories().to_vec(), ordered).unwrap(),
            )
        }),
        vec(any::<i64>(), n).prop_map(Column::I64),
        vec(of(any::<i64>()), n).prop_map(Column::NullableI64),
        vec(-1e300f64..1e300, n).prop_map(Column::F64),
        vec(number(), n).prop_map(Column::F32),
        vec(any::<bool>(), n).prop_map(Column::Bool),
        vec(of(any::<bool>()), n).prop_map(Column::NullableBool),
    ]
}

fn frame(n: usize) -> impl Strategy<Value = DataFrame> {
    (vec(text(), n), btree_map(name(), column(n), 0..4), of(name())).prop_map(
        |(index, columns, index_name)| {
            let mut frame = DataFrame::new(index);
            // In an order that is not that of the names.
            for (name, column) in columns.into_iter().rev() {
                frame.insert(name, column).unwrap();
            }
            // A name that a column has already is refused, which leaves the index without one.
            let _ = frame.set_index_name(index_name.as_deref());
            frame
        },
    )
}

fn array<T: Clone + std::fmt::Debug>(
    item: impl Strategy<Value = T> + Clone,
) -> impl Strategy<Value = ArrayD<T>> {
    vec(0usize..4, 1..3).prop_flat_map(move |shape| {
        let n = shape.iter().product::<usize>();
        vec(item.clone(), n).prop_map(move |v| ArrayD::from_shape_vec(IxDyn(&shape), v).unwrap())
    })
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-1e9f64..1e9).prop_map(Value::Float),
        text().prop_map(Value::String),
        array(any::<bool>()).prop_map(Value::BoolArray),
        array(any::<i64>()).prop_map(Value::IntArray),
        array(-1e9f64..1e9).prop_map(Value::FloatArray),
        array("[a-zé]{0,4}").prop_map(Value::StringArray),
        vec(of(any::<i64>()), 0..4).prop_map(|v| Value::Column(Column::NullableI64(v))),
        frame(3).prop_map(Value::DataFrame),
        square(3).prop_map(|g| Value::Matrix(Matrix::Csr(g))),
        (vec(any::<i64>(), 3), vec("[a-z]{0,4}", 3)).prop_map(|(a, b)| {
            Value::Records(vec![("b/b".to_owned(), Column::I64(a)), ("a".to_owned(), Column::Strings(b))])
        }),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| btree_map(name(), inner, 0..4).prop_map(Value::Map))
}

prop_compose! {
    fn slots(n: usize, m: usize)(
        x in of(matrix(n, m)),
        obs in frame(n),
        var in frame(m),
        layers in btree_map(name(), matrix(n, m), 0..3),
        obsm in btree_map(name(), (0usize..4).prop_flat_map(move |k| dense(n, k)), 0..3),
        varm in btree_map(name(), (0usize..4).prop_flat_map(move |k| dense(m, k)), 0..2),
        obsp in btree_map(name(), square(n), 0..2),
        varp in btree_map(name(), square(m), 0..2),
        uns in btree_map(name(), value(), 0..4),
        raw in of((matrix(n, m + 2), frame(m + 2))),
    ) -> AnnData {
        let mut a = AnnData::without_x(obs, var);
        a.set_x(x).unwrap();
        layers.into_iter().for_each(|(k, v)| a.insert_layer(k, v).unwrap());
        obsm.into_iter().for_each(|(k, v)| a.insert_obsm(k, v).unwrap());
        varm.into_iter().for_each(|(k, v)| a.insert_varm(k, v).unwrap());
        obsp.into_iter().for_each(|(k, v)| a.insert_obsp(k, v).unwrap());
        varp.into_iter().for_each(|(k, v)| a.insert_varp(k, v).unwrap());
        *a.uns_mut() = uns;
        a.set_raw(raw.map(|(x, var)| Raw::new(x, var).unwrap())).unwrap();
        a
    }
}

fn adata() -> impl Strategy<Value = AnnData> {
    (0usize..7, 0usize..5).prop_flat_map(|(n, m)| slots(n, m))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_and_written_the_same(a in adata(), compression in of(1u32..9)) {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let options = WriteOptions { compression, overwrite: false };
        h5ad::write_with(&a, &one, &options).unwrap();
        let b = h5ad::read(&one).unwrap();
        prop_assert_eq!(&a, &b);
        h5ad::write_with(&b, &two, &options).unwrap();
        prop_assert!(std::fs::read(one).unwrap() == std::fs::read(two).unwrap(), "written twice, the bytes differ");
    }
}

#[test]
fn many_chunks_are_put_together_in_order() {
    // More values than one chunk holds, so that they are compressed side by side.
    let x = Array2::from_shape_fn((700, 1000), |(i, j)| ((i * 1000 + j) % 1013) as f32);
    let names = |n: usize| (0..n).map(|i| i.to_string()).collect();
    let a = AnnData::new(Matrix::Dense(x), DataFrame::new(names(700)), DataFrame::new(names(1000))).unwrap();
    let path = tempfile::tempdir().unwrap();
    let path = path.path().join("a.h5ad");
    h5ad::write(&a, &path).unwrap();
    assert_eq!(h5ad::read(&path).unwrap(), a);
}

#[test]
fn a_name_that_hdf5_has_no_room_for_is_refused_and_the_old_file_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    let mut a = AnnData::without_x(DataFrame::new(vec!["c".into()]), DataFrame::new(vec!["g".into()]));
    h5ad::write(&a, &path).unwrap();
    let before = std::fs::read(&path).unwrap();
    a.uns_mut().insert("a/b".to_owned(), Value::Map(BTreeMap::new()));
    let options = WriteOptions { overwrite: true, ..WriteOptions::default() };
    let e = h5ad::write_with(&a, &path, &options).unwrap_err();
    assert!(matches!(&e, sc_io::Error::Write { element, .. } if element == "uns/a/b"), "{e:?}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(matches!(h5ad::write(&a, &path), Err(sc_io::Error::Exists { .. })));
}
