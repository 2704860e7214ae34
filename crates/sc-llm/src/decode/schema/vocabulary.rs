//! The tokens of a tokeniser, as the parser of grammars walks them.

use llguidance::toktrie::{TokRxInfo, TokTrie, TokenId, TokenizerEnv};

use super::Error;
use crate::tokenizer::{Encoder, Tokenizer};

/// Bytes of a token at most; longer ones never come. The trie counts the bytes of a token in ten bits.
const MAX_TOKEN_BYTES: usize = 1 << 9;

/// Nodes of the trie at most, which numbers them in 22 bits.
const MAX_NODES: usize = 1 << 21;

/// Tokens with their text, and what makes tokens of text.
pub(super) struct Vocabulary {
    trie: TokTrie,
    /// `None` where tokens of a piece of text are not those that the piece has inside a longer text.
    encoder: Option<Encoder>,
    /// Tokens that end a text.
    pub(super) ends: Vec<TokenId>,
}

impl Vocabulary {
    pub(super) fn new(tokenizer: &Tokenizer) -> Result<Self, Error> {
        let n_tokens = tokenizer.n_tokens() as u32;
        let text = |id| {
            let bytes = tokenizer.token_bytes(id).filter(|_| !tokenizer.is_special(id))?;
            // 0xFF is in no text, and marks special tokens in the trie.
            Some(bytes).filter(|bytes| bytes.len() <= MAX_TOKEN_BYTES && !bytes.contains(&0xFF))
        };
        let mut words: Vec<Vec<u8>> = (0..n_tokens).map(|id| text(id).unwrap_or_default()).collect();
        let found = n_nodes(&words);
        if found > MAX_NODES {
            return Err(Error::Vocabulary { found, limit: MAX_NODES });
        }
        // The parser wants an end of its own, which is none of the model's, and one special token at least.
        words.push(b"\xFF<|end of the grammar|>".to_vec());
        let trie = TokTrie::from(&TokRxInfo::new(n_tokens + 1, n_tokens), &words);
        let spells_any_text = (0..=0xF4).filter(|byte| ![0xC0, 0xC1].contains(byte)).all(|byte| {
            let found = trie.child_at_byte(trie.root(), byte);
            found.is_some_and(|node| node.token_id().is_some())
        });
        let encoder = tokenizer.encoder().filter(|_| spells_any_text);
        Ok(Self { trie, encoder, ends: tokenizer.special().eos.clone() })
    }

    /// Whether text that must come has its own tokens.
    pub(super) fn is_exact(&self) -> bool {
        self.encoder.is_some()
    }

    /// One more than the highest id.
    pub(super) fn n_tokens(&self) -> usize {
        self.trie.vocab_size() - 1
    }

    /// The text of a token; nothing for one that has none.
    pub(super) fn text_of(&self, token: TokenId) -> &[u8] {
        match (token as usize) < self.n_tokens() {
            true => self.trie.token(token),
            false => &[],
        }
    }
}

impl TokenizerEnv for Vocabulary {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    /// The tokeniser's own, where they spell the text exactly; else the longest first.
    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        let own = || {
            let tokens = self.encoder.as_ref()?.encode(std::str::from_utf8(bytes).ok()?)?;
            let spelled = tokens.iter().flat_map(|&token| self.text_of(token));
            spelled.eq(bytes).then_some(tokens)
        };
        own().unwrap_or_else(|| self.trie.greedy_tokenize(bytes))
    }

    fn tokenize_is_canonical(&self) -> bool {
        self.is_exact()
    }
}

/// Different beginnings of words, and one more for each word that is there twice.
fn n_nodes(words: &[Vec<u8>]) -> usize {
    let mut sorted: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    sorted.sort_unstable();
    let new = |pair: &[&[u8]]| {
        let shared = pair[0].iter().zip(pair[1]).take_while(|(a, b)| a == b).count();
        (pair[1].len() - shared).max(1)
    };
    sorted.first().map_or(0, |word| word.len()) + sorted.windows(2).map(new).sum::<usize>()
}
