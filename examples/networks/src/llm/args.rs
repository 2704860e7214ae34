//! The flags.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Result;
use clap::{Args, ValueEnum};
use sc_examples::cells::CellArgs;
use sc_examples::clusterings::resolution;
use sc_examples::run::{RunArgs, at_least_1};
use sc_llm::annotate;
use serde::Serialize;

use super::servers::ServerArgs;
use crate::weights::{self, WeightArgs};

/// The flags of the program.
#[derive(Args, Clone, Debug)]
pub struct LlmArgs {
    #[command(flatten)]
    pub(super) cells: CellArgs,
    /// Models as released (GPT-Neo, OPT, Phi, Qwen2 or T5): a folder with config.json, weights and tokenizer.json, a model's
    /// folder of a hub's cache, or a .gguf file; without it, a small decoder is trained on the training cells
    #[arg(long, value_name = "[NAME=]PATH", num_args = 1..)]
    pub(super) model: Vec<Named>,
    #[command(flatten)]
    pub(super) weights: WeightArgs,
    /// Train the small decoder beside the models that are named
    #[arg(long)]
    pub(super) small_decoder: bool,
    /// How a decoder of --model is asked; a model with an encoder gets a question in any case
    #[arg(long, value_name = "FRAME", value_enum, default_value = "auto")]
    pub(super) frame: FrameChoice,
    #[command(flatten)]
    pub(super) servers: ServerArgs,
    /// What is asked
    #[arg(long, value_name = "TASK", num_args = 1.., value_delimiter = ',', value_enum,
          default_values = ["markers", "expression", "barcode-cluster"])]
    pub(super) tasks: Vec<TaskName>,
    /// How an answer is found
    #[arg(long, value_name = "WAY", num_args = 1.., value_delimiter = ',', value_enum,
          default_values = ["free", "strict", "constrained", "posterior"])]
    pub(super) decoding: Vec<Decoding>,
    /// The tissue, for the prompt, such as "peripheral blood"
    #[arg(long, value_name = "TISSUE")]
    pub(super) tissue: Option<String>,
    /// The species, for the prompt
    #[arg(long, value_name = "SPECIES", default_value = "human")]
    pub(super) species: String,
    /// Genes of a cell in the prompt of task expression
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = at_least_1)]
    pub(super) n_genes: usize,
    /// Markers of a cluster in the prompt of task markers
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = at_least_1)]
    pub(super) n_markers: usize,
    /// Ask about so many test cells at most, drawn with the shares of the types
    #[arg(long, value_name = "N", value_parser = at_least_1)]
    pub(super) max_test: Option<usize>,
    /// Tokens of a free answer, or of the reason in a template, of a model of --model at most
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = at_least_1)]
    pub(super) max_new_tokens: usize,
    /// How fine the clusters of markers and barcode-cluster are: the resolution of Leiden
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0, value_parser = resolution)]
    pub(super) resolution: f64,
    /// Passes of the small decoder over the training items; as many as it takes to show some 5,000 without it, 12 at most
    #[arg(long, value_name = "N", value_parser = at_least_1)]
    pub(super) epochs: Option<usize>,
    /// Take what the model says without a cell off its posterior
    #[arg(long)]
    pub(super) calibrate: bool,
    #[command(flatten)]
    pub(super) run: RunArgs,
    /// Go on with a run that was cut off: answers that are there are not asked again
    #[arg(long, conflicts_with = "force")]
    pub(super) resume: bool,
    /// Folder of the results
    #[arg(long, value_name = "FOLDER", default_value = "results/llm_benchmark")]
    pub(super) out: PathBuf,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum TaskName {
    /// The type of a cluster from its markers.
    Markers,
    /// The type of a cell from its genes and their values.
    Expression,
    /// The cluster of a cell from its barcode.
    BarcodeCluster,
}

/// How a model is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FrameChoice {
    /// A chat if the model has a chat template, a question if the model has an encoder, else plain text
    Auto,
    /// Text that ends in "Answer:"
    Plain,
    /// A question for an encoder
    Question,
    /// The messages of a chat, by the template of the model
    Chat,
}

/// How an answer is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Decoding {
    /// Free text, in which a label counts in other case and white space too
    Free,
    /// The same text, in which a label counts word for word alone, and if the model ended by itself
    Strict,
    /// The most probable token each time, among those that lead to a label: always a label
    Constrained,
    /// The label of the highest exact probability; needs the weights of a model
    Posterior,
    /// A JSON object whose text is given, with holes for a reason in free text and then for a label: always a label; needs
    /// the weights of a model
    Template,
}

impl Decoding {
    /// Its word in tables.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Template => "template",
            _ => annotate::Decoding::from(self).name(),
        }
    }

    /// Whether a model behind a server cannot be asked so.
    pub(super) fn needs_weights(self) -> bool {
        matches!(self, Self::Posterior | Self::Template)
    }
}

impl From<Decoding> for annotate::Decoding {
    fn from(decoding: Decoding) -> Self {
        match decoding {
            Decoding::Free => Self::Free,
            Decoding::Strict => Self::Strict,
            Decoding::Constrained | Decoding::Template => Self::Constrained,
            Decoding::Posterior => Self::Posterior,
        }
    }
}

/// A folder or file and the name that its model has in tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

impl LlmArgs {
    /// Whether the small decoder is among the models.
    pub(super) fn trains_small(&self) -> bool {
        self.small_decoder || (self.model.is_empty() && self.servers.endpoint.is_empty())
    }
}

impl Named {
    /// Sees whether it is there.
    pub(super) fn check(&self) -> Result<()> {
        weights::check(&self.path, "leave --model out to train a small decoder")
    }
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((name, path)) = text.split_once('=').filter(|(name, _)| !name.contains(['/', '\\'])) {
            return match name.is_empty() || path.is_empty() {
                true => Err("expected PATH or NAME=PATH".to_owned()),
                false => Ok(Self { name: name.to_owned(), path: path.into() }),
            };
        }
        let path = PathBuf::from(text);
        let is_file = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"));
        let name = if is_file { path.file_stem() } else { path.file_name() };
        let name = name.ok_or("the path has no name: give it one, NAME=PATH")?;
        Ok(Self { name: name.to_string_lossy().into_owned(), path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_named_by_its_folder_or_as_the_user_likes() {
        let named = |text: &str| text.parse::<Named>().map(|named| (named.name, named.path));
        assert_eq!(named("models/phi-1_5").unwrap(), ("phi-1_5".to_owned(), "models/phi-1_5".into()));
        assert_eq!(named("phi=models/x").unwrap(), ("phi".to_owned(), "models/x".into()));
        assert_eq!(named("./a=b").unwrap().0, "a=b");
        assert_eq!(named("models/qwen2.5-q8_0.gguf").unwrap().0, "qwen2.5-q8_0");
        assert!(named("=x").is_err() && named("..").is_err());
    }
}
