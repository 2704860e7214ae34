//! Everything before the numbers.

use std::collections::{BTreeMap, BTreeSet};

use super::kind::Kind;
use super::metadata::{ARRAY, Array, BOOL, STRING, Value, for_each_number};
use super::{Place, TensorInfo};
use crate::checkpoint::element::count;
use crate::checkpoint::source::Source;
use crate::checkpoint::{Error, KIND_BYTES, file_kind};

/// A header of this length holds the vocabulary of every model many times.
const MAX_HEADER: u64 = 1 << 28;

/// Bytes that are read at a time.
const WINDOW: u64 = 1 << 16;

/// Where numbers begin is a multiple of this, unless the file says otherwise.
pub(super) const ALIGNMENT: u32 = 32;

/// The key of another alignment.
pub(super) const ALIGNMENT_KEY: &str = "general.alignment";

pub(super) struct Header {
    pub(super) version: u32,
    pub(super) metadata: BTreeMap<String, Value>,
    pub(super) tensors: Vec<TensorInfo>,
}

pub(super) fn read(source: &Source) -> Result<Header, Error> {
    let start = source.read(0, source.length().min(KIND_BYTES))?;
    if !start.starts_with(b"GGUF") {
        return Err(source.format(0, file_kind(&start), "a GGUF file"));
    }
    let mut reader = Reader { source, offset: 4, window: Vec::new(), begin: 4 };
    let version = reader.number(u32::from_le_bytes)?;
    match version {
        2 | 3 => {}
        1 => return Err(source.format(4, "version 1", "version 2 or 3")),
        _ if [2, 3].contains(&version.swap_bytes()) => {
            return Err(source.format(4, "a file with the highest byte first", "the lowest byte first"));
        }
        other => return Err(source.format(4, format!("version {other}"), "version 2 or 3")),
    }
    let n_tensors = reader.number(u64::from_le_bytes)?;
    let n_keys = reader.number(u64::from_le_bytes)?;
    let mut metadata = BTreeMap::new();
    // Nothing is allocated by these numbers: the file ends first if they lie.
    for _ in 0..n_keys {
        let at = reader.offset;
        let key = reader.text()?;
        let value = reader.value()?;
        if metadata.contains_key(&key) {
            return Err(source.format(at, format!("the key {key:?} a second time"), "each key once"));
        }
        metadata.insert(key, value);
    }
    let alignment = alignment(source, &metadata)?;
    let (mut tensors, mut names, mut twice) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for _ in 0..n_tensors {
        let at = reader.offset;
        let tensor = reader.tensor()?;
        if !tensor.place.offset.is_multiple_of(alignment) {
            let found = format!("tensor {:?} at the place {}", tensor.name, tensor.place.offset);
            return Err(source.format(at, found, "a multiple of the alignment"));
        }
        if !names.insert(tensor.name.clone()) {
            twice.insert(tensor.name.clone());
        }
        tensors.push(tensor);
    }
    if !twice.is_empty() {
        return Err(Error::Twice { names: twice.into_iter().collect() });
    }
    place(source, &mut tensors, reader.offset.next_multiple_of(alignment))?;
    Ok(Header { version, metadata, tensors })
}

fn alignment(source: &Source, metadata: &BTreeMap<String, Value>) -> Result<u64, Error> {
    let found = match metadata.get(ALIGNMENT_KEY) {
        None => return Ok(ALIGNMENT.into()),
        Some(Value::U32(found)) if found.is_power_of_two() && (8..=1 << 16).contains(found) => {
            return Ok(u64::from(*found));
        }
        Some(Value::U32(found)) => found.to_string(),
        Some(_) => "no number of 32 bits".to_owned(),
    };
    Err(source.format(0, format!("{ALIGNMENT_KEY} {found}"), "a power of 2 from 8 to 65536"))
}

/// From places behind the header to places in the file, each inside it and none inside another.
fn place(source: &Source, tensors: &mut [TensorInfo], start: u64) -> Result<(), Error> {
    for tensor in &mut *tensors {
        let inside = start.checked_add(tensor.place.offset).filter(|offset| {
            offset.checked_add(tensor.place.length).is_some_and(|end| end <= source.length())
        });
        let Some(offset) = inside else {
            let found = format!(
                "tensor {:?} with {} bytes from {} on",
                tensor.name, tensor.place.length, tensor.place.offset
            );
            return Err(source.format(start, found, "a place inside the file"));
        };
        tensor.place.offset = offset;
    }
    let mut sorted: Vec<&TensorInfo> = tensors.iter().filter(|tensor| tensor.place.length > 0).collect();
    sorted.sort_by_key(|tensor| tensor.place.offset);
    for pair in sorted.windows(2) {
        if pair[0].place.offset + pair[0].place.length > pair[1].place.offset {
            let found = format!("tensor {:?} inside tensor {:?}", pair[1].name, pair[0].name);
            return Err(source.format(pair[1].place.offset, found, "a place of its own"));
        }
    }
    Ok(())
}

/// Reads one thing after another.
struct Reader<'a> {
    source: &'a Source,
    offset: u64,
    /// Bytes of the file from `begin` on.
    window: Vec<u8>,
    begin: u64,
}

impl Reader<'_> {
    /// The next bytes. Memory is taken only for what the file has.
    fn bytes(&mut self, length: u64) -> Result<&[u8], Error> {
        let end = self.offset.checked_add(length).filter(|&end| end <= MAX_HEADER.min(self.source.length()));
        let Some(end) = end else {
            let (found, expected) = match self.source.length() > MAX_HEADER {
                true => (format!("a header of more than {MAX_HEADER} bytes"), "a shorter one"),
                false => (format!("{length} bytes behind the end of the file"), "the rest of the header"),
            };
            return Err(self.source.format(self.offset, found, expected));
        };
        if end > self.begin + self.window.len() as u64 {
            let wanted = length.max(WINDOW.min(self.source.length() - self.offset));
            self.window = self.source.read(self.offset, wanted)?;
            self.begin = self.offset;
        }
        let at = (self.offset - self.begin) as usize;
        self.offset = end;
        Ok(&self.window[at..at + length as usize])
    }

    fn number<T, const N: usize>(&mut self, from: fn([u8; N]) -> T) -> Result<T, Error> {
        let bytes = self.bytes(N as u64)?;
        Ok(from(bytes.try_into().expect("as many bytes as were asked for")))
    }

    fn text(&mut self) -> Result<String, Error> {
        let at = self.offset;
        let length = self.number(u64::from_le_bytes)?;
        let bytes = self.bytes(length)?.to_vec();
        String::from_utf8(bytes)
            .map_err(|_| self.source.format(at, "bytes that are no text", "text in UTF-8"))
    }

    fn truth(&mut self) -> Result<bool, Error> {
        let at = self.offset;
        match self.number(u8::from_le_bytes)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.source.format(at, format!("the truth value {other}"), "0 or 1")),
        }
    }

    fn value(&mut self) -> Result<Value, Error> {
        let at = self.offset;
        let number = self.number(u32::from_le_bytes)?;
        macro_rules! numbers {
            ($($name:ident $t:ident $n:literal),*) => {
                match number {
                    $($n => Value::$name(self.number($t::from_le_bytes)?),)*
                    BOOL => Value::Bool(self.truth()?),
                    STRING => Value::String(self.text()?),
                    ARRAY => Value::Array(self.array()?),
                    _ => return Err(self.source.format(at, format!("a value of type {number}"), "a type of 0 to 12")),
                }
            };
        }
        Ok(for_each_number!(numbers))
    }

    fn array(&mut self) -> Result<Array, Error> {
        let at = self.offset;
        let number = self.number(u32::from_le_bytes)?;
        let length = self.number(u64::from_le_bytes)?;
        macro_rules! numbers {
            ($($name:ident $t:ident $n:literal),*) => {
                match number {
                    $($n => Array::$name(self.many(length, $t::from_le_bytes)?),)*
                    BOOL => {
                        let mut values = Vec::new();
                        for _ in 0..length {
                            values.push(self.truth()?);
                        }
                        Array::Bool(values)
                    }
                    STRING => {
                        let mut values = Vec::new();
                        for _ in 0..length {
                            values.push(self.text()?);
                        }
                        Array::String(values)
                    }
                    ARRAY => return Err(self.source.format(at, "an array of arrays", "an array of single values")),
                    _ => return Err(self.source.format(at, format!("an array of type {number}"), "a type of 0 to 12")),
                }
            };
        }
        Ok(for_each_number!(numbers))
    }

    fn many<T, const N: usize>(&mut self, length: u64, from: fn([u8; N]) -> T) -> Result<Vec<T>, Error> {
        let bytes = self.bytes(length.saturating_mul(N as u64))?;
        Ok(bytes.as_chunks().0.iter().map(|number| from(*number)).collect())
    }

    /// A tensor, its place still counted from where the numbers begin.
    fn tensor(&mut self) -> Result<TensorInfo, Error> {
        let at = self.offset;
        let name = self.text()?;
        let n_dims = self.number(u32::from_le_bytes)?;
        let wrong = |found: String, expected| {
            self.source.format(at, format!("tensor {name:?} with {found}"), expected)
        };
        if n_dims > 4 {
            return Err(wrong(format!("{n_dims} dimensions"), "4 or fewer"));
        }
        let mut shape = Vec::new();
        for _ in 0..n_dims {
            shape.push(self.number(u64::from_le_bytes)?);
        }
        shape.reverse();
        let number = self.number(u32::from_le_bytes)?;
        let offset = self.number(u64::from_le_bytes)?;
        let wrong =
            |expected| self.source.format(at, format!("tensor {name:?} of shape {shape:?}"), expected);
        let sizes: Option<Vec<usize>> = shape.iter().map(|&size| usize::try_from(size).ok()).collect();
        let sizes =
            sizes.filter(|sizes| count(sizes).is_some()).ok_or_else(|| wrong("one that fits memory"))?;
        let kind = Kind::from_number(number).map_err(|found| Error::GgufType {
            path: self.source.path().to_owned(),
            name: name.clone(),
            found,
        })?;
        let columns = sizes.last().copied().unwrap_or(1);
        let row = kind.bytes(columns).ok_or_else(|| wrong("rows of whole blocks"))?;
        let rows: usize = sizes.iter().rev().skip(1).product();
        let length = row.checked_mul(rows).ok_or_else(|| wrong("one that fits memory"))? as u64;
        Ok(TensorInfo { name, shape: sizes, kind, place: Place { offset, length, crc: None } })
    }
}
