//! The report: what was found in words, the comparison, clusters, types, confusions, what was asked, and every answer.

mod checks;
mod files;
mod tables;
mod words;

use std::path::PathBuf;

use anyhow::Result;
use sc_eval::report::Section;
use sc_eval::split::Split;
use sc_eval::{Manifest, Report};
use sc_examples::cells::Cells;

use super::args::{LlmArgs, TaskName};
use super::scores::{Row, Scores};
use super::servers::Purse;
use super::tasks::Task;

/// All that the report is about.
pub(super) struct Findings<'a> {
    cells: &'a Cells,
    args: &'a LlmArgs,
    split: &'a Split,
    /// How each model of --model was asked.
    pub(super) manners: Vec<(String, &'static str)>,
    /// What servers were paid in this run.
    pub(super) purse: Purse,
    pub(super) tasks: Vec<(Task, Vec<Row>)>,
}

/// A task with the rows of its table.
struct Scored<'a> {
    task: &'a Task,
    rows: Vec<(&'a Row, Scores)>,
}

impl<'a> Scored<'a> {
    fn new((task, rows): &'a (Task, Vec<Row>)) -> Result<Self> {
        let scores = rows.iter().map(|row| Ok((row, row.scores(task)?)));
        Ok(Self { task, rows: scores.collect::<Result<_>>()? })
    }

    fn word(&self) -> &'static str {
        self.task.name.word()
    }

    /// The row of the most right answers among some; of equals the first.
    fn best(&self, is_one: impl Fn(&Row) -> bool) -> Option<(&'a Row, Scores)> {
        let rows = self.rows.iter().copied().filter(|(row, _)| is_one(row));
        rows.reduce(|best, row| if row.1.n_right > best.1.n_right { row } else { best })
    }

    /// The models under the names of the genes.
    fn models(&self) -> impl Iterator<Item = &(&'a Row, Scores)> {
        self.rows.iter().filter(|(row, _)| row.is_model() && !row.is_disguised)
    }

    /// The best of them.
    fn best_model(&self) -> Option<(&'a Row, Scores)> {
        self.best(|row| row.is_model() && !row.is_disguised)
    }

    /// What always the same answer is worth.
    fn majority(&self) -> Option<Scores> {
        self.rows.iter().find(|(row, _)| row.method == "majority").map(|(_, scores)| *scores)
    }
}

impl<'a> Findings<'a> {
    pub(super) fn new(cells: &'a Cells, args: &'a LlmArgs, split: &'a Split) -> Self {
        Self { cells, args, split, manners: Vec::new(), purse: Purse::default(), tasks: Vec::new() }
    }

    /// Writes all files; returns the comparison for a terminal, and the page.
    pub(super) fn write(&self, manifest: Manifest) -> Result<(String, PathBuf)> {
        let out = &self.args.out;
        let scored: Vec<Scored<'_>> = self.tasks.iter().map(Scored::new).collect::<Result<_>>()?;
        let mut report =
            Report::of_sections("Language models that name cells", &self.cells.dataset, manifest);
        report.answer = Some(words::answer(&scored));
        report.key_figures = words::key_figures(&scored, self.purse);
        report.protocol = self.protocol();
        report.notes = self.notes();
        let found = checks::findings(&scored)?;
        report.sections.push(Section::new("What was found", checks::LEDE, found).leading());
        for scored in &scored {
            let title = format!("Task {}", scored.word());
            let section = Section::new(title, words::lede(scored.task), tables::comparison(scored));
            report.sections.push(section.leading());
        }
        for scored in &scored {
            report.sections.extend(tables::clusters(scored));
            report.sections.extend(tables::types(scored));
            report.sections.extend(tables::confusions(scored));
        }
        report.sections.extend(tables::no_labels(&scored));
        report.sections.push(words::prompts(&self.tasks, self.args)?);
        report.write(out, true)?;
        files::write(out, &scored)?;
        Ok((words::text(&scored), out.join("report.html")))
    }

    /// Whether a task was asked.
    fn has(&self, name: TaskName) -> bool {
        self.tasks.iter().any(|(task, _)| task.name == name)
    }
}
