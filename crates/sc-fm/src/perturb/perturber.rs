use std::collections::HashMap;
use std::ops::{ControlFlow, Range};
use std::path::Path;

use candle_core::DType;

use super::compare::{self, Compared, Original, States};
use super::csv::Writer;
use super::file::RunFile;
use super::items::{Items, Plan, Scheme};
use super::states::Targets;
use super::{
    Error, Genes, GoalStates, PerturbCells, PerturbParams, Perturbation, Progress, Selection, Table,
};
use crate::Result;
use crate::embed::{self, Cost, Run};
use crate::models::geneformer::{InputFormat, Pooling};
use crate::models::{CellEncoder, Geneformer, TokenBatch};
use crate::tokenize::vocabulary::Vocabulary;

/// Tokens between two writes to disk.
const BLOCK: usize = 1 << 18;

/// What hears the progress.
type Watch<'w> = dyn FnMut(&Progress) -> ControlFlow<()> + 'w;

/// A Geneformer with what shall be done to cells.
#[derive(Clone, Debug)]
pub struct Perturber<'m> {
    pub(super) model: &'m Geneformer,
    pub(super) params: PerturbParams,
    pub(super) pooling: Pooling,
    scheme: Scheme,
    /// The id of each token.
    pub(super) ids: HashMap<u32, String>,
    /// Names of genes, by their ids.
    pub(super) names: HashMap<String, String>,
    pub(super) block_tokens: usize,
}

/// The outcome of one perturbation of one cell.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) row: usize,
    pub(super) position: Option<usize>,
    pub(super) tokens: Vec<u32>,
    pub(super) compared: Compared,
}

impl<'m> Perturber<'m> {
    /// Finds the genes in the dictionary.
    ///
    /// # Errors
    /// [`Error::UnknownGene`], [`Error::GeneTwice`], [`Error::NoGenes`], [`Error::TooManyGenes`];
    /// [`tokenize::Error::VocabSize`](crate::tokenize::Error::VocabSize) if the dictionary is not the model's;
    /// [`models::Error::NoCls`](crate::models::Error::NoCls), [`models::Error::Layer`](crate::models::Error::Layer).
    pub fn new(model: &'m Geneformer, vocabulary: &Vocabulary, params: &PerturbParams) -> Result<Self> {
        vocabulary.check_size(model.config().vocab_size)?;
        let is_v1 = model.format() == InputFormat::V1;
        let pooling = params.pooling.unwrap_or(if is_v1 { Pooling::Cell } else { Pooling::Cls });
        model.encoder(pooling, params.layer)?;
        let token = |gene: &String| match vocabulary.gene(gene) {
            Some((gene, _)) => Ok(gene.token),
            None => Err(Error::UnknownGene { gene: gene.clone() }),
        };
        let longest = model.config().max_position_embeddings;
        let ends = usize::from(!is_v1);
        let plan = match &params.genes {
            Genes::Each => Plan::Each,
            Genes::Anchored(gene) => Plan::Anchored(token(gene)?),
            Genes::Together(genes) => {
                let mut tokens = vec![];
                for gene in genes {
                    let token = token(gene)?;
                    if tokens.contains(&token) {
                        return Err(Error::GeneTwice { gene: gene.clone() }.into());
                    }
                    tokens.push(token);
                }
                let (found, room) = (tokens.len(), longest.saturating_sub(2 * ends));
                if tokens.is_empty() {
                    return Err(Error::NoGenes.into());
                }
                if params.perturbation == Perturbation::Overexpress && found >= room {
                    return Err(Error::TooManyGenes { found, room }.into());
                }
                Plan::Together(tokens)
            }
        };
        Ok(Self {
            model,
            params: params.clone(),
            pooling,
            scheme: Scheme { perturbation: params.perturbation, plan, ends, longest },
            ids: vocabulary.keys().map(|(id, token)| (token, id.to_owned())).collect(),
            names: HashMap::new(),
            block_tokens: BLOCK,
        })
    }

    /// The same with names of genes, by their ids, for the results to show.
    #[must_use]
    pub fn with_names(mut self, names: impl IntoIterator<Item = (String, String)>) -> Self {
        self.names = names.into_iter().collect();
        self
    }

    /// What stands for a cell.
    pub fn pooling(&self) -> Pooling {
        self.pooling
    }

    /// The token of the anchor.
    pub(super) fn anchor(&self) -> Option<u32> {
        match self.scheme.plan {
            Plan::Anchored(token) => Some(token),
            _ => None,
        }
    }

    /// The perturbed genes of a list, in its order.
    pub(super) fn together(&self) -> &[u32] {
        match &self.scheme.plan {
            Plan::Together(tokens) => tokens,
            _ => &[],
        }
    }

    /// Perturbs cells, with the results in memory.
    ///
    /// * `states`: also tells how far the cells of one state move towards others; cells of other states are left out.
    ///
    /// # Errors
    /// [`Error::NoCells`]; [`Error::NoState`], [`Error::StateTwice`], [`Error::FewCells`], [`Error::StateWidth`],
    /// [`Error::Labels`]; [`Error::NotFinite`]; [`Error::Cancelled`]; [`models::Error`](crate::models::Error) for cells
    /// that the model cannot take, named by their number among those given.
    pub fn run(
        &self,
        cells: &PerturbCells<'_>,
        states: Option<&GoalStates<'_>>,
        watch: &mut Watch<'_>,
    ) -> Result<(Table, Selection)> {
        let (items, targets) = self.prepare(cells, states)?;
        let mut table = Table::new(targets.names.clone());
        self.each(&items, cells, &targets, 0, watch, &mut |outcomes, _| {
            outcomes.iter().for_each(|outcome| table.push(self, outcome));
            Ok(())
        })?;
        Ok((table, items.selection))
    }

    /// Perturbs cells, with the results in a CSV file that [`Table::read`] reads: one row for each perturbation of each
    /// cell, and behind it one for each gene affected, if these are asked for.
    ///
    /// | column | |
    /// |---|---|
    /// | `perturbation` | `delete` or `overexpress` |
    /// | `gene_id`, `gene_name`, `token` | the perturbed gene, or several joined by `+` |
    /// | `anchor` | id of the gene that is perturbed as well |
    /// | `cell` | row of the data set |
    /// | `position` | rank of the gene in the cell, from 0; empty for lists |
    /// | `affected_gene_id`, `affected_token` | the gene that the cosine is of; empty where it is of the cell |
    /// | `cosine` | between perturbed and original |
    /// | `shift_…` | cos(perturbed, state) − cos(original, state), for start, goal and alternatives |
    ///
    /// While it runs, the rows are in a file with `.part` behind its name, and `.run.json` says how many of them count.
    /// The same call goes on there after an interruption of any kind, and the file is the same to the last byte; a
    /// finished file is left as it is. The key of a run is a SHA-256 of cells, states, parameters, dictionary and model,
    /// the latter by its tables and by what it makes of the first cell.
    ///
    /// # Errors
    /// As [`run`](Self::run), and [`Error::Exists`], [`Error::Locked`], [`Error::Short`], [`Error::Io`].
    pub fn run_to_file(
        &self,
        path: impl AsRef<Path>,
        cells: &PerturbCells<'_>,
        states: Option<&GoalStates<'_>>,
        watch: &mut Watch<'_>,
    ) -> Result<Selection> {
        let (items, targets) = self.prepare(cells, states)?;
        let key = self.key(cells, &items, &targets)?;
        let writer = Writer { perturber: self, states: &targets.names };
        let Some(mut file) = RunFile::open(path.as_ref(), &key, items.len(), &writer.header())? else {
            return Ok(items.selection);
        };
        let done = file.done();
        self.each(&items, cells, &targets, done, watch, &mut |outcomes, done| {
            let mut text = String::new();
            outcomes.iter().for_each(|outcome| writer.rows(outcome, &mut text));
            Ok(file.append(text.as_bytes(), done)?)
        })?;
        file.finish()?;
        Ok(items.selection)
    }

    fn prepare<'c>(
        &'c self,
        cells: &'c PerturbCells<'c>,
        states: Option<&GoalStates<'_>>,
    ) -> Result<(Items<'c>, Targets)> {
        let width = self.model.config().hidden_size;
        let targets = states.map(|states| states.targets(width)).transpose()?.unwrap_or_default();
        self.model.encoder(self.pooling, self.params.layer)?.check(&cells.ids)?;
        Ok((Items::new(&self.scheme, cells, states)?, targets))
    }

    /// Hands the outcomes from item `first` on to `take`, block by block in order, with the number of items done.
    fn each(
        &self,
        items: &Items<'_>,
        cells: &PerturbCells<'_>,
        targets: &Targets,
        first: usize,
        watch: &mut Watch<'_>,
        take: &mut dyn FnMut(&[Outcome], usize) -> Result<()>,
    ) -> Result<()> {
        let cost = self.cost();
        let total: f64 = items.sizes().map(|(length, n)| n as f64 * cost.work(length)).sum();
        let work_of = |range: Range<usize>| -> f64 {
            range.map(|item| cost.work(cells.ids[items.cell(item)].len())).sum()
        };
        let before = work_of(0..first) / total;
        let (mut fraction, mut start) = (before, first);
        let mut originals: HashMap<usize, Original> = HashMap::new();
        while start < items.len() {
            let end = self.block_end(items, cells, start);
            let share = work_of(start..end) / total;
            let mut of_block = |done: f64, kept: usize| {
                watch(&Progress {
                    perturbations: kept,
                    n_perturbations: items.len(),
                    fraction: (fraction + share * done).min(1.0),
                    before,
                })
            };
            // The cell that the block before ended in is known already.
            let (head, tail) = (items.cell(start), items.cell(end - 1));
            originals.retain(|&cell, _| cell == head);
            let needed = (start..end).map(|item| items.cell(item));
            let mut missing: Vec<usize> = needed.filter(|cell| !originals.contains_key(cell)).collect();
            missing.dedup();
            let texts: Vec<Vec<u32>> = missing.iter().map(|&cell| items.original(cell)).collect();
            let make = |_: usize, states: States<'_>| {
                Original::new(states, self.pooling, self.params.affected, targets)
            };
            let made = self.through(&texts, make, &mut || of_block(0.0, start))?;
            originals.extend(missing.into_iter().zip(made));

            let block: Vec<_> = (start..end).map(|item| items.get(item)).collect();
            let texts: Vec<&[u32]> = block.iter().map(|item| item.edited.ids.as_slice()).collect();
            let compared = |i: usize, states: States<'_>| {
                let (item, affected) = (&block[i], self.params.affected);
                let original = &originals[&item.cell];
                compare::compare(states, &item.edited, original, self.pooling, affected, targets)
            };
            let compared = self.through_with(&texts, compared, &mut |done| match done < 1.0 {
                true => of_block(done, start),
                false => ControlFlow::Continue(()),
            })?;
            let mut outcomes = Vec::with_capacity(block.len());
            for (item, compared) in block.into_iter().zip(compared) {
                let row = cells.rows[item.cell];
                let all = [compared.cosine].into_iter().chain(compared.shifts.iter().copied());
                if !all.chain(compared.affected.iter().map(|pair| pair.1)).all(f32::is_finite) {
                    return Err(Error::NotFinite { row }.into());
                }
                outcomes.push(Outcome { row, position: item.position, tokens: item.tokens, compared });
            }
            take(&outcomes, end)?;
            if of_block(1.0, end).is_break() && end < items.len() {
                return Err(Error::Cancelled.into());
            }
            originals.retain(|&cell, _| cell == tail);
            fraction += share;
            start = end;
        }
        Ok(())
    }

    /// The end of a block: by the tokens that go through the model, and the memory that original cells need.
    fn block_end(&self, items: &Items<'_>, cells: &PerturbCells<'_>, start: usize) -> usize {
        let bytes = 4 * self.model.config().hidden_size;
        let (mut tokens, mut held, mut last) = (0usize, 0usize, None);
        for item in start..items.len() {
            let cell = items.cell(item);
            let length = cells.ids[cell].len();
            tokens += length;
            if last != Some(cell) {
                held += length * bytes;
                last = Some(cell);
            }
            if item > start && (tokens > self.block_tokens || held > self.params.memory / 2) {
                return item;
            }
        }
        items.len()
    }

    fn cost(&self) -> Cost {
        let config = self.model.config();
        Cost { width: config.hidden_size, inner: config.intermediate_size, dtype: self.model.dtype() }
    }

    fn through<T: Send, C: AsRef<[u32]> + Sync>(
        &self,
        texts: &[C],
        make: impl Fn(usize, States<'_>) -> T + Sync,
        watch: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Vec<T>> {
        self.through_with(texts, make, &mut |_| watch())
    }

    /// Sends token lists through the model and makes something of the states of each, in their order.
    fn through_with<T: Send, C: AsRef<[u32]> + Sync>(
        &self,
        texts: &[C],
        make: impl Fn(usize, States<'_>) -> T + Sync,
        watch: &mut dyn FnMut(f64) -> ControlFlow<()>,
    ) -> Result<Vec<T>> {
        let lengths: Vec<usize> = texts.iter().map(|text| text.as_ref().len()).collect();
        let run = Run { lengths: &lengths, cost: self.cost(), memory: self.params.memory / 2 };
        let encode = |batch: &[usize]| {
            let (values, width) =
                self.states(&batch.iter().map(|&i| texts[i].as_ref()).collect::<Vec<_>>())?;
            let (mut made, mut begin) = (Vec::with_capacity(batch.len()), 0);
            for &i in batch {
                let end = begin + lengths[i] * width;
                made.push(make(i, States { values: &values[begin..end], width, ends: self.scheme.ends }));
                begin = end;
            }
            Ok(made)
        };
        let mut all: Vec<Option<T>> = texts.iter().map(|_| None).collect();
        let take = |batch: &[usize], made: Vec<T>| {
            batch.iter().zip(made).for_each(|(&i, made)| all[i] = Some(made));
            Ok(())
        };
        run.each(encode, take, |done, _, _| watch(done)).map_err(|error| match error {
            crate::Error::Embed(embed::Error::Cancelled) => Error::Cancelled.into(),
            error => error,
        })?;
        Ok(all.into_iter().map(|made| made.expect("every list is in one batch")).collect())
    }

    /// The states of all tokens after the layer asked for, one after another, and their width.
    pub(super) fn states(&self, texts: &[&[u32]]) -> Result<(Vec<f32>, usize)> {
        let hidden = self.model.forward(&TokenBatch::new(texts), self.params.layer)?;
        let width = hidden.states.dim(1)?;
        Ok((hidden.states.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?, width))
    }
}
