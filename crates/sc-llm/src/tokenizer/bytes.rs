//! The bytes that a token stands for.

/// How a vocabulary writes bytes as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// One printable character a byte, as GPT-2 has it.
    ByteLevel,
    /// A visible character for the space, as SentencePiece has it; with `byte_fallback`, tokens `<0x0A>` are bytes.
    Metaspace { space: char, byte_fallback: bool },
    /// As it is.
    Plain,
}

impl Scheme {
    pub(crate) fn bytes_of(self, token: &str) -> Vec<u8> {
        match self {
            // A token with a character outside the alphabet was put there by hand, and is decoded as it is.
            Self::ByteLevel => match token.chars().map(byte_of).collect() {
                Some(bytes) => bytes,
                None => token.as_bytes().to_vec(),
            },
            Self::Metaspace { space, byte_fallback } => match fallback_byte(token) {
                Some(byte) if byte_fallback => vec![byte],
                _ => token.replace(space, " ").into_bytes(),
            },
            Self::Plain => token.as_bytes().to_vec(),
        }
    }
}

/// The byte of `<0xNN>`.
fn fallback_byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    let is_hex = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex.then(|| u8::from_str_radix(digits, 16).ok())?
}

/// GPT-2's alphabet: a printable byte of Latin-1 is its own character, the others follow in order from U+0100.
pub(crate) fn char_of(byte: u8) -> char {
    if is_printable(byte) {
        return char::from(byte);
    }
    let rank = (0..byte).filter(|&lower| !is_printable(lower)).count();
    char::from_u32(0x100 + rank as u32).expect("U+0100 to U+0143 are characters")
}

fn byte_of(c: char) -> Option<u8> {
    match u32::from(c) {
        code @ ..0x100 => Some(code as u8).filter(|&byte| is_printable(byte)),
        code @ 0x100..0x144 => (0..=255_u8).filter(|&byte| !is_printable(byte)).nth(code as usize - 0x100),
        _ => None,
    }
}

fn is_printable(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_a_character_of_its_own_and_comes_back() {
        let alphabet: std::collections::BTreeSet<char> = (0..=255).map(char_of).collect();
        assert_eq!(alphabet.len(), 256);
        for byte in 0..=255 {
            assert_eq!(byte_of(char_of(byte)), Some(byte));
        }
        assert_eq!([char_of(b' '), char_of(b'\n'), char_of(b'A'), char_of(0xAD)], ['Ġ', 'Ċ', 'A', 'Ń']);
        assert_eq!(byte_of('ń'), None);
        assert_eq!(byte_of(' '), None, "a space is never in the alphabet as itself");
    }

    #[test]
    fn a_token_may_be_half_a_character() {
        assert_eq!(Scheme::ByteLevel.bytes_of("Ġcell"), b" cell");
        assert_eq!(Scheme::ByteLevel.bytes_of("Î"), [0xCE]);
        assert_eq!(Scheme::ByteLevel.bytes_of("a b"), b"a b");
        let metaspace = |byte_fallback| Scheme::Metaspace { space: '▁', byte_fallback };
        assert_eq!(metaspace(false).bytes_of("▁T▁"), b" T ");
        assert_eq!(metaspace(false).bytes_of("<0xCE>"), b"<0xCE>");
        assert_eq!(metaspace(true).bytes_of("<0xCE>"), [0xCE]);
        assert_eq!(metaspace(true).bytes_of("<0x+1>"), b"<0x+1>");
        assert_eq!(Scheme::Plain.bytes_of("Ġ"), "Ġ".as_bytes());
    }
}
