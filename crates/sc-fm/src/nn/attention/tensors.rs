//! [`attend`](super::attend) in the operations of the tensor library: for other devices.

use candle_core::{D, DType, Device, Result, Tensor};

use super::head::Heads;
use super::{CausalAttention, Relative, op};

/// Keys and values, as many rows of `n_kv_heads · d` of each.
pub(in crate::nn) type Pair = [Tensor; 2];

/// Rows of queries whose first keys are the same.
#[derive(Debug)]
pub(in crate::nn) struct Bundle {
    /// These keys and their values, in order.
    pub(in crate::nn) shared: Vec<Pair>,
    /// Keys and values of which each query has some of its own.
    pub(in crate::nn) own: Option<Pair>,
    /// The rows.
    pub(in crate::nn) queries: Vec<Asked>,
}

/// One row of queries and what it sees: the first `seen` of the shared keys, then its own.
#[derive(Debug)]
pub(in crate::nn) struct Asked {
    /// The row.
    pub(in crate::nn) row: usize,
    /// How many of the shared keys it sees; all of them, where it has its own.
    pub(in crate::nn) seen: usize,
    /// Rows of its own keys among those of the bundle.
    pub(in crate::nn) own: Vec<u32>,
    /// Its place in the text, for [`Relative`].
    pub(in crate::nn) position: usize,
}

impl Asked {
    /// The keys that it sees, by their logical numbers.
    fn visible(&self, window: Option<usize>) -> [usize; 2] {
        let end = self.seen + self.own.len();
        [window.map_or(0, |window| end.saturating_sub(window)), end]
    }
}

/// Scores that are in memory at a time, unless one row has more.
const SCORES: usize = 1 << 26;

/// `softmax(scale · Q Kᵀ + bias) V`, each row of `q` to the keys that its query names; not differentiable. Every row is in
/// one query.
pub(in crate::nn) fn attend(
    q: &Tensor,
    bundles: &[Bundle],
    params: CausalAttention,
    relative: Option<Relative<'_>>,
) -> Result<Tensor> {
    let heads = op::Shape::from(params).checked_heads(q.dim(1)?)?;
    let bias = relative.map(|relative| Bias::new(relative, heads, q.device())).transpose()?;
    let (mut parts, mut order) = (Vec::new(), Vec::new());
    for bundle in bundles {
        let shared = heads_of(&bundle.shared, heads)?;
        let n_shared = shared.as_ref().map_or(Ok(0), |[keys, _]| keys.dim(1))?;
        let longest = bundle.queries.iter().map(|query| query.own.len()).max().unwrap_or(0);
        let at_once = SCORES / (heads.n_heads * (n_shared + longest)).max(1);
        for queries in bundle.queries.chunks(at_once.max(1)) {
            let rows: Vec<u32> = queries.iter().map(|query| query.row as u32).collect();
            let part = Part {
                q: some_rows(q, &rows)?,
                heads,
                shared: shared.as_ref(),
                own: bundle.own.as_ref(),
                queries,
                window: params.window,
            };
            parts.push(part.attend(bias.as_ref())?);
            order.extend(rows);
        }
    }
    let out = Tensor::cat(&parts, 0)?;
    if order.is_sorted() {
        return Ok(out);
    }
    let mut places = vec![0; order.len()];
    (0..).zip(&order).for_each(|(place, &row)| places[row as usize] = place);
    some_rows(&out, &places)
}

/// Rows of a tensor, in place where they are neighbours.
fn some_rows(x: &Tensor, rows: &[u32]) -> Result<Tensor> {
    match rows.windows(2).all(|pair| pair[0] + 1 == pair[1]) && !rows.is_empty() {
        true => x.narrow(0, rows[0] as usize, rows.len()),
        false => x.contiguous()?.index_select(&Tensor::new(rows, x.device())?, 0),
    }
}

/// Runs of keys and values as `n_kv_heads × rows × d`.
fn heads_of(runs: &[Pair], heads: Heads) -> Result<Option<Pair>> {
    if runs.is_empty() {
        return Ok(None);
    }
    let all = |i: usize| {
        let rows = Tensor::cat(&runs.iter().map(|run| &run[i]).collect::<Vec<_>>(), 0)?;
        rows.reshape((rows.dim(0)?, heads.n_kv_heads, heads.size))?.transpose(0, 1)?.contiguous()
    };
    Ok(Some([all(0)?, all(1)?]))
}

/// Some queries of a bundle.
struct Part<'a> {
    q: Tensor,
    heads: Heads,
    /// `n_kv_heads × keys × d`.
    shared: Option<&'a Pair>,
    own: Option<&'a Pair>,
    queries: &'a [Asked],
    window: Option<usize>,
}

impl Part<'_> {
    fn attend(&self, bias: Option<&Bias>) -> Result<Tensor> {
        let Heads { n_heads, n_kv_heads, size, scale, .. } = self.heads;
        let (n, per_kv) = (self.queries.len(), n_heads / n_kv_heads);
        let by_query = (self.q.reshape((n, n_kv_heads, per_kv, size))? * f64::from(scale))?;
        let by_head = || by_query.transpose(0, 1)?.contiguous()?.reshape((n_kv_heads, n * per_kv, size));
        let own = self.own_keys()?;
        let mut scores = Vec::new();
        if let Some([keys, _]) = self.shared {
            let scored = by_head()?.matmul(&keys.t()?)?;
            scores.push(scored.reshape((n_kv_heads, n, per_kv, keys.dim(1)?))?);
        }
        if let Some([keys, _]) = &own {
            let scored = by_query.reshape((n * n_kv_heads, per_kv, size))?.matmul(&keys.t()?)?;
            scores
                .push(scored.reshape((n, n_kv_heads, per_kv, keys.dim(1)?))?.transpose(0, 1)?.contiguous()?);
        }
        // The number of a column is the logical number of its key.
        let mut scores = Tensor::cat(&scores, D::Minus1)?;
        let columns = scores.dim(D::Minus1)?;
        if let Some(bias) = bias {
            let bias = bias.of(self.queries, columns)?.reshape((n_kv_heads, per_kv, n, columns))?;
            scores = (scores + bias.transpose(1, 2)?)?;
        }
        if let Some(hidden) = self.hidden(columns)? {
            scores = scores.broadcast_add(&hidden.reshape((1, n, 1, columns))?.to_dtype(scores.dtype())?)?;
        }
        let weights = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?.exp()?;
        let weights = weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)?;
        let mut sums = Vec::new();
        let mut first = 0;
        if let Some([_, values]) = self.shared {
            first = values.dim(1)?;
            let weights = weights.narrow(D::Minus1, 0, first)?.contiguous()?;
            let sum = weights.reshape((n_kv_heads, n * per_kv, first))?.matmul(values)?;
            sums.push(sum.reshape((n_kv_heads, n, per_kv, size))?.transpose(0, 1)?.contiguous()?);
        }
        if let Some([_, values]) = &own {
            let n_own = columns - first;
            let weights = weights.narrow(D::Minus1, first, n_own)?.transpose(0, 1)?.contiguous()?;
            let sum = weights.reshape((n * n_kv_heads, per_kv, n_own))?.matmul(values)?;
            sums.push(sum.reshape((n, n_kv_heads, per_kv, size))?);
        }
        let sum = match &sums[..] {
            [shared, own] => (shared + own)?,
            _ => sums.remove(0),
        };
        sum.reshape((n, n_heads * size))
    }

    /// The own keys and values of each query, `queries · n_kv_heads × keys × d`; behind those of a query with fewer than the
    /// others the first of them again.
    fn own_keys(&self) -> Result<Option<Pair>> {
        let (Some(own), Some(longest)) = (self.own, self.queries.iter().map(|query| query.own.len()).max())
        else {
            return Ok(None);
        };
        if longest == 0 {
            return Ok(None);
        }
        let Heads { n_kv_heads, size, .. } = self.heads;
        let places = self.queries.iter().flat_map(|Asked { own, .. }| {
            let first = own.first().copied().unwrap_or(0);
            own.iter().copied().chain(std::iter::repeat(first)).take(longest)
        });
        let places =
            Tensor::from_vec(places.collect::<Vec<u32>>(), self.queries.len() * longest, self.q.device())?;
        let of_queries = |x: &Tensor| {
            let rows = x.index_select(&places, 0)?;
            let rows = rows.reshape((self.queries.len(), longest, n_kv_heads, size))?;
            rows.transpose(1, 2)?.contiguous()?.reshape((self.queries.len() * n_kv_heads, longest, size))
        };
        Ok(Some([of_queries(&own[0])?, of_queries(&own[1])?]))
    }

    /// What is added to scores, `queries × keys`: minus infinity where a key is not seen. Nothing where all see all.
    fn hidden(&self, columns: usize) -> Result<Option<Tensor>> {
        let visible: Vec<[usize; 2]> = self.queries.iter().map(|query| query.visible(self.window)).collect();
        if visible.iter().all(|range| *range == [0, columns]) {
            return Ok(None);
        }
        let (n, device) = (self.queries.len(), self.q.device());
        let numbers = Tensor::arange(0, columns as u32, device)?;
        let ends = |i: usize| {
            Tensor::from_vec(visible.iter().map(|range| range[i] as u32).collect(), (n, 1), device)
        };
        let hidden = Tensor::full(f32::NEG_INFINITY, (n, columns), device)?;
        let seen = Tensor::zeros((n, columns), DType::F32, device)?;
        let mut out = numbers.broadcast_lt(&ends(1)?)?.where_cond(&seen, &hidden)?;
        if visible.iter().any(|[start, _]| *start > 0) {
            out = numbers.broadcast_ge(&ends(0)?)?.where_cond(&out, &hidden)?;
        }
        Ok(Some(out))
    }
}

/// Biases by distance, on the device.
struct Bias {
    /// `distances × heads`.
    table: Tensor,
    behind: usize,
}

impl Bias {
    fn new(relative: Relative<'_>, heads: Heads, device: &Device) -> Result<Self> {
        let n = relative.table.len() / heads.n_heads;
        let table = Tensor::from_slice(relative.table, (heads.n_heads, n), device)?.t()?.contiguous()?;
        Ok(Self { table, behind: relative.behind })
    }

    /// `heads × queries × keys`.
    fn of(&self, queries: &[Asked], columns: usize) -> Result<Tensor> {
        let last = self.table.dim(0)? - 1;
        let places = queries.iter().flat_map(|query| {
            let position = query.position;
            (0..columns).map(move |key| (key + self.behind).saturating_sub(position).min(last) as u32)
        });
        let places =
            Tensor::from_vec(places.collect::<Vec<u32>>(), queries.len() * columns, self.table.device())?;
        self.table.index_select(&places, 0)?.t()?.contiguous()
    }
}
