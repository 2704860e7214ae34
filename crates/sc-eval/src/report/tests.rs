//! What holds for a report as a whole.

use std::collections::BTreeMap;

use super::facts::Facts;
use super::*;

mod contrast;
mod markup;
mod payloads;

/// The page without its pictures, which hold no text that a browser reads.
fn page_of(report: &Report) -> String {
    let names: Vec<String> = report.cells.iter().take(3).cloned().collect();
    let (sections, slugs) = report.all_sections();
    let pictures = Pictures { maps: Vec::new(), sections: sections.iter().map(|_| None).collect() };
    page::page(report, Facts::new(report).as_ref(), (&sections, &slugs), &pictures, &names).unwrap()
}

#[test]
fn the_same_report_is_the_same_bytes() {
    let (first, second) = (sample::report().render().unwrap(), sample::report().render().unwrap());
    assert_eq!(first, second);
    let names: Vec<_> = first.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "report.html",
            "metrics.csv",
            "per_class.csv",
            "predictions.csv",
            "report.md",
            "accuracy.png",
            "confusion_good.png",
            "confusion_fair.png",
            "confusion_majority.png",
            "umap_labels.png",
            "umap_errors_good.png",
            "umap_errors_fair.png",
            "umap_errors.png",
            "metrics.json",
        ]
    );
    for file in first.iter().filter(|file| file.name.ends_with(".png")) {
        assert!(file.bytes.starts_with(b"\x89PNG\r\n\x1a\n"), "{}", file.name);
    }
}

#[test]
fn a_part_of_a_study_is_named_where_it_is_shown_and_never_at_the_top() {
    let mut report = sample::report();
    assert!(page_of(&report).contains("<dt>Best accuracy</dt>"));
    report.scope = Some("seed 7".to_owned());
    report.key_figures =
        vec![KeyFigure { name: "Mean accuracy".into(), value: "50 %".into(), note: "3 seeds".into() }];
    report.sections.push(Section::text("All seeds", "What holds.").leading());
    let page = page_of(&report);
    assert!(!page.contains("<dt>Best accuracy</dt>") && !page.contains("<dt>Its macro-F1</dt>"));
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text}"));
    assert!(place("<dt>Mean accuracy</dt>") < place("<dt>Majority baseline</dt>"));
    assert!(place("With seed 7, ") < place("Models, seed 7</h2>"));
    assert!(place("All seeds</h2>") < place("Models, seed 7</h2>"));
    let facts = Facts::new(&report);
    let markdown = markdown::page(&report, facts.as_ref(), &report.sections);
    assert!(markdown.find("## All seeds").unwrap() < markdown.find("## Models, seed 7").unwrap());
}

#[test]
fn times_change_only_the_columns_of_seconds() {
    let mut slower = sample::report();
    for (_, result) in &mut slower.models {
        result.fit_seconds *= 3.0;
        result.predict_seconds *= 3.0;
    }
    let tables = |report: &Report| {
        let bytes = tables::metrics(&Facts::new(report).unwrap());
        let mut reader = csv::Reader::from_reader(&bytes[..]);
        let header = reader.headers().unwrap().clone();
        let rows: Vec<_> = reader.records().map(|row| row.unwrap()).collect();
        let columns = header.iter().enumerate().filter(|(_, name)| !name.ends_with("_seconds"));
        let columns = columns
            .map(|(i, name)| (name.to_owned(), rows.iter().map(|row| row[i].to_owned()).collect::<Vec<_>>()));
        columns.collect::<BTreeMap<_, _>>()
    };
    assert_eq!(tables(&sample::report()), tables(&slower));
}

#[test]
fn the_json_holds_the_numbers_of_the_tables_and_the_hashes_of_the_files() {
    let report = sample::report();
    let files = report.render().unwrap();
    let json = &files.iter().find(|file| file.name == "metrics.json").unwrap().bytes;
    let json: serde_json::Value = serde_json::from_slice(json).unwrap();
    let (_, good) = &report.models[0];
    assert_eq!(json["best_model"], "good");
    assert_eq!(json["majority_class"], "T cells");
    assert_eq!(json["models"][0]["mean"]["accuracy"], good.mean.accuracy);
    assert_eq!(json["models"][0]["intervals"]["f1_macro"]["low"], good.intervals.f1_macro.low);
    assert_eq!(json["models"][0]["folds"].as_array().unwrap().len(), 3);
    assert_eq!(json["models"][0]["confusion"][2][2], good.confusion.get(2, 2));
    assert_eq!(json["models"][0]["against_best"], serde_json::Value::Null);
    assert_eq!(json["models"][2]["against_best"]["only_this_right"], 3);
    assert_eq!(json["manifest"]["cells_dropped"]["without a label"], 10);
    let listed = json["files"].as_array().unwrap();
    assert_eq!(listed.len(), files.len() - 1);
    for (record, file) in listed.iter().zip(&files) {
        assert_eq!(record["name"], file.name);
        assert_eq!(record["bytes"], file.bytes.len());
        assert_eq!(record["sha256"].as_str().unwrap().len(), 64);
    }
}

#[test]
fn parts_that_do_not_fit_the_labels_are_refused() {
    let refused = |change: fn(&mut Report)| {
        let mut report = sample::report();
        change(&mut report);
        report.validate().unwrap_err().to_string()
    };
    assert_eq!(refused(|r| r.models.clear()), "the report (no models, no sections) is empty");
    assert_eq!(refused(|r| r.cells.truncate(7)), "the list of cell names has 7 entries, expected 120");
    let map = refused(|r| r.umap = Some(Array2::zeros((120, 3))));
    assert_eq!(map, "the second axis of the map has 3 entries, expected 2");
    assert_eq!(refused(|r| r.labels = Labels::none()), "the list of labels beside models is empty");
    assert!(refused(|r| r.models[1].0 = "good".into()).contains("each once"));
    assert!(refused(|r| r.models[1].0 = String::new()).contains("not empty"));
    assert!(refused(|r| r.models[0].1.truth[0] = 0).contains("the report's cells"));
    assert!(refused(|r| r.models[0].1.predicted[5] = Some(9)).contains("holds class 9"));
    assert!(refused(|r| r.models[0].1.predicted.truncate(5)).contains("the list of predictions has 5"));
}

#[test]
fn a_report_without_map_or_rivals_or_notes_is_whole() {
    let mut report = sample::report();
    report.umap = None;
    report.models.truncate(1);
    let names: Vec<_> = report.render().unwrap().into_iter().map(|file| file.name).collect();
    assert!(names.contains(&"confusion_good.png".to_owned()) && !names.iter().any(|n| n.starts_with("umap")));
    let page = page_of(&report);
    assert!(!page.contains("Against the best") && !page.contains("Map of the cells"));
    assert!(!page.contains("application/json"));
}

#[test]
fn sections_alone_are_a_report() {
    let mut report = Report::of_sections("A check", "cells", Manifest::new("test", "0"));
    assert!(matches!(report.validate(), Err(Error::Empty { .. })));
    report.sections = sample::sections("the ");
    let files = report.render().unwrap();
    let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
    let expected = "report.html the_table.csv the_curves.csv the_matrix.csv the_reliability.csv the_findings.csv report.md \
                    map_the_map.png metrics.json";
    assert_eq!(names.join(" "), expected);
    let text = |name: &str| {
        let file = files.iter().find(|file| file.name == name).unwrap();
        String::from_utf8(file.bytes.clone()).unwrap()
    };
    assert_eq!(text("the_table.csv"), "the ,the ,the _low,the _high\nthe ,0.5,0.4,0.6\nthe ,the ,,\n");
    assert_eq!(text("the_matrix.csv"), "the  \\ the ,the 1,the 2\nthe 1,5,0\nthe 2,1,4\n");
    let curves = text("the_curves.csv");
    assert!(
        curves.starts_with("line,the ,the ,the _low,the _high\nthe ,0,0.5,0.4,0.6\nthe ,1,0.75,,\n"),
        "{curves}"
    );
    let json: serde_json::Value = serde_json::from_str(&text("metrics.json")).unwrap();
    let kinds: Vec<_> = json["sections"].as_array().unwrap().iter().map(|section| &section["kind"]).collect();
    assert_eq!(kinds, ["table", "curves", "matrix", "reliability", "map", "findings", "text"]);
    assert_eq!(json["sections"][0]["rows"][0][1]["low"], 0.4);
    assert_eq!(json["sections"][2]["values"], serde_json::json!([[5.0, 0.0], [1.0, 4.0]]));
    assert_eq!(json["sections"][5]["findings"][0]["severity"], "error");
    assert_eq!(
        (&json["best_model"], json["models"].as_array().unwrap().len()),
        (&serde_json::Value::Null, 0)
    );
    let page = text("report.html");
    assert!(!page.contains("h-models") && !page.contains("h-confusions") && page.contains("data-cells"));
    let markdown = text("report.md");
    assert!(
        markdown.contains("## the table") && markdown.contains("| the  | **0.50** [0.40, 0.60] |"),
        "{markdown}"
    );
    assert_eq!(report.table(), "");
}

#[test]
fn models_with_probabilities_have_their_reliability_and_their_risk() {
    let mut report = sample::report();
    let mut probabilities = Array2::from_elem((120, 3), 0.1_f32);
    for (cell, predicted) in report.models[0].1.predicted.iter().enumerate() {
        probabilities[[cell, predicted.unwrap() as usize]] = 0.8;
    }
    report.models[0].1.probabilities = Some(probabilities);
    let files = report.render().unwrap();
    let text =
        |name: &str| String::from_utf8(files.iter().find(|f| f.name == name).unwrap().bytes.clone()).unwrap();
    let right = report.models[0].1.confusion.correct() as f64 / 120.0;
    let reliability: Vec<f64> = {
        let text = text("reliability.csv");
        assert_eq!(text.lines().count(), 2, "{text}");
        text.lines().last().unwrap().split(',').skip(1).map(|number| number.parse().unwrap()).collect()
    };
    // 0.8 in single precision is a little above 0.8: the bin above it.
    let expected = [0.8, 13.0 / 15.0, 120.0, 0.8, right];
    for (found, expected) in reliability.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{reliability:?}");
    }
    let risk = text("risk_and_coverage.csv");
    let last = risk.lines().last().unwrap().rsplit_once(',').unwrap();
    assert_eq!((risk.lines().count(), last.0), (2, "good,1"), "{risk}");
    assert!((last.1.parse::<f64>().unwrap() - (1.0 - right)).abs() < 1e-12, "{risk}");
    let page = text("report.html");
    assert!(page.contains("href=\"#s-reliability\"") && page.contains("Reliability of good"));
    report.models[0].1.probabilities = Some(Array2::zeros((7, 3)));
    let refused = report.validate().unwrap_err().to_string();
    assert_eq!(refused, "the axis of cells of the probabilities has 7 entries, expected 120");
}

#[test]
fn no_number_of_a_section_is_run_by_a_spreadsheet() {
    let mut report = Report::of_sections("A check", "cells", Manifest::new("test", "0"));
    let mut table = Table::new(vec![Column::text("=1+1"), Column::new("@x", Kind::Interval(2))]);
    table.row(["=HYPERLINK(1)".into(), Cell::Value(-1.0)]);
    report.sections = vec![Section::new("=2+2", "", table)];
    let files = report.render().unwrap();
    let csv = files.iter().find(|file| file.name == "2_2.csv").unwrap();
    assert_eq!(csv.bytes, b"'=1+1,'@x,'@x_low,'@x_high\n'=HYPERLINK(1),-1,,\n");
}

#[test]
fn a_wrong_section_stops_the_report() {
    let mut report = sample::report();
    report.sections = vec![Section::new("Odd", "", Table::default())];
    let refused = report.render().unwrap_err().to_string();
    assert_eq!(refused, "`sections` is \"Odd\": a table without columns, expected at least one column");
}

#[test]
fn hundreds_of_types_are_listed_instead_of_drawn_as_a_table() {
    use crate::protocol::{FoldOutput, cross_validate};
    use crate::split::Split;
    let names: Vec<String> = (0..400).map(|cell| format!("type {}", cell / 2)).collect();
    let labels = Labels::new(&names).unwrap();
    let split = Split { train: (0..400).step_by(2).collect(), test: (1..400).step_by(2).collect() };
    let result = cross_validate(&labels, &[split], |_, test| {
        let codes = test.iter().map(|&cell| labels.codes()[cell] / 2).collect();
        let prediction = crate::Prediction { codes, probabilities: None };
        Ok::<_, std::convert::Infallible>(FoldOutput { prediction, fit_seconds: 0.0, predict_seconds: 0.0 })
    })
    .unwrap();
    let mut report = Report::new("Many types", "many", labels, Manifest::new("test", "0"));
    report.models.push(("halves".into(), result));
    let page = page_of(&report);
    assert!(page.contains("With this many types") && !page.contains("class=\"heat confusion"));
    assert!(page.contains("200 of") || page.contains("of 200"), "only tested cells are counted");
    let csv = String::from_utf8(tables::predictions(&report)).unwrap();
    assert!(csv.contains("\n0,type 0,\n"), "a cell that was not tested has no answer");
    report.umap = Some(Array2::from_shape_fn((400, 2), |(i, j)| (i * [7, 11][j] % 97) as f32));
    assert!(report.render().is_ok());
}
