//! Which tokens of a cell are hidden.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::train::below;

/// Hides tokens of cells; by seed, epoch and cell alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Masker {
    pub(super) seed: u64,
    /// Share of the tokens that are chosen.
    pub(super) share: f64,
    /// The token that hides others.
    pub(super) mask: u32,
    /// The token that no cell may have.
    pub(super) pad: u32,
    /// Tokens of the model.
    pub(super) n_tokens: u32,
}

/// A cell as the model sees it, and what it is to find out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Masked {
    pub(super) ids: Vec<u32>,
    /// Places that were chosen, rising.
    pub(super) places: Vec<usize>,
    /// What stood there.
    pub(super) labels: Vec<u32>,
}

impl Masker {
    /// * `epoch`: its number, or another for what is no epoch; `item`: the number of the cell.
    pub(super) fn mask(&self, ids: &[u32], epoch: u64, item: u64) -> Masked {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&epoch.to_le_bytes());
        key[16..24].copy_from_slice(b"masked-l");
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(item);
        let mut uniform = || (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let mut masked = Masked { ids: ids.to_vec(), ..Masked::default() };
        let mut changed = vec![];
        for (place, &id) in ids.iter().enumerate() {
            if uniform() < self.share {
                masked.places.push(place);
                masked.labels.push(id);
                let kind = uniform();
                if kind < 0.8 {
                    masked.ids[place] = self.mask;
                } else if kind < 0.9 {
                    changed.push(place);
                }
            }
        }
        for place in changed {
            let token = below(&mut rng, u64::from(self.n_tokens) - 1) as u32;
            masked.ids[place] = if token < self.pad { token } else { token + 1 };
        }
        masked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASKER: Masker = Masker { seed: 1, share: 0.15, mask: 1, pad: 0, n_tokens: 1000 };

    #[test]
    fn shares_are_those_of_the_reference() {
        let ids: Vec<u32> = (0..100_000).map(|i| 4 + i % 900).collect();
        let masked = MASKER.mask(&ids, 0, 0);
        let share = |n: usize, of: usize| n as f64 / of as f64;
        assert!((share(masked.places.len(), ids.len()) - 0.15).abs() < 0.005);
        let at = |place: &&usize| masked.ids[**place];
        let n = masked.places.len();
        let hidden = masked.places.iter().filter(|place| at(place) == 1).count();
        let same = masked.places.iter().filter(|place| at(place) == ids[**place]).count();
        assert!((share(hidden, n) - 0.8).abs() < 0.01 && (share(same, n) - 0.1).abs() < 0.01);
        assert!(masked.ids.iter().all(|&id| id != 0 && id < 1000));
        for (&place, &label) in masked.places.iter().zip(&masked.labels) {
            assert_eq!(ids[place], label);
        }
        let others = (0..ids.len()).filter(|place| masked.places.binary_search(place).is_err());
        assert!(others.into_iter().all(|place| masked.ids[place] == ids[place]));
    }

    #[test]
    fn seed_epoch_and_cell_have_draws_of_their_own() {
        let ids: Vec<u32> = (4..104).collect();
        let first = MASKER.mask(&ids, 0, 0);
        assert_eq!(first, MASKER.mask(&ids, 0, 0));
        let others =
            [MASKER.mask(&ids, 1, 0), MASKER.mask(&ids, 0, 1), Masker { seed: 2, ..MASKER }.mask(&ids, 0, 0)];
        assert!(others.iter().all(|other| *other != first));
    }
}
