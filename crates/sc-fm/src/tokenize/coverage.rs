use std::collections::HashMap;

use super::species::{OtherSpecies, other_species};
use super::{Error, Result};

/// Which columns of a matrix are genes of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Coverage {
    /// Columns of the matrix.
    pub n_columns: usize,
    /// Different genes of the model among them.
    pub n_genes: usize,
    /// Genes that the model has.
    pub n_model_genes: usize,
    /// Columns known only without the version behind their Ensembl id.
    pub n_versions: usize,
    /// Columns that share their gene with another column, ascending.
    pub shared: Vec<usize>,
    /// Columns that are no gene of the model, ascending.
    pub unknown: Vec<usize>,
}

impl Coverage {
    /// From the gene of each column.
    pub(crate) fn of(found: &[Option<u32>], n_versions: usize, n_model_genes: usize) -> Self {
        let mut n_columns_of: HashMap<u32, usize> = HashMap::new();
        found.iter().flatten().for_each(|&gene| *n_columns_of.entry(gene).or_default() += 1);
        let columns = |accepts: &dyn Fn(Option<u32>) -> bool| -> Vec<usize> {
            (0..found.len()).filter(|&column| accepts(found[column])).collect()
        };
        Self {
            n_columns: found.len(),
            n_genes: n_columns_of.len(),
            n_model_genes,
            n_versions,
            shared: columns(&|gene| gene.is_some_and(|gene| n_columns_of[&gene] > 1)),
            unknown: columns(&|gene| gene.is_none()),
        }
    }

    /// Share of the columns that are genes of the model, in 0..=1; 0 without columns.
    pub fn fraction(&self) -> f64 {
        (self.n_columns - self.unknown.len()) as f64 / self.n_columns.max(1) as f64
    }

    /// Refuses a matrix of another species, or of which the model knows too little.
    pub(crate) fn check<S: AsRef<str>>(&self, ids: &[S], min_known: f64) -> Result<()> {
        if !(0.0..=1.0).contains(&min_known) {
            return Err(Error::Fraction { name: "min_known", value: min_known });
        }
        let first = |columns: &[usize]| columns.first().map_or("", |&column| ids[column].as_ref()).to_owned();
        if min_known > 0.0
            && let Some(OtherSpecies { species, n, first }) = other_species(ids)
        {
            return Err(Error::OtherSpecies { species, n, n_columns: ids.len(), first });
        }
        if self.n_genes == 0 {
            return Err(Error::NoGenes { n_columns: ids.len(), first: first(&self.unknown) });
        }
        if self.fraction() < min_known {
            return Err(Error::FewGenes {
                n_known: self.n_columns - self.unknown.len(),
                n_columns: self.n_columns,
                min_known,
                first: first(&self.unknown),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_that_the_model_hardly_knows_is_refused_unless_forced() {
        let ids = ["CD3E", "X1", "X2"];
        let coverage = Coverage::of(&[Some(0), None, None], 0, 9);
        let error = coverage.check(&ids, 0.5).unwrap_err();
        let message = "1 of 3 columns are genes of the model, expected a share of at least 0.5; the first unknown one is \"X1\"";
        assert_eq!(error.to_string(), message);
        assert!(error.help().unwrap().contains("min_known"));
        assert!(coverage.check(&ids, 0.3).is_ok() && coverage.check(&ids, 0.0).is_ok());
        for min_known in [-0.1, 1.1, f64::NAN] {
            assert!(matches!(coverage.check(&ids, min_known), Err(Error::Fraction { .. })));
        }
    }

    #[test]
    fn mouse_genes_are_named_as_such_even_where_their_symbols_are_known() {
        let coverage = Coverage::of(&[Some(0), Some(1), Some(2)], 0, 9);
        let error = coverage.check(&["Cd3e", "Lyz2", "NKG7"], 0.5).unwrap_err();
        let message =
            "2 of 3 columns are genes of mouse or rat, such as \"Cd3e\"; the model knows human genes";
        assert_eq!(error.to_string(), message);
        assert!(error.help().unwrap().contains("ortholog"));
        assert!(coverage.check(&["Cd3e", "Lyz2", "NKG7"], 0.0).is_ok());
    }
}
