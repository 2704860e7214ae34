//! Files that R wrote.

use std::collections::HashMap;
use std::path::PathBuf;

use sc_io::rds::{self, File, ReadOptions};
use sc_io::{AnnData, Matrix};

/// The folder of real data; `None`, with a word about it, where there is none.
fn data(name: &str) -> Option<PathBuf> {
    let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("SC_TEST_DATA").map_or(repository, PathBuf::from);
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("SC_REQUIRE_DATA").is_none(), "{}: no such file", path.display());
    eprintln!("left out: {} is not there", path.display());
    None
}

fn total(matrix: &Matrix) -> f64 {
    matrix.to_csr().values().iter().map(|&v| f64::from(v)).sum()
}

fn nnz(adata: &AnnData) -> usize {
    adata.x().unwrap().to_csr().nnz()
}

#[test]
fn the_demo_of_35_cells_is_read() {
    let Some(path) = data("rds/pbmc_demo.rds") else { return };
    let adata = sc_io::open(path).unwrap();
    assert_eq!((adata.n_obs(), adata.n_vars(), nnz(&adata)), (35, 13_714, 34_227));
    assert_eq!(adata.obs().labels("seurat_annotations").unwrap().iter().flatten().count(), 35);
    assert_eq!(adata.obs().labels("seurat_annotations").unwrap()[1].as_deref(), Some("DC"));
    // What Seurat counted when the object was made.
    let umis = adata.obs().get("nCount_RNA").unwrap().numbers().unwrap();
    let x = adata.x().unwrap().to_csr();
    for (row, umis) in umis.into_iter().enumerate() {
        assert_eq!(Some(x.row(row).1.iter().map(|&v| f64::from(v)).sum::<f64>()), umis);
    }
    assert!(adata.layers().contains_key("data"));
}

#[test]
fn the_small_object_has_every_slot() {
    let Some(path) = data("rds/pbmc_small_seuratobject5.rda") else { return };
    let adata = rds::read(&path).unwrap();
    assert_eq!((adata.n_obs(), adata.n_vars(), nnz(&adata)), (80, 230, 4456));
    assert_eq!(total(adata.x().unwrap()), 19_633.0);
    // Sum of what `rdata` 1.1.0 reads, in double precision.
    assert!((total(adata.layer("data").unwrap()) - 20_440.244_695_656_13).abs() < 1e-2);
    assert_eq!(adata.obsm()["X_pca"].nrows(), 80);
    assert_eq!(adata.obsm()["X_tsne"].dim(), (80, 2));
    let columns = [
        "orig.ident",
        "nCount_RNA",
        "nFeature_RNA",
        "RNA_snn_res.0.8",
        "letter.idents",
        "groups",
        "RNA_snn_res.1",
    ];
    assert_eq!(adata.obs().column_names()[..7], columns);
    let options = ReadOptions { layer: Some("scale.data".to_owned()), ..ReadOptions::default() };
    let file = File::open(&path, options.max_expand).unwrap();
    let scaled = file.anndata(&options).unwrap();
    assert_eq!((scaled.n_obs(), scaled.n_vars()), (80, 20));
    let contents = &file.contents().unwrap()[0];
    assert_eq!((contents.name.as_deref(), contents.assays[0].layers.len()), (Some("pbmc_small"), 3));
}

/// The counts of each cell by the name of the gene, in the order of names.
fn rows(adata: &AnnData) -> HashMap<&str, Vec<(&str, f32)>> {
    let x = adata.x().unwrap().to_csr();
    let names = adata.var().index();
    let row = |i: usize| {
        let (genes, counts) = x.row(i);
        let mut row: Vec<(&str, f32)> =
            genes.iter().zip(counts).map(|(&g, &c)| (names[g as usize].as_str(), c)).collect();
        row.sort_by(|a, b| a.0.cmp(b.0));
        row
    };
    adata.obs().index().iter().enumerate().map(|(i, cell)| (cell.as_str(), row(i))).collect()
}

#[test]
fn pbmc_3k_has_the_counts_of_the_h5ad_file() {
    let (Some(r), Some(h5ad)) = (data("rds/FHIL.SC.utils_pbmc3k.rda"), data("pbmc3k/pbmc3k.h5ad")) else {
        return;
    };
    let (mut r, h5ad) = (rds::read(r).unwrap(), sc_io::open(h5ad).unwrap());
    assert_eq!((r.n_obs(), r.n_vars(), nnz(&r)), (2700, 32_738, 2_286_884));
    assert_eq!(total(r.x().unwrap()), 6_390_631.0);
    // Seurat writes `-` where a name has `_`, and names repeats in another way: names are compared without both.
    let plain =
        |names: &[String]| -> Vec<String> { names.iter().map(|name| name.replace('_', "-")).collect() };
    let (ours, theirs) = (plain(r.var().index()), plain(h5ad.var().index()));
    let differing = ours.iter().zip(&theirs).filter(|(a, b)| a != b).count();
    assert!(differing < 200, "{differing} genes are not in the order of the file of 10x");
    r.var_mut().set_index(h5ad.var().index().to_vec()).unwrap();
    let (ours, theirs) = (rows(&r), rows(&h5ad));
    let cell = |name: &str| name.trim_end_matches("-1").to_owned();
    let ours: HashMap<String, _> = ours.into_iter().map(|(name, row)| (cell(name), row)).collect();
    let mut shared = 0;
    for (name, row) in theirs {
        if let Some(found) = ours.get(&cell(name)) {
            assert_eq!(*found, row, "{name}");
            shared += 1;
        }
    }
    assert_eq!(shared, 2700);
}
