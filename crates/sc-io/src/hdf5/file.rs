//! Opening a file: where HDF5 starts in it, how wide its addresses are, where its root is.

use std::borrow::Cow;
use std::path::Path;

use rust_hdf5::format::FormatContext;
use rust_hdf5::format::UNDEF_ADDR;
use rust_hdf5::format::btree_v1::BTreeV1Config;
use rust_hdf5::format::messages::MSG_BTREE_K;
use rust_hdf5::format::messages::superblock_ext::BtreeKMessage;
use rust_hdf5::format::superblock::{
    HDF5_SIGNATURE, SuperblockV0V1, SuperblockV2V3, detect_superblock_version,
};

use super::budget::{Budget, Limits};
use super::object::{Fault, Object};
use super::source::{Blocks, Source};
use super::strings::Heaps;
use super::{Decoded, format, header};
use crate::Problem;

/// A file that was opened for reading.
#[derive(Debug)]
pub(crate) struct File {
    pub(super) source: Source,
    pub(super) context: FormatContext,
    pub(super) btree: BTreeV1Config,
    pub(super) budget: Budget,
    pub(super) heaps: Heaps,
    root: u64,
}

/// Why a file cannot be opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The operating system says no.
    Io(std::io::Error),
    /// It does not start as an HDF5 file does.
    NotHdf5(Vec<u8>),
    /// It has fewer bytes than it says.
    Truncated { declared: u64, found: u64 },
    /// Its first structures are damaged.
    Damaged(Problem),
}

impl From<Problem> for OpenError {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Io(e) => Self::Io(e),
            other => Self::Damaged(other),
        }
    }
}

impl File {
    /// Opens a file on disk; anything but a regular file is refused, since reading a pipe or a device may never end.
    pub(crate) fn open(path: &Path, limits: Limits) -> Result<Self, OpenError> {
        let file = std::fs::File::open(path).map_err(OpenError::Io)?;
        if !file.metadata().map_err(OpenError::Io)?.is_file() {
            let why = "not a regular file";
            return Err(OpenError::Io(std::io::Error::new(std::io::ErrorKind::InvalidInput, why)));
        }
        Self::new(Source::file(file).map_err(OpenError::Io)?, limits)
    }

    /// Opens a file that is in memory already.
    pub(crate) fn from_bytes(
        bytes: impl Into<Cow<'static, [u8]>>,
        limits: Limits,
    ) -> Result<Self, OpenError> {
        Self::new(Source::memory(bytes.into()), limits)
    }

    fn new(mut source: Source, limits: Limits) -> Result<Self, OpenError> {
        let length = source.length();
        let Some(base) = find_signature(&source)? else {
            return Err(OpenError::NotHdf5(source.read_at_most(0, 16)?));
        };
        source.set_base(base);
        let start = source.read_at_most(0, 1024)?;
        let superblock = Superblock::decode(&start)?;
        // The end is counted from the start of the file, whatever stands in front of the HDF5 part.
        if superblock.end > length {
            return Err(OpenError::Truncated { declared: superblock.end, found: length });
        }
        let mut file = Self {
            source,
            context: superblock.context,
            btree: superblock.btree,
            budget: Budget::new(limits, length),
            heaps: Heaps::default(),
            root: superblock.root,
        };
        if superblock.extension != UNDEF_ADDR && superblock.extension != 0 {
            file.read_extension(superblock.extension)?;
        }
        Ok(file)
    }

    /// The extension of the superblock may widen the nodes of the old kind of B-tree.
    fn read_extension(&mut self, address: u64) -> Decoded<()> {
        for message in header::read(self, address)?.iter().filter(|m| m.msg_type == MSG_BTREE_K) {
            let k = BtreeKMessage::decode(&message.data).map_err(format)?;
            self.btree.sym_leaf_k = k.sym_leaf_k;
            self.btree.snode_internal_k = k.snode_internal_k;
            self.btree.chunk_internal_k = k.chunk_internal_k;
        }
        Ok(())
    }

    /// The file, for the decoders that walk a heap or a tree.
    pub(super) fn blocks(&self) -> Blocks<'_> {
        Blocks { source: &self.source, budget: &self.budget }
    }

    /// The outermost group.
    pub(crate) fn root(&self) -> Result<Object<'_>, Fault> {
        Object::root(self, self.root)
    }
}

struct Superblock {
    context: FormatContext,
    btree: BTreeV1Config,
    root: u64,
    end: u64,
    extension: u64,
}

impl Superblock {
    fn decode(start: &[u8]) -> Decoded<Self> {
        let version = detect_superblock_version(start).map_err(format)?;
        let decoded = match version {
            0 | 1 => {
                let s = SuperblockV0V1::decode(start).map_err(format)?;
                let default = BTreeV1Config::default();
                Self {
                    context: FormatContext { sizeof_addr: s.sizeof_offsets, sizeof_size: s.sizeof_lengths },
                    btree: BTreeV1Config {
                        sym_leaf_k: s.sym_leaf_k,
                        snode_internal_k: s.btree_internal_k,
                        chunk_internal_k: s.indexed_storage_k.unwrap_or(default.chunk_internal_k),
                    },
                    root: s.root_symbol_table_entry.obj_header_addr,
                    end: s.end_of_file_address,
                    extension: s.superblock_extension_address,
                }
            }
            2 | 3 => {
                let s = SuperblockV2V3::decode(start).map_err(format)?;
                Self {
                    context: FormatContext { sizeof_addr: s.sizeof_offsets, sizeof_size: s.sizeof_lengths },
                    btree: BTreeV1Config::default(),
                    root: s.root_group_object_header_address,
                    end: s.end_of_file_address,
                    extension: s.superblock_extension_address,
                }
            }
            other => return Err(Problem::Unsupported { what: format!("superblock version {other}") }),
        };
        let FormatContext { sizeof_addr, sizeof_size } = decoded.context;
        for (what, width) in [("addresses", sizeof_addr), ("lengths", sizeof_size)] {
            if !matches!(width, 2 | 4 | 8) {
                return Err(Problem::Unsupported { what: format!("{what} of {width} bytes") });
            }
        }
        let BTreeV1Config { sym_leaf_k, snode_internal_k, chunk_internal_k } = decoded.btree;
        if sym_leaf_k == 0 || snode_internal_k == 0 || chunk_internal_k == 0 {
            return Err(Problem::Malformed(
                "the superblock declares B-tree nodes without entries".to_owned(),
            ));
        }
        Ok(decoded)
    }
}

/// HDF5 may start at 0, 512, 1024, 2048, ...: whatever stands in front belongs to somebody else.
fn find_signature(source: &Source) -> Decoded<Option<u64>> {
    let mut at = 0;
    while at < source.length() {
        if source.read_at_most(at, 8)? == HDF5_SIGNATURE {
            return Ok(Some(at));
        }
        at = if at == 0 { 512 } else { at * 2 };
    }
    Ok(None)
}
