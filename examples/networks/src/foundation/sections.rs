//! The report: the comparison, what was embedded and chosen, maps, and what is wrong with what was published.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use ndarray::Array2;
use sc_eval::Report;
use sc_eval::grid::{MergedDataset, MergedModel};
use sc_eval::report::{
    Best, Cell, CellMap, Column, Finding, Findings as FindingList, KeyFigure, Kind, Section, Severity, Table,
};
use sc_eval::statistics::{BootstrapParams, Interval, bootstrap};

use super::choice::Choice;
use super::methods::Method;
use super::published::Published;
use super::study::Model;
use super::{Protocol, Settings};
use sc_examples::cells::Cells;
use sc_examples::facts;
use sc_examples::progress::thousands;

/// Number of the baseline that embeddings are measured against.
const BASELINE: usize = 2;

/// All that the report is about.
pub(super) struct Findings<'a> {
    pub(super) cells: &'a Cells,
    pub(super) models: &'a [Model],
    pub(super) methods: &'a [Method],
    pub(super) published: Option<Published>,
    pub(super) settings: &'a Settings,
}

/// Accuracy of a method less that of the baseline, on the same cells.
#[derive(Clone, Copy)]
struct Ahead {
    value: f64,
    interval: Interval,
}

impl Findings<'_> {
    /// Writes all files of the report; returns the comparison for a terminal, and the page.
    ///
    /// * `choices`: for each method, what was chosen with each seed.
    /// * `maps`: for each model, places of the cells by their embedding.
    pub(super) fn write(
        &self,
        mut report: Report,
        data: &MergedDataset,
        choices: &[Vec<(u64, Choice)>],
        maps: &[Option<Array2<f32>>],
    ) -> Result<(String, PathBuf)> {
        let out = &self.settings.out;
        let ahead: Vec<Ahead> =
            data.models.iter().map(|model| ahead(model, &data.models[BASELINE])).collect::<Result<_>>()?;
        let table = self.comparison(&data.models, &ahead);
        let (text, markdown) = (self.text(&table), markdown(&table));
        report.title = "Frozen foundation models beside plain baselines".to_owned();
        report.answer = Some(self.answer(&data.models, &ahead));
        report.key_figures.extend(self.key_figures(&data.models, &ahead));
        let mut sections = vec![Section::new("Final comparison table", self.lede(), table).leading()];
        if let Some(made) = &self.published {
            sections.insert(
                0,
                Section::new("What is wrong with this protocol", PUBLISHED, wrong(made)).leading(),
            );
        }
        sections.push(Section::new("What the models saw", SAW, self.inputs()));
        if self.settings.protocol == Protocol::Corrected {
            sections.push(Section::new("What was chosen on validation cells", CHOSEN, self.chosen(choices)));
        }
        for (model, map) in self.models.iter().zip(maps) {
            if let Some(coordinates) = map {
                sections.push(self.map(model, coordinates));
            }
        }
        // The figures over all seeds are in the comparison.
        report.sections = sections;
        report.write(out, true)?;
        let path = out.join("final_comparison_table.md");
        sc_io::atomic::write_aside(&path, true, |file| file.write_all(markdown.as_bytes()))?;
        Ok((text, out.join("report.html")))
    }

    /// What the weights of a method are.
    fn weights(&self, method: Method) -> &str {
        match method {
            Method::Embedded { source, .. } => &self.models[source].weights,
            _ => "none",
        }
    }

    fn comparison(&self, models: &[MergedModel], ahead: &[Ahead]) -> Table {
        let mut table = Table::new(vec![
            Column::text("Model"),
            Column::new("Accuracy", Kind::Interval(3)).best(Best::Highest),
            Column::new("sd", Kind::Number(3)),
            Column::new("Accuracy less HVG + LR", Kind::Interval(3)),
            Column::new("Macro-F1", Kind::Interval(3)).best(Best::Highest),
            Column::new("sd of F1", Kind::Number(3)),
            Column::new("Balanced accuracy", Kind::Interval(3)).best(Best::Highest),
            Column::text("Weights"),
        ]);
        if self.published.is_some() {
            table.columns.push(Column::text("Reliable"));
        }
        for (place, (model, &method)) in models.iter().zip(self.methods).enumerate() {
            let score = |value: f64, name: &str| match model.intervals.get(name) {
                Some(ends) => Cell::Interval { value, low: ends.low, high: ends.high },
                None => Cell::Value(value),
            };
            let Ahead { value, interval } = ahead[place];
            let (mean, sd) = (&model.mean, model.sd.as_ref());
            let mut row = vec![
                Cell::Text(model.plan.name.clone()),
                score(mean.accuracy, "accuracy"),
                sd.map_or(Cell::Empty, |sd| Cell::Value(sd.accuracy)),
                match place {
                    BASELINE => Cell::Empty,
                    _ => Cell::Interval { value, low: interval.low, high: interval.high },
                },
                score(mean.f1_macro, "f1_macro"),
                sd.map_or(Cell::Empty, |sd| Cell::Value(sd.f1_macro)),
                score(mean.balanced_accuracy, "balanced_accuracy"),
                Cell::Text(self.weights(method).to_owned()),
            ];
            if self.published.is_some() {
                row.push("no: see what is wrong".into());
            }
            table.row(row);
        }
        table
    }

    /// The comparison for a terminal: the columns that decide, and what the weights were.
    fn text(&self, table: &Table) -> String {
        const WIDE: [&str; 3] = ["Weights", "sd of F1", "Balanced accuracy"];
        let kept = |column: &usize| !WIDE.contains(&table.columns[*column].name.as_str());
        let kept: Vec<usize> = (0..table.columns.len()).filter(kept).collect();
        let mut narrow = Table::new(kept.iter().map(|&column| table.columns[column].clone()).collect());
        for row in &table.rows {
            narrow.row(kept.iter().map(|&column| row[column].clone()).collect::<Vec<_>>());
        }
        let mut text = narrow.to_text();
        for Model { name, weights, .. } in self.models {
            text += &format!("{name}: weights {weights}\n");
        }
        text
    }

    fn lede(&self) -> String {
        let n_test: usize = self.n_test();
        let seeds = self.settings.seeds.len();
        let plural = if seeds == 1 { "seed" } else { "seeds, each with test cells of its own" };
        let random = if self.all_random() {
            " The weights of the models are random, not pretrained: these rows are what a pretrained model must beat."
        } else {
            ""
        };
        format!(
            "Means over {seeds} {plural}. Intervals are 95 % for the draw of the {n_test} test cells of a seed; more seeds \
             test the same kind of cells again and do not make them narrower. sd is over seeds. The last column is paired, \
             cell by cell.{random}"
        )
    }

    fn n_test(&self) -> usize {
        let share = if self.settings.protocol == Protocol::Corrected { 10 } else { 5 };
        self.cells.labels.len().div_ceil(share)
    }

    fn all_random(&self) -> bool {
        self.settings.sources.iter().all(super::sources::Source::is_random)
    }

    /// The best of the embeddings by accuracy; the first among equals.
    fn best_embedding(&self, models: &[MergedModel]) -> usize {
        let first = BASELINE + 1;
        (first..models.len()).fold(first, |best, i| {
            if models[i].mean.accuracy > models[best].mean.accuracy { i } else { best }
        })
    }

    fn answer(&self, models: &[MergedModel], ahead: &[Ahead]) -> String {
        let best = self.best_embedding(models);
        let (name, accuracy) = (&models[best].plan.name, models[best].mean.accuracy);
        let plain = models[BASELINE].mean.accuracy;
        let Ahead { interval, .. } = ahead[best];
        let over = match self.settings.seeds.len() {
            1 => "With one seed ".to_owned(),
            n => format!("Over {n} seeds "),
        };
        let words = if interval.low > 0.0 {
            format!(
                "{name} beats logistic regression on the variable genes, {accuracy:.3} accurate against {plain:.3}."
            )
        } else if interval.high < 0.0 {
            format!(
                "no frozen embedding reaches logistic regression on the variable genes, {plain:.3} accurate against \
                 {accuracy:.3} for {name}."
            )
        } else {
            format!(
                "{name} ({accuracy:.3} accurate) cannot be told from logistic regression on the variable genes ({plain:.3})."
            )
        };
        let words = format!("{over}{words}");
        match (&self.published, self.all_random()) {
            (Some(_), _) => format!(
                "None of these figures can be trusted: the labels are made of the expression. {words}"
            ),
            (None, true) => format!("{words} The models have random weights, not pretrained ones."),
            (None, false) => words,
        }
    }

    fn key_figures(&self, models: &[MergedModel], ahead: &[Ahead]) -> Vec<KeyFigure> {
        let best = self.best_embedding(models);
        let Ahead { value, interval } = ahead[best];
        let note =
            format!("{}, accuracy, {:+.3} to {:+.3}", models[best].plan.name, interval.low, interval.high);
        vec![KeyFigure {
            name: "Best embedding less HVG + LR".to_owned(),
            value: format!("{value:+.3}"),
            note,
        }]
    }

    /// What each model took in.
    fn inputs(&self) -> Table {
        let mut table = Table::new(vec![
            Column::text("Model"),
            Column::text("Cell"),
            Column::text("Layers"),
            Column::new("Width", Kind::Count),
            Column::new("Genes known", Kind::Percent(1)),
            Column::new("Counts in them", Kind::Percent(1)),
            Column::new("Tokens a cell", Kind::Number(0)),
            Column::new("Cells cropped", Kind::Count),
            Column::new("Cells without", Kind::Count),
            Column::new("Cells/s", Kind::Number(1)),
        ]);
        for model in self.models {
            let embedded = model.of(0);
            let (genes, tally) = (&embedded.tokens.genes, &embedded.tokens.cells);
            let layers: Vec<&str> = embedded.layers.iter().map(|(layer, _)| layer.as_str()).collect();
            let (took, n_cells) = model.embedded.iter().fold((0.0, 0), |(took, n), embedded| {
                (took + embedded.spent.0.as_secs_f64(), n + embedded.spent.1)
            });
            table.row([
                Cell::from(model.name.as_str()),
                Cell::from(embedded.mode.as_str()),
                Cell::from(layers.join(", ").as_str()),
                Cell::from(embedded.layers[0].1.ncols()),
                Cell::Value(genes.n_known as f64 / genes.n_columns.max(1) as f64),
                Cell::Value(embedded.tokens.share_of_counts()),
                Cell::Value(embedded.n_tokens as f64 / tally.n_tokenized.max(1) as f64),
                Cell::from(tally.n_cropped),
                Cell::from(tally.n_empty),
                if n_cells == 0 { Cell::Empty } else { Cell::Value(n_cells as f64 / took) },
            ]);
        }
        table
    }

    fn chosen(&self, choices: &[Vec<(u64, Choice)>]) -> Table {
        let mut table = Table::new(vec![
            Column::text("Model"),
            Column::text("Seed"),
            Column::text("Layer"),
            Column::text("C"),
            Column::new("Of", Kind::Count),
            Column::new("Cross-entropy", Kind::Number(4)),
        ]);
        let names: Vec<&str> = self.models.iter().map(|model| model.name.as_str()).collect();
        for (method, of_seeds) in self.methods.iter().zip(choices) {
            for (seed, choice) in of_seeds.iter().filter(|(_, choice)| choice.n_tried > 1) {
                table.row([
                    Cell::from(method.name(&names).as_str()),
                    Cell::from(seed.to_string().as_str()),
                    choice.layer.as_deref().map_or(Cell::Empty, Cell::from),
                    choice.c.map_or(Cell::Empty, |c| Cell::from(c.to_string().as_str())),
                    Cell::from(choice.n_tried),
                    choice.loss.map_or(Cell::Empty, Cell::Value),
                ]);
            }
        }
        table
    }

    fn map(&self, model: &Model, coordinates: &Array2<f32>) -> Section {
        let embedded = model.of(0);
        let lede = format!(
            "Every cell by its embedding ({} of layer {}), coloured by its label. For the eye only: no classifier sees it.",
            embedded.mode, embedded.layers[0].0
        );
        let map = CellMap {
            coordinates: coordinates.clone(),
            classes: self.cells.labels.classes().to_vec(),
            codes: self.cells.labels.codes().to_vec(),
            names: self.cells.names.clone(),
            answers: Vec::new(),
        };
        Section::new(format!("Map of {}", model.name), lede, map)
    }

    /// How it was done, as named facts.
    pub(super) fn protocol(&self) -> Vec<(String, String)> {
        let settings = self.settings;
        let mut facts = facts::protocol(String::new(), &settings.fold, false);
        let learnt = facts
            .pop()
            .map_or_else(String::new, |(_, text)| text)
            .replace("nearest neighbours", "HVG + PCA + LR");
        let seeds: Vec<String> = settings.seeds.iter().map(u64::to_string).collect();
        let (sets, chosen) = match settings.protocol {
            Protocol::Corrected => (
                "80 % of the cells train, 10 % validate, 10 % test; stratified by label",
                "layer and C, by the cross-entropy of the validation cells; test cells are asked about once",
            ),
            Protocol::AsPublished => ("80 % of the cells train, 20 % test; stratified by label", "nothing"),
        };
        let heads = "logistic regression on standardised values; XGBoost with 400 rounds, depth 6, rate 0.05, 80 % of the \
                     cells and values a tree";
        let mut told = vec![
            ("Cells", format!("{sets}, drawn with seeds {}", seeds.join(", "))),
            ("Models", "frozen: no weight is changed by these cells".to_owned()),
            ("Classifiers", heads.to_owned()),
            ("Chosen", chosen.to_owned()),
        ];
        match settings.protocol {
            Protocol::Corrected => told.push(("Input of the models", "raw counts of all genes that they know".to_owned())),
            Protocol::AsPublished => told.push((
                "Input of the models",
                "highly variable genes of all cells, scaled and clipped at 10, in the order that the reference gives them"
                    .to_owned(),
            )),
        }
        let mut all: Vec<(String, String)> =
            told.into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
        all.push(("Baselines see".to_owned(), "counts of each cell normalised to 10,000, log1p".to_owned()));
        all.push(("Baselines learn on training cells".to_owned(), learnt));
        if settings.map {
            all.push(facts::map());
        }
        all
    }

    /// Remarks for the page.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = self.cells.notes();
        for model in self.models {
            notes.push(format!("{}: {}; weights: {}.", model.name, model.words, model.weights));
            let missing = model.of(0).tokens.cells.n_empty;
            if missing > 0 {
                notes.push(format!(
                    "{}: {} cells have no gene of the model; classifiers see the mean of the training cells for them.",
                    model.name,
                    thousands(missing)
                ));
            }
        }
        notes
    }

    /// The parameters of the run, for the manifest.
    pub(super) fn parameters(&self) -> Vec<(String, String)> {
        let settings = self.settings;
        let list = |items: Vec<String>| if items.is_empty() { "default".to_owned() } else { items.join(",") };
        let mut parameters: Vec<(String, String)> = [
            ("protocol", format!("{:?}", settings.protocol)),
            ("seeds", list(settings.seeds.iter().map(u64::to_string).collect())),
            ("model_layer", list(settings.layers.iter().map(ToString::to_string).collect())),
            ("mode", settings.mode.map_or_else(|| "default".to_owned(), |mode| mode.to_string())),
            ("precision", settings.precision.kernel().to_owned()),
            ("memory", settings.memory.to_string()),
            ("heads", list(settings.heads.iter().map(|head| head.words().to_owned()).collect())),
            ("n_genes", settings.fold.genes.n_top_genes.to_string()),
            ("n_components", settings.fold.n_components.to_string()),
            ("layer", settings.cells.layer.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
        for model in self.models {
            let keys: Vec<&str> = model.embedded.iter().map(|embedded| embedded.key.as_str()).collect();
            parameters.push((format!("embeddings of {}", model.name), keys.join(",")));
        }
        parameters
    }
}

const SAW: &str = "Genes known: columns of the matrix that are genes of the model, and the share of all counts that lies in them. \
                   Cropped: cells with more genes than the model takes. Without: cells that have no gene of the model. Cells/s is \
                   of this run, and empty where embeddings were taken from disk.";

const CHOSEN: &str = "What did best on the validation cells of each seed, by cross-entropy, among so many. Test cells had no part in it.";

const PUBLISHED: &str = "The published protocol as far as its text tells it, run because --force asked for it. Its figures cannot be \
                         compared with those of the corrected protocol.";

/// What the published protocol does that makes its figures say little.
fn wrong(made: &Published) -> FindingList {
    let finding = |severity, text: &str| Finding::new(severity, text);
    let labels = made.labels.classes().iter().zip(made.labels.counts());
    let labels: Vec<String> = labels.map(|(name, n)| format!("{name} {}", thousands(n))).collect();
    FindingList {
        findings: vec![
            finding(
                Severity::Error,
                "The labels are Leiden clusters of the expression, named by marker genes: a classifier of expression is asked \
                 to find again what was made of it, test cells included.",
            )
            .number("clusters", made.n_clusters)
            .number("cells", labels.join(", ")),
            finding(
                Severity::Error,
                "The tokenisers are given scaled values of the highly variable genes instead of counts. Geneformer ranks genes \
                 by their value: every gene is in every cell, and those below the mean come last instead of not at all.",
            )
            .number("genes", made.var.n_rows()),
            finding(
                Severity::Error,
                "Genes were chosen and scaled on all cells, test cells included, before they were divided.",
            ),
            finding(Severity::Warning, "One split with one seed; nothing says how much of a figure is luck."),
            finding(
                Severity::Warning,
                "No baseline stood beside the models in what was published; here some do, on the same labels and cells.",
            ),
        ],
    }
}

/// How far a model is ahead of the baseline in accuracy, on the same cells: mean over seeds of the figure and of the ends
/// of its interval.
fn ahead(model: &MergedModel, baseline: &MergedModel) -> Result<Ahead> {
    let (mut value, mut low, mut high) = (0.0, 0.0, 0.0);
    let n = model.seeds.len() as f64;
    for (a, b) in model.seeds.iter().zip(&baseline.seeds) {
        let right = |predicted: Option<u32>, truth| f64::from(u8::from(predicted == Some(truth)));
        let cells = a.result.predicted.iter().zip(&b.result.predicted).zip(&a.result.truth);
        let gains: Vec<f64> = cells
            .filter(|((a, _), _)| a.is_some())
            .map(|((a, b), &truth)| right(*a, truth) - right(*b, truth))
            .collect();
        let mean = |cells: &[usize]| cells.iter().map(|&cell| gains[cell]).sum::<f64>() / cells.len() as f64;
        let interval = bootstrap(gains.len(), &BootstrapParams::default(), mean)?;
        value += gains.iter().sum::<f64>() / gains.len() as f64 / n;
        low += interval.low / n;
        high += interval.high / n;
    }
    Ok(Ahead { value, interval: Interval { low, high, level: BootstrapParams::default().level } })
}

/// A table as Markdown.
fn markdown(table: &Table) -> String {
    let cell = |cell: &Cell, kind: Kind| {
        let print = |value: f64| match kind {
            Kind::Number(decimals) | Kind::Interval(decimals) => format!("{value:.*}", usize::from(decimals)),
            _ => value.to_string(),
        };
        match cell {
            Cell::Text(text) => text.replace('|', "\\|").replace('\n', " "),
            Cell::Value(value) if value.is_finite() => print(*value),
            Cell::Interval { value, low, high } => {
                format!("{} [{}, {}]", print(*value), print(*low), print(*high))
            }
            _ => String::new(),
        }
    };
    let heads: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let rules: Vec<&str> =
        table.columns.iter().map(|c| if c.kind == Kind::Text { "---" } else { "---:" }).collect();
    let mut lines = vec![heads.join(" | "), rules.join(" | ")];
    for row in &table.rows {
        let cells: Vec<String> =
            row.iter().zip(&table.columns).map(|(c, column)| cell(c, column.kind)).collect();
        lines.push(cells.join(" | "));
    }
    lines.iter().map(|line| format!("| {line} |\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_becomes_markdown_and_names_stay_in_their_cells() {
        let mut table = Table::new(vec![Column::text("Model"), Column::new("Accuracy", Kind::Interval(2))]);
        table.row([Cell::from("a | b"), Cell::Interval { value: 0.5, low: 0.25, high: 0.751 }]);
        table.row([Cell::from("c"), Cell::Empty]);
        let expected = "| Model | Accuracy |\n| --- | ---: |\n| a \\| b | 0.50 [0.25, 0.75] |\n| c |  |\n";
        assert_eq!(markdown(&table), expected);
    }
}
