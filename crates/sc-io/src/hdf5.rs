//! HDF5: read lazily and with suspicion, written as plainly as possible.
//!
//! The decoders of the single structures (headers, messages, B-trees, heaps, filters) are those of the crate
//! `rust-hdf5`; this module is the only one that names it. What is ours is the walk through a file: objects are read
//! when they are asked for, never all at once; every address is checked against the length of the file; bytes are
//! allocated only after the declared size was found plausible; other files are never opened; chunks are inflated on the
//! caller's thread pool; and a file may as well be a slice of memory.
//!
//! `rust-hdf5`'s own reader catalogues the whole file on opening, follows virtual datasets into other files while doing
//! so, starts a thread pool of its own, and has no access to the numeric attributes of groups, which AnnData needs.

mod attribute;
mod budget;
mod bytes;
mod chunk_index;
mod chunks;
mod compare;
mod convert;
mod dataset;
mod dense;
mod dtype;
mod file;
mod group;
mod header;
mod object;
mod parts;
mod source;
mod strings;
mod writer;

pub(crate) use budget::Limits;
pub(crate) use compare::difference;
pub(crate) use convert::Number;
/// A truth value as h5py stores it.
pub(crate) use rust_hdf5::HBool as StoredBool;

pub(crate) use dataset::{Dataset, decode_numbers};
pub(crate) use dtype::{Dtype, Member, NumberKind};
pub(crate) use file::{File, OpenError};
pub(crate) use object::{Fault, Object};
pub(crate) use parts::Parts;
pub(crate) use writer::{DatasetWriter, Field, GroupWriter, Stored, Writer};

use crate::Problem;

type Decoded<T> = Result<T, Problem>;

/// A decoder's complaint, as ours.
fn format(error: rust_hdf5::format::FormatError) -> Problem {
    use rust_hdf5::format::FormatError;
    match error {
        FormatError::UnsupportedFeature(what) => Problem::Unsupported { what },
        other => Problem::Hdf5(Box::new(other)),
    }
}
