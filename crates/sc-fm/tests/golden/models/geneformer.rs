//! Geneformer beside BERT of Hugging Face's transformers, and beside the reference's extraction of embeddings.

use std::path::Path;

use candle_core::Tensor;
use sc_fm::models::geneformer::{GeneMeans, GeneformerConfig, InputFormat, Pooling};
use sc_fm::models::{CellEncoder, Geneformer, Layer, LoadOptions, LoraAdapter, TokenBatch, embed};
use sc_fm::tokenize::vocabulary::Vocabulary;

use super::compare::{self, TOLERANCE, Tensors, close};
use crate::support;
use sc_fm::nn::gemm::Precision;

/// `none`, or `cls=2 eos=3`.
pub(crate) fn format(folder: &Path) -> InputFormat {
    let special = compare::json(&folder.join("meta.json"))["special"].as_str().unwrap().to_owned();
    let token =
        |name: &str| special.split_whitespace().find_map(|pair| pair.strip_prefix(name)?.parse().ok());
    match (token("cls="), token("eos=")) {
        (Some(cls), Some(eos)) => InputFormat::V2 { cls, eos },
        _ => InputFormat::V1,
    }
}

fn model(folder: &Path, part: &str, format: InputFormat) -> Geneformer {
    let folder = folder.join(part);
    let config = GeneformerConfig::read(&folder.join("config.json")).unwrap();
    let mut weights = compare::weights(&folder.join("model.safetensors"));
    Geneformer::from_weights(config, format, &mut weights, Precision::default()).unwrap()
}

/// The cells of `io.safetensors` without padding.
pub(crate) fn cells(io: &Tensors) -> Vec<Vec<u32>> {
    let lengths = io.id_row("lengths");
    let rows = io.ids("input_ids").into_iter().zip(lengths);
    rows.map(|(row, length)| row[..length as usize].to_vec()).collect()
}

fn encode(model: &Geneformer, pooling: Pooling, layer: Layer, cells: &[Vec<u32>]) -> Tensor {
    let cells: Vec<&[u32]> = cells.iter().map(Vec::as_slice).collect();
    model.encoder(pooling, layer).unwrap().encode(&cells).unwrap()
}

#[test]
fn every_layer_and_the_logits_of_the_language_model() {
    compare::for_each_everywhere("geneformer_tiny", |folder| {
        let model = model(folder, "mlm", format(folder));
        let io = Tensors::open(folder.join("io.safetensors"));
        let cells = cells(&io);
        let lengths: Vec<usize> = cells.iter().map(Vec::len).collect();
        let batch = TokenBatch::new(&cells);
        let n_layers = model.config().num_hidden_layers;
        for k in 0..=n_layers {
            let hidden = model.forward(&batch, Layer::Index(k)).unwrap();
            let what = format!("{} hidden.{k}", folder.display());
            close(&what, &hidden.states, &io.packed(&format!("hidden.{k}"), &lengths), TOLERANCE);
        }
        assert!(!io.has(&format!("hidden.{}", n_layers + 1)));
        let last = model.forward(&batch, Layer::Last).unwrap();
        let expected = io.packed("mlm_logits", &lengths);
        close("mlm_logits", &model.mlm_logits(&last).unwrap(), &expected, TOLERANCE);
    });
}

#[test]
fn the_weights_of_every_attention() {
    compare::for_each_everywhere("geneformer_tiny", |folder| {
        let model = model(folder, "mlm", format(folder));
        let io = Tensors::open(folder.join("io.safetensors"));
        if !io.has("attn.0") {
            return;
        }
        let cells = cells(&io);
        let batch = TokenBatch::new(&cells);
        let n_layers = model.config().num_hidden_layers;
        for k in 0..n_layers {
            let found = model.attention_weights(&batch, Layer::Index(k)).unwrap();
            let expected = io.floats(&format!("attn.{k}"));
            for (cell, (found, ids)) in found.iter().zip(&cells).enumerate() {
                let n = ids.len();
                let expected = expected.get(cell).unwrap().narrow(1, 0, n).unwrap().narrow(2, 0, n).unwrap();
                let what = format!("{} attn.{k}, cell {cell}", folder.display());
                // One row a head and token.
                let rows = |x: &Tensor| x.contiguous().unwrap().flatten(0, 1).unwrap();
                close(&what, &rows(found), &rows(&expected), TOLERANCE);
            }
        }
        let error = model.attention_weights(&batch, Layer::Last).unwrap_err().to_string();
        assert!(error.contains(&format!("{n_layers} layers")), "{error}");
    });
}

#[test]
fn embeddings_of_cells() {
    compare::for_each_everywhere("geneformer_tiny", |folder| {
        let format = format(folder);
        let model = model(folder, "mlm", format);
        let io = Tensors::open(folder.join("io.safetensors"));
        for (layer, name) in [(Layer::SecondToLast, "layer-1"), (Layer::Last, "layer0")] {
            let mean = encode(&model, Pooling::Cell, layer, &cells(&io));
            close(&format!("emb.cell.{name}"), &mean, &io.get(&format!("emb.cell.{name}")), TOLERANCE);
            if format != InputFormat::V1 {
                let cls = encode(&model, Pooling::Cls, layer, &cells(&io));
                close(&format!("emb.cls.{name}"), &cls, &io.get(&format!("emb.cls.{name}")), TOLERANCE);
            }
        }
    });
}

#[test]
fn classifiers_of_cells_and_of_genes() {
    compare::for_each_everywhere("geneformer_tiny", |folder| {
        let format = format(folder);
        let cells = cells(&Tensors::open(folder.join("io.safetensors")));
        let lengths: Vec<usize> = cells.iter().map(Vec::len).collect();
        let batch = TokenBatch::new(&cells);
        if folder.join("cell_classifier").is_dir() {
            let model = model(folder, "cell_classifier", format);
            let io = Tensors::open(folder.join("cell_classifier_io.safetensors"));
            let last = model.forward_checked(&batch, Layer::Last).unwrap();
            close("cell classifier, pooled", &model.pooled(&last).unwrap(), &io.get("pooled"), TOLERANCE);
            close(
                "cell classifier, logits",
                &model.cell_logits(&last).unwrap(),
                &io.get("logits"),
                TOLERANCE,
            );
        }
        if folder.join("gene_classifier").is_dir() {
            let model = model(folder, "gene_classifier", format);
            let io = Tensors::open(folder.join("gene_classifier_io.safetensors"));
            let last = model.forward_checked(&batch, Layer::Last).unwrap();
            let logits = io.packed("logits", &lengths);
            close("gene classifier, logits", &model.gene_logits(&last).unwrap(), &logits, TOLERANCE);
        }
    });
}

#[test]
fn a_directory_is_loaded_with_the_dictionary_of_its_release_alone() {
    compare::for_each("geneformer_tiny", |folder| {
        let (directory, format) = (folder.join("mlm"), format(folder));
        let config = GeneformerConfig::read(&directory.join("config.json")).unwrap();
        let vocabulary = |n_tokens: usize| {
            let name = |token: u32| match (token, format) {
                (0, _) => "<pad>".to_owned(),
                (1, _) => "<mask>".to_owned(),
                (token, InputFormat::V2 { cls, .. }) if token == cls => "<cls>".to_owned(),
                (token, InputFormat::V2 { eos, .. }) if token == eos => "<eos>".to_owned(),
                (token, _) => format!("ENSG{token}"),
            };
            let tokens = (0..n_tokens as u32).map(|token| (name(token), token));
            let medians = (0..n_tokens as u32).map(|token| (name(token), 1.0));
            Vocabulary::new(tokens, medians).unwrap()
        };
        let load = |n_tokens| Geneformer::load(&directory, &vocabulary(n_tokens), &LoadOptions::default());
        assert_eq!(load(config.vocab_size).unwrap().format(), format);
        let error = load(config.vocab_size + 1).unwrap_err();
        let (found, expected) = (config.vocab_size + 1, config.vocab_size);
        assert_eq!(
            error.to_string(),
            format!("the token dictionary has {found} tokens, but the model has {expected}")
        );
        assert!(error.help().unwrap().contains("same release"));
    });
}

#[test]
fn embeddings_of_the_reference_s_extractor() {
    let Some(root) = support::fixtures() else { return };
    let plans = compare::json(&root.join("geneformer_isp/isp.json"));
    let embs = Tensors::open(root.join("geneformer_isp/embs.safetensors"));
    for version in ["V1", "V2"] {
        let folder = root.join(format!("geneformer_tiny_{}", version.to_lowercase()));
        let format = format(&folder);
        let model = model(&folder, "mlm", format);
        // The rows of the reference are sorted by length.
        let cells: Vec<Vec<u32>> =
            serde_json::from_value(plans[version]["sorted_input_ids"].clone()).unwrap();
        for (layer, name) in [(Layer::SecondToLast, "layer-1"), (Layer::Last, "layer0")] {
            for (pooling, mode) in [(Pooling::Cell, "cell"), (Pooling::Cls, "cls")] {
                let key = format!("{version}.{mode}.{name}");
                if embs.has(&key) {
                    close(&key, &encode(&model, pooling, layer, &cells), &embs.get(&key), TOLERANCE);
                }
            }
            let mut means = GeneMeans::default();
            for batch in cells.chunks(3).map(TokenBatch::new) {
                means.add(&batch, &model.forward(&batch, layer).unwrap()).unwrap();
            }
            let (tokens, means) = means.finish();
            let key = format!("{version}.gene.{name}.mean_per_gene");
            let names = plans[version][format!("gene_index_{name}")].as_array().unwrap();
            assert_eq!(names.len(), tokens.len(), "{key}");
            let (n, width) = means.dim();
            let means =
                Tensor::from_vec(means.into_raw_vec_and_offset().0, (n, width), &candle_core::Device::Cpu);
            close(&key, &means.unwrap(), &embs.get(&key), TOLERANCE);
        }
    }
}

#[test]
fn cells_come_back_in_their_order_and_alike_in_any_batch() {
    compare::for_each("geneformer_tiny", |folder| {
        let model = model(folder, "mlm", format(folder));
        let io = Tensors::open(folder.join("io.safetensors"));
        let cells = cells(&io);
        let cells: Vec<&[u32]> = cells.iter().map(Vec::as_slice).collect();
        let encoder = model.encoder(Pooling::Cell, Layer::Last).unwrap();
        let alone = embed(&encoder, &cells, 0).unwrap();
        for max_tokens in [40, 70, usize::MAX] {
            assert_eq!(embed(&encoder, &cells, max_tokens).unwrap(), alone, "{max_tokens} tokens");
        }
        let reference = io.get("emb.cell.layer0").to_vec2::<f32>().unwrap();
        for (row, reference) in alone.rows().into_iter().zip(&reference) {
            assert!(row.iter().zip(reference).all(|(a, b)| (a - b).abs() <= TOLERANCE));
        }
    });
}

#[test]
fn an_adapter_merged_into_the_classifier() {
    compare::for_each("geneformer_tiny", |folder| {
        let adapter = folder.join("lora_adapter");
        if !adapter.is_dir() {
            return;
        }
        let (base, format) = (folder.join("cell_classifier"), format(folder));
        let cells = cells(&Tensors::open(folder.join("io.safetensors")));
        let io = Tensors::open(folder.join("lora_io.safetensors"));
        let merged = || {
            let mut weights = compare::weights(&base.join("model.safetensors"));
            let adapter = LoraAdapter::load(&adapter, &LoadOptions::default()).unwrap();
            adapter.merge_into(&mut weights).unwrap();
            weights
        };
        let config = GeneformerConfig::read(&base.join("config.json")).unwrap();
        let width = config.hidden_size;
        let query = merged().take("bert.encoder.layer.0.attention.self.query.weight", &[width, width]);
        close("merged.query.0", &query.unwrap(), &io.get("merged.query.0"), 1e-6);
        let model = Geneformer::from_weights(config, format, &mut merged(), Precision::default()).unwrap();
        let last = model.forward_checked(&TokenBatch::new(&cells), Layer::Last).unwrap();
        close("logits with the adapter", &model.cell_logits(&last).unwrap(), &io.get("logits"), TOLERANCE);
    });
}
