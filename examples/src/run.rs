//! Flags that every run has: seed, threads, permission to replace results.

use anyhow::{Context, Result};
use clap::Args;
use sc_eval::Manifest;
use sc_eval::classifiers::Model;

use crate::cells::Cells;

/// How to run.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Seed of folds, forests, and the map
    #[arg(long, value_name = "SEED", default_value_t = 42)]
    pub seed: u64,
    /// Threads; all processors without it. The number changes no result
    #[arg(long, value_name = "N", value_parser = at_least_1)]
    pub threads: Option<usize>,
    /// Replace the results of an earlier run in the folder
    #[arg(long)]
    pub force: bool,
}

impl RunArgs {
    /// Sets the number of threads of the program.
    ///
    /// # Errors
    /// If the threads cannot be started, or the program already has some.
    pub fn set_threads(&self) -> Result<()> {
        let Some(n) = self.threads else { return Ok(()) };
        rayon::ThreadPoolBuilder::new().num_threads(n).build_global().context("cannot start the threads")
    }

    /// What every manifest of a run on `cells` says; the program adds its parameters.
    ///
    /// # Errors
    /// If an input file cannot be read again, for its SHA-256.
    pub fn manifest(&self, program: &str, cells: &Cells) -> Result<Manifest> {
        let mut manifest = Manifest::new(program, env!("CARGO_PKG_VERSION"));
        manifest.command = std::env::args().collect();
        if let Some(name) = manifest.command.first_mut() {
            // The program's name says what ran; the folder that it was built in says nothing to a reader.
            *name = program.to_owned();
        }
        manifest.seed = Some(self.seed);
        manifest.threads = rayon::current_num_threads();
        manifest.labels(&cells.labels);
        manifest.cells_read = cells.n_read;
        manifest.n_genes = cells.counts.n_cols();
        for (reason, n) in &cells.dropped {
            manifest.dropped(reason, *n);
        }
        for path in &cells.inputs {
            manifest.input(path)?;
        }
        Ok(manifest)
    }
}

/// A classifier by its name, for `--models`.
///
/// # Errors
/// If there is none of that name, with the names that there are.
pub fn model(name: &str) -> Result<Model, sc_eval::Error> {
    name.trim().parse()
}

/// A whole number above 0, for flags that count something.
///
/// # Errors
/// If it is none.
pub fn at_least_1(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(n) => Ok(n),
        Err(error) => Err(format!("{error}")),
    }
}
