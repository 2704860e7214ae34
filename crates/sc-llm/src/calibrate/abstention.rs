use sc_eval::statistics::distributions::beta_quantile;

use super::Error;

/// How an [`Abstention`] is fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AbstentionParams {
    /// Share of the answers that may be wrong; above 0 and below 1. Default 0.05.
    pub risk: f64,
    /// How often the promise may fail by the draw of the calibration cells; above 0 and below 1. `None`: the share that was
    /// seen is taken for the truth. Default 0.05.
    pub delta: Option<f64>,
}

impl Default for AbstentionParams {
    fn default() -> Self {
        Self { risk: 0.05, delta: Some(0.05) }
    }
}

/// The probability below which no answer is given.
///
/// With `delta`, the selection with guaranteed risk of Geifman and El-Yaniv (2017): the threshold is found by halving
/// over the probabilities that were seen, and a threshold does if the upper Clopper–Pearson bound of its errors, at `delta`
/// divided by the number of thresholds tried, is at most the risk. Without it, the lowest threshold with at most that
/// share of errors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Abstention {
    /// Answers at least so probable are given. Infinite: none is, for no threshold keeps the promise.
    pub threshold: f64,
    /// Share of the calibration cells that are answered.
    pub coverage: f64,
    /// Share of these that are wrong; 0 if there are none.
    pub risk: f64,
    /// What the share of wrong answers is at most, with confidence 1 - `delta`; without `delta`, that share.
    pub bound: f64,
}

impl Abstention {
    /// The lowest threshold found that keeps the promise.
    ///
    /// * `confidence`: the probability of the most probable label of each cell.
    /// * `is_right`: whether that is the cell's label.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Length`], [`Error::Probability`], [`Error::Param`].
    pub fn fit(confidence: &[f64], is_right: &[bool], params: &AbstentionParams) -> Result<Self, Error> {
        let n = confidence.len();
        if n == 0 {
            return Err(Error::Empty { what: "labelled cells" });
        }
        if is_right.len() != n {
            return Err(Error::Length {
                what: "answers that are right or not",
                found: is_right.len(),
                expected: n,
            });
        }
        if let Some((cell, &value)) =
            confidence.iter().enumerate().find(|(_, p)| !(0.0..=1.0 + 1e-6).contains(*p))
        {
            return Err(Error::Probability { cell, label: 0, value });
        }
        let inside = |field, found: f64| match found > 0.0 && found < 1.0 {
            true => Ok(()),
            false => Err(Error::Param { field, found, expected: "above 0 and below 1" }),
        };
        inside("risk", params.risk)?;
        params.delta.map_or(Ok(()), |delta| inside("delta", delta))?;

        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| confidence[b].total_cmp(&confidence[a]).then(a.cmp(&b)));
        // Cells of one confidence are answered together or not at all: the steps are where it changes.
        let (mut steps, mut wrong) = (Vec::new(), 0);
        for (place, &cell) in order.iter().enumerate() {
            wrong += usize::from(!is_right[cell]);
            if order.get(place + 1).is_none_or(|&next| confidence[next] < confidence[cell]) {
                steps.push(Step { threshold: confidence[cell], answered: place + 1, wrong });
            }
        }
        let best = match params.delta {
            None => {
                steps.iter().rev().find(|step| step.risk() <= params.risk).map(|step| (*step, step.risk()))
            }
            Some(delta) => halved(&steps, params.risk, delta),
        };
        Ok(match best {
            Some((step, bound)) => Self {
                threshold: step.threshold,
                coverage: step.answered as f64 / n as f64,
                risk: step.risk(),
                bound,
            },
            None => Self { threshold: f64::INFINITY, coverage: 0.0, risk: 0.0, bound: 0.0 },
        })
    }

    /// Whether an answer of this probability is given.
    pub fn answers(&self, confidence: f64) -> bool {
        confidence >= self.threshold
    }
}

#[derive(Clone, Copy)]
struct Step {
    threshold: f64,
    answered: usize,
    wrong: usize,
}

impl Step {
    fn risk(&self) -> f64 {
        self.wrong as f64 / self.answered as f64
    }

    /// The share of wrong answers that is exceeded with probability `delta` at most.
    fn bound(&self, delta: f64) -> f64 {
        match self.wrong == self.answered {
            true => 1.0,
            false => beta_quantile(1.0 - delta, self.wrong as f64 + 1.0, (self.answered - self.wrong) as f64),
        }
    }
}

/// The step with the most answers among those tried by halving that keep the promise.
fn halved(steps: &[Step], risk: f64, delta: f64) -> Option<(Step, f64)> {
    let tries = steps.len().next_power_of_two().ilog2() + 1;
    let delta = delta / f64::from(tries);
    let (mut low, mut high) = (0, steps.len());
    let mut best = None;
    while low < high {
        let middle = (low + high) / 2;
        let bound = steps[middle].bound(delta);
        if bound <= risk {
            best = Some((steps[middle], bound));
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cells in falling confidence: so many sure and right, then so many unsure and wrong.
    fn cells(right: usize, wrong: usize) -> (Vec<f64>, Vec<bool>) {
        let n = right + wrong;
        let confidence = (0..n).map(|i| 1.0 - i as f64 / n as f64).collect();
        (confidence, (0..n).map(|i| i < right).collect())
    }

    #[test]
    fn without_delta_the_share_that_was_seen_is_kept() {
        let (confidence, is_right) = cells(90, 10);
        let params = AbstentionParams { risk: 0.05, delta: None };
        let fitted = Abstention::fit(&confidence, &is_right, &params).expect("100 cells");
        // 4 wrong of 94 is below 5 %, 5 wrong of 95 above.
        assert_eq!((fitted.coverage, fitted.risk), (0.94, 4.0 / 94.0));
        assert!(fitted.answers(confidence[93]) && !fitted.answers(confidence[94]));
    }

    #[test]
    fn with_delta_fewer_are_answered() {
        let (confidence, is_right) = cells(900, 100);
        let guess = AbstentionParams { risk: 0.05, delta: None };
        let seen = Abstention::fit(&confidence, &is_right, &guess).expect("1,000 cells");
        let safe =
            Abstention::fit(&confidence, &is_right, &AbstentionParams::default()).expect("1,000 cells");
        assert!(safe.coverage < seen.coverage && safe.coverage > 0.5, "{safe:?} {seen:?}");
        assert!(safe.bound <= 0.05 && safe.risk < safe.bound);
    }

    #[test]
    fn few_cells_promise_nothing() {
        let (confidence, is_right) = cells(10, 0);
        let fitted = Abstention::fit(&confidence, &is_right, &AbstentionParams::default()).expect("10 cells");
        assert_eq!((fitted.threshold, fitted.coverage), (f64::INFINITY, 0.0));
        assert!(!fitted.answers(1.0));
    }

    #[test]
    fn cells_of_one_confidence_stand_together() {
        let params = AbstentionParams { risk: 0.4, delta: None };
        let fitted = Abstention::fit(&[0.9, 0.5, 0.5], &[true, true, false], &params).expect("3 cells");
        assert_eq!((fitted.threshold, fitted.coverage), (0.5, 1.0));
        let params = AbstentionParams { risk: 0.2, delta: None };
        let fitted = Abstention::fit(&[0.9, 0.5, 0.5], &[true, true, false], &params).expect("3 cells");
        assert_eq!(fitted.threshold, 0.9);
    }

    #[test]
    fn wrong_parameters_are_named() {
        let fit = |risk, delta| {
            Abstention::fit(&[0.5], &[true], &AbstentionParams { risk, delta }).unwrap_err().to_string()
        };
        assert_eq!(fit(0.0, None), "`risk` is 0, expected above 0 and below 1");
        assert_eq!(fit(0.1, Some(1.0)), "`delta` is 1, expected above 0 and below 1");
        let none = Abstention::fit(&[], &[], &AbstentionParams::default()).unwrap_err().to_string();
        assert_eq!(none, "there are no labelled cells");
    }
}
