//! The genes of a cell.

use super::{Error, TopParams};

/// Whether a gene is expressed in every cell alike: mitochondrial (`MT-`), or a protein of the ribosome (`RPL`, `RPS`;
/// kinases `RPS6K` are none). Names of mouse genes (`mt-`, `Rpl`) count as well.
pub fn is_uninformative(gene: &str) -> bool {
    let starts =
        |prefix: &str| gene.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    starts("MT-") || starts("RPL") || starts("RPS") && !starts("RPS6K")
}

/// The values of a cell, by number of the gene.
pub(super) fn checked<S: AsRef<str>>(
    genes: &[S],
    cell: impl IntoIterator<Item = (usize, f32)>,
) -> Result<Vec<(usize, f32)>, Error> {
    let check = |(gene, value): (usize, f32)| match genes.get(gene) {
        None => Err(Error::NoSuchGene { gene, n_genes: genes.len() }),
        Some(name) if !value.is_finite() => Err(Error::NotFinite { gene: name.as_ref().to_owned(), value }),
        Some(_) => Ok((gene, value)),
    };
    cell.into_iter().map(check).collect()
}

/// The most expressed, the highest first; of equals, the first of the data.
pub(super) fn top<S: AsRef<str>>(
    genes: &[S],
    cell: impl IntoIterator<Item = (usize, f32)>,
    params: &TopParams,
) -> Result<Vec<(usize, f32)>, Error> {
    let mut expressed = checked(genes, cell)?;
    expressed.retain(|&(gene, value)| {
        value > 0.0 && !(params.drop_uninformative && is_uninformative(genes[gene].as_ref()))
    });
    let order = |a: &(usize, f32), b: &(usize, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if params.n_genes < expressed.len() {
        // Thousands are expressed and a few dozen are said.
        expressed.select_nth_unstable_by(params.n_genes, order);
        expressed.truncate(params.n_genes);
    }
    expressed.sort_unstable_by(order);
    Ok(expressed)
}
