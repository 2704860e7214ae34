//! The sentences of a report.

use super::facts::{Facts, ModelFacts};
use super::{Report, number};

/// What the intervals are.
pub(super) const INTERVALS: &str = "Scores are means over the test folds. Intervals are percentile bootstraps over the \
     test cells of each fold: they cover the luck of which cells were tested, not that other training cells would give \
     another model.";

/// How models are compared.
pub(super) const PAIRS: &str = "All models met the same cells, so two of them differ only by the cells on which one is \
     right and the other wrong; overlapping intervals alone do not make two models alike. The p of the exact McNemar \
     test is adjusted for the number of models (Holm). It takes cells as independent, and the best model was chosen on \
     these same cells: a p near .05 is no proof.";

/// A piece of a sentence.
pub(super) struct Part {
    pub(super) text: String,
    pub(super) strong: bool,
}

/// What the page says first: the caller's answer, or the one that the models give; nothing without either.
pub(super) fn headline(report: &Report, facts: Option<&Facts<'_>>) -> Vec<Part> {
    match (&report.answer, facts) {
        (Some(text), _) => vec![Part { text: text.clone(), strong: false }],
        (None, Some(facts)) => {
            let scope =
                report.scope.iter().map(|scope| Part { text: format!("With {scope}, "), strong: false });
            scope.chain(answer(facts)).collect()
        }
        (None, None) => Vec::new(),
    }
}

/// The heading of the models.
pub(super) fn models_title(report: &Report) -> String {
    match &report.scope {
        Some(scope) => format!("Models, {scope}"),
        None => "Models".to_owned(),
    }
}

/// What the intervals of the models are.
pub(super) fn intervals(report: &Report) -> String {
    match &report.scope {
        Some(scope) => format!("What the models answered with {scope} alone. {INTERVALS}"),
        None => INTERVALS.to_owned(),
    }
}

/// The headline as one text.
pub(super) fn headline_text(report: &Report, facts: Option<&Facts<'_>>) -> String {
    headline(report, facts).into_iter().map(|part| part.text).collect()
}

/// The answer of the models: the best model, how much better than nothing, and which models are as good.
pub(super) fn answer(facts: &Facts<'_>) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut say = |text: String, strong| parts.push(Part { text, strong });
    let (best, accuracy) = (facts.best(), facts.best().accuracy);
    let interval = format!("95 % interval {} to {}", points(accuracy.low), number::percent(accuracy.high));
    let majority = number::percent(facts.majority);
    if facts.better_than_majority().next().is_none() {
        say("No model beats the baseline".to_owned(), true);
        say(
            format!(
                ": always saying “{}” is right for {majority} of the cells, {} for {} ({interval}).",
                facts.majority_class,
                best.name,
                number::percent(accuracy.value)
            ),
            false,
        );
        return parts;
    }
    say(best.name.to_owned(), true);
    say(" names ".to_owned(), false);
    say(number::percent(accuracy.value), true);
    say(" of the cells rightly (".to_owned() + &interval, false);
    say(format!("), where always saying “{}” is right for {majority}.", facts.majority_class), false);
    if facts.models.len() > 1 {
        let alike: Vec<String> = facts.not_told_apart().map(with_percent).collect();
        let text = if alike.is_empty() {
            " Cell by cell, it can be told apart from every other model.".to_owned()
        } else {
            format!(" Cell by cell, it cannot be told apart from {}.", number::list(&alike))
        };
        say(text, false);
    }
    parts
}

fn with_percent(model: &ModelFacts<'_>) -> String {
    format!("{} ({})", model.name, number::percent(model.accuracy.value))
}

fn points(share: f64) -> String {
    format!("{:.1}", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn answer_text(facts: &Facts<'_>) -> String {
        answer(facts).into_iter().map(|part| part.text).collect()
    }

    #[test]
    fn the_answer_names_the_best_model_its_interval_and_the_baseline() {
        let report = sample::report();
        let text = answer_text(&Facts::new(&report).unwrap());
        assert!(text.starts_with("good names 9"), "{text}");
        assert!(
            text.contains("95 % interval") && text.contains("always saying “T cells” is right for 50.0 %")
        );
        assert!(text.contains("cannot be told apart from fair ("), "{text}");
    }

    #[test]
    fn a_run_in_which_nothing_beats_the_baseline_says_so() {
        let mut report = sample::report();
        report.models.retain(|(name, _)| name == "majority");
        let text = answer_text(&Facts::new(&report).unwrap());
        assert!(text.starts_with("No model beats the baseline: always saying “T cells”"), "{text}");
    }
}
