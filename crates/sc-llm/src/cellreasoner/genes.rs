//! The list that gives genes their order.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::Error;
use crate::Result;

/// Gene names in a fixed order, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneList(Vec<String>);

impl GeneList {
    /// One gene a line, white space around it taken off; empty lines and repeats are passed over.
    ///
    /// # Errors
    /// [`Error::NoGenes`] if nothing is left.
    pub fn parse(text: &str) -> Result<Self> {
        let mut seen = HashSet::new();
        let genes: Vec<String> = text
            .lines()
            .map(str::trim)
            .filter(|gene| !gene.is_empty() && seen.insert(*gene))
            .map(str::to_owned)
            .collect();
        if genes.is_empty() { Err(Error::NoGenes.into()) } else { Ok(Self(genes)) }
    }

    /// [`GeneList::parse`] of a file.
    ///
    /// # Errors
    /// [`sc_io::Error::NoSuchPath`] or [`sc_io::Error::Io`]; [`Error::NoGenes`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => sc_io::Error::NoSuchPath { path: path.to_owned() },
            _ => sc_io::Error::Io { path: path.to_owned(), doing: "read", source },
        })?;
        Self::parse(&text)
    }

    /// The genes, in order.
    pub fn genes(&self) -> &[String] {
        &self.0
    }

    /// Where the listed genes stand among `names`, in the order of the list; of equal names the first counts.
    pub(super) fn places(&self, names: &[String]) -> Vec<usize> {
        let mut place: HashMap<&str, usize> = HashMap::with_capacity(names.len());
        for (at, name) in names.iter().enumerate() {
            place.entry(name).or_insert(at);
        }
        self.0.iter().filter_map(|gene| place.get(gene.as_str()).copied()).collect()
    }
}
