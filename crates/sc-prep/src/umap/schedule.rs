//! When each edge is drawn: umap-learn's epochs per sample.

/// The edges of some cells with the epochs at which they are due.
pub(super) struct Schedule {
    /// Where the edges of each cell start.
    starts: Vec<usize>,
    tails: Vec<u32>,
    /// Epochs from one draw of an edge to the next.
    period: Vec<f32>,
    next: Vec<f32>,
    /// Negative samples an edge takes per epoch: the rate over the period.
    negative_rate: Vec<f32>,
    next_negative: Vec<f32>,
}

/// An edge that is due.
#[derive(Clone, Copy)]
pub(super) struct Due {
    pub(super) tail: u32,
    pub(super) n_negative: u32,
}

impl Schedule {
    /// * `rows`: neighbours and weights of each cell; `largest`: the largest weight of the whole graph.
    pub(super) fn new<'a>(
        rows: impl Iterator<Item = (&'a [u32], &'a [f32])>,
        largest: f32,
        negative_sample_rate: u32,
    ) -> Self {
        let mut schedule = Self {
            starts: vec![0],
            tails: Vec::new(),
            period: Vec::new(),
            next: Vec::new(),
            negative_rate: Vec::new(),
            next_negative: Vec::new(),
        };
        let rate = negative_sample_rate as f32;
        for (tails, weights) in rows {
            schedule.tails.extend_from_slice(tails);
            for &w in weights {
                let period = largest / w;
                schedule.period.push(period);
                schedule.next.push(period);
                schedule.negative_rate.push(rate / period);
                schedule.next_negative.push(if rate > 0.0 { period / rate } else { 0.0 });
            }
            schedule.starts.push(schedule.tails.len());
        }
        schedule
    }

    pub(super) fn n_cells(&self) -> usize {
        self.starts.len() - 1
    }

    /// Advances the edges of one cell to `epoch` and lists those that are due.
    #[inline(always)]
    pub(super) fn advance(&mut self, cell: usize, epoch: f32, due: &mut Vec<Due>) {
        let span = self.starts[cell]..self.starts[cell + 1];
        due.clear();
        due.resize(span.len(), Due { tail: 0, n_negative: 0 });
        let mut n_due = 0;
        let tails = &self.tails[span.clone()];
        let period = &self.period[span.clone()];
        let next = &mut self.next[span.clone()];
        let rate = &self.negative_rate[span.clone()];
        let next_negative = &mut self.next_negative[span];
        for e in 0..tails.len() {
            // Written without branches: whether an edge is due is as good as random.
            let is_due = next[e] <= epoch;
            let wanted = ((epoch - next_negative[e]) * rate[e]) as u32;
            let n_negative = if is_due { wanted } else { 0 };
            due[n_due] = Due { tail: tails[e], n_negative };
            n_due += usize::from(is_due);
            next[e] += if is_due { period[e] } else { 0.0 };
            let taken = if n_negative > 0 { n_negative as f32 / rate[e] } else { 0.0 };
            next_negative[e] += taken;
        }
        due.truncate(n_due);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_is_drawn_in_proportion_to_its_weight() {
        let (tails, weights) = ([5u32, 6, 7], [1.0f32, 0.5, 0.1]);
        let mut schedule = Schedule::new([(&tails[..], &weights[..])].into_iter(), 1.0, 5);
        let (mut drawn, mut negative) = ([0; 3], [0; 3]);
        let mut due = Vec::new();
        for epoch in 0..=500 {
            schedule.advance(0, epoch as f32, &mut due);
            for edge in &due {
                drawn[edge.tail as usize - 5] += 1;
                negative[edge.tail as usize - 5] += edge.n_negative;
            }
        }
        assert_eq!(drawn, [500, 250, 50]);
        for (n, of) in negative.iter().zip(drawn) {
            assert!(n.abs_diff(5 * of) <= 6, "{negative:?}");
        }
        assert_eq!(schedule.n_cells(), 1);
    }
}
