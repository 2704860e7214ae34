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
