//! The container of xz: one stream of blocks, each of one LZMA2 filter, as `saveRDS` and `xz` write them.
//!
//! The blocks are unpacked by the crate `lzma-rust2`. Its own reader of the container takes the memory for the dictionary
//! that a block declares, up to 4 GiB, as soon as it sees the number; here the number is looked at first.

use std::io::{BufRead, Error, ErrorKind, Read, Result};

use flate2::Crc;
use lzma_rust2::Lzma2Reader;

/// Dictionaries of this size are always allowed: `xz -9` has one of 64 MiB.
const ALWAYS_ALLOWED: u64 = 64 << 20;

pub(super) struct XzReader<R: Read> {
    state: State<R>,
    most: u64,
}

enum State<R: Read> {
    Start(R),
    Between(R, Check),
    Block { block: Box<Lzma2Reader<Counted<R>>>, check: Check, sum: Sum },
    End,
}

/// What stands behind each block.
#[derive(Clone, Copy, PartialEq)]
enum Check {
    None,
    Crc32,
    Crc64,
    /// SHA-256: passed over.
    Long,
}

enum Sum {
    None,
    Crc32(Crc),
    Crc64(u64),
}

/// Counts the bytes of a block: its length is made a multiple of 4.
struct Counted<R> {
    inner: R,
    n: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        let n = self.inner.read(out)?;
        self.n += n as u64;
        Ok(n)
    }
}

fn damaged(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("damaged xz file: {what}"))
}

impl<R: BufRead> XzReader<R> {
    /// * `most`: bytes that the dictionary of a block may take (64 MiB may always be taken).
    pub(super) fn new(inner: R, most: u64) -> Self {
        Self { state: State::Start(inner), most: most.max(ALWAYS_ALLOWED) }
    }

    /// The next block, or the end.
    fn block(&self, mut inner: R, check: Check) -> Result<State<R>> {
        let mut size = [0];
        inner.read_exact(&mut size)?;
        if size[0] == 0 {
            // The index follows, which says again what the blocks have said.
            return Ok(State::End);
        }
        let mut header = vec![0; (usize::from(size[0]) + 1) * 4];
        header[0] = size[0];
        inner.read_exact(&mut header[1..])?;
        let (header, sum) = header.split_at(header.len() - 4);
        if crc32(header).to_le_bytes() != sum {
            return Err(damaged("the header of a block"));
        }
        let dictionary = dictionary(&header[1..]).ok_or_else(|| damaged("a filter other than LZMA2"))?;
        if u64::from(dictionary) > self.most {
            return Err(damaged("a dictionary larger than a file of this size needs"));
        }
        let block = Box::new(Lzma2Reader::new(Counted { inner, n: 0 }, dictionary, None));
        let sum = match check {
            Check::Crc32 => Sum::Crc32(Crc::new()),
            Check::Crc64 => Sum::Crc64(!0),
            Check::None | Check::Long => Sum::None,
        };
        Ok(State::Block { block, check, sum })
    }
}

impl<R: BufRead> Read for XzReader<R> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            // After an error the stream is at its end.
            self.state = match std::mem::replace(&mut self.state, State::End) {
                State::End => return Ok(0),
                State::Start(mut inner) => {
                    let check = stream_header(&mut inner)?;
                    State::Between(inner, check)
                }
                State::Between(inner, check) => self.block(inner, check)?,
                State::Block { mut block, check, mut sum } => {
                    let n = block.read(out)?;
                    if n > 0 {
                        sum.update(&out[..n]);
                        self.state = State::Block { block, check, sum };
                        return Ok(n);
                    }
                    let Counted { mut inner, n } = block.into_inner();
                    let padding = (4 - n % 4) % 4;
                    let mut behind = vec![0; padding as usize + check.size()];
                    inner.read_exact(&mut behind)?;
                    if !sum.is(&behind[padding as usize..]) {
                        return Err(damaged("the checksum of a block"));
                    }
                    State::Between(inner, check)
                }
            };
        }
    }
}

impl Check {
    fn size(self) -> usize {
        match self {
            Self::None => 0,
            Self::Crc32 => 4,
            Self::Crc64 => 8,
            Self::Long => 32,
        }
    }
}

impl Sum {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::None => {}
            Self::Crc32(crc) => crc.update(bytes),
            Self::Crc64(crc) => {
                *crc = bytes.iter().fold(*crc, |crc, &b| CRC64[usize::from(crc as u8 ^ b)] ^ (crc >> 8));
            }
        }
    }

    fn is(&self, stored: &[u8]) -> bool {
        match self {
            Self::None => true,
            Self::Crc32(crc) => crc.sum().to_le_bytes() == stored,
            Self::Crc64(crc) => (!crc).to_le_bytes() == stored,
        }
    }
}

/// CRC-64/XZ (ECMA-182, reflected), byte by byte.
static CRC64: [u64; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xC96C_5795_D787_0F42 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn stream_header(inner: &mut impl Read) -> Result<Check> {
    let mut header = [0; 12];
    inner.read_exact(&mut header)?;
    if crc32(&header[6..8]).to_le_bytes() != header[8..] || header[6] != 0 {
        return Err(damaged("the header of the stream"));
    }
    match header[7] {
        0 => Ok(Check::None),
        1 => Ok(Check::Crc32),
        4 => Ok(Check::Crc64),
        10 => Ok(Check::Long),
        _ => Err(damaged("an unknown checksum")),
    }
}

/// The size of the dictionary in a block's header (without its first byte), if LZMA2 is its only filter.
fn dictionary(header: &[u8]) -> Option<u32> {
    let (&flags, mut rest) = header.split_first()?;
    for bit in [0x40, 0x80] {
        // The sizes of the block, packed and unpacked: numbers of 7 bits a byte.
        if flags & bit != 0 {
            let end = rest.iter().take(9).position(|b| b & 0x80 == 0)?;
            rest = &rest[end + 1..];
        }
    }
    let [0x21, 1, bits, ..] = *rest else { return None };
    match bits {
        _ if flags & 0x3f != 0 => None,
        0..=39 => Some((2 | u32::from(bits & 1)) << (bits / 2 + 11)),
        40 => Some(u32::MAX),
        _ => None,
    }
}
