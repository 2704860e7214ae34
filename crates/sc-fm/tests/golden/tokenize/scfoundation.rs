use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use sc_fm::tokenize::Tokens;
use sc_fm::tokenize::scfoundation::{GeneList, Input, Resolution, ScfoundationParams, ScfoundationTokenizer};

use super::{csr, on_both};

/// A matrix of the file, in f64.
fn rows(file: &SafeTensors<'_>, name: &str) -> Vec<Vec<f64>> {
    let tensor = file.tensor(name).unwrap();
    let bytes = tensor.data();
    let values: Vec<f64> = match tensor.dtype() {
        Dtype::F64 => bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
        Dtype::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b).into()).collect(),
        Dtype::I64 => bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect(),
        Dtype::BOOL => bytes.iter().map(|&b| b.into()).collect(),
        other => panic!("{name}: {other:?}"),
    };
    values.chunks(tensor.shape()[1]).map(<[f64]>::to_vec).collect()
}

/// Position and value of each token of a cell.
fn cell(tokens: &Tokens, cell: usize) -> Vec<(usize, f64)> {
    let positions = tokens.cell(cell).iter().map(|&position| position as usize);
    positions.zip(tokens.cell_values(cell).unwrap().iter().map(|&value| value.into())).collect()
}

fn assert_same(found: &[(usize, f64)], expected: &[(usize, f64)], name: &str) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.0, expected.0, "{name}");
        assert!((found.1 - expected.1).abs() <= 1e-6 * expected.1.abs(), "{name}: {found:?}, {expected:?}");
    }
}

#[test]
fn input_equals_the_reference_at_every_resolution() {
    on_both("scfoundation_tiny", check);
}

fn check(folder: &Path) {
    let bytes = std::fs::read(folder.join("io.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let counts: Vec<Vec<f32>> =
        rows(&file, "counts").iter().map(|row| row.iter().map(|&v| v as f32).collect()).collect();
    let n_genes = counts[0].len();
    let names: Vec<String> = (0..n_genes).map(|i| format!("G{i}")).collect();
    let genes = GeneList::new(names.iter().cloned()).unwrap();

    // The genes of the matrix stand backwards, behind one that is none of the list; the list decides.
    let symbols: Vec<String> =
        std::iter::once("ERCC".to_owned()).chain(names.iter().rev().cloned()).collect();
    let backwards: Vec<Vec<f32>> =
        counts.iter().map(|row| std::iter::once(9.0).chain(row.iter().rev().copied()).collect()).collect();
    let tokenize = |resolution| {
        let params = ScfoundationParams { input: Input::Counts, resolution, min_known: 0.5 };
        let tokenizer = ScfoundationTokenizer::new(&genes, &symbols, &params).unwrap();
        tokenizer.tokenize(&csr(&backwards)).unwrap()
    };
    for mode in ["t", "f", "a"] {
        let expected = rows(&file, &format!("input.{mode}"));
        let (target, total) = (expected[0][n_genes], expected[0][n_genes + 1]);
        let tokens = tokenize(match mode {
            "t" => Resolution::Target(target),
            "f" => Resolution::Fold((10.0_f64.powf(target - total)).round()),
            _ => Resolution::Add((target - total).round()),
        });
        assert_eq!(tokens.n_cells(), expected.len());
        for (i, row) in expected.iter().enumerate() {
            let gathered: Vec<(usize, f64)> =
                row.iter().copied().enumerate().filter(|(_, v)| *v > 0.0).collect();
            assert_same(&cell(&tokens, i), &gathered, &format!("input.{mode}, cell {i}"));
        }
        if mode == "t" {
            check_gathered(&file, &tokens);
        }
    }
}

/// The reference's own gather, alone and padded in a batch.
fn check_gathered(file: &SafeTensors<'_>, tokens: &Tokens) {
    let pairs = |positions: &[f64], values: &[f64]| -> Vec<(usize, f64)> {
        positions.iter().map(|&p| p as usize).zip(values.iter().copied()).collect()
    };
    let first = pairs(&rows(file, "cell0.positions")[0], &rows(file, "cell0.values")[0]);
    assert_same(&cell(tokens, 0), &first, "cell 0 alone");
    let [positions, values, padding] =
        ["encoder_pos", "encoder_data", "encoder_pad"].map(|name| rows(file, &format!("batch.{name}")));
    for i in 0..tokens.n_cells() {
        let n = padding[i].iter().filter(|&&is_padding| is_padding == 0.0).count();
        assert_same(
            &cell(tokens, i),
            &pairs(&positions[i][..n], &values[i][..n]),
            &format!("batch, cell {i}"),
        );
    }
}
