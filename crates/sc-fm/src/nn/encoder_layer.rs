//! One layer of a transformer encoder: attention, then a feed-forward part, each with a residual and a norm.

use candle_core::{Result, Tensor};

use super::{Activation, AttentionParams, FeedForward, LayerNorm, Linear, Packing, attention};

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

impl EncoderLayer {
    /// For `x`: `rows × width`, the same shape; differentiable.
    ///
    /// # Errors
    /// What the tensor library reports, shapes that do not fit above all.
    pub fn forward(&self, x: &Tensor, packing: &Packing) -> Result<Tensor> {
        match self.order {
            NormOrder::Post => {
                let x = self.attention_norm.forward_residual(&self.attend(x, packing)?, x)?;
                self.feed_forward_norm.forward_residual(&self.feed_forward.forward(&x)?, &x)
            }
            NormOrder::Pre => {
                let x = (x + self.attend(&self.attention_norm.forward(x)?, packing)?)?;
                &x + self.feed_forward.forward(&self.feed_forward_norm.forward(&x)?)?
            }
            NormOrder::PreReplacing => {
                let x = self.attention_norm.forward(x)?;
                let x = (&x + self.attend(&x, packing)?)?;
                let x = self.feed_forward_norm.forward(&x)?;
                &x + self.feed_forward.forward(&x)?
            }
        }
    }

    fn attend(&self, x: &Tensor, packing: &Packing) -> Result<Tensor> {
        let (query, key, value) = match &self.projection {
            Projection::Split { query, key, value } => {
                let of = |part: &Linear| part.forward(x, Activation::Identity);
                (of(query)?, of(key)?, of(value)?)
            }
            Projection::Fused(all) => {
                let all = all.forward(x, Activation::Identity)?;
                let width = all.dim(1)? / 3;
                let part = |i: usize| all.narrow(1, i * width, width);
                (part(0)?, part(1)?, part(2)?)
            }
        };
        let attended = attention(&query, &key, &value, packing, self.attention)?;
        self.output.forward(&attended, Activation::Identity)
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
        let weight = Tensor::cat(&parts.each_ref().map(Linear::weight), 0).unwrap();
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
            |x: &Tensor| of(NormOrder::Post).attend(x, &packing).unwrap(),
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
}
