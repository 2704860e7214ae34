//! The page: facts put into the words and shapes that the template lays out.
//!
//! The template escapes every value. Only this goes in as it is: the style sheet and the script, which are part of this
//! program; drawings, whose builder escapes every text; pictures in base64; and data in JSON without a character that
//! means something in HTML. The content security policy names the one style sheet and the one script by their hashes:
//! nothing else of either kind takes effect, and nothing is loaded.

mod cells;
mod matrices;
mod results;
mod sections;
mod view;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::Environment;
use sha2::{Digest, Sha256};

use super::draw::{PageMap, Pictures};
use super::facts::Facts;
use super::figures::{Entry, palette};
use super::section::{Answers, CellMap, Section};
use super::{Report, confidence, number, words};
use crate::{Error, Result};
use cells::{Block, hex};
use view::{Class, Content, Key, MapView, Page, Picture, Tile};

/// The template and its parts; a name that ends in .html is what makes the engine escape.
const TEMPLATES: [(&str, &str); 11] = [
    ("page.html", include_str!("html/page.html")),
    ("models.html", include_str!("html/models.html")),
    ("pairs.html", include_str!("html/pairs.html")),
    ("classes.html", include_str!("html/classes.html")),
    ("map.html", include_str!("html/map.html")),
    ("confusion.html", include_str!("html/confusion.html")),
    ("section.html", include_str!("html/section.html")),
    ("table.html", include_str!("html/table.html")),
    ("heat.html", include_str!("html/heat.html")),
    ("data.html", include_str!("html/data.html")),
    ("run.html", include_str!("html/run.html")),
];
const STYLE: &str = include_str!("html/style.css");
const SCRIPT: &str = concat!(include_str!("html/tables.js"), include_str!("html/map.js"));

/// The page as one file; `pictures` are drawn already, `names` are all files beside it.
pub(super) fn page(
    report: &Report,
    facts: Option<&Facts<'_>>,
    (sections, slugs): (&[Section], &[String]),
    pictures: &Pictures,
    names: &[String],
) -> Result<String> {
    let view = view(report, facts, (sections, slugs), pictures, names);
    let render = || -> Result<String, minijinja::Error> {
        let mut environment = Environment::new();
        for (name, template) in TEMPLATES {
            environment.add_template(name, template)?;
        }
        environment.get_template("page.html")?.render(&view)
    };
    render().map_err(|e| Error::Draw { what: "report.html".to_owned(), reason: format!("{e:#}") })
}

fn view(
    report: &Report,
    facts: Option<&Facts<'_>>,
    (sections, slugs): (&[Section], &[String]),
    pictures: &Pictures,
    names: &[String],
) -> Page {
    let manifest = &report.manifest;
    let program = format!("{} {}", manifest.program, manifest.version);
    let eyebrow = [Some(report.dataset.clone()), Some(program.clone()), manifest.started.clone()];
    let mut blocks = Vec::new();
    let map = map(report, facts, &pictures.maps, &mut blocks);
    let (mut leading, mut views) = (Vec::new(), Vec::new());
    for ((section, slug), picture) in sections.iter().zip(slugs).zip(&pictures.sections) {
        let (view, block) = sections::section(section, slug, picture.as_ref());
        if section.leads { &mut leading } else { &mut views }.push(view);
        blocks.extend(block);
    }
    let style = style(report.models.len());
    let pairs = facts.map(results::pairs).unwrap_or_default();
    let mut page = Page {
        policy: policy(&style),
        style,
        script: SCRIPT,
        title: report.title.clone(),
        eyebrow: eyebrow.into_iter().flatten().collect::<Vec<_>>().join(" · "),
        answer: words::headline(report, facts).into_iter().map(Into::into).collect(),
        tiles: tiles(report, facts),
        contents: Vec::new(),
        leading,
        models_title: words::models_title(report),
        interval_note: words::intervals(report),
        axis: facts.map(results::axis),
        models: facts.map(|facts| results::models(report, facts)).unwrap_or_default(),
        best: facts.map(|facts| facts.best().name.to_owned()).unwrap_or_default(),
        pairs_note: words::PAIRS,
        pairs,
        classes: facts.map(|facts| classes(report, facts)).unwrap_or_default(),
        f1_means: facts.map(f1_means).unwrap_or_default(),
        n_cells: facts.map(|facts| number::count(facts.n_tested)).unwrap_or_default(),
        map,
        sections: views,
        blocks,
        facts: data_facts(report, facts),
        notes: report.notes.clone(),
        command: manifest.command.join(" "),
        run: run_facts(report),
        parameters: manifest.parameters.clone(),
        inputs: manifest.inputs.iter().map(Into::into).collect(),
        files: names.to_vec(),
        footer: format!(
            "Written by {program}. This page is one file: it works offline and asks for nothing."
        ),
    };
    page.contents = contents(&page);
    page
}

/// Only this style sheet and this script, and pictures that are part of the page.
fn policy(style: &str) -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action \
         'none'",
        hash(style),
        hash(SCRIPT)
    )
}

/// The style sheet with the colours of classes and the rules that show one model of several.
fn style(n_models: usize) -> String {
    let (mut day, mut night, mut classes) = (String::new(), String::new(), String::new());
    for i in 0..40 {
        day.push_str(&format!("--c{i}: {};", hex(palette::class(i))));
        night.push_str(&format!("--c{i}: {};", hex(palette::night(i))));
        classes.push_str(&format!(".c{i} {{ --c: var(--c{i}); }}\n"));
    }
    let mut style = format!(
        "\n{STYLE}:root {{ {day} }}\n@media screen and (prefers-color-scheme: dark) {{ :root {{ {night} }} }}\n{classes}"
    );
    if n_models > 1 {
        style.push_str("@media screen { @supports selector(:has(*)) {\n.panel { display: none; }\n");
        for i in 0..n_models {
            style.push_str(&format!(".tabs:has(#m{i}:checked) .panel{i} {{ display: block; }}\n"));
        }
        style.push_str("} }\n");
    }
    style
}

fn contents(page: &Page) -> Vec<Content> {
    let fixed = |anchor: &str, title: &str| Content { anchor: anchor.to_owned(), title: title.to_owned() };
    let section = |section: &view::SectionView| Content {
        anchor: section.anchor.clone(),
        title: section.title.clone(),
    };
    let mut contents: Vec<Content> = page.leading.iter().map(section).collect();
    if !page.models.is_empty() {
        contents.push(fixed("models", &page.models_title));
    }
    if !page.pairs.is_empty() {
        contents.push(fixed("pairs", "Against the best"));
    }
    if !page.models.is_empty() {
        contents.push(fixed("classes", "Cell types"));
    }
    if page.map.is_some() {
        contents.push(fixed("map", "Map of the cells"));
    }
    if !page.models.is_empty() {
        contents.push(fixed("confusions", "Confusions"));
    }
    contents.extend(page.sections.iter().map(section));
    contents.extend([fixed("data", "Data and protocol"), fixed("run", "This run")]);
    contents
}

/// The map of the report's own cells, with what the models say of them, the best model first.
fn map(
    report: &Report,
    facts: Option<&Facts<'_>>,
    pictures: &[PageMap],
    blocks: &mut Vec<Block>,
) -> Option<MapView> {
    let umap = report.umap.as_ref()?;
    let mut models: Vec<_> = facts.map(|facts| facts.models.iter().collect()).unwrap_or_default();
    models.sort_by(|a, b| b.accuracy.value.total_cmp(&a.accuracy.value));
    let answers = models.into_iter().map(|model| Answers {
        name: model.name.to_owned(),
        codes: model.result.predicted.clone(),
        confidence: confidence::confidences(model.result),
    });
    let cells = CellMap {
        coordinates: umap.clone(),
        classes: report.labels.classes().to_vec(),
        codes: report.labels.codes().to_vec(),
        names: report.cells.clone(),
        answers: answers.collect(),
    };
    let block = cells::block("cells".to_owned(), &cells);
    let id = block.as_ref().map(|block| block.id.clone());
    blocks.extend(block);
    Some(MapView { block: id, pictures: pictures.iter().map(picture).collect() })
}

fn f1_means(facts: &Facts<'_>) -> Vec<String> {
    facts.models.iter().map(|model| number::score(model.result.confusion.f1_macro())).collect()
}

fn tiles(report: &Report, facts: Option<&Facts<'_>>) -> Vec<Tile> {
    let mut tiles = facts.map(|facts| model_tiles(report, facts)).unwrap_or_default();
    let own = report.key_figures.iter();
    let own = own.map(|figure| Tile::new(&figure.name, figure.value.clone(), figure.note.clone()));
    if report.scope.is_some() {
        // The scores of a part would pass for those of the whole.
        tiles.splice(..N_SCORES.min(tiles.len()), own);
    } else {
        tiles.extend(own);
    }
    tiles
}

/// How many of the [`model_tiles`] are scores.
const N_SCORES: usize = 2;

fn model_tiles(report: &Report, facts: &Facts<'_>) -> Vec<Tile> {
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
        colour: format!("c{}", i % 40),
        support: number::count(counts[i]),
        key: counts[i],
        f1: facts.models.iter().map(|model| matrices::f1(model, i, name)).collect(),
    };
    report.labels.classes().iter().enumerate().map(class).collect()
}

fn picture(map: &PageMap) -> Picture {
    let title = &map.title;
    let entry = |entry: &Entry| {
        let (colour, name) = (hex(entry.colour), entry.name.clone());
        Key { colour, name, n: number::count(entry.n) }
    };
    let mut alt = format!("Map of {}", number::cells(map.n_cells));
    for text in [title, &map.caption].into_iter().filter(|text| !text.is_empty()) {
        alt.push_str(&format!(". {text}"));
    }
    Picture {
        base64: STANDARD.encode(&map.png),
        alt,
        title: title.clone(),
        caption: map.caption.clone(),
        legend: map.legend.iter().map(entry).collect(),
    }
}

fn data_facts(report: &Report, facts: Option<&Facts<'_>>) -> Vec<(String, String)> {
    let manifest = &report.manifest;
    let mut rows = vec![("Data set".to_owned(), report.dataset.clone())];
    if manifest.cells_read > 0 {
        rows.push(("Cells read".to_owned(), number::count(manifest.cells_read)));
    }
    for (reason, n) in &manifest.cells_dropped {
        rows.push((format!("Left out: {reason}"), number::count(*n)));
    }
    if let Some(facts) = facts {
        rows.push(("Cells scored".to_owned(), number::count(facts.n_tested)));
    }
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
