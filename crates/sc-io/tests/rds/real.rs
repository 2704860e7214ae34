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

#[test]
fn the_demo_of_35_cells_is_read() {
    let Some(path) = data("rds/pbmc_demo.rds") else { return };
    let adata = sc_io::open(path).unwrap();
    assert_eq!((adata.n_obs(), adata.n_vars()), (35, 13_714));
    assert_eq!(adata.obs().labels("seurat_annotations").unwrap().iter().flatten().count(), 35);
}

#[test]
fn the_small_object_has_every_slot() {
    let Some(path) = data("rds/pbmc_small_seuratobject5.rda") else { return };
    let adata = rds::read(&path).unwrap();
    assert_eq!((adata.n_obs(), adata.n_vars()), (80, 230));
    let contents = File::open(&path, ReadOptions::default().max_expand).unwrap().contents().unwrap();
    eprintln!(
        "{contents:?} {:?} {:?} {:?}",
        adata.obs().column_names(),
        adata.var().column_names(),
        adata.obsm().keys()
    );
    eprintln!("{} {:?}", total(adata.x().unwrap()), adata.layers().keys());
}

/// Value by names of cell and gene.
fn by_name(adata: &AnnData) -> HashMap<(&str, &str), f32> {
    let x = adata.x().unwrap().to_csr();
    let mut values = HashMap::new();
    for (i, cell) in adata.obs().index().iter().enumerate() {
        let (genes, counts) = x.row(i);
        for (&gene, &count) in genes.iter().zip(counts) {
            values.insert((cell.as_str(), adata.var().index()[gene as usize].as_str()), count);
        }
    }
    values
}

#[test]
fn pbmc_3k_has_the_counts_of_the_h5ad_file() {
    let (Some(r), Some(h5ad)) = (data("rds/FHIL.SC.utils_pbmc3k.rda"), data("pbmc3k/pbmc3k.h5ad")) else {
        return;
    };
    let (r, h5ad) = (rds::read(r).unwrap(), sc_io::open(h5ad).unwrap());
    eprintln!("{} {} {:?} {:?}", r.n_obs(), r.n_vars(), &r.obs().index()[..3], &h5ad.obs().index()[..3]);
    eprintln!("{:?} {:?} {:?}", r.obs().column_names(), r.layers().keys(), r.obsm().keys());
    let (a, b) = (by_name(&r), by_name(&h5ad));
    eprintln!("{} {} {} {}", a.len(), b.len(), total(r.x().unwrap()), total(h5ad.x().unwrap()));
}
