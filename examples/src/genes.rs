//! The genes that several data sets share, whatever they call them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

use crate::end::Usage;
use crate::progress::thousands;

/// Fewer shared genes than this are an error of naming, not a data set.
const FEWEST: usize = 50;

/// Names of genes by their identifiers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GeneTable(BTreeMap<String, String>);

impl GeneTable {
    /// Reads a CSV or TSV file whose first column is an identifier and whose second is the name; a header does no harm.
    ///
    /// # Errors
    /// If the file cannot be read, or a line has fewer than two columns.
    pub fn read(path: &Path) -> Result<Self> {
        let tab = path.extension().is_some_and(|extension| extension == "tsv" || extension == "txt");
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(if tab { b'\t' } else { b',' })
            .from_path(path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        let mut names = BTreeMap::new();
        for (line, record) in reader.records().enumerate() {
            let record = record.with_context(|| format!("cannot read `{}`", path.display()))?;
            let (Some(id), Some(name)) = (record.get(0), record.get(1)) else {
                let text = format!(
                    "`{}`, line {}: a gene table has an identifier and a name",
                    path.display(),
                    line + 1
                );
                return Err(Usage(text).into());
            };
            if !name.trim().is_empty() {
                names.entry(bare(id).to_owned()).or_insert_with(|| name.trim().to_owned());
            }
        }
        Ok(Self(names))
    }

    /// The name to compare a gene by.
    pub fn name<'a>(&'a self, gene: &'a str) -> &'a str {
        let id = bare(gene);
        self.0.get(id).map_or(id, String::as_str)
    }
}

/// An Ensembl identifier without its version.
fn bare(gene: &str) -> &str {
    let gene = gene.trim();
    match gene.split_once('.') {
        Some((id, version)) if id.starts_with("ENS") && version.bytes().all(|b| b.is_ascii_digit()) => id,
        _ => gene,
    }
}

/// The columns of the genes that all data sets have: a list for each data set, all in the order of the first.
///
/// A data set that has a gene twice takes part with the first of them.
///
/// # Errors
/// [`Usage`] if they share fewer than 50 genes.
pub fn shared_genes(sets: &[(&str, &[String])], table: &GeneTable) -> Result<Vec<Vec<usize>>> {
    let places: Vec<BTreeMap<&str, usize>> = sets
        .iter()
        .map(|(_, genes)| {
            let mut place = BTreeMap::new();
            for (at, gene) in genes.iter().enumerate() {
                place.entry(table.name(gene)).or_insert(at);
            }
            place
        })
        .collect();
    let Some((first, others)) = places.split_first() else { return Ok(Vec::new()) };
    let mut columns: Vec<(usize, &str)> = first
        .iter()
        .filter(|(gene, _)| others.iter().all(|other| other.contains_key(*gene)))
        .map(|(gene, at)| (*at, *gene))
        .collect();
    columns.sort_unstable();
    if columns.len() < FEWEST {
        let sizes: Vec<String> = sets
            .iter()
            .map(|(name, genes)| {
                let example = genes.first().map_or("none", String::as_str);
                format!("{name} has {}, such as {example:?}", thousands(genes.len()))
            })
            .collect();
        let text = format!(
            "the data sets share {} genes, too few to compare them ({}); if one names genes by identifier and another by \
             symbol, pass --gene-table with a CSV of identifier,name",
            columns.len(),
            sizes.join("; ")
        );
        return Err(Usage(text).into());
    }
    let genes: Vec<&str> = columns.iter().map(|(_, gene)| *gene).collect();
    Ok(places.iter().map(|place| genes.iter().map(|gene| place[gene]).collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn genes(prefix: &str, range: std::ops::Range<usize>) -> Vec<String> {
        range.map(|i| format!("{prefix}{i}")).collect()
    }

    #[test]
    fn shared_genes_come_in_the_order_of_the_first_set() {
        let (a, mut b) = (genes("G", 0..80), genes("G", 20..100));
        b.reverse();
        let columns = shared_genes(&[("a", &a), ("b", &b)], &GeneTable::default()).unwrap();
        assert_eq!(columns[0], (20..80).collect::<Vec<_>>());
        assert_eq!(columns[1], (20..80).map(|i| 99 - i).collect::<Vec<_>>());
    }

    #[test]
    fn a_table_makes_identifiers_and_symbols_meet() {
        let ids: Vec<String> = genes("ENSG", 0..60).iter().map(|id| format!("{id}.3")).collect();
        let symbols = genes("G", 0..60);
        let table = GeneTable((0..60).map(|i| (format!("ENSG{i}"), format!("G{i}"))).collect());
        assert_eq!(shared_genes(&[("a", &ids), ("b", &symbols)], &table).unwrap()[1].len(), 60);
        let refused =
            shared_genes(&[("a", &ids), ("b", &symbols)], &GeneTable::default()).unwrap_err().to_string();
        assert!(refused.contains("share 0 genes") && refused.contains("--gene-table"), "{refused}");
    }

    #[test]
    fn a_table_is_two_columns() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("genes.csv");
        std::fs::write(&path, "ENSG1.2,A1BG\nENSG2,\nENSG3,MT-CO1,more\n").unwrap();
        let table = GeneTable::read(&path).unwrap();
        assert_eq!(
            [table.name("ENSG1"), table.name("ENSG2.9"), table.name("RP11.3")],
            ["A1BG", "ENSG2", "RP11.3"]
        );
        std::fs::write(&path, "ENSG1\n").unwrap();
        assert!(GeneTable::read(&path).unwrap_err().to_string().contains("line 1"));
    }
}
