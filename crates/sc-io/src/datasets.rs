//! Data that come with the crate: no file, no network. With the feature `fetch`, also data that can be fetched.

#[cfg(feature = "fetch")]
mod pbmc3k;

#[cfg(feature = "fetch")]
pub use pbmc3k::{pbmc3k, read_pbmc3k};

use std::io::Read;

use flate2::read::GzDecoder;

use crate::AnnData;
use crate::h5ad::{ReadOptions, read_bytes};

const PBMC68K_REDUCED: &[u8] = include_bytes!("../data/pbmc68k_reduced.h5ad.gz");

/// 700 cells × 765 genes of human blood: a small part of the 68k PBMC set of 10x Genomics, as scanpy ships it.
///
/// * `X`: counts, sparse by row. scanpy's `pbmc68k_reduced` holds logarithms and scaled values instead; the counts were
///   recovered from them, exactly (`data/PROVENANCE.md`).
/// * `obs["bulk_labels"]`: 10 cell types, by correlation with sorted cells. Also `louvain` (11 clusters), `phase`,
///   `n_counts` and `n_genes` (over all genes of the original, not only those here) and `percent_mito`.
///
/// Counts by 10x Genomics, CC BY 4.0; choice of cells and labels by the scanpy authors, BSD-3-Clause.
///
/// ```
/// let adata = sc_io::datasets::pbmc68k_reduced();
/// assert_eq!((adata.n_obs(), adata.n_vars()), (700, 765));
/// let labels = adata.obs().labels("bulk_labels")?;
/// assert_eq!(labels[0].as_deref(), Some("CD14+ Monocyte"));
/// # Ok::<(), sc_io::Error>(())
/// ```
pub fn pbmc68k_reduced() -> AnnData {
    let mut bytes = Vec::new();
    GzDecoder::new(PBMC68K_REDUCED)
        .read_to_end(&mut bytes)
        .expect("the embedded file is whole: a test reads it");
    read_bytes("pbmc68k_reduced.h5ad", bytes, &ReadOptions::default())
        .expect("the embedded file is well-formed: a test reads it")
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::{Column, Matrix};

    fn hex(bytes: impl IntoIterator<Item = u8>) -> String {
        let digest = Sha256::digest(bytes.into_iter().collect::<Vec<u8>>());
        digest.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// The wheel's `raw.X`: thousandths of `log1p(count / n_counts * 1e4)`, and where they are stored. The hashes were
    /// made with numpy from the wheel (see `data/PROVENANCE.md`).
    #[test]
    fn the_counts_give_back_every_logarithm_of_the_wheel() {
        let adata = pbmc68k_reduced();
        let Some(Matrix::Csr(x)) = adata.x() else { panic!("sparse by row") };
        let Some(Column::F32(n_counts)) = adata.obs().get("n_counts") else { panic!("n_counts is f32") };
        let mut thousandths: Vec<u16> = Vec::new();
        let mut nearest_tie = f64::INFINITY;
        for (i, &total) in n_counts.iter().enumerate() {
            let scale = 1e4 / f64::from(total);
            for &count in x.row(i).1 {
                assert_eq!(count, count.round());
                let log = (f64::from(count) * scale).ln_1p() * 1e3;
                // The next count is too far for the rounding of the wheel to confuse them.
                let next = (f64::from(count + 1.0) * scale).ln_1p() * 1e3;
                assert!(next - log > 3.8);
                nearest_tie = nearest_tie.min((log - log.floor() - 0.5).abs());
                thousandths.push(log.round() as u16);
            }
        }
        assert!(nearest_tie < 5e-7);
        // Four values lie so near a tie that the wheel's single precision went the other way.
        for at in [118_364, 118_372, 118_399, 118_418] {
            assert_eq!(thousandths[at], 3017);
            thousandths[at] = 3018;
        }
        assert_eq!(
            hex(thousandths.iter().flat_map(|t| t.to_le_bytes())),
            "b58f9098a1132d49698dfc22dc52c1d2d90769ee0ec0b4400bfa796a1f36197e"
        );
        assert_eq!(
            hex(x.indices().iter().flat_map(|j| j.to_le_bytes())),
            "30ba61cd29ee3c6966b1d534e6b34c516ed1d59d3887b60482697393026e0256"
        );
    }

    #[test]
    fn the_labels_are_those_of_the_wheel() {
        let adata = pbmc68k_reduced();
        let Some(Column::Categorical(labels)) = adata.obs().get("bulk_labels") else { panic!("categories") };
        assert_eq!(labels.categories().len(), 10);
        let dendritic = labels.categories().iter().position(|c| c == "Dendritic").unwrap() as i32;
        assert_eq!(labels.codes().iter().filter(|&&c| c == dendritic).count(), 240);
        assert_eq!(
            adata.obs().column_names(),
            ["bulk_labels", "louvain", "phase", "n_counts", "n_genes", "percent_mito"]
        );
        assert_eq!(adata.obs().index()[0], "AAAGCCTGGCTAAC-1");
        assert_eq!(adata.var().index()[..2], ["HES4", "TNFRSF4"]);
    }
}
