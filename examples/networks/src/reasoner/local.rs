//! A model in this process.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use sc_examples::progress::{say, thousands};
use sc_llm::annotate::{AnnotateParams, Annotator, Decoding, Item};
use sc_llm::cellreasoner::{Mode, Record};
use sc_llm::chat::{Chat, Message, Role, cellreasoner};
use sc_llm::decode::generate::{GenerateParams, Sampling};
use sc_llm::models::LanguageModel;
use sc_llm::prompt::most;
use sc_llm::sft::Example;
use sc_llm::tokenizer::{End, LabelTokens, Tokenizer};

use super::answers::Part;
use super::infer::InferArgs;
use crate::small::{self, Training};
use crate::weights::Opened;

/// Records whose prompts are in memory at a time.
const SLICE: usize = 256;

/// A model with what it is asked by.
pub(super) struct Local<'a> {
    args: &'a InferArgs,
    model: LanguageModel,
    tokenizer: Tokenizer,
    chat: Option<Chat>,
}

struct Prompt {
    ids: Vec<u32>,
    /// What stands behind the genes.
    tail: String,
    is_cut: bool,
}

impl<'a> Local<'a> {
    /// Opens a folder or a file.
    pub(super) fn open(args: &'a InferArgs, path: &Path) -> Result<Self> {
        say(&format!("opens {}", path.display()));
        let Opened { model, tokenizer, path } = args.weights.open(path)?;
        let chat = Chat::open(&path)?;
        if chat.is_none() {
            say(&format!(
                "{} has no chat template: instruction, genes and \"Answer:\" are plain text",
                path.display()
            ));
        }
        Ok(Self { args, model, tokenizer, chat })
    }

    /// Trains the small decoder on records with their labels, and keeps it in a folder.
    pub(super) fn train(
        args: &'a InferArgs,
        records: &[(&Record, &str)],
        labels: &[String],
        folder: &Path,
    ) -> Result<Self> {
        let text = |(record, label): &(&Record, &str)| {
            let (head, tail) = plain(record);
            format!("{head}{}{tail} {label}\n", record.input)
        };
        let texts: Vec<String> = records.iter().map(text).collect();
        let training = Training { what: "cells", epochs: args.epochs, seed: args.seed, folder };
        let (model, tokenizer) = training.run(&texts, |tokenizer| {
            let ends = label_tokens(tokenizer, TAIL, labels, " ")?;
            let room = room(Some(small::POSITIONS), args);
            let example = |&(record, label): &(&Record, &str)| {
                let prompt = fitted(record, plain(record), tokenizer, true, room)?.ids;
                let mut answer =
                    tokenizer.encode(&format!(" {label}"), false).map_err(sc_llm::Error::from)?;
                answer.push(ends.end());
                Ok(Example { prompt, answer })
            };
            records.iter().map(example).collect()
        })?;
        Ok(Self { args, model, tokenizer, chat: None })
    }

    /// Asks about the records that have no answer yet.
    ///
    /// * `labels`: each answer is the most probable of these; without them it is free text.
    pub(super) fn ask(
        &self,
        records: &[Record],
        labels: Option<&[String]>,
        answers: &mut Part<'_>,
        bar: &ProgressBar,
    ) -> Result<()> {
        let left = answers.left();
        let mut n_cut = 0;
        let mut behind = BTreeMap::new();
        for places in left.chunks(SLICE) {
            let prompts = places.iter().map(|&place| self.prompt(&records[place]));
            let prompts = prompts.collect::<Result<Vec<_>>>()?;
            n_cut += prompts.iter().filter(|prompt| prompt.is_cut).count();
            match labels {
                Some(labels) => {
                    let mut by_tail: BTreeMap<String, Vec<(usize, Item)>> = BTreeMap::new();
                    for (&place, Prompt { ids, tail, .. }) in places.iter().zip(prompts) {
                        let item = Item { id: records[place].cell_name.clone(), tokens: ids };
                        by_tail.entry(tail).or_default().push((place, item));
                    }
                    for (tail, asked) in by_tail {
                        let tokens = match behind.remove(&tail) {
                            Some(tokens) => tokens,
                            None => self.labels_behind(&tail, labels)?,
                        };
                        self.choose(asked, labels, &tokens, answers, bar)?;
                        behind.insert(tail, tokens);
                    }
                }
                None => {
                    for (&place, prompt) in places.iter().zip(&prompts) {
                        answers.push(place, self.text(prompt, &records[place], place)?)?;
                        bar.inc(1);
                    }
                }
            }
        }
        if n_cut > 0 {
            say(&format!("  {} prompts were too long and lost genes at their end", thousands(n_cut)));
        }
        Ok(())
    }

    /// The prompt of a record, with as many of its genes as there is room for.
    fn prompt(&self, record: &Record) -> Result<Prompt> {
        let room = room(self.model.max_positions(), self.args);
        fitted(record, self.around(record)?, &self.tokenizer, self.chat.is_none(), room)
    }

    /// What stands before and behind the genes.
    fn around(&self, record: &Record) -> Result<(String, String)> {
        let Some(chat) = &self.chat else { return Ok(plain(record)) };
        let messages = match self.args.as_trained {
            true => vec![Message::new(Role::User, format!("{}\n{GENES}", record.instruction))],
            false => {
                vec![Message::new(Role::System, record.instruction.as_str()), Message::new(Role::User, GENES)]
            }
        };
        let text = cellreasoner(&chat.render(&messages, true)?, is_reasoning(record));
        let (head, tail) = text.split_once(GENES).context("the chat template leaves the message out")?;
        Ok((head.to_owned(), tail.to_owned()))
    }

    /// Free text, as published.
    fn text(&self, prompt: &Prompt, record: &Record, place: usize) -> Result<String> {
        let (temperature, top_p) = if is_reasoning(record) { (0.6, 0.4) } else { (0.01, 0.01) };
        let sampling = match self.args.greedy {
            true => Sampling::Greedy,
            false => Sampling::Random { temperature, top_k: 0, top_p, seed: self.args.seed },
        };
        let params = GenerateParams {
            max_new_tokens: self.args.answer_tokens(),
            sampling,
            repetition_penalty: 1.1,
            stop: self.tokenizer.special().eos.clone(),
            n_tokens: Some(self.tokenizer.n_tokens()),
        };
        let generated = self.model.generate(&prompt.ids, &params, place as u64)?;
        Ok(self.tokenizer.decode(&generated.tokens, true).map_err(sc_llm::Error::from)?)
    }

    fn labels_behind(&self, tail: &str, labels: &[String]) -> Result<LabelTokens> {
        let space = if self.chat.is_some() { "" } else { " " };
        // The decoder of T5 has not read the prompt.
        let prefix = if self.model.answer_start().is_some() { "" } else { tail };
        label_tokens(&self.tokenizer, prefix, labels, space)
    }

    /// The most probable label of each.
    fn choose(
        &self,
        asked: Vec<(usize, Item)>,
        labels: &[String],
        tokens: &LabelTokens,
        answers: &mut Part<'_>,
        bar: &ProgressBar,
    ) -> Result<()> {
        let names: Vec<[&str; 1]> = labels.iter().map(|label| [label.as_str()]).collect();
        let params = AnnotateParams { decoding: Decoding::Posterior, ..AnnotateParams::default() };
        let annotator = Annotator::new(&self.model, &self.tokenizer, &names, tokens, params)?;
        let (places, items): (Vec<usize>, Vec<Item>) = asked.into_iter().unzip();
        let mut failure = None;
        annotator.run(&items, &mut |said| {
            bar.inc(1);
            // A posterior always names a label.
            let label = said.label().map(|label| labels[label].clone()).unwrap_or_default();
            match answers.push(places[said.item], label) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        failure.map_or(Ok(()), Err)
    }
}

/// Stands for the genes while it is found out what stands around them.
const GENES: &str = "GENES-GO-HERE";

/// What stands behind the genes where there is no chat.
const TAIL: &str = "\nAnswer:";

/// What stands around the genes where there is no chat.
fn plain(record: &Record) -> (String, String) {
    (format!("{}\n", record.instruction), TAIL.to_owned())
}

fn is_reasoning(record: &Record) -> bool {
    record.instruction.contains("<think>") || record.instruction == Mode::Reasoning.instruction()
}

/// Tokens of a prompt, at most. An answer needs some room; a budget of thousands of tokens is no reason to have no prompt.
fn room(positions: Option<usize>, args: &InferArgs) -> usize {
    let most = positions.map_or(args.context, |most| most.min(args.context));
    most.saturating_sub(args.answer_tokens().min(most / 4))
}

/// A prompt with as many genes as there is room for.
fn fitted(
    record: &Record,
    (head, tail): (String, String),
    tokenizer: &Tokenizer,
    is_plain: bool,
    room: usize,
) -> Result<Prompt> {
    let genes: Vec<&str> = record.input.split(", ").collect();
    let prompt = most(genes.len(), |n| {
        let text = format!("{head}{}{tail}", genes[..n].join(", "));
        let ids = tokenizer.encode(&text, is_plain).map_err(sc_llm::Error::from)?;
        Ok::<_, anyhow::Error>((ids.len() <= room).then_some((ids, n < genes.len())))
    })?;
    let Some((ids, is_cut)) = prompt else {
        bail!("the prompt of {} takes more than {room} tokens with a single gene", record.cell_name);
    };
    Ok(Prompt { ids, tail, is_cut })
}

fn label_tokens(tokenizer: &Tokenizer, prefix: &str, labels: &[String], space: &str) -> Result<LabelTokens> {
    let forms: Vec<String> = labels.iter().map(|label| format!("{space}{label}")).collect();
    Ok(LabelTokens::new(tokenizer, prefix, &forms, &[End::Eos, End::Text("\n")])?)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use sc_llm::models::{OpenParams, Scoring, open};

    use super::*;
    use crate::reasoner::answers::{Answers, partial};

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        infer: InferArgs,
    }

    fn record(name: &str, instruction: &str, n_genes: usize) -> Record {
        let genes: Vec<String> = (0..n_genes).map(|gene| format!("CD{}", gene * 7 % 100)).collect();
        Record {
            cell_name: name.to_owned(),
            instruction: instruction.to_owned(),
            input: genes.join(", "),
            output: None,
        }
    }

    /// Prompts of two tails, some of them too long, more than are read together.
    fn records() -> Vec<Record> {
        let mut records: Vec<Record> =
            (0..SLICE + 3).map(|i| record(&format!("cell {i}"), "Which cell?", 1 + i % 9)).collect();
        records.push(record("long", "Which cell?", 500));
        records.push(record("thoughtful", "Which cell? <think></think>", 3));
        records
    }

    #[test]
    fn a_label_is_the_most_probable_one_behind_the_prompt_of_its_cell_alone() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/sc-llm/tests/golden");
        let params = OpenParams::default();
        let args =
            Command::parse_from(["infer", "--input", "x", "--checkpoint", "y", "--max-new-tokens", "8"])
                .infer;
        let template = "{% for message in messages %}{{ message.content }}\n{% endfor %}Answer:";
        for chat in [None, Some(Chat::from_template(template, "", "").unwrap())] {
            let local = Local {
                args: &args,
                model: open(golden.join("llm/qwen2_untied"), &params).unwrap(),
                tokenizer: Tokenizer::open(golden.join("tokenizer/qwen2_tied")).unwrap(),
                chat,
            };
            let (records, labels) = (records(), ["B cell", "T cell", "Treg"].map(str::to_owned));
            let folder = tempfile::tempdir().unwrap();
            let path = partial(&folder.path().join("x.csv"));
            let mut answers = Answers::open(&path, &records, "", 1, false).unwrap();
            let mut answers = answers.part(0);
            answers.push(1, "kept".to_owned()).unwrap();
            local.ask(&records, Some(&labels), &mut answers, &ProgressBar::hidden()).unwrap();
            let tails: Vec<String> = records.iter().map(|record| local.around(record).unwrap().1).collect();
            assert_eq!(tails[0] == tails[tails.len() - 1], local.chat.is_none());
            for (place, record) in records.iter().enumerate().filter(|(place, _)| *place != 1) {
                let prompt = local.prompt(record).unwrap();
                assert_eq!(prompt.is_cut, record.cell_name == "long");
                let tokens = local.labels_behind(&prompt.tail, &labels).unwrap();
                let start = tokens.start_of(&prompt.ids).unwrap();
                let (state, logits) = local.model.start(&[start]).unwrap().remove(0);
                let n_tokens = local.tokenizer.n_tokens();
                let scores = local
                    .model
                    .label_scores(&state, &logits, tokens.trie(), n_tokens, Scoring::Serial)
                    .unwrap();
                let best = &labels[tokens.merge(&scores).best()];
                assert_eq!(answers.responses()[place].as_ref(), Some(best), "{}", record.cell_name);
            }
            assert_eq!(answers.responses()[1].as_deref(), Some("kept"));
        }
    }

    #[test]
    fn as_many_genes_as_fit_are_said() {
        let tokenizer = Tokenizer::of_words(&["Which? CD0, CD7\nAnswer: T cell"], 1000).unwrap();
        let long = record("long", "Which?", 2);
        let n_whole = fitted(&long, plain(&long), &tokenizer, true, 1000).unwrap().ids.len();
        for room in 0..=n_whole + 1 {
            match fitted(&long, plain(&long), &tokenizer, true, room) {
                Ok(prompt) => assert!(prompt.ids.len() <= room && prompt.is_cut == (room < n_whole)),
                Err(error) => {
                    assert!(room < n_whole - 2, "{error}");
                    assert!(error.to_string().contains("the prompt of long takes more"), "{error}");
                }
            }
        }
    }
}
