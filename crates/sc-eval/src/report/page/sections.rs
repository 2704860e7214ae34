//! Sections put into the shapes that the template lays out.

use super::cells::{self, Block};
use super::matrices::{self, HeatView};
use super::view::{Line, MapView, Plot, SectionView, TableCell, TableHead, TableView};
use crate::report::draw::PageMap;
use crate::report::section::{
    Bars, Cell, Column, Content, Curves, Findings, Kind, Reliability, ReliabilityCurve, Section, Table, Tone,
};
use crate::report::{chart, number};

/// Columns above which a table is set closer.
const WIDE: usize = 8;

/// Rows above which the numbers of a drawing are only in its file.
const MAX_FOLDED: usize = 60;

/// A minus sign in place of a hyphen, after which a line may break.
fn signed(number: String) -> String {
    match number.strip_prefix('-') {
        Some(digits) => format!("\u{2212}{digits}"),
        None => number,
    }
}

/// A section, and its data if it has any.
pub(super) fn section(
    section: &Section,
    slug: &str,
    picture: Option<&PageMap>,
) -> (SectionView, Option<Block>) {
    let mut view = SectionView {
        anchor: format!("s-{slug}"),
        title: section.title.clone(),
        lede: section.lede.clone(),
        ..Default::default()
    };
    let mut block = None;
    match &section.content {
        Content::Table(body) => view.table = Some(table(body)),
        Content::Curves(body) => {
            curves(&mut view, body);
            fold(&mut view, section);
        }
        Content::Reliability(body) => reliability(&mut view, body),
        Content::Bars(body) => {
            bars(&mut view, body);
            fold(&mut view, section);
        }
        Content::Matrix(body) => view.heat = Some(HeatView::of(body)),
        Content::Findings(body) => findings(&mut view, body),
        Content::Text { text } => {
            let paragraphs = text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty());
            view.paragraphs = paragraphs.map(str::to_owned).collect();
        }
        Content::Map(body) => {
            block = cells::block(format!("cells-{slug}"), body);
            let pictures = picture.into_iter().map(super::picture).collect();
            view.map = Some(MapView { block: block.as_ref().map(|block| block.id.clone()), pictures });
        }
    }
    (view, block)
}

fn curves(view: &mut SectionView, curves: &Curves) {
    view.kind = "curves";
    let svg = chart::curves(curves, &view.title);
    view.plots = vec![Plot { title: String::new(), svg, caption: curves.caption.clone() }];
    let line = |(i, name): (usize, &str)| Line { class: chart::line_class(i), name: name.to_owned() };
    view.lines = curves.series.iter().map(|series| series.name.as_str()).enumerate().map(line).collect();
    let base = |name: &str| Line { class: "base".to_owned(), name: name.to_owned() };
    view.lines.extend(curves.baselines.iter().map(|baseline| base(baseline.name())));
}

fn bars(view: &mut SectionView, bars: &Bars) {
    view.kind = "bars";
    let svg = chart::bars(bars, &view.title);
    view.plots = vec![Plot { title: String::new(), svg, caption: bars.caption.clone() }];
    let line =
        |(name, tone): &(String, Tone)| Line { class: format!("part {}", tone.class()), name: name.clone() };
    view.lines = bars.parts.iter().map(line).collect();
}

fn reliability(view: &mut SectionView, reliability: &Reliability) {
    view.kind = "reliability";
    let plot = |curve: &ReliabilityCurve| Plot {
        title: curve.name.clone(),
        svg: chart::reliability(curve),
        caption: format!("Expected calibration error {}", number::score(curve.ece)),
    };
    view.plots = reliability.models.iter().map(plot).collect();
    view.table = Some(table(&reliability.summary()));
}

fn findings(view: &mut SectionView, findings: &Findings) {
    view.findings = findings.findings.iter().map(Into::into).collect();
    if findings.findings.is_empty() {
        view.paragraphs = vec!["Nothing was found.".to_owned()];
    }
}

/// Puts the numbers of a drawing below it, out of the way, if they are few.
fn fold(view: &mut SectionView, section: &Section) {
    if let Some(numbers) = section.table().filter(|table| table.rows.len() <= MAX_FOLDED) {
        view.table = Some(table(&numbers));
        view.folded = true;
    }
}

/// A table with its marks and the keys it is sorted by.
pub(super) fn table(table: &Table) -> TableView {
    let best: Vec<Vec<bool>> = (0..table.columns.len()).map(|column| table.is_best(column)).collect();
    let head = |column: &Column| TableHead {
        name: column.name.clone(),
        number: !matches!(column.kind, Kind::Text | Kind::Interval(_)),
    };
    let cell = |row: usize, column: usize, cell: &Cell| {
        let kind = table.columns[column].kind;
        let text = match cell {
            Cell::Text(text) => text.clone(),
            cell => cell.value().map_or_else(|| "–".to_owned(), |value| signed(kind.print(value))),
        };
        let ends = cell.ends().filter(|_| cell.value().is_some());
        let small =
            ends.map(|(low, high)| format!("[{}, {}]", signed(kind.print(low)), signed(kind.print(high))));
        let class = match (kind, best[column][row]) {
            (Kind::Text, _) => "t",
            (Kind::Interval(_), true) => "best",
            (Kind::Interval(_), false) => "",
            (_, true) => "n best",
            (_, false) => "n",
        };
        let key = cell.value().map(|value| format!("{value}")).unwrap_or_default();
        TableCell { parts: matrices::parts(&text), small: small.unwrap_or_default(), class, key }
    };
    let row = |(i, row): (usize, &Vec<Cell>)| {
        row.iter().enumerate().map(|(column, value)| cell(i, column, value)).collect()
    };
    TableView {
        caption: table.caption.clone(),
        head: table.columns.iter().map(head).collect(),
        rows: table.rows.iter().enumerate().map(row).collect(),
        narrow: table.columns.len() < 5,
        wide: table.columns.len() > WIDE,
    }
}
