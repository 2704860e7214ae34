//! The two layouts of `torch.save`.

use std::collections::HashMap;

use super::StorageRef;
use crate::checkpoint::element::Place;
use crate::checkpoint::pickle::{self, Problem, Tensors, Value};
use crate::checkpoint::source::Source;
use crate::checkpoint::{Error, KIND_BYTES, file_kind, zip};

/// The first pickle of the older layout: protocol 2, the number 0x1950a86a20f9469cfc6c.
const MAGIC: [u8; 15] = *b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
const VERSION: i64 = 1001;

pub(super) type Contents = (Value, HashMap<String, Place>);

/// Whether a file begins as one of `torch.save` does.
pub(super) fn is_known(start: &[u8]) -> bool {
    start.starts_with(b"PK\x03\x04") || start.starts_with(&MAGIC)
}

pub(super) fn read(source: &Source) -> Result<Contents, Error> {
    let start = source.read(0, source.length().min(KIND_BYTES))?;
    match start.as_slice() {
        [b'P', b'K', 3, 4, ..] => archive(source),
        _ if start.starts_with(&MAGIC) => row(source),
        _ => Err(source.format(0, file_kind(&start), "a file of torch.save")),
    }
}

/// The zip archive: `<name>/data.pkl`, and each storage as `<name>/data/<key>`.
fn archive(source: &Source) -> Result<Contents, Error> {
    let entries = zip::entries(source)?;
    let mut pickles = entries
        .iter()
        .filter(|entry| entry.name.strip_suffix("/data.pkl").is_some_and(|folder| !folder.contains('/')));
    let (Some(description), None) = (pickles.next(), pickles.next()) else {
        return Err(source.format(0, "a zip archive without a data.pkl of its own", "a file of torch.save"));
    };
    let folder = description.name.strip_suffix("data.pkl").expect("was found by it");
    let named = |name: &str| entries.iter().find(|entry| entry.name.strip_prefix(folder) == Some(name));
    if named("constants.pkl").is_some() {
        return Err(Error::TorchScript { path: source.path().to_owned() });
    }
    let description = description.stored(source)?;
    if let Some(order) = named("byteorder")
        && source.read(order.offset, order.length.min(8))? != b"little"
    {
        return Err(source.format(order.offset, "another order of bytes", "\"little\""));
    }
    if description.length > pickle::MAX_BYTES {
        let found = format!("a description of {} bytes", description.length);
        return Err(source.format(description.offset, found, "a smaller one"));
    }
    let bytes = source.read(description.offset, description.length)?;
    if crc32fast::hash(&bytes) != description.crc {
        let found = format!("a description with the checksum {:08x}", crc32fast::hash(&bytes));
        return Err(source.format(description.offset, found, "the checksum that the archive says"));
    }
    let parsed = pickle::parse(&bytes, Tensors::Read)
        .map_err(|failure| failure.in_file(source.path(), description.offset))?;
    let mut places = HashMap::new();
    for entry in &entries {
        if let Some(key) = entry.name.strip_prefix(folder).and_then(|name| name.strip_prefix("data/")) {
            let &zip::Entry { offset, length, crc, .. } = entry.stored(source)?;
            places.insert(key.to_owned(), Place { offset, length, crc: Some(crc) });
        }
    }
    Ok((parsed.value, places))
}

/// The older layout: magic number, version, machine, description and keys as pickles; then each storage, with its
/// number of elements before it.
fn row(source: &Source) -> Result<Contents, Error> {
    let head = source.read(0, source.length().min(pickle::MAX_BYTES))?;
    let mut at = MAGIC.len();
    let mut next = || -> Result<Value, Error> {
        let parsed = pickle::parse(&head[at..], Tensors::Read)
            .map_err(|failure| failure.in_file(source.path(), at as u64))?;
        at += parsed.used;
        Ok(parsed.value)
    };
    if next()?.as_i64() != Some(VERSION) {
        return Err(source.format(MAGIC.len() as u64, "another version of the layout", "1001"));
    }
    if next()?.get("little_endian") != Some(&Value::Bool(true)) {
        return Err(source.format(
            MAGIC.len() as u64,
            "a machine of another order of bytes",
            "a little-endian one",
        ));
    }
    let value = next()?;
    let keys = next()?;
    let mut storages = HashMap::new();
    collect(&value, &mut storages);
    let mut places = HashMap::new();
    let mut offset = at as u64;
    for key in keys.items().unwrap_or_default() {
        let known = key.as_str().and_then(|key| storages.get(key));
        let storage = known
            .ok_or_else(|| source.format(offset, format!("the key {key:?}"), "that of a storage in use"))?;
        let count = source.read(offset, 8)?;
        let count = u64::from_le_bytes(count.try_into().expect("eight bytes were read"));
        if count != storage.length as u64 {
            return Err(source.format(offset, format!("{count} numbers"), "as many as the description says"));
        }
        let length = count.checked_mul(storage.stored.size() as u64);
        let wanted = Problem::Truncated {
            wanted: length.unwrap_or(u64::MAX),
            left: source.length().saturating_sub(offset + 8),
        };
        let place = length.map(|length| Place { offset: offset + 8, length, crc: None });
        let fits = place
            .filter(|place| place.offset.checked_add(place.length).is_some_and(|end| end <= source.length()));
        let place = fits.ok_or(Error::Pickle { path: source.path().to_owned(), offset, problem: wanted })?;
        offset = place.offset + place.length;
        places.insert(storage.key.clone(), place);
    }
    Ok((value, places))
}

/// The storages that the tensors of a value use.
fn collect<'a>(value: &'a Value, storages: &mut HashMap<&'a str, &'a StorageRef>) {
    match value {
        Value::Tensor(view) => {
            storages.insert(&view.storage.key, &view.storage);
        }
        Value::List(items) | Value::Tuple(items) => items.iter().for_each(|item| collect(item, storages)),
        Value::Dict(entries) => entries.iter().for_each(|(_, value)| collect(value, storages)),
        _ => {}
    }
}
