//! One tree of a random forest, whatever the layout of the features.

use rand_chacha::ChaCha8Rng;

use super::GrownTree;
use crate::classifiers::binned::Slots;
use crate::classifiers::draw::{below, by_weight};
use crate::classifiers::tree::Tree;

/// What all trees of a forest share.
pub(super) struct Task<'a> {
    pub(super) codes: &'a [u32],
    pub(super) n_classes: usize,
    /// Sums of the rows' weights up to and with each; `None` if all weigh the same.
    pub(super) cumulative: Option<&'a [f64]>,
    pub(super) max_features: usize,
    pub(super) max_depth: usize,
    pub(super) min_samples_split: usize,
    pub(super) min_samples_leaf: usize,
}

/// A training cell and how often the bootstrap drew it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cell {
    pub(super) row: u32,
    pub(super) code: u32,
    pub(super) weight: u32,
}

/// A node whose thresholds are compared.
pub(super) struct Node<'a> {
    pub(super) id: u32,
    /// Its cells, in order of their rows.
    pub(super) cells: &'a [Cell],
    /// How often cells of each class were drawn, the sum of that and of its squares.
    pub(super) totals: &'a [i64],
    pub(super) sum: i64,
    pub(super) squares: i64,
    pub(super) min_samples_leaf: usize,
}

/// The best split of a node so far: of equals the first column looked at, and its lowest threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Split {
    pub(super) score: f64,
    pub(super) column: usize,
    /// Rows whose slot is at most this go left.
    pub(super) last_left: u32,
    pub(super) first_right: u32,
}

/// A layout of the features, with the buffers to grow a tree on it.
pub(super) trait Search {
    fn slots(&self) -> &Slots;

    /// Begins a node. What it returns is given to its children as `above`, which for a root is 0; nodes come depth
    /// first.
    fn enter(&mut self, node: &Node<'_>, above: usize) -> usize;

    /// Offers every threshold of a column.
    fn look(&mut self, node: &Node<'_>, column: usize, best: &mut Option<Split>);

    /// Adds for each cell of the node whether it goes left.
    fn sides(&mut self, node: &Node<'_>, split: &Split, left: &mut Vec<bool>);
}

/// A node to be split or closed: its cells are `cells[from..to]`.
struct Open {
    node: u32,
    depth: usize,
    from: usize,
    to: usize,
    above: usize,
}

impl Task<'_> {
    pub(super) fn grow(&self, search: &mut impl Search, rng: &mut ChaCha8Rng) -> GrownTree {
        let mut cells = self.bootstrap(rng);
        let mut tree = Tree::leaf(0);
        let mut frequencies = Vec::new();
        let mut features: Vec<u32> = (0..search.slots().n_columns() as u32).collect();
        let mut totals = vec![0i64; self.n_classes];
        let (mut left, mut spare) = (Vec::new(), Vec::new());
        let mut open = vec![Open { node: 0, depth: 0, from: 0, to: cells.len(), above: 0 }];
        while let Some(Open { node: id, depth, from, to, above }) = open.pop() {
            totals.fill(0);
            cells[from..to].iter().for_each(|cell| totals[cell.code as usize] += i64::from(cell.weight));
            let (sum, squares) = (totals.iter().sum::<i64>(), totals.iter().map(|t| t * t).sum::<i64>());
            let min_samples_leaf = self.min_samples_leaf;
            let node = Node { id, cells: &cells[from..to], totals: &totals, sum, squares, min_samples_leaf };
            let pure = squares == sum * sum;
            let mut best = None;
            let mut held = above;
            if !pure && depth < self.max_depth && to - from >= self.min_samples_split {
                held = search.enter(&node, above);
                best = self.best_split(search, &node, &mut features, rng);
            }
            let Some(split) = best else {
                tree.set_leaf(id, (frequencies.len() / totals.len()) as u32);
                tree.set_seen(id, 0.0, sum as f32);
                frequencies.extend(totals.iter().map(|&t| (t as f64 / sum as f64) as f32));
                continue;
            };
            left.clear();
            search.sides(&node, &split, &mut left);
            let threshold = search.slots().threshold(split.last_left, split.first_right);
            let (to_left, to_right) = tree.split(id, split.column as u32, threshold);
            tree.set_seen(id, (split.score - squares as f64 / sum as f64) as f32, sum as f32);
            let middle = from + part(&mut cells[from..to], &left, &mut spare);
            open.push(Open { node: to_right, depth: depth + 1, from: middle, to, above: held });
            open.push(Open { node: to_left, depth: depth + 1, from, to: middle, above: held });
        }
        GrownTree { tree, frequencies }
    }

    /// Draws as many cells as there are, with replacement.
    fn bootstrap(&self, rng: &mut ChaCha8Rng) -> Vec<Cell> {
        let n = self.codes.len();
        let mut weights = vec![0u32; n];
        for _ in 0..n {
            let row = match self.cumulative {
                None => below(rng, n),
                Some(cumulative) => by_weight(rng, cumulative),
            };
            weights[row] += 1;
        }
        let cells = (0..).zip(weights).zip(self.codes).filter(|((_, weight), _)| *weight > 0);
        cells.map(|((row, weight), &code)| Cell { row, code, weight }).collect()
    }

    /// Draws features without replacement until `max_features` were looked at and one of them can split.
    fn best_split(
        &self,
        search: &mut impl Search,
        node: &Node<'_>,
        features: &mut [u32],
        rng: &mut ChaCha8Rng,
    ) -> Option<Split> {
        let mut best: Option<Split> = None;
        for drawn in 0..features.len() {
            if drawn >= self.max_features && best.is_some() {
                break;
            }
            let other = drawn + below(rng, features.len() - drawn);
            features.swap(drawn, other);
            search.look(node, features[drawn] as usize, &mut best);
        }
        best
    }
}

/// Moves the cells that go left to the front, in order, and returns how many they are.
fn part(cells: &mut [Cell], left: &[bool], spare: &mut Vec<Cell>) -> usize {
    spare.clear();
    spare.resize(cells.len(), Cell { row: 0, code: 0, weight: 0 });
    let (mut to_left, mut to_right) = (0, 0);
    // Every cell is written to both sides and one position moves on: no branch to guess wrong.
    for (at, &goes_left) in left.iter().enumerate() {
        let cell = cells[at];
        cells[to_left] = cell;
        spare[to_right] = cell;
        to_left += usize::from(goes_left);
        to_right += usize::from(!goes_left);
    }
    cells[to_left..].copy_from_slice(&spare[..to_right]);
    to_left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parting_keeps_order_on_both_sides() {
        let cell = |row| Cell { row, code: 0, weight: 1 };
        let mut cells: Vec<Cell> = (0..5).map(cell).collect();
        let mut spare = Vec::new();
        assert_eq!(part(&mut cells, &[false, true, true, false, true], &mut spare), 3);
        assert_eq!(cells, [1, 2, 4, 0, 3].map(cell));
        assert_eq!(part(&mut cells, &[true; 5], &mut spare), 5);
        assert_eq!(part(&mut cells, &[false; 5], &mut spare), 0);
        assert_eq!(cells, [1, 2, 4, 0, 3].map(cell));
    }
}
