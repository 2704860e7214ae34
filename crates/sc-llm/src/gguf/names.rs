//! Names of tensors: those of llama.cpp's files, and those of the models on the hub.

use sc_fm::checkpoint::gguf::{Gguf, Value};

use super::{ARCHITECTURE, Error};

/// The architectures of files, by the names that they have there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Architecture {
    Qwen2,
    Phi,
    T5,
}

impl Architecture {
    const ALL: [Self; 3] = [Self::Qwen2, Self::Phi, Self::T5];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Qwen2 => "qwen2",
            Self::Phi => "phi2",
            Self::T5 => "t5",
        }
    }

    pub(super) fn of(file: &Gguf) -> Result<Self, Error> {
        let found = file.get(ARCHITECTURE).and_then(Value::as_str).unwrap_or_default();
        let known = Self::ALL.into_iter().find(|architecture| architecture.name() == found);
        known.ok_or_else(|| Error::Architecture {
            path: file.record().path,
            found: found.to_owned(),
            known: Self::ALL.map(Self::name).to_vec(),
        })
    }
}

/// Names of modules on the hub and in files.
type Pairs = &'static [(&'static str, &'static str)];

/// Layers that are numbered: what stands before the number, on the hub and in files, and the modules in a layer.
struct Layers(&'static str, &'static str, Pairs);

/// The names of an architecture.
pub(super) struct Names {
    top: Pairs,
    layers: &'static [Layers],
}

const QWEN2: Names = Names {
    top: &[("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("lm_head", "output")],
    layers: &[Layers(
        "model.layers.",
        "blk.",
        &[
            ("input_layernorm", "attn_norm"),
            ("post_attention_layernorm", "ffn_norm"),
            ("self_attn.q_proj", "attn_q"),
            ("self_attn.k_proj", "attn_k"),
            ("self_attn.v_proj", "attn_v"),
            ("self_attn.o_proj", "attn_output"),
            ("mlp.gate_proj", "ffn_gate"),
            ("mlp.up_proj", "ffn_up"),
            ("mlp.down_proj", "ffn_down"),
        ],
    )],
};

const PHI: Names = Names {
    top: &[
        ("model.embed_tokens", "token_embd"),
        ("model.final_layernorm", "output_norm"),
        ("lm_head", "output"),
    ],
    layers: &[Layers(
        "model.layers.",
        "blk.",
        &[
            ("input_layernorm", "attn_norm"),
            ("self_attn.Wqkv", "attn_qkv"),
            ("self_attn.q_proj", "attn_q"),
            ("self_attn.k_proj", "attn_k"),
            ("self_attn.v_proj", "attn_v"),
            ("self_attn.dense", "attn_output"),
            ("mlp.fc1", "ffn_up"),
            ("mlp.fc2", "ffn_down"),
        ],
    )],
};

const T5_TOP: Pairs = &[
    ("shared", "token_embd"),
    ("encoder.final_layer_norm", "enc.output_norm"),
    ("decoder.final_layer_norm", "dec.output_norm"),
    ("lm_head", "output"),
];

/// The modules of T5's layers, with the name of what llama.cpp calls `ffn_up`.
macro_rules! t5 {
    ($up:literal) => {
        Names {
            top: T5_TOP,
            layers: &[
                Layers(
                    "encoder.block.",
                    "enc.blk.",
                    &[
                        ("layer.0.layer_norm", "attn_norm"),
                        ("layer.0.SelfAttention.q", "attn_q"),
                        ("layer.0.SelfAttention.k", "attn_k"),
                        ("layer.0.SelfAttention.v", "attn_v"),
                        ("layer.0.SelfAttention.o", "attn_o"),
                        ("layer.0.SelfAttention.relative_attention_bias", "attn_rel_b"),
                        ("layer.1.layer_norm", "ffn_norm"),
                        ("layer.1.DenseReluDense.wi_0", "ffn_gate"),
                        (concat!("layer.1.DenseReluDense.", $up), "ffn_up"),
                        ("layer.1.DenseReluDense.wo", "ffn_down"),
                    ],
                ),
                Layers(
                    "decoder.block.",
                    "dec.blk.",
                    &[
                        ("layer.0.layer_norm", "attn_norm"),
                        ("layer.0.SelfAttention.q", "attn_q"),
                        ("layer.0.SelfAttention.k", "attn_k"),
                        ("layer.0.SelfAttention.v", "attn_v"),
                        ("layer.0.SelfAttention.o", "attn_o"),
                        ("layer.0.SelfAttention.relative_attention_bias", "attn_rel_b"),
                        ("layer.1.layer_norm", "cross_attn_norm"),
                        ("layer.1.EncDecAttention.q", "cross_attn_q"),
                        ("layer.1.EncDecAttention.k", "cross_attn_k"),
                        ("layer.1.EncDecAttention.v", "cross_attn_v"),
                        ("layer.1.EncDecAttention.o", "cross_attn_o"),
                        ("layer.1.EncDecAttention.relative_attention_bias", "cross_attn_rel_b"),
                        ("layer.2.layer_norm", "ffn_norm"),
                        ("layer.2.DenseReluDense.wi_0", "ffn_gate"),
                        (concat!("layer.2.DenseReluDense.", $up), "ffn_up"),
                        ("layer.2.DenseReluDense.wo", "ffn_down"),
                    ],
                ),
            ],
        }
    };
}

const T5_GATED: Names = t5!("wi_1");
const T5_PLAIN: Names = t5!("wi");

/// Whether the feed-forward parts of a T5 have gates.
pub(super) fn is_gated(file: &Gguf) -> bool {
    file.tensor("enc.blk.0.ffn_gate.weight").is_some()
}

impl Names {
    /// Those of a file.
    pub(super) fn of(file: &Gguf) -> Result<&'static Self, Error> {
        Ok(match Architecture::of(file)? {
            Architecture::Qwen2 => &QWEN2,
            Architecture::Phi => &PHI,
            Architecture::T5 => Self::to_write(Architecture::T5, is_gated(file)),
        })
    }

    /// Those to write.
    ///
    /// * `is_gated`: whether the feed-forward parts of a T5 have gates.
    pub(super) fn to_write(architecture: Architecture, is_gated: bool) -> &'static Self {
        match architecture {
            Architecture::Qwen2 => &QWEN2,
            Architecture::Phi => &PHI,
            Architecture::T5 if is_gated => &T5_GATED,
            Architecture::T5 => &T5_PLAIN,
        }
    }

    /// The name on the hub of a tensor of a file.
    pub(super) fn on_hub(&self, name: &str) -> Option<String> {
        self.translated(name, |(hub, file)| (file, hub))
    }

    /// The name in a file of a tensor of a model on the hub.
    pub(super) fn in_file(&self, name: &str) -> Option<String> {
        self.translated(name, |(hub, file)| (hub, file))
    }

    /// * `side`: of a pair of names the one before and the one after.
    fn translated(
        &self,
        name: &str,
        side: impl Fn((&'static str, &'static str)) -> (&'static str, &'static str),
    ) -> Option<String> {
        let (module, kind) = name.rsplit_once('.')?;
        let find = |pairs: Pairs, module: &str| {
            pairs.iter().map(|pair| side(*pair)).find(|(from, _)| *from == module).map(|(_, to)| to)
        };
        if let Some(to) = find(self.top, module) {
            return Some(format!("{to}.{kind}"));
        }
        self.layers.iter().find_map(|Layers(hub, file, pairs)| {
            let (from, to) = side((hub, file));
            let (number, module) = module.strip_prefix(from)?.split_once('.')?;
            let is_number = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
            let module = find(pairs, module).filter(|_| is_number)?;
            Some(format!("{to}{number}.{module}.{kind}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_from_files() {
        for (names, hub, file) in [
            (&QWEN2, "model.layers.27.self_attn.k_proj.bias", "blk.27.attn_k.bias"),
            (&QWEN2, "lm_head.weight", "output.weight"),
            (&PHI, "model.layers.0.mlp.fc2.weight", "blk.0.ffn_down.weight"),
            (&PHI, "model.final_layernorm.bias", "output_norm.bias"),
            (
                &T5_GATED,
                "decoder.block.11.layer.1.EncDecAttention.o.weight",
                "dec.blk.11.cross_attn_o.weight",
            ),
            (&T5_PLAIN, "encoder.block.2.layer.1.DenseReluDense.wi.weight", "enc.blk.2.ffn_up.weight"),
        ] {
            assert_eq!(names.in_file(hub).as_deref(), Some(file));
            assert_eq!(names.on_hub(file).as_deref(), Some(hub));
        }
        for name in
            ["rope_freqs.weight", "blk.x.attn_q.weight", "blk.attn_q.weight", "weight", "blk.1.attn_q"]
        {
            assert_eq!(QWEN2.on_hub(name), None, "{name}");
        }
    }
}
