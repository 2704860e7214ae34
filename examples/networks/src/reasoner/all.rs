//! All steps on the embedded cells, as a user would type them.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Parser};
use sc_examples::progress::say;
use sc_examples::run::at_least_1;

use super::Step;

/// The flags of a run without a step.
#[derive(Args, Clone, Debug)]
pub struct AllArgs {
    /// Folder of all files
    #[arg(long, value_name = "FOLDER", default_value = "results/cellreasoner")]
    out: PathBuf,
    /// Epochs of the small decoder
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = at_least_1)]
    epochs: usize,
    /// Seed of the draw of test cells, of the decoder and of the shuffled names
    #[arg(long, value_name = "SEED", default_value_t = 42)]
    seed: u64,
    /// Threads; all processors without it
    #[arg(long, value_name = "N", value_parser = at_least_1)]
    threads: Option<usize>,
    /// Replace the files of an earlier run, and begin anew
    #[arg(long)]
    force: bool,
}

/// A step with its flags.
#[derive(Parser)]
#[command(name = "cellreasoner")]
struct Command {
    #[command(subcommand)]
    step: Step,
}

const NAME: &str = "pbmc68k_reduced";
const LABELS: &str = "bulk_labels";
/// The most variable ones that a cell expresses: enough to see how the steps work in a minute or two.
const N_GENES: &str = "100";

pub(super) fn run(args: &AllArgs) -> Result<()> {
    let (epochs, seed) = (args.epochs.to_string(), args.seed.to_string());
    let file = |ending: &str| args.out.join(format!("{NAME}{ending}")).into_os_string();
    let (train, test) = (file("_train_for_CellReasoner.json"), file("_test_for_CellReasoner.json"));
    let text = |words: &[&str]| words.iter().map(Into::into).collect::<Vec<std::ffi::OsString>>();
    let mut infer =
        [text(&["infer", "--input"]), vec![test], text(&["--train"]), vec![train], text(&["--shuffled"])]
            .concat();
    infer.extend(text(&["--epochs", &epochs, "--seed", &seed]));
    if let Some(n) = args.threads {
        infer.extend(text(&["--threads", &n.to_string()]));
    }
    let build = |part: &str| {
        [
            text(&["build-dataset", "--input"]),
            vec![file(part)],
            text(&["--label-column", LABELS, "--n-genes", N_GENES]),
        ]
        .concat()
    };
    let prepare =
        text(&["preprocess", "--test-share", "0.2", "--label-column", LABELS, "--seed", &seed, "--out"]);
    let steps = [
        [prepare, vec![args.out.clone().into_os_string()]].concat(),
        build("_train.h5"),
        build("_test.h5"),
        infer,
        [
            text(&["evaluate", "--input"]),
            vec![file("_test_CellReasoner_result.csv")],
            text(&["--out"]),
            vec![args.out.join("evaluation").into_os_string()],
        ]
        .concat(),
    ];
    for mut words in steps {
        if args.force {
            words.push("--force".into());
        }
        let shown: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        say(&format!("$ cellreasoner {}", shown.join(" ")));
        let command = Command::try_parse_from(std::iter::once("cellreasoner".into()).chain(words))?;
        super::run(&command.step)?;
    }
    Ok(())
}
