//! The directory of a zip archive; its entries are read where they are stored as they are, which is how PyTorch writes
//! them.

use std::collections::HashSet;

use super::Error;
use super::source::Source;

const END: [u8; 4] = *b"PK\x05\x06";
const END_LENGTH: usize = 22;
const END_64: [u8; 4] = *b"PK\x06\x06";
const END_64_LENGTH: u64 = 56;
const LOCATOR_64: [u8; 4] = *b"PK\x06\x07";
const LOCATOR_64_LENGTH: u64 = 20;
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const CENTRAL_LENGTH: usize = 46;
const LOCAL: [u8; 4] = *b"PK\x03\x04";
const LOCAL_LENGTH: u64 = 30;
/// A comment is at most this long.
const MAX_COMMENT: usize = 0xffff;
/// The directory of a file with half a million tensors is still smaller.
const MAX_DIRECTORY: u64 = 1 << 26;

/// A stored file of the archive.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// Where its bytes begin in the archive.
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) crc: u32,
    /// How it is compressed; 0 for as it is.
    method: u16,
}

impl Entry {
    /// Says that the bytes in the archive are those of the file.
    pub(crate) fn stored(&self, source: &Source) -> Result<&Self, Error> {
        match self.method {
            0 => Ok(self),
            method => {
                let found = format!("the entry {:?} compressed by method {method}", self.name);
                Err(source.format(self.offset, found, "one stored as it is"))
            }
        }
    }
}

/// The entries of an archive, each with its own header compared to the directory.
pub(crate) fn entries(source: &Source) -> Result<Vec<Entry>, Error> {
    let directory = Directory::find(source)?;
    if directory.length > MAX_DIRECTORY {
        return Err(source.format(
            directory.offset,
            format!("a directory of {} bytes", directory.length),
            "a smaller one",
        ));
    }
    let bytes = source.read(directory.offset, directory.length)?;
    let (mut entries, mut names, mut at) = (Vec::new(), HashSet::new(), 0);
    while at < bytes.len() {
        let offset = directory.offset + at as u64;
        let (entry, header, used) = central(&bytes[at..], source, offset)?;
        let entry = located(entry, header, source, directory.offset)?;
        if !names.insert(entry.name.clone()) {
            return Err(source.format(
                offset,
                format!("the entry {:?} for the second time", entry.name),
                "each entry once",
            ));
        }
        entries.push(entry);
        at += used;
    }
    match entries.len() as u64 == directory.count {
        true => Ok(entries),
        false => Err(source.format(
            directory.offset,
            format!("a directory of {} entries", entries.len()),
            "as many as its end says",
        )),
    }
}

struct Directory {
    offset: u64,
    length: u64,
    count: u64,
}

impl Directory {
    /// From the end of the archive, which only a comment may follow.
    fn find(source: &Source) -> Result<Self, Error> {
        let length = source.length().min((END_LENGTH + MAX_COMMENT) as u64);
        let start = source.length() - length;
        let tail = source.read(start, length)?;
        let is_end = |&at: &usize| {
            tail[at..].starts_with(&END)
                && at + END_LENGTH + usize::from(u16_at(&tail, at + 20)) == tail.len()
        };
        let at = (0..=tail.len().saturating_sub(END_LENGTH))
            .rev()
            .filter(|at| at + END_LENGTH <= tail.len())
            .find(is_end);
        let missing = || {
            source.format(
                source.length(),
                "the end of the file",
                "the directory of the zip archive before it",
            )
        };
        let at = at.ok_or_else(missing)?;
        let end = start + at as u64;
        let short = Self {
            offset: u64::from(u32_at(&tail, at + 16)),
            length: u64::from(u32_at(&tail, at + 12)),
            count: u64::from(u16_at(&tail, at + 10)),
        };
        let found = match Self::find_64(source, end)? {
            Some(long) => long,
            None => short,
        };
        match found.offset.checked_add(found.length) {
            Some(last) if last <= end => Ok(found),
            _ => Err(source.format(
                end,
                format!("a directory of {} bytes at {}", found.length, found.offset),
                "one inside the file",
            )),
        }
    }

    /// The larger form, for archives beyond 4 GiB; PyTorch writes it for smaller ones too.
    fn find_64(source: &Source, end: u64) -> Result<Option<Self>, Error> {
        let Some(locator) = end.checked_sub(LOCATOR_64_LENGTH) else { return Ok(None) };
        let bytes = source.read(locator, LOCATOR_64_LENGTH)?;
        if !bytes.starts_with(&LOCATOR_64) {
            return Ok(None);
        }
        let offset = u64_at(&bytes, 8);
        let bytes = source.read(offset, END_64_LENGTH)?;
        if !bytes.starts_with(&END_64) {
            return Err(source.format(offset, "no end of a zip archive", "the one that the file points to"));
        }
        Ok(Some(Self { offset: u64_at(&bytes, 48), length: u64_at(&bytes, 40), count: u64_at(&bytes, 32) }))
    }
}

/// One entry of the directory, where its header is, and the bytes that it takes.
fn central(bytes: &[u8], source: &Source, offset: u64) -> Result<(Entry, u64, usize), Error> {
    let wrong = |found: &str, expected| source.format(offset, found, expected);
    if bytes.len() < CENTRAL_LENGTH || !bytes.starts_with(&CENTRAL) {
        return Err(wrong("something else", "an entry of the zip directory"));
    }
    let (flags, method) = (u16_at(bytes, 8), u16_at(bytes, 10));
    if flags & 1 != 0 {
        return Err(wrong("an encrypted entry", "one stored as it is"));
    }
    let [name, extra, comment] = [28, 30, 32].map(|at| usize::from(u16_at(bytes, at)));
    let used = CENTRAL_LENGTH + name + extra + comment;
    if used > bytes.len() {
        return Err(wrong("an entry that goes beyond the directory", "one inside it"));
    }
    let (name, rest) = bytes[CENTRAL_LENGTH..].split_at(name);
    let name = std::str::from_utf8(name).map_err(|_| wrong("a name that is not UTF-8", "one that is"))?;
    let [compressed, length, header] = [20, 24, 42].map(|at| u32_at(bytes, at));
    let mut long = long_fields(&rest[..extra]).chunks_exact(8).map(|field| u64_at(field, 0));
    // The long form stands in for those of the short fields that are full, in this order.
    let mut value = |short: u32| match short {
        u32::MAX => {
            long.next().ok_or_else(|| wrong("no long form of a full field", "one in the extra field"))
        }
        _ => Ok(u64::from(short)),
    };
    let (length, compressed, header) = (value(length)?, value(compressed)?, value(header)?);
    if method == 0 && length != compressed {
        return Err(wrong(&format!("{compressed} bytes for an entry of {length}"), "as many"));
    }
    Ok((
        Entry { name: name.to_owned(), offset: 0, length: compressed, crc: u32_at(bytes, 16), method },
        header,
        used,
    ))
}

/// The long forms among the extra fields of an entry.
fn long_fields(mut extra: &[u8]) -> &[u8] {
    while extra.len() >= 4 {
        let (kind, length) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
        let field = &extra[4..];
        let Some(rest) = field.get(length..) else { break };
        if kind == 1 {
            return &field[..length];
        }
        extra = rest;
    }
    &[]
}

/// The entry with the place of its bytes, which its own header at `header` says.
fn located(entry: Entry, header: u64, source: &Source, directory: u64) -> Result<Entry, Error> {
    let bytes = source.read(header, LOCAL_LENGTH)?;
    if !bytes.starts_with(&LOCAL) {
        return Err(source.format(header, "something else", "the header of a zip entry"));
    }
    let [name, extra] = [26, 28].map(|at| u64::from(u16_at(&bytes, at)));
    if source.read(header + LOCAL_LENGTH, name)? != entry.name.as_bytes() {
        return Err(source.format(header, "an entry of another name", "the one that the directory says"));
    }
    let offset = header + LOCAL_LENGTH + name + extra;
    match offset.checked_add(entry.length) {
        Some(end) if end <= directory => Ok(Entry { offset, ..entry }),
        _ => Err(source.format(
            header,
            format!("an entry of {} bytes", entry.length),
            "one that ends before the directory",
        )),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
