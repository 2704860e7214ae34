use super::*;

fn vocabulary() -> ScgptVocabulary {
    ScgptVocabulary::new((0..40).map(|g| (format!("G{g}"), g))).unwrap()
}

/// 50 cells, some equal, of 40 known genes and an unknown one; the last is empty but for the unknown gene.
fn cells() -> Csr {
    let value = |(i, j): (usize, usize)| match (i, j) {
        (_, 0) => 1.0,
        (49, _) => 0.0,
        _ => ((i % 25 * 5 + j * 11) % 7) as f32,
    };
    Csr::from_dense(ndarray::Array2::from_shape_fn((50, 41), value).view())
}

fn tokenizer(params: ScgptParams) -> ScgptTokenizer {
    let symbols: Vec<String> =
        std::iter::once("ERCC".into()).chain((0..40).map(|g| format!("G{g}"))).collect();
    ScgptTokenizer::new(&vocabulary(), &symbols, None, &params).unwrap()
}

#[test]
fn genes_stand_behind_cls_in_the_order_of_the_matrix_with_their_bins() {
    let t = tokenizer(ScgptParams::default());
    let x = cells();
    let (tokens, scale) = t.tokenize(&x).unwrap();
    assert_eq!(scale, Scale::Counts);
    assert_eq!((tokens.n_cells(), tokens.report().cells.n_empty), (49, 1));
    let (ids, values) = (tokens.cell(3), tokens.cell_values(3).unwrap());
    assert_eq!((ids[0], values[0]), (41, -2.0));
    assert!(ids[1..].is_sorted() && values[1..].iter().all(|bin| (1.0..=50.0).contains(bin)));
    let (columns, counts) = x.row(3);
    let known: Vec<(u32, f32)> =
        columns[1..].iter().map(|c| c - 1).zip(counts[1..].iter().copied()).collect();
    let bins = bin_values(&counts[1..], 51, Ties::Middle).unwrap();
    assert!(ids[1..].iter().eq(known.iter().map(|(gene, _)| gene)));
    assert!(values[1..].iter().zip(bins).all(|(&value, bin)| value == bin as f32));
}

#[test]
fn a_cell_draws_the_same_genes_in_any_company() {
    let t = tokenizer(ScgptParams { max_length: 9, ties: CellTies::Seeded, ..Default::default() });
    let x = cells();
    let (all, _) = t.tokenize(&x).unwrap();
    assert_eq!(all.report().cells.n_cropped, 49);
    let backwards: Vec<usize> = (0..50).rev().collect();
    let (reversed, _) = t.tokenize(&x.select_rows(&backwards)).unwrap();
    for i in 0..49 {
        assert_eq!(all.cell(i), reversed.cell(48 - i), "cell {i}");
        assert_eq!(all.cell_values(i), reversed.cell_values(48 - i));
        assert_eq!((all.cell(i).len(), all.cell(i)[0]), (9, 41));
        let (alone, _) = t.tokenize(&x.select_rows(&[i])).unwrap();
        assert_eq!(alone.cell(0), all.cell(i));
    }
    assert_eq!(all.cell(2), all.cell(27), "equal cells draw alike");
    let other = tokenizer(ScgptParams { max_length: 9, seed: 1, ..Default::default() });
    assert_ne!(other.tokenize(&x).unwrap().0.ids(), all.ids());
}

#[test]
fn categories_empty_cells_and_raw_values_are_options() {
    let x = cells();
    let params = ScgptParams {
        encoding: ValueEncoding::CATEGORY,
        empty: EmptyCells::Keep,
        n_bins: None,
        ..Default::default()
    };
    let (tokens, _) = tokenizer(params).tokenize(&x).unwrap();
    assert_eq!(tokens.n_cells(), 50);
    assert_eq!((tokens.cell(49), tokens.cell_values(49).unwrap()), ([41].as_slice(), [51.0].as_slice()));
    assert_eq!(tokens.cell_values(3).unwrap()[1..], x.row(3).1[1..]);
    let params = ScgptParams { cls_value: Some(0.0), ..params };
    assert_eq!(tokenizer(params).tokenize(&x).unwrap().0.cell_values(0).unwrap()[0], 0.0);
}

#[test]
fn orders_and_draws_that_do_not_fit_are_refused() {
    let t = tokenizer(ScgptParams { max_length: 3, ..Default::default() });
    let x = Csr::new(1, 41, vec![0, 3], vec![1, 2, 3], vec![1.0, 2.0, 3.0]).unwrap();
    let run = |order: &[usize]| t.tokenize_as(&x, &[Crop { draws: None, order: Some(order) }]);
    assert_eq!(run(&[2, 0, 1]).unwrap().0.cell(0), [41, 2, 0]);
    for bad in [&[0, 1][..], &[0, 1, 1], &[0, 1, 3], &[0, 1, 2, 2]] {
        assert!(matches!(run(bad), Err(Error::Permutation { row: 0, expected: 3 })), "{bad:?}");
    }
    let draws = Crop { draws: Some(&[0.5]), order: None };
    assert!(matches!(t.tokenize_as(&x, &[draws]), Err(Error::Draws { found: 1, expected: 3 })));
    assert!(matches!(t.tokenize_as(&x, &[]), Err(Error::Length { what: "crops", .. })));
}

#[test]
fn matrices_and_parameters_that_make_no_input_are_refused() {
    let new = |params| ScgptTokenizer::new(&vocabulary(), &["G0", "G1"], None, &params);
    let short = ScgptParams { max_length: 1, ..Default::default() };
    assert!(matches!(new(short), Err(Error::Parameter { name: "max_length", .. })));
    let no_bins = ScgptParams { n_bins: Some(1), ..Default::default() };
    assert!(matches!(new(no_bins), Err(Error::Parameter { name: "n_bins", .. })));
    let t = new(ScgptParams::default()).unwrap();
    let wide = Csr::new(1, 3, vec![0, 0], vec![], vec![]).unwrap();
    assert!(matches!(t.tokenize(&wide), Err(Error::Columns { found: 3, expected: 2 })));
    let scaled = Csr::new(1, 2, vec![0, 1], vec![1], vec![-1.0]).unwrap();
    assert!(matches!(t.tokenize(&scaled), Err(Error::Scaled { .. })));
    let ids = ["ENSG1".to_owned()];
    let short_ids = ScgptTokenizer::new(&vocabulary(), &["G0", "G1"], Some(&ids), &ScgptParams::default());
    assert!(matches!(short_ids, Err(Error::Length { what: "ensembl_ids", .. })));
}
