use std::collections::BTreeMap;
use std::path::Path;

use sc_fm::tokenize::rank::{RankParams, RankTokenizer, TokenizeParams};
use sc_fm::tokenize::vocabulary::{Series, Vocabulary};
use sc_fm::tokenize::{Cells, GeneIds, IdSource, Tokens, Totals};
use sc_io::Counts;
use serde_json::Value;

use super::{csr, field, files, json, on_both};

#[test]
fn tokens_equal_the_reference() {
    on_both("geneformer_tokenizer", |folder| {
        for path in files(folder, "json") {
            let file = json(&path);
            for (version, vocabulary, params) in vocabularies(&file) {
                for (name, case) in file["cases"].as_object().unwrap() {
                    let ids: Vec<String> = field(case, "var_ensembl_id");
                    let tokenizer = RankTokenizer::new(&vocabulary, &ids, &params).unwrap();
                    let filter_pass: Option<Vec<u32>> = field(&case["obs"], "filter_pass");
                    let cells = Cells {
                        n_counts: field(&case["obs"], "n_counts"),
                        keep: filter_pass.map(|pass| pass.iter().map(|&p| p == 1).collect()),
                    };
                    let x = csr(&field::<Vec<Vec<f32>>>(case, "X"));
                    check(&format!("{name} {version}"), &tokenizer, &cells, &x, &case[version]);
                }
            }
        }
    });
}

#[test]
fn tokens_of_files_equal_the_reference() {
    on_both("geneformer_tokenizer", |folder| {
        let file = json(&folder.join("tokenizer.json"));
        for path in files(folder, "h5ad") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            check_file(name, &path, &file);
        }
    });
}

/// The same through the finders of ids, totals and filters.
fn check_file(name: &str, path: &Path, file: &Value) {
    let adata = sc_io::open(path).unwrap();
    let ids = GeneIds::ensembl(adata.var()).unwrap();
    assert_eq!(ids.source, IdSource::Column("ensembl_id".into()));
    let cells = Cells::from_obs(adata.obs()).unwrap();
    let x = adata.x().unwrap().to_csr();
    for (version, vocabulary, params) in vocabularies(file) {
        let tokenizer = RankTokenizer::with_ids(&vocabulary, &ids, &params).unwrap();
        let expected = &file["cases"][name][version];
        let tokens = check(&format!("{name}.h5ad {version}"), &tokenizer, &cells, &x, expected);
        assert_eq!(tokens.report().totals, Totals::Given);
        assert_eq!(tokens.report().genes.ids, Some(ids.source.clone()));
        let types = adata.obs().labels("cell_type").unwrap();
        let types: Vec<&str> = tokens.rows().iter().map(|&row| types[row].as_deref().unwrap()).collect();
        assert_eq!(types, field::<Vec<String>>(expected, "cell_type"), "{name}: labels of the kept rows");
    }
}

fn vocabularies(file: &Value) -> Vec<(&String, Vocabulary, RankParams)> {
    let medians: BTreeMap<String, f64> = field(file, "median");
    let mapping: BTreeMap<String, String> = field(file, "mapping");
    let dictionaries = file["token_dictionary"].as_object().unwrap();
    let vocabulary = |(version, tokens): (&'_ String, &Value)| {
        let tokens: BTreeMap<String, u32> = serde_json::from_value(tokens.clone()).unwrap();
        let vocabulary =
            Vocabulary::new(tokens.clone(), medians.clone()).unwrap().with_mapping(mapping.clone());
        vocabulary.check_size(tokens.len()).unwrap();
        let special_token: bool = field(&file["special_token"], version);
        assert_eq!(vocabulary.series(), if special_token { Series::V2 } else { Series::V1 });
        let model_input_size = field(&file["model_input_size"], version);
        (vocabulary, RankParams { model_input_size, special_token, min_known: 0.0 })
    };
    dictionaries
        .iter()
        .map(|(version, tokens)| {
            let (vocabulary, params) = vocabulary((version, tokens));
            (version, vocabulary, params)
        })
        .collect()
}

/// Which columns are ranked, all tokens, all values, all counts.
fn check(name: &str, tokenizer: &RankTokenizer, cells: &Cells, x: &sc_io::Csr, expected: &Value) -> Tokens {
    let input_ids: Vec<Vec<u32>> = field(expected, "input_ids_stable");
    let theirs: Vec<Vec<u32>> = field(expected, "input_ids");
    let lengths: Vec<usize> = field(expected, "length");
    let uncropped: Vec<Vec<u32>> = field(expected, "uncropped");
    let values: Vec<Vec<f64>> = field(expected, "values");
    let counts: Vec<Vec<f64>> = field(expected, "counts");
    let ranked_columns: Vec<String> = field(expected, "ranked_columns");
    assert_eq!(tokenizer.coverage().n_genes, ranked_columns.len(), "{name}");

    let params = TokenizeParams { keep_counts: true, keep_uncropped: true, ..Default::default() };
    let x = Counts::new(x).unwrap();
    let tokens = tokenizer.tokenize(x, cells, &params).unwrap();
    assert_eq!(tokens.n_cells(), input_ids.len(), "{name}: cells with tokens");
    assert!(tokens.lengths().eq(lengths), "{name}: lengths");
    for cell in 0..tokens.n_cells() {
        let name = format!("{name}, cell {cell}");
        assert_eq!(tokens.cell(cell), input_ids[cell], "{name}");

        // Equal values stand in any order in the reference; the genes are the same.
        let sorted = |ids: &[u32]| {
            let mut ids = ids.to_vec();
            ids.sort_unstable();
            ids
        };
        assert_eq!(sorted(tokens.cell_uncropped(cell).unwrap()), sorted(&uncropped[cell]), "{name}");
        assert_eq!(tokens.n_genes()[cell] as usize, uncropped[cell].len(), "{name}");

        // The reference computes in f32 where both the matrix and `n_counts` are f32.
        let counts_of: BTreeMap<u32, f64> =
            theirs[cell].iter().copied().zip(counts[cell].iter().copied()).collect();
        for (id, &count) in tokens.cell(cell).iter().zip(tokens.cell_values(cell).unwrap()) {
            let Some(expected) = counts_of.get(id) else { continue };
            assert!(
                (f64::from(count) - expected).abs() <= 3e-7 * expected,
                "{name}, token {id}: {count}, {expected}"
            );
        }
        let row = tokens.rows()[cell];
        let total = cells.n_counts.as_ref().map(|totals| totals[row]);
        let ranked = tokenizer.rank_cell(x, row, total).unwrap();
        assert_eq!(ranked.len(), values[cell].len(), "{name}");
        for (gene, expected) in ranked.iter().zip(&values[cell]) {
            assert!((gene.value - expected).abs() <= 3e-7 * expected, "{name}: {gene:?}, {expected}");
        }
    }
    tokens
}
