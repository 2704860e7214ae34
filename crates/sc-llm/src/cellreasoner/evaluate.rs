//! The score of a model: as published, and by the Cell Ontology with nothing left out.

use sc_eval::ontology::{Ontology, OntologyScores, ScoreRule, TermId};

use super::{CellResult, Error, PairScores};
use crate::Result;

/// What happens to answers that the table of pairs does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMissing {
    /// They are left out of the mean, as in the published scores.
    #[default]
    Drop,
    /// They count 0.
    Zero,
    /// They are an error.
    Error,
}

/// The mean of the table's scores.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishedScore {
    /// The mean over the cells that count; NaN if there are none.
    pub score: f64,
    /// Number of cells.
    pub n_cells: usize,
    /// Cells whose pair is not in the table.
    pub n_missing: usize,
    /// The score of each cell; `None` where its pair is not in the table.
    pub scores: Vec<Option<f64>>,
}

impl PublishedScore {
    /// Scores each answer against the true label: the whole answer where the table has it, as published, else the label in
    /// it.
    ///
    /// # Errors
    /// [`Error::NoResults`], [`Error::Unlabelled`]; [`Error::MissingPair`] if that is asked for.
    pub fn new(results: &[CellResult], pairs: &PairScores, on_missing: OnMissing) -> Result<Self> {
        let truth = truths(results)?;
        let one = |(result, truth): (&CellResult, &&str)| {
            pairs.score(truth, &result.response).or_else(|| pairs.score(truth, result.prediction()))
        };
        let scores: Vec<Option<f64>> = results.iter().zip(&truth).map(one).collect();
        let n_missing = scores.iter().filter(|score| score.is_none()).count();
        let n_cells = results.len();
        let counted = match on_missing {
            OnMissing::Drop => n_cells - n_missing,
            OnMissing::Zero => n_cells,
            OnMissing::Error => match scores.iter().position(Option::is_none) {
                None => n_cells,
                Some(at) => {
                    let (truth, prediction) = (truth[at].to_owned(), results[at].prediction().to_owned());
                    let (missing, total) = (n_missing, n_cells);
                    return Err(Error::MissingPair { missing, total, truth, prediction }.into());
                }
            },
        };
        let score = scores.iter().flatten().sum::<f64>() / counted as f64;
        Ok(Self { score, n_cells, n_missing, scores })
    }
}

/// Both scores of one set of results.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// As published.
    pub published: PublishedScore,
    /// By the Cell Ontology, over all cells.
    pub ontology: OntologyScores,
}

impl Evaluation {
    /// Scores results both ways.
    ///
    /// * `classes`: the broad classes, as [`Ontology::scores`] takes them.
    ///
    /// # Errors
    /// As [`PublishedScore::new`].
    pub fn new(
        results: &[CellResult],
        pairs: &PairScores,
        on_missing: OnMissing,
        ontology: &Ontology,
        classes: &[TermId],
        rule: &ScoreRule,
    ) -> Result<Self> {
        let published = PublishedScore::new(results, pairs, on_missing)?;
        Ok(Self { published, ontology: ontology_scores(results, ontology, classes, rule)? })
    }
}

fn ontology_scores(
    results: &[CellResult],
    ontology: &Ontology,
    classes: &[TermId],
    rule: &ScoreRule,
) -> Result<OntologyScores> {
    let truth = truths(results)?;
    let predicted: Vec<&str> = results.iter().map(CellResult::prediction).collect();
    Ok(ontology
        .scores(&predicted, &truth, classes, rule)
        .expect("there are results, each with one prediction and one truth"))
}

/// The true labels, of which none may be missing.
fn truths(results: &[CellResult]) -> Result<Vec<&str>> {
    if results.is_empty() {
        return Err(Error::NoResults.into());
    }
    let truth: Vec<&str> = results.iter().filter_map(|r| r.label.as_deref()).collect();
    match results.iter().find(|r| r.label.is_none()) {
        None => Ok(truth),
        Some(first) => {
            let (total, first) = (results.len(), first.cell_name.clone());
            Err(Error::Unlabelled { unlabelled: total - truth.len(), total, first }.into())
        }
    }
}
