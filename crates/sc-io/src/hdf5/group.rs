//! The members of a group: what they are called and where they are.

use std::collections::{BTreeMap, HashSet};

use rust_hdf5::format::UNDEF_ADDR;
use rust_hdf5::format::btree_v1::BTreeV1Node;
use rust_hdf5::format::chunk_index::btree_v2::{BT2_TYPE_GRP_NAME, Bt2Header, collect_btree_v2_records};
use rust_hdf5::format::fractal_heap::{FractalHeapHeader, HeapId, collect_managed_blocks, read_heap_object};
use rust_hdf5::format::local_heap::{LocalHeapHeader, local_heap_get_string};
use rust_hdf5::format::messages::link::{LinkMessage, LinkTarget};
use rust_hdf5::format::messages::link_info::LinkInfoMessage;
use rust_hdf5::format::messages::{MSG_LINK, MSG_LINK_INFO, MSG_SYMBOL_TABLE};
use rust_hdf5::format::object_header::ObjectHeaderMessage;
use rust_hdf5::format::superblock::SymbolTableCache;
use rust_hdf5::format::symbol_table::SymbolTableNode;

use super::file::File;
use super::source::Blocks;
use super::{Decoded, format};
use crate::Problem;

/// Where a name leads.
#[derive(Clone, Debug)]
pub(super) enum Link {
    /// An object of this file.
    Hard(u64),
    /// A path in this file.
    Soft(String),
    /// A path in another file.
    External { file: String, path: String },
    /// A kind of link that only its maker understands.
    Other(u8),
}

/// All members of the group with this header, by name.
pub(super) fn links(file: &File, messages: &[ObjectHeaderMessage]) -> Decoded<BTreeMap<String, Link>> {
    let mut found = Vec::new();
    for message in messages {
        match message.msg_type {
            MSG_LINK => {
                found.push(link(LinkMessage::decode(&message.data, &file.context).map_err(format)?.0))
            }
            MSG_LINK_INFO => {
                let (info, _) = LinkInfoMessage::decode(&message.data, &file.context).map_err(format)?;
                if info.is_dense() {
                    dense(file, &info, &mut found)?;
                }
            }
            MSG_SYMBOL_TABLE => symbol_table(file, &message.data, &mut found)?,
            _ => {}
        }
    }
    file.budget.count_objects(found.len())?;
    let mut links = BTreeMap::new();
    for (name, target) in found {
        if name.is_empty() || name.contains('/') || name == "." {
            return Err(Problem::Malformed(format!("a member has the name {name:?}")));
        }
        if links.insert(name.clone(), target).is_some() {
            return Err(Problem::Malformed(format!("two members have the name {name:?}")));
        }
    }
    Ok(links)
}

fn link(message: LinkMessage) -> (String, Link) {
    let target = match message.target {
        LinkTarget::Hard { address } => Link::Hard(address),
        LinkTarget::Soft { target } => Link::Soft(target),
        LinkTarget::External { file, path } => Link::External { file, path },
        LinkTarget::UserDefined { link_type, .. } => Link::Other(link_type),
    };
    (message.name, target)
}

/// Many links: encoded in a heap, found through a tree of the hashes of their names.
fn dense(file: &File, info: &LinkInfoMessage, out: &mut Vec<(String, Link)>) -> Decoded<()> {
    let context = &file.context;
    let mut blocks = Blocks(&file.source);
    let start = file.source.read_at_most(info.fractal_heap_address, 512)?;
    let heap = FractalHeapHeader::decode(&start, context).map_err(format)?;
    let managed = collect_managed_blocks(&heap, context, &mut blocks).map_err(format)?;
    let start = file.source.read_at_most(info.name_btree_address, 256)?;
    let tree = Bt2Header::decode(&start, context).map_err(format)?;
    let id_length = usize::from(heap.id_len);
    let record = usize::from(tree.record_size);
    if tree.record_type != BT2_TYPE_GRP_NAME || record < 4 + id_length || id_length == 0 {
        return Err(Problem::Malformed("a group's index of names has records of another kind".to_owned()));
    }
    let records = collect_btree_v2_records(&tree, context, &mut blocks).map_err(format)?;
    for record in records.chunks_exact(record) {
        file.budget.count_objects(1)?;
        let id = HeapId::parse(&record[4..4 + id_length], &heap, context).map_err(format)?;
        let encoded = read_heap_object(&id, &heap, context, &managed, &mut blocks).map_err(format)?;
        out.push(link(LinkMessage::decode(&encoded, context).map_err(format)?.0));
    }
    Ok(())
}

/// The original kind of group: a tree of nodes of entries, with the names in a heap of their own.
fn symbol_table(file: &File, message: &[u8], out: &mut Vec<(String, Link)>) -> Decoded<()> {
    let (address_width, size_width) = (file.context.sizeof_addr.into(), file.context.sizeof_size.into());
    let Some((tree, heap)) = two_addresses(message, address_width) else {
        return Err(Problem::Malformed("a symbol table message is too short".to_owned()));
    };
    if tree == UNDEF_ADDR || heap == UNDEF_ADDR {
        return Ok(());
    }
    let start = file.source.read_at_most(heap, 64)?;
    let heap = LocalHeapHeader::decode(&start, address_width, size_width).map_err(format)?;
    let names = file.source.read(heap.data_addr, heap.data_size)?;

    let node_size = file.btree.symbol_table_node_size(address_width, size_width) as u64;
    for node in leaves(file, tree)? {
        let bytes = file.source.read_at_most(node, node_size)?;
        let node =
            SymbolTableNode::decode(&bytes, address_width, size_width, file.btree.sym_leaf_max_entries())
                .map_err(format)?;
        file.budget.count_objects(node.entries.len())?;
        for entry in node.entries {
            let name = local_heap_get_string(&names, entry.name_offset).map_err(format)?;
            let target = match entry.cache {
                SymbolTableCache::SoftLink { value_offset } => {
                    Link::Soft(local_heap_get_string(&names, value_offset.into()).map_err(format)?)
                }
                _ => Link::Hard(entry.obj_header_addr),
            };
            out.push((name, target));
        }
    }
    Ok(())
}

fn two_addresses(bytes: &[u8], width: usize) -> Option<(u64, u64)> {
    let read = |part: &[u8]| {
        let value = part.iter().rev().fold(0u64, |value, &b| value << 8 | u64::from(b));
        // All ones, however wide, means undefined.
        if part.iter().all(|&b| b == 0xff) { UNDEF_ADDR } else { value }
    };
    Some((read(bytes.get(..width)?), read(bytes.get(width..2 * width)?)))
}

/// The nodes of entries below a tree of the old kind, in order.
fn leaves(file: &File, root: u64) -> Decoded<Vec<u64>> {
    let (address_width, size_width) = (file.context.sizeof_addr.into(), file.context.sizeof_size.into());
    let node_size = file.btree.snode_btree_node_size(address_width, size_width) as u64;
    let mut leaves = Vec::new();
    let mut seen = HashSet::new();
    let mut pending = vec![root];
    while let Some(address) = pending.pop() {
        if !seen.insert(address) {
            return Err(Problem::Malformed("a group's B-tree contains itself".to_owned()));
        }
        file.budget.count_objects(1)?;
        let bytes = file.source.read_at_most(address, node_size)?;
        let node = BTreeV1Node::decode(&bytes, address_width, size_width, file.btree.snode_max_entries())
            .map_err(format)?;
        if node.level == 0 {
            leaves.extend(node.children);
        } else {
            // A stack gives back the last first.
            pending.extend(node.children.into_iter().rev());
        }
    }
    let mut unique = HashSet::new();
    if !leaves.iter().all(|leaf| unique.insert(*leaf)) {
        return Err(Problem::Malformed("a group's B-tree names a node twice".to_owned()));
    }
    Ok(leaves)
}
