//! Where the cells lie by the models' embeddings, before and after training.

use anyhow::Result;
use indicatif::ProgressBar;
use ndarray::{Array2, Axis};
use sc_prep::LogNormalized;

use super::Settings;
use super::methods::Method;
use super::models::Model;
use super::tuned;
use sc_examples::map;
use sc_examples::progress::bar;
use sc_examples::record::Record;

/// A map of all cells.
pub(super) struct CellMap {
    /// What it shows.
    pub(super) title: String,
    /// Where the embeddings come from.
    pub(super) lede: String,
    /// cells × 2; NaN for cells without an embedding.
    pub(super) coordinates: Array2<f32>,
}

/// A map of the cells by expression, which the record keeps, and those of each model's embeddings: the first of the frozen
/// ones, and with the first seed those of each training that changes them.
///
/// # Errors
/// As [`map::umap`] and [`map::layout`].
pub(super) fn maps(
    x: &LogNormalized,
    record: &Record,
    (models, methods): (&[Model], &[Method]),
    settings: &Settings,
) -> Result<Vec<CellMap>> {
    if !settings.map {
        return Ok(Vec::new());
    }
    let bar = bar(models.len() + methods.len() + 1);
    let seed = settings.run.seed;
    if record.map(&settings.out, 0).is_none()
        && let Some(points) =
            map::umap(x, &settings.fold.genes, seed, |step| bar.set_message(step.to_owned()))?
    {
        record.write_map(&settings.out, 0, &points)?;
    }
    bar.inc(1);
    let mut maps = Vec::new();
    for (source, model) in models.iter().enumerate() {
        let (layer, values) = &model.of(0).layers[0];
        let mode = &model.of(0).mode;
        let frozen = format!("Every cell by its frozen embedding ({mode} of layer {layer})");
        add(&mut maps, format!("Map of {}", model.name), frozen, values, seed, &bar)?;
        for &tuning in &model.tunings {
            let shape = (values.nrows(), values.ncols());
            if let Some(values) = tuned::after(&settings.out, (source, tuning), shape) {
                let title = format!("Map of {}, {}", model.name, tuning.words());
                let lede = format!(
                    "Every cell by the embedding after the training of seed {} ({mode} of layer {layer}). The labels of \
                     the training cells were part of it: that these lie apart is no proof of anything",
                    settings.seeds[0]
                );
                add(&mut maps, title, lede, &values, seed, &bar)?;
            }
        }
    }
    bar.finish_and_clear();
    Ok(maps)
}

fn add(
    maps: &mut Vec<CellMap>,
    title: String,
    lede: String,
    values: &Array2<f32>,
    seed: u64,
    bar: &ProgressBar,
) -> Result<()> {
    let there: Vec<usize> = (0..values.nrows()).filter(|&cell| values[[cell, 0]].is_finite()).collect();
    bar.inc(1);
    if there.len() < 3 {
        return Ok(());
    }
    let graph = map::graph(values.select(Axis(0), &there).view())?;
    let points = map::layout(&graph, seed, |step| bar.set_message(format!("{title}: {step}")))?;
    let mut coordinates = Array2::from_elem((values.nrows(), 2), f32::NAN);
    for (&cell, point) in there.iter().zip(points.rows()) {
        coordinates.row_mut(cell).assign(&point);
    }
    let lede = format!("{lede}, coloured by its label. For the eye only: no classifier sees it.");
    maps.push(CellMap { title, lede, coordinates });
    Ok(())
}
