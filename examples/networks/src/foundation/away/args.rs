//! The flags about the other file.

use std::fs::canonicalize;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use crate::foundation::Protocol;
use sc_examples::end::Usage;
use sc_examples::ontology::OntologyArgs;
use sc_examples::run::at_least_1;

/// Flags of the other file.
#[derive(Args, Clone, Debug)]
pub(in crate::foundation) struct AwayArgs {
    /// An .h5ad file about whose cells everything that is fitted is asked as well. It is read in blocks, however large,
    /// and its counts are in the same slot as those of --input
    #[arg(long, value_name = "FILE.h5ad")]
    test: Option<PathBuf>,
    /// The column of obs with the cell types of --test, where it is not that of --label
    #[arg(long, value_name = "COLUMN", requires = "test")]
    test_label: Option<String>,
    /// Draw so many cells of --test, its labels keeping their shares
    #[arg(long, value_name = "N", value_parser = at_least_1, requires = "test")]
    test_max_cells: Option<usize>,
    /// A CSV file of identifier,name, for --test that names its genes differently than --input
    #[arg(long, value_name = "FILE.csv", requires = "test")]
    gene_table: Option<PathBuf>,
    #[command(flatten)]
    names: OntologyArgs,
}

/// The other file, and how it is compared.
#[derive(Clone, Debug)]
pub struct AwaySettings {
    /// The file.
    pub path: PathBuf,
    /// The column of its cell types; that of the first data set without it.
    pub label: Option<String>,
    /// Cells to draw; all without it.
    pub max_cells: Option<usize>,
    /// Names of genes by their identifiers.
    pub gene_table: Option<PathBuf>,
    /// How label names are compared.
    pub names: OntologyArgs,
}

impl AwayArgs {
    /// The flags, checked; none without a file.
    ///
    /// * `input`: the first data set, where it is a file.
    ///
    /// # Errors
    /// [`Usage`] for a file that is the first data set, for a protocol that knows no other cells, and for flags that say
    /// how labels are compared where nothing is.
    pub(in crate::foundation) fn settings(
        &self,
        input: Option<&Path>,
        protocol: Protocol,
    ) -> Result<Option<AwaySettings>> {
        let usage = |text: String| Err(Usage(text).into());
        let Some(path) = &self.test else {
            let OntologyArgs { ontology, label_map, classes } = &self.names;
            if ontology.is_some() || label_map.is_some() || !classes.is_empty() {
                return usage("--ontology, --label-map and --classes say how labels of --test are compared: pass --test".to_owned());
            }
            return Ok(None);
        };
        if protocol == Protocol::AsPublished {
            let text = "--test goes with the corrected protocol: as published, labels and input are made of the cells \
                        themselves, which no other file has";
            return usage(text.to_owned());
        }
        let same = |input: &Path| match (canonicalize(input), canonicalize(path)) {
            (Ok(input), Ok(test)) => input == test,
            _ => input == path,
        };
        if input.is_some_and(same) {
            let text = format!(
                "--test is the file of --input, {}: its cells are what models learn from",
                path.display()
            );
            return usage(text);
        }
        Ok(Some(AwaySettings {
            path: path.clone(),
            label: self.test_label.clone(),
            max_cells: self.test_max_cells,
            gene_table: self.gene_table.clone(),
            names: self.names.clone(),
        }))
    }
}
