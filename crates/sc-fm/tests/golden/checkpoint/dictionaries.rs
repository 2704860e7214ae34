//! Geneformer's released dictionaries and scGPT's vocabulary.

use std::collections::BTreeMap;

use sc_fm::checkpoint::dictionary;
use sc_fm::tokenize::vocabulary::Vocabulary;

use crate::support;

fn quartiles(medians: &[(String, f64)]) -> [f64; 5] {
    let mut values: Vec<f64> = medians.iter().map(|&(_, value)| value).collect();
    values.sort_by(f64::total_cmp);
    [0, 1, 2, 3, 4].map(|quarter| values[(values.len() - 1) * quarter / 4])
}

#[test]
fn the_first_release_of_geneformer_is_read_from_numpy_scalars() {
    let Some(folder) = support::data("geneformer") else { return };
    let tokens = dictionary::tokens(folder.join("token_dictionary_gc30M.pkl")).unwrap();
    assert_eq!(tokens.len(), 25_426);
    assert_eq!(tokens[..2], [("<pad>".to_owned(), 0), ("<mask>".to_owned(), 1)]);
    let genes = &tokens[2..];
    assert!(genes.is_sorted(), "genes in the order of their ids, tokens 2..");
    assert!(genes.iter().zip(2..).all(|((_, token), expected)| *token == expected));
    assert!(genes.iter().any(|(id, _)| id.starts_with("ENSGR")));

    let medians = dictionary::numbers(folder.join("gene_median_dictionary_gc30M.pkl")).unwrap();
    let expected = [0.0947, 2.11, 2.73, 4.21, 634.3];
    for (found, expected) in quartiles(&medians).into_iter().zip(expected) {
        assert!((found / expected - 1.0).abs() < 3e-3, "{found} for {expected}");
    }
    let symbols = dictionary::texts(folder.join("gene_name_id_dict_gc30M.pkl")).unwrap();
    assert_eq!(symbols.len(), 40_248);
    let (tokens, medians): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (tokens.into_iter().collect(), medians.into_iter().collect());
    let genes = tokens.keys().filter(|key| !key.starts_with('<'));
    assert!(genes.eq(medians.keys()), "every gene with a token has a median, and conversely");
    let vocabulary = Vocabulary::new(tokens, medians).unwrap();
    assert_eq!((vocabulary.n_tokens(), vocabulary.n_genes()), (25_426, 25_424));
}

#[test]
fn the_second_release_of_geneformer_has_four_special_tokens() {
    let Some(folder) = support::data("geneformer") else { return };
    let tokens = dictionary::tokens(folder.join("token_dictionary_gc104M.pkl")).unwrap();
    let medians = dictionary::numbers(folder.join("gene_median_dictionary_gc104M.pkl")).unwrap();
    let mapping = dictionary::texts(folder.join("ensembl_mapping_dict_gc104M.pkl")).unwrap();
    let specials = ["<pad>", "<mask>", "<cls>", "<eos>"].map(str::to_owned);
    assert!(tokens.iter().zip(specials.into_iter().zip(0..)).all(|(found, expected)| *found == expected));
    let vocabulary = Vocabulary::new(tokens, medians).unwrap().with_mapping(mapping);
    assert_eq!((vocabulary.n_tokens(), vocabulary.n_genes()), (20_275, 20_271));
}

#[test]
fn a_vocabulary_in_json_gives_the_same_kind_of_dictionary() {
    let Some(folder) = support::data("scgpt") else { return };
    let tokens = dictionary::tokens(folder.join("default_census_vocab.json")).unwrap();
    assert_eq!(tokens.len(), 60_694);
    let mut numbers: Vec<u32> = tokens.iter().map(|&(_, token)| token).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..60_694), "one token each");
}

#[test]
fn a_dictionary_of_another_kind_is_refused_with_the_key() {
    let Some(folder) = support::data("geneformer") else { return };
    let error = dictionary::tokens(folder.join("gene_median_dictionary_gc104M.pkl")).unwrap_err();
    let message = error.to_string();
    assert!(
        message.ends_with("is a floating point number, expected a whole number from 0 to 4294967295"),
        "{message}"
    );
    assert!(message.contains("\"ENSG00000121410\""), "{message}");
}
