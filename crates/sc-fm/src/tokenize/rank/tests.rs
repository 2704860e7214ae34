use super::*;

/// Genes `G0` to `G4` with tokens 10 to 14 and medians 1, 2, 1, 1, 4; `<cls>` is 8, `<eos>` is 9.
fn vocabulary() -> Vocabulary {
    let medians = [1.0, 2.0, 1.0, 1.0, 4.0];
    let tokens = (0..5).map(|g| (format!("G{g}"), 10 + g)).chain([("<cls>".into(), 8), ("<eos>".into(), 9)]);
    Vocabulary::new(tokens, (0..5).map(|g| (format!("G{g}"), medians[g as usize]))).unwrap()
}

fn tokenizer(ids: &[&str], params: RankParams) -> RankTokenizer {
    RankTokenizer::new(&vocabulary(), ids, &params).unwrap()
}

const GENES: [&str; 5] = ["G0", "G1", "G2", "G3", "G4"];

#[test]
fn genes_are_listed_by_falling_count_over_median() {
    let t = tokenizer(&GENES, RankParams::V1);
    let ranked = t.rank(&[0, 1, 4], &[2.0, 6.0, 4.0], Some(20.0)).unwrap();
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
    let cell = t.tokenize(&[2, 0, 1], &[5.0, 5.0, 5.0], None).unwrap().unwrap();
    assert_eq!(cell.input_ids, [13, 12, 10]);
}

#[test]
fn columns_of_one_gene_are_summed_and_rank_behind_lone_columns() {
    let t = tokenizer(&["g0", "G2", "G0", "G3"], RankParams::V1);
    assert_eq!(t.coverage().collapsed, [0, 2]);
    assert_eq!(t.coverage().n_genes, 3);
    let ranked = t.rank(&[0, 1, 2, 3], &[1.0, 3.0, 2.0, 3.0], Some(9.0)).unwrap();
    let tokens: Vec<u32> = ranked.iter().map(|gene| gene.token).collect();
    assert_eq!(tokens, [12, 13, 10], "all three have 3 counts");
    assert_eq!(ranked[0].value, ranked[2].value);
}

#[test]
fn long_cells_are_cropped_and_special_tokens_take_two_places() {
    let counts = [5.0, 8.0, 3.0, 2.0, 4.0];
    let input = |size, special_token| {
        let t = tokenizer(&GENES, RankParams { model_input_size: size, special_token });
        t.tokenize(&[0, 1, 2, 3, 4], &counts, None).unwrap().unwrap()
    };
    assert_eq!(input(2, false), RankedCell { input_ids: vec![10, 11], n_genes: 5 });
    assert_eq!(input(4, true), RankedCell { input_ids: vec![8, 10, 11, 9], n_genes: 5 });
    assert_eq!(input(9, true).input_ids, [8, 10, 11, 12, 13, 14, 9]);
}

#[test]
fn a_cell_without_known_genes_has_no_input() {
    let t = tokenizer(&["G0", "unknown"], RankParams::V2);
    assert_eq!(t.tokenize(&[], &[], Some(0.0)).unwrap(), None, "an empty cell may have n_counts 0");
    assert_eq!(t.tokenize(&[0], &[0.0], None).unwrap(), None, "a stored zero is no count");
    let beside_a_zero = t.tokenize(&[0, 1], &[0.0, 7.0], None).unwrap();
    assert_eq!(beside_a_zero, None);
    assert_eq!(t.tokenize(&[1], &[7.0], None).unwrap(), None);
    assert_eq!((t.coverage().unknown.as_slice(), t.coverage().fraction()), ([1].as_slice(), 0.5));
}

#[test]
fn unknown_genes_weigh_in_the_total_that_stands_in_for_n_counts() {
    let t = tokenizer(&["G0", "unknown"], RankParams::V1);
    assert_eq!(t.rank(&[0, 1], &[1.0, 3.0], None).unwrap()[0].value, 2_500.0);
}

#[test]
fn rows_that_are_no_counts_are_refused() {
    let t = tokenizer(&["G0", "unknown"], RankParams::V1);
    for value in [0.5, -1.0, f32::NAN, f32::INFINITY] {
        for column in [0, 1] {
            let error = t.tokenize(&[column], &[value], None).unwrap_err();
            assert!(matches!(error, Error::NotCounts { column: c, .. } if c == column), "{error}");
            assert!(error.help().unwrap().contains("raw counts"));
        }
    }
}

#[test]
fn rows_that_lie_are_refused() {
    let t = tokenizer(&["G0"], RankParams::V1);
    assert!(matches!(t.tokenize(&[0], &[], None), Err(Error::RowLength { indices: 1, values: 0 })));
    assert!(matches!(t.tokenize(&[1], &[1.0], None), Err(Error::Column { column: 1, n_columns: 1 })));
    for n_counts in [0.0, -3.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(t.tokenize(&[0], &[1.0], Some(n_counts)), Err(Error::TotalCounts { .. })));
    }
}

#[test]
fn a_tokenizer_needs_room_special_tokens_and_genes() {
    let new = |ids: &[&str], params| RankTokenizer::new(&vocabulary(), ids, &params).unwrap_err();
    for (model_input_size, special_token) in [(2, true), (0, false)] {
        let params = RankParams { model_input_size, special_token };
        assert!(matches!(new(&GENES, params), Error::Parameter { name: "model_input_size", .. }));
    }
    let error = new(&["CD3E", "NKG7"], RankParams::V2);
    assert!(matches!(&error, Error::NoGenes { n_columns: 2, first } if first == "CD3E"));
    assert!(error.help().unwrap().contains("Ensembl"));
    assert!(matches!(new(&[], RankParams::V2), Error::NoGenes { n_columns: 0, .. }));

    let without = Vocabulary::new([("G0".to_owned(), 0)], [("G0".to_owned(), 1.0)]).unwrap();
    let error = RankTokenizer::new(&without, &["G0"], &RankParams::V2).unwrap_err();
    assert!(matches!(error, Error::NoSpecial { name: "<cls>" }));
    assert!(error.help().unwrap().contains("V1"));
}

#[test]
fn versions_of_ensembl_ids_do_not_hide_a_gene() {
    let id = "ENSG00000000003".to_owned();
    let v = Vocabulary::new([(id.clone(), 5)], [(id, 1.0)]).unwrap();
    let t = RankTokenizer::new(&v, &["ENSG00000000003.15"], &RankParams::V1).unwrap();
    assert_eq!(t.tokenize(&[0], &[1.0], None).unwrap().unwrap().input_ids, [5]);
}
