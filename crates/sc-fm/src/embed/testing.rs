//! Small models and data sets.

use candle_core::{DType, Device, Tensor};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sc_io::{AnnData, Csr, DataFrame, Matrix};

use super::{Choice, Embedding, FoundationModel, Kind, LoadReport, Mode};
use crate::models::geneformer::{GeneformerConfig, InputFormat};
use crate::models::{Geneformer, Layer};
use crate::tokenize::Cells;
use crate::tokenize::rank::{RankParams, RankTokenizer, TokenizeParams};
use crate::tokenize::vocabulary::Vocabulary;

/// Genes of the small model.
pub(crate) const N_GENES: usize = 40;

/// An id that looks like those of the real ones.
pub(crate) fn gene(i: usize) -> String {
    format!("ENSG{i:011}")
}

/// A dictionary of [`N_GENES`] genes, of the second series.
pub(crate) fn vocabulary() -> Vocabulary {
    let specials = ["<pad>", "<mask>", "<cls>", "<eos>"].map(str::to_owned);
    let names = specials.into_iter().chain((0..N_GENES).map(gene));
    let medians = (0..N_GENES).map(|i| (gene(i), 1.0 + i as f64 / 7.0));
    Vocabulary::new(names.zip(0..), medians).unwrap()
}

pub(crate) fn config() -> GeneformerConfig {
    let json = r#"{"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 24, "vocab_size": 44, "max_position_embeddings": 26, "hidden_act": "relu",
        "initializer_range": 0.5}"#;
    serde_json::from_str(json).unwrap()
}

pub(crate) fn model() -> FoundationModel {
    let model = Geneformer::random(config(), InputFormat::V2 { cls: 2, eos: 3 }, 1).unwrap();
    FoundationModel::geneformer(model, vocabulary()).unwrap()
}

/// Counts of `n_cells` cells, the third of which has none, with as many genes expressed as chance will have it.
pub(crate) fn data(n_cells: usize) -> AnnData {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut dense = Array2::<f32>::zeros((n_cells, N_GENES));
    for (cell, mut row) in dense.rows_mut().into_iter().enumerate().filter(|(cell, _)| *cell != 2) {
        let share = 1 + rng.next_u32() % 8;
        for x in row.iter_mut() {
            let (is_expressed, count) = (rng.next_u32() % 8 < share, 1 + rng.next_u32() % 30);
            *x = if is_expressed { count as f32 } else { 0.0 };
        }
        row[cell % N_GENES] += 1.0;
    }
    let var = DataFrame::new((0..N_GENES).map(gene).collect());
    let obs = DataFrame::new((0..n_cells).map(|i| format!("cell{i}")).collect());
    AnnData::new(Matrix::Csr(Csr::from_dense(dense.view())), obs, var).unwrap()
}

/// The folder of a checkpoint: configuration, weights and dictionaries.
pub(crate) fn checkpoint(folder: &std::path::Path) {
    std::fs::write(folder.join("config.json"), serde_json::to_vec(&config()).unwrap()).unwrap();
    let mut weights = Geneformer::random_weights(&config(), 1, &Device::Cpu).unwrap();
    let names: Vec<String> = weights.names().map(str::to_owned).collect();
    let tensors: Vec<(String, Tensor)> = names
        .into_iter()
        .map(|name| {
            let shape = weights.shape(&name).unwrap().to_vec();
            let tensor = weights.take(&name, &shape).unwrap();
            (name, tensor)
        })
        .collect();
    let tensors = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
    crate::checkpoint::write_safetensors(folder.join("model.safetensors"), tensors, &[], true).unwrap();
    dictionaries(folder, "_tiny", N_GENES);
}

/// Dictionaries of so many genes.
pub(crate) fn dictionaries(folder: &std::path::Path, ending: &str, n_genes: usize) {
    let mut tokens = serde_json::json!({"<pad>": 0, "<mask>": 1, "<cls>": 2, "<eos>": 3});
    let (mut medians, mut mapping) = (serde_json::json!({}), serde_json::json!({}));
    for i in 0..n_genes {
        tokens[gene(i)] = (4 + i).into();
        medians[gene(i)] = (1.0 + i as f64 / 7.0).into();
        mapping[gene(i)] = gene(i).into();
    }
    let names = ["token_dictionary", "gene_median_dictionary", "ensembl_mapping_dict"];
    for (name, value) in names.into_iter().zip([tokens, medians, mapping]) {
        std::fs::write(folder.join(format!("{name}{ending}.json")), value.to_string()).unwrap();
    }
}

/// An embedding of nothing in particular.
pub(crate) fn embedding(values: Array2<f32>) -> Embedding {
    let params = RankParams { model_input_size: 9, special_token: true, min_known: 0.0 };
    let tokenizer = RankTokenizer::new(&vocabulary(), &[gene(0)], &params).unwrap();
    let x = Csr::new(0, 1, vec![0], vec![], vec![]).unwrap();
    let counts = sc_io::Counts::new(&x).unwrap();
    let tokens = tokenizer.tokenize(counts, &Cells::default(), &TokenizeParams::default()).unwrap();
    Embedding {
        rows: (0..values.nrows()).collect(),
        values,
        missing: vec![],
        choice: Choice { mode: Mode::Cell, layer: Layer::Last },
        tokens: tokens.report().clone(),
        model: LoadReport::in_memory(Kind::Geneformer),
        dtype: DType::F32,
        kernel: "none",
    }
}
