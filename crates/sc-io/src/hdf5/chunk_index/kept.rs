//! Chunks that were inflated for a part of them, kept for the reading that wants the rest.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes kept at most for one dataset.
const MOST: usize = 64 << 20;

/// The chunks inflated last, with their positions in the index; the oldest gives way.
#[derive(Debug, Default)]
pub(in crate::hdf5) struct Kept(Mutex<VecDeque<(usize, Arc<[u8]>)>>);

impl Kept {
    pub(in crate::hdf5) fn get(&self, at: usize) -> Option<Arc<[u8]>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(known, _)| *known == at).map(|(_, image)| Arc::clone(image))
    }

    /// Keeps the image of a chunk, unless it is larger than everything that may be kept.
    pub(in crate::hdf5) fn put(&self, at: usize, image: Arc<[u8]>) -> Arc<[u8]> {
        // A panic elsewhere cannot leave the list half-changed.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if image.len() <= MOST && !kept.iter().any(|(known, _)| *known == at) {
            let mut bytes = image.len() + kept.iter().map(|(_, image)| image.len()).sum::<usize>();
            while bytes > MOST {
                bytes -= kept.pop_front().map_or(bytes, |(_, oldest)| oldest.len());
            }
            kept.push_back((at, Arc::clone(&image)));
        }
        image
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_chunk_gives_way_and_one_too_large_is_not_kept() {
        let kept = Kept::default();
        let image = |bytes: usize| Arc::from(vec![0u8; bytes]);
        for at in 0..3 {
            kept.put(at, image(MOST / 2));
        }
        assert!(kept.get(0).is_none());
        assert!(kept.get(1).is_some() && kept.get(2).is_some());
        kept.put(3, image(MOST + 1));
        assert!(kept.get(3).is_none() && kept.get(2).is_some());
    }
}
