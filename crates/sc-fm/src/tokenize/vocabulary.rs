//! Geneformer's dictionaries, checked once: which ids are genes of the model, their tokens and their medians.

mod files;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use super::{Error, Result};

/// Tokens and medians of a Geneformer release, and the mapping from other ids to its genes.
///
/// Keys of the form `<...>` are special tokens; every other key is a gene. No token number is assumed: `<pad>`,
/// `<cls>` and `<eos>` are what the dictionary says.
#[derive(Clone, Debug, PartialEq)]
pub struct Vocabulary {
    genes: HashMap<String, Gene>,
    specials: BTreeMap<String, u32>,
    /// The genes that the mapping leads to; ids that lead to none are not kept.
    mapping: Option<HashMap<String, Gene>>,
}

/// The two series of released models, told apart by their special tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Series {
    /// Dictionaries of the first series (gc30M): no `<cls>`, no `<eos>`.
    V1,
    /// Dictionaries of the second series (gc95M, gc104M): with both.
    V2,
}

/// What the model knows of a gene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Gene {
    pub(crate) token: u32,
    /// Median of the gene's non-zero counts per 10,000 over the pretraining cells.
    pub(crate) median: f64,
}

impl Vocabulary {
    /// A vocabulary from the token dictionary (Ensembl id or special token → token) and the median dictionary
    /// (Ensembl id → non-zero median). Medians of genes without a token are left aside, as in the reference.
    ///
    /// # Errors
    /// [`Error::KeyTwice`] and [`Error::TokenTwice`] if the tokens are not one to one, [`Error::NoMedian`] and
    /// [`Error::Median`] for a gene without a median above 0.
    pub fn new(
        tokens: impl IntoIterator<Item = (String, u32)>,
        medians: impl IntoIterator<Item = (String, f64)>,
    ) -> Result<Self> {
        let mut by_key = BTreeMap::new();
        for (key, token) in tokens {
            if by_key.contains_key(&key) {
                return Err(Error::KeyTwice { key });
            }
            by_key.insert(key, token);
        }
        let mut owners: BTreeMap<u32, &str> = BTreeMap::new();
        for (key, &token) in &by_key {
            if let Some(first) = owners.insert(token, key) {
                return Err(Error::TokenTwice { token, first: first.to_owned(), second: key.clone() });
            }
        }
        let medians: HashMap<String, f64> = medians.into_iter().collect();
        let (mut genes, mut specials) = (HashMap::with_capacity(by_key.len()), BTreeMap::new());
        for (key, token) in by_key {
            if key.starts_with('<') && key.ends_with('>') {
                specials.insert(key, token);
                continue;
            }
            match medians.get(&key) {
                None => return Err(Error::NoMedian { gene: key }),
                Some(&median) if !(median.is_finite() && median > 0.0) => {
                    return Err(Error::Median { gene: key, median });
                }
                Some(&median) => genes.insert(key, Gene { token, median }),
            };
        }
        Ok(Self { genes, specials, mapping: None })
    }

    /// The same vocabulary, with the release's mapping dictionary (Ensembl id, older id or symbol, in upper case →
    /// Ensembl id). From then on an id is unknown that the mapping lacks or leads to a gene without a token, as in the
    /// reference.
    #[must_use]
    pub fn with_mapping(mut self, mapping: impl IntoIterator<Item = (String, String)>) -> Self {
        let known = |(id, target): (String, String)| Some((id, *self.genes.get(&target)?));
        self.mapping = Some(mapping.into_iter().filter_map(known).collect());
        self
    }

    /// The series of the dictionary: V2 if it has both `<cls>` and `<eos>`.
    pub fn series(&self) -> Series {
        match ["<cls>", "<eos>"].iter().all(|name| self.specials.contains_key(*name)) {
            true => Series::V2,
            false => Series::V1,
        }
    }

    /// Proves that this is the dictionary of a model.
    ///
    /// * `vocab_size`: the model's, from its `config.json`.
    ///
    /// # Errors
    /// [`Error::VocabSize`] if the numbers differ; [`Error::TokenGap`] if a token lies outside the model's table.
    pub fn check_size(&self, vocab_size: usize) -> Result<()> {
        let n_tokens = self.n_tokens();
        if n_tokens != vocab_size {
            return Err(Error::VocabSize { found: n_tokens, expected: vocab_size });
        }
        let genes = self.genes.iter().map(|(key, gene)| (key, gene.token));
        let all = genes.chain(self.specials.iter().map(|(key, &token)| (key, token)));
        // Smallest first, so that the same dictionary has the same message.
        match all.filter(|&(_, token)| token as usize >= n_tokens).min_by_key(|&(_, token)| token) {
            Some((key, token)) => Err(Error::TokenGap { key: key.clone(), token, n_tokens }),
            None => Ok(()),
        }
    }

    /// Number of tokens, special ones included; equal to `vocab_size` in the `config.json` of the model it goes
    /// with.
    pub fn n_tokens(&self) -> usize {
        self.genes.len() + self.specials.len()
    }

    /// Number of genes.
    pub fn n_genes(&self) -> usize {
        self.genes.len()
    }

    /// The token of a gene (by the Ensembl id of the dictionary) or of a special token such as `<pad>`.
    pub fn token(&self, key: &str) -> Option<u32> {
        self.specials.get(key).copied().or_else(|| self.genes.get(key).map(|gene| gene.token))
    }

    /// Every gene and special token with its number, in no particular order.
    pub fn keys(&self) -> impl Iterator<Item = (&str, u32)> {
        let genes = self.genes.iter().map(|(key, gene)| (key.as_str(), gene.token));
        genes.chain(self.specials.iter().map(|(key, &token)| (key.as_str(), token)))
    }

    /// The gene that the id of a column means, if the model knows it, and whether its version had to go for that. Ids
    /// are compared in upper case.
    pub(crate) fn gene(&self, id: &str) -> Option<(Gene, bool)> {
        let id = match id.bytes().any(|b| b.is_ascii_lowercase() || !b.is_ascii()) {
            true => Cow::Owned(id.to_uppercase()),
            false => Cow::Borrowed(id),
        };
        let versioned = || Some((self.lookup(without_version(&id)?)?, true));
        self.lookup(&id).map(|gene| (gene, false)).or_else(versioned)
    }

    fn lookup(&self, id: &str) -> Option<Gene> {
        self.mapping.as_ref().unwrap_or(&self.genes).get(id).copied()
    }
}

/// `ENSG00000000003` for `ENSG00000000003.15`; `None` for all that is no Ensembl gene id with a version.
fn without_version(id: &str) -> Option<&str> {
    let (stem, version) = id.split_once('.')?;
    let (species, number) = stem.strip_prefix("ENS")?.rsplit_once('G')?;
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_gene = species.bytes().all(|byte| byte.is_ascii_uppercase()) && number.len() == 11;
    (is_gene && is_digits(number) && is_digits(version)).then_some(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs<T: Copy>(list: &[(&str, T)]) -> Vec<(String, T)> {
        list.iter().map(|&(key, value)| (key.to_owned(), value)).collect()
    }

    #[test]
    fn special_tokens_need_no_median_and_count_as_tokens() {
        let v =
            Vocabulary::new(pairs(&[("<pad>", 0), ("ENSG1", 7)]), pairs(&[("ENSG1", 1.0), ("ENSG2", 2.0)]));
        let v = v.unwrap();
        assert_eq!((v.n_tokens(), v.n_genes()), (2, 1));
        assert_eq!((v.token("<pad>"), v.token("ENSG1"), v.token("ENSG2")), (Some(0), Some(7), None));
    }

    #[test]
    fn dictionaries_that_do_not_fit_together_are_refused() {
        let new = |tokens: &[(&str, u32)], medians: &[(&str, f64)]| {
            Vocabulary::new(pairs(tokens), pairs(medians)).unwrap_err()
        };
        assert!(matches!(new(&[("A", 1), ("A", 2)], &[("A", 1.0)]), Error::KeyTwice { key } if key == "A"));
        assert!(matches!(
            new(&[("B", 1), ("<pad>", 1)], &[("B", 1.0)]),
            Error::TokenTwice { token: 1, first, second } if first == "<pad>" && second == "B"
        ));
        let error = new(&[("A", 1)], &[("B", 1.0)]);
        assert!(matches!(&error, Error::NoMedian { gene } if gene == "A"));
        assert!(error.help().unwrap().contains("release of the model"));
        for median in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(new(&[("A", 1)], &[("A", median)]), Error::Median { .. }));
        }
    }

    #[test]
    fn the_mapping_decides_alone_which_ids_are_known() {
        let v =
            Vocabulary::new(pairs(&[("ENSG1", 0), ("ENSG2", 1)]), pairs(&[("ENSG1", 1.0), ("ENSG2", 1.0)]));
        let v = v.unwrap();
        let token = |v: &Vocabulary, id: &str| v.gene(id).map(|(gene, _)| gene.token);
        assert_eq!(token(&v, "ensg1"), Some(0));
        let mapping =
            [("CD3E", "ENSG1"), ("GHOST", "ENSG9")].map(|(from, to)| (from.to_owned(), to.to_owned()));
        let v = v.with_mapping(mapping);
        assert_eq!(token(&v, "cd3e"), Some(0));
        assert_eq!(token(&v, "ENSG1"), None, "not in the mapping");
        assert_eq!(token(&v, "ghost"), None, "maps to a gene without a token");
    }

    #[test]
    fn special_tokens_tell_the_series_and_the_model_its_size() {
        let v1 = Vocabulary::new(pairs(&[("<pad>", 0), ("A", 1)]), pairs(&[("A", 1.0)])).unwrap();
        let v2 =
            Vocabulary::new(pairs(&[("<eos>", 0), ("A", 5), ("<cls>", 2)]), pairs(&[("A", 1.0)])).unwrap();
        assert_eq!((v1.series(), v2.series()), (Series::V1, Series::V2));
        assert!(v1.check_size(2).is_ok());
        let error = v1.check_size(20_275).unwrap_err();
        let message = "the token dictionary has 2 tokens, but the model's `vocab_size` is 20275";
        assert_eq!(error.to_string(), message);
        assert!(error.help().unwrap().contains("release of the model"));
        assert!(
            matches!(v2.check_size(3), Err(Error::TokenGap { key, token: 5, n_tokens: 3 }) if key == "A")
        );
    }

    #[test]
    fn only_the_version_of_an_ensembl_gene_id_is_taken_off() {
        assert_eq!(without_version("ENSG00000000003.15"), Some("ENSG00000000003"));
        assert_eq!(without_version("ENSMUSG00000000003.2"), Some("ENSMUSG00000000003"));
        for id in [
            "ENSG00000000003",
            "ENSG00000000003.",
            "ENSG0003.1",
            "ENST00000000003.1",
            "ENSG000000000003.1",
            "RP11-34P13.7",
            ".",
        ] {
            assert_eq!(without_version(id), None, "{id}");
        }
        assert_eq!(without_version("ENSG00000000003.1.2"), None);
    }
}
