//! What the published protocol does that makes its figures say little.

use sc_eval::report::{Finding, Findings as FindingList, Severity};

use crate::foundation::published::Published;
use sc_examples::progress::thousands;

pub(super) const PUBLISHED: &str = "The published protocol as far as its text tells it, run because --force asked for it. Its figures cannot be \
                         compared with those of the corrected protocol.";

/// What the published protocol does that makes its figures say little.
pub(super) fn wrong(made: &Published, tuned: bool) -> FindingList {
    let finding = |severity, text: &str| Finding::new(severity, text);
    let labels = made.labels.classes().iter().zip(made.labels.counts());
    let labels: Vec<String> = labels.map(|(name, n)| format!("{name} {}", thousands(n))).collect();
    let mut findings = vec![
            finding(
                Severity::Error,
                "The labels are Leiden clusters of the expression, named by marker genes: a classifier of expression is asked \
                 to find again what was made of it, test cells included.",
            )
            .number("clusters", made.n_clusters)
            .number("cells", labels.join(", ")),
            finding(
                Severity::Error,
                "The tokenisers are given scaled values of the highly variable genes instead of counts. Geneformer ranks genes \
                 by their value: every gene is in every cell, and those below the mean come last instead of not at all.",
            )
            .number("genes", made.var.n_rows()),
            finding(
                Severity::Error,
                "Genes were chosen and scaled on all cells, test cells included, before they were divided.",
            ),
            finding(Severity::Warning, "One split with one seed; nothing says how much of a figure is luck."),
            finding(
                Severity::Warning,
                "No baseline stood beside the models in what was published; here some do, on the same labels and cells.",
            ),
        ];
    if tuned {
        findings.insert(
            3,
            finding(
                Severity::Error,
                "The epoch of a trained model is chosen on the test cells, by which it is then measured.",
            ),
        );
    }
    FindingList { findings }
}
