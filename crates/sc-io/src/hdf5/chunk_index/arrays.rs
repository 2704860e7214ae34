//! Chunk indexes that are arrays: the number of a chunk is its position.

use rust_hdf5::format::UNDEF_ADDR;
use rust_hdf5::format::chunk_index::extensible_array::{
    EA_CLS_FILT_CHUNK, EaGeometry, ExtensibleArrayHeader, ExtensibleArrayIndexBlock,
    ExtensibleArraySuperBlock, FilteredChunkEntry, FilteredIndexBlock,
};
use rust_hdf5::format::chunk_index::fixed_array::{
    FA_CLIENT_FILT_CHUNK, FixedArrayDataBlock, FixedArrayHeader, FixedArrayPagedPrefix, decode_filtered_page,
    decode_unfiltered_page,
};
use rust_hdf5::format::messages::data_layout::{DataLayoutMessage, EarrayParams};

use super::super::bytes::uint;
use super::super::dataset::Dataset;
use super::super::file::File;
use super::super::{Decoded, format};
use super::{Chunk, Grid};
use crate::Problem;

/// Address, stored bytes and skipped filters of one chunk.
type Entry = (u64, u64, u32);
const ABSENT: Entry = (UNDEF_ADDR, 0, 0);

fn numbered(grid: &Grid, entries: impl IntoIterator<Item = Entry>) -> Vec<Chunk> {
    let entries = entries.into_iter().take(usize::try_from(grid.total).unwrap_or(usize::MAX)).enumerate();
    entries
        .filter(|(_, entry)| entry.0 != UNDEF_ADDR)
        .map(|(number, (address, size, skipped_filters))| Chunk {
            place: grid.place(number as u64),
            address,
            size,
            skipped_filters,
        })
        .collect()
}

/// All chunks lie behind one another.
pub(super) fn implicit(dataset: &Dataset<'_>, grid: &Grid, address: u64) -> Decoded<Vec<Chunk>> {
    let stored = grid.total.saturating_mul(grid.bytes);
    if stored > dataset.file.source.length() {
        return Err(Problem::Outside { offset: address, length: stored, end: dataset.file.source.length() });
    }
    Ok(numbered(grid, (0..grid.total).map(|n| (address.saturating_add(n * grid.bytes), grid.bytes, 0))))
}

/// One block, or pages of it, for datasets of fixed size.
pub(super) fn fixed(dataset: &Dataset<'_>, grid: &Grid, address: u64) -> Decoded<Vec<Chunk>> {
    let file = dataset.file;
    let context = &file.context;
    let header =
        FixedArrayHeader::decode(&file.source.read_at_most(address, 256)?, context).map_err(format)?;
    if header.data_blk_addr == UNDEF_ADDR {
        return Ok(Vec::new());
    }
    let filtered = header.client_id == FA_CLIENT_FILT_CHUNK;
    let entry_size = usize::from(header.element_size);
    let address_width = usize::from(context.sizeof_addr);
    let size_width = if filtered { size_width(entry_size, address_width)? } else { 0 };
    if !filtered && entry_size != address_width {
        return Err(Problem::Malformed("its chunk index has entries of an unknown size".to_owned()));
    }
    let n = count(file, header.num_elmts, entry_size)?;

    let mut entries: Vec<Entry> = Vec::with_capacity(n);
    if !header.is_paged() {
        let bytes =
            file.source.read_at_most(header.data_blk_addr, (10 + address_width + n * entry_size) as u64)?;
        if filtered {
            let block =
                FixedArrayDataBlock::decode_filtered(&bytes, context, n, size_width).map_err(format)?;
            entries.extend(block.filtered_elements.iter().map(|e| (e.address, e.chunk_size, e.filter_mask)));
        } else {
            let block = FixedArrayDataBlock::decode_unfiltered(&bytes, context, n).map_err(format)?;
            entries.extend(block.elements.iter().map(|&address| (address, grid.bytes, 0)));
        }
        return Ok(numbered(grid, entries));
    }

    let per_page = header.dblk_page_nelmts() as usize;
    let pages = n.div_ceil(per_page);
    let prefix =
        file.source.read_at_most(header.data_blk_addr, (10 + address_width + pages.div_ceil(8)) as u64)?;
    let prefix = FixedArrayPagedPrefix::decode(&prefix, context, pages as u64).map_err(format)?;
    let mut at = header.data_blk_addr.saturating_add(prefix.prefix_size as u64);
    for page in 0..pages {
        let here = per_page.min(n - page * per_page);
        let size = (here * entry_size + 4) as u64;
        if !prefix.page_initialized(page) {
            entries.extend(std::iter::repeat_n(ABSENT, here));
        } else {
            let bytes = file.source.read(at, size)?;
            if filtered {
                let page = decode_filtered_page(&bytes, context, here, size_width).map_err(format)?;
                entries.extend(page.iter().map(|e| (e.address, e.chunk_size, e.filter_mask)));
            } else {
                let page = decode_unfiltered_page(&bytes, context, here).map_err(format)?;
                entries.extend(page.iter().map(|&address| (address, grid.bytes, 0)));
            }
        }
        at = at.saturating_add(size);
    }
    Ok(numbered(grid, entries))
}

/// Bytes of the size of a chunk in an entry of address, size and filter mask.
fn size_width(entry_size: usize, address_width: usize) -> Decoded<usize> {
    entry_size
        .checked_sub(address_width + 4)
        .filter(|width| (1..=8).contains(width))
        .ok_or_else(|| Problem::Malformed("its chunk index has entries of an unknown size".to_owned()))
}

/// The number of entries, which must all be in the file.
fn count(file: &File, declared: u64, entry_size: usize) -> Decoded<usize> {
    let fits = declared.checked_mul(entry_size as u64).is_some_and(|bytes| bytes <= file.source.length());
    usize::try_from(declared)
        .ok()
        .filter(|_| fits)
        .ok_or_else(|| Problem::Malformed(format!("its chunk index declares {declared} entries")))
}

/// Blocks that double in size, for datasets that may grow along one axis.
pub(super) fn extensible(dataset: &Dataset<'_>, grid: &Grid, address: u64) -> Decoded<Vec<Chunk>> {
    let DataLayoutMessage::ChunkedV4 { earray_params: Some(params), .. } = &dataset.layout else {
        return Err(Problem::Malformed("its chunk index has no parameters".to_owned()));
    };
    let file = dataset.file;
    let header = ExtensibleArrayHeader::decode(&file.source.read_at_most(address, 256)?, &file.context)
        .map_err(format)?;
    if header.idx_blk_addr == UNDEF_ADDR {
        return Ok(Vec::new());
    }
    let address_width = usize::from(file.context.sizeof_addr);
    let entry_size = usize::from(header.raw_elmt_size);
    let size_width = match header.class_id == EA_CLS_FILT_CHUNK {
        true => Some(size_width(entry_size, address_width)?),
        false if entry_size == address_width => None,
        false => return Err(Problem::Malformed("its chunk index has entries of an unknown size".to_owned())),
    };
    let wanted = count(file, grid.total, 0)?;
    Extensible { file, params, grid, size_width, entry_size, wanted }.read(header.idx_blk_addr)
}

struct Extensible<'a> {
    file: &'a File,
    params: &'a EarrayParams,
    grid: &'a Grid,
    /// Bytes of the size of a chunk, for chunks that went through filters.
    size_width: Option<usize>,
    entry_size: usize,
    /// Number of chunks of the grid: entries behind them do not matter.
    wanted: usize,
}

impl Extensible<'_> {
    fn read(&self, index_block: u64) -> Decoded<Vec<Chunk>> {
        let p = self.params;
        let geometry = EaGeometry::new(
            p.idx_blk_elmts,
            p.data_blk_min_elmts,
            p.sup_blk_min_data_ptrs,
            p.max_nelmts_bits,
            p.max_dblk_page_nelmts_bits,
        )
        .map_err(format)?;
        let (mut entries, blocks, super_blocks) = self.index_block(index_block, &geometry)?;

        for (u, layout) in geometry.sblk.iter().enumerate() {
            if entries.len() >= self.wanted {
                break;
            }
            let n_blocks = self.limited(layout.ndblks)?;
            let (addresses, initialised) = if u < geometry.iblock_nsblks {
                let start = layout.start_dblk as usize;
                let addresses =
                    (start..start + n_blocks).map(|i| blocks.get(i).copied().unwrap_or(UNDEF_ADDR));
                (addresses.collect(), Vec::new())
            } else {
                let address = super_blocks.get(u - geometry.iblock_nsblks).copied().unwrap_or(UNDEF_ADDR);
                self.super_block(address, &geometry, u, n_blocks)?
            };
            let per_block = self.limited(layout.dblk_nelmts)?;
            for (block, address) in addresses.into_iter().enumerate() {
                if entries.len() >= self.wanted {
                    break;
                }
                if address == UNDEF_ADDR {
                    let room = self.wanted - entries.len();
                    entries.extend(std::iter::repeat_n(ABSENT, per_block.min(room)));
                } else if geometry.is_sblk_paged(u) {
                    self.paged_block(address, &geometry, u, block, &initialised, &mut entries)?;
                } else {
                    // The entries lie between the prefix and a checksum.
                    let prefix =
                        geometry.dblk_prefix_size(self.file.context.sizeof_addr, p.max_nelmts_bits) - 4;
                    let at = address.saturating_add(prefix as u64);
                    self.entries(at, per_block, &mut entries)?;
                }
            }
        }
        Ok(numbered(self.grid, entries))
    }

    /// A number of blocks or entries, which cannot exceed the bytes of the file.
    fn limited(&self, declared: u64) -> Decoded<usize> {
        count(self.file, declared, 1)
    }

    fn index_block(&self, address: u64, geometry: &EaGeometry) -> Decoded<(Vec<Entry>, Vec<u64>, Vec<u64>)> {
        let context = &self.file.context;
        let bytes = self.file.source.read_at_most(address, 1 << 16)?;
        let (direct, blocks, super_blocks) =
            (usize::from(self.params.idx_blk_elmts), geometry.ndblk_addrs, geometry.nsblk_addrs);
        match self.size_width {
            Some(width) => {
                let block =
                    FilteredIndexBlock::decode(&bytes, context, direct, blocks, super_blocks, width as u8)
                        .map_err(format)?;
                let entries = block.elements.iter().map(|e| (e.addr, e.nbytes, e.filter_mask)).collect();
                Ok((entries, block.dblk_addrs, block.sblk_addrs))
            }
            None => {
                let block = ExtensibleArrayIndexBlock::decode(&bytes, context, direct, blocks, super_blocks)
                    .map_err(format)?;
                let entries = block.elements.iter().map(|&address| (address, self.grid.bytes, 0)).collect();
                Ok((entries, block.dblk_addrs, block.sblk_addrs))
            }
        }
    }

    fn super_block(
        &self,
        address: u64,
        geometry: &EaGeometry,
        u: usize,
        n: usize,
    ) -> Decoded<(Vec<u64>, Vec<u8>)> {
        if address == UNDEF_ADDR {
            return Ok((vec![UNDEF_ADDR; n], Vec::new()));
        }
        let bitmap =
            if geometry.is_sblk_paged(u) { n.saturating_mul(geometry.dblk_page_init_size(u)) } else { 0 };
        let width = usize::from(self.file.context.sizeof_addr);
        let size = bitmap.saturating_add(n.saturating_mul(width)).saturating_add(18 + width);
        let bytes = self.file.source.read_at_most(address, size as u64)?;
        let block = ExtensibleArraySuperBlock::decode(
            &bytes,
            &self.file.context,
            self.params.max_nelmts_bits,
            n,
            bitmap,
        )
        .map_err(format)?;
        Ok((block.dblk_addrs, block.page_init))
    }

    fn paged_block(
        &self,
        address: u64,
        geometry: &EaGeometry,
        u: usize,
        block: usize,
        initialised: &[u8],
        out: &mut Vec<Entry>,
    ) -> Decoded<()> {
        let pages = self.limited(geometry.npages(u))?;
        let per_page = self.limited(geometry.dblk_page_nelmts)?;
        let prefix = geometry.dblk_prefix_size(self.file.context.sizeof_addr, self.params.max_nelmts_bits);
        let page_size = geometry.dblk_page_size(self.entry_size) as u64;
        for page in 0..pages {
            if out.len() >= self.wanted {
                break;
            }
            let bit = block * pages + page;
            let present = initialised.get(bit / 8).is_some_and(|byte| byte & (0x80 >> (bit % 8)) != 0);
            if present {
                let at = address.saturating_add(prefix as u64).saturating_add(page as u64 * page_size);
                self.entries(at, per_page, out)?;
            } else {
                let room = self.wanted - out.len();
                out.extend(std::iter::repeat_n(ABSENT, per_page.min(room)));
            }
        }
        Ok(())
    }

    /// `n` entries that lie behind one another.
    fn entries(&self, at: u64, n: usize, out: &mut Vec<Entry>) -> Decoded<()> {
        let width = usize::from(self.file.context.sizeof_addr);
        let bytes = self.file.source.read(at, (n as u64).saturating_mul(self.entry_size as u64))?;
        for entry in bytes.chunks_exact(self.entry_size) {
            out.push(match self.size_width {
                Some(size_width) => {
                    let e = FilteredChunkEntry::decode(entry, width, size_width);
                    (e.addr, e.nbytes, e.filter_mask)
                }
                None => {
                    let address = uint(entry);
                    let undefined = entry.iter().all(|&b| b == 0xff);
                    (if undefined { UNDEF_ADDR } else { address }, self.grid.bytes, 0)
                }
            });
        }
        Ok(())
    }
}
