use super::*;
use proptest::prelude::*;

fn labels() -> LabelSet {
    LabelSet::new(&["B cell", "T cell", "γδ T cell", "CD4⁺ T cell", "NK", "Nk", "{odd}"]).unwrap()
}

fn label(index: usize, form: Form) -> Answer {
    Answer::Label { index, form }
}

#[test]
fn a_label_is_found_word_for_word_and_up_to_case_and_white_space() {
    let labels = labels();
    assert_eq!(labels.parse("T cell"), label(1, Form::Exact));
    for answer in ["t cell", "T CELL", " T cell", "T  cell\n", "\tt\u{a0}Cell "] {
        assert_eq!(labels.parse(answer), label(1, Form::Folded), "{answer:?}");
    }
    assert_eq!(labels.parse("ΓΔ T CELL"), label(2, Form::Folded));
    assert_eq!(labels.parse("cd4⁺ t cell"), label(3, Form::Folded));
}

#[test]
fn text_with_a_label_in_it_is_no_label() {
    let labels = labels();
    for answer in
        ["T cell.", "a T cell", "T cell or B cell", "Tcell", "T", "T-cell", "\"T cell\"", "Answer: T cell"]
    {
        assert_eq!(labels.parse(answer), Answer::Unparseable(Reason::NotALabel), "{answer:?}");
    }
    for answer in ["", " ", "\n\t"] {
        assert_eq!(labels.parse(answer), Answer::Unparseable(Reason::Empty), "{answer:?}");
    }
}

#[test]
fn labels_that_differ_in_case_alone_are_told_apart_word_for_word_only() {
    let labels = labels();
    assert_eq!(labels.parse("NK"), label(4, Form::Exact));
    assert_eq!(labels.parse("Nk"), label(5, Form::Exact));
    assert_eq!(labels.parse("nk"), Answer::Unparseable(Reason::Ambiguous));
    assert_eq!(labels.parse(r#"{"cell_type": "nK"}"#), Answer::Unparseable(Reason::Ambiguous));
    assert_eq!(labels.parse(r#"{"cell_type": "Nk"}"#), label(5, Form::Json));
}

#[test]
fn json_is_read_as_json_and_only_its_cell_type_counts() {
    let labels = labels();
    for answer in [
        r#"{"cell_type": "T cell"}"#,
        r#" { "confidence" : 0.93, "cell_type" : "t cell", "reasoning": ["CD3E", {"cell_type": "B cell"}] } "#,
        r#"{"cell\u005ftype": "\u0054 cell"}"#,
    ] {
        assert_eq!(labels.parse(answer), label(1, Form::Json), "{answer}");
    }
    for (answer, reason) in [
        (r#"{"cell_type": "T cell""#, Reason::InvalidJson),
        (r#"{"cell_type": "T cell"} I am sure."#, Reason::InvalidJson),
        (r#"{cell_type: T cell}"#, Reason::InvalidJson),
        (r#"{"cell_type": "T cell", "cell_type": "B cell"}"#, Reason::Ambiguous),
        (r#"{"label": "T cell"}"#, Reason::NoCellType),
        (r#"{"Cell_Type": "T cell"}"#, Reason::NoCellType),
        (r#"{"cell_type": ["T cell"]}"#, Reason::NoCellType),
        (r#"{"cell_type": 1}"#, Reason::NoCellType),
        (r#"{"cell_type": "astronaut"}"#, Reason::NotALabel),
        (r#"{"cell_type": " "}"#, Reason::Empty),
        (r#"["T cell"]"#, Reason::NotALabel),
    ] {
        assert_eq!(labels.parse(answer), Answer::Unparseable(reason), "{answer}");
    }
}

#[test]
fn a_label_may_look_like_json() {
    assert_eq!(labels().parse("{odd}"), label(6, Form::Exact));
    assert_eq!(labels().parse(" {ODD}"), label(6, Form::Folded));
}

#[test]
fn label_sets_without_sense_are_refused() {
    assert!(matches!(LabelSet::new::<&str>(&[]), Err(Error::NoLabels)));
    assert!(matches!(LabelSet::new(&["B", " \n"]), Err(Error::EmptyLabel { label: 1 })));
    assert!(matches!(LabelSet::new(&["B", "T", "B"]), Err(Error::SameLabel { first: 0, second: 2 })));
}

#[test]
fn every_answer_is_counted_once() {
    let labels = labels();
    let answers = ["NK", "b cell", r#"{"cell_type": "NK"}"#, "", "?", "nk", "{", "{}", "{}"];
    let tally: Tally = answers.iter().map(|answer| labels.parse(answer)).collect();
    let expected = Tally {
        exact: 1,
        folded: 1,
        json: 1,
        empty: 1,
        not_a_label: 1,
        ambiguous: 1,
        invalid_json: 1,
        no_cell_type: 2,
    };
    assert_eq!(tally, expected);
    assert_eq!((tally.n_answers(), tally.n_unparseable()), (9, 6));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(answer in ".*", start in 0_usize..4) {
        let starts = ["", "{", r#"{"cell_type": ""#, r#"{"cell_type": "T cell","#];
        let answer = labels().parse(&format!("{}{answer}", starts[start]));
        prop_assert!(answer.label().is_none_or(|index| index < 7));
    }

    #[test]
    fn a_label_set_parses_its_own_labels(names in prop::collection::btree_set("\\S.{0,12}", 1..20)) {
        let names: Vec<String> = names.into_iter().collect();
        let labels = LabelSet::new(&names).unwrap();
        for (index, name) in names.iter().enumerate() {
            prop_assert_eq!(labels.parse(name), label(index, Form::Exact));
        }
    }
}
