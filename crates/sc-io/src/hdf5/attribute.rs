//! Attributes: small values that hang on an object.

use rust_hdf5::format::messages::attr_info::AttributeInfoMessage;
use rust_hdf5::format::messages::attribute::AttributeEntry;
use rust_hdf5::format::messages::{MSG_ATTR_INFO, MSG_ATTRIBUTE, MSG_FLAG_SHARED};
use rust_hdf5::format::object_header::ObjectHeaderMessage;

use super::convert::{Number, convert, describe};
use super::dtype::Dtype;
use super::file::File;
use super::source::Blocks;
use super::{Decoded, format, strings};
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
                    let entry = AttributeEntry::parse(&message.data, &file.context).map_err(format)?;
                    if entry.name() == name {
                        return Self::new(file, &entry).map(Some);
                    }
                }
                MSG_ATTR_INFO => {
                    let (info, _) =
                        AttributeInfoMessage::decode(&message.data, &file.context).map_err(format)?;
                    let mut blocks = Blocks(&file.source);
                    let entries = rust_hdf5::format::dense_attr::read_dense_attributes(
                        &info,
                        &file.context,
                        &mut blocks,
                    )
                    .map_err(format)?;
                    if let Some(entry) = entries.iter().find(|e| e.name() == name) {
                        return Self::new(file, entry).map(Some);
                    }
                }
                _ => {}
            }
        }
        Ok(None)
    }

    fn new(file: &'f File, entry: &AttributeEntry) -> Decoded<Self> {
        let message = entry.decoded().map_err(|why| Problem::Unsupported {
            what: format!("attribute {:?} in a form that cannot be decoded ({why})", entry.name()),
        })?;
        Ok(Self {
            file,
            dtype: Dtype::new(&message.datatype, &file.context),
            dims: message.dataspace.dims.clone(),
            data: message.data.clone(),
        })
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
