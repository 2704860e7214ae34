//! What is said of a cell or a cluster: genes by name, with values or without.
//!
//! Nothing here looks at labels. The order of genes is part of the evidence, so each function says what it is; ties
//! go by the order of the genes in the data.

mod disguise;
mod genes;

pub use disguise::Disguise;
pub use genes::is_uninformative;

/// What is said of one cell or cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Evidence {
    /// Names of genes, the first the most telling.
    Genes(Vec<String>),
    /// Names of genes and their values, the highest first.
    Values(Vec<(String, f32)>),
    /// The name of the cell and nothing about its genes: a control, from which no method can tell a type.
    Barcode(String),
}

/// Why there is nothing to say.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No gene is left.
    #[error("no gene to name: of {n_given} genes none is ranked or expressed, and informative")]
    NoGenes {
        /// Genes that were given.
        n_given: usize,
    },
    /// An expression that is none.
    #[error("gene {gene:?} has value {value}, expected a finite one")]
    NotFinite {
        /// The gene.
        gene: String,
        /// Its value.
        value: f32,
    },
    /// A value of a gene beyond the list of names.
    #[error("a value for gene number {gene}, but there are {n_genes} genes")]
    NoSuchGene {
        /// Its number, from 0.
        gene: usize,
        /// Number of names.
        n_genes: usize,
    },
    /// A gene to disguise that was not there when the disguise was made.
    #[error("gene {gene:?} has no disguise")]
    Undisguised {
        /// The gene.
        gene: String,
    },
    /// A name twice among those to disguise.
    #[error("gene {gene:?} is listed twice")]
    Twice {
        /// The gene.
        gene: String,
    },
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::NoGenes { .. } => {
                Some("the cell is empty or its genes are none of the list: leave it out, and count it")
            }
            Self::Undisguised { .. } => Some("make the disguise from the genes of the data, all of them"),
            _ => None,
        }
    }
}

/// Which genes of a cell are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopParams {
    /// Number of genes at most. Default 50.
    pub n_genes: usize,
    /// Leaves mitochondrial and ribosomal genes out, [`is_uninformative`]. Default true.
    pub drop_uninformative: bool,
}

impl Default for TopParams {
    fn default() -> Self {
        Self { n_genes: 50, drop_uninformative: true }
    }
}

/// The markers of a cluster: the first `n` of genes that were ranked, the best first, each once.
///
/// # Errors
/// [`Error::NoGenes`].
pub fn markers<S: AsRef<str>>(ranked: &[S], n: usize) -> Result<Evidence, Error> {
    let mut seen = std::collections::BTreeSet::new();
    let names = ranked.iter().map(AsRef::as_ref).filter(|name| !name.is_empty() && seen.insert(*name));
    let names: Vec<String> = names.take(n).map(str::to_owned).collect();
    some(Evidence::Genes(names), ranked.len())
}

/// The most expressed genes of a cell, the highest first.
///
/// * `genes`: all names.
/// * `cell`: numbers of genes and their values, counts or normalised; any order; zeros and negative values are no
///   expression. A sparse row gives its indices and values, a dense one `values.enumerate()`.
///
/// ```
/// use sc_llm::evidence::{Evidence, TopParams, top_genes};
///
/// let genes = ["MT-CO1", "CD3D", "NKG7", "MS4A1"];
/// let cell = [(0, 90.0), (1, 2.0), (2, 5.0), (3, 2.0)];
/// let evidence = top_genes(&genes, cell, &TopParams { n_genes: 2, ..Default::default() })?;
/// assert_eq!(evidence, Evidence::Genes(vec!["NKG7".into(), "CD3D".into()]));
/// # Ok::<(), sc_llm::evidence::Error>(())
/// ```
///
/// # Errors
/// [`Error::NoGenes`], [`Error::NotFinite`], [`Error::NoSuchGene`].
pub fn top_genes<S: AsRef<str>>(
    genes: &[S],
    cell: impl IntoIterator<Item = (usize, f32)>,
    params: &TopParams,
) -> Result<Evidence, Error> {
    let top = genes::top(genes, cell, params)?;
    some(
        Evidence::Genes(top.into_iter().map(|(gene, _)| genes[gene].as_ref().to_owned()).collect()),
        genes.len(),
    )
}

/// The most expressed genes of a cell with their values, which prompts write with two decimals. As [`top_genes`].
///
/// # Errors
/// Those of [`top_genes`].
pub fn top_values<S: AsRef<str>>(
    genes: &[S],
    cell: impl IntoIterator<Item = (usize, f32)>,
    params: &TopParams,
) -> Result<Evidence, Error> {
    let top = genes::top(genes, cell, params)?;
    let named = top.into_iter().map(|(gene, value)| (genes[gene].as_ref().to_owned(), value));
    some(Evidence::Values(named.collect()), genes.len())
}

/// The genes of a cell in the order of a fixed list, as CellReasoner was trained: those of the list whose value is not
/// zero, the first `n`. How much they are expressed does not enter, and negative values of integrated data count.
///
/// * `list`: names in their order; published is a list of 10,000, of which 1,000 are said.
/// * `cell`: as for [`top_genes`].
///
/// # Errors
/// Those of [`top_genes`].
pub fn fixed_order<S: AsRef<str>, L: AsRef<str>>(
    genes: &[S],
    cell: impl IntoIterator<Item = (usize, f32)>,
    list: &[L],
    n: usize,
) -> Result<Evidence, Error> {
    let expressed = genes::checked(genes, cell)?;
    let here: std::collections::HashSet<&str> =
        expressed.iter().filter(|&&(_, value)| value != 0.0).map(|&(gene, _)| genes[gene].as_ref()).collect();
    let names = list.iter().map(AsRef::as_ref).filter(|name| here.contains(name));
    some(Evidence::Genes(names.take(n).map(str::to_owned).collect()), genes.len())
}

/// The name of a cell, as a control: what it is answered with carries no biology.
pub fn barcode(cell: &str) -> Evidence {
    Evidence::Barcode(cell.to_owned())
}

fn some(evidence: Evidence, n_given: usize) -> Result<Evidence, Error> {
    match evidence.len() {
        0 => Err(Error::NoGenes { n_given }),
        _ => Ok(evidence),
    }
}

impl Evidence {
    /// Number of genes; 1 for a barcode.
    pub fn len(&self) -> usize {
        match self {
            Self::Genes(genes) => genes.len(),
            Self::Values(values) => values.len(),
            Self::Barcode(_) => 1,
        }
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests;
