//! Whole data sets beside the references: from counts to embeddings through the one door.

use std::path::Path;

use candle_core::{Device, Tensor};
use ndarray::Array2;
use sc_fm::checkpoint::Weights;
use sc_fm::embed::{EmbedParams, FoundationModel, Kind, Mode, OpenParams};
use sc_fm::models::geneformer::{Geneformer, GeneformerConfig, InputFormat};
use sc_fm::models::scgpt::Cell;
use sc_fm::models::{CellEncoder, Layer, LoadOptions, Scfoundation, ScfoundationConfig, Scgpt};
use sc_fm::nn::gemm::Precision;
use sc_fm::tokenize::scfoundation::{GeneList, Resolution};
use sc_fm::tokenize::scgpt::ScgptVocabulary;
use sc_fm::tokenize::vocabulary::Vocabulary;
use sc_io::{AnnData, Csr, DataFrame, Matrix};

use crate::models::compare::{self, TOLERANCE, Tensors, close};

fn tensor(values: &Array2<f32>) -> Tensor {
    Tensor::from_vec(values.iter().copied().collect::<Vec<_>>(), values.dim(), &Device::Cpu).unwrap()
}

fn bits(values: &Array2<f32>) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// Cells of counts with named genes.
fn data(counts: &Array2<f32>, genes: Vec<String>) -> AnnData {
    let obs = DataFrame::new((0..counts.nrows()).map(|i| format!("cell{i}")).collect());
    AnnData::new(Matrix::Csr(Csr::from_dense(counts.view())), obs, DataFrame::new(genes)).unwrap()
}

/// Counts without a pattern, about half of them 0.
fn counts(n_cells: usize, n_genes: usize) -> Array2<f32> {
    Array2::from_shape_fn((n_cells, n_genes), |(cell, gene)| {
        let x = ((cell * 131 + gene * 17 + 3) as f32 * 12.9898).sin() * 43_758.547;
        ((x - x.floor()) * 9.0 - 4.0).max(0.0).floor()
    })
}

/// The model of any weights, any chunking and any company: the same bits.
fn same_in_any_way(model: &FoundationModel, adata: &AnnData, params: &EmbedParams) {
    let expected = model.embed(adata, params).unwrap();
    for (memory, n_threads) in [(0, 1), (1 << 14, 2), (1 << 18, 4)] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        let params = EmbedParams { memory, ..params.clone() };
        let found = pool.install(|| model.embed(adata, &params).unwrap());
        assert_eq!(bits(&found.values), bits(&expected.values), "{memory} bytes, {n_threads} threads");
    }
    for chunk in [1, 7, 100] {
        let rows: Vec<usize> = (0..adata.n_obs()).rev().collect();
        for rows in rows.chunks(chunk) {
            let found = model.embed(&adata.select_obs(rows).unwrap(), params).unwrap();
            for (row, &cell) in found.values.rows().into_iter().zip(rows) {
                let expected = expected.values.row(cell);
                assert!(row.iter().zip(expected).all(|(a, b)| a.to_bits() == b.to_bits()), "cell {cell}");
            }
        }
    }
}

#[test]
fn geneformer_embeds_the_cells_of_the_reference_from_their_tokens_and_any_data_alike() {
    compare::for_each("geneformer_tiny", |folder| {
        let special = compare::json(&folder.join("meta.json"))["special"].as_str().unwrap().to_owned();
        let token = |name: &str| -> Option<u32> {
            special.split_whitespace().find_map(|pair| pair.strip_prefix(name)?.parse().ok())
        };
        let format = match (token("cls="), token("eos=")) {
            (Some(cls), Some(eos)) => InputFormat::V2 { cls, eos },
            _ => InputFormat::V1,
        };
        let config = GeneformerConfig::read(&folder.join("mlm/config.json")).unwrap();
        let name = |token: u32| match (token, format) {
            (0, _) => "<pad>".to_owned(),
            (1, _) => "<mask>".to_owned(),
            (token, InputFormat::V2 { cls, .. }) if token == cls => "<cls>".to_owned(),
            (token, InputFormat::V2 { eos, .. }) if token == eos => "<eos>".to_owned(),
            (token, _) => format!("ENSG{token:011}"),
        };
        let n_tokens = config.vocab_size as u32;
        let medians = (0..n_tokens).map(|token| (name(token), 1.0));
        let vocabulary = Vocabulary::new((0..n_tokens).map(|token| (name(token), token)), medians).unwrap();
        let mut weights = Weights::open(folder.join("mlm/model.safetensors")).unwrap();
        let model = Geneformer::from_weights(config, format, &mut weights, Precision::default()).unwrap();
        let model = FoundationModel::geneformer(model, vocabulary).unwrap();

        // Counts that rank the genes of each cell as the reference's tokens stand.
        let io = Tensors::open(folder.join("io.safetensors"));
        let (ids, lengths) = (io.ids("input_ids"), io.id_row("lengths"));
        let n_specials = if format == InputFormat::V1 { 2 } else { 4 };
        let mut ranked = Array2::zeros((ids.len(), n_tokens as usize - n_specials));
        let ends = usize::from(format != InputFormat::V1);
        for (mut row, (ids, length)) in ranked.rows_mut().into_iter().zip(ids.iter().zip(&lengths)) {
            let genes = &ids[ends..*length as usize - ends];
            for (rank, &id) in genes.iter().enumerate() {
                assert_eq!(row[id as usize - n_specials], 0.0, "each gene stands once");
                row[id as usize - n_specials] = (genes.len() - rank) as f32;
            }
        }
        let genes: Vec<String> = (n_specials as u32..n_tokens).map(name).collect();
        let adata = data(&ranked, genes.clone());
        for (layer, which) in [(Layer::SecondToLast, "layer-1"), (Layer::Last, "layer0")] {
            for (mode, text) in [(Mode::Cell, "cell"), (Mode::Cls, "cls")] {
                if (mode, format) == (Mode::Cls, InputFormat::V1) {
                    continue;
                }
                let params = EmbedParams { mode: Some(mode), layer: Some(layer), ..Default::default() };
                let found = model.embed(&adata, &params).unwrap();
                let key = format!("emb.{text}.{which}");
                close(&key, &tensor(&found.values), &io.get(&key), TOLERANCE);
            }
        }
        same_in_any_way(&model, &data(&counts(40, genes.len()), genes), &EmbedParams::default());
    });
}

#[test]
fn scfoundation_embeds_the_counts_of_the_reference_at_each_depth() {
    compare::for_each("scfoundation_tiny", |folder| {
        let io = Tensors::open(folder.join("io.safetensors"));
        let config = compare::json(&folder.join("meta.json"))["config"].clone();
        let config: ScfoundationConfig = serde_json::from_value(config).unwrap();
        let genes: Vec<String> = (0..config.n_genes()).map(|i| format!("G{i}")).collect();
        let mut weights = Weights::open(folder.join("model.safetensors")).unwrap();
        let model = Scfoundation::from_weights(config, &mut weights, Precision::default()).unwrap();
        let list = GeneList::new(genes.iter().cloned()).unwrap();
        let model = FoundationModel::scfoundation(model, list).unwrap();
        assert_eq!((model.kind(), model.obsm_key()), (Kind::Scfoundation, "X_scfoundation"));

        let given = io.floats("counts");
        let shape = given.dims2().unwrap();
        let given = given.flatten_all().unwrap().to_vec1().unwrap();
        let adata = data(&Array2::from_shape_vec(shape, given).unwrap(), genes.clone());
        let depths =
            [("t", Resolution::Target(4.0)), ("f", Resolution::Fold(5.0)), ("a", Resolution::Add(5.0))];
        for (name, resolution) in depths {
            let params = EmbedParams { resolution, ..Default::default() };
            let found = model.embed(&adata, &params).unwrap();
            let key = format!("cell_emb_all.{name}");
            close(&key, &tensor(&found.values), &io.get(&key), TOLERANCE);
        }
        let params = EmbedParams { mode: Some(Mode::Max), ..Default::default() };
        same_in_any_way(&model, &data(&counts(30, genes.len()), genes.clone()), &params);
        let layer = EmbedParams { layer: Some(Layer::SecondToLast), ..Default::default() };
        let error = model.embed(&adata, &layer).unwrap_err();
        let message =
            "scFoundation gives the states of its last layer alone, but second_to_last is asked for";
        assert_eq!(error.to_string(), message);
        assert!(error.help().unwrap().contains("leave the layer out"));
    });
}

#[test]
fn scgpt_is_opened_with_its_vocabulary_and_embeds_at_length_one() {
    compare::for_each("scgpt_tiny", |folder| {
        let plain = folder.join("plain");
        if !plain.join("best_model.pt").is_file() {
            return;
        }
        let model = open_scgpt(&plain);
        assert_eq!((model.kind(), model.obsm_key()), (Kind::Scgpt, "X_scGPT"));
        let text = model.report().to_string();
        assert!(text.contains("best_model.pt") && text.contains("vocab.json"), "{text}");

        let vocabulary = ScgptVocabulary::open(plain.join("vocab.json")).unwrap();
        let mut genes: Vec<(&str, u32)> =
            vocabulary.keys().filter(|(name, _)| !name.starts_with('<')).collect();
        genes.sort_by_key(|&(_, token)| token);
        let genes: Vec<String> = genes.into_iter().map(|(name, _)| name.to_owned()).collect();
        let adata = data(&counts(30, genes.len()), genes);
        let params = EmbedParams::default();
        let found = model.embed(&adata, &params).unwrap();
        // What the network by itself makes of the same tokens; that equals the reference (`models/scgpt.rs`).
        let network = Scgpt::load(plain_alone(&plain).path(), &vocabulary, &LoadOptions::default()).unwrap();
        let tokens = model.tokenize(&adata, &params).unwrap();
        for cell in 0..tokens.n_cells() {
            let (genes, values) = (tokens.cell(cell), tokens.cell_values(cell).unwrap());
            assert_eq!((genes[0], values[0]), (vocabulary.cls(), -2.0));
            let expected = alone(&network, genes, values);
            let row = found.values.row(tokens.rows()[cell]);
            assert!(row.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()), "cell {cell}");
            let length: f32 = row.iter().map(|x| x * x).sum();
            assert!((length - 1.0).abs() < 1e-5, "cell {cell}: {length}");
        }
        same_in_any_way(&model, &adata, &params);
        let mean = EmbedParams { mode: Some(Mode::Cell), ..Default::default() };
        same_in_any_way(&model, &adata, &mean);
    });
}

fn alone(network: &Scgpt, genes: &[u32], values: &[f32]) -> Vec<f32> {
    let cell = Cell { genes, values, batch_label: None };
    CellEncoder::encode(network, &[cell]).unwrap().to_vec2::<f32>().unwrap().remove(0)
}

/// The checkpoint alone: the folder of the fixtures holds the same weights in several forms.
fn plain_alone(folder: &Path) -> tempfile::TempDir {
    let alone = tempfile::tempdir().unwrap();
    for name in ["args.json", "vocab.json", "best_model.pt"] {
        std::fs::copy(folder.join(name), alone.path().join(name)).unwrap();
    }
    alone
}

fn open_scgpt(folder: &Path) -> FoundationModel {
    let alone = plain_alone(folder);
    FoundationModel::open(alone.path(), &OpenParams::default()).unwrap()
}
