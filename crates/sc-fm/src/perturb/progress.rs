use std::time::Duration;

/// How far the perturbations are. A callback gets it after every few batches, in the thread that asked, and goes on with
/// [`ControlFlow::Continue`](std::ops::ControlFlow::Continue) or stops.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// Perturbed cells that are done and kept, with those of earlier runs.
    pub perturbations: usize,
    /// Perturbed cells in all.
    pub n_perturbations: usize,
    /// Share of the work that is done, in 0..=1.
    pub fraction: f64,
    /// Share that was done before this run began.
    pub before: f64,
}

impl Progress {
    /// The time left, if the rest goes as fast as this run went so far.
    ///
    /// * `elapsed`: since this run began.
    pub fn remaining(&self, elapsed: Duration) -> Option<Duration> {
        let here = self.fraction - self.before;
        let seconds = elapsed.as_secs_f64() * ((1.0 - self.fraction) / here).max(0.0);
        (here > 0.0).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
    }
}
