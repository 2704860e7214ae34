//! Which layer of a model is meant, and what it gave.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::nn::Packing;

/// A state of the hidden values on their way through a model.
///
/// Named by what it is: `emb_layer = -1` means the second to last state in one program for these models and the last
/// in another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// After the last layer.
    Last,
    /// After the layer before the last: Geneformer's `emb_layer = -1`, and its default.
    #[default]
    SecondToLast,
    /// After `k` layers; 0 is the output of the embedding.
    Index(usize),
}

impl Layer {
    /// The number of layers to go through.
    ///
    /// # Errors
    /// [`Error::Layer`] if the model has fewer.
    pub fn depth(self, n_layers: usize) -> Result<usize, Error> {
        let depth = match self {
            Self::Last => Some(n_layers),
            Self::SecondToLast => n_layers.checked_sub(1),
            Self::Index(depth) => Some(depth).filter(|&depth| depth <= n_layers),
        };
        depth.ok_or(Error::Layer { layer: self, n_layers })
    }
}

/// Hidden values of packed cells.
#[derive(Clone, Debug)]
pub struct Hidden {
    /// `rows × width`: a row for each token.
    pub states: Tensor,
    /// Which rows are which cell's.
    pub packing: Packing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_count_from_the_embedding() {
        assert_eq!(Layer::Last.depth(6).unwrap(), 6);
        assert_eq!(Layer::default().depth(6).unwrap(), 5);
        assert_eq!(Layer::Index(0).depth(6).unwrap(), 0);
        assert_eq!(Layer::Index(6).depth(6).unwrap(), 6);
        let error = Layer::Index(7).depth(6).unwrap_err();
        assert_eq!(error.to_string(), "the model has 6 layers, but layer Index(7) is asked for");
        assert!(Layer::SecondToLast.depth(0).is_err());
    }
}
