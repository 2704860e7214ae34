//! Weights on disk: read without running anything that the file holds, and accounted for to the last tensor.

mod deferred;
pub mod dictionary;
mod element;
mod error;
mod find;
pub mod gguf;
pub mod hub;
mod json;
mod open;
pub mod pickle;
mod record;
mod safetensors;
mod source;
pub mod torch;
mod weights;
mod zip;

pub use element::Stored;
pub use error::{Error, Misfit};
pub use open::OpenParams;
pub use record::{FileRecord, Ignored, Renamed, Report, sha256};
pub use safetensors::write as write_safetensors;
pub use weights::Weights;

pub(crate) use find::find;
pub(crate) use record::size;
pub(crate) use weights::{Adapters, LORA_A, LORA_B};

/// How many bytes at the beginning of a file [`file_kind`] looks at.
pub(crate) const KIND_BYTES: u64 = 32;

/// What a file seems to be, by its first bytes, for the error that says it is not what was expected.
pub(crate) fn file_kind(bytes: &[u8]) -> String {
    match bytes {
        [] => "the end of the file".to_owned(),
        [b'P', b'K', 3, 4, ..] => "a zip archive".to_owned(),
        [b'G', b'G', b'U', b'F', ..] => "a GGUF file".to_owned(),
        [0x80, ..] => "a pickle".to_owned(),
        [0x1f, 0x8b, ..] => "a gzip file".to_owned(),
        [0x89, b'H', b'D', b'F', ..] => "an HDF5 file".to_owned(),
        _ if bytes.starts_with(b"version https://git-lfs") => error::POINTER.to_owned(),
        [b'<', ..] => "a web page or other markup".to_owned(),
        [b'{' | b'[', ..] => "JSON".to_owned(),
        [first, ..] => format!("the byte {first:#04x}"),
    }
}
