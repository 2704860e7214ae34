//! Which perturbations there are, in the order of their results.

use std::ops::Range;

use super::edit::{self, Edited};
use super::{Error, GoalStates, PerturbCells, Perturbation, Selection};

/// Genes by their tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    Each,
    Together(Vec<u32>),
    Anchored(u32),
}

/// How cells are perturbed.
#[derive(Clone, Debug)]
pub(crate) struct Scheme {
    pub(crate) perturbation: Perturbation,
    pub(crate) plan: Plan,
    /// Special tokens at either end of a cell.
    pub(crate) ends: usize,
    /// Tokens that a cell has at most.
    pub(crate) longest: usize,
}

/// All perturbations of some cells: for each cell in turn, for each gene in turn.
pub(crate) struct Items<'c> {
    scheme: &'c Scheme,
    cells: &'c PerturbCells<'c>,
    /// The cells that are perturbed.
    chosen: Vec<usize>,
    /// Where the perturbations of each begin, and the end of the last.
    offsets: Vec<usize>,
    pub(crate) selection: Selection,
}

/// One perturbation of one cell.
pub(crate) struct Item {
    /// Which of the cells given.
    pub(crate) cell: usize,
    /// The rank of the gene, from 0, if it is one of the cell's in turn.
    pub(crate) position: Option<usize>,
    /// The perturbed genes, without the anchor.
    pub(crate) tokens: Vec<u32>,
    pub(crate) edited: Edited,
}

impl Scheme {
    fn n_genes(&self, cell: &[u32]) -> usize {
        cell.len() - 2 * self.ends
    }

    fn genes(&self, cell: &[u32]) -> Range<usize> {
        self.ends..cell.len() - self.ends
    }

    fn place(&self, cell: &[u32], token: u32) -> Option<usize> {
        self.genes(cell).find(|&place| cell[place] == token)
    }

    fn has_genes(&self, cell: &[u32]) -> bool {
        let has = |&token: &u32| self.place(cell, token).is_some();
        match (&self.plan, self.perturbation) {
            (Plan::Together(tokens), Perturbation::Delete) => tokens.iter().all(has),
            (Plan::Anchored(token), _) => has(token),
            _ => true,
        }
    }

    /// Perturbations of a cell that has the genes; none if no other gene would be left.
    fn n_items(&self, cell: &[u32]) -> usize {
        let n = self.n_genes(cell);
        match (&self.plan, self.perturbation) {
            (Plan::Each, Perturbation::Delete) => {
                if n >= 2 {
                    n
                } else {
                    0
                }
            }
            (Plan::Each, Perturbation::Overexpress) => n.saturating_sub(1),
            (Plan::Anchored(_), _) => {
                if n >= 3 {
                    n - 1
                } else {
                    0
                }
            }
            (Plan::Together(tokens), _) => {
                usize::from(self.genes(cell).any(|place| !tokens.contains(&cell[place])))
            }
        }
    }

    fn item(&self, cell: usize, ids: &[u32], k: usize) -> Item {
        let at = |places: &[usize]| edit::at(ids, self.ends, places, self.perturbation);
        let (place, edited) = match &self.plan {
            Plan::Each => {
                // The gene at the top cannot rise.
                let place = self.ends + k + usize::from(self.perturbation == Perturbation::Overexpress);
                (Some(place), at(&[place]))
            }
            Plan::Anchored(anchor) => {
                let anchor = self.place(ids, *anchor).expect("cells without the anchor are left out");
                let place = self.ends + k + usize::from(self.ends + k >= anchor);
                (Some(place), at(&[place.min(anchor), place.max(anchor)]))
            }
            Plan::Together(tokens) => match self.perturbation {
                Perturbation::Delete => {
                    let places = tokens.iter().filter_map(|&token| self.place(ids, token));
                    let mut places: Vec<usize> = places.collect();
                    places.sort_unstable();
                    (None, at(&places))
                }
                Perturbation::Overexpress => (None, edit::insert(ids, self.ends, tokens, self.longest).1),
            },
        };
        let tokens = match (&self.plan, place) {
            (Plan::Together(tokens), _) => tokens.clone(),
            (_, place) => place.map(|place| ids[place]).into_iter().collect(),
        };
        Item { cell, position: place.map(|place| place - self.ends), tokens, edited }
    }
}

impl<'c> Items<'c> {
    pub(crate) fn new(
        scheme: &'c Scheme,
        cells: &'c PerturbCells<'c>,
        states: Option<&GoalStates<'_>>,
    ) -> Result<Self, Error> {
        if let (Some(states), Some(&row)) = (states, cells.rows.iter().max())
            && row >= states.labels.len()
        {
            return Err(Error::Labels { found: states.labels.len(), row });
        }
        let mut selection = Selection { n_cells: cells.ids.len(), ..Selection::default() };
        let (mut chosen, mut offsets, mut end) = (vec![], vec![0], 0);
        for (cell, (&ids, &row)) in cells.ids.iter().zip(&cells.rows).enumerate() {
            let is_start = states.is_none_or(|states| states.labels[row].as_deref() == Some(states.start));
            let count = match (is_start, scheme.has_genes(ids), scheme.n_items(ids)) {
                (false, ..) => &mut selection.n_other_state,
                (_, false, _) => &mut selection.n_without_genes,
                (.., 0) => &mut selection.n_too_short,
                (.., n) => {
                    chosen.push(cell);
                    end += n;
                    offsets.push(end);
                    &mut selection.n_kept
                }
            };
            *count += 1;
        }
        match chosen.is_empty() {
            true => Err(Error::NoCells(selection)),
            false => Ok(Self { scheme, cells, chosen, offsets, selection }),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.offsets[self.chosen.len()]
    }

    /// The cell of an item.
    pub(crate) fn cell(&self, item: usize) -> usize {
        self.chosen[self.offsets.partition_point(|&offset| offset <= item) - 1]
    }

    pub(crate) fn is_chosen(&self, cell: usize) -> bool {
        self.chosen.binary_search(&cell).is_ok()
    }

    pub(crate) fn get(&self, item: usize) -> Item {
        let at = self.offsets.partition_point(|&offset| offset <= item) - 1;
        let cell = self.chosen[at];
        self.scheme.item(cell, self.cells.ids[cell], item - self.offsets[at])
    }

    /// What the perturbations of a cell are compared with.
    pub(crate) fn original(&self, cell: usize) -> Vec<u32> {
        let ids = self.cells.ids[cell];
        match (&self.scheme.plan, self.scheme.perturbation) {
            (Plan::Together(tokens), Perturbation::Overexpress) => {
                edit::insert(ids, self.scheme.ends, tokens, self.scheme.longest).0
            }
            _ => ids.to_vec(),
        }
    }

    /// The number of tokens of a cell and of each of its perturbations, at most, and how many of these there are.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = (usize, usize)> {
        let counts = self.offsets.windows(2).map(|pair| pair[1] - pair[0]);
        self.chosen.iter().zip(counts).map(|(&cell, n)| (self.cells.ids[cell].len(), n))
    }
}
