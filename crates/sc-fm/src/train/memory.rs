//! What a training needs of memory, before it begins.

use super::Error;

/// The sizes that decide about the memory of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryPlan {
    /// Numbers of the model.
    pub(crate) n_weights: usize,
    /// Numbers that are trained.
    pub(crate) n_trained: usize,
    /// Copies of the trained numbers beside gradients and moments: the epoch that is kept, a running mean.
    pub(crate) n_copies: usize,
    /// Tokens of the largest batch.
    pub(crate) n_tokens: usize,
    /// Layers that a loss goes back through.
    pub(crate) n_layers: usize,
    pub(crate) width: usize,
    pub(crate) inner: usize,
    /// Whether layers keep their inputs alone.
    pub(crate) checkpointing: bool,
    /// Numbers of logits and what comes with them.
    pub(crate) n_logits: usize,
}

impl MemoryPlan {
    /// Bytes at the highest point, by estimate.
    ///
    /// The weights of the model that was given are there twice, as packed for the products; of each trained number there
    /// are its value, the gradient as the backward pass makes it and as it is collected, and two moments. A layer keeps
    /// for the way back, of each token: its input; queries, keys and values; what attention gives, before and after its
    /// output layer; both sums with their norms; the inner values and what is dropped of them. The way back holds as much
    /// of one layer once more. With checkpointing a layer keeps its input, and two are there at a time.
    pub(crate) fn bytes(&self) -> usize {
        let per_layer = 12 * self.width + 3 * self.inner;
        let layers = match self.checkpointing {
            true => self.width * self.n_layers + 2 * per_layer,
            false => per_layer * (self.n_layers + 1),
        };
        let activations = self.n_tokens * (layers + 6 * self.width);
        let trained = self.n_trained * (5 + self.n_copies);
        size_of::<f32>() * (2 * self.n_weights + trained + activations + 3 * self.n_logits)
    }

    /// Refuses a training that needs more than `limit`.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub(crate) fn check(&self, limit: Option<usize>) -> Result<(), Error> {
        match limit.filter(|&limit| self.bytes() > limit) {
            Some(limit) => Err(Error::Memory { needed: self.bytes(), limit, n_tokens: self.n_tokens }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_training_over_its_limit_is_refused_with_what_to_lower() {
        let plan = MemoryPlan {
            n_weights: 10_000_000,
            n_trained: 10_000_000,
            n_copies: 1,
            n_tokens: 8192,
            n_layers: 6,
            checkpointing: false,
            width: 256,
            inner: 512,
            n_logits: 100,
        };
        plan.check(None).unwrap();
        plan.check(Some(plan.bytes())).unwrap();
        let error = plan.check(Some(1 << 20)).unwrap_err();
        assert!(error.to_string().contains("8192 tokens, but 1.0 MiB are allowed"), "{error}");
        assert!(error.help().unwrap().contains("batch_size"));
        let longer = MemoryPlan { n_tokens: 16_384, ..plan };
        assert!(MemoryPlan { checkpointing: true, ..plan }.bytes() < plan.bytes());
        assert!(longer.bytes() > plan.bytes() && MemoryPlan { n_trained: 0, ..plan }.bytes() < plan.bytes());
    }
}
