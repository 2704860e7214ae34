//! What is written belongs to the grammar.

use super::*;
use crate::Error as CrateError;
use crate::models::{Config, LanguageModel, OpenParams};

/// Whether a value is what a schema of the tests says.
fn is_valid(schema: &Value, value: &Value) -> bool {
    let is_type = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "null" => value.is_null(),
        _ => panic!("{name}"),
    };
    let number = value.as_f64();
    let length = match value {
        Value::Array(list) => list.len(),
        Value::String(text) => text.chars().count(),
        _ => 0,
    } as f64;
    schema.as_object().unwrap().iter().all(|(keyword, rule)| match keyword.as_str() {
        "type" => is_type(rule.as_str().unwrap()),
        "enum" => rule.as_array().unwrap().contains(value),
        "required" => rule.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
        "properties" => value.as_object().unwrap().iter().all(|(name, value)| is_valid(&rule[name], value)),
        "additionalProperties" => {
            assert_eq!(rule, false);
            value.as_object().unwrap().keys().all(|name| schema["properties"].get(name).is_some())
        }
        "items" => value.as_array().unwrap().iter().all(|item| is_valid(rule, item)),
        "minItems" | "minLength" => length >= rule.as_f64().unwrap(),
        "maxItems" | "maxLength" => length <= rule.as_f64().unwrap(),
        "minimum" => number >= rule.as_f64(),
        "maximum" => number <= rule.as_f64(),
        other => panic!("{other}"),
    })
}

fn schemas() -> [Value; 3] {
    let one_of_500 = json!({
        "type": "object", "additionalProperties": false, "required": ["cell_type"],
        "properties": {"cell_type": {"enum": labels()}},
    });
    let gene = json!({
        "type": "object", "additionalProperties": false, "required": ["gene", "up"],
        "properties": {"gene": {"type": "string", "minLength": 1, "maxLength": 6}, "share": {"type": "number", "minimum": 0, "maximum": 1},
                       "up": {"type": "boolean"}},
    });
    let nested = json!({
        "type": "object", "additionalProperties": false, "required": ["groups", "note"],
        "properties": {
            "groups": {"type": "array", "minItems": 1, "maxItems": 3,
                       "items": {"type": "array", "maxItems": 2, "items": gene}},
            "note": {"enum": ["sure", "unsure", null, 3]}},
    });
    let numbers = json!({
        "type": "array", "minItems": 2, "maxItems": 4,
        "items": {"type": "integer", "minimum": -12, "maximum": 1500},
    });
    [one_of_500, nested, numbers]
}

#[test]
fn every_complete_text_parses_and_is_what_the_schema_says() {
    for tokenizer in [words(), fixture("qwen2_tied"), fixture("gpt_neo")] {
        let compiler = Compiler::new(&tokenizer).unwrap();
        for schema in schemas() {
            let grammar = compiler.json_schema(&schema.to_string()).unwrap();
            let written = texts(&tokenizer, &grammar, 300, 3000);
            let mut different = std::collections::BTreeSet::new();
            for Written { text, is_complete, .. } in &written {
                assert!(is_complete, "{text}");
                let value: Value =
                    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
                assert!(is_valid(&schema, &value), "{text}");
                different.insert(text.as_str());
            }
            assert!(different.len() > 100, "{} different texts", different.len());
        }
    }
}

#[test]
fn a_text_that_the_budget_cuts_is_incomplete_and_begins_one() {
    let tokenizer = words();
    let schema = &schemas()[1];
    let grammar = Compiler::new(&tokenizer).unwrap().json_schema(&schema.to_string()).unwrap();
    let whole = texts(&tokenizer, &grammar, 20, 3000);
    for (cut, whole) in texts(&tokenizer, &grammar, 20, 12).iter().zip(&whole) {
        assert!(!cut.is_complete && cut.tokens.len() == 12, "{}", cut.text);
        assert_eq!(cut.tokens, whole.tokens[..12]);
    }
}

#[test]
fn the_same_seed_writes_the_same_in_any_order_and_on_any_thread() {
    let tokenizer = words();
    let schema = schemas()[1].to_string();
    let grammar = Compiler::new(&tokenizer).unwrap().json_schema(&schema).unwrap();
    let first = texts(&tokenizer, &grammar, 40, 500);
    let other = Compiler::new(&tokenizer).unwrap().json_schema(&schema).unwrap();
    let mut again: Vec<Written> = thread::scope(|scope| {
        let halves = [(20..40), (0..20)].map(|items| {
            let (tokenizer, grammar) = (&tokenizer, &other);
            scope.spawn(move || {
                let text =
                    |item| grammar.generate(&[3, 4], &random(500), item, model(tokenizer, item)).unwrap();
                items.map(text).collect::<Vec<_>>()
            })
        });
        halves.into_iter().flat_map(|half| half.join().unwrap()).collect()
    });
    again.rotate_left(20);
    assert_eq!(first, again);
    assert_ne!(first[0].text, first[1].text);
}

#[test]
fn a_regular_expression_holds_a_text_from_end_to_end() {
    for tokenizer in [words(), fixture("phi")] {
        let grammar = Compiler::new(&tokenizer).unwrap().regex("[A-C]{2,5}[0-9]{0,3}(-(AS1|δ))?").unwrap();
        for Written { text, is_complete, .. } in texts(&tokenizer, &grammar, 300, 60) {
            assert!(is_complete, "{text}");
            let body = text.strip_suffix("-AS1").or(text.strip_suffix("-δ")).unwrap_or(&text);
            let letters = body.trim_end_matches(|c: char| c.is_ascii_digit());
            assert!((2..=5).contains(&letters.len()) && body.len() - letters.len() <= 3, "{text}");
            assert!(letters.bytes().all(|letter| (b'A'..=b'C').contains(&letter)), "{text}");
        }
    }
}

#[test]
fn a_metaspace_vocabulary_spells_what_it_can() {
    let tokenizer = fixture("t5_gated");
    let grammar = Compiler::new(&tokenizer).unwrap().regex("[a-z]{1,4}( [a-z]{1,4}){0,2}").unwrap();
    for Written { text, is_complete, .. } in texts(&tokenizer, &grammar, 50, 60) {
        assert!(is_complete, "{text}");
        assert!(text.split(' ').all(|word| (1..=4).contains(&word.len())), "{text:?}");
    }
}

#[test]
fn a_grammar_may_call_itself() {
    /// Reads one tree, and returns what follows it.
    fn tree(text: &str) -> Option<&str> {
        let Some(rest) = text.strip_prefix('(') else {
            return text.strip_prefix(['a', 'b']);
        };
        tree(tree(rest)?.strip_prefix(", ")?)?.strip_prefix(')')
    }
    let tokenizer = words();
    let grammar = Compiler::new(&tokenizer).unwrap();
    let grammar =
        grammar.lark("start: tree\ntree: LEAF | \"(\" tree \", \" tree \")\"\nLEAF: /[ab]/").unwrap();
    let mut n_complete = 0;
    for Written { text, is_complete, .. } in texts(&tokenizer, &grammar, 300, 400) {
        assert_eq!(tree(&text) == Some(""), is_complete, "{text}");
        n_complete += usize::from(is_complete);
    }
    assert!(n_complete > 200, "{n_complete}");
}

#[test]
fn a_schema_inside_a_grammar_is_held_to() {
    let tokenizer = words();
    let compiler = Compiler::new(&tokenizer).unwrap();
    let grammar = compiler
        .lark("start: /[a-z]{0,9}/ \" <answer>\" answer \"</answer>\"\nanswer: %json {\"enum\": [\"T cell\", \"NK\"]}")
        .unwrap();
    for Written { text, is_complete, .. } in texts(&tokenizer, &grammar, 50, 100) {
        assert!(is_complete, "{text}");
        let answer = text.split_once(" <answer>").unwrap().1.strip_suffix("</answer>").unwrap();
        assert!(["\"T cell\"", "\"NK\""].contains(&answer), "{text}");
    }
}

#[test]
fn text_without_a_choice_is_not_asked_for_and_has_the_tokens_of_the_tokeniser() {
    let tokenizer = words();
    let compiler = Compiler::new(&tokenizer).unwrap();
    let grammar = compiler.json_schema(r#"{"const": {"cell_type": "T cell", "n": null}}"#).unwrap();
    let nobody = |_: &[u32]| -> crate::Result<Vec<f32>> { panic!("there is no choice") };
    let written = grammar.generate(&[3], &GenerateParams::default(), 0, nobody).unwrap();
    assert_eq!(written.text, r#"{"cell_type": "T cell", "n": null}"#);
    assert!(written.is_complete && written.n_chosen == 0);
    assert_eq!(written.tokens, tokenizer.encode(&written.text, false).unwrap());

    let grammar = compiler.json_schema(r#"{"enum": ["T cell", "NK"]}"#).unwrap();
    let mut questions = Vec::new();
    let ask = |next: &[u32]| {
        questions.push(next.to_vec());
        Ok::<_, CrateError>(vec![0.0; tokenizer.n_tokens()])
    };
    grammar.generate(&[3, 4], &GenerateParams::default(), 0, ask).unwrap();
    let quote = tokenizer.id_of("\"").unwrap();
    assert_eq!(questions[0], [3, 4, quote], "the prompt and what must follow it are read at once");
}

#[test]
fn a_text_ends_where_it_may_and_the_end_is_chosen() {
    let tokenizer = words();
    let grammar = Compiler::new(&tokenizer).unwrap().regex("a{2,9}").unwrap();
    let [a, eos] = ["a", "<|endoftext|>"].map(|token| tokenizer.id_of(token).unwrap());
    // The end is what the model likes best, and there may be two of them at least.
    let logits = |_: &[u32]| {
        let mut logits = vec![0.0; tokenizer.n_tokens()];
        logits[eos as usize] = 5.0;
        Ok::<_, CrateError>(logits)
    };
    let written = grammar.generate(&[3], &GenerateParams::default(), 0, logits).unwrap();
    assert_eq!((written.text.as_str(), written.is_complete), ("aa", true));
    assert_eq!(written.tokens, [a, a, eos]);
    let b = tokenizer.id_of("b").unwrap();
    let params = GenerateParams { stop: vec![b], ..GenerateParams::default() };
    let written = grammar.generate(&[3], &params, 0, logits).unwrap();
    assert_eq!(written.tokens, [a; 9], "of equals the lowest, and nothing may come behind nine");
    assert!(written.is_complete);
    let params = GenerateParams { max_new_tokens: 4, ..params };
    let written = grammar.generate(&[3], &params, 0, logits).unwrap();
    assert!(written.is_complete && written.text == "aaaa", "what the budget cut is whole by chance");
}

#[test]
fn logits_of_which_none_can_be_chosen_are_refused() {
    let tokenizer = words();
    let grammar = Compiler::new(&tokenizer).unwrap().regex("[ab]{2}").unwrap();
    let run = |logit: f32| {
        let model = |_: &[u32]| Ok::<_, CrateError>(vec![logit; tokenizer.n_tokens()]);
        grammar.generate(&[3], &GenerateParams::default(), 0, model).unwrap_err().to_string()
    };
    assert_eq!(run(f32::NAN), "no token can be chosen at step 0: a logit is NaN");
    assert!(run(f32::NEG_INFINITY).contains("at step 0: no logit of a token that may come"));
    let params = GenerateParams { repetition_penalty: -1.0, ..GenerateParams::default() };
    let nobody = |_: &[u32]| -> crate::Result<Vec<f32>> { panic!("it is refused before") };
    assert!(grammar.generate(&[3], &params, 0, nobody).is_err());
}

#[test]
fn a_model_writes_in_a_grammar_up_to_its_last_position() {
    let tokenizer = words();
    let grammar = Compiler::new(&tokenizer).unwrap().json_schema(&schemas()[1].to_string()).unwrap();
    let prompt: Vec<u32> = (5..15).collect();
    for (kind, most) in [("qwen2", 64 + 1 - 10), ("t5", 90)] {
        let mut config = match kind {
            "qwen2" => json!({"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
                              "num_attention_heads": 2, "max_position_embeddings": 64}),
            _ => json!({"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2,
                        "decoder_start_token_id": 1, "eos_token_id": 0, "pad_token_id": 1}),
        };
        config["model_type"] = kind.into();
        config["vocab_size"] = (tokenizer.n_tokens() + 3).into();
        let config = Config::from_json(&config).unwrap();
        let model = LanguageModel::random(&config, 7, &OpenParams::default()).unwrap();
        for item in 0..4 {
            let written = model.generate_in(&prompt, &grammar, &random(90), item).unwrap();
            assert!(written.tokens.len() <= most, "{kind}: {} tokens", written.tokens.len());
            assert!(written.is_complete || written.tokens.len() == most, "{kind}: {written:?}");
            // The same from a model that reads all of it anew each time.
            let (read, mut text) =
                (model.answer_start().map_or(prompt.clone(), |token| vec![token]), Vec::new());
            let anew = |next: &[u32]| {
                text.extend_from_slice(next);
                let state = model.answer_start().map(|_| model.encode(&[&prompt[..]]));
                let mut state = state.transpose()?.unwrap_or_else(|| vec![model.empty()]);
                Ok::<_, CrateError>(model.read(&mut state, &[&text[..]])?.remove(0))
            };
            assert_eq!(grammar.generate(&read, &random(most), item, anew).unwrap(), written, "{kind}");
        }
    }
}
