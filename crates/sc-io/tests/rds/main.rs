//! Files of R: objects written by a small serialiser, and, where they are, files of R itself.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails where something is not there, and says what it left out"
)]

mod hostile;
mod objects;
mod real;
mod writer;

use std::io::Write;

use objects::*;
use sc_io::rds::{Error, File, ReadOptions};
use sc_io::{AnnData, Column, Matrix};
use writer::{Format, NA, R, named, rda, rds, s4, strings, text};

fn read_bytes(bytes: &[u8], options: &ReadOptions) -> sc_io::Result<AnnData> {
    File::from_bytes("test.rds", bytes, options.max_expand)?.anndata(options)
}

fn read(object: &R) -> sc_io::Result<AnnData> {
    read_bytes(&rds(object, Format::Xdr, 3), &ReadOptions::default())
}

fn layer(name: &str) -> ReadOptions {
    ReadOptions { layer: Some(name.to_owned()), ..ReadOptions::default() }
}

fn assay_of(name: &str) -> ReadOptions {
    ReadOptions { assay: Some(name.to_owned()), ..ReadOptions::default() }
}

fn values(matrix: &Matrix) -> Vec<Vec<f32>> {
    matrix.to_csr().to_dense().rows().into_iter().map(|row| row.to_vec()).collect()
}

/// `COUNTS` of some cells and genes, cells × genes.
fn expected(cells: &[usize], genes: &[usize], scale: f64) -> Vec<Vec<f32>> {
    cells.iter().map(|&c| genes.iter().map(|&g| (COUNTS[g][c] * scale) as f32).collect()).collect()
}

fn all() -> Vec<Vec<f32>> {
    expected(&[0, 1, 2], &[0, 1, 2, 3], 1.0)
}

fn x(adata: &AnnData) -> Vec<Vec<f32>> {
    assert!(matches!(adata.x(), Some(Matrix::Csr(_))));
    values(adata.x().unwrap())
}

fn version_3() -> R {
    let names = || dimnames(Some(&GENES), Some(&CELLS));
    let data = dgc(&columns(&[0, 1, 2, 3], &[0, 1, 2], 0.5), 4, names());
    let scaled = dense((0..6).map(f64::from).collect(), &["GNLY", "CD3D"], &CELLS);
    seurat(vec![("RNA", assay(counts(), data, scaled, &GENES))], "RNA", &CELLS)
}

#[test]
fn a_seurat_object_of_version_3_is_read_with_its_tables() {
    let adata = read(&version_3()).unwrap();
    assert_eq!(
        (adata.obs().index(), adata.var().index()),
        (&CELLS.map(String::from)[..], &GENES.map(String::from)[..])
    );
    assert_eq!(x(&adata), all());
    assert_eq!(adata.layers().keys().collect::<Vec<_>>(), ["data"]);
    assert_eq!(values(adata.layer("data").unwrap()), expected(&[0, 1, 2], &[0, 1, 2, 3], 0.5));
    let obs = adata.obs();
    let names = ["orig.ident", "nCount_RNA", "cell_type", "n_genes", "doublet", "note", "ident"];
    assert_eq!(obs.column_names(), names);
    assert_eq!(obs.labels("cell_type").unwrap(), [Some("T".to_owned()), None, Some("B".to_owned())]);
    assert!(matches!(obs.get("cell_type"), Some(Column::Categorical(c)) if c.categories() == ["B", "T"]));
    assert_eq!(obs.get("nCount_RNA"), Some(&Column::F64(vec![0.5, 1.5, 2.5])));
    assert_eq!(obs.get("n_genes"), Some(&Column::NullableI64(vec![Some(3), None, Some(1)])));
    assert_eq!(obs.get("doublet"), Some(&Column::Bool(vec![false; 3])));
    let note = vec![Some("é".to_owned()), None, Some(String::new())];
    assert_eq!(obs.get("note"), Some(&Column::NullableStrings(note)));
    assert_eq!(obs.labels("ident").unwrap()[1].as_deref(), Some("1"));
    assert_eq!(adata.var().get("vst.mean"), Some(&Column::F64(vec![0.5; 4])));
    let pca = &adata.obsm()["X_pca"];
    assert_eq!((pca.dim(), pca[(1, 0)], pca[(1, 1)]), ((3, 2), 1.0, 4.0));
}

#[test]
fn scaled_data_asked_for_decides_the_genes() {
    let bytes = rds(&version_3(), Format::Xdr, 3);
    let adata = read_bytes(&bytes, &layer("scale.data")).unwrap();
    assert_eq!(adata.var().index(), ["GNLY", "CD3D"]);
    assert_eq!(x(&adata), [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]);
    assert_eq!(values(adata.layer("counts").unwrap()), expected(&[0, 1, 2], &[3, 0], 1.0));
    assert_eq!(adata.var().get("vst.mean"), Some(&Column::F64(vec![0.5; 2])));
}

#[test]
fn every_format_version_and_compression_gives_the_same_data() {
    let reference = read(&version_3()).unwrap();
    for format in [Format::Xdr, Format::Native, Format::Ascii] {
        for version in [2, 3] {
            let bytes = rds(&version_3(), format, version);
            assert_eq!(
                read_bytes(&bytes, &ReadOptions::default()).unwrap(),
                reference,
                "{format:?} {version}"
            );
        }
    }
    let bytes = rds(&version_3(), Format::Xdr, 3);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&bytes).unwrap();
    let mut bzip = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip.write_all(&bytes).unwrap();
    let xz = |check| {
        let mut options = lzma_rust2::XzOptions::with_preset(6);
        options.set_check_sum_type(check);
        let mut xz = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
        xz.write_all(&bytes).unwrap();
        xz.finish().unwrap()
    };
    use lzma_rust2::CheckType::{Crc32, Crc64, None as Unchecked, Sha256};
    let mut compressed = vec![gzip.finish().unwrap(), bzip.finish().unwrap()];
    compressed.extend([Crc32, Crc64, Unchecked, Sha256].map(xz));
    for bytes in compressed {
        let start = bytes[..6].escape_ascii().to_string();
        assert_eq!(read_bytes(&bytes, &ReadOptions::default()).unwrap(), reference, "{start}");
    }
}

#[test]
fn split_layers_are_put_together_in_the_order_of_the_cells() {
    // The second sample lacks gene 1, the first gene 2: what a part does not have is 0.
    let layers: &[(&str, &[usize], &[usize], f64)] = &[
        ("counts.b", &[0, 2, 3], &[1], 1.0),
        ("counts.a", &[0, 1, 3], &[0, 2], 1.0),
        ("data.b", &[0, 1, 2, 3], &[1], 0.5),
        ("data.a", &[0, 1, 2, 3], &[0, 2], 0.5),
        ("scale.data", &[3, 0], &[0, 1, 2], 2.0),
    ];
    let object = seurat(vec![("RNA", assay5(layers))], "RNA", &CELLS);
    let adata = read(&object).unwrap();
    assert_eq!(x(&adata), all());
    assert_eq!(values(adata.layer("data").unwrap()), expected(&[0, 1, 2], &[0, 1, 2, 3], 0.5));
    assert_eq!(adata.layers().len(), 1);
    let rank = Column::NullableI64(vec![Some(2), None, Some(1), Some(3)]);
    assert_eq!(adata.var().get("vf_rank"), Some(&rank));

    let bytes = rds(&object, Format::Xdr, 3);
    let one = read_bytes(&bytes, &layer("counts.a")).unwrap();
    assert_eq!(
        (one.obs().index(), one.var().index()),
        (&["AAAC-1", "AAAT-1"].map(String::from)[..], &["CD3D", "LYZ", "GNLY"].map(String::from)[..])
    );
    assert_eq!(x(&one), expected(&[0, 2], &[0, 1, 3], 1.0));
    assert_eq!(one.obs().labels("cell_type").unwrap(), [Some("T".to_owned()), Some("B".to_owned())]);
    assert_eq!(values(one.layer("data").unwrap()), expected(&[0, 2], &[0, 1, 3], 0.5));

    let contents = File::from_bytes("x", &bytes, 256).unwrap().contents().unwrap();
    assert_eq!(contents[0].class, "Seurat");
    let names = ["counts.b", "counts.a", "data.b", "data.a", "scale.data", "counts", "data"];
    assert_eq!(contents[0].assays[0].layers, names);
}

#[test]
fn a_cell_in_two_parts_of_a_layer_is_an_error() {
    let layers: &[(&str, &[usize], &[usize], f64)] =
        &[("counts.a", &[0, 1, 2, 3], &[0, 1], 1.0), ("counts.b", &[0, 1, 2, 3], &[1, 2], 1.0)];
    let error = read(&seurat(vec![("RNA", assay5(layers))], "RNA", &CELLS)).unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("\"AAAG-1\""), "{error}");
}

#[test]
fn an_integrated_object_gives_the_counts_of_the_assay_that_has_them() {
    let integrated = assay(empty(), dense(vec![-1.0, 0.5, 0.0], &["LYZ"], &CELLS), empty(), &["LYZ"]);
    let object = seurat(
        vec![("integrated", integrated), ("RNA", assay(counts(), counts(), empty(), &GENES))],
        "integrated",
        &CELLS,
    );
    assert_eq!(x(&read(&object).unwrap()), all());
    let bytes = rds(&object, Format::Xdr, 3);
    let adata = read_bytes(&bytes, &layer("data")).unwrap();
    assert_eq!((x(&adata), adata.n_vars()), (vec![vec![-1.0], vec![0.5], vec![0.0]], 1));
    let file = File::from_bytes("x", &bytes, 256).unwrap();
    let contents = file.contents().unwrap();
    let active: Vec<(&str, bool)> = contents[0].assays.iter().map(|a| (a.name.as_str(), a.active)).collect();
    assert_eq!(active, [("integrated", true), ("RNA", false)]);

    let error = file.anndata(&assay_of("integrated")).unwrap_err();
    assert!(error.help().is_some());
    let sc_io::Error::Rds(Error::NoLayer { layer, found, .. }) = error else { panic!("{error}") };
    assert_eq!(
        (layer.as_str(), found),
        ("counts", ["integrated/data", "RNA/counts", "RNA/data"].map(String::from).to_vec())
    );
    let error = file.anndata(&assay_of("ADT")).unwrap_err();
    assert!(error.help().is_some());
    assert!(
        matches!(error, sc_io::Error::Rds(Error::NoAssay { found, .. }) if found == ["integrated", "RNA"])
    );
}

#[test]
fn a_single_cell_experiment_is_read_with_its_tables_and_alternatives() {
    let object = experiment(true);
    let adata = read(&object).unwrap();
    assert_eq!(
        (adata.obs().index(), adata.var().index()),
        (&CELLS.map(String::from)[..], &GENES.map(String::from)[..])
    );
    assert_eq!(x(&adata), all());
    assert_eq!(values(adata.layer("logcounts").unwrap()), expected(&[0, 1, 2], &[0, 1, 2, 3], 0.5));
    assert_eq!(adata.obs().labels("label").unwrap()[1].as_deref(), Some("T"));
    let batch = ["x", "y", "y"].map(String::from).to_vec();
    assert_eq!(adata.obs().get("batch"), Some(&Column::Strings(batch)));
    assert_eq!(adata.var().labels("id").unwrap()[3].as_deref(), Some("g4"));
    assert_eq!(adata.obsm()["X_umap"].row(1).to_vec(), [2.0, 5.0]);

    let bytes = rds(&object, Format::Xdr, 3);
    let protein = read_bytes(&bytes, &assay_of("protein")).unwrap();
    assert_eq!(
        (protein.var().index(), x(&protein)),
        (&["CD3".to_owned()][..], vec![vec![1.0], vec![2.0], vec![3.0]])
    );
    assert_eq!(protein.obs().column_names(), ["label", "batch"]);
    let error = read_bytes(&bytes, &assay_of("main")).unwrap_err();
    assert!(matches!(error, sc_io::Error::Rds(Error::NoAssay { found, .. }) if found == ["gene", "protein"]));
}

#[test]
fn the_matrices_of_an_old_experiment_lie_in_an_environment() {
    let list = s4("SimpleList", vec![("listData", named(vec![("counts", counts())]))]);
    let environment = R::Environment(vec![("data".to_owned(), list)]);
    let assays = s4("ShallowSimpleListAssays", vec![(".xData", environment)]);
    let object = s4("SummarizedExperiment", vec![("assays", assays)]);
    assert_eq!(x(&read(&object).unwrap()), all());
}

#[test]
fn every_form_of_matrix_gives_the_same_values() {
    let names = || dimnames(Some(&GENES), Some(&CELLS));
    let (mut i, mut j, mut v) = (vec![], vec![], vec![]);
    for (gene, row) in COUNTS.iter().enumerate() {
        for (cell, &count) in row.iter().enumerate().filter(|(_, count)| **count != 0.0) {
            i.push(gene as i32);
            j.push(cell as i32);
            v.push(count);
        }
    }
    let by_row = s4(
        "dgRMatrix",
        vec![
            ("p", R::Integer(vec![0, 2, 2, 3, 5])),
            ("j", R::Integer(j.clone())),
            ("Dim", dim(4, 3)),
            ("Dimnames", names()),
            ("x", R::Real(v.clone())),
        ],
    );
    // The last entry comes in two parts, which add up.
    v[4] -= 3.0;
    i.push(3);
    j.push(2);
    v.push(3.0);
    let triplets = s4(
        "dgTMatrix",
        vec![
            ("i", R::Integer(i)),
            ("j", R::Integer(j)),
            ("Dim", dim(4, 3)),
            ("Dimnames", names()),
            ("x", R::Real(v)),
        ],
    );
    let flat: Vec<f64> = (0..3).flat_map(|c| [0, 1, 2, 3].map(|g| COUNTS[g][c])).collect();
    let plain = dense(flat.clone(), &GENES, &CELLS);
    let whole =
        R::Integer(flat.iter().map(|&v| v as i32).collect()).with("dim", dim(4, 3)).with("dimnames", names());
    let full = s4("dgeMatrix", vec![("Dim", dim(4, 3)), ("Dimnames", names()), ("x", R::Real(flat))]);
    let cell = |c: usize| R::Integer([0, 1, 2, 3].map(|g| COUNTS[g][c] as i32).to_vec());
    let frame = data_frame((0..3).map(|c| (CELLS[c], cell(c))).collect(), strings(&GENES));
    for object in [counts(), by_row, triplets, plain, whole, full, frame] {
        let adata = read(&object).unwrap();
        assert_eq!(x(&adata), all(), "{object:?}");
        assert_eq!(
            (adata.obs().index(), adata.var().index()),
            (&CELLS.map(String::from)[..], &GENES.map(String::from)[..])
        );
    }
    let pattern = s4(
        "ngCMatrix",
        vec![
            ("i", R::Integer(vec![0, 1])),
            ("p", R::Integer(vec![0, 2])),
            ("Dim", dim(2, 1)),
            ("Dimnames", dimnames(None, None)),
        ],
    );
    let adata = read(&pattern).unwrap();
    assert_eq!((x(&adata), adata.var().index()), (vec![vec![1.0, 1.0]], &["1", "2"].map(String::from)[..]));
    let logical = s4(
        "lgTMatrix",
        vec![
            ("i", R::Integer(vec![0, 0])),
            ("j", R::Integer(vec![0, 0])),
            ("Dim", dim(1, 1)),
            ("Dimnames", dimnames(None, None)),
            ("x", R::Logical(vec![1, 1])),
        ],
    );
    assert_eq!(x(&read(&logical).unwrap()), [[1.0]]);
}

#[test]
fn matrices_that_are_half_stored_or_lie_elsewhere_are_refused_by_name() {
    let half = s4("dsCMatrix", vec![("Dim", dim(1, 1)), ("uplo", text("U")), ("x", R::Real(vec![1.0]))]);
    let error = read(&half).unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("a dsCMatrix"), "{error:?}");
    let elsewhere = s4(
        "Assay5",
        vec![
            ("layers", named(vec![("counts", s4("RenameDims", vec![("matrix", R::S4)]))])),
            ("cells", membership(&CELLS, &[("counts", &[0, 1, 2])])),
            ("features", membership(&GENES, &[("counts", &[0, 1, 2, 3])])),
        ],
    );
    let error = read(&seurat(vec![("RNA", elsewhere)], "RNA", &CELLS)).unwrap_err();
    assert!(error.to_string().contains("assays$RNA@layers$counts"), "{error}");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("a RenameDims"), "{error:?}");
}

#[test]
fn counts_that_single_precision_cannot_hold_are_an_error_and_other_numbers_are_rounded() {
    let matrix = |value: f64| dgc(&[vec![(0, value)]], 1, dimnames(Some(&["g"]), Some(&["c"])));
    let error = read(&matrix(16_777_217.0)).unwrap_err();
    assert!(error.help().is_some());
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("16777217"), "{error:?}");
    assert!(read(&matrix(1e300)).is_err());
    assert_eq!(x(&read(&matrix(0.1)).unwrap()), [[0.1]]);
    assert_eq!(x(&read(&matrix(16_777_216.0)).unwrap()), [[16_777_216.0]]);
    assert!(x(&read(&matrix(f64::NAN)).unwrap())[0][0].is_nan());
}

#[test]
fn vectors_stored_as_recipes_become_vectors() {
    let sequence = |n: f64, start: f64, step: f64| Box::new(R::Real(vec![n, start, step]));
    let numbers = R::Dotted(Box::new(R::Integer(vec![7, NA, -1])), Box::new(R::Integer(vec![0])));
    let wrapped = R::List(vec![strings(&CELLS), R::Integer(vec![0, 0])]);
    let table = data_frame(
        vec![
            ("up", R::Altrep("compact_intseq", sequence(3.0, 1.0, 1.0))),
            ("down", R::Altrep("compact_realseq", sequence(3.0, 1.0, -1.0))),
            ("text", R::Altrep("deferred_string", Box::new(numbers))),
            (
                "factor",
                R::With(
                    Box::new(R::Altrep(
                        "wrap_integer",
                        Box::new(R::Dotted(Box::new(R::Integer(vec![1, 2, 1])), Box::new(R::Null))),
                    )),
                    vec![("levels".to_owned(), strings(&["a", "b"])), ("class".to_owned(), text("factor"))],
                ),
            ),
        ],
        R::Altrep("wrap_string", Box::new(wrapped)),
    );
    let object = s4(
        "Seurat",
        vec![
            ("assays", named(vec![("RNA", assay(counts(), counts(), empty(), &GENES))])),
            ("meta.data", table),
            ("active.assay", text("RNA")),
        ],
    );
    for format in [Format::Xdr, Format::Ascii] {
        let adata = read_bytes(&rds(&object, format, 3), &ReadOptions::default()).unwrap();
        let obs = adata.obs();
        assert_eq!(obs.get("up"), Some(&Column::I64(vec![1, 2, 3])));
        assert_eq!(obs.get("down"), Some(&Column::F64(vec![1.0, 0.0, -1.0])));
        assert_eq!(obs.labels("text").unwrap(), [Some("7".to_owned()), None, Some("-1".to_owned())]);
        assert_eq!(obs.labels("factor").unwrap()[1].as_deref(), Some("b"));
    }
    let error = read(&R::Altrep("mmap_real", Box::new(R::Null))).unwrap_err();
    assert!(error.help().is_some());
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("mmap_real"), "{error:?}");
}

#[test]
fn strings_of_every_encoding_become_utf_8() {
    let names = R::List(vec![R::Latin1(vec![b'g', 0xe9]), strings(&["c"])]);
    let adata = read(&dgc(&[vec![(0, 1.0)]], 1, names)).unwrap();
    assert_eq!(adata.var().index(), ["gé"]);
}

#[test]
fn cells_are_matched_by_name_and_one_without_metadata_is_an_error() {
    let assays = || named(vec![("RNA", assay(counts(), counts(), empty(), &GENES))]);
    let table = |cells: &[&str]| {
        data_frame(vec![("n", R::Integer((0..cells.len() as i32).collect()))], strings(cells))
    };
    let object =
        |meta| s4("Seurat", vec![("assays", assays()), ("active.assay", text("RNA")), ("meta.data", meta)]);
    let adata = read(&object(table(&["AAAT-1", "other", "AAAC-1", "AAAG-1"]))).unwrap();
    assert_eq!(adata.obs().get("n"), Some(&Column::I64(vec![2, 3, 0])));
    let error = read(&object(table(&["AAAT-1", "other", "AAAC-1"]))).unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("\"AAAG-1\""), "{error:?}");
}

#[test]
fn the_object_of_a_workspace_is_found_or_asked_for() {
    let other = || ("settings", named(vec![("seed", R::Integer(vec![1]))]));
    let one = rda(vec![other(), ("pbmc", version_3())]);
    assert_eq!(x(&read_bytes(&one, &ReadOptions::default()).unwrap()), all());
    let two = rda(vec![("a", counts()), other(), ("b", version_3())]);
    let error = read_bytes(&two, &ReadOptions::default()).unwrap_err();
    assert!(error.help().is_some());
    let sc_io::Error::Rds(Error::NoObject { wanted: None, found, .. }) = error else { panic!("{error}") };
    assert_eq!(found, ["a (a dgCMatrix)", "settings (a list)", "b (a Seurat)"]);
    let named = |name: &str| ReadOptions { object: Some(name.to_owned()), ..ReadOptions::default() };
    assert_eq!(read_bytes(&two, &named("b")).unwrap().obs().column_names().len(), 7);
    let error = read_bytes(&two, &named("settings")).unwrap_err();
    assert!(error.help().is_some());
    assert!(matches!(error, sc_io::Error::Rds(Error::Class { .. })), "{error}");
    let error = read_bytes(&two, &named("c")).unwrap_err();
    assert!(error.to_string().contains("no object \"c\""), "{error}");
}

#[test]
fn open_reads_files_of_r_by_their_ending() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pbmc.RDS");
    std::fs::write(&path, rds(&version_3(), Format::Xdr, 3)).unwrap();
    assert_eq!(x(&sc_io::open(&path).unwrap()), all());
    let path = folder.path().join("page.rds");
    std::fs::write(&path, "<!DOCTYPE html>").unwrap();
    let error = sc_io::open(&path).unwrap_err();
    assert!(error.help().is_some());
    assert!(error.to_string().contains("first bytes are \"<!DOC\""), "{error}");
    assert!(matches!(sc_io::open(folder.path().join("no.rds")), Err(sc_io::Error::NoSuchPath { .. })));
}
