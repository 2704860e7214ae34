//! Scores of labels.

use sc_llm::decode::trie::Trie;
use sc_llm::models::{OpenParams, Scoring, State, open};

use crate::support::{folders, ids};

#[test]
fn scores_of_labels_are_those_of_the_reference_in_every_way_of_asking() {
    for folder in folders(|_| true) {
        let model = open(&folder.path, &OpenParams::default()).unwrap();
        let (expected, scores) = (folder.json("expected.json"), folder.json("label_scores.json"));
        let labels: Vec<Vec<u32>> = scores["label_token_ids"].as_array().unwrap().iter().map(ids).collect();
        let names = scores["labels"].as_array().unwrap();
        let trie = Trie::new(&labels, scores["eos"].as_u64().unwrap() as u32).unwrap();
        let prompts: Vec<Vec<u32>> = expected["prompt_ids"].as_array().unwrap().iter().map(ids).collect();
        let of_prompts = scores["prompts"].as_array().unwrap();
        assert_eq!(prompts.len(), of_prompts.len(), "{}", folder.name());
        let started: Vec<_> =
            prompts.iter().map(|prompt| model.start(&[prompt]).unwrap().remove(0)).collect();
        let states: Vec<&State> = started.iter().map(|(state, _)| state).collect();
        let logits: Vec<&[f32]> = started.iter().map(|(_, logits)| logits.as_slice()).collect();
        let together =
            model.label_scores_of(&states, &logits, &trie, model.vocab_size(), Scoring::Tree).unwrap();
        let refused = |logits: &[&[f32]]| {
            model.label_scores_of(&states, logits, &trie, 1, Scoring::Tree).unwrap_err().to_string()
        };
        let (n, n_logits) = (states.len(), logits[0].len());
        assert_eq!(refused(&logits[1..]), format!("{} texts have logits, expected {n}", n - 1));
        let some = vec![&logits[0][1..]; n];
        if model.answer_start().is_some() {
            let empty = model.empty();
            let states = [states[0], &empty];
            let error = model.label_scores_of(&states, &[logits[0]; 2], &trie, 1, Scoring::Tree).unwrap_err();
            assert!(error.to_string().starts_with("text 1 answers no prompt"), "{error}");
        }
        assert_eq!(refused(&some), format!("{} logits of a text, expected {n_logits}", n_logits - 1));
        for (row, (prompt, scores)) in prompts.iter().zip(of_prompts).enumerate() {
            let (state, logits) = (states[row], logits[row]);
            let of = |scoring| model.label_scores(state, logits, &trie, model.vocab_size(), scoring).unwrap();
            let tree = of(Scoring::Tree);
            assert_eq!(together[row], tree, "{} text {row} in company", folder.name());
            for (label, found) in tree.log_prob.iter().enumerate() {
                let expected = scores["sum_with_eos"][label].as_f64().unwrap();
                let difference = (found - expected).abs();
                assert!(
                    difference <= 5e-4 + 1e-4 * expected.abs(),
                    "{} text {row}, label {label}: {found}, expected {expected}",
                    folder.name()
                );
                let probability = scores["posterior"][label].as_f64().unwrap();
                assert!((tree.probability[label] - probability).abs() < 1e-3, "{}", folder.name());
            }
            assert_eq!(names[tree.best()], scores["best"], "{} text {row}", folder.name());
            for scoring in [Scoring::Batched, Scoring::Serial] {
                assert_eq!(of(scoring), tree, "{} text {row}: {scoring:?}", folder.name());
            }
            let read = model.answer_start().map_or(prompt.len(), |_| 1);
            assert_eq!(state.len(), read, "the text stays as it is");
        }
    }
}
