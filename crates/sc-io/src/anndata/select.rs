//! Subsets of an `AnnData` along either axis.

use ndarray::Axis;

use super::{AnnData, Raw};
use crate::{Csr, Error, Matrix, Result};

impl AnnData {
    /// The observations `rows`, in that order, with everything aligned to them; a row may be asked for more than once.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] for an index that is not below `n_obs`.
    pub fn select_obs(&self, rows: &[usize]) -> Result<Self> {
        bounds("n_obs", rows, self.n_obs())?;
        Ok(Self {
            x: self.x.as_ref().map(|x| select_rows(x, rows)),
            obs: self.obs.select(rows),
            var: self.var.clone(),
            layers: self.layers.iter().map(|(k, m)| (k.clone(), select_rows(m, rows))).collect(),
            obsm: self.obsm.iter().map(|(k, a)| (k.clone(), a.select(Axis(0), rows))).collect(),
            varm: self.varm.clone(),
            obsp: self.obsp.iter().map(|(k, g)| (k.clone(), select_both(g, rows))).collect(),
            varp: self.varp.clone(),
            uns: self.uns.clone(),
            raw: self.raw.as_ref().map(|raw| Raw { x: select_rows(&raw.x, rows), var: raw.var.clone() }),
        })
    }

    /// The variables `columns`, in that order, with everything aligned to them; a variable may be asked for more than
    /// once. `raw` keeps all of its own.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] for an index that is not below `n_vars`.
    pub fn select_vars(&self, columns: &[usize]) -> Result<Self> {
        bounds("n_vars", columns, self.n_vars())?;
        Ok(Self {
            x: self.x.as_ref().map(|x| select_columns(x, columns)),
            obs: self.obs.clone(),
            var: self.var.select(columns),
            layers: self.layers.iter().map(|(k, m)| (k.clone(), select_columns(m, columns))).collect(),
            obsm: self.obsm.clone(),
            varm: self.varm.iter().map(|(k, a)| (k.clone(), a.select(Axis(0), columns))).collect(),
            obsp: self.obsp.clone(),
            varp: self.varp.iter().map(|(k, g)| (k.clone(), select_both(g, columns))).collect(),
            uns: self.uns.clone(),
            raw: self.raw.clone(),
        })
    }
}

fn bounds(axis: &'static str, chosen: &[usize], bound: usize) -> Result<()> {
    match chosen.iter().find(|&&i| i >= bound) {
        Some(&index) => Err(Error::OutOfBounds { axis, index, bound }),
        None => Ok(()),
    }
}

fn select_rows(matrix: &Matrix, rows: &[usize]) -> Matrix {
    match matrix {
        Matrix::Csr(m) => Matrix::Csr(m.select_rows(rows)),
        Matrix::Csc(m) if distinct(rows, m.n_rows()) => Matrix::Csc(m.select_rows(rows)),
        Matrix::Csc(m) => Matrix::Csc(m.to_csr().select_rows(rows).to_csc()),
        Matrix::Dense(m) => Matrix::Dense(m.select(Axis(0), rows)),
    }
}

fn select_columns(matrix: &Matrix, columns: &[usize]) -> Matrix {
    match matrix {
        Matrix::Csr(m) => Matrix::Csr(csr_columns(m, columns)),
        Matrix::Csc(m) => Matrix::Csc(m.select_columns(columns)),
        Matrix::Dense(m) => Matrix::Dense(m.select(Axis(1), columns)),
    }
}

fn select_both(graph: &Csr, nodes: &[usize]) -> Csr {
    csr_columns(&graph.select_rows(nodes), nodes)
}

/// `Csr::select_columns` takes each column at most once; repeats go through the other form.
fn csr_columns(m: &Csr, columns: &[usize]) -> Csr {
    if distinct(columns, m.n_cols()) {
        m.select_columns(columns)
    } else {
        m.to_csc().select_columns(columns).to_csr()
    }
}

fn distinct(chosen: &[usize], bound: usize) -> bool {
    let mut seen = vec![false; bound];
    chosen.iter().all(|&i| !std::mem::replace(&mut seen[i], true))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;
    use crate::anndata::tests::names;
    use crate::{Column, DataFrame};

    fn adata() -> AnnData {
        let x = array![[1.0f32, 0.0, 2.0], [0.0, 3.0, 0.0], [4.0, 5.0, 6.0]];
        let mut obs = DataFrame::new(names("c", 3));
        obs.insert("n", Column::I64(vec![10, 20, 30])).unwrap();
        let csr = Csr::from_dense(x.view());
        let mut a = AnnData::new(Matrix::Csr(csr.clone()), obs, DataFrame::new(names("g", 3))).unwrap();
        a.insert_layer("dense", Matrix::Dense(x.clone())).unwrap();
        a.insert_layer("csc", Matrix::Csc(csr.to_csc())).unwrap();
        a.insert_obsm("X", x.clone()).unwrap();
        a.insert_varm("V", x).unwrap();
        a.insert_obsp("d", csr.clone()).unwrap();
        a.insert_varp("e", csr).unwrap();
        a
    }

    fn dense(m: &Matrix) -> Array2<f32> {
        m.to_csr().to_dense()
    }

    #[test]
    fn all_forms_of_a_matrix_give_the_same_subset() {
        for chosen in [&[2usize, 0][..], &[1, 1, 0], &[]] {
            let a = adata().select_obs(chosen).unwrap();
            let expected = a.obsm()["X"].clone();
            assert_eq!(dense(a.x().unwrap()), expected);
            assert_eq!(dense(a.layer("dense").unwrap()), expected);
            assert_eq!(dense(a.layer("csc").unwrap()), expected);
            assert_eq!(a.obsp()["d"].to_dense(), expected.select(Axis(1), chosen));
            assert_eq!((a.n_obs(), a.n_vars()), (chosen.len(), 3));

            let a = adata().select_vars(chosen).unwrap();
            let expected = adata().obsm()["X"].select(Axis(1), chosen);
            assert_eq!(dense(a.x().unwrap()), expected);
            assert_eq!(dense(a.layer("dense").unwrap()), expected);
            assert_eq!(dense(a.layer("csc").unwrap()), expected);
            assert_eq!(a.varp()["e"].to_dense(), expected.select(Axis(0), chosen));
            assert_eq!(a.varm()["V"].nrows(), chosen.len());
        }
    }

    #[test]
    fn an_index_outside_the_axis_is_an_error() {
        assert!(matches!(
            adata().select_obs(&[3]),
            Err(Error::OutOfBounds { axis: "n_obs", index: 3, bound: 3 })
        ));
        assert!(matches!(adata().select_vars(&[9]), Err(Error::OutOfBounds { axis: "n_vars", .. })));
    }
}
