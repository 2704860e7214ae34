//! What a token costs, in memory and in work.

use candle_core::DType;

/// Tokens of a batch beyond which the matrix products get no faster, but the caches overflow.
const MAX_TOKENS: usize = 2048;

/// The sizes of an encoder that decide about its cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cost {
    pub(crate) width: usize,
    pub(crate) inner: usize,
    pub(crate) dtype: DType,
}

impl Cost {
    /// Bytes that a token needs at most at once.
    ///
    /// In a layer there are: its input; queries, keys and values, which attention lays out once more; its result. Then
    /// there are input, inner values before and after the function, output and sum. Numbers of half the size are widened
    /// on the way through the products.
    pub(crate) fn bytes_per_token(&self) -> usize {
        let attention = 10 * self.width;
        let feed_forward = 4 * self.width + 2 * self.inner;
        let widened = match self.dtype {
            DType::F64 => 8,
            DType::F32 => 4,
            _ => 4 + 2,
        };
        widened * attention.max(feed_forward)
    }

    /// Tokens of a batch, where `lanes` batches share the memory.
    pub(crate) fn batch_tokens(&self, memory: usize, lanes: usize) -> usize {
        (memory / lanes.max(1) / self.bytes_per_token()).clamp(1, MAX_TOKENS)
    }

    /// Multiplications of a cell in one layer, by which cells weigh in the progress.
    pub(crate) fn work(&self, n_tokens: usize) -> f64 {
        let (n, width, inner) = (n_tokens as f64, self.width as f64, self.inner as f64);
        n * (4.0 * width * width + 2.0 * width * inner) + 2.0 * n * n * width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Cost = Cost { width: 256, inner: 512, dtype: DType::F32 };

    #[test]
    fn batches_share_the_memory_and_hold_a_token_at_least() {
        assert_eq!(SMALL.bytes_per_token(), 4 * 10 * 256);
        assert_eq!(SMALL.batch_tokens(1000 * SMALL.bytes_per_token(), 2), 500);
        assert_eq!(SMALL.batch_tokens(0, 0), 1);
        assert_eq!(SMALL.batch_tokens(usize::MAX, 1), MAX_TOKENS);
    }

    #[test]
    fn long_cells_weigh_more_than_their_length() {
        assert!(SMALL.work(2000) > 2.0 * SMALL.work(1000));
        assert_eq!(SMALL.work(0), 0.0);
    }
}
