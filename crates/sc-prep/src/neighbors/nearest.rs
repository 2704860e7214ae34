//! The candidates that may be among the `k` nearest of one query.

/// A growing list that is thinned whenever it is full.
pub(super) struct Nearest {
    k: usize,
    /// What rounding of the query can add to the difference of two scores.
    slack: f32,
    /// A higher score than this cannot be among the nearest.
    limit: f32,
    capacity: usize,
    entries: Vec<(f32, u32)>,
}

impl Nearest {
    pub(super) fn new(k: usize, slack: f32) -> Self {
        let capacity = 2 * k + 16;
        Self { k, slack, limit: f32::INFINITY, capacity, entries: Vec::with_capacity(capacity) }
    }

    #[inline(always)]
    pub(super) fn limit(&self) -> f32 {
        self.limit
    }

    /// Takes a candidate in; `doubt` tells by how much a candidate's score may be too low.
    #[inline(always)]
    pub(super) fn push(&mut self, score: f32, index: u32, doubt: impl Fn(u32) -> f32) {
        if self.entries.len() == self.capacity {
            self.thin(doubt);
            if score > self.limit {
                return;
            }
        }
        self.entries.push((score, index));
    }

    /// Drops whoever is further away, at best, than `k` candidates are at worst.
    #[cold]
    fn thin(&mut self, doubt: impl Fn(u32) -> f32) {
        let by_score = |a: &(f32, u32), b: &(f32, u32)| a.0.total_cmp(&b.0);
        self.entries.select_nth_unstable_by(self.k - 1, by_score);
        let (nearest, _) = self.entries.split_at(self.k);
        let worst = nearest.iter().map(|&(score, index)| score + doubt(index));
        self.limit = worst.fold(f32::NEG_INFINITY, f32::max) + self.slack;
        let limit = self.limit;
        self.entries.retain(|&(score, _)| score <= limit);
        // Many equal distances cannot be told apart here; the list then grows instead of being thinned in vain.
        self.capacity = self.capacity.max(2 * self.entries.len());
    }

    /// The candidates that are left after a last thinning.
    pub(super) fn finish(&mut self, doubt: impl Fn(u32) -> f32) -> &[(f32, u32)] {
        if self.entries.len() > self.k {
            self.thin(doubt);
        }
        &self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_nearest_and_those_in_doubt() {
        let mut nearest = Nearest::new(2, 0.5);
        for i in 0..100u32 {
            nearest.push(100.0 - i as f32, i, |_| 1.0);
        }
        // The second best is 2 and at worst 3; with the slack, everything up to 3.5 stays.
        let mut left: Vec<u32> = nearest.finish(|_| 1.0).iter().map(|e| e.1).collect();
        left.sort_unstable();
        assert_eq!(left, [97, 98, 99]);
    }

    #[test]
    fn no_tie_is_lost_however_many_there_are() {
        let mut nearest = Nearest::new(3, 0.0);
        for i in 0..1000 {
            nearest.push(1.0, i, |_| 0.0);
        }
        assert_eq!(nearest.finish(|_| 0.0).len(), 1000);
    }
}
