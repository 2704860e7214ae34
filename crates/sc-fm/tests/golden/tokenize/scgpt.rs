use std::collections::BTreeMap;
use std::path::Path;

use sc_fm::tokenize::bins::{Sides, Ties, bin_values, edges};
use sc_fm::tokenize::scgpt::{
    Crop, MaskParams, Scale, ScgptParams, ScgptTokenizer, ScgptVocabulary, mask_values, preprocess,
};
use sc_fm::tokenize::{EmptyCells, GeneIds, IdSource};
use sc_io::{Counts, Csr};
use serde_json::Value;

use super::{csr, field, files, json, on_both};

fn on_inputs(check: impl Fn(&Path, &Value)) {
    on_both("scgpt_input", |folder| {
        files(folder, "json").iter().for_each(|path| check(folder, &json(path)));
    });
}

#[test]
fn bins_equal_the_reference() {
    on_inputs(|_, file| {
        for (name, case) in file["binning"].as_object().unwrap() {
            let n_bins: usize = field(case, "n_bins");
            if case["edges_f64"].is_null() {
                let row: Vec<f32> = field(case, "row");
                assert_eq!(bin_values(&row, n_bins, Ties::Middle).unwrap(), vec![0; row.len()], "{name}");
            } else if case["dtype"] == "float64" {
                check_row::<f64>(name, &field::<Vec<f64>>(case, "row"), n_bins, case);
            } else {
                check_row::<f32>(name, &field::<Vec<f32>>(case, "row"), n_bins, case);
            }
        }
    });
}

/// A row alone: edges, both sides of each value, bins.
fn check_row<T: sc_fm::tokenize::bins::Value + Into<f64>>(
    name: &str,
    row: &[T],
    n_bins: usize,
    case: &Value,
) {
    let [draws, expected_edges] = ["rands", "edges_f64"].map(|key| field::<Vec<f64>>(case, key));
    let [left, right] = ["left", "right"].map(|key| field::<Vec<usize>>(case, key));
    let expected: Vec<u32> = field(case, "binned");

    let edges = edges(row, n_bins).unwrap();
    assert_eq!(edges, expected_edges, "{name}");
    let sides: Vec<Sides> =
        row.iter().map(|&x| x.into()).filter(|&x| x != 0.0).map(|x| Sides::of(&edges, x)).collect();
    assert!(sides.iter().map(|s| s.left).eq(left), "{name}");
    assert!(sides.iter().map(|s| s.right).eq(right), "{name}");
    assert_eq!(bin_values(row, n_bins, Ties::Draws(&draws)).unwrap(), expected, "{name}");

    // Without those draws: the same bin wherever the reference leaves no choice, else one of those it draws from.
    for ties in [Ties::Middle, Ties::Seeded(7)] {
        let bins = bin_values(row, n_bins, ties).unwrap().into_iter().filter(|&bin| bin != 0);
        for (bin, side) in bins.zip(&sides) {
            let lowest = side.left.min(side.right + 1);
            assert!((lowest..=side.left).contains(&(bin as usize)), "{name}: {bin}, {side:?}");
        }
    }
}

#[test]
fn the_fine_tuning_preparation_equals_the_reference() {
    on_inputs(|_, file| {
        let file = &file["preprocessor"];
        let x = csr(&field::<Vec<Vec<f32>>>(file, "X"));
        let [logs, binned] = ["X_log1p", "X_binned"].map(|key| field::<Vec<Vec<f32>>>(file, key));
        let bin_edges: Vec<Vec<f64>> = field(file, "bin_edges");
        let recorded: Vec<Vec<f64>> = field(file, "rands");
        // An empty cell takes no draws.
        let mut recorded = recorded.iter();
        let draws: Vec<&[f64]> = (0..x.n_rows())
            .map(|row| if x.row(row).1.is_empty() { [].as_slice() } else { recorded.next().unwrap() })
            .collect();
        assert!(recorded.next().is_none(), "all draws are used");
        let n_bins = bin_edges[0].len();
        let out = preprocess(Counts::new(&x).unwrap(), 1e4, n_bins, |row| Ties::Draws(draws[row])).unwrap();

        assert_eq!(out.binned.to_dense(), csr(&binned).to_dense());
        for ((i, j), &expected) in csr(&logs).to_dense().indexed_iter() {
            let found = out.log1p.to_dense()[[i, j]];
            assert!((found - expected).abs() <= 1e-6 * expected, "cell {i}, gene {j}: {found}, {expected}");
        }
        for (row, (found, expected)) in out.edges.iter().zip(&bin_edges).enumerate() {
            // The reference's first edge is the 0 below which nothing lies; of an empty cell, all are.
            let expected = if found.is_empty() { &[][..] } else { &expected[1..] };
            assert_eq!(found.len(), expected.len(), "cell {row}");
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() <= 1e-6 * expected, "cell {row}: {found}, {expected}");
            }
        }
    });
}

/// The matrix and vocabulary of the file, its cells without a gene of the vocabulary among them.
fn embed(file: &Value) -> (ScgptVocabulary, Vec<String>, Csr) {
    let file = &file["embed"];
    let tokens: BTreeMap<String, u32> = field(file, "vocab");
    (ScgptVocabulary::new(tokens).unwrap(), field(file, "genes"), csr(&field::<Vec<Vec<f32>>>(file, "X")))
}

#[test]
fn batches_equal_the_reference_given_its_draws() {
    on_inputs(|_, file| {
        let (vocabulary, genes, x) = embed(file);
        for (max_length, batches) in file["embed"]["by_max_length"].as_object().unwrap() {
            let params = ScgptParams {
                max_length: max_length.parse().unwrap(),
                n_bins: Some(field(&file["embed"], "n_bins")),
                cls_value: Some(field(&file["embed"], "pad_value")),
                ..Default::default()
            };
            let tokenizer = ScgptTokenizer::new(&vocabulary, &genes, None, &params).unwrap();
            check_batches(max_length, &tokenizer, &vocabulary, &x, batches.as_array().unwrap());
        }
    });
}

fn check_batches(
    name: &str,
    tokenizer: &ScgptTokenizer,
    vocabulary: &ScgptVocabulary,
    x: &Csr,
    batches: &[Value],
) {
    // A batch with an empty cell makes the reference fail; the file then holds the batch without that cell.
    let batches: Vec<&Value> =
        batches.iter().map(|batch| batch.get("without_empty").unwrap_or(batch)).collect();
    fn all<T: serde::de::DeserializeOwned>(batches: &[&Value], key: &str) -> Vec<T> {
        batches.iter().flat_map(|batch| field::<Vec<T>>(batch, key)).collect()
    }
    let gene: Vec<Vec<u32>> = all(&batches, "gene");
    let expression: Vec<Vec<f32>> = all(&batches, "expr");
    let draws: Vec<Vec<f64>> = all(&batches, "rands_in_order");
    let orders: Vec<(usize, Vec<usize>)> = all(&batches, "perms_in_order");

    // Draws and orders were recorded for the cells that needed them, in order.
    let (plain, scale) = tokenizer.tokenize(x).unwrap();
    assert_eq!((plain.n_cells(), scale), (gene.len(), Scale::Counts), "{name}");
    let mut crops = vec![Crop::default(); x.n_rows()];
    let mut orders = orders.iter();
    for (cell, &row) in plain.rows().iter().enumerate() {
        crops[row].draws = Some(&draws[cell]);
        if plain.n_genes()[cell] as usize >= plain.cell(cell).len() {
            let (n, order) = orders.next().unwrap();
            assert_eq!(*n, plain.n_genes()[cell] as usize);
            crops[row].order = Some(order);
        }
    }
    assert!(orders.next().is_none(), "all orders are used");

    let (tokens, _) = tokenizer.tokenize_as(x, &crops).unwrap();
    for cell in 0..gene.len() {
        let n = tokens.cell(cell).len();
        assert_eq!(tokens.cell(cell), &gene[cell][..n], "{name}, cell {cell}");
        assert_eq!(tokens.cell_values(cell).unwrap(), &expression[cell][..n], "{name}, cell {cell}");
        assert!(gene[cell][n..].iter().all(|&id| id == vocabulary.pad()), "{name}, cell {cell}: padding");
        // Without the reference's order: as many tokens, all of the cell.
        assert_eq!(plain.cell(cell).len(), n, "{name}, cell {cell}");
    }
}

#[test]
fn the_file_gives_the_same_input_as_its_matrix() {
    on_inputs(|folder, file| {
        let (vocabulary, genes, x) = embed(file);
        let adata = sc_io::open(folder.join("embed.h5ad")).unwrap();
        let symbols = GeneIds::symbols(adata.var()).unwrap();
        assert_eq!(symbols.source, IdSource::Column("feature_name".into()));
        let params = ScgptParams { empty: EmptyCells::Keep, ..Default::default() };
        let from_file = ScgptTokenizer::with_ids(&vocabulary, &symbols, &params).unwrap();
        let from_matrix = ScgptTokenizer::new(&vocabulary, &genes, None, &params).unwrap();
        let (found, _) = from_file.tokenize(&adata.x().unwrap().to_csr()).unwrap();
        let (expected, _) = from_matrix.tokenize(&x).unwrap();
        assert_eq!(found.n_cells(), x.n_rows());
        assert_eq!((found.ids(), found.values()), (expected.ids(), expected.values()));
        assert_eq!(found.report().genes.n_unknown, genes.iter().filter(|g| g.starts_with("UNKNOWN")).count());
    });
}

#[test]
fn values_are_masked_where_the_reference_may_mask_them() {
    on_inputs(|_, file| {
        let (vocabulary, genes, x) = embed(file);
        let masking = &file["value_masking"];
        let [before, after] = ["expr", "masked_expr"].map(|key| field::<Vec<Vec<f32>>>(masking, key));
        let gene: Vec<Vec<u32>> = field(masking, "gene");
        let ratio: f64 = field(masking, "mlm_probability");
        let params = MaskParams { ratio, ..Default::default() };
        // The rule that the file shows: any value but that of <cls> and padding, replaced by one number.
        for ((gene, before), after) in gene.iter().zip(&before).zip(&after) {
            for (place, (&before, &after)) in before.iter().zip(after).enumerate() {
                let maskable = place >= params.n_kept && gene[place] != vocabulary.pad();
                assert!(after == before || (maskable && after == params.mask_value), "place {place}");
            }
        }
        // Ours keeps to it, on the same cells.
        let tokenizer = ScgptTokenizer::new(&vocabulary, &genes, None, &ScgptParams::default()).unwrap();
        let (tokens, _) = tokenizer.tokenize(&x).unwrap();
        let (masked, hidden) = mask_values(&tokens, &params).unwrap();
        assert_eq!(masked.len(), tokens.ids().len(), "no padding to mask");
        assert!(hidden.iter().any(|&h| h) && !hidden.iter().all(|&h| h));
        for cell in tokens.offsets().windows(2) {
            assert!(!hidden[cell[0]], "<cls> is shown");
        }
        for ((&before, &after), &hidden) in tokens.values().unwrap().iter().zip(&masked).zip(&hidden) {
            assert_eq!(after, if hidden { params.mask_value } else { before });
        }
    });
}
