//! The report: the comparison, what was embedded and chosen, maps, and what is wrong with what was published.

mod account;
mod markdown;
mod training;
mod wrong;

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use sc_eval::Report;
use sc_eval::grid::{MergedDataset, MergedModel};
use sc_eval::report::{Best, Cell, CellMap, Column, KeyFigure, Kind, Section, Table};
use sc_eval::statistics::{BootstrapParams, Interval, bootstrap};

use super::away::Abroad;
use super::choice::Choice;
use super::maps;
use super::methods::Method;
use super::models::Model;
use super::published::Published;
use super::{Protocol, Settings};
use markdown::markdown;
use sc_examples::cells::Cells;
use wrong::{PUBLISHED, wrong};

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
    /// * `maps`: of the cells by their embeddings.
    /// * `abroad`: what became of the methods on the cells of another file.
    pub(super) fn write(
        &self,
        mut report: Report,
        data: &MergedDataset,
        choices: &[Vec<(u64, Choice)>],
        maps: &[maps::CellMap],
        abroad: Option<&Abroad>,
    ) -> Result<(String, PathBuf)> {
        let out = &self.settings.out;
        let ahead: Vec<Ahead> =
            data.models.iter().map(|model| ahead(model, &data.models[BASELINE])).collect::<Result<_>>()?;
        let table = self.comparison(&data.models, &ahead);
        let (mut text, markdown) = (self.text(&table), markdown(&table));
        report.title = "Foundation models beside plain baselines".to_owned();
        report.answer = Some(self.answer(&data.models, &ahead)?);
        report.key_figures.extend(self.key_figures(&data.models, &ahead));
        let mut sections = vec![Section::new("Final comparison table", self.lede(), table).leading()];
        if let Some(abroad) = abroad {
            sections.extend(abroad.sections.iter().cloned());
            text += &abroad.text;
            report.answer = report.answer.map(|answer| format!("{answer} {}", abroad.answer));
        }
        if let Some(made) = &self.published {
            sections.insert(
                0,
                Section::new("What is wrong with this protocol", PUBLISHED, wrong(made, self.is_tuned()))
                    .leading(),
            );
        }
        sections.push(Section::new("What the models saw", SAW, self.inputs()));
        if self.settings.protocol == Protocol::Corrected {
            sections.push(Section::new("What was chosen on validation cells", CHOSEN, self.chosen(choices)));
        }
        sections.extend(self.trainings(choices));
        sections.extend(maps.iter().map(|map| self.map(map)));
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
            Method::Embedded { source, .. } | Method::Tuned { source, .. } => &self.models[source].weights,
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
             test the same kind of cells again and do not make them narrower. sd is over seeds. The difference from HVG \
             + LR is paired, cell by cell.{random}"
        )
    }

    fn n_test(&self) -> usize {
        let share = if self.settings.protocol == Protocol::Corrected { 10 } else { 5 };
        self.cells.labels.len().div_ceil(share)
    }

    fn all_random(&self) -> bool {
        self.settings.sources.iter().all(super::sources::Source::is_random)
    }

    /// The best by accuracy of the methods on a model that `takes` takes; the first among equals.
    fn best(&self, models: &[MergedModel], takes: impl Fn(Method) -> bool) -> Option<usize> {
        let on_models = self.methods.iter().enumerate().filter(|(_, method)| method.source().is_some());
        on_models.filter(|(_, method)| takes(**method)).map(|(place, _)| place).reduce(|best, place| {
            if models[place].mean.accuracy > models[best].mean.accuracy { place } else { best }
        })
    }

    /// Whether models were trained.
    fn is_tuned(&self) -> bool {
        self.methods.iter().any(|method| matches!(method, Method::Tuned { .. }))
    }

    fn answer(&self, models: &[MergedModel], ahead: &[Ahead]) -> Result<String> {
        let best = self.best(models, |_| true).unwrap_or(BASELINE);
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
                "no model reaches logistic regression on the variable genes, {plain:.3} accurate against {accuracy:.3} for \
                 {name}."
            )
        } else {
            format!(
                "{name} ({accuracy:.3} accurate) cannot be told from logistic regression on the variable genes ({plain:.3})."
            )
        };
        let words = format!("{over}{words}{}", self.gain_of_tuning(models)?);
        Ok(match (&self.published, self.all_random()) {
            (Some(_), _) => format!(
                "None of these figures can be trusted: the labels are made of the expression. {words}"
            ),
            (None, true) => format!("{words} The models have random weights, not pretrained ones."),
            (None, false) => words,
        })
    }

    /// What training a model is worth over a classifier on its frozen embedding, the best of each.
    fn gain_of_tuning(&self, models: &[MergedModel]) -> Result<String> {
        let frozen = self.best(models, |method| matches!(method, Method::Embedded { .. }));
        let tuned = self.best(models, |method| matches!(method, Method::Tuned { .. }));
        let (Some(frozen), Some(tuned)) = (frozen, tuned) else { return Ok(String::new()) };
        let Ahead { value, interval } = ahead(&models[tuned], &models[frozen])?;
        Ok(format!(
            " The best that was trained ({}, {:.3}) is {value:+.3} [{:+.3}, {:+.3}] from the best on frozen embeddings \
             ({}, {:.3}).",
            models[tuned].plan.name,
            models[tuned].mean.accuracy,
            interval.low,
            interval.high,
            models[frozen].plan.name,
            models[frozen].mean.accuracy
        ))
    }

    fn key_figures(&self, models: &[MergedModel], ahead: &[Ahead]) -> Vec<KeyFigure> {
        let figure = |name: &str, place: usize| {
            let Ahead { value, interval } = ahead[place];
            let note = format!(
                "{}, accuracy, {:+.3} to {:+.3}",
                models[place].plan.name, interval.low, interval.high
            );
            KeyFigure { name: format!("{name} less HVG + LR"), value: format!("{value:+.3}"), note }
        };
        let frozen = self.best(models, |method| matches!(method, Method::Embedded { .. }));
        let tuned = self.best(models, |method| matches!(method, Method::Tuned { .. }));
        let figures = [("Best frozen", frozen), ("Best trained", tuned)];
        figures.into_iter().filter_map(|(name, place)| Some(figure(name, place?))).collect()
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
            Column::text("Learning rate"),
            Column::new("Epoch", Kind::Count),
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
                    choice.learning_rate.map_or(Cell::Empty, |rate| Cell::from(format!("{rate:e}").as_str())),
                    choice.epoch.map_or(Cell::Empty, Cell::from),
                    Cell::from(choice.n_tried),
                    choice.loss.map_or(Cell::Empty, Cell::Value),
                ]);
            }
        }
        table
    }

    fn map(&self, map: &maps::CellMap) -> Section {
        let body = CellMap {
            coordinates: map.coordinates.clone(),
            classes: self.cells.labels.classes().to_vec(),
            codes: self.cells.labels.codes().to_vec(),
            names: self.cells.names.clone(),
            answers: Vec::new(),
        };
        Section::new(&map.title, &map.lede, body)
    }
}

const SAW: &str = "Genes known: columns of the matrix that are genes of the model, and the share of all counts that lies in them. \
                   Cropped: cells with more genes than the model takes. Without: cells that have no gene of the model. Cells/s is \
                   of this run, and empty where embeddings were taken from disk.";

const CHOSEN: &str = "What did best on the validation cells of each seed, by cross-entropy, among so many. Test cells had no part in it.";

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
