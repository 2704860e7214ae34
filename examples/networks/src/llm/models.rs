//! The models: from their folders, or a small one that is trained on the spot.

use std::path::Path;

use anyhow::{Context, Result};
use sc_examples::end::NotFetched;
use sc_examples::progress::say;
use sc_llm::evidence::Evidence;
use sc_llm::models::{LanguageModel, OpenParams, open};
use sc_llm::prompt::{Fitted, Frame, PromptParams, Prompter};
use sc_llm::sft::Example;
use sc_llm::tokenizer::{LabelTokens, Tokenizer};

use super::args::{LlmArgs, Named};
use super::tasks::{Asked, Task};
use crate::small::{self, Training};

/// Most tokens of a prompt where the model itself has no limit: what T5 was trained with.
const UNLIMITED: usize = 512;

/// A model with its tokeniser.
pub(super) struct Asker {
    pub(super) name: String,
    pub(super) model: LanguageModel,
    pub(super) tokenizer: Tokenizer,
}

impl Asker {
    /// Opens a folder.
    pub(super) fn open(named: &Named) -> Result<Self> {
        let folder = &named.folder;
        if !folder.is_dir() {
            let help = "download the model's files into a folder (config.json, weights, tokenizer.json), or leave --model \
                        out to train a small decoder";
            let text = format!("{}: no such folder", folder.display());
            return Err(NotFetched { text, help: help.to_owned() }.into());
        }
        say(&format!("opens {}", folder.display()));
        let model = open(folder, &OpenParams::default()).with_context(|| folder.display().to_string())?;
        let tokenizer = Tokenizer::open(folder).map_err(sc_llm::Error::from)?;
        Ok(Self { name: named.name.clone(), model, tokenizer })
    }

    /// Trains the small decoder on the prompts and labels of the training items, and keeps it in a folder.
    pub(super) fn train(task: &Task, args: &LlmArgs, folder: &Path) -> Result<Self> {
        let prompter = prompter(task, args, Frame::Plain)?;
        let mut texts = Vec::new();
        for asked in &task.train {
            let prompt = prompter.prompt(&asked.evidence).map_err(sc_llm::Error::from)?;
            texts.push(format!("{}{}\n", prompt.text(), prompter.answer_text(&task.labels[asked.truth])));
        }
        let training = Training { what: task.name.word(), epochs: args.epochs, seed: args.run.seed, folder };
        let (model, tokenizer) = training.run(&texts, |tokenizer| {
            let labels = prompter.label_tokens(tokenizer)?;
            let most = small::POSITIONS - labels.trie().max_len();
            let example = |asked: &Asked| {
                let prompt = prompter.fit(&asked.evidence, tokenizer, most).map_err(sc_llm::Error::from)?.ids;
                let answer = format!("{}\n", prompter.answer_text(&task.labels[asked.truth]));
                let answer = tokenizer.encode(&answer, false).map_err(sc_llm::Error::from)?;
                Ok(Example { prompt, answer })
            };
            task.train.iter().map(example).collect()
        })?;
        Ok(Self { name: small::NAME.to_owned(), model, tokenizer })
    }

    /// Prompts of items in tokens, and the labels behind them.
    pub(super) fn prompts(
        &self,
        task: &Task,
        items: &[Asked],
        args: &LlmArgs,
    ) -> Result<(Vec<Fitted>, LabelTokens, Fitted)> {
        let has_encoder = self.model.answer_start().is_some();
        let prompter = prompter(task, args, if has_encoder { Frame::Question } else { Frame::Plain })?;
        let labels = prompter.label_tokens(&self.tokenizer)?;
        let positions = self.model.max_positions().unwrap_or(UNLIMITED);
        // An encoder reads the prompt alone.
        let answer = if has_encoder { 0 } else { labels.trie().max_len().max(args.max_new_tokens) };
        let most = positions.saturating_sub(answer);
        let fit =
            |evidence: &Evidence| prompter.fit(evidence, &self.tokenizer, most).map_err(sc_llm::Error::from);
        let fitted = items
            .iter()
            .map(|asked| fit(&asked.evidence).with_context(|| format!("the prompt of {:?}", asked.id)))
            .collect::<Result<_>>()?;
        let nothing = match items.first().map(|asked| &asked.evidence) {
            Some(Evidence::Barcode(_)) => Evidence::Barcode("N/A".to_owned()),
            Some(Evidence::Values(_)) => Evidence::Values(vec![("N/A".to_owned(), 0.0)]),
            _ => Evidence::Genes(vec!["N/A".to_owned()]),
        };
        Ok((fitted, labels, fit(&nothing)?))
    }
}

fn prompter(task: &Task, args: &LlmArgs, frame: Frame<'_>) -> Result<Prompter> {
    let params = PromptParams {
        labels: &task.labels,
        species: Some(&args.species),
        tissue: args.tissue.as_deref(),
        frame,
        ..PromptParams::new(task.name.prompt())
    };
    Ok(Prompter::new(&params).map_err(sc_llm::Error::from)?)
}
