//! Keys and values of the tokens that a decoder has read.

mod elsewhere;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use candle_core::{Result, Tensor, bail};

use super::attention::{CausalAttention, Group, Query, Relative, Run, attend};
use super::cpu::{self, Matrix};

/// The keys and values of one text, layer by layer.
///
/// A clone shares what is there and grows on its own, so thousands of texts can begin with one prefix that is computed and
/// held once. Attention reads what texts share once for all of them.
#[derive(Clone, Debug)]
pub struct KvCache {
    /// Columns of keys, those of all their heads.
    width: usize,
    n_layers: usize,
    /// Parts of the text in order, and how many rows of each belong to it.
    segments: Vec<(Arc<Segment>, usize)>,
}

/// Rows of keys and values, for each layer.
#[derive(Debug)]
struct Segment {
    layers: Vec<[Vec<f32>; 2]>,
    /// In place of `layers`, where the kernels of this crate do not compute; empty where they do.
    elsewhere: Vec<Option<elsewhere::Rows>>,
}

impl KvCache {
    /// An empty cache.
    ///
    /// * `width`: columns of keys, those of all their heads.
    pub fn new(n_layers: usize, width: usize) -> Self {
        Self { width, n_layers, segments: Vec::new() }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.segments.iter().map(|(_, used)| used).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all tokens but the first `len`; those that other texts share stay with them.
    pub fn truncate(&mut self, len: usize) {
        let mut rest = len;
        for (_, used) in &mut self.segments {
            *used = rest.min(*used);
            rest -= *used;
        }
        self.segments.retain(|(_, used)| *used > 0);
    }

    /// The last segment, if this text alone holds it.
    fn own(&mut self) -> Option<(&mut Segment, usize)> {
        let (segment, used) = self.segments.last_mut()?;
        Some((Arc::get_mut(segment)?, *used))
    }

    /// Gets a last segment ready that this text alone holds, with nothing in it that does not belong to the text.
    fn begin(&mut self) {
        let rows = self.width;
        match self.own() {
            Some((segment, used)) => {
                // What was forgotten, and what a step that failed left behind.
                segment.layers.iter_mut().flatten().for_each(|values| values.truncate(used * rows));
            }
            None => {
                let layers = (0..self.n_layers).map(|_| [Vec::new(), Vec::new()]).collect();
                self.segments.push((Arc::new(Segment { layers, elsewhere: Vec::new() }), 0));
            }
        }
    }

    fn push(&mut self, layer: usize, keys: &[f32], values: &[f32]) -> Result<()> {
        let Some((segment, _)) = self.own() else { bail!("a cache was cloned in the middle of a step") };
        let Some([all_keys, all_values]) = segment.layers.get_mut(layer) else {
            bail!("layer {layer} of a cache of {} layers", segment.layers.len());
        };
        all_keys.extend_from_slice(keys);
        all_values.extend_from_slice(values);
        Ok(())
    }

    /// Refuses a text that was read where these kernels do not compute.
    fn check_is_here(&self, layer: usize) -> Result<()> {
        let is_here = |(segment, used): &(Arc<Segment>, usize)| {
            segment.layers[layer].iter().all(|values| values.len() >= used * self.width)
        };
        match self.segments.iter().all(is_here) {
            true => Ok(()),
            false => bail!("attention: the keys of a text that was read elsewhere"),
        }
    }

    /// The runs of a layer, with `new` rows that were pushed but are not counted yet.
    fn runs(&self, layer: usize, new: usize) -> Vec<Run<'_>> {
        let last = self.segments.len().saturating_sub(1);
        let runs = self.segments.iter().enumerate().map(|(i, (segment, used))| {
            let [keys, values] = &segment.layers[layer];
            let end = (used + if i == last { new } else { 0 }) * self.width;
            Run { keys: &keys[..end], values: &values[..end] }
        });
        runs.collect()
    }

    /// How many segments at the beginning are the same, in the same length.
    fn n_common(&self, other: &Self) -> usize {
        let pairs = self.segments.iter().zip(&other.segments);
        pairs.take_while(|((a, n), (b, m))| Arc::ptr_eq(a, b) && n == m).count()
    }
}

/// The latest rows of a text, on their way through the layers of a decoder.
#[derive(Debug)]
pub struct CacheRows<'a> {
    cache: &'a mut KvCache,
    n_rows: usize,
    tree: Option<Tree>,
}

/// Rows that each follow another one.
#[derive(Debug)]
struct Tree {
    /// For each row those that it follows and itself, in runs of neighbours.
    paths: Vec<Vec<Range<usize>>>,
    /// How many rows each follows.
    depths: Vec<usize>,
}

impl<'a> CacheRows<'a> {
    /// The next `n_rows` tokens of a text; they are part of it once [`finish`](Self::finish) was called.
    pub fn next(cache: &'a mut KvCache, n_rows: usize) -> Self {
        cache.begin();
        Self { cache, n_rows, tree: None }
    }

    /// Tokens that may follow the text, on several ways: each sees the text, the rows that it follows, and itself. The
    /// cache stays as it is.
    ///
    /// * `parents`: for each row the row before it that it follows, or `None` for the end of the text.
    ///
    /// # Errors
    /// A row that follows one that does not come before it.
    pub fn tree(cache: &'a mut KvCache, parents: &[Option<usize>]) -> Result<Self> {
        let mut paths: Vec<Vec<Range<usize>>> = Vec::with_capacity(parents.len());
        let mut depths = Vec::with_capacity(parents.len());
        for (row, &parent) in parents.iter().enumerate() {
            let (mut path, depth) = match parent {
                None => (Vec::new(), 0),
                Some(parent) if parent < row => (paths[parent].clone(), depths[parent] + 1),
                Some(parent) => bail!("row {row} of a tree follows row {parent}, expected one before it"),
            };
            match path.last_mut() {
                Some(last) if last.end == row => last.end = row + 1,
                _ => path.push(row..row + 1),
            }
            paths.push(path);
            depths.push(depth);
        }
        Ok(Self { cache, n_rows: parents.len(), tree: Some(Tree { paths, depths }) })
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// The place in the text of each row.
    pub fn positions(&self) -> Vec<usize> {
        let past = self.cache.len();
        match &self.tree {
            None => (past..past + self.n_rows).collect(),
            Some(tree) => tree.depths.iter().map(|depth| past + depth).collect(),
        }
    }

    /// Refuses keys that are none of the cache's.
    fn check(&self, columns: usize, layer: usize) -> Result<()> {
        let KvCache { width, n_layers, .. } = *self.cache;
        if columns != width || layer >= n_layers {
            bail!(
                "attention: keys of {columns} columns for layer {layer}, but a cache of {n_layers} layers of {width}"
            );
        }
        Ok(())
    }

    /// Says that all layers have seen the rows: they are part of the text now, unless they are a tree.
    pub fn finish(self) {
        if let (None, Some((_, used))) = (&self.tree, self.cache.segments.last_mut()) {
            *used += self.n_rows;
        }
    }
}

/// Chunks of so many rows are computed with their own keys alone; shorter ones together with others of the same prefix.
const CHUNK: usize = 16;

/// The attention of the latest rows of some texts in one layer, whose keys and values go into the caches; not
/// differentiable.
///
/// * `q`: the rows of all items one after another, `rows × n_heads · d`; `k`, `v`: `rows × n_kv_heads · d`.
///
/// # Errors
/// As [`attend`], and rows that are not as many as the items say.
pub fn cached_attention(
    (q, k, v): (&Tensor, &Tensor, &Tensor),
    layer: usize,
    items: &mut [CacheRows<'_>],
    params: CausalAttention,
    relative: Option<Relative<'_>>,
) -> Result<Tensor> {
    if !cpu::is_fused(&[q, k, v]) {
        return elsewhere::cached_attention((q, k, v), layer, items, params, relative);
    }
    let (k, v) = (k.contiguous()?, v.contiguous()?);
    let ((k, k_layout), (v, v_layout)) = (k.storage_and_layout(), v.storage_and_layout());
    let k = cpu::matrix(cpu::storage(&k)?, k_layout)?;
    let v = cpu::matrix(cpu::storage(&v)?, v_layout)?;
    let n_rows: usize = items.iter().map(|item| item.n_rows).sum();
    if [q.dim(0)?, k.n_rows, v.n_rows] != [n_rows; 3] || k.n_cols != v.n_cols {
        let (q, k, v) = (q.dims(), (k.n_rows, k.n_cols), (v.n_rows, v.n_cols));
        bail!("attention: queries {q:?}, keys {k:?} and values {v:?}, expected {n_rows} rows");
    }
    let rows = |x: Matrix<'_>, rows: Range<usize>| rows.start * x.n_cols..rows.end * x.n_cols;
    let mut first = 0;
    for item in items.iter_mut() {
        let at = first..first + item.n_rows;
        first = at.end;
        item.check(k.n_cols, layer)?;
        item.cache.check_is_here(layer)?;
        if item.tree.is_none() {
            item.cache.push(layer, &k.data[rows(k, at.clone())], &v.data[rows(v, at)])?;
        }
    }
    let of_rows = |at: Range<usize>| Run { keys: &k.data[rows(k, at.clone())], values: &v.data[rows(v, at)] };
    attend(q, &groups(items, layer, k.n_cols, of_rows), params, relative)
}

/// The rows of items, together where they begin with the same keys.
fn groups<'a>(
    items: &'a [CacheRows<'_>],
    layer: usize,
    width: usize,
    of_rows: impl Fn(Range<usize>) -> Run<'a>,
) -> Vec<Group<'a>> {
    let mut groups = Vec::new();
    // Short chunks by their first segment: their number, and their first row.
    let mut short: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
    let mut first = 0;
    for (number, item) in items.iter().enumerate() {
        let (rows, past) = (first..first + item.n_rows, item.cache.len());
        first = rows.end;
        let queries = match &item.tree {
            Some(tree) => {
                let own = |path: &Vec<Range<usize>>| {
                    path.iter().map(|at| of_rows(rows.start + at.start..rows.start + at.end)).collect()
                };
                let nodes = rows.clone().zip(tree.paths.iter().zip(&tree.depths));
                nodes
                    .map(|(row, (path, depth))| Query {
                        row,
                        seen: past,
                        own: own(path),
                        position: past + depth,
                    })
                    .collect()
            }
            None if item.n_rows < CHUNK && past > 0 => {
                let (segment, _) = &item.cache.segments[0];
                short.entry(Arc::as_ptr(segment) as usize).or_default().push((number, rows.start));
                continue;
            }
            None => alone(rows, past),
        };
        let new = if item.tree.is_some() { 0 } else { item.n_rows };
        groups.push(Group { shared: item.cache.runs(layer, new), queries });
    }
    for members in short.into_values() {
        let (number, row) = members[0];
        let cache = &*items[number].cache;
        if let [_] = members[..] {
            let n_rows = items[number].n_rows;
            let queries = alone(row..row + n_rows, cache.len());
            groups.push(Group { shared: cache.runs(layer, n_rows), queries });
            continue;
        }
        let common =
            members.iter().map(|&(number, _)| cache.n_common(items[number].cache)).min().unwrap_or(0);
        let shared = cache.runs(layer, 0)[..common].to_vec();
        let seen: usize = cache.segments[..common].iter().map(|(_, used)| used).sum();
        let mut queries = Vec::new();
        for (number, first) in members {
            let item = &items[number];
            let runs = &item.cache.runs(layer, item.n_rows)[common..];
            for (row, position) in (first..first + item.n_rows).zip(item.cache.len()..) {
                queries.push(Query { row, seen, own: leading(runs, position + 1 - seen, width), position });
            }
        }
        groups.push(Group { shared, queries });
    }
    groups
}

/// Rows that see all keys of their group up to themselves.
fn alone<'a>(rows: Range<usize>, past: usize) -> Vec<Query<'a>> {
    let queries = rows.zip(past..);
    queries.map(|(row, position)| Query { row, seen: position + 1, own: Vec::new(), position }).collect()
}

/// The first `n` rows of some runs.
fn leading<'a>(runs: &[Run<'a>], n: usize, width: usize) -> Vec<Run<'a>> {
    let mut rest = n * width;
    let cut = |run: &Run<'a>| {
        let length = rest.min(run.keys.len());
        rest -= length;
        Run { keys: &run.keys[..length], values: &run.values[..length] }
    };
    runs.iter().map(cut).filter(|run| !run.keys.is_empty()).collect()
}

#[cfg(test)]
mod tests;
