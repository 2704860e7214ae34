//! Tables, curves and maps of clusterings.

use ndarray::Array2;
use sc_eval::Labels;
use sc_eval::protocol::Estimate;
use sc_eval::protocol::clustering::{ClusteringMethod, ClusteringRun};
use sc_eval::report::{
    Answers, Axis, Best, Cell, CellMap, Column, Curves, KeyFigure, Kind, Matrix, MatrixValues, Point,
    Section, Series, Table,
};

use super::{Found, Method};

/// The method of highest adjusted Rand index, mean over seeds; the first among equals.
pub fn best(found: &Found) -> usize {
    let score = |at: usize| found.result.methods[at].scores.adjusted_rand_index.value;
    (1..found.methods.len()).fold(0, |best, at| if score(at) > score(best) { at } else { best })
}

/// What was found, in a sentence.
pub fn headline(found: &Found) -> String {
    let (method, best) = found.get(best(found));
    let Estimate { value, interval } = best.scores.adjusted_rand_index;
    let setting = match method {
        Method::Leiden(resolution) => format!("Leiden at resolution {resolution}"),
        Method::KMeans(k) => format!("k-means with {k} clusters"),
    };
    format!(
        "{setting} finds the labels best: adjusted Rand index {value:.3} (95 % interval {:.3} to {:.3}; 1 is the same \
         partition, 0 is chance).",
        interval.low, interval.high
    )
}

/// Numbers for the top of the page.
pub fn key_figures(found: &Found, labels: &Labels) -> Vec<KeyFigure> {
    let (method, best) = found.get(best(found));
    let figure = |name: &str, value: String, note: String| KeyFigure { name: name.into(), value, note };
    let ami = best.scores.adjusted_mutual_info.value;
    let mut figures = vec![
        figure(
            "best adjusted Rand index",
            format!("{:.3}", best.scores.adjusted_rand_index.value),
            method.name(),
        ),
        figure("its adjusted mutual information", format!("{ami:.3}"), "1 is the same partition".into()),
        figure("its clusters", n_clusters(best), format!("beside {} labels", labels.n_classes())),
    ];
    if let Some(silhouette) = found.result.silhouette_of_labels {
        let note = "how well the labels stand apart in the components".into();
        figures.push(figure("silhouette of the labels", format!("{silhouette:.3}"), note));
    }
    figures
}

/// All sections but those of batches.
///
/// * `map`: place of each cell, cells × 2, if there is a map; `names`: of the cells.
pub fn sections(found: &Found, labels: &Labels, names: &[String], map: Option<&Array2<f32>>) -> Vec<Section> {
    let (method, best) = found.get(best(found));
    let run = &best.runs[0];
    let mut sections = vec![Section::new("Clusters against labels", LEDE, scores(found, true))];
    sections.extend(by_resolution(found));
    sections.push(contingency(method, run, labels));
    if let Some(map) = map {
        sections.extend(maps(found, labels, names, map));
    }
    let lede =
        "Names are scikit-learn's; the interval is for the draw of cells, the extremes are over seeds.";
    sections.push(Section::new("Every score", lede, all(found)));
    sections
}

/// What the table of [`scores`] means.
const LEDE: &str = "Means over seeds, with 95 % intervals over the draw of cells. ARI and AMI are corrected for chance \
                    (0), so that many small clusters gain nothing; NMI, which equals the V-measure, is not. Homogeneity \
                    asks whether a cluster holds one label, completeness whether a label lies in one cluster. The \
                    silhouette knows no labels: it asks how well the clusters stand apart. All scores \
                    are best at 1.";

/// What each method scores.
///
/// * `wide`: whether AMI has its interval, too.
pub fn scores(found: &Found, wide: bool) -> Table {
    let kind = if wide { Kind::Interval(3) } else { Kind::Number(3) };
    let score = |name: &str, kind| Column::new(name, kind).best(Best::Highest);
    let mut table = Table::new(vec![
        Column::text("Method"),
        Column::text("Clusters"),
        score("ARI", Kind::Interval(3)),
        score("AMI", kind),
        score("NMI = V", Kind::Number(3)),
        score(if wide { "Homogeneity" } else { "Homog." }, Kind::Number(3)),
        score(if wide { "Completeness" } else { "Compl." }, Kind::Number(3)),
        score("Silhouette", Kind::Number(3)),
    ]);
    for method in &found.result.methods {
        let s = &method.scores;
        let cell = |e: Estimate| if wide { interval(e) } else { Cell::Value(e.value) };
        table.row([
            method.method.as_str().into(),
            n_clusters(method).into(),
            interval(s.adjusted_rand_index),
            cell(s.adjusted_mutual_info),
            Cell::Value(s.normalized_mutual_info.value),
            Cell::Value(s.homogeneity.value),
            Cell::Value(s.completeness.value),
            s.silhouette.map(|e| e.value).into(),
        ]);
    }
    if let Some(silhouette) = found.result.silhouette_of_labels {
        table.caption = format!("The labels themselves have a silhouette of {silhouette:.3}.");
    }
    table
}

/// Every score of every method with its interval.
fn all(found: &Found) -> Table {
    let mut table = Table::new(vec![
        Column::text("Method"),
        Column::text("Score"),
        Column::new("Mean over seeds", Kind::Interval(4)),
        Column::new("Lowest seed", Kind::Number(4)),
        Column::new("Highest seed", Kind::Number(4)),
    ]);
    for method in &found.result.methods {
        for (at, (name, mean)) in method.scores.iter().enumerate() {
            let of_seed = |run: &ClusteringRun| run.scores.iter().nth(at).and_then(|(_, score)| score);
            let seeds = || method.runs.iter().filter_map(of_seed);
            table.row([
                method.method.as_str().into(),
                name.into(),
                mean.map_or(Cell::Empty, interval),
                seeds().reduce(f64::min).into(),
                seeds().reduce(f64::max).into(),
            ]);
        }
    }
    table
}

fn interval(Estimate { value, interval }: Estimate) -> Cell {
    Cell::Interval { value, low: interval.low, high: interval.high }
}

/// `8`, or `7–9` where seeds differ.
fn n_clusters(method: &ClusteringMethod) -> String {
    let counts = || method.runs.iter().map(|run| run.n_clusters);
    match (counts().min().unwrap_or(0), counts().max().unwrap_or(0)) {
        (low, high) if low == high => low.to_string(),
        (low, high) => format!("{low}–{high}"),
    }
}

/// Scores over resolutions, if there are several.
fn by_resolution(found: &Found) -> Option<Section> {
    let resolution = |(method, scores): (&Method, _)| match method {
        Method::Leiden(resolution) => Some((*resolution, scores)),
        Method::KMeans(_) => None,
    };
    let mut leiden: Vec<(f64, &ClusteringMethod)> =
        found.methods.iter().zip(&found.result.methods).filter_map(resolution).collect();
    if leiden.len() < 2 {
        return None;
    }
    leiden.sort_by(|a, b| a.0.total_cmp(&b.0));
    type Score = fn(&ClusteringMethod) -> Estimate;
    let lines: [(&str, Score); 4] = [
        ("ARI", |m| m.scores.adjusted_rand_index),
        ("AMI", |m| m.scores.adjusted_mutual_info),
        ("homogeneity", |m| m.scores.homogeneity),
        ("completeness", |m| m.scores.completeness),
    ];
    let line = |(name, score): (&str, Score)| {
        let point = |&(x, method): &(f64, &ClusteringMethod)| {
            let Estimate { value, interval } = score(method);
            Point::with_interval(x, value, interval.low, interval.high)
        };
        Series::new(name, leiden.iter().map(point).collect::<Vec<_>>())
    };
    let curves = Curves {
        x: Axis::log("resolution of Leiden"),
        y: Axis::share("score"),
        series: lines.map(line).into(),
        ..Default::default()
    };
    let lede = "Finer clusters are purer and tear labels apart; agreement is highest where the two balance.";
    Some(Section::new("How fine", lede, curves))
}

/// Labels × clusters; clusters that mostly hold one label stand together.
fn contingency(method: Method, run: &ClusteringRun, labels: &Labels) -> Section {
    let counts = counts(run, labels);
    let mut order: Vec<usize> = (0..counts.ncols()).collect();
    order.sort_by_key(|&cluster| (majority(&counts, cluster), cluster));
    let values = Array2::from_shape_fn(counts.dim(), |(label, at)| counts[[label, order[at]]]);
    let matrix = Matrix {
        row_axis: "label".into(),
        column_axis: "cluster".into(),
        rows: labels.classes().to_vec(),
        columns: order.iter().map(usize::to_string).collect(),
        values,
        measure: MatrixValues::Counts,
        caption: String::new(),
    };
    let lede = format!(
        "Cells of each label in each cluster of {}, seed {}. Clusters are numbered by size and ordered by the label of most \
         of their cells.",
        method.name(),
        run.seed
    );
    Section::new("Where the labels went", lede, matrix)
}

fn counts(run: &ClusteringRun, labels: &Labels) -> Array2<f64> {
    let mut counts = Array2::zeros((labels.n_classes(), run.n_clusters));
    for (&label, &cluster) in labels.codes().iter().zip(&run.assignments) {
        counts[[label as usize, cluster as usize]] += 1.0;
    }
    counts
}

/// The label of most cells of a cluster; the first among equals.
fn majority(counts: &Array2<f64>, cluster: usize) -> usize {
    let column = counts.column(cluster);
    (1..column.len()).fold(0, |best, label| if column[label] > column[best] { label } else { best })
}

/// A map by label, where each clustering can be read as an annotation, and one by cluster.
fn maps(found: &Found, labels: &Labels, names: &[String], map: &Array2<f32>) -> [Section; 2] {
    let annotation = |method: &ClusteringMethod| {
        let run = &method.runs[0];
        let counts = counts(run, labels);
        let called: Vec<u32> = (0..run.n_clusters).map(|cluster| majority(&counts, cluster) as u32).collect();
        let codes = run.assignments.iter().map(|&cluster| Some(called[cluster as usize])).collect();
        Answers { name: method.method.clone(), codes, confidence: None }
    };
    let by_label = CellMap {
        coordinates: map.clone(),
        classes: labels.classes().to_vec(),
        codes: labels.codes().to_vec(),
        names: names.to_vec(),
        answers: found.result.methods.iter().map(annotation).collect(),
    };
    let (method, best) = found.get(best(found));
    let run = &best.runs[0];
    let by_cluster = CellMap {
        coordinates: map.clone(),
        classes: (0..run.n_clusters).map(|cluster| cluster.to_string()).collect(),
        codes: run.assignments.clone(),
        names: names.to_vec(),
        answers: Vec::new(),
    };
    let lede = "UMAP of all cells by label, and what they would be called if every cluster got the label of most of its \
                cells: what is wrong then, no naming of the clusters can put right.";
    let cluster_lede = format!("The same map by cluster of {}, seed {}.", method.name(), run.seed);
    [Section::new("Map by label", lede, by_label), Section::new("Map by cluster", cluster_lede, by_cluster)]
}
