//! Whether a section holds together.

use super::{Bars, CellMap, Content, Curves, Matrix, Reliability, Section, Table};
use crate::{Error, Result};

/// Checks that the parts of a section fit each other.
///
/// # Errors
/// [`Error::Parameter`] with the section's title and what does not fit.
pub(in crate::report) fn check(section: &Section) -> Result<()> {
    let refuse = |(found, expected): (String, &'static str)| {
        let value = format!("{:?}: {found}", section.title);
        Err(Error::Parameter { name: "sections", value, expected })
    };
    if section.title.trim().is_empty() {
        return refuse(("without a title".to_owned(), "a title for every section"));
    }
    let wrong = match &section.content {
        Content::Table(table) => of_table(table),
        Content::Curves(curves) => of_curves(curves),
        Content::Matrix(matrix) => of_matrix(matrix),
        Content::Reliability(reliability) => of_reliability(reliability),
        Content::Bars(bars) => of_bars(bars),
        Content::Map(map) => of_map(map),
        Content::Findings(_) | Content::Text { .. } => None,
    };
    wrong.map_or(Ok(()), refuse)
}

type Wrong = Option<(String, &'static str)>;

fn of_table(table: &Table) -> Wrong {
    if table.columns.is_empty() {
        return Some(("a table without columns".to_owned(), "at least one column"));
    }
    let width = table.columns.len();
    let (row, cells) = table.rows.iter().enumerate().find(|(_, row)| row.len() != width)?;
    Some((format!("row {row} has {} cells beside {width} columns", cells.len()), "one cell a column"))
}

fn of_curves(curves: &Curves) -> Wrong {
    for axis in [&curves.x, &curves.y] {
        if let Some([low, high]) = axis.range
            && !(low.is_finite() && high.is_finite() && low < high && (low > 0.0 || !axis.log))
        {
            let found = format!("an axis from {low} to {high}");
            return Some((found, "finite ends, the lower first, above 0 on a logarithmic axis"));
        }
    }
    None
}

fn of_matrix(matrix: &Matrix) -> Wrong {
    let (found, named) = (matrix.values.dim(), (matrix.rows.len(), matrix.columns.len()));
    let text = format!("{} × {} values beside {} × {} names", found.0, found.1, named.0, named.1);
    (found != named).then_some((text, "a name for every row and column"))
}

fn of_reliability(reliability: &Reliability) -> Wrong {
    let share = |value: f64| (0.0..=1.0).contains(&value);
    let mut bins = reliability.models.iter().flat_map(|model| &model.bins);
    let wrong = |bin: &&super::ReliabilityBin| {
        !(share(bin.low) && share(bin.high)) || bin.n > 0 && !(share(bin.confidence) && share(bin.accuracy))
    };
    let bin = bins.find(wrong)?;
    let found = format!(
        "a bin from {} to {} of confidence {} and accuracy {}",
        bin.low, bin.high, bin.confidence, bin.accuracy
    );
    Some((found, "shares from 0 to 1"))
}

fn of_bars(bars: &Bars) -> Wrong {
    let (found, named) = (bars.counts.dim(), (bars.bars.len(), bars.parts.len()));
    if found != named {
        let text = format!("{} × {} counts beside {} × {} names", found.0, found.1, named.0, named.1);
        return Some((text, "a name for every bar and part"));
    }
    let odd = bars.counts.iter().find(|n| !(n.is_finite() && **n >= 0.0))?;
    Some((format!("a count of {odd}"), "finite counts from 0"))
}

fn of_map(map: &CellMap) -> Wrong {
    let n = map.codes.len();
    let length = |what: &str, found: usize, expected: usize| {
        let text = format!("{what} has {found} entries beside {expected}");
        (found != expected).then_some((text, "one entry a cell"))
    };
    if let wrong @ Some(_) = length("the axis of cells of the map", map.coordinates.nrows(), n)
        .or_else(|| length("the second axis of the map", map.coordinates.ncols(), 2))
        .or_else(|| if map.names.is_empty() { None } else { length("the list of names", map.names.len(), n) })
    {
        return wrong;
    }
    let n_classes = map.classes.len();
    let outside = |code: u32| {
        let text = format!("class {code} beside {n_classes} classes");
        (code as usize >= n_classes).then_some((text, "codes that point at a class"))
    };
    for answers in &map.answers {
        let confidence = answers.confidence.as_ref().map_or(n, Vec::len);
        let wrong = length("a list of answers", answers.codes.len(), n)
            .or_else(|| length("a list of confidences", confidence, n))
            .or_else(|| answers.codes.iter().flatten().find_map(|&code| outside(code)));
        if wrong.is_some() {
            return wrong;
        }
    }
    map.codes.iter().find_map(|&code| outside(code))
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::super::*;
    use super::*;

    fn refused(content: impl Into<Content>) -> String {
        check(&Section::new("Odd", "", content)).unwrap_err().to_string()
    }

    fn map() -> CellMap {
        let classes = vec!["B".to_owned(), "T".to_owned()];
        let coordinates = Array2::zeros((2, 2));
        CellMap { coordinates, classes, codes: vec![0, 1], names: Vec::new(), answers: Vec::new() }
    }

    #[test]
    fn parts_that_do_not_fit_are_named_with_the_section() {
        let mut table = Table::new(vec![Column::text("a"), Column::text("b")]);
        table.row(["x".into(), "y".into()]);
        table.row(["x".into()]);
        let message = "`sections` is \"Odd\": row 1 has 1 cells beside 2 columns, expected one cell a column";
        assert_eq!(refused(table), message);
        assert!(refused(Table::default()).contains("a table without columns"));

        let axis = Axis { log: true, ..Axis::share("x") };
        let curves = Curves { x: axis, ..Default::default() };
        assert!(refused(curves).contains("an axis from 0 to 1, expected finite ends"));

        let matrix = Matrix {
            row_axis: String::new(),
            column_axis: String::new(),
            rows: vec!["a".into()],
            columns: vec!["b".into()],
            values: Array2::zeros((1, 2)),
            measure: MatrixValues::Counts,
            caption: String::new(),
        };
        assert!(refused(matrix).contains("1 × 2 values beside 1 × 1 names"));

        let bin = ReliabilityBin { low: 0.0, high: 1.0, n: 3, confidence: 0.5, accuracy: f64::NAN };
        let models = vec![ReliabilityCurve { name: "m".into(), bins: vec![bin], ece: 0.0 }];
        assert!(refused(Reliability { models }).contains("accuracy NaN, expected shares"));

        let mut bars = Bars::new("label", [("right", Tone::Right)]);
        bars.bar("T", &[3]);
        assert!(check(&Section::new("Fine", "", bars.clone())).is_ok());
        bars.counts[[0, 0]] = f64::NAN;
        assert!(refused(bars.clone()).contains("a count of NaN, expected finite counts"));
        bars.bars.clear();
        assert!(refused(bars).contains("1 × 1 counts beside 0 × 1 names"));

        assert!(check(&Section::new("Fine", "", map())).is_ok());
        assert!(refused(CellMap { codes: vec![0], ..map() }).contains("has 2 entries beside 1"));
        assert!(refused(CellMap { codes: vec![0, 7], ..map() }).contains("class 7 beside 2 classes"));
        let answers = |codes| vec![Answers { name: "m".into(), codes, confidence: Some(vec![0.5; 2]) }];
        assert!(refused(CellMap { answers: answers(vec![None]), ..map() }).contains("a list of answers"));
        let codes = vec![None, Some(9)];
        assert!(refused(CellMap { answers: answers(codes), ..map() }).contains("class 9"));
        assert!(check(&Section::text(" ", "words")).unwrap_err().to_string().contains("without a title"));
    }
}
