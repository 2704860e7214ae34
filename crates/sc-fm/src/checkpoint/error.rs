//! What can be wrong with a checkpoint.

use std::path::PathBuf;

use super::pickle;

/// An error in a checkpoint: which file, which tensor, what was found, what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused something.
    #[error("{}: cannot {doing}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was being done: `open`, `read`, ...
        doing: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A path that is no file.
    #[error("{}: expected a file", path.display())]
    NoFile {
        /// The path.
        path: PathBuf,
    },
    /// A file that is longer than any of its kind.
    #[error("{}: the file has {found} bytes, expected at most {limit}", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// Bytes that are not what the format has there.
    #[error("{}: at byte {offset} is {found}, expected {expected}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is there.
        found: String,
        /// What should be.
        expected: &'static str,
    },
    /// A pickle that is more than plain data, or damaged.
    #[error("{}: at byte {offset}: {problem}", path.display())]
    Pickle {
        /// The file.
        path: PathBuf,
        /// The byte of the instruction that was refused.
        offset: u64,
        /// Why.
        problem: pickle::Problem,
    },
    /// A file that is not JSON, or says something twice.
    #[error("{}: not valid JSON", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// An entry of another kind than the file should have.
    #[error("{}: {key:?} is {found}, expected {expected}", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What its value is.
        found: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A PyTorch file without tensors by name at the place that was asked for.
    #[error(
        "{}: {} is not a dictionary of tensors alone{}", path.display(),
        if inside.is_empty() { "what was saved".to_owned() } else { format!("{inside:?}") },
        if candidates.is_empty() { String::new() } else { format!("; these are: {}", listed(candidates)) }
    )]
    NoStateDict {
        /// The file.
        path: PathBuf,
        /// The keys that were followed, joined by dots; empty for the whole.
        inside: String,
        /// Keys that lead to dictionaries of tensors.
        candidates: Vec<String>,
    },
    /// A program of TorchScript.
    #[error("{}: a program of TorchScript, expected a file of torch.save", path.display())]
    TorchScript {
        /// The file.
        path: PathBuf,
    },
    /// A tensor of a type that is not read.
    #[error("{}: tensor {name:?} is of type {found:?}, expected F64, F32, F16, BF16, I64, I32, I16, I8, U32, U16, U8 or BOOL", path.display())]
    Dtype {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its type.
        found: String,
    },
    /// A tensor of a GGUF file of a type that is not read.
    #[error("{}: tensor {name:?} is of type {found}, expected F32, F16, BF16, or blocks from Q4_0 to Q8_0 or from Q2_K to Q6_K", path.display())]
    GgufType {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its type.
        found: String,
    },
    /// A tensor that a file does not have.
    #[error("{}: no tensor is named {name:?}{}", path.display(), near(nearest))]
    NoTensor {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
        /// The name nearest to it of those that there are.
        nearest: Option<String>,
    },
    /// A weight that cannot be packed for products, or stored in blocks.
    #[error("tensor {name:?} cannot be packed")]
    Packing {
        /// The tensor.
        name: String,
        /// Why.
        source: crate::nn::gemm::Error,
    },
    /// Values for a tensor of another size.
    #[error("tensor {name:?} of shape {shape:?} with {found} values")]
    Count {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// How many values were given.
        found: usize,
    },
    /// A type that weights cannot be converted to.
    #[error("weights cannot be read as {found}, expected f64, f32, f16 or bf16")]
    WantedDtype {
        /// The type that was asked for.
        found: &'static str,
    },
    /// A tensor of a type that is not written.
    #[error("tensor {name:?} is of type {dtype}, which is not written")]
    NotWritten {
        /// The tensor.
        name: String,
        /// Its type.
        dtype: &'static str,
    },
    /// A file cannot be put in its place.
    #[error(transparent)]
    Write(Box<sc_io::Error>),
    /// The tensor library refused.
    #[error("tensor {name:?}: the tensor library reports an error")]
    Tensor {
        /// The tensor.
        name: String,
        /// What it reports.
        source: candle_core::Error,
    },
    /// An index and its shards do not fit together.
    #[error(
        "{}: shard {shard} does not hold what the index lists{}{}", index.display(),
        if missing.is_empty() { String::new() } else { format!("; not in the shard: {}", listed(missing)) },
        if unlisted.is_empty() { String::new() } else { format!("; not in the index: {}", listed(unlisted)) },
    )]
    Shards {
        /// The index.
        index: PathBuf,
        /// The shard.
        shard: String,
        /// Tensors that the index lists and the shard lacks.
        missing: Vec<String>,
        /// Tensors of the shard that the index does not list for it.
        unlisted: Vec<String>,
    },
    /// A folder without a checkpoint, or with several.
    #[error(
        "{}: {}", path.display(),
        if found.is_empty() { "no checkpoint in this folder".to_owned() }
        else { format!("{} files could be the checkpoint: {}", found.len(), listed(found)) }
    )]
    NoCheckpoint {
        /// The folder.
        path: PathBuf,
        /// Files that could be one.
        found: Vec<String>,
    },
    /// A hub cache does not have a repository, or not at this revision.
    #[error("{}: no files of revision {revision:?}", path.display())]
    NotCached {
        /// The folder where they would be.
        path: PathBuf,
        /// The branch or commit.
        revision: String,
    },
    /// A link into the store of a cache that leads nowhere.
    #[error("{}: a link to {}, which does not exist", path.display(), to.display())]
    Dangling {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        to: PathBuf,
    },
    /// A file has changed since it was read.
    #[error("{}: the file has {found} bytes now, and had {before} when it was read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Its length then.
        before: u64,
        /// Its length now.
        found: u64,
    },
    /// The model needs a tensor that the checkpoint lacks.
    #[error("the checkpoint has no tensor {name:?}, expected {expected:?}{}", near(nearest))]
    Missing {
        /// The tensor's name.
        name: String,
        /// Its shape.
        expected: Vec<usize>,
        /// The name nearest to it of those left.
        nearest: Option<String>,
    },
    /// A tensor of another shape than the model's.
    #[error("tensor {name:?} has shape {found:?}, expected {expected:?}")]
    Shape {
        /// The tensor's name.
        name: String,
        /// Its shape in the checkpoint.
        found: Vec<usize>,
        /// The shape that the configuration asks for.
        expected: Vec<usize>,
    },
    /// Tensors that no part of the model took.
    #[error("the checkpoint holds {} tensors that the model does not use: {}", names.len(), listed(names))]
    Unused {
        /// Their names, sorted.
        names: Vec<String>,
    },
    /// A checkpoint and a model do not fit together.
    #[error("the checkpoint does not fit the model{}", misfits_and_unused(misfits, unused))]
    Mismatch {
        /// Tensors that the model needs and the checkpoint lacks or has in another shape, sorted by name.
        misfits: Vec<Misfit>,
        /// Tensors that no part of the model took, sorted.
        unused: Vec<String>,
    },
    /// Two tensors have one name.
    #[error("more than one tensor is named {}", listed(names))]
    Twice {
        /// The names.
        names: Vec<String>,
    },
    /// A tensor that should be equal to another is not.
    #[error("tensor {name:?} differs from {to}, but the model has one for both")]
    NotTied {
        /// The tensor.
        name: String,
        /// What it should be equal to.
        to: &'static str,
    },
}

/// A tensor that a model needs, and the checkpoint does not have in that shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Its name.
    pub name: String,
    /// The shape that the model needs.
    pub expected: Vec<usize>,
    /// The shape that it has; `None` if there is no such tensor.
    pub found: Option<Vec<usize>>,
    /// The name nearest to it of the tensors that are not used; looked for where it is missing.
    pub nearest: Option<String>,
}

impl From<sc_io::Error> for Error {
    fn from(error: sc_io::Error) -> Self {
        Self::Write(Box::new(error))
    }
}

impl Error {
    /// How many names a message lists.
    pub(crate) const LISTED: usize = 12;

    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Pickle { problem, .. } => problem.help(),
            Self::Write(error) => error.help(),
            Self::Format { found, .. } if found == POINTER => Some(
                "this is a pointer to the file, not the file: run `git lfs pull`, or fetch the file itself",
            ),
            Self::Format { .. } => {
                Some("the file was probably cut short or damaged; fetch it again and compare its SHA-256")
            }
            Self::NoStateDict { candidates, .. } if !candidates.is_empty() => {
                Some("say which one with `OpenParams::inside`")
            }
            Self::TorchScript { .. } => Some("save the module's state_dict, best as .safetensors"),
            Self::Dtype { .. } => {
                Some("convert the tensor to one of these types; quantised weights are not read")
            }
            Self::GgufType { .. } => Some(
                "take a file of another type, such as Q4_K_M or Q8_0, or make one with llama.cpp: `llama-quantize --allow-requantize`",
            ),
            Self::Packing { source, .. } => source.help(),
            Self::Shards { .. } => {
                Some("index and shards are of different releases, or a download is incomplete")
            }
            Self::NoCheckpoint { .. } => Some("name the file itself"),
            Self::NotCached { .. } => Some("fetch the files first, or name a revision that is there"),
            Self::Dangling { .. } => Some("the download was not completed; fetch the files again"),
            Self::Mismatch { .. } | Self::Missing { .. } | Self::Shape { .. } | Self::Unused { .. } => Some(
                "the weights are of another model, or of another configuration of it; compare config.json and weights",
            ),
            Self::NotTied { .. } => {
                Some("the checkpoint was changed after training; it is not of this architecture")
            }
            _ => None,
        }
    }
}

/// What a pointer of Git LFS is called in [`Error::Format`].
pub(crate) const POINTER: &str = "a pointer of Git LFS";

fn listed<T: std::fmt::Display>(names: &[T]) -> String {
    let shown: Vec<String> = names.iter().take(Error::LISTED).map(T::to_string).collect();
    match names.len().saturating_sub(Error::LISTED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn near(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!("; the nearest name is {name:?}")).unwrap_or_default()
}

fn misfits_and_unused(misfits: &[Misfit], unused: &[String]) -> String {
    let missing: Vec<String> =
        misfits.iter().filter(|misfit| misfit.found.is_none()).map(Misfit::line).collect();
    let shapes: Vec<String> =
        misfits.iter().filter(|misfit| misfit.found.is_some()).map(Misfit::line).collect();
    let part = |names: &[String], one: &str, many: &str| match names.len() {
        0 => String::new(),
        1 => format!("; 1 tensor {one}: {}", names[0]),
        n => format!("; {n} tensors {many}: {}", listed(names)),
    };
    part(&missing, "is missing", "are missing")
        + &part(&shapes, "has another shape", "have another shape")
        + &part(unused, "is not used", "are not used")
}

impl Misfit {
    fn line(&self) -> String {
        match (&self.found, &self.nearest) {
            (Some(found), _) => format!("{} {found:?} for {:?}", self.name, self.expected),
            (None, Some(nearest)) => format!("{} {:?} (near: {nearest})", self.name, self.expected),
            (None, None) => format!("{} {:?}", self.name, self.expected),
        }
    }
}
