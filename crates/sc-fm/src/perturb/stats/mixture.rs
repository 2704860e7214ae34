use super::mean;
use crate::perturb::{Error, Gene, Table, Value};

/// How the two components are fitted, with the defaults of scikit-learn's `GaussianMixture`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MixtureParams {
    /// The fit ends when the mean log-likelihood grows by less. Default 1e-3.
    pub tol: f64,
    /// Added to each variance. Default 1e-6, which is not small beside shifts of 1e-3.
    pub reg_covar: f64,
    /// Most steps. Default 100.
    pub max_iter: usize,
}

impl Default for MixtureParams {
    fn default() -> Self {
        Self { tol: 1e-3, reg_covar: 1e-6, max_iter: 100 }
    }
}

/// A normal distribution with its share of the genes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Component {
    /// Its mean.
    pub mean: f64,
    /// Its variance.
    pub variance: f64,
    /// Its share, in 0..=1.
    pub weight: f64,
}

/// Perturbed genes in two groups.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    /// The component with the lower mean: genes whose perturbation takes cells further.
    pub impact: Component,
    /// The other.
    pub rest: Component,
    /// A row for each gene, in order of the table.
    pub rows: Vec<MixtureRow>,
}

/// A perturbed gene.
#[derive(Clone, Debug, PartialEq)]
pub struct MixtureRow {
    /// The gene.
    pub gene: Gene,
    /// Mean over cells.
    pub mean: f64,
    /// Whether the mean belongs to the impact component.
    pub has_impact: bool,
    /// Share of the cells whose value does, in 0..=1.
    pub impact_fraction: f64,
    /// Cells in which the gene was perturbed.
    pub n_detections: usize,
}

/// Fits two normal distributions to the means of the genes.
///
/// A value belongs to the component that is likelier to have made it, but below the mean of the impact component always to
/// that, and above the mean of the other always to the other. The fit begins with the division of the sorted means in
/// two that has the smallest sum of squares, which scikit-learn's k-means looks for too, with a seed.
///
/// # Errors
/// [`Error::NoState`]; [`Error::TooFew`] for fewer than two different means.
pub fn mixture_model(table: &Table, value: Value<'_>, params: &MixtureParams) -> Result<Mixture, Error> {
    let values = table.values(value)?;
    let genes: Vec<(usize, f64)> = (0..values.len())
        .filter(|&gene| !values[gene].is_empty())
        .map(|gene| (gene, mean(&values[gene])))
        .collect();
    let means: Vec<f64> = genes.iter().map(|gene| gene.1).collect();
    let mut distinct = means.clone();
    distinct.sort_by(f64::total_cmp);
    distinct.dedup();
    if distinct.len() < 2 {
        let (what, of) = ("a mixture of two components", "genes with different means");
        return Err(Error::TooFew { what, of, found: distinct.len(), expected: 2 });
    }
    let [impact, rest] = fit(&means, params);
    let belongs = |value: f64| match value {
        _ if value > rest.mean => false,
        _ if value < impact.mean => true,
        _ => impact.log_density(value) > rest.log_density(value),
    };
    let row = |&(gene, mean): &(usize, f64)| {
        let of_cells = &values[gene];
        let n = of_cells.iter().filter(|&&value| belongs(value)).count();
        MixtureRow {
            gene: table.genes[gene].clone(),
            mean,
            has_impact: belongs(mean),
            impact_fraction: n as f64 / of_cells.len() as f64,
            n_detections: of_cells.len(),
        }
    };
    Ok(Mixture { impact, rest, rows: genes.iter().map(row).collect() })
}

impl Component {
    /// The logarithm of share times density.
    fn log_density(&self, value: f64) -> f64 {
        let scaled = (value - self.mean).powi(2) / self.variance;
        self.weight.ln() - 0.5 * ((2.0 * std::f64::consts::PI).ln() + self.variance.ln() + scaled)
    }
}

/// Expectation and maximisation; the component of the lower mean first.
fn fit(values: &[f64], params: &MixtureParams) -> [Component; 2] {
    let border = border(values);
    let mut shares: Vec<f64> = values.iter().map(|&value| f64::from(u8::from(value <= border))).collect();
    let mut components = maximise(values, &shares, params.reg_covar);
    let mut before = f64::NEG_INFINITY;
    for _ in 0..params.max_iter {
        let mut total = 0.0;
        for (share, &value) in shares.iter_mut().zip(values) {
            let [a, b] = components.map(|component| component.log_density(value));
            let largest = a.max(b);
            let both = largest + ((a - largest).exp() + (b - largest).exp()).ln();
            *share = (a - both).exp();
            total += both;
        }
        components = maximise(values, &shares, params.reg_covar);
        let likelihood = total / values.len() as f64;
        if (likelihood - before).abs() < params.tol {
            break;
        }
        before = likelihood;
    }
    components.sort_by(|a, b| a.mean.total_cmp(&b.mean));
    components
}

/// The largest value of the lower group.
fn border(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    // Around the mean, so that sums of squares keep their digits.
    let centre = mean(&sorted);
    let total: f64 = sorted.iter().map(|value| value - centre).sum();
    let (mut sum, mut best) = (0.0, (f64::NEG_INFINITY, sorted[0]));
    for (i, &value) in sorted[..n - 1].iter().enumerate() {
        sum += value - centre;
        let (k, rest) = ((i + 1) as f64, (n - i - 1) as f64);
        // The larger the squares of the means, the smaller the squares around them.
        let between = sum * sum / k + (total - sum) * (total - sum) / rest;
        if value < sorted[i + 1] && between > best.0 {
            best = (between, value);
        }
    }
    best.1
}

/// The components of values that belong to the first by `shares`.
fn maximise(values: &[f64], shares: &[f64], reg_covar: f64) -> [Component; 2] {
    let of = |share: &dyn Fn(f64) -> f64| {
        let weights = || shares.iter().map(|&s| share(s));
        let n = weights().sum::<f64>() + 10.0 * f64::EPSILON;
        let mean = weights().zip(values).map(|(weight, value)| weight * value).sum::<f64>() / n;
        let squares = weights().zip(values).map(|(weight, value)| weight * (value - mean).powi(2));
        let variance = squares.sum::<f64>() / n + reg_covar;
        Component { mean, variance, weight: n / values.len() as f64 }
    };
    let mut components = [of(&|share| share), of(&|share| 1.0 - share)];
    let total: f64 = components.iter().map(|component| component.weight).sum();
    components.iter_mut().for_each(|component| component.weight /= total);
    components
}
