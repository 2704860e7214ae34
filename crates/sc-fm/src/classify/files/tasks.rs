//! A classifier for several tasks in a folder.

use std::path::Path;

use super::{Classifies, Description, create, merged, mismatch, save_model};
use crate::Result;
use crate::checkpoint::{Weights, write_safetensors};
use crate::classify::FineTunedTasks;
use crate::classify::body::Top;
use crate::classify::fine_tuned_tasks::TaskHead;
use crate::embed::{FoundationModel, OpenParams};
use crate::models::geneformer::MultiTask;
use crate::nn::gemm::Precision;

/// The tensors of the heads.
const HEADS: &str = "task_heads.safetensors";

/// The heads are in a file of their own: nothing stands on the model itself.
const NO_TOP: Top<'static> = Top::Cells(&[]);

impl FineTunedTasks {
    /// Writes the classifier into a folder, which is made if it is not there; [`FineTunedTasks::open`] reads it.
    ///
    /// The files are those of [`FineTuned::save`](crate::classify::FineTuned::save), and `task_heads.safetensors` with the tensors of the heads under the
    /// names of Geneformer's multi-task model. A whole model loads in Hugging Face's transformers as `BertModel`; for the
    /// heads it has no class.
    ///
    /// # Errors
    /// Files that cannot be written, or, with `overwrite` false, are there.
    pub fn save(&self, folder: impl AsRef<Path>, overwrite: bool) -> Result<()> {
        let folder = folder.as_ref();
        create(folder)?;
        let holds = save_model(&self.model, &self.training.method, folder, overwrite)?;
        let tensors = self.head.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
        write_safetensors(folder.join(HEADS), tensors, &[], overwrite)?;
        let described = Description {
            tasks: Some(self.tasks.clone()),
            ..Description::new(Classifies::Tasks, &self.model, holds, &self.training, &[], &self.input)?
        };
        described.write(folder, overwrite)
    }

    /// Reads what [`FineTunedTasks::save`] wrote; parameters and errors as of [`FineTuned::open`](crate::classify::FineTuned::open).
    ///
    /// # Errors
    /// As [`FineTuned::open`](crate::classify::FineTuned::open), and those of [`MultiTask::take`].
    pub fn open(
        folder: impl AsRef<Path>,
        base: Option<&FoundationModel>,
        params: &OpenParams,
    ) -> Result<Self> {
        let folder = folder.as_ref();
        let mut described = Description::read(folder, Classifies::Tasks)?;
        let tasks = described.tasks.take().unwrap_or_default();
        let model = described.open_body(folder, base, params, NO_TOP)?;
        let Some((network, _)) = model.as_geneformer() else {
            return Err(mismatch(folder, "the model", model.kind(), "Geneformer").into());
        };
        let head = open_heads(&folder.join(HEADS), network.source().precision)?;
        let shapes: Vec<&[usize]> = head
            .tensors
            .iter()
            .filter(|(name, _)| is_weight(name))
            .map(|(_, tensor)| tensor.dims())
            .collect();
        let width = network.config().hidden_size;
        let expected: Vec<[usize; 2]> = tasks.iter().map(|(_, classes)| [classes.len(), width]).collect();
        if shapes != expected {
            let (found, expected) = (format!("{shapes:?}"), format!("{expected:?}"));
            return Err(mismatch(folder, "the shape of the heads", found, expected).into());
        }
        let (training, input) = described.training(folder)?;
        Ok(Self { tasks, model, head, training, input })
    }

    /// The same classifier with its adapters added to the weights of the model, as [`FineTuned::merged`](crate::classify::FineTuned::merged).
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn merged(&self) -> Result<Self> {
        let model = merged(&self.model, &self.training.method, NO_TOP)?;
        Ok(Self { model, ..self.clone() })
    }
}

/// Whether it is the weight of a head, not of the pooling below.
fn is_weight(name: &str) -> bool {
    name.starts_with("classification_heads.") && name.ends_with(".weight")
}

fn open_heads(path: &Path, precision: Precision) -> Result<TaskHead> {
    let mut weights = Weights::open(path)?;
    let mut tensors: Vec<_> =
        weights.iter().map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect();
    // As the heads are numbered: 10 comes after 9.
    tensors.sort_by_key(|(name, _)| (name.len(), name.clone()));
    let network = MultiTask::take(&mut weights, precision)?;
    weights.finish()?;
    Ok(TaskHead { network, tensors })
}
