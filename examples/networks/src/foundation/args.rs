//! The flags, checked before any work.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use sc_eval::classifiers::{LogisticRegressionParams, Model, XgboostParams};
use sc_fm::embed::Mode;
use sc_fm::models::Layer;
use sc_fm::nn::gemm;

use super::away::{AwayArgs, AwaySettings};
use super::sources::{Name, Named, Source, sources};
use super::tuning::{TuningArgs, TuningSettings};
use sc_examples::cells::CellArgs;
use sc_examples::end::Usage;
use sc_examples::fold::FoldParams;
use sc_examples::methods::MethodArgs;
use sc_examples::run::{RunArgs, at_least_1};

/// How labels, inputs and splits are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// Raw counts, the labels of the file, training, validation and test cells, several seeds
    Corrected,
    /// What was published for PBMC 3k: labels made of the expression, scaled values for the tokeniser, one split
    AsPublished,
}

/// How exact the products of a model are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// Single precision: the same bits on every processor
    F32,
    /// Errors like those of single precision, in the fastest way that the processor has
    F32Grade,
    /// Operands of half the size; the fastest
    Bf16,
}

impl Precision {
    /// As models take it.
    pub(super) fn gemm(self) -> gemm::Precision {
        match self {
            Self::F32 => gemm::Precision::F32,
            Self::F32Grade => gemm::Precision::F32Grade,
            Self::Bf16 => gemm::Precision::Bf16,
        }
    }

    /// What computes with it here; one word for all processors where it makes no difference.
    pub(super) fn kernel(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            _ => gemm::Kernel::new(self.gemm()).name(),
        }
    }
}

/// The flags of the program.
#[derive(Args, Clone, Debug)]
pub struct FoundationArgs {
    #[command(flatten)]
    cells: CellArgs,
    /// Draw so many cells, classes keeping their shares
    #[arg(long, value_name = "N", value_parser = at_least_1)]
    max_cells: Option<usize>,
    /// Models that take part; without it, those that the next two flags name
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',')]
    model: Vec<Name>,
    /// A folder with weights and configuration, as released: FOLDER or NAME=FOLDER
    #[arg(long, value_name = "[NAME=]FOLDER", num_args = 1..)]
    checkpoint: Vec<Named>,
    /// A configuration (config.json of Geneformer, args.json of scGPT) whose model gets random weights: what a
    /// pretrained one must beat
    #[arg(long, value_name = "[NAME=]CONFIG.json", num_args = 1..)]
    random_weights: Vec<Named>,
    /// The folder of the dictionaries, where they are not beside the weights: FOLDER or NAME=FOLDER
    #[arg(long, value_name = "[NAME=]FOLDER", num_args = 1..)]
    dictionaries: Vec<Named>,
    /// Layers of the models whose states are tried: last, second_to_last or a number; one of several is chosen on
    /// validation cells [default: that of the model's reference]
    #[arg(long, value_name = "LAYER", num_args = 1.., value_delimiter = ',')]
    model_layer: Vec<Layer>,
    /// What stands for a cell: cell (mean over genes), cls, all or max [default: that of the model's reference]
    #[arg(long, value_name = "MODE")]
    mode: Option<Mode>,
    /// How exact the products of the models are
    #[arg(long, value_enum, default_value = "f32-grade")]
    precision: Precision,
    /// Memory for hidden values, such as 512M or 4G; weights come on top. It changes no result
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = bytes)]
    memory: usize,
    /// How labels, inputs and splits are made
    #[arg(long, value_enum, default_value = "corrected")]
    protocol: Protocol,
    /// Seeds of splits and models, each with test cells of its own [default: 42 43 44; 42 as published]
    #[arg(long, value_name = "SEED", num_args = 1.., value_delimiter = ',')]
    seeds: Vec<u64>,
    /// What is fitted on the embeddings
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',', value_enum,
          default_values = ["logistic-regression", "xgboost"])]
    heads: Vec<Head>,
    #[command(flatten)]
    tuning: TuningArgs,
    #[command(flatten)]
    away: AwayArgs,
    /// Epochs in which the small model, of which there is no checkpoint, learns from the training cells without their labels
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = at_least_1)]
    pretrain_epochs: usize,
    /// Highly variable genes of the baselines, chosen on training cells
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = at_least_1)]
    n_genes: usize,
    /// Principal components of the baseline that has some
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = at_least_1)]
    n_components: usize,
    /// Threads; all processors without it. The number changes no result
    #[arg(long, value_name = "N", value_parser = at_least_1)]
    threads: Option<usize>,
    /// Go on with a run that was interrupted
    #[arg(long, conflicts_with = "force")]
    resume: bool,
    /// Replace the results of an earlier run; with --protocol as-published, run it although its input is no counts
    #[arg(long)]
    force: bool,
    /// Leave out the maps (they take long above about 50,000 cells)
    #[arg(long)]
    no_map: bool,
    /// Folder of the embeddings, kept by what they are made of [default: embeddings in the folder of the results]
    #[arg(long, value_name = "FOLDER")]
    cache: Option<PathBuf>,
    /// Folder of the results
    #[arg(long, value_name = "FOLDER", default_value = "results/foundation_models")]
    out: PathBuf,
}

/// A classifier on frozen embeddings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Head {
    /// Logistic regression on standardised values
    LogisticRegression,
    /// XGBoost: 400 rounds, depth 6, rate 0.05, 80 % of the cells and values a tree
    Xgboost,
}

impl Head {
    /// Its name in tables.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::LogisticRegression => "LR",
            Self::Xgboost => "XGBoost",
        }
    }

    /// The classifier; `c` is that of a logistic regression.
    pub(super) fn model(self, c: f64, seed: u64) -> Model {
        match self {
            Self::LogisticRegression => {
                Model::LogisticRegression(LogisticRegressionParams { c, ..Default::default() })
            }
            Self::Xgboost => Model::Xgboost(XgboostParams {
                n_rounds: 400,
                max_depth: 6,
                learning_rate: 0.05,
                subsample: 0.8,
                colsample_bytree: 0.8,
                seed,
                ..Default::default()
            }),
        }
    }
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the cells come from.
    pub cells: CellArgs,
    /// The models.
    pub sources: Vec<Source>,
    /// Layers to try; the model's own without any.
    pub layers: Vec<Layer>,
    /// What stands for a cell.
    pub mode: Option<Mode>,
    /// How exact the products of the models are.
    pub precision: Precision,
    /// Bytes for hidden values.
    pub memory: usize,
    /// How labels, inputs and splits are made.
    pub protocol: Protocol,
    /// Seeds; at least one.
    pub seeds: Vec<u64>,
    /// Classifiers on embeddings; each once.
    pub heads: Vec<Head>,
    /// What is trained of the models.
    pub tuning: TuningSettings,
    /// The other file that everything is asked about, if there is one.
    pub away: Option<AwaySettings>,
    /// Epochs of the small model's pretraining.
    pub pretrain_epochs: usize,
    /// How the baselines' features are made.
    pub fold: FoldParams,
    /// The first seed, threads, permission to replace results.
    pub run: RunArgs,
    /// Whether to go on with a run that is there.
    pub resume: bool,
    /// Whether to draw maps.
    pub map: bool,
    /// Folder of the embeddings.
    pub cache: PathBuf,
    /// Folder of the results.
    pub out: PathBuf,
}

impl FoundationArgs {
    /// The flags, checked.
    ///
    /// # Errors
    /// [`Usage`] for flags that contradict each other; [`NotFetched`](sc_examples::end::NotFetched) for a model without weights.
    pub fn settings(&self) -> Result<Settings> {
        let sources = sources(&self.model, &self.checkpoint, &self.random_weights, &self.dictionaries)?;
        let seeds = match (self.seeds.is_empty(), self.protocol) {
            (false, _) => self.seeds.clone(),
            (true, Protocol::Corrected) => vec![42, 43, 44],
            (true, Protocol::AsPublished) => vec![42],
        };
        if self.protocol == Protocol::AsPublished && sources.iter().any(Source::learns_genes) {
            let text = "--protocol as-published is about a released model's tokeniser: name a model by --checkpoint or \
                        --random-weights";
            return Err(Usage(text.to_owned()).into());
        }
        let away = self.away.settings(self.cells.input.as_deref(), self.protocol)?;
        let mut heads = Vec::new();
        for &head in &self.heads {
            if !heads.contains(&head) {
                heads.push(head);
            }
        }
        let methods = MethodArgs { models: vec![], n_genes: self.n_genes, n_components: self.n_components };
        let max_cells = self.max_cells.map(|most| (most, seeds[0]));
        Ok(Settings {
            cells: CellArgs { max_cells, ..self.cells.clone() },
            sources,
            layers: self.model_layer.clone(),
            mode: self.mode,
            precision: self.precision,
            memory: self.memory,
            protocol: self.protocol,
            run: RunArgs { seed: seeds[0], threads: self.threads, force: self.force },
            seeds,
            heads,
            tuning: self.tuning.settings(),
            away,
            pretrain_epochs: self.pretrain_epochs,
            fold: methods.fold(),
            resume: self.resume,
            map: !self.no_map,
            cache: self.cache.clone().unwrap_or_else(|| self.out.join("embeddings")),
            out: self.out.clone(),
        })
    }
}

/// A number of bytes, such as `4G`, for a flag.
fn bytes(text: &str) -> Result<usize, String> {
    let text = text.trim();
    let (digits, shift) = match text.as_bytes().last().map(u8::to_ascii_uppercase) {
        Some(b'K') => (&text[..text.len() - 1], 10),
        Some(b'M') => (&text[..text.len() - 1], 20),
        Some(b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: usize =
        digits.parse().map_err(|_| format!("expected a size such as 512M or 4G, found {text:?}"))?;
    number.checked_mul(1 << shift).ok_or_else(|| format!("{text} is more than any machine has"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        foundation: FoundationArgs,
    }

    fn settings(flags: &[&str]) -> Result<Settings> {
        Program::parse_from([&["program"], flags].concat()).foundation.settings()
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(["10", "3k", "512M", "4G"].map(bytes), [Ok(10), Ok(3 << 10), Ok(512 << 20), Ok(4 << 30)]);
        assert!(bytes("much").unwrap_err().contains("512M") && bytes("").is_err() && bytes("G").is_err());
        assert!(bytes("99999999999999G").unwrap_err().contains("more than any"));
    }

    #[test]
    fn without_flags_a_small_model_of_the_embedded_genes_takes_part() {
        let settings = settings(&[]).unwrap();
        assert_eq!((settings.sources.len(), settings.seeds.as_slice()), (2, &[42, 43, 44][..]));
        assert!(settings.sources.iter().all(Source::learns_genes));
        assert_eq!(settings.heads, [Head::LogisticRegression, Head::Xgboost]);
        assert_eq!(settings.cache, PathBuf::from("results/foundation_models/embeddings"));
    }

    #[test]
    fn the_published_protocol_needs_a_released_tokeniser() {
        let text = settings(&["--protocol", "as-published"]).unwrap_err().to_string();
        assert!(text.contains("--checkpoint"), "{text}");
        assert!(Program::try_parse_from(["program", "--mode", "mean"]).is_err());
        assert!(Program::try_parse_from(["program", "--model-layer", "-1"]).is_err());
        assert!(Program::try_parse_from(["program", "--resume", "--force"]).is_err());
    }
}
