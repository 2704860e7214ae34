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
///
/// Of a layer with a [window](Self::with_windows), rows that no token to come sees are let go in the end: of a text that is
/// read on by itself at most `1.5 window + 128` stay after each step. What texts share stays as long as one of them does.
#[derive(Clone, Debug)]
pub struct KvCache {
    /// Columns of keys, those of all their heads.
    width: usize,
    n_layers: usize,
    /// For each layer how many tokens a token sees at most; empty if all see all.
    windows: Arc<[Option<usize>]>,
    /// Parts of the text in order, and how many rows of each belong to it.
    segments: Vec<(Arc<Segment>, usize)>,
}

/// Rows of keys and values, for each layer.
#[derive(Debug)]
struct Segment {
    layers: Vec<[Vec<f32>; 2]>,
    /// In place of `layers`, where the kernels of this crate do not compute; empty where they do.
    elsewhere: Vec<Option<elsewhere::Rows>>,
    /// For each layer the rows at the beginning that were let go.
    gone: Vec<usize>,
}

/// Tokens that can be taken back from any text, whatever windows its layers have.
const BACK: usize = 64;

impl KvCache {
    /// An empty cache.
    ///
    /// * `width`: columns of keys, those of all their heads.
    pub fn new(n_layers: usize, width: usize) -> Self {
        Self { width, n_layers, windows: Arc::new([]), segments: Vec::new() }
    }

    /// Says how many tokens a token sees in each layer at most, itself and those right before it; `None` for all.
    #[must_use]
    pub fn with_windows(mut self, windows: impl IntoIterator<Item = Option<usize>>) -> Self {
        self.windows = windows.into_iter().collect();
        self
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
    ///
    /// # Errors
    /// A text of which a layer with a window no longer has what its next token would see. The last 64 tokens can always be
    /// taken back, and so can all of a text that is no longer than some window.
    pub fn truncate(&mut self, len: usize) -> Result<()> {
        let mut segments = self.segments.clone();
        let mut rest = len;
        for (_, used) in &mut segments {
            *used = rest.min(*used);
            rest -= *used;
        }
        segments.retain(|(_, used)| *used > 0);
        for (layer, window) in self.windows.iter().enumerate() {
            let Some(window) = window else { continue };
            let start = (len + 1).saturating_sub(*window);
            let mut first = 0;
            for (segment, used) in &segments {
                let gone = first + segment.gone.get(layer).copied().unwrap_or(0);
                if gone > first && gone.min(first + used) > start {
                    let n = self.len();
                    bail!(
                        "a text of {n} tokens cut to {len}: layer {layer} has let go of keys before {gone}"
                    );
                }
                first += used;
            }
        }
        self.segments = segments;
        Ok(())
    }

    /// Lets go of rows of the last segment that no token to come sees, when there are many.
    fn trim(&mut self) {
        let (width, windows) = (self.width, self.windows.clone());
        let Some((segment, used)) = self.own() else { return };
        for ((rows, gone), window) in segment.layers.iter_mut().zip(&mut segment.gone).zip(windows.iter()) {
            let Some(window) = window else { continue };
            let keep = window.saturating_add(BACK);
            let most = keep.saturating_add((window / 2).max(BACK));
            // Nothing is there of layers that are not computed here.
            let stored = rows[0].len() / width.max(1);
            if stored <= most || stored + *gone != used {
                continue;
            }
            let n = stored - keep;
            for values in rows {
                values.drain(..n * width);
                values.shrink_to((most + 1) * width);
            }
            *gone += n;
        }
    }

    /// The last segment, if this text alone holds it.
    fn own(&mut self) -> Option<(&mut Segment, usize)> {
        let (segment, used) = self.segments.last_mut()?;
        Some((Arc::get_mut(segment)?, *used))
    }

    /// Gets a last segment ready that this text alone holds, with nothing in it that does not belong to the text.
    fn begin(&mut self) {
        let width = self.width;
        match self.own() {
            Some((segment, used)) => {
                // What was forgotten, and what a step that failed left behind.
                for (rows, gone) in segment.layers.iter_mut().zip(&mut segment.gone) {
                    *gone = used.min(*gone);
                    rows.iter_mut().for_each(|values| values.truncate((used - *gone) * width));
                }
            }
            None => {
                let layers = (0..self.n_layers).map(|_| [Vec::new(), Vec::new()]).collect();
                let segment = Segment { layers, elsewhere: Vec::new(), gone: vec![0; self.n_layers] };
                self.segments.push((Arc::new(segment), 0));
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
            let held = used - segment.gone[layer].min(*used);
            segment.layers[layer].iter().all(|values| values.len() >= held * self.width)
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
            let rows = used + if i == last { new } else { 0 };
            let gone = segment.gone[layer].min(rows);
            let end = (rows - gone) * self.width;
            Run { keys: &keys[..end], values: &values[..end], gone }
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
            self.cache.trim();
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
    let of_rows =
        |at: Range<usize>| Run { keys: &k.data[rows(k, at.clone())], values: &v.data[rows(v, at)], gone: 0 };
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
    let mut rest = n;
    let cut = |run: &Run<'a>| {
        let gone = rest.min(run.gone);
        let length = (rest - gone).min(run.keys.len() / width) * width;
        rest -= gone + length / width;
        Run { keys: &run.keys[..length], values: &run.values[..length], gone }
    };
    runs.iter().map(cut).filter(|run| run.gone > 0 || !run.keys.is_empty()).collect()
}

#[cfg(test)]
mod tests;
