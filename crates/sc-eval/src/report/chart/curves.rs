//! Lines over two axes.

use super::scale::Scale;
use super::svg::{Hold, Svg};
use crate::report::figures::text::fit;
use crate::report::section::{Axis, Baseline, Curves, Point, Series};

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 320.0;
/// The square that the lines are in: left, top, right, bottom.
const LEFT: f64 = 58.0;
const TOP: f64 = 12.0;
const RIGHT: f64 = WIDTH - 26.0;
const BOTTOM: f64 = HEIGHT - 50.0;
/// Points above which a line is drawn without dots.
const MAX_DOTS: usize = 40;

/// The drawing of some curves, with a name for those who do not see it.
pub(in crate::report) fn curves(curves: &Curves, label: &str) -> String {
    let points = || curves.series.iter().flat_map(|series| &series.points);
    let levels = curves.baselines.iter().filter_map(|baseline| match baseline {
        Baseline::Level { y, .. } => Some(*y),
        Baseline::Diagonal { .. } => None,
    });
    let heights = points().flat_map(|p| [p.y].into_iter().chain(p.interval.into_iter().flatten()));
    let x = Scale::new(&curves.x, points().map(|point| point.x), (LEFT, RIGHT));
    let y = Scale::new(&curves.y, heights.chain(levels), (BOTTOM, TOP));
    let mut svg = Svg::new((WIDTH, HEIGHT), label);
    axes(&mut svg, (&curves.x, &x), (&curves.y, &y));
    for baseline in &curves.baselines {
        draw_baseline(&mut svg, baseline, &x, &y);
    }
    for (i, series) in curves.series.iter().enumerate() {
        draw_interval(&mut svg, i, series, &x, &y);
    }
    for (i, series) in curves.series.iter().enumerate() {
        draw_line(&mut svg, i, series, &x, &y);
    }
    svg.finish()
}

fn axes(svg: &mut Svg, (x_axis, x): (&Axis, &Scale), (y_axis, y): (&Axis, &Scale)) {
    for (value, text) in y.ticks() {
        let at = y.clamped(value);
        svg.line("grid", (LEFT, at), (RIGHT, at));
        svg.text((LEFT - 7.0, at + 4.0), Hold::End, &text);
    }
    for (value, text) in x.ticks() {
        let at = x.clamped(value);
        svg.line("grid", (at, BOTTOM), (at, BOTTOM + 5.0));
        svg.text((at, BOTTOM + 19.0), Hold::Middle, &text);
    }
    svg.line("axis", (LEFT, BOTTOM), (RIGHT, BOTTOM));
    svg.text(((LEFT + RIGHT) / 2.0, HEIGHT - 10.0), Hold::Middle, &fit(&x_axis.label, 12, RIGHT - LEFT));
    svg.upright((14.0, (TOP + BOTTOM) / 2.0), &fit(&y_axis.label, 12, BOTTOM - TOP));
}

fn draw_baseline(svg: &mut Svg, baseline: &Baseline, x: &Scale, y: &Scale) {
    match baseline {
        Baseline::Level { y: level, .. } => {
            if let Some(at) = y.place(*level) {
                svg.line("base", (LEFT, at), (RIGHT, at));
            }
        }
        Baseline::Diagonal { .. } => {
            // In steps, since the diagonal is no straight line if one axis is logarithmic.
            let (low, high) = x.ends();
            let values = (0..=64).map(|i| low + (high - low) * f64::from(i) / 64.0);
            let points: Vec<_> = values.filter_map(|v| Some((x.place(v)?, y.place(v)?))).collect();
            svg.path("base", &points, false);
        }
    }
}

/// The band of a line's intervals, drawn before all lines.
fn draw_interval(svg: &mut Svg, i: usize, series: &Series, x: &Scale, y: &Scale) {
    for run in runs(series, x, y) {
        let ends = |end: usize| {
            run.iter().filter_map(move |point| Some((x.place(point.x)?, y.clamped(point.interval?[end]))))
        };
        if run.iter().any(|point| point.interval.is_none_or(|ends| ends.iter().any(|end| end.is_nan()))) {
            continue;
        }
        let mut band: Vec<_> = ends(1).collect();
        if let [(at, high)] = band[..] {
            let low = ends(0).map(|(_, low)| low).next().unwrap_or(high);
            svg.line(&class("whisker", i), (at, low), (at, high));
            continue;
        }
        band.extend(ends(0).collect::<Vec<_>>().into_iter().rev());
        svg.path(&class("band", i), &band, true);
    }
}

fn draw_line(svg: &mut Svg, i: usize, series: &Series, x: &Scale, y: &Scale) {
    let place = |point: &&Point| Some((x.place(point.x)?, y.place(point.y)?));
    for run in runs(series, x, y) {
        let points: Vec<_> = run.iter().filter_map(place).collect();
        svg.path(&class("line", i), &points, false);
    }
    let drawn: Vec<(_, _)> = series.points.iter().filter_map(|point| Some((place(&point)?, point))).collect();
    if drawn.len() <= MAX_DOTS {
        for (at, point) in drawn {
            let interval = point.interval.map(|[low, high]| format!(" [{low:.3}, {high:.3}]"));
            let title =
                format!("{}: {:.3}{} at {}", series.name, point.y, interval.unwrap_or_default(), point.x);
            svg.dot(&class("dot", i), at, 3.2, &title);
        }
    }
}

/// Stretches of a line without a gap.
fn runs<'a>(series: &'a Series, x: &Scale, y: &Scale) -> Vec<Vec<&'a Point>> {
    let mut runs = vec![Vec::new()];
    for point in &series.points {
        match x.place(point.x).is_some() && y.place(point.y).is_some() {
            true => runs.last_mut().expect("there is always one").push(point),
            false => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

/// The classes of the line of a series, for its place in a legend.
pub(in crate::report) fn line_class(series: usize) -> String {
    class("line", series)
}

/// The classes of a shape: its kind, its colour, and a dash that tells lines of like colours apart.
fn class(kind: &str, series: usize) -> String {
    format!("{kind} c{} d{}", series % 40, series / 6 % 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_breaks_the_line_and_a_lone_point_keeps_its_interval() {
        let mut points: Vec<_> = (1..=5).map(|i| Point::with_interval(f64::from(i), 0.5, 0.4, 0.6)).collect();
        points[3].y = f64::NAN;
        let series = vec![Series::new("m", points)];
        let markup = curves(&Curves { series, ..Default::default() }, "m");
        assert_eq!(markup.matches("class=\"line ").count(), 1);
        assert_eq!(markup.matches("class=\"band ").count(), 1);
        assert_eq!(markup.matches("class=\"whisker ").count(), 1);
        assert_eq!(markup.matches("<circle").count(), 4);
        assert!(markup.contains("<title>m: 0.500 [0.400, 0.600] at 1</title>") && !markup.contains("NaN"));
    }

    #[test]
    fn any_numbers_can_be_drawn() {
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 1e-300, 1e300];
        let points: Vec<_> = odd
            .iter()
            .flat_map(|&x| odd.iter().map(move |&y| Point::with_interval(x, y, y - 1.0, f64::NAN)))
            .collect();
        for log in [false, true] {
            let axis = Axis { log, ..Axis::new("x") };
            let baselines = vec![
                Baseline::Level { name: "b".into(), y: f64::NAN },
                Baseline::Diagonal { name: "d".into() },
            ];
            let series = vec![Series::new("odd", points.clone()), Series::default()];
            let (x, y) = (axis.clone(), axis);
            let markup = curves(&Curves { x, y, series, baselines, caption: String::new() }, "odd");
            let shapes = markup.split("<title>").map(|part| part.split("</title>").last().unwrap());
            assert!(!shapes.collect::<String>().contains("NaN"), "{markup}");
        }
    }
}
