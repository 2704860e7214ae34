//! The layers of an encoder or a decoder.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{Result, Tensor};
use sc_fm::compute::Compute;
use sc_fm::nn::{
    Activation, CacheRows, CausalAttention, Group, Linear, Packing, Query, RmsNorm, Run, TrainingStep,
    attend, cached_attention,
};

use super::relative::Bias;
use super::whole::{Biases, Keys, whole_attention};
use crate::models::decoder::{FeedForward, Projections};
use crate::models::drops::{CROSS, DECODER, Drops, KEY, OUTPUT, QUERY, VALUE};

/// One layer.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) norm: RmsNorm,
    pub(super) attention: Projections,
    /// Attention to the prompt, in a decoder.
    pub(super) cross: Option<(RmsNorm, Projections)>,
    pub(super) feed_forward_norm: RmsNorm,
    pub(super) feed_forward: FeedForward,
}

/// All layers of one side.
#[derive(Clone, Debug)]
pub(super) struct Stack {
    pub(super) layers: Vec<Layer>,
    pub(super) final_norm: RmsNorm,
    pub(super) relative: Bias,
    pub(super) n_heads: usize,
    pub(super) head_size: usize,
    pub(super) compute: Compute,
}

/// Keys and values of a prompt, for each layer of the decoder: rows of all heads.
#[derive(Debug)]
pub(in crate::models) struct Cross {
    layers: Vec<Looked>,
    n_rows: usize,
}

/// Keys and values of a layer.
#[derive(Debug)]
enum Looked {
    /// For the kernels of the processor.
    Values([Vec<f32>; 2]),
    /// Where these do not compute.
    Tensors([Tensor; 2]),
}

fn apply(linear: &Linear, x: &Tensor) -> Result<Tensor> {
    linear.forward(x, Activation::Identity)
}

/// Queries, keys and values of the same rows.
fn project(projections: &Projections, x: &Tensor, drops: Drops<'_>) -> Result<(Tensor, Tensor, Tensor)> {
    let Projections { query, key, value, .. } = projections;
    Ok((drops.apply(QUERY, query, x)?, drops.apply(KEY, key, x)?, drops.apply(VALUE, value, x)?))
}

impl Stack {
    fn params(&self) -> CausalAttention {
        CausalAttention { n_heads: self.n_heads, n_kv_heads: self.n_heads, scale: Some(1.0), window: None }
    }

    /// The states of prompts, each token of which sees its whole prompt.
    pub(super) fn encode(
        &self,
        mut h: Tensor,
        packing: &Packing,
        step: Option<&TrainingStep>,
        inspect: &mut dyn FnMut(usize, &Tensor),
    ) -> Result<Tensor> {
        let biases = self.biases(packing)?;
        for (i, layer) in self.layers.iter().enumerate() {
            let x = layer.norm.forward(&h)?;
            let drops = Drops::new(step, packing).of_layer(i);
            let (q, k, v) = project(&layer.attention, &x, drops)?;
            let mixed = match biases.is_some() || q.track_op() || k.track_op() || v.track_op() {
                true => {
                    let keys = Keys { packing, bias: Some(self.bias(&biases)), is_causal: false };
                    whole_attention(&q, &k, &v, self.n_heads, packing, keys)?
                }
                false => {
                    let (k, v) = (numbers(&k)?, numbers(&v)?);
                    let groups: Vec<Group<'_>> =
                        packing.iter().map(|rows| self.all_see_all(rows, &k, &v)).collect();
                    attend(&q, &groups, self.params(), Some(self.relative.relative()))?
                }
            };
            h = (h + drops.apply(OUTPUT, &layer.attention.output, &mixed)?)?;
            h = layer.feed(h, drops)?;
            inspect(i, &h);
        }
        let h = self.final_norm.forward(&h)?;
        inspect(self.layers.len(), &h);
        Ok(h)
    }

    /// The bias of each text, where no gradient goes through it and the kernels do not compute: the same for all layers.
    fn biases(&self, packing: &Packing) -> Result<Option<Vec<Tensor>>> {
        match self.compute {
            Compute::Cpu => Ok(None),
            _ => packing.iter().map(|rows| self.relative.matrix(rows.len())).collect::<Result<_>>().map(Some),
        }
    }

    fn bias<'a>(&'a self, ready: &'a Option<Vec<Tensor>>) -> Biases<'a> {
        match ready {
            Some(ready) => Biases::Ready(ready),
            None => Biases::Of(&self.relative),
        }
    }

    fn all_see_all<'a>(&self, rows: Range<usize>, keys: &'a [f32], values: &'a [f32]) -> Group<'a> {
        let width = self.n_heads * self.head_size;
        let at = rows.start * width..rows.end * width;
        let query = |row| Query { row, seen: rows.len(), own: Vec::new(), position: row - rows.start };
        Group {
            shared: vec![Run { keys: &keys[at.clone()], values: &values[at], gone: 0 }],
            queries: rows.clone().map(query).collect(),
        }
    }

    /// What the layers look up of encoded prompts.
    pub(super) fn cross(&self, encoded: &Tensor, packing: &Packing) -> Result<Vec<Arc<Cross>>> {
        let width = self.n_heads * self.head_size;
        let mut crosses: Vec<Cross> =
            packing.iter().map(|rows| Cross { layers: Vec::new(), n_rows: rows.len() }).collect();
        for (_, projections) in self.layers.iter().filter_map(|layer| layer.cross.as_ref()) {
            let (keys, values) = (apply(&projections.key, encoded)?, apply(&projections.value, encoded)?);
            if self.compute != Compute::Cpu {
                for (cross, rows) in crosses.iter_mut().zip(packing.iter()) {
                    let of_text = |x: &Tensor| x.narrow(0, rows.start, rows.len());
                    cross.layers.push(Looked::Tensors([of_text(&keys)?, of_text(&values)?]));
                }
                continue;
            }
            let (keys, values) = (numbers(&keys)?, numbers(&values)?);
            for (cross, rows) in crosses.iter_mut().zip(packing.iter()) {
                let at = rows.start * width..rows.end * width;
                cross.layers.push(Looked::Values([keys[at.clone()].to_vec(), values[at].to_vec()]));
            }
        }
        Ok(crosses.into_iter().map(Arc::new).collect())
    }

    /// The latest rows of answers through all layers.
    pub(super) fn step(
        &self,
        mut h: Tensor,
        items: &mut [CacheRows<'_>],
        crosses: &[Arc<Cross>],
    ) -> Result<Tensor> {
        let ends = items.iter().scan(0, |end, item| {
            *end += item.n_rows();
            Some(*end - item.n_rows()..*end)
        });
        let of_items: Vec<Range<usize>> = ends.collect();
        for (i, layer) in self.layers.iter().enumerate() {
            let x = layer.norm.forward(&h)?;
            let Projections { query, key, value, output } = &layer.attention;
            let (q, k, v) = (apply(query, &x)?, apply(key, &x)?, apply(value, &x)?);
            let relative = Some(self.relative.relative());
            let mixed = cached_attention((&q, &k, &v), i, items, self.params(), relative)?;
            h = (h + apply(output, &mixed)?)?;
            if let Some((norm, Projections { query, output, .. })) = &layer.cross {
                let q = apply(query, &norm.forward(&h)?)?;
                let mixed = self.look_up(&q, i, crosses, &of_items)?;
                h = (h + apply(output, &mixed)?)?;
            }
            h = layer.feed(h, Drops::default())?;
        }
        self.final_norm.forward(&h)
    }

    /// The attention of rows of answers to their prompts in a layer.
    fn look_up(
        &self,
        q: &Tensor,
        layer: usize,
        crosses: &[Arc<Cross>],
        of_items: &[Range<usize>],
    ) -> Result<Tensor> {
        // Rows that answer the same prompt look it up together.
        let mut groups: Vec<(&Arc<Cross>, Group<'_>)> = Vec::new();
        let mut elsewhere = Vec::new();
        for (cross, rows) in crosses.iter().zip(of_items) {
            let [keys, values] = match &cross.layers[layer] {
                Looked::Values(pair) => pair,
                Looked::Tensors([k, v]) => {
                    let (queries, keys) = (Packing::new([rows.len()]), Packing::new([cross.n_rows]));
                    let keys = Keys { packing: &keys, bias: None, is_causal: false };
                    let q = q.narrow(0, rows.start, rows.len())?;
                    elsewhere.push(whole_attention(&q, k, v, self.n_heads, &queries, keys)?);
                    continue;
                }
            };
            let query = |row| Query { row, seen: cross.n_rows, own: Vec::new(), position: 0 };
            let queries = rows.clone().map(query);
            match groups.iter_mut().find(|(other, _)| Arc::ptr_eq(other, cross)) {
                Some((_, group)) => group.queries.extend(queries),
                None => {
                    let shared = vec![Run { keys, values, gone: 0 }];
                    groups.push((cross, Group { shared, queries: queries.collect() }));
                }
            }
        }
        if !elsewhere.is_empty() {
            return Tensor::cat(&elsewhere, 0);
        }
        let groups: Vec<Group<'_>> = groups.into_iter().map(|(_, group)| group).collect();
        attend(q, &groups, self.params(), None)
    }

    /// Whole answers through all layers; differentiable.
    pub(super) fn decode_whole(
        &self,
        mut h: Tensor,
        packing: &Packing,
        encoded: &Tensor,
        prompts: &Packing,
        step: Option<&TrainingStep>,
        inspect: &mut dyn FnMut(usize, &Tensor),
    ) -> Result<Tensor> {
        let biases = self.biases(packing)?;
        for (i, layer) in self.layers.iter().enumerate() {
            let x = layer.norm.forward(&h)?;
            let drops = Drops::new(step, packing).of_layer(DECODER + i);
            let keys = Keys { packing, bias: Some(self.bias(&biases)), is_causal: true };
            let (q, k, v) = project(&layer.attention, &x, drops)?;
            let mixed = whole_attention(&q, &k, &v, self.n_heads, packing, keys)?;
            h = (h + drops.apply(OUTPUT, &layer.attention.output, &mixed)?)?;
            if let Some((norm, Projections { query, key, value, output })) = &layer.cross {
                let keys = Keys { packing: prompts, bias: None, is_causal: false };
                let looked_up = Drops::new(step, prompts).of_layer(DECODER + i);
                let q = drops.apply(CROSS + QUERY, query, &norm.forward(&h)?)?;
                let k = looked_up.apply(CROSS + KEY, key, encoded)?;
                let v = looked_up.apply(CROSS + VALUE, value, encoded)?;
                let mixed = whole_attention(&q, &k, &v, self.n_heads, packing, keys)?;
                h = (h + drops.apply(CROSS + OUTPUT, output, &mixed)?)?;
            }
            h = layer.feed(h, drops)?;
            inspect(i, &h);
        }
        let h = self.final_norm.forward(&h)?;
        inspect(self.layers.len(), &h);
        Ok(h)
    }
}

impl Layer {
    fn feed(&self, h: Tensor, drops: Drops<'_>) -> Result<Tensor> {
        let x = self.feed_forward_norm.forward(&h)?;
        h + self.feed_forward.forward(&x, drops)?
    }
}

fn numbers(x: &Tensor) -> Result<Vec<f32>> {
    x.flatten_all()?.to_vec1()
}
