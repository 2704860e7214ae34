//! Training, validation and test cells of one seed, and what is fitted on them sees.

use ndarray::{Array2, ArrayView2, Axis};
use sc_eval::split::{Size, Split, StratifiedShuffleSplit, train_test_split_stratified};
use sc_eval::{Features, Labels};
use sc_prep::{FeatureSpace, LogNormalized, Pca, PcaParams, Scaled};

use super::Protocol;
use super::embeddings::Embedded;
use super::tuning::Trainee;
use sc_examples::fold::{Failure, FoldParams, features};

/// The cells of one seed; each is in one of the three at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sets {
    /// What models are fitted on.
    pub(super) train: Vec<usize>,
    /// What decides between them; empty as published.
    pub(super) validation: Vec<usize>,
    /// What they are asked about, once.
    pub(super) test: Vec<usize>,
}

impl Sets {
    /// 80/10/10, or 80/20 as published; stratified by label.
    ///
    /// # Errors
    /// As [`StratifiedShuffleSplit::split`].
    pub(super) fn new(labels: &Labels, protocol: Protocol, seed: u64) -> sc_eval::Result<Self> {
        if protocol == Protocol::AsPublished {
            let Split { train, test } = train_test_split_stratified(labels, 0.2, seed)?;
            return Ok(Self { train, validation: Vec::new(), test });
        }
        let Split { train: rest, mut test } = train_test_split_stratified(labels, 0.1, seed)?;
        // As many validation cells as test cells, whatever was rounded.
        let of_rest =
            StratifiedShuffleSplit { test_size: Size::Cells(test.len()), seed, ..Default::default() };
        let halves = of_rest.split(&labels.subset(&rest)?)?.swap_remove(0);
        let pick = |places: &[usize]| {
            let mut cells: Vec<usize> = places.iter().map(|&place| rest[place]).collect();
            cells.sort_unstable();
            cells
        };
        test.sort_unstable();
        Ok(Self { train: pick(&halves.train), validation: pick(&halves.test), test })
    }

    /// The cells that take part in fitting and choosing, and those that are asked about.
    pub(super) fn split(&self) -> Split {
        let mut train = [&self.train[..], &self.validation].concat();
        train.sort_unstable();
        Split { train, test: self.test.clone() }
    }
}

/// Cells of a seed as something sees them.
pub(super) struct View {
    /// Training cells.
    pub(super) train: Features,
    /// Validation cells, if there are any.
    pub(super) validation: Option<Features>,
    /// Test cells.
    pub(super) test: Features,
}

/// All views of a seed; whatever in them compares cells is learnt from training cells.
pub(super) struct Prepared<'a> {
    /// The cells.
    pub(super) sets: &'a Sets,
    /// Highly variable genes, standardised.
    pub(super) genes: View,
    /// Principal components of these.
    pub(super) components: View,
    /// For each model, its layers by name.
    pub(super) embedded: Vec<Vec<(String, View)>>,
    /// For each model, what is trained of it, if anything is.
    pub(super) trainees: Vec<Option<&'a Trainee>>,
}

impl<'a> Prepared<'a> {
    /// # Errors
    /// As [`FeatureSpace::fit`] and [`Pca::fit`].
    pub(super) fn new(
        sets: &'a Sets,
        x: &LogNormalized,
        params: &FoldParams,
        embedded: &[&Embedded],
        trainees: Vec<Option<&'a Trainee>>,
    ) -> Result<Self, Failure> {
        let space = FeatureSpace::fit(x, &sets.train, &params.genes)?;
        let scaled = |rows: &[usize]| space.transform(x, rows);
        let train = scaled(&sets.train)?;
        let most = space.genes().len().min(sets.train.len().saturating_sub(1)).max(1);
        let pca = Pca::fit(&train, &PcaParams::components(params.n_components.min(most)))?;
        let reduced = |rows: &Scaled| Ok::<_, Failure>(Features::dense(pca.transform(rows)?.view())?);
        let rest = [&sets.validation, &sets.test].map(|rows| scaled(rows));
        let [validation, test] = rest;
        let validation = (!sets.validation.is_empty()).then_some(validation).transpose()?;
        let test = test?;
        let components = View {
            train: reduced(&train)?,
            validation: validation.as_ref().map(reduced).transpose()?,
            test: reduced(&test)?,
        };
        let genes = View {
            train: features(train)?,
            validation: validation.map(features).transpose()?,
            test: features(test)?,
        };
        let layers = |embedded: &&Embedded| {
            let layers = embedded.layers.iter();
            layers.map(|(name, values)| Ok((name.clone(), standardised(values.view(), sets)?))).collect()
        };
        let embedded = embedded.iter().map(layers).collect::<Result<_, Failure>>()?;
        Ok(Self { sets, genes, components, embedded, trainees })
    }
}

/// Each column less its mean over the training cells, divided by their standard deviation where that is not 0. A cell
/// without an embedding lies at the mean.
fn standardised(x: ArrayView2<'_, f32>, sets: &Sets) -> Result<View, Failure> {
    let there: Vec<usize> = sets.train.iter().copied().filter(|&cell| x[[cell, 0]].is_finite()).collect();
    let n = there.len().max(1) as f64;
    let moments: Vec<(f64, f64)> = x
        .columns()
        .into_iter()
        .map(|column| {
            let mean = there.iter().map(|&cell| f64::from(column[cell])).sum::<f64>() / n;
            let square = |&cell: &usize| (f64::from(column[cell]) - mean) * (f64::from(column[cell]) - mean);
            let deviation = (there.iter().map(square).sum::<f64>() / n).sqrt();
            // Values that differ by rounding alone do not vary.
            (mean, if deviation > 1e-6 * mean.abs() { deviation } else { f64::INFINITY })
        })
        .collect();
    let of = |rows: &[usize]| {
        let mut values: Array2<f32> = x.select(Axis(0), rows);
        for mut row in values.rows_mut() {
            for (value, (mean, deviation)) in row.iter_mut().zip(&moments) {
                let standard = (f64::from(*value) - mean) / deviation;
                *value = if standard.is_finite() { standard as f32 } else { 0.0 };
            }
        }
        Features::dense(values.view())
    };
    let validation = (!sets.validation.is_empty()).then(|| of(&sets.validation)).transpose()?;
    Ok(View { train: of(&sets.train)?, validation, test: of(&sets.test)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels {
        let names: Vec<&str> = (0..200).map(|i| if i % 10 == 0 { "rare" } else { "common" }).collect();
        Labels::new(&names).unwrap()
    }

    #[test]
    fn the_three_sets_share_no_cell_and_keep_the_shares_of_classes() {
        let sets = Sets::new(&labels(), Protocol::Corrected, 7).unwrap();
        let sizes = [&sets.train, &sets.validation, &sets.test].map(Vec::len);
        assert_eq!(sizes, [160, 20, 20]);
        let mut all = [&sets.train[..], &sets.validation, &sets.test].concat();
        all.sort_unstable();
        assert_eq!(all, (0..200).collect::<Vec<_>>());
        let rare = |cells: &[usize]| cells.iter().filter(|&&cell| cell % 10 == 0).count();
        assert_eq!([rare(&sets.train), rare(&sets.validation), rare(&sets.test)], [16, 2, 2]);
        assert_eq!(sets.split().train.len(), 180);
        assert_ne!(sets, Sets::new(&labels(), Protocol::Corrected, 8).unwrap());
        let published = Sets::new(&labels(), Protocol::AsPublished, 42).unwrap();
        assert_eq!((published.validation.len(), published.test.len()), (0, 40));
    }

    #[test]
    fn scales_are_learnt_from_training_cells_and_a_missing_cell_lies_at_the_mean() {
        let x = ndarray::array![[1.0, 5.0], [3.0, 5.0], [5.0, 5.0], [f32::NAN, f32::NAN], [9.0, 6.0]];
        let sets = Sets { train: vec![0, 1, 3], validation: vec![2], test: vec![3, 4] };
        let view = standardised(x.view(), &sets).unwrap();
        let row = |x: &Features, i| {
            let mut out = [0.0; 2];
            x.write_row(i, &mut out);
            out
        };
        assert_eq!([row(&view.train, 0), row(&view.train, 2)], [[-1.0, 0.0], [0.0, 0.0]]);
        assert_eq!(row(view.validation.as_ref().unwrap(), 0), [3.0, 0.0]);
        // A column that does not vary among training cells says nothing.
        assert_eq!([row(&view.test, 0), row(&view.test, 1)], [[0.0, 0.0], [7.0, 0.0]]);
    }
}
