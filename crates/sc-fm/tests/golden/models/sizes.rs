//! Released configurations, with random weights.

use sc_fm::models::geneformer::{GeneformerConfig, InputFormat};
use sc_fm::models::{Geneformer, Layer, TokenBatch};

use crate::support;

#[test]
fn the_released_geneformers_have_their_sizes() {
    let Some(folder) = support::data("geneformer") else { return };
    for (name, layers, width, heads, inner, tokens, positions) in [
        ("V1-10M", 6, 256, 4, 512, 25_426, 2048),
        ("V2-104M", 12, 768, 12, 3072, 20_275, 4096),
        ("V2-316M", 18, 1152, 18, 4608, 20_275, 4096),
    ] {
        let config = GeneformerConfig::read(&folder.join(format!("config_Geneformer-{name}.json"))).unwrap();
        assert_eq!((config.num_hidden_layers, config.hidden_size), (layers, width), "{name}");
        assert_eq!((config.num_attention_heads, config.intermediate_size), (heads, inner), "{name}");
        assert_eq!((config.vocab_size, config.max_position_embeddings), (tokens, positions), "{name}");
    }
}

#[test]
fn a_geneformer_of_full_size_runs() {
    let Some(folder) = support::data("geneformer") else { return };
    let config = GeneformerConfig::read(&folder.join("config_Geneformer-V1-10M.json")).unwrap();
    let (n_tokens, width) = (config.vocab_size as u32, config.hidden_size);
    let model = Geneformer::random(config, InputFormat::V1, 3).unwrap();
    let cells = [100, 37].map(|n| (0..n).map(|i| 2 + (i * 7919) % (n_tokens - 2)).collect::<Vec<u32>>());
    let hidden = model.forward(&TokenBatch::new(&cells), Layer::SecondToLast).unwrap();
    assert_eq!(hidden.states.dims(), [137, width]);
    // Each row comes out of a norm whose weight is 1 and whose bias is 0.
    let lengths = hidden.states.sqr().unwrap().sum(1).unwrap().to_vec1::<f32>().unwrap();
    assert!(lengths.iter().all(|length| (length / width as f32 - 1.0).abs() < 1e-3));
}
