//! Labels as tokens, with published vocabularies and with the whole Cell Ontology.

use std::io::Read;

use sc_llm::tokenizer::{End, Error, LabelTokens, Tokenizer};

use crate::support;

const ENDS: [End<'_>; 3] = [End::Text("\""), End::Text("\n"), End::Eos];

fn published(name: &str) -> Option<Tokenizer> {
    Some(Tokenizer::open(support::data("tokenizers")?.join(name)).unwrap())
}

/// Names of all terms that have one, each once, in the order of their bytes.
pub(crate) fn cell_ontology() -> Option<Vec<String>> {
    let file =
        std::fs::File::open(support::data("ontology")?.join("CL-ontology-v2025-07-30.json.gz")).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let terms: std::collections::BTreeMap<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    let names: std::collections::BTreeSet<&str> =
        terms.values().filter_map(|term| term["label"].as_str()).collect();
    let names: Vec<String> = names.into_iter().filter(|name| !name.is_empty()).map(str::to_owned).collect();
    assert!(names.len() > 3000, "{} names", names.len());
    Some(names)
}

/// Follows every label down the trie, as a model that says it.
fn check_each_is_reachable(tokenizer: &Tokenizer, labels: &LabelTokens, prefix: &str, names: &[String]) {
    let before = tokenizer.encode(prefix, false).unwrap();
    let start = labels.start_of(&before).unwrap();
    for (index, name) in names.iter().enumerate() {
        let ids = tokenizer.encode(&format!("{prefix}{name}"), false).unwrap();
        assert!(ids.starts_with(start), "{name}");
        let mut cursor = labels.trie().cursor();
        for token in ids[start.len()..].iter().chain([&labels.end()]) {
            cursor = cursor.child(token).unwrap_or_else(|| panic!("{name}: {token} cannot follow"));
        }
        assert_eq!(labels.label_of(cursor.label().unwrap()), Some(index), "{name}");
    }
}

#[test]
fn every_name_of_the_cell_ontology_can_be_said_by_byte_level_models() {
    let (Some(names), Some(_)) = (cell_ontology(), support::data("tokenizers")) else { return };
    for model in ["gpt2", "opt", "phi"] {
        let tokenizer = published(model).unwrap();
        let prefixes = [("\nAnswer:", " "), ("{\"cell_type\": \"", "")];
        for (prefix, space) in prefixes.into_iter().take(if model == "gpt2" { 2 } else { 1 }) {
            let names: Vec<String> = names.iter().map(|name| format!("{space}{name}")).collect();
            let labels = LabelTokens::new(&tokenizer, prefix, &names, &ENDS[1..]).unwrap();
            assert_eq!((labels.trie().n_labels(), labels.n_rolled_back()), (names.len(), 0), "{model}");
            check_each_is_reachable(&tokenizer, &labels, prefix, &names);
        }
    }
}

#[test]
fn a_quotation_mark_does_not_end_labels_that_it_merges_with() {
    let Some(tokenizer) = published("gpt2") else { return };
    let names = ["T cell (CD4)", "B cell"];
    let prefix = "{\"cell_type\": \"";
    let labels = LabelTokens::new(&tokenizer, prefix, &names, &ENDS).unwrap();
    assert_eq!(labels.end_place(), 1, ")\" is one token, so the line break ends answers");
    let error = LabelTokens::new(&tokenizer, prefix, &names, &ENDS[..1]).unwrap_err();
    assert!(
        matches!(&error, sc_llm::Error::Tokenizer(Error::NoEnd { name }) if name == "T cell (CD4)"),
        "{error}"
    );
    assert!(error.help().unwrap().contains("End::Eos"));
    let labels = LabelTokens::new(&tokenizer, prefix, &["B cell", "T cell"], &ENDS).unwrap();
    assert_eq!((labels.end_place(), labels.end()), (0, tokenizer.id_of("\"").unwrap()));
}

#[test]
fn a_prompt_that_ends_in_a_space_is_rolled_back_by_one_token() {
    let Some(tokenizer) = published("gpt2") else { return };
    let names = ["γδ T cell", "CD4⁺", "T cell", "T", "7"].map(str::to_owned);
    let labels = LabelTokens::new(&tokenizer, "\nAnswer: ", &names, &ENDS[1..]).unwrap();
    assert_eq!(labels.n_rolled_back(), 1);
    check_each_is_reachable(&tokenizer, &labels, "\nAnswer: ", &names);
    let prompt = tokenizer.encode("Genes: CD3D\nAnswer: ", true).unwrap();
    assert_eq!(labels.start_of(&prompt).unwrap(), &prompt[..prompt.len() - 1]);
    let error = labels.start_of(&prompt[..3]).unwrap_err();
    assert!(matches!(error, Error::OtherPrefix { .. }) && error.help().is_some());
}

#[test]
fn t5_cannot_spell_braces_and_its_labels_can_collide() {
    let Some(tokenizer) = published("t5") else { return };
    let new = |names: &[&str]| match LabelTokens::new(&tokenizer, "", names, &[End::Eos]) {
        Err(sc_llm::Error::Tokenizer(error)) => Err(error),
        labels => Ok(labels.unwrap()),
    };
    let labels = new(&["T cell", "T cell regulatory", "B cell", "CD4+"]).unwrap();
    assert_eq!((labels.end(), labels.n_rolled_back()), (1, 0));
    assert!(matches!(new(&["B cell", "{T}"]), Err(Error::UnknownInLabel { name }) if name == "{T}"));
    assert!(matches!(new(&["γδ T cell"]), Err(Error::UnknownInLabel { .. })));
    let error = new(&["CD4+", "CD4⁺"]).unwrap_err();
    assert!(matches!(&error, Error::SameTokens { first, second } if first == "CD4+" && second == "CD4⁺"));
    assert!(error.help().unwrap().contains("another spelling"));
    let Some(names) = cell_ontology() else { return };
    let spelled: Vec<String> = names
        .into_iter()
        .filter(|name| name.is_ascii() && !name.contains(['<', '\\', '^', '`', '{', '}', '~']))
        .collect();
    let labels = LabelTokens::new(&tokenizer, "", &spelled, &[End::Eos]).unwrap();
    assert_eq!(labels.trie().n_labels(), spelled.len());
    check_each_is_reachable(&tokenizer, &labels, "", &spelled);
}
