//! The steps of CellReasoner.

mod all;
mod answers;
mod baselines;
mod dataset;
mod evaluate;
mod infer;
mod local;
mod page;
mod prepare;
mod remote;
mod scores;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Subcommand;
use sc_examples::end::Usage;

pub use all::AllArgs;
pub use dataset::BuildArgs;
pub use evaluate::EvaluateArgs;
pub use infer::InferArgs;
pub use prepare::PreprocessArgs;

/// One of the steps.
#[derive(Clone, Debug, Subcommand)]
pub enum Step {
    /// Takes the genes of a list out of .h5ad or Seurat data: NAME.h5 and NAME.meta.csv
    Preprocess(PreprocessArgs),
    /// Writes one record a cell, with its expressed genes: NAME_for_CellReasoner.json
    BuildDataset(BuildArgs),
    /// Asks a model, in this process or behind an endpoint: NAME_CellReasoner_result.csv
    Infer(InferArgs),
    /// Scores answers as published, and by the Cell Ontology over all cells: a report
    Evaluate(EvaluateArgs),
}

/// Runs all steps on the embedded cells.
///
/// # Errors
/// As the steps.
pub fn run_all(args: &AllArgs) -> Result<()> {
    all::run(args)
}

/// Runs a step.
///
/// # Errors
/// As the step.
pub fn run(step: &Step) -> Result<()> {
    match step {
        Step::Preprocess(args) => prepare::run(args),
        Step::BuildDataset(args) => dataset::run(args),
        Step::Infer(args) => infer::run(args),
        Step::Evaluate(args) => evaluate::run(args),
    }
}

/// What a file of records is called.
const RECORDS: [&str; 2] = ["_for_CellReasoner.json", ".json"];

/// `work/pbmc_for_CellReasoner.json` of `work/pbmc.h5`: beside it, with another ending in place of those that are known.
fn beside(path: &Path, endings: &[&str], ending: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = endings.iter().find_map(|known| name.strip_suffix(known)).unwrap_or(&name);
    path.with_file_name(format!("{stem}{ending}"))
}

/// Refuses to go on where a result is there that may not be replaced: before the work, not after it.
fn check_free(path: &Path, force: bool) -> Result<()> {
    if path.exists() && !force {
        bail!(Usage(format!("{} is there: name another --out, or pass --force", path.display())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_beside_what_they_are_made_of() {
        let of = |path: &str, endings: &[&str], ending| beside(Path::new(path), endings, ending);
        assert_eq!(of("a/b.h5", &[".h5"], ".meta.csv"), Path::new("a/b.meta.csv"));
        assert_eq!(of("a/b_for_CellReasoner.json", &RECORDS, "_x.csv"), Path::new("a/b_x.csv"));
        assert_eq!(of("b.json", &RECORDS, "_x.csv"), Path::new("b_x.csv"));
        assert_eq!(of("b", &RECORDS, "_x.csv"), Path::new("b_x.csv"));
    }
}
