use super::Method;
use crate::train::EpochRecord;

/// How a classifier came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    pub(super) method: Method,
    pub(super) seed: u64,
    pub(super) history: Vec<EpochRecord>,
    /// Place in the history of the epoch that was kept.
    pub(super) best: usize,
}

impl Training {
    /// What was trained.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Every epoch.
    pub fn history(&self) -> &[EpochRecord] {
        &self.history
    }

    /// The epoch that was kept.
    pub fn best_epoch(&self) -> &EpochRecord {
        &self.history[self.best]
    }
}
