//! The one decoder that GPT-Neo, OPT, Phi and Qwen2 are settings of.

use candle_core::{DType, Result, Tensor};
use sc_fm::nn::{
    Activation, CacheRows, CausalAttention, KvCache, LayerNorm, Linear, Packing, RmsNorm, Rotary,
    TrainingStep, Turns, cached_attention, causal_attention, embedding, feed_forward, sum,
};

use super::drops::{Drops, FIRST, GATE, KEY, OUTPUT, PROJECT_IN, PROJECT_OUT, QUERY, SECOND, VALUE};

/// A norm of either kind.
#[derive(Clone, Debug)]
pub(crate) enum Norm {
    Layer(LayerNorm),
    Rms(RmsNorm),
}

impl Norm {
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Layer(norm) => norm.forward(x),
            Self::Rms(norm) => norm.forward(x),
        }
    }
}

/// Where the parts of a block stand to one another.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// `h += attention(norm(h))`, then `h += feed_forward(norm(h))`.
    Pre { attention: Norm, feed_forward: Norm },
    /// `h = norm(h + attention(h))`, then `h = norm(h + feed_forward(h))`.
    Post { attention: LayerNorm, feed_forward: LayerNorm },
    /// `h += attention(norm(h)) + feed_forward(norm(h))` with one norm.
    Parallel { norm: Norm },
}

/// What follows attention.
#[derive(Clone, Debug)]
pub(crate) enum FeedForward {
    /// `second(activation(first(x)))`.
    Plain { first: Linear, second: Linear, activation: Activation },
    /// `second(activation(gate(x)) ∘ first(x))`.
    Gated { gate: Linear, first: Linear, second: Linear, activation: Activation },
}

impl FeedForward {
    /// * `drops`: of the layer.
    pub(crate) fn forward(&self, x: &Tensor, drops: Drops<'_>) -> Result<Tensor> {
        let (gate, first, second, activation) = match self {
            Self::Plain { first, second, activation } => (None, first, second, *activation),
            Self::Gated { gate, first, second, activation } => (Some(gate), first, second, *activation),
        };
        if drops.is_empty() {
            return feed_forward(x, gate, (first, second), activation);
        }
        let inner = match gate {
            Some(gate) => {
                let gate = gate.forward_with(x, activation, drops.at(GATE))?;
                (gate * drops.apply(FIRST, first, x)?)?
            }
            None => first.forward_with(x, activation, drops.at(FIRST))?,
        };
        drops.apply(SECOND, second, &inner)
    }
}

/// The linear layers of an attention.
#[derive(Clone, Debug)]
pub(crate) struct Projections {
    pub(crate) query: Linear,
    pub(crate) key: Linear,
    pub(crate) value: Linear,
    pub(crate) output: Linear,
}

/// One layer.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) order: Order,
    pub(crate) projections: Projections,
    pub(crate) attention: CausalAttention,
    /// Norms of each head of queries and of keys.
    pub(crate) head_norms: Option<[LayerNorm; 2]>,
    pub(crate) feed_forward: FeedForward,
}

/// How a token knows its place.
#[derive(Clone, Debug)]
pub(crate) enum Positions {
    /// Row `position + offset` of a table is added to the embedding.
    Learned { table: Tensor, offset: u32 },
    /// Queries and keys turn.
    Rotary(Rotary),
}

/// The embedding of tokens.
#[derive(Clone, Debug)]
pub(crate) enum Table {
    /// As a tensor.
    Own(Tensor),
    /// As a weight that is packed for products, and perhaps that of the head.
    Packed(Linear),
}

impl Table {
    /// Its rows in f32.
    pub(crate) fn rows(&self, ids: &[u32]) -> Result<Tensor> {
        match self {
            Self::Own(table) => looked_up(table, ids),
            Self::Packed(weight) => weight.weight_rows(ids),
        }
    }
}

/// A decoder of text.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    pub(crate) embedding: Table,
    pub(crate) project_in: Option<Linear>,
    pub(crate) positions: Positions,
    pub(crate) blocks: Vec<Block>,
    pub(crate) final_norm: Option<Norm>,
    pub(crate) project_out: Option<Linear>,
    pub(crate) head: Linear,
    /// Columns of a head.
    pub(crate) head_size: usize,
}

/// The rows that go through the layers, and the texts that they belong to.
pub(crate) enum Rows<'a, 'c> {
    /// Whole texts; differentiable. In training with what their adapters drop.
    Whole(&'a Packing, Option<&'a TrainingStep>),
    /// The latest rows of texts.
    Latest(&'a mut [CacheRows<'c>]),
}

impl<'a> Rows<'a, '_> {
    /// What adapters drop.
    fn drops(&self) -> Drops<'a> {
        match self {
            Self::Whole(packing, step) => Drops::new(*step, packing),
            Self::Latest(_) => Drops::default(),
        }
    }

    fn positions(&self) -> Vec<u32> {
        match self {
            Self::Whole(packing, _) => packing.iter().flat_map(|rows| 0..rows.len() as u32).collect(),
            Self::Latest(items) => {
                items.iter().flat_map(|item| item.positions()).map(|position| position as u32).collect()
            }
        }
    }

    fn attention(
        &mut self,
        layer: usize,
        (q, k, v): (&Tensor, &Tensor, &Tensor),
        params: CausalAttention,
    ) -> Result<Tensor> {
        match self {
            Self::Whole(packing, _) => causal_attention(q, k, v, packing, params),
            Self::Latest(items) => cached_attention((q, k, v), layer, items, params, None),
        }
    }
}

impl Decoder {
    /// A cache for one text.
    pub(crate) fn cache(&self) -> KvCache {
        let n_kv_heads = self.blocks.first().map_or(1, |block| block.attention.n_kv_heads);
        let windows = self.blocks.iter().map(|block| block.attention.window);
        KvCache::new(self.blocks.len(), n_kv_heads * self.head_size).with_windows(windows)
    }

    /// The states of tokens after the last norm, `rows × width`: what the head looks at.
    ///
    /// * `inspect`: called with the number of each block and its result.
    pub(crate) fn forward(
        &self,
        ids: &[u32],
        mut rows: Rows<'_, '_>,
        inspect: &mut dyn FnMut(usize, &Tensor),
    ) -> Result<Tensor> {
        let (positions, drops) = (rows.positions(), rows.drops());
        let mut h = self.embedding.rows(ids)?;
        if let Some(project) = &self.project_in {
            h = drops.apply(PROJECT_IN, project, &h)?;
        }
        let mut turns = None;
        match &self.positions {
            Positions::Learned { table, offset } => {
                let places: Vec<u32> = positions.iter().map(|position| position + offset).collect();
                h = (h + looked_up(table, &places)?)?;
            }
            Positions::Rotary(rotary) => turns = Some(rotary.turns(&positions)),
        }
        for (layer, block) in self.blocks.iter().enumerate() {
            h = block.forward(h, layer, self.head_size, turns.as_ref(), &mut rows)?;
            inspect(layer, &h);
        }
        if let Some(norm) = &self.final_norm {
            h = norm.forward(&h)?;
        }
        match &self.project_out {
            Some(project) => drops.apply(PROJECT_OUT, project, &h),
            None => Ok(h),
        }
    }
}

/// Rows of a table in f32, whatever it is stored in.
pub(crate) fn looked_up(table: &Tensor, ids: &[u32]) -> Result<Tensor> {
    embedding(table, ids)?.to_dtype(DType::F32)
}

impl Block {
    fn forward(
        &self,
        h: Tensor,
        layer: usize,
        head_size: usize,
        turns: Option<&Turns>,
        rows: &mut Rows<'_, '_>,
    ) -> Result<Tensor> {
        let drops = rows.drops().of_layer(layer);
        let mut attend = |x: &Tensor| self.attention(x, layer, head_size, turns, rows);
        match &self.order {
            Order::Pre { attention, feed_forward } => {
                let h = sum(&h, &attend(&attention.forward(&h)?)?)?;
                sum(&h, &self.feed_forward.forward(&feed_forward.forward(&h)?, drops)?)
            }
            Order::Post { attention, feed_forward } => {
                let h = attention.forward_residual(&attend(&h)?, &h)?;
                feed_forward.forward_residual(&self.feed_forward.forward(&h, drops)?, &h)
            }
            Order::Parallel { norm } => {
                let x = norm.forward(&h)?;
                sum(&sum(&attend(&x)?, &self.feed_forward.forward(&x, drops)?)?, &h)
            }
        }
    }

    fn attention(
        &self,
        x: &Tensor,
        layer: usize,
        head_size: usize,
        turns: Option<&Turns>,
        rows: &mut Rows<'_, '_>,
    ) -> Result<Tensor> {
        let Projections { query, key, value, output } = &self.projections;
        let drops = rows.drops().of_layer(layer);
        let [mut q, mut k, v] =
            [(QUERY, query), (KEY, key), (VALUE, value)].map(|(place, linear)| drops.apply(place, linear, x));
        if let Some([query, key]) = &self.head_norms {
            let by_head = |x: Tensor, norm: &LayerNorm| {
                let heads = x.reshape((x.elem_count() / head_size, head_size))?;
                norm.forward(&heads)?.reshape(x.shape())
            };
            (q, k) = (by_head(q?, query), by_head(k?, key));
        }
        let (mut q, mut k) = (q?, k?);
        if let Some(turns) = turns {
            (q, k) = (turns.apply(&q, head_size)?, turns.apply(&k, head_size)?);
        }
        let mixed = rows.attention(layer, (&q, &k, &v?), self.attention)?;
        drops.apply(OUTPUT, output, &mixed)
    }
}
