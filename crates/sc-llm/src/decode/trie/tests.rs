use super::*;
use crate::decode::generate::Sampling;
use proptest::prelude::*;

const END: u32 = 0;

/// Scores that look random and depend on the seed, the prefix and the token alone: a hash, mixed as in SplitMix64.
fn logits(seed: u64) -> impl FnMut(&[u32], &[u32]) -> Result<Vec<f64>> {
    move |prefix, allowed| Ok(allowed.iter().map(|&token| logit(seed, prefix, token)).collect())
}

fn logit(seed: u64, prefix: &[u32], token: u32) -> f64 {
    let mut state = seed;
    for &word in prefix.iter().chain([&token]) {
        state = (state ^ u64::from(word)).wrapping_add(0x9E37_79B9_7F4A_7C15);
        state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        state ^= state >> 31;
    }
    (state >> 11) as f64 / (1_u64 << 53) as f64 * 20.0 - 10.0
}

/// Logarithms of what may be probabilities over `n_tokens` tokens: each is at most `1 / n_tokens`.
fn log_probs(seed: u64, n_tokens: u32) -> impl FnMut(&[u32], &[u32]) -> Result<Vec<f64>> {
    let least = 10.0 + f64::from(n_tokens).ln();
    move |prefix, allowed| Ok(allowed.iter().map(|&token| logit(seed, prefix, token) - least).collect())
}

/// A token per byte, the end token left free.
fn bytes(label: &str) -> Vec<u32> {
    label.bytes().map(u32::from).collect()
}

fn closed(label: &[u32]) -> Vec<u32> {
    label.iter().copied().chain([END]).collect()
}

/// The names of `n` cell types, all different, many a prefix of another, many not ASCII.
fn names(n: usize) -> Vec<String> {
    let lineages =
        ["T cell", "γδ T cell", "CD4⁺ T cell", "B cell", "NK cell", "μ-chain⁺ B cell", "单核细胞", "T"];
    let name = |i: usize| match i / lineages.len() {
        0 => lineages[i].to_owned(),
        state => format!("{} state {state}", lineages[i % lineages.len()]),
    };
    (0..n).map(name).collect()
}

#[test]
fn a_label_that_starts_another_can_end_or_go_on() {
    let trie = Trie::new(&[vec![7, 4, 9], vec![7, 4]], END).unwrap();
    assert_eq!(trie.allowed(&[]), Some([7].as_slice()));
    assert_eq!(trie.allowed(&[7, 4]), Some([END, 9].as_slice()));
    assert_eq!(trie.allowed(&[7, 4, END]), Some([].as_slice()));
    assert_eq!(trie.allowed(&[4]), None);
    assert_eq!(trie.allowed(&[7, 4, END, END]), None);
    assert_eq!((trie.n_labels(), trie.n_inner_nodes(), trie.max_len()), (2, 4, 4));
}

#[test]
fn the_end_token_may_be_any_number() {
    let trie = Trie::new(&[vec![1, 2], vec![1], vec![1, 9]], 5).unwrap();
    assert_eq!(trie.allowed(&[1]), Some([2, 5, 9].as_slice()));
    let trie = Trie::new(&[vec![0], vec![0, 0]], u32::MAX).unwrap();
    assert_eq!(trie.allowed(&[0]), Some([0, u32::MAX].as_slice()));
}

#[test]
fn label_sets_that_cannot_be_told_apart_are_refused() {
    let new = |labels: &[Vec<u32>]| Trie::new(labels, END).unwrap_err();
    assert!(matches!(new(&[]), Error::NoLabels));
    assert!(matches!(new(&[vec![1], vec![]]), Error::EmptyLabel { label: 1 }));
    let error = new(&[vec![2], vec![1], vec![3], vec![1]]);
    assert!(matches!(error, Error::SameLabel { first: 1, second: 3 }));
    assert!(error.help().unwrap().contains("unknown tokens"));
    let error = new(&[vec![1], vec![2, END, 3]]);
    assert!(matches!(error, Error::EndInLabel { label: 1, position: 1, end: END }));
    assert!(error.help().unwrap().contains("special tokens"));
}

#[test]
fn a_single_label_is_found_without_asking_the_model() {
    let trie = Trie::new(&[bytes("CD4⁺")], END).unwrap();
    let walk = trie.walk(|_, _| -> Result<_> { panic!("there is no choice") }).unwrap();
    assert_eq!(walk, Walk { label: 0, tokens: closed(&bytes("CD4⁺")), n_questions: 0 });
    assert_eq!(trie.posterior(log_probs(1, 256)).unwrap().probability, [1.0]);
}

#[test]
fn a_hundred_thousand_random_models_all_end_in_a_label() {
    for (n_tokens, n_labels) in [(2, 3), (3, 12), (40, 28), (50_257, 300), (151_936, 1_000)] {
        let trie = Trie::new(&random_labels(n_tokens, n_labels), END).unwrap();
        let mut n_seen = vec![0; n_labels];
        for seed in 0..20_000 {
            let walk = trie.walk(logits(seed)).unwrap();
            assert_eq!(trie.allowed(&walk.tokens), Some([].as_slice()));
            assert!(walk.tokens.len() <= trie.max_len());
            n_seen[walk.label] += 1;
        }
        assert_eq!(n_seen.iter().sum::<u32>(), 20_000);
        if n_labels <= 28 {
            assert!(n_seen.iter().all(|&n| n > 0), "{n_seen:?}");
        }
    }
}

/// Different labels of 1 to 6 tokens from 1..=n_tokens.
fn random_labels(n_tokens: u32, n_labels: usize) -> Vec<Vec<u32>> {
    let draw = |seed: u64, i: u32| ((logit(seed, &[], i) + 10.0) / 20.0 * 1e9) as u32;
    let mut labels = std::collections::BTreeSet::new();
    for seed in 0.. {
        let len = 1 + draw(seed, 0) % 6;
        labels.insert((1..=len).map(|i| 1 + draw(seed, i) % n_tokens).collect::<Vec<u32>>());
        if labels.len() == n_labels {
            break;
        }
    }
    labels.into_iter().collect()
}

#[test]
fn each_of_three_thousand_names_is_reachable_and_has_its_serial_score() {
    let labels: Vec<Vec<u32>> = names(3_000).iter().map(|name| bytes(name)).collect();
    let trie = Trie::new(&labels, END).unwrap();
    for (index, label) in labels.iter().enumerate() {
        let wanted = closed(label);
        let walk = trie.walk(|prefix, allowed| -> Result<_> {
            Ok(allowed.iter().map(|&token| f64::from(token == wanted[prefix.len()])).collect())
        });
        assert_eq!(walk.unwrap().label, index);
    }
    let posterior = trie.posterior(log_probs(3, 256)).unwrap();
    for (label, log_prob) in labels.iter().zip(&posterior.log_prob) {
        assert_eq!(*log_prob, serial(label, log_probs(3, 256)));
    }
    assert!((posterior.probability.iter().sum::<f64>() - 1.0).abs() < 1e-12);
}

/// The score of one label alone, token by token.
fn serial(label: &[u32], mut log_probs: impl FnMut(&[u32], &[u32]) -> Result<Vec<f64>>) -> f64 {
    let tokens = closed(label);
    (0..tokens.len()).fold(0.0, |sum, i| sum + log_probs(&tokens[..i], &tokens[i..=i]).unwrap()[0])
}

#[test]
fn the_most_probable_label_can_differ_from_the_greedy_one() {
    // The first step prefers token 1, behind which the probability is divided.
    let trie = Trie::new(&[[1, 1], [1, 2], [2, 1]], END).unwrap();
    let model = |prefix: &[u32], allowed: &[u32]| -> Result<Vec<f64>> {
        let p = |token: &u32| match (prefix, token) {
            ([], 1) => 0.6,
            ([], _) => 0.4,
            ([1], _) => 0.5,
            _ => 1.0_f64,
        };
        Ok(allowed.iter().map(|token| p(token).ln()).collect())
    };
    assert_eq!(trie.walk(model).unwrap().label, 0);
    let posterior = trie.posterior(model).unwrap();
    assert_eq!(posterior.best(), 2);
    for (found, expected) in posterior.probability.iter().zip([0.3, 0.3, 0.4]) {
        assert!((found - expected).abs() < 1e-15);
    }
}

#[test]
fn equal_scores_go_to_the_lowest_token_and_the_first_label() {
    let trie = Trie::new(&[[3], [2], [4]], END).unwrap();
    let equal = |_: &[u32], allowed: &[u32]| -> Result<_> { Ok(vec![f64::NEG_INFINITY; allowed.len()]) };
    assert_eq!(trie.walk(equal).unwrap().label, 1);
    let equal = |_: &[u32], allowed: &[u32]| -> Result<_> { Ok(vec![-2.0; allowed.len()]) };
    assert_eq!(trie.posterior(equal).unwrap().best(), 0);
}

#[test]
fn a_label_that_the_model_excludes_has_probability_zero() {
    let trie = Trie::new(&[[1], [2]], END).unwrap();
    let model = |_: &[u32], allowed: &[u32]| -> Result<_> {
        Ok(allowed.iter().map(|&token| if token == 1 { f64::NEG_INFINITY } else { -900.0 }).collect())
    };
    assert_eq!(trie.posterior(model).unwrap().probability, [0.0, 1.0]);
    let none = |_: &[u32], allowed: &[u32]| -> Result<_> { Ok(vec![f64::NEG_INFINITY; allowed.len()]) };
    assert!(matches!(trie.posterior(none), Err(Error::Impossible { n_labels: 2 })));
}

#[test]
fn scores_that_do_not_fit_are_refused() {
    let trie = Trie::new(&[[1, 3], [2, 3]], END).unwrap();
    let short = |_: &[u32], _: &[u32]| -> Result<_> { Ok(vec![0.0]) };
    assert!(matches!(trie.walk(short), Err(Error::ScoreCount { found: 1, expected: 2, .. })));
    let nan = |_: &[u32], _: &[u32]| -> Result<_> { Ok(vec![-1.0, f64::NAN]) };
    assert!(matches!(trie.posterior(nan), Err(Error::ScoreIsNan { token: 2, .. })));
    for logits in [[-1.0, 3.0], [-0.1, -0.1], [-1.0, f64::INFINITY]] {
        let error = trie.posterior(|_, _| -> Result<_> { Ok(logits.to_vec()) }).unwrap_err();
        assert!(matches!(error, Error::NotLogProbabilities { token: 2, .. }), "{logits:?}: {error}");
        assert!(error.help().unwrap().contains("log-softmax"));
    }
}

#[test]
fn an_error_of_the_model_comes_back_as_it_is() {
    #[derive(Debug)]
    enum Failure {
        OutOfMemory,
        Decode,
    }
    impl From<Error> for Failure {
        fn from(_: Error) -> Self {
            Self::Decode
        }
    }
    let trie = Trie::new(&[[1], [2]], END).unwrap();
    assert!(matches!(trie.walk(|_, _| Err(Failure::OutOfMemory)), Err(Failure::OutOfMemory)));
    assert!(matches!(trie.posterior(|_, _| Err(Failure::OutOfMemory)), Err(Failure::OutOfMemory)));
    assert!(matches!(trie.walk(|_, _| Ok::<_, Failure>(vec![])), Err(Failure::Decode)));
}

fn label_sets() -> impl Strategy<Value = Vec<Vec<u32>>> {
    let label = prop::collection::vec(1_u32..6, 1..6);
    prop::collection::btree_set(label, 1..40)
        .prop_map(|set| set.into_iter().collect::<Vec<_>>())
        .prop_shuffle()
}

proptest! {
    #[test]
    fn what_may_follow_a_prefix_is_what_follows_it_in_some_label(labels in label_sets()) {
        let trie = Trie::new(&labels, END).unwrap();
        for label in &labels {
            let label = closed(label);
            for depth in 0..=label.len() {
                let prefix = &label[..depth];
                let mut expected: Vec<u32> = labels
                    .iter()
                    .map(|other| closed(other))
                    .filter(|other| other.len() > depth && other.starts_with(prefix))
                    .map(|other| other[depth])
                    .collect();
                expected.sort_unstable();
                expected.dedup();
                prop_assert_eq!(trie.allowed(prefix), Some(expected.as_slice()));
            }
        }
    }

    #[test]
    fn the_tree_scores_each_label_as_alone_and_asks_once_per_node(labels in label_sets(), seed: u64) {
        let trie = Trie::new(&labels, END).unwrap();
        let mut asked = Vec::new();
        let mut model = log_probs(seed, 6);
        let posterior = trie.posterior(|prefix, allowed| {
            asked.push(prefix.to_vec());
            model(prefix, allowed)
        }).unwrap();
        prop_assert_eq!(asked.len(), trie.n_inner_nodes());
        prop_assert!(asked.is_sorted(), "depth first, in order of tokens");
        for (label, &log_prob) in labels.iter().zip(&posterior.log_prob) {
            prop_assert_eq!(log_prob, serial(label, log_probs(seed, 6)));
        }
        prop_assert!((posterior.probability.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_order_of_the_labels_changes_their_places_only(labels in label_sets(), seed: u64) {
        let mut sorted = labels.clone();
        sorted.sort();
        let (a, b) = (Trie::new(&labels, END).unwrap(), Trie::new(&sorted, END).unwrap());
        let (walk_a, walk_b) = (a.walk(logits(seed)).unwrap(), b.walk(logits(seed)).unwrap());
        prop_assert_eq!(&labels[walk_a.label], &sorted[walk_b.label]);
        prop_assert_eq!(closed(&labels[walk_a.label]), walk_a.tokens);
        let (p, q) = (a.posterior(log_probs(seed, 6)).unwrap(), b.posterior(log_probs(seed, 6)).unwrap());
        for (label, log_prob) in labels.iter().zip(p.log_prob) {
            prop_assert_eq!(log_prob, q.log_prob[sorted.binary_search(label).unwrap()]);
        }
    }
}

#[test]
fn labels_that_are_one_group_add_up() {
    let log_prob = vec![-1.0, f64::NEG_INFINITY, -2.0, -0.5, f64::NEG_INFINITY];
    let posterior = Posterior { log_prob, probability: vec![0.2; 5] };
    let merged = posterior.merge(&[1, 0, 1, 3, 3], 4);
    assert_eq!(merged.log_prob[0], f64::NEG_INFINITY);
    assert!((merged.log_prob[1] - ((-1.0_f64).exp() + (-2.0_f64).exp()).ln()).abs() < 1e-14);
    assert_eq!(merged.log_prob[2], f64::NEG_INFINITY, "a group without labels");
    assert!((merged.log_prob[3] + 0.5).abs() < 1e-15);
    assert!((merged.probability.iter().sum::<f64>() - 1.0).abs() < 1e-15);
    assert_eq!(merged.best(), 3);
    let nothing = posterior.merge(&[9; 5], 2);
    assert_eq!((nothing.best(), nothing.probability), (0, vec![0.0; 2]));
}

#[test]
fn draws_follow_the_scores_and_an_impossible_choice_goes_to_the_lowest_token() {
    let trie = Trie::new(&[vec![3], vec![5], vec![4]], END).unwrap();
    let sampling = Sampling::Random { temperature: 2.0, top_k: 0, top_p: 1.0, seed: 1 };
    let mut counts = [0; 3];
    for item in 0..4000 {
        // Tokens 3, 4, 5, of which 4 is e times as probable at this temperature.
        let scores = |_: &[u32], _: &[u32]| Ok::<_, Error>(vec![0.0, 2.0, 0.0]);
        let walk = trie.draw(sampling, item, scores).unwrap();
        assert_eq!(walk, trie.draw(sampling, item, scores).unwrap(), "an item has a stream of its own");
        counts[walk.label] += 1;
    }
    let e = std::f64::consts::E;
    for (label, weight) in [1.0, 1.0, e].into_iter().enumerate() {
        let expected = weight / (2.0 + e);
        let error = (expected * (1.0 - expected) / 4000.0).sqrt();
        assert!((f64::from(counts[label]) / 4000.0 - expected).abs() < 4.0 * error, "{label}: {counts:?}");
    }
    let impossible = |_: &[u32], allowed: &[u32]| Ok::<_, Error>(vec![f64::NEG_INFINITY; allowed.len()]);
    assert_eq!(trie.draw(sampling, 0, impossible).unwrap().tokens, [3, END]);
    let refused = Sampling::Random { temperature: 0.0, top_k: 0, top_p: 1.0, seed: 1 };
    assert!(trie.draw(refused, 0, impossible).is_err());
}
