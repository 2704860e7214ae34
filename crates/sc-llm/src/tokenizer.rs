//! Text to tokens and back, as a model was trained on them.

pub(crate) mod base64;
mod bytes;
mod check;
mod error;
mod files;
mod labels;
mod layout;
mod special;
mod words;

pub use error::Error;
pub use labels::{End, LabelTokens};
pub use special::SpecialTokens;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use serde_json::Value;

use bytes::Scheme;
use files::Folder;

use crate::gguf;

/// Bytes of the longest text that is encoded at once; the longest prompts of today's models have half as many.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

/// The tokeniser of one model.
///
/// Same tokens as Hugging Face `tokenizers` 0.23 from the same `tokenizer.json`, with two differences: truncation and
/// padding that the file asks for are left out, for a prompt is cut where its genes are and a batch is packed; and a
/// tokeniser that draws at random (`dropout`) is refused.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// What was read, so that it can be saved as it is.
    json: Value,
    scheme: Scheme,
    special: SpecialTokens,
    /// By id; `None` for an id that no token has.
    tokens: Vec<Option<Token>>,
}

#[derive(Clone, Debug)]
struct Token {
    text: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Of the model's vocabulary, in the alphabet of the scheme.
    Piece,
    /// Added to the vocabulary, as plain text.
    Added,
    /// Added, and not part of any text: dropped by [`Tokenizer::decode`].
    Special,
}

/// A text as tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// The tokens.
    pub ids: Vec<u32>,
    /// For each token the bytes of the text that it stands for; `0..0` for tokens that were put around the text. A
    /// character of several tokens is the range of each of them.
    pub offsets: Vec<Range<usize>>,
}

impl Tokenizer {
    /// Opens the tokeniser of a model folder.
    ///
    /// Read are `tokenizer.json` or, without one, `vocab.json` and `merges.txt` (GPT-2, GPT-Neo, OPT and CodeGen, so
    /// also Phi); a SentencePiece model (T5) only as `tokenizer.json`, or inside a
    /// GGUF file. Special tokens come from
    /// `tokenizer_config.json`, `special_tokens_map.json`, `added_tokens.json`, `generation_config.json` and
    /// `config.json`, as far as they are there. OPT gets its `</s>` in front of every text even if the file forgets it.
    ///
    /// The files may be anybody's: they are checked before they are used, and what does not fit is an error.
    ///
    /// * `path`: the folder; or a `.gguf` file, or a folder with one, whose tokeniser is read where no `tokenizer.json` (nor
    ///   `vocab.json`) lies beside it.
    ///
    /// # Errors
    /// [`Error`] names the file and what is wrong with it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let file = gguf::find(path)?;
        let folder = Folder::open(file.as_deref().map_or(path, gguf::folder_of))?;
        if let Some(file) = file
            && !["tokenizer.json", "vocab.json"].iter().any(|name| folder.has(name))
        {
            return Self::from_gguf(&gguf::open(&file)?);
        }
        let (path, json) = match folder.json("tokenizer.json")? {
            Some(json) => (folder.path("tokenizer.json"), json),
            None => (folder.path("vocab.json"), layout::from_vocab_and_merges(&folder)?),
        };
        let mut tokenizer = Self::build(&path, json)?;
        special::complete(&mut tokenizer, &folder)?;
        Ok(tokenizer)
    }

    /// A tokeniser of the text of a `tokenizer.json` alone. Special tokens go by their names.
    ///
    /// # Errors
    /// As [`Tokenizer::open`].
    pub fn from_json(text: &[u8]) -> Result<Self, Error> {
        let path = Path::new("tokenizer.json");
        let mut tokenizer = Self::build(path, files::parse(path, text)?)?;
        special::by_name(&mut tokenizer);
        Ok(tokenizer)
    }

    /// The tokeniser inside a GGUF file: one of bytes (`gpt2`) that splits text as GPT-2, Phi-2 or Qwen2 does, or a
    /// SentencePiece model of pieces with scores (`t5`).
    ///
    /// # Errors
    /// [`Error::Gguf`] for any other; as [`Tokenizer::open`].
    pub fn from_gguf(file: &sc_fm::checkpoint::gguf::Gguf) -> Result<Self, Error> {
        let tokens = gguf::Tokens::of(file)?;
        let path = file.record().path;
        let mut tokenizer = Self::build(&path, tokens.json)?;
        special::by_name(&mut tokenizer);
        let n_tokens = tokenizer.n_tokens();
        let named = tokens.bos.iter().chain(&tokens.eos).chain(&tokens.pad);
        if let Some(id) = named.copied().find(|&id| tokenizer.token(id).is_none()) {
            return Err(Error::NoSuchToken { path, named_by: format!("token {id}"), n_tokens });
        }
        let special = &mut tokenizer.special;
        special.bos = tokens.bos.or(special.bos);
        special.pad = tokens.pad.or(special.pad);
        // Those that end a text by their names end it all the same.
        let by_name = std::mem::take(&mut special.eos);
        for id in tokens.eos.iter().copied().chain(by_name) {
            if !special.eos.contains(&id) {
                special.eos.push(id);
            }
        }
        if tokens.adds_bos && special.before.is_empty() {
            special.before.extend(special.bos);
        }
        if tokens.adds_eos && special.after.is_empty() {
            special.after.extend(special.eos.first().copied());
        }
        Ok(tokenizer)
    }

    fn build(path: &Path, json: Value) -> Result<Self, Error> {
        let checked = check::check(path, json)?;
        let text = serde_json::to_vec(&checked.json).expect("a JSON value can always be written");
        let inner = guarded(|| tokenizers::Tokenizer::from_bytes(text))
            .ok_or_else(|| Error::GaveUp { on: path.display().to_string() })?
            .map_err(|source| Error::Refused { path: path.into(), source })?;

        let mut tokens: Vec<Option<Token>> = Vec::new();
        let mut put = |id: u32, text: &str, kind| {
            let place = id as usize;
            if tokens.len() <= place {
                tokens.resize(place + 1, None);
            }
            tokens[place] = Some(Token { text: text.to_owned(), kind });
        };
        for (text, id) in checked.vocabulary() {
            put(id, text, Kind::Piece);
        }
        for added in &checked.added {
            // The file gives ids to added tokens, and the tokeniser numbers them anew.
            let found = inner.token_to_id(&added.content);
            if found != Some(added.id) {
                return Err(Error::Invalid {
                    path: path.into(),
                    slot: format!("added_tokens: id of {:?}", added.content),
                    found: added.id.to_string(),
                    expected: found.map_or("none".to_owned(), |id| format!("{id}, the next free one")),
                });
            }
            put(added.id, &added.content, if added.special { Kind::Special } else { Kind::Added });
        }
        let special = SpecialTokens {
            before: checked.before,
            after: checked.after,
            unk: checked.unk,
            ..SpecialTokens::default()
        };
        let max = tokens.len();
        if let Some(&id) = special.before.iter().chain(&special.after).find(|&&id| id as usize >= max) {
            let source_of = format!("post_processor: token {id}");
            return Err(Error::NoSuchToken { named_by: source_of, path: path.into(), n_tokens: max });
        }
        Ok(Self { inner, json: checked.json, scheme: checked.scheme, special, tokens })
    }

    /// The tokens of a text.
    ///
    /// * `special`: puts the tokens around it that the model expects, [`SpecialTokens::before`] and
    ///   [`SpecialTokens::after`]. Names of special tokens inside the text (`<|im_end|>`) become these tokens either
    ///   way, as chat templates need it: text of others must not hold them.
    ///
    /// # Errors
    /// [`Error::TextTooLong`] beyond [`MAX_TEXT_BYTES`]; [`Error::GaveUp`] if the tokeniser's own rules fail on it.
    pub fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>, Error> {
        Ok(self.encode_with_offsets(text, special)?.ids)
    }

    /// [`Tokenizer::encode`], with the place of each token in the text.
    ///
    /// # Errors
    /// Those of [`Tokenizer::encode`].
    pub fn encode_with_offsets(&self, text: &str, special: bool) -> Result<Encoded, Error> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(Error::TextTooLong { found: text.len(), limit: MAX_TEXT_BYTES });
        }
        let on = || {
            let start: String = text.chars().take(40).collect();
            format!("a text that starts with {start:?}")
        };
        let encoding = guarded(|| self.inner.encode(text, false))
            .ok_or_else(|| Error::GaveUp { on: on() })?
            .map_err(|source| Error::NotEncoded { on: on(), source })?;
        let (before, after): (&[u32], &[u32]) = match special {
            true => (&self.special.before, &self.special.after),
            false => (&[], &[]),
        };
        let ids = [before, encoding.get_ids(), after].concat();
        let mut offsets = vec![0..0; before.len()];
        offsets.extend(encoding.get_offsets().iter().map(|&(start, end)| start..end));
        offsets.resize(ids.len(), 0..0);
        Ok(Encoded { ids, offsets })
    }

    /// The text of tokens. A broken character, half of whose bytes are there, becomes U+FFFD.
    ///
    /// * `skip_special`: leaves special tokens out.
    ///
    /// # Errors
    /// [`Error::UnknownId`], [`Error::GaveUp`].
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, Error> {
        if let Some(&id) = ids.iter().find(|&&id| self.token(id).is_none()) {
            return Err(Error::UnknownId { id, n_tokens: self.n_tokens() });
        }
        let on = || format!("{} tokens", ids.len());
        guarded(|| self.inner.decode(ids, skip_special))
            .ok_or_else(|| Error::GaveUp { on: on() })?
            .map_err(|source| Error::NotEncoded { on: on(), source })
    }

    /// One more than the highest id. A model's logits may be longer: those beyond are of no token.
    pub fn n_tokens(&self) -> usize {
        self.tokens.len()
    }

    /// The token as the vocabulary writes it (`Ġcell`, `▁cell`); `None` for an id that no token has.
    pub fn token(&self, id: u32) -> Option<&str> {
        self.tokens.get(id as usize)?.as_ref().map(|token| token.text.as_str())
    }

    /// The id of a token as the vocabulary writes it.
    pub fn id_of(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Whether a token is special: no part of any text.
    pub fn is_special(&self, id: u32) -> bool {
        matches!(self.tokens.get(id as usize), Some(Some(Token { kind: Kind::Special, .. })))
    }

    /// The exact bytes that a token adds to a text, which need not be whole characters; a special token has those of
    /// its name. A metaspace token (`▁cell`) has its space, which [`Tokenizer::decode`] leaves out at the start of a
    /// text. `None` for an id that no token has.
    pub fn token_bytes(&self, id: u32) -> Option<Vec<u8>> {
        let token = self.tokens.get(id as usize)?.as_ref()?;
        Some(match token.kind {
            Kind::Piece => self.scheme.bytes_of(&token.text),
            Kind::Added | Kind::Special => token.text.clone().into_bytes(),
        })
    }

    /// What makes tokens of pieces of text, where those inside a text are the same but for the ends of the piece.
    #[cfg(feature = "schema")]
    pub(crate) fn encoder(&self) -> Option<Encoder> {
        (self.scheme == Scheme::ByteLevel).then(|| Encoder(self.inner.clone()))
    }

    /// Whether a token was added to the vocabulary as plain text.
    pub(crate) fn is_added(&self, id: u32) -> bool {
        matches!(self.tokens.get(id as usize), Some(Some(Token { kind: Kind::Added, .. })))
    }

    /// What was read, without the tokens put around a text.
    pub(crate) fn json(&self) -> &Value {
        &self.json
    }

    /// The `tokenizer.json`.
    pub(crate) fn whole_json(&self) -> Value {
        special::with_special_around(self)
    }

    /// The special tokens.
    pub fn special(&self) -> &SpecialTokens {
        &self.special
    }

    /// Writes `tokenizer.json` and `tokenizer_config.json` into a folder, for this crate and for Hugging Face
    /// `tokenizers` and `transformers`. Files that are there are replaced, each whole or not at all.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<(), Error> {
        let folder = folder.as_ref();
        files::write(folder, "tokenizer.json", &special::with_special_around(self))?;
        files::write(folder, "tokenizer_config.json", &special::config_of(self))
    }
}

/// [`Tokenizer::encode`] alone.
#[cfg(feature = "schema")]
pub(crate) struct Encoder(tokenizers::Tokenizer);

#[cfg(feature = "schema")]
impl Encoder {
    /// The tokens of a text; `None` where the tokeniser refuses it.
    pub(crate) fn encode(&self, text: &str) -> Option<Vec<u32>> {
        let encoding = guarded(|| self.0.encode(text, false))?.ok()?;
        Some(encoding.get_ids().to_vec())
    }
}

/// Runs the tokeniser; `None` if it panics, which some versions of it do on files that pass every check here. It keeps no
/// state that a panic could leave half changed.
fn guarded<T>(run: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(run)).ok()
}

#[cfg(test)]
mod tests;
