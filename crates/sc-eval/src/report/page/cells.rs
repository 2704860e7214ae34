//! The cells of a map as data for the page's script: compact, and inert wherever it stands.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ndarray::ArrayView1;
use serde::Serialize;

use crate::report::figures::palette;
use crate::report::section::{Answers, CellMap};

/// Above so many cells their names are left out of the page.
const MAX_NAMES: usize = 50_000;
/// Bytes of all models' answers; models past it are left out of the map.
const MAX_ANSWERS: usize = 1_500_000;
/// Bytes of all models' confidences; those of models past it are left out.
const MAX_CONFIDENCES: usize = 500_000;

/// A block of data in the page.
#[derive(Serialize)]
pub(super) struct Block {
    pub(super) id: String,
    pub(super) json: String,
}

#[derive(Serialize)]
struct Data<'a> {
    n: usize,
    classes: &'a [String],
    /// Colours of the classes by day and by night.
    day: Vec<String>,
    night: Vec<String>,
    x: String,
    y: String,
    /// Bytes of a code.
    width: u8,
    labels: String,
    names: Option<Vec<&'a str>>,
    models: Vec<Model<'a>>,
    /// Models that would have made the page too large.
    left_out: usize,
}

#[derive(Serialize)]
struct Model<'a> {
    name: &'a str,
    codes: String,
    /// In 1/254; 255 for none.
    confidence: Option<String>,
}

/// The data of a map; `None` for one without cells, or with more classes than a code can tell apart.
pub(super) fn block(id: String, map: &CellMap) -> Option<Block> {
    let finite = |row: &ArrayView1<'_, f32>| row.iter().all(|value| value.is_finite());
    let places = map.coordinates.rows().into_iter().enumerate();
    let cells: Vec<usize> = places.filter(|(_, row)| finite(row)).map(|(cell, _)| cell).collect();
    if cells.is_empty() || map.classes.len() >= usize::from(u16::MAX) {
        return None;
    }
    let width = if map.classes.len() < usize::from(u8::MAX) { 1 } else { 2 };
    let axis = |axis: usize| coordinates(cells.iter().map(|&cell| f64::from(map.coordinates[[cell, axis]])));
    let codes = |code: &dyn Fn(usize) -> Option<u32>| {
        let mut bytes = Vec::with_capacity(cells.len() * usize::from(width));
        for &cell in &cells {
            let code = code(cell).map_or(u16::MAX, |code| code as u16).to_le_bytes();
            bytes.extend_from_slice(&code[..usize::from(width)]);
        }
        STANDARD.encode(bytes)
    };
    let fit = MAX_ANSWERS / (cells.len() * usize::from(width));
    let sure = MAX_CONFIDENCES / cells.len();
    let model = |(i, answers): (usize, &'_ Answers)| {
        let confidence = |values: &Vec<f32>| {
            STANDARD.encode(cells.iter().map(|&cell| share(values[cell])).collect::<Vec<_>>())
        };
        let confidence = answers.confidence.as_ref().filter(|_| i < sure.max(1)).map(confidence);
        (codes(&|cell| answers.codes[cell]), confidence)
    };
    let models: Vec<_> = map.answers.iter().enumerate().take(fit.max(1)).map(model).collect();
    let named = models.into_iter().zip(&map.answers);
    let models: Vec<_> = named
        .map(|((codes, confidence), answers)| Model { name: &answers.name, codes, confidence })
        .collect();
    let colours =
        |of: fn(usize) -> palette::Rgb| (0..map.classes.len().min(40)).map(|i| hex(of(i))).collect();
    let data = Data {
        n: cells.len(),
        classes: &map.classes,
        day: colours(palette::class),
        night: colours(palette::night),
        x: axis(0),
        y: axis(1),
        width,
        labels: codes(&|cell| Some(map.codes[cell])),
        names: (!map.names.is_empty() && cells.len() <= MAX_NAMES)
            .then(|| cells.iter().map(|&cell| map.names[cell].as_str()).collect()),
        left_out: map.answers.len() - models.len(),
        models,
    };
    Some(Block { id, json: inert(&serde_json::to_string(&data).expect("strings and numbers are JSON")) })
}

/// Finite values on a scale of their own, as 16-bit numbers.
fn coordinates(values: impl Iterator<Item = f64> + Clone) -> String {
    let low = values.clone().fold(f64::INFINITY, f64::min);
    let span = values.clone().fold(f64::NEG_INFINITY, f64::max) - low;
    let place = |value: f64| match span > 0.0 {
        true => ((value - low) / span * f64::from(u16::MAX)).round() as u16,
        false => u16::MAX / 2,
    };
    STANDARD.encode(values.flat_map(|value| place(value).to_le_bytes()).collect::<Vec<_>>())
}

fn share(value: f32) -> u8 {
    if value.is_finite() { (value.clamp(0.0, 1.0) * 254.0).round() as u8 } else { u8::MAX }
}

pub(super) fn hex([r, g, b]: palette::Rgb) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// JSON without a character that means something in HTML or ends a line in JavaScript. All of these can only stand
/// within strings, where their escapes mean the same.
fn inert(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    fn map(n: usize) -> CellMap {
        let coordinates = Array2::from_shape_fn((n, 2), |(i, j)| (i * (j + 1)) as f32);
        let codes = Some(vec![Some(1); n]);
        let confidence = Some(vec![0.5; n]);
        CellMap {
            coordinates,
            classes: vec!["a".into(), "b".into()],
            codes: vec![0; n],
            names: (0..n).map(|i| i.to_string()).collect(),
            answers: codes.map(|codes| Answers { name: "m".into(), codes, confidence }).into_iter().collect(),
        }
    }

    fn json(map: &CellMap) -> serde_json::Value {
        serde_json::from_str(&block("x".into(), map).unwrap().json).unwrap()
    }

    #[test]
    fn cells_without_a_place_are_left_out_of_every_list() {
        let mut map = map(4);
        map.coordinates[[1, 0]] = f32::NAN;
        map.codes[3] = 1;
        map.answers[0].codes[0] = None;
        let json = json(&map);
        assert_eq!(json["n"], 3);
        assert_eq!(json["names"], serde_json::json!(["0", "2", "3"]));
        let bytes = |value: &serde_json::Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
        assert_eq!(bytes(&json["labels"]), [0, 0, 1]);
        assert_eq!(bytes(&json["models"][0]["codes"]), [255, 1, 1]);
        assert_eq!(bytes(&json["models"][0]["confidence"]), [127; 3]);
        assert_eq!(bytes(&json["x"])[4..], [255, 255]);
        map.coordinates.fill(f32::NAN);
        assert!(block("x".into(), &map).is_none());
    }

    #[test]
    fn many_classes_take_two_bytes_a_code() {
        let mut map = map(2);
        map.classes = (0..300).map(|i| i.to_string()).collect();
        map.codes = vec![299, 0];
        let json = json(&map);
        assert_eq!(json["width"], 2);
        assert_eq!(json["labels"], STANDARD.encode([43, 1, 0, 0]));
    }

    #[test]
    fn a_large_map_stays_small() {
        let mut map = map(100_000);
        map.answers = vec![map.answers[0].clone(); 40];
        let block = block("x".into(), &map).unwrap();
        assert!(block.json.len() < 3_500_000, "{}", block.json.len());
        let json: serde_json::Value = serde_json::from_str(&block.json).unwrap();
        assert_eq!((json["models"].as_array().unwrap().len(), &json["left_out"]), (15, &25.into()));
        assert!(json["names"].is_null() && json["models"][5]["confidence"].is_null());
    }

    #[test]
    fn data_is_inert() {
        let mut map = map(2);
        map.names[0] = "</script><!--&\u{2028}".into();
        let block = block("x".into(), &map).unwrap();
        assert!(!block.json.contains(['<', '>', '&', '\u{2028}']));
        assert_eq!(json(&map)["names"][0], map.names[0]);
    }
}
