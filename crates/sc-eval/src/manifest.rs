//! What made a run: enough for a reader to make it again, and to see that nothing else went in.

mod input;
mod ordered;
mod time;

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

pub use input::{InputFile, hash_input};
pub use time::utc_timestamp;

use crate::{Labels, Result};

/// The record of a run.
///
/// The caller fills in what it knows: this library reads neither the environment nor the clock nor the command line.
/// Only the operating system and the processor family are known beforehand. Named values keep the order in which they
/// were added, in JSON too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Name of the program.
    pub program: String,
    /// Its version.
    pub version: String,
    /// Versions of the crates that did the work.
    #[serde(with = "ordered")]
    pub crates: Vec<(String, String)>,
    /// The command line, one entry per argument, the program's name first.
    pub command: Vec<String>,
    /// The seed of every random step; `None` for a run that draws nothing.
    pub seed: Option<u64>,
    /// Parameters of the run, those left at their default included.
    #[serde(with = "ordered")]
    pub parameters: Vec<(String, String)>,
    /// Every file that was read.
    pub inputs: Vec<InputFile>,
    /// Cells found in the inputs.
    pub cells_read: usize,
    /// Cells that took part.
    pub cells_kept: usize,
    /// Reasons for leaving cells out, with the number of cells of each.
    #[serde(with = "ordered")]
    pub cells_dropped: Vec<(String, usize)>,
    /// Genes in the matrix that was read, before any selection.
    pub n_genes: usize,
    /// Classes and their numbers of cells.
    #[serde(with = "ordered")]
    pub classes: Vec<(String, usize)>,
    /// Threads of the pool that the run used; 0 if not recorded. The number cannot change a result.
    pub threads: usize,
    /// Operating system the program was built for, such as `linux`.
    pub os: String,
    /// Processor family the program was built for, such as `x86_64`.
    pub arch: String,
    /// When the run began: ISO 8601, UTC, such as `2026-03-01T09:30:00Z`.
    pub started: Option<String>,
    /// Wall time of each step in seconds.
    #[serde(with = "ordered")]
    pub durations_seconds: Vec<(String, f64)>,
}

impl Manifest {
    /// An empty record of a run of `program`.
    pub fn new(program: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            version: version.into(),
            crates: vec![(env!("CARGO_PKG_NAME").to_owned(), env!("CARGO_PKG_VERSION").to_owned())],
            command: Vec::new(),
            seed: None,
            parameters: Vec::new(),
            inputs: Vec::new(),
            cells_read: 0,
            cells_kept: 0,
            cells_dropped: Vec::new(),
            n_genes: 0,
            classes: Vec::new(),
            threads: 0,
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            started: None,
            durations_seconds: Vec::new(),
        }
    }

    /// Adds a parameter.
    pub fn parameter(&mut self, name: impl Into<String>, value: impl ToString) {
        self.parameters.push((name.into(), value.to_string()));
    }

    /// Hashes a file, or every file of a folder, and adds it to the inputs.
    ///
    /// # Errors
    /// As [`hash_input`].
    pub fn input(&mut self, path: &Path) -> Result<()> {
        self.inputs.extend(hash_input(path)?);
        Ok(())
    }

    /// Records the classes and the number of cells that took part.
    pub fn labels(&mut self, labels: &Labels) {
        self.cells_kept = labels.len();
        self.classes = labels.classes().iter().cloned().zip(labels.counts()).collect();
    }

    /// Adds a number of cells that were left out, and why; zero cells are no entry.
    pub fn dropped(&mut self, reason: impl Into<String>, n_cells: usize) {
        if n_cells > 0 {
            self.cells_dropped.push((reason.into(), n_cells));
        }
    }

    /// Records when the run began.
    pub fn started(&mut self, at: SystemTime) {
        self.started = Some(utc_timestamp(at));
    }

    /// Adds the wall time of a step.
    pub fn duration(&mut self, step: impl Into<String>, took: Duration) {
        self.durations_seconds.push((step.into(), took.as_secs_f64()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> Manifest {
        let mut manifest = Manifest::new("benchmark", "0.1.0");
        manifest.command = vec!["benchmark".into(), "--seed".into(), "42".into()];
        manifest.seed = Some(42);
        manifest.parameter("zeta", 1);
        manifest.parameter("alpha", 0.5);
        manifest.labels(&Labels::new(&["T", "B", "T"]).unwrap());
        manifest.cells_read = 5;
        manifest.dropped("without a label", 2);
        manifest.dropped("in a class of fewer than 5 cells", 0);
        manifest.started(SystemTime::UNIX_EPOCH);
        manifest.duration("read", Duration::from_millis(250));
        manifest
    }

    #[test]
    fn parameters_keep_their_order_in_json_and_back() {
        let manifest = filled();
        let json = serde_json::to_string(&manifest).unwrap();
        assert!(json.contains(r#""parameters":{"zeta":"1","alpha":"0.5"}"#), "{json}");
        assert!(json.contains(r#""durations_seconds":{"read":0.25}"#), "{json}");
        assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), manifest);
    }

    #[test]
    fn no_cells_left_out_for_a_reason_are_no_entry() {
        assert_eq!(filled().cells_dropped, [("without a label".to_owned(), 2)]);
    }

    #[test]
    fn classes_come_with_their_counts() {
        assert_eq!(filled().classes, [("B".to_owned(), 1), ("T".to_owned(), 2)]);
        assert_eq!(filled().cells_kept, 3);
    }
}
