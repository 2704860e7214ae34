//! `AnnData` in memory: one matrix, two axes, and everything that is aligned with them.

mod select;
mod value;

pub use value::Value;

use std::collections::BTreeMap;

use ndarray::Array2;

use crate::{Csr, DataFrame, Error, Matrix, Result, keys};

/// `X` and `var` as they were before genes were dropped; its observations are those of the `AnnData` it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Raw {
    x: Matrix,
    var: DataFrame,
}

impl Raw {
    /// Puts the two together.
    ///
    /// # Errors
    /// [`Error::SlotShape`] if `x` has not one column for each row of `var`.
    pub fn new(x: Matrix, var: DataFrame) -> Result<Self> {
        check("raw.X".to_owned(), "columns", x.n_cols(), "raw.n_vars", var.n_rows())?;
        Ok(Self { x, var })
    }

    /// The matrix, `n_obs × raw.n_vars`.
    pub fn x(&self) -> &Matrix {
        &self.x
    }

    /// Its variables.
    pub fn var(&self) -> &DataFrame {
        &self.var
    }
}

/// Annotated data: observations (cells) × variables (genes).
///
/// Every slot fits the two axes at all times: the fields are private and each setter checks. Iteration over slots is
/// in the order of their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnnData {
    x: Option<Matrix>,
    obs: DataFrame,
    var: DataFrame,
    layers: BTreeMap<String, Matrix>,
    obsm: BTreeMap<String, Array2<f32>>,
    varm: BTreeMap<String, Array2<f32>>,
    obsp: BTreeMap<String, Csr>,
    varp: BTreeMap<String, Csr>,
    uns: BTreeMap<String, Value>,
    raw: Option<Raw>,
}

impl AnnData {
    /// A matrix and its two axes.
    ///
    /// # Errors
    /// [`Error::SlotShape`] if `x` is not `obs.n_rows() × var.n_rows()`.
    pub fn new(x: Matrix, obs: DataFrame, var: DataFrame) -> Result<Self> {
        let mut adata = Self::without_x(obs, var);
        adata.set_x(Some(x))?;
        Ok(adata)
    }

    /// Two axes without a matrix, as AnnData allows.
    pub fn without_x(obs: DataFrame, var: DataFrame) -> Self {
        Self { obs, var, ..Self::default() }
    }

    /// Number of observations (cells).
    pub fn n_obs(&self) -> usize {
        self.obs.n_rows()
    }

    /// Number of variables (genes).
    pub fn n_vars(&self) -> usize {
        self.var.n_rows()
    }

    /// The matrix, `n_obs × n_vars`, if there is one.
    pub fn x(&self) -> Option<&Matrix> {
        self.x.as_ref()
    }

    /// Sets, replaces or removes the matrix.
    ///
    /// # Errors
    /// [`Error::SlotShape`] if it is not `n_obs × n_vars`.
    pub fn set_x(&mut self, x: Option<Matrix>) -> Result<()> {
        if let Some(x) = &x {
            self.check_matrix(keys::X.to_owned(), x)?;
        }
        self.x = x;
        Ok(())
    }

    /// Takes the matrix out without a copy, and leaves none.
    pub fn take_x(&mut self) -> Option<Matrix> {
        self.x.take()
    }

    /// The table of observations.
    pub fn obs(&self) -> &DataFrame {
        &self.obs
    }

    /// The table of observations, to add or replace columns; the number of rows cannot change.
    pub fn obs_mut(&mut self) -> AxisMut<'_> {
        AxisMut(&mut self.obs)
    }

    /// The table of variables.
    pub fn var(&self) -> &DataFrame {
        &self.var
    }

    /// The table of variables, to add or replace columns; the number of rows cannot change.
    pub fn var_mut(&mut self) -> AxisMut<'_> {
        AxisMut(&mut self.var)
    }

    /// Matrices of the shape of `X`.
    pub fn layers(&self) -> &BTreeMap<String, Matrix> {
        &self.layers
    }

    /// The layer `name`.
    ///
    /// # Errors
    /// [`Error::NoSlot`], which lists the layers that are there.
    pub fn layer(&self, name: &str) -> Result<&Matrix> {
        self.layers.get(name).ok_or_else(|| no_slot(keys::LAYERS, name, self.layers.keys()))
    }

    /// Sets a layer.
    ///
    /// # Errors
    /// [`Error::SlotShape`] if it is not `n_obs × n_vars`.
    pub fn insert_layer(&mut self, name: impl Into<String>, layer: Matrix) -> Result<()> {
        let name = name.into();
        self.check_matrix(slot(keys::LAYERS, &name), &layer)?;
        self.layers.insert(name, layer);
        Ok(())
    }

    /// Arrays with one row an observation: embeddings, coordinates.
    pub fn obsm(&self) -> &BTreeMap<String, Array2<f32>> {
        &self.obsm
    }

    /// Sets an array with one row an observation.
    ///
    /// # Errors
    /// [`Error::SlotShape`] if it has not `n_obs` rows.
    pub fn insert_obsm(&mut self, name: impl Into<String>, array: Array2<f32>) -> Result<()> {
        let name = name.into();
        check(slot(keys::OBSM, &name), "rows", array.nrows(), "n_obs", self.n_obs())?;
        self.obsm.insert(name, array);
        Ok(())
    }

    /// Arrays with one row a variable: loadings.
    pub fn varm(&self) -> &BTreeMap<String, Array2<f32>> {
        &self.varm
    }

    /// Sets an array with one row a variable.
    ///
    /// # Errors
    /// [`Error::SlotShape`] if it has not `n_vars` rows.
    pub fn insert_varm(&mut self, name: impl Into<String>, array: Array2<f32>) -> Result<()> {
        let name = name.into();
        check(slot(keys::VARM, &name), "rows", array.nrows(), "n_vars", self.n_vars())?;
        self.varm.insert(name, array);
        Ok(())
    }

    /// Graphs over the observations.
    pub fn obsp(&self) -> &BTreeMap<String, Csr> {
        &self.obsp
    }

    /// Sets a graph over the observations.
    ///
    /// # Errors
    /// [`Error::SlotShape`] if it is not `n_obs × n_obs`.
    pub fn insert_obsp(&mut self, name: impl Into<String>, graph: Csr) -> Result<()> {
        let name = name.into();
        check(slot(keys::OBSP, &name), "rows", graph.n_rows(), "n_obs", self.n_obs())?;
        check(slot(keys::OBSP, &name), "columns", graph.n_cols(), "n_obs", self.n_obs())?;
        self.obsp.insert(name, graph);
        Ok(())
    }

    /// Graphs over the variables.
    pub fn varp(&self) -> &BTreeMap<String, Csr> {
        &self.varp
    }

    /// Sets a graph over the variables.
    ///
    /// # Errors
    /// [`Error::SlotShape`] if it is not `n_vars × n_vars`.
    pub fn insert_varp(&mut self, name: impl Into<String>, graph: Csr) -> Result<()> {
        let name = name.into();
        check(slot(keys::VARP, &name), "rows", graph.n_rows(), "n_vars", self.n_vars())?;
        check(slot(keys::VARP, &name), "columns", graph.n_cols(), "n_vars", self.n_vars())?;
        self.varp.insert(name, graph);
        Ok(())
    }

    /// Everything that has no axis.
    pub fn uns(&self) -> &BTreeMap<String, Value> {
        &self.uns
    }

    /// Everything that has no axis, to change.
    pub fn uns_mut(&mut self) -> &mut BTreeMap<String, Value> {
        &mut self.uns
    }

    /// `X` and `var` as they were before genes were dropped, if they were kept.
    pub fn raw(&self) -> Option<&Raw> {
        self.raw.as_ref()
    }

    /// Sets, replaces or removes `raw`.
    ///
    /// # Errors
    /// [`Error::SlotShape`] if it has not `n_obs` rows.
    pub fn set_raw(&mut self, raw: Option<Raw>) -> Result<()> {
        if let Some(raw) = &raw {
            check("raw.X".to_owned(), "rows", raw.x.n_rows(), "n_obs", self.n_obs())?;
        }
        self.raw = raw;
        Ok(())
    }

    fn check_matrix(&self, slot: String, matrix: &Matrix) -> Result<()> {
        check(slot.clone(), "rows", matrix.n_rows(), "n_obs", self.n_obs())?;
        check(slot, "columns", matrix.n_cols(), "n_vars", self.n_vars())
    }
}

/// One axis of an [`AnnData`], to change: columns and names, never the number of rows.
#[derive(Debug)]
pub struct AxisMut<'a>(&'a mut DataFrame);

impl AxisMut<'_> {
    /// [`DataFrame::insert`].
    ///
    /// # Errors
    /// As there.
    pub fn insert(&mut self, name: impl Into<String>, column: crate::Column) -> Result<()> {
        self.0.insert(name, column)
    }

    /// [`DataFrame::remove`].
    pub fn remove(&mut self, name: &str) -> Option<crate::Column> {
        self.0.remove(name)
    }

    /// [`DataFrame::set_index`].
    ///
    /// # Errors
    /// As there.
    pub fn set_index(&mut self, index: Vec<String>) -> Result<()> {
        self.0.set_index(index)
    }

    /// [`DataFrame::set_index_name`].
    ///
    /// # Errors
    /// As there.
    pub fn set_index_name(&mut self, name: Option<&str>) -> Result<()> {
        self.0.set_index_name(name)
    }
}

/// What a member of a group of slots is called in messages.
pub(crate) fn slot(group: &str, name: &str) -> String {
    format!("{group}[{name:?}]")
}

/// Whether a slot has the length of its axis.
pub(crate) fn check(
    slot: String,
    what: &'static str,
    found: usize,
    axis: &'static str,
    expected: usize,
) -> Result<()> {
    if found == expected { Ok(()) } else { Err(Error::SlotShape { slot, what, found, axis, expected }) }
}

pub(crate) fn no_slot<'a>(group: &'static str, name: &str, known: impl Iterator<Item = &'a String>) -> Error {
    Error::NoSlot { group, name: name.to_owned(), known: known.cloned().collect() }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::Column;

    pub(super) fn names(prefix: &str, n: usize) -> Vec<String> {
        (0..n).map(|i| format!("{prefix}{i}")).collect()
    }

    fn adata() -> AnnData {
        let (obs, var) = (DataFrame::new(names("c", 5)), DataFrame::new(names("g", 2)));
        AnnData::new(Matrix::Dense(Array2::zeros((5, 2))), obs, var).unwrap()
    }

    #[test]
    fn every_setter_refuses_a_shape_that_does_not_fit_and_names_the_slot() {
        let mut a = adata();
        let e = a.insert_obsm("X_pca", Array2::zeros((3, 2))).unwrap_err();
        assert_eq!(e.to_string(), "`obsm[\"X_pca\"]` has 3 rows, but n_obs = 5");
        let e = a.set_x(Some(Matrix::Dense(Array2::zeros((5, 3))))).unwrap_err();
        assert_eq!(e.to_string(), "`X` has 3 columns, but n_vars = 2");
        let e = a.insert_layer("counts", Matrix::Dense(Array2::zeros((4, 2)))).unwrap_err();
        assert_eq!(e.to_string(), "`layers[\"counts\"]` has 4 rows, but n_obs = 5");
        let e = a.insert_varm("PCs", Array2::zeros((5, 2))).unwrap_err();
        assert_eq!(e.to_string(), "`varm[\"PCs\"]` has 5 rows, but n_vars = 2");
        let square = Csr::from_dense(Array2::zeros((5, 2)).view());
        let e = a.insert_obsp("distances", square.clone()).unwrap_err();
        assert_eq!(e.to_string(), "`obsp[\"distances\"]` has 2 columns, but n_obs = 5");
        assert!(a.insert_varp("r", square).is_err());
        let raw = Raw::new(Matrix::Dense(Array2::zeros((4, 3))), DataFrame::new(names("g", 3))).unwrap();
        assert_eq!(a.set_raw(Some(raw)).unwrap_err().to_string(), "`raw.X` has 4 rows, but n_obs = 5");
        assert!(Raw::new(Matrix::Dense(Array2::zeros((5, 3))), DataFrame::new(names("g", 2))).is_err());
        assert_eq!(a, adata());
    }

    #[test]
    fn the_axes_take_columns_of_their_length_only() {
        let mut a = adata();
        assert!(a.obs_mut().insert("n", Column::I64(vec![1; 4])).is_err());
        a.obs_mut().insert("n", Column::I64(vec![1; 5])).unwrap();
        assert!(a.var_mut().set_index(names("h", 3)).is_err());
        assert_eq!(a.obs().column_names(), ["n"]);
    }

    #[test]
    fn a_layer_that_is_not_there_is_answered_with_those_that_are() {
        let mut a = adata();
        a.insert_layer("counts", Matrix::Dense(Array2::zeros((5, 2)))).unwrap();
        let e = a.layer("raw_counts").unwrap_err();
        assert!(matches!(e, Error::NoSlot { known, .. } if known == ["counts"]));
    }
}
