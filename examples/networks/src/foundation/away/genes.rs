//! Columns of the other file in the place of the first data set's genes.

use std::collections::BTreeMap;

use anyhow::Result;
use sc_io::Csr;
use sc_prep::{FeatureSpace, FeatureSpaceParams, LogNormalized};

use sc_examples::end::Usage;
use sc_examples::genes::GeneTable;
use sc_examples::progress::thousands;

/// Which gene of the first data set each column of the file is.
pub(super) struct Alignment {
    /// For each column of the file.
    home: Vec<Option<u32>>,
    /// For each gene of the first data set, whether the file has it.
    there: Vec<bool>,
}

impl Alignment {
    /// Genes are matched by name. Of a name that one of the two has twice, the first takes part.
    pub(super) fn new(home: &[String], away: &[String], table: &GeneTable) -> Self {
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for (place, gene) in home.iter().enumerate() {
            places.entry(table.name(gene)).or_insert(place);
        }
        let mut there = vec![false; home.len()];
        let find = |gene: &String| {
            let place = *places.get(table.name(gene))?;
            let is_first = !std::mem::replace(&mut there[place], true);
            is_first.then_some(place as u32)
        };
        Self { home: away.iter().map(find).collect(), there }
    }

    /// Genes of the first data set that the file has.
    pub(super) fn n_shared(&self) -> usize {
        self.there.iter().filter(|&&there| there).count()
    }

    /// The gene of the first data set that a column of the file is.
    pub(super) fn of_column(&self, column: usize) -> Option<usize> {
        self.home[column].map(|gene| gene as usize)
    }

    /// Rows of the file in the first data set's genes; a gene that the file lacks has no counts.
    pub(super) fn apply(&self, x: &Csr) -> Csr {
        let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
        let mut row: Vec<(u32, f32)> = Vec::new();
        for i in 0..x.n_rows() {
            let (columns, stored) = x.row(i);
            let known = columns.iter().zip(stored);
            row.clear();
            row.extend(known.filter_map(|(&column, &value)| Some((self.home[column as usize]?, value))));
            row.sort_unstable_by_key(|&(gene, _)| gene);
            indices.extend(row.iter().map(|&(gene, _)| gene));
            values.extend(row.iter().map(|&(_, value)| value));
            indptr.push(indices.len());
        }
        Csr::new(x.n_rows(), self.there.len(), indptr, indices, values)
            .expect("each gene is one column at most, and they are sorted")
    }

    /// How many of the variable genes of the training cells the file has, of how many.
    ///
    /// * `names`: of the file and of the first data set, each with an example of its genes.
    ///
    /// # Errors
    /// [`Usage`] below a half; as [`FeatureSpace::fit`].
    pub(super) fn variable(
        &self,
        x: &LogNormalized,
        train: &[usize],
        params: &FeatureSpaceParams,
        names: [(&str, Option<&String>); 2],
    ) -> Result<(usize, usize)> {
        let space = FeatureSpace::fit(x, train, params)?;
        let (found, all) =
            (space.genes().iter().filter(|&&gene| self.there[gene]).count(), space.genes().len());
        if 2 * found >= all {
            return Ok((found, all));
        }
        let [away, home] = names.map(|(name, example)| {
            format!("{name} names them like {:?}", example.map_or("none", String::as_str))
        });
        let text = format!(
            "the file of --test has {} of the {} variable genes of the training cells, fewer than half ({away}, {home}); if one \
             names genes by identifier and the other by symbol, pass --gene-table with a CSV of identifier,name",
            thousands(found),
            thousands(all)
        );
        Err(Usage(text).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_find_their_genes_whatever_their_order() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let (home, away) = (names(&["A", "B", "C", "B"]), names(&["x", "C.1", "B", "A", "A"]));
        let genes = Alignment::new(&home, &away, &GeneTable::default());
        // A version is one of Ensembl identifiers alone, and "C.1" is none.
        assert_eq!(genes.n_shared(), 2);
        assert_eq!((genes.of_column(2), genes.of_column(4)), (Some(1), None));
        let x = ndarray::array![[9.0, 8.0, 2.0, 1.0, 7.0], [0.0, 3.0, 0.0, 5.0, 0.0]];
        let expected = ndarray::array![[1.0, 2.0, 0.0, 0.0], [5.0, 0.0, 0.0, 0.0]];
        assert_eq!(genes.apply(&Csr::from_dense(x.view())).to_dense(), expected);
    }
}
