use std::collections::BTreeMap;

use crate::perturb::{Error, Gene, Table, Value};

/// A value of a perturbed gene over cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// The gene.
    pub gene: Gene,
    /// The value of each cell, in order of the table.
    pub values: Vec<f64>,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation, with n below the line.
    pub sd: f64,
}

/// What perturbing a gene does to another.
#[derive(Clone, Debug, PartialEq)]
pub struct AffectedShift {
    /// The perturbed gene.
    pub gene: Gene,
    /// The gene affected.
    pub affected: Gene,
    /// Mean cosine over cells.
    pub mean: f64,
    /// Its standard deviation, with n below the line.
    pub sd: f64,
    /// Cells that have both genes.
    pub n_detections: usize,
}

/// The values of each perturbed gene over cells, in order of the table.
///
/// # Errors
/// [`Error::NoState`].
pub fn aggregate_data(table: &Table, value: Value<'_>) -> Result<Vec<Aggregate>, Error> {
    let values = table.genes.iter().zip(table.values(value)?).filter(|(_, values)| !values.is_empty());
    let aggregate = |(gene, values): (&Gene, Vec<f64>)| Aggregate {
        gene: gene.clone(),
        mean: super::mean(&values),
        sd: super::deviation(&values),
        values,
    };
    Ok(values.map(aggregate).collect())
}

/// The cosines of each affected gene over cells, in order of the genes of the table.
///
/// # Errors
/// [`Error::TooFew`] for a table without affected genes.
pub fn aggregate_gene_shifts(table: &Table) -> Result<Vec<AffectedShift>, Error> {
    let mut pairs: BTreeMap<(usize, usize), Vec<f64>> = BTreeMap::new();
    for row in &table.rows {
        if let Some(affected) = row.affected {
            pairs.entry((row.gene, affected)).or_default().push(row.cosine.into());
        }
    }
    if pairs.is_empty() {
        let (what, of) = ("the shift of genes", "row of an affected gene");
        return Err(Error::TooFew { what, of, found: 0, expected: 1 });
    }
    let shift = |((gene, affected), values): ((usize, usize), Vec<f64>)| AffectedShift {
        gene: table.genes[gene].clone(),
        affected: table.genes[affected].clone(),
        mean: super::mean(&values),
        sd: super::deviation(&values),
        n_detections: values.len(),
    };
    Ok(pairs.into_iter().map(shift).collect())
}
