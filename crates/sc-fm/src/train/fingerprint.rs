//! What a training is of, in short.

use std::collections::BTreeMap;

use candle_core::Tensor;
use sha2::{Digest, Sha256};

use crate::Result;
use crate::tokenize::Tokens;

/// What a training is of, each thing under its name: a state where one differs is of another training.
pub type Fingerprint = BTreeMap<String, String>;

/// In lower-case hexadecimal.
pub(crate) fn hex(sha: Sha256) -> String {
    sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of the tokens of cells with their values and rows.
pub(crate) fn hash_tokens(tokens: &Tokens) -> String {
    let mut sha = Sha256::new();
    for numbers in [tokens.offsets(), tokens.rows()] {
        sha.update((numbers.len() as u64).to_le_bytes());
        numbers.iter().for_each(|&n| sha.update((n as u64).to_le_bytes()));
    }
    tokens.ids().iter().for_each(|id| sha.update(id.to_le_bytes()));
    tokens.values().unwrap_or_default().iter().for_each(|value| sha.update(value.to_le_bytes()));
    hex(sha)
}

/// SHA-256 of tensors of f32 with their names and shapes, in the order given, for a [`Fingerprint`].
///
/// # Errors
/// What the tensor library reports, of another type of numbers above all.
pub fn hash_tensors<'t>(tensors: impl Iterator<Item = (&'t str, &'t Tensor)>) -> Result<String> {
    let mut sha = Sha256::new();
    let mut bytes = vec![];
    for (name, tensor) in tensors {
        sha.update((name.len() as u64).to_le_bytes());
        sha.update(name);
        sha.update((tensor.rank() as u64).to_le_bytes());
        tensor.dims().iter().for_each(|&n| sha.update((n as u64).to_le_bytes()));
        for values in tensor.flatten_all()?.to_vec1::<f32>()?.chunks(1 << 16) {
            bytes.clear();
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            sha.update(&bytes);
        }
    }
    Ok(hex(sha))
}
