//! A Geneformer whose vocabulary is the genes of some cells.

use std::collections::BTreeMap;

use anyhow::Result;
use sc_fm::embed::FoundationModel;
use sc_fm::models::LoadOptions;
use sc_fm::models::geneformer::{Geneformer, GeneformerConfig, InputFormat};
use sc_fm::nn::gemm::Precision;
use sc_fm::tokenize::vocabulary::Vocabulary;
use sc_io::Csr;
use serde_json::json;

/// Special tokens, in the order of the second series.
const SPECIALS: [&str; 4] = ["<pad>", "<mask>", "<cls>", "<eos>"];

/// Genes with their medians over some cells: of the counts per 10,000 where there are any. Genes without a count have
/// none.
///
/// * `genes`: name of each column, in upper case as tokenisers compare them; columns of one name are one gene, with the
///   median of all their values.
pub(crate) fn medians(counts: &Csr, genes: &[String], cells: &[usize]) -> BTreeMap<String, f64> {
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for &cell in cells {
        let (columns, stored) = counts.row(cell);
        let total: f64 = stored.iter().map(|&value| f64::from(value)).sum();
        for (&column, &value) in columns.iter().zip(stored).filter(|(_, value)| **value > 0.0) {
            let value = f64::from(value) / total * 10_000.0;
            values.entry(genes[column as usize].to_uppercase()).or_default().push(value);
        }
    }
    let median = |mut values: Vec<f64>| {
        values.sort_unstable_by(f64::total_cmp);
        let half = values.len() / 2;
        if values.len().is_multiple_of(2) { (values[half - 1] + values[half]) / 2.0 } else { values[half] }
    };
    values.into_iter().map(|(gene, values)| (gene, median(values))).collect()
}

/// A vocabulary of these genes, with the special tokens of the second series.
///
/// # Errors
/// If there is no gene.
pub(crate) fn vocabulary(medians: &BTreeMap<String, f64>) -> Result<Vocabulary> {
    let tokens = SPECIALS.iter().copied().chain(medians.keys().map(String::as_str));
    let tokens = tokens.zip(0..).map(|(key, token)| (key.to_owned(), token));
    let medians = medians.iter().map(|(gene, &median)| (gene.clone(), median));
    Ok(Vocabulary::new(tokens, medians).map_err(sc_fm::Error::from)?)
}

/// The shape of a Geneformer; its feed-forward parts are twice as wide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Layers.
    pub(crate) n_layers: usize,
    /// Values of a token.
    pub(crate) width: usize,
    /// Heads of the attention.
    pub(crate) n_heads: usize,
    /// Tokens of a cell at most.
    pub(crate) max_length: usize,
}

impl Shape {
    /// A model with random weights.
    ///
    /// # Errors
    /// Sizes that do not fit each other.
    pub(crate) fn geneformer(
        self,
        vocabulary: Vocabulary,
        seed: u64,
        precision: Precision,
    ) -> Result<FoundationModel> {
        let config: GeneformerConfig = serde_json::from_value(json!({
            "model_type": "bert",
            "hidden_size": self.width,
            "num_hidden_layers": self.n_layers,
            "num_attention_heads": self.n_heads,
            "intermediate_size": 2 * self.width,
            "vocab_size": vocabulary.n_tokens(),
            "max_position_embeddings": self.max_length,
            "hidden_act": "relu",
            "hidden_dropout_prob": 0.02,
            "attention_probs_dropout_prob": 0.02,
        }))?;
        let mut weights = Geneformer::random_weights(&config, seed, &LoadOptions::default().device)?;
        let format = InputFormat::of(&vocabulary);
        let network = Geneformer::from_weights(config, format, &mut weights, precision)?;
        Ok(FoundationModel::geneformer(network, vocabulary)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_of_the_cells_named_where_there_are_counts() {
        let x = ndarray::array![[1.0, 3.0, 0.0, 0.0], [2.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 9.0]];
        let genes = ["a", "B", "b", "c"].map(str::to_owned);
        let found = medians(&Csr::from_dense(x.view()), &genes, &[0, 1]);
        let expected = [("A".to_owned(), 3750.0), ("B".to_owned(), 6250.0)];
        assert_eq!(found, BTreeMap::from(expected));
        assert_eq!(vocabulary(&found).unwrap().n_tokens(), 6);
    }
}
