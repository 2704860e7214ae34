//! The `.h5` file: the group `matrix` from Cell Ranger 3 on, before that one group a genome.

use std::path::Path;

use super::TenxOptions;
use super::features::Features;
use crate::h5ad::{ReadOptions, open_error};
use crate::hdf5::{Fault, File, Object};
use crate::{AnnData, Csr, DataFrame, Error, Matrix, Problem, Result};

const MATRIX: &str = "matrix";

/// Reads the `.h5` file that Cell Ranger writes, genes only, named by their symbols.
///
/// `var` gets `gene_ids`, and from Cell Ranger 3 on `feature_types` and `genome`. Unlike `scanpy.read_10x_h5`, names are
/// made unique.
///
/// # Errors
/// As [`h5ad::read`](crate::h5ad::read); also an [`Error::Element`] that lists the genomes, if there are several and
/// none was chosen.
pub fn read_h5(path: impl AsRef<Path>) -> Result<AnnData> {
    read_h5_with(path, &TenxOptions::default())
}

/// [`read_h5`], with options.
///
/// # Errors
/// As [`read_h5`].
pub fn read_h5_with(path: impl AsRef<Path>, options: &TenxOptions) -> Result<AnnData> {
    let path = path.as_ref();
    let file = File::open(path, ReadOptions::default().limits()).map_err(|e| open_error(path, e))?;
    let adata = file.root().and_then(|root| read(&root, options)).map_err(|f| Error::Element {
        path: path.to_owned(),
        element: f.element,
        source: f.problem,
    })?;
    tracing::info!("read {}: {} cells x {} genes", path.display(), adata.n_obs(), adata.n_vars());
    Ok(adata)
}

/// Whether a file is one of Cell Ranger's: its root holds `matrix` or nothing but genomes.
pub(crate) fn is_tenx(root: &Object<'_>) -> Result<bool, Fault> {
    if root.contains("obs")? || root.contains("var")? {
        return Ok(false);
    }
    if root.contains(MATRIX)? {
        return Ok(true);
    }
    let names = root.names()?;
    for name in &names {
        let member = root.member(name)?;
        if !member.is_group() || !member.contains("barcodes")? || !member.contains("indptr")? {
            return Ok(false);
        }
    }
    Ok(!names.is_empty())
}

fn read(root: &Object<'_>, options: &TenxOptions) -> Result<AnnData, Fault> {
    let (group, features) = match root.find(MATRIX)? {
        Some(group) => {
            let features = current(&group.member("features")?)?;
            (group, features)
        }
        None => {
            let group = genome(root, options)?;
            let features = legacy(&group)?;
            (group, features)
        }
    };
    if let Some(genomes) = &features.genomes {
        known_genome(root, options, genomes)?;
    }
    let barcodes = group.member("barcodes")?.dataset()?.strings()?;
    let x = matrix(&group, barcodes.len(), features.len())?;
    let chosen = features.chosen(options);
    let var = features.into_var(options).map_err(|e| group.fault(e))?;
    let (x, var) = match chosen {
        Some(genes) => (x.select_columns(&genes), var.select(&genes)),
        None => (x, var),
    };
    AnnData::new(Matrix::Csr(x), DataFrame::new(barcodes), var).map_err(|e| group.fault(e))
}

/// `shape` is features × barcodes, and `indptr` runs over the barcodes: sparse by row, seen from the cells.
fn matrix(group: &Object<'_>, n_cells: usize, n_genes: usize) -> Result<Csr, Fault> {
    let shape = group.member("shape")?.dataset()?;
    let found = shape.numbers::<usize>()?;
    if found != [n_genes, n_cells] {
        let found = found.iter().map(|&n| n as u64).collect();
        let expected = format!("[{n_genes}, {n_cells}], as many as there are features and barcodes");
        return Err(shape.fault(Problem::Shape { found, expected }));
    }
    let indptr = group.member("indptr")?.dataset()?.numbers()?;
    let indices = group.member("indices")?.dataset()?.numbers()?;
    let values = group.member("data")?.dataset()?.numbers()?;
    Csr::from_unsorted(n_cells, n_genes, indptr, indices, values).map_err(|e| group.fault(e))
}

fn current(group: &Object<'_>) -> Result<Features, Fault> {
    let column = |name| group.member(name)?.dataset()?.strings();
    let ids = column("id")?;
    let genomes = if group.contains("genome")? { Some(column("genome")?) } else { None };
    let features = Features { symbols: column("name")?, types: Some(column("feature_type")?), genomes, ids };
    checked(group, features)
}

fn legacy(group: &Object<'_>) -> Result<Features, Fault> {
    let column = |name| group.member(name)?.dataset()?.strings();
    checked(
        group,
        Features { ids: column("genes")?, symbols: column("gene_names")?, types: None, genomes: None },
    )
}

/// All columns must be as long as the first.
fn checked(group: &Object<'_>, features: Features) -> Result<Features, Fault> {
    let n = features.len();
    let lengths = [Some(&features.symbols), features.types.as_ref(), features.genomes.as_ref()];
    if let Some(column) = lengths.into_iter().flatten().find(|column| column.len() != n) {
        let found = vec![column.len() as u64];
        return Err(
            group.fault(Problem::Shape { found, expected: format!("[{n}], as there are identifiers") })
        );
    }
    Ok(features)
}

/// The group of one genome, in a file of Cell Ranger 1 or 2.
fn genome<'f>(root: &Object<'f>, options: &TenxOptions) -> Result<Object<'f>, Fault> {
    let names = root.names()?;
    match (&options.genome, &names[..]) {
        (Some(genome), _) => root.member(genome),
        (None, [only]) => root.member(only),
        (None, _) => {
            let found = format!("{} genomes ({})", names.len(), names.join(", "));
            Err(root.fault(Problem::Kind { found, expected: "one genome, or the name of one" }))
        }
    }
}

fn known_genome(root: &Object<'_>, options: &TenxOptions, genomes: &[String]) -> Result<(), Fault> {
    match &options.genome {
        Some(wanted) if !genomes.contains(wanted) => {
            let mut present = genomes.to_vec();
            present.sort();
            present.dedup();
            Err(Fault::new(root.member_path(wanted), Problem::Missing { present }))
        }
        _ => Ok(()),
    }
}
