use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;

use crate::checkpoint::dictionary;
use crate::tokenize::{Error, Result};

/// Special tokens in the order in which the reference appends those that a vocabulary lacks.
const SPECIALS: [&str; 3] = ["<pad>", "<cls>", "<eoc>"];

/// scGPT's vocabulary: gene symbols and special tokens, numbered from 0.
///
/// A symbol that two genes share is written `SYMBOL_ENSG...`, once for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScgptVocabulary {
    tokens: HashMap<String, u32>,
    pad: u32,
    cls: u32,
    n_appended: usize,
}

impl ScgptVocabulary {
    /// Reads a `vocab.json`.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if the file cannot be read, and those of [`ScgptVocabulary::new`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::new(dictionary::tokens(path)?)
    }

    /// A vocabulary from symbols and tokens. Of `<pad>`, `<cls>` and `<eoc>`, those that are missing get the next
    /// tokens, in this order.
    ///
    /// # Errors
    /// [`Error::KeyTwice`], [`Error::TokenTwice`], and [`Error::TokenGap`] if the tokens do not run from 0 without a
    /// gap.
    pub fn new(tokens: impl IntoIterator<Item = (String, u32)>) -> Result<Self> {
        let mut list: Vec<(String, u32)> = tokens.into_iter().collect();
        list.sort_unstable_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        if let Some(pair) = list.windows(2).find(|pair| pair[0].1 == pair[1].1) {
            let (first, second) = (pair[0].0.clone(), pair[1].0.clone());
            return Err(Error::TokenTwice { token: pair[0].1, first, second });
        }
        let n_tokens = list.len();
        if let Some((key, token)) = list.last().filter(|(_, token)| *token as usize != n_tokens - 1) {
            return Err(Error::TokenGap { key: key.clone(), token: *token, n_tokens });
        }
        let mut tokens = HashMap::with_capacity(n_tokens + SPECIALS.len());
        for (key, token) in list {
            if tokens.contains_key(&key) {
                return Err(Error::KeyTwice { key });
            }
            tokens.insert(key, token);
        }
        for special in SPECIALS {
            let next = tokens.len() as u32;
            tokens.entry(special.to_owned()).or_insert(next);
        }
        let (pad, cls, n_appended) = (tokens[SPECIALS[0]], tokens[SPECIALS[1]], tokens.len() - n_tokens);
        Ok(Self { tokens, pad, cls, n_appended })
    }

    /// Writes a `vocab.json`, in which no special token is missing.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written or, with `overwrite` false, is there.
    pub fn save(&self, path: impl AsRef<Path>, overwrite: bool) -> Result<()> {
        let sorted: BTreeMap<&str, u32> = self.keys().collect();
        let text = serde_json::json!(sorted).to_string();
        sc_io::atomic::write_aside(path, overwrite, |file| file.write_all(text.as_bytes()))?;
        Ok(())
    }

    /// Number of tokens, special ones included: the rows of the model's gene embedding.
    pub fn n_tokens(&self) -> usize {
        self.tokens.len()
    }

    /// Special tokens that the file lacked.
    pub fn n_appended(&self) -> usize {
        self.n_appended
    }

    /// Number of genes.
    pub fn n_genes(&self) -> usize {
        self.tokens.len() - SPECIALS.len()
    }

    /// The token of a gene symbol, written as in the vocabulary, or of a special token.
    pub fn token(&self, key: &str) -> Option<u32> {
        self.tokens.get(key).copied()
    }

    /// Every gene and special token with its number, in no particular order.
    pub fn keys(&self) -> impl Iterator<Item = (&str, u32)> {
        self.tokens.iter().map(|(key, &token)| (key.as_str(), token))
    }

    /// The token of padding.
    pub fn pad(&self) -> u32 {
        self.pad
    }

    /// The token that stands before the genes of a cell.
    pub fn cls(&self) -> u32 {
        self.cls
    }

    /// Proves that this is the vocabulary of a model with a gene embedding of that many rows.
    ///
    /// # Errors
    /// [`Error::VocabSize`] if it is not.
    pub fn check_size(&self, n_tokens: usize) -> Result<()> {
        match self.n_tokens() {
            found if found != n_tokens => Err(Error::VocabSize { found, expected: n_tokens }),
            _ => Ok(()),
        }
    }

    /// The gene that a column means: by its symbol, else by symbol and Ensembl id.
    pub(super) fn gene(&self, symbol: &str, ensembl_id: Option<&str>) -> Option<u32> {
        let is_special = SPECIALS.contains(&symbol);
        let both = || self.token(&format!("{symbol}_{}", ensembl_id?));
        (!is_special).then(|| self.token(symbol).or_else(both)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(list: &[(&str, u32)]) -> Result<ScgptVocabulary> {
        ScgptVocabulary::new(list.iter().map(|&(key, token)| (key.to_owned(), token)))
    }

    #[test]
    fn missing_special_tokens_get_the_next_numbers() {
        let v = new(&[("B", 1), ("A", 0), ("<cls>", 2)]).unwrap();
        assert_eq!((v.token("<pad>"), v.cls(), v.token("<eoc>")), (Some(3), 2, Some(4)));
        assert_eq!((v.n_tokens(), v.n_appended(), v.n_genes()), (5, 2, 2));
        assert!(v.check_size(5).is_ok());
        let error = v.check_size(60_697).unwrap_err();
        assert!(error.to_string().contains("60697") && error.help().is_some());
    }

    #[test]
    fn genes_that_share_a_symbol_are_found_by_their_id() {
        let v = new(&[("ZBED1_ENSG1", 0), ("A", 1)]).unwrap();
        assert_eq!(v.gene("ZBED1", Some("ENSG1")), Some(0));
        assert_eq!((v.gene("ZBED1", None), v.gene("ZBED1_ENSG1", None)), (None, Some(0)));
        assert_eq!(v.gene("<pad>", None), None, "a special token is no gene");
    }

    #[test]
    fn numbers_that_lead_outside_the_embedding_are_refused() {
        assert!(matches!(new(&[("A", 0), ("B", 2)]), Err(Error::TokenGap { token: 2, n_tokens: 2, .. })));
        assert!(matches!(new(&[("A", 0), ("B", 0)]), Err(Error::TokenTwice { token: 0, .. })));
        assert!(matches!(new(&[("A", 0), ("A", 1)]), Err(Error::KeyTwice { .. })));
        assert_eq!(new(&[]).unwrap().n_tokens(), 3);
    }
}
