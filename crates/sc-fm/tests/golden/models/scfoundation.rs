//! scFoundation beside its reference: values, encoder, embeddings of cells and genes, expression.

use std::path::Path;

use candle_core::{DType, Tensor};
use sc_fm::checkpoint::Weights;
use sc_fm::models::scfoundation::{Cell, Company, Model, Pooling, Scfoundation, ScfoundationBatch};
use sc_fm::models::{CellEncoder, LoadOptions, ScfoundationConfig, embed};

use super::compare::{self, TOLERANCE, Tensors, close};
use sc_fm::nn::gemm::Precision;

/// What the model sees of cells: positions and values above 0.
struct Gathered(Vec<(Vec<u32>, Vec<f32>)>);

impl Gathered {
    /// From rows with a value for each position.
    fn new(rows: &Tensor) -> Self {
        let rows: Vec<Vec<f32>> = rows.to_dtype(DType::F32).unwrap().to_vec2().unwrap();
        let expressed = |row: &Vec<f32>| {
            let entries = (0..).zip(row.iter().copied()).filter(|&(_, value)| value > 0.0);
            entries.unzip()
        };
        Self(rows.iter().map(expressed).collect())
    }

    fn cells(&self) -> Vec<Cell<'_>> {
        self.0.iter().map(|(genes, values)| Cell { genes, values }).collect()
    }

    fn batch(&self) -> ScfoundationBatch {
        ScfoundationBatch::new(&self.cells()).unwrap()
    }
}

fn model(folder: &Path) -> Scfoundation {
    let config = compare::json(&folder.join("meta.json"))["config"].clone();
    let config: ScfoundationConfig = serde_json::from_value(config).unwrap();
    Scfoundation::from_weights(
        config,
        &mut Weights::open(folder.join("model.safetensors")).unwrap(),
        Precision::default(),
    )
    .unwrap()
}

#[test]
fn values_and_the_encoder() {
    compare::for_each_everywhere("scfoundation_tiny", |folder| {
        let (model, io) = (model(folder), Tensors::open(folder.join("io.safetensors")));
        let genes = io.ids("cell0.positions").remove(0);
        let values = io.floats("cell0.values").to_vec2::<f32>().unwrap().remove(0);
        let batch = ScfoundationBatch::new(&[Cell { genes: &genes, values: &values }]).unwrap();
        let first = |name: &str| io.get(name).get(0).unwrap();
        close("weights", &model.bin_shares(&batch).unwrap(), &first("cell0.weights"), TOLERANCE);
        close("token_emb", &model.value_embeddings(&batch).unwrap(), &first("cell0.token_emb"), TOLERANCE);
        close("encoder_out", &model.encode(&batch).unwrap().states, &first("cell0.encoder_out"), TOLERANCE);
    });
}

#[test]
fn embeddings_of_cells_at_three_depths() {
    compare::for_each_everywhere("scfoundation_tiny", |folder| {
        let (model, io) = (model(folder), Tensors::open(folder.join("io.safetensors")));
        for depth in ["t", "f", "a"] {
            let gathered = Gathered::new(&io.get(&format!("input.{depth}")));
            let found = model.encoder(Pooling::All).encode(&gathered.cells()).unwrap();
            let name = format!("cell_emb_all.{depth}");
            close(&name, &found, &io.get(&name), TOLERANCE);
            let states = model.encode(&gathered.batch()).unwrap();
            let max = model.encoder(Pooling::Max).encode(&gathered.cells()).unwrap();
            for (cell, rows) in states.packing.iter().enumerate() {
                let expected = states.states.narrow(0, rows.start, rows.len()).unwrap().max(0).unwrap();
                close("max over all", &max.get(cell).unwrap(), &expected, 0.0);
            }
        }
    });
}

#[test]
fn embeddings_and_expression_of_genes() {
    compare::for_each_everywhere("scfoundation_tiny", |folder| {
        let (model, io) = (model(folder), Tensors::open(folder.join("io.safetensors")));
        let gathered = Gathered::new(&io.get("input.t"));
        let n_genes = model.config().n_genes();
        let genes =
            Tensor::stack(&model.gene_embeddings(&gathered.batch(), Company::Together).unwrap(), 0).unwrap();
        let expected = io.get("gene_emb_out").narrow(1, 0, n_genes).unwrap();
        close("gene_emb_out", &genes, &expected, TOLERANCE);
        let expression = model.expression(&gathered.batch(), Company::Together).unwrap();
        let expected = io.get("gene_expression_out").narrow(1, 0, n_genes).unwrap();
        close("gene_expression_out", &expression, &expected, TOLERANCE);
    });
}

#[test]
fn each_model_of_a_checkpoint_is_loaded_with_its_configuration() {
    compare::for_each("scfoundation_tiny", |folder| {
        let path = folder.join("models_layout.ckpt");
        if !path.is_file() {
            return;
        }
        let io = Tensors::open(folder.join("io.safetensors"));
        let gathered = Gathered::new(&io.get("input.t"));
        let expected = model(folder).encode(&gathered.batch()).unwrap().states;
        let mut n_loaded = 0;
        for part in [Model::Cell, Model::ReadDepth, Model::Gene] {
            match Scfoundation::load(&path, part, &LoadOptions::default()) {
                Ok(model) => {
                    close(part.key(), &model.encode(&gathered.batch()).unwrap().states, &expected, 0.0);
                    n_loaded += 1;
                }
                Err(error) => assert!(error.to_string().contains(part.key()), "{error}"),
            }
        }
        assert!(n_loaded > 0);
    });
}

#[test]
fn cells_are_alike_in_any_batch() {
    compare::for_each("scfoundation_tiny", |folder| {
        let (model, io) = (model(folder), Tensors::open(folder.join("io.safetensors")));
        let gathered = Gathered::new(&io.get("input.f"));
        let encoder = model.encoder(Pooling::All);
        let alone = embed(&encoder, &gathered.cells(), 0).unwrap();
        for max_tokens in [45, 70, usize::MAX] {
            assert_eq!(embed(&encoder, &gathered.cells(), max_tokens).unwrap(), alone, "{max_tokens} tokens");
        }
        let together = model.gene_embeddings(&gathered.batch(), Company::Alone).unwrap();
        for (cell, together) in gathered.cells().iter().zip(&together) {
            let alone = ScfoundationBatch::new(&[*cell]).unwrap();
            close(
                "genes of a cell alone",
                together,
                &model.gene_embeddings(&alone, Company::Alone).unwrap()[0],
                0.0,
            );
        }
    });
}
