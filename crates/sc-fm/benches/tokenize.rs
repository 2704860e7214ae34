//! Times the tokenisers on a count matrix, on one thread.
//!
//! `cargo bench -p sc-fm --bench tokenize -- MATRIX [--geneformer FOLDER] [--series gc104M] [--scgpt VOCAB]
//! [--scfoundation LIST]` prints a line for each tokeniser that was given its dictionaries: seconds to set it up, and
//! CPU seconds for the whole matrix (the proof that it holds counts among them), the best of nine runs. MATRIX is
//! anything that `sc_io::open` reads. `rank_values.py` beside this file times the NumPy way of Geneformer's tokeniser.

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use sc_fm::tokenize::rank::{RankParams, RankTokenizer, TokenizeParams};
use sc_fm::tokenize::scfoundation::{GeneList, ScfoundationParams, ScfoundationTokenizer};
use sc_fm::tokenize::scgpt::{ScgptParams, ScgptTokenizer, ScgptVocabulary};
use sc_fm::tokenize::vocabulary::Vocabulary;
use sc_fm::tokenize::{Cells, GeneIds, Tokens};
use sc_io::Counts;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const RUNS: usize = 9;

#[derive(Default)]
struct Args {
    matrix: Option<PathBuf>,
    geneformer: Option<PathBuf>,
    series: String,
    scgpt: Option<PathBuf>,
    scfoundation: Option<PathBuf>,
}

fn args() -> Args {
    let mut args = Args::default();
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        match word.as_str() {
            "--geneformer" => args.geneformer = words.next().map(PathBuf::from),
            "--series" => args.series = words.next().unwrap_or_default(),
            "--scgpt" => args.scgpt = words.next().map(PathBuf::from),
            "--scfoundation" => args.scfoundation = words.next().map(PathBuf::from),
            _ => args.matrix = Some(PathBuf::from(word)),
        }
    }
    args
}

/// Seconds that this thread has computed; where the system does not tell, seconds that passed.
fn seconds(start: Instant) -> f64 {
    let ticks = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = ticks.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(|| start.elapsed().as_secs_f64(), |ns| ns * 1e-9)
}

fn say(line: &str) -> Outcome<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

/// Sets a tokeniser up, runs it, and prints both times.
fn time<T>(name: &str, set_up: impl Fn() -> Outcome<T>, run: impl Fn(&T) -> Outcome<Tokens>) -> Outcome<()> {
    let clock = Instant::now();
    let start = seconds(clock);
    let tokenizer = set_up()?;
    let set_up = seconds(clock) - start;
    let mut best = f64::INFINITY;
    let mut n_tokens = 0;
    for _ in 0..RUNS {
        let start = seconds(clock);
        let tokens = run(&tokenizer)?;
        best = best.min(seconds(clock) - start);
        n_tokens = tokens.ids().len();
    }
    let each = best * 1e9 / n_tokens as f64;
    say(&format!("{name}: set-up {set_up:.4} s, matrix {best:.4} s, {n_tokens} tokens, {each:.1} ns a token"))
}

fn run(args: &Args) -> Outcome<()> {
    let Some(matrix) = &args.matrix else {
        return say("name a matrix; nothing timed");
    };
    let adata = sc_io::open(matrix)?;
    let x = adata.x().ok_or("no X")?.to_csr();
    say(&format!("{} cells x {} genes, {} values", x.n_rows(), x.n_cols(), x.nnz()))?;
    let symbols = GeneIds::symbols(adata.var())?;
    if let Some(folder) = &args.geneformer {
        let ids = GeneIds::ensembl(adata.var())?;
        time(
            "geneformer",
            || {
                let vocabulary = Vocabulary::open_series(folder, &args.series)?;
                Ok(RankTokenizer::with_ids(&vocabulary, &ids, &RankParams::of(vocabulary.series()))?)
            },
            |tokenizer| {
                Ok(tokenizer.tokenize(Counts::new(&x)?, &Cells::default(), &TokenizeParams::default())?)
            },
        )?;
    }
    if let Some(path) = &args.scgpt {
        let new = || {
            Ok(ScgptTokenizer::with_ids(&ScgptVocabulary::open(path)?, &symbols, &ScgptParams::default())?)
        };
        time("scgpt", new, |tokenizer| Ok(tokenizer.tokenize(&x)?.0))?;
    }
    if let Some(path) = &args.scfoundation {
        let params = ScfoundationParams::default();
        let new = || Ok(ScfoundationTokenizer::with_ids(&GeneList::open(path)?, &symbols, &params)?);
        time("scfoundation", new, |tokenizer| Ok(tokenizer.tokenize(&x)?))?;
    }
    Ok(())
}

fn main() -> Outcome<()> {
    let args = args();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    pool.install(|| run(&args))
}
