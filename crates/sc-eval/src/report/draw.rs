//! Which figures a report has, and under which names.

use super::facts::Facts;
use super::figures::{self, Entry, Map, MapFigure};
use super::files::OutputFile;
use super::section::{CellMap, Content, Section};
use super::{Report, number};
use crate::{Error, Result};

/// The figures of a report.
pub(super) struct Figures {
    /// Those that are files of their own.
    pub(super) files: Vec<OutputFile>,
    /// Those that are part of the page.
    pub(super) pictures: Pictures,
}

/// Maps that are part of the page.
pub(super) struct Pictures {
    /// Of the report's own map.
    pub(super) maps: Vec<PageMap>,
    /// Of each section; `None` for a section without a map.
    pub(super) sections: Vec<Option<PageMap>>,
}

/// A map without title and legend, which the page sets as text.
pub(super) struct PageMap {
    pub(super) png: Vec<u8>,
    pub(super) legend: Vec<Entry>,
    pub(super) title: String,
    pub(super) caption: String,
    pub(super) n_cells: usize,
}

/// A map with the name of its file, and its title and caption if the page shows it.
struct NamedMap {
    file: String,
    figure: MapFigure,
    on_page: Option<(String, String)>,
    n_cells: usize,
}

impl Figures {
    /// Draws everything; `slugs` are the names of the sections.
    ///
    /// # Errors
    /// [`Error::Draw`].
    pub(super) fn draw(
        report: &Report,
        facts: Option<&Facts<'_>>,
        sections: &[Section],
        slugs: &[String],
    ) -> Result<Self> {
        let classes = report.labels.classes();
        let mut files = Vec::new();
        if let Some(facts) = facts {
            let bars: Vec<_> = facts.models.iter().map(figures::Bar::from).collect();
            let accuracy = figures::intervals(&report.title, &bars, facts.majority, facts.range());
            files.push(file("accuracy.png".to_owned(), accuracy)?);
            for model in &facts.models {
                let name = format!("confusion_{}.png", model.slug);
                files.push(file(name, figures::confusion(model.name, classes, &model.result.confusion))?);
            }
        }
        let (own, others) = (own_maps(report, facts), section_maps(sections, slugs));
        for map in own.iter().chain(others.iter().flatten()) {
            files.push(file(map.file.clone(), map.figure.whole())?);
        }
        Ok(Self { files, pictures: Pictures::of(own, others)? })
    }
}

impl Pictures {
    /// Draws what the page shows.
    ///
    /// # Errors
    /// [`Error::Draw`].
    pub(super) fn draw(report: &Report, facts: Option<&Facts<'_>>, sections: &[Section]) -> Result<Self> {
        let slugs = vec![String::new(); sections.len()];
        Self::of(own_maps(report, facts), section_maps(sections, &slugs))
    }

    fn of(own: Vec<NamedMap>, others: Vec<Option<NamedMap>>) -> Result<Self> {
        let maps = own.into_iter().filter_map(|map| map.on_page().transpose()).collect::<Result<_>>()?;
        let section = |map: Option<NamedMap>| map.map_or(Ok(None), NamedMap::on_page);
        Ok(Self { maps, sections: others.into_iter().map(section).collect::<Result<_>>()? })
    }
}

impl NamedMap {
    fn on_page(self) -> Result<Option<PageMap>> {
        let Some((title, caption)) = self.on_page else { return Ok(None) };
        let OutputFile { bytes: png, .. } = file(self.file, self.figure.bare())?;
        Ok(Some(PageMap { png, legend: self.figure.legend, title, caption, n_cells: self.n_cells }))
    }
}

/// The maps of the report's own cells.
fn own_maps(report: &Report, facts: Option<&Facts<'_>>) -> Vec<NamedMap> {
    let Some(umap) = &report.umap else { return Vec::new() };
    let (map, n_cells) = (Map::new(umap.view()), report.labels.len());
    let (classes, codes, title) = (report.labels.classes(), report.labels.codes(), &report.dataset);
    let mut maps = Vec::new();
    let mut add = |file: String, figure, on_page| maps.push(NamedMap { file, figure, on_page, n_cells });
    let caption = "Names stand where there is room for them.".to_owned();
    let labels = figures::umap_labels(&map, title, classes, codes);
    add("umap_labels.png".to_owned(), labels, Some(("Labels".to_owned(), caption)));
    let Some(facts) = facts else { return maps };
    for (i, model) in facts.models.iter().enumerate() {
        // A baseline is wrong about nearly all cells, in no place in particular.
        if i != facts.best && model.accuracy.low <= facts.majority {
            continue;
        }
        let predicted = &model.result.predicted;
        let misses = figures::umap_misses(&map, (title, model.name), classes, codes, predicted);
        let n_wrong = model.result.confusion.total() - model.result.confusion.correct();
        let caption =
            format!("{} wrong, coloured by what they were called.", number::cells(n_wrong as usize));
        let on_page = (i == facts.best).then(|| (format!("Errors of {}", model.name), caption));
        add(format!("umap_errors_{}.png", model.slug), misses, on_page);
    }
    let (n_wrong, n_models) = facts.n_wrong();
    if n_models > 1 {
        let errors = figures::umap_errors(&map, title, &n_wrong, n_models);
        let caption = format!(
            "In how many of the {n_models} models that beat the baseline a cell is wrong. Where all are wrong, look at \
             the label."
        );
        add("umap_errors.png".to_owned(), errors, Some(("Errors of all models".to_owned(), caption)));
    }
    maps
}

/// The map of each section that is one.
fn section_maps(sections: &[Section], slugs: &[String]) -> Vec<Option<NamedMap>> {
    let map = |(section, slug): (&Section, &String)| {
        let Content::Map(CellMap { coordinates, classes, codes, .. }) = &section.content else { return None };
        let figure = figures::umap_labels(&Map::new(coordinates.view()), &section.title, classes, codes);
        let file = format!("map_{slug}.png");
        Some(NamedMap { file, figure, on_page: Some((String::new(), String::new())), n_cells: codes.len() })
    };
    sections.iter().zip(slugs).map(map).collect()
}

fn file(name: String, drawn: Result<Vec<u8>, String>) -> Result<OutputFile> {
    match drawn {
        Ok(bytes) => Ok(OutputFile { name, bytes }),
        Err(reason) => Err(Error::Draw { what: name, reason }),
    }
}
