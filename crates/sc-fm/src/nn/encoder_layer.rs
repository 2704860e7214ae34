//! One layer of a transformer encoder: attention, then a feed-forward part, each with a residual and a norm.

mod dense;
mod fused;
mod parameters;

use candle_core::{Result, Tensor};

use super::{
    Activation, AttentionParams, Dropout, FeedForward, LayerNorm, Linear, Packing, Site, TrainingStep,
    attention, attention_weights, attention_with_dropout,
};

/// Where the norms of a layer stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormOrder {
    /// After each part, on the sum with the residual: BERT, and PyTorch's `norm_first=False`.
    Post,
    /// Before each part; the residual goes round the norm: PyTorch's `norm_first=True`.
    Pre,
    /// Before each part; the normed value is the residual too: what scGPT's flash-attention layer does when
    /// `pre_norm` is set.
    PreReplacing,
}

/// The linear layers that make queries, keys and values.
#[derive(Clone, Debug)]
pub enum Projection {
    /// Three layers, as in BERT.
    Split {
        /// To the queries.
        query: Linear,
        /// To the keys.
        key: Linear,
        /// To the values.
        value: Linear,
    },
    /// One layer to `3 × width` columns: queries, keys, values. `in_proj` of PyTorch, `Wqkv` of flash-attention.
    Fused(Linear),
}

/// Attention and feed-forward with their norms. Rows of different cells never meet.
#[derive(Clone, Debug)]
pub struct EncoderLayer {
    /// To queries, keys and values.
    pub projection: Projection,
    /// From the joined heads back to the width.
    pub output: Linear,
    /// The norm that belongs to the attention.
    pub attention_norm: LayerNorm,
    /// The feed-forward part.
    pub feed_forward: FeedForward,
    /// The norm that belongs to the feed-forward part.
    pub feed_forward_norm: LayerNorm,
    /// Where the norms stand.
    pub order: NormOrder,
    /// Heads of the attention.
    pub attention: AttentionParams,
}

/// Dropout inside an encoder layer, in training.
#[derive(Clone, Copy, Debug)]
pub struct LayerDropout<'a> {
    /// The step of training.
    pub step: &'a TrainingStep,
    /// The share of the attention's weights that is dropped.
    pub attention: f64,
    /// The share of what attention and feed-forward part give, before it meets the residual.
    pub output: f64,
    /// The share of the values inside the feed-forward part, behind its function: 0 in BERT.
    pub inner: f64,
    /// The layer's number, by which its sites are told from those of others.
    pub layer: usize,
}

impl<'a> LayerDropout<'a> {
    /// Numbers of sites below this are free for what stands outside the layers.
    pub const FIRST_SITE: u32 = 16;
    const SITES: u32 = 16;
    const ATTENTION: u32 = 0;
    const ATTENTION_OUTPUT: u32 = 1;
    pub(super) const INNER: u32 = 2;
    const OUTPUT: u32 = 3;
    // The adapters of linear layers.
    const QUERY: u32 = 4;
    const KEY: u32 = 5;
    const VALUE: u32 = 6;
    const JOINED: u32 = 7;
    pub(super) const FIRST: u32 = 8;
    pub(super) const SECOND: u32 = 9;

    fn number(&self, number: u32) -> u32 {
        (self.layer as u32).wrapping_mul(Self::SITES).wrapping_add(Self::FIRST_SITE + number)
    }

    pub(super) fn at(&self, number: u32, rate: f64) -> Dropout {
        self.step.dropout(self.number(number), rate)
    }

    pub(super) fn site(&self, packing: &'a Packing, number: u32) -> Site<'a> {
        Site { step: self.step, packing, number: self.number(number) }
    }
}

impl EncoderLayer {
    /// For `x`: `rows × width`, the same shape; differentiable.
    ///
    /// # Errors
    /// What the tensor library reports, shapes that do not fit above all.
    pub fn forward(&self, x: &Tensor, packing: &Packing) -> Result<Tensor> {
        self.forward_with(x, packing, None)
    }

    /// Both parts with their norms and residuals.
    fn with_norms(
        &self,
        x: &Tensor,
        attend: impl Fn(&Tensor) -> Result<Tensor>,
        feed: impl Fn(&Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        match self.order {
            NormOrder::Post => {
                let x = self.attention_norm.forward_residual(&attend(x)?, x)?;
                self.feed_forward_norm.forward_residual(&feed(&x)?, &x)
            }
            NormOrder::Pre => {
                let x = (x + attend(&self.attention_norm.forward(x)?)?)?;
                &x + feed(&self.feed_forward_norm.forward(&x)?)?
            }
            NormOrder::PreReplacing => {
                let x = self.attention_norm.forward(x)?;
                let x = (&x + attend(&x)?)?;
                let x = self.feed_forward_norm.forward(&x)?;
                &x + feed(&x)?
            }
        }
    }

    /// [`forward`](Self::forward) with dropout: of the weights of the attention, of what the attention's output layer
    /// gives, behind the function of the feed-forward part, of what the feed-forward part gives; and in front of
    /// adapters, at the rate of each.
    ///
    /// # Errors
    /// As [`forward`](Self::forward), and those of [`Dropout::forward`].
    pub fn forward_with(
        &self,
        x: &Tensor,
        packing: &Packing,
        dropout: Option<&LayerDropout<'_>>,
    ) -> Result<Tensor> {
        match fused::forward(self, x, packing, dropout)? {
            Some(states) => Ok(states),
            None => self.in_parts(x, packing, dropout),
        }
    }

    /// The layer as operations of its parts.
    fn in_parts(&self, x: &Tensor, packing: &Packing, dropout: Option<&LayerDropout<'_>>) -> Result<Tensor> {
        let Some(dropout) = dropout else {
            return self.with_norms(x, |x| self.attend(x, packing, None), |x| self.feed_forward.forward(x));
        };
        let attend = |x: &Tensor| {
            let attended = self.attend(x, packing, Some(dropout))?;
            dropout.at(LayerDropout::ATTENTION_OUTPUT, dropout.output).forward(&attended, packing)
        };
        let feed = |x: &Tensor| {
            let fed = self.feed_forward.forward_with(x, packing, dropout)?;
            dropout.at(LayerDropout::OUTPUT, dropout.output).forward(&fed, packing)
        };
        self.with_norms(x, attend, feed)
    }

    fn attend(&self, x: &Tensor, packing: &Packing, dropout: Option<&LayerDropout<'_>>) -> Result<Tensor> {
        let [query, key, value] = self.project(x, packing, dropout)?;
        let attended = match dropout {
            Some(dropout) => {
                let dropout = dropout.at(LayerDropout::ATTENTION, dropout.attention);
                attention_with_dropout(&query, &key, &value, packing, self.attention, &dropout)?
            }
            None => attention(&query, &key, &value, packing, self.attention)?,
        };
        let site = dropout.map(|dropout| dropout.site(packing, LayerDropout::JOINED));
        self.output.forward_with(&attended, Activation::Identity, site)
    }

    /// Queries, keys and values.
    fn project(
        &self,
        x: &Tensor,
        packing: &Packing,
        dropout: Option<&LayerDropout<'_>>,
    ) -> Result<[Tensor; 3]> {
        let of = |part: &Linear, number| {
            let site = dropout.map(|dropout| dropout.site(packing, number));
            part.forward_with(x, Activation::Identity, site)
        };
        Ok(match &self.projection {
            Projection::Split { query, key, value } => [
                of(query, LayerDropout::QUERY)?,
                of(key, LayerDropout::KEY)?,
                of(value, LayerDropout::VALUE)?,
            ],
            Projection::Fused(all) => {
                let all = of(all, LayerDropout::QUERY)?;
                let width = all.dim(1)? / 3;
                let part = |i: usize| all.narrow(1, i * width, width);
                [part(0)?, part(1)?, part(2)?]
            }
        })
    }

    /// The weights of the attention on the way of `x`, as in [`attention_weights`].
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn attention_weights(&self, x: &Tensor, packing: &Packing) -> Result<Vec<Tensor>> {
        let normed = match self.order {
            NormOrder::Post => x.clone(),
            NormOrder::Pre | NormOrder::PreReplacing => self.attention_norm.forward(x)?,
        };
        let [query, key, _] = self.project(&normed, packing, None)?;
        attention_weights(&query, &key, packing, self.attention)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    const WIDTH: usize = 4;

    /// Numbers without a pattern that the layer could hide behind.
    fn tensor(shape: &[usize], salt: f32) -> Tensor {
        let n: usize = shape.iter().product();
        let values: Vec<f32> = (0..n).map(|i| ((i as f32 + salt) * 12.9898).sin()).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    fn linear(rows: usize, columns: usize, salt: f32) -> Linear {
        Linear::new(tensor(&[rows, columns], salt), Some(tensor(&[rows], salt + 0.5)))
    }

    fn layer(projection: Projection, order: NormOrder) -> EncoderLayer {
        let norm = |salt| LayerNorm::new(tensor(&[WIDTH], salt), tensor(&[WIDTH], salt + 0.1), 1e-5);
        EncoderLayer {
            projection,
            output: linear(WIDTH, WIDTH, 7.0),
            attention_norm: norm(1.0),
            feed_forward: FeedForward::new(linear(6, WIDTH, 8.0), linear(WIDTH, 6, 9.0), Activation::Relu),
            feed_forward_norm: norm(2.0),
            order,
            attention: AttentionParams { n_heads: 2, causal: false },
        }
    }

    fn bits(x: &Tensor) -> Vec<Vec<u32>> {
        let rows = x.to_dtype(DType::F32).unwrap().to_vec2::<f32>().unwrap();
        rows.into_iter().map(|row| row.into_iter().map(f32::to_bits).collect()).collect()
    }

    #[test]
    fn a_fused_projection_is_the_three_layers_stacked() {
        let parts = [linear(WIDTH, WIDTH, 3.0), linear(WIDTH, WIDTH, 4.0), linear(WIDTH, WIDTH, 5.0)];
        let weight = Tensor::cat(&parts.each_ref().map(|part| part.weight().unwrap()), 0).unwrap();
        let bias = Tensor::cat(&[3.5, 4.5, 5.5].map(|salt| tensor(&[WIDTH], salt)), 0).unwrap();
        let [query, key, value] = parts;
        let packing = Packing::new([2, 3]);
        let x = tensor(&[5, WIDTH], 0.0);
        for order in [NormOrder::Post, NormOrder::Pre, NormOrder::PreReplacing] {
            let split = Projection::Split { query: query.clone(), key: key.clone(), value: value.clone() };
            let split = layer(split, order).forward(&x, &packing).unwrap();
            let fused = Projection::Fused(Linear::new(weight.clone(), Some(bias.clone())));
            let fused = layer(fused, order).forward(&x, &packing).unwrap();
            let difference = (split - fused).unwrap().abs().unwrap().max_all().unwrap();
            assert!(difference.to_scalar::<f32>().unwrap() < 1e-6, "{order:?}");
        }
    }

    #[test]
    fn the_three_orders_of_norms_are_what_they_say() {
        let all = Projection::Fused(linear(3 * WIDTH, WIDTH, 3.0));
        let packing = Packing::new([5]);
        let x = tensor(&[5, WIDTH], 0.0);
        let of = |order| layer(all.clone(), order);
        let (attend, feed) = (
            |x: &Tensor| of(NormOrder::Post).attend(x, &packing, None).unwrap(),
            &of(NormOrder::Post).feed_forward,
        );
        let (norm1, norm2) = (&of(NormOrder::Post).attention_norm, &of(NormOrder::Post).feed_forward_norm);

        let post = norm1.forward(&(attend(&x) + &x).unwrap()).unwrap();
        let post = norm2.forward(&(feed.forward(&post).unwrap() + &post).unwrap()).unwrap();
        let pre = (&x + attend(&norm1.forward(&x).unwrap())).unwrap();
        let pre = (&pre + feed.forward(&norm2.forward(&pre).unwrap()).unwrap()).unwrap();
        let replacing = norm1.forward(&x).unwrap();
        let replacing = (&replacing + attend(&replacing)).unwrap();
        let replacing = norm2.forward(&replacing).unwrap();
        let replacing = (&replacing + feed.forward(&replacing).unwrap()).unwrap();

        for (order, expected) in
            [(NormOrder::Post, post), (NormOrder::Pre, pre), (NormOrder::PreReplacing, replacing)]
        {
            let found = of(order).forward(&x, &packing).unwrap();
            let difference = (found - expected).unwrap().abs().unwrap().max_all().unwrap();
            assert!(difference.to_scalar::<f32>().unwrap() < 1e-6, "{order:?}");
        }
    }

    #[test]
    fn a_cell_does_not_feel_its_neighbours() {
        let layer = layer(Projection::Fused(linear(3 * WIDTH, WIDTH, 3.0)), NormOrder::Post);
        let (a, b) = (tensor(&[3, WIDTH], 0.0), tensor(&[2, WIDTH], 20.0));
        let both = layer.forward(&Tensor::cat(&[&b, &a], 0).unwrap(), &Packing::new([2, 3])).unwrap();
        let alone = layer.forward(&a, &Packing::new([3])).unwrap();
        assert_eq!(bits(&both)[2..], bits(&alone)[..]);
    }

    #[test]
    fn dropout_has_four_sites_of_its_own_in_each_layer() {
        let split = Projection::Split {
            query: linear(WIDTH, WIDTH, 3.0),
            key: linear(WIDTH, WIDTH, 4.0),
            value: linear(WIDTH, WIDTH, 5.0),
        };
        let (packing, step) = (Packing::new([9, 4]), TrainingStep::new(1, 2, [3, 4]));
        let x = tensor(&[13, WIDTH], 0.0);
        let none = LayerDropout { step: &step, attention: 0.0, output: 0.0, inner: 0.0, layer: 0 };
        for order in [NormOrder::Post, NormOrder::Pre, NormOrder::PreReplacing] {
            let layer = layer(split.clone(), order);
            let of = |dropout: Option<&LayerDropout<'_>>| {
                bits(&layer.forward_with(&x, &packing, dropout).unwrap())
            };
            let without = bits(&layer.forward(&x, &packing).unwrap());
            assert_eq!(of(None), without);
            assert_eq!(of(Some(&none)), without);
            let mut seen = vec![without];
            for dropout in [
                LayerDropout { attention: 0.5, ..none },
                LayerDropout { output: 0.5, ..none },
                LayerDropout { inner: 0.5, ..none },
                LayerDropout { inner: 0.5, layer: 1, ..none },
            ] {
                let found = of(Some(&dropout));
                assert!(!seen.contains(&found), "{order:?}, {dropout:?}");
                seen.push(found);
            }
        }
    }

    #[test]
    fn adapters_drop_what_goes_into_them_and_nothing_else() {
        let (packing, step) = (Packing::new([6]), TrainingStep::new(1, 2, [3]));
        let x = tensor(&[6, WIDTH], 0.0);
        let adapted = |scale: f64, rate: f64| {
            let (a, b) = (tensor(&[2, WIDTH], 1.0), tensor(&[3 * WIDTH, 2], 2.0));
            let all = linear(3 * WIDTH, WIDTH, 3.0).with_adapter(a, b, scale).unwrap();
            let layer = layer(Projection::Fused(all.with_adapter_dropout(rate)), NormOrder::Post);
            let none = LayerDropout { step: &step, attention: 0.0, output: 0.0, inner: 0.0, layer: 0 };
            let plain = bits(&layer.forward(&x, &packing).unwrap());
            (bits(&layer.forward_with(&x, &packing, Some(&none)).unwrap()), plain)
        };
        let (dropped, plain) = adapted(1.0, 0.5);
        assert_ne!(dropped, plain);
        let (dropped, plain) = adapted(1.0, 0.0);
        assert_eq!(dropped, plain);
        let (dropped, plain) = adapted(0.0, 0.5);
        assert_eq!(dropped, plain);
    }
}
