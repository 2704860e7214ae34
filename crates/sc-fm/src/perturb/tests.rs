use std::ops::ControlFlow;

use candle_core::Device;
use ndarray::array;

use super::*;
use crate::embed::StateEmbedding;
use crate::models::geneformer::{GeneformerConfig, InputFormat, Pooling};
use crate::models::{Geneformer, Layer};
use crate::nn::gemm::Precision;
use crate::tokenize::vocabulary::Vocabulary;

fn model(format: InputFormat, seed: u64) -> Geneformer {
    let json = r#"{"model_type": "bert", "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 12, "vocab_size": 20, "max_position_embeddings": 10, "hidden_act": "relu",
        "initializer_range": 0.5}"#;
    let config: GeneformerConfig = serde_json::from_str(json).unwrap();
    let mut weights = Geneformer::random_weights(&config, seed, &Device::Cpu).unwrap();
    Geneformer::from_weights(config, format, &mut weights, Precision::default()).unwrap()
}

fn vocabulary() -> Vocabulary {
    let name = |token: u32| match token {
        0 => "<pad>".to_owned(),
        1 => "<mask>".to_owned(),
        token => format!("G{token}"),
    };
    Vocabulary::new((0..20).map(|t| (name(t), t)), (0..20).map(|t| (name(t), 1.0))).unwrap()
}

fn cells() -> Vec<Vec<u32>> {
    vec![vec![2, 3, 4, 5, 6, 7], vec![8], vec![5, 2, 9, 10], vec![11, 12, 5]]
}

fn go(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn of(genes: Genes, perturbation: Perturbation) -> PerturbParams {
    PerturbParams { genes, perturbation, ..PerturbParams::default() }
}

fn together(genes: &[&str]) -> Genes {
    Genes::Together(genes.iter().map(|&gene| gene.to_owned()).collect())
}

#[test]
fn results_do_not_depend_on_memory_blocks_or_threads() {
    let (model, vocabulary, cells) = (model(InputFormat::V1, 1), vocabulary(), cells());
    let cells = PerturbCells::new(&cells);
    for genes in [Genes::Each, Genes::Anchored("G5".to_owned()), together(&["G5", "G17"])] {
        let perturbation = Perturbation::Overexpress;
        let table = |memory, block_tokens, threads| {
            let params = PerturbParams { memory, affected: true, ..of(genes.clone(), perturbation) };
            let mut perturber = Perturber::new(&model, &vocabulary, &params).unwrap();
            perturber.block_tokens = block_tokens;
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| perturber.run(&cells, None, &mut go).unwrap().0)
        };
        let all = table(1 << 30, 1 << 18, 2);
        assert!(!all.rows.is_empty());
        for (memory, block_tokens, threads) in [(0, 1, 1), (1 << 30, 9, 3), (4000, 20, 2)] {
            assert_eq!(table(memory, block_tokens, threads), all);
        }
    }
}

#[test]
fn a_run_that_was_stopped_anywhere_ends_with_the_same_bytes() {
    let (model, vocabulary, cells) = (model(InputFormat::V1, 1), vocabulary(), cells());
    let cells = PerturbCells::new(&cells);
    let params = PerturbParams { affected: true, ..PerturbParams::default() };
    let mut perturber = Perturber::new(&model, &vocabulary, &params)
        .unwrap()
        .with_names([("G2".to_owned(), "alpha, \"2\"".to_owned())]);
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole.csv");
    perturber.run_to_file(&whole, &cells, None, &mut go).unwrap();
    let expected = std::fs::read(&whole).unwrap();
    assert_eq!(Table::read(&whole).unwrap().rows, perturber.run(&cells, None, &mut go).unwrap().0.rows);

    perturber.block_tokens = 10;
    let path = folder.path().join("table.csv");
    let (mut n_stops, mut heard) = (0, 0.0);
    loop {
        let mut stop_after_a_block = |progress: &Progress| {
            assert!(progress.fraction >= heard && progress.fraction >= progress.before);
            match progress.fraction > progress.before && progress.perturbations > 0 {
                true => {
                    heard = progress.before;
                    ControlFlow::Break(())
                }
                false => ControlFlow::Continue(()),
            }
        };
        match perturber.run_to_file(&path, &cells, None, &mut stop_after_a_block) {
            Ok(_) => break,
            Err(error) => assert!(error.help().unwrap().contains("goes on"), "{error}"),
        }
        n_stops += 1;
        // A block that was not counted, as a crash leaves it.
        let part = folder.path().join("table.csv.part");
        let mut text = std::fs::read(&part).unwrap();
        text.extend_from_slice(b"delete,G2,half a ro");
        std::fs::write(&part, text).unwrap();
        assert!(n_stops < 100);
    }
    assert!(n_stops > 2, "{n_stops}");
    assert_eq!(std::fs::read(&path).unwrap(), expected);
    assert!(!folder.path().join("table.csv.part").exists());

    // Finished: nothing is computed again.
    perturber.run_to_file(&path, &cells, None, &mut |_| panic!("nothing to do")).unwrap();
    let other = self::model(InputFormat::V1, 2);
    let other = Perturber::new(&other, &vocabulary, &params).unwrap();
    let error = other.run_to_file(&path, &cells, None, &mut go).unwrap_err();
    assert!(matches!(error, crate::Error::Perturb(Error::Exists { .. })), "{error}");
    assert!(error.help().unwrap().contains("another file name"));
}

#[test]
fn a_file_that_lost_rows_is_told_from_one_that_was_stopped() {
    let (model, vocabulary, cells) = (model(InputFormat::V1, 1), vocabulary(), cells());
    let cells = PerturbCells::new(&cells);
    let mut perturber = Perturber::new(&model, &vocabulary, &PerturbParams::default()).unwrap();
    perturber.block_tokens = 10;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.csv");
    let mut stop = |progress: &Progress| match progress.perturbations > 0 {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    perturber.run_to_file(&path, &cells, None, &mut stop).unwrap_err();
    std::fs::write(folder.path().join("table.csv.part"), "cut").unwrap();
    let error = perturber.run_to_file(&path, &cells, None, &mut go).unwrap_err();
    assert!(matches!(error, crate::Error::Perturb(Error::Short { found: 3, .. })), "{error}");
    assert!(error.help().unwrap().contains("begin anew"));
}

#[test]
fn cells_without_the_genes_are_left_out_and_counted() {
    let (model, vocabulary, cells) = (model(InputFormat::V1, 1), vocabulary(), cells());
    let cells = PerturbCells::new(&cells);
    let run = |params: PerturbParams| {
        Perturber::new(&model, &vocabulary, &params).unwrap().run(&cells, None, &mut go)
    };
    let (table, selection) = run(of(together(&["G5", "G2"]), Perturbation::Delete)).unwrap();
    assert_eq!(table.rows.iter().map(|row| row.cell).collect::<Vec<_>>(), [0, 2]);
    assert_eq!((selection.n_kept, selection.n_without_genes), (2, 2));
    let (_, selection) = run(PerturbParams::default()).unwrap();
    assert_eq!(
        (selection.n_kept, selection.n_too_short),
        (3, 1),
        "a cell of one gene has nothing to compare"
    );
    let error = run(of(together(&["G19"]), Perturbation::Delete)).unwrap_err();
    let message = "no cell to perturb: 0 of 4 cells kept; left out: 0 of other states, 4 without the genes, 0 with too few genes";
    assert_eq!(error.to_string(), message);
    assert!(error.help().unwrap().contains("expressed"));
    assert_eq!(run(of(together(&["G19"]), Perturbation::Overexpress)).unwrap().0.rows.len(), 4);
}

#[test]
fn genes_that_cannot_be_perturbed_are_refused() {
    let (model, vocabulary) = (model(InputFormat::V1, 1), vocabulary());
    let error = |genes: &[&str], perturbation| {
        Perturber::new(&model, &vocabulary, &of(together(genes), perturbation)).unwrap_err()
    };
    let unknown = error(&["TP53"], Perturbation::Delete);
    assert_eq!(unknown.to_string(), "\"TP53\" is no gene of the model");
    assert!(unknown.help().unwrap().contains("Ensembl"));
    assert_eq!(error(&["<pad>"], Perturbation::Delete).to_string(), "\"<pad>\" is no gene of the model");
    let twice = error(&["G2", "g2"], Perturbation::Delete);
    assert_eq!(twice.to_string(), "\"g2\" is a gene that is already in the list");
    assert_eq!(error(&[], Perturbation::Delete).to_string(), "the list of genes to perturb is empty");
    let all: Vec<String> = (2..12).map(|token| format!("G{token}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let many = error(&all, Perturbation::Overexpress);
    assert!(matches!(many, crate::Error::Perturb(Error::TooManyGenes { found: 10, room: 10 })), "{many}");
    let cls = PerturbParams { pooling: Some(Pooling::Cls), ..PerturbParams::default() };
    assert!(Perturber::new(&model, &vocabulary, &cls).is_err());
    let layer = PerturbParams { layer: Layer::Index(3), ..PerturbParams::default() };
    assert!(Perturber::new(&model, &vocabulary, &layer).is_err());
}

#[test]
fn states_that_are_not_there_are_refused() {
    let (model, vocabulary, cells) = (model(InputFormat::V1, 1), vocabulary(), cells());
    let cells = PerturbCells::new(&cells);
    let perturber = Perturber::new(&model, &vocabulary, &PerturbParams::default()).unwrap();
    let mut embeddings = StateEmbedding {
        labels: vec!["a".into(), "b".into(), "c".into()],
        n_cells: vec![2, 2, 1],
        values: array![[1.0f32, 0., 0., 0., 0., 0., 0., 0.], [0., 1., 0., 0., 0., 0., 0., 0.], [1.0; 8]],
    };
    let labels = ["a", "a", "b", "a"].map(|label| Some(label.to_owned()));
    let run = |embeddings: &StateEmbedding, goal: &str, labels: &[Option<String>]| {
        let states = GoalStates { labels, start: "a", goal, alternatives: &[], embeddings };
        perturber.run(&cells, Some(&states), &mut go)
    };
    let (table, selection) = run(&embeddings, "b", &labels).unwrap();
    assert_eq!(
        (table.states.as_slice(), selection.n_other_state),
        (&["a".to_owned(), "b".to_owned()][..], 1)
    );
    assert!(table.rows.iter().all(|row| row.cell != 2 && row.shifts.len() == 2));
    let error = |goal: &str| run(&embeddings, goal, &labels).unwrap_err();
    assert_eq!(error("B").to_string(), "no state \"B\", only \"a\", \"b\", \"c\"");
    assert!(error("B").help().unwrap().contains("upper and lower case"));
    assert_eq!(error("a").to_string(), "state \"a\" is named twice");
    assert_eq!(error("c").to_string(), "state \"c\" has 1 cells with an embedding, expected at least 2");
    assert!(error("c").help().unwrap().contains("mean over cells"));
    let short = run(&embeddings, "b", &labels[..3]).unwrap_err();
    assert_eq!(short.to_string(), "3 labels, but cells up to row 3 of the data set");
    embeddings.values = array![[1.0f32, 0.], [0., 1.], [1., 1.]];
    let width = run(&embeddings, "b", &labels).unwrap_err();
    assert!(width.help().unwrap().contains("same model, layer and mode"), "{width}");
}
