use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::rank_sum::{against, benjamini_hochberg};
use crate::perturb::{Error, Gene, Table, Value};

/// How shifts are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GoalParams {
    /// Largest number of shifts that stand for those of all genes; of more, as many are drawn. Default 100,000.
    pub max_pooled: usize,
    /// Seed of that draw. Default 42.
    pub seed: u64,
    /// False discovery rate below which a gene counts. Default 0.05.
    pub alpha: f64,
}

impl Default for GoalParams {
    fn default() -> Self {
        Self { max_pooled: 100_000, seed: 42, alpha: 0.05 }
    }
}

/// The shift of a gene to one state.
#[derive(Clone, Debug, PartialEq)]
pub struct StateShift {
    /// The state.
    pub state: String,
    /// Mean over cells.
    pub mean: f64,
    /// Of a rank-sum test against the shifts of all genes to the same state.
    pub p: f64,
    /// `p`, adjusted for the number of genes.
    pub fdr: f64,
}

/// What perturbing a gene does to cells of the start state.
#[derive(Clone, Debug, PartialEq)]
pub struct GoalStateShift {
    /// The gene.
    pub gene: Gene,
    /// Towards the goal.
    pub goal: StateShift,
    /// Towards each alternative.
    pub alternatives: Vec<StateShift>,
    /// Cells in which the gene was perturbed.
    pub n_detections: usize,
    /// Whether the false discovery rate of the goal is below [`GoalParams::alpha`].
    pub is_significant: bool,
}

/// The mean shift of each gene to the goal and to the alternatives, the significant genes first, then by falling shift
/// to the goal.
///
/// The shifts that a gene is compared with are those of all genes, its own among them. Where they are too many, the draw
/// is another than Python's `random.sample` with the same seed.
///
/// # Errors
/// [`Error::NoState`]; [`Error::TooFew`] for a table without rows.
pub fn goal_state_shift(
    table: &Table,
    goal: &str,
    alternatives: &[&str],
    params: &GoalParams,
) -> Result<Vec<GoalStateShift>, Error> {
    let of_goal = state_shifts(table, goal, params)?;
    let of_others = alternatives.iter().map(|state| state_shifts(table, state, params));
    let mut of_others = of_others.collect::<Result<Vec<_>, Error>>()?;
    let counts = table.values(Value::Shift(goal))?;
    let mut found = vec![];
    for (gene, goal) in of_goal.into_iter().enumerate() {
        let Some(goal) = goal else { continue };
        let others = of_others.iter_mut().filter_map(|shifts| shifts[gene].take());
        found.push(GoalStateShift {
            gene: table.genes[gene].clone(),
            is_significant: goal.fdr < params.alpha,
            goal,
            alternatives: others.collect(),
            n_detections: counts[gene].len(),
        });
    }
    if found.is_empty() {
        let (what, of) = ("the shift to a goal state", "perturbed gene");
        return Err(Error::TooFew { what, of, found: 0, expected: 1 });
    }
    found.sort_by(|a, b| b.is_significant.cmp(&a.is_significant).then(b.goal.mean.total_cmp(&a.goal.mean)));
    Ok(found)
}

/// For each gene of the table, if it was perturbed.
fn state_shifts(table: &Table, state: &str, params: &GoalParams) -> Result<Vec<Option<StateShift>>, Error> {
    let mut values = table.values(Value::Shift(state))?;
    let mut pooled = sample(values.concat(), params.max_pooled, params.seed);
    pooled.sort_by(f64::total_cmp);
    let means: Vec<f64> = values.iter().map(|values| super::mean(values)).collect();
    let p: Vec<Option<f64>> =
        values.iter_mut().map(|values| against(&values.clone(), values, &pooled)).collect();
    let shifts = means.into_iter().zip(&p).zip(benjamini_hochberg(&p));
    let shift = |((mean, p), fdr): ((f64, &Option<f64>), Option<f64>)| {
        Some(StateShift { state: state.to_owned(), mean, p: (*p)?, fdr: fdr? })
    };
    Ok(shifts.map(shift).collect())
}

/// `n` of the values without repetition, or all of them.
fn sample(mut values: Vec<f64>, n: usize, seed: u64) -> Vec<f64> {
    if values.len() <= n {
        return values;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for i in 0..n {
        // The high half of the product is uniform to within 2⁻³² for lists that fit into memory.
        let rest = (values.len() - i) as u128;
        let step = (u128::from(rng.next_u64()) * rest) >> 64;
        values.swap(i, i + step as usize);
    }
    values.truncate(n);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_drawn_without_repetition_and_again_the_same() {
        let values: Vec<f64> = (0..1000).map(f64::from).collect();
        let drawn = sample(values.clone(), 100, 42);
        assert_eq!(drawn, sample(values.clone(), 100, 42));
        assert_ne!(drawn, sample(values.clone(), 100, 43));
        let mut sorted = drawn.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.dedup();
        assert_eq!((sorted.len(), drawn.len()), (100, 100));
        assert_eq!(sample(values.clone(), 1000, 42), values);
    }
}
