//! scGPT beside its reference: every variant, every layer, every decoder.

use std::path::{Path, PathBuf};

use candle_core::Tensor;
use sc_fm::checkpoint::Weights;
use sc_fm::compute::Compute;
use sc_fm::models::scgpt::Cell;
use sc_fm::models::scgpt::{CellEmbStyle, Encoded, Scgpt, ScgptBatch, ScgptConfig, Specials};
use sc_fm::models::{CellEncoder, Layer, LoadOptions, embed};
use sc_fm::tokenize::scgpt::ScgptVocabulary;
use serde_json::{Value, json};

use super::compare::{self, TOLERANCE, Tensors, close, packed};
use sc_fm::nn::gemm::Precision;

/// A variant: its folder, its model by each layout of weights, and its cells without padding.
pub(crate) struct Variant {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) config: ScgptConfig,
    pub(crate) n_tokens: usize,
    pub(crate) specials: Specials,
    pub(crate) io: Tensors,
    pub(crate) lengths: Vec<usize>,
    pub(crate) genes: Vec<Vec<u32>>,
    pub(crate) values: Vec<Vec<f32>>,
    pub(crate) labels: Option<Vec<u32>>,
}

pub(crate) fn for_each_variant(mut test: impl FnMut(&Variant)) {
    compare::for_each("scgpt_tiny", |root| {
        let meta_path = root.join("meta.json");
        if !meta_path.is_file() {
            return;
        }
        let meta = compare::json(&meta_path);
        for (name, variant) in meta["variants"].as_object().unwrap() {
            let folder = root.join(name);
            if folder.join("io.safetensors").is_file() {
                test(&read(&folder, name, &meta, variant));
            }
        }
    });
}

fn for_each_variant_everywhere(mut test: impl FnMut(&Variant)) {
    for compute in [Compute::Cpu, Compute::Portable] {
        let _scope = compute.enter();
        for_each_variant(|variant| test(variant));
    }
}

fn read(folder: &Path, name: &str, meta: &Value, variant: &Value) -> Variant {
    let kwargs = &variant["kwargs"];
    let or = |key: &str, default: Value| kwargs.get(key).cloned().unwrap_or(default);
    let config = json!({
        "embsize": kwargs["d_model"], "nheads": kwargs["nhead"], "d_hid": kwargs["d_hid"],
        "nlayers": kwargs["nlayers"], "dropout": kwargs["dropout"],
        "input_emb_style": or("input_emb_style", json!("continuous")),
        "cell_emb_style": or("cell_emb_style", json!("cls")),
    });
    let token = |name: &str| meta["vocab"][name].as_u64().unwrap() as u32;
    let specials = Specials { pad: token(kwargs["pad_token"].as_str().unwrap()), cls: token("<cls>") };
    let io = Tensors::open(folder.join("io.safetensors"));
    let mut genes = io.ids("src");
    for row in &mut genes {
        let length = row.iter().position(|&gene| gene == specials.pad).unwrap_or(row.len());
        assert!(row[length..].iter().all(|&gene| gene == specials.pad), "padding stands at the end");
        row.truncate(length);
    }
    let lengths: Vec<usize> = genes.iter().map(Vec::len).collect();
    let mut values: Vec<Vec<f32>> = io.floats("values").to_vec2().unwrap();
    values.iter_mut().zip(&lengths).for_each(|(row, &length)| row.truncate(length));
    let labels = (kwargs["use_batch_labels"] == json!(true)).then(|| io.id_row("batch_labels"));
    Variant {
        name: name.to_owned(),
        folder: folder.to_owned(),
        config: serde_json::from_value(config).unwrap(),
        n_tokens: kwargs["ntoken"].as_u64().unwrap() as usize,
        specials,
        io,
        lengths,
        genes,
        values,
        labels,
    }
}

impl Variant {
    pub(crate) fn cells(&self) -> Vec<Cell<'_>> {
        let cells = self.genes.iter().zip(&self.values).enumerate();
        let label = |cell: usize| self.labels.as_ref().map(|labels| labels[cell]);
        cells.map(|(i, (genes, values))| Cell { genes, values, batch_label: label(i) }).collect()
    }

    pub(crate) fn model(&self, mut weights: Weights) -> Scgpt {
        let model = Scgpt::from_weights(
            self.config.clone(),
            self.n_tokens,
            self.specials,
            &mut weights,
            Precision::default(),
        );
        model.unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// A model from whichever file of weights is there.
    fn any_model(&self) -> Scgpt {
        let files = ["in_proj.safetensors", "wqkv.safetensors"].map(|name| self.folder.join(name));
        let file = files.iter().find(|path| path.is_file()).expect("weights are beside the outputs");
        self.model(Weights::open(file).unwrap())
    }

    fn encode(&self, model: &Scgpt) -> (ScgptBatch, Encoded) {
        let batch = ScgptBatch::new(&self.cells()).unwrap();
        let encoded = model.encode(&batch, Layer::Last).unwrap();
        (batch, encoded)
    }

    #[track_caller]
    fn close(&self, what: &str, found: &Tensor, expected: &Tensor) {
        close(&format!("{}, {what}", self.name), found, expected, TOLERANCE);
    }

    /// The cells of the reference's batch that are as long as the batch, so that no padding is averaged with them.
    fn unpadded(&self) -> Vec<usize> {
        let longest = *self.lengths.iter().max().unwrap();
        (0..self.lengths.len()).filter(|&cell| self.lengths[cell] == longest).collect()
    }
}

/// The rows `cells` of `tensor`.
fn rows(tensor: &Tensor, cells: &[usize]) -> Tensor {
    let rows: Vec<Tensor> = cells.iter().map(|&cell| tensor.get(cell).unwrap()).collect();
    Tensor::stack(&rows, 0).unwrap()
}

#[test]
fn every_stage_of_every_variant() {
    for_each_variant_everywhere(|v| {
        let model = v.any_model();
        let batch = ScgptBatch::new(&v.cells()).unwrap();
        let reference = |name: &str| v.io.packed(name, &v.lengths);
        v.close("gene_emb", &model.gene_embeddings(&batch).unwrap(), &reference("gene_emb"));
        v.close("value_emb", &model.value_embeddings(&batch).unwrap(), &reference("value_emb"));
        for k in 0..v.config.nlayers {
            let encoded = model.encode(&batch, Layer::Index(k + 1)).unwrap();
            let name = format!("layer.{k}");
            v.close(&name, &encoded.hidden.states, &reference(&name));
        }
        let (_, encoded) = v.encode(&model);
        v.close("encoder_output", &encoded.hidden.states, &reference("encoder_output"));
        let fast = reference("encoder_output_fastpath");
        v.close("encoder_output_fastpath", &encoded.hidden.states, &fast);
    });
}

#[test]
fn cells_and_what_is_predicted_of_them() {
    for_each_variant_everywhere(|v| {
        let model = v.any_model();
        let (batch, encoded) = v.encode(&model);
        let cells = model.cell_embeddings(&encoded, &batch).unwrap();
        let reference = v.io.get("out.cell_emb");
        // The reference averages over padding too: its mean is ours where there is none.
        let compared = match v.config.cell_emb_style {
            CellEmbStyle::Cls => (0..v.lengths.len()).collect(),
            _ => v.unpadded(),
        };
        assert!(!compared.is_empty());
        v.close("cell_emb", &rows(&cells, &compared), &rows(&reference, &compared));
        let unit = CellEncoder::encode(&model, &v.cells()).unwrap();
        v.close("cell_emb_l2", &rows(&unit, &compared), &rows(&v.io.get("cell_emb_l2"), &compared));

        // What follows is computed from the reference's own cells, so that it is compared on all of them.
        let logits = model.class_logits(&reference).unwrap();
        v.close("cls_output", &logits, &v.io.get("out.cls_output"));
        if v.io.has("out.dab_output") {
            v.close("dab_output", &model.batch_logits(&reference).unwrap(), &v.io.get("out.dab_output"));
        }
        let expression = model.expression(&encoded, &batch).unwrap();
        let of = |name: &str| packed(&v.io.floats(name), &v.lengths);
        v.close("mlm_output", &expression.values, &of("out.mlm_output"));
        let has_zero = v.io.has("out.mlm_zero_probs");
        assert_eq!(expression.nonzero_probabilities.is_some(), has_zero);
        if let Some(found) = expression.nonzero_probabilities {
            v.close("mlm_zero_probs", &found, &of("out.mlm_zero_probs"));
        }
        let from_cells = model.expression_of_cells(&reference, &encoded, &batch).unwrap();
        let name = if v.io.has("out.mvc_output") { "out.mvc_output" } else { "mvc_direct" };
        v.close(name, &from_cells.values, &of(name));
        if let Some(found) = from_cells.nonzero_probabilities {
            v.close("mvc_zero_probs", &found, &of("out.mvc_zero_probs"));
        }
        if v.io.has("out.generate") {
            let generated = model.generate(&reference, &batch, false).unwrap();
            v.close("generate", &generated.values, &of("out.generate"));
        }
    });
}

#[test]
fn all_layouts_of_the_weights_are_one_model() {
    for_each_variant(|v| {
        let states = |weights: Weights| {
            let (_, encoded) = v.encode(&v.model(weights));
            encoded.hidden.states.to_vec2::<f32>().unwrap()
        };
        let mut found: Vec<(PathBuf, Vec<Vec<f32>>)> = vec![];
        for entry in std::fs::read_dir(&v.folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_weights = ["in_proj", "wqkv", "fa2_impl", "best_model", "ddp_module_prefix"];
            if is_weights.iter().any(|stem| name.starts_with(stem)) {
                found.push((path.clone(), states(Weights::open(&path).unwrap())));
            }
        }
        assert!(!found.is_empty());
        for (path, states) in &found[1..] {
            assert!(*states == found[0].1, "{} differs from {}", path.display(), found[0].0.display());
        }
    });
}

#[test]
fn a_directory_is_loaded_with_its_vocabulary() {
    for_each_variant(|v| {
        if !v.folder.join("args.json").is_file() {
            return;
        }
        let vocabulary = ScgptVocabulary::open(v.folder.join("vocab.json")).unwrap();
        let model = Scgpt::load(&v.folder, &vocabulary, &LoadOptions::default());
        // The folder may hold the same weights in several layouts and still be one checkpoint.
        let model = model.unwrap();
        let (_, encoded) = v.encode(&model);
        let expected = v.io.packed("encoder_output", &v.lengths);
        v.close("loaded", &encoded.hidden.states, &expected);
        let more = (0..v.n_tokens as u32 + 1).map(|id| (format!("G{id}"), id));
        let error = Scgpt::load(&v.folder, &ScgptVocabulary::new(more).unwrap(), &LoadOptions::default());
        assert!(error.unwrap_err().help().unwrap().contains("same release"));
    });
}

#[test]
fn cells_are_alike_in_any_batch() {
    for_each_variant(|v| {
        let model = v.any_model();
        let cells = v.cells();
        let alone = embed(&model, &cells, 0).unwrap();
        for max_tokens in [25, 50, usize::MAX] {
            assert_eq!(embed(&model, &cells, max_tokens).unwrap(), alone, "{}, {max_tokens} tokens", v.name);
        }
    });
}
