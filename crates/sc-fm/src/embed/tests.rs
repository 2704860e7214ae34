use std::ops::ControlFlow;

use ndarray::Array2;
use sc_io::{AnnData, Column, Csr, DataFrame, Matrix, Value, h5ad};

use super::testing::{self, N_GENES, checkpoint, data, dictionaries, model};
use super::*;
use crate::models::Layer;

fn bits(values: &Array2<f32>) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

fn on_threads<T: Send>(n: usize, run: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(run)
}

/// Bytes that so many tokens take.
fn memory_of(n_tokens: usize) -> usize {
    model().cost().bytes_per_token() * n_tokens
}

#[test]
fn no_bit_depends_on_memory_threads_or_order() {
    let (model, adata) = (model(), data(60));
    for (mode, layer) in
        [(Mode::Cls, Layer::SecondToLast), (Mode::Cell, Layer::Last), (Mode::Cell, Layer::Index(0))]
    {
        let params =
            |memory| EmbedParams { mode: Some(mode), layer: Some(layer), memory, ..Default::default() };
        let expected = model.embed(&adata, &params(usize::MAX)).unwrap();
        assert_eq!((expected.values.dim(), expected.missing.as_slice()), ((60, 16), &[2][..]));
        assert_eq!(expected.choice, Choice { mode, layer });
        for (n_tokens, threads) in [(0, 1), (1, 4), (70, 2), (200, 4), (5000, 1)] {
            let found = on_threads(threads, || model.embed(&adata, &params(memory_of(n_tokens))).unwrap());
            assert_eq!(bits(&found.values), bits(&expected.values), "{n_tokens} tokens, {threads} threads");
        }
        let shuffled: Vec<usize> = (0..60).map(|i| (i * 23 + 7) % 60).collect();
        let found = model.embed(&adata.select_obs(&shuffled).unwrap(), &params(memory_of(150))).unwrap();
        for (row, &cell) in found.values.rows().into_iter().zip(&shuffled) {
            let expected = expected.values.row(cell);
            assert!(row.iter().zip(expected).all(|(a, b)| a.to_bits() == b.to_bits()), "cell {cell}");
        }
    }
}

#[test]
fn cells_without_genes_are_nan_or_left_out_and_named_in_both() {
    let (model, adata) = (model(), data(6));
    let aligned = model.embed(&adata, &EmbedParams::default()).unwrap();
    assert_eq!((aligned.rows.len(), aligned.missing.as_slice()), (6, &[2][..]));
    assert!(aligned.values.row(2).iter().all(|x| x.is_nan()));
    let params = EmbedParams { missing: MissingCells::Drop, ..Default::default() };
    let dropped = model.embed(&adata, &params).unwrap();
    assert_eq!((dropped.rows.as_slice(), dropped.missing.as_slice()), (&[0, 1, 3, 4, 5][..], &[2][..]));
    for (row, &cell) in dropped.values.rows().into_iter().zip(&dropped.rows) {
        assert_eq!(row, aligned.values.row(cell));
    }
    let none = adata.select_obs(&[2]).unwrap();
    let error = model.embed(&none, &params).unwrap_err();
    let message =
        "none of 1 cells has a gene of the model: 1 without counts in them, 0 left out by `filter_pass`";
    assert_eq!(error.to_string(), message);
    assert!(error.help().unwrap().contains("matrix"));
    assert_eq!(model.embed(&adata.select_obs(&[]).unwrap(), &params).unwrap().values.dim(), (0, 16));
}

#[test]
fn tokens_of_more_rows_than_asked_for_are_refused() {
    let model = model();
    let tokens = model.tokenize(&data(6), &EmbedParams::default()).unwrap();
    let error = model.embed_tokens(&tokens, 5, &EmbedParams::default()).unwrap_err();
    assert_eq!(error.to_string(), "a cell of the tokens is row 5 of its matrix, but 5 rows are asked for");
    let all = model.embed_tokens(&tokens, 6, &EmbedParams::default()).unwrap();
    assert_eq!((all.values.nrows(), all.missing.as_slice()), (6, &[2][..]));
}

#[test]
fn long_cells_are_cropped_and_counted() {
    let (model, adata) = (model(), data(60));
    let tokens = model.tokenize(&adata, &EmbedParams::default()).unwrap();
    let n_long = tokens.n_genes().iter().filter(|&&n| n as usize > 24).count();
    assert!(n_long > 0 && n_long < 59);
    assert_eq!(tokens.report().cells.n_cropped, n_long);
    assert_eq!(tokens.lengths().max(), Some(26));
}

#[test]
fn genes_have_means_that_no_order_changes() {
    let (model, adata) = (model(), data(40));
    let params = |n_tokens| EmbedParams { memory: memory_of(n_tokens), ..Default::default() };
    let genes = model.embed_genes(&adata, &params(90)).unwrap();
    assert_eq!(genes.names[..2], ["<cls>", "<eos>"]);
    assert_eq!((genes.tokens[2], genes.names[2].as_str()), (4, testing::gene(0).as_str()));
    assert_eq!((genes.n_cells[0], genes.tokens.len()), (39, N_GENES + 2));
    let reversed: Vec<usize> = (0..40).rev().collect();
    let reversed = adata.select_obs(&reversed).unwrap();
    let found = on_threads(3, || model.embed_genes(&reversed, &params(1)).unwrap());
    assert_eq!((bits(&found.values), found.n_cells), (bits(&genes.values), genes.n_cells.clone()));

    // The mean of every occurrence, one by one.
    let tokens = model.tokenize(&adata, &params(1)).unwrap();
    let (mut sums, mut seen) = (Array2::<f64>::zeros(genes.values.dim()), vec![]);
    model
        .each_gene_state(&tokens, &params(90), |cell, ids, states| {
            assert_eq!(ids, tokens.cell(cell));
            seen.push(cell);
            for (token, state) in ids.iter().zip(states.rows()) {
                let row = genes.tokens.binary_search(token).unwrap();
                sums.row_mut(row).zip_mut_with(&state, |sum, &x| *sum += f64::from(x));
            }
        })
        .unwrap();
    seen.sort_unstable();
    assert_eq!(seen, (0..39).collect::<Vec<_>>());
    for ((row, column), mean) in genes.values.indexed_iter() {
        let expected = sums[[row, column]] / genes.n_cells[row] as f64;
        assert!((f64::from(*mean) - expected).abs() < 1e-6, "{row} {column}");
    }
}

#[test]
fn the_watcher_hears_of_every_cell_and_can_stop() {
    let (model, adata) = (model(), data(30));
    let params = EmbedParams { memory: memory_of(60), ..Default::default() };
    let mut heard: Vec<Progress> = vec![];
    model
        .embed_with(&adata, &params, &mut |progress| {
            heard.push(*progress);
            ControlFlow::Continue(())
        })
        .unwrap();
    let last = heard.last().unwrap();
    assert_eq!((last.cells, last.n_cells, last.fraction), (30, 30, 1.0));
    assert_eq!(last.tokens as usize, model.tokenize(&adata, &params).unwrap().ids().len());
    assert!(heard.len() > 3 && heard.is_sorted_by(|a, b| a.cells < b.cells && a.fraction < b.fraction));

    let error = model.embed_with(&adata, &params, &mut |_| ControlFlow::Break(())).unwrap_err();
    assert!(matches!(error, crate::Error::Embed(Error::Cancelled)), "{error}");
}

/// The same cells with other values, and other names of the genes.
fn changed(value: impl Fn(f32) -> f32, name: impl Fn(usize) -> String) -> AnnData {
    let adata = data(5);
    let mut x = adata.x().unwrap().to_csr();
    x.values_mut().iter_mut().for_each(|x| *x = value(*x));
    let var = DataFrame::new((0..N_GENES).map(name).collect());
    AnnData::new(Matrix::Csr(x), adata.obs().clone(), var).unwrap()
}

#[test]
fn wrong_input_is_refused_in_words() {
    let model = model();
    let error = |adata: &AnnData, params: &EmbedParams| model.embed(adata, params).unwrap_err();
    let plain = EmbedParams::default();
    let scaled = error(&changed(|x| x - 4.5, testing::gene), &plain);
    assert!(scaled.to_string().contains("for cell \"cell0\", gene \"ENSG"), "{scaled}");
    assert!(scaled.help().unwrap().contains("raw"), "{scaled}");
    let logs = error(&changed(f32::ln_1p, testing::gene), &plain);
    assert!(logs.to_string().contains("not a raw count"), "{logs}");

    let symbols = error(&changed(|x| x, |i| format!("GENE{i}")), &plain);
    assert!(symbols.to_string().starts_with("none of the 40 columns is a gene of the model"), "{symbols}");
    assert!(symbols.help().unwrap().contains("Ensembl"), "{symbols}");
    let few = changed(|x| x, |i| if i < 19 { testing::gene(i) } else { format!("GENE{i}") });
    assert!(error(&few, &plain).to_string().starts_with("19 of 40 columns are genes of the model"));
    let forced = EmbedParams { min_known: 0.4, ..Default::default() };
    assert_eq!(model.embed(&few, &forced).unwrap().tokens.genes.n_unknown, 21);

    let adata = data(5);
    let none = error(&adata, &EmbedParams { matrix: MatrixChoice::Raw, ..Default::default() });
    assert_eq!(none.to_string(), "the data set has no raw");
    assert!(none.help().unwrap().contains("layer"));
    let layer =
        error(&adata, &EmbedParams { matrix: MatrixChoice::Layer("counts".into()), ..Default::default() });
    assert!(layer.to_string().contains("counts"), "{layer}");
    let mode = error(&adata, &EmbedParams { mode: Some(Mode::All), ..Default::default() });
    assert_eq!(mode.to_string(), "Geneformer has no embedding All, expected one of cell and cls");
    assert!(mode.help().unwrap().contains("leave the mode out"));
    let layer = error(&adata, &EmbedParams { layer: Some(Layer::Index(3)), ..Default::default() });
    assert!(layer.to_string().contains("2 layers"), "{layer}");
}

#[test]
fn counts_of_a_layer_with_ids_in_a_column_are_the_same_cells() {
    let model = model();
    let adata = data(5);
    let expected = model.embed(&adata, &EmbedParams::default()).unwrap();
    let mut other = changed(f32::ln_1p, |i| format!("GENE{i}"));
    other.insert_layer("counts", adata.x().unwrap().clone()).unwrap();
    let ids = Column::Strings((0..N_GENES).map(testing::gene).collect());
    other.var_mut().insert("my_ids", ids).unwrap();
    let params = EmbedParams {
        matrix: MatrixChoice::Layer("counts".into()),
        gene_column: Some("my_ids".into()),
        ..Default::default()
    };
    assert_eq!(bits(&model.embed(&other, &params).unwrap().values), bits(&expected.values));
}

#[test]
fn a_folder_is_opened_and_says_what_it_held() {
    let folder = tempfile::tempdir().unwrap();
    checkpoint(folder.path());
    let opened = FoundationModel::open(folder.path(), &OpenParams::default()).unwrap();
    let adata = data(9);
    let expected = model().embed(&adata, &EmbedParams::default()).unwrap();
    let found = opened.embed(&adata, &EmbedParams::default()).unwrap();
    assert_eq!(bits(&found.values), bits(&expected.values));
    assert_eq!((opened.kind(), opened.obsm_key()), (Kind::Geneformer, "X_geneformer"));
    let text = opened.report().to_string();
    assert!(text.contains("model.safetensors") && text.contains("token_dictionary_tiny.json"), "{text}");
    assert!(text.ends_with("as loaded, not pretrained as far as is known"), "{text}");

    let mut adata = adata;
    found.store(&mut adata).unwrap();
    assert_eq!(adata.obsm()["X_geneformer"].dim(), (9, 16));
    let about = &adata.uns()["X_geneformer"];
    assert_eq!(about.at(&["layer"]), Some(&Value::String("second_to_last".into())));
    assert_eq!(about.at(&["n_missing"]), Some(&Value::Int(1)));
    assert!(
        matches!(about.at(&["kernel"]), Some(Value::String(name)) if name.starts_with("f32") || name.contains("bf16"))
    );
    let hash = crate::checkpoint::sha256(folder.path().join("model.safetensors")).unwrap();
    assert_eq!(about.at(&["sha256_weights", "model.safetensors"]), Some(&Value::String(hash)));
}

#[test]
fn dictionaries_are_found_where_the_repository_has_them_by_their_size() {
    let root = tempfile::tempdir().unwrap();
    let (model, beside) = (root.path().join("Geneformer-tiny"), root.path().join("geneformer"));
    std::fs::create_dir(&model).unwrap();
    checkpoint(&model);
    for name in ["token_dictionary", "gene_median_dictionary", "ensembl_mapping_dict"] {
        std::fs::remove_file(model.join(format!("{name}_tiny.json"))).unwrap();
    }
    let open = |params: &OpenParams| FoundationModel::open(&model, params);
    let error = open(&OpenParams::default()).unwrap_err();
    assert!(
        error.to_string().starts_with("no token dictionary (token_dictionary*.pkl or .json) of 44 tokens in")
    );
    assert!(error.help().unwrap().contains("beside the weights"));

    std::fs::create_dir(&beside).unwrap();
    dictionaries(&beside, "_gc1M", N_GENES - 3);
    let error = open(&OpenParams::default()).unwrap_err();
    assert_eq!(error.to_string(), "the token dictionary has 41 tokens, but the model has 44");
    assert!(error.help().unwrap().contains("same release"));
    dictionaries(&beside, "_gc2M", N_GENES);
    open(&OpenParams::default()).unwrap();
    dictionaries(&beside, "_gc3M", N_GENES);
    let error = open(&OpenParams::default()).unwrap_err();
    assert!(error.to_string().ends_with("token_dictionary_gc2M.json, token_dictionary_gc3M.json"), "{error}");
    assert!(error.help().unwrap().contains("series"));
    open(&OpenParams { series: Some("gc3M".into()), ..Default::default() }).unwrap();
    open(&OpenParams { series: Some("gc2M".into()), dictionaries: Some(beside), ..Default::default() })
        .unwrap();
}

#[test]
fn folders_without_a_known_model_are_told_what_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let open = || FoundationModel::open(folder.path(), &OpenParams::default()).unwrap_err();
    assert!(open().to_string().ends_with("no model in this folder, which holds nothing"));
    std::fs::write(folder.path().join("notes.txt"), "").unwrap();
    assert!(open().to_string().ends_with("which holds notes.txt"));
    assert!(open().help().unwrap().contains("args.json"));
    std::fs::write(folder.path().join("config.json"), r#"{"model_type": "llama"}"#).unwrap();
    assert!(open().to_string().ends_with("`model_type` is \"llama\", expected \"bert\""));
    assert!(open().help().unwrap().contains("Geneformer"));
    std::fs::write(folder.path().join("args.json"), "{}").unwrap();
    assert!(open().to_string().ends_with("files of several models: config.json, args.json"));
    assert!(open().help().unwrap().contains("folder of its own"));
}

#[test]
fn a_file_has_the_bits_of_memory_in_blocks_of_any_size() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.h5ad");
    let adata = data(50);
    h5ad::write(&adata, &path).unwrap();
    let model = model();
    let expected = model.embed(&adata, &EmbedParams::default()).unwrap();
    let params = |block_rows, output| FileParams {
        block_rows,
        output,
        identity: Some("random 1".into()),
        ..Default::default()
    };
    for (block_rows, threads) in [(1, 1), (7, 2), (100, 4)] {
        let new = folder.path().join(format!("embedded{block_rows}.h5ad"));
        let params = params(block_rows, Output::New(new.clone()));
        let done = on_threads(threads, || model.embed_file(&path, &params, &mut unwatched).unwrap());
        assert_eq!((done.dim, done.n_missing, done.obsm_key), ((50, 16), 1, "X_geneformer"));
        assert_eq!(done.tokens, expected.tokens);
        let found = h5ad::read(&new).unwrap();
        assert_eq!(bits(&found.obsm()["X_geneformer"]), bits(&expected.values), "{block_rows} rows");
        assert_eq!(found.obs(), adata.obs());
        let about = &found.uns()["X_geneformer"];
        assert_eq!(
            about.at(&["sha256_input"]),
            Some(&Value::String(crate::checkpoint::sha256(&path).unwrap()))
        );
        let error = model.embed_file(&path, &params, &mut unwatched).unwrap_err();
        assert!(error.to_string().contains("embedded"), "{error}");
    }
    let done = model.embed_file(&path, &params(9, Output::Same), &mut unwatched).unwrap();
    assert_eq!(done.path, path);
    let found = h5ad::read(&path).unwrap();
    assert_eq!(bits(&found.obsm()["X_geneformer"]), bits(&expected.values));
    assert_eq!(found.x(), adata.x());
    let error = model.embed_file(&path, &params(9, Output::Same), &mut unwatched).unwrap_err();
    assert!(error.to_string().contains("X_geneformer"), "{error}");
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
}

#[test]
fn a_stopped_run_goes_on_where_it_was_and_another_is_kept_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.h5ad");
    h5ad::write(&data(40), &path).unwrap();
    let model = model();
    let params = |seed| FileParams {
        block_rows: 4,
        output: Output::New(folder.path().join("out.h5ad")),
        identity: Some("random 1".into()),
        embed: EmbedParams { seed, ..Default::default() },
        ..Default::default()
    };
    for stops in 1..5 {
        let mut left = 2;
        let stopped = model.embed_file(&path, &params(0), &mut |progress| {
            left -= 1;
            assert!(progress.before > 0.0 || stops == 1);
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(matches!(stopped, Err(crate::Error::Embed(Error::Cancelled))), "{stopped:?}");
    }
    let error = model.embed_file(&path, &params(1), &mut unwatched).unwrap_err();
    assert!(matches!(error, crate::Error::Embed(Error::Store(_))), "{error}");
    assert!(error.help().unwrap().contains("another file"));
    let mut heard = vec![];
    model
        .embed_file(&path, &params(0), &mut |progress| {
            heard.push(*progress);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(heard[0].before >= 0.3, "{:?}", heard[0]);
    assert_eq!((heard.last().unwrap().cells, heard.last().unwrap().fraction), (40, 1.0));
    let found = h5ad::read(folder.path().join("out.h5ad")).unwrap();
    let expected = model.embed(&data(40), &EmbedParams::default()).unwrap();
    assert_eq!(bits(&found.obsm()["X_geneformer"]), bits(&expected.values));
}

#[test]
fn a_model_without_files_or_name_leaves_no_rows_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.h5ad");
    h5ad::write(&data(4), &path).unwrap();
    let error = model().embed_file(&path, &FileParams::default(), &mut unwatched).unwrap_err();
    assert_eq!(error.to_string(), "this Geneformer was made in memory, and nothing says which one it is");
    assert!(error.help().unwrap().contains("identity"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    // A bad value far into the file is named by its cell.
    let mut x = data(4).x().unwrap().to_csr();
    let last = x.values().len() - 1;
    x.values_mut()[last] = 0.5;
    let adata = AnnData::new(Matrix::Csr(x), data(4).obs().clone(), data(4).var().clone()).unwrap();
    let bad = folder.path().join("bad.h5ad");
    h5ad::write(&adata, &bad).unwrap();
    let params = FileParams { block_rows: 1, identity: Some("1".into()), ..Default::default() };
    let error = model().embed_file(&bad, &params, &mut unwatched).unwrap_err();
    assert!(error.to_string().contains("for cell \"cell3\""), "{error}");
}

#[test]
fn an_empty_file_has_an_empty_embedding() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.h5ad");
    let x = Csr::new(0, N_GENES, vec![0], vec![], vec![]).unwrap();
    let adata = AnnData::new(Matrix::Csr(x), DataFrame::new(vec![]), data(1).var().clone()).unwrap();
    h5ad::write(&adata, &path).unwrap();
    let params = FileParams { identity: Some("1".into()), ..Default::default() };
    assert_eq!(model().embed_file(&path, &params, &mut unwatched).unwrap().dim, (0, 16));
}
