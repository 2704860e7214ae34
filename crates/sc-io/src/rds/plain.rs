//! A matrix or a `data.frame` of its own: features × cells, nothing known of either.

use super::experiment::named_axis;
use super::frame::row_names;
use super::matrix::{names, shape, singles, transposed};
use super::object::Object;
use crate::hdf5::Fault;
use crate::{AnnData, DataFrame, Matrix, Problem};

pub(super) fn is(object: &Object) -> bool {
    is_table(object) || object.slot("Dim").is_some() || object.slot("dim").is_some()
}

fn is_table(object: &Object) -> bool {
    object.is_a("data.frame")
}

pub(super) fn anndata(object: &Object) -> Result<AnnData, Fault> {
    const AT: &str = "X";
    let (matrix, genes, cells) = if is_table(object) {
        table(object)?
    } else {
        let [genes, cells] = names(object);
        let [n_genes, n_cells] = shape(object, AT)?.unwrap_or_default();
        let (genes, cells) =
            (named_axis("the rows", genes, n_genes)?, named_axis("the columns", cells, n_cells)?);
        (transposed(object, AT)?, genes, cells)
    };
    let x = Matrix::Csr(matrix.into_csr());
    AnnData::new(x, DataFrame::new(cells), DataFrame::new(genes)).map_err(|e| Fault::new(AT, e))
}

/// A column for each cell.
fn table(object: &Object) -> Result<(Matrix, Vec<String>, Vec<String>), Fault> {
    let columns: Vec<(&str, &Object)> = object.members().collect();
    let n_genes = columns.first().map_or(0, |(_, column)| column.len());
    let genes = named_axis("the rows", row_names(object), n_genes)?;
    let mut values = Vec::new();
    for (name, column) in &columns {
        let at = format!("${name}");
        if column.is_a("factor") || column.len() != n_genes {
            let expected = "a numeric column with one value a gene";
            return Err(Fault::new(at, Problem::Kind { found: column.describe(), expected }));
        }
        values.extend(singles(column, &at)?);
    }
    let dense = ndarray::Array2::from_shape_vec((columns.len(), n_genes), values);
    let dense = dense.expect("each column was compared with the first");
    Ok((Matrix::Dense(dense), genes, columns.iter().map(|(name, _)| (*name).to_owned()).collect()))
}
