use candle_core::Device;

use super::*;
use crate::models::normal::normal;

const N_TOKENS: usize = 9;
const SPECIALS: Specials = Specials { pad: 7, cls: 8 };

fn config(more: &str) -> ScgptConfig {
    serde_json::from_str(&format!(r#"{{"embsize": 8, "nheads": 2, "d_hid": 6, "nlayers": 2{more}}}"#))
        .unwrap()
}

/// Tensors of random numbers in these shapes.
fn tensors(shapes: &[(&str, &[usize])]) -> Vec<(String, Tensor)> {
    let tensor = |(stream, (name, shape)): (u64, &(&str, &[usize]))| {
        let values = normal(shape.iter().product(), 0.5, 1, stream);
        ((*name).to_owned(), Tensor::from_vec(values, *shape, &Device::Cpu).unwrap())
    };
    (0..).zip(shapes).map(tensor).collect()
}

/// The encoder, without any value encoder or decoder.
fn encoder() -> Vec<(String, Tensor)> {
    let mut all = tensors(&[("encoder.embedding.weight", &[N_TOKENS, 8]), ("encoder.enc_norm.weight", &[8])]);
    all.extend(tensors(&[("encoder.enc_norm.bias", &[8])]));
    for layer in 0..2 {
        let parts = tensors(&[
            ("self_attn.in_proj_weight", &[24, 8]),
            ("self_attn.in_proj_bias", &[24]),
            ("self_attn.out_proj.weight", &[8, 8]),
            ("self_attn.out_proj.bias", &[8]),
            ("linear1.weight", &[6, 8]),
            ("linear1.bias", &[6]),
            ("linear2.weight", &[8, 6]),
            ("linear2.bias", &[8]),
            ("norm1.weight", &[8]),
            ("norm1.bias", &[8]),
            ("norm2.weight", &[8]),
            ("norm2.bias", &[8]),
        ]);
        all.extend(
            parts
                .into_iter()
                .map(|(name, tensor)| (format!("transformer_encoder.layers.{layer}.{name}"), tensor)),
        );
    }
    all
}

fn continuous() -> Vec<(String, Tensor)> {
    tensors(&[
        ("value_encoder.linear1.weight", &[8, 1]),
        ("value_encoder.linear1.bias", &[8]),
        ("value_encoder.linear2.weight", &[8, 8]),
        ("value_encoder.linear2.bias", &[8]),
        ("value_encoder.norm.weight", &[8]),
        ("value_encoder.norm.bias", &[8]),
    ])
}

fn decoder() -> Vec<(String, Tensor)> {
    tensors(&[
        ("decoder.fc.0.weight", &[8, 8]),
        ("decoder.fc.0.bias", &[8]),
        ("decoder.fc.2.weight", &[8, 8]),
        ("decoder.fc.2.bias", &[8]),
        ("decoder.fc.4.weight", &[1, 8]),
        ("decoder.fc.4.bias", &[1]),
    ])
}

fn build(more: &str, parts: &[Vec<(String, Tensor)>]) -> Result<Scgpt> {
    let tensors = encoder().into_iter().chain(parts.iter().flatten().cloned());
    Scgpt::from_weights(config(more), N_TOKENS, SPECIALS, &mut Weights::new(tensors), Precision::default())
}

fn cell<'c>(genes: &'c [u32], values: &'c [f32]) -> Cell<'c> {
    Cell { genes, values, batch_label: None }
}

fn rows(x: &Tensor) -> Vec<Vec<f32>> {
    x.to_vec2().unwrap()
}

#[test]
fn values_scale_the_genes_where_the_configuration_says_so() {
    let model = build(r#", "input_emb_style": "scaling""#, &[]).unwrap();
    let batch = ScgptBatch::new(&[cell(&[8, 1], &[1.0, 3.0])]).unwrap();
    let encoded = model.encode(&batch, Layer::Index(0)).unwrap();
    let (genes, states) = (rows(&encoded.genes), rows(&encoded.hidden.states));
    assert_eq!(states[0], genes[0]);
    assert!(states[1].iter().zip(&genes[1]).all(|(state, gene)| *state == 3.0 * gene));
}

#[test]
fn the_weighted_pool_is_the_sum_by_value_at_length_one() {
    let model = build(r#", "cell_emb_style": "w-pool""#, &[continuous()]).unwrap();
    let batch = ScgptBatch::new(&[cell(&[8, 1], &[1.0, 3.0]), cell(&[8, 2], &[0.5, 0.0])]).unwrap();
    let encoded = model.encode(&batch, Layer::Last).unwrap();
    let (states, cells) =
        (rows(&encoded.hidden.states), rows(&model.cell_embeddings(&encoded, &batch).unwrap()));
    let sum: Vec<f32> = (0..8).map(|i| states[0][i] + 3.0 * states[1][i]).collect();
    let length = sum.iter().map(|x| x * x).sum::<f32>().sqrt();
    assert!(cells[0].iter().zip(&sum).all(|(found, x)| (found - x / length).abs() < 1e-6));
    let length = states[2].iter().map(|x| x * x).sum::<f32>().sqrt();
    assert!(cells[1].iter().zip(&states[2]).all(|(found, x)| (found - x / length).abs() < 1e-6));
}

#[test]
fn norms_in_front_change_the_layers() {
    let batch = ScgptBatch::new(&[cell(&[8, 1], &[1.0, 3.0])]).unwrap();
    let states = |more: &str| {
        let model = build(more, &[continuous()]).unwrap();
        rows(&model.encode(&batch, Layer::Last).unwrap().hidden.states)
    };
    assert_ne!(states(""), states(r#", "pre_norm": true"#));
    assert_eq!(states(""), states(r#", "pre_norm": false"#));
}

#[test]
fn generating_from_a_cell_s_own_first_token_is_predicting() {
    let model = build("", &[continuous(), decoder()]).unwrap();
    let batch = ScgptBatch::new(&[cell(&[8, 1, 2], &[-2.0, 3.0, 1.0]), cell(&[8, 5], &[-2.0, 0.5])]).unwrap();
    let total = model.encode(&batch, Layer::Index(0)).unwrap().hidden.states;
    let first = pooling::select(&total, [0, 3]).unwrap();
    let generated = model.generate(&first, &batch, true).unwrap().values.to_vec1::<f32>().unwrap();
    let encoded = model.encode(&batch, Layer::Last).unwrap();
    let predicted = model.expression(&encoded, &batch).unwrap().values.to_vec1::<f32>().unwrap();
    assert_eq!(generated, predicted);
    let without = model.generate(&first, &batch, false).unwrap().values.to_vec1::<f32>().unwrap();
    assert_ne!(without, predicted);
}

#[test]
fn each_cell_has_the_statistics_of_its_own_batch() {
    let stats = |k: usize| {
        let all = tensors(&[("running_mean", &[8]), ("running_var", &[8])]);
        let mut all: Vec<_> = all
            .into_iter()
            .map(|(name, x)| (format!("dsbn.bns.{k}.{name}"), (x.sqr().unwrap() + k as f64).unwrap()))
            .collect();
        all.push((format!("dsbn.bns.{k}.num_batches_tracked"), Tensor::new(3i64, &Device::Cpu).unwrap()));
        all
    };
    let model = build("", &[continuous(), stats(0), stats(1)]).unwrap();
    assert_eq!(model.n_batch_labels(), Some(2));
    let with = |label| Cell { batch_label: Some(label), ..cell(&[8, 1, 2], &[-2.0, 3.0, 1.0]) };
    let embed = |cells: &[Cell]| rows(&CellEncoder::encode(&model, cells).unwrap());
    let together = embed(&[with(0), with(1)]);
    assert_ne!(together[0], together[1]);
    let error = CellEncoder::encode(&model, &[cell(&[8, 1], &[1.0, 1.0])]).unwrap_err();
    assert_eq!(error.to_string(), "0 batch labels for 1 cells, expected one for each");
    assert!(error.help().unwrap().contains("training"));
    let error = CellEncoder::encode(&model, &[with(1), with(2)]).unwrap_err();
    assert_eq!(error.to_string(), "the batch label of cell 1 is 2, but the model knows 2");
}

#[test]
fn cells_that_the_model_does_not_know_are_refused() {
    let model = build("", &[continuous()]).unwrap();
    let error = |genes: &[u32], values: &[f32]| {
        CellEncoder::encode(&model, &[cell(&[8, 1], &[-2.0, 1.0]), cell(genes, values)]).unwrap_err()
    };
    assert_eq!(error(&[8, 1], &[1.0]).to_string(), "cell 1 has 2 genes, but 1 values");
    assert_eq!(error(&[1, 8], &[1.0; 2]).to_string(), "cell 1 has token 1 where the model expects 8 (<cls>)");
    assert!(error(&[8], &[1.0]).to_string().contains("no token of a gene"));
    assert!(error(&[8, 7], &[1.0; 2]).to_string().ends_with("is padding"));
    assert!(error(&[8, 9], &[1.0; 2]).to_string().contains("the model has 9 tokens"));
    let message = error(&[8, 1], &[-2.0, f32::NAN]).to_string();
    assert_eq!(message, "value 1 of cell 1 is NaN, expected a finite number");

    let table = [
        ("value_encoder.embedding.weight", &[5, 8][..]),
        ("value_encoder.enc_norm.weight", &[8]),
        ("value_encoder.enc_norm.bias", &[8]),
    ];
    let model = build(r#", "input_emb_style": "category""#, &[tensors(&table)]).unwrap();
    CellEncoder::encode(&model, &[cell(&[8, 1], &[0.0, 4.0])]).unwrap();
    for value in [5.0, -1.0, 0.5, f32::NAN] {
        let error = CellEncoder::encode(&model, &[cell(&[8, 1], &[0.0, value])]).unwrap_err();
        assert_eq!(error.to_string(), format!("value 1 of cell 0 is {value}, expected a category below 5"));
    }
}

#[test]
fn weights_are_taken_whole_and_absent_decoders_are_named() {
    let error = build("", &[]).unwrap_err();
    assert!(error.to_string().contains("value_encoder.linear1.weight"), "{error}");
    let half = decoder()[..2].to_vec();
    assert!(build("", &[continuous(), half]).unwrap_err().to_string().contains("decoder.fc.2.weight"));
    let stray = tensors(&[("mystery.weight", &[2])]);
    assert!(build("", &[continuous(), stray]).unwrap_err().to_string().contains("mystery.weight"));

    let model = build("", &[continuous()]).unwrap();
    let batch = ScgptBatch::new(&[cell(&[8, 1], &[1.0, 3.0])]).unwrap();
    let encoded = model.encode(&batch, Layer::Last).unwrap();
    let cells = model.cell_embeddings(&encoded, &batch).unwrap();
    let heads = [
        model.expression(&encoded, &batch).err(),
        model.expression_of_cells(&cells, &encoded, &batch).err(),
        model.class_logits(&cells).err(),
        model.batch_logits(&cells).err(),
    ];
    for error in heads {
        assert!(error.unwrap().to_string().starts_with("the checkpoint has no "));
    }
}

#[test]
fn the_discriminator_reverses_the_gradient() {
    let parts = tensors(&[
        ("grad_reverse_discriminator.out_layer.weight", &[3, 8]),
        ("grad_reverse_discriminator.out_layer.bias", &[3]),
    ]);
    let weight = parts[0].1.clone();
    let model = build("", &[continuous(), parts]).unwrap();
    let cells = candle_core::Var::from_vec(normal(8, 1.0, 3, 0), (1, 8), &Device::Cpu).unwrap();
    let logits = model.batch_logits(cells.as_tensor()).unwrap();
    let gradients = logits.sum_all().unwrap().backward().unwrap();
    let gradient = rows(gradients.get(&cells).unwrap());
    let expected = weight.sum_keepdim(0).unwrap().neg().unwrap();
    let expected = rows(&expected);
    let differences = gradient[0].iter().zip(&expected[0]).map(|(a, b)| (a - b).abs());
    assert!(differences.fold(0.0, f32::max) < 1e-6);
}

#[test]
fn dropout_has_its_sites_in_the_values_and_in_every_part_of_a_layer() {
    let (genes, values) = ([8, 1, 2, 3, 4], [0.0, 1.0, 2.0, 3.0, 4.0]);
    let batch = ScgptBatch::new(&[cell(&genes, &values)]).unwrap();
    let states = |rate: &str, layer, training: bool| {
        let model = build(&format!(r#", "dropout": {rate}"#), &[continuous()]).unwrap();
        let step = TrainingStep::new(1, 2, [3]);
        let encoded = model.encode_with(&batch, layer, training.then_some(&step)).unwrap();
        encoded.hidden.states.to_vec2::<f32>().unwrap()
    };
    for layer in [Layer::Index(0), Layer::Index(1), Layer::Last] {
        assert_eq!(states("0.0", layer, true), states("0.0", layer, false));
        assert_ne!(states("0.5", layer, true), states("0.5", layer, false));
    }
    // Genes are never dropped: where a value is, the gene alone is left.
    let genes =
        build("", &[continuous()]).unwrap().gene_embeddings(&batch).unwrap().to_vec2::<f32>().unwrap();
    let embedded = states("0.5", Layer::Index(0), true);
    let alone = embedded.iter().flatten().zip(genes.iter().flatten()).filter(|(x, gene)| x == gene).count();
    assert!((5..35).contains(&alone), "{alone} of 40");
}

/// A model of values as factors, with a batch norm for each of three labels and the decoder that is a network, and the
/// tensors that it is made of.
fn normed_parts() -> Vec<(String, Tensor)> {
    let mut all = encoder();
    for label in 0..3 {
        let name = |part: &str| format!("dsbn.bns.{label}.{part}");
        let part = |part: &str, salt: u64| {
            let values = normal(8, 0.3, salt, label).into_iter().map(|x| 1.0 + x).collect();
            (name(part), Tensor::from_vec(values, 8, &Device::Cpu).unwrap())
        };
        all.extend([part("running_mean", 1), part("running_var", 2), part("weight", 3), part("bias", 4)]);
    }
    all.extend(tensors(&[
        ("mvc_decoder.gene2query.weight", &[5, 8]),
        ("mvc_decoder.gene2query.bias", &[5]),
        ("mvc_decoder.fc1.weight", &[5, 13]),
        ("mvc_decoder.fc1.bias", &[5]),
        ("mvc_decoder.hidden_activation.weight", &[1]),
        ("mvc_decoder.fc2.weight", &[1, 5]),
        ("mvc_decoder.fc2.bias", &[1]),
    ]));
    all
}

const SCALING: &str = r#", "input_emb_style": "scaling""#;

/// Cells of the labels 2, 0, 2.
fn labelled() -> ScgptBatch {
    let cells = [
        (&[8, 1, 2, 3][..], &[0.5, 2.0, 1.0, 0.7][..], 2),
        (&[8, 4, 5][..], &[0.4, 0.9, 1.5][..], 0),
        (&[8, 3, 6][..], &[0.6, 1.1, 0.8][..], 2),
    ];
    let cells = cells.map(|(genes, values, label)| Cell { batch_label: Some(label), ..cell(genes, values) });
    ScgptBatch::new(&cells).unwrap()
}

fn normed_model(weights: &mut Weights) -> Scgpt {
    let precision = crate::nn::gemm::Precision::F32;
    Scgpt::from_weights(config(SCALING), N_TOKENS, SPECIALS, weights, precision).unwrap()
}

#[test]
fn gradients_of_batch_norms_and_of_the_network_are_the_slopes_of_the_loss() {
    use crate::train::{Gradients, Variables};
    let batch = labelled();
    let weights_of_rows = Tensor::from_vec(normal(10, 1.0, 9, 9), 10, &Device::Cpu).unwrap();
    for statistics in
        [NormStatistics::Stored, NormStatistics::Tokens, NormStatistics::Padded { pad_value: 0.3 }]
    {
        let loss = |weights: &mut Weights| {
            let model = normed_model(weights);
            // Without the layers, whose functions have corners.
            let encoded = model.encode_observing(&batch, Layer::Index(0), None, statistics).unwrap();
            let cells = model.cell_embeddings(&encoded, &batch).unwrap();
            let found = model.expression_of_cells(&cells, &encoded, &batch).unwrap().values;
            (found * &weights_of_rows).unwrap().sum_all().unwrap()
        };
        let mut weights = Weights::new(normed_parts());
        let variables = Variables::of(&mut weights, |name| !name.starts_with("transformer")).unwrap();
        let gradients = Gradients::of(&loss(&mut weights), &variables).unwrap();
        for (index, (name, tensor)) in variables.iter().enumerate() {
            let values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
            for i in (0..values.len()).step_by(3) {
                let at = |by: f32| {
                    let mut values = values.clone();
                    values[i] += by;
                    let moved = Tensor::from_vec(values, tensor.shape(), &Device::Cpu).unwrap();
                    let parts = normed_parts().into_iter();
                    let parts =
                        parts.map(|(own, x)| if own == name { (own, moved.clone()) } else { (own, x) });
                    f64::from(loss(&mut Weights::new(parts)).to_scalar::<f32>().unwrap())
                };
                let slope = (at(4e-3) - at(-4e-3)) / 8e-3;
                let found = f64::from(gradients.get(index).map_or(0.0, |gradient| gradient[i]));
                // The entry of padding is never trained.
                let is_padding = name == "encoder.embedding.weight" && i / 8 == SPECIALS.pad as usize;
                let expected = if is_padding { 0.0 } else { slope };
                let difference = (found - expected).abs();
                assert!(
                    difference < 5e-3 * expected.abs().max(1.0),
                    "{statistics:?}, {name}, {i}: {found} instead of {expected}"
                );
            }
        }
    }
}

#[test]
fn statistics_of_a_batch_are_those_of_each_label_and_move_the_stored_ones() {
    use crate::train::Variables;
    let mut weights = Weights::new(normed_parts());
    let variables = Variables::of(&mut weights, |_| true).unwrap();
    let model = normed_model(&mut weights);
    let batch = labelled();
    let encode = |statistics| model.encode_observing(&batch, Layer::Index(0), None, statistics).unwrap();
    let stored = rows(&encode(NormStatistics::Stored).hidden.states);
    let encoded = encode(NormStatistics::Tokens);
    let found = rows(&encoded.hidden.states);
    // The cell of label 0 has rows 4, 5, 6: their mean is the bias, their deviation the weight.
    let of = |name: &str| variables.all().find(|(own, _)| *own == name).unwrap().1.to_vec1::<f32>().unwrap();
    let (weight, bias) = (of("dsbn.bns.0.weight"), of("dsbn.bns.0.bias"));
    for column in 0..8 {
        let values: Vec<f32> = found[4..7].iter().map(|row| row[column]).collect();
        let mean = values.iter().sum::<f32>() / 3.0;
        let deviation = (values.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 3.0).sqrt();
        assert!((mean - bias[column]).abs() < 1e-5, "{mean} instead of {}", bias[column]);
        assert!((deviation - weight[column].abs()).abs() < 1e-2, "{deviation}");
    }
    let names: Vec<String> =
        (0..3).flat_map(|k| ["mean", "var"].map(|part| format!("dsbn.bns.{k}.running_{part}"))).collect();
    let before: Vec<Vec<f32>> = names.iter().map(|name| of(name)).collect();
    model.update_statistics(&encode(NormStatistics::Stored)).unwrap();
    assert!(names.iter().zip(&before).all(|(name, before)| of(name) == *before));
    model.update_statistics(&encoded).unwrap();
    for (name, before) in names.iter().zip(&before) {
        assert_eq!(of(name) == *before, name.contains("bns.1."), "{name}");
    }
    assert_ne!(rows(&encode(NormStatistics::Stored).hidden.states), stored);
    // The tensors that the variables were made of are not those that moved.
    let untouched = normed_parts().into_iter().find(|(name, _)| *name == names[0]).unwrap().1;
    assert_eq!(untouched.to_vec1::<f32>().unwrap(), before[0]);
}
