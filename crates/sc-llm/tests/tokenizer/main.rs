//! The same tokens as the reference implementations, on small tokenisers and on published ones.
#![cfg(feature = "local")]
#![allow(clippy::unwrap_used, reason = "a test fails where something is not there")]

mod gguf;
mod labels;
mod support;

use std::collections::BTreeMap;
use std::path::Path;

use sc_llm::tokenizer::Tokenizer;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    ids_no_special: Vec<u32>,
    tokens: Option<Vec<String>>,
    /// In characters.
    offsets: Option<Vec<(usize, usize)>>,
    decoded_skip: Option<String>,
    decoded: Option<String>,
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn check(name: &str, tokenizer: &Tokenizer, cases: &[Case]) {
    assert!(!cases.is_empty(), "{name} has cases");
    for case in cases {
        let place = format!("{name}, {:?}", case.text);
        let encoded = tokenizer.encode_with_offsets(&case.text, true).unwrap();
        assert_eq!(encoded.ids, case.ids, "{place}");
        assert_eq!(
            tokenizer.encode(&case.text, false).unwrap(),
            case.ids_no_special,
            "{place}, without special tokens"
        );
        if let Some(expected) = &case.tokens {
            let tokens: Vec<&str> = encoded.ids.iter().map(|&id| tokenizer.token(id).unwrap()).collect();
            // Without a table of the ids the reference shows an unknown token by its text.
            let of_ids: Vec<&str> = case.ids.iter().map(|&id| tokenizer.token(id).unwrap()).collect();
            assert_eq!(tokens, of_ids, "{place}");
            let known = |(token, id): (&String, &u32)| {
                Some(*id) == tokenizer.special().unk || tokenizer.token(*id) == Some(token)
            };
            let without = expected.len() == case.ids_no_special.len();
            let ids = if without { &case.ids_no_special } else { &case.ids };
            assert!(expected.iter().zip(ids).all(known), "{place}: {expected:?}");
        }
        if let Some(offsets) = &case.offsets {
            let chars = |byte: usize| case.text.char_indices().take_while(|&(start, _)| start < byte).count();
            let mut found: Vec<_> =
                encoded.offsets.iter().map(|place| (chars(place.start), chars(place.end))).collect();
            if offsets.len() < found.len() {
                let before = tokenizer.special().before.len();
                found.drain(..before);
                found.truncate(offsets.len());
            }
            assert_eq!(&found, offsets, "{place}, offsets");
        }
        for (skip, expected) in [(true, &case.decoded_skip), (false, &case.decoded)] {
            if let Some(expected) = expected {
                assert_eq!(&tokenizer.decode(&case.ids, skip).unwrap(), expected, "{place}, skip {skip}");
            }
        }
        // The bytes of the tokens are the text, where nothing is normalised or unknown.
        let of_text = case.ids_no_special.iter().map(|&id| tokenizer.token_bytes(id).unwrap());
        let bytes: Vec<u8> = of_text.flatten().collect();
        let decoded = tokenizer.decode(&case.ids_no_special, false).unwrap();
        let is_lossy = decoded.contains('\u{FFFD}');
        let text = String::from_utf8_lossy(&bytes);
        assert!(is_lossy || text == decoded || text.trim_start_matches(' ') == decoded, "{place}: {text:?}");
    }
}

#[test]
fn small_tokenisers_give_the_same_tokens_offsets_and_texts() {
    let mut n_checked = 0;
    for folder in support::kept("tokenizer").into_iter().chain(support::fixtures("llm")) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.join("tokenizer_cases.json").is_file() {
                let cases: Vec<Case> = read(&path.join("tokenizer_cases.json"));
                check(&path.display().to_string(), &Tokenizer::open(&path).unwrap(), &cases);
                n_checked += 1;
            }
        }
    }
    assert!(n_checked >= 5, "{n_checked} folders");
}

#[test]
fn special_tokens_of_the_small_tokenisers_are_those_of_their_configuration() {
    let special = |name: &str| {
        let tokenizer = Tokenizer::open(support::kept("tokenizer").unwrap().join(name)).unwrap();
        (tokenizer.n_tokens(), tokenizer.special().clone())
    };
    let (n_tokens, opt) = special("opt");
    assert_eq!(n_tokens, 412);
    assert_eq!((opt.before, opt.after, opt.eos, opt.pad), (vec![2], vec![], vec![2], Some(1)));
    let (n_tokens, t5) = special("t5_gated");
    assert_eq!(n_tokens, 400);
    assert_eq!((t5.before, t5.after, t5.eos, t5.pad, t5.unk), (vec![], vec![1], vec![1], Some(0), Some(2)));
    let (n_tokens, qwen2) = special("qwen2_tied");
    assert_eq!(n_tokens, 416);
    assert_eq!((qwen2.before, qwen2.after, qwen2.eos, qwen2.pad), (vec![], vec![], vec![415], Some(413)));
    let (n_tokens, gpt_neo) = special("gpt_neo");
    assert_eq!((n_tokens, gpt_neo.eos), (420, vec![419]));
}

#[test]
fn published_tokenisers_give_the_same_tokens_offsets_and_texts() {
    let Some(folder) = support::data("tokenizers") else { return };
    let released: BTreeMap<String, Vec<Case>> =
        read(&support::kept("tokenizer").unwrap().join("released.json"));
    for (name, cases) in released {
        check(&name, &Tokenizer::open(folder.join(&name)).unwrap(), &cases);
    }
}

#[test]
fn vocabulary_and_merges_make_the_same_tokeniser_as_the_json() {
    let Some(folder) = support::data("tokenizers") else { return };
    let json = Tokenizer::open(folder.join("gpt2")).unwrap();
    let parts = tempfile::tempdir().unwrap();
    for name in ["vocab.json", "merges.txt"] {
        std::fs::copy(folder.join("gpt2").join(name), parts.path().join(name)).unwrap();
    }
    let parts = Tokenizer::open(parts.path()).unwrap();
    assert_eq!((parts.n_tokens(), parts.special()), (json.n_tokens(), json.special()));
    for text in ["CD3D γδ  T\n\ncell", "<|endoftext|> x", ""] {
        assert_eq!(
            parts.encode_with_offsets(text, true).unwrap(),
            json.encode_with_offsets(text, true).unwrap()
        );
    }
}

#[test]
fn bytes_of_published_byte_level_tokens_spell_any_text_and_all_bytes() {
    let Some(folder) = support::data("tokenizers") else { return };
    for name in ["gpt2", "opt", "phi"] {
        let tokenizer = Tokenizer::open(folder.join(name)).unwrap();
        let text: String =
            (1..0x3000_u32).filter_map(char::from_u32).chain("𝛾🧬\u{10FFFF}".chars()).collect();
        let ids = tokenizer.encode(&text, false).unwrap();
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| tokenizer.token_bytes(id).unwrap()).collect();
        assert_eq!(bytes, text.as_bytes(), "{name}");
        assert_eq!(tokenizer.decode(&ids, false).unwrap(), text, "{name}");
        let all = (0..tokenizer.n_tokens() as u32).filter_map(|id| tokenizer.token_bytes(id));
        let single: std::collections::BTreeSet<Vec<u8>> = all.filter(|bytes| bytes.len() == 1).collect();
        assert_eq!(single.len(), 256, "{name}");
    }
}

#[test]
fn flan_t5_lacks_braces_and_more() {
    let Some(folder) = support::data("tokenizers") else { return };
    let tokenizer = Tokenizer::open(folder.join("t5")).unwrap();
    let unk = tokenizer.special().unk.unwrap();
    let is_unknown = |c: &char| tokenizer.encode(&format!("a{c}b"), false).unwrap().contains(&unk);
    let unknown: String = (' '..='~').chain(['\n', 'γ', 'δ', '⁺', '⁻']).filter(is_unknown).collect();
    assert_eq!(unknown, "<\\^`{}~γδ⁻");
}
