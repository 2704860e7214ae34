//! From normalised dispersions to chosen genes.

use std::cmp::Ordering;

use super::{Dispersions, HvgParams, Ties};

/// Positions of the chosen genes, highest normalised dispersion first, equal ones by position.
pub(crate) fn select(d: &Dispersions, params: &HvgParams) -> Vec<usize> {
    let z = &d.normalized;
    let mut order: Vec<usize> = match params.n_top_genes {
        Some(_) => (0..z.len()).filter(|&i| !z[i].is_nan()).collect(),
        None => (0..z.len()).filter(|&i| within_cutoffs(d, i, params)).collect(),
    };
    let value = |i: usize| if z[i].is_nan() { 0.0 } else { z[i] };
    // A stable sort: equal values keep the order of their positions. No NaN is left, and 0 equals -0.
    order.sort_by(|&a, &b| value(b).partial_cmp(&value(a)).unwrap_or(Ordering::Equal));
    if let Some(n) = params.n_top_genes
        && n < order.len()
    {
        let n = match params.ties {
            Ties::ByIndex => n,
            Ties::KeepAll => order.partition_point(|&i| z[i] >= z[order[n - 1]]),
        };
        order.truncate(n);
    }
    order
}

/// As scanpy: an undefined normalised dispersion counts as 0, an infinite one as the largest number.
fn within_cutoffs(d: &Dispersions, i: usize, params: &HvgParams) -> bool {
    let (mean, z) = (d.means[i], d.normalized[i]);
    let z = if z.is_nan() { 0.0 } else { z.clamp(f64::MIN, f64::MAX) };
    mean > params.min_mean && mean < params.max_mean && z > params.min_disp && z < params.max_disp
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(normalized: &[f64]) -> Dispersions {
        Dispersions {
            means: vec![1.0; normalized.len()],
            dispersions: normalized.to_vec(),
            normalized: normalized.to_vec(),
        }
    }

    #[test]
    fn exactly_n_genes_are_chosen_and_ties_go_to_the_lower_index() {
        let d = of(&[1.0, 2.0, 1.0, f64::NAN, 1.0, -5.0]);
        assert_eq!(select(&d, &HvgParams::top(3)), [1, 0, 2]);
        let all_ties = HvgParams { ties: Ties::KeepAll, ..HvgParams::top(3) };
        assert_eq!(select(&d, &all_ties), [1, 0, 2, 4]);
    }

    #[test]
    fn a_gene_without_a_normalised_dispersion_is_never_on_top() {
        let d = of(&[f64::NAN, -1.0, f64::NAN]);
        assert_eq!(select(&d, &HvgParams::top(3)), [1]);
    }

    #[test]
    fn without_a_number_the_cutoffs_decide() {
        let mut d = of(&[0.6, 0.5, f64::NAN, f64::INFINITY, 0.9]);
        d.means[4] = 3.0;
        assert_eq!(select(&d, &HvgParams::default()), [3, 0]);
        let undefined_is_zero = HvgParams { min_disp: -0.1, max_disp: 0.1, ..Default::default() };
        assert_eq!(select(&d, &undefined_is_zero), [2]);
    }
}
