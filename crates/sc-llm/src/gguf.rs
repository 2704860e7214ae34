//! GGUF files, the form in which llama.cpp keeps language models: one file with configuration, weights and tokeniser.
//!
//! [`models::open`](crate::models::open), [`Tokenizer::open`](crate::tokenizer::Tokenizer::open) and
//! [`Chat::open`](crate::chat::Chat::open) take such a file, or a folder with one and no other weights. Architectures are
//! `qwen2` (Qwen2, Qwen2.5, QwQ), `phi2` (Phi-1, Phi-1.5, Phi-2) and `t5`. [`write()`] makes one of a model that was trained
//! here, for llama.cpp to serve. Tokenisers are read and written too: of bytes for the decoders, and the SentencePiece model
//! of a T5.
//!
//! Weights in blocks of `Q8_0` and `Q4_K` are multiplied as they are stored, bit for bit, and so are tables of embeddings
//! looked up; `Q4_0` and `Q5_0` with the same values, in blocks of `Q8_0`. `Q4_1`, `Q5_1`, `Q2_K`, `Q3_K`, `Q5_K` and `Q6_K`, of
//! which files called `Q4_K_M` and the like have some, are rounded to `Q8_0`: by at most 1/220 of the largest of 32 values.
//! Other blocks (`IQ…`, `TQ…`, `MXFP4`) are refused, with the tensor's name and type.

mod config;
mod error;
mod names;
mod pieces;
mod tokens;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sc_fm::checkpoint::Weights;
use sc_fm::checkpoint::gguf::{Gguf, Value};

pub use config::config;
pub use error::Error;
pub use write::{WriteParams, write};

pub(crate) use tokens::Tokens;

/// Keys of the metadata.
const ARCHITECTURE: &str = "general.architecture";
const SPLIT: &str = "split.count";
const CHAT_TEMPLATE: &str = "tokenizer.chat_template";

/// Ends of the names of files with weights of other kinds.
const OTHER_WEIGHTS: [&str; 5] = ["safetensors", "safetensors.index.json", "bin", "pt", "ckpt"];

/// The GGUF file that a path means: itself, or of a folder the one in it, if the folder has no other weights.
pub(crate) fn find(path: &Path) -> Result<Option<PathBuf>, Error> {
    let is_gguf = |path: &Path| {
        path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf")) && !path.is_dir()
    };
    if is_gguf(path) {
        return Ok(Some(path.to_owned()));
    }
    // What cannot be listed is for those to tell who open it.
    let entries = std::fs::read_dir(path).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let is_other = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        OTHER_WEIGHTS.iter().any(|ending| name.strip_suffix(ending).is_some_and(|rest| rest.ends_with('.')))
    };
    if files.iter().any(is_other) {
        return Ok(None);
    }
    files.retain(|path| is_gguf(path));
    files.sort_unstable();
    match files.len() {
        0 | 1 => Ok(files.pop()),
        _ => {
            let names = files.iter().filter_map(|path| path.file_name());
            let found = names.map(|name| name.to_string_lossy().into_owned()).collect();
            Err(Error::Several { folder: path.to_owned(), found })
        }
    }
}

/// The folder that a GGUF file lies in, where other files of its model may be.
pub(crate) fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Opens a file that is whole.
pub(crate) fn open(path: &Path) -> Result<Gguf, Error> {
    let file = Gguf::open(path)?;
    match file.get(SPLIT).and_then(Value::as_u64) {
        Some(parts) if parts > 1 => Err(Error::Split { path: path.to_owned(), parts }),
        _ => Ok(file),
    }
}

/// The tensors of a file by the names that the model has on the hub, each still on disk.
///
/// # Errors
/// [`Error::Architecture`], and what the tensor library reports.
pub fn weights(file: Gguf) -> Result<Weights, Error> {
    let names = names::Names::of(&file)?;
    let weights = Weights::of_gguf(Arc::new(file))?;
    // A name that is none of the model's is left over in the end, and told.
    Ok(weights.renamed(|name| Some(names.on_hub(name).unwrap_or_else(|| name.to_owned()))))
}

/// The chat template of a file, with the names of the tokens that begin and end a text.
pub(crate) fn chat_template(file: &Gguf) -> Option<[&str; 3]> {
    let template = file.get(CHAT_TEMPLATE)?.as_str()?;
    let tokens = file.get(tokens::TOKENS).and_then(Value::as_strings).unwrap_or_default();
    let name = |key: &str| {
        let id = file.get(key).and_then(Value::as_u64).and_then(|id| usize::try_from(id).ok());
        id.and_then(|id| tokens.get(id)).map_or("", String::as_str)
    };
    Some([template, name(tokens::BOS), name(tokens::EOS)])
}

#[cfg(test)]
mod tests;
