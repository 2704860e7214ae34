use candle_core::Device;

use super::*;
use crate::models::normal::normal;

const SEQ_LEN: usize = 12;

fn config() -> ScfoundationConfig {
    let part = |hidden_dim: usize, kind: &str| PartConfig {
        hidden_dim,
        depth: 1,
        heads: 2,
        dim_head: hidden_dim / 2,
        module_type: kind.to_owned(),
        norm_first: false,
    };
    ScfoundationConfig {
        seq_len: SEQ_LEN,
        encoder: part(8, "transformer"),
        decoder: part(6, "performer"),
        bin_num: 5,
        bin_alpha: 1.0,
        pad_token_id: 103.0,
        mask_token_id: 102.0,
    }
}

/// A model of random weights; `None` leaves the last layer out.
pub(crate) fn model(with_output: bool) -> Scfoundation {
    let mut shapes: Vec<(String, Vec<usize>)> = vec![];
    let mut add = |name: &str, shape: &[usize]| shapes.push((name.to_owned(), shape.to_vec()));
    let linears = [
        ("token_emb.mlp", 5, 1),
        ("token_emb.mlp2", 5, 5),
        ("decoder_embed", 6, 8),
        ("encoder.transformer_encoder.0.self_attn.out_proj", 8, 8),
        ("encoder.transformer_encoder.0.linear1", 32, 8),
        ("encoder.transformer_encoder.0.linear2", 8, 32),
        ("decoder.performer.net.layers.0.0.fn.to_q", 6, 6),
        ("decoder.performer.net.layers.0.0.fn.to_k", 6, 6),
        ("decoder.performer.net.layers.0.0.fn.to_v", 6, 6),
        ("decoder.performer.net.layers.0.0.fn.to_out", 6, 6),
        ("decoder.performer.net.layers.0.1.fn.fn.w1", 24, 6),
        ("decoder.performer.net.layers.0.1.fn.fn.w2", 6, 24),
        ("to_final", 1, 6),
    ];
    for (name, outputs, inputs) in linears.into_iter().filter(|(name, ..)| with_output || *name != "to_final")
    {
        add(&format!("model.{name}.weight"), &[outputs, inputs]);
        add(&format!("model.{name}.bias"), &[outputs]);
    }
    for (name, width) in [
        ("encoder.transformer_encoder.0.norm1", 8),
        ("encoder.transformer_encoder.0.norm2", 8),
        ("encoder.norm", 8),
        ("decoder.performer.net.layers.0.0.norm", 6),
        ("decoder.performer.net.layers.0.1.norm", 6),
        ("decoder.norm", 6),
        ("norm", 6),
    ] {
        add(&format!("model.{name}.weight"), &[width]);
        add(&format!("model.{name}.bias"), &[width]);
    }
    add("model.encoder.transformer_encoder.0.self_attn.in_proj_weight", &[24, 8]);
    add("model.encoder.transformer_encoder.0.self_attn.in_proj_bias", &[24]);
    add("model.decoder.performer.net.layers.0.0.fn.fast_attention.projection_matrix", &[7, 3]);
    add("model.token_emb.emb.weight", &[5, 8]);
    add("model.token_emb.emb_mask.weight", &[1, 8]);
    add("model.token_emb.emb_pad.weight", &[1, 8]);
    add("model.pos_emb.weight", &[SEQ_LEN + 1, 8]);
    let tensors = (0..).zip(shapes).map(|(stream, (name, shape))| {
        let values = normal(shape.iter().product(), 0.5, 1, stream);
        (name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap())
    });
    Scfoundation::from_weights(config(), &mut Weights::new(tensors), Precision::default()).unwrap()
}

const CELL: Cell<'static> = Cell { genes: &[1, 4, 10, 11], values: &[1.5, 0.5, 4.0, 3.2] };

#[test]
fn cells_that_are_not_gathered_as_the_model_wants_them_are_refused() {
    let model = model(true);
    let encoder = model.encoder(Pooling::All);
    let error = |genes: &[u32], values: &[f32]| encoder.encode(&[CELL, Cell { genes, values }]).unwrap_err();
    assert_eq!(error(&[1, 10, 11], &[1.0, 2.0]).to_string(), "cell 1 has 3 genes, but 2 values");
    assert!(error(&[], &[]).to_string().contains("no token"));
    assert!(error(&[10, 11], &[4.0, 3.0]).help().unwrap().contains("drop cells"));
    assert_eq!(
        error(&[1, 4, 11], &[1.0; 3]).to_string(),
        "cell 1 has token 4 where the model expects 10 (T)"
    );
    assert_eq!(
        error(&[1, 4, 10], &[1.0; 3]).to_string(),
        "cell 1 has token 10 where the model expects 11 (S)"
    );
    let message = error(&[4, 1, 10, 11], &[1.0; 4]).to_string();
    assert_eq!(message, "gene 1 of cell 1 is not behind the one before it");
    assert_eq!(
        error(&[4, 10, 12], &[1.0; 3]).to_string(),
        "token 2 of cell 1 is 12, but the model has 12 tokens"
    );
    for value in [0.0, -1.0, f32::NAN, f32::INFINITY, 102.0, 103.0] {
        let message = error(&[4, 10, 11], &[value, 4.0, 3.0]).to_string();
        assert_eq!(
            message,
            format!("value 0 of cell 1 is {value}, expected a finite number above 0, other than 102 and 103")
        );
    }
}

#[test]
fn an_embedding_has_four_parts_or_one() {
    let model = model(true);
    let row = |pooling| {
        let embeddings = model.encoder(pooling).encode(&[CELL]).unwrap();
        assert_eq!(embeddings.dims(), [1, model.encoder(pooling).width()]);
        embeddings.to_vec2::<f32>().unwrap().remove(0)
    };
    let states = model.encode(&ScfoundationBatch::new(&[CELL]).unwrap()).unwrap().states;
    let states = states.to_vec2::<f32>().unwrap();
    let (all, max) = (row(Pooling::All), row(Pooling::Max));
    assert_eq!(all[..8], states[3], "S is first");
    assert_eq!(all[8..16], states[2], "T is second");
    for column in 0..8 {
        let (a, b) = (states[0][column], states[1][column]);
        assert_eq!(all[16 + column], a.max(b));
        assert!((all[24 + column] - (a + b) / 2.0).abs() < 1e-6);
        assert_eq!(max[column], a.max(b).max(states[2][column]).max(states[3][column]));
    }
}

#[test]
fn genes_without_counts_are_embedded_too() {
    let batch = ScfoundationBatch::new(&[CELL, CELL]).unwrap();
    let genes = model(true).gene_embeddings(&batch, Company::Alone).unwrap();
    assert_eq!((genes.len(), genes[0].dims()), (2, &[SEQ_LEN - 2, 6][..]));
    assert_eq!(model(true).expression(&batch, Company::Alone).unwrap().dims(), [2, SEQ_LEN - 2]);
    let error = model(false).expression(&batch, Company::Alone).unwrap_err();
    assert_eq!(error.to_string(), "the checkpoint has no decoder of expression");
    let nothing = ScfoundationBatch::new(&[]).unwrap();
    assert_eq!(model(true).expression(&nothing, Company::Together).unwrap().dims(), [0, SEQ_LEN - 2]);
}

/// The definition, with the maximum of the keys over all heads, in f64.
#[test]
fn the_linear_attention_is_its_definition() {
    let model = model(true);
    let layer = &model.decoder.layers[0];
    let x = Tensor::from_vec(normal(SEQ_LEN * 6, 1.0, 2, 0), (SEQ_LEN, 6), &Device::Cpu).unwrap();
    layer.check_against_definition(&x);
}
