//! Free text in a hole.

use super::Error;
use crate::tokenizer::{Encoded, Tokenizer};

/// A hole for free text.
#[derive(Debug)]
pub(super) struct Free {
    pub(super) kind: Kind,
    pub(super) max_tokens: usize,
    pub(super) lead: Lead,
    /// What each token does between whole characters, for a string of JSON.
    plain: Vec<Effect>,
    has_escapes: bool,
    has_tails: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Json,
    Thoughts { stop: Vec<String> },
}

/// The text behind free text, up to the next hole.
#[derive(Debug)]
pub(super) struct Lead {
    bytes: Vec<u8>,
    /// For each of the bytes before the next hole the tokens from there on, if they can be read from there on.
    rest: Vec<Option<Vec<u32>>>,
    /// Whether a token of the text on its own ends before that byte.
    is_end: Vec<bool>,
    /// Whether there is no next hole.
    is_last: bool,
}

/// What stands open inside a string of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// Nothing.
    Plain,
    /// A backslash.
    Escape,
    /// A character that lacks bytes, the next of them in a range.
    Tail { left: u8, low: u8, high: u8 },
}

/// What a token does to a string of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// It would break it.
    None,
    /// The string goes on.
    Goes(At),
    /// The string ends, with so many bytes of the text behind it.
    Closes(usize),
}

impl At {
    fn next(self, byte: u8) -> Option<Self> {
        let tail = |left, low, high| Some(Self::Tail { left, low, high });
        match self {
            Self::Plain => match byte {
                b'\\' => Some(Self::Escape),
                b'"' | ..b' ' => None,
                b' '..0x80 => Some(Self::Plain),
                0xC2..=0xDF => tail(1, 0x80, 0xBF),
                0xE0 => tail(2, 0xA0, 0xBF),
                0xED => tail(2, 0x80, 0x9F),
                0xE1..=0xEF => tail(2, 0x80, 0xBF),
                0xF0 => tail(3, 0x90, 0xBF),
                0xF1..=0xF3 => tail(3, 0x80, 0xBF),
                0xF4 => tail(3, 0x80, 0x8F),
                _ => None,
            },
            // A character by its number would have to be looked at more closely, and none needs it.
            Self::Escape => b"\"\\/bfnrt".contains(&byte).then_some(Self::Plain),
            Self::Tail { left, low, high } if (low..=high).contains(&byte) => match left {
                1 => Some(Self::Plain),
                _ => tail(left - 1, 0x80, 0xBF),
            },
            Self::Tail { .. } => None,
        }
    }

    /// Tokens that close what stands open, at most.
    fn need(self) -> usize {
        match self {
            Self::Plain => 0,
            Self::Escape => 1,
            Self::Tail { left, .. } => usize::from(left),
        }
    }
}

impl Free {
    pub(super) fn new(kind: Kind, max_tokens: usize, lead: Lead, tokens: &[Option<Vec<u8>>]) -> Self {
        let mut free = Self { kind, max_tokens, lead, plain: Vec::new(), has_escapes: true, has_tails: true };
        if free.kind == Kind::Json {
            let single = |byte: u8| tokens.iter().flatten().any(|token| token == &[byte]);
            free.has_escapes = b"\"\\/bfnrt".iter().any(|&byte| single(byte));
            free.has_tails = (0x80..=0xBF).all(single);
            let effect = |token: &Option<Vec<u8>>| match token {
                Some(bytes) => free.effect_of(bytes, At::Plain),
                None => Effect::None,
            };
            free.plain = tokens.iter().map(effect).collect();
        }
        free
    }

    /// Where the first stop text begins that ends in one of the bytes from `before` on.
    pub(super) fn first_stop(&self, bytes: &[u8], before: usize) -> Option<usize> {
        let Kind::Thoughts { stop } = &self.kind else { return None };
        let place = |stop: &String| {
            let from = (before + 1).saturating_sub(stop.len());
            let found = bytes[from..].windows(stop.len()).position(|part| part == stop.as_bytes());
            found.map(|place| from + place)
        };
        stop.iter().filter_map(place).min()
    }

    pub(super) fn most_tokens(&self) -> usize {
        let rest = self.lead.rest.iter().flatten().map(Vec::len).max();
        self.max_tokens + rest.unwrap_or(0)
    }

    /// What a token does, `left` of which may come, this one included.
    pub(super) fn effect(&self, token: u32, bytes: &[u8], at: At, left: usize) -> Effect {
        let effect = match at {
            At::Plain => self.plain[token as usize],
            _ => self.effect_of(bytes, at),
        };
        match effect {
            Effect::Goes(at) if at.need() >= left => Effect::None,
            effect => effect,
        }
    }

    fn effect_of(&self, bytes: &[u8], mut at: At) -> Effect {
        for (place, &byte) in bytes.iter().enumerate() {
            if at == At::Plain && byte == b'"' {
                return match self.lead.closes(&bytes[place..]) {
                    true => Effect::Closes(bytes.len() - place),
                    false => Effect::None,
                };
            }
            match at.next(byte) {
                Some(next) => at = next,
                None => return Effect::None,
            }
        }
        match at {
            At::Escape if !self.has_escapes => Effect::None,
            At::Tail { .. } if !self.has_tails => Effect::None,
            _ => Effect::Goes(at),
        }
    }
}

impl Lead {
    /// * `n`: tokens before the next hole; `None` if there is none.
    pub(super) fn new(
        tokenizer: &Tokenizer,
        text: &str,
        encoded: &Encoded,
        n: Option<usize>,
    ) -> Result<Self, Error> {
        let Some(n) = n else {
            // Nothing has to be read any more.
            let places = text.len() + 1;
            return Ok(Self {
                bytes: text.into(),
                rest: vec![Some(Vec::new()); places],
                is_end: vec![true; places],
                is_last: true,
            });
        };
        let end = encoded.offsets[n - 1].end;
        let (mut rest, mut is_end) = (Vec::with_capacity(end + 1), Vec::with_capacity(end + 1));
        for place in 0..=end {
            let token = encoded.offsets[..n].iter().position(|offsets| offsets.start >= place);
            let token = token.unwrap_or(n);
            let is_met = token.checked_sub(1).map_or(0, |last| encoded.offsets[last].end) == place;
            is_end.push(is_met);
            rest.push(match is_met {
                true => Some(encoded.ids[token..n].to_vec()),
                false => match text.get(place..end) {
                    Some(text) => Some(tokenizer.encode(text, false)?),
                    None => None,
                },
            });
        }
        Ok(Self { bytes: text.as_bytes()[..end].to_vec(), rest, is_end, is_last: false })
    }

    /// Whether the text begins with these bytes, and a token of it ends behind them.
    fn closes(&self, bytes: &[u8]) -> bool {
        self.bytes.starts_with(bytes) && self.is_end[bytes.len()]
    }

    /// How many bytes at the end of `text` are the beginning of this one already.
    pub(super) fn begun(&self, text: &[u8]) -> usize {
        let most = text.len().min(self.bytes.len());
        // Something has to be left to read before the next hole.
        let has_rest = |n: usize| self.rest[n].as_ref().is_some_and(|rest| self.is_last || !rest.is_empty());
        let is_begun = |&n: &usize| text.ends_with(&self.bytes[..n]) && has_rest(n);
        (1..=most).rev().find(is_begun).unwrap_or(0)
    }

    /// The tokens up to the next hole, behind the first `begun` bytes.
    pub(super) fn rest(&self, begun: usize) -> &[u32] {
        self.rest.get(begun).and_then(Option::as_deref).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_json_are_followed_byte_by_byte_as_the_grammar_has_them() {
        // Every string of one or two characters of these, whole or cut, against the parser.
        let all = [
            "a",
            " ",
            "γ",
            "⁺",
            "🧬",
            "\\n",
            "\\\"",
            "\\\\",
            "\u{1}",
            "\n",
            "\"",
            "\u{D7FF}",
            "\u{E000}",
            "\u{10FFFF}",
        ];
        for (a, b) in all.iter().flat_map(|a| all.iter().map(move |b| (a, b))) {
            let text = format!("{a}{b}");
            let end = text.bytes().try_fold(At::Plain, At::next);
            let parsed = serde_json::from_str::<String>(&format!("\"{text}\"")).is_ok();
            assert_eq!(end == Some(At::Plain), parsed, "{text:?}");
        }
        for bytes in [
            &[0x80][..],
            &[0xC0],
            &[0xC1],
            &[0xE0, 0x9F],
            &[0xED, 0xA0],
            &[0xF0, 0x8F],
            &[0xF4, 0x90],
            &[0xFF],
        ] {
            let end = bytes.iter().copied().try_fold(At::Plain, At::next);
            assert_eq!(end, None, "{bytes:?}");
        }
        assert_eq!(b"\\u0041".iter().copied().try_fold(At::Plain, At::next), None);
    }
}
