//! Datasets: shape, type, and their values as whatever they are asked for.

use rust_hdf5::format::local_heap::{LocalHeapHeader, local_heap_get_string};
use rust_hdf5::format::messages::data_layout::DataLayoutMessage;
use rust_hdf5::format::messages::dataspace::{DataspaceClass, DataspaceMessage};
use rust_hdf5::format::messages::external_file_list::ExternalFileListMessage;
use rust_hdf5::format::messages::fill_value::FillValueMessage;
use rust_hdf5::format::messages::filter::{
    FILTER_BLOSC, FILTER_DEFLATE, FILTER_FLETCHER32, FILTER_LZ4, FILTER_LZF, FILTER_SHUFFLE, FILTER_ZSTD,
    FilterPipeline,
};
use rust_hdf5::format::messages::{
    MSG_DATA_LAYOUT, MSG_DATASPACE, MSG_DATATYPE, MSG_EXTERNAL_FILE_LIST, MSG_FILL_VALUE,
    MSG_FILTER_PIPELINE, MSG_FLAG_SHARED,
};
use rust_hdf5::format::object_header::ObjectHeaderMessage;

use super::chunks::{Read, ReadError, Values};
use super::convert::{Number, convert, describe};
use super::dtype::{self, Dtype, NumberKind};
use super::file::File;
use super::object::Fault;
use super::parts::Parts;
use super::{Decoded, format, strings};
use crate::Problem;

/// Filters that change the order of bytes or add a checksum.
const PLAIN_FILTERS: [u16; 2] = [FILTER_SHUFFLE, FILTER_FLETCHER32];
/// Compressors whose decoders take no more memory than the chunk that they are told to expect.
const COMPRESSORS: [u16; 5] = [FILTER_DEFLATE, FILTER_LZF, FILTER_LZ4, FILTER_BLOSC, FILTER_ZSTD];

/// An array in a file.
#[derive(Debug)]
pub(crate) struct Dataset<'f> {
    pub(super) file: &'f File,
    path: String,
    dtype: Dtype,
    pub(super) dims: Vec<u64>,
    null: bool,
    pub(super) layout: DataLayoutMessage,
    pub(super) filters: Option<FilterPipeline>,
    /// The bytes of a value that was never written, where they are not all zero.
    pub(super) fill: Option<Vec<u8>>,
    pub(super) element_size: usize,
}

impl<'f> Dataset<'f> {
    pub(super) fn new(file: &'f File, path: String, messages: &[ObjectHeaderMessage]) -> Decoded<Self> {
        let context = &file.context;
        let one = |wanted: u8| -> Decoded<Option<&[u8]>> {
            match messages.iter().find(|m| m.msg_type == wanted) {
                Some(m) if m.flags & MSG_FLAG_SHARED != 0 => {
                    Err(Problem::Unsupported { what: "a shared header message".to_owned() })
                }
                found => Ok(found.map(|m| m.data.as_slice())),
            }
        };
        let lacking = |what: &str| Problem::Malformed(format!("the dataset has no {what}"));
        if let Some(list) = one(MSG_EXTERNAL_FILE_LIST)? {
            return Err(external_storage(file, list));
        }
        let datatype = one(MSG_DATATYPE)?.ok_or_else(|| lacking("type"))?;
        let dtype = dtype::decode(datatype)?;
        let dataspace = one(MSG_DATASPACE)?.ok_or_else(|| lacking("shape"))?;
        let (dataspace, _) = DataspaceMessage::decode(dataspace, context).map_err(format)?;
        let layout = one(MSG_DATA_LAYOUT)?.ok_or_else(|| lacking("layout"))?;
        let (layout, _) = DataLayoutMessage::decode(layout, context).map_err(format)?;
        if let DataLayoutMessage::Virtual { .. } = layout {
            let target = "the sources of its parts".to_owned();
            return Err(Problem::OtherFile { what: "a virtual dataset", target });
        }
        let filters = match one(MSG_FILTER_PIPELINE)? {
            Some(message) => Some(FilterPipeline::decode(message).map_err(format)?.0),
            None => None,
        };
        check_filters(filters.as_ref())?;
        let fill = match one(MSG_FILL_VALUE)? {
            Some(message) => FillValueMessage::decode(message).map_err(format)?.0.fill_value,
            None => None,
        };
        let element_size = dtype.size(context);
        if element_size == 0 {
            return Err(Problem::Malformed("its values have no bytes".to_owned()));
        }
        Ok(Self {
            file,
            path,
            element_size,
            dims: dataspace.dims,
            null: dataspace.class == DataspaceClass::Null,
            layout,
            filters: filters.filter(|f| !f.filters.is_empty()),
            fill: fill.filter(|f| f.len() == element_size && f.iter().any(|&b| b != 0)),
            dtype,
        })
    }

    /// Its path from the root.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Says that this dataset is at fault.
    pub(crate) fn fault(&self, problem: impl Into<Problem>) -> Fault {
        Fault::new(self.path.clone(), problem)
    }

    /// The length of each axis; none for a single value.
    pub(crate) fn dims(&self) -> &[u64] {
        &self.dims
    }

    /// Whether it has no value at all (which is not the same as a single one).
    pub(crate) fn is_null(&self) -> bool {
        self.null
    }

    /// The type of its values.
    pub(crate) fn dtype(&self) -> &Dtype {
        &self.dtype
    }

    pub(super) fn count(&self) -> Decoded<usize> {
        if self.null {
            return Ok(0);
        }
        let product = self.dims.iter().try_fold(1u64, |n, &d| n.checked_mul(d));
        product.and_then(|n| usize::try_from(n).ok()).ok_or_else(|| {
            let expected = "a number of values that can be addressed".to_owned();
            Problem::Shape { found: self.dims.clone(), expected }
        })
    }

    /// Its numbers, first axis outermost.
    pub(crate) fn numbers<T: Number>(&self) -> Result<Vec<T>, Fault> {
        self.read_numbers().map_err(|p| self.fault(p))
    }

    fn read_numbers<T: Number>(&self) -> Decoded<Vec<T>> {
        let Dtype::Number { kind, big_endian } = self.dtype else {
            return Err(Problem::Dtype { found: self.dtype.describe(), expected: "numbers" });
        };
        let count = self.count()?;
        self.file.budget.declare((count as u64).checked_mul(T::SIZE.max(kind.size() as u64)))?;
        let mut out = vec![T::default(); count];
        let values = Values { per_element: 1, convert: &|bytes, out| convert(kind, big_endian, bytes, out) };
        Read::whole(self).into(&mut out, &values, None).map_err(|e| unfit::<T>(e, kind, big_endian))?;
        Ok(out)
    }

    /// It, for reading in parts.
    pub(crate) fn parts(self) -> Result<Parts<'f>, Fault> {
        Parts::new(self)
    }

    /// Its bytes as stored, value behind value.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, Fault> {
        self.read_bytes().map_err(|p| self.fault(p))
    }

    fn read_bytes(&self) -> Decoded<Vec<u8>> {
        let bytes = (self.count()? as u64).checked_mul(self.element_size as u64);
        self.file.budget.declare(bytes)?;
        let mut out = vec![0u8; self.count()? * self.element_size];
        let copy = |bytes: &[u8], out: &mut [u8]| {
            out.copy_from_slice(&bytes[..out.len()]);
            Ok(())
        };
        let values = Values { per_element: self.element_size, convert: &copy };
        Read::whole(self).into(&mut out, &values, None).map_err(|e| match e {
            ReadError::Problem(problem) => problem,
            ReadError::Value { .. } => Problem::Malformed("bytes could not be copied".to_owned()),
        })?;
        Ok(out)
    }

    /// Its texts.
    pub(crate) fn strings(&self) -> Result<Vec<String>, Fault> {
        if !self.dtype.is_string() {
            return Err(self.fault(Problem::Dtype { found: self.dtype.describe(), expected: "text" }));
        }
        let bytes = self.bytes()?;
        strings::decode(self.file, &self.dtype, &bytes).map_err(|p| self.fault(p))
    }

    /// Bytes of one value of another type, in this file.
    pub(crate) fn size_of(&self, dtype: &Dtype) -> usize {
        dtype.size(&self.file.context)
    }

    /// The texts of one field of records, of which `bytes` are those of [`Dataset::bytes`].
    pub(crate) fn field_strings(&self, dtype: &Dtype, bytes: &[u8]) -> Result<Vec<String>, Fault> {
        strings::decode(self.file, dtype, bytes).map_err(|p| self.fault(p))
    }
}

/// What a number that cannot be read means.
pub(super) fn unfit<T: Number>(error: ReadError, kind: NumberKind, big_endian: bool) -> Problem {
    match error {
        ReadError::Problem(problem) => problem,
        ReadError::Value { at, bytes } => {
            let value = describe(kind, big_endian, &bytes);
            if T::EXPECTED == f32::EXPECTED && kind != NumberKind::Bool {
                Problem::NotExact { at, value }
            } else {
                Problem::Value { at, value, expected: T::EXPECTED.to_owned() }
            }
        }
    }
}

/// Numbers that are at hand as bytes: a field of records.
pub(crate) fn decode_numbers<T: Number>(dtype: &Dtype, bytes: &[u8]) -> Decoded<Vec<T>> {
    let Dtype::Number { kind, big_endian } = *dtype else {
        return Err(Problem::Dtype { found: dtype.describe(), expected: "numbers" });
    };
    let mut out = vec![T::default(); bytes.len() / kind.size()];
    convert(kind, big_endian, bytes, &mut out).map_err(|at| Problem::Value {
        at,
        value: describe(kind, big_endian, &bytes[at * kind.size()..]),
        expected: T::EXPECTED.to_owned(),
    })?;
    Ok(out)
}

/// One compressor at most: compressed twice, a chunk may pass through sizes that nothing bounds.
fn check_filters(filters: Option<&FilterPipeline>) -> Decoded<()> {
    let ids: Vec<u16> = filters.iter().flat_map(|f| &f.filters).map(|f| f.id).collect();
    let unknown = |id: &&u16| !PLAIN_FILTERS.contains(id) && !COMPRESSORS.contains(id);
    if let Some(id) = ids.iter().find(unknown) {
        return Err(Problem::Unsupported { what: format!("filter {id} of HDF5's list of filters") });
    }
    if ids.iter().filter(|id| COMPRESSORS.contains(id)).count() > 1 {
        return Err(Problem::Unsupported { what: "two compressors on one dataset".to_owned() });
    }
    Ok(())
}

/// Names the first file in which the values would lie.
fn external_storage(file: &File, message: &[u8]) -> Problem {
    let name = || -> Decoded<String> {
        let context = &file.context;
        let (list, _) = ExternalFileListMessage::decode(message, context).map_err(format)?;
        let start = file.source.read_at_most(list.heap_addr, 64)?;
        let heap = LocalHeapHeader::decode(&start, context.sizeof_addr.into(), context.sizeof_size.into());
        let heap = heap.map_err(format)?;
        let names = file.source.read(heap.data_addr, heap.data_size)?;
        let first = list.slots.first().map_or(0, |slot| slot.name_offset);
        local_heap_get_string(&names, first).map_err(format)
    };
    let target = name().unwrap_or_else(|_| "its name is damaged".to_owned());
    Problem::OtherFile { what: "external storage", target }
}
