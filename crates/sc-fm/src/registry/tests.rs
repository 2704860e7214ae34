use super::*;

#[test]
fn every_release_has_weights_and_a_name_of_its_own() {
    for (i, release) in RELEASES.iter().enumerate() {
        assert!(release.file(Role::Weights).is_some(), "{}", release.name);
        assert!(RELEASES[..i].iter().all(|other| other.name != release.name));
        assert!(release.config.hidden_size.is_multiple_of(release.config.n_heads));
        assert!(!release.licence.allows.is_empty());
        for file in release.files {
            let known = file.sha256.map(|hash| (hash.starts, hash.ends));
            let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            assert!(known.is_none_or(|(starts, ends)| is_hex(starts) && is_hex(ends)), "{}", file.path);
            assert!(known.is_none_or(|(starts, _)| starts.len() == 64 || starts.len() == 8), "{}", file.path);
            assert!(!file.path.starts_with('/') && !file.path.contains(".."));
        }
    }
}

#[test]
fn a_name_is_found_whatever_its_case_and_a_typing_error_is_corrected() {
    assert_eq!(release("geneformer-v2-316m").unwrap().config.n_layers, 18);
    let error = release("Geneformer-V2-106M").unwrap_err();
    assert_eq!(
        error.to_string(),
        "no release is named \"Geneformer-V2-106M\"; did you mean \"Geneformer-V2-104M\"?"
    );
    assert_eq!(release("").unwrap_err().to_string(), "no release is named \"\"");
}

#[test]
fn a_dictionary_of_another_release_is_refused() {
    let first = release("Geneformer-V1-10M").unwrap();
    first.check_tokens(25_426).unwrap();
    let error = first.check_tokens(20_275).unwrap_err();
    assert_eq!(error.to_string(), "the dictionary has 20275 tokens, expected 25426 for Geneformer-V1-10M");
    assert!(error.help().unwrap().contains("same release"));
}

#[test]
fn a_hash_agrees_with_all_that_is_known_of_it() {
    let hash = format!("fabfa0c2{}8e1", "0".repeat(53));
    let partial = Sha256 { starts: "fabfa0c2", ends: "8e1" };
    assert!(partial.matches(&hash) && partial.full().is_none());
    assert!(!partial.matches(&hash.replace("8e1", "8e2")));
    assert!(!partial.matches("fabfa0c28e1"));
    assert_eq!(partial.to_string(), "fabfa0c2…8e1");
}

#[test]
fn a_file_that_is_not_the_released_one_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token_dictionary_gc104M.pkl");
    let file = release("Geneformer-V2-104M").unwrap().file(Role::Tokens).unwrap();
    std::fs::write(&path, b"short").unwrap();
    let error = file.verify(&path).unwrap_err();
    assert!(matches!(error, Error::Size { found: 5, expected: 425_590, .. }), "{error}");
    assert!(identify(&path).unwrap().is_empty());
    std::fs::write(&path, vec![0; 425_590]).unwrap();
    let error = file.verify(&path).unwrap_err();
    assert!(matches!(&error, Error::Hash { found, .. } if found.len() == 64), "{error}");
    assert!(error.help().unwrap().contains("fetch it again"));
    assert!(identify(&path).unwrap().is_empty());
    let gone = file.verify(folder.path().join("none")).unwrap_err();
    assert!(matches!(gone, Error::Checkpoint(checkpoint::Error::Io { doing: "open", .. })), "{gone}");
}
