//! The cache of a model that does not compute with the kernels of this crate: keys and values are tensors on its device.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use candle_core::{Result, Tensor, bail};

use super::{CHUNK, CacheRows, KvCache};
use crate::nn::attention::tensors::{Asked, Bundle, Pair, attend};
use crate::nn::attention::{CausalAttention, Relative};

/// Keys and values of a layer, with room for more rows.
#[derive(Debug)]
pub(super) struct Rows {
    pair: Pair,
    /// Rows that are there.
    n: usize,
}

/// Rows that there is room for at least.
const LEAST: usize = 16;

impl Rows {
    fn with_room(n: usize, like: &Pair) -> Result<Self> {
        let room = |x: &Tensor| {
            let width = x.dim(1)?;
            Tensor::zeros((n.next_power_of_two().max(LEAST), width), x.dtype(), x.device())
        };
        Ok(Self { pair: [room(&like[0])?, room(&like[1])?], n: 0 })
    }

    /// Puts rows behind the first `used`, in place of what may be there.
    fn put(&mut self, used: usize, new: &Pair) -> Result<()> {
        self.pair[0].slice_set(&new[0], 0, used)?;
        self.pair[1].slice_set(&new[1], 0, used)?;
        self.n = used + new[0].dim(0)?;
        Ok(())
    }

    fn first(&self, n: usize) -> Result<Pair> {
        if n > self.n {
            bail!("attention: the keys of a text that was read elsewhere");
        }
        Ok([self.pair[0].narrow(0, 0, n)?, self.pair[1].narrow(0, 0, n)?])
    }
}

impl KvCache {
    /// Appends rows to a layer of the last segment.
    fn push_tensors(&mut self, layer: usize, new: &Pair) -> Result<()> {
        let n_layers = self.n_layers;
        let Some((segment, used)) = self.own() else { bail!("a cache was cloned in the middle of a step") };
        segment.elsewhere.resize_with(n_layers, || None);
        let slot = &mut segment.elsewhere[layer];
        let before = match slot {
            Some(rows) => Some(rows.first(used)?),
            None if used > 0 => bail!("attention: the keys of a text that was read elsewhere"),
            None => None,
        };
        let end = used + new[0].dim(0)?;
        let rows = match slot.take() {
            Some(rows) if rows.pair[0].dim(0)? >= end => rows,
            _ => {
                let mut grown = Rows::with_room(end, new)?;
                if let Some(before) = before.filter(|_| used > 0) {
                    grown.put(0, &before)?;
                }
                grown
            }
        };
        slot.insert(rows).put(used, new)
    }

    /// The runs of a layer, with `new` rows that were pushed but are not counted yet.
    fn tensors(&self, layer: usize, new: usize) -> Result<Vec<Pair>> {
        let last = self.segments.len().saturating_sub(1);
        let counted = self
            .segments
            .iter()
            .enumerate()
            .map(|(i, (segment, used))| (segment, used + if i == last { new } else { 0 }));
        // A step that failed may have left a segment without rows.
        let runs = counted.filter(|(_, n)| *n > 0).map(|(segment, n)| match segment.elsewhere.get(layer) {
            Some(Some(rows)) => rows.first(n),
            _ => bail!("attention: the keys of a text that was read elsewhere"),
        });
        runs.collect()
    }
}

/// [`cached_attention`](super::cached_attention) of tensors anywhere.
pub(super) fn cached_attention(
    (q, k, v): (&Tensor, &Tensor, &Tensor),
    layer: usize,
    items: &mut [CacheRows<'_>],
    params: CausalAttention,
    relative: Option<Relative<'_>>,
) -> Result<Tensor> {
    let new: Pair = [k.contiguous()?, v.contiguous()?];
    let n_rows: usize = items.iter().map(|item| item.n_rows).sum();
    let (_, columns) = k.dims2()?;
    if q.dim(0)? != n_rows || [k.dims(), v.dims()] != [&[n_rows, columns]; 2] {
        let (q, k, v) = (q.dims(), k.dims(), v.dims());
        bail!("attention: queries {q:?}, keys {k:?} and values {v:?}, expected {n_rows} rows");
    }
    let mut first = 0;
    for item in items.iter_mut() {
        let at = first..first + item.n_rows;
        first = at.end;
        item.check(columns, layer)?;
        if item.tree.is_none() {
            item.cache.push_tensors(layer, &part(&new, at)?)?;
        }
    }
    attend(q, &bundles(items, layer, &new)?, params, relative)
}

fn part(pair: &Pair, rows: Range<usize>) -> Result<Pair> {
    Ok([pair[0].narrow(0, rows.start, rows.len())?, pair[1].narrow(0, rows.start, rows.len())?])
}

/// The rows of items, together where they begin with the same keys: as the kernels take them.
fn bundles(items: &[CacheRows<'_>], layer: usize, new: &Pair) -> Result<Vec<Bundle>> {
    let mut bundles = Vec::new();
    // Short chunks by their first segment: their number, and their first row.
    let mut short: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
    let mut first = 0;
    for (number, item) in items.iter().enumerate().filter(|(_, item)| item.n_rows > 0) {
        let (rows, past) = (first..first + item.n_rows, item.cache.len());
        first = rows.end;
        match &item.tree {
            Some(tree) => {
                let nodes = rows.clone().zip(tree.paths.iter().zip(&tree.depths));
                let query = |(row, (path, depth)): (usize, (&Vec<Range<usize>>, &usize))| {
                    let own = path.iter().cloned().flatten().map(|row| row as u32).collect();
                    Asked { row, seen: past, own, position: past + depth }
                };
                bundles.push(Bundle {
                    shared: item.cache.tensors(layer, 0)?,
                    queries: nodes.map(query).collect(),
                    own: Some(part(new, rows)?),
                });
            }
            None if item.n_rows < CHUNK && past > 0 => {
                let (segment, _) = &item.cache.segments[0];
                short.entry(Arc::as_ptr(segment) as usize).or_default().push((number, rows.start));
            }
            None => bundles.push(alone(item, rows, layer)?),
        }
    }
    for members in short.into_values() {
        let (number, row) = members[0];
        let cache = &*items[number].cache;
        if let [_] = members[..] {
            bundles.push(alone(&items[number], row..row + items[number].n_rows, layer)?);
            continue;
        }
        let common =
            members.iter().map(|&(number, _)| cache.n_common(items[number].cache)).min().unwrap_or(0);
        let seen: usize = cache.segments[..common].iter().map(|(_, used)| used).sum();
        let (mut own, mut queries, mut base) = (Vec::new(), Vec::new(), 0);
        for (number, first) in members {
            let item = &items[number];
            let runs = item.cache.tensors(layer, item.n_rows)?;
            let past = item.cache.len();
            own.extend(runs.into_iter().skip(common));
            for (row, position) in (first..first + item.n_rows).zip(past..) {
                let own = (base..base + (position + 1 - seen) as u32).collect();
                queries.push(Asked { row, seen, own, position });
            }
            base += (past + item.n_rows - seen) as u32;
        }
        let all = |i: usize| Tensor::cat(&own.iter().map(|run: &Pair| &run[i]).collect::<Vec<_>>(), 0);
        let mut shared = cache.tensors(layer, 0)?;
        shared.truncate(common);
        bundles.push(Bundle { shared, queries, own: Some([all(0)?, all(1)?]) });
    }
    Ok(bundles)
}

/// Rows that see all keys of their text up to themselves.
fn alone(item: &CacheRows<'_>, rows: Range<usize>, layer: usize) -> Result<Bundle> {
    let queries = rows.zip(item.cache.len()..);
    let query = |(row, position)| Asked { row, seen: position + 1, own: Vec::new(), position };
    Ok(Bundle {
        shared: item.cache.tensors(layer, item.n_rows)?,
        own: None,
        queries: queries.map(query).collect(),
    })
}

#[cfg(test)]
mod tests;
