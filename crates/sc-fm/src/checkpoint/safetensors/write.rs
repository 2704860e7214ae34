//! Writes `.safetensors` files.

use std::io::Write;
use std::path::Path;

use candle_core::{DType, Device, Tensor, WithDType};

use crate::checkpoint::{Error, Stored};

/// Numbers that are turned into bytes at a time.
const CHUNK: usize = 1 << 16;

/// Writes tensors by name, aside and then put in place, with the metadata `{"format": "pt"}` that `transformers` asks for
/// and `metadata` beside it.
///
/// Tensors lie in the order of the reference implementation: by size of their numbers, largest first, then by name. The
/// same tensors give the same bytes. With `overwrite` false an existing file is left alone.
///
/// # Errors
/// [`Error::NotWritten`] for a type of numbers that the format or this crate does not have, [`Error::Twice`] for a name
/// given twice, [`Error::Write`], [`Error::Tensor`].
pub fn write<'a>(
    path: impl AsRef<Path>,
    tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
    metadata: &[(&str, &str)],
    overwrite: bool,
) -> Result<(), Error> {
    let stored = |(name, tensor): (&'a str, &'a Tensor)| match stored(tensor.dtype()) {
        Some(stored) => Ok((name, stored, tensor)),
        None => Err(Error::NotWritten { name: name.to_owned(), dtype: tensor.dtype().as_str() }),
    };
    let mut tensors: Vec<(&str, Stored, &Tensor)> =
        tensors.into_iter().map(stored).collect::<Result<_, _>>()?;
    tensors.sort_by_key(|&(name, stored, _)| (std::cmp::Reverse(stored.size()), stored.name(), name));
    let mut names: Vec<&str> = tensors.iter().map(|&(name, ..)| name).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::Twice { names: vec![pair[0].to_owned()] });
    }
    let header = header(&tensors, metadata);
    let mut failure = None;
    let written = sc_io::atomic::write_aside(path, overwrite, |file| {
        let mut file = std::io::BufWriter::with_capacity(1 << 20, file);
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        for (name, _, tensor) in &tensors {
            match numbers(tensor, &mut file) {
                Ok(result) => result?,
                Err(source) => {
                    failure = Some(Error::Tensor { name: (*name).to_owned(), source });
                    return Err(std::io::Error::other("the tensor library refused"));
                }
            }
        }
        file.flush()
    });
    match failure {
        Some(failure) => Err(failure),
        None => Ok(written?),
    }
}

fn stored(dtype: DType) -> Option<Stored> {
    Some(match dtype {
        DType::F64 => Stored::F64,
        DType::F32 => Stored::F32,
        DType::F16 => Stored::F16,
        DType::BF16 => Stored::BF16,
        DType::I64 => Stored::I64,
        DType::U32 => Stored::U32,
        DType::U8 => Stored::U8,
        _ => return None,
    })
}

fn header(tensors: &[(&str, Stored, &Tensor)], metadata: &[(&str, &str)]) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut header = "{\"__metadata__\":{\"format\":\"pt\"".to_owned();
    for (key, value) in metadata.iter().filter(|(key, _)| *key != "format") {
        header += &format!(",{}:{}", quoted(key), quoted(value));
    }
    header += "}";
    let mut begin = 0;
    for (name, stored, tensor) in tensors {
        let end = begin + tensor.elem_count() * stored.size();
        let shape = serde_json::Value::from(tensor.dims());
        let (name, dtype) = (quoted(name), stored.name());
        header +=
            &format!(",{name}:{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[{begin},{end}]}}");
        begin = end;
    }
    header += "}";
    // Spaces, so that the numbers begin at a multiple of eight.
    let length = header.len().next_multiple_of(8);
    format!("{header:length$}")
}

/// The numbers of a tensor, lowest byte first. The outer error is the tensor library's.
fn numbers(tensor: &Tensor, file: &mut impl Write) -> candle_core::Result<std::io::Result<()>> {
    let flat = tensor.to_device(&Device::Cpu)?.flatten_all()?;
    Ok(match flat.dtype() {
        DType::F64 => bytes(&flat.to_vec1::<f64>()?, f64::to_le_bytes, file),
        DType::F32 => bytes(&flat.to_vec1::<f32>()?, f32::to_le_bytes, file),
        DType::F16 => bytes(&flat.to_vec1::<half::f16>()?, half::f16::to_le_bytes, file),
        DType::BF16 => bytes(&flat.to_vec1::<half::bf16>()?, half::bf16::to_le_bytes, file),
        DType::I64 => bytes(&flat.to_vec1::<i64>()?, i64::to_le_bytes, file),
        DType::U32 => bytes(&flat.to_vec1::<u32>()?, u32::to_le_bytes, file),
        _ => file.write_all(&flat.to_vec1::<u8>()?),
    })
}

fn bytes<T: WithDType, const N: usize>(
    numbers: &[T],
    convert: impl Fn(T) -> [u8; N],
    file: &mut impl Write,
) -> std::io::Result<()> {
    let mut bytes = Vec::with_capacity(CHUNK.min(numbers.len()) * N);
    for chunk in numbers.chunks(CHUNK) {
        bytes.clear();
        bytes.extend(chunk.iter().flat_map(|&number| convert(number)));
        file.write_all(&bytes)?;
    }
    Ok(())
}
