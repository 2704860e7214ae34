//! Other names for genes, to see how much of an answer is memory of their names.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::{Error, Evidence};

/// A new name for every gene, the same in all cells.
///
/// A model that reads expression keeps what it knows of a cell's neighbours and loses what it knows of names. Accuracy
/// under a disguise that stays above chance comes from somewhere else than the genes: from the prompt or a leak.
///
/// ```
/// use sc_llm::evidence::{Disguise, markers};
///
/// let disguise = Disguise::pseudonyms(&["CD3D", "MS4A1", "NKG7"], 7)?;
/// let evidence = disguise.apply(&markers(&["MS4A1"], 10)?)?;
/// assert!(format!("{evidence:?}").contains("GENE0"));
/// # Ok::<(), sc_llm::evidence::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disguise(BTreeMap<String, String>);

impl Disguise {
    /// Every gene gets the name of another gene or, by chance, keeps its own: names are real and say nothing.
    ///
    /// * `genes`: all genes of the data, each once.
    /// * `seed`: same seed and same genes in the same order, same names.
    ///
    /// # Errors
    /// [`Error::Twice`].
    pub fn shuffled<S: AsRef<str>>(genes: &[S], seed: u64) -> Result<Self, Error> {
        let order = permutation(genes.len(), seed);
        Self::of(genes, |place| genes[order[place]].as_ref().to_owned())
    }

    /// Every gene gets a number in place of its name, `GENE00042`: drawn, so that the order of the data does not show.
    ///
    /// # Errors
    /// [`Error::Twice`].
    pub fn pseudonyms<S: AsRef<str>>(genes: &[S], seed: u64) -> Result<Self, Error> {
        let order = permutation(genes.len(), seed);
        Self::of(genes, |place| format!("GENE{:05}", order[place]))
    }

    fn of<S: AsRef<str>>(genes: &[S], name: impl Fn(usize) -> String) -> Result<Self, Error> {
        let mut names = BTreeMap::new();
        for (place, gene) in genes.iter().map(AsRef::as_ref).enumerate() {
            if names.insert(gene.to_owned(), name(place)).is_some() {
                return Err(Error::Twice { gene: gene.to_owned() });
            }
        }
        Ok(Self(names))
    }

    /// The evidence under the new names; a barcode stays.
    ///
    /// # Errors
    /// [`Error::Undisguised`].
    pub fn apply(&self, evidence: &Evidence) -> Result<Evidence, Error> {
        let name = |gene: &String| {
            self.0.get(gene).cloned().ok_or_else(|| Error::Undisguised { gene: gene.clone() })
        };
        Ok(match evidence {
            Evidence::Genes(genes) => Evidence::Genes(genes.iter().map(name).collect::<Result<_, _>>()?),
            Evidence::Values(values) => {
                let renamed = values.iter().map(|(gene, value)| Ok((name(gene)?, *value)));
                Evidence::Values(renamed.collect::<Result<_, Error>>()?)
            }
            Evidence::Barcode(_) => evidence.clone(),
        })
    }
}

/// Fisher and Yates, with unbiased draws.
fn permutation(n: usize, seed: u64) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        order.swap(last, below(&mut rng, last as u64 + 1) as usize);
    }
    order
}

/// A number below `n`: draws beyond the last whole multiple of `n` are drawn again.
fn below(rng: &mut ChaCha8Rng, n: u64) -> u64 {
    let limit = u64::MAX - u64::MAX % n;
    loop {
        let draw = rng.next_u64();
        if draw < limit {
            return draw % n;
        }
    }
}
