use std::time::Duration;

/// How far a data set is embedded. A callback gets it after every few batches, in the thread that asked for the
/// embedding, and goes on with [`ControlFlow::Continue`](std::ops::ControlFlow::Continue) or stops.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Cells that are done, those without a gene of the model among them.
    pub cells: usize,
    /// Cells of the data set.
    pub n_cells: usize,
    /// Tokens embedded in this run.
    pub tokens: u64,
    /// Share of the work that is done, in 0..=1: cells weigh as much as their matrix products, which grow faster than
    /// their length.
    pub fraction: f64,
    /// Share that was done before this run began; 0 unless it goes on where another was cut off.
    pub before: f64,
}

impl Progress {
    /// The time left, if the rest goes as fast as this run went so far.
    ///
    /// * `elapsed`: since this run began.
    pub fn remaining(&self, elapsed: Duration) -> Option<Duration> {
        let here = self.fraction - self.before;
        let factor = (1.0 - self.fraction) / here;
        (here > 0.0)
            .then(|| Duration::try_from_secs_f64(elapsed.as_secs_f64() * factor.max(0.0)).ok())
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_counts_this_run_alone() {
        let mut progress = Progress { cells: 5, n_cells: 9, tokens: 70, fraction: 0.5, before: 0.4 };
        let left = progress.remaining(Duration::from_secs(10)).unwrap();
        assert!((left.as_secs_f64() - 50.0).abs() < 1e-9);
        progress.before = 0.5;
        assert_eq!(progress.remaining(Duration::from_secs(10)), None);
    }
}
