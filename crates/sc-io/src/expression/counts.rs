use super::{Place, first_offender};
use crate::Csr;

/// A value of what should be raw counts is not finite, not whole or negative.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`X` holds {value} for cell {obs}, gene {var}: not a raw count")]
pub struct NotCounts {
    /// The cell.
    pub obs: Place,
    /// The gene.
    pub var: Place,
    /// The value.
    pub value: f32,
}

impl NotCounts {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        Some("pass raw counts; if they are in a layer or in raw, name it")
    }
}

/// Raw counts, `n_obs × n_vars`: every stored value is finite, whole and not negative.
#[derive(Clone, Copy, Debug)]
pub struct Counts<'a>(&'a Csr);

impl<'a> Counts<'a> {
    /// Proves in one pass that `x` holds raw counts.
    ///
    /// # Errors
    /// [`NotCounts`] with the first value that is NaN, infinite, negative or not whole.
    pub fn new(x: &'a Csr) -> Result<Self, NotCounts> {
        Self::named(x, &[], &[])
    }

    /// As [`Counts::new`]; an error names the cell and the gene. A name that is missing is replaced by the index.
    ///
    /// # Errors
    /// As [`Counts::new`].
    pub fn named(x: &'a Csr, obs_names: &[String], var_names: &[String]) -> Result<Self, NotCounts> {
        match first_offender(x, is_count) {
            None => Ok(Self(x)),
            Some((obs, var, value)) => {
                let (obs, var) = (Place::new(obs, obs_names), Place::new(var, var_names));
                Err(NotCounts { obs, var, value })
            }
        }
    }

    /// Takes the caller's word that `x` holds raw counts, as where it has just been filled with them. What is computed
    /// from anything else means nothing.
    pub fn assumed(x: &'a Csr) -> Self {
        debug_assert!(x.values().iter().all(|&v| is_count(v)), "assumed to be counts");
        Self(x)
    }

    /// The matrix.
    pub fn csr(self) -> &'a Csr {
        self.0
    }

    /// Number of cells.
    pub fn n_obs(self) -> usize {
        self.0.n_rows()
    }

    /// Number of genes.
    pub fn n_vars(self) -> usize {
        self.0.n_cols()
    }

    /// The cells without a single count, ascending.
    ///
    /// No step here fails on them: normalising leaves them all zero, scaling puts them at the background of every
    /// gene, and PCA places them all at one point. Whether to keep them is for the caller to decide.
    pub fn empty_cells(self) -> Vec<usize> {
        (0..self.n_obs()).filter(|&i| self.0.row(i).1.iter().all(|&v| v == 0.0)).collect()
    }
}

/// Finite, whole and not negative.
#[inline]
fn is_count(v: f32) -> bool {
    // From 2^23 on every f32 is whole; below, adding and taking away 2^23 rounds to a whole number. Unlike `trunc`,
    // which is a call on older processors, this is checked for several values at a time.
    const WHOLE: f32 = 8_388_608.0;
    (0.0..=f32::MAX).contains(&v) & ((v >= WHOLE) | ((v + WHOLE) - WHOLE == v))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[f32]) -> Csr {
        let n = values.len();
        Csr::new(2, n, vec![0, 0, n], (0..n as u32).collect(), values.to_vec()).unwrap()
    }

    #[test]
    fn the_first_value_that_is_no_count_is_named() {
        for bad in [1.5, -1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-40] {
            let x = row(&[1.0, bad, 0.5]);
            let NotCounts { obs, var, value } = Counts::new(&x).unwrap_err();
            assert_eq!((obs.index, var.index, value.to_bits()), (1, 1, bad.to_bits()));
        }
    }

    #[test]
    fn the_error_tells_cell_gene_and_what_to_do() {
        let names = |names: &[&str]| names.iter().map(|s| s.to_string()).collect::<Vec<_>>();
        let (obs, var) = (names(&["AAAA-1", "AAAC-1"]), names(&["CD3D", "LYZ"]));
        let x = row(&[2.0, 1.6094]);
        let error = Counts::named(&x, &obs, &var).unwrap_err();
        let message = "`X` holds 1.6094 for cell \"AAAC-1\", gene \"LYZ\": not a raw count";
        assert_eq!(error.to_string(), message);
        assert_eq!(error.help(), Some("pass raw counts; if they are in a layer or in raw, name it"));
        let message = "`X` holds 1.6094 for cell 1, gene 1: not a raw count";
        assert_eq!(Counts::new(&x).unwrap_err().to_string(), message);
    }

    #[test]
    fn whole_numbers_of_any_size_are_counts_and_zero_rows_are_empty_cells() {
        let x = row(&[0.0, 1.0, 16_777_216.0, 3e38]);
        assert_eq!(Counts::new(&x).unwrap().empty_cells(), [0]);
        let x = row(&[0.0, -0.0]);
        assert_eq!(Counts::new(&x).unwrap().empty_cells(), [0, 1]);
    }

    #[test]
    fn an_offender_far_into_the_matrix_is_found_in_its_row() {
        let n = 3 * super::super::BLOCK;
        let mut values = vec![1.0; n];
        values[n - 5] = 0.25;
        let x = Csr::new(n, 1, (0..=n).collect(), vec![0; n], values).unwrap();
        let message = format!("`X` holds 0.25 for cell {}, gene 0: not a raw count", n - 5);
        assert_eq!(Counts::new(&x).unwrap_err().to_string(), message);
    }
}
