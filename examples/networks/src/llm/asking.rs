//! Questions to a model in this process, in every way of decoding.

use std::ops::ControlFlow;

use anyhow::{Context, Result};
use sc_examples::progress::bar;
use sc_llm::annotate::{AnnotateParams, Annotation, Annotator, Item};
use sc_llm::answer::{Answer, Form, Reason};
use sc_llm::decode::generate::GenerateParams;

use super::args::{Decoding, LlmArgs};
use super::models::{Asker, Prompts};
use super::records::{Line, Records};
use super::scores::Row;
use super::tasks::{Asked, Task};

/// What a model answers in one way, as far as it is not on record.
///
/// Strict answers are the free ones read in another way: none is generated twice.
pub(super) fn row(
    asker: &Asker,
    task: &Task,
    (items, method): (&[Asked], &str),
    decoding: Decoding,
    args: &LlmArgs,
    records: &mut Records,
) -> Result<Row> {
    let (word, way) = (task.name.word(), decoding.word());
    let source = if decoding == Decoding::Strict { Decoding::Free } else { decoding };
    generate(asker, task, (items, method), source, args, records)?;
    let mut lines = Vec::with_capacity(items.len());
    for asked in items {
        let line =
            records.get(word, method, source.word(), &asked.id).context("an answer is not on record")?;
        let line = if decoding == Decoding::Strict { strictly(line) } else { line.clone() };
        if records.get(word, method, way, &asked.id).is_none() {
            records.add(line.clone())?;
        }
        lines.push(line);
    }
    Ok(Row::of_lines(task, method, way, lines))
}

/// Puts answers on record, those that are not there.
fn generate(
    asker: &Asker,
    task: &Task,
    (items, method): (&[Asked], &str),
    decoding: Decoding,
    args: &LlmArgs,
    records: &mut Records,
) -> Result<()> {
    let (word, way) = (task.name.word(), decoding.word());
    let Prompts { fitted, labels, nothing, template } = asker.prompts(task, items, decoding, args)?;
    // Of all items, so that a run that was cut off counts the tokens of one that was not.
    let n_shared = match asker.model.answer_start() {
        None => shared(&fitted.iter().map(|fitted| fitted.ids.as_slice()).collect::<Vec<_>>()),
        Some(_) => 0,
    };
    let left: Vec<(&Asked, Item)> = items
        .iter()
        .zip(fitted)
        .filter(|(asked, _)| records.get(word, method, way, &asked.id).is_none())
        .map(|(asked, fitted)| (asked, Item { id: asked.id.clone(), tokens: fitted.ids }))
        .collect();
    if left.is_empty() {
        return Ok(());
    }
    let params = AnnotateParams {
        decoding: decoding.into(),
        generate: GenerateParams { max_new_tokens: args.max_new_tokens, ..GenerateParams::default() },
        ..AnnotateParams::default()
    };
    let names: Vec<[&str; 1]> = task.labels.iter().map(|label| [label.as_str()]).collect();
    let mut annotator = match &template {
        Some(template) => Annotator::with_template(&asker.model, &asker.tokenizer, template, params)?,
        None => Annotator::new(&asker.model, &asker.tokenizer, &names, &labels, params)?,
    };
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
        let line = Line { n_shared, ..line(word, method, way, truth, said, &task.labels) };
        match records.add(line) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    steps.finish_and_clear();
    failure.map_or(Ok(()), Err)
}

/// Tokens that all prompts begin with, the last of each left out: what is read once.
fn shared(prompts: &[&[u32]]) -> usize {
    let Some((first, rest)) = prompts.split_first().filter(|(_, rest)| !rest.is_empty()) else { return 0 };
    let common = |n: usize, prompt: &&[u32]| {
        let same = first[..n].iter().zip(*prompt).take_while(|(a, b)| a == b).count();
        same.min(prompt.len().saturating_sub(1))
    };
    rest.iter().fold(first.len().saturating_sub(1), common)
}

/// A free answer, which counts if it is a label word for word and ended by the model.
fn strictly(free: &Line) -> Line {
    let decoding = Decoding::Strict.word().to_owned();
    if free.label.is_none() || (free.ended && free.outcome != FOLDED) {
        return Line { decoding, ..free.clone() };
    }
    Line { decoding, label: None, outcome: NOT_A_LABEL.to_owned(), ..free.clone() }
}

/// Outcomes of an answer.
const FOLDED: &str = "folded";
const NOT_A_LABEL: &str = "not a label";

fn line(task: &str, method: &str, way: &str, truth: &str, said: &Annotation, labels: &[String]) -> Line {
    let outcome = match said.answer {
        Answer::Label { form: Form::Exact, .. } => "exact",
        Answer::Label { form: Form::Folded, .. } => FOLDED,
        Answer::Label { form: Form::Json, .. } => "json",
        Answer::Unparseable(Reason::Empty) => "empty",
        Answer::Unparseable(Reason::NotALabel) => NOT_A_LABEL,
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
        ended: said.ended,
        probability: said.posterior.as_ref().zip(said.label()).map(|(all, label)| all.probability[label]),
        n_prompt: said.n_prompt,
        n_shared: said.n_shared,
        n_generated: said.n_generated,
        seconds: said.seconds,
        cost: None,
    }
}

#[cfg(test)]
mod tests {
    use sc_llm::models::{OpenParams, open};
    use sc_llm::tokenizer::{End, LabelTokens, Tokenizer};

    use super::*;

    #[test]
    fn what_is_shared_leaves_a_token_of_each_prompt() {
        assert_eq!(shared(&[&[1, 2, 3, 4], &[1, 2, 5]]), 2);
        assert_eq!(shared(&[&[1, 2, 3, 4], &[1, 2]]), 1);
        assert_eq!(shared(&[&[1, 2], &[1, 2]]), 1);
        assert_eq!((shared(&[&[1, 2, 3]]), shared(&[])), (0, 0));
    }

    #[test]
    fn strict_answers_are_word_for_word_and_ended_by_the_model() {
        let free = |outcome: &str, ended: bool| Line {
            label: Some("T cell".to_owned()).filter(|_| outcome != "empty"),
            outcome: outcome.to_owned(),
            ended,
            ..blank()
        };
        for (outcome, ended, expected) in [
            ("exact", true, "exact"),
            ("json", true, "json"),
            ("exact", false, NOT_A_LABEL),
            (FOLDED, true, NOT_A_LABEL),
            ("empty", true, "empty"),
            ("empty", false, "empty"),
        ] {
            let strict = strictly(&free(outcome, ended));
            assert_eq!((strict.outcome.as_str(), strict.decoding.as_str()), (expected, "strict"));
            assert_eq!(strict.label.is_some(), ["exact", "json"].contains(&expected), "{outcome} {ended}");
        }
    }

    fn blank() -> Line {
        Line {
            task: "markers".into(),
            method: "m".into(),
            decoding: "free".into(),
            id: "a".into(),
            truth: "T cell".into(),
            label: None,
            outcome: String::new(),
            text: String::new(),
            ended: true,
            probability: None,
            n_prompt: 3,
            n_shared: 1,
            n_generated: 1,
            seconds: 0.5,
            cost: None,
        }
    }

    #[test]
    fn a_free_answer_read_strictly_is_the_strict_answer() {
        let golden =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/sc-llm/tests/golden");
        let model = open(golden.join("llm/qwen2_untied"), &OpenParams::default()).unwrap();
        let tokenizer = Tokenizer::open(golden.join("tokenizer/qwen2_tied")).unwrap();
        let item = |i: usize| Item {
            id: i.to_string(),
            tokens: tokenizer.encode(&format!("CD{i} CD{} Answer:", i * 7 % 50), true).unwrap(),
        };
        let items: Vec<Item> = (0..40).map(item).collect();
        let behind = |labels: &[String]| {
            let forms: Vec<String> = labels.iter().map(|label| format!(" {label}")).collect();
            LabelTokens::new(&tokenizer, "Answer:", &forms, &[End::Eos]).unwrap()
        };
        let run = |labels: &[String], decoding: Decoding, max_new_tokens: usize| {
            let names: Vec<[&str; 1]> = labels.iter().map(|label| [label.as_str()]).collect();
            let generate = GenerateParams { max_new_tokens, ..GenerateParams::default() };
            let params = AnnotateParams { decoding: decoding.into(), generate, ..AnnotateParams::default() };
            let tokens = behind(labels);
            let annotator = Annotator::new(&model, &tokenizer, &names, &tokens, params).unwrap();
            let said = annotator.run(&items, &mut |_| ControlFlow::Continue(())).unwrap();
            let line = |said: &Annotation| line("t", "m", decoding.word(), "x", said, labels);
            said.items.iter().map(|said| Line { seconds: 0.0, ..line(said) }).collect::<Vec<_>>()
        };
        // Labels that this model says: some word for word, some in other case.
        let mut labels: Vec<String> = Vec::new();
        for (place, said) in run(&["one".into(), "two".into()], Decoding::Free, 3).iter().enumerate() {
            let said = said.text.trim();
            let label = if place % 2 == 0 { said.to_owned() } else { said.to_uppercase() };
            if !label.is_empty() && !labels.iter().any(|known| known.to_lowercase() == label.to_lowercase()) {
                labels.push(label);
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        for max_new_tokens in [3, 4] {
            let free = run(&labels, Decoding::Free, max_new_tokens);
            let strict = run(&labels, Decoding::Strict, max_new_tokens);
            for (free, strict) in free.iter().zip(&strict) {
                assert_eq!(format!("{:?}", strictly(free)), format!("{strict:?}"));
                seen.insert((free.outcome.clone(), free.ended, strict.outcome.clone()));
            }
        }
        assert!(seen.iter().any(|(free, ..)| free != NOT_A_LABEL), "{seen:?}");
    }
}
