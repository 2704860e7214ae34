use ndarray::Array2;
use sc_io::AnnData;

use super::body::{Asked, BodyRef};
use super::data::check_rows;
use super::fine_tuned::{cells_of, check_asked};
use super::gene_data::{BLOCK, GeneReport};
use super::task::softmax;
use super::trained::Training;
use crate::Result;
use crate::embed::{EmbedParams, FoundationModel};
use crate::tokenize::Tokens;

/// A classifier of genes with the model that it stands on.
#[derive(Clone, Debug)]
pub struct FineTunedGenes {
    pub(super) classes: Vec<String>,
    pub(super) genes: GeneReport,
    pub(super) model: FoundationModel,
    pub(super) training: Training,
    pub(super) input: EmbedParams,
}

/// Probabilities of the classes of genes.
#[derive(Clone, Debug, PartialEq)]
pub struct GenePrediction {
    /// A row for each gene asked for, in that order; a column for each class. NaN for genes that no cell has.
    pub probabilities: Array2<f64>,
    /// How many of the cells have the gene; 0 for genes that the model does not know.
    pub n_cells: Vec<usize>,
}

impl FineTunedGenes {
    /// The classes, sorted: column `i` of logits and probabilities is class `i`.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Which genes it was trained on and validated with: what it says of these is no test.
    pub fn genes(&self) -> &GeneReport {
        &self.genes
    }

    /// The model, tuned.
    pub fn model(&self) -> &FoundationModel {
        &self.model
    }

    /// How it came about.
    pub fn training(&self) -> &Training {
        &self.training
    }

    /// The same classifier for data sets that are tokenised in another way: another matrix or column of gene ids.
    #[must_use]
    pub fn with_input(self, input: EmbedParams) -> Self {
        Self { input, ..self }
    }

    /// The probability of each class for some genes, from some rows of a data set.
    ///
    /// `P(class | gene) = 1/n · Σ softmax(logits of the gene's token)` over the `n` cells that have the gene among their
    /// tokens: its probability in a cell drawn at random. Each cell counts alike. (A mean of logits would be decided by
    /// the few cells that are surest.) Sums run in f64 in the order of the rows of the data set, so the same cells give
    /// the same bits, in whatever order they are asked for.
    ///
    /// The reference has no such mean: it scores tokens, so that a gene counts as often as it is expressed.
    ///
    /// * `genes`: their ids, as the dictionary of the model has them.
    ///
    /// # Errors
    /// [`Error::Row`](super::Error::Row), [`Error::Twice`](super::Error::Twice); those of [`FoundationModel::tokenize`];
    /// what the tensor library reports.
    pub fn predict_genes<S: AsRef<str>>(
        &self,
        adata: &AnnData,
        rows: &[usize],
        genes: &[S],
    ) -> Result<GenePrediction> {
        check_asked(rows, adata.n_obs())?;
        self.predict_genes_tokens(&self.model.tokenize(adata, &self.input)?, rows, genes)
    }

    /// [`predict_genes`](Self::predict_genes), of tokens; rows that have no tokens have no genes.
    ///
    /// # Errors
    /// [`models::Error`](crate::models::Error) for cells that the model cannot take; otherwise as
    /// [`predict_genes`](Self::predict_genes).
    pub fn predict_genes_tokens<S: AsRef<str>>(
        &self,
        tokens: &Tokens,
        rows: &[usize],
        genes: &[S],
    ) -> Result<GenePrediction> {
        check_rows(rows, None, "asked for")?;
        let (network, vocabulary) = self.geneformer();
        let token = |gene: &S| vocabulary.gene(gene.as_ref()).map(|(gene, _)| gene.token as usize);
        let asked: Vec<Option<usize>> = genes.iter().map(token).collect();
        // By token: a gene may be asked for under several names.
        let mut sums = vec![None::<(Vec<f64>, usize)>; vocabulary.n_tokens()];
        asked.iter().flatten().for_each(|&token| sums[token] = Some((vec![0.0; self.classes.len()], 0)));
        let mut rows = rows.to_vec();
        rows.sort_unstable();
        let (cells, _) = cells_of(tokens, &rows);
        BodyRef::Genes(network).check(tokens, &cells)?;
        for cells in cells.chunks(BLOCK) {
            for (&cell, logits) in cells.iter().zip(self.ask(tokens).tokens(cells, self.classes.len())?) {
                for (&token, row) in tokens.cell(cell).iter().zip(logits.rows()) {
                    let Some((sum, n)) = sums.get_mut(token as usize).and_then(Option::as_mut) else {
                        continue;
                    };
                    sum.iter_mut().zip(softmax(row)).for_each(|(sum, p)| *sum += p);
                    *n += 1;
                }
            }
        }
        let of = |token: &Option<usize>| token.and_then(|token| sums[token].as_ref());
        let n_cells: Vec<usize> = asked.iter().map(|token| of(token).map_or(0, |(_, n)| *n)).collect();
        let probability = |(gene, class): (usize, usize)| match of(&asked[gene]) {
            Some((sum, n)) if *n > 0 => sum[class] / *n as f64,
            _ => f64::NAN,
        };
        let probabilities = Array2::from_shape_fn((genes.len(), self.classes.len()), probability);
        Ok(GenePrediction { probabilities, n_cells })
    }

    /// The logits of every token of some rows, in the order asked for: `tokens × classes` each, special tokens included,
    /// in the order of [`Tokens::cell`]. Rows that have no tokens have none.
    ///
    /// A row depends on its own cell alone, to the last bit.
    ///
    /// # Errors
    /// [`models::Error`](crate::models::Error) for cells that the model cannot take; what the tensor library reports.
    pub fn token_logits(&self, tokens: &Tokens, rows: &[usize]) -> Result<Vec<Array2<f32>>> {
        let (cells, found) = cells_of(tokens, rows);
        BodyRef::Genes(self.geneformer().0).check(tokens, &cells)?;
        let mut logits = self.ask(tokens).tokens(&cells, self.classes.len())?.into_iter();
        let none = || Array2::zeros((0, self.classes.len()));
        Ok(found.iter().map(|found| found.then(|| logits.next()).flatten().unwrap_or_else(none)).collect())
    }

    fn ask<'a>(&'a self, tokens: &'a Tokens) -> Asked<'a> {
        let body = BodyRef::Genes(self.geneformer().0);
        Asked { body, tokens, cost: self.model.cost(), memory: self.input.memory }
    }

    fn geneformer(&self) -> (&crate::models::Geneformer, &crate::tokenize::vocabulary::Vocabulary) {
        self.model.as_geneformer().expect("no other model has a classifier of genes")
    }
}
