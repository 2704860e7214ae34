//! A small vocabulary of the words at hand, for a model that is trained on the spot.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

use super::bytes::char_of;
use super::{Error, Tokenizer, guarded};

/// A word is a run of letters, digits, `_` and `+`, with `-`, `.` and `/` inside, and with the space before it: gene
/// names and cell types stay whole. What is none is one character.
const WORD: &str = r" ?[\p{L}\p{N}](?:[\p{L}\p{N}\p{M}_+⁺⁻]|[-./](?=[\p{L}\p{N}]))*|\s|[^\s\p{L}\p{N}]";
const SPECIAL: [&str; 2] = ["<|endoftext|>", "<|pad|>"];

impl Tokenizer {
    /// A tokeniser whose tokens are the words of some texts: gene names, labels, the text of a prompt's template. A word
    /// that is not among them is spelled in bytes, so any text has tokens and comes back exactly.
    ///
    /// Each word is a token with the space before it (`" CD3D"`) or without, as it stands in the texts; give a gene both
    /// ways if prompts hold it both ways. The more frequent words come first, equals in the order of their bytes, so the
    /// same texts make the same tokeniser in any order. Token 0 is `<|endoftext|>`, token 1 `<|pad|>`. The end of text is
    /// put around no text.
    ///
    /// * `max_tokens`: the length of the vocabulary at most, 258 at least.
    ///
    /// ```
    /// let texts = ["CD3D, CD3E, MS4A1", "Answer: T cell\n"];
    /// let tokenizer = sc_llm::tokenizer::Tokenizer::of_words(&texts, 1000)?;
    /// assert_eq!(tokenizer.encode(" CD3E, MS4A1", false)?.len(), 3);
    /// let unseen = tokenizer.encode(" γδ T cell", false)?;
    /// assert_eq!(tokenizer.decode(&unseen, true)?, " γδ T cell");
    /// # Ok::<(), sc_llm::tokenizer::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TooFewTokens`], [`Error::TextTooLong`] for one of the texts.
    pub fn of_words<S: AsRef<str>>(texts: &[S], max_tokens: usize) -> Result<Self, Error> {
        let n_fixed = SPECIAL.len() + 256;
        if max_tokens < n_fixed {
            return Err(Error::TooFewTokens { found: max_tokens, expected: n_fixed });
        }
        let of_bytes = Self::of_vocabulary(std::iter::empty())?;
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for text in texts.iter().map(AsRef::as_ref) {
            for word in of_bytes.words_of(text)? {
                *counts.entry(word).or_default() += 1;
            }
        }
        counts.retain(|word, _| word.chars().nth(1).is_some());
        let mut words: Vec<(String, usize)> = counts.into_iter().collect();
        words.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        Self::of_vocabulary(words.into_iter().map(|(word, _)| word).take(max_tokens - n_fixed))
    }

    /// Whether it is one of words.
    pub(crate) fn is_of_words(&self) -> bool {
        self.json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] == WORD
    }

    /// The words of a text, in GPT-2's alphabet of bytes.
    fn words_of(&self, text: &str) -> Result<Vec<String>, Error> {
        if text.len() > super::MAX_TEXT_BYTES {
            return Err(Error::TextTooLong { found: text.len(), limit: super::MAX_TEXT_BYTES });
        }
        let mut split = PreTokenizedString::from(text);
        let words = self.inner.get_pre_tokenizer().expect("it was built with one");
        guarded(|| words.pre_tokenize(&mut split))
            .ok_or_else(|| Error::GaveUp { on: "a text".into() })?
            .map_err(|source| Error::NotEncoded { on: "a text".into(), source })?;
        let parts = split.get_splits(OffsetReferential::Original, OffsetType::Byte);
        Ok(parts.into_iter().map(|(word, ..)| word.to_owned()).collect())
    }

    fn of_vocabulary(words: impl Iterator<Item = String>) -> Result<Self, Error> {
        let fixed =
            SPECIAL.map(str::to_owned).into_iter().chain((0..=255).map(|byte| char_of(byte).to_string()));
        let tokens = fixed.chain(words).enumerate();
        let vocab: Map<String, Value> = tokens.map(|(id, token)| (token, id.into())).collect();
        let added = SPECIAL.iter().enumerate().map(|(id, token)| {
            json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": false, "special": true})
        });
        let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false});
        let split =
            json!({"type": "Split", "pattern": {"Regex": WORD}, "behavior": "Isolated", "invert": false});
        let json = json!({
            "version": "1.0",
            "added_tokens": added.collect::<Vec<_>>(),
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
            "decoder": byte_level,
            // A word of the vocabulary is taken whole; without merges, any other falls into its bytes.
            "model": {"type": "BPE", "vocab": vocab, "merges": [], "ignore_merges": true, "dropout": null,
                      "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
                      "fuse_unk": false, "byte_fallback": false},
        });
        Self::from_json(&serde_json::to_vec(&json).expect("a JSON value can always be written"))
    }
}
