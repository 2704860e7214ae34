//! Language models in files: what is taken for one, and how its weights are held.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use sc_examples::end::NotFetched;
use sc_fm::checkpoint::hub;
use sc_fm::nn::gemm;
use sc_llm::models::{Compute, LanguageModel, OpenParams, open};
use sc_llm::tokenizer::Tokenizer;

/// Ends of the names of files with weights, and of what else a model is made of.
const WEIGHTS: [&str; 3] = ["safetensors", "bin", "gguf"];
const OTHERS: [&str; 4] = ["json", "jinja", "txt", "model"];

/// The flags of models in files.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct WeightArgs {
    /// How weights are held; those that a GGUF file has in blocks stay as they are
    #[arg(long, value_name = "HOW", value_enum, default_value = "f32")]
    precision: Precision,
    /// Where a model of files computes: cpu, or cuda or cuda:N for a GPU of NVIDIA, in builds with the feature cuda; f32,
    /// f16 or bf16 there
    #[arg(long, value_name = "DEVICE", default_value = "cpu", value_parser = device)]
    device: Compute,
}

/// How weights are held.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Precision {
    /// Single precision: the same bits on every processor
    #[value(name = "f32")]
    F32,
    /// Floats of 16 bits, multiplied in single precision: half the memory, the same bits on every processor
    #[value(name = "f16")]
    F16,
    /// Brain floats of 16 bits: half the memory, faster where the processor multiplies them
    #[value(name = "bf16")]
    Bf16,
    /// 8 bits in blocks of 32: a quarter of the memory, the fastest
    #[value(name = "q8_0")]
    Q8_0,
    /// 4 bits in blocks of 256: an eighth of the memory
    #[value(name = "q4_k")]
    Q4K,
}

/// A model, its tokeniser, and where they are from.
pub(crate) struct Opened {
    pub(crate) model: LanguageModel,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) path: PathBuf,
}

impl WeightArgs {
    /// Opens a folder or a GGUF file.
    pub(crate) fn open(self, path: &Path) -> Result<Opened> {
        let path = resolved(path)?;
        let model = open(&path, &self.params()).with_context(|| path.display().to_string())?;
        let tokenizer = Tokenizer::open(&path).map_err(sc_llm::Error::from)?;
        Ok(Opened { model, tokenizer, path })
    }

    fn params(self) -> OpenParams {
        let precision = match self.precision {
            Precision::F32 => gemm::Precision::F32,
            Precision::F16 => gemm::Precision::F16,
            Precision::Bf16 => gemm::Precision::Bf16,
            Precision::Q8_0 => gemm::Precision::Q8_0,
            Precision::Q4K => gemm::Precision::Q4_K,
        };
        OpenParams { precision, compute: self.device, ..OpenParams::default() }
    }

    /// What answers depend on, in words.
    pub(crate) fn words(self) -> String {
        let precision = self.precision.to_possible_value().map(|value| value.get_name().to_owned());
        format!("{}, {}", precision.unwrap_or_default(), self.device)
    }
}

fn device(text: &str) -> Result<Compute, String> {
    match text {
        "cpu" => return Ok(Compute::Cpu),
        "cuda" => return Ok(Compute::Cuda(0)),
        _ => {}
    }
    let index = text.strip_prefix("cuda:").and_then(|index| index.parse().ok());
    index.map(Compute::Cuda).ok_or_else(|| "expected cpu, cuda or cuda:N".to_owned())
}

/// Sees whether there is a folder or a GGUF file.
///
/// * `otherwise`: what to do without one.
pub(crate) fn check(path: &Path, otherwise: &str) -> Result<()> {
    if path.is_dir() || (path.is_file() && has_ending(path, &["gguf"])) {
        return Ok(());
    }
    let (text, help) = match path.is_file() {
        true => (
            format!("{}: neither a folder nor a .gguf file", path.display()),
            "name the folder that the file lies in, with config.json, weights and tokenizer.json".to_owned(),
        ),
        false => (
            format!("{}: no such folder or file", path.display()),
            format!(
                "download the model's files into a folder (config.json, weights, tokenizer.json), or {otherwise}"
            ),
        ),
    };
    Err(NotFetched { text, help }.into())
}

/// The files that a model is made of, sorted by name.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let path = resolved(path)?;
    let folder = match path.parent() {
        _ if path.is_dir() => path.clone(),
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let context = || format!("cannot list {}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).with_context(context)? {
        let file = entry.with_context(context)?.path();
        let is_own = match has_ending(&file, &WEIGHTS) {
            // Other models may lie beside a GGUF file.
            true => path.is_dir() || file.file_name() == path.file_name(),
            false => has_ending(&file, &OTHERS),
        };
        if is_own && file.is_file() {
            files.push(file);
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Names, sizes and times of these files: what changes when somebody replaces one.
pub(crate) fn stamp(path: &Path) -> Result<String> {
    let mut stamp = String::new();
    for file in files(path)? {
        let about = fs::metadata(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let name = file.file_name().unwrap_or_default();
        stamp.push_str(&format!("{name:?} {} {:?}; ", about.len(), about.modified().ok()));
    }
    Ok(stamp)
}

/// The folder of files, where a folder of a hub's cache is meant.
fn resolved(path: &Path) -> Result<PathBuf> {
    match path.join("snapshots").is_dir() {
        true => Ok(hub::resolve(path, "main").map_err(sc_fm::Error::from)?.path),
        false => Ok(path.to_owned()),
    }
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    path.extension().is_some_and(|own| endings.iter().any(|ending| own.eq_ignore_ascii_case(ending)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_the_names_of_other_programs() {
        assert_eq!(device("cpu"), Ok(Compute::Cpu));
        assert_eq!((device("cuda"), device("cuda:3")), (Ok(Compute::Cuda(0)), Ok(Compute::Cuda(3))));
        assert!(["", "gpu", "cuda:", "cuda:-1", "cuda:x"].iter().all(|text| device(text).is_err()));
    }

    #[test]
    fn a_model_is_made_of_its_own_files() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["a.gguf", "b.GGUF", "config.json", "merges.txt", "model.safetensors", "notes.md"];
        for name in names {
            fs::write(folder.path().join(name), name).unwrap();
        }
        fs::create_dir(folder.path().join("old.json")).unwrap();
        let of = |path: &Path| -> Vec<String> {
            let files = files(path).unwrap();
            files.iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        assert_eq!(of(folder.path()), names[..5]);
        assert_eq!(of(&folder.path().join("b.GGUF")), ["b.GGUF", "config.json", "merges.txt"]);
        let before = stamp(folder.path()).unwrap();
        fs::write(folder.path().join("notes.md"), "longer").unwrap();
        assert_eq!(stamp(folder.path()).unwrap(), before);
        fs::write(folder.path().join("a.gguf"), "longer").unwrap();
        assert_ne!(stamp(folder.path()).unwrap(), before);
        assert!(check(folder.path(), "x").is_ok() && check(&folder.path().join("b.GGUF"), "x").is_ok());
        let refused = check(&folder.path().join("config.json"), "x").unwrap_err();
        assert!(refused.to_string().ends_with("neither a folder nor a .gguf file"), "{refused}");
        assert!(check(Path::new("nowhere"), "x").unwrap_err().to_string().contains("no such"));
    }
}
