//! A small report for tests.

use std::convert::Infallible;

use ndarray::Array2;

use super::*;
use crate::protocol::{CrossValidation, FoldOutput, cross_validate};
use crate::split::{Split, StratifiedKFold};
use crate::{Labels, Manifest, Prediction};

/// 120 cells of three types and three models: one good, one nearly as good, one that always says the largest type.
pub(super) fn report() -> Report {
    named(&["T cells", "B cells", "NK cells"], &["good", "fair", "majority"])
}

/// The same with other names of types and models; names of types must differ.
pub(super) fn named(types: &[&str; 3], models: &[&str; 3]) -> Report {
    let name_of = |cell: usize| [types[0], types[1], types[0], types[2]][cell % 4];
    let names: Vec<&str> = (0..120).map(name_of).collect();
    let labels = Labels::new(&names).unwrap();
    let splits = StratifiedKFold { n_splits: 3, ..Default::default() }.split(&labels).unwrap();
    let code = |name: &str| labels.classes().iter().position(|class| class == name).unwrap() as u32;
    let wrong_every = |n: usize| {
        let codes = labels.codes();
        let other = |cell: usize| (codes[cell] + 1) % 3;
        (0..120).map(|cell| if cell % n == 5 { other(cell) } else { codes[cell] }).collect::<Vec<_>>()
    };
    let largest = vec![code(types[0]); 120];
    let answers = [wrong_every(17), wrong_every(13), largest];
    let results = answers.iter().map(|codes| result(&labels, &splits, codes));
    let mut manifest = Manifest::new("sample", "0.0.0");
    manifest.labels(&labels);
    manifest.cells_read = 130;
    manifest.dropped("without a label", 10);
    let mut report = Report::new("A sample", "sample", labels.clone(), manifest);
    report.cells = (0..120).map(|cell| format!("cell_{cell}")).collect();
    report.umap = Some(Array2::from_shape_fn((120, 2), |(cell, axis)| {
        let centre = labels.codes()[cell] as f32 * [3.0, 1.0][axis];
        centre + (cell * [7, 11][axis] % 10) as f32 / 10.0
    }));
    report.models = models.iter().map(|&model| model.to_owned()).zip(results).collect();
    report
}

fn result(labels: &Labels, splits: &[Split], codes: &[u32]) -> CrossValidation {
    cross_validate(labels, splits, |_, test| {
        let codes = test.iter().map(|&cell| codes[cell]).collect();
        let prediction = Prediction { codes, probabilities: None };
        Ok::<_, Infallible>(FoldOutput { prediction, fit_seconds: 0.5, predict_seconds: 0.25 })
    })
    .unwrap()
}

/// A section of each kind in which every text is `text`.
pub(super) fn sections(text: &str) -> Vec<Section> {
    let own = || text.to_owned();
    let titled = |kind: &str| format!("{text}{kind}");
    let columns = vec![Column::text(own()), Column::new(own(), Kind::Interval(2)).best(Best::Highest)];
    let mut table = Table { caption: own(), ..Table::new(columns) };
    table.row([own().into(), Cell::Interval { value: 0.5, low: 0.4, high: 0.6 }]);
    table.row([own().into(), own().into()]);
    let points = [Point::with_interval(0.0, 0.5, 0.4, 0.6), Point::new(1.0, 0.75)];
    let curves = Curves {
        x: Axis::share(own()),
        y: Axis::new(own()),
        series: vec![Series::new(own(), points), Series::new(own(), points)],
        baselines: vec![Baseline::Level { name: own(), y: 0.5 }, Baseline::Diagonal { name: own() }],
        caption: own(),
    };
    let names = [1, 2].map(|i| format!("{text}{i}"));
    let matrix = Matrix {
        row_axis: own(),
        column_axis: own(),
        rows: names.to_vec(),
        columns: names.to_vec(),
        values: ndarray::array![[5.0, 0.0], [1.0, 4.0]],
        measure: MatrixValues::Counts,
        caption: own(),
    };
    let bin = ReliabilityBin { low: 0.5, high: 1.0, n: 4, confidence: 0.75, accuracy: 0.5 };
    let reliability =
        Reliability { models: vec![ReliabilityCurve { name: own(), bins: vec![bin], ece: 0.25 }] };
    let map = CellMap {
        coordinates: ndarray::array![[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]],
        classes: names.to_vec(),
        codes: vec![0, 1, 1],
        names: vec![own(); 3],
        answers: vec![Answers {
            name: own(),
            codes: vec![Some(0), None, Some(1)],
            confidence: Some(vec![0.5; 3]),
        }],
    };
    let finding = Finding::new(Severity::Error, own()).number(own(), text);
    vec![
        Section::new(titled("table"), own(), table),
        Section::new(titled("curves"), own(), curves),
        Section::new(titled("matrix"), own(), matrix),
        Section::new(titled("reliability"), own(), reliability),
        Section::new(titled("map"), own(), map),
        Section::new(titled("findings"), own(), Findings { findings: vec![finding] }),
        Section::text(titled("text"), text),
    ]
}
