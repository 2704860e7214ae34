//! Small models and data sets.

use candle_core::DType;
use ndarray::Array2;

use super::{Choice, Embedding, Kind, LoadReport, Mode};
use crate::models::Layer;
use crate::tokenize::Cells;
use crate::tokenize::rank::{RankParams, RankTokenizer, TokenizeParams};
use crate::tokenize::vocabulary::Vocabulary;

/// An embedding of nothing in particular.
pub(super) fn embedding(values: Array2<f32>) -> Embedding {
    let entry = |key: &str| (key.to_owned(), 0u32);
    let vocabulary = Vocabulary::new([entry("A")], [("A".to_owned(), 1.0)]).unwrap();
    let params = RankParams { min_known: 0.0, ..RankParams::V1 };
    let tokenizer = RankTokenizer::new(&vocabulary, &["A"], &params).unwrap();
    let x = sc_io::Csr::new(0, 1, vec![0], vec![], vec![]).unwrap();
    let counts = sc_io::Counts::new(&x).unwrap();
    let tokens = tokenizer.tokenize(counts, &Cells::default(), &TokenizeParams::default()).unwrap();
    Embedding {
        rows: (0..values.nrows()).collect(),
        values,
        missing: vec![],
        choice: Choice { mode: Mode::Cell, layer: Layer::Last },
        tokens: tokens.report().clone(),
        model: LoadReport::in_memory(Kind::Geneformer),
        dtype: DType::F32,
    }
}
