//! Which figures a report has, and under which names.

use super::facts::Facts;
use super::figures::{self, Entry, Map, MapFigure};
use super::files::OutputFile;
use super::{Report, number};
use crate::{Error, Result};

/// The figures of a report.
pub(super) struct Figures {
    /// Those that are files of their own.
    pub(super) files: Vec<OutputFile>,
    /// Those that are part of the page.
    pub(super) maps: Vec<PageMap>,
}

/// A map without title and legend, which the page sets as text.
pub(super) struct PageMap {
    pub(super) png: Vec<u8>,
    pub(super) legend: Vec<Entry>,
    pub(super) title: String,
    pub(super) caption: String,
}

impl Figures {
    /// Draws everything.
    ///
    /// # Errors
    /// [`Error::Draw`].
    pub(super) fn draw(report: &Report, facts: &Facts<'_>) -> Result<Self> {
        let classes = report.labels.classes();
        let bars: Vec<_> = facts.models.iter().map(figures::Bar::from).collect();
        let accuracy = figures::intervals(&report.title, &bars, facts.majority, facts.range());
        let mut files = vec![file("accuracy.png".to_owned(), accuracy)?];
        for model in &facts.models {
            let name = format!("confusion_{}.png", model.slug);
            files.push(file(name, figures::confusion(model.name, classes, &model.result.confusion))?);
        }
        let mut figures = Self { files, maps: Vec::new() };
        if let Some(umap) = &report.umap {
            figures.draw_maps(report, facts, &Map::new(umap.view()))?;
        }
        Ok(figures)
    }

    fn draw_maps(&mut self, report: &Report, facts: &Facts<'_>, map: &Map) -> Result<()> {
        let (classes, codes, title) = (report.labels.classes(), report.labels.codes(), &report.dataset);
        let labels = figures::umap_labels(map, title, classes, codes);
        let caption = "Names stand where there is room for them.".to_owned();
        self.add("umap_labels.png".to_owned(), labels, Some(("Labels".to_owned(), caption)))?;
        for (i, model) in facts.models.iter().enumerate() {
            // A baseline is wrong about nearly all cells, in no place in particular.
            if i != facts.best && model.accuracy.low <= facts.majority {
                continue;
            }
            let predicted = &model.result.predicted;
            let misses = figures::umap_misses(map, (title, model.name), classes, codes, predicted);
            let n_wrong = model.result.confusion.total() - model.result.confusion.correct();
            let caption =
                format!("{} wrong, coloured by what they were called.", number::cells(n_wrong as usize));
            let on_page = (i == facts.best).then(|| (format!("Errors of {}", model.name), caption));
            self.add(format!("umap_errors_{}.png", model.slug), misses, on_page)?;
        }
        let (n_wrong, n_models) = facts.n_wrong();
        if n_models > 1 {
            let errors = figures::umap_errors(map, title, &n_wrong, n_models);
            let caption = format!(
                "In how many of the {n_models} models that beat the baseline a cell is wrong. Where all are wrong, look \
                 at the label."
            );
            let on_page = Some(("Errors of all models".to_owned(), caption));
            self.add("umap_errors.png".to_owned(), errors, on_page)?;
        }
        Ok(())
    }

    fn add(&mut self, name: String, figure: MapFigure, on_page: Option<(String, String)>) -> Result<()> {
        if let Some((title, caption)) = on_page {
            let OutputFile { bytes: png, .. } = file(name.clone(), figure.bare())?;
            let whole = figure.whole();
            self.maps.push(PageMap { png, legend: figure.legend, title, caption });
            self.files.push(file(name, whole)?);
        } else {
            self.files.push(file(name, figure.whole())?);
        }
        Ok(())
    }
}

fn file(name: String, drawn: Result<Vec<u8>, String>) -> Result<OutputFile> {
    match drawn {
        Ok(bytes) => Ok(OutputFile { name, bytes }),
        Err(reason) => Err(Error::Draw { what: name, reason }),
    }
}
