//! Attributes: small values that hang on an object.

use rust_hdf5::format::chunk_index::btree_v2::BT2_TYPE_ATTR_NAME;
use rust_hdf5::format::messages::attr_info::AttributeInfoMessage;
use rust_hdf5::format::messages::attribute::{ATTR_FLAG_SPACE_SHARED, ATTR_FLAG_TYPE_SHARED};
use rust_hdf5::format::messages::dataspace::{DataspaceClass, DataspaceMessage};
use rust_hdf5::format::messages::{MSG_ATTR_INFO, MSG_ATTRIBUTE, MSG_FLAG_SHARED};
use rust_hdf5::format::object_header::ObjectHeaderMessage;

use super::bytes::Bytes;
use super::convert::{Number, convert, describe};
use super::dtype::{self, Dtype};
use super::file::File;
use super::{Decoded, dense, format, strings};
use crate::Problem;

/// The value of one attribute.
#[derive(Debug)]
pub(crate) struct Attribute<'f> {
    file: &'f File,
    dtype: Dtype,
    dims: Vec<u64>,
    data: Vec<u8>,
}

impl<'f> Attribute<'f> {
    /// The attribute `name` of the object with this header, if it has one.
    pub(super) fn find(
        file: &'f File,
        messages: &[ObjectHeaderMessage],
        name: &str,
    ) -> Decoded<Option<Self>> {
        for message in messages {
            match message.msg_type {
                MSG_ATTRIBUTE if message.flags & MSG_FLAG_SHARED == 0 => {
                    if let Some(found) = Self::decode(file, &message.data, name)? {
                        return Ok(Some(found));
                    }
                }
                MSG_ATTR_INFO => {
                    let (info, _) =
                        AttributeInfoMessage::decode(&message.data, &file.context).map_err(format)?;
                    if !info.is_dense() {
                        continue;
                    }
                    let (heap, tree) = (info.fractal_heap_address, info.name_btree_address);
                    for encoded in dense::messages(file, heap, tree, BT2_TYPE_ATTR_NAME, 0)? {
                        if let Some(found) = Self::decode(file, &encoded, name)? {
                            return Ok(Some(found));
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// An attribute message, if it is that of `wanted`; of others only the name is looked at.
    fn decode(file: &'f File, message: &[u8], wanted: &str) -> Decoded<Option<Self>> {
        let mut bytes = Bytes::new(message, "an attribute");
        let (version, flags) = (bytes.u8()?, bytes.u8()?);
        let (name_size, type_size, space_size) =
            (bytes.uint(2)? as usize, bytes.uint(2)? as usize, bytes.uint(2)? as usize);
        let align = match version {
            1 => 8,
            2 => 1,
            3 => {
                // The character set of the name.
                bytes.skip(1)?;
                1
            }
            other => return Err(Problem::Unsupported { what: format!("an attribute of version {other}") }),
        };
        let mut part = |size: usize| {
            let part = bytes.take(size.next_multiple_of(align))?;
            Ok::<_, Problem>(&part[..size])
        };
        let name = part(name_size)?;
        if name.split(|&b| b == 0).next() != Some(wanted.as_bytes()) {
            return Ok(None);
        }
        let (datatype, dataspace) = (part(type_size)?, part(space_size)?);
        if version > 1 && flags & (ATTR_FLAG_TYPE_SHARED | ATTR_FLAG_SPACE_SHARED) != 0 {
            return Err(Problem::Unsupported { what: format!("attribute {wanted:?} with a committed type") });
        }
        let dtype = dtype::decode(datatype)?;
        let (dataspace, _) = DataspaceMessage::decode(dataspace, &file.context).map_err(format)?;
        let count = match dataspace.class {
            DataspaceClass::Null => Some(0),
            _ => dataspace.dims.iter().try_fold(1u64, |n, &d| n.checked_mul(d)),
        };
        let size = count.and_then(|n| usize::try_from(n).ok()?.checked_mul(dtype.size(&file.context)));
        let data = bytes.take(size.unwrap_or(usize::MAX))?.to_vec();
        Ok(Some(Self { file, dtype, dims: dataspace.dims, data }))
    }

    /// Whether another says the same.
    pub(super) fn same_as(&self, other: &Self) -> Decoded<bool> {
        if (&self.dtype, &self.dims) != (&other.dtype, &other.dims) {
            return Ok(false);
        }
        match self.dtype {
            // Text of any length lies elsewhere, perhaps no longer where it was.
            Dtype::VarString { .. } => Ok(self.strings()? == other.strings()?),
            _ => Ok(self.data == other.data),
        }
    }

    /// Its text, one for each value.
    pub(crate) fn strings(&self) -> Decoded<Vec<String>> {
        // numpy writes an empty list of names as an empty list of numbers.
        if self.data.is_empty() && !self.dtype.is_string() {
            return Ok(Vec::new());
        }
        self.file.budget.declare(Some(self.data.len() as u64))?;
        strings::decode(self.file, &self.dtype, &self.data)
    }

    /// Its text, if it is one.
    pub(crate) fn string(&self) -> Decoded<String> {
        let mut all = self.strings()?;
        match (all.pop(), all.is_empty()) {
            (Some(only), true) => Ok(only),
            _ => Err(Problem::Shape { found: self.dims.clone(), expected: "one text".to_owned() }),
        }
    }

    /// Its numbers.
    pub(crate) fn numbers<T: Number>(&self) -> Decoded<Vec<T>> {
        let Dtype::Number { kind, big_endian } = self.dtype else {
            return Err(Problem::Dtype { found: self.dtype.describe(), expected: "numbers" });
        };
        let mut out = vec![T::default(); self.data.len() / kind.size()];
        convert(kind, big_endian, &self.data, &mut out).map_err(|at| Problem::Value {
            at,
            value: describe(kind, big_endian, &self.data[at * kind.size()..]),
            expected: T::EXPECTED.to_owned(),
        })?;
        Ok(out)
    }

    /// The addresses of the objects that it refers to.
    pub(crate) fn references(&self) -> Decoded<Vec<u64>> {
        match self.dtype {
            Dtype::Reference { size: 8 } => {
                let (addresses, _) = self.data.as_chunks::<8>();
                Ok(addresses.iter().map(|&b| u64::from_le_bytes(b)).collect())
            }
            _ => Err(Problem::Dtype { found: self.dtype.describe(), expected: "references to objects" }),
        }
    }
}
