//! The JSON that CELLxGENE publishes with its schema: identifiers with label, synonyms and ancestors by distance.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Ontology, RawTerm};
use crate::{Error, Result};

#[derive(Deserialize)]
struct Entry {
    label: String,
    #[serde(default)]
    ancestors: BTreeMap<String, u32>,
    #[serde(default)]
    synonyms: Vec<String>,
    #[serde(default)]
    deprecated: bool,
    #[serde(default)]
    replaced_by: Option<String>,
}

impl Ontology {
    /// Reads a release from the JSON of CELLxGENE's ontology guide: one object, a term by each identifier, with
    /// `label`, `ancestors` (identifier to number of is-a steps), `synonyms`, `deprecated`, `replaced_by`.
    ///
    /// # Errors
    /// [`Error::Ontology`] if it is not that JSON, or a term is a kind of itself; [`Error::Empty`] without terms.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let entries: BTreeMap<String, Entry> = serde_json::from_slice(bytes).map_err(|error| {
            Error::Ontology { term: String::new(), reason: format!("is not its JSON: {error}") }
        })?;
        let raw = entries.into_iter().map(|(id, entry)| RawTerm {
            id,
            name: entry.label,
            synonyms: entry.synonyms,
            // A distance of 0 would make a term its own ancestor.
            ancestors: entry.ancestors.into_iter().map(|(id, hops)| (id, hops.max(1))).collect(),
            obsolete: entry.deprecated,
            replaced_by: entry.replaced_by,
        });
        Self::new(raw.collect())
    }
}
