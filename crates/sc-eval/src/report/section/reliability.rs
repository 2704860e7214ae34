//! How often a model is right when it says how sure it is.

use serde::Serialize;

use super::table::{Best, Cell, Column, Kind, Table};

/// Reliability diagrams, one a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Reliability {
    /// The models.
    pub models: Vec<ReliabilityCurve>,
}

/// How often one model is right, by how sure it says it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReliabilityCurve {
    /// The model.
    pub name: String,
    /// Its bins, from unsure to sure.
    pub bins: Vec<ReliabilityBin>,
    /// Expected calibration error: the mean of |accuracy - confidence| over the bins, weighted by their cells.
    pub ece: f64,
}

/// Answers of about the same confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ReliabilityBin {
    /// Lower end of the confidences.
    pub low: f64,
    /// Upper end of the confidences.
    pub high: f64,
    /// Number of cells; the other two numbers mean nothing where it is 0.
    pub n: usize,
    /// Mean confidence.
    pub confidence: f64,
    /// Share of right answers.
    pub accuracy: f64,
}

impl Reliability {
    /// A row a model and bin.
    pub(super) fn table(&self) -> Table {
        let columns = vec![
            Column::text("model"),
            Column::new("bin_low", Kind::Number(4)),
            Column::new("bin_high", Kind::Number(4)),
            Column::new("cells", Kind::Count),
            Column::new("confidence", Kind::Number(4)),
            Column::new("accuracy", Kind::Number(4)),
        ];
        let mut table = Table::new(columns);
        for model in &self.models {
            for bin in model.bins.iter().filter(|bin| bin.n > 0) {
                let numbers = [bin.low, bin.high, bin.n as f64, bin.confidence, bin.accuracy];
                let numbers = numbers.map(Cell::Value);
                table.row([model.name.as_str().into()].into_iter().chain(numbers).collect::<Vec<_>>());
            }
        }
        table
    }

    /// A row a model.
    pub(in crate::report) fn summary(&self) -> Table {
        let ece = Column::new("expected calibration error", Kind::Number(4)).best(Best::Lowest);
        let columns = vec![
            Column::text("model"),
            ece,
            Column::new("mean confidence", Kind::Percent(1)),
            Column::new("accuracy", Kind::Percent(1)),
            Column::new("confidence less accuracy", Kind::Number(3)),
        ];
        let mut table = Table::new(columns);
        for model in &self.models {
            let n: usize = model.bins.iter().map(|bin| bin.n).sum();
            let mean = |value: fn(&ReliabilityBin) -> f64| {
                let bins = model.bins.iter().filter(|bin| bin.n > 0);
                bins.map(|bin| value(bin) * bin.n as f64).sum::<f64>() / n as f64
            };
            let (confidence, accuracy) = (mean(|bin| bin.confidence), mean(|bin| bin.accuracy));
            let numbers = [model.ece, confidence, accuracy, confidence - accuracy].map(Cell::Value);
            table.row([model.name.as_str().into()].into_iter().chain(numbers).collect::<Vec<_>>());
        }
        table
    }
}
