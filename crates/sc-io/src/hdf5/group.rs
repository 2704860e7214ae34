//! The members of a group: what they are called and where they are.

use std::collections::{BTreeMap, HashSet};

use rust_hdf5::format::UNDEF_ADDR;
use rust_hdf5::format::btree_v1::BTreeV1Node;
use rust_hdf5::format::chunk_index::btree_v2::BT2_TYPE_GRP_NAME;
use rust_hdf5::format::local_heap::{LocalHeapHeader, local_heap_get_string};
use rust_hdf5::format::messages::link::{LinkMessage, LinkTarget};
use rust_hdf5::format::messages::link_info::LinkInfoMessage;
use rust_hdf5::format::messages::{MSG_LINK, MSG_LINK_INFO, MSG_SYMBOL_TABLE};
use rust_hdf5::format::object_header::ObjectHeaderMessage;
use rust_hdf5::format::superblock::SymbolTableCache;
use rust_hdf5::format::symbol_table::SymbolTableNode;

use super::bytes::{Bytes, uint};
use super::file::File;
use super::{Decoded, dense, format};
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

/// Bytes of the hash of a name, in front of its place in the heap.
const HASH: usize = 4;

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
                    let (heap, tree) = (info.fractal_heap_address, info.name_btree_address);
                    for encoded in dense::messages(file, heap, tree, BT2_TYPE_GRP_NAME, HASH)? {
                        found.push(link(LinkMessage::decode(&encoded, &file.context).map_err(format)?.0));
                    }
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

/// The original kind of group: a tree of nodes of entries, with the names in a heap of their own.
fn symbol_table(file: &File, message: &[u8], out: &mut Vec<(String, Link)>) -> Decoded<()> {
    let (address_width, size_width): (usize, usize) =
        (file.context.sizeof_addr.into(), file.context.sizeof_size.into());
    let mut message = Bytes::new(message, "a symbol table message");
    let (tree, heap) = (address(message.take(address_width)?), address(message.take(address_width)?));
    if tree == UNDEF_ADDR || heap == UNDEF_ADDR {
        return Ok(());
    }
    let start = file.source.read_at_most(heap, 64)?;
    let heap = LocalHeapHeader::decode(&start, address_width, size_width).map_err(format)?;
    file.budget.walk(heap.data_size)?;
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

/// All ones, however wide, mean that there is none.
fn address(bytes: &[u8]) -> u64 {
    if bytes.iter().all(|&b| b == 0xff) { UNDEF_ADDR } else { uint(bytes) }
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
