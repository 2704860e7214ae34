//! Byte code of functions, read past.

use super::error::Damage;
use super::source::Parsed;
use super::stream::{MAX_DEPTH, Reader, code};

/// The byte code of a function, after its flags: how many shared parts there are, and the code.
pub(super) fn skip(reader: &mut Reader<'_>, depth: usize) -> Parsed<()> {
    let _shared = reader.source.int()?;
    body(reader, depth)
}

fn body(reader: &mut Reader<'_>, depth: usize) -> Parsed<()> {
    let depth = depth.checked_sub(1).ok_or(Damage::TooDeep { limit: MAX_DEPTH })?;
    reader.item(depth)?;
    for _ in 0..reader.source.length()? {
        match reader.source.int()? as u32 {
            code::BYTE_CODE => body(reader, depth)?,
            kind if is_language(kind) => language(reader, kind, depth)?,
            _ => drop(reader.item(depth)?),
        }
    }
    Ok(())
}

fn is_language(kind: u32) -> bool {
    matches!(
        kind,
        code::LANGUAGE
            | code::PAIRS
            | code::BYTE_CODE_REFERENCE
            | code::BYTE_CODE_DEFINITION
            | code::ATTRIBUTE_LANGUAGE
            | code::ATTRIBUTE_PAIRS
    )
}

/// A call among the constants: pairs with a type in front of each part, of which some refer to earlier ones.
fn language(reader: &mut Reader<'_>, mut kind: u32, depth: usize) -> Parsed<()> {
    let depth = depth.checked_sub(1).ok_or(Damage::TooDeep { limit: MAX_DEPTH })?;
    loop {
        reader.source.charge(8)?;
        if kind == code::BYTE_CODE_REFERENCE {
            return reader.source.int().map(drop);
        }
        if kind == code::BYTE_CODE_DEFINITION {
            let _place = reader.source.int()?;
            kind = reader.source.int()? as u32;
        }
        match kind {
            code::ATTRIBUTE_LANGUAGE | code::ATTRIBUTE_PAIRS => drop(reader.item(depth)?),
            code::LANGUAGE | code::PAIRS => {}
            _ => return reader.item(depth).map(drop),
        }
        let _tag = reader.item(depth)?;
        let first = reader.source.int()? as u32;
        language(reader, first, depth)?;
        kind = reader.source.int()? as u32;
    }
}
