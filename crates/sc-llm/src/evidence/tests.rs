use super::*;

const GENES: [&str; 6] = ["MT-CO1", "CD3D", "RPS6KA1", "Rpl13a", "MS4A1", "NKG7"];

fn names(evidence: &Evidence) -> Vec<&str> {
    match evidence {
        Evidence::Genes(genes) => genes.iter().map(String::as_str).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn genes_come_by_expression_and_equals_by_their_place() {
    let cell = [(5, 1.0), (4, 3.0), (1, 3.0), (0, 9.0), (3, 8.0), (2, 0.0)];
    let top =
        |n_genes, drop_uninformative| top_genes(&GENES, cell, &TopParams { n_genes, drop_uninformative });
    assert_eq!(names(&top(50, true).unwrap()), ["CD3D", "MS4A1", "NKG7"]);
    assert_eq!(names(&top(3, false).unwrap()), ["MT-CO1", "Rpl13a", "CD3D"]);
    let mut reversed = cell;
    reversed.reverse();
    assert_eq!(top_genes(&GENES, reversed, &TopParams::default()), top(50, true));
    let values = top_values(&GENES, cell, &TopParams { n_genes: 1, drop_uninformative: true });
    assert_eq!(values, Ok(Evidence::Values(vec![("CD3D".into(), 3.0)])));
    assert!(!is_uninformative("RPS6KA1") && !is_uninformative("MTOR") && !is_uninformative("µ"));
}

#[test]
fn a_cell_without_genes_or_with_broken_values_is_an_error() {
    let top =
        |cell: &[(usize, f32)]| top_genes(&GENES, cell.iter().copied(), &TopParams::default()).unwrap_err();
    assert_eq!(top(&[]), Error::NoGenes { n_given: 6 });
    assert_eq!(top(&[(0, 9.0), (1, 0.0), (4, -1.0)]), Error::NoGenes { n_given: 6 });
    assert!(top(&[]).help().unwrap().contains("count it"));
    assert_eq!(top(&[(6, 1.0)]), Error::NoSuchGene { gene: 6, n_genes: 6 });
    assert!(top(&[(1, f32::NAN)]).to_string().contains("\"CD3D\" has value NaN"));
    assert_eq!(markers::<&str>(&[], 5), Err(Error::NoGenes { n_given: 0 }));
    assert_eq!(markers(&["CD3D"], 0), Err(Error::NoGenes { n_given: 1 }));
}

#[test]
fn markers_keep_their_rank_and_come_once() {
    assert_eq!(names(&markers(&["B", "A", "B", "", "C", "D"], 3).unwrap()), ["B", "A", "C"]);
}

#[test]
fn the_fixed_order_is_that_of_the_list_whatever_the_expression() {
    let list = ["NKG7", "ABSENT", "CD3D", "MS4A1", "MT-CO1"];
    let cell = [(0, 1.0), (1, 5.0), (4, 0.0), (5, -0.5)];
    assert_eq!(names(&fixed_order(&GENES, cell, &list, 1000).unwrap()), ["NKG7", "CD3D", "MT-CO1"]);
    assert_eq!(names(&fixed_order(&GENES, cell, &list, 2).unwrap()), ["NKG7", "CD3D"]);
    assert!(fixed_order(&GENES, cell, &["ABSENT"], 2).is_err());
}

#[test]
fn a_disguise_is_one_to_one_and_depends_on_its_seed_alone() {
    let genes: Vec<String> = (0..500).map(|i| format!("G{i}")).collect();
    let evidence = markers(&genes, 500).unwrap();
    for make in [Disguise::shuffled::<String>, Disguise::pseudonyms::<String>] {
        let disguise = make(&genes, 3).unwrap();
        assert_eq!(disguise, make(&genes, 3).unwrap());
        let hidden = disguise.apply(&evidence).unwrap();
        assert_ne!(hidden, make(&genes, 4).unwrap().apply(&evidence).unwrap());
        let distinct: std::collections::BTreeSet<_> = names(&hidden).into_iter().collect();
        assert_eq!(distinct.len(), 500);
        let kept = names(&hidden).iter().zip(&genes).filter(|(new, old)| *new == old).count();
        assert!(kept < 10, "{kept} keep their name; 1 is expected");
    }
    let shuffled = Disguise::shuffled(&genes, 3).unwrap().apply(&evidence).unwrap();
    let mut sorted = names(&shuffled);
    sorted.sort_unstable();
    let mut expected: Vec<&str> = genes.iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(sorted, expected, "the same names on other genes");
}

#[test]
fn a_disguise_knows_all_genes_once() {
    assert_eq!(Disguise::shuffled(&["A", "B", "A"], 1), Err(Error::Twice { gene: "A".into() }));
    let error = Disguise::pseudonyms(&["A"], 1)
        .unwrap()
        .apply(&Evidence::Values(vec![("B".into(), 1.0)]))
        .unwrap_err();
    assert!(error.to_string().contains("\"B\" has no disguise") && error.help().is_some());
    let barcode = barcode("ACGT");
    assert_eq!(Disguise::pseudonyms(&["A"], 1).unwrap().apply(&barcode), Ok(barcode));
}

#[test]
fn pseudonyms_are_these_for_ever() {
    let hidden = Disguise::pseudonyms(&["A", "B", "C", "D", "E"], 17)
        .unwrap()
        .apply(&markers(&["A", "B", "C", "D", "E"], 5).unwrap());
    assert_eq!(names(&hidden.unwrap()), ["GENE00000", "GENE00004", "GENE00002", "GENE00001", "GENE00003"]);
}
