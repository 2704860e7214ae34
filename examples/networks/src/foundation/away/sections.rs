//! What the report says about the other file.

use sc_eval::report::{Best, Cell, Column, Kind, Section, Table};

use super::scores::{Score, Sure};
use super::{Away, AwaySettings};
use crate::foundation::Settings;
use sc_examples::progress::thousands;

/// The part of the report about the other file.
pub(in crate::foundation) struct Abroad {
    /// The comparison, recall by class, and what labels were compared as.
    pub(in crate::foundation) sections: Vec<Section>,
    /// For the answer at the top.
    pub(in crate::foundation) answer: String,
    /// The comparison for a terminal.
    pub(in crate::foundation) text: String,
}

impl Abroad {
    /// * `home`: the name of the first data set.
    pub(super) fn new(away: &Away<'_>, home: &str, scores: &[Score], n_seeds: usize) -> Self {
        let table = comparison(scores);
        let title = format!("On {}", away.name);
        let text = format!("{title}: {}\n{}", cells(away), table.to_text());
        let sections = vec![
            Section::new(title, lede(away, home, n_seeds), table).leading(),
            Section::new(format!("Recall on {}, by class", away.name), RECALL, recall(away, scores)),
            Section::new(format!("Labels of {}", away.name), LABELS, labels(away)),
        ];
        Self { sections, answer: answer(away, scores), text }
    }
}

const RECALL: &str = "Share of the cells of each class that were named rightly, mean over the seeds. Classes are those that both \
                      data sets have.";

const LABELS: &str = "The class that each label of the file stands for in the scores. Types that the first data set does not have \
                      are asked about as well, but no answer can be right: they are in no score.";

fn cells(away: &Away<'_>) -> String {
    let (shared, unknown) = (away.comparison.n_shared(), away.comparison.n_unknown());
    let most = (away.comparison.labels.iter()).filter_map(|(_, n, class)| Some((*class.as_ref()?, *n)));
    let mut sizes = vec![0; away.comparison.classes.len()];
    most.for_each(|(class, n)| sizes[class as usize] += n);
    let largest = sizes.into_iter().max().unwrap_or(0) as f64 / shared.max(1) as f64;
    format!(
        "{} cells of {} classes that models learn, {largest:.3} of them of the largest; {} cells of types that they cannot know",
        thousands(shared),
        away.comparison.shared.len(),
        thousands(unknown)
    )
}

fn lede(away: &Away<'_>, home: &str, n_seeds: usize) -> String {
    let over = if n_seeds == 1 { "One seed.".to_owned() } else { format!("Means over {n_seeds} seeds.") };
    format!(
        "What was fitted on training cells of {home}, asked about another file: {}, which are in no score here. {over} At home is \
         the accuracy of the same method on test cells of the same classes, and the loss what of it is gone. Intervals are \
         95 % for the draw of cells.",
        cells(away)
    )
}

fn sure(Sure { value, interval }: Sure) -> Cell {
    Cell::Interval { value, low: interval.low, high: interval.high }
}

fn comparison(scores: &[Score]) -> Table {
    let mut table = Table::new(vec![
        Column::text("Model"),
        Column::new("Accuracy", Kind::Interval(3)).best(Best::Highest),
        Column::new("sd", Kind::Number(3)),
        Column::new("Macro-F1", Kind::Number(3)).best(Best::Highest),
        Column::new("At home", Kind::Number(3)),
        Column::new("Loss", Kind::Interval(3)),
    ]);
    for score in scores {
        table.row([
            Cell::from(score.name.as_str()),
            sure(score.accuracy),
            score.sd.map_or(Cell::Empty, Cell::Value),
            Cell::Value(score.f1_macro),
            score.home.map_or(Cell::Empty, Cell::Value),
            score.loss.map_or(Cell::Empty, sure),
        ]);
    }
    table
}

fn recall(away: &Away<'_>, scores: &[Score]) -> Table {
    let names = scores.iter().map(|score| Column::new(&score.name, Kind::Number(3)));
    let fixed = [Column::text("Class"), Column::new("Cells", Kind::Count)];
    let mut table = Table::new(fixed.into_iter().chain(names).collect());
    for (place, &class) in away.comparison.shared.iter().enumerate() {
        let n = away.comparison.truth.iter().filter(|&&truth| truth == Some(class)).count();
        let recalls = scores.iter().map(|score| Cell::Value(score.recall[place]));
        let fixed = [Cell::from(away.comparison.classes[class as usize].as_str()), Cell::from(n)];
        table.row(fixed.into_iter().chain(recalls).collect::<Vec<_>>());
    }
    table
}

fn labels(away: &Away<'_>) -> Table {
    let mut table = Table::new(vec![
        Column::text("Label"),
        Column::new("Cells", Kind::Count),
        Column::text("Compared as"),
    ]);
    for (label, n, class) in &away.comparison.labels {
        let compared = match class {
            Some(class) => away.comparison.classes[*class as usize].as_str(),
            None => "unknown to the models",
        };
        table.row([Cell::from(label.as_str()), Cell::from(*n), Cell::from(compared)]);
    }
    table
}

/// What the best is worth; the first among equals.
fn answer(away: &Away<'_>, scores: &[Score]) -> String {
    let best = scores.iter().reduce(|best, score| match score.accuracy.value > best.accuracy.value {
        true => score,
        false => best,
    });
    let Some(best) = best else { return String::new() };
    let home = best.home.map_or_else(String::new, |home| format!(", after {home:.3} of such cells at home"));
    format!(
        "On {}, {} is the best and names {:.3} of the cells of shared classes rightly{home}.",
        away.name, best.name, best.accuracy.value
    )
}

impl Away<'_> {
    /// How the file is asked about, as a named fact.
    pub(in crate::foundation) fn protocol(&self) -> (String, String) {
        let text = format!(
            "what was fitted on the training cells of a seed and chosen on its validation cells, asked about {} cells that no \
             part of it has seen; genes are matched by name, a gene that the file lacks has no counts, and baselines see \
             10,000 counts a cell of the first data set's genes, log1p",
            thousands(self.n_cells())
        );
        (format!("On {}", self.name), text)
    }

    /// Remarks for the page.
    pub(in crate::foundation) fn notes(&self) -> Vec<String> {
        let few = self.variable.iter().min_by_key(|(found, _)| *found).copied().unwrap_or_default();
        let mut notes = vec![format!(
            "{}: it has {} genes of the first data set; of the variable genes of a seed it has at least {} of {}, and the \
             baselines see no counts in the others.",
            self.name,
            thousands(self.genes.n_shared()),
            thousands(few.0),
            thousands(few.1)
        )];
        let left_out = self.dropped.iter();
        notes.extend(
            left_out.map(|(reason, n)| {
                format!("{}: {} cells were left out: {reason}.", self.name, thousands(*n))
            }),
        );
        let unknown = self.comparison.n_unknown();
        if unknown > 0 {
            notes.push(format!(
                "{}: {} cells are of types that the first data set does not have; they are in no score.",
                self.name,
                thousands(unknown)
            ));
        }
        notes
    }

    /// The parameters, for the manifest.
    pub(in crate::foundation) fn parameters(&self, settings: &Settings) -> Vec<(String, String)> {
        let mut parameters = vec![("test_label".to_owned(), self.label.clone())];
        if let Some(AwaySettings { max_cells: Some(most), .. }) = &settings.away {
            parameters.push(("test_max_cells".to_owned(), most.to_string()));
        }
        if let Some(AwaySettings { names, .. }) = &settings.away {
            parameters.push(("classes".to_owned(), names.classes.join(";")));
        }
        parameters
    }
}
