//! Object headers: the messages of one object, with the blocks in which they continue.

use std::collections::HashSet;

use rust_hdf5::format::checksum::checksum_metadata;
use rust_hdf5::format::messages::continuation::ContinuationMessage;
use rust_hdf5::format::messages::{MSG_DATATYPE, MSG_FLAG_SHARED, MSG_NULL, MSG_OBJ_HEADER_CONTINUATION};
use rust_hdf5::format::object_header::{OCHK_SIGNATURE, OHDR_SIGNATURE, ObjectHeader, ObjectHeaderMessage};
use rust_hdf5::format::sohm::{SharedLocation, SharedMessagePointer};
use rust_hdf5::format::{FormatError, UNDEF_ADDR};

use super::file::File;
use super::{Decoded, format};
use crate::Problem;

/// Most headers fit into this many bytes; longer ones are read again in full.
const PROBE: u64 = 1024;
/// One header may not be longer than this, all its blocks taken together.
const MAX_BYTES: u64 = 16 << 20;

/// The messages of the object at `address`; a datatype that is stored elsewhere in the file is put in its place.
pub(super) fn read(file: &File, address: u64) -> Decoded<Vec<ObjectHeaderMessage>> {
    let mut messages = chain(file, address)?;
    for message in &mut messages {
        if message.msg_type == MSG_DATATYPE && message.flags & MSG_FLAG_SHARED != 0 {
            message.data = committed_datatype(file, &message.data)?;
            message.flags &= !MSG_FLAG_SHARED;
        }
    }
    Ok(messages)
}

fn committed_datatype(file: &File, pointer: &[u8]) -> Decoded<Vec<u8>> {
    let pointer = SharedMessagePointer::decode(pointer, &file.context).map_err(format)?;
    if !matches!(pointer.location, SharedLocation::Committed) {
        return Err(Problem::Unsupported { what: "a shared message table".to_owned() });
    }
    chain(file, pointer.oh_addr)?
        .into_iter()
        .find(|m| m.msg_type == MSG_DATATYPE && m.flags & MSG_FLAG_SHARED == 0)
        .map(|m| m.data)
        .ok_or_else(|| Problem::Malformed("a committed datatype holds no datatype".to_owned()))
}

fn chain(file: &File, address: u64) -> Decoded<Vec<ObjectHeaderMessage>> {
    let mut block = file.source.read_at_most(address, PROBE)?;
    if let Err(FormatError::BufferTooShort { needed, .. }) = ObjectHeader::decode_any(&block) {
        let needed = needed as u64;
        if needed > MAX_BYTES {
            return Err(too_long());
        }
        block = file.source.read(address, needed)?;
    }
    let version_2 = block.starts_with(&OHDR_SIGNATURE);
    let (header, _) = ObjectHeader::decode_any(&block).map_err(format)?;
    let creation_order = version_2 && header.flags & 0x04 != 0;

    let mut messages = header.messages;
    let mut total = block.len() as u64;
    let mut seen = HashSet::from([address]);
    let mut next = 0;
    while next < messages.len() {
        let message = &messages[next];
        next += 1;
        if message.msg_type != MSG_OBJ_HEADER_CONTINUATION {
            continue;
        }
        let (to, _) = ContinuationMessage::decode(&message.data, &file.context).map_err(format)?;
        if to.offset == UNDEF_ADDR || to.length == 0 {
            continue;
        }
        total = total.saturating_add(to.length);
        if total > MAX_BYTES {
            return Err(too_long());
        }
        if !seen.insert(to.offset) {
            return Err(Problem::Malformed("an object header continues in itself".to_owned()));
        }
        let block = file.source.read(to.offset, to.length)?;
        let body = if version_2 { checked_block(&block)? } else { &block[..] };
        parse(body, version_2, creation_order, &mut messages)?;
    }
    file.budget.walk(total)?;
    Ok(messages)
}

fn too_long() -> Problem {
    Problem::Malformed(format!("an object header is longer than {MAX_BYTES} bytes"))
}

/// What lies between the signature and the checksum of a version 2 block.
fn checked_block(block: &[u8]) -> Decoded<&[u8]> {
    let body_end = block.len().checked_sub(4).filter(|&end| end >= 4 && block.starts_with(&OCHK_SIGNATURE));
    let Some(end) = body_end else {
        return Err(Problem::Malformed("an object header continues in a block without signature".to_owned()));
    };
    let expected = u32::from_le_bytes([block[end], block[end + 1], block[end + 2], block[end + 3]]);
    let computed = checksum_metadata(&block[..end]);
    if expected != computed {
        return Err(format(FormatError::ChecksumMismatch { expected, computed }));
    }
    Ok(&block[4..end])
}

/// The messages of one continuation block; a remainder too short for a message is padding.
fn parse(
    block: &[u8],
    version_2: bool,
    creation_order: bool,
    out: &mut Vec<ObjectHeaderMessage>,
) -> Decoded<()> {
    let prefix = if !version_2 {
        8
    } else if creation_order {
        6
    } else {
        4
    };
    let mut at = 0;
    while at + prefix <= block.len() {
        let byte = |i: usize| block[at + i];
        let (msg_type, size, flags) = if version_2 {
            (u16::from(byte(0)), u16::from_le_bytes([byte(1), byte(2)]), byte(3))
        } else {
            (u16::from_le_bytes([byte(0), byte(1)]), u16::from_le_bytes([byte(2), byte(3)]), byte(4))
        };
        at += prefix;
        let end = at + usize::from(size);
        if end > block.len() {
            return Err(Problem::Malformed("a header message is longer than its block".to_owned()));
        }
        // Types above one byte do not exist; they are passed over like any unknown one.
        if let Ok(msg_type) = u8::try_from(msg_type)
            && msg_type != MSG_NULL
        {
            out.push(ObjectHeaderMessage {
                msg_type,
                flags,
                creation_index: 0,
                data: block[at..end].to_vec(),
            });
        }
        at = if version_2 { end } else { end.next_multiple_of(8) };
    }
    Ok(())
}
