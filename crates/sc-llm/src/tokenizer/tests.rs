use super::*;

use std::fs;
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::json;

fn kept(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tokenizer").join(name);
    fs::read(path.join("tokenizer.json")).unwrap()
}

fn kept_json(name: &str) -> Value {
    serde_json::from_slice(&kept(name)).unwrap()
}

fn of(json: &Value) -> Result<Tokenizer, Error> {
    Tokenizer::from_json(&serde_json::to_vec(json).unwrap())
}

const MODELS: [&str; 5] = ["gpt_neo", "opt", "phi", "qwen2_tied", "t5_gated"];

/// Opens what may be broken, and uses it if it is not.
fn use_it(bytes: &[u8]) {
    let Ok(tokenizer) = Tokenizer::from_json(bytes) else { return };
    for text in ["", "CD3D, γδ T cell\n</s> x", "  ▁ {"] {
        if let Ok(ids) = tokenizer.encode(text, true) {
            assert!(ids.iter().all(|&id| (id as usize) < tokenizer.n_tokens()), "{ids:?}");
            let _text = tokenizer.decode(&ids, false);
        }
    }
    let _bytes: Vec<_> =
        (0..tokenizer.n_tokens().min(500) as u32).map(|id| tokenizer.token_bytes(id)).collect();
}

#[test]
fn damaged_files_are_errors_or_tokenisers_and_never_a_panic() {
    for (seed, model) in MODELS.into_iter().enumerate() {
        let bytes = kept(model);
        for cut in (0..bytes.len()).step_by(997) {
            use_it(&bytes[..cut]);
        }
        let mut state = seed as u64 + 1;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        };
        for _ in 0..150 {
            let mut bytes = bytes.clone();
            for _ in 0..1 + next() % 3 {
                let place = next() % bytes.len();
                bytes[place] = b"{}[],:\"0129aeZ\\ -"[next() % 17];
            }
            use_it(&bytes);
        }
    }
}

/// Every value of a file in turn is put in the place of others.
#[test]
fn values_of_another_kind_are_errors_or_tokenisers_and_never_a_panic() {
    let strange = [
        json!(null),
        json!(-1),
        json!(1e300),
        json!(4_000_000_000_u64),
        json!("▁"),
        json!([]),
        json!({}),
        json!(true),
    ];
    let slots = [
        "/version",
        "/truncation",
        "/padding",
        "/added_tokens",
        "/added_tokens/0",
        "/added_tokens/0/id",
        "/added_tokens/0/content",
        "/added_tokens/0/special",
        "/normalizer",
        "/normalizer/normalizers",
        "/normalizer/normalizers/1/pattern",
        "/normalizer/normalizers/1/pattern/Regex",
        "/normalizer/normalizers/1/content",
        "/pre_tokenizer",
        "/pre_tokenizer/type",
        "/pre_tokenizer/replacement",
        "/pre_tokenizer/prepend_scheme",
        "/pre_tokenizer/pretokenizers",
        "/pre_tokenizer/pretokenizers/0/pattern/Regex",
        "/post_processor",
        "/post_processor/single",
        "/post_processor/single/0",
        "/post_processor/special_tokens",
        "/decoder",
        "/decoder/type",
        "/model",
        "/model/type",
        "/model/vocab",
        "/model/vocab/0",
        "/model/vocab/0/0",
        "/model/vocab/0/1",
        "/model/vocab/a",
        "/model/merges",
        "/model/merges/0",
        "/model/unk_id",
        "/model/unk_token",
        "/model/dropout",
        "/model/continuing_subword_prefix",
        "/model/end_of_word_suffix",
        "/model/byte_fallback",
        "/model/ignore_merges",
    ];
    for model in MODELS {
        for slot in slots {
            for value in &strange {
                let mut json = kept_json(model);
                if let Some(place) = json.pointer_mut(slot) {
                    *place = value.clone();
                    use_it(&serde_json::to_vec(&json).unwrap());
                }
            }
        }
    }
}

fn invalid(change: impl FnOnce(&mut Value), model: &str) -> String {
    let mut json = kept_json(model);
    change(&mut json);
    match of(&json) {
        Err(error @ Error::Invalid { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_file_must_not_ask_for_is_refused_by_its_place() {
    let error = invalid(|json| json["model"]["dropout"] = json!(0.1), "gpt_neo");
    assert_eq!(
        error,
        "tokenizer.json: model.dropout is 0.1, expected none: the same text would become other tokens each time"
    );
    let double = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
    let bomb = json!({"type": "Sequence", "normalizers": vec![double; 30]});
    assert!(invalid(|json| json["normalizer"] = bomb, "gpt_neo").contains("128 times as long"));
    let nested = (0..70).fold(
        json!({"type": "NFC"}),
        |inner, _| json!({"type": "Sequence", "normalizers": [inner, {"type": "NFC"}]}),
    );
    assert!(of(&json!({"model": kept_json("gpt_neo")["model"], "normalizer": nested})).is_err());
    let error = invalid(|json| json["model"]["type"] = json!("WordPiece"), "gpt_neo");
    assert!(error.contains("model.type is \"WordPiece\", expected BPE"), "{error}");
    let error = invalid(|json| json["added_tokens"][0]["id"] = json!(4_000_000_000_u64), "gpt_neo");
    assert!(error.contains("added_tokens: id is 4000000000"), "{error}");
    let error = invalid(|json| json["added_tokens"][0]["id"] = json!(500), "gpt_neo");
    assert!(error.contains("is 500, expected 419, the next free one"), "{error}");
    let error = invalid(|json| json["model"]["merges"][0] = json!(["zzzzzzzzzzzzzz", "a"]), "gpt_neo");
    assert!(error.contains("model.merges"), "{error}");
    let error =
        invalid(|json| json["pre_tokenizer"] = json!({"type": "FixedLength", "length": 0}), "gpt_neo");
    assert!(error.contains("pre_tokenizer is \"FixedLength\""), "{error}");
    let charsmap = json!({"type": "Precompiled", "precompiled_charsmap": "AAAAAA=="});
    assert!(invalid(|json| json["normalizer"] = charsmap, "t5_gated").contains("precompiled_charsmap"));
    let around = json!({"type": "TemplateProcessing", "single": vec![json!({"Sequence": {"id": "A"}}); 9]});
    assert!(invalid(|json| json["post_processor"] = around, "opt").contains("one text"));
}

#[test]
fn truncation_and_padding_of_the_file_do_not_touch_a_prompt() {
    let mut json = kept_json("opt");
    json["padding"] = json!({"strategy": {"Fixed": 1_000_000_000_000_u64}, "direction": "Right", "pad_to_multiple_of": null,
        "pad_id": 1, "pad_type_id": 0, "pad_token": "<pad>"});
    json["truncation"] =
        json!({"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0});
    let (plain, tokenizer) = (of(&kept_json("opt")).unwrap(), of(&json).unwrap());
    let text = "CD3D, CD3E, MS4A1";
    assert_eq!(tokenizer.encode(text, true).unwrap(), plain.encode(text, true).unwrap());
}

#[test]
fn a_text_beyond_any_context_is_refused() {
    let tokenizer = of(&kept_json("gpt_neo")).unwrap();
    let error = tokenizer.encode(&"a".repeat(MAX_TEXT_BYTES + 1), false).unwrap_err();
    assert_eq!(error.to_string(), "a text of 1048577 bytes, expected at most 1048576");
    let error = tokenizer.decode(&[3, 420], true).unwrap_err();
    assert_eq!(error.to_string(), "token 420 is unknown; the tokeniser has 420");
}

#[test]
fn a_folder_without_a_tokeniser_says_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let error = Tokenizer::open(folder.path()).unwrap_err();
    assert!(
        matches!(error, Error::NoTokenizer { .. }) && error.help().unwrap().contains("folder of the model")
    );
    fs::write(folder.path().join("spiece.model"), b"x").unwrap();
    let error = Tokenizer::open(folder.path()).unwrap_err();
    assert!(
        matches!(error, Error::SentencePieceOnly { .. }) && error.help().unwrap().contains("tokenizer.json")
    );
    assert!(matches!(Tokenizer::open(folder.path().join("none")), Err(Error::Read { .. })));
    fs::write(folder.path().join("tokenizer.json"), b"{").unwrap();
    assert!(matches!(Tokenizer::open(folder.path()), Err(Error::Json { .. })));
}

#[test]
fn the_end_of_text_comes_from_all_files_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, json: Value| fs::write(folder.path().join(name), json.to_string()).unwrap();
    fs::write(folder.path().join("tokenizer.json"), kept("qwen2_tied")).unwrap();
    let open = || Tokenizer::open(folder.path());
    assert_eq!(open().unwrap().special().eos, [415, 413], "by name");
    write("config.json", json!({"eos_token_id": 413, "bos_token_id": 414, "model_type": "qwen2"}));
    assert_eq!(open().unwrap().special().eos, [413]);
    write("generation_config.json", json!({"eos_token_id": [415, 413], "pad_token_id": 413}));
    write("tokenizer_config.json", json!({"eos_token": {"content": "<|im_end|>"}}));
    let tokenizer = open().unwrap();
    assert_eq!(
        (tokenizer.special().eos.as_slice(), tokenizer.special().bos),
        ([415, 413].as_slice(), Some(414))
    );
    assert!(tokenizer.special().before.is_empty());
    write("config.json", json!({"eos_token_id": 413, "bos_token_id": 414, "model_type": "opt"}));
    assert_eq!(open().unwrap().special().before, [414], "OPT starts every text with its own token");
    write("generation_config.json", json!({"eos_token_id": 50256}));
    let error = open().unwrap_err();
    assert!(error.to_string().contains("eos_token_id 50256 is not one of the 416 tokens"), "{error}");
    assert!(error.help().unwrap().contains("different models"));
}

#[test]
fn a_vocabulary_with_merges_of_another_family_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let json = kept_json("gpt_neo");
    fs::write(folder.path().join("vocab.json"), json["model"]["vocab"].to_string()).unwrap();
    let pairs = json["model"]["merges"].as_array().unwrap();
    let lines: Vec<String> = pairs
        .iter()
        .map(|pair| match pair.as_array() {
            Some(pair) => format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()),
            None => pair.as_str().unwrap().to_owned(),
        })
        .collect();
    fs::write(folder.path().join("merges.txt"), format!("#version: 0.2\n{}\n", lines.join("\n"))).unwrap();
    let text = "MS4A1, γδ T cell";
    let expected = of(&json).unwrap().encode(text, true).unwrap();
    assert_eq!(Tokenizer::open(folder.path()).unwrap().encode(text, true).unwrap(), expected);
    fs::write(folder.path().join("config.json"), r#"{"model_type": "qwen2"}"#).unwrap();
    let error = Tokenizer::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("model_type is \"qwen2\", expected a GPT-2"), "{error}");
}

#[test]
fn a_saved_tokeniser_is_the_same_when_opened() {
    for model in MODELS {
        let tokenizer = of(&kept_json(model)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        tokenizer.save(folder.path()).unwrap();
        let again = Tokenizer::open(folder.path()).unwrap();
        let text = "CD3D, γδ T cell\n";
        assert_eq!(
            again.encode_with_offsets(text, true).unwrap(),
            tokenizer.encode_with_offsets(text, true).unwrap()
        );
        assert_eq!(again.special().before, tokenizer.special().before, "{model}");
        assert_eq!(again.special().after, tokenizer.special().after, "{model}");
        assert_eq!(again.special().eos.first(), tokenizer.special().eos.first(), "{model}");
    }
}

#[test]
fn words_keep_gene_names_and_labels_whole_in_any_order_of_the_texts() {
    let texts = ["HLA-DRA, MS4A1, RP11-34P13.7", " CD3D, CD3E.", "Answer: CD4⁺ T cell\n", " CD3D"];
    let tokenizer = Tokenizer::of_words(&texts, 10_000).unwrap();
    let tokens = |text: &str| {
        let ids = tokenizer.encode(text, true).unwrap();
        ids.iter()
            .map(|&id| String::from_utf8(tokenizer.token_bytes(id).unwrap()).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        tokens("HLA-DRA, RP11-34P13.7, CD3E."),
        ["HLA-DRA", ",", " RP11-34P13.7", ",", " CD3E", "."].map(str::to_owned),
        "a name with the space before it that the texts have"
    );
    assert_eq!(
        tokens("Answer: CD4⁺ T cell\n"),
        ["Answer", ":", " CD4⁺", " T", " cell", "\n"].map(str::to_owned)
    );
    assert_eq!(tokenizer.special().eos, [0]);
    assert_eq!(tokenizer.special().pad, Some(1));
    assert_eq!(tokenizer.token(258), Some("ĠCD3D"), "the most frequent word comes first");
    let mut reversed = texts;
    reversed.reverse();
    assert_eq!(Tokenizer::of_words(&reversed, 10_000).unwrap().json, tokenizer.json);
    assert_eq!(Tokenizer::of_words(&texts, 260).unwrap().n_tokens(), 260);
    let error = Tokenizer::of_words(&texts, 257).unwrap_err();
    assert!(matches!(error, Error::TooFewTokens { found: 257, expected: 258 }));
}

proptest! {
    #[test]
    fn any_text_comes_back_from_words_and_their_bytes(text in "\\PC{0,40}|[A-Za-z0-9 ,.\\n+-]{0,60}") {
        static WORDS: LazyLock<Tokenizer> =
            LazyLock::new(|| Tokenizer::of_words(&["CD3D, CD3E\nAnswer: T cell"], 1000).unwrap());
        let tokenizer = &*WORDS;
        let ids = tokenizer.encode(&text, false).unwrap();
        prop_assert_eq!(tokenizer.decode(&ids, false).unwrap(), text.clone());
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| tokenizer.token_bytes(id).unwrap()).collect();
        prop_assert_eq!(bytes, text.into_bytes());
    }
}

#[test]
fn synonyms_are_one_label_and_add_up() {
    let tokenizer = Tokenizer::of_words(&["Answer: NK cell natural killer B\n"], 1000).unwrap();
    let forms: [&[&str]; 2] = [&[" NK cell", " natural killer cell", " NK cell"], &[" B cell"]];
    let labels = LabelTokens::with_synonyms(&tokenizer, "Answer:", &forms, &[End::Text("\n")]).unwrap();
    assert_eq!(labels.trie().n_labels(), 3, "the same words count once");
    let uniform = |_: &[u32], allowed: &[u32]| Ok::<_, crate::Error>(vec![-(4.0_f64.ln()); allowed.len()]);
    let posterior = labels.merge(&labels.trie().posterior(uniform).unwrap());
    // NK cell and B cell have three tokens with the end, natural killer cell has four.
    assert!((posterior.probability[0] - 5.0 / 9.0).abs() < 1e-12, "{:?}", posterior.probability);
    assert!((posterior.log_prob[1] - 3.0 * -(4.0_f64.ln())).abs() < 1e-12);
}

#[test]
fn labels_that_no_answer_can_be_are_named() {
    let tokenizer = of(&kept_json("qwen2_tied")).unwrap();
    let new = |labels: &[&str], ends: &[End<'_>]| {
        LabelTokens::new(&tokenizer, "\nAnswer:", labels, ends).unwrap_err()
    };
    let error = new(&[" B cell", " T <|im_end|>"], &[End::Eos]);
    assert!(
        error.to_string().contains("\" T <|im_end|>\" holds the special token \"<|im_end|>\""),
        "{error}"
    );
    assert!(error.help().unwrap().contains("plain text"));
    assert!(matches!(new(&["a", " "], &[End::Eos]), crate::Error::Tokenizer(Error::EmptyForm { label: 1 })));
    assert!(matches!(new(&["a\nb"], &[End::Text("\n")]), crate::Error::Tokenizer(Error::NoEnd { .. })));
    assert!(matches!(
        new(&[" é", " e\u{301}"], &[End::Eos]),
        crate::Error::Tokenizer(Error::SameTokens { .. })
    ));
    assert!(matches!(new(&[" a"], &[]), crate::Error::Tokenizer(Error::NoEos)));
    assert!(matches!(new(&[], &[End::Eos]), crate::Error::NoLabels));
    let none: [&[&str]; 1] = [&[]];
    let error = LabelTokens::with_synonyms(&tokenizer, "", &none, &[End::Eos]).unwrap_err();
    assert!(matches!(error, crate::Error::Tokenizer(Error::NoForms { label: 0 })));
}
