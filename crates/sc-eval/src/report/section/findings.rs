//! What a check found.

use serde::Serialize;

use super::table::{Column, Table};

/// What a check found, the gravest first as the caller orders it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Findings {
    /// The findings.
    pub findings: Vec<Finding>,
}

/// One thing that a check found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// How grave it is.
    pub severity: Severity,
    /// What was found, in a sentence.
    pub text: String,
    /// The numbers behind it, by name, printed as they are.
    pub numbers: Vec<(String, String)>,
}

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Checked and in order.
    Passed,
    /// Worth knowing.
    Note,
    /// May change what the results mean.
    Warning,
    /// The results cannot be trusted.
    Error,
}

impl Severity {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Finding {
    /// A finding without numbers.
    pub fn new(severity: Severity, text: impl Into<String>) -> Self {
        Self { severity, text: text.into(), numbers: Vec::new() }
    }

    /// The same with one more number.
    pub fn number(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.numbers.push((name.into(), value.to_string()));
        self
    }
}

impl Findings {
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new(["severity", "finding", "numbers"].map(Column::text).into());
        for finding in &self.findings {
            let numbers = finding.numbers.iter().map(|(name, value)| format!("{name}: {value}"));
            let numbers = numbers.collect::<Vec<_>>().join("; ");
            table.row([finding.severity.name().into(), finding.text.as_str().into(), numbers.into()]);
        }
        table
    }
}
