//! Text: of fixed length in place, of any length in heaps elsewhere in the file.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use rust_hdf5::format::UNDEF_ADDR;
use rust_hdf5::format::global_heap::{GlobalHeapCollection, decode_vlen_reference, vlen_reference_size};
use rust_hdf5::format::messages::datatype::fixed_string_content;

use super::bytes::uint;
use super::dtype::Dtype;
use super::file::File;
use super::{Decoded, format};
use crate::Problem;

/// One collection of texts: its bytes, and where in them each object lies.
#[derive(Debug)]
struct Collection {
    bytes: Vec<u8>,
    objects: Vec<Range<usize>>,
}

impl Collection {
    fn read(file: &File, address: u64) -> Decoded<Self> {
        let start = file.source.read_at_most(address, 32)?;
        let size = GlobalHeapCollection::decode_size(&start, &file.context).map_err(format)?;
        file.budget.declare(Some(size as u64))?;
        let bytes = file.source.read(address, size as u64)?;
        let width = usize::from(file.context.sizeof_size);
        let (header, prefix) = ((8 + width).next_multiple_of(8), (8 + width).next_multiple_of(8));
        let mut objects = Vec::new();
        let mut at = header;
        while at + prefix <= bytes.len() {
            let index = usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
            // Object 0 is the free space behind the others.
            if index == 0 {
                break;
            }
            let length = uint(&bytes[at + 8..at + 8 + width]);
            let start = at + prefix;
            let end = usize::try_from(length)
                .ok()
                .and_then(|n| start.checked_add(n))
                .filter(|&end| end <= bytes.len());
            let Some(end) = end else {
                return Err(Problem::Malformed(format!("text {index} of a heap is longer than the heap")));
            };
            if objects.len() <= index {
                objects.resize(index + 1, 0..0);
            }
            objects[index] = start..end;
            at = end.next_multiple_of(8);
        }
        Ok(Self { bytes, objects })
    }

    fn get(&self, index: u32) -> Option<&[u8]> {
        let range = self.objects.get(index as usize)?;
        // Range 0..0 marks an index that is not in use: no object starts at 0, where the signature is.
        if range.start == 0 { None } else { Some(&self.bytes[range.clone()]) }
    }
}

/// The collections read so far.
#[derive(Debug, Default)]
pub(super) struct Heaps(Mutex<HashMap<u64, Arc<Collection>>>);

impl Heaps {
    fn get(&self, file: &File, address: u64) -> Decoded<Arc<Collection>> {
        // A panic elsewhere cannot leave the map half-changed: it is only ever inserted into.
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(collection) = map.get(&address) {
            return Ok(Arc::clone(collection));
        }
        let collection = Arc::new(Collection::read(file, address)?);
        map.insert(address, Arc::clone(&collection));
        Ok(collection)
    }
}

/// The texts stored as `bytes`, one for each value of type `dtype`.
pub(super) fn decode(file: &File, dtype: &Dtype, bytes: &[u8]) -> Decoded<Vec<String>> {
    match dtype {
        Dtype::FixedString { size: 0, .. } => Err(Problem::Malformed("text of no bytes".to_owned())),
        Dtype::FixedString { size, padding } => bytes
            .chunks_exact(*size)
            .enumerate()
            .map(|(at, element)| {
                let content = fixed_string_content(element, *padding).unwrap_or(element);
                text(content, at)
            })
            .collect(),
        Dtype::VarString { null_terminated } => variable(file, *null_terminated, bytes),
        other => Err(Problem::Dtype { found: other.describe(), expected: "text" }),
    }
}

fn variable(file: &File, null_terminated: bool, bytes: &[u8]) -> Decoded<Vec<String>> {
    let width = vlen_reference_size(&file.context);
    let mut out = Vec::with_capacity(bytes.len() / width);
    let mut last: Option<(u64, Arc<Collection>)> = None;
    for (at, reference) in bytes.chunks_exact(width).enumerate() {
        let (length, address, index) = decode_vlen_reference(reference, &file.context).map_err(format)?;
        if length == 0 || address == 0 || address == UNDEF_ADDR {
            out.push(String::new());
            continue;
        }
        let collection = match &last {
            Some((known, collection)) if *known == address => Arc::clone(collection),
            _ => file.heaps.get(file, address)?,
        };
        let stored =
            collection.get(index).and_then(|object| object.get(..length as usize)).ok_or_else(|| {
                Problem::Malformed(format!("entry {at} points to text that its heap does not have"))
            })?;
        let end = if null_terminated { stored.iter().position(|&b| b == 0) } else { None };
        // Many entries may share one text, so that the file's length says nothing about theirs.
        file.budget.declare(Some(u64::from(length)))?;
        out.push(text(&stored[..end.unwrap_or(stored.len())], at)?);
        last = Some((address, collection));
    }
    Ok(out)
}

fn text(bytes: &[u8], at: usize) -> Decoded<String> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Problem::Text { at })
}
