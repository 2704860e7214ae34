//! How the programs divide cells and make features, in words for their reports.

use crate::fold::FoldParams;

/// The protocol as named facts.
///
/// * `rule`: how cells are divided.
pub fn protocol(rule: String, params: &FoldParams, use_pca: bool) -> Vec<(String, String)> {
    let (n_genes, n_components) = (params.genes.n_top_genes, params.n_components);
    let seen_by = if use_pca { "all models" } else { "nearest neighbours" };
    let learnt = format!(
        "genes in at least 3 cells, at most {n_genes} of them by variability (seurat), mean and deviation of each (clipped \
         at 10), {n_components} principal components for {seen_by}"
    );
    vec![
        ("Folds".to_owned(), rule),
        ("Each cell alone".to_owned(), "normalised to 10,000 counts, log1p".to_owned()),
        ("Learnt on training cells only".to_owned(), learnt),
    ]
}

/// What the map is for.
pub fn map() -> (String, String) {
    ("Map".to_owned(), "UMAP of all cells, for the eye only: no model sees it".to_owned())
}
