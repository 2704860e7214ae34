//! Networks, SingleR and CellTypist against their references (`golden/neural/PROVENANCE.md`).

mod mlp;
