//! The tables that scanpy's own tests expect.

use std::path::Path;

use sc_io::Csr;
use sc_prep::highly_variable_genes::{cell_ranger, seurat};
use sc_prep::{HvgParams, LogNormalized, Subset};

use super::assert_close;
use crate::support;

/// Columns `means`, `dispersions`, `dispersions_norm` and `highly_variable` of a table.
struct Table {
    numbers: [Vec<f64>; 3],
    chosen: Vec<usize>,
}

fn read(path: &Path) -> Table {
    let mut table = Table { numbers: Default::default(), chosen: Vec::new() };
    let text = std::fs::read_to_string(path).expect("a readable table");
    for (gene, line) in text.lines().skip(1).enumerate() {
        let fields: Vec<&str> = line.split(',').collect();
        for (column, field) in table.numbers.iter_mut().zip(&fields[1..4]) {
            column.push(field.parse().expect("a number"));
        }
        if fields[4].eq_ignore_ascii_case("true") {
            table.chosen.push(gene);
        }
    }
    table
}

/// What scanpy's tests feed to both flavours: the stored logarithms, normalised as if they were counts, and logged again.
fn input() -> Option<LogNormalized> {
    let path = support::data("h5ad/scanpy_10x_pbmc68k_reduced_new.h5ad")?;
    let adata = sc_io::open(path).expect("a readable file");
    let mut x: Csr = adata.raw().expect("raw").x().to_csr();
    for i in 0..x.n_rows() {
        let total: f64 = x.row(i).1.iter().map(|&v| f64::from(v)).sum();
        x.row_values_mut(i).iter_mut().for_each(|v| *v = (f64::from(*v) * 1e4 / total).ln_1p() as f32);
    }
    Some(LogNormalized::new(x).expect("logarithms"))
}

#[test]
fn seurat_gives_the_table_of_scanpy() {
    let Some(x) = input() else { return };
    let Some(path) = support::data("reference/scanpy_seurat_hvg.csv") else { return };
    let table = read(&path);
    let ours = seurat(&x, Subset::all(), &HvgParams::default()).unwrap();
    assert_eq!(ours.genes(), table.chosen);
    assert_close(ours.means, &table.numbers[0], 1e-5);
    assert_close(ours.dispersions, &table.numbers[1], 1e-5);
    assert_close(ours.dispersions_norm, &table.numbers[2], 1e-5);
}

#[test]
fn cell_ranger_gives_the_table_of_scanpy() {
    let Some(x) = input() else { return };
    let Some(path) = support::data("reference/scanpy_cell_ranger_hvg.csv") else { return };
    let table = read(&path);
    let ours = cell_ranger(&x, Subset::all(), &HvgParams::top(100)).unwrap();
    assert_eq!(ours.genes(), table.chosen);
    assert_close(ours.means, &table.numbers[0], 1e-5);
    assert_close(ours.dispersions, &table.numbers[1], 1e-5);
    assert_close(ours.dispersions_norm, &table.numbers[2], 1e-5);
}
