//! How wide a cell's neighbourhood is: umap's `smooth_knn_dist`.

/// umap's lower bound of the width, as a part of the mean distance.
const MIN_K_DIST_SCALE: f64 = 1e-3;

/// umap stops once the sum is this close to its target.
const SMOOTH_K_TOLERANCE: f64 = 1e-5;

/// Halvings and doublings of umap's search, at most.
const N_ITER: usize = 64;

/// Newton steps at most: a stop for the case that rounding keeps the sum above its target.
const MAX_STEPS: usize = 64;

/// The local metric of one cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Width {
    /// Distance to the nearest neighbour that is not a duplicate.
    pub(super) rho: f32,
    /// Decay length behind it.
    pub(super) sigma: f64,
}

/// Solves `Σ exp(-max(0, d - rho) / sigma) = log2(n_neighbors)` for sigma, as closely as umap does.
///
/// * `distances`: to the neighbours, ascending, the cell itself left out: `n_neighbors - 1`.
/// * `mean_of_all`: the mean distance over all cells, used where a cell has nothing but duplicates around it.
pub(super) fn width(distances: &[f32], mean_of_all: f64) -> Width {
    let n_neighbors = distances.len() as f64 + 1.0;
    let rho = distances.iter().copied().find(|&d| d > 0.0).unwrap_or(0.0);
    let beyond: Vec<f64> =
        distances.iter().filter(|&&d| d > rho).map(|&d| f64::from(d) - f64::from(rho)).collect();
    let certain = (distances.len() - beyond.len()) as f64;
    let sigma = solve(&beyond, libm::log2(n_neighbors) - certain).map_or(0.0, |root| bisect(&root));
    // umap's means run over the cell itself, too, at distance 0.
    let mean = if rho > 0.0 {
        distances.iter().map(|&d| f64::from(d)).sum::<f64>() / n_neighbors
    } else {
        mean_of_all
    };
    Width { rho, sigma: sigma.max(MIN_K_DIST_SCALE * mean) }
}

/// Where the sum meets its target.
struct Root {
    sigma: f64,
    /// How the sum changes there, by relative change of sigma.
    slope: f64,
}

/// The sigma with `Σ exp(-d / sigma) = target`, all `d > 0`; none where no sigma makes the sum that small or large.
fn solve(beyond: &[f64], target: f64) -> Option<Root> {
    let n = beyond.len() as f64;
    if target <= 0.0 || n <= target {
        return None;
    }
    // As a function of s = 1 / sigma the sum is convex and falls; by Jensen's inequality it is still too large where
    // all distances, replaced by their mean, would solve the equation. Newton's method climbs from there.
    let mean = beyond.iter().sum::<f64>() / n;
    let mut s = libm::log(n / target) / mean;
    let mut slope = 0.0;
    for _ in 0..MAX_STEPS {
        let (mut sum, mut moment) = (0f64, 0f64);
        for &d in beyond {
            let e = libm::exp(-d * s);
            sum += e;
            moment += d * e;
        }
        slope = moment * s;
        let excess = sum - target;
        if excess <= 1e-12 * n {
            break;
        }
        s += excess / moment;
    }
    Some(Root { sigma: 1.0 / s, slope })
}

/// The place where umap's search for the root stops.
///
/// umap bisects in f32 until the sum is within [`SMOOTH_K_TOLERANCE`], which moves a membership by up to 1e-5. With the
/// root known, its steps cost no exponential, and the same memberships come out.
fn bisect(root: &Root) -> f64 {
    let (mut low, mut high, mut middle) = (0f32, f32::MAX, 1f32);
    for _ in 0..N_ITER {
        let excess = root.slope * (f64::from(middle) / root.sigma - 1.0);
        if excess.abs() < SMOOTH_K_TOLERANCE {
            break;
        }
        if excess > 0.0 {
            high = middle;
            middle = (low + high) / 2.0;
        } else {
            low = middle;
            middle = if high == f32::MAX { middle * 2.0 } else { (low + high) / 2.0 };
        }
    }
    f64::from(middle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(distances: &[f32], w: Width) -> f64 {
        let gap = |d: f32| (f64::from(d) - f64::from(w.rho)).max(0.0);
        distances.iter().map(|&d| libm::exp(-gap(d) / w.sigma)).sum()
    }

    #[test]
    fn the_sum_of_memberships_is_the_logarithm_of_the_neighbourhood() {
        for scale in [1e-6f32, 1.0, 1e6] {
            for spread in [0.01f32, 1.0, 30.0] {
                let d: Vec<f32> = (0..14).map(|i| scale * (1.0 + spread * (i * i) as f32)).collect();
                let w = width(&d, 1.0);
                assert_eq!(w.rho, scale);
                assert!((sum(&d, w) - libm::log2(15.0)).abs() < 1.01e-5, "{scale} {spread} {w:?}");
            }
        }
    }

    #[test]
    fn a_cell_among_many_duplicates_gets_the_smallest_width() {
        let d = [0.0, 0.0, 0.0, 0.0, 1.0, 2.0];
        let w = width(&d, 9.0);
        assert_eq!(w.rho, 1.0);
        assert!((w.sigma / (1e-3 * 3.0 / 7.0) - 1.0).abs() < 1e-12, "{w:?}");
        assert_eq!(width(&[0.0; 14], 8.0), Width { rho: 0.0, sigma: 8.0 * MIN_K_DIST_SCALE });
    }

    #[test]
    fn the_width_is_the_one_that_bisection_finds() {
        let d: Vec<f32> = (0..14).map(|i| 2.0 + libm::sqrtf(i as f32)).collect();
        let (mut low, mut high, mut middle) = (0f32, f32::MAX, 1f32);
        for _ in 0..64 {
            let excess = sum(&d, Width { rho: 2.0, sigma: middle.into() }) - libm::log2(15.0);
            if excess.abs() < 1e-5 {
                break;
            } else if excess > 0.0 {
                (high, middle) = (middle, (low + middle) / 2.0);
            } else {
                let up = if high == f32::MAX { middle * 2.0 } else { (middle + high) / 2.0 };
                (low, middle) = (middle, up);
            }
        }
        assert_eq!(width(&d, 1.0).sigma, f64::from(middle));
    }

    #[test]
    fn two_and_four_neighbours_have_a_width_though_their_equation_has_no_root_inside() {
        assert_eq!(width(&[3.0], 1.0).rho, 3.0);
        let four = width(&[1.0, 1.0, 2.0], 1.0);
        assert!(four.sigma > 0.0 && four.sigma.is_finite());
    }
}
