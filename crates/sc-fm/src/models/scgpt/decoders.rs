//! What scGPT predicts from its states: expression, and classes of cells.

use candle_core::{Result, Tensor};

use crate::checkpoint::Error;
use crate::models::parts::Parts;
use crate::nn::{Activation, LayerNorm, Linear};

/// PyTorch's slope where none is given.
const LEAKY: Activation = Activation::LeakyRelu { slope: 0.01 };

/// Predicted expression of the genes of packed cells.
#[derive(Clone, Debug)]
pub struct Expression {
    /// `rows`: a value for each token, in bins.
    pub values: Tensor,
    /// `rows`: the probability that a value is not zero, of models that tell it. The reference calls it `zero_probs`.
    pub nonzero_probabilities: Option<Tensor>,
}

/// Three linear layers down to one number for each row.
#[derive(Clone, Debug)]
struct ThreeLinear([Linear; 3]);

impl ThreeLinear {
    fn take(
        parts: &mut Parts<'_>,
        name: &str,
        inputs: usize,
        width: usize,
    ) -> std::result::Result<Self, Error> {
        Ok(Self([
            parts.linear(&format!("{name}.0"), width, inputs)?,
            parts.linear(&format!("{name}.2"), width, width)?,
            parts.linear(&format!("{name}.4"), 1, width)?,
        ]))
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let [first, second, third] = &self.0;
        third.forward(&second.forward(&first.forward(x, LEAKY)?, LEAKY)?, Activation::Identity)?.squeeze(1)
    }
}

/// Expression from the state of each gene.
#[derive(Clone, Debug)]
pub(super) struct ExpressionDecoder {
    values: ThreeLinear,
    nonzero: Option<ThreeLinear>,
}

impl ExpressionDecoder {
    /// `decoder.fc`, and `decoder.zero_logit` if it is there.
    pub(super) fn take(
        parts: &mut Parts<'_>,
        inputs: usize,
        width: usize,
    ) -> std::result::Result<Self, Error> {
        let has_zero = parts.any("decoder.zero_logit.");
        let mut part = |name| ThreeLinear::take(parts, name, inputs, width);
        let values = part("decoder.fc")?;
        Ok(Self { values, nonzero: has_zero.then(|| part("decoder.zero_logit")).transpose()? })
    }

    /// For `states`: `rows × inputs`.
    pub(super) fn forward(&self, states: &Tensor) -> Result<Expression> {
        let nonzero = self.nonzero.as_ref().map(|logits| sigmoid(&logits.forward(states)?));
        Ok(Expression { values: self.values.forward(states)?, nonzero_probabilities: nonzero.transpose()? })
    }
}

/// Expression from the embedding of the cell and that of the gene alone.
#[derive(Clone, Debug)]
pub(super) struct CellDecoder {
    gene_to_query: Linear,
    kind: CellDecoderKind,
}

#[derive(Clone, Debug)]
enum CellDecoderKind {
    /// `(W q) · c`, and its like for the probability of a value that is not zero.
    InnerProduct { values: Linear, nonzero: Option<Linear> },
    /// A network on `[c, q]`, or on `c + q`.
    Network { first: Linear, slope: Tensor, second: Linear, joined: bool },
}

impl CellDecoder {
    /// `mvc_decoder`, its kind by the tensors that are there.
    ///
    /// * `cell_width`: of what stands for the cell, its batch label included.
    pub(super) fn take(
        parts: &mut Parts<'_>,
        cell_width: usize,
        width: usize,
    ) -> std::result::Result<Self, Error> {
        let query = |parts: &mut Parts<'_>, outputs| parts.linear("mvc_decoder.gene2query", outputs, width);
        let Some(inner) = parts.weights.shape("mvc_decoder.fc1.weight").map(|shape| shape[0]) else {
            let gene_to_query = query(parts, width)?;
            let values = parts.take("mvc_decoder.W.weight", &[cell_width, width])?;
            let values = parts.linear_of(values, None);
            let nonzero = parts.weights.contains("mvc_decoder.W_zero_logit.weight");
            let nonzero = nonzero.then(|| parts.linear("mvc_decoder.W_zero_logit", cell_width, width));
            let kind = CellDecoderKind::InnerProduct { values, nonzero: nonzero.transpose()? };
            return Ok(Self { gene_to_query, kind });
        };
        // Side by side, the query has the inner width; added up, that of the cell.
        let joined = parts.weights.shape("mvc_decoder.fc1.weight") == Some(&[inner, cell_width + inner]);
        let gene_to_query = query(parts, if joined { inner } else { width })?;
        let inputs = if joined { cell_width + inner } else { cell_width };
        let kind = CellDecoderKind::Network {
            first: parts.linear("mvc_decoder.fc1", inner, inputs)?,
            slope: parts.take("mvc_decoder.hidden_activation.weight", &[1])?,
            second: parts.linear("mvc_decoder.fc2", 1, inner)?,
            joined,
        };
        Ok(Self { gene_to_query, kind })
    }

    /// * `cells`: `rows × cell width`, the row of its cell for each gene; `genes`: `rows × width`.
    pub(super) fn forward(&self, cells: &Tensor, genes: &Tensor) -> Result<Expression> {
        let queries = sigmoid(&self.gene_to_query.forward(genes, Activation::Identity)?)?;
        match &self.kind {
            CellDecoderKind::InnerProduct { values, nonzero } => {
                let product = |w: &Linear| (w.forward(&queries, Activation::Identity)? * cells)?.sum(1);
                let nonzero = nonzero.as_ref().map(|w| sigmoid(&product(w)?)).transpose()?;
                Ok(Expression { values: product(values)?, nonzero_probabilities: nonzero })
            }
            CellDecoderKind::Network { first, slope, second, joined } => {
                let input = if *joined { Tensor::cat(&[cells, &queries], 1)? } else { (cells + queries)? };
                let hidden = first.forward(&input, Activation::Identity)?;
                // PReLU: the slope below 0 is learned.
                let hidden = (hidden.relu()? - hidden.neg()?.relu()?.broadcast_mul(slope)?)?;
                let values = second.forward(&hidden, Activation::Identity)?.squeeze(1)?;
                Ok(Expression { values, nonzero_probabilities: None })
            }
        }
    }
}

/// Classes of cells: blocks of linear, function and norm, and a linear layer on top.
#[derive(Clone, Debug)]
pub(super) struct ClassDecoder {
    blocks: Vec<(Linear, LayerNorm)>,
    output: Linear,
    activation: Activation,
}

impl ClassDecoder {
    /// `{name}._decoder.{0, 2, 3, 5, …}` and `{name}.out_layer`; blocks and classes are as many as there are.
    pub(super) fn take(
        parts: &mut Parts<'_>,
        name: &str,
        width: usize,
        activation: Activation,
    ) -> std::result::Result<Self, Error> {
        let mut blocks = vec![];
        while parts.weights.contains(&format!("{name}._decoder.{}.weight", 3 * blocks.len())) {
            let at = 3 * blocks.len();
            let linear = parts.linear(&format!("{name}._decoder.{at}"), width, width)?;
            let norm = parts.layer_norm(&format!("{name}._decoder.{}", at + 2), width, 1e-5)?;
            blocks.push((linear, norm));
        }
        let output = format!("{name}.out_layer");
        let n_classes = parts.n_rows(&format!("{output}.weight"));
        let output = parts.linear(&output, n_classes, width)?;
        Ok(Self { blocks, output, activation })
    }

    /// For `x`: `cells × width`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = x.clone();
        for (linear, norm) in &self.blocks {
            x = norm.forward(&linear.forward(&x, self.activation)?)?;
        }
        self.output.forward(&x, Activation::Identity)
    }
}

impl ClassDecoder {
    /// The classifier of cell types.
    pub(super) fn classes(parts: &mut Parts<'_>, width: usize) -> std::result::Result<Self, Error> {
        Self::take(parts, "cls_decoder", width, Activation::Relu)
    }

    /// The discriminator of batches.
    pub(super) fn batches(parts: &mut Parts<'_>, width: usize) -> std::result::Result<Self, Error> {
        Self::take(parts, "grad_reverse_discriminator", width, LEAKY)
    }
}

/// `1 / (1 + e⁻ˣ)`.
fn sigmoid(x: &Tensor) -> Result<Tensor> {
    (x.neg()?.exp()? + 1.0)?.recip()
}
