//! Which cells go together, and the run through all of them.

use std::cmp::Reverse;
use std::ops::ControlFlow;

use rayon::prelude::*;

use super::cost::Cost;
use super::{Error, Progress};
use crate::Result;

/// What a caller is told, and answers.
pub(crate) type Watch<'w> = dyn FnMut(&Progress) -> ControlFlow<()> + 'w;

/// Batches in the order in which they are computed, each a list of cells.
#[derive(Debug, PartialEq)]
pub(crate) struct Plan {
    batches: Vec<Vec<usize>>,
}

impl Plan {
    /// Cells by falling length, as many in a batch as have `max_tokens` tokens together, one at least. The longest come
    /// first, so that a run that lacks memory fails at once.
    pub(crate) fn new(lengths: &[usize], max_tokens: usize) -> Self {
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|&cell| Reverse(lengths[cell]));
        let (mut batches, mut n_tokens) = (vec![], 0usize);
        for cell in order {
            n_tokens = n_tokens.saturating_add(lengths[cell]);
            match batches.last_mut() {
                Some(batch) if n_tokens <= max_tokens => Vec::push(batch, cell),
                _ => {
                    n_tokens = lengths[cell];
                    batches.push(vec![cell]);
                }
            }
        }
        Self { batches }
    }

    /// How many of the next batches may be computed at once: `lanes` at most, and no more than the memory holds, but
    /// one.
    fn wave(
        batches: &[Vec<usize>],
        lengths: &[usize],
        lanes: usize,
        memory: usize,
        per_token: usize,
    ) -> usize {
        let mut held = 0usize;
        let fits = batches.iter().take(lanes.max(1)).take_while(|batch| {
            let n_tokens: usize = batch.iter().map(|&cell| lengths[cell]).sum();
            held = held.saturating_add(n_tokens.saturating_mul(per_token));
            held <= memory
        });
        fits.count().max(1)
    }
}

/// Some cells of a data set on their way through a model.
pub(crate) struct Run<'r> {
    /// Tokens of each cell.
    pub(crate) lengths: &'r [usize],
    pub(crate) cost: Cost,
    /// Bytes for hidden values.
    pub(crate) memory: usize,
}

impl Run<'_> {
    /// Sends every cell through `encode`, batch by batch and several batches at once, and hands what comes back to
    /// `take`, in the order of the plan. `watch` hears the share of the work and the number of cells and tokens done.
    pub(crate) fn each<T: Send>(
        &self,
        encode: impl Fn(&[usize]) -> Result<T> + Sync,
        mut take: impl FnMut(&[usize], T) -> Result<()>,
        mut watch: impl FnMut(f64, usize, u64) -> ControlFlow<()>,
    ) -> Result<()> {
        let lanes = rayon::current_num_threads();
        let plan = Plan::new(self.lengths, self.cost.batch_tokens(self.memory, lanes));
        let work =
            |cells: &[usize]| -> f64 { cells.iter().map(|&cell| self.cost.work(self.lengths[cell])).sum() };
        let total: f64 = plan.batches.iter().map(|batch| work(batch)).sum();
        let (mut done, mut n_cells, mut n_tokens) = (0.0, 0, 0u64);
        let mut rest = plan.batches.as_slice();
        while !rest.is_empty() {
            let n = Plan::wave(rest, self.lengths, lanes, self.memory, self.cost.bytes_per_token());
            let (wave, later) = rest.split_at(n);
            rest = later;
            // All at once rather than one after another: the parts of a batch that are not products run on one thread.
            // Waves keep a thread that waits inside one batch from starting a further one beyond the memory.
            let results: Vec<Result<T>> = wave.par_iter().map(|batch| encode(batch)).collect();
            for (batch, result) in wave.iter().zip(results) {
                take(batch, result?)?;
                done += work(batch);
                n_cells += batch.len();
                n_tokens += batch.iter().map(|&cell| self.lengths[cell] as u64).sum::<u64>();
            }
            let fraction = if rest.is_empty() { 1.0 } else { done / total };
            if watch(fraction, n_cells, n_tokens).is_break() {
                return Err(Error::Cancelled.into());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::DType;

    use super::*;

    #[test]
    fn batches_fill_up_longest_first() {
        let plan = Plan::new(&[3, 9, 1, 4, 2], 7);
        assert_eq!(plan.batches, [vec![1], vec![3, 0], vec![4, 2]]);
        assert!(Plan::new(&[], 7).batches.is_empty());
        assert_eq!(Plan::new(&[5, 5], 0).batches, [[0], [1]]);
    }

    #[test]
    fn no_more_batches_run_at_once_than_memory_holds() {
        let (batches, lengths) = ([vec![0], vec![1], vec![2]], [8, 4, 2]);
        let wave = |lanes, memory| Plan::wave(&batches, &lengths, lanes, memory, 10);
        assert_eq!([wave(4, 1000), wave(2, 1000), wave(4, 120), wave(4, 119), wave(4, 0)], [3, 2, 2, 1, 1]);
    }

    #[test]
    fn every_cell_comes_once_and_the_watcher_can_stop() {
        let lengths: Vec<usize> = (0..50).map(|i| 1 + (i * 7) % 13).collect();
        let cost = Cost { width: 2, inner: 4, dtype: DType::F32 };
        let run = Run { lengths: &lengths, cost, memory: 40 * cost.bytes_per_token() };
        let (mut seen, mut fractions) = (vec![0; 50], vec![]);
        let take = |batch: &[usize], echo: Vec<usize>| {
            assert_eq!(batch, echo);
            batch.iter().for_each(|&cell| seen[cell] += 1);
            Ok(())
        };
        let mut last = (0, 0);
        run.each(
            |batch| Ok(batch.to_vec()),
            take,
            |fraction, cells, tokens| {
                fractions.push(fraction);
                last = (cells, tokens);
                ControlFlow::Continue(())
            },
        )
        .unwrap();
        assert_eq!((seen, last), (vec![1; 50], (50, lengths.iter().sum::<usize>() as u64)));
        assert!(fractions.is_sorted() && fractions.len() > 1 && fractions.last() == Some(&1.0));

        let mut n = 0;
        let stopped = run.each(
            |_| Ok(()),
            |_, ()| Ok(()),
            |_, _, _| {
                n += 1;
                ControlFlow::Break(())
            },
        );
        assert_eq!((stopped.unwrap_err().to_string().as_str(), n), ("stopped by the caller", 1));
    }
}
