//! The templates.

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// The cell type of a cluster, from its marker genes.
    Markers,
    /// The type of a cell, from the genes that it expresses, with values or without.
    Expression,
    /// The cluster of a cell, from its barcode: a control that must stay at chance.
    BarcodeCluster,
    /// As CellReasoner's models are asked: genes of a fixed order, no labels.
    CellReasoner {
        /// With a chain of thought before the answer.
        reasoning: bool,
    },
}

/// A text with a name and a version. A text never changes under its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Template {
    id: &'static str,
    text: &'static str,
    sha256: &'static str,
}

impl Template {
    /// Name and version, `markers@1`.
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// The text, with its placeholders.
    pub fn text(&self) -> &'static str {
        self.text
    }

    /// The SHA-256 of the text.
    pub fn sha256(&self) -> &'static str {
        self.sha256
    }

    /// A section without its heading.
    pub(super) fn section(&self, name: &str) -> &'static str {
        let sections = self.text.split("## ").filter_map(|section| section.split_once('\n'));
        sections
            .into_iter()
            .find(|(heading, _)| *heading == name)
            .map_or("", |(_, text)| text.trim_end_matches('\n'))
    }
}

macro_rules! template {
    ($id:literal, $sha256:literal) => {
        Template { id: $id, text: include_str!(concat!("templates/", $id, ".txt")), sha256: $sha256 }
    };
}

pub(super) const ALL: [Template; 5] = [
    template!("markers@1", "98626c397a0b9d0e69e7eb4aed071f6b1ffef49f153989424a09b729e983e5fb"),
    template!("expression@1", "31707dd2525c23eb2839b362fbde04fc09102693f01de28e191fcd3025106f8d"),
    template!("barcode-cluster@1", "1be1ed97a0c1969db617a28ab3aca1b86a74c03031f55aa49448f1908d441617"),
    template!("cellreasoner-direct@1", "45d0aac00678fd5a5673eeae5b9a4ee99e89dcacb11e691e807ca91db96f08f2"),
    template!("cellreasoner-reasoning@1", "d5f4edd3cff7556619fc4b5d86f486d4d9ede90e4dd6a0889bb340858c4833da"),
];

impl Task {
    /// The task's name, for a record.
    pub fn name(self) -> &'static str {
        match self {
            Self::Markers => "markers",
            Self::Expression => "expression",
            Self::BarcodeCluster => "barcode-cluster",
            Self::CellReasoner { .. } => "cellreasoner",
        }
    }

    pub(super) fn template(self) -> &'static Template {
        &ALL[match self {
            Self::Markers => 0,
            Self::Expression => 1,
            Self::BarcodeCluster => 2,
            Self::CellReasoner { reasoning: false } => 3,
            Self::CellReasoner { reasoning: true } => 4,
        }]
    }
}
