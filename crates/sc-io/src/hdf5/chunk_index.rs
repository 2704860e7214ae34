//! Where the chunks of a dataset are: the six kinds of index that HDF5 has had.

use std::collections::HashSet;

use rust_hdf5::format::UNDEF_ADDR;
use rust_hdf5::format::btree_v1::ChunkBTreeV1Node;
use rust_hdf5::format::chunk_index::btree_v2::{
    BT2_TYPE_CHUNK_FILT, BT2_TYPE_CHUNK_UNFILT, Bt2ChunkIndex, Bt2Header, collect_btree_v2_records,
};
use rust_hdf5::format::messages::data_layout::{ChunkIndexType, DataLayoutMessage};

use super::dataset::Dataset;
use super::{Decoded, format};
use crate::Problem;

mod arrays;
mod kept;

use kept::Kept;

/// One stored chunk.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    /// Its place in the grid of chunks, one number an axis.
    pub(super) place: Vec<u64>,
    pub(super) address: u64,
    /// Bytes stored, after the filters.
    pub(super) size: u64,
    /// Filters that were not applied to it, one bit each.
    pub(super) skipped_filters: u32,
}

/// The grid of chunks over a dataset.
#[derive(Debug)]
pub(super) struct Grid {
    /// Values along each axis of a chunk.
    pub(super) chunk: Vec<u64>,
    /// Chunks along each axis of the dataset.
    pub(super) counts: Vec<u64>,
    /// Bytes of a chunk before the filters.
    pub(super) bytes: u64,
    total: u64,
}

impl Grid {
    fn new(dims: &[u64], layout_chunk: &[u64], element_size: usize) -> Decoded<Self> {
        // The last number of the layout is the size of a value.
        let (_, chunk) = layout_chunk.split_last().unwrap_or((&0, &[]));
        if chunk.len() != dims.len() || chunk.contains(&0) || dims.is_empty() {
            return Err(Problem::Malformed(format!(
                "chunks of shape {chunk:?} do not fit the shape {dims:?}"
            )));
        }
        let counts: Vec<u64> = dims.iter().zip(chunk).map(|(&d, &c)| d.div_ceil(c)).collect();
        let bytes = chunk.iter().try_fold(element_size as u64, |n, &c| n.checked_mul(c));
        let total = counts.iter().try_fold(1u64, |n, &c| n.checked_mul(c));
        match (bytes, total) {
            // A chunk's size has 32 bits in the file.
            (Some(bytes), Some(total)) if bytes <= u64::from(u32::MAX) => {
                Ok(Self { chunk: chunk.to_vec(), counts, bytes, total })
            }
            _ => Err(Problem::Malformed(format!("chunks of shape {chunk:?} are too large"))),
        }
    }

    /// Number of chunks, stored or not.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The place of the chunk with this number, last axis fastest.
    fn place(&self, mut number: u64) -> Vec<u64> {
        let mut place = vec![0; self.counts.len()];
        for (slot, &count) in place.iter_mut().zip(&self.counts).rev() {
            *slot = number % count;
            number /= count;
        }
        place
    }
}

/// The chunks of a dataset, looked up once.
#[derive(Debug)]
pub(super) struct ChunkIndex {
    pub(super) grid: Grid,
    /// Those that are stored, in the order of their places, each at most once and inside the file.
    pub(super) chunks: Vec<Chunk>,
    /// Inflated chunks of which a part was read.
    pub(super) kept: Kept,
}

impl ChunkIndex {
    /// Reads the index of a chunked dataset and checks every chunk against the length of the file.
    pub(super) fn read(dataset: &Dataset<'_>) -> Decoded<Self> {
        let (grid, chunks) = read(dataset)?;
        let source = &dataset.file.source;
        for chunk in &chunks {
            if dataset.filters.is_none() && chunk.size != grid.bytes {
                let why = format!(
                    "the chunk at {:?} has {} bytes, expected {}",
                    chunk.place, chunk.size, grid.bytes
                );
                return Err(Problem::Malformed(why));
            }
            let outside =
                Problem::Outside { offset: chunk.address, length: chunk.size, end: source.length() };
            let end = chunk.address.checked_add(chunk.size).ok_or(outside)?;
            source.read_at_most(end, 0)?;
        }
        Ok(Self { grid, chunks, kept: Kept::default() })
    }
}

fn read(dataset: &Dataset<'_>) -> Decoded<(Grid, Vec<Chunk>)> {
    let (grid, mut chunks) = match &dataset.layout {
        DataLayoutMessage::ChunkedV3 { chunk_dims, b_tree_address } => {
            let grid = Grid::new(&dataset.dims, chunk_dims, dataset.element_size)?;
            let chunks = btree_v1(dataset, &grid, *b_tree_address)?;
            (grid, chunks)
        }
        DataLayoutMessage::ChunkedV4 {
            chunk_dims, index_type, index_address, single_chunk_filter, ..
        } => {
            let grid = Grid::new(&dataset.dims, chunk_dims, dataset.element_size)?;
            let chunks = match index_type {
                _ if *index_address == UNDEF_ADDR || grid.total == 0 => Vec::new(),
                ChunkIndexType::SingleChunk => {
                    let (size, skipped_filters) =
                        single_chunk_filter.map_or((grid.bytes, 0), |f| (f.nbytes, f.filter_mask));
                    vec![Chunk {
                        place: vec![0; grid.counts.len()],
                        address: *index_address,
                        size,
                        skipped_filters,
                    }]
                }
                ChunkIndexType::Implicit => arrays::implicit(dataset, &grid, *index_address)?,
                ChunkIndexType::FixedArray => arrays::fixed(dataset, &grid, *index_address)?,
                ChunkIndexType::ExtensibleArray => arrays::extensible(dataset, &grid, *index_address)?,
                ChunkIndexType::BTreeV2 => btree_v2(dataset, &grid, *index_address)?,
            };
            (grid, chunks)
        }
        other => return Err(Problem::Malformed(format!("a {} layout has no chunks", other.describe()))),
    };
    chunks.retain(|c| c.address != UNDEF_ADDR && c.place.iter().zip(&grid.counts).all(|(p, n)| p < n));
    chunks.sort_by(|a, b| a.place.cmp(&b.place));
    if let Some(pair) = chunks.windows(2).find(|pair| pair[0].place == pair[1].place) {
        return Err(Problem::Malformed(format!("the chunk at {:?} is stored twice", pair[0].place)));
    }
    Ok((grid, chunks))
}

/// The original index: a tree whose keys are the first values of the chunks.
fn btree_v1(dataset: &Dataset<'_>, grid: &Grid, root: u64) -> Decoded<Vec<Chunk>> {
    let file = dataset.file;
    let rank = grid.counts.len();
    let width = usize::from(file.context.sizeof_addr);
    let node_size = file.btree.chunk_btree_node_size(width, rank) as u64;
    let mut chunks = Vec::new();
    let mut seen = HashSet::new();
    let mut pending = if root == UNDEF_ADDR { Vec::new() } else { vec![root] };
    while let Some(address) = pending.pop() {
        if !seen.insert(address) {
            return Err(Problem::Malformed("its chunk index contains itself".to_owned()));
        }
        let bytes = file.source.read_at_most(address, node_size)?;
        let node =
            ChunkBTreeV1Node::decode(&bytes, width, rank, file.btree.chunk_max_entries()).map_err(format)?;
        if node.level > 0 {
            pending.extend(node.children);
            continue;
        }
        for (key, address) in node.keys.iter().zip(node.children) {
            let place = key.offsets[..rank].iter().zip(&grid.chunk).map(|(&offset, &c)| offset / c).collect();
            let (size, skipped_filters) = (key.chunk_size.into(), key.filter_mask);
            chunks.push(Chunk { place, address, size, skipped_filters });
        }
        if chunks.len() as u64 > grid.total.saturating_mul(2).saturating_add(64) {
            return Err(Problem::Malformed("its chunk index has more chunks than the grid".to_owned()));
        }
    }
    Ok(chunks)
}

/// The later tree, for datasets that may grow along several axes.
fn btree_v2(dataset: &Dataset<'_>, grid: &Grid, address: u64) -> Decoded<Vec<Chunk>> {
    let file = dataset.file;
    let context = &file.context;
    let start = file.source.read_at_most(address, 256)?;
    let header = Bt2Header::decode(&start, context).map_err(format)?;
    if header.root_node_addr == UNDEF_ADDR || header.total_num_records == 0 {
        return Ok(Vec::new());
    }
    let records = collect_btree_v2_records(&header, context, &mut file.blocks()).map_err(format)?;
    let count = records.len().checked_div(usize::from(header.record_size)).unwrap_or(0);
    let rank = grid.counts.len();
    match header.record_type {
        BT2_TYPE_CHUNK_UNFILT => Ok(Bt2ChunkIndex::decode_unfiltered_records(&records, count, rank, context)
            .map_err(format)?
            .into_iter()
            .map(|r| Chunk {
                place: r.scaled_offsets,
                address: r.chunk_address,
                size: grid.bytes,
                skipped_filters: 0,
            })
            .collect()),
        BT2_TYPE_CHUNK_FILT => {
            let size = header.record_size;
            Ok(Bt2ChunkIndex::decode_filtered_records(&records, count, rank, size, context)
                .map_err(format)?
                .into_iter()
                .map(|r| Chunk {
                    place: r.scaled_offsets,
                    address: r.chunk_address,
                    size: r.chunk_size,
                    skipped_filters: r.filter_mask,
                })
                .collect())
        }
        other => Err(Problem::Malformed(format!("its chunk index has records of kind {other}"))),
    }
}
