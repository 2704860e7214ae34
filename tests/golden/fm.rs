//! The tokenisers against the outputs of the reference implementations. A part of the fixtures lies in the repository,
//! all of them in the fixture folder; every size comes from the files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sc_fm::tokenize::bins::{Sides, Ties, bin_values, edges};
use sc_fm::tokenize::rank::{RankParams, RankTokenizer};
use sc_fm::tokenize::vocabulary::Vocabulary;
use serde_json::{Value, from_value};

use crate::support::{fixtures, golden};

#[test]
fn geneformer_tokens_equal_the_reference() {
    check_rank(&golden("fm/geneformer_tokenizer/tokenizer.json"));
}

#[test]
fn geneformer_tokens_equal_the_reference_on_all_fixtures() {
    for_each_fixture("fm/geneformer_tokenizer", check_rank);
}

#[test]
fn scgpt_bins_equal_the_reference() {
    check_bins(&golden("fm/scgpt_input/inputs.json"));
}

#[test]
fn scgpt_bins_equal_the_reference_on_all_fixtures() {
    for_each_fixture("fm/scgpt_input", |inputs| {
        check_bins(inputs);
        check_collated(&inputs["embed"]);
    });
}

fn for_each_fixture(folder: &str, check: impl Fn(&Value)) {
    let Some(folder) = fixtures(folder) else { return };
    let files = json_files(&folder);
    assert!(!files.is_empty(), "no .json file in {}", folder.display());
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        check(&serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display())));
    }
}

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
    files.sort();
    files
}

/// Every case in both vocabularies: which columns are ranked, all tokens, all values.
fn check_rank(file: &Value) {
    let medians: BTreeMap<String, f64> = from_value(file["median"].clone()).unwrap();
    let mapping: BTreeMap<String, String> = from_value(file["mapping"].clone()).unwrap();
    for (version, tokens) in file["token_dictionary"].as_object().unwrap() {
        let tokens: BTreeMap<String, u32> = from_value(tokens.clone()).unwrap();
        let vocabulary =
            Vocabulary::new(tokens.clone(), medians.clone()).unwrap().with_mapping(mapping.clone());
        assert_eq!(vocabulary.n_tokens(), tokens.len());
        let params = RankParams {
            model_input_size: from_value(file["model_input_size"][version].clone()).unwrap(),
            special_token: from_value(file["special_token"][version].clone()).unwrap(),
        };
        for (name, case) in file["cases"].as_object().unwrap() {
            check_case(&format!("{name} {version}"), case, &case[version], &vocabulary, &params);
        }
    }
}

fn check_case(name: &str, case: &Value, expected: &Value, vocabulary: &Vocabulary, params: &RankParams) {
    let ensembl_ids: Vec<String> = from_value(case["var_ensembl_id"].clone()).unwrap();
    let rows: Vec<Vec<f32>> = from_value(case["X"].clone()).unwrap();
    let n_counts: Vec<f64> = from_value(case["obs"]["n_counts"].clone()).unwrap();
    let filter_pass: Option<Vec<u32>> = from_value(case["obs"]["filter_pass"].clone()).unwrap();
    let input_ids: Vec<Vec<u32>> = from_value(expected["input_ids_stable"].clone()).unwrap();
    let values: Vec<Vec<f64>> = from_value(expected["values"].clone()).unwrap();

    let tokenizer = RankTokenizer::new(vocabulary, &ensembl_ids, params).unwrap();
    let ranked_columns = expected["ranked_columns"].as_array().unwrap();
    assert_eq!(tokenizer.coverage().n_genes, ranked_columns.len(), "{name}");

    let mut kept = 0;
    for (i, row) in
        rows.iter().enumerate().filter(|&(i, _)| filter_pass.as_ref().is_none_or(|pass| pass[i] == 1))
    {
        let (indices, counts): (Vec<u32>, Vec<f32>) =
            row.iter().enumerate().filter(|&(_, &x)| x != 0.0).map(|(j, &x)| (j as u32, x)).unzip();
        let Some(cell) = tokenizer.tokenize(&indices, &counts, Some(n_counts[i])).unwrap() else { continue };
        assert_eq!(cell.input_ids, input_ids[kept], "{name}, cell {i}");
        let ranked = tokenizer.rank(&indices, &counts, Some(n_counts[i])).unwrap();
        assert_eq!(ranked.len(), values[kept].len(), "{name}, cell {i}");
        for (gene, expected) in ranked.iter().zip(&values[kept]) {
            // The reference computes in f32 where both the matrix and `n_counts` are f32.
            assert!(
                (gene.value - expected).abs() <= 3e-7 * expected,
                "{name}, cell {i}: {gene:?}, {expected}"
            );
        }
        kept += 1;
    }
    assert_eq!(kept, input_ids.len(), "{name}: cells with tokens");
}

/// Rows binned alone, in f32 and f64, and the rows of the fine-tuning preprocessor.
fn check_bins(file: &Value) {
    for (name, case) in file["binning"].as_object().unwrap() {
        let n_bins: usize = from_value(case["n_bins"].clone()).unwrap();
        let row = case["row"].clone();
        if case["edges_f64"].is_null() {
            let row: Vec<f32> = from_value(row).unwrap();
            assert_eq!(bin_values(&row, n_bins, Ties::Middle).unwrap(), vec![0; row.len()], "{name}");
        } else if case["dtype"] == "float64" {
            check_row::<f64>(name, &from_value::<Vec<f64>>(row).unwrap(), n_bins, case);
        } else {
            check_row::<f32>(name, &from_value::<Vec<f32>>(row).unwrap(), n_bins, case);
        }
    }
    check_preprocessor(&file["preprocessor"]);
}

fn check_row<T: sc_fm::tokenize::bins::Value + Into<f64>>(
    name: &str,
    row: &[T],
    n_bins: usize,
    case: &Value,
) {
    let [draws, expected_edges] =
        ["rands", "edges_f64"].map(|key| from_value::<Vec<f64>>(case[key].clone()).unwrap());
    let [left, right] = ["left", "right"].map(|key| from_value::<Vec<usize>>(case[key].clone()).unwrap());
    let expected: Vec<u32> = from_value(case["binned"].clone()).unwrap();

    let edges = edges(row, n_bins).unwrap();
    assert_eq!(edges, expected_edges, "{name}");
    let sides: Vec<Sides> =
        row.iter().map(|&x| x.into()).filter(|&x| x != 0.0).map(|x| Sides::of(&edges, x)).collect();
    assert!(sides.iter().map(|s| s.left).eq(left), "{name}");
    assert!(sides.iter().map(|s| s.right).eq(right), "{name}");
    assert_eq!(bin_values(row, n_bins, Ties::Draws(&draws)).unwrap(), expected, "{name}");

    // Without draws: the same bin wherever the reference leaves no choice, else one of those it draws from.
    let middle = bin_values(row, n_bins, Ties::Middle).unwrap().into_iter().filter(|&bin| bin != 0);
    for (bin, side) in middle.zip(sides) {
        assert!(
            (side.left.min(side.right + 1)..=side.left).contains(&(bin as usize)),
            "{name}: {bin}, {side:?}"
        );
    }
}

/// The rows of the fine-tuning preprocessor, which keeps an empty cell and gives it no draws.
fn check_preprocessor(file: &Value) {
    let rows: Vec<Vec<f32>> = from_value(file["X_log1p"].clone()).unwrap();
    let expected: Vec<Vec<u32>> = from_value(file["X_binned"].clone()).unwrap();
    let bin_edges: Vec<Vec<f64>> = from_value(file["bin_edges"].clone()).unwrap();
    let draws: Vec<Vec<f64>> = from_value(file["rands"].clone()).unwrap();
    let mut draws = draws.iter();
    for ((row, expected), bin_edges) in rows.iter().zip(&expected).zip(&bin_edges) {
        let n_bins = bin_edges.len();
        if row.iter().all(|&x| x == 0.0) {
            assert_eq!(&bin_values(row, n_bins, Ties::Middle).unwrap(), expected);
            continue;
        }
        // The file's first edge is the 0 below which nothing lies.
        assert_eq!(edges(row, n_bins).unwrap(), bin_edges[1..]);
        assert_eq!(&bin_values(row, n_bins, Ties::Draws(draws.next().unwrap())).unwrap(), expected);
    }
    assert!(draws.next().is_none(), "all draws are used");
}

/// The batches that go into the model's embedding: genes of the vocabulary with counts, in column order and binned.
/// Cells that the reference samples down are in an order of its own, so each is compared gene by gene.
fn check_collated(file: &Value) {
    let vocabulary: BTreeMap<String, u32> = from_value(file["vocab"].clone()).unwrap();
    let genes: Vec<String> = from_value(file["genes"].clone()).unwrap();
    let rows: Vec<Vec<f32>> = from_value(file["X"].clone()).unwrap();
    let n_bins: usize = from_value(file["n_bins"].clone()).unwrap();
    let tokens: Vec<Option<u32>> = genes.iter().map(|gene| vocabulary.get(gene).copied()).collect();
    let entries = |row: &Vec<f32>| -> (Vec<u32>, Vec<f32>) {
        tokens.iter().zip(row).filter_map(|(&id, &x)| Some((id?, x))).filter(|&(_, x)| x != 0.0).unzip()
    };
    for batches in file["by_max_length"].as_object().unwrap().values() {
        // A batch with an empty cell makes the reference fail; the file then holds the batch without that cell.
        let batches = batches.as_array().unwrap().iter().map(|b| b.get("without_empty").unwrap_or(b));
        let batches: Vec<&Value> = batches.collect();
        let field = |name: &str| -> Vec<&Value> {
            batches.iter().flat_map(|batch| batch[name].as_array().unwrap()).collect()
        };
        let cells: Vec<_> = rows.iter().map(entries).filter(|(ids, _)| !ids.is_empty()).collect();
        let (gene, expression, draws) = (field("gene"), field("expr"), field("rands_in_order"));
        assert_eq!(gene.len(), cells.len());
        for (cell, (ids, values)) in cells.into_iter().enumerate() {
            let draws: Vec<f64> = from_value(draws[cell].clone()).unwrap();
            let bins = bin_values(&values, n_bins, Ties::Draws(&draws)).unwrap();
            let bin_of: BTreeMap<u32, u32> = ids.into_iter().zip(bins).collect();

            let gene: Vec<u32> = from_value(gene[cell].clone()).unwrap();
            let expression: Vec<f64> = from_value(expression[cell].clone()).unwrap();
            assert_eq!(gene[0], vocabulary["<cls>"]);
            let shown: Vec<(u32, f64)> = gene
                .into_iter()
                .zip(expression)
                .skip(1)
                .filter(|&(id, _)| id != vocabulary["<pad>"])
                .collect();
            assert!(!shown.is_empty());
            for (id, bin) in shown {
                assert_eq!(f64::from(bin_of[&id]), bin, "cell {cell}, gene {id}");
            }
        }
    }
}
