//! One embedding for each state that cells are in.

use ndarray::Array2;

use super::{Embedding, Error};
use crate::models::ExactSum;

/// How the embeddings of a state become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Summary {
    /// The mean.
    #[default]
    Mean,
    /// The median of each value, the lower one of two, as PyTorch's.
    Median,
}

/// An embedding for each label of a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct StateEmbedding {
    /// The labels, sorted.
    pub labels: Vec<String>,
    /// Cells of each label that have an embedding.
    pub n_cells: Vec<usize>,
    /// `labels × width`; NaN for a label none of whose cells has an embedding.
    pub values: Array2<f32>,
}

impl Embedding {
    /// The exact mean or median of the cells of each label. Cells without a label or without an embedding count for
    /// nothing. The order of the cells does not matter, to the last bit.
    ///
    /// * `labels`: one for each row of the embedding.
    ///
    /// # Errors
    /// [`Error::Labels`].
    pub fn states<S: AsRef<str>>(
        &self,
        labels: &[Option<S>],
        summary: Summary,
    ) -> Result<StateEmbedding, Error> {
        if labels.len() != self.values.nrows() {
            return Err(Error::Labels { found: labels.len(), expected: self.values.nrows() });
        }
        let mut names: Vec<String> = labels.iter().flatten().map(|label| label.as_ref().to_owned()).collect();
        names.sort();
        names.dedup();
        let mut members: Vec<Vec<usize>> = vec![vec![]; names.len()];
        for (row, label) in labels.iter().enumerate() {
            let Some(label) = label else { continue };
            let state = names.binary_search_by(|name| name.as_str().cmp(label.as_ref()));
            if self.missing.binary_search(&self.rows[row]).is_err() {
                members[state.expect("every label is among the names")].push(row);
            }
        }
        let mut values = Array2::from_elem((names.len(), self.values.ncols()), f32::NAN);
        for (state, rows) in members.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            for column in 0..self.values.ncols() {
                let of_cells = rows.iter().map(|&row| self.values[[row, column]]);
                values[[state, column]] = match summary {
                    Summary::Mean => mean(of_cells),
                    Summary::Median => median(of_cells),
                };
            }
        }
        Ok(StateEmbedding { labels: names, n_cells: members.iter().map(Vec::len).collect(), values })
    }
}

fn mean(values: impl ExactSizeIterator<Item = f32>) -> f32 {
    let n = values.len() as u64;
    let mut sum = ExactSum::default();
    values.for_each(|value| sum.add(value));
    sum.mean(n)
}

fn median(values: impl ExactSizeIterator<Item = f32>) -> f32 {
    let mut values: Vec<f32> = values.collect();
    let middle = (values.len() - 1) / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn states_are_means_or_lower_medians_of_their_cells() {
        let values =
            ndarray::array![[1.0f32, 0.5], [2.0, 1.5], [f32::NAN, f32::NAN], [6.0, -0.5], [4.0, 4.0]];
        let mut embedding = testing::embedding(values);
        embedding.missing = vec![2];
        let labels = [Some("B"), Some("B"), Some("NK"), Some("B"), None];
        let mean = embedding.states(&labels, Summary::Mean).unwrap();
        assert_eq!(
            (mean.labels.as_slice(), mean.n_cells.as_slice()),
            (&["B".to_owned(), "NK".to_owned()][..], &[3, 0][..])
        );
        assert_eq!(mean.values.row(0).to_vec(), [3.0, 0.5]);
        assert!(mean.values.row(1).iter().all(|value| value.is_nan()));
        let median = embedding.states(&labels, Summary::Median).unwrap();
        assert_eq!(median.values.row(0).to_vec(), [2.0, 0.5]);
        let two = [Some("A"), Some("A"), None, None, None];
        assert_eq!(embedding.states(&two, Summary::Median).unwrap().values.row(0).to_vec(), [1.0, 0.5]);
    }

    #[test]
    fn a_label_for_each_row_is_wanted() {
        let embedding = testing::embedding(ndarray::array![[1.0f32]]);
        let error = embedding.states::<&str>(&[], Summary::Mean).unwrap_err();
        assert_eq!(error.to_string(), "0 labels for 1 rows of the embedding, expected one for each");
    }
}
