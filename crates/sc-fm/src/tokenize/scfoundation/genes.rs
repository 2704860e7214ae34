use std::collections::HashMap;
use std::path::Path;

use crate::tokenize::{Error, Result};

/// Genes of the released models.
const N_GENES: usize = 19_264;

/// The genes of a model, in the order of its positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneList {
    positions: HashMap<String, u32>,
}

impl GeneList {
    /// Reads the list of the released models, `OS_scRNA_gene_index.19264.tsv`: a head line, then gene and position,
    /// separated by a tab.
    ///
    /// # Errors
    /// [`Error::GeneList`] for a line of another form or a position out of order, [`Error::KeyTwice`] for a repeated
    /// gene, [`Error::VocabSize`] if there are not 19,264, [`Error::Io`] if the file cannot be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let unreadable = |source| sc_io::Error::Io { path: path.to_owned(), doing: "read", source };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let mut names = Vec::with_capacity(N_GENES);
        for (line, found) in text.lines().enumerate() {
            let expected = match line {
                0 => "gene_name\tindex".to_owned(),
                _ => format!("a gene, a tab and {}", line - 1),
            };
            let gene = match (line, found.split_once('\t')) {
                (0, Some(("gene_name", "index"))) => continue,
                (1.., Some((gene, position))) if position.parse() == Ok(line - 1) && !gene.is_empty() => gene,
                _ => {
                    let found = found.chars().take(60).collect();
                    return Err(Error::GeneList { path: path.to_owned(), line: line + 1, found, expected });
                }
            };
            names.push(gene.to_owned());
        }
        if names.len() != N_GENES {
            return Err(Error::VocabSize { found: names.len(), expected: N_GENES });
        }
        Self::new(names)
    }

    /// A list of any length, for models of other genes.
    ///
    /// # Errors
    /// [`Error::KeyTwice`] for a repeated gene.
    pub fn new(names: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut positions = HashMap::new();
        for name in names {
            let next = positions.len() as u32;
            if positions.contains_key(&name) {
                return Err(Error::KeyTwice { key: name });
            }
            positions.insert(name, next);
        }
        Ok(Self { positions })
    }

    /// Number of genes.
    pub fn n_genes(&self) -> usize {
        self.positions.len()
    }

    /// Position of a gene, by its symbol.
    pub fn position(&self, symbol: &str) -> Option<u32> {
        self.positions.get(symbol).copied()
    }

    /// Every gene with its position, in no particular order.
    pub fn names(&self) -> impl Iterator<Item = (&str, u32)> {
        self.positions.iter().map(|(name, &position)| (name.as_str(), position))
    }

    /// Position of T, the depth that the cell should have; S, the depth that it has, is behind it.
    pub fn target_position(&self) -> u32 {
        self.positions.len() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str) -> Error {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("genes.tsv");
        std::fs::write(&path, text).unwrap();
        GeneList::open(path).unwrap_err()
    }

    #[test]
    fn the_first_line_that_is_wrong_is_named() {
        let error = open("gene_name\tindex\nA\t0\nB\t2\n");
        assert!(error.to_string().ends_with("line 3 is \"B\\t2\", expected a gene, a tab and 1"), "{error}");
        assert!(matches!(open("A\t0\n"), Error::GeneList { line: 1, .. }));
        assert!(matches!(open("gene_name\tindex\nA\t0\n"), Error::VocabSize { found: 1, expected: 19_264 }));
        assert!(matches!(GeneList::open("no/such/file"), Err(Error::Io(_))));
    }

    #[test]
    fn genes_have_the_positions_of_the_list() {
        let list = GeneList::new(["A".to_owned(), "B".to_owned()]).unwrap();
        assert_eq!((list.position("B"), list.position("C"), list.target_position()), (Some(1), None, 2));
        assert!(matches!(GeneList::new(["A".to_owned(), "A".to_owned()]), Err(Error::KeyTwice { .. })));
    }
}
