//! GGUF files, the form in which llama.cpp keeps language models: metadata by key, and tensors by name, many of them in
//! blocks of whole numbers (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>). Versions 2 and 3, lowest byte
//! first.
//!
//! Shapes here are as everywhere, rows first: `out × in` for a weight. In the file they are the other way round.

mod header;
mod kind;
mod metadata;
mod write;

pub use kind::Kind;
pub use metadata::{Array, Value};
pub use write::{NewTensor, write};

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;

use candle_core::{Device, Tensor};
use sc_io::nearest::nearest;

use super::element::{Buffer, Place, Stored};
use super::source::Source;
use super::{Error, FileRecord};
use crate::nn::gemm::{self, Kernel, Packed, Precision};

/// Values that are read and converted at a time.
const PIECE: usize = 1 << 18;

/// A file whose header is read and checked; its numbers are still on disk. Any number of threads may read them.
#[derive(Debug)]
pub struct Gguf {
    source: Source,
    version: u32,
    metadata: BTreeMap<String, Value>,
    tensors: Vec<TensorInfo>,
    places: HashMap<String, usize>,
}

/// A tensor of a file.
#[derive(Clone, Debug)]
pub struct TensorInfo {
    name: String,
    shape: Vec<usize>,
    kind: Kind,
    place: Place,
}

impl TensorInfo {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its shape, rows first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How its values are stored.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Rows of all its dimensions but the last, and the values of a row; one row for a vector.
    pub fn dims(&self) -> (usize, usize) {
        match self.shape.split_last() {
            Some((columns, rows)) => (rows.iter().product(), *columns),
            None => (1, 1),
        }
    }
}

impl Gguf {
    /// Reads and checks the header: every length against the file before memory is taken for it, every tensor's place,
    /// names for being there once.
    ///
    /// # Errors
    /// [`Error::Format`] with the place in the file, [`Error::GgufType`] for a tensor that is not read, [`Error::Twice`],
    /// [`Error::NoFile`], [`Error::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let source = Source::open(path.as_ref())?;
        let header::Header { version, metadata, tensors } = header::read(&source)?;
        let places = tensors.iter().enumerate().map(|(at, tensor)| (tensor.name.clone(), at)).collect();
        Ok(Self { source, version, metadata, tensors, places })
    }

    /// Version of the format: 2 or 3.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The metadata, by key.
    pub fn metadata(&self) -> &BTreeMap<String, Value> {
        &self.metadata
    }

    /// A value of the metadata.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    /// The tensors, in the order of the file.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// A tensor by name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.places.get(name).map(|&at| &self.tensors[at])
    }

    /// The file, for the record of a run.
    pub fn record(&self) -> FileRecord {
        FileRecord::new(self.source.path(), self.source.length())
    }

    fn find(&self, name: &str) -> Result<&TensorInfo, Error> {
        self.tensor(name).ok_or_else(|| {
            let names = self.tensors.iter().map(TensorInfo::name);
            let nearest = nearest(name, names, name.len() / 2).map(str::to_owned);
            Error::NoTensor { path: self.source.path().to_owned(), name: name.to_owned(), nearest }
        })
    }

    /// Reads some rows of a tensor in f32, row after row.
    ///
    /// # Errors
    /// [`Error::NoTensor`]; [`Error::Count`] if the tensor does not have these rows, or `values` not their size;
    /// [`Error::Io`], [`Error::Format`] if the file has changed.
    pub fn read_rows(&self, name: &str, rows: Range<usize>, values: &mut [f32]) -> Result<(), Error> {
        self.rows_of(self.find(name)?, rows, values)
    }

    fn rows_of(&self, tensor: &TensorInfo, rows: Range<usize>, values: &mut [f32]) -> Result<(), Error> {
        let (n, columns) = tensor.dims();
        let count = rows.end.checked_sub(rows.start).filter(|_| rows.end <= n);
        if count.map(|count| count * columns) != Some(values.len()) {
            let (name, shape) = (tensor.name.clone(), tensor.shape.clone());
            return Err(Error::Count { name, shape, found: values.len() });
        }
        if values.is_empty() {
            return Ok(());
        }
        // Whole rows, or whole blocks of a long row.
        let row = tensor.kind.bytes(columns).expect("rows were checked to be whole blocks");
        let step = (PIECE / columns).max(1) * columns;
        let mut offset = tensor.place.offset + (rows.start * row) as u64;
        for values in values.chunks_mut(step) {
            let bytes = self.source.read(offset, (values.len() / columns * row) as u64)?;
            tensor.kind.to_f32(&bytes, values);
            offset += bytes.len() as u64;
        }
        Ok(())
    }

    /// All values of a tensor in f32, row after row.
    ///
    /// # Errors
    /// As [`Gguf::read_rows`].
    pub fn values(&self, name: &str) -> Result<Vec<f32>, Error> {
        let tensor = self.find(name)?;
        let (rows, columns) = tensor.dims();
        let mut values = vec![0.0; rows * columns];
        self.rows_of(tensor, 0..rows, &mut values)?;
        Ok(values)
    }

    /// The bytes of a tensor as they are stored.
    ///
    /// # Errors
    /// As [`Gguf::read_rows`].
    pub fn bytes(&self, name: &str) -> Result<Vec<u8>, Error> {
        let place = self.find(name)?.place;
        self.source.read(place.offset, place.length)
    }

    /// A tensor on the CPU: floating point numbers of the type that they are stored in, blocks in f32.
    ///
    /// # Errors
    /// As [`Gguf::read_rows`], and what the tensor library reports.
    pub fn to_tensor(&self, name: &str) -> Result<Tensor, Error> {
        let TensorInfo { shape, kind, place, .. } = self.find(name)?;
        let half = match kind {
            Kind::F16 => Some(Stored::F16),
            Kind::BF16 => Some(Stored::BF16),
            Kind::F32 | Kind::Blocks(_) => None,
        };
        let tensor = match half {
            Some(stored) => {
                let count = place.length as usize / stored.size();
                let numbers = Buffer::read(&self.source, *place, stored, 0..count, None)?;
                numbers.into_tensor(shape, &Device::Cpu)
            }
            None => Tensor::from_vec(self.values(name)?, shape.as_slice(), &Device::Cpu),
        };
        tensor.map_err(|source| Error::Tensor { name: name.to_owned(), source })
    }

    /// A weight packed for products, piece by piece; never all of it in f32.
    ///
    /// With a kernel for the file's blocks, or for what they are multiplied in
    /// ([`product_format`](gemm::BlockFormat::product_format)), the numbers are taken as they are, or rounded as it says
    /// there. For any other kernel, values are converted.
    ///
    /// # Errors
    /// As [`Gguf::read_rows`]; [`Error::Packing`] for values that blocks cannot hold.
    pub fn packed(&self, name: &str, kernel: Kernel) -> Result<Packed, Error> {
        let tensor = self.find(name)?;
        let dims = tensor.dims();
        let packed = match (tensor.kind.blocks(), kernel.blocks()) {
            (Some(format), Some(own)) if format.product_format() == own => {
                let row = format.row_bytes(dims.1).map_err(Failure::Packing);
                row.and_then(|row| {
                    Packed::from_block_pieces(format, dims, kernel, |rows, bytes| {
                        let offset = tensor.place.offset + (rows.start * row) as u64;
                        let read = self.source.read(offset, bytes.len() as u64).map_err(Failure::Reading)?;
                        bytes.copy_from_slice(&read);
                        Ok(())
                    })
                })
            }
            _ => Packed::from_pieces(dims, kernel, |rows, values| {
                self.rows_of(tensor, rows, values).map_err(Failure::Reading)
            }),
        };
        packed.map_err(|failure| match failure {
            Failure::Reading(error) => error,
            Failure::Packing(source) => Error::Packing { name: name.to_owned(), source },
        })
    }

    /// The precision whose kernels take a tensor as it is stored, or nearly so: `Q4_K` for that, `Q8_0` for other blocks
    /// ([`product_format`](gemm::BlockFormat::product_format)), and `F32Grade` for floating point numbers.
    ///
    /// # Errors
    /// [`Error::NoTensor`].
    pub fn precision(&self, name: &str) -> Result<Precision, Error> {
        use gemm::BlockFormat::Q4_K;
        Ok(match self.find(name)?.kind.blocks() {
            Some(format) if format.product_format() == Q4_K => Precision::Q4_K,
            Some(_) => Precision::Q8_0,
            None => Precision::F32Grade,
        })
    }
}

/// Why a weight could not be packed.
enum Failure {
    Reading(Error),
    Packing(gemm::Error),
}

impl From<gemm::Error> for Failure {
    fn from(error: gemm::Error) -> Self {
        Self::Packing(error)
    }
}

#[cfg(test)]
mod tests;
