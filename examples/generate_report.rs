//! The report of a run that cell_type_classification has left on disk, whole or in part; nothing is run again.
//!
//! ```text
//! cargo run --release --example cell_type_classification -- --out results/x
//! cargo run --release --example generate_report -- --input results/x --output results/x-report
//! ```

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use sc_eval::grid::merge;
use sc_eval::report::check_folder;
use sc_examples::end::end;
use sc_examples::progress::say;
use sc_examples::record::Record;

/// Merge the results of a run and write its report: report.html, report.md, CSV, JSON and figures.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Args {
    /// Folder of the run
    #[arg(long, value_name = "FOLDER")]
    input: PathBuf,
    /// Folder of the report; that of the run without it
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Report what is there, of a run that is at work or was interrupted
    #[arg(long)]
    allow_missing: bool,
    /// Replace an earlier report in the folder of --output
    #[arg(long)]
    force: bool,
}

const EXAMPLES: &str = "Examples:
  generate_report --input results/cell_type_classification
  generate_report --input results/pbmc3k --output results/pbmc3k-report
  generate_report --input results/pbmc3k --output results/so-far --allow-missing --force

Exit codes: 0 done, 1 failed, 2 usage, 3 input invalid.";

fn main() -> ExitCode {
    end(generate(&Args::parse()))
}

fn generate(args: &Args) -> Result<()> {
    let Args { input, output, allow_missing, force } = args;
    let merged = merge(input, *allow_missing)?;
    let output = match output {
        Some(output) => {
            check_folder(output, *force)?;
            output
        }
        None => input,
    };
    let record = Record::read(input, &merged)?;
    merged.write(output)?;
    let pages = record.write_reports(&merged, input, output)?;
    write!(std::io::stdout(), "{}", merged.table())?;
    for page in pages {
        say(&format!("report: {}", page.display()));
    }
    Ok(())
}
