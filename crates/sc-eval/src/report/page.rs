//! The page: facts put into the words and shapes that the template lays out.
//!
//! The template escapes every value. Only two things go in as they are: the style sheet, which is part of this
//! program, and pictures in base64, an alphabet without markup.

mod matrices;
mod results;
mod view;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::Environment;

use super::draw::PageMap;
use super::facts::Facts;
use super::figures::{Entry, palette};
use super::{Report, number, words};
use crate::{Error, Result};
use view::{Class, Key, MapView, Page, Tile};

const TEMPLATE: &str = include_str!("html/page.html");
const STYLE: &str = include_str!("html/style.css");

/// The page as one file; `maps` are drawn already, `names` are all files beside it.
pub(super) fn page(report: &Report, facts: &Facts<'_>, maps: &[PageMap], names: &[String]) -> Result<String> {
    let view = view(report, facts, maps, names);
    let render = || -> Result<String, minijinja::Error> {
        let mut environment = Environment::new();
        // A name that ends in .html is what makes the engine escape.
        environment.add_template("page.html", TEMPLATE)?;
        environment.get_template("page.html")?.render(&view)
    };
    render().map_err(|e| Error::Draw { what: "report.html".to_owned(), reason: format!("{e:#}") })
}

fn view(report: &Report, facts: &Facts<'_>, maps: &[PageMap], names: &[String]) -> Page {
    let manifest = &report.manifest;
    let program = format!("{} {}", manifest.program, manifest.version);
    let eyebrow = [Some(report.dataset.clone()), Some(program.clone()), manifest.started.clone()];
    let answer = words::answer(facts).into_iter().map(Into::into).collect();
    let pairs = results::pairs(facts);
    Page {
        style: STYLE,
        title: report.title.clone(),
        eyebrow: eyebrow.into_iter().flatten().collect::<Vec<_>>().join(" · "),
        answer,
        tiles: tiles(report, facts),
        interval_note: words::INTERVALS,
        axis: results::axis(facts),
        models: results::models(report, facts),
        best: facts.best().name.to_owned(),
        pairs_note: words::PAIRS,
        pairs,
        classes: classes(report, facts),
        f1_means: facts.models.iter().map(|m| number::score(m.result.confusion.f1_macro())).collect(),
        n_cells: number::count(facts.n_tested),
        dense: report.labels.n_classes() > 14,
        maps: maps.iter().map(|map| map_view(report, map)).collect(),
        facts: data_facts(report, facts),
        notes: report.notes.clone(),
        command: manifest.command.join(" "),
        run: run_facts(report),
        parameters: manifest.parameters.clone(),
        inputs: manifest.inputs.iter().map(Into::into).collect(),
        files: names.to_vec(),
        footer: format!(
            "Written by {program}. This page asks for nothing: it works offline and holds no script."
        ),
    }
}

fn tiles(report: &Report, facts: &Facts<'_>) -> Vec<Tile> {
    let (manifest, labels) = (&report.manifest, &report.labels);
    let counts = labels.counts();
    let mut smallest = 0;
    for (class, &n) in counts.iter().enumerate() {
        if n < counts[smallest] {
            smallest = class;
        }
    }
    let dropped = manifest.cells_read.saturating_sub(labels.len());
    let cells = match (manifest.cells_read, dropped) {
        (0, _) => String::new(),
        (_, 0) => "none left out".to_owned(),
        (read, n) => format!("{} of {} left out", number::count(n), number::count(read)),
    };
    let rarest = format!("rarest: {}, {}", labels.classes()[smallest], number::cells(counts[smallest]));
    let best = facts.best();
    let f1 = format!("[{:.3}, {:.3}], {}", best.f1_macro.low, best.f1_macro.high, best.name);
    let mut tiles = vec![
        Tile::new("Best accuracy", number::percent(best.accuracy.value), best.name.to_owned()),
        Tile::new("Its macro-F1", number::score(best.f1_macro.value), f1),
        Tile::new("Majority baseline", number::percent(facts.majority), facts.majority_class.to_owned()),
        Tile::new("Cells", number::count(labels.len()), cells),
        Tile::new("Cell types", number::count(labels.n_classes()), rarest),
    ];
    if manifest.n_genes > 0 {
        tiles.push(Tile::new("Genes", number::count(manifest.n_genes), "in the input".to_owned()));
    }
    tiles
}

fn classes(report: &Report, facts: &Facts<'_>) -> Vec<Class> {
    let counts = report.labels.counts();
    let class = |(i, name): (usize, &String)| Class {
        name: name.clone(),
        colour: hex(palette::class(i)),
        support: number::count(counts[i]),
        f1: facts.models.iter().map(|model| matrices::f1(model, i, name)).collect(),
    };
    report.labels.classes().iter().enumerate().map(class).collect()
}

fn map_view(report: &Report, map: &PageMap) -> MapView {
    let title = &map.title;
    let entry = |entry: &Entry| {
        let (colour, name) = (hex(entry.colour), entry.name.clone());
        Key { colour, name, n: number::count(entry.n) }
    };
    MapView {
        base64: STANDARD.encode(&map.png),
        alt: format!("UMAP of {}: {title}. {}", number::cells(report.labels.len()), map.caption),
        title: title.clone(),
        caption: map.caption.clone(),
        legend: map.legend.iter().map(entry).collect(),
    }
}

fn hex([r, g, b]: palette::Rgb) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn data_facts(report: &Report, facts: &Facts<'_>) -> Vec<(String, String)> {
    let manifest = &report.manifest;
    let mut rows = vec![("Data set".to_owned(), report.dataset.clone())];
    if manifest.cells_read > 0 {
        rows.push(("Cells read".to_owned(), number::count(manifest.cells_read)));
    }
    for (reason, n) in &manifest.cells_dropped {
        rows.push((format!("Left out: {reason}"), number::count(*n)));
    }
    rows.push(("Cells scored".to_owned(), number::count(facts.n_tested)));
    if manifest.n_genes > 0 {
        rows.push(("Genes read".to_owned(), number::count(manifest.n_genes)));
    }
    rows.extend(report.protocol.iter().cloned());
    rows
}

fn run_facts(report: &Report) -> Vec<(String, String)> {
    let manifest = &report.manifest;
    let mut rows = Vec::new();
    let mut add = |name: &str, value: String| rows.push((name.to_owned(), value));
    if let Some(seed) = manifest.seed {
        add("Seed", seed.to_string());
    }
    if let Some(started) = &manifest.started {
        add("Started", started.clone());
    }
    for (step, took) in &manifest.durations_seconds {
        add(step, format!("{} s", number::seconds(*took)));
    }
    if manifest.threads > 0 {
        add("Threads", format!("{} (results do not depend on them)", manifest.threads));
    }
    add("System", format!("{}, {}", manifest.os, manifest.arch));
    let crates = manifest.crates.iter().map(|(name, version)| format!("{name} {version}"));
    add("Crates", crates.collect::<Vec<_>>().join(", "));
    rows
}
