//! The table that says what an answer is worth.

use std::collections::HashMap;
use std::path::Path;

use super::Error;
use crate::Result;

const TRUTH: &str = "Ground Truth";
const PREDICTION: &str = "Model Prediction";
const SCORE: &str = "Evaluation Score";

/// Scores of (truth, prediction) pairs, by their exact text.
///
/// The published table has 16,485 pairs worth 0, 0.25, 0.5 or 1. It holds the answers that the published models gave, so
/// that an answer of another model may not be in it, even if it is right.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PairScores {
    scores: HashMap<String, HashMap<String, f64>>,
    n_pairs: usize,
}

impl PairScores {
    /// Reads a table with the columns `Ground Truth`, `Model Prediction` and `Evaluation Score`, others passed over: a
    /// `.csv` or `.tsv` file, or, with the feature `xlsx`, the first sheet of an `.xlsx` workbook.
    ///
    /// # Errors
    /// Those of [`sc_io::delimited::read`] or of the workbook; [`Error::PairColumn`]; [`Error::PairScore`];
    /// [`Error::PairTwice`] for a pair with two scores.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let is_workbook = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("xlsx"));
        let rows = if is_workbook { workbook(path)? } else { sc_io::delimited::read_fields(path)? };
        Self::from_rows(path, rows.into_iter())
    }

    /// The first row names the columns.
    fn from_rows(path: &Path, mut rows: impl Iterator<Item = Vec<String>>) -> Result<Self> {
        let header = rows.next().unwrap_or_default();
        let place = |column: &'static str| {
            header.iter().position(|name| name.trim() == column).ok_or_else(|| Error::PairColumn {
                path: path.to_owned(),
                column,
                found: header.clone(),
            })
        };
        let (truth, prediction, score) = (place(TRUTH)?, place(PREDICTION)?, place(SCORE)?);
        let mut table = Self::default();
        for (at, mut row) in rows.enumerate() {
            let mut field = |place: usize| row.get_mut(place).map(std::mem::take).unwrap_or_default();
            let (truth, prediction, score) = (field(truth), field(prediction), field(score));
            if truth.is_empty() && prediction.is_empty() && score.is_empty() {
                continue;
            }
            let number = score.trim().parse().ok().filter(|x| (0.0..=1.0).contains(x));
            let Some(number) = number else {
                let path = path.to_owned();
                return Err(Error::PairScore { path, row: at + 1, found: score }.into());
            };
            if let Some(first) = table.score(&truth, &prediction).filter(|&first| first != number) {
                let path = path.to_owned();
                return Err(Error::PairTwice { path, truth, prediction, first, second: number }.into());
            }
            table.insert(truth, prediction, number);
        }
        Ok(table)
    }

    /// Adds a pair, or gives it another score.
    pub fn insert(&mut self, truth: String, prediction: String, score: f64) {
        let replaced = self.scores.entry(truth).or_default().insert(prediction, score);
        self.n_pairs += usize::from(replaced.is_none());
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.n_pairs
    }

    /// Whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.n_pairs == 0
    }

    /// The score of a pair, if the table has it: case and white space count.
    pub fn score(&self, truth: &str, prediction: &str) -> Option<f64> {
        self.scores.get(truth)?.get(prediction).copied()
    }
}

#[cfg(feature = "xlsx")]
fn workbook(path: &Path) -> Result<Vec<Vec<String>>> {
    use calamine::{Reader, Xlsx, open_workbook};
    let failed = |source| Error::Workbook { path: path.to_owned(), source };
    let mut workbook: Xlsx<_> = open_workbook(path).map_err(failed)?;
    let Some(sheet) = workbook.worksheet_range_at(0) else {
        return Err(Error::NoSheet { path: path.to_owned() }.into());
    };
    let sheet = sheet.map_err(failed)?;
    Ok(sheet.rows().map(|row| row.iter().map(ToString::to_string).collect()).collect())
}

#[cfg(not(feature = "xlsx"))]
fn workbook(path: &Path) -> Result<Vec<Vec<String>>> {
    Err(Error::XlsxOff { path: path.to_owned() }.into())
}
