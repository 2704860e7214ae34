//! Classifiers of genes.

use super::*;

/// Cells in which genes of even number have many counts, and the others few.
fn cells(n_cells: usize) -> AnnData {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let mut dense = Array2::<f32>::zeros((n_cells, N_GENES));
    for (cell, mut row) in dense.rows_mut().into_iter().enumerate().filter(|(cell, _)| *cell != 3) {
        // The last gene is in no cell, the one before it in every tenth.
        for (gene, x) in row.iter_mut().enumerate().take(N_GENES - 1) {
            let is_there = rng.next_u32() % 4 > 0 && (gene < N_GENES - 2 || cell % 10 == 0);
            let count = 1 + rng.next_u32() % 5 + if gene % 2 == 0 { 60 } else { 0 };
            *x = if is_there { count as f32 } else { 0.0 };
        }
    }
    let var = DataFrame::new((0..N_GENES).map(gene).collect());
    let obs = DataFrame::new((0..n_cells).map(|i| format!("cell{i}")).collect());
    AnnData::new(Matrix::Csr(Csr::from_dense(dense.view())), obs, var).unwrap()
}

fn class(gene: usize) -> String {
    if gene.is_multiple_of(2) { "high" } else { "low" }.to_owned()
}

fn labelled(genes: std::ops::Range<usize>) -> Vec<(String, String)> {
    genes.map(|i| (gene(i), class(i))).collect()
}

/// Of the genes 0 to 23 and 24 to 29; the others are left for a test.
fn split() -> GeneSplit {
    GeneSplit {
        train: labelled(0..24),
        validation: labelled(24..30),
        train_cells: (0..40).collect(),
        validation_cells: (30..60).collect(),
    }
}

fn params(method: Method) -> FineTuneParams {
    let mut params = FineTuneParams::for_genes(method);
    (params.train.epochs, params.train.batch_size) = (2, 6);
    params.train.schedule = Schedule::linear(5e-3);
    params
}

fn tune(params: &FineTuneParams, state: Option<&Path>) -> crate::Result<FineTunedGenes> {
    fine_tune_genes(&geneformer(), &cells(60), &split(), params, state, &mut unwatched)
}

fn bits(tuned: &FineTunedGenes) -> Vec<u64> {
    let genes: Vec<String> = (0..N_GENES).map(gene).collect();
    let found = tuned.predict_genes(&cells(20), &[7, 2, 11, 0, 19], &genes).unwrap();
    let losses = tuned.training().history().iter().map(|epoch| epoch.train_loss.to_bits());
    found.probabilities.iter().map(|p| p.to_bits()).chain(losses).collect()
}

#[test]
fn genes_that_were_not_taught_are_told_by_their_place_in_cells() {
    for method in [Method::Full, lora()] {
        let long = change(params(method.clone()), |params| {
            params.train.epochs = 16;
            params.class_weights = true;
            params.train.select = Select::MacroF1;
            if params.method != Method::Full {
                params.train.schedule = Schedule::linear(2e-2);
            }
        });
        let tuned = tune(&long, None).unwrap();
        assert_eq!(tuned.classes(), ["high", "low"]);
        assert_eq!((tuned.genes().train.len(), tuned.genes().validation.len()), (24, 6));
        let best = tuned.training().best_epoch().validation.unwrap();
        // Adapters of a random body, which stays as it is, learn less.
        let least = if method == Method::Full { 0.9 } else { 0.75 };
        assert!(best.accuracy > least && best.macro_f1.unwrap() > least, "{method:?}: {best:?}");
        if method != Method::Full {
            continue;
        }
        let asked: Vec<String> = (24..38).map(gene).collect();
        let found = tuned.predict_genes(&cells(60), &(40..60).collect::<Vec<_>>(), &asked).unwrap();
        let is_right = |&(i, row): &(usize, ndarray::ArrayView1<'_, f64>)| {
            assert!((row.sum() - 1.0).abs() < 1e-12);
            tuned.classes()[usize::from(row[1] > row[0])] == class(24 + i)
        };
        let right = found.probabilities.rows().into_iter().enumerate().filter(is_right).count();
        assert!(right >= 11, "{method:?}: {right} of 14 genes, {}", found.probabilities);
    }
}

#[test]
fn a_gene_has_the_mean_of_its_tokens_whatever_the_order_of_the_cells() {
    let tuned = tune(&params(Method::Full), None).unwrap();
    let adata = cells(30);
    let tokens = tuned.model().tokenize(&adata, &EmbedParams::default()).unwrap();
    let genes = [gene(4), gene(38), "ENSG00000999999".to_owned(), gene(39)];
    let rows = [10, 3, 1, 20, 2];
    let found = tuned.predict_genes(&adata, &rows, &genes).unwrap();
    assert_eq!(found.n_cells[2..], [0, 0]);
    assert!(found.probabilities.rows().into_iter().skip(2).all(|row| row.iter().all(|p| p.is_nan())));
    assert!(found.n_cells[0] > 1 && found.n_cells[1] <= 2, "{:?}", found.n_cells);
    let other = tuned.predict_genes(&adata, &[1, 2, 3, 10, 20], &genes).unwrap();
    let same = |a: f64, b: f64| a.to_bits() == b.to_bits();
    assert!(found.probabilities.iter().zip(&other.probabilities).all(|(&a, &b)| same(a, b)));

    let logits = tuned.token_logits(&tokens, &rows).unwrap();
    assert_eq!(logits[1].dim(), (0, 2), "cell 3 has no counts");
    let token = testing::vocabulary().token(&gene(4)).unwrap();
    let (mut sum, mut n) = (0.0, 0usize);
    for (&row, logits) in rows.iter().zip(&logits).filter(|(row, _)| **row != 3) {
        let cell = tokens.cell(tokens.rows().binary_search(&row).unwrap());
        assert_eq!(logits.nrows(), cell.len());
        if let Some(place) = cell.iter().position(|&own| own == token) {
            let difference = f64::from(logits[[place, 1]]) - f64::from(logits[[place, 0]]);
            sum += 1.0 / (1.0 + libm::exp(difference));
            n += 1;
        }
    }
    assert_eq!(n, found.n_cells[0]);
    assert!((sum / n as f64 - found.probabilities[[0, 0]]).abs() < 1e-12);
    let error = tuned.predict_genes(&adata, &[1, 30], &genes).unwrap_err();
    assert_eq!(error.to_string(), "row 30 is among the asked for rows, but the data set has 30");
    let error = tuned.predict_genes(&adata, &[1, 1], &genes).unwrap_err();
    assert_eq!(error.to_string(), "row 1 is more than once among the asked for rows");
}

#[test]
fn the_loss_is_the_mean_over_the_tokens_that_have_a_class() {
    let mut config = testing::config();
    (config.hidden_dropout_prob, config.attention_probs_dropout_prob) = (0.0, 0.0);
    let model = Geneformer::random(config, InputFormat::V2 { cls: 2, eos: 3 }, 1).unwrap();
    let model = FoundationModel::geneformer(model, testing::vocabulary()).unwrap();
    // One step that changes nothing, over all cells.
    let still = change(params(Method::Full), |params| {
        (params.train.epochs, params.train.batch_size) = (1, 1000);
        params.train.schedule = Schedule::linear(1e-30);
    });
    let run = |params: &FineTuneParams| {
        fine_tune_genes(&model, &cells(60), &split(), params, None, &mut unwatched).unwrap()
    };
    let tuned = run(&still);
    let tokens = tuned.model().tokenize(&cells(60), &EmbedParams::default()).unwrap();
    let loss = |rows: &[usize], genes: &[(String, String)]| {
        let (mut sum, mut n) = (0.0, 0.0);
        for (row, logits) in rows.iter().zip(tuned.token_logits(&tokens, rows).unwrap()) {
            let Ok(cell) = tokens.rows().binary_search(row) else { continue };
            for (token, logits) in tokens.cell(cell).iter().zip(logits.rows()) {
                let own = |(id, _): &&(String, String)| testing::vocabulary().token(id) == Some(*token);
                let Some((_, class)) = genes.iter().find(own) else { continue };
                let [high, low] = [0, 1].map(|class| f64::from(logits[class]));
                let beyond = if class == "high" { low - high } else { high - low };
                sum += libm::log1p(libm::exp(beyond));
                n += 1.0;
            }
        }
        sum / n
    };
    let epoch = tuned.training().history()[0];
    let expected = loss(&split().train_cells, &split().train);
    assert!((epoch.train_loss - expected).abs() < 1e-5, "{epoch:?} {expected}");
    let expected = loss(&split().validation_cells, &split().validation);
    assert!((epoch.validation.unwrap().loss - expected).abs() < 1e-9, "{epoch:?} {expected}");
    let parts = change(still, |params| (params.train.batch_size, params.train.accumulate) = (7, 100));
    let parts = run(&parts).training().history()[0];
    assert!((parts.train_loss - epoch.train_loss).abs() < 1e-5, "{parts:?} {epoch:?}");
    assert!((parts.gradient_norm / epoch.gradient_norm - 1.0).abs() < 1e-4, "{parts:?} {epoch:?}");
}

#[test]
fn neither_threads_nor_checkpointing_nor_an_interruption_change_a_bit() {
    let own = change(params(Method::Full), |params| {
        params.train.accumulate = 2;
        params.train.batch_size = 3;
    });
    let alone = bits(&tune(&own, None).unwrap());
    assert!(alone == on_threads(1, || bits(&tune(&own, None).unwrap())), "threads");
    let checkpointed = change(own.clone(), |params| params.train.checkpointing = true);
    assert!(alone == bits(&tune(&checkpointed, None).unwrap()), "checkpointing");
    let folder = tempfile::tempdir().unwrap();
    for steps in [1, 4, 5] {
        let mut left = steps;
        let watch = &mut |_: &TrainProgress| {
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let error = fine_tune_genes(&geneformer(), &cells(60), &split(), &own, Some(folder.path()), watch);
        assert!(matches!(error.unwrap_err(), crate::Error::Train(train::Error::Cancelled)));
    }
    assert!(alone == bits(&tune(&own, Some(folder.path())).unwrap()), "an interruption");
    let other = GeneSplit { train: labelled(0..23), ..split() };
    let error = fine_tune_genes(&geneformer(), &cells(60), &other, &own, Some(folder.path()), &mut unwatched);
    assert!(error.unwrap_err().to_string().contains("another training: labels is"));
}

#[test]
fn a_classifier_of_genes_comes_back_from_its_folder() {
    let model = geneformer();
    for method in [Method::Full, lora()] {
        let tuned = tune(&params(method.clone()), None).unwrap();
        let folder = tempfile::tempdir().unwrap();
        tuned.save(folder.path(), false).unwrap();
        assert!(tuned.save(folder.path(), false).is_err(), "files were replaced without being asked for");
        let open = || FineTunedGenes::open(folder.path(), Some(&model), &OpenParams::default());
        let again = open().unwrap();
        assert!(bits(&again) == bits(&tuned), "{method:?}");
        assert_eq!((again.genes(), again.training()), (tuned.genes(), tuned.training()));
        let error = FineTuned::open(folder.path(), Some(&model), &OpenParams::default()).unwrap_err();
        assert!(error.to_string().ends_with("what it classifies is genes, expected cells"), "{error}");
        let name = if method == Method::Full { "config.json" } else { "adapter_config.json" };
        let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
        let task = if method == Method::Full { "BertForTokenClassification" } else { "TOKEN_CLS" };
        assert!(text.contains(task), "{text}");

        let merged = tuned.merged().unwrap();
        let genes = [gene(1), gene(2)];
        let probabilities =
            |tuned: &FineTunedGenes| tuned.predict_genes(&cells(9), &[1, 2], &genes).unwrap().probabilities;
        let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-4;
        assert!(probabilities(&tuned).iter().zip(&probabilities(&merged)).all(close));
    }
}

#[test]
fn a_head_of_another_kind_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    tune(&params(Method::Full), None).unwrap().save(folder.path(), false).unwrap();
    let cells = super::tune(
        &geneformer(),
        &change(super::params(&geneformer(), Method::Full), |p| p.train.epochs = 1),
        None,
    );
    cells.unwrap().model().save(folder.path(), true).unwrap();
    let error = FineTunedGenes::open(folder.path(), None, &OpenParams::default()).unwrap_err();
    assert!(error.to_string().ends_with("what the head classifies is cells, expected genes"), "{error}");
    assert!(error.help().unwrap().contains("files together"));
}

#[test]
fn the_way_cells_were_tokenised_is_kept() {
    let own = change(params(Method::Full), |params| {
        params.train.epochs = 1;
        params.embed.min_known = 0.125;
        params.embed.memory = 1 << 20;
        params.embed.gene_column = None;
    });
    let folder = tempfile::tempdir().unwrap();
    tune(&own, None).unwrap().save(folder.path(), false).unwrap();
    let again = FineTunedGenes::open(folder.path(), None, &OpenParams::default()).unwrap();
    assert_eq!(again.input, EmbedParams { min_known: 0.125, ..Default::default() });
}

#[test]
fn genes_that_cannot_be_taught_are_refused_in_words() {
    let (model, adata) = (geneformer(), cells(60));
    let own = params(Method::Full);
    let told = |split: &GeneSplit, params: &FineTuneParams| {
        let error = fine_tune_genes(&model, &adata, split, params, None, &mut unwatched).unwrap_err();
        (error.to_string(), error.help().unwrap_or_default().to_owned())
    };
    let with = |more: &[(&str, &str)]| {
        let more = more.iter().map(|(gene, class)| ((*gene).to_owned(), (*class).to_owned()));
        GeneSplit { train: labelled(0..24).into_iter().chain(more).collect(), ..split() }
    };
    let first = gene(0);

    let (error, help) = told(&with(&[(&first, "low")]), &own);
    assert_eq!(error, format!("gene \"{first}\" is of the classes \"high\" and \"low\""));
    assert!(help.contains("one class"));
    let (error, help) = told(&GeneSplit { validation: labelled(22..30), ..split() }, &own);
    assert!(error.starts_with("2 genes are among both the training and the validation genes, "), "{error}");
    assert!(help.contains("other genes"));
    let foreign = vec![("GATA1".to_owned(), "high".to_owned()), ("TP53".to_owned(), "low".to_owned())];
    let (error, help) = told(&GeneSplit { train: foreign, ..split() }, &own);
    assert_eq!(
        error,
        "none of the 2 training genes is in the dictionary of the model, \"GATA1\" for instance"
    );
    assert!(help.contains("Ensembl"));
    // Gene 39 is in no cell: its class has one gene less than was given.
    let unseen = gene(39);
    let (error, help) = told(&with(&[(&unseen, "silent"), (&gene(36), "silent")]), &own);
    assert_eq!(error, "class \"silent\" has 1 genes in the training cells, expected at least 2");
    assert!(help.contains("more genes"));
    let one = (0..24).step_by(2).map(|i| (gene(i), class(i))).collect();
    let (error, _) = told(&GeneSplit { train: one, ..split() }, &own);
    assert_eq!(error, "the training genes have 1 classes, expected at least 2");
    let mut other = split();
    other.validation[0].1 = "middle".to_owned();
    let (error, help) = told(&other, &own);
    assert_eq!(error, "class \"middle\" is among the validation genes, but not among the training genes");
    assert!(help.contains("training genes"));
    let (error, help) =
        told(&GeneSplit { validation: vec![(unseen.clone(), "low".to_owned())], ..split() }, &own);
    assert_eq!(error, "none of the 30 validation cells has any of the 1 validation genes");
    assert!(help.contains("go together"));
    let (error, _) = told(&GeneSplit { validation: vec![], ..split() }, &own);
    assert_eq!(error, "there are no validation rows, by which `select` chooses an epoch");
    let (error, _) = told(&GeneSplit { train_cells: vec![1, 60], ..split() }, &own);
    assert_eq!(error, "row 60 is among the training rows, but the data set has 60");
    let (error, _) = told(&GeneSplit { train_cells: vec![1, 1], ..split() }, &own);
    assert_eq!(error, "row 1 is more than once among the training rows");
    let (error, _) = told(&split(), &params(Method::LinearProbe));
    assert_eq!(error, "`method` is LinearProbe, expected Full or Lora");
    let (error, help) = told(&split(), &change(own.clone(), |params| params.train.memory = Some(1000)));
    assert!(error.contains("tokens, but 0.0 MiB are allowed") && help.contains("batch_size"), "{error}");
    let error = fine_tune_genes(&scgpt(), &adata, &split(), &own, None, &mut unwatched).unwrap_err();
    assert_eq!(error.to_string(), "scGPT cannot have a classifier of genes, expected a Geneformer");
    assert!(error.help().unwrap().contains("Geneformer"));

    // What the model does not know or the cells do not have is told, and the rest is trained on.
    let last = change(own, |params| (params.train.select, params.train.epochs) = (Select::Last, 1));
    let some = GeneSplit { validation: vec![], ..with(&[("GATA1", "high"), (&unseen, "low")]) };
    let tuned = fine_tune_genes(&model, &adata, &some, &last, None, &mut unwatched).unwrap();
    assert_eq!(
        (tuned.genes().unknown.as_slice(), tuned.genes().unseen.as_slice()),
        (&["GATA1".to_owned()][..], &[unseen][..])
    );
    assert_eq!(tuned.training().best_epoch().validation, None);
}
