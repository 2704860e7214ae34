use super::*;
use crate::tokenize::{Cells, EmptyCells};
use sc_io::Csr;

/// Genes `G0` to `G4` with tokens 10 to 14 and medians 1, 2, 1, 1, 4; `<cls>` is 8, `<eos>` is 9.
fn vocabulary() -> Vocabulary {
    let medians = [1.0, 2.0, 1.0, 1.0, 4.0];
    let tokens = (0..5).map(|g| (format!("G{g}"), 10 + g)).chain([("<cls>".into(), 8), ("<eos>".into(), 9)]);
    Vocabulary::new(tokens, (0..5).map(|g| (format!("G{g}"), medians[g as usize]))).unwrap()
}

fn tokenizer(ids: &[&str], params: RankParams) -> RankTokenizer {
    RankTokenizer::new(&vocabulary(), ids, &params).unwrap()
}

fn matrix(rows: &[&[f32]]) -> Csr {
    let dense = ndarray::Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j]);
    Csr::from_dense(dense.view())
}

fn tokens(t: &RankTokenizer, rows: &[&[f32]]) -> Vec<Vec<u32>> {
    let x = matrix(rows);
    let tokens = t.tokenize(Counts::new(&x).unwrap(), &Cells::default(), &TokenizeParams::default()).unwrap();
    (0..tokens.n_cells()).map(|i| tokens.cell(i).to_vec()).collect()
}

const GENES: [&str; 5] = ["G0", "G1", "G2", "G3", "G4"];

#[test]
fn genes_are_listed_by_falling_count_over_median() {
    let t = tokenizer(&GENES, RankParams::V1);
    let x = matrix(&[&[2.0, 6.0, 0.0, 0.0, 4.0]]);
    let ranked = t.rank_cell(Counts::new(&x).unwrap(), 0, Some(20.0)).unwrap();
    let expected = [(11, 3000.0, 1500.0), (10, 1000.0, 1000.0), (14, 2000.0, 500.0)];
    assert_eq!(ranked.len(), expected.len());
    for (gene, (token, counts, value)) in ranked.iter().zip(expected) {
        assert_eq!(gene.token, token);
        assert!((gene.counts - counts).abs() < 1e-9 && (gene.value - value).abs() < 1e-9, "{gene:?}");
    }
}

#[test]
fn equal_values_keep_the_order_of_the_columns() {
    let t = tokenizer(&["G3", "G2", "G0"], RankParams::V1);
    assert_eq!(tokens(&t, &[&[5.0, 5.0, 5.0]]), [[13, 12, 10]]);
}

#[test]
fn columns_of_one_gene_are_summed_and_rank_behind_lone_columns() {
    let t = tokenizer(&["g0", "G2", "G0", "G3"], RankParams { min_known: 0.0, ..RankParams::V1 });
    assert_eq!(t.coverage().shared, [0, 2]);
    assert_eq!(t.coverage().n_genes, 3);
    // All three genes have 3 counts.
    assert_eq!(tokens(&t, &[&[1.0, 3.0, 2.0, 3.0]]), [[12, 13, 10]]);
    assert_eq!(tokens(&t, &[&[0.0, 0.0, 2.0, 0.0], &[0.0; 4]]), [[10]]);
}

#[test]
fn long_cells_are_cropped_and_special_tokens_take_two_places() {
    let x = matrix(&[&[5.0, 8.0, 3.0, 2.0, 4.0]]);
    let input = |size, special_token| {
        let t = tokenizer(&GENES, RankParams { model_input_size: size, special_token, min_known: 0.5 });
        let params = TokenizeParams { keep_counts: true, keep_uncropped: true, ..Default::default() };
        t.tokenize(Counts::new(&x).unwrap(), &Cells::default(), &params).unwrap()
    };
    let short = input(2, false);
    assert_eq!(
        (short.cell(0), short.n_genes()[0], short.report().cells.n_cropped),
        ([10, 11].as_slice(), 5, 1)
    );
    assert_eq!(short.cell_uncropped(0).unwrap(), [10, 11, 12, 13, 14]);
    let framed = input(4, true);
    assert_eq!(framed.cell(0), [8, 10, 11, 9]);
    assert_eq!(framed.cell_uncropped(0).unwrap(), [10, 11, 12, 13, 14]);
    let counts: Vec<u32> = framed.cell_values(0).unwrap().iter().map(|v| v.round() as u32).collect();
    assert_eq!(counts, [0, 2273, 3636, 0]);
    assert_eq!(input(9, true).cell(0), [8, 10, 11, 12, 13, 14, 9]);
    assert_eq!(input(9, true).report().cells.n_cropped, 0);
}

#[test]
fn cells_without_known_genes_are_left_out_or_kept_and_counted() {
    let t = tokenizer(&["G0", "unknown"], RankParams::V2);
    let x = matrix(&[&[0.0, 0.0], &[1.0, 3.0], &[0.0, 7.0]]);
    let cells = Cells { n_counts: Some(vec![0.0, 4.0, 7.0]), keep: None };
    let run = |empty| {
        let params = TokenizeParams { empty, ..Default::default() };
        t.tokenize(Counts::new(&x).unwrap(), &cells, &params).unwrap()
    };
    let (dropped, kept) = (run(EmptyCells::Drop), run(EmptyCells::Keep));
    assert_eq!((dropped.rows(), dropped.ids()), ([1].as_slice(), [8, 10, 9].as_slice()));
    assert_eq!((kept.rows(), kept.ids()), ([0, 1, 2].as_slice(), [8, 9, 8, 10, 9, 8, 9].as_slice()));
    assert_eq!(kept.lengths().collect::<Vec<_>>(), [2, 3, 2]);
    assert_eq!((dropped.report().cells.n_empty, kept.report().cells.n_empty), (2, 2));
    assert_eq!(dropped.report().share_of_counts(), 1.0 / 11.0);
    assert_eq!((t.coverage().unknown.as_slice(), t.coverage().fraction()), ([1].as_slice(), 0.5));
}

#[test]
fn the_filter_keeps_the_cells_it_names_with_their_rows_and_totals() {
    let t = tokenizer(&GENES, RankParams::V1);
    let x = matrix(&[&[1.0; 5], &[0.0, 2.0, 0.0, 0.0, 0.0], &[0.0, 0.0, 0.0, 3.0, 0.0]]);
    let cells = Cells { n_counts: None, keep: Some(vec![false, true, true]) };
    let tokens = t.tokenize(Counts::new(&x).unwrap(), &cells, &TokenizeParams::default()).unwrap();
    assert_eq!((tokens.rows(), tokens.ids()), ([1, 2].as_slice(), [11, 13].as_slice()));
    assert_eq!((tokens.report().cells.n_filtered, tokens.report().sum), (1, 5.0));
}

#[test]
fn unknown_genes_weigh_in_the_total_that_stands_in_for_n_counts() {
    let t = tokenizer(&["G0", "unknown"], RankParams::V1);
    let x = matrix(&[&[1.0, 3.0]]);
    assert_eq!(t.rank_cell(Counts::new(&x).unwrap(), 0, None).unwrap()[0].value, 2_500.0);
}

/// 300 cells of 5 genes, many tied and some empty.
fn many() -> Csr {
    let value = |(i, j): (usize, usize)| ((i * 7 + j * 13) % 5 * (i % 9).min(1)) as f32;
    Csr::from_dense(ndarray::Array2::from_shape_fn((300, 5), value).view())
}

#[test]
fn parts_and_threads_do_not_change_a_bit() {
    let t = tokenizer(&GENES, RankParams { model_input_size: 5, ..RankParams::V2 });
    let x = many();
    let cells = Cells {
        n_counts: Some((0..300).map(|i| 20.0 + f64::from(i)).collect()),
        keep: Some((0..300).map(|i| i % 11 != 3).collect()),
    };
    let params = TokenizeParams { keep_counts: true, keep_uncropped: true, ..Default::default() };
    let whole = t.tokenize(Counts::new(&x).unwrap(), &cells, &params).unwrap();
    assert!(whole.report().cells.n_cropped > 0 && whole.report().cells.n_empty > 0);
    for part in [1, 7, 64, 299, 1_000] {
        let parts = (0..300).step_by(part).map(|first| {
            let rows: Vec<usize> = (first..300.min(first + part)).collect();
            Ok::<_, Error>(x.select_rows(&rows))
        });
        assert_eq!(t.tokenize_parts(parts, &cells, &params).unwrap(), whole, "parts of {part}");
    }
    for threads in [1, 4] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let tokens = pool.install(|| t.tokenize(Counts::new(&x).unwrap(), &cells, &params).unwrap());
        assert_eq!(tokens, whole, "{threads} threads");
    }
}

#[test]
fn matrices_and_tables_that_do_not_belong_together_are_refused() {
    let t = tokenizer(&GENES, RankParams::V1);
    let run = |x: &Csr, cells: &Cells| {
        t.tokenize(Counts::new(x).unwrap(), cells, &TokenizeParams::default()).unwrap_err()
    };
    let narrow = matrix(&[&[1.0]]);
    assert!(matches!(run(&narrow, &Cells::default()), Error::Columns { found: 1, expected: 5 }));
    let x = matrix(&[&[0.0; 5], &[1.0; 5]]);
    let cells = |n_counts| Cells { n_counts: Some(n_counts), keep: None };
    assert!(matches!(run(&x, &cells(vec![1.0])), Error::Length { found: 1, expected: 2, .. }));
    assert!(matches!(run(&x, &cells(vec![1.0; 3])), Error::Length { found: 3, expected: 2, .. }));
    for total in [0.0, -3.0, f64::NAN, f64::INFINITY] {
        let error = run(&x, &cells(vec![0.0, total]));
        assert!(matches!(error, Error::TotalCounts { row: 1, .. }), "{error}");
        assert!(error.help().unwrap().contains("n_counts"));
    }
}

#[test]
fn a_part_that_holds_no_counts_is_refused_with_the_row_of_the_whole() {
    let t = tokenizer(&GENES, RankParams::V1);
    let parts = [matrix(&[&[1.0; 5], &[2.0; 5]]), matrix(&[&[1.0, 0.5, 1.0, 1.0, 1.0]])];
    let parts = parts.into_iter().map(Ok::<_, Error>);
    let error = t.tokenize_parts(parts, &Cells::default(), &TokenizeParams::default()).unwrap_err();
    assert_eq!(error.to_string(), "`X` holds 0.5 for cell 2, gene 1: not a raw count");
    assert!(error.help().unwrap().contains("raw counts"));
}

#[test]
fn a_tokenizer_needs_room_special_tokens_and_genes() {
    let new = |ids: &[&str], params| RankTokenizer::new(&vocabulary(), ids, &params).unwrap_err();
    for (model_input_size, special_token) in [(2, true), (0, false)] {
        let params = RankParams { model_input_size, special_token, min_known: 0.5 };
        assert!(matches!(new(&GENES, params), Error::Parameter { name: "model_input_size", .. }));
    }
    let error = new(&["CD3E", "NKG7"], RankParams::V2);
    assert!(matches!(&error, Error::NoGenes { n_columns: 2, first } if first == "CD3E"));
    assert!(error.help().unwrap().contains("Ensembl"));
    assert!(matches!(new(&[], RankParams::V2), Error::NoGenes { n_columns: 0, .. }));

    let without = Vocabulary::new([("G0".to_owned(), 0)], [("G0".to_owned(), 1.0)]).unwrap();
    assert_eq!(RankParams::of(without.series()), RankParams::V1);
    let error = RankTokenizer::new(&without, &["G0"], &RankParams::V2).unwrap_err();
    assert!(matches!(error, Error::NoSpecial { name: "<cls>" }));
    assert!(error.help().unwrap().contains("V1"));
}

#[test]
fn versions_of_ensembl_ids_do_not_hide_a_gene() {
    let id = "ENSG00000000003".to_owned();
    let v = Vocabulary::new([(id.clone(), 5)], [(id, 1.0)]).unwrap();
    let t = RankTokenizer::new(&v, &["ENSG00000000003.15"], &RankParams::V1).unwrap();
    assert_eq!(tokens(&t, &[&[1.0]]), [[5]]);
    assert_eq!(t.coverage().n_versions, 1);
}
