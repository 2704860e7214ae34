//! Steps of a pipeline that say what they were fitted on.

use super::{Finding, Severity};
use crate::{Error, Result};

/// A fitted step, and the cells that it was fitted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// The cells, in any order.
    pub fitted_on: Vec<usize>,
}

impl Step {
    /// A step by its name and cells.
    pub fn new(name: impl Into<String>, fitted_on: impl Into<Vec<usize>>) -> Self {
        Self { name: name.into(), fitted_on: fitted_on.into() }
    }
}

/// Checks that no step was fitted on a test cell: one finding for each that was, or one that says that all is well.
///
/// It believes what the steps say. [`super::poison`] does not.
///
/// # Errors
/// [`Error::Empty`] without steps or without test cells.
pub fn declared_steps(steps: &[Step], test: &[usize]) -> Result<Vec<Finding>> {
    for (what, is_empty) in [("steps", steps.is_empty()), ("the test set", test.is_empty())] {
        if is_empty {
            return Err(Error::Empty { what });
        }
    }
    let mut sorted = test.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut findings = Vec::new();
    for step in steps {
        let mut seen: Vec<usize> =
            step.fitted_on.iter().copied().filter(|cell| sorted.binary_search(cell).is_ok()).collect();
        seen.sort_unstable();
        seen.dedup();
        if let Some(first) = seen.first() {
            let (n_seen, n_test) = (seen.len(), sorted.len());
            findings.push(Finding {
                test: TEST,
                severity: Severity::Leak,
                words: format!(
                    "{:?} was fitted on {n_seen} of the {n_test} test cells, the first being cell {first}; fit it on \
                     training cells only",
                    step.name
                ),
                numbers: vec![("test_cells_fitted_on", n_seen as f64), ("test_cells", n_test as f64)],
            });
        }
    }
    if findings.is_empty() {
        let names: Vec<String> = steps.iter().map(|step| format!("{:?}", step.name)).collect();
        findings.push(Finding {
            test: TEST,
            severity: Severity::Passed,
            words: format!("no test cell is among those that {} say they were fitted on", names.join(", ")),
            numbers: vec![("test_cells_fitted_on", 0.0), ("test_cells", sorted.len() as f64)],
        });
    }
    Ok(findings)
}

const TEST: &str = "declared steps";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offending_step_is_named_and_cells_count_once() {
        let steps = [
            Step::new("genes", vec![5, 1, 2, 5]),
            Step::new("model", vec![1, 2]),
            Step::new("scale", vec![0, 1, 2, 6, 5]),
        ];
        let found = declared_steps(&steps, &[6, 5, 5]).unwrap();
        let words: Vec<&str> = found.iter().map(|f| f.words.split(',').next().unwrap()).collect();
        let genes = "\"genes\" was fitted on 1 of the 2 test cells";
        let scale = "\"scale\" was fitted on 2 of the 2 test cells";
        assert_eq!(words, [genes, scale]);
        assert!(found.iter().all(|f| f.severity == Severity::Leak));
        assert_eq!(found[1].number("test_cells_fitted_on"), Some(2.0));
    }

    #[test]
    fn honest_steps_pass_and_no_steps_are_an_error() {
        let found = declared_steps(&[Step::new("model", [1, 2])], &[0]).unwrap();
        assert_eq!((found.len(), found[0].severity), (1, Severity::Passed));
        assert_eq!(declared_steps(&[], &[0]).unwrap_err().to_string(), "steps is empty");
        assert_eq!(
            declared_steps(&[Step::new("a", [])], &[]).unwrap_err().to_string(),
            "the test set is empty"
        );
    }
}
