//! Real cells and the released dictionaries: the digests of a plain NumPy run of the published rule.

use sc_fm::tokenize::rank::{RankParams, RankTokenizer, TokenizeParams};
use sc_fm::tokenize::scfoundation::{GeneList, ScfoundationParams, ScfoundationTokenizer};
use sc_fm::tokenize::scgpt::{Scale, ScgptParams, ScgptTokenizer, ScgptVocabulary};
use sc_fm::tokenize::vocabulary::Vocabulary;
use sc_fm::tokenize::{Cells, Error, GeneIds, IdSource, Tokens, Totals};
use sc_io::{Counts, Csr};
use sha2::{Digest, Sha256};

use super::{field, json};
use crate::support::{data, kept};

fn digest(tokens: &Tokens, cells: std::ops::Range<usize>) -> String {
    let mut sha = Sha256::new();
    for cell in cells {
        let ids = tokens.cell(cell);
        sha.update((ids.len() as u32).to_le_bytes());
        ids.iter().for_each(|id| sha.update(id.to_le_bytes()));
    }
    sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn released_dictionaries_give_the_published_tokens_of_pbmc_3k() {
    let (Some(dictionaries), Some(pbmc)) = (data("geneformer"), data("pbmc3k")) else { return };
    let adata = sc_io::open(pbmc.join("pbmc3k.h5ad")).unwrap();
    let x = adata.x().unwrap().to_csr();
    let ids = GeneIds::ensembl(adata.var()).unwrap();
    assert_eq!(ids.source, IdSource::Column("gene_ids".into()));
    let expected = json(&kept().join("pbmc3k_tokens/tokens.json"));
    for (series, expected) in expected.as_object().unwrap() {
        let vocabulary = Vocabulary::open_series(&dictionaries, series).unwrap();
        vocabulary.check_size(field(expected, "vocab_size")).unwrap();
        let params = RankParams::of(vocabulary.series());
        assert_eq!(params.model_input_size, field::<usize>(expected, "model_input_size"));
        assert_eq!(params.special_token, field::<bool>(expected, "special_token"));
        let tokenizer = RankTokenizer::with_ids(&vocabulary, &ids, &params).unwrap();
        let tokens = tokenizer
            .tokenize(Counts::new(&x).unwrap(), &Cells::default(), &TokenizeParams::default())
            .unwrap();
        for (cell, ids) in field::<Vec<Vec<u32>>>(expected, "first_cells").iter().enumerate() {
            assert_eq!(tokens.cell(cell), ids, "{series}, cell {cell}");
        }
        assert_eq!(tokens.ids().len(), field::<usize>(expected, "n_tokens"), "{series}");
        assert_eq!(tokens.lengths().max(), Some(field(expected, "longest")), "{series}");
        assert_eq!(tokens.report().totals, Totals::RowSum);
        let block: usize = field(expected, "block");
        for (i, sha) in field::<Vec<String>>(expected, "sha256").iter().enumerate() {
            let cells = i * block..tokens.n_cells().min((i + 1) * block);
            assert_eq!(&digest(&tokens, cells.clone()), sha, "{series}, cells {cells:?}");
        }

        let parts = (0..x.n_rows()).step_by(700).map(|first| {
            let rows: Vec<usize> = (first..x.n_rows().min(first + 700)).collect();
            Ok::<_, Error>(x.select_rows(&rows))
        });
        let in_parts = tokenizer.tokenize_parts(parts, &Cells::default(), &TokenizeParams::default());
        assert_eq!(in_parts.unwrap(), tokens, "{series}");
    }
    let error = Vocabulary::open(&dictionaries).unwrap_err();
    assert!(matches!(error, Error::SeveralDictionaries { .. }), "{error}");
}

#[test]
fn the_released_vocabularies_know_most_of_pbmc_3k() {
    let (Some(scgpt), Some(scfoundation), Some(pbmc)) = (data("scgpt"), data("scfoundation"), data("pbmc3k"))
    else {
        return;
    };
    let adata = sc_io::open(pbmc.join("pbmc3k.h5ad")).unwrap();
    let x: Csr = adata.x().unwrap().to_csr();
    let symbols = GeneIds::symbols(adata.var()).unwrap();
    assert_eq!(symbols.source, IdSource::Index);

    // Both released vocabularies have the same tokens; one lacks the special ones.
    let census = ScgptVocabulary::open(scgpt.join("default_census_vocab.json")).unwrap();
    let finetuned = ScgptVocabulary::open(scgpt.join("finetuned_model_vocab.json")).unwrap();
    assert_eq!((census.n_appended(), finetuned.n_appended()), (3, 0));
    let tokens = [&census, &finetuned].map(|vocabulary| {
        vocabulary.check_size(60_697).unwrap();
        let tokenizer = ScgptTokenizer::with_ids(vocabulary, &symbols, &ScgptParams::default()).unwrap();
        tokenizer.tokenize(&x).unwrap()
    });
    assert_eq!((&tokens[0], tokens[0].1), (&tokens[1], Scale::Counts));
    assert_eq!(tokens[0].0.n_cells(), x.n_rows());
    assert_eq!(tokens[0].0.lengths().max(), Some(1_200));

    let path = scfoundation.join("scFoundation_OS_scRNA_gene_index.19264.tsv");
    let genes = GeneList::open(path).unwrap();
    assert_eq!((genes.n_genes(), genes.position("A1BG")), (19_264, Some(0)));
    let tokenizer =
        ScfoundationTokenizer::with_ids(&genes, &symbols, &ScfoundationParams::default()).unwrap();
    let cells = tokenizer.tokenize(&x).unwrap();
    assert_eq!(cells.n_cells(), x.n_rows());
    for cell in 0..cells.n_cells() {
        let (positions, values) = (cells.cell(cell), cells.cell_values(cell).unwrap());
        assert!(positions.is_sorted() && values.iter().all(|&v| v > 0.0), "cell {cell}");
        assert_eq!(positions[positions.len() - 2..], [19_264, 19_265], "cell {cell}");
        // The logarithms lead back to the share of each count.
        let sum: f64 = values[..values.len() - 2].iter().map(|&v| f64::from(v).exp_m1()).sum();
        assert!((sum - 1e4).abs() < 0.1, "cell {cell}: {sum}");
    }
    assert!(tokens[0].0.report().share_of_counts() > 0.9 && cells.report().share_of_counts() > 0.85);
}
