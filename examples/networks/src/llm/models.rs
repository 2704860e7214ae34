//! Models in this process, and how they are asked.

use std::path::Path;

use anyhow::{Context, Result};
use sc_examples::end::Usage;
use sc_examples::progress::say;
use sc_llm::chat::Chat;
use sc_llm::decode::template::{self, Hole, Part, Template};
use sc_llm::evidence::Evidence;
use sc_llm::models::LanguageModel;
use sc_llm::prompt::{self, Fitted, Frame, Instruction, PromptParams, Prompter};
use sc_llm::tokenizer::{LabelTokens, Tokenizer};

use super::args::{Decoding, FrameChoice, LlmArgs, Named};
use super::tasks::{self, Task};
use crate::weights::{Opened, WeightArgs};

/// Most tokens of a prompt where the model itself has no limit: what T5 was trained with.
const UNLIMITED: usize = 512;

/// A model with its tokeniser.
pub(super) struct Asker {
    pub(super) name: String,
    pub(super) model: LanguageModel,
    pub(super) tokenizer: Tokenizer,
    pub(super) manner: Manner,
}

/// What a model is asked in one way.
pub(super) struct Prompts {
    /// For each item.
    pub(super) fitted: Vec<Fitted>,
    pub(super) labels: LabelTokens,
    /// The prompt without a cell.
    pub(super) nothing: Fitted,
    /// Where the answer is one.
    pub(super) template: Option<Template>,
}

/// How a model is asked.
pub(super) enum Manner {
    Plain,
    Question,
    Chat(Chat, Instruction),
}

impl Asker {
    /// Opens a folder or a file.
    pub(super) fn open(named: &Named, weights: WeightArgs, choice: FrameChoice) -> Result<Self> {
        let Opened { model, tokenizer, path } = weights.open(&named.path)?;
        let manner = Manner::of(choice, model.answer_start().is_some(), &path)?;
        let asker = Self { name: named.name.clone(), model, tokenizer, manner };
        say(&format!("{} ({}): is asked in {}", asker.name, named.path.display(), asker.manner_words()));
        Ok(asker)
    }

    /// How it is asked, for people.
    pub(super) fn manner_words(&self) -> &'static str {
        match &self.manner {
            Manner::Plain => "plain text that ends in \"Answer:\"",
            Manner::Question => "a question",
            Manner::Chat(_, Instruction::InSystem) => "its chat template",
            Manner::Chat(_, Instruction::InUser) => "its chat template, which knows no system message",
        }
    }

    /// Prompts of items in tokens, and what follows them.
    pub(super) fn prompts(
        &self,
        task: &Task,
        items: &[tasks::Asked],
        decoding: Decoding,
        args: &LlmArgs,
    ) -> Result<Prompts> {
        let has_encoder = self.model.answer_start().is_some();
        let prompter = self.manner.prompter(task, args)?;
        let labels = prompter.label_tokens(&self.tokenizer)?;
        let nothing = match items.first().map(|asked| &asked.evidence) {
            Some(Evidence::Barcode(_)) => Evidence::Barcode("N/A".to_owned()),
            Some(Evidence::Values(_)) => Evidence::Values(vec![("N/A".to_owned(), 0.0)]),
            _ => Evidence::Genes(vec!["N/A".to_owned()]),
        };
        let template = match decoding {
            Decoding::Template => Some(self.template(&prompter, &nothing, args)?),
            _ => None,
        };
        let positions = self.model.max_positions().unwrap_or(UNLIMITED);
        // An encoder reads the prompt alone.
        let answer = match &template {
            _ if has_encoder => 0,
            Some(template) => template.max_tokens(),
            None => labels.trie().max_len().max(args.max_new_tokens),
        };
        let most = positions.saturating_sub(answer);
        let fit =
            |evidence: &Evidence| prompter.fit(evidence, &self.tokenizer, most).map_err(sc_llm::Error::from);
        let fitted = items
            .iter()
            .map(|asked| fit(&asked.evidence).with_context(|| format!("the prompt of {:?}", asked.id)))
            .collect::<Result<_>>()?;
        Ok(Prompts { fitted, labels, nothing: fit(&nothing)?, template })
    }

    /// An object of JSON with a reason and then the label, behind a prompt.
    fn template(&self, prompter: &Prompter, evidence: &Evidence, args: &LlmArgs) -> Result<Template> {
        let prompt = prompter.prompt(evidence).map_err(sc_llm::Error::from)?;
        // The decoder of T5 has not read the prompt.
        let prefix = if self.model.answer_start().is_some() { "" } else { prompt.answer_prefix() };
        let fields = [
            ("reason", Hole::Text { max_tokens: args.max_new_tokens }),
            ("cell_type", Hole::labels(prompter.labels())),
        ];
        // Behind "Answer:" stands a space.
        let mut parts = vec![Part::Text(prompter.answer_text(""))];
        parts.extend(template::json(&fields).map_err(sc_llm::Error::from)?);
        Ok(Template::new(&self.tokenizer, prefix, &parts).map_err(sc_llm::Error::from)?)
    }
}

/// The question of a task, in no frame yet.
pub(super) fn prompt_params<'a>(task: &'a Task, args: &'a LlmArgs) -> PromptParams<'a> {
    PromptParams {
        labels: &task.labels,
        species: Some(&args.species),
        tissue: args.tissue.as_deref(),
        ..PromptParams::new(task.name.prompt())
    }
}

impl Manner {
    fn of(choice: FrameChoice, has_encoder: bool, path: &Path) -> Result<Self> {
        let refuse = |why: &str| Err(Usage(format!("{}: {why}", path.display())).into());
        match (choice, has_encoder) {
            (FrameChoice::Auto | FrameChoice::Question, true) => return Ok(Self::Question),
            (FrameChoice::Plain, false) => return Ok(Self::Plain),
            (FrameChoice::Plain | FrameChoice::Chat, true) => {
                return refuse("the model has an encoder and is asked a question: pass --frame auto");
            }
            (FrameChoice::Question, false) => {
                return refuse("the model has no encoder to ask a question of: pass --frame auto");
            }
            (FrameChoice::Auto | FrameChoice::Chat, false) => {}
        }
        match Chat::open(path).map_err(sc_llm::Error::from)? {
            Some(chat) => {
                // Some templates know no system message; what they make of one is seen in a prompt.
                let labels = ["cell".to_owned()];
                let whole = |instruction| {
                    let frame = Frame::Chat(&chat);
                    let params =
                        PromptParams { labels: &labels, frame, instruction, ..PromptParams::new(TASK) };
                    let prompter = Prompter::new(&params)?;
                    Ok::<_, prompt::Error>(prompter.prompt(&Evidence::Genes(vec!["CD3D".to_owned()]))?.text())
                };
                let instruction = match whole(Instruction::InSystem) {
                    Ok(text) if text.contains(INSTRUCTION) => Instruction::InSystem,
                    _ => Instruction::InUser,
                };
                whole(instruction).map_err(sc_llm::Error::from)?;
                Ok(Self::Chat(chat, instruction))
            }
            None if choice == FrameChoice::Auto => Ok(Self::Plain),
            None => refuse("the model has no chat template: pass --frame auto"),
        }
    }

    pub(super) fn prompter(&self, task: &Task, args: &LlmArgs) -> Result<Prompter> {
        let params = prompt_params(task, args);
        let params = match self {
            Self::Plain => params,
            Self::Question => PromptParams { frame: Frame::Question, ..params },
            Self::Chat(chat, instruction) => {
                PromptParams { frame: Frame::Chat(chat), instruction: *instruction, ..params }
            }
        };
        Ok(Prompter::new(&params).map_err(sc_llm::Error::from)?)
    }
}

/// A task whose instruction a chat template is tried with, and how that instruction begins.
const TASK: prompt::Task = prompt::Task::Markers;
const INSTRUCTION: &str = "You name the cell type";
