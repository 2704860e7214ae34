//! Writes GGUF files.

use std::io::Write;
use std::ops::Range;
use std::path::Path;

use super::header::{ALIGNMENT, ALIGNMENT_KEY};
use super::kind::Kind;
use super::metadata::{ARRAY, Array, BOOL, STRING, Value, for_each_number};
use crate::checkpoint::Error;
use crate::checkpoint::element::count;
use crate::nn::gemm;

/// Values that are converted at a time, at least a row.
const PIECE: usize = 1 << 18;

type Rows<'a> = Box<dyn FnMut(Range<usize>, &mut [f32]) -> Result<(), Error> + 'a>;

/// A tensor to be written, its values made when they are.
pub struct NewTensor<'a> {
    name: String,
    shape: Vec<usize>,
    kind: Kind,
    rows: Rows<'a>,
}

impl std::fmt::Debug for NewTensor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewTensor({:?} {:?} {})", self.name, self.shape, self.kind.name())
    }
}

impl<'a> NewTensor<'a> {
    /// * `shape`: rows first; at most 4 dimensions.
    /// * `rows`: fills the values of some rows (of all dimensions but the last), row after row.
    pub fn new(
        name: impl Into<String>,
        shape: &[usize],
        kind: Kind,
        rows: impl FnMut(Range<usize>, &mut [f32]) -> Result<(), Error> + 'a,
    ) -> Self {
        Self { name: name.into(), shape: shape.to_vec(), kind, rows: Box::new(rows) }
    }

    /// Of values in memory.
    ///
    /// # Errors
    /// [`Error::Count`] if there are not as many as the shape has.
    pub fn of(
        name: impl Into<String>,
        shape: &[usize],
        kind: Kind,
        values: &'a [f32],
    ) -> Result<Self, Error> {
        let name = name.into();
        if count(shape) != Some(values.len()) {
            return Err(Error::Count { name, shape: shape.to_vec(), found: values.len() });
        }
        let columns = shape.last().copied().unwrap_or(1);
        Ok(Self::new(name, shape, kind, move |rows, into| {
            into.copy_from_slice(&values[rows.start * columns..rows.end * columns]);
            Ok(())
        }))
    }

    /// Rows, values of a row and bytes of a row.
    fn layout(&self) -> Result<(usize, usize, usize), Error> {
        let columns = self.shape.last().copied().unwrap_or(1);
        let packing = |source| Error::Packing { name: self.name.clone(), source };
        if let Some(format) = self.kind.blocks() {
            format.row_bytes(columns).map_err(packing)?;
        }
        let row = self.kind.bytes(columns).filter(|_| self.shape.len() <= 4);
        let rows = count(&self.shape[..self.shape.len().saturating_sub(1)]);
        match row.zip(rows).filter(|(row, rows)| row.checked_mul(*rows).is_some()) {
            Some((row, rows)) => Ok((rows, columns, row)),
            None => Err(Error::Count { name: self.name.clone(), shape: self.shape.clone(), found: 0 }),
        }
    }

    /// Writes the numbers. The outer error is not the file's.
    fn write(&mut self, file: &mut impl Write) -> Result<std::io::Result<()>, Error> {
        let (rows, columns, _) = self.layout()?;
        let step = (PIECE / columns.max(1)).max(1);
        let (mut values, mut bytes) = (vec![0.0; step.min(rows) * columns], Vec::new());
        for first in (0..rows).step_by(step) {
            let rows = first..rows.min(first + step);
            let values = &mut values[..rows.len() * columns];
            (self.rows)(rows, values)?;
            if let Some(format) = self.kind.blocks()
                && let Some(at) = values.iter().position(|value| !value.is_finite())
            {
                let (output, input, value) = (first + at / columns, at % columns, values[at]);
                let source = gemm::Error::NotHeld { output, input, value, format: format.name() };
                return Err(Error::Packing { name: self.name.clone(), source });
            }
            bytes.clear();
            if !self.kind.put_f32(values, &mut bytes) {
                return Err(Error::NotWritten { name: self.name.clone(), dtype: self.kind.name() });
            }
            if let Err(error) = file.write_all(&bytes) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }
}

/// Writes a file of version 3, aside and then put in place. With `overwrite` false an existing file is left alone.
///
/// * `metadata`: in the order in which it is written. llama.cpp needs `general.architecture` and the keys of that
///   architecture.
///
/// # Errors
/// [`Error::Twice`] for a name or a key given twice, [`Error::Packing`] for values that blocks cannot hold,
/// [`Error::NotWritten`] for blocks other than `Q8_0` and `Q4_K`, [`Error::Count`] for a shape of more than 4 dimensions,
/// [`Error::Entry`] for another alignment than 32, [`Error::Write`]; what the tensors return.
pub fn write(
    path: impl AsRef<Path>,
    metadata: &[(&str, Value)],
    mut tensors: Vec<NewTensor<'_>>,
    overwrite: bool,
) -> Result<(), Error> {
    let path = path.as_ref();
    let mut names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    let mut keys: Vec<&str> = metadata.iter().map(|(key, _)| *key).collect();
    for names in [&mut names, &mut keys] {
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::Twice { names: vec![pair[0].to_owned()] });
        }
    }
    if metadata.iter().any(|(key, value)| *key == ALIGNMENT_KEY && *value != Value::U32(ALIGNMENT)) {
        let (key, found, expected) = (ALIGNMENT_KEY.to_owned(), "another alignment", "32");
        return Err(Error::Entry { path: path.to_owned(), key, found, expected });
    }
    let header = header(metadata, &tensors)?;
    let mut failure = None;
    let written = sc_io::atomic::write_aside(path, overwrite, |file| {
        let mut file = std::io::BufWriter::with_capacity(1 << 20, file);
        file.write_all(&header)?;
        for tensor in &mut tensors {
            let (rows, _, row) = tensor.layout().map_err(std::io::Error::other)?;
            match tensor.write(&mut file) {
                Ok(result) => result?,
                Err(error) => {
                    failure = Some(error);
                    return Err(std::io::Error::other("a tensor could not be written"));
                }
            }
            let length = rows * row;
            file.write_all(&vec![0; length.next_multiple_of(ALIGNMENT as usize) - length])?;
        }
        file.flush()
    });
    match failure {
        Some(failure) => Err(failure),
        None => Ok(written?),
    }
}

/// Everything before the numbers, filled up to where they begin.
fn header(metadata: &[(&str, Value)], tensors: &[NewTensor<'_>]) -> Result<Vec<u8>, Error> {
    let mut header = b"GGUF".to_vec();
    header.extend(3u32.to_le_bytes());
    header.extend((tensors.len() as u64).to_le_bytes());
    header.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        text(key, &mut header);
        put(value, &mut header);
    }
    let mut place = 0u64;
    for tensor in tensors {
        let (rows, _, row) = tensor.layout()?;
        text(&tensor.name, &mut header);
        header.extend((tensor.shape.len() as u32).to_le_bytes());
        for size in tensor.shape.iter().rev() {
            header.extend((*size as u64).to_le_bytes());
        }
        header.extend(tensor.kind.number().to_le_bytes());
        header.extend(place.to_le_bytes());
        let end = place.saturating_add((rows * row) as u64);
        place = end.saturating_add(end.next_multiple_of(ALIGNMENT.into()) - end);
    }
    header.resize(header.len().next_multiple_of(ALIGNMENT as usize), 0);
    Ok(header)
}

fn text(text: &str, header: &mut Vec<u8>) {
    header.extend((text.len() as u64).to_le_bytes());
    header.extend(text.as_bytes());
}

fn put(value: &Value, header: &mut Vec<u8>) {
    macro_rules! numbers {
        ($($name:ident $t:ident $n:literal),*) => {
            match value {
                $(Value::$name(value) => {
                    header.extend(($n as u32).to_le_bytes());
                    header.extend(value.to_le_bytes());
                })*
                Value::Bool(value) => {
                    header.extend(BOOL.to_le_bytes());
                    header.push(u8::from(*value));
                }
                Value::String(value) => {
                    header.extend(STRING.to_le_bytes());
                    text(value, header);
                }
                Value::Array(values) => {
                    header.extend(ARRAY.to_le_bytes());
                    put_array(values, header);
                }
            }
        };
    }
    for_each_number!(numbers);
}

fn put_array(values: &Array, header: &mut Vec<u8>) {
    let mut begin = |number: u32, length: usize| {
        header.extend(number.to_le_bytes());
        header.extend((length as u64).to_le_bytes());
    };
    macro_rules! numbers {
        ($($name:ident $t:ident $n:literal),*) => {
            match values {
                $(Array::$name(values) => {
                    begin($n, values.len());
                    header.extend(values.iter().flat_map(|value| value.to_le_bytes()));
                })*
                Array::Bool(values) => {
                    begin(BOOL, values.len());
                    header.extend(values.iter().map(|&value| u8::from(value)));
                }
                Array::String(values) => {
                    begin(STRING, values.len());
                    values.iter().for_each(|value| text(value, header));
                }
            }
        };
    }
    for_each_number!(numbers);
}
