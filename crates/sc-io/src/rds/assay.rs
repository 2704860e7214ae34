//! One assay: features, cells, and layers that cover all of them or a part; made into `X` and `layers`.

use std::collections::{BTreeSet, HashMap};

use super::matrix;
use super::object::Object;
use crate::hdf5::Fault;
use crate::{AnnData, Csr, DataFrame, Matrix, Problem};

/// What Seurat calls the layers that it may split by sample: `counts` into `counts.1`, `counts.2`, ...
const SPLIT: [&str; 2] = ["counts", "data"];

pub(super) struct Layer<'a> {
    pub(super) name: String,
    pub(super) matrix: &'a Object,
    /// Where its features and cells stand in the assay; `None` if it has all of them, in order.
    pub(super) features: Option<Vec<usize>>,
    pub(super) cells: Option<Vec<usize>>,
    /// How R writes the place of the matrix.
    pub(super) at: String,
}

pub(super) struct Assay<'a> {
    pub(super) features: Vec<String>,
    pub(super) cells: Vec<String>,
    pub(super) layers: Vec<Layer<'a>>,
}

/// A layer, or the parts of one put together: cells × features, with the places of both in the assay.
struct Whole {
    features: Vec<usize>,
    cells: Vec<usize>,
    matrix: Matrix,
}

impl Assay<'_> {
    /// The layers that can be asked for: those that are there, and those that their parts make.
    pub(super) fn layer_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.layers.iter().map(|l| l.name.clone()).collect();
        for whole in SPLIT {
            if self.parts(whole).len() > 1 {
                names.push(whole.to_owned());
            }
        }
        names
    }

    /// The layer of a name, or the parts that it was split into.
    fn parts(&self, name: &str) -> Vec<&Layer<'_>> {
        if let Some(layer) = self.layers.iter().find(|l| l.name == name) {
            return vec![layer];
        }
        let is_part = |l: &&Layer<'_>| l.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        if SPLIT.contains(&name) { self.layers.iter().filter(is_part).collect() } else { Vec::new() }
    }

    /// The layer that a part belongs to; other layers belong to themselves.
    fn group<'n>(&self, name: &'n str) -> &'n str {
        let is_part = |whole: &str| self.parts(whole).iter().any(|part| part.name == name);
        SPLIT.into_iter().find(|whole| is_part(whole)).unwrap_or(name)
    }

    pub(super) fn has(&self, layer: &str) -> bool {
        !self.parts(layer).is_empty()
    }

    /// `X` is the layer, sparse by row; the axes are its features and cells. The other layers that cover these become
    /// layers; of the others is said that they are left out.
    ///
    /// Columns of the two tables are up to the caller; the second value holds the places of the features in the assay.
    pub(super) fn anndata(&self, layer: &str) -> Result<(AnnData, Vec<usize>), Fault> {
        let x = self.whole(&self.parts(layer))?;
        let pick = |names: &[String], places: &[usize]| places.iter().map(|&i| names[i].clone()).collect();
        let obs = DataFrame::new(pick(&self.cells, &x.cells));
        let var = DataFrame::new(pick(&self.features, &x.features));
        let invalid = |e| Fault::new(layer, e);
        let mut adata = AnnData::new(Matrix::Csr(x.matrix.into_csr()), obs, var).map_err(invalid)?;
        // The parts of X are in X.
        let others = self.layers.iter().map(|l| self.group(&l.name)).filter(|&g| g != self.group(layer));
        let others: BTreeSet<&str> = others.collect();
        for name in others {
            match self.restricted(name, &x.features, &x.cells)? {
                Some(matrix) => adata.insert_layer(name, matrix).map_err(invalid)?,
                None => {
                    tracing::warn!("left out layer {name:?}: it has not all features and cells of {layer:?}")
                }
            }
        }
        Ok((adata, x.features))
    }

    /// A layer at these features and cells, if it has all of them.
    fn restricted(&self, name: &str, features: &[usize], cells: &[usize]) -> Result<Option<Matrix>, Fault> {
        let parts = self.parts(name);
        // A layer that is too small is told from the sizes, before its values are converted.
        let sizes =
            |count: fn(&Layer<'_>, &Self) -> usize| parts.iter().map(|l| count(l, self)).sum::<usize>();
        if sizes(|l, a| l.cells.as_ref().map_or(a.cells.len(), Vec::len)) < cells.len()
            || sizes(|l, a| l.features.as_ref().map_or(a.features.len(), Vec::len)) < features.len()
        {
            return Ok(None);
        }
        let whole = self.whole(&parts)?;
        let (Some(rows), Some(columns)) =
            (positions(&whole.cells, cells), positions(&whole.features, features))
        else {
            return Ok(None);
        };
        let in_place =
            |all: &[usize], n: usize| all.len() == n && all.iter().enumerate().all(|(i, &x)| i == x);
        if in_place(&rows, whole.cells.len()) && in_place(&columns, whole.features.len()) {
            return Ok(Some(whole.matrix));
        }
        Ok(Some(match whole.matrix {
            Matrix::Dense(m) => {
                Matrix::Dense(m.select(ndarray::Axis(0), &rows).select(ndarray::Axis(1), &columns))
            }
            sparse => Matrix::Csr(sparse.into_csr().select_rows(&rows).select_columns(&columns)),
        }))
    }

    /// Puts the parts of a layer together. A value that no part has is 0, as in `JoinLayers`.
    fn whole(&self, parts: &[&Layer<'_>]) -> Result<Whole, Fault> {
        if let [only] = parts {
            let matrix = matrix::transposed(only.matrix, &only.at)?;
            let (features, cells) = (self.features_of(only), self.cells_of(only));
            check(only, &matrix, features.len(), cells.len())?;
            return Ok(Whole { features, cells, matrix });
        }
        let mut features: Vec<usize> = parts.iter().flat_map(|part| self.features_of(part)).collect();
        features.sort_unstable();
        features.dedup();
        let mut column = vec![0usize; self.features.len()];
        features.iter().enumerate().for_each(|(new, &old)| column[old] = new);
        let mut matrices = Vec::with_capacity(parts.len());
        let mut owner: Vec<Option<(usize, usize)>> = vec![None; self.cells.len()];
        for (number, part) in parts.iter().enumerate() {
            let matrix = matrix::transposed(part.matrix, &part.at)?;
            let (its_features, its_cells) = (self.features_of(part), self.cells_of(part));
            check(part, &matrix, its_features.len(), its_cells.len())?;
            for (row, cell) in its_cells.into_iter().enumerate() {
                if owner[cell].replace((number, row)).is_some() {
                    let why = format!("cell {:?} is in several parts of the layer", self.cells[cell]);
                    return Err(Fault::new(&part.at, Problem::Malformed(why)));
                }
            }
            matrices.push((matrix.into_csr(), its_features));
        }
        let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
        let mut cells = Vec::new();
        for (cell, owner) in owner.into_iter().enumerate() {
            let Some((part, row)) = owner else { continue };
            let (matrix, its_features) = &matrices[part];
            let (its_indices, its_values) = matrix.row(row);
            indices.extend(its_indices.iter().map(|&i| column[its_features[i as usize]] as u32));
            values.extend_from_slice(its_values);
            indptr.push(indices.len());
            cells.push(cell);
        }
        let matrix = Csr::from_unsorted(cells.len(), features.len(), indptr, indices, values);
        let matrix = matrix.map(Matrix::Csr).map_err(|e| Fault::new(&parts[0].at, e))?;
        Ok(Whole { features, cells, matrix })
    }

    fn features_of(&self, layer: &Layer<'_>) -> Vec<usize> {
        layer.features.clone().unwrap_or_else(|| (0..self.features.len()).collect())
    }

    fn cells_of(&self, layer: &Layer<'_>) -> Vec<usize> {
        layer.cells.clone().unwrap_or_else(|| (0..self.cells.len()).collect())
    }
}

fn check(layer: &Layer<'_>, matrix: &Matrix, features: usize, cells: usize) -> Result<(), Fault> {
    if (matrix.n_rows(), matrix.n_cols()) == (cells, features) {
        return Ok(());
    }
    let found = vec![matrix.n_cols() as u64, matrix.n_rows() as u64];
    Err(Fault::new(&layer.at, Problem::Shape { found, expected: format!("{features} x {cells}") }))
}

/// Where each of `wanted` stands in `all`, if all of them do.
fn positions(all: &[usize], wanted: &[usize]) -> Option<Vec<usize>> {
    let place: HashMap<usize, usize> = all.iter().enumerate().map(|(i, &x)| (x, i)).collect();
    wanted.iter().map(|x| place.get(x).copied()).collect()
}
