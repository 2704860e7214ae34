//! The releases.

use super::{ConfigSummary, Licence, Origin, Release, ReleasedFile, Role, Sha256};

/// Every release that is known here.
pub const RELEASES: &[Release] = &[
    Release {
        name: "Geneformer-V1-10M",
        source: GENEFORMER,
        files: &[
            weights("Geneformer-V1-10M/model.safetensors", 41_183_536, "a5e33a75", "683f14"),
            ReleasedFile {
                role: Role::Config,
                path: "Geneformer-V1-10M/config.json",
                size: Some(565),
                sha256: full("9cf69ca3bdb0215c4188b54c451b6f02adfe68b8f66011a57d0f32845133fd4b"),
            },
            ReleasedFile {
                role: Role::Tokens,
                path: "geneformer/gene_dictionaries_30m/token_dictionary_gc30M.pkl",
                size: Some(788_424),
                sha256: full("ab9dc40973fa5224d77b793e2fd114cacf3d08423ed9c4c49caf0ba9c7f218f1"),
            },
            ReleasedFile {
                role: Role::Medians,
                path: "geneformer/gene_dictionaries_30m/gene_median_dictionary_gc30M.pkl",
                size: Some(940_965),
                sha256: full("b3b589bb5ec75040d05fc44dd6bf0184cf87f3c362cf158d196a6ed3b7fe5f39"),
            },
            ReleasedFile {
                role: Role::Mapping,
                path: "geneformer/gene_dictionaries_30m/ensembl_mapping_dict_gc30M.pkl",
                size: Some(584_125),
                sha256: full("eac0fb0b3007267871b6305ac0003ceba19d4f28d85686cb9067ecf142787869"),
            },
            ReleasedFile {
                role: Role::Symbols,
                path: "geneformer/gene_dictionaries_30m/gene_name_id_dict_gc30M.pkl",
                size: Some(1_117_117),
                sha256: full("55e67962e79c0039a6c32d43c5c99f38e51964bbcfa32f736150ee1e285c438c"),
            },
        ],
        config: ConfigSummary {
            n_layers: 6,
            hidden_size: 256,
            n_heads: 4,
            intermediate_size: 512,
            vocab_size: 25_426,
            max_positions: 2048,
        },
        licence: APACHE,
    },
    Release {
        name: "Geneformer-V2-104M",
        source: GENEFORMER,
        files: &[
            weights("Geneformer-V2-104M/model.safetensors", 417_571_156, "fff5cba2", "780e7f"),
            ReleasedFile {
                role: Role::Config,
                path: "Geneformer-V2-104M/config.json",
                size: Some(590),
                sha256: full("467d4492f0dd53b4d60afffe20812db484ca1cf9fdbeb6a6e060e93564f70859"),
            },
            TOKENS_V2,
            MEDIANS_V2,
            MAPPING_V2,
            SYMBOLS_V2,
        ],
        config: V2_104M,
        licence: APACHE,
    },
    Release {
        name: "Geneformer-V2-104M_CLcancer",
        source: GENEFORMER,
        files: &[
            weights("Geneformer-V2-104M_CLcancer/model.safetensors", 417_571_156, "82773813", "0ba4357"),
            ReleasedFile {
                role: Role::Config,
                path: "Geneformer-V2-104M_CLcancer/config.json",
                size: None,
                sha256: None,
            },
            TOKENS_V2,
            MEDIANS_V2,
            MAPPING_V2,
            SYMBOLS_V2,
        ],
        config: V2_104M,
        licence: APACHE,
    },
    Release {
        name: "Geneformer-V2-316M",
        source: GENEFORMER,
        files: &[
            weights("Geneformer-V2-316M/model.safetensors", 1_265_455_076, "965cecce", "1246f3"),
            ReleasedFile {
                role: Role::Config,
                path: "Geneformer-V2-316M/config.json",
                size: Some(591),
                sha256: full("2cc4af3442644e84af71814a607b61c958d7b4e5ebde6791ab77b5f534ac6f6e"),
            },
            TOKENS_V2,
            MEDIANS_V2,
            MAPPING_V2,
            SYMBOLS_V2,
        ],
        config: ConfigSummary {
            n_layers: 18,
            hidden_size: 1152,
            n_heads: 18,
            intermediate_size: 4608,
            vocab_size: 20_275,
            max_positions: 4096,
        },
        licence: APACHE,
    },
    Release {
        name: "scGPT-whole-human",
        source: Origin::ByHand(
            "the folder \"whole-human\" that the README of the repository bowang-lab/scGPT links to",
        ),
        files: &[
            ReleasedFile { role: Role::Weights, path: "best_model.pt", size: None, sha256: None },
            ReleasedFile { role: Role::Config, path: "args.json", size: None, sha256: None },
            ReleasedFile { role: Role::Tokens, path: "vocab.json", size: None, sha256: None },
        ],
        config: ConfigSummary {
            n_layers: 12,
            hidden_size: 512,
            n_heads: 8,
            intermediate_size: 512,
            vocab_size: 60_697,
            max_positions: 1200,
        },
        licence: Licence { name: "MIT", allows: "use, change and pass on, with the notice of copyright" },
    },
    Release {
        name: "scFoundation",
        source: Origin::ByHand(
            "the folder that the README of the repository biomap-research/scFoundation links to",
        ),
        files: &[
            ReleasedFile { role: Role::Weights, path: "models.ckpt", size: None, sha256: None },
            ReleasedFile {
                role: Role::Genes,
                path: "OS_scRNA_gene_index.19264.tsv",
                size: None,
                sha256: None,
            },
        ],
        config: ConfigSummary {
            n_layers: 12,
            hidden_size: 768,
            n_heads: 12,
            intermediate_size: 3072,
            vocab_size: 19_266,
            max_positions: 19_266,
        },
        licence: Licence {
            name: "scFoundation Model License",
            allows: "non-commercial research by whoever received the weights; passing them on, or anything derived from \
                     them such as converted or fine-tuned weights, is not allowed",
        },
    },
];

const GENEFORMER: Origin = Origin::Hub { repository: "ctheodoris/Geneformer", revision: "main" };

const APACHE: Licence = Licence {
    name: "Apache-2.0",
    allows: "use, change and pass on, commercially too, with the notices and a note of changes",
};

const V2_104M: ConfigSummary = ConfigSummary {
    n_layers: 12,
    hidden_size: 768,
    n_heads: 12,
    intermediate_size: 3072,
    vocab_size: 20_275,
    max_positions: 4096,
};

const TOKENS_V2: ReleasedFile = ReleasedFile {
    role: Role::Tokens,
    path: "geneformer/token_dictionary_gc104M.pkl",
    size: Some(425_590),
    sha256: full("67c445f4385127adfc48dcc072320cd65d6822829bf27dd38070e6e787bc597f"),
};

const MEDIANS_V2: ReleasedFile = ReleasedFile {
    role: Role::Medians,
    path: "geneformer/gene_median_dictionary_gc104M.pkl",
    size: Some(1_512_661),
    sha256: full("a51c53f6a771d64508dfaf61529df70e394c53bd20856926117ae5d641a24bf5"),
};

const MAPPING_V2: ReleasedFile = ReleasedFile {
    role: Role::Mapping,
    path: "geneformer/ensembl_mapping_dict_gc104M.pkl",
    size: Some(3_957_652),
    sha256: full("0819bcbd869cfa14279449b037eb9ed1d09a91310e77bd1a19d927465030e95c"),
};

const SYMBOLS_V2: ReleasedFile = ReleasedFile {
    role: Role::Symbols,
    path: "geneformer/gene_name_id_dict_gc104M.pkl",
    size: Some(1_660_882),
    sha256: Some(Sha256 { starts: "fabfa0c2", ends: "8e1" }),
};

const fn weights(path: &'static str, size: u64, starts: &'static str, ends: &'static str) -> ReleasedFile {
    ReleasedFile { role: Role::Weights, path, size: Some(size), sha256: Some(Sha256 { starts, ends }) }
}

const fn full(hash: &'static str) -> Option<Sha256> {
    Some(Sha256 { starts: hash, ends: "" })
}
