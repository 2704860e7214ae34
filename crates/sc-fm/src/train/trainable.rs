//! Which tensors of a model are trained.

/// A choice among the tensors of a model, by the names of its file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trainable {
    /// All of them.
    #[default]
    All,
    /// The heads alone: what stands on top of the encoder. Of Geneformer `cls`, `pooler`, `classifier` and those of several
    /// tasks; of scGPT every `…decoder` and the discriminator.
    Heads,
    /// All but the first layers of a Geneformer. The embeddings below them are trained, as in its reference.
    FromLayer(usize),
    /// What scGPT's tutorials leave free when they freeze: all but the encoders of genes, values and batches. The
    /// transformer is trained.
    WithoutScgptEncoders,
}

/// Beginnings of the names of heads.
const HEADS: [&str; 9] = [
    "cls.",
    "pooler.",
    "classifier.",
    "decoder.",
    "cls_decoder.",
    "mvc_decoder.",
    "grad_reverse_discriminator.",
    "classification_heads.",
    "attention_pool.",
];

impl Trainable {
    /// Whether the tensor of this name is trained. Prefixes that a file may have (`bert.`, `module.`) make no difference.
    pub fn includes(self, name: &str) -> bool {
        let name = name.strip_prefix("module.").unwrap_or(name);
        let name = name.strip_prefix("bert.").unwrap_or(name);
        match self {
            Self::All => true,
            Self::Heads => HEADS.iter().any(|head| name.starts_with(head)),
            Self::FromLayer(first) => layer(name).is_none_or(|layer| layer >= first),
            Self::WithoutScgptEncoders => name.contains("transformer_encoder") || !name.contains("encoder"),
        }
    }
}

/// The number in `encoder.layer.{number}.`.
fn layer(name: &str) -> Option<usize> {
    name.strip_prefix("encoder.layer.")?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_layers_are_frozen_and_the_embeddings_are_not() {
        let trained = |name| Trainable::FromLayer(2).includes(name);
        assert!(trained("bert.embeddings.word_embeddings.weight"));
        assert!(!trained("bert.encoder.layer.0.output.dense.bias"));
        assert!(!trained("encoder.layer.1.attention.self.query.weight"));
        assert!(trained("bert.encoder.layer.2.output.dense.bias"));
        assert!(trained("bert.encoder.layer.10.output.dense.bias"));
        assert!(trained("classifier.weight"));
    }

    #[test]
    fn heads_are_what_stands_on_top() {
        let trained = |name| Trainable::Heads.includes(name);
        for name in [
            "cls.predictions.bias",
            "bert.pooler.dense.weight",
            "classification_heads.0.bias",
            "mvc_decoder.W.weight",
        ] {
            assert!(trained(name), "{name}");
        }
        for name in
            ["bert.encoder.layer.0.output.dense.bias", "encoder.embedding.weight", "dsbn.bns.0.weight"]
        {
            assert!(!trained(name), "{name}");
        }
    }

    #[test]
    fn scgpt_s_encoders_are_frozen_but_not_its_transformer() {
        let trained = |name| Trainable::WithoutScgptEncoders.includes(name);
        for name in
            ["encoder.embedding.weight", "value_encoder.norm.bias", "module.batch_encoder.enc_norm.weight"]
        {
            assert!(!trained(name), "{name}");
        }
        for name in ["transformer_encoder.layers.0.linear1.weight", "cls_decoder.out_layer.bias", "bn.weight"]
        {
            assert!(trained(name), "{name}");
        }
    }
}
