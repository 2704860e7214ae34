mod draws;
mod templates;

use serde_json::{Value, json};

use super::*;
use crate::answer::{Answer, Form, Reason};
use crate::decode::generate::{Generated, Sampling};
use crate::models::{Architecture, Config, OpenParams};
use crate::tokenizer::End;

const NAMES: [&[&str]; 4] = [&["T cell"], &["T cell regulatory", "Treg"], &["B cell"], &["γδ T cell"]];

fn tokenizer() -> Tokenizer {
    let texts =
        ["Genes of a cell: CD3D MS4A1 NKG7 LYZ PPBP\nAnswer: T cell regulatory\n", "Answer: B cell\n"];
    Tokenizer::of_words(&texts, 1000).unwrap()
}

fn config(architecture: Architecture, vocab_size: usize) -> Config {
    let mut json = match architecture {
        Architecture::GptNeo => json!({
            "hidden_size": 16, "num_layers": 2, "num_heads": 2, "max_position_embeddings": 64, "window_size": 8,
            "attention_types": [[["global", "local"], 1]],
        }),
        Architecture::Opt => json!({
            "hidden_size": 16, "word_embed_proj_dim": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
            "ffn_dim": 32, "max_position_embeddings": 64, "pad_token_id": 1,
        }),
        Architecture::Phi | Architecture::Qwen2 => json!({
            "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
            "max_position_embeddings": 64, "partial_rotary_factor": 1.0,
        }),
        Architecture::T5 => json!({
            "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 1,
            "eos_token_id": 0, "pad_token_id": 1, "feed_forward_proj": "relu",
        }),
    };
    json["model_type"] = Value::from(architecture.name());
    json["vocab_size"] = vocab_size.into();
    Config::from_json(&json).unwrap()
}

/// Every architecture, with random weights, rows of the embedding beyond the tokens, and the labels behind its prompts.
fn models() -> Vec<(LanguageModel, LabelTokens)> {
    let tokenizer = tokenizer();
    let model = |architecture| {
        let config = config(architecture, tokenizer.n_tokens() + 3);
        let model = LanguageModel::random(&config, 7, &OpenParams::default()).unwrap();
        let (prefix, end) = match architecture {
            Architecture::T5 => ("", End::Eos),
            _ => ("Answer:", End::Text("\n")),
        };
        let spelled = NAMES.map(|forms| forms.iter().map(|form| format!(" {form}")).collect::<Vec<_>>());
        (model, LabelTokens::with_synonyms(&tokenizer, prefix, &spelled, &[end]).unwrap())
    };
    Architecture::ALL.map(model).into()
}

fn items(tokenizer: &Tokenizer) -> Vec<Item> {
    let genes = ["CD3D", "MS4A1 NKG7", "LYZ", "PPBP CD3D LYZ MS4A1", "NKG7 NKG7"];
    let item = |genes: &str| Item {
        id: genes.to_owned(),
        tokens: tokenizer.encode(&format!("Genes of a cell: {genes}\nAnswer:"), true).unwrap(),
    };
    genes.map(item).into()
}

fn go(_: &Annotation) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn without_time(mut all: Annotations) -> Vec<Annotation> {
    all.items.iter_mut().for_each(|item| (item.seconds, item.n_shared) = (0.0, 0));
    all.items
}

#[test]
fn every_architecture_answers_alike_in_any_company_and_any_way_of_asking() {
    let tokenizer = tokenizer();
    let items = items(&tokenizer);
    let sampling = Sampling::Random { temperature: 1.0, top_k: 0, top_p: 1.0, seed: 3 };
    for (model, labels) in models() {
        for decoding in Decoding::ALL {
            let run = |items: &[Item], batch_tokens, scoring| {
                let generate = GenerateParams { sampling, max_new_tokens: 6, ..GenerateParams::default() };
                let params = AnnotateParams { decoding, scoring, generate, batch_tokens };
                let annotator = Annotator::new(&model, &tokenizer, &NAMES, &labels, params).unwrap();
                annotator.run(items, &mut go).unwrap()
            };
            let what = format!("{:?} {decoding:?}", model.architecture());
            let together = run(&items, 2048, Scoring::Tree);
            assert!(together.is_complete && together.items.len() == items.len(), "{what}");
            if matches!(decoding, Decoding::Constrained | Decoding::Posterior) {
                assert_eq!(together.compliance(), 1.0, "{what}");
            }
            let shared = together.n_shared;
            assert_eq!(shared > 0, model.answer_start().is_none(), "{what}");
            let together = without_time(together);
            for (batch_tokens, scoring) in
                [(1, Scoring::Tree), (6, Scoring::Batched), (2048, Scoring::Serial)]
            {
                assert_eq!(without_time(run(&items, batch_tokens, scoring)), together, "{what}");
            }
            // Alone, nothing is shared; the last two, another beginning may be.
            let mut alone = without_time(run(&items[3..4], 2048, Scoring::Tree));
            alone[0].item = 3;
            assert_eq!(alone[0], together[3], "{what}");
        }
    }
}

#[test]
fn a_constrained_answer_is_the_walk_of_the_trie() {
    let tokenizer = tokenizer();
    let items = items(&tokenizer);
    for (model, labels) in models() {
        let annotator =
            Annotator::new(&model, &tokenizer, &NAMES, &labels, AnnotateParams::default()).unwrap();
        for (item, found) in items.iter().zip(annotator.run(&items, &mut go).unwrap().items) {
            let walk = labels.trie().walk(|prefix, allowed| -> Result<Vec<f64>> {
                let (mut state, mut logits) = model.start(&[&item.tokens])?.remove(0);
                if !prefix.is_empty() {
                    logits = model.read(std::slice::from_mut(&mut state), &[prefix])?.remove(0);
                }
                Ok(allowed.iter().map(|&token| f64::from(logits[token as usize])).collect())
            });
            let walk = walk.unwrap();
            assert_eq!(found.label(), labels.label_of(walk.label), "{:?}", model.architecture());
            assert_eq!(found.n_generated, walk.tokens.len());
        }
    }
}

#[test]
fn free_text_is_cut_at_its_end_and_strict_text_is_taken_at_its_word() {
    let tokenizer = tokenizer();
    let (model, labels) = models().remove(3);
    let parse = |decoding, text: &str, is_complete| {
        let params = AnnotateParams { decoding, ..AnnotateParams::default() };
        let annotator = Annotator::new(&model, &tokenizer, &NAMES, &labels, params).unwrap();
        let tokens = tokenizer.encode(text, false).unwrap();
        let said = annotator.parse(Generated { tokens, is_complete }).unwrap();
        (said.answer, said.text)
    };
    let label = |index, form| Answer::Label { index, form };
    let (free, strict) = (Decoding::Free, Decoding::Strict);
    assert_eq!(parse(free, " T cell\nGenes", true), (label(0, Form::Exact), " T cell".to_owned()));
    assert_eq!(parse(free, " treg", false).0, label(1, Form::Folded));
    assert_eq!(parse(strict, " Treg\n", true).0, label(1, Form::Exact));
    assert_eq!(parse(strict, r#" {"cell_type": "B cell"}"#, true).0, label(2, Form::Json));
    assert_eq!(parse(strict, " treg\n", true).0, Answer::Unparseable(Reason::NotALabel));
    assert_eq!(parse(strict, " Treg", false).0, Answer::Unparseable(Reason::NotALabel), "not at its end");
    assert_eq!(parse(free, "\n", true).0, Answer::Unparseable(Reason::Empty));
}

#[test]
fn what_the_model_says_without_a_cell_is_taken_off() {
    let tokenizer = tokenizer();
    let items = items(&tokenizer);
    let (model, labels) = models().remove(0);
    let params = || AnnotateParams { decoding: Decoding::Posterior, ..AnnotateParams::default() };
    let annotator = || Annotator::new(&model, &tokenizer, &NAMES, &labels, params()).unwrap();
    let plain = annotator().run(&items, &mut go).unwrap();
    let prior = annotator().without_prior(items[2].tokens.clone()).unwrap();
    let corrected = prior.run(&items, &mut go).unwrap();
    let scores = |all: &Annotations, item: usize| all.items[item].posterior.clone().unwrap();
    for item in 0..items.len() {
        for label in 0..NAMES.len() {
            let expected = scores(&plain, item).log_prob[label] - scores(&plain, 2).log_prob[label];
            assert!((scores(&corrected, item).log_prob[label] - expected).abs() < 1e-12);
        }
    }
    assert_eq!(
        scores(&corrected, 2).probability,
        [0.25; 4],
        "of the cell that stands for none nothing is left"
    );
}

#[test]
fn a_beginning_that_was_read_is_not_read_again() {
    let tokenizer = tokenizer();
    let items = items(&tokenizer);
    for (model, labels) in models() {
        for decoding in [Decoding::Constrained, Decoding::Posterior] {
            let params = AnnotateParams { decoding, ..AnnotateParams::default() };
            let annotator = || Annotator::new(&model, &tokenizer, &NAMES, &labels, params.clone()).unwrap();
            let alone = |item: &Item| annotator().run(std::slice::from_ref(item), &mut go).unwrap();
            let warm = annotator();
            let n_shared = warm.run(&items, &mut go).unwrap().n_shared;
            // In any order of runs, with longer and shorter beginnings, and with none of it.
            let other = Item { id: "other".into(), tokens: items[0].tokens[1..].to_vec() };
            for item in items.iter().chain([&other]).chain(items.iter().rev()) {
                let (found, cold) = (warm.run(std::slice::from_ref(item), &mut go).unwrap(), alone(item));
                assert_eq!(cold.n_shared, 0, "nobody to share with");
                let expected = if item == &other { 0 } else { n_shared };
                assert_eq!(found.n_shared, expected, "{}", item.id);
                assert_eq!(found.items[0].posterior, cold.items[0].posterior);
                assert_eq!(found.items[0].text, cold.items[0].text);
            }
            for pair in items.windows(2) {
                let (found, cold) =
                    (warm.run(pair, &mut go).unwrap(), annotator().run(pair, &mut go).unwrap());
                assert_eq!(found.n_shared, cold.n_shared);
                let of = |all: &Annotations| -> Vec<_> {
                    all.items.iter().map(|item| (item.text.clone(), item.posterior.clone())).collect()
                };
                assert_eq!(of(&found), of(&cold));
            }
        }
    }
}

#[test]
fn a_run_that_is_stopped_keeps_what_it_has() {
    let tokenizer = tokenizer();
    let items = items(&tokenizer);
    let (model, labels) = models().remove(1);
    let params = AnnotateParams { batch_tokens: 1, ..AnnotateParams::default() };
    let annotator = Annotator::new(&model, &tokenizer, &NAMES, &labels, params).unwrap();
    let mut n = 0;
    let stopped = annotator.run(&items, &mut |_| {
        n += 1;
        if n == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let stopped = stopped.unwrap();
    assert!(!stopped.is_complete);
    let mut all = without_time(annotator.run(&items[..2], &mut go).unwrap());
    all.extend(without_time(annotator.run(&items[2..], &mut go).unwrap()));
    assert_eq!(without_time(stopped), all[..2]);
    let none = annotator.run(&[], &mut go).unwrap();
    assert!(none.is_complete && none.items.is_empty() && none.compliance() == 0.0);
}

#[test]
fn a_single_label_needs_no_model() {
    let tokenizer = tokenizer();
    let (model, _) = models().remove(2);
    let labels = LabelTokens::new(&tokenizer, "Answer:", &[" B cell"], &[End::Text("\n")]).unwrap();
    let annotator =
        Annotator::new(&model, &tokenizer, &[["B cell"]], &labels, AnnotateParams::default()).unwrap();
    assert_eq!(annotator.run(&items(&tokenizer), &mut go).unwrap().compliance(), 1.0);
}

#[test]
fn items_that_cannot_be_asked_are_named_with_what_to_do() {
    let tokenizer = tokenizer();
    let (model, labels) = models().remove(0);
    let annotator = Annotator::new(&model, &tokenizer, &NAMES, &labels, AnnotateParams::default()).unwrap();
    let of = |tokens: Vec<u32>| {
        let item = Item { id: "cell 9".to_owned(), tokens };
        let error = annotator.run(&[item], &mut go).unwrap_err();
        (error.to_string(), error.help().is_some())
    };
    let answer = tokenizer.encode("Answer:", false).unwrap();
    let long = [vec![5; 60], answer.clone()].concat();
    let (text, helps) = of(long);
    assert!(text.starts_with(r#"the prompt of item "cell 9" has "#) && text.contains("64 at most"), "{text}");
    assert!(helps);
    let (text, helps) = of(vec![5, 6]);
    assert!(text.contains(r#"behind the prompt of item "cell 9""#) && helps, "{text}");
    let (text, helps) = of([vec![99_999], answer].concat());
    assert!(text.contains("token 0 of item") && helps, "{text}");
    let refused = Annotator::new(&model, &tokenizer, &NAMES[..3], &labels, AnnotateParams::default());
    assert_eq!(refused.unwrap_err().to_string(), "names of 3 labels, but there are tokens of 4");
    let params = AnnotateParams { batch_tokens: 0, ..AnnotateParams::default() };
    let refused = Annotator::new(&model, &tokenizer, &NAMES, &labels, params);
    assert!(refused.unwrap_err().to_string().contains("`batch_tokens` is 0"));
}
