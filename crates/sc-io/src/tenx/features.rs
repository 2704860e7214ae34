//! The variables of a 10x matrix.

use super::{GENE_EXPRESSION, TenxOptions, VarNames};
use crate::frame::make_unique;
use crate::{Column, DataFrame, Result, keys};

/// Features as they are listed, column by column.
#[derive(Debug, Default)]
pub(super) struct Features {
    pub(super) ids: Vec<String>,
    pub(super) symbols: Vec<String>,
    /// Cell Ranger 3 and later; before, every feature was a gene.
    pub(super) types: Option<Vec<String>>,
    /// `.h5` files only.
    pub(super) genomes: Option<Vec<String>>,
}

impl Features {
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Positions of those that are asked for, `None` if they are all.
    pub(super) fn chosen(&self, options: &TenxOptions) -> Option<Vec<usize>> {
        let gene = |i: usize| match &self.types {
            Some(types) if options.gex_only => types[i] == GENE_EXPRESSION,
            _ => true,
        };
        let genome = |i: usize| match (&self.genomes, &options.genome) {
            (Some(genomes), Some(wanted)) => genomes[i] == *wanted,
            _ => true,
        };
        let chosen: Vec<usize> = (0..self.len()).filter(|&i| gene(i) && genome(i)).collect();
        (chosen.len() < self.len()).then_some(chosen)
    }

    /// The table `var`. Names are made unique over all features, before any is left out, as scanpy does.
    pub(super) fn into_var(self, options: &TenxOptions) -> Result<DataFrame> {
        let (mut names, others, others_key) = match options.var_names {
            VarNames::GeneSymbols => (self.symbols, self.ids, keys::GENE_IDS),
            VarNames::GeneIds => (self.ids, self.symbols, keys::GENE_SYMBOLS),
        };
        make_unique(&mut names);
        let mut var = DataFrame::new(names);
        var.insert(others_key, Column::Strings(others))?;
        for (key, values) in [(keys::FEATURE_TYPES, self.types), (keys::GENOME, self.genomes)] {
            if let Some(values) = values {
                var.insert(key, Column::Strings(values))?;
            }
        }
        Ok(var)
    }
}
