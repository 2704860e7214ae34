//! A classifier to train on an scGPT, and the model in files.

use std::path::Path;

use candle_core::{DType, Device, Tensor};

use super::Scgpt;
use crate::Result;
use crate::checkpoint::{Weights, write_safetensors};
use crate::models::load;
use crate::models::normal::uniform_within;

/// Streams of random numbers of heads begin behind those of encoders.
const FIRST_STREAM: u64 = 1 << 32;

impl Scgpt {
    /// Puts a new classifier of cells (`cls_decoder`) in place of that which the weights have, as the reference begins
    /// with it: linear layers in PyTorch's way, weights and biases uniform within `±1/√inputs`, and norms that do
    /// nothing.
    ///
    /// * `width`: of the states; `n_layers`: linear layers, the last one included; 3 in the released models.
    ///
    /// # Errors
    /// [`Error::Config`](crate::models::Error::Config) without classes or layers.
    pub fn put_new_classifier(
        weights: &mut Weights,
        width: usize,
        n_classes: usize,
        n_layers: usize,
        seed: u64,
    ) -> Result<()> {
        load::check_sizes(&[("embsize", width), ("n_cls", n_classes), ("n_layers_cls", n_layers)])?;
        weights.remove_all(|name| name.strip_prefix("module.").unwrap_or(name).starts_with("cls_decoder."));
        let blocks = (0..n_layers - 1).map(|block| (format!("_decoder.{}", 3 * block), width));
        let all = blocks.chain([("out_layer".to_owned(), n_classes)]);
        for (stream, (name, outputs)) in (FIRST_STREAM..).zip(all) {
            let values = uniform_within(outputs * width + outputs, 1.0 / (width as f64).sqrt(), seed, stream);
            let (weight, bias) = values.split_at(outputs * width);
            let name = format!("cls_decoder.{name}");
            weights.insert(
                format!("{name}.weight"),
                Tensor::from_slice(weight, (outputs, width), &Device::Cpu)?,
            );
            weights.insert(format!("{name}.bias"), Tensor::from_slice(bias, outputs, &Device::Cpu)?);
        }
        for block in 0..n_layers - 1 {
            let name = format!("cls_decoder._decoder.{}", 3 * block + 2);
            weights.insert(format!("{name}.weight"), Tensor::ones(width, DType::F32, &Device::Cpu)?);
            weights.insert(format!("{name}.bias"), Tensor::zeros(width, DType::F32, &Device::Cpu)?);
        }
        Ok(())
    }

    /// The tensors that the model is made of, under the names of PyTorch's layers: to build another model of, or to
    /// train. Constants of f32 on the CPU, in the memory of this model where they are that already.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn weights(&self) -> Result<Weights> {
        Ok(Weights::new(self.source().constants()?))
    }

    /// Writes `args.json` and `model.safetensors` into a folder, which is made if it is not there: [`Scgpt::load`] reads
    /// them with the vocabulary.
    ///
    /// # Errors
    /// [`Error::Folder`](crate::models::Error::Folder); those of [`write_safetensors`]; with `overwrite` false a file that
    /// is there is an error.
    pub fn save(&self, folder: &Path, overwrite: bool) -> Result<()> {
        load::make_folder(folder)?;
        let tensors = self.source().constants()?;
        let named = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
        write_safetensors(folder.join("model.safetensors"), named, &[], overwrite)?;
        let args = serde_json::to_value(self.config()).unwrap_or_default();
        Ok(load::write_json(folder, "args.json", &args, overwrite)?)
    }
}
