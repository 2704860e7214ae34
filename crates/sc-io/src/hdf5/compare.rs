//! Whether a file still holds what another one holds: after something was added to a copy of it.

use super::chunk_index::ChunkIndex;
use super::dataset::Dataset;
use super::object::{Fault, Object};
use super::{Decoded, Dtype};
use crate::Problem;
use rust_hdf5::format::UNDEF_ADDR;
use rust_hdf5::format::messages::data_layout::DataLayoutMessage;

/// The attributes that AnnData gives a meaning.
const ATTRIBUTES: [&str; 11] = [
    "encoding-type",
    "encoding-version",
    "shape",
    "column-order",
    "_index",
    "ordered",
    "categories",
    "h5sparse_format",
    "h5sparse_shape",
    "na-value",
    "CLASS",
];
/// Bytes compared at a time.
const BLOCK: u64 = 1 << 20;

/// The path of the first element below `old` that `new` does not hold as it was: another type, shape, attribute or stored
/// byte. What `new` has besides is none of its business, nor are the elements and attributes (`element@attribute`) of
/// `changed`.
pub(crate) fn difference(
    old: &Object<'_>,
    new: &Object<'_>,
    changed: &[String],
) -> Result<Option<String>, Fault> {
    for name in ATTRIBUTES {
        if changed.contains(&format!("{}@{name}", old.path())) {
            continue;
        }
        let same = match (old.attribute(name)?, new.attribute(name)?) {
            (None, None) => true,
            (Some(a), Some(b)) => a.same_as(&b).map_err(|p| old.fault(p))?,
            _ => false,
        };
        if !same {
            return Ok(Some(format!("{}@{name}", old.path())));
        }
    }
    if old.is_group() != new.is_group() {
        return Ok(Some(old.path().to_owned()));
    }
    if !old.is_group() {
        if !old.is_dataset() {
            return Ok(None);
        }
        let same = same_values(&old.dataset()?, &new.dataset()?).map_err(|p| old.fault(p))?;
        return Ok((!same).then(|| old.path().to_owned()));
    }
    for name in old.names()? {
        let path = old.member_path(&name);
        if changed.contains(&path) {
            continue;
        }
        if !new.contains(&name)? {
            return Ok(Some(path));
        }
        let found = difference(&old.member(&name)?, &new.member(&name)?, changed)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Whether two datasets have the same type, shape and filters, and the same bytes on disk.
fn same_values(old: &Dataset<'_>, new: &Dataset<'_>) -> Decoded<bool> {
    let form = |d: &Dataset<'_>| {
        (d.dtype().clone(), d.dims().to_vec(), d.is_null(), d.filters.clone(), d.fill.clone())
    };
    if form(old) != form(new) {
        return Ok(false);
    }
    if let Dtype::VarString { .. } = old.dtype()
        && !old.is_null()
        && old.count()? > 0
    {
        let texts = |d: &Dataset<'_>| d.strings().map_err(|fault| fault.problem);
        return Ok(texts(old)? == texts(new)?);
    }
    match (&old.layout, &new.layout) {
        (DataLayoutMessage::Compact { data: a }, DataLayoutMessage::Compact { data: b }) => Ok(a == b),
        (
            DataLayoutMessage::Contiguous { address: a, size: n },
            DataLayoutMessage::Contiguous { address: b, size: m },
        ) => {
            if *a == UNDEF_ADDR || *b == UNDEF_ADDR {
                return Ok(a == b);
            }
            Ok(n == m && same_bytes(old, *a, new, *b, *n)?)
        }
        (DataLayoutMessage::Compact { .. } | DataLayoutMessage::Contiguous { .. }, _) => Ok(false),
        _ => {
            let (a, b) = (ChunkIndex::read(old)?, ChunkIndex::read(new)?);
            if a.grid.chunk != b.grid.chunk || a.chunks.len() != b.chunks.len() {
                return Ok(false);
            }
            for (a, b) in a.chunks.iter().zip(&b.chunks) {
                let alike = (&a.place, a.size, a.skipped_filters) == (&b.place, b.size, b.skipped_filters);
                if !alike || !same_bytes(old, a.address, new, b.address, a.size)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
    }
}

fn same_bytes(old: &Dataset<'_>, a: u64, new: &Dataset<'_>, b: u64, length: u64) -> Decoded<bool> {
    let place = |start: u64, at: u64| {
        let offset = start.checked_add(at);
        offset.ok_or_else(|| Problem::Malformed("an address is beyond every file".to_owned()))
    };
    let mut at = 0;
    while at < length {
        let n = BLOCK.min(length - at);
        if old.file.source.read(place(a, at)?, n)? != new.file.source.read(place(b, at)?, n)? {
            return Ok(false);
        }
        at += n;
    }
    Ok(true)
}
