use std::time::Duration;

/// How far a training is. A callback gets it after every step, in the thread that asked for the training, and goes on
/// with [`ControlFlow::Continue`](std::ops::ControlFlow::Continue) or stops.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainProgress {
    /// The epoch that is under way, from 1 on.
    pub epoch: usize,
    /// Epochs at most.
    pub n_epochs: usize,
    /// Steps of the optimizer that are done, over all epochs.
    pub step: usize,
    /// Steps of all epochs.
    pub n_steps: usize,
    /// The loss of the last steps, older ones weighing less: each step a twentieth.
    pub loss: f64,
    /// The learning rate of the last step.
    pub learning_rate: f64,
    /// Items, such as cells, that this run trained on.
    pub items: u64,
    /// Tokens of them.
    pub tokens: u64,
    /// Share of all steps that is done, in 0..=1.
    pub fraction: f64,
    /// Share that was done before this run began; 0 unless it goes on where another was cut off.
    pub before: f64,
    /// Since this run began.
    pub elapsed: Duration,
}

impl TrainProgress {
    /// Items that this run trains on in a second.
    pub fn items_per_second(&self) -> f64 {
        self.items as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// The time left, if no epoch is spared and the rest goes as fast as this run went so far.
    pub fn remaining(&self) -> Option<Duration> {
        let here = self.fraction - self.before;
        let factor = (1.0 - self.fraction) / here;
        let left = || Duration::try_from_secs_f64(self.elapsed.as_secs_f64() * factor.max(0.0)).ok();
        (here > 0.0).then(left).flatten()
    }
}

/// Goes on, whatever is done.
pub fn unwatched(_: &TrainProgress) -> std::ops::ControlFlow<()> {
    std::ops::ControlFlow::Continue(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_counts_this_run_alone() {
        let mut progress = TrainProgress {
            epoch: 2,
            n_epochs: 3,
            step: 5,
            n_steps: 10,
            loss: 0.4,
            learning_rate: 1e-3,
            items: 20,
            tokens: 900,
            fraction: 0.5,
            before: 0.4,
            elapsed: Duration::from_secs(10),
        };
        assert!((progress.remaining().unwrap().as_secs_f64() - 50.0).abs() < 1e-9);
        assert!((progress.items_per_second() - 2.0).abs() < 1e-9);
        progress.before = 0.5;
        assert_eq!(progress.remaining(), None);
    }
}
