//! The page in a real browser: no name runs, nothing is asked for, and what can be clicked works.
//!
//! Each test says what it left out where no browser is on the path.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

#[path = "browser/devtools.rs"]
mod devtools;
#[path = "../src/report/tests/payloads.rs"]
mod payloads;

use std::convert::Infallible;

use devtools::Browser;
use ndarray::Array2;
use sc_eval::protocol::{CrossValidation, FoldOutput, cross_validate};
use sc_eval::report::{
    Answers, Axis, Baseline, CellMap, Column, Curves, Finding, Findings, KeyFigure, Matrix, MatrixValues,
    Point, Section, Series, Severity, Table,
};
use sc_eval::split::{Split, StratifiedKFold};
use sc_eval::{Labels, Manifest, Prediction, Report};

#[allow(clippy::print_stderr, reason = "a test that leaves something out says so")]
fn browser() -> Option<Browser> {
    let browser = Browser::start();
    if browser.is_none() {
        eprintln!("no browser on the path: what the page does in one was not tested");
    }
    browser
}

/// A report on 24 cells a type, in which each model is wrong about every so manieth cell and gives probabilities.
fn report(types: &[String], models: &[String]) -> Report {
    let n = 24 * types.len();
    let names: Vec<&String> = (0..n).map(|cell| &types[cell % types.len()]).collect();
    let labels = Labels::new(&names).unwrap();
    let splits = StratifiedKFold { n_splits: 3, ..Default::default() }.split(&labels).unwrap();
    let mut report = Report::new("A page", "cells", labels.clone(), Manifest::new("browser", "0"));
    report.cells = (0..n).map(|cell| format!("cell_{cell}")).collect();
    // One column of cells a type, apart from each other.
    report.umap = Some(Array2::from_shape_fn((n, 2), |(cell, axis)| match axis {
        0 => labels.codes()[cell] as f32 * 10.0,
        _ => (cell / types.len()) as f32,
    }));
    let result = |(i, name): (usize, &String)| (name.clone(), result(&labels, &splits, 5 + i));
    report.models = models.iter().enumerate().map(result).collect();
    report
}

fn result(labels: &Labels, splits: &[Split], wrong_every: usize) -> CrossValidation {
    let n_classes = labels.n_classes();
    cross_validate(labels, splits, |_, test| {
        let mut probabilities = Array2::from_elem((test.len(), n_classes), 0.25 / (n_classes - 1) as f32);
        for (row, &cell) in test.iter().enumerate() {
            let truth = labels.codes()[cell] as usize;
            let called = if cell % wrong_every == 0 { (truth + 1) % n_classes } else { truth };
            probabilities[[row, called]] = 0.75;
        }
        let prediction = Prediction::from_probabilities(probabilities);
        Ok::<_, Infallible>(FoldOutput { prediction, fit_seconds: 0.5, predict_seconds: 0.25 })
    })
    .unwrap()
}

fn named(prefix: &str, n: usize) -> Vec<String> {
    (0..n).map(|i| format!("{prefix}{i}")).collect()
}

/// A page on which every text from outside is one of `texts`, of which there are at least two.
fn made_of(texts: &[String]) -> String {
    let mut report = report(texts, texts);
    let text = |i: usize| texts[i % texts.len()].clone();
    (report.title, report.dataset) = (text(0), text(1));
    for (i, cell) in report.cells.iter_mut().enumerate() {
        *cell = text(i / texts.len());
    }
    report.answer = Some(text(2));
    report.key_figures = vec![KeyFigure { name: text(0), value: text(1), note: text(2) }];
    report.notes = texts.to_vec();
    report.protocol = (0..texts.len()).map(|i| (text(i), text(i + 1))).collect();
    let manifest = &mut report.manifest;
    manifest.command = texts.to_vec();
    manifest.parameters = (0..texts.len()).map(|i| (text(i), text(i + 1))).collect();
    (manifest.program, manifest.version, manifest.started) = (text(3), text(4), Some(text(5)));
    let file =
        |path: &String| sc_eval::manifest::InputFile { path: path.clone(), bytes: 1, sha256: path.clone() };
    manifest.inputs = texts.iter().map(file).collect();
    let mut table = Table::new(vec![Column::text(text(0)), Column::text(text(1))]);
    for i in 0..texts.len() {
        table.row([text(i).into(), text(i + 1).into()]);
    }
    table.caption = text(3);
    let points = [Point::new(0.0, 0.5), Point::new(1.0, 0.75)];
    let curves = Curves {
        x: Axis::share(text(0)),
        y: Axis::new(text(1)),
        series: texts.iter().map(|text| Series::new(text, points)).collect(),
        baselines: vec![Baseline::Diagonal { name: text(2) }],
        caption: text(3),
    };
    let matrix = Matrix {
        row_axis: text(0),
        column_axis: text(1),
        rows: texts.to_vec(),
        columns: texts.to_vec(),
        values: Array2::eye(texts.len()),
        measure: MatrixValues::Counts,
        caption: text(2),
    };
    let finding = |text: &String| Finding::new(Severity::Warning, text).number(text, text);
    let findings = Findings { findings: texts.iter().map(finding).collect() };
    report.sections = vec![
        Section::new(text(0), text(1), table),
        Section::new(text(2), text(3), curves),
        Section::new(text(4), text(5), matrix),
        Section::new(text(6), text(7), findings),
        Section::text(text(1), texts.join("\n\n")),
    ];
    report.page().unwrap()
}

/// Chooses everything that can be chosen and points at many places of every map.
const USE_EVERYTHING: &str = "(async () => {
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    for (const button of document.querySelectorAll('thead button')) button.click();
    for (const input of document.querySelectorAll('input[type=radio]')) input.click();
    for (const details of document.querySelectorAll('details')) details.open = true;
    let tips = 0;
    for (const explorer of document.querySelectorAll('.explorer')) {
        const [way, which] = explorer.querySelectorAll('select');
        for (const option of way.options) {
            way.value = option.value;
            way.dispatchEvent(new Event('change'));
            which.value = which.options[which.options.length - 1].value;
            which.dispatchEvent(new Event('change'));
            await frame();
            const canvas = explorer.querySelector('canvas');
            const box = canvas.getBoundingClientRect();
            for (let i = 0; i < 24; i++) for (let j = 0; j < 24; j++) {
                const at = { clientX: box.x + (i + .5) / 24 * box.width, clientY: box.y + (j + .5) / 24 * box.height };
                canvas.dispatchEvent(new PointerEvent('pointermove', { ...at, pointerType: 'mouse' }));
                tips += !explorer.querySelector('.tip').hidden;
            }
        }
        for (const button of explorer.querySelectorAll('.pick button')) button.click();
        await frame();
    }
    for (const field of document.querySelectorAll('.confusion td')) {
        field.dispatchEvent(new PointerEvent('pointerover', { bubbles: true }));
    }
    await new Promise((done) => setTimeout(done, 50));
    return tips;
})()";

#[test]
fn no_name_runs_and_nothing_is_asked_for() {
    let Some(mut browser) = browser() else { return };
    // First that the watch sees what it watches for: without escapes and policy these texts do run and ask.
    browser.open("<p><img src=x onerror=alert(1)></p><script>alert(2)</script>");
    assert_eq!(browser.eval("ran.length"), 2);
    assert_eq!(browser.requests.len(), 2, "{:?}", browser.requests);

    let payloads = payloads::all();
    assert!(payloads.len() >= 100);
    for texts in payloads.chunks(17) {
        let page = made_of(texts);
        // The escapes alone, and the escapes with the policy.
        let open = page.replacen("http-equiv", "data-was", 1);
        assert_ne!(open, page);
        for (page, used) in [(&open, true), (&page, false)] {
            browser.open(page);
            if used {
                assert!(browser.eval(USE_EVERYTHING).as_u64().unwrap() > 20, "the pointer meets cells");
            }
            assert_eq!(browser.eval("[ran, stopped, failed].flat()"), serde_json::json!([]), "{texts:?}");
            let asked: Vec<_> =
                browser.requests.iter().filter(|url| !url.starts_with("data:image/png")).collect();
            assert_eq!(asked.len(), 1, "only the page itself: {asked:?}");
        }
        // What a reader sees is the text itself, to the letter, where the browser does not change it.
        let title = browser.eval("document.querySelector('h1').textContent");
        let plain = |text: &str| text.replace(['\0', '\u{fffd}'], "").replace("\r\n", "\n").trim().to_owned();
        assert_eq!(plain(title.as_str().unwrap()), plain(&texts[0]));
    }
}

#[test]
fn the_policy_stops_a_script_that_is_not_the_pages_own() {
    let Some(mut browser) = browser() else { return };
    let page = report(&named("type ", 3), &named("model ", 2)).page().unwrap();
    let foreign = "<script>alert(1)</script><img src=https://192.0.2.1/x.png onerror=alert(2)><p style=color:red>x</p></main>";
    browser.open(&page.replacen("</main>", foreign, 1));
    // The handler of the picture, and nothing of the others.
    assert_eq!(browser.eval("ran"), serde_json::json!([]));
    let stopped = browser.eval("[...new Set(stopped)].sort()");
    assert_eq!(
        stopped,
        serde_json::json!(["img-src", "script-src-attr", "script-src-elem", "style-src-attr"])
    );
    assert_eq!(browser.eval("document.querySelectorAll('thead button').length > 5"), true);
}

#[test]
fn tables_are_sorted_by_mouse_and_by_keyboard() {
    let Some(mut browser) = browser() else { return };
    browser.open(&report(&named("type ", 3), &named("model ", 4)).page().unwrap());
    let order =
        "[...document.querySelectorAll('#models tbody th')].map((head) => head.textContent.at(-1)).join('')";
    let sort = "document.querySelectorAll('#models thead th')[1].getAttribute('aria-sort')";
    assert_eq!(browser.eval(order), "0123");
    let place = "(() => {
        const box = document.querySelectorAll('#models thead button')[1].getBoundingClientRect();
        return [box.x + box.width / 2, box.y + box.height / 2];
    })()";
    let place = browser.eval(place);
    let place = (place[0].as_f64().unwrap(), place[1].as_f64().unwrap());
    // A model that is wrong less often comes later in the report.
    browser.mouse(place, true, 0.0);
    assert_eq!((browser.eval(order), browser.eval(sort)), ("3210".into(), "descending".into()));
    browser.key("Enter", "\r");
    assert_eq!((browser.eval(order), browser.eval(sort)), ("0123".into(), "ascending".into()));
    browser.key("Enter", "\r");
    assert_eq!((browser.eval(order), browser.eval(sort)), ("0123".into(), serde_json::Value::Null));

    let field = "document.querySelector('#confusions .panel0 tbody td').textContent";
    assert_eq!(browser.eval(field), "19");
    browser.eval("document.querySelector('#confusions .by-share').click()");
    assert_eq!(browser.eval(field), "79");
    browser.eval("document.querySelector('#measure-n').click()");
    assert_eq!(browser.eval(field), "19");
}

/// The share of the canvas that has a colour, given as red, green and blue.
fn share(browser: &mut Browser, colour: [u8; 3]) -> f64 {
    let [r, g, b] = colour;
    let count = format!(
        "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {{
            const canvas = document.querySelector('canvas');
            const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
            let n = 0;
            for (let i = 0; i < pixels.length; i += 4) n += pixels[i] === {r} && pixels[i + 1] === {g} && pixels[i + 2] === {b};
            done(n / (pixels.length / 4));
        }})))"
    );
    browser.eval(&count).as_f64().unwrap()
}

#[test]
fn the_map_is_drawn_pointed_at_picked_from_and_zoomed() {
    let Some(mut browser) = browser() else { return };
    browser.open(&report(&named("type ", 3), &named("model ", 2)).page().unwrap());
    let (blue, orange) = ([0, 114, 178], [230, 159, 0]);
    let (first, second) = (share(&mut browser, blue), share(&mut browser, orange));
    assert!(first > 0.001 && (first - second).abs() < 0.2 * first, "{first} {second}");

    browser.eval("document.querySelector('canvas').scrollIntoView({ block: 'center' })");
    let at = |browser: &mut Browser, x: f64, y: f64| {
        let place = browser.eval(&format!(
            "(() => {{ const box = document.querySelector('canvas').getBoundingClientRect();
                return [box.x + {x} * box.width, box.y + {y} * box.height]; }})()"
        ));
        (place[0].as_f64().unwrap(), place[1].as_f64().unwrap())
    };
    // The lowest cell of the second type is the second of the file; each axis has a rim of 3 %.
    let place = at(&mut browser, 0.5, 0.97);
    browser.mouse(place, false, 0.0);
    let tip = browser.eval("[...document.querySelector('.tip').children].map((line) => line.textContent)");
    assert_eq!(tip, serde_json::json!(["cell_1", "label: type 1", "model 1: type 1, 75 % sure"]));

    // The wheel scrolls the page until the map has been clicked.
    browser.mouse(place, false, -200.0);
    let still = share(&mut browser, orange);
    assert!((still - second).abs() < 1e-9, "{still} {second}");
    browser.eval("document.querySelector('canvas').scrollIntoView({ block: 'center' })");
    let place = at(&mut browser, 0.5, 0.97);
    browser.mouse(place, true, -400.0);
    browser.eval("new Promise((done) => setTimeout(done, 100))");
    // The type in the middle stays in sight, those at the sides do not.
    assert!(share(&mut browser, orange) > 0.0 && share(&mut browser, blue) == 0.0);
    browser.key("0", "0");
    assert!((share(&mut browser, orange) - second).abs() < 1e-9);

    browser.eval("document.querySelectorAll('.pick button')[1].click()");
    assert_eq!(share(&mut browser, blue), 0.0);
    assert!((share(&mut browser, orange) - second).abs() < 1e-9);
    let status = browser.eval("document.querySelector('.side p').textContent");
    assert_eq!(status, "24 of 72 cells picked out.");
    let errors = "(() => { const way = document.querySelector('.explorer select');
        way.value = 'errors'; way.dispatchEvent(new Event('change')); })()";
    browser.eval(errors);
    let wrong = share(&mut browser, [213, 94, 0]);
    assert!(wrong > 0.0 && wrong < second, "{wrong}");
    let counts =
        browser.eval("[...document.querySelectorAll('.pick small')].map((count) => count.textContent)");
    assert_eq!(counts, serde_json::json!(["60", "12"]));
    assert_eq!(browser.eval("failed"), serde_json::json!([]));
}

#[test]
fn without_script_and_on_paper_the_pictures_stand_in_for_the_map() {
    let Some(mut browser) = browser() else { return };
    let page = report(&named("type ", 3), &named("model ", 2)).page().unwrap();
    let shown = "[...document.querySelectorAll('.still img, .explorer')].map((part) => part.getClientRects().length > 0)";
    browser.open(&page);
    assert_eq!(browser.eval(shown), serde_json::json!([true, false, false, false]));
    browser.call("Emulation.setEmulatedMedia", serde_json::json!({ "media": "print" }));
    assert_eq!(browser.eval(shown), serde_json::json!([false, true, true, true]));
    browser.call("Emulation.setEmulatedMedia", serde_json::json!({ "media": "" }));
    let (start, end) = (page.rfind("<script>").unwrap(), page.rfind("</script>").unwrap());
    browser.open(&format!("{}<script>{}", &page[..start], &page[end..]));
    assert_eq!(browser.eval(shown), serde_json::json!([false, true, true, true]));
}

#[test]
fn a_hundred_thousand_cells_are_one_small_page() {
    let n = 100_000;
    let answers = |i: usize| Answers {
        name: format!("model {i}"),
        codes: (0..n).map(|cell| Some(((cell + i) % 40) as u32)).collect(),
        confidence: Some(vec![0.5; n]),
    };
    // A cloud a type: what looks random is the cell's number times a prime, three times over.
    let scatter = |cell: usize, axis: usize| {
        let primes = [[7_919, 104_729, 15_485_863], [32_452_843, 49_979_687, 67_867_967]][axis];
        primes.iter().map(|prime| (cell * prime % 1_009) as f32).sum::<f32>() / 3_027.0
    };
    let map = CellMap {
        coordinates: Array2::from_shape_fn((n, 2), |(cell, axis)| {
            let class = cell % 40;
            scatter(cell, axis) + [class / 8, class % 8][axis] as f32
        }),
        classes: named("type ", 40),
        codes: (0..n).map(|cell| (cell % 40) as u32).collect(),
        names: (0..n).map(|cell| format!("AAACATACAACCAC-{cell}")).collect(),
        answers: (0..15).map(answers).collect(),
    };
    let mut report = Report::of_sections("Many cells", "many", Manifest::new("browser", "0"));
    report.sections = vec![Section::new("Map", "", map)];
    let page = report.page().unwrap();
    assert!(page.len() < 6_000_000, "{} bytes", page.len());
    let Some(mut browser) = browser() else { return };
    browser.open(&page);
    assert!(share(&mut browser, [0, 114, 178]) > 0.001);
    assert_eq!(browser.eval("failed"), serde_json::json!([]));
}
