//! What was published for PBMC 3k, step by step: labels made of the expression itself, and scaled values for tokenisers.
//!
//! As far as its text tells: highly variable genes of all cells, scaled and clipped; Leiden clusters on their principal
//! components, named by the marker genes that are highest in them; the scaled matrix is what the tokenisers are given.

use anyhow::{Context, Result};
use ndarray::{Array1, Array2};
use sc_eval::Labels;
use sc_fm::embed::FoundationModel;
use sc_fm::tokenize::GeneIds;
use sc_fm::tokenize::rank::{RankParams, RankTokenizer};
use sc_io::{AnnData, Counts, Csr, DataFrame};
use sc_prep::leiden::leiden;
use sc_prep::{FeatureSpace, LeidenParams, LogNormalized};

use sc_examples::cells::Cells;
use sc_examples::end::Usage;
use sc_examples::fold::FoldParams;
use sc_examples::map;

/// Marker genes of each type.
const MARKERS: [(&str, &[&str]); 6] = [
    ("T", &["CD3D", "CD3E", "TRAC"]),
    ("NK", &["NKG7", "GNLY"]),
    ("B", &["MS4A1", "CD79A"]),
    ("Mono", &["LYZ", "S100A8", "S100A9", "FCGR3A"]),
    ("DC", &["FCER1A", "CST3"]),
    ("Platelet", &["PPBP", "PF4"]),
];

/// Labels and input as published.
pub(super) struct Published {
    /// Type of each cell, made of its expression.
    pub(super) labels: Labels,
    /// Clusters that were named.
    pub(super) n_clusters: usize,
    /// Cells × highly variable genes, scaled.
    scaled: Array2<f32>,
    /// The columns of these genes.
    pub(super) var: DataFrame,
}

impl Published {
    /// Makes labels and input of all cells.
    ///
    /// # Errors
    /// [`Usage`] if the data have none of the marker genes; as the steps.
    pub(super) fn make(cells: &Cells, x: &LogNormalized, params: &FoldParams) -> Result<Self> {
        let all: Vec<usize> = (0..x.n_obs()).collect();
        let space = FeatureSpace::fit(x, &all, &params.genes)?;
        let pcs = map::components(x, &params.genes, params.n_components)?;
        let clusters = leiden(&map::graph(pcs.view())?, &LeidenParams::default())?;
        let names = name_clusters(x.csr(), &cells.genes, &clusters.membership, clusters.n_clusters)?;
        let of_cells: Vec<&str> =
            clusters.membership.iter().map(|&cluster| names[cluster as usize]).collect();
        let labels =
            Labels::new(&of_cells).context("the clusters cannot be told apart by the marker genes")?;
        let genes = AnnData::without_x(DataFrame::new(vec![]), cells.var.clone());
        Ok(Self {
            labels,
            n_clusters: clusters.n_clusters,
            scaled: space.transform(x, &all)?.to_dense(),
            var: genes.select_vars(space.genes())?.var().clone(),
        })
    }

    /// The reason why no tokeniser here takes the scaled matrix.
    ///
    /// # Errors
    /// The first value that is no count.
    pub(super) fn check(&self, cells: &Cells) -> Result<()> {
        let matrix = Csr::from_dense(self.scaled.view());
        Counts::named(&matrix, &cells.names, self.var.index())
            .map(drop)
            .context("the published protocol gives the tokeniser scaled values, which are no counts (--force runs it all the same)")
    }

    /// What the reference tokeniser makes of the scaled matrix, as counts that ours orders alike.
    ///
    /// The reference takes any numbers: it divides those that are not 0 by the medians of their genes and sorts them,
    /// negative ones last; scGPT's bins depend on the order of the values as well. So it is the order that is handed on.
    ///
    /// # Errors
    /// As [`RankTokenizer::new`].
    pub(super) fn as_the_reference_sees_it(&self, model: &FoundationModel) -> Result<Csr> {
        let inverse = match model.vocabulary() {
            None => vec![Some(1.0); self.scaled.ncols()],
            Some(vocabulary) => {
                let ids = GeneIds::ensembl(&self.var).map_err(sc_fm::Error::from)?;
                let params = RankParams { special_token: false, ..RankParams::V1 };
                let tokenizer =
                    RankTokenizer::with_ids(vocabulary, &ids, &params).map_err(sc_fm::Error::from)?;
                inverse_medians(&tokenizer, ids.ids.len())?
            }
        };
        Ok(in_order(&self.scaled, &inverse))
    }
}

/// The type of each cluster: that whose markers lie highest above their means over all cells, on average.
fn name_clusters(
    x: &Csr,
    genes: &[String],
    membership: &[u32],
    n_clusters: usize,
) -> Result<Vec<&'static str>> {
    let mut sums = vec![Array1::<f64>::zeros(x.n_cols()); n_clusters];
    let mut sizes = vec![0usize; n_clusters];
    for (cell, &cluster) in membership.iter().enumerate() {
        sizes[cluster as usize] += 1;
        let (columns, values) = x.row(cell);
        for (&column, &value) in columns.iter().zip(values) {
            sums[cluster as usize][column as usize] += f64::from(value);
        }
    }
    let total = sums.iter().fold(Array1::<f64>::zeros(x.n_cols()), |total, sum| total + sum)
        / membership.len() as f64;
    let sets: Vec<(&str, Vec<usize>)> = MARKERS
        .iter()
        .map(|(name, markers)| {
            let column = |marker: &&str| genes.iter().position(|gene| gene.eq_ignore_ascii_case(marker));
            (*name, markers.iter().filter_map(column).collect())
        })
        .filter(|(_, columns): &(&str, Vec<usize>)| !columns.is_empty())
        .collect();
    if sets.len() < 2 {
        let text = "the published labels need the marker genes of two types at least, by symbol; the data have them for";
        return Err(Usage(format!("{text} {}", sets.len())).into());
    }
    let name = |(sum, &size): (&Array1<f64>, &usize)| {
        let score = |columns: &[usize]| {
            let above = columns.iter().map(|&gene| sum[gene] / size as f64 - total[gene]).sum::<f64>();
            above / columns.len() as f64
        };
        let mut best = &sets[0];
        for set in &sets[1..] {
            if score(&set.1) > score(&best.1) {
                best = set;
            }
        }
        best.0
    };
    Ok(sums.iter().zip(&sizes).map(name).collect())
}

/// One over the median of each column's gene; none for a column that the model does not know.
fn inverse_medians(tokenizer: &RankTokenizer, n_columns: usize) -> Result<Vec<Option<f64>>> {
    let columns = (0..n_columns as u32).collect();
    let one_each = Csr::new(n_columns, n_columns, (0..=n_columns).collect(), columns, vec![1.0; n_columns])?;
    let counts = Counts::new(&one_each)?;
    let inverse = |column| {
        let ranked = tokenizer.rank_cell(counts, column, None).map_err(sc_fm::Error::from)?;
        Ok(ranked.first().map(|gene| gene.value / gene.counts))
    };
    (0..n_columns).map(inverse).collect()
}

/// Whole numbers that have the order of `x · inverse` in each row when they are multiplied by `inverse` themselves.
fn in_order(x: &Array2<f32>, inverse: &[Option<f64>]) -> Csr {
    let largest = inverse.iter().flatten().copied().fold(0.0, f64::max);
    // Neighbours in the order are this far apart, which rounding to whole numbers cannot bridge.
    let step = 4.0 * largest;
    let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
    for row in x.rows() {
        let known = row.iter().zip(inverse).enumerate();
        let mut order: Vec<(f64, usize, f64)> = known
            .filter_map(|(column, (&value, inverse))| {
                let inverse = (*inverse).filter(|_| value != 0.0)?;
                Some((f64::from(value) * inverse, column, inverse))
            })
            .collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let n = order.len();
        let counts = order.iter().enumerate();
        let mut counts: Vec<(u32, f32)> = counts
            .map(|(rank, &(_, column, inverse))| {
                (column as u32, ((n - rank) as f64 * step / inverse).round() as f32)
            })
            .collect();
        counts.sort_unstable_by_key(|&(column, _)| column);
        indices.extend(counts.iter().map(|&(column, _)| column));
        values.extend(counts.iter().map(|&(_, count)| count));
        indptr.push(indices.len());
    }
    Csr::new(x.nrows(), x.ncols(), indptr, indices, values).expect("columns rise in every row")
}

#[cfg(test)]
mod tests {
    use sc_fm::tokenize::vocabulary::Vocabulary;

    use super::*;

    #[test]
    fn tokens_come_in_the_order_of_the_scaled_values_over_the_medians() {
        let medians = [("A", 0.09), ("B", 634.0), ("C", 2.5), ("D", 3.0)];
        let tokens = medians.iter().zip(0..).map(|((gene, _), token)| ((*gene).to_owned(), token));
        let vocabulary =
            Vocabulary::new(tokens, medians.map(|(gene, median)| (gene.to_owned(), median))).unwrap();
        let ids = ["A", "B", "x", "C", "D"];
        let params = RankParams { special_token: false, ..RankParams::V1 };
        let tokenizer = RankTokenizer::new(&vocabulary, &ids, &params).unwrap();
        let inverse = inverse_medians(&tokenizer, 5).unwrap();
        assert!(inverse[2].is_none() && (inverse[3].unwrap() - 0.4).abs() < 1e-12);

        let x = ndarray::array![[-0.1, 2.0, 9.0, 1.0, 0.0], [0.5, -3.0, 0.0, -0.2, 4.0]];
        let counts = in_order(&x, &inverse);
        let order = |row| -> Vec<u32> {
            let ranked = tokenizer.rank_cell(Counts::new(&counts).unwrap(), row, None).unwrap();
            ranked.iter().map(|gene| gene.token).collect()
        };
        // 1 / 2.5, 2 / 634, -0.1 / 0.09; a value of 0 is no gene of the cell.
        assert_eq!(order(0), [2, 1, 0]);
        // 0.5 / 0.09, 4 / 3, -3 / 634, -0.2 / 2.5.
        assert_eq!(order(1), [0, 3, 1, 2]);
    }

    #[test]
    fn clusters_are_named_by_the_markers_that_stand_out() {
        let genes = ["CD3D", "ms4a1", "other"].map(str::to_owned);
        // The second type's marker is lower everywhere, but stands out in cluster 1.
        let x = ndarray::array![[9.0, 0.0, 5.0], [8.0, 0.0, 5.0], [5.0, 2.0, 5.0], [6.0, 3.0, 5.0]];
        let names = name_clusters(&Csr::from_dense(x.view()), &genes, &[0, 0, 1, 1], 2).unwrap();
        assert_eq!(names, ["T", "B"]);
        let none = name_clusters(&Csr::from_dense(x.view()), &["x", "y", "z"].map(str::to_owned), &[0; 4], 1);
        assert!(none.unwrap_err().to_string().contains("marker genes"));
    }
}
