use std::collections::BTreeSet;
use std::path::Path;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::*;
use crate::decode::generate::{GenerateParams, Sampling};

const MODELS: [&str; 5] = ["gpt_neo", "opt", "phi", "qwen2_tied", "t5_gated"];
/// Ends that run into quotation marks, beginnings of each other, names that are not ASCII, and what JSON escapes.
const LABELS: [&str; 6] = ["T cell", "T cell (CD4)", "B cell, \"naive\"", "γδ T cell", "CD4⁺", "a\\b"];

fn kept(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tokenizer").join(name);
    std::fs::read(path.join("tokenizer.json")).unwrap()
}

fn tokenizer(name: &str) -> Tokenizer {
    Tokenizer::from_json(&kept(name)).unwrap()
}

/// T5's vocabulary has neither braces nor brackets, nor a backslash.
fn without_braces() -> Tokenizer {
    let mut json: serde_json::Value = serde_json::from_slice(&kept("t5_gated")).unwrap();
    for piece in json["model"]["vocab"].as_array_mut().unwrap() {
        if piece[0] == "{" || piece[0] == "}" {
            piece[0] = format!("<{}>", piece[1]).into();
        }
    }
    Tokenizer::from_json(&serde_json::to_vec(&json).unwrap()).unwrap()
}

/// Labels that the tokeniser can spell.
fn labels(name: &str) -> Vec<&'static str> {
    if name == "t5_gated" { vec!["T cell", "T cell CD4", "B cell"] } else { LABELS.into() }
}

/// Logits by chance, spread wide enough that the model has favourites, and now and then the end of its text.
fn chance(seed: u64, tokenizer: &Tokenizer) -> impl FnMut(&[u32]) -> crate::Result<Vec<f32>> + use<> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let n = tokenizer.n_tokens() + 3;
    move |_| Ok((0..n).map(|_| (rng.next_u32() >> 8) as f32 / (1 << 22) as f32).collect())
}

fn random(seed: u64) -> GenerateParams {
    let sampling = Sampling::Random { temperature: 1.0, top_k: 0, top_p: 1.0, seed };
    GenerateParams { sampling, ..GenerateParams::default() }
}

fn object(labels: &[&str]) -> Vec<Part> {
    json(&[
        ("reasoning", Hole::Text { max_tokens: 9 }),
        ("cell_type", Hole::labels(labels)),
        ("confidence", Hole::Number { decimals: 2 }),
        ("quality", Hole::OneOf(vec!["high".into(), "low".into()])),
    ])
    .unwrap()
}

#[test]
fn what_a_template_becomes_is_json_with_a_label_whatever_the_model_says() {
    for name in MODELS {
        let tokenizer = if name == "t5_gated" { without_braces() } else { tokenizer(name) };
        let labels = labels(name);
        let template = Template::new(&tokenizer, "", &object(&labels)).unwrap();
        let (mut reached, mut complete) = (BTreeSet::new(), [0, 0]);
        for seed in 0..300 {
            let filled = template.fill(&random(seed), 0, chance(seed, &tokenizer)).unwrap();
            let json: serde_json::Value = serde_json::from_str(&filled.text).unwrap();
            let [
                Value::Free { text, is_complete },
                Value::Label(label),
                Value::Text(number),
                Value::Text(quality),
            ] = filled.values.as_slice()
            else {
                panic!("{:?}", filled.values)
            };
            assert_eq!(json["reasoning"], *text, "{name}");
            assert_eq!(json["cell_type"], labels[*label], "{name}");
            assert_eq!(json["confidence"].as_f64().unwrap(), *number as f64 / 100.0, "{name}");
            assert_eq!(json["quality"], ["high", "low"][*quality], "{name}");
            assert!(filled.n_tokens <= template.max_tokens() && filled.n_chosen <= filled.n_tokens, "{name}");
            reached.insert(*label);
            complete[usize::from(*is_complete)] += 1;
        }
        assert_eq!(reached.len(), labels.len(), "{name}");
        assert!(complete[0] > 0 && complete[1] > 0, "{name}: {complete:?}");
    }
}

#[test]
fn the_model_reads_the_tokens_that_it_would_have_written() {
    for name in ["gpt_neo", "opt", "phi", "qwen2_tied"] {
        let (tokenizer, labels) = (tokenizer(name), labels(name));
        let parts = json(&[
            ("cell_type", Hole::labels(&labels)),
            ("confidence", Hole::Number { decimals: 2 }),
            ("quality", Hole::OneOf(vec!["high".into(), "low".into()])),
        ]);
        let prefix = "\nAnswer: ";
        let template = Template::new(&tokenizer, prefix, &parts.unwrap()).unwrap();
        let prompt = tokenizer.encode(&format!("Genes: CD3D{prefix}"), false).unwrap();
        for seed in 0..200 {
            let mut read = template.start_of(&prompt).unwrap().to_vec();
            let mut next = chance(seed, &tokenizer);
            let model = |tokens: &[u32]| {
                read.extend_from_slice(tokens);
                next(tokens)
            };
            let filled = template.fill(&random(seed), 0, model).unwrap();
            let whole = tokenizer.encode(&format!("Genes: CD3D{prefix}{}", filled.text), false).unwrap();
            assert!(whole.starts_with(&read), "{name}: {:?}", tokenizer.decode(&read, false));
            let last = tokenizer.decode(&whole[read.len()..], false).unwrap();
            assert!(last.len() < 9, "{name}: the model has read all up to the last choice, not to {last:?}");
        }
    }
}

#[test]
fn thoughts_end_with_their_stop_or_their_budget_and_the_template_goes_on_from_there() {
    let tokenizer =
        Tokenizer::of_words(&["hm, hm, a T cell. </think>\n<answer>B cell</answer>"], 1000).unwrap();
    let parts = [
        Part::Text("<think>".into()),
        Part::Hole(Hole::Thoughts { stop: vec!["</think>".into()], max_tokens: 12 }),
        Part::Text("</think>\n<answer>".into()),
        Part::Hole(Hole::labels(&["T cell", "B cell"])),
        Part::Text("</answer>".into()),
    ];
    let template = Template::new(&tokenizer, "", &parts).unwrap();
    // A model that wants to say this, token by token.
    let says = |text: &str, is_ended: bool| {
        let mut script = tokenizer.encode(text, false).unwrap();
        script.extend(is_ended.then(|| tokenizer.special().eos[0]));
        let (mut script, mut read) = (script.into_iter(), Vec::new());
        let model = |tokens: &[u32]| {
            read.extend_from_slice(tokens);
            let mut logits = vec![0.0; tokenizer.n_tokens()];
            if let Some(token) = script.next() {
                logits[token as usize] = 1.0;
            }
            Ok::<_, crate::Error>(logits)
        };
        let filled = template.fill(&GenerateParams::default(), 0, model).unwrap();
        (filled, tokenizer.decode(&read, false).unwrap())
    };
    let free = |text: &str, is_complete| Value::Free { text: text.to_owned(), is_complete };

    let (filled, read) = says("hm, a T cell. </think>", false);
    assert_eq!(filled.values[0], free("hm, a T cell. ", true));
    assert!(matches!(filled.values[1], Value::Label(_)));
    assert!(filled.text.starts_with("<think>hm, a T cell. </think>\n<answer>"), "{}", filled.text);
    assert_eq!(read, "<think>hm, a T cell. </think>\n<answer>", "each text once");

    let (filled, read) = says("hm", true);
    assert_eq!((&filled.values[0], read.as_str()), (&free("hm", true), "<think>hm</think>\n<answer>"));

    let (filled, read) = says(&"hm, ".repeat(40), false);
    assert_eq!(
        (&filled.values[0], filled.text.contains("</think>\n<answer>")),
        (&free("hm, hm, hm, hm, hm, hm,", false), true)
    );
    assert!(read.ends_with("hm,</think>\n<answer>"), "{read}");

    // The budget ends inside the stop text.
    let (filled, read) = says("a a a a a a a a </think>", false);
    assert_eq!(filled.values[0], free("a a a a a a a a ", false));
    assert_eq!(read, "<think>a a a a a a a a </think>\n<answer>");
}

#[test]
fn a_string_of_json_is_never_left_open() {
    let tokenizer = Tokenizer::of_words(&["γδ"], 1000).unwrap();
    let parts = json(&[("why", Hole::Text { max_tokens: 3 })]).unwrap();
    let template = Template::new(&tokenizer, "", &parts).unwrap();
    // A model that loves the first of these bytes that it may say.
    let loves = |bytes: &[u8]| {
        let ids: Vec<u32> = (0..tokenizer.n_tokens() as u32)
            .filter(|&id| {
                tokenizer.token_bytes(id).is_some_and(|token| bytes.starts_with(&token) || token == bytes)
            })
            .collect();
        let model = |_: &[u32]| {
            let mut logits = vec![0.0; tokenizer.n_tokens()];
            ids.iter().for_each(|&id| logits[id as usize] = 9.0);
            logits[tokenizer.special().eos[0] as usize] = -1.0;
            Ok::<_, crate::Error>(logits)
        };
        template.fill(&GenerateParams::default(), 0, model).unwrap()
    };
    for first in [b"\\".as_slice(), &[0xF0], &[0xE2], &[0xCE], b"\n", &[0xFF]] {
        let filled = loves(first);
        serde_json::from_str::<serde_json::Value>(&filled.text).unwrap();
        assert!(!filled.text.contains('\u{FFFD}'), "{first:?}: {}", filled.text);
    }
    assert_eq!(loves(b"\"").values, [Value::Free { text: String::new(), is_complete: true }]);
    // A model to whom nothing is possible.
    let nothing = |_: &[u32]| Ok::<_, crate::Error>(vec![f32::NEG_INFINITY; tokenizer.n_tokens()]);
    let filled = template.fill(&GenerateParams::default(), 0, nothing).unwrap();
    assert_eq!(filled.text, r#"{"why": ""}"#);
    let nan =
        template.fill(&GenerateParams::default(), 0, |_: &[u32]| Ok::<_, crate::Error>(vec![f32::NAN; 9]));
    assert_eq!(nan.unwrap_err().to_string(), "no token can be chosen at step 0: a logit is NaN");
}

#[test]
fn a_template_without_a_choice_asks_nobody() {
    let tokenizer = tokenizer("phi");
    let parts =
        json(&[("cell_type", Hole::labels(&["γδ T cell"])), ("why", Hole::Text { max_tokens: 0 })]).unwrap();
    let template = Template::new(&tokenizer, "", &parts).unwrap();
    let nobody = |_: &[u32]| -> crate::Result<Vec<f32>> { panic!("there is nothing to ask") };
    let filled = template.fill(&GenerateParams::default(), 0, nobody).unwrap();
    assert_eq!(filled.text, r#"{"cell_type": "γδ T cell", "why": ""}"#);
    assert_eq!(json(&[]).unwrap(), [Part::Text("{}".into())]);
}

#[test]
fn numbers_have_their_decimals_and_end_at_one() {
    assert_eq!(numbers(0, 0).unwrap(), ["0", "1"]);
    assert_eq!(numbers(0, 1).unwrap().concat(), "0.00.10.20.30.40.50.60.70.80.91.0");
    assert_eq!(numbers(0, 2).unwrap()[7], "0.07");
    assert_eq!(numbers(0, 4).unwrap().len(), 10_001);
}

#[test]
fn templates_that_cannot_be_filled_are_refused_by_their_hole_with_what_to_do() {
    let tokenizer = tokenizer("t5_gated");
    let refused = |parts: &[Part]| {
        let error = Template::new(&tokenizer, "", parts).unwrap_err();
        (error.to_string(), error.help().is_some())
    };
    let text = |text: &str| Part::Text(text.to_owned());
    let labels = |labels: &[&str]| Part::Hole(Hole::labels(labels));
    let cases: Vec<(Vec<Part>, &str, bool)> = vec![
        (vec![text("x")], "the template has no hole", false),
        (vec![labels(&["T"]), labels(&["B"])], "there is no text before hole 1", true),
        (vec![labels(&["T"]), text(", "), labels(&["B"])], "hole 1 is a second one of labels", false),
        (vec![labels(&[])], "hole 0 has no texts to choose from", false),
        (vec![labels(&["T", " "])], "text 1 of hole 0 is empty", false),
        (vec![Part::Hole(Hole::Labels(vec![vec![]]))], "label 0 has no name", false),
        (vec![labels(&["γδ T cell"])], "the text \"γδ T cell\" of hole 0 has characters", true),
        (vec![labels(&["T</s>"])], "holds the special token \"</s>\"", true),
        (vec![labels(&["T", "T, c"]), text(", x")], "texts \"T\" and \"T, c\" of hole 0 begin alike", true),
        (vec![Part::Hole(Hole::Text { max_tokens: 3 })], "hole 0 is free text without quotation marks", true),
        (
            vec![Part::Quoted(Hole::Thoughts { stop: vec![], max_tokens: 3 })],
            "hole 0 is thoughts in quotation marks",
            true,
        ),
        (vec![Part::Hole(Hole::Number { decimals: 5 })], "a number of 5 decimals, expected at most 4", false),
    ];
    for (parts, expected, helps) in cases {
        let (found, help) = refused(&parts);
        assert!(found.contains(expected), "{found}");
        assert_eq!(help, helps, "{found}");
    }
    let same = json(&[("a", Hole::labels(&["T"])), ("a", Hole::labels(&["B"]))]);
    assert_eq!(same.unwrap_err().to_string(), "the object has the key \"a\" twice");
}
