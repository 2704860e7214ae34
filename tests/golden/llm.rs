//! Label scores of eight small language models against the reference's, from its log-probabilities of single tokens.
//! One model lies in the repository, all of them in the fixture folder; every size comes from the files.

use std::collections::BTreeMap;

use sc_llm::answer::{Form, LabelSet};
use sc_llm::decode::trie::Trie;
use serde_json::{Value, from_value};

use crate::support::{fixtures, golden};

#[test]
fn label_scores_equal_the_reference() {
    check("gpt_neo", &golden("llm/gpt_neo/label_scores.json"));
}

#[test]
fn label_scores_equal_the_reference_for_all_fixtures() {
    let Some(folder) = fixtures("llm") else { return };
    let models = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut n_models = 0;
    for path in models.map(|model| model.join("label_scores.json")).filter(|path| path.exists()) {
        let text = std::fs::read_to_string(&path).unwrap();
        let file = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        check(&path.display().to_string(), &file);
        n_models += 1;
    }
    assert!(n_models > 0, "no label_scores.json below {}", folder.display());
}

fn check(name: &str, file: &Value) {
    let labels: Vec<String> = from_value(file["labels"].clone()).unwrap();
    let tokens: Vec<Vec<u32>> = from_value(file["label_token_ids"].clone()).unwrap();
    let eos: u32 = from_value(file["eos"].clone()).unwrap();
    let trie = Trie::new(&tokens, eos).unwrap();
    let names = LabelSet::new(&labels).unwrap();
    for prompt in file["prompts"].as_array().unwrap() {
        let per_token: Vec<Vec<f64>> = from_value(prompt["per_token_logprob"].clone()).unwrap();
        // The log-probability of the last token of each beginning of a label, its end included.
        let mut log_prob = BTreeMap::new();
        for (label, scores) in tokens.iter().zip(&per_token) {
            let closed: Vec<u32> = label.iter().copied().chain([eos]).collect();
            assert_eq!(closed.len(), scores.len(), "{name}");
            for (depth, &score) in scores.iter().enumerate() {
                log_prob.insert(closed[..=depth].to_vec(), score);
            }
        }
        let mut n_questions = 0;
        let posterior = trie
            .posterior(|prefix, allowed| {
                n_questions += 1;
                let score = |&token| log_prob[&prefix.iter().copied().chain([token]).collect::<Vec<u32>>()];
                Ok::<_, sc_llm::Error>(allowed.iter().map(score).collect())
            })
            .unwrap();
        assert!(
            n_questions <= per_token.iter().map(Vec::len).sum::<usize>(),
            "{name}: shared beginnings are scored once"
        );

        let sums: Vec<f64> = from_value(prompt["sum_with_eos"].clone()).unwrap();
        let probability: Vec<f64> = from_value(prompt["posterior"].clone()).unwrap();
        for label in 0..labels.len() {
            let (found, expected) = (posterior.log_prob[label], sums[label]);
            assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{name}, {}: {found}", labels[label]);
            let (found, expected) = (posterior.probability[label], probability[label]);
            assert!((found - expected).abs() <= 1e-9 * expected, "{name}, {}: {found}", labels[label]);
        }
        let best = names.parse(prompt["best"].as_str().unwrap());
        assert_eq!(
            best,
            sc_llm::answer::Answer::Label { index: posterior.best(), form: Form::Exact },
            "{name}"
        );
    }
}
