//! A classifier of genes in a folder.

use std::path::Path;

use super::{Classifies, Description, create, merged, mismatch, save_model};
use crate::Result;
use crate::classify::FineTunedGenes;
use crate::classify::body::Top;
use crate::embed::{FoundationModel, OpenParams};

impl FineTunedGenes {
    /// Writes the classifier into a folder, which is made if it is not there; [`FineTunedGenes::open`] reads it.
    ///
    /// The files are those of [`FineTuned::save`](crate::classify::FineTuned::save); a whole model loads in Hugging Face's transformers as
    /// `BertForTokenClassification`. `classifier.json` has the genes too.
    ///
    /// # Errors
    /// Files that cannot be written, or, with `overwrite` false, are there.
    pub fn save(&self, folder: impl AsRef<Path>, overwrite: bool) -> Result<()> {
        let folder = folder.as_ref();
        create(folder)?;
        let holds = save_model(&self.model, &self.training.method, folder, overwrite)?;
        let described = Description {
            genes: Some(self.genes.clone()),
            ..Description::new(
                Classifies::Genes,
                &self.model,
                holds,
                &self.training,
                &self.classes,
                &self.input,
            )?
        };
        described.write(folder, overwrite)
    }

    /// Reads what [`FineTunedGenes::save`] wrote; parameters and errors as of [`FineTuned::open`](crate::classify::FineTuned::open).
    ///
    /// # Errors
    /// As [`FineTuned::open`](crate::classify::FineTuned::open).
    pub fn open(
        folder: impl AsRef<Path>,
        base: Option<&FoundationModel>,
        params: &OpenParams,
    ) -> Result<Self> {
        let folder = folder.as_ref();
        let mut described = Description::read(folder, Classifies::Genes)?;
        let Some(genes) = described.genes.take() else {
            return Err(mismatch(folder, "the genes", "none", "those that were trained on").into());
        };
        let model = described.open_model(folder, base, params, Top::Genes(&described.classes))?;
        let (training, input) = described.training(folder)?;
        Ok(Self { classes: described.classes, genes, model, training, input })
    }

    /// The same classifier with its adapters added to the weights of the model, as [`FineTuned::merged`](crate::classify::FineTuned::merged).
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn merged(&self) -> Result<Self> {
        let model = merged(&self.model, &self.training.method, Top::Genes(&self.classes))?;
        Ok(Self { model, ..self.clone() })
    }
}
