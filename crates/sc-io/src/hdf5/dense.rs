//! Many links or attributes of one object: encoded in a heap, found through a tree of the hashes of their names.

use rust_hdf5::format::chunk_index::btree_v2::{Bt2Header, collect_btree_v2_records};
use rust_hdf5::format::fractal_heap::{FractalHeapHeader, HeapId, collect_managed_blocks, read_heap_object};

use super::file::File;
use super::{Decoded, format};
use crate::Problem;

/// The encoded messages of all records in the tree.
///
/// * `kind`: the kind of record that the tree must have.
/// * `id_at`: where in a record the place in the heap stands.
pub(super) fn messages(file: &File, heap: u64, tree: u64, kind: u8, id_at: usize) -> Decoded<Vec<Vec<u8>>> {
    let context = &file.context;
    let mut blocks = file.blocks();
    let heap = FractalHeapHeader::decode(&file.source.read_at_most(heap, 512)?, context).map_err(format)?;
    let managed = collect_managed_blocks(&heap, context, &mut blocks).map_err(format)?;
    let tree = Bt2Header::decode(&file.source.read_at_most(tree, 256)?, context).map_err(format)?;
    let id_length = usize::from(heap.id_len);
    let record_size = usize::from(tree.record_size);
    if tree.record_type != kind || record_size < id_at + id_length || id_length == 0 {
        return Err(Problem::Malformed("an index of names has records of another kind".to_owned()));
    }
    let records = collect_btree_v2_records(&tree, context, &mut blocks).map_err(format)?;
    let mut found = Vec::with_capacity(records.len() / record_size);
    for record in records.chunks_exact(record_size) {
        file.budget.count_objects(1)?;
        let id = HeapId::parse(&record[id_at..id_at + id_length], &heap, context).map_err(format)?;
        found.push(read_heap_object(&id, &heap, context, &managed, &mut blocks).map_err(format)?);
    }
    Ok(found)
}
