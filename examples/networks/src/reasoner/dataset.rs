//! The second step: a record for each cell.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use sc_examples::progress::{say, thousands};
use sc_io::delimited;
use sc_llm::cellreasoner::{Dataset, DatasetOptions, Mode, OnLoss, read_matrix, write_records};

/// The flags of the second step.
#[derive(Args, Clone, Debug)]
pub struct BuildArgs {
    /// NAME.h5, as preprocess or the published scripts write it
    #[arg(long, value_name = "NAME.h5")]
    input: PathBuf,
    /// The table of cells; NAME.meta.csv beside the input without it
    #[arg(long, value_name = "FILE.csv")]
    meta: Option<PathBuf>,
    /// The column of that table that becomes the answer; without it, records have no answer
    #[arg(long, value_name = "COLUMN")]
    label_column: Option<String>,
    /// Ask for thoughts before the answer
    #[arg(long)]
    reasoning: bool,
    /// Another instruction than the published ones
    #[arg(long, value_name = "TEXT", conflicts_with = "reasoning")]
    instruction: Option<String>,
    /// Genes of a cell, at most
    #[arg(long, value_name = "N", default_value_t = 1000)]
    n_genes: usize,
    /// Leave out cells that the table does not have, and say how many; an error without it
    #[arg(long)]
    allow_lost: bool,
    /// Leave out cells without a listed gene, and say how many; an error without it
    #[arg(long)]
    allow_empty: bool,
    /// The file; NAME_for_CellReasoner.json beside the input without it
    #[arg(long, value_name = "FILE.json")]
    out: Option<PathBuf>,
    /// Replace the file of an earlier run
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: &BuildArgs) -> Result<()> {
    let out =
        args.out.clone().unwrap_or_else(|| super::beside(&args.input, &[".h5"], "_for_CellReasoner.json"));
    super::check_free(&out, args.force)?;
    let matrix = read_matrix(&args.input)?;
    let cells = match &args.label_column {
        Some(_) => {
            let meta = args.meta.clone().unwrap_or_else(|| super::beside(&args.input, &[".h5"], ".meta.csv"));
            Some(delimited::read(meta)?)
        }
        None => None,
    };
    let on = |allowed| if allowed { OnLoss::Count } else { OnLoss::Error };
    let dataset = Dataset::build(
        &matrix,
        cells.as_ref(),
        &DatasetOptions {
            mode: if args.reasoning { Mode::Reasoning } else { Mode::Direct },
            instruction: args.instruction.clone(),
            n_genes: args.n_genes,
            label_column: args.label_column.clone(),
            on_lost: on(args.allow_lost),
            on_empty: on(args.allow_empty),
        },
    )?;
    write_records(&dataset.records, &out, args.force)?;
    let genes = |record: &sc_llm::cellreasoner::Record| record.input.split(", ").count();
    let n_genes: usize = dataset.records.iter().map(genes).sum();
    say(&format!(
        "{} records, {:.0} genes each on average: {}",
        thousands(dataset.records.len()),
        n_genes as f64 / dataset.records.len().max(1) as f64,
        out.display()
    ));
    for (cells, why) in [
        (&dataset.lost, "left out: not in the table of cells"),
        (&dataset.empty, "left out: no listed gene"),
        (&dataset.unlabelled, "without an answer: no label in the table"),
    ] {
        if let Some(first) = cells.first() {
            say(&format!("  {} cells {why}; {first} first", thousands(cells.len())));
        }
    }
    Ok(())
}
