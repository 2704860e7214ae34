//! A release of the Cell Ontology from a file, and what a user says of label names.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use sc_eval::ontology::{Ontology, TermId};

use crate::end::Usage;

/// No release comes near; a compressed file that claims more is none.
const MOST_BYTES: u64 = 1 << 30;

/// How label names are compared.
#[derive(Args, Clone, Debug)]
pub struct OntologyArgs {
    /// A release of the Cell Ontology, OBO or CELLxGENE's JSON, plain or .gz; without it labels are compared by name
    #[arg(long, value_name = "FILE")]
    pub ontology: Option<PathBuf>,
    /// A CSV file of label,name: what to read a label as, before anything else; an empty name leaves its cells out
    #[arg(long, value_name = "FILE.csv")]
    pub label_map: Option<PathBuf>,
    /// Classes to compare in, separated by semicolons, such as "T cell;B cell"; needs --ontology
    #[arg(long, value_name = "NAMES", value_delimiter = ';')]
    pub classes: Vec<String>,
}

impl OntologyArgs {
    /// Reads the release, and finds the classes in it.
    ///
    /// # Errors
    /// If a file cannot be read or is no ontology, or a class is not in it.
    pub fn load(&self) -> Result<(Option<Ontology>, Vec<TermId>)> {
        let Some(path) = &self.ontology else {
            if !self.classes.is_empty() {
                return Err(
                    Usage("--classes needs --ontology, which says what is a kind of them".into()).into()
                );
            }
            return Ok((None, Vec::new()));
        };
        let ontology = read(path)?;
        let classes = ontology.terms(&self.classes).context("--classes")?;
        Ok((Some(ontology), classes))
    }

    /// What each label is to be read as.
    ///
    /// # Errors
    /// If the file cannot be read, or a line has not two columns.
    pub fn label_names(&self) -> Result<BTreeMap<String, String>> {
        let Some(path) = &self.label_map else { return Ok(BTreeMap::new()) };
        let context = || format!("cannot read `{}`", path.display());
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_path(path)
            .with_context(context)?;
        let mut names = BTreeMap::new();
        for (line, record) in reader.records().enumerate() {
            let record = record.with_context(context)?;
            let (Some(label), Some(name)) = (record.get(0), record.get(1)) else {
                let text =
                    format!("`{}`, line {}: a label map has a label and a name", path.display(), line + 1);
                return Err(Usage(text).into());
            };
            names.insert(label.to_owned(), name.trim().to_owned());
        }
        Ok(names)
    }
}

/// Reads a release from an OBO or JSON file, plain or compressed by gzip.
///
/// # Errors
/// If the file cannot be read, is larger than 1 GiB, or is no ontology.
pub fn read(path: &Path) -> Result<Ontology> {
    let context = || format!("cannot read `{}`", path.display());
    let bytes = std::fs::read(path).with_context(context)?;
    let mut text = Vec::new();
    match bytes.starts_with(&[0x1f, 0x8b]) {
        true => flate2::read::MultiGzDecoder::new(&bytes[..]).take(MOST_BYTES).read_to_end(&mut text),
        false => bytes.as_slice().take(MOST_BYTES).read_to_end(&mut text),
    }
    .with_context(context)?;
    let json = text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    let ontology = match json {
        true => Ontology::from_json(&text)?,
        false => Ontology::from_obo(&String::from_utf8_lossy(&text))?,
    };
    Ok(ontology)
}
