use crate::tokenize::draws::{Purpose, generator, uniform};
use crate::tokenize::{Error, Result, Tokens};

/// Which values are hidden from the model in training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaskParams {
    /// Probability that a value is hidden. Default 0.4, as in the integration recipe; in 0..=1.
    pub ratio: f64,
    /// The value that hides another. Default -1; see [`ValueEncoding::mask_value`](super::ValueEncoding::mask_value).
    pub mask_value: f32,
    /// Tokens at the start of a cell that are never hidden. Default 1: `<cls>`.
    pub n_kept: usize,
    /// Seed of the draws; another one for each epoch. Default 0.
    pub seed: u64,
}

impl Default for MaskParams {
    fn default() -> Self {
        Self { ratio: 0.4, mask_value: -1.0, n_kept: 1, seed: 0 }
    }
}

/// Hides values at random, as the reference's collator does: each by itself, with the same probability.
///
/// * returns: all values of `tokens`, hidden ones replaced, and which are hidden.
///
/// The draws belong to the cell's tokens and values, so batches do not matter; the reference draws from a global
/// generator.
///
/// # Errors
/// [`Error::Fraction`] if the ratio is no probability, [`Error::Length`] if the tokens have no values.
pub fn mask_values(tokens: &Tokens, params: &MaskParams) -> Result<(Vec<f32>, Vec<bool>)> {
    if !(0.0..=1.0).contains(&params.ratio) {
        return Err(Error::Fraction { name: "ratio", value: params.ratio });
    }
    let Some(values) = tokens.values() else {
        return Err(Error::Length { what: "values", found: 0, expected: tokens.ids().len() });
    };
    let mut hidden = vec![false; values.len()];
    for span in tokens.offsets().windows(2).map(|pair| pair[0]..pair[1]) {
        let (ids, values) = (&tokens.ids()[span.clone()], &values[span.clone()]);
        let words = ids.iter().zip(values).map(|(&id, &v)| u64::from(id) << 32 | u64::from(v.to_bits()));
        let mut random = generator(params.seed, Purpose::Mask, words);
        for hidden in hidden[span].iter_mut().skip(params.n_kept) {
            *hidden = uniform(&mut random) < params.ratio;
        }
    }
    let shown = |(&value, &hidden): (&f32, &bool)| if hidden { params.mask_value } else { value };
    Ok((values.iter().zip(&hidden).map(shown).collect(), hidden))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenize::scgpt::{ScgptParams, ScgptTokenizer, ScgptVocabulary};
    use sc_io::Csr;

    fn tokens(rows: &[usize]) -> Tokens {
        let v = ScgptVocabulary::new((0..200).map(|g| (format!("G{g}"), g))).unwrap();
        let symbols: Vec<String> = (0..200).map(|g| format!("G{g}")).collect();
        let t = ScgptTokenizer::new(&v, &symbols, None, &ScgptParams::default()).unwrap();
        let value = |(i, j): (usize, usize)| ((i * 31 + j * 7) % 11 + 1) as f32;
        let x = Csr::from_dense(ndarray::Array2::from_shape_fn((10, 200), value).view());
        t.tokenize(&x.select_rows(rows)).unwrap().0
    }

    #[test]
    fn the_share_asked_for_is_hidden_and_never_cls() {
        let tokens = tokens(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let (masked, hidden) = mask_values(&tokens, &MaskParams::default()).unwrap();
        let n = hidden.iter().filter(|&&h| h).count();
        // 800 of 2,000 expected, with a standard deviation of 22.
        assert!((700..900).contains(&n), "{n}");
        for ((&before, &after), &hidden) in tokens.values().unwrap().iter().zip(&masked).zip(&hidden) {
            assert_eq!(after, if hidden { -1.0 } else { before });
        }
        assert!(tokens.offsets()[..10].iter().all(|&cls| !hidden[cls]));
        let all = mask_values(&tokens, &MaskParams { ratio: 1.0, ..Default::default() }).unwrap().1;
        assert_eq!(all.iter().filter(|&&h| h).count(), 2_000);
    }

    #[test]
    fn a_cell_is_masked_alike_in_any_batch_and_otherwise_in_another_epoch() {
        let mask = |rows: &[usize], seed| {
            mask_values(&tokens(rows), &MaskParams { seed, ..Default::default() }).unwrap().1
        };
        assert_eq!(mask(&[3, 5], 0)[201..], mask(&[5], 0)[..]);
        assert_ne!(mask(&[5], 0), mask(&[5], 1));
    }

    #[test]
    fn a_ratio_that_is_no_probability_is_refused() {
        for ratio in [-0.1, 1.1, f64::NAN] {
            let params = MaskParams { ratio, ..Default::default() };
            assert!(matches!(mask_values(&tokens(&[0]), &params), Err(Error::Fraction { .. })));
        }
    }
}
