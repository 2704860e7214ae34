//! A transformer layer whose attention costs in proportion to the length (Choromanski et al. 2021),
//! <https://arxiv.org/abs/2009.14794>.

use candle_core::{D, Result, Tensor};

use super::ScfoundationConfig;
use crate::checkpoint::Error;
use crate::models::parts::Parts;
use crate::nn::{Activation, FeedForward, LayerNorm, Linear};

/// Keeps the features of the kernel above 0.
const EPS: f64 = 1e-4;

/// `x + attention(norm(x))`, then `x + feed_forward(norm(x))`, for all positions of each cell.
#[derive(Clone, Debug)]
pub(super) struct PerformerLayer {
    attention_norm: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    /// `features × head width`: the random directions with which the model was trained.
    directions: Linear,
    output: Linear,
    n_heads: usize,
    feed_forward_norm: LayerNorm,
    feed_forward: FeedForward,
}

impl PerformerLayer {
    /// `{name}.0` is the attention, `{name}.1` the feed-forward part.
    pub(super) fn take(
        config: &ScfoundationConfig,
        parts: &mut Parts<'_>,
        name: &str,
    ) -> std::result::Result<Self, Error> {
        let decoder = &config.decoder;
        let (width, inner) = (decoder.hidden_dim, decoder.heads * decoder.dim_head);
        let directions = format!("{name}.0.fn.fast_attention.projection_matrix");
        let directions = parts.take(&directions, &[parts.n_rows(&directions), decoder.dim_head])?;
        let mut inner_part = |part: &str| parts.linear(&format!("{name}.0.fn.{part}"), inner, width);
        let (query, key, value) = (inner_part("to_q")?, inner_part("to_k")?, inner_part("to_v")?);
        let first = parts.linear(&format!("{name}.1.fn.fn.w1"), 4 * width, width)?;
        let second = parts.linear(&format!("{name}.1.fn.fn.w2"), width, 4 * width)?;
        Ok(Self {
            attention_norm: parts.layer_norm(&format!("{name}.0.norm"), width, 1e-5)?,
            query,
            key,
            value,
            directions: parts.linear_of(directions, None),
            output: parts.linear(&format!("{name}.0.fn.to_out"), width, inner)?,
            n_heads: decoder.heads,
            feed_forward_norm: parts.layer_norm(&format!("{name}.1.norm"), width, 1e-5)?,
            feed_forward: FeedForward::new(first, second, Activation::Gelu),
        })
    }

    /// For `cells`: `positions × width` each.
    pub(super) fn forward(&self, cells: &[Tensor]) -> Result<Vec<Tensor>> {
        let normed: Result<Vec<Tensor>> = cells.iter().map(|x| self.attention_norm.forward(x)).collect();
        let attended = self.attend(&normed?)?;
        let add = |(x, attended): (&Tensor, Tensor)| {
            let x = (x + attended)?;
            &x + self.feed_forward.forward(&self.feed_forward_norm.forward(&x)?)?
        };
        cells.iter().zip(attended).map(add).collect()
    }

    /// `q' (k'ᵀ v) / (q' · Σ k')` for each head, with `x' = exp(W x − |x|² / 2 − max) + 1e-4` for `x` divided by the
    /// fourth root of the head's width.
    ///
    /// The maximum of a query is its own; that of the keys is over all positions and heads of all `cells`. To hold the
    /// features of one head at a time, each head subtracts its own maximum first, and its sums are scaled when all are
    /// known.
    fn attend(&self, cells: &[Tensor]) -> Result<Vec<Tensor>> {
        let sums: Result<Vec<Vec<HeadSums>>> = cells.iter().map(|x| self.sums(x)).collect();
        let sums = sums?;
        let highest: Vec<&Tensor> = sums.iter().flatten().map(|sum| &sum.highest).collect();
        if highest.is_empty() {
            return Ok(vec![]);
        }
        let highest = Tensor::stack(&highest, 0)?.max_all()?;
        cells.iter().zip(&sums).map(|(x, sums)| self.answer(x, sums, &highest)).collect()
    }

    /// The columns of head `h`.
    fn head(&self, x: &Tensor, h: usize) -> Result<Tensor> {
        let width = x.dim(1)? / self.n_heads;
        x.narrow(1, h * width, width)?.contiguous()
    }

    /// What the keys and values of each head come down to.
    fn sums(&self, x: &Tensor) -> Result<Vec<HeadSums>> {
        let key = self.key.forward(x, Activation::Identity)?;
        let value = self.value.forward(x, Activation::Identity)?;
        let of_head = |h| {
            let value = self.head(&value, h)?;
            let (logits, half_square) = self.logits(&self.head(&key, h)?)?;
            let highest = logits.max_all()?.detach();
            let features = logits.broadcast_sub(&highest)?.broadcast_sub(&half_square)?.exp()?;
            let features = features.t()?.contiguous()?;
            let (products, values) = (features.matmul(&value)?, value.sum_keepdim(0)?);
            Ok(HeadSums { products, features: features.sum_keepdim(1)?, values, highest })
        };
        (0..self.n_heads).map(of_head).collect()
    }

    /// The queries' share of the values.
    fn answer(&self, x: &Tensor, sums: &[HeadSums], highest: &Tensor) -> Result<Tensor> {
        let query = self.query.forward(x, Activation::Identity)?;
        let of_head = |(h, sum): (usize, &HeadSums)| {
            let scale = (&sum.highest - highest)?.exp()?;
            let products = sum.products.broadcast_mul(&scale)?.broadcast_add(&(&sum.values * EPS)?)?;
            let features = (sum.features.broadcast_mul(&scale)? + EPS * x.dim(0)? as f64)?;
            let (logits, half_square) = self.logits(&self.head(&query, h)?)?;
            let logits = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?.detach())?;
            let query = (logits.broadcast_sub(&half_square)?.exp()? + EPS)?;
            query.matmul(&products)?.broadcast_div(&query.matmul(&features)?)
        };
        let heads: Result<Vec<Tensor>> = sums.iter().enumerate().map(of_head).collect();
        self.output.forward(&Tensor::cat(&heads?, 1)?, Activation::Identity)
    }

    /// `W x` and `|x|² / 2` for the rows of a head, divided by the fourth root of its width.
    fn logits(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let x = (x * (x.dim(1)? as f64).powf(-0.25))?;
        let half_square = (x.sqr()?.sum_keepdim(1)? * 0.5)?;
        Ok((self.directions.forward(&x, Activation::Identity)?, half_square))
    }
}

/// What a head's keys and values come down to.
struct HeadSums {
    /// `features × head width`.
    products: Tensor,
    /// `features × 1`.
    features: Tensor,
    /// `1 × head width`.
    values: Tensor,
    /// What was subtracted from the logits.
    highest: Tensor,
}

#[cfg(test)]
impl PerformerLayer {
    /// Compares the attention to `q' k'ᵀ v / Σ q' k'ᵀ` with all features of all heads at once.
    pub(super) fn check_against_definition(&self, x: &Tensor) {
        let rows = |x: &Tensor| x.to_vec2::<f32>().expect("a matrix");
        let of = |part: &Linear| rows(&part.forward(x, Activation::Identity).expect("shapes fit"));
        let (query, key, value) = (of(&self.query), of(&self.key), of(&self.value));
        let directions = rows(self.directions.weight().expect("a tensor is multiplied"));
        let width = directions[0].len();
        let scale = (width as f64).powf(-0.25);
        let dot =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
        let logits = |row: &[f32], h: usize| {
            let part = &row[h * width..(h + 1) * width];
            let logits: Vec<f64> = directions.iter().map(|direction| scale * dot(part, direction)).collect();
            (logits, scale * scale * dot(part, part) / 2.0)
        };
        let top = |logits: &[f64]| logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let each = |h: usize| key.iter().map(move |row| (row, h));
        let highest = (0..self.n_heads).flat_map(each).map(|(row, h)| top(&logits(row, h).0));
        let highest = highest.fold(f64::NEG_INFINITY, f64::max);
        let features = |(logits, half): (Vec<f64>, f64), top: f64| {
            logits.into_iter().map(|x| (x - half - top).exp() + EPS).collect::<Vec<f64>>()
        };
        let mut attended = vec![0f32; query.len() * value[0].len()];
        for (i, row) in query.iter().enumerate() {
            for h in 0..self.n_heads {
                let own = logits(row, h);
                let highest_own = top(&own.0);
                let q = features(own, highest_own);
                let weights: Vec<f64> = key
                    .iter()
                    .map(|row| features(logits(row, h), highest).iter().zip(&q).map(|(k, q)| k * q).sum())
                    .collect();
                let total: f64 = weights.iter().sum();
                for column in h * width..(h + 1) * width {
                    let sum: f64 =
                        weights.iter().zip(&value).map(|(w, row)| w * f64::from(row[column])).sum();
                    attended[i * value[0].len() + column] = (sum / total) as f32;
                }
            }
        }
        let attended =
            Tensor::from_vec(attended, (query.len(), value[0].len()), x.device()).expect("as many");
        let expected = rows(&self.output.forward(&attended, Activation::Identity).expect("shapes fit"));
        let found = self.attend(std::slice::from_ref(x)).expect("shapes fit");
        let found = rows(&found[0]);
        for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            assert!((found - expected).abs() < 1e-5, "{found} instead of {expected}");
        }
    }
}
