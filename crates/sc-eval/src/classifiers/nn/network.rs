//! Layers one after another: outputs, and one step of training.

use pulp::Arch;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Objective;
use super::kernel::{Backward, Base, Forward, ForwardSparse};
use super::layer::{LANES, Layer};
use super::update::{Inputs, Moments, Step, update};
use crate::classifiers::design::Design;
use crate::features::Lines;

/// Cells that one task works on.
const CELLS: usize = 16;

/// What follows a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Activation {
    /// Nothing.
    Identity,
    /// `max(0, z)`.
    Relu,
}

/// A fully connected network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Network {
    layers: Vec<Layer>,
    /// One per layer; the last one's is the identity.
    activations: Vec<Activation>,
}

/// The features as the first layer reads them.
pub(crate) struct Source {
    pub(crate) design: Design,
    background: Vec<f32>,
    /// The background is all zero.
    flat: bool,
}

impl Source {
    pub(crate) fn new(design: Design) -> Self {
        let background: Vec<f32> = design.background.iter().map(|&b| b as f32).collect();
        let flat = background.iter().all(|&b| b == 0.0);
        Self { design, background, flat }
    }

    /// All of them.
    pub(crate) fn rows(&self) -> Vec<u32> {
        (0..self.design.n_rows as u32).collect()
    }

    /// The deltas of `rows` by column, numbered by their position in `rows`.
    fn columns(&self, rows: &[u32], out: &mut Lines) {
        out.start.clear();
        out.start.resize(self.design.n_cols + 1, 0);
        for &row in rows {
            for &j in self.design.row(row as usize).0 {
                out.start[j as usize + 1] += 1;
            }
        }
        for j in 0..self.design.n_cols {
            out.start[j + 1] += out.start[j];
        }
        let n = out.start[self.design.n_cols];
        out.index.resize(n, 0);
        out.value.resize(n, 0.0);
        let mut next = out.start.clone();
        for (&row, position) in rows.iter().zip(0u32..) {
            let (js, ds) = self.design.row(row as usize);
            for (&j, &d) in js.iter().zip(ds) {
                let at = next[j as usize];
                (out.index[at], out.value[at]) = (position, d);
                next[j as usize] += 1;
            }
        }
    }
}

impl Network {
    /// * `layers`: each takes what the one before gives.
    pub(crate) fn new(layers: Vec<Layer>, activations: Vec<Activation>) -> Self {
        assert_eq!(layers.len(), activations.len(), "one activation per layer");
        assert!(layers.windows(2).all(|pair| pair[0].n_out() == pair[1].n_in()), "layers that fit");
        Self { layers, activations }
    }

    pub(crate) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    #[cfg(test)]
    pub(super) fn layers_mut(&mut self) -> &mut [Layer] {
        &mut self.layers
    }

    pub(crate) fn is_finite(&self) -> bool {
        self.layers.iter().all(Layer::is_finite)
    }

    /// What layer `last` gives for `rows`, rows × its outputs.
    pub(crate) fn outputs(&self, source: &Source, rows: &[u32], last: usize) -> Vec<f32> {
        let base = self.base(source);
        let n_out = self.layers[last].n_out();
        let mut out = vec![0f32; rows.len() * n_out];
        out.par_chunks_mut(CELLS * n_out).zip(rows.par_chunks(CELLS)).for_each(|(out, rows)| {
            let mut block: Vec<Vec<f32>> =
                self.layers[..=last].iter().map(|layer| vec![0.0; rows.len() * layer.width()]).collect();
            let mut parts: Vec<&mut [f32]> = block.iter_mut().map(Vec::as_mut_slice).collect();
            self.forward(source, &base, rows, &mut parts);
            let width = self.layers[last].width();
            for (out, row) in out.chunks_exact_mut(n_out).zip(block[last].chunks_exact(width)) {
                out.copy_from_slice(&row[..n_out]);
            }
        });
        out
    }

    /// What the first layer gives for the background alone.
    fn base(&self, source: &Source) -> Vec<f32> {
        let (arch, layer) = (Arch::new(), &self.layers[0]);
        let mut base = vec![0f32; layer.width()];
        base.par_chunks_mut(LANES).zip(layer.panels().par_chunks(layer.stride())).for_each(|(out, panel)| {
            if source.flat {
                out.copy_from_slice(&panel[panel.len() - LANES..]);
            } else {
                arch.dispatch(Base { panel, background: &source.background, out });
            }
        });
        base
    }

    /// Fills the outputs of the first `outputs.len()` layers for a block of rows.
    fn forward(&self, source: &Source, base: &[f32], rows: &[u32], outputs: &mut [&mut [f32]]) {
        let arch = Arch::new();
        for l in 0..outputs.len() {
            let layer = &self.layers[l];
            let relu = self.activations[l] == Activation::Relu;
            let (before, from) = outputs.split_at_mut(l);
            let out = &mut *from[0];
            match before.last() {
                None => arch.dispatch(ForwardSparse { layer, design: &source.design, base, rows, relu, out }),
                Some(x) => {
                    let in_width = self.layers[l - 1].width();
                    arch.dispatch(Forward { layer, x, in_width, relu, out });
                }
            }
        }
    }
}

/// A network in training.
pub(crate) struct Trainer<'a> {
    pub(crate) network: Network,
    source: &'a Source,
    objective: Objective<'a>,
    moments: Vec<Moments>,
    n_steps: usize,
    /// Outputs of each layer and the gradient by them, rows of a batch × width.
    outputs: Vec<Vec<f32>>,
    deltas: Vec<Vec<f32>>,
    columns: Lines,
}

impl<'a> Trainer<'a> {
    pub(crate) fn new(network: Network, source: &'a Source, objective: Objective<'a>) -> Self {
        let moments = network.layers.iter().map(Moments::new).collect();
        let buffers = || network.layers.iter().map(|_| Vec::new()).collect();
        let (outputs, deltas) = (buffers(), buffers());
        let columns = Lines { start: Vec::new(), index: Vec::new(), value: Vec::new() };
        Self { network, source, objective, moments, n_steps: 0, outputs, deltas, columns }
    }

    /// The sum of the weighted losses of `rows`; leaves the gradients by the outputs of all layers behind.
    pub(crate) fn evaluate(&mut self, rows: &[u32]) -> f64 {
        let Self { network, source, objective, outputs, deltas, .. } = self;
        let network = &*network;
        for (l, layer) in network.layers.iter().enumerate() {
            outputs[l].resize(rows.len() * layer.width(), 0.0);
            deltas[l].resize(rows.len() * layer.width(), 0.0);
        }
        let base = network.base(source);
        let (mut outputs, mut deltas) = (blocks(network, outputs), blocks(network, deltas));
        let losses: Vec<f64> = outputs
            .par_iter_mut()
            .zip(&mut deltas)
            .zip(rows.par_chunks(CELLS))
            .map(|((outputs, deltas), rows)| network.block(source, *objective, &base, rows, outputs, deltas))
            .collect();
        losses.iter().sum()
    }

    /// One step along the gradient of the mean loss of `rows` plus `alpha / 2 ‖w‖²` over the sum of their weights. Returns
    /// that objective as it was before the step.
    pub(crate) fn step(&mut self, rows: &[u32], learning_rate: f64, alpha: f64) -> f64 {
        let empty = Lines { start: Vec::new(), index: Vec::new(), value: Vec::new() };
        let mut columns = std::mem::replace(&mut self.columns, empty);
        let source = self.source;
        let (loss, ()) = rayon::join(|| self.evaluate(rows), || source.columns(rows, &mut columns));
        self.columns = columns;
        let weight: f64 = rows.iter().map(|&row| self.objective.weight(row as usize)).sum();
        self.n_steps += 1;
        let step = Step::new(self.n_steps, learning_rate, alpha, weight);
        let mut squares = 0.0;
        for l in 0..self.network.layers.len() {
            let inputs = match l.checked_sub(1) {
                None => Inputs::Sparse { columns: &self.columns, background: &source.background },
                Some(k) => Inputs::Dense { x: &self.outputs[k], width: self.network.layers[k].width() },
            };
            let layer = &mut self.network.layers[l];
            squares += update(layer, &mut self.moments[l], inputs, &self.deltas[l], step);
        }
        (loss + 0.5 * alpha * squares) / weight
    }

    /// The gradient of the sum of losses by the weights of layer `l`, laid out as the layer.
    #[cfg(test)]
    pub(super) fn gradient(&mut self, rows: &[u32], l: usize) -> Layer {
        self.evaluate(rows);
        let layer = &self.network.layers[l];
        let mut gradient = Layer::zeros(layer.n_in(), layer.n_out());
        let mut x = vec![0.0; self.source.design.n_cols];
        for (at, &row) in rows.iter().enumerate() {
            match l.checked_sub(1) {
                None => {
                    x.clone_from(&self.source.background);
                    let (js, ds) = self.source.design.row(row as usize);
                    js.iter().zip(ds).for_each(|(&j, &d)| x[j as usize] += d);
                }
                Some(k) => {
                    x = self.outputs[k][at * self.network.layers[k].width()..][..layer.n_in()].to_vec()
                }
            }
            for input in 0..=layer.n_in() {
                let x = if input == layer.n_in() { 1.0 } else { x[input] };
                for output in 0..layer.n_out() {
                    *gradient.at_mut(input, output) += x * self.deltas[l][at * layer.width() + output];
                }
            }
        }
        gradient
    }
}

/// The buffers of all layers, cut into blocks of [`CELLS`] rows: by block, then by layer.
fn blocks<'b>(network: &Network, buffers: &'b mut [Vec<f32>]) -> Vec<Vec<&'b mut [f32]>> {
    let mut blocks: Vec<Vec<&'b mut [f32]>> = Vec::new();
    for (buffer, layer) in buffers.iter_mut().zip(&network.layers) {
        for (at, part) in buffer.chunks_mut(CELLS * layer.width()).enumerate() {
            match blocks.get_mut(at) {
                Some(block) => block.push(part),
                None => blocks.push(vec![part]),
            }
        }
    }
    blocks
}

impl Network {
    /// Forward and backward for one block of rows; returns the sum of their losses.
    fn block(
        &self,
        source: &Source,
        objective: Objective<'_>,
        base: &[f32],
        rows: &[u32],
        outputs: &mut [&mut [f32]],
        deltas: &mut [&mut [f32]],
    ) -> f64 {
        let arch = Arch::new();
        self.forward(source, base, rows, outputs);
        let last = self.layers.len() - 1;
        let (width, n_out) = (self.layers[last].width(), self.layers[last].n_out());
        let mut loss = 0.0;
        deltas[last].copy_from_slice(outputs[last]);
        for (&row, delta) in rows.iter().zip(deltas[last].chunks_exact_mut(width)) {
            loss += objective.evaluate(row as usize, &mut delta[..n_out]);
        }
        for l in (1..=last).rev() {
            let (before, from) = deltas.split_at_mut(l);
            arch.dispatch(Backward {
                layer: &self.layers[l],
                delta: &*from[0],
                x: &*outputs[l - 1],
                out: &mut *before[l - 1],
                in_width: self.layers[l - 1].width(),
                relu: self.activations[l - 1] == Activation::Relu,
            });
        }
        loss
    }

    /// Proves what the other methods rely on, for a value that was read from a file.
    ///
    /// * `units`: values before, between and after the layers.
    pub(crate) fn check(&self, units: &[usize], activations: &[Activation]) -> Result<(), String> {
        if self.layers.len() + 1 != units.len() || self.activations != activations {
            return Err(format!("{} layers are not the {} expected", self.layers.len(), activations.len()));
        }
        self.layers
            .iter()
            .zip(units.windows(2))
            .try_for_each(|(layer, units)| layer.check(units[0], units[1]))
    }
}
