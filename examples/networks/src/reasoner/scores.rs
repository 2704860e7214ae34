//! What answers are worth: by their name, by the published table of pairs, and by the Cell Ontology.

use std::collections::BTreeMap;

use anyhow::Result;
use sc_eval::ontology::{Ontology, OntologyScores, ScoreRule, TermId};
use sc_eval::report::Tone;
use sc_eval::statistics::{BootstrapParams, Interval, bootstrap, wilson};
use sc_llm::cellreasoner::{CellResult, OnMissing, PairScores, PublishedScore};

/// By what answers are scored.
pub(super) struct Rules {
    pub(super) pairs: Option<PairScores>,
    pub(super) ontology: Option<(Ontology, Vec<TermId>)>,
    pub(super) rule: ScoreRule,
}

/// The scores of one method.
pub(super) struct Scores {
    /// Whether each answer is the name of the label, up to case and white space.
    pub(super) named: Vec<bool>,
    pub(super) published: Option<PublishedScore>,
    pub(super) ontology: Option<OntologyScores>,
    /// The ontology score of each cell, and what it is.
    pub(super) terms: Vec<(f64, Tone)>,
}

/// A number with its interval at 95 %.
#[derive(Clone, Copy)]
pub(super) struct Estimate {
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Rules {
    /// Scores answers.
    ///
    /// * `on_missing`: what answers count that the table of pairs does not have.
    ///
    /// # Errors
    /// Answers without a label; one that the table does not have, where that is an error.
    pub(super) fn score(&self, results: &[CellResult], on_missing: OnMissing) -> Result<Scores> {
        let published = match &self.pairs {
            Some(pairs) => Some(PublishedScore::new(results, pairs, on_missing)?),
            None => None,
        };
        let mut terms = Vec::new();
        let mut known: BTreeMap<(&str, &str), (f64, Tone)> = BTreeMap::new();
        for result in results.iter().filter(|_| self.ontology.is_some()) {
            let pair = (result.prediction(), truth(result));
            let worth = match known.get(&pair) {
                Some(worth) => *worth,
                None => {
                    let one = self.terms(std::slice::from_ref(result))?.unwrap_or_default();
                    let worth = (one.score, if one.unmapped > 0 { Tone::Open } else { tone(one.score) });
                    known.insert(pair, worth);
                    worth
                }
            };
            terms.push(worth);
        }
        let named = results.iter().map(|result| folded(result.prediction()) == folded(truth(result)));
        Ok(Scores { named: named.collect(), published, ontology: self.terms(results)?, terms })
    }

    /// Scores answers by the Cell Ontology, if there is one.
    pub(super) fn terms(&self, results: &[CellResult]) -> Result<Option<OntologyScores>> {
        let Some((ontology, classes)) = &self.ontology else { return Ok(None) };
        let said: Vec<&str> = results.iter().map(CellResult::prediction).collect();
        let labels: Vec<&str> = results.iter().map(truth).collect();
        Ok(Some(ontology.scores(&said, &labels, classes, &self.rule)?))
    }
}

impl Scores {
    /// Share of cells whose answer is the name of their label.
    pub(super) fn accuracy(&self) -> Result<Estimate> {
        let (right, n) = (self.named.iter().filter(|named| **named).count(), self.named.len());
        let Interval { low, high, .. } = wilson(right as u64, n as u64, 0.95)?;
        Ok(Estimate { value: right as f64 / n as f64, low, high })
    }

    /// The published score; its interval is of cells that count, drawn with replacement.
    pub(super) fn published(&self, on_missing: OnMissing) -> Result<Option<Estimate>> {
        let Some(published) = &self.published else { return Ok(None) };
        let missing = (on_missing == OnMissing::Zero).then_some(0.0);
        let worth: Vec<f64> = published.scores.iter().filter_map(|score| score.or(missing)).collect();
        if worth.is_empty() {
            return Ok(Some(Estimate { value: f64::NAN, low: f64::NAN, high: f64::NAN }));
        }
        drawn(published.score, &worth).map(Some)
    }

    /// The score by the Cell Ontology; its interval is of cells drawn with replacement.
    pub(super) fn ontology(&self) -> Result<Option<Estimate>> {
        let Some(scores) = &self.ontology else { return Ok(None) };
        let worth: Vec<f64> = self.terms.iter().map(|(score, _)| *score).collect();
        drawn(scores.score, &worth).map(Some)
    }

    /// What each cell's published score says; none without a table of pairs.
    pub(super) fn published_tones(&self) -> Option<Vec<Tone>> {
        let of = |score: &Option<f64>| score.map_or(Tone::Open, tone);
        self.published.as_ref().map(|published| published.scores.iter().map(of).collect())
    }
}

/// A mean with the interval of cells drawn with replacement.
fn drawn(value: f64, worth: &[f64]) -> Result<Estimate> {
    let mean = |cells: &[usize]| cells.iter().map(|&cell| worth[cell]).sum::<f64>() / cells.len() as f64;
    let Interval { low, high, .. } = bootstrap(worth.len(), &BootstrapParams::default(), mean)?;
    Ok(Estimate { value, low, high })
}

/// What a score from 0 to 1 says.
fn tone(score: f64) -> Tone {
    match score {
        score if score >= 1.0 => Tone::Right,
        score if score > 0.0 => Tone::Partly,
        _ => Tone::Wrong,
    }
}

fn truth(result: &CellResult) -> &str {
    result.label.as_deref().unwrap_or_default()
}

fn folded(name: &str) -> String {
    name.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_published_rule_leaves_answers_out() {
        let mut pairs = PairScores::default();
        pairs.insert("T cell".to_owned(), "T".to_owned(), 0.5);
        pairs.insert("T cell".to_owned(), "T cell".to_owned(), 1.0);
        let one = |response: &str| CellResult {
            cell_name: response.to_owned(),
            response: response.to_owned(),
            label: Some("T cell".to_owned()),
        };
        let results = ["t  Cell", "T cell", "T", "platelet"].map(one);
        let rules = Rules { pairs: Some(pairs), ontology: None, rule: ScoreRule::default() };
        let scores = rules.score(&results, OnMissing::Drop).unwrap();
        assert_eq!(scores.named, [true, true, false, false]);
        assert_eq!(scores.accuracy().unwrap().value, 0.5);
        assert_eq!(
            scores.published_tones().unwrap(),
            [Tone::Open, Tone::Right, Tone::Partly, Tone::Open],
            "case counts in the table"
        );
        let estimate = scores.published(OnMissing::Drop).unwrap().unwrap();
        assert_eq!(estimate.value, 0.75);
        assert_eq!((estimate.low, estimate.high), (0.5, 1.0), "half of the draws are of one answer twice");
        let none = rules.score(&results[3..], OnMissing::Drop).unwrap();
        assert!(none.published(OnMissing::Drop).unwrap().unwrap().value.is_nan());
        let scores = rules.score(&results, OnMissing::Zero).unwrap();
        let estimate = scores.published(OnMissing::Zero).unwrap().unwrap();
        assert!(estimate.value == 0.375 && estimate.low < 0.375 && estimate.high <= 1.0);
    }
}
