//! The Cell Ontology against plain graph searches, and GPTCelltype's rule against its authors' table; see
//! `ontology/PROVENANCE.md`.

use std::io::Read;

use sc_eval::ontology::{BROAD_CLASSES, Lookup, Ontology, ScoreRule, gptcelltype_agreement, harmonize};

use crate::support::{data, golden};

fn release() -> Option<Ontology> {
    let file = std::fs::File::open(data("ontology/CL-ontology-v2025-07-30.json.gz")?).expect("readable");
    let mut json = Vec::new();
    flate2::read::GzDecoder::new(file).read_to_end(&mut json).expect("gzip");
    Some(Ontology::from_json(&json).expect("a release"))
}

#[test]
fn distances_and_similarities_are_those_of_a_plain_search() {
    let Some(ontology) = release() else { return };
    let cases = golden("ontology/cases.json");
    assert_eq!(ontology.len() as u64, cases["n_terms"].as_u64().unwrap());
    for case in cases["cases"].as_array().unwrap() {
        let term = |name: &str| ontology.by_id(case[name].as_str().unwrap()).unwrap();
        let (a, b) = (term("a"), term("b"));
        assert_eq!(ontology.hops(a, b).map(u64::from), case["hops"].as_u64(), "{case}");
        assert_eq!(ontology.steps_up(a, b).map(u64::from), case["up"].as_u64(), "{case}");
        assert_eq!(ontology.common_ancestor(a, b), Some(term("common")), "{case}");
        for (found, name) in [(ontology.lin(a, b), "lin"), (ontology.information_content(a), "ic")] {
            assert!((found - case[name].as_f64().unwrap()).abs() < 1e-12, "{name}: {found}, {case}");
        }
    }
}

#[test]
fn the_labels_of_the_usual_data_sets_have_terms() {
    let Some(ontology) = release() else { return };
    let name = |label: &str| ontology.find(label).term().map(|term| ontology.name(term));
    let expected = [
        ("CD14+ Monocytes", "CD14-positive monocyte"),
        ("FCGR3A+ Monocytes", "CD14-low, CD16-positive monocyte"),
        ("CD4 T cells", "CD4-positive, alpha-beta T cell"),
        ("NK cells", "natural killer cell"),
        ("Dendritic cells", "dendritic cell"),
        ("Megakaryocytes", "megakaryocyte"),
        ("bcells", "B cell"),
        ("regulatoryt", "regulatory T cell"),
        ("naivecytotoxic", "naive thymus-derived CD8-positive, alpha-beta T cell"),
        ("memoryt", "memory T cell"),
        ("thelper", "helper T cell"),
        ("Oligo", "oligodendrocyte"),
        ("Micro", "microglial cell"),
        ("Platelet", "platelet"),
        ("Naive CD4 T", "naive thymus-derived CD4-positive, alpha-beta T cell"),
    ];
    for (label, term) in expected {
        assert_eq!(name(label), Some(term), "{label}");
    }
    assert_eq!(ontology.find("no such cell"), Lookup::Unknown);
    assert_eq!(ontology.terms(BROAD_CLASSES).unwrap().len(), BROAD_CLASSES.len());
}

#[test]
fn labels_of_kang_and_of_sorted_blood_meet() {
    let Some(ontology) = release() else { return };
    let kang = ["CD4 T cells", "CD14+ Monocytes", "B cells", "CD8 T cells", "NK cells", "FCGR3A+ Monocytes"];
    let sorted = ["nk", "bcells", "memoryt", "regulatoryt", "thelper", "cytotoxict", "monocytes", "naivet"];
    let both = harmonize(Some(&ontology), &[&kang, &sorted], &[]);
    assert!(
        ["B cell", "monocyte", "natural killer cell"].iter().all(|class| both.is_shared(class)),
        "{both:?}"
    );
    assert_eq!(both.class_of[0]["FCGR3A+ Monocytes"], "monocyte");
    let coarse = harmonize(Some(&ontology), &[&kang, &sorted], &ontology.terms(&["T cell"]).unwrap());
    assert_eq!(coarse.shared, ["B cell", "T cell", "monocyte", "natural killer cell"]);
}

#[test]
fn gptcelltypes_table_is_reproduced_but_for_its_hand_judgements() {
    let Some(path) = data("scores/gptcelltype.csv") else { return };
    let mut table = csv::Reader::from_path(path).expect("readable");
    let header = table.headers().expect("a header").clone();
    let column = |name: &str| header.iter().position(|found| found == name).expect("the column");
    let rows: Vec<csv::StringRecord> = table.records().collect::<Result<_, _>>().expect("rows");
    let given = |text: &str| (!text.is_empty() && text != "NA").then(|| text.to_owned());
    for (method, n, at_least) in [
        ("gpt4aug3", 736, 0.94),
        ("gpt4mar23", 253, 0.94),
        ("gpt3.5aug3", 736, 0.91),
        ("CellMarker2.0", 736, 0.95),
        ("SingleR", 646, 0.91),
        ("ScType", 646, 0.92),
    ] {
        let cell =
            |row: &csv::StringRecord, who: &str, what: &str| given(&row[column(&format!("{who}_{what}"))]);
        let (mut scored, mut agree) = (0, 0);
        for row in &rows {
            let Some(recorded) = cell(row, method, "agreement") else { continue };
            let side =
                |who: &str| (cell(row, who, "CLname"), cell(row, who, "broadtype").unwrap_or_default());
            let ((p, p_broad), (t, t_broad)) = (side(method), side("manual"));
            let (p_broad, t_broad) = (list(&p_broad), list(&t_broad));
            let found = gptcelltype_agreement((p, &p_broad), (t, &t_broad));
            scored += 1;
            agree += usize::from(found == recorded.parse::<f64>().expect("a number"));
        }
        assert_eq!(scored, n, "{method}");
        let share = agree as f64 / f64::from(scored);
        assert!(share >= at_least, "{method}: {agree} of {scored} = {share:.4}");
    }
}

#[test]
fn a_name_scores_one_on_itself_with_or_without_a_term() {
    let Some(ontology) = release() else { return };
    let labels = ["CD4 T cells", "B cells", "something else", "Micro"];
    let scores = ontology.scores(&labels, &labels, &[], &ScoreRule::strict()).unwrap();
    assert_eq!((scores.score, scores.same, scores.lin, scores.hops), (1.0, 4, 1.0, 0.0));
}

/// Broad types, separated by commas.
fn list(text: &str) -> Vec<&str> {
    text.split(',').filter(|broad| !broad.is_empty()).collect()
}
