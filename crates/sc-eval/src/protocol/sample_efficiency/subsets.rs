//! Nested subsets that keep the shares of the classes.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::Labels;
use crate::statistics::below;

/// The training cells in an order of which every head has the class shares of the whole, as nearly as whole cells allow.
///
/// The `r`-th cell of a class of `n` (from 0, in random order) goes at `(r + 1/2) / n`: Sainte-Laguë's way of giving seats
/// to parties. Classes that meet at one place go by the smaller one first, then by index.
pub(super) fn nested_order(labels: &Labels, train: &[usize], seed: u64, draw: (usize, usize)) -> Vec<usize> {
    let mut by_class: Vec<Vec<usize>> = vec![Vec::new(); labels.n_classes()];
    for &cell in train {
        by_class[labels.codes()[cell] as usize].push(cell);
    }
    let (fold, repeat) = draw;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(((fold as u64) << 32) | repeat as u64);
    let mut placed = Vec::with_capacity(train.len());
    for (class, cells) in by_class.iter_mut().enumerate() {
        shuffle(&mut rng, cells);
        let n = cells.len();
        // (2r + 1) / 2n as a fraction: the order is exact.
        placed
            .extend(cells.iter().enumerate().map(|(r, &cell)| ((2 * r + 1) as u128, n as u128, class, cell)));
    }
    placed.sort_by(|a, b| (a.0 * b.1).cmp(&(b.0 * a.1)).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    placed.into_iter().map(|(.., cell)| cell).collect()
}

/// Fisher and Yates' shuffle from the end.
fn shuffle(rng: &mut ChaCha8Rng, cells: &mut [usize]) {
    for i in (1..cells.len()).rev() {
        let j = below(rng, u32::try_from(i + 1).unwrap_or(u32::MAX)) as usize;
        cells.swap(i, j);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_head_has_the_shares_of_the_whole_within_a_cell() {
        let names: Vec<&str> =
            (0..500).map(|i| if i % 50 == 0 { "rare" } else { ["B", "T", "T"][i % 3] }).collect();
        let labels = Labels::new(&names).unwrap();
        let train: Vec<usize> = (0..400).collect();
        let order = nested_order(&labels, &train, 3, (0, 0));
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, train);
        let share = |cells: &[usize], class: u32| {
            cells.iter().filter(|&&cell| labels.codes()[cell] == class).count() as f64 / cells.len() as f64
        };
        for size in [10, 37, 100, 250] {
            for class in 0..3 {
                let gap = share(&order[..size], class) - share(&train, class);
                assert!(gap.abs() * size as f64 <= 1.5, "{size} {class} {gap}");
            }
        }
    }

    #[test]
    fn another_draw_has_other_cells_and_the_same_draw_the_same() {
        let labels = Labels::new(&(0..60).map(|i| ["B", "T"][i % 2]).collect::<Vec<_>>()).unwrap();
        let train: Vec<usize> = (0..60).collect();
        let order = |seed, draw| nested_order(&labels, &train, seed, draw);
        assert_eq!(order(0, (1, 2)), order(0, (1, 2)));
        assert_ne!(order(0, (1, 2)), order(0, (2, 1)));
        assert_ne!(order(0, (0, 0)), order(1, (0, 0)));
    }
}
