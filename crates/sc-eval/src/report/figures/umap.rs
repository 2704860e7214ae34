//! Maps of cells: by label, by the number of models that are wrong, by what the wrong ones were called.

use ndarray::ArrayView2;

use super::canvas::{Anchor, Canvas};
use super::names::{Name, names};
use super::palette::{self, GHOST, INK, MUTED, Rgb};
use super::text::{fit, width};
use crate::report::number::count as thousands;

/// Side of the square that holds the cells, and the free rim within it.
pub(super) const SIDE: f64 = 560.0;
const RIM: f64 = 20.0;
/// Corner of the square in a figure with title and legend.
const LEFT: f64 = 28.0;
const TOP: f64 = 72.0;
/// Lines of the legend: their height, their number in a column, and the width of the longest name.
const ROW: f64 = 23.0;
const ROWS: usize = 24;
/// Lines of the longest legend.
const LINES: usize = 4 * ROWS;
const NAME: f64 = 330.0;

/// Where the cells are, for every figure of one report.
pub(crate) struct Map {
    /// Place of each cell in the square; `None` where a coordinate is no number.
    places: Vec<Option<(f64, f64)>>,
    radius: f64,
}

/// One figure: dots on a map, and what their colours mean.
pub(crate) struct MapFigure {
    title: String,
    subtitle: String,
    pub(crate) legend: Vec<Entry>,
    dots: Vec<Dot>,
    names: Vec<Name>,
}

/// A line of a legend.
pub(crate) struct Entry {
    pub(crate) colour: Rgb,
    pub(crate) name: String,
    /// Number of cells.
    pub(crate) n: usize,
}

struct Dot {
    place: (f64, f64),
    radius: f64,
    colour: Rgb,
    opacity: f64,
}

impl Map {
    /// Places cells by their two coordinates, each axis on a scale of its own.
    ///
    /// * `coordinates`: cells × 2.
    pub(crate) fn new(coordinates: ArrayView2<'_, f32>) -> Self {
        let scale = |axis: usize| {
            let finite =
                || coordinates.column(axis).into_iter().map(|&v| f64::from(v)).filter(|v| v.is_finite());
            let low = finite().fold(f64::INFINITY, f64::min);
            let span = finite().fold(f64::NEG_INFINITY, f64::max) - low;
            move |value: f32| match span > 0.0 {
                true => RIM + (f64::from(value) - low) / span * (SIDE - 2.0 * RIM),
                false => SIDE / 2.0,
            }
        };
        let (x, y) = (scale(0), scale(1));
        let place = |row: ndarray::ArrayView1<'_, f32>| {
            let finite = row.iter().all(|value| value.is_finite());
            finite.then(|| (x(row[0]), SIDE - y(row[1])))
        };
        let places: Vec<_> = coordinates.rows().into_iter().map(place).collect();
        let radius = (120.0 / (places.len().max(1) as f64).sqrt()).clamp(0.8, 4.0);
        Self { places, radius }
    }

    /// Dots of the cells that have a colour, in an order in which neighbours of the file are far apart: no class lies
    /// over another because its cells come last.
    fn dots<'a>(
        &'a self,
        matters: bool,
        colour: impl Fn(usize) -> Option<Rgb> + 'a,
    ) -> impl Iterator<Item = Dot> + 'a {
        let n = self.places.len();
        // A prime that does not divide n visits every cell.
        let stride = [7_919, 104_729].into_iter().find(|&prime| !n.is_multiple_of(prime)).unwrap_or(1);
        let (radius, opacity) = match matters {
            true => (self.radius * 1.25 + 0.4, 0.95),
            false => (self.radius, 0.75),
        };
        (0..n).map(move |i| (i * stride) % n).filter_map(move |cell| {
            Some(Dot { place: self.places[cell]?, radius, colour: colour(cell)?, opacity })
        })
    }
}

impl MapFigure {
    /// The figure with its title and its legend, as PNG.
    pub(crate) fn whole(&self) -> Result<Vec<u8>, String> {
        let lines = &self.legend[..self.legend.len().min(LINES)];
        let columns = lines.len().div_ceil(ROWS).max(1);
        let legend = LEFT + SIDE + 28.0;
        let name = lines.iter().map(|entry| width(&entry.name, 13)).fold(90.0, f64::max).min(NAME);
        let column = name + 100.0;
        let width = (legend + columns as f64 * column - 8.0).max(820.0);
        let mut canvas = Canvas::new(width, TOP + SIDE + 78.0);
        canvas.bold((LEFT, 34.0), &fit(&self.title, 17, width - 2.0 * LEFT), 18, Anchor::Start, INK);
        canvas.text((LEFT, 56.0), &fit(&self.subtitle, 13, width - 2.0 * LEFT), 13, Anchor::Start, MUTED);
        let rows = lines.len().div_ceil(columns).max(1);
        for (i, entry) in lines.iter().enumerate() {
            let x = legend + (i / rows) as f64 * column;
            let y = TOP + 24.0 + (i % rows) as f64 * ROW;
            canvas.dot((x + 6.0, y - 4.5), 6.0, entry.colour, 1.0);
            canvas.text((x + 20.0, y), &fit(&entry.name, 13, NAME), 13, Anchor::Start, INK);
            canvas.text((x + name + 72.0, y), &thousands(entry.n), 13, Anchor::End, MUTED);
        }
        if self.legend.len() > lines.len() {
            let more = format!("and {} more", thousands(self.legend.len() - lines.len()));
            canvas.text((legend + 20.0, TOP + SIDE + 12.0), &more, 13, Anchor::Start, MUTED);
        }
        axes(&mut canvas, (LEFT + 4.0, TOP + SIDE + 60.0));
        self.draw(&mut canvas, (LEFT, TOP));
        canvas.png()
    }

    /// The map alone, for a page that sets title and legend itself.
    pub(crate) fn bare(&self) -> Result<Vec<u8>, String> {
        let mut canvas = Canvas::new(SIDE + 16.0, SIDE + 16.0);
        self.draw(&mut canvas, (8.0, 8.0));
        canvas.png()
    }

    fn draw(&self, canvas: &mut Canvas, (left, top): (f64, f64)) {
        for Dot { place: (x, y), radius, colour, opacity } in &self.dots {
            canvas.dot((left + x, top + y), *radius, *colour, *opacity);
        }
        for Name { place: (x, y), text, size, class } in &self.names {
            canvas.outlined((left + x, top + y), text, *size, palette::dark(*class));
        }
    }
}

/// Two short arrows below the map: it has directions, but its units mean nothing.
fn axes(canvas: &mut Canvas, (x, y): (f64, f64)) {
    let mut line = |from: (f64, f64), to: (f64, f64)| {
        canvas.line((x + from.0, y - from.1), (x + to.0, y - to.1), 1.2, MUTED, None);
    };
    line((0.0, 0.0), (34.0, 0.0));
    line((28.0, 4.0), (34.0, 0.0));
    line((28.0, -4.0), (34.0, 0.0));
    line((0.0, 0.0), (0.0, 34.0));
    line((-4.0, 28.0), (0.0, 34.0));
    line((4.0, 28.0), (0.0, 34.0));
    canvas.text((x + 40.0, y + 4.0), "UMAP 1", 11, Anchor::Start, MUTED);
    canvas.text((x - 4.0, y - 40.0), "UMAP 2", 11, Anchor::Start, MUTED);
}

/// Cells coloured by label, with the classes' names where they do not overlap.
pub(crate) fn umap_labels(map: &Map, title: &str, classes: &[String], codes: &[u32]) -> MapFigure {
    let mut counts = vec![0; classes.len()];
    for &code in codes {
        counts[code as usize] += 1;
    }
    let entry =
        |(i, name): (usize, &String)| Entry { colour: palette::class(i), name: name.clone(), n: counts[i] };
    MapFigure {
        title: title.to_owned(),
        subtitle: format!("{} cells by label", thousands(codes.len())),
        legend: classes.iter().enumerate().map(entry).collect(),
        dots: map.dots(false, |cell| Some(palette::class(codes[cell] as usize))).collect(),
        names: names(&map.places, classes, codes),
    }
}

/// Cells coloured by how many of `n_models` models name them wrongly.
pub(crate) fn umap_errors(map: &Map, title: &str, n_wrong: &[usize], n_models: usize) -> MapFigure {
    let mut counts = vec![0; n_models + 1];
    for &n in n_wrong {
        counts[n] += 1;
    }
    let colour = |n: usize| match n {
        0 => GHOST,
        n => palette::wrong(0.12 + 0.88 * n as f64 / n_models as f64),
    };
    let name = |n: usize| match n {
        0 => "right in every model".to_owned(),
        n if n == n_models => "wrong in every model".to_owned(),
        1 => "wrong in 1 model".to_owned(),
        n => format!("wrong in {n} models"),
    };
    let n_any = thousands(n_wrong.len() - counts[0]);
    MapFigure {
        title: title.to_owned(),
        subtitle: format!("{n_any} cells are wrong in at least one of {n_models} models"),
        legend: (0..=n_models).map(|n| Entry { colour: colour(n), name: name(n), n: counts[n] }).collect(),
        dots: (0..=n_models)
            .flat_map(|level| {
                map.dots(level > 0, move |cell| (n_wrong[cell] == level).then(|| colour(level)))
            })
            .collect(),
        names: Vec::new(),
    }
}

/// The wrong cells of one model, coloured by what it called them.
///
/// * `predicted`: class of each cell, `None` for a cell that was in no test set.
pub(crate) fn umap_misses(
    map: &Map,
    (title, model): (&str, &str),
    classes: &[String],
    codes: &[u32],
    predicted: &[Option<u32>],
) -> MapFigure {
    let wrong = |cell: usize| predicted[cell].filter(|&p| p != codes[cell]).map(|p| p as usize);
    let mut counts = vec![0; classes.len()];
    for class in (0..codes.len()).filter_map(wrong) {
        counts[class] += 1;
    }
    let n_wrong: usize = counts.iter().sum();
    let mut legend =
        vec![Entry { colour: GHOST, name: "named rightly".to_owned(), n: codes.len() - n_wrong }];
    let called = |i: usize| Entry { colour: palette::class(i), name: classes[i].clone(), n: counts[i] };
    legend.extend((0..classes.len()).filter(|&i| counts[i] > 0).map(called));
    let background = map.dots(false, |cell| wrong(cell).is_none().then_some(GHOST));
    let misses = map.dots(true, |cell| wrong(cell).map(palette::class));
    MapFigure {
        title: title.to_owned(),
        subtitle: format!("{model}: the {} wrong cells by what they were called", thousands(n_wrong)),
        legend,
        dots: background.chain(misses).collect(),
        names: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_with_a_place_is_drawn_once_within_the_square() {
        let mut coordinates = ndarray::Array2::from_shape_fn((500, 2), |(i, j)| (i * [3, 7][j] % 101) as f32);
        coordinates[[3, 1]] = f32::NAN;
        coordinates[[4, 0]] = f32::INFINITY;
        let map = Map::new(coordinates.view());
        let dots: Vec<Dot> = map.dots(false, |_| Some(INK)).collect();
        assert_eq!(dots.len(), 498);
        assert!(dots.iter().all(|d| (0.0..=SIDE).contains(&d.place.0) && (0.0..=SIDE).contains(&d.place.1)));
    }

    #[test]
    fn a_map_of_one_point_or_of_huge_numbers_is_drawn() {
        for value in [0.0f32, f32::MAX] {
            let coordinates = ndarray::array![[value, -value], [-value, value], [value, f32::NAN]];
            let map = Map::new(coordinates.view());
            let classes = ["a".to_owned(), "b".to_owned()];
            assert!(umap_labels(&map, "t", &classes, &[0, 1, 1]).whole().is_ok());
        }
    }
}
