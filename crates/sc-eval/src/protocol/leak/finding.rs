//! What the tests say, in words and numbers.

use std::fmt;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing was found.
    Passed,
    /// Something to know when reading the scores; or the test could not be done.
    Notice,
    /// Scores are too good: information of test cells reached the model.
    Leak,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Notice => "notice",
            Self::Leak => "leak",
        })
    }
}

/// The result of one test.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Name of the test.
    pub test: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What was found, as a sentence.
    pub words: String,
    /// The numbers behind it.
    pub numbers: Vec<(&'static str, f64)>,
}

impl Finding {
    /// The number called `name`, where the test gives one.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.numbers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.severity, self.test, self.words)
    }
}

/// The findings of several tests.
///
/// ```
/// use sc_eval::protocol::leak::{LeakReport, Step, declared_steps};
///
/// let mut report = LeakReport::default();
/// let steps = [Step::new("scale", [0, 1, 2, 3]), Step::new("logistic regression", [0, 1])];
/// report.findings.extend(declared_steps(&steps, &[2, 3])?);
/// assert!(!report.passed());
/// assert!(report.to_string().contains("\"scale\" was fitted on 2 of the 2 test cells"));
/// # Ok::<(), sc_eval::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LeakReport {
    /// What was found, in the order of the tests.
    pub findings: Vec<Finding>,
}

impl LeakReport {
    /// Whether no test found a leak.
    pub fn passed(&self) -> bool {
        self.worst() != Some(Severity::Leak)
    }

    /// The worst severity; `None` without findings.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }
}

impl From<Vec<Finding>> for LeakReport {
    fn from(findings: Vec<Finding>) -> Self {
        Self { findings }
    }
}

impl fmt::Display for LeakReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))
    }
}
