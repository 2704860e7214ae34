//! Questions to a model of a folder, in every way of decoding.

use std::ops::ControlFlow;

use anyhow::{Context, Result};
use sc_examples::progress::bar;
use sc_llm::annotate::{AnnotateParams, Annotation, Annotator, Item};
use sc_llm::answer::{Answer, Form, Reason};
use sc_llm::decode::generate::GenerateParams;

use super::args::{Decoding, LlmArgs};
use super::models::Asker;
use super::records::{Line, Records};
use super::scores::Row;
use super::tasks::{Asked, Task};

/// What a model answers in one way, as far as it is not on record.
pub(super) fn row(
    asker: &Asker,
    task: &Task,
    (items, method): (&[Asked], &str),
    decoding: Decoding,
    args: &LlmArgs,
    records: &mut Records,
) -> Result<Row> {
    let (word, way) = (task.name.word(), decoding.word());
    let (prompts, labels, nothing) = asker.prompts(task, items, args)?;
    let left: Vec<(&Asked, Item)> = items
        .iter()
        .zip(prompts)
        .filter(|(asked, _)| records.get(word, method, way, &asked.id).is_none())
        .map(|(asked, fitted)| (asked, Item { id: asked.id.clone(), tokens: fitted.ids }))
        .collect();
    let params = AnnotateParams {
        decoding: decoding.into(),
        generate: GenerateParams { max_new_tokens: args.max_new_tokens, ..GenerateParams::default() },
        ..AnnotateParams::default()
    };
    let names: Vec<[&str; 1]> = task.labels.iter().map(|label| [label.as_str()]).collect();
    let mut annotator = Annotator::new(&asker.model, &asker.tokenizer, &names, &labels, params)?;
    if args.calibrate && decoding == Decoding::Posterior {
        annotator = annotator.without_prior(nothing.ids)?;
    }
    let steps = bar(left.len());
    steps.set_message(format!("{word}: {method}, {way}"));
    let questions: Vec<Item> = left.iter().map(|(_, item)| item.clone()).collect();
    let mut failure = None;
    annotator.run(&questions, &mut |said| {
        steps.inc(1);
        let truth = &task.labels[left[said.item].0.truth];
        match records.add(line(word, method, way, truth, said, &task.labels)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    steps.finish_and_clear();
    if let Some(failure) = failure {
        return Err(failure);
    }
    let line_of = |asked: &Asked| {
        records.get(word, method, way, &asked.id).cloned().context("an answer is not on record")
    };
    let lines = items.iter().map(line_of).collect::<Result<Vec<Line>>>()?;
    Ok(Row::of_lines(task, method, way, lines))
}

fn line(task: &str, method: &str, way: &str, truth: &str, said: &Annotation, labels: &[String]) -> Line {
    let outcome = match said.answer {
        Answer::Label { form: Form::Exact, .. } => "exact",
        Answer::Label { form: Form::Folded, .. } => "folded",
        Answer::Label { form: Form::Json, .. } => "json",
        Answer::Unparseable(Reason::Empty) => "empty",
        Answer::Unparseable(Reason::NotALabel) => "not a label",
        Answer::Unparseable(Reason::Ambiguous) => "ambiguous",
        Answer::Unparseable(Reason::InvalidJson) => "invalid json",
        Answer::Unparseable(Reason::NoCellType) => "no cell_type",
    };
    Line {
        task: task.to_owned(),
        method: method.to_owned(),
        decoding: way.to_owned(),
        id: said.id.clone(),
        truth: truth.to_owned(),
        label: said.label().map(|label| labels[label].clone()),
        outcome: outcome.to_owned(),
        text: said.text.clone(),
        probability: said.posterior.as_ref().zip(said.label()).map(|(all, label)| all.probability[label]),
        n_prompt: said.n_prompt,
        n_shared: said.n_shared,
        n_generated: said.n_generated,
        seconds: said.seconds,
        cost: None,
    }
}
