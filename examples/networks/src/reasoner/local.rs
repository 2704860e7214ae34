//! A model in this process.

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use sc_examples::progress::{say, thousands};
use sc_fm::nn::gemm;
use sc_llm::cellreasoner::{Mode, Record};
use sc_llm::chat::{Chat, Message, Role, cellreasoner};
use sc_llm::decode::generate::{GenerateParams, Sampling};
use sc_llm::models::{LanguageModel, OpenParams, Scoring, open};
use sc_llm::tokenizer::{End, LabelTokens, Tokenizer};

use super::answers::Answers;
use super::infer::{InferArgs, Precision};

struct Local<'a> {
    args: &'a InferArgs,
    model: LanguageModel,
    tokenizer: Tokenizer,
    chat: Option<Chat>,
}

pub(super) fn ask(
    args: &InferArgs,
    records: &[Record],
    labels: Option<&[String]>,
    answers: &mut Answers,
    bar: &ProgressBar,
) -> Result<()> {
    let folder = args.checkpoint.as_ref().context("a model is named")?;
    let precision = match args.precision {
        Precision::F32 => gemm::Precision::default(),
        Precision::Bf16 => gemm::Precision::Bf16,
        Precision::Q8_0 => gemm::Precision::Q8_0,
        Precision::Q4K => gemm::Precision::Q4_K,
    };
    let local = Local {
        args,
        model: open(folder, &OpenParams { precision, ..OpenParams::default() })?,
        tokenizer: Tokenizer::open(folder)?,
        chat: Chat::open(folder)?,
    };
    if local.chat.is_none() {
        say(&format!(
            "{} has no chat template: instruction, genes and \"Answer:\" are plain text",
            folder.display()
        ));
    }
    let mut n_cut = 0;
    for (place, record) in records.iter().enumerate() {
        if answers.responses[place].is_some() {
            continue;
        }
        let prompt = local.prompt(record)?;
        n_cut += usize::from(prompt.is_cut);
        let response = match labels {
            Some(labels) => local.label(&prompt, labels)?,
            None => local.text(&prompt, record, place)?,
        };
        answers.push(place, response)?;
        bar.inc(1);
    }
    if n_cut > 0 {
        say(&format!("  {} prompts were too long and lost genes at their end", thousands(n_cut)));
    }
    Ok(())
}

struct Prompt {
    ids: Vec<u32>,
    /// What stands behind the genes.
    tail: String,
    is_cut: bool,
}

/// Stands for the genes while it is found out what stands around them.
const GENES: &str = "GENES-GO-HERE";

impl Local<'_> {
    /// The prompt of a record, with as many of its genes as there is room for.
    fn prompt(&self, record: &Record) -> Result<Prompt> {
        let (head, tail) = self.around(record)?;
        let genes: Vec<&str> = record.input.split(", ").collect();
        let most = self.model.max_positions().map_or(self.args.context, |most| most.min(self.args.context));
        // An answer needs some room; a budget of thousands of tokens is no reason to have no prompt.
        let room = most.saturating_sub(self.args.max_new_tokens.min(most / 4));
        let encode = |n: usize| {
            let text = format!("{head}{}{tail}", genes[..n].join(", "));
            Ok::<_, anyhow::Error>(self.tokenizer.encode(&text, self.chat.is_none())?)
        };
        let whole = encode(genes.len())?;
        if whole.len() <= room {
            return Ok(Prompt { ids: whole, tail, is_cut: false });
        }
        // More genes are more tokens: the most that fit, between a number that fits and one that does not.
        let (mut fits, mut too_many) = (0, genes.len());
        while too_many - fits > 1 {
            let half = fits + (too_many - fits) / 2;
            if encode(half)?.len() > room { too_many = half } else { fits = half }
        }
        if fits == 0 {
            bail!("the prompt of {} takes more than {room} tokens without a single gene", record.cell_name);
        }
        let ids = encode(fits)?;
        Ok(Prompt { ids, tail, is_cut: true })
    }

    /// What stands before and behind the genes.
    fn around(&self, record: &Record) -> Result<(String, String)> {
        let is_reasoning = self.is_reasoning(record);
        let Some(chat) = &self.chat else {
            return Ok((format!("{}\n", record.instruction), "\nAnswer:".to_owned()));
        };
        let messages = match self.args.as_trained {
            true => vec![Message::new(Role::User, format!("{}\n{GENES}", record.instruction))],
            false => {
                vec![Message::new(Role::System, record.instruction.as_str()), Message::new(Role::User, GENES)]
            }
        };
        let text = cellreasoner(&chat.render(&messages, true)?, is_reasoning);
        let (head, tail) = text.split_once(GENES).context("the chat template leaves the message out")?;
        Ok((head.to_owned(), tail.to_owned()))
    }

    fn is_reasoning(&self, record: &Record) -> bool {
        record.instruction.contains("<think>") || record.instruction == Mode::Reasoning.instruction()
    }

    /// Free text, as published.
    fn text(&self, prompt: &Prompt, record: &Record, place: usize) -> Result<String> {
        let (temperature, top_p) = if self.is_reasoning(record) { (0.6, 0.4) } else { (0.01, 0.01) };
        let sampling = match self.args.greedy {
            true => Sampling::Greedy,
            false => Sampling::Random { temperature, top_k: 0, top_p, seed: self.args.seed },
        };
        let params = GenerateParams {
            max_new_tokens: self.args.max_new_tokens,
            sampling,
            repetition_penalty: 1.1,
            stop: self.tokenizer.special().eos.clone(),
            n_tokens: Some(self.tokenizer.n_tokens()),
        };
        let generated = self.model.generate(&prompt.ids, &params, place as u64)?;
        Ok(self.tokenizer.decode(&generated.tokens, true)?)
    }

    /// The most probable label.
    fn label(&self, prompt: &Prompt, labels: &[String]) -> Result<String> {
        let space = if self.chat.is_some() { "" } else { " " };
        let forms: Vec<String> = labels.iter().map(|label| format!("{space}{label}")).collect();
        let answer_start = self.model.answer_start();
        let prefix = if answer_start.is_some() { "" } else { prompt.tail.as_str() };
        let tokens = LabelTokens::new(&self.tokenizer, prefix, &forms, &[End::Eos, End::Text("\n")])?;
        let start = match answer_start {
            Some(_) => prompt.ids.as_slice(),
            None => tokens.start_of(&prompt.ids)?,
        };
        let (state, logits) = self.model.start(&[start])?.pop().context("a state for the prompt")?;
        let n_tokens = self.tokenizer.n_tokens();
        let forms = self.model.label_scores(&state, &logits, tokens.trie(), n_tokens, Scoring::default())?;
        Ok(labels[tokens.merge(&forms).best()].clone())
    }
}
