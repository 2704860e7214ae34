//! The tables of a report as CSV.
//!
//! Comma-separated, `.` for decimals, UTF-8, lines end in a line feed. A name that a spreadsheet would take for a
//! formula (it begins with `=`, `+`, `-`, `@`, a tab, or a line break) gets an apostrophe in front. All but the
//! columns `*_seconds` are the same in every run of the same seed.

use std::borrow::Cow;

use super::facts::{Facts, ModelFacts};
use super::{Report, section};
use crate::statistics::Interval;

/// One row per model. The first seven columns never change; later ones may be added at the end.
pub(super) fn metrics(facts: &Facts<'_>) -> Vec<u8> {
    let mut table = Table::default();
    let mut header: Vec<String> =
        ["model", "accuracy", "accuracy_low", "accuracy_high", "f1_macro", "fit_seconds", "predict_seconds"]
            .map(str::to_owned)
            .into();
    header.extend(further(facts.best()).map(|(name, _)| name));
    header.extend(["n_cells", "n_folds", "majority_share"].map(str::to_owned));
    table.row(header);
    for model in &facts.models {
        let result = model.result;
        let mut row = vec![
            text(model.name).into_owned(),
            score(Some(result.mean.accuracy)),
            score(Some(result.intervals.accuracy.low)),
            score(Some(result.intervals.accuracy.high)),
            score(Some(result.mean.f1_macro)),
            format!("{:.3}", result.fit_seconds),
            format!("{:.3}", result.predict_seconds),
        ];
        row.extend(further(model).map(|(_, value)| score(value)));
        row.push(result.confusion.total().to_string());
        row.push(result.folds.len().to_string());
        row.push(score(Some(result.majority_share())));
        table.row(row);
    }
    table.bytes()
}

/// All means, intervals and standard deviations that are not among the first columns, with their names.
fn further<'a>(model: &ModelFacts<'a>) -> impl Iterator<Item = (String, Option<f64>)> + use<'a> {
    let result = model.result;
    let sds = result.sd.as_ref().map(|sd| sd.iter().map(|(_, value)| value).collect::<Vec<_>>());
    let leading = |column: &str| ["accuracy", "accuracy_low", "accuracy_high", "f1_macro"].contains(&column);
    let columns = result.mean.iter().enumerate().flat_map(move |(i, (name, mean))| {
        let end = |end: fn(Interval) -> f64| result.intervals.get(name).map(end);
        let mut columns = vec![(name.to_owned(), mean)];
        if result.intervals.get(name).is_some() {
            columns.push((format!("{name}_low"), end(|interval| interval.low)));
            columns.push((format!("{name}_high"), end(|interval| interval.high)));
        }
        columns.push((format!("{name}_sd"), sds.as_ref().and_then(|sds| sds[i])));
        columns
    });
    columns.filter(move |(column, _)| !leading(column))
}

/// One row per model and class, from all test sets together.
pub(super) fn per_class(facts: &Facts<'_>, classes: &[String]) -> Vec<u8> {
    let mut table = Table::default();
    table.row(["model", "class", "precision", "recall", "f1", "support", "predicted"]);
    for model in &facts.models {
        for (class, scores) in classes.iter().zip(&model.result.per_class) {
            table.row([
                text(model.name).into_owned(),
                text(class).into_owned(),
                score(Some(scores.precision)),
                score(Some(scores.recall)),
                score(Some(scores.f1)),
                scores.support.to_string(),
                scores.predicted.to_string(),
            ]);
        }
    }
    table.bytes()
}

/// One row per cell: its name, its label, what each model called it; nothing where it was in no test set.
pub(super) fn predictions(report: &Report) -> Vec<u8> {
    let mut table = Table::default();
    let models = report.models.iter().map(|(name, _)| text(name));
    let header = [Cow::from("cell"), "label".into()].into_iter().chain(models);
    table.row(header.map(Cow::into_owned));
    let classes: Vec<_> = report.labels.classes().iter().map(|class| text(class)).collect();
    for (i, cell) in report.cells.iter().enumerate() {
        let called = report.models.iter().map(|(_, result)| match result.predicted[i] {
            Some(code) => &*classes[code as usize],
            None => "",
        });
        let label = &*classes[report.labels.codes()[i] as usize];
        table.row([&*text(cell), label].into_iter().chain(called));
    }
    table.bytes()
}

/// The numbers of a section: a column each, and two more for the ends of intervals.
///
/// Numbers are printed in full and without units: a program reads them.
pub(super) fn section(numbers: &section::Table) -> Vec<u8> {
    let mut table = Table::default();
    let is_interval = |column: &section::Column| matches!(column.kind, section::Kind::Interval(_));
    let heads = numbers.columns.iter().flat_map(|column| {
        let name = text(&column.name).into_owned();
        let ends = is_interval(column).then(|| ["low", "high"].map(|end| format!("{name}_{end}")));
        [name.clone()].into_iter().chain(ends.into_iter().flatten())
    });
    table.row(heads.collect::<Vec<_>>());
    let number = |value: f64| if value.is_finite() { format!("{}", value + 0.0) } else { String::new() };
    for row in &numbers.rows {
        let fields = row.iter().zip(&numbers.columns).flat_map(|(cell, column)| {
            let value = match cell {
                section::Cell::Text(name) => text(name).into_owned(),
                cell => cell.value().map_or_else(String::new, number),
            };
            let ends = is_interval(column).then(|| match cell.ends() {
                Some((low, high)) => [low, high].map(number),
                None => [String::new(), String::new()],
            });
            [value].into_iter().chain(ends.into_iter().flatten())
        });
        table.row(fields.collect::<Vec<_>>());
    }
    table.bytes()
}

/// A name that no spreadsheet runs.
pub(super) fn text(name: &str) -> Cow<'_, str> {
    match name.bytes().next() {
        Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r' | b'\n') => format!("'{name}").into(),
        _ => name.into(),
    }
}

/// A score with six decimals; nothing where there is none.
fn score(value: Option<f64>) -> String {
    // Adding 0 makes a negative zero positive.
    value.map_or_else(String::new, |value| format!("{:.6}", value + 0.0))
}

struct Table(csv::Writer<Vec<u8>>);

impl Default for Table {
    fn default() -> Self {
        Self(csv::Writer::from_writer(Vec::new()))
    }
}

impl Table {
    fn row<I: IntoIterator<Item: AsRef<[u8]>>>(&mut self, fields: I) {
        self.0.write_record(fields).expect("memory takes every write, and all rows have one length");
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().expect("memory takes every write")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_first_columns_are_those_that_programs_rely_on() {
        let report = sample::report();
        let bytes = metrics(&Facts::new(&report).unwrap());
        let table = String::from_utf8(bytes).unwrap();
        let header = table.lines().next().unwrap();
        assert!(header.starts_with(
            "model,accuracy,accuracy_low,accuracy_high,f1_macro,fit_seconds,predict_seconds,accuracy_sd,"
        ));
        assert!(header.ends_with(",n_cells,n_folds,majority_share"), "{header}");
        let names: std::collections::BTreeSet<_> = header.split(',').collect();
        assert_eq!(names.len(), header.split(',').count(), "no column twice: {header}");
        assert_eq!(table.lines().count(), 1 + report.models.len());
    }

    #[test]
    fn formulas_are_made_text() {
        let formulas = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"];
        for formula in formulas {
            assert_eq!(text(formula), format!("'{formula}"));
        }
        assert_eq!(text("CD14+ Monocytes"), "CD14+ Monocytes");
        let mut report = sample::report();
        report.cells[0] = "=HYPERLINK(\"http://example.org\",\"x\")".into();
        report.models[0].0 = "=1+1".into();
        let text = String::from_utf8(predictions(&report)).unwrap();
        assert!(text.starts_with("cell,label,'=1+1,"), "{text}");
        assert!(text.contains("\n\"'=HYPERLINK(\"\"http://example.org\"\",\"\"x\"\")\","), "{text}");
    }

    #[test]
    fn each_cell_is_a_row_with_one_answer_per_model() {
        let report = sample::report();
        let bytes = predictions(&report);
        let mut reader = csv::Reader::from_reader(&bytes[..]);
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), report.cells.len());
        for (i, row) in rows.iter().enumerate() {
            assert_eq!(&row[0], report.cells[i]);
            assert_eq!(&row[1], report.labels.name(i));
            assert_eq!(row.len(), 2 + report.models.len());
        }
    }
}
