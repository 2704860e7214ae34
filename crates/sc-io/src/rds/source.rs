//! The bytes behind a stream of objects: decompressed, counted, and decoded in one of R's three formats.

use std::io::{BufRead, BufReader, Read};

use super::error::Damage;
use super::object::NA_INTEGER;
use super::xz::XzReader;

pub(super) type Parsed<T> = Result<T, Damage>;

/// Numbers are read this many bytes at a time, so that a length that lies costs no more than that.
const PIECE: usize = 1 << 16;

/// How numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// Big-endian binary: what R writes unless told otherwise.
    Xdr,
    /// Little-endian binary.
    Native,
    /// Words.
    Ascii,
}

pub(super) struct Source<'r> {
    reader: BufReader<Box<dyn Read + 'r>>,
    format: Format,
    offset: u64,
    file: u64,
    limit: u64,
    taken: u64,
    piece: Vec<u8>,
}

/// What a file turned out to start with.
pub(super) enum Start {
    /// The value of one object follows.
    Object,
    /// A list of named objects follows: a workspace.
    Workspace,
    /// Nothing of R's; these are its first bytes.
    Other(Vec<u8>),
}

impl<'r> Source<'r> {
    /// * `file`: size of the file; `limit`: bytes that its objects may take in memory.
    pub(super) fn new(mut compressed: impl BufRead + 'r, file: u64, limit: u64) -> Parsed<Self> {
        let start = compressed.fill_buf().map_err(Damage::Bytes)?;
        let reader: Box<dyn Read + 'r> = match start {
            [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(compressed)),
            [b'B', b'Z', b'h', ..] => Box::new(bzip2::bufread::MultiBzDecoder::new(compressed)),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Box::new(XzReader::new(compressed, limit)),
            _ => Box::new(compressed),
        };
        let reader = BufReader::with_capacity(PIECE, reader);
        Ok(Self { reader, format: Format::Xdr, offset: 0, file, limit, taken: 0, piece: Vec::new() })
    }

    /// Bytes read so far.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads the marks that a file starts with.
    pub(super) fn start(&mut self) -> Parsed<Start> {
        let mut first = [0; 2];
        let n = self.read_some(&mut first)?;
        if n == 2 && self.is_format(first) {
            return Ok(Start::Object);
        }
        let mut more = [0; 3];
        let m = if n == 2 { self.read_some(&mut more)? } else { 0 };
        let all = [&first[..n], &more[..m]].concat();
        if let [b'R', b'D', b'A' | b'B' | b'X', b'2' | b'3', b'\n'] = all[..] {
            let mut format = [0; 2];
            self.exact(&mut format)?;
            if self.is_format(format) {
                return Ok(Start::Workspace);
            }
        }
        Ok(Start::Other(all))
    }

    fn is_format(&mut self, mark: [u8; 2]) -> bool {
        self.format = match &mark {
            b"X\n" => Format::Xdr,
            b"B\n" => Format::Native,
            b"A\n" => Format::Ascii,
            _ => return false,
        };
        true
    }

    /// Takes note of memory that is about to be used.
    pub(super) fn charge(&mut self, bytes: usize) -> Parsed<()> {
        self.taken = self.taken.saturating_add(bytes as u64);
        if self.taken > self.limit {
            return Err(Damage::TooLarge { limit: self.limit, file: self.file });
        }
        Ok(())
    }

    /// As many bytes as there are, up to the length of `out`.
    fn read_some(&mut self, out: &mut [u8]) -> Parsed<usize> {
        let mut n = 0;
        while n < out.len() {
            match self.reader.read(&mut out[n..]) {
                Ok(0) => break,
                Ok(more) => n += more,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Damage::Bytes(e)),
            }
        }
        self.offset += n as u64;
        Ok(n)
    }

    fn exact(&mut self, out: &mut [u8]) -> Parsed<()> {
        self.reader.read_exact(out).map_err(Damage::Bytes)?;
        self.offset += out.len() as u64;
        Ok(())
    }

    pub(super) fn int(&mut self) -> Parsed<i32> {
        let mut bytes = [0; 4];
        match self.format {
            Format::Xdr => self.exact(&mut bytes).map(|()| i32::from_be_bytes(bytes)),
            Format::Native => self.exact(&mut bytes).map(|()| i32::from_le_bytes(bytes)),
            Format::Ascii => int_word(&self.word()?),
        }
    }

    /// The length of a vector: 32 bits, or -1 and 64 bits in two parts.
    pub(super) fn length(&mut self) -> Parsed<usize> {
        let invalid = |found: i64| Damage::Value {
            what: "the length of a vector",
            found: found.to_string(),
            expected: "a number from 0 to 2^48",
        };
        let short = self.int()?;
        let length = match short {
            0.. => i64::from(short),
            -1 => {
                let (high, low) = (self.int()?, self.int()?);
                (i64::from(high) << 32) | i64::from(low as u32)
            }
            _ => return Err(invalid(short.into())),
        };
        match usize::try_from(length) {
            Ok(n) if length <= 1 << 48 => Ok(n),
            _ => Err(invalid(length)),
        }
    }

    pub(super) fn integers(&mut self, n: usize) -> Parsed<Vec<i32>> {
        self.numbers(n, i32::from_be_bytes, i32::from_le_bytes, int_word)
    }

    pub(super) fn reals(&mut self, n: usize) -> Parsed<Vec<f64>> {
        self.numbers(n, f64::from_be_bytes, f64::from_le_bytes, real_word)
    }

    fn numbers<const N: usize, T: Copy>(
        &mut self,
        n: usize,
        big: fn([u8; N]) -> T,
        little: fn([u8; N]) -> T,
        word: fn(&str) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        self.charge(n.saturating_mul(N))?;
        let mut out = Vec::with_capacity(n.min(PIECE));
        if self.format == Format::Ascii {
            for _ in 0..n {
                out.push(word(&self.word()?)?);
            }
            return Ok(out);
        }
        let number = if self.format == Format::Xdr { big } else { little };
        let mut piece = std::mem::take(&mut self.piece);
        piece.resize(PIECE, 0);
        while out.len() < n {
            let bytes = &mut piece[..(n - out.len()).min(PIECE / N) * N];
            self.exact(bytes)?;
            out.extend(bytes.as_chunks::<N>().0.iter().map(|&b| number(b)));
        }
        self.piece = piece;
        Ok(out)
    }

    /// Raw bytes, not kept.
    pub(super) fn skip_raw(&mut self, n: usize) -> Parsed<()> {
        self.charge(n)?;
        if self.format == Format::Ascii {
            return (0..n).try_for_each(|_| self.word().map(drop));
        }
        let mut left = n;
        let mut piece = [0; 4096];
        while left > 0 {
            let bytes = &mut piece[..left.min(4096)];
            left -= bytes.len();
            self.exact(bytes)?;
        }
        Ok(())
    }

    /// The bytes of a string of `n` bytes.
    pub(super) fn string(&mut self, n: usize) -> Parsed<Vec<u8>> {
        self.charge(n)?;
        let mut out = Vec::with_capacity(n.min(PIECE));
        if self.format == Format::Ascii && n > 0 {
            let mut next = self.skip_space()?;
            while out.len() < n {
                let (byte, behind) = self.escaped(next)?;
                out.push(byte);
                next = match behind {
                    Some(byte) => byte,
                    None if out.len() < n => self.byte()?,
                    None => break,
                };
            }
            return Ok(out);
        }
        while out.len() < n {
            let from = out.len();
            out.resize(n.min(from + PIECE), 0);
            self.exact(&mut out[from..])?;
        }
        Ok(out)
    }

    fn byte(&mut self) -> Parsed<u8> {
        let mut byte = [0];
        self.exact(&mut byte)?;
        Ok(byte[0])
    }

    fn skip_space(&mut self) -> Parsed<u8> {
        loop {
            let byte = self.byte()?;
            if !byte.is_ascii_whitespace() {
                return Ok(byte);
            }
        }
    }

    /// A byte of a string, escaped as in C; and the byte behind it, where an octal number had to be looked past.
    fn escaped(&mut self, first: u8) -> Parsed<(u8, Option<u8>)> {
        if first != b'\\' {
            return Ok((first, None));
        }
        let mut byte = self.byte()?;
        let mut value = 0u32;
        if byte.is_ascii_digit() && byte < b'8' {
            for digits in 1.. {
                value = value * 8 + u32::from(byte - b'0');
                byte = self.byte()?;
                if digits == 3 || !(b'0'..b'8').contains(&byte) {
                    break;
                }
            }
            return Ok((value as u8, Some(byte)));
        }
        let byte = match byte {
            b'n' => b'\n',
            b't' => b'\t',
            b'v' => 0x0b,
            b'b' => 0x08,
            b'r' => b'\r',
            b'f' => 0x0c,
            b'a' => 0x07,
            other => other,
        };
        Ok((byte, None))
    }

    /// A word of the text format; no number is longer.
    fn word(&mut self) -> Parsed<String> {
        const LONGEST: usize = 100;
        let mut word = String::new();
        let mut byte = self.skip_space()?;
        while !byte.is_ascii_whitespace() {
            if word.len() == LONGEST {
                return Err(number_expected(&word));
            }
            word.push(char::from(byte));
            byte = self.byte()?;
        }
        Ok(word)
    }
}

fn number_expected(word: &str) -> Damage {
    Damage::Value { what: "a word of the stream", found: format!("{word:?}"), expected: "a number" }
}

fn int_word(word: &str) -> Parsed<i32> {
    match word {
        "NA" => Ok(NA_INTEGER),
        word => word.parse().map_err(|_| number_expected(word)),
    }
}

fn real_word(word: &str) -> Parsed<f64> {
    match word {
        "NA" | "NaN" => Ok(f64::NAN),
        "Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        word => word.parse().map_err(|_| number_expected(word)),
    }
}
