//! The bootstrap over donors: cells of one donor are alike, so donors are drawn, not cells.

use super::bootstrap::below;
use super::{BootstrapParams, Interval};
use crate::metrics::classification::ConfusionMatrix;
use crate::{Error, Result};

/// Percentile interval of a statistic over cells that come in groups: as many groups as there are, drawn with
/// replacement, each with all its cells (the cluster bootstrap, Field & Welsh 2007).
///
/// * `groups`: the group of each cell (donor, sample, batch); any integers, e.g. the codes of [`crate::Labels`].
/// * `statistic`: the score of the drawn cells, which repeat as often as their group was drawn.
///
/// The interval covers the draw of other donors. With few of them it is too narrow: below about ten donors read it as a
/// lower bound of the doubt.
///
/// # Errors
/// [`Error::Empty`]; [`Error::Parameter`] with fewer than two groups, or for parameters out of range.
///
/// ```
/// use sc_eval::statistics::{BootstrapParams, bootstrap, bootstrap_groups};
///
/// // Twenty donors of fifty cells; half of the donors are labelled wrongly throughout.
/// let donors: Vec<u32> = (0..1000).map(|cell| cell / 50).collect();
/// let correct: Vec<f64> = donors.iter().map(|donor| f64::from(donor % 2)).collect();
/// let accuracy = |cells: &[usize]| cells.iter().map(|&i| correct[i]).sum::<f64>() / cells.len() as f64;
/// let by_donor = bootstrap_groups(&donors, &BootstrapParams::default(), accuracy)?;
/// let by_cell = bootstrap(1000, &BootstrapParams::default(), accuracy)?;
/// assert!(by_donor.high - by_donor.low > 5.0 * (by_cell.high - by_cell.low));
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn bootstrap_groups(
    groups: &[u32],
    params: &BootstrapParams,
    mut statistic: impl FnMut(&[usize]) -> f64,
) -> Result<Interval> {
    params.validate()?;
    if groups.is_empty() {
        return Err(Error::Empty { what: "groups" });
    }
    let mut cells: Vec<usize> = (0..groups.len()).collect();
    cells.sort_by_key(|&cell| groups[cell]);
    let by_group: Vec<&[usize]> = cells.chunk_by(|&a, &b| groups[a] == groups[b]).collect();
    let n_groups = check_n_groups(by_group.len())?;
    let mut drawn = Vec::with_capacity(groups.len());
    let replicate = |index| {
        let mut rng = params.rng(index);
        drawn.clear();
        for _ in 0..n_groups {
            drawn.extend_from_slice(by_group[below(&mut rng, n_groups) as usize]);
        }
        statistic(&drawn)
    };
    Ok(params.interval((0..params.n_replicates).map(replicate).collect()))
}

/// [`bootstrap_groups`] from counts alone: percentile intervals of some metrics of all cells together.
///
/// * `groups`: the confusion matrix of each donor, of the same classes.
/// * `metrics`: scores of a confusion matrix, e.g. [`ConfusionMatrix::accuracy`].
/// * returns: one interval per metric; all see the same replicates.
///
/// A replicate adds up the counts of the donors drawn, so its cost does not depend on the number of cells.
///
/// # Errors
/// [`Error::Parameter`] with fewer than two groups, or for parameters out of range; [`Error::Length`] if the numbers of
/// classes differ.
pub fn bootstrap_group_counts<const M: usize>(
    groups: &[ConfusionMatrix],
    params: &BootstrapParams,
    metrics: [fn(&ConfusionMatrix) -> f64; M],
) -> Result<[Interval; M]> {
    params.validate()?;
    let n_groups = check_n_groups(groups.len())?;
    let mut all = groups[0].clone();
    for group in &groups[1..] {
        all.merge(group)?;
    }
    // Drawn again and again, the largest donor must not exceed what counts can hold.
    let largest = groups.iter().map(ConfusionMatrix::total).max().unwrap_or(0);
    if largest.saturating_mul(u64::from(n_groups)) > 1 << 53 {
        let expected = "counts that sum to at most 2^53 however donors are drawn";
        return Err(Error::Parameter { name: "groups", value: "more".into(), expected });
    }
    // Absent classes stay absent whatever is drawn; without them the table is small.
    let kept = all.present_classes();
    let groups: Vec<ConfusionMatrix> = groups.iter().map(|group| group.select_classes(&kept)).collect();
    let mut drawn = groups[0].clone();
    let mut replicates: [Vec<f64>; M] = std::array::from_fn(|_| Vec::with_capacity(params.n_replicates));
    for index in 0..params.n_replicates {
        let mut rng = params.rng(index);
        drawn.counts_mut().fill(0);
        for _ in 0..n_groups {
            let group = &groups[below(&mut rng, n_groups) as usize];
            drawn.counts_mut().iter_mut().zip(group.counts()).for_each(|(sum, n)| *sum += n);
        }
        for (values, metric) in replicates.iter_mut().zip(metrics) {
            values.push(metric(&drawn));
        }
    }
    Ok(replicates.map(|values| params.interval(values)))
}

fn check_n_groups(n: usize) -> Result<u32> {
    match u32::try_from(n) {
        Ok(n) if n > 1 => Ok(n),
        _ => {
            let (value, expected) = (format!("{n} groups"), "at least 2, and fewer than 2^32");
            Err(Error::Parameter { name: "groups", value, expected })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::classification::confusion_matrix;

    #[test]
    fn groups_of_one_cell_are_the_plain_bootstrap() {
        let groups: Vec<u32> = (0..40).map(|cell| 1000 + 3 * cell).collect();
        let sum = |cells: &[usize]| cells.iter().sum::<usize>() as f64;
        let params = BootstrapParams { n_replicates: 100, ..Default::default() };
        let plain = super::super::bootstrap(40, &params, sum).unwrap();
        assert_eq!(bootstrap_groups(&groups, &params, sum).unwrap(), plain);
    }

    #[test]
    fn counts_and_cells_give_the_same_interval() {
        let groups: Vec<u32> = (0..200u32).map(|cell| cell * cell % 7).collect();
        let truth: Vec<u32> = (0..200u32).map(|cell| cell % 3).collect();
        let predicted: Vec<u32> = (0..200u32).map(|cell| (cell + u32::from(cell % 5 == 0)) % 3).collect();
        let params = BootstrapParams { n_replicates: 200, ..Default::default() };
        let pick = |values: &[u32], cells: &[usize]| cells.iter().map(|&i| values[i]).collect::<Vec<_>>();
        let counts =
            |cells: &[usize]| confusion_matrix(&pick(&truth, cells), &pick(&predicted, cells), 9).unwrap();
        let by_cells = bootstrap_groups(&groups, &params, |cells| counts(cells).f1_macro()).unwrap();
        let of_group = |group| (0..200).filter(|&cell| groups[cell] == group).collect::<Vec<_>>();
        let matrices: Vec<_> =
            (0..7).map(of_group).filter(|cells| !cells.is_empty()).map(|c| counts(&c)).collect();
        let [by_counts] = bootstrap_group_counts(&matrices, &params, [ConfusionMatrix::f1_macro]).unwrap();
        assert_eq!(by_counts, by_cells);
    }

    #[test]
    fn one_donor_says_nothing_of_others() {
        let error = bootstrap_groups(&[4, 4, 4], &BootstrapParams::default(), |_| 0.0).unwrap_err();
        assert_eq!(error.to_string(), "`groups` is 1 groups, expected at least 2, and fewer than 2^32");
        assert!(bootstrap_groups(&[], &BootstrapParams::default(), |_| 0.0).is_err());
        let (two, three) =
            (confusion_matrix(&[0], &[1], 2).unwrap(), confusion_matrix(&[0], &[1], 3).unwrap());
        let run = |groups: &[ConfusionMatrix]| {
            bootstrap_group_counts(groups, &BootstrapParams::default(), [ConfusionMatrix::accuracy])
        };
        assert!(run(std::slice::from_ref(&two)).is_err());
        assert!(matches!(run(&[two, three]), Err(Error::Length { .. })));
    }
}
