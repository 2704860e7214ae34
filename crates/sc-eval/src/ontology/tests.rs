use super::*;

const SMALL: &str = r#"format-version: 1.4

[Term]
id: CL:0000000
name: cell

[Term]
id: CL:0000542
name: lymphocyte
is_a: CL:0000000 ! cell

[Term]
id: CL:0000084
name: T cell
synonym: "T lymphocyte" EXACT []
synonym: "thymocyte-like \"T\"" RELATED []
is_a: CL:0000542 ! lymphocyte

[Term]
id: CL:0000624
name: CD4-positive, alpha-beta T cell
is_a: CL:0000084 {source="x"} ! T cell

[Term]
id: CL:0000625
name: CD8-positive, alpha-beta T cell
is_a: CL:0000084
relationship: develops_from CL:0000000

[Term]
id: CL:0000236
name: B cell
synonym: "B lymphocyte" EXACT []
synonym: "shared" EXACT []
is_a: CL:0000542

[Term]
id: CL:0000788
name: naive B cell
is_a: CL:0000236

[Term]
id: CL:0000540
name: neuron
synonym: "shared" EXACT []
is_a: CL:0000000
is_a: GO:0000001 ! elsewhere

[Term]
id: CL:0000001
name: obsolete T cell thing
is_obsolete: true
replaced_by: CL:0000084

[Typedef]
id: develops_from
name: develops from
"#;

fn small() -> Ontology {
    Ontology::from_obo(SMALL).unwrap()
}

fn term(ontology: &Ontology, name: &str) -> TermId {
    ontology.find(name).term().unwrap_or_else(|| panic!("{name}"))
}

#[test]
fn names_are_found_however_people_write_them() {
    let o = small();
    let found = |name: &str| o.find(name).term().map(|t| o.name(t).to_owned());
    for name in ["T cell", "t cells", "T-Cell", "T", "T_lymphocytes", "CL:0000084", " CL:0000001 "] {
        assert_eq!(found(name).as_deref(), Some("T cell"), "{name}");
    }
    for name in ["CD4 T cells", "CD4+ T", "CD4-positive, αβ T cells", "cd4t"] {
        assert_eq!(found(name).as_deref(), Some("CD4-positive, alpha-beta T cell"), "{name}");
    }
    assert_eq!(found("bcells").as_deref(), Some("B cell"));
    assert_eq!(o.find("T lymphocyte"), Lookup::Found { term: term(&o, "T"), how: Match::Synonym });
    assert_eq!(o.find("T"), Lookup::Found { term: term(&o, "T cell"), how: Match::Abbreviation });
    for name in ["", "+", "thymocyte-like T", "unheard-of", "develops from", "obsolete T cell thing"] {
        assert_eq!(o.find(name), if name == "+" { o.find("positive") } else { Lookup::Unknown }, "{name}");
    }
    assert!(matches!(o.find("shared"), Lookup::Ambiguous(terms) if terms.len() == 2));
}

#[test]
fn steps_go_up_and_relations_have_a_direction() {
    let o = small();
    let [t, cd4, cd8, b, neuron, root] = ["T", "CD4 T", "CD8 T", "B", "neuron", "cell"].map(|n| term(&o, n));
    assert_eq!((o.steps_up(cd4, root), o.steps_up(root, cd4)), (Some(3), None));
    assert_eq!(o.relation(t, cd4, &[]), Relation::Broader { hops: 1 });
    assert_eq!(o.relation(cd4, t, &[]), Relation::Narrower { hops: 1 });
    assert_eq!(o.relation(cd4, cd8, &[t]), Relation::SharedClass { class: t });
    assert_eq!(o.relation(cd4, b, &[t]), Relation::Unrelated);
    assert_eq!(
        (o.hops(cd4, cd8), o.hops(cd4, b), o.hops(cd4, neuron), o.hops(b, b)),
        (Some(2), Some(3), Some(4), Some(0))
    );
    assert_eq!(o.common_ancestor(cd4, b), Some(term(&o, "lymphocyte")));
}

#[test]
fn the_root_says_nothing_and_a_leaf_says_all() {
    let o = small();
    let [root, cd4, t] = ["cell", "CD4 T", "T"].map(|n| term(&o, n));
    assert_eq!(o.information_content(root), 0.0);
    assert_eq!(o.information_content(cd4), 1.0);
    let expected = 1.0 - 3f64.ln() / 8f64.ln();
    assert!((o.information_content(t) - expected).abs() < 1e-15);
    assert_eq!(o.lin(cd4, cd4), 1.0);
    assert_eq!(o.lin(cd4, term(&o, "neuron")), 0.0);
    assert!((o.lin(cd4, t) - 2.0 * expected / (1.0 + expected)).abs() < 1e-15);
    assert!((o.resnik(cd4, term(&o, "CD8 T")) - expected).abs() < 1e-15);
}

#[test]
fn every_cell_is_counted_and_unmapped_names_score_by_name() {
    let o = small();
    let predicted = ["CD4 T", "T", "CD4 T", "B", "weird", "Weird", "CD4 T"];
    let truth = ["CD4 T", "CD4 T", "T", "neuron", "T", "weird!", "CD8 T"];
    let classes = o.terms(&["T cell"]).unwrap();
    let scores = o.scores(&predicted, &truth, &classes, &ScoreRule::default()).unwrap();
    let counts = [
        scores.same,
        scores.broader,
        scores.narrower,
        scores.shared_class,
        scores.unrelated,
        scores.unmapped,
    ];
    assert_eq!(counts, [2, 1, 1, 1, 1, 1]);
    assert_eq!(counts.iter().sum::<usize>(), scores.n_cells);
    assert!((scores.score - (2.0 + 0.5 + 1.0 + 0.5) / 7.0).abs() < 1e-15);
    assert_eq!(scores.hops, 7.0 / 5.0);
    let strict = o.scores(&predicted, &truth, &classes, &ScoreRule::strict()).unwrap();
    assert!((strict.score - 3.5 / 7.0).abs() < 1e-15);
    let exact = o.scores(&predicted, &truth, &classes, &ScoreRule::exact()).unwrap();
    assert!((exact.score - 2.0 / 7.0).abs() < 1e-15);
    let short = o.scores(&predicted[..1], &truth, &classes, &ScoreRule::default()).unwrap_err();
    assert_eq!(short.to_string(), "the list of predicted names has 1 entries, expected 7");
}

#[test]
fn labels_of_two_data_sets_meet_under_the_broadest_label() {
    let o = small();
    let (here, there) = (["CD4 T", "CD8 T", "B"], ["T cell", "Naive B", "neuron"]);
    let both = harmonize(Some(&o), &[&here, &there], &[]);
    assert_eq!(both.shared, ["B cell", "T cell"]);
    assert_eq!(both.class_of[0]["CD8 T"], "T cell");
    assert_eq!(both.class_of[1]["Naive B"], "B cell");
    assert_eq!(both.class_of[1]["neuron"], "neuron");
    assert!(both.is_shared("T cell") && !both.is_shared("neuron"));
    let coarse = harmonize(Some(&o), &[&here, &there], &o.terms(&["lymphocyte"]).unwrap());
    assert_eq!(coarse.shared, ["lymphocyte"]);
}

#[test]
fn without_an_ontology_names_must_be_the_same_but_for_case() {
    let both = harmonize(None, &[&["T cell", "B"], &["t-cell", "b cell"]], &[]);
    assert_eq!(both.shared, ["T cell"]);
    assert_eq!(both.class_of[1]["t-cell"], "T cell");
    assert_eq!(both.class_of[1]["b cell"], "b cell");
}

#[test]
fn gptcelltypes_rule_has_three_lines() {
    let rule = |a, b| gptcelltype_agreement(a, b);
    assert_eq!(rule((Some("T cell"), &["t/nk cell"]), (Some("T cell"), &[])), 1.0);
    assert_eq!(rule((Some("NK"), &["t/nk cell", "x"]), (Some("T cell"), &["t/nk cell"])), 0.5);
    assert_eq!(rule((None, &["a"]), (None, &["b"])), 0.0);
    assert_eq!(rule((None, &["a"]), (None, &["a"])), 0.5);
}

#[test]
fn json_and_obo_give_the_same_ontology() {
    let json = r#"{"CL:2": {"label": "T cell", "ancestors": {"CL:1": 1, "CL:0": 2}, "synonyms": ["T lymphocyte"]},
                   "CL:1": {"label": "lymphocyte", "ancestors": {"CL:0": 1}}, "CL:0": {"label": "cell", "ancestors": {}},
                   "CL:9": {"label": "gone", "ancestors": {}, "deprecated": true, "replaced_by": "CL:2"}}"#;
    let obo = "[Term]\nid: CL:0\nname: cell\n[Term]\nid: CL:1\nname: lymphocyte\nis_a: CL:0\n[Term]\nid: CL:2\nname: T cell\n\
               synonym: \"T lymphocyte\" EXACT []\nis_a: CL:1\n[Term]\nid: CL:9\nname: gone\nis_obsolete: true\nreplaced_by: CL:2\n";
    assert_eq!(Ontology::from_json(json.as_bytes()).unwrap(), Ontology::from_obo(obo).unwrap());
}

#[test]
fn damaged_ontologies_are_refused_by_name() {
    let message = |obo: &str| Ontology::from_obo(obo).unwrap_err().to_string();
    assert!(message("").contains("is it OBO text?"));
    assert!(message("<rdf/>").contains("is it OBO text?"));
    let ring = "[Term]\nid: A\nname: a\nis_a: B\n[Term]\nid: B\nname: b\nis_a: A\n";
    assert_eq!(message(ring), "the ontology is not usable: \"A\" is a kind of itself");
    let twice = "[Term]\nid: A\nname: a\n[Term]\nid: A\nname: b\n";
    assert_eq!(message(twice), "the ontology is not usable: \"A\" is defined twice");
    let not = Ontology::from_json(b"[1]").unwrap_err();
    assert!(not.to_string().contains("is not its JSON") && not.help().is_some());
    assert!(Ontology::from_json(b"{}").is_err());
    let unknown = small().terms(&["T", "martian"]).unwrap_err().to_string();
    assert_eq!(unknown, "the ontology is not usable: \"martian\" is not a name in the ontology");
}

#[test]
fn a_ring_of_replacements_ends() {
    let obo = "[Term]\nid: A\nname: a\nis_obsolete: true\nreplaced_by: B\n[Term]\nid: B\nname: b\nis_obsolete: true\nreplaced_by: A\n";
    assert!(Ontology::from_obo(obo).unwrap().by_id("A").is_some());
}
