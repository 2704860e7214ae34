use std::collections::HashMap;

use super::rank_sum::{benjamini_hochberg, rank_sum};
use crate::perturb::{Error, Gene, Table, Value};

/// A gene in two sets of cells.
#[derive(Clone, Debug, PartialEq)]
pub struct VsNull {
    /// The gene.
    pub gene: Gene,
    /// Mean over the cells of the test.
    pub test: f64,
    /// Mean over the cells of the null distribution; none without such cells.
    pub null: Option<f64>,
    /// Of a rank-sum test of the two; none without cells of the null distribution.
    pub p: Option<f64>,
    /// `p`, adjusted for the number of genes that have one.
    pub fdr: Option<f64>,
    /// Cells of the test.
    pub n_test: usize,
    /// Cells of the null distribution.
    pub n_null: usize,
}

impl VsNull {
    /// The difference of the means.
    pub fn difference(&self) -> Option<f64> {
        Some(self.test - self.null?)
    }
}

/// Each gene of `test` beside the same gene in `null`, in order of the table.
///
/// # Errors
/// [`Error::NoState`]; [`Error::TooFew`] if the tables have no gene in common.
pub fn vs_null(test: &Table, null: &Table, value: Value<'_>) -> Result<Vec<VsNull>, Error> {
    let null_values = null.values(value)?;
    let of_null: HashMap<&str, &Vec<f64>> =
        null.genes.iter().map(|gene| gene.id.as_str()).zip(&null_values).collect();
    let mut found = vec![];
    for (gene, values) in test.genes.iter().zip(test.values(value)?) {
        if values.is_empty() {
            continue;
        }
        let null: &[f64] = of_null.get(gene.id.as_str()).map_or(&[], |values| values.as_slice());
        found.push(VsNull {
            gene: gene.clone(),
            test: super::mean(&values),
            null: (!null.is_empty()).then(|| super::mean(null)),
            p: rank_sum(&values, null),
            fdr: None,
            n_test: values.len(),
            n_null: null.len(),
        });
    }
    let p: Vec<Option<f64>> = found.iter().map(|row| row.p).collect();
    if p.iter().all(Option::is_none) {
        let (what, of) = ("the comparison with a null distribution", "gene perturbed in both tables");
        return Err(Error::TooFew { what, of, found: 0, expected: 1 });
    }
    found.iter_mut().zip(benjamini_hochberg(&p)).for_each(|(row, fdr)| row.fdr = fdr);
    Ok(found)
}
