use candle_core::Device;

use super::*;
use crate::models::Error;

fn config(more: &str) -> Result<(), Error> {
    let json = format!(r#"{{"peft_type": "LORA", "r": 2, "lora_alpha": 4{more}}}"#);
    serde_json::from_str::<LoraConfig>(&json).unwrap().validate()
}

#[test]
fn adapters_that_compute_something_else_are_refused() {
    config(r#", "task_type": "SEQ_CLS", "use_rslora": true, "rank_pattern": {}"#).unwrap();
    let message = |more: &str| config(more).unwrap_err().to_string();
    assert_eq!(message(r#", "use_dora": true"#), "`use_dora` of the configuration is true, expected false");
    assert!(message(r#", "fan_in_fan_out": true"#).contains("`fan_in_fan_out`"));
    assert!(message(r#", "rank_pattern": {"query": 8}"#).contains("1 entries, expected none"));
    assert!(message(r#", "alpha_pattern": {"query": 8}"#).contains("`alpha_pattern`"));
    let ia3 = r#"{"peft_type": "IA3", "r": 2, "lora_alpha": 4}"#;
    let ia3 = serde_json::from_str::<LoraConfig>(ia3).unwrap().validate().unwrap_err();
    assert!(ia3.to_string().ends_with("is IA3, expected LORA"));
}

#[test]
fn the_product_is_added_and_whole_layers_replace_theirs() {
    let tensor =
        |values: &[f32], shape: [usize; 2]| Tensor::from_slice(values, &shape[..], &Device::Cpu).unwrap();
    let adapter = |name: &str| LoraAdapter {
        r: 1,
        scale: 2.0,
        dropout: 0.0,
        weights: Weights::new([
            (format!("{name}.lora_A.weight"), tensor(&[1.0, -1.0], [1, 2])),
            (format!("{name}.lora_B.weight"), tensor(&[3.0, 0.5], [2, 1])),
            ("classifier.weight".to_owned(), tensor(&[7.0], [1, 1])),
        ]),
    };
    let base = || {
        let query = tensor(&[1.0, 2.0, 3.0, 4.0], [2, 2]);
        Weights::new([
            ("q.weight".to_owned(), query),
            ("classifier.weight".to_owned(), tensor(&[0.0], [1, 1])),
        ])
    };
    let mut weights = base();
    adapter("q").merge_into(&mut weights).unwrap();
    let merged = weights.take("q.weight", &[2, 2]).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(merged, [[7.0, -4.0], [4.0, 3.0]]);
    let whole = weights.take("classifier.weight", &[1, 1]).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(whole, [[7.0]]);
    weights.finish().unwrap();
    let error = adapter("k").merge_into(&mut base()).unwrap_err();
    assert!(error.to_string().contains("\"k.weight\""), "{error}");
}
