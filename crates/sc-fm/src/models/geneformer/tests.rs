use super::*;
use crate::models::{CellEncoder, embed};

const V2: InputFormat = InputFormat::V2 { cls: 2, eos: 3 };

fn config() -> GeneformerConfig {
    let json = r#"{"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 24, "vocab_size": 30, "max_position_embeddings": 12, "hidden_act": "relu",
        "initializer_range": 0.5}"#;
    serde_json::from_str(json).unwrap()
}

fn model(format: InputFormat) -> Geneformer {
    Geneformer::random(config(), format, 1).unwrap()
}

fn bits(embeddings: &ndarray::Array2<f32>) -> Vec<u32> {
    embeddings.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn a_model_of_random_weights_is_complete_and_repeatable() {
    let mut weights = Geneformer::random_weights(&config(), 1, &Device::Cpu).unwrap();
    Geneformer::from_weights(config(), V2, &mut weights, Precision::default()).unwrap();
    assert_eq!(weights.names().count(), 0);
    let logits = |model: &Geneformer| {
        let last = model.forward(&TokenBatch::new(&[[5, 6, 1]]), Layer::Last).unwrap();
        model.mlm_logits(&last).unwrap().to_vec2::<f32>().unwrap()
    };
    assert_eq!(logits(&model(V2)).len(), 3);
    assert_eq!(logits(&model(V2))[0].len(), 30);
    assert_eq!(logits(&model(V2)), logits(&model(V2)));
    assert_ne!(logits(&model(V2)), logits(&Geneformer::random(config(), V2, 2).unwrap()));
}

#[test]
fn checkpoints_are_taken_with_or_without_their_prefix_and_ties_are_compared() {
    let weights = || Geneformer::random_weights(&config(), 1, &Device::Cpu).unwrap();
    let add = |name: &str, tensor: Tensor| {
        let mut all: Vec<(String, Tensor)> = vec![(name.to_owned(), tensor)];
        let mut rest = weights();
        for (name, shape, _) in config().parameters() {
            all.push((name.clone(), rest.take(&name, &shape).unwrap()));
        }
        Weights::new(all)
    };
    let build = |mut weights: Weights| {
        Geneformer::from_weights(config(), InputFormat::V1, &mut weights, Precision::default())
    };
    build(weights().renamed(|name| Some(name.strip_prefix("bert.").unwrap_or(name).to_owned()))).unwrap();
    build(add("bert.embeddings.position_ids", Tensor::arange(0u32, 12, &Device::Cpu).unwrap())).unwrap();
    let word = weights().take("bert.embeddings.word_embeddings.weight", &[30, 16]).unwrap();
    build(add("cls.predictions.decoder.weight", word.clone())).unwrap();
    let error = build(add("cls.predictions.decoder.weight", (word + 1.0).unwrap())).unwrap_err();
    assert!(error.to_string().contains("cls.predictions.decoder.weight"), "{error}");
    let error = build(add(
        "cls.seq_relationship.bias",
        Tensor::zeros(2, candle_core::DType::F32, &Device::Cpu).unwrap(),
    ));
    assert!(error.unwrap_err().to_string().contains("cls.seq_relationship.bias"));
}

#[test]
fn a_checkpoint_without_a_head_says_so() {
    let weights = Geneformer::random_weights(&config(), 1, &Device::Cpu).unwrap();
    let mut weights = weights.renamed(|name| (!name.starts_with("cls.")).then(|| name.to_owned()));
    let model =
        Geneformer::from_weights(config(), InputFormat::V1, &mut weights, Precision::default()).unwrap();
    let last = model.forward(&TokenBatch::new(&[[5, 6]]), Layer::Last).unwrap();
    let error = model.mlm_logits(&last).unwrap_err();
    assert_eq!(error.to_string(), "the checkpoint has no masked language model");
    assert!(error.help().unwrap().contains("trained with it"));
    assert!(model.cell_logits(&last).unwrap_err().to_string().ends_with("no classifier"));
    assert!(model.gene_logits(&last).unwrap_err().to_string().ends_with("no classifier of genes"));
    assert!(model.pooled(&last).unwrap_err().to_string().ends_with("no pooler"));
}

#[test]
fn a_cell_has_the_same_bits_in_any_company() {
    let model = model(V2);
    let cells: Vec<Vec<u32>> = (0..7usize)
        .map(|i| {
            [2].into_iter()
                .chain((0..1 + (i * 5) % 9).map(|g| 4 + ((g * 7 + i) % 26) as u32))
                .chain([3])
                .collect()
        })
        .collect();
    let slices: Vec<&[u32]> = cells.iter().map(Vec::as_slice).collect();
    for (pooling, layer) in [(Pooling::Cell, Layer::SecondToLast), (Pooling::Cls, Layer::Last)] {
        let encoder = model.encoder(pooling, layer).unwrap();
        let together = embed(&encoder, &slices, 1000).unwrap();
        let alone = embed(&encoder, &slices, 1).unwrap();
        assert_eq!(bits(&together), bits(&alone));
        let reversed: Vec<&[u32]> = slices.iter().rev().copied().collect();
        let mut reversed = embed(&encoder, &reversed, 13).unwrap();
        reversed.invert_axis(ndarray::Axis(0));
        assert_eq!(bits(&reversed), bits(&together));
    }
}

#[test]
fn cells_that_do_not_fit_the_release_are_refused() {
    let model = model(V2);
    let encoder = model.encoder(Pooling::Cls, Layer::default()).unwrap();
    let error = |cell: &[u32]| encoder.encode(&[&[2, 9, 3], cell]).unwrap_err();
    assert_eq!(error(&[9, 8, 3]).to_string(), "cell 1 has token 9 where the model expects 2 (<cls>)");
    assert_eq!(error(&[2, 9, 8]).to_string(), "cell 1 has token 8 where the model expects 3 (<eos>)");
    assert!(error(&[9]).help().unwrap().contains("special tokens"));
    assert!(error(&[2, 3]).help().unwrap().contains("drop cells"));
    assert_eq!(error(&[2, 30, 3]).to_string(), "token 1 of cell 1 is 30, but the model has 30 tokens");
    assert!(error(&[2, 30, 3]).help().unwrap().contains("dictionary"));
    assert!(error(&[2, 9, 0]).to_string().ends_with("is padding"));
    let long = [&[2][..], &[7; 11], &[3]].concat();
    assert_eq!(error(&long).to_string(), "cell 1 has 13 tokens, but the model takes 12 at most");
    assert!(error(&long).help().unwrap().contains("input size"));
    model.forward(&TokenBatch::new(&[[9, 1]]), Layer::Last).unwrap();
}

#[test]
fn v1_has_no_cls() {
    let model = model(InputFormat::V1);
    let error = model.encoder(Pooling::Cls, Layer::Last).unwrap_err();
    assert_eq!(error.to_string(), "the model's input has no <cls> token");
    assert!(error.help().unwrap().contains("mean"));
    assert!(model.encoder(Pooling::Cell, Layer::Index(3)).is_err());
}

/// A model in which the chosen weights are variables.
fn trainable(
    config: GeneformerConfig,
    chosen: impl Fn(&str) -> bool,
) -> (Geneformer, Vec<(String, candle_core::Var)>) {
    let mut weights = Geneformer::random_weights(&config, 1, &Device::Cpu).unwrap();
    let mut variables = vec![];
    let mut tensors: Vec<(String, Tensor)> = vec![];
    for (name, shape, _) in config.parameters() {
        let mut tensor = weights.take(&name, &shape).unwrap();
        if chosen(&name) {
            let variable = candle_core::Var::from_tensor(&tensor).unwrap();
            tensor = variable.as_tensor().clone();
            variables.push((name.clone(), variable));
        }
        tensors.push((name, tensor));
    }
    let mut weights = Weights::new(tensors);
    (Geneformer::from_weights(config, V2, &mut weights, Precision::default()).unwrap(), variables)
}

#[test]
fn every_weight_of_a_trainable_model_gets_a_gradient() {
    let (model, variables) = trainable(config(), |_| true);
    let last = model.forward(&TokenBatch::new(&[vec![2, 5, 6, 3], vec![2, 9, 3]]), Layer::Last).unwrap();
    let loss = model.mlm_logits(&last).unwrap().sqr().unwrap().sum_all().unwrap();
    let gradients = loss.backward().unwrap();
    for (name, variable) in &variables {
        let gradient = gradients.get(variable).unwrap_or_else(|| panic!("{name} has no gradient"));
        let size = gradient.abs().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
        // A constant added to all scores of a query changes no weight of the softmax.
        assert!(size > 0.0 && size.is_finite() || name.ends_with("self.key.bias"), "{name}: {size}");
    }
}

/// The states of cells in a step of training, at some rates.
fn training_states(rates: [f64; 2], ids: &[u64], cells: &[Vec<u32>]) -> Vec<Vec<f32>> {
    let [hidden_dropout_prob, attention_probs_dropout_prob] = rates;
    let config = GeneformerConfig { hidden_dropout_prob, attention_probs_dropout_prob, ..config() };
    let model = Geneformer::random(config, V2, 1).unwrap();
    let step = TrainingStep::new(3, 4, ids);
    let hidden = model.forward_with(&TokenBatch::new(cells), Layer::Last, Some(&step)).unwrap();
    hidden.states.to_vec2().unwrap()
}

#[test]
fn dropout_belongs_to_the_cell_and_not_to_the_batch() {
    let (a, b) = (vec![2, 5, 6, 7, 3], vec![2, 9, 3]);
    let together = training_states([0.2, 0.3], &[10, 11], &[a.clone(), b.clone()]);
    assert_eq!(training_states([0.2, 0.3], &[11, 10], &[b, a.clone()])[3..], together[..5]);
    assert_eq!(training_states([0.2, 0.3], &[10], std::slice::from_ref(&a))[..], together[..5]);
    assert_ne!(training_states([0.2, 0.3], &[12], &[a])[..], together[..5]);
}

#[test]
fn each_rate_of_the_configuration_has_its_sites() {
    let cells = [vec![2, 5, 6, 7, 8, 9, 10, 3]];
    let without = model(V2).forward(&TokenBatch::new(&cells), Layer::Last).unwrap();
    let without = without.states.to_vec2::<f32>().unwrap();
    assert_eq!(training_states([0.0, 0.0], &[1], &cells), without);
    let (hidden, weights) =
        (training_states([0.5, 0.0], &[1], &cells), training_states([0.0, 0.5], &[1], &cells));
    assert!(hidden != without && weights != without && hidden != weights);
    let all = GeneformerConfig { hidden_dropout_prob: 0.5, ..config() };
    let model = Geneformer::random(all, V2, 1).unwrap();
    let step = TrainingStep::new(3, 4, [1]);
    let embedded = model.forward_with(&TokenBatch::new(&cells), Layer::Index(0), Some(&step)).unwrap();
    let embedded: Vec<f32> = embedded.states.flatten_all().unwrap().to_vec1().unwrap();
    let dropped = embedded.iter().filter(|&&x| x == 0.0).count();
    assert!((30..98).contains(&dropped), "{dropped} of 128");
}

/// What the tensor library says.
fn cause(result: Result<Tensor>) -> String {
    std::error::Error::source(&result.unwrap_err()).unwrap().to_string()
}

#[test]
fn logits_of_some_tokens_are_those_among_all() {
    let model = model(V2);
    let last = model.forward(&TokenBatch::new(&[vec![2, 5, 6, 3], vec![2, 9, 3]]), Layer::Last).unwrap();
    let all = model.mlm_logits(&last).unwrap().to_vec2::<f32>().unwrap();
    let some = model.mlm_logits_at(&last, &[5, 1]).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(some, [all[5].clone(), all[1].clone()]);
    assert!(cause(model.mlm_logits_at(&last, &[7])).contains("less than 7"));
}

#[test]
fn the_loss_of_masked_tokens_is_the_cross_entropy_of_their_logits() {
    let model = model(V2);
    let last = model.forward(&TokenBatch::new(&[vec![2, 1, 6, 3], vec![2, 1, 3]]), Layer::Last).unwrap();
    let labels = [None, Some(5), None, None, None, Some(9), None];
    let found = model.mlm_loss(&last, &labels).unwrap().to_scalar::<f32>().unwrap();
    let expected = crate::nn::cross_entropy(&model.mlm_logits(&last).unwrap(), &labels).unwrap();
    assert!((found - expected.to_scalar::<f32>().unwrap()).abs() < 1e-5);
    assert!(cause(model.mlm_loss(&last, &labels[1..])).contains("6 labels for 7 rows"));
    assert!(cause(model.mlm_loss(&last, &[Some(30); 7])).contains("is 30, expected less than 30"));
}

#[test]
fn checkpointed_gradients_have_the_bits_of_the_ordinary_ones() {
    let deeper = GeneformerConfig { num_hidden_layers: 3, ..config() };
    let batch = TokenBatch::new(&[vec![2, 5, 1, 6, 3], vec![2, 1, 3]]);
    let labels = [None, None, Some(8), None, None, None, Some(4), None];
    let step = TrainingStep::new(1, 2, [3, 4]);
    type Choice = fn(&str) -> bool;
    let all: Choice = |_| true;
    let upper: Choice = |name| name.contains("layer.2") || name.starts_with("cls.");
    let middle: Choice = |name| name.contains("layer.1.attention");
    let head: Choice = |name| name.starts_with("cls.predictions.transform");
    for (chosen, layer) in [
        (all, Layer::Last),
        (all, Layer::Index(0)),
        (upper, Layer::Last),
        (middle, Layer::Last),
        (head, Layer::Last),
    ] {
        let (model, variables) = trainable(deeper.clone(), chosen);
        let last = model.forward_with(&batch, layer, Some(&step)).unwrap();
        let loss = model.mlm_loss(&last, &labels).unwrap();
        let expected = loss.backward().unwrap();
        let loss_of = |last: &Hidden| model.mlm_loss(last, &labels);
        let (found_loss, found) = model.checkpointed_gradients(&batch, layer, Some(&step), loss_of).unwrap();
        assert_eq!(found_loss.to_scalar::<f32>().unwrap(), loss.to_scalar::<f32>().unwrap());
        let bits = |gradient: Option<&Tensor>| {
            let values: Option<Vec<f32>> = gradient.map(|x| x.flatten_all().unwrap().to_vec1().unwrap());
            values.map(|values| values.into_iter().map(f32::to_bits).collect::<Vec<u32>>())
        };
        for (name, variable) in &variables {
            let (found, expected) = (bits(found.get(variable)), bits(expected.get(variable)));
            assert!(found == expected, "{name}");
            assert!(expected.is_some() || layer != Layer::Last, "{name}");
        }
    }
}
