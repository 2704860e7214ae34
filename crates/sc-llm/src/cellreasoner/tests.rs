use std::path::Path;

use ndarray::arr2;
use sc_eval::ontology::{Ontology, ScoreRule};
use sc_io::named_matrix::NamedMatrix;
use sc_io::{AnnData, Column, Csr, DataFrame, Matrix};

use super::*;
use crate::Result;

fn names<S: AsRef<str>>(names: &[S]) -> Vec<String> {
    names.iter().map(|name| name.as_ref().to_owned()).collect()
}

/// Three cells: the second has none of the listed genes, the third a negative value and a NaN.
fn adata() -> AnnData {
    let x = arr2(&[[1.0, 0.0, 2.0, 5.0], [9.0, 0.0, 0.0, 0.0], [0.0, -0.5, 3.0, f32::NAN]]);
    let mut obs = DataFrame::new(names(&["c1", "c2", "c3"]));
    let label = |label: &str| Some(label.to_owned());
    obs.insert("type", Column::NullableStrings(vec![label("B"), label("T"), None])).unwrap();
    obs.insert("n", Column::F64(vec![1.5, 2.0, f64::NAN])).unwrap();
    let var = DataFrame::new(names(&["ACTB", "CD3D", "LYZ", "GNLY"]));
    AnnData::new(Matrix::Dense(x), obs, var).unwrap()
}

fn list() -> GeneList {
    GeneList::parse("GNLY\r\nS100A9\n\n CD3D \nLYZ\nGNLY\n").unwrap()
}

fn counted() -> DatasetOptions {
    DatasetOptions { on_lost: OnLoss::Count, on_empty: OnLoss::Count, ..DatasetOptions::default() }
}

fn own(error: crate::Error) -> Error {
    assert!(error.help().is_some(), "{error}");
    match error {
        crate::Error::CellReasoner(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn genes_are_kept_in_the_order_of_the_list_each_once() {
    assert_eq!(list().genes(), ["GNLY", "S100A9", "CD3D", "LYZ"]);
    assert!(matches!(GeneList::parse(" \n"), Err(crate::Error::CellReasoner(Error::NoGenes))));
    let prepared = Prepared::new(&adata(), &list()).unwrap();
    assert_eq!(prepared.matrix.column_names(), ["GNLY", "CD3D", "LYZ"]);
    assert_eq!(prepared.matrix.values().row(0), (&[0, 2][..], &[5.0, 2.0][..]));
}

#[test]
fn sparse_and_dense_data_are_prepared_alike() {
    let dense = adata();
    let mut sparse = dense.clone();
    let csr = dense.x().unwrap().to_csr();
    let expected = Prepared::new(&dense, &list()).unwrap();
    for x in [Matrix::Csc(csr.to_csc()), Matrix::Csr(csr)] {
        sparse.set_x(Some(x)).unwrap();
        let prepared = Prepared::new(&sparse, &list()).unwrap();
        assert_eq!(prepared.matrix.row_names(), expected.matrix.row_names());
        assert_eq!(format!("{prepared:?}"), format!("{expected:?}"));
    }
}

#[test]
fn data_without_a_listed_gene_are_an_error() {
    let other = GeneList::parse("ENSG1").unwrap();
    let error = own(Prepared::new(&adata(), &other).unwrap_err());
    assert!(matches!(error, Error::NoGeneFound { listed: 1, found: 4, .. }), "{error}");
    let mut none = adata();
    none.set_x(None).unwrap();
    assert!(matches!(Prepared::new(&none, &list()), Err(crate::Error::CellReasoner(Error::NoMatrix))));
}

#[test]
fn files_of_the_first_step_lead_to_the_records_of_the_second() {
    let folder = tempfile::tempdir().unwrap();
    let prepared = Prepared::new(&adata(), &list()).unwrap();
    prepared.write(folder.path(), "demo", false).unwrap();
    assert!(prepared.write(folder.path(), "demo", false).is_err());
    let meta = std::fs::read_to_string(folder.path().join("demo.meta.csv")).unwrap();
    assert_eq!(meta, ",type,n\nc1,B,1.5\nc2,T,2.0\nc3,,\n");

    let matrix = read_matrix(folder.path().join("demo.h5")).unwrap();
    let cells = sc_io::delimited::read(folder.path().join("demo.meta.csv")).unwrap();
    let options = DatasetOptions { label_column: Some("type".into()), ..counted() };
    let dataset = Dataset::build(&matrix, Some(&cells), &options).unwrap();
    let inputs: Vec<&str> = dataset.records.iter().map(|r| r.input.as_str()).collect();
    assert_eq!(inputs, ["GNLY, LYZ", "CD3D, LYZ"], "in the order of the list; negative counts, NaN does not");
    assert_eq!((&dataset.empty, &dataset.unlabelled), (&names(&["c2"]), &names(&["c3"])));
    assert_eq!(dataset.records[0].output.as_deref(), Some("B"));
    assert_eq!(dataset.records[1].output, None);

    let path = folder.path().join("demo_for_CellReasoner.json");
    write_records(&dataset.records, &path, false).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.starts_with("[\n    {\n        \"cell_name\": \"c1\",\n        \"instruction\": \"These are"),
        "{text}"
    );
    assert_eq!(read_records(&path).unwrap(), dataset.records);
    std::fs::write(&path, "[{\"cell_name\": 1}]").unwrap();
    let error = read_records(&path).unwrap_err();
    assert!(matches!(error, crate::Error::CellReasoner(Error::Records { .. })), "{error}");
}

#[test]
fn the_mode_is_the_instruction_and_an_own_one_takes_its_place() {
    let matrix = Prepared::new(&adata(), &list()).unwrap().matrix;
    let with = |options| Dataset::build(&matrix, None, &options).unwrap().records.remove(0);
    let direct = with(counted());
    assert!(direct.instruction.ends_with("directly give the final annotation result."));
    let reasoning = with(DatasetOptions { mode: Mode::Reasoning, ..counted() });
    assert!(reasoning.instruction.ends_with("place the reason within the <think></think> tag."));
    let own = with(DatasetOptions { instruction: Some("Which cell?".into()), n_genes: 1, ..counted() });
    assert_eq!((own.instruction.as_str(), own.input.as_str()), ("Which cell?", "GNLY"));
}

#[test]
fn cells_are_lost_only_when_that_is_asked_for() {
    let matrix = Prepared::new(&adata(), &list()).unwrap().matrix;
    let error = own(Dataset::build(&matrix, None, &DatasetOptions::default()).unwrap_err());
    assert!(matches!(error, Error::EmptyCells { empty: 1, total: 3, first } if first == "c2"));

    let mut numbered = DataFrame::new(names(&["1", "c3"]));
    numbered.insert("type", Column::Strings(names(&["B", "T"]))).unwrap();
    let options = DatasetOptions { label_column: Some("type".into()), ..DatasetOptions::default() };
    let error = own(Dataset::build(&matrix, Some(&numbered), &options).unwrap_err());
    assert!(
        matches!(&error, Error::LostCells { lost: 2, total: 3, first, table: Some(t) } if first == "c1" && t == "1"),
        "{error}"
    );
    let counting = DatasetOptions { on_lost: OnLoss::Count, ..options.clone() };
    let dataset = Dataset::build(&matrix, Some(&numbered), &counting).unwrap();
    assert_eq!((dataset.records.len(), dataset.lost), (1, names(&["c1", "c2"])));

    assert!(matches!(
        Dataset::build(&matrix, None, &options),
        Err(crate::Error::CellReasoner(Error::NoTable { .. }))
    ));
    let missing = DatasetOptions { label_column: Some("typo".into()), ..options };
    let error = Dataset::build(&matrix, Some(&numbered), &missing).unwrap_err();
    assert!(error.help().is_some() && error.to_string().contains("\"type\""), "{error}");
}

#[test]
fn two_cells_of_one_name_are_an_error() {
    let csr = Csr::from_dense(arr2(&[[1.0], [1.0]]).view());
    let matrix = NamedMatrix::new(csr, names(&["c", "c"]), names(&["GNLY"])).unwrap();
    let error = own(Dataset::build(&matrix, None, &DatasetOptions::default()).unwrap_err());
    assert!(matches!(error, Error::SameCell { place: "the matrix", .. }));
}

#[test]
fn the_label_is_what_follows_the_thoughts() {
    let cases = [
        ("B cell", "B cell"),
        ("  B cell \n", "B cell"),
        ("<think> MS4A1 ... </think>\nB cell", "B cell"),
        ("MS4A1 and CD79A are high.\n\nB cell\n\n", "B cell"),
        ("a </think> b </think>\n\nFinal answer:\nNK cell", "NK cell"),
        ("thoughts </think>\n", ""),
        ("", ""),
    ];
    for (response, label) in cases {
        assert_eq!(parse_response(response), label, "{response:?}");
    }
}

fn result(cell: &str, response: &str, label: Option<&str>) -> CellResult {
    CellResult { cell_name: cell.into(), response: response.into(), label: label.map(str::to_owned) }
}

#[test]
fn results_are_written_and_read_with_and_without_labels() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demo_CellReasoner_result.csv");
    let results =
        vec![result("c1", "thoughts, \"quoted\"\n</think>\nB cell", Some("B")), result("c2", "", None)];
    write_results(&results, &path, false).unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("cell_name,response,labels\n"));
    assert_eq!(read_results(&path).unwrap(), results);
    let plain = vec![result("c1", "B cell", None)];
    write_results(&plain, &path, true).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "cell_name,response\nc1,B cell\n");
    assert_eq!(read_results(&path).unwrap(), plain);
}

fn pairs(text: &str) -> Result<PairScores> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairs.csv");
    std::fs::write(&path, text).unwrap();
    PairScores::read(&path)
}

const PAIRS: &str = "Ground Truth,Model Prediction,Prediction Evaluation,Evaluation Score
B,B cell,Subtype correct,1
B,Monocyte,Incorrect,0
T,\"CD4, naive\",Major correct,0.5
T,T cell,Partially correct,0.25
B,B cell,Subtype correct,1
,,,
";

#[test]
fn the_published_score_is_a_mean_that_drops_what_the_table_lacks() {
    let pairs = pairs(PAIRS).unwrap();
    assert_eq!(
        (pairs.len(), pairs.score("T", "CD4, naive"), pairs.score("T", "t cell")),
        (4, Some(0.5), None)
    );
    let results = [
        result("1", "CD20!\n</think>\nB cell", Some("B")),
        result("2", "T cell", Some("T")),
        result("3", "lymphocyte", Some("T")),
    ];
    let score = |on_missing| PublishedScore::new(&results, &pairs, on_missing);
    let dropped = score(OnMissing::Drop).unwrap();
    assert_eq!((dropped.score, dropped.n_cells, dropped.n_missing), (0.625, 3, 1));
    assert_eq!(dropped.scores, [Some(1.0), Some(0.25), None]);
    assert_eq!(score(OnMissing::Zero).unwrap().score, 1.25 / 3.0);
    let error = own(score(OnMissing::Error).unwrap_err());
    assert!(
        matches!(error, Error::MissingPair { missing: 1, total: 3, prediction, .. } if prediction == "lymphocyte")
    );
    let none = [result("3", "lymphocyte", Some("T"))];
    assert!(PublishedScore::new(&none, &pairs, OnMissing::Drop).unwrap().score.is_nan());
}

#[test]
fn the_score_by_the_ontology_drops_nothing() {
    let text = "format-version: 1.2\n\n[Term]\nid: CL:1\nname: lymphocyte\n\n[Term]\nid: CL:2\nname: B cell\nsynonym: \"B\" EXACT []\nis_a: CL:1\n\n[Term]\nid: CL:3\nname: T cell\nsynonym: \"T\" EXACT []\nis_a: CL:1\n";
    let ontology = Ontology::from_obo(text).unwrap();
    let results = [
        result("1", "B cell", Some("B")),
        result("2", "lymphocyte", Some("T")),
        result("3", "no idea", Some("T")),
        result("4", "", Some("T")),
    ];
    let pairs = pairs(PAIRS).unwrap();
    let both =
        Evaluation::new(&results, &pairs, OnMissing::Drop, &ontology, &[], &ScoreRule::default()).unwrap();
    assert_eq!((both.published.score, both.published.n_missing), (1.0, 3));
    let by_ontology = both.ontology;
    assert_eq!((by_ontology.n_cells, by_ontology.score), (4, 0.375));
    assert_eq!((by_ontology.same, by_ontology.broader, by_ontology.unmapped), (1, 1, 2));
}

#[test]
fn results_without_labels_cannot_be_scored() {
    let pairs = pairs(PAIRS).unwrap();
    let results = [result("1", "B cell", Some("B")), result("2", "B cell", None)];
    let error = own(PublishedScore::new(&results, &pairs, OnMissing::Drop).unwrap_err());
    assert!(matches!(error, Error::Unlabelled { unlabelled: 1, total: 2, first } if first == "2"));
    let error = PublishedScore::new(&[], &pairs, OnMissing::Drop).unwrap_err();
    assert!(matches!(error, crate::Error::CellReasoner(Error::NoResults)));
}

#[test]
fn a_table_of_pairs_that_contradicts_itself_is_an_error() {
    let header = "Ground Truth,Model Prediction,Evaluation Score\n";
    let error = |rows: &str| match pairs(&format!("{header}{rows}")) {
        Err(crate::Error::CellReasoner(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(error("B,B cell,1\nB,B cell,0.5\n"), Error::PairTwice { first: 1.0, second: 0.5, .. }));
    assert!(matches!(error("B,B cell,1\nB,T cell,most\n"), Error::PairScore { row: 2, .. }));
    assert!(matches!(error("B,B cell,1.5\n"), Error::PairScore { row: 1, .. }));
    let missing = pairs("truth,prediction\n").unwrap_err();
    assert!(matches!(missing, crate::Error::CellReasoner(Error::PairColumn { .. })), "{missing}");
}

#[cfg(not(feature = "xlsx"))]
#[test]
fn a_workbook_is_refused_without_the_feature() {
    assert!(matches!(own(PairScores::read("pairs.xlsx").unwrap_err()), Error::XlsxOff { .. }));
}

#[test]
fn the_stem_of_a_path_names_the_files() {
    assert_eq!(stem(Path::new("data/pbmc_demo.rds")), "pbmc_demo");
}
