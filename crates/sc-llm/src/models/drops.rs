//! What adapters drop of their input in training.

use candle_core::{Result, Tensor};
use sc_fm::nn::{Activation, Linear, Packing, Site, TrainingStep};

/// Places in a layer; each has draws of its own, as each adapter of `peft` has.
pub(crate) const QUERY: u32 = 0;
pub(crate) const KEY: u32 = 1;
pub(crate) const VALUE: u32 = 2;
pub(crate) const OUTPUT: u32 = 3;
pub(crate) const GATE: u32 = 4;
pub(crate) const FIRST: u32 = 5;
pub(crate) const SECOND: u32 = 6;
/// The first place of attention to a prompt.
pub(crate) const CROSS: u32 = 8;

const PLACES: u32 = 16;

/// Where the numbers of a decoder's layers begin that has an encoder.
pub(crate) const DECODER: usize = 1 << 20;

/// Places outside of layers.
pub(crate) const PROJECT_IN: u32 = u32::MAX;
pub(crate) const PROJECT_OUT: u32 = u32::MAX - 1;
pub(crate) const HEAD: u32 = u32::MAX - 2;

/// What is dropped of the rows of texts; nothing outside of training.
#[derive(Clone, Copy, Default)]
pub(crate) struct Drops<'a> {
    step: Option<(&'a TrainingStep, &'a Packing)>,
    /// The number of the layer's first place.
    first: u32,
}

impl<'a> Drops<'a> {
    /// * `packing`: which rows are of which text.
    pub(crate) fn new(step: Option<&'a TrainingStep>, packing: &'a Packing) -> Self {
        Self { step: step.map(|step| (step, packing)), first: 0 }
    }

    pub(crate) fn is_empty(self) -> bool {
        self.step.is_none()
    }

    /// Those of a layer.
    pub(crate) fn of_layer(self, layer: usize) -> Self {
        Self { first: layer as u32 * PLACES, ..self }
    }

    /// A place in a layer, or outside of all.
    pub(crate) fn at(self, place: u32) -> Option<Site<'a>> {
        let number = if place < PLACES { self.first + place } else { place };
        self.step.map(|(step, packing)| Site { step, packing, number })
    }

    /// A linear layer with its adapter, at a place.
    pub(crate) fn apply(self, place: u32, linear: &Linear, x: &Tensor) -> Result<Tensor> {
        linear.forward_with(x, Activation::Identity, self.at(place))
    }
}
