//! How the learning rate changes in the course of a training.

use serde::{Deserialize, Serialize};

use super::Error;
use super::error::check;

/// The learning rate of each step: it rises in a line from 0 while the training warms up, then declines.
///
/// The formulas are those of Hugging Face's `get_scheduler` and of PyTorch's `StepLR`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The highest learning rate; above 0.
    pub learning_rate: f64,
    /// Steps in which it rises. Default none.
    pub warmup: Warmup,
    /// What it does then. Default [`Decline::Linear`].
    pub decline: Decline,
}

/// How long the learning rate rises.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Warmup {
    /// So many steps.
    Steps(usize),
    /// This share of all steps, rounded up; at least 0, at most 1.
    Ratio(f64),
}

/// What the learning rate does after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Decline {
    /// It stays.
    Constant,
    /// In a line to 0 at the end.
    Linear,
    /// As half a wave of the cosine, to 0 at the end.
    Cosine,
    /// `end + (highest − end) · (share of steps that remain)^power`.
    Polynomial {
        /// The exponent; above 0. Hugging Face's default is 1.
        power: f64,
        /// The learning rate at the end, below the highest. Hugging Face's default is 1e-7.
        end: f64,
    },
    /// Multiplied by `factor` after each epoch; scGPT's tutorials have 0.9.
    EachEpoch {
        /// The factor; above 0, at most 1.
        factor: f64,
    },
}

impl Schedule {
    /// Linear, without a warm-up.
    pub fn linear(learning_rate: f64) -> Self {
        Self { learning_rate, warmup: Warmup::Steps(0), decline: Decline::Linear }
    }

    /// Refuses what is no schedule.
    ///
    /// # Errors
    /// [`Error::Param`].
    pub fn validate(&self) -> Result<(), Error> {
        let positive = |x: f64| x.is_finite() && x > 0.0;
        let rate = self.learning_rate;
        check("learning_rate", rate, positive(rate), "a finite number above 0")?;
        if let Warmup::Ratio(ratio) = self.warmup {
            check("warmup", ratio, (0.0..=1.0).contains(&ratio), "a share between 0 and 1")?;
        }
        match self.decline {
            Decline::Polynomial { power, end } => {
                check("power", power, positive(power), "a finite number above 0")?;
                check("end", end, end >= 0.0 && end < rate, "at least 0 and below `learning_rate`")
            }
            Decline::EachEpoch { factor } => {
                check("factor", factor, factor > 0.0 && factor <= 1.0, "above 0 and at most 1")
            }
            _ => Ok(()),
        }
    }

    /// The learning rate of a step.
    ///
    /// * `step`: number of steps made before; `n_steps`: of the whole training; `epoch`: epochs finished before.
    pub fn at(&self, step: usize, n_steps: usize, epoch: usize) -> f64 {
        let warmup = match self.warmup {
            Warmup::Steps(steps) => steps,
            Warmup::Ratio(ratio) => (n_steps as f64 * ratio).ceil() as usize,
        };
        if step < warmup {
            return self.learning_rate * (step as f64 / warmup as f64);
        }
        let remaining = n_steps.saturating_sub(step) as f64 / n_steps.saturating_sub(warmup).max(1) as f64;
        match self.decline {
            Decline::Constant => self.learning_rate,
            Decline::Linear => self.learning_rate * remaining,
            Decline::Cosine => {
                let angle = std::f64::consts::PI * (1.0 - remaining);
                self.learning_rate * (0.5 * (1.0 + libm::cos(angle))).max(0.0)
            }
            Decline::Polynomial { power, end } => {
                (self.learning_rate - end) * libm::pow(remaining, power) + end
            }
            Decline::EachEpoch { factor } => (0..epoch).fold(self.learning_rate, |rate, _| rate * factor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(warmup: Warmup, decline: Decline) -> Vec<f64> {
        let schedule = Schedule { learning_rate: 1e-3, warmup, decline };
        schedule.validate().unwrap();
        (0..6).map(|step| schedule.at(step, 6, 0)).collect()
    }

    #[track_caller]
    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15), "{found:?}");
    }

    #[test]
    fn rates_rise_and_decline_as_in_hugging_face_s_trainer() {
        let two = Warmup::Steps(2);
        close(&rates(two, Decline::Constant), &[0.0, 5e-4, 1e-3, 1e-3, 1e-3, 1e-3]);
        close(&rates(two, Decline::Linear), &[0.0, 5e-4, 1e-3, 7.5e-4, 5e-4, 2.5e-4]);
        let cosine = [0.0, 5e-4, 1e-3, 0.0008535533905932737, 5e-4, 0.00014644660940672628];
        close(&rates(two, Decline::Cosine), &cosine);
        let square = Decline::Polynomial { power: 2.0, end: 1e-4 };
        let of = |share: f64| 9e-4 * share * share + 1e-4;
        close(&rates(two, square), &[0.0, 5e-4, of(1.0), of(0.75), of(0.5), of(0.25)]);
        assert_eq!(rates(Warmup::Ratio(0.2), Decline::Cosine), rates(two, Decline::Cosine));
    }

    #[test]
    fn what_comes_after_the_end_is_the_end() {
        let at = |decline| Schedule { learning_rate: 1.0, warmup: Warmup::Steps(0), decline }.at(9, 6, 0);
        assert_eq!(at(Decline::Linear), 0.0);
        assert_eq!(at(Decline::Cosine), 0.0);
        assert_eq!(at(Decline::Polynomial { power: 1.0, end: 0.25 }), 0.25);
        assert_eq!(Schedule::linear(1.0).at(0, 0, 0), 0.0);
        let warm = Schedule { warmup: Warmup::Steps(4), ..Schedule::linear(1.0) };
        assert_eq!(warm.at(1, 2, 0), 0.25);
    }

    #[test]
    fn an_epoch_can_end_a_step_of_the_rate() {
        let schedule = Schedule { decline: Decline::EachEpoch { factor: 0.5 }, ..Schedule::linear(8.0) };
        assert_eq!([0, 1, 3].map(|epoch| schedule.at(7, 9, epoch)), [8.0, 4.0, 1.0]);
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        let message = |schedule: Schedule| schedule.validate().unwrap_err().to_string();
        assert_eq!(message(Schedule::linear(0.0)), "`learning_rate` is 0, expected a finite number above 0");
        let linear = Schedule::linear(1.0);
        assert!(
            message(Schedule { warmup: Warmup::Ratio(1.5), ..linear.clone() }).contains("`warmup` is 1.5")
        );
        let polynomial = Decline::Polynomial { power: 1.0, end: 1.0 };
        assert!(
            message(Schedule { decline: polynomial, ..linear.clone() }).contains("below `learning_rate`")
        );
        let factor = Decline::EachEpoch { factor: 0.0 };
        assert!(message(Schedule { decline: factor, ..linear }).starts_with("`factor` is 0"));
    }
}
