//! The released files that are there are recognised.

use sc_fm::registry::{self, Role};

use crate::support;

#[test]
fn dictionaries_and_configurations_are_identified_by_their_hash() {
    let Some(folder) = support::data("geneformer") else { return };
    let mut seen = 0;
    for release in registry::RELEASES.iter().filter(|release| release.name.starts_with("Geneformer")) {
        for file in release.files {
            let name = file.path.rsplit('/').next().unwrap();
            let name = if file.role == Role::Config {
                format!("config_{}.json", release.name)
            } else {
                name.to_owned()
            };
            let path = folder.join(name);
            if path.exists() {
                file.verify(&path).unwrap();
                assert!(registry::identify(&path).unwrap().contains(&(release, file)), "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 0);
}

#[test]
fn configurations_say_what_the_registry_says() {
    let Some(folder) = support::data("geneformer") else { return };
    let mut seen = 0;
    for release in registry::RELEASES {
        let Ok(text) = std::fs::read(folder.join(format!("config_{}.json", release.name))) else { continue };
        let config: serde_json::Value = serde_json::from_slice(&text).unwrap();
        for (key, expected) in [
            ("num_hidden_layers", release.config.n_layers),
            ("hidden_size", release.config.hidden_size),
            ("num_attention_heads", release.config.n_heads),
            ("intermediate_size", release.config.intermediate_size),
            ("vocab_size", release.config.vocab_size),
            ("max_position_embeddings", release.config.max_positions),
        ] {
            assert_eq!(config[key].as_u64(), Some(expected as u64), "{}: {key}", release.name);
        }
        seen += 1;
    }
    assert!(seen > 0);
}
