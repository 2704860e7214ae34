//! Prompts: what a model is asked, the same way each time.
//!
//! Templates have a name, a version and a hash, which belong in the record of a run. What is known of the data (names of
//! genes, tissue, labels) enters as values of JSON only: cleaned, capped, and with `<` escaped, so that no name of a
//! special token can arise. The genes come last, so all cells of a run share everything before them.

#[cfg(feature = "local")]
mod fit;
mod render;
mod template;
mod untrusted;

#[cfg(feature = "local")]
pub use fit::{Fitted, most};
pub use template::{Task, Template};

#[cfg(feature = "local")]
pub(crate) use untrusted::json_inside;

use crate::chat::{self, Chat, Message};
use crate::evidence::Evidence;

/// A prompt that cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A closed label set needs labels.
    #[error("there are no labels to choose from")]
    NoLabels,
    /// A label without text.
    #[error("label {label} is empty, without control characters and white space")]
    EmptyLabel {
        /// Its place.
        label: usize,
    },
    /// A label that is no name.
    #[error("label {label} has {found} characters, expected at most {limit}")]
    LabelTooLong {
        /// Its place.
        label: usize,
        /// Its characters.
        found: usize,
        /// Characters at most.
        limit: usize,
    },
    /// Labels that nothing tells apart.
    #[error("labels {first} and {second} are the same, without control characters and white space")]
    SameLabel {
        /// The first.
        first: usize,
        /// The second.
        second: usize,
    },
    /// Evidence of a kind that the task does not ask about.
    #[error("task {task} asks about {expected}, found {found}")]
    OtherEvidence {
        /// The task.
        task: &'static str,
        /// What it asks about.
        expected: &'static str,
        /// What was given.
        found: &'static str,
    },
    /// No gene is left to name.
    #[error("no gene to name: {n_given} were given, and none has a name that can be shown")]
    NoGenes {
        /// Genes given.
        n_given: usize,
    },
    /// An example whose label is none of the list.
    #[error("the label {label:?} of example {example} is none of the labels")]
    ExampleLabel {
        /// Its place.
        example: usize,
        /// Its label.
        label: String,
    },
    /// A value that JSON cannot hold.
    #[error("gene {gene:?} has value {value}, expected a finite one")]
    NotFinite {
        /// The gene.
        gene: String,
        /// Its value.
        value: f32,
    },
    /// A chat template that does not hold what it is given.
    #[error("the chat template shows the user's message {found} times, expected once")]
    ChatDropsMessage {
        /// Times that it is there.
        found: usize,
    },
    /// A chat template that fails.
    #[error(transparent)]
    Chat(#[from] chat::Error),
    /// A prompt that is too long even with one gene.
    #[error("the prompt has {found} tokens with a single gene, expected at most {limit}")]
    TooLong {
        /// Its tokens.
        found: usize,
        /// Tokens at most.
        limit: usize,
    },
    /// A tokeniser that fails on the prompt.
    #[cfg(feature = "local")]
    #[error(transparent)]
    Tokenizer(#[from] crate::tokenizer::Error),
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::ChatDropsMessage { .. } => Some(
                "the template may know no system role: give Instruction::InUser, or a frame without chat",
            ),
            Self::TooLong { .. } => {
                Some("the labels and the template fill the context: give fewer labels or examples")
            }
            Self::LabelTooLong { .. } => Some("labels are names of cell types, not descriptions"),
            Self::Chat(error) => error.help(),
            #[cfg(feature = "local")]
            Self::Tokenizer(error) => error.help(),
            _ => None,
        }
    }
}

/// What a model is asked, and how.
#[derive(Clone, Copy, Debug)]
pub struct PromptParams<'a> {
    /// The task.
    pub task: Task,
    /// The labels to choose from; CellReasoner is given none.
    pub labels: &'a [String],
    /// The species, if it is known: `human`.
    pub species: Option<&'a str>,
    /// The tissue, if it is known: `peripheral blood`.
    pub tissue: Option<&'a str>,
    /// Examples with their answers, none by default. Take them from training cells alone.
    pub examples: &'a [(Evidence, String)],
    /// How an answer is written; for [`Frame::Question`] it is always a word. Default [`Form::Word`].
    pub form: Form,
    /// Whose messages the model knows. Default [`Frame::Plain`].
    pub frame: Frame<'a>,
    /// Who gives the instruction, where there is a chat. Default [`Instruction::InSystem`].
    pub instruction: Instruction,
}

impl PromptParams<'_> {
    /// A task with nothing else said.
    pub fn new(task: Task) -> Self {
        Self {
            task,
            labels: &[],
            species: None,
            tissue: None,
            examples: &[],
            form: Form::Word,
            frame: Frame::Plain,
            instruction: Instruction::InSystem,
        }
    }
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The label alone.
    Word,
    /// `{"cell_type": "..."}`; the prompt ends inside it, before the label.
    Json,
}

/// What a model knows of messages.
#[derive(Clone, Copy, Debug)]
pub enum Frame<'a> {
    /// Nothing: a base model goes on with the text, which ends in `Answer:`.
    Plain,
    /// An encoder and a decoder, as T5: the text is the question, and the answer starts a text of its own.
    Question,
    /// A chat.
    Chat(&'a Chat),
}

/// Who gives the instruction of a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// The system, as the published weights of CellReasoner are asked.
    InSystem,
    /// The user, in front of the question: for templates without a system role, and as CellReasoner was trained
    /// (`instruction + "\n" + genes`).
    InUser,
}

/// Makes the prompts of a run.
///
/// ```
/// use sc_llm::evidence::markers;
/// use sc_llm::prompt::{PromptParams, Prompter, Task};
///
/// let labels = ["B cell".to_owned(), "T cell".to_owned()];
/// let params = PromptParams { labels: &labels, tissue: Some("blood"), ..PromptParams::new(Task::Markers) };
/// let prompter = Prompter::new(&params)?;
/// let prompt = prompter.prompt(&markers(&["CD3D", "IL7R"], 10)?)?;
/// assert!(prompt.prefix.contains(r#"Cell types: ["B cell", "T cell"]"#));
/// assert_eq!(prompt.body, r#"["CD3D", "IL7R"]"#);
/// assert_eq!((prompt.suffix.as_str(), prompt.answer_prefix()), ("\nAnswer:", "Answer:"));
/// assert_eq!(prompter.template().id(), "markers@1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Prompter {
    task: Task,
    /// All text before the evidence of a cell.
    prefix: String,
    /// All text behind it.
    suffix: String,
    /// The same as messages, the last one with a mark in place of the evidence.
    turns: Vec<Message>,
    labels: Vec<String>,
    form: Form,
    /// A label follows a word, and needs a space before it.
    is_spaced: bool,
}

/// A prompt: three texts, of which only the middle one belongs to the cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// The same for all cells of a [`Prompter`].
    pub prefix: String,
    /// What is said of this cell.
    pub body: String,
    /// The same for all cells, up to where the answer starts.
    pub suffix: String,
    /// Genes that are said.
    pub n_genes: usize,
    /// Genes that were left out at the end for want of room.
    pub n_cut: usize,
    /// Genes that were left out as nothing of their name can be shown.
    pub n_unnamed: usize,
}

impl Prompt {
    /// The whole prompt.
    pub fn text(&self) -> String {
        [self.prefix.as_str(), &self.body, &self.suffix].concat()
    }

    /// The end of the prompt, from its last line break on: the neighbour of the answer, which label tokens are made with.
    pub fn answer_prefix(&self) -> &str {
        answer_prefix(&self.suffix)
    }
}

fn answer_prefix(suffix: &str) -> &str {
    suffix.rsplit_once('\n').map_or(suffix, |(_, last)| last)
}

impl Prompter {
    /// Checks the parameters and makes what all prompts share.
    ///
    /// # Errors
    /// Those of labels and examples; [`Error::Chat`] and [`Error::ChatDropsMessage`] for a template that cannot hold the
    /// messages.
    pub fn new(params: &PromptParams<'_>) -> Result<Self, Error> {
        let form = match params.frame {
            // T5 has no braces: its answers are labels.
            Frame::Question => Form::Word,
            Frame::Plain | Frame::Chat(_) => params.form,
        };
        let params = &PromptParams { form, ..*params };
        let labels = render::checked_labels(params)?;
        let (prefix, suffix) = render::around(params, &labels)?;
        let turns = render::turns(params, &labels, "")?;
        let is_spaced = matches!((params.frame, params.form), (Frame::Plain, Form::Word));
        Ok(Self { task: params.task, prefix, suffix, turns, labels, form: params.form, is_spaced })
    }

    /// The prompt for one cell or cluster, however long.
    ///
    /// # Errors
    /// [`Error::OtherEvidence`], [`Error::NoGenes`], [`Error::NotFinite`].
    pub fn prompt(&self, evidence: &Evidence) -> Result<Prompt, Error> {
        let shown = render::Shown::new(self.task, evidence)?;
        Ok(self.prompt_of(&shown, shown.len()))
    }

    /// The same question as messages, for a model that is asked over a protocol of messages and not in text: the endpoint
    /// of a server. Nothing is said about the form of the answer, which the one who asks adds; the frame and the form of
    /// the parameters have no part in it.
    ///
    /// # Errors
    /// As [`Prompter::prompt`].
    pub fn messages(&self, evidence: &Evidence) -> Result<Vec<Message>, Error> {
        let shown = render::Shown::new(self.task, evidence)?;
        let mut messages = self.turns.clone();
        if let Some(last) = messages.last_mut() {
            last.content = last.content.replace(render::EVIDENCE, &shown.text(shown.len()));
        }
        Ok(messages)
    }

    fn prompt_of(&self, shown: &render::Shown, n_genes: usize) -> Prompt {
        Prompt {
            prefix: self.prefix.clone(),
            body: shown.text(n_genes),
            suffix: self.suffix.clone(),
            n_genes,
            n_cut: shown.len() - n_genes,
            n_unnamed: shown.n_unnamed,
        }
    }

    /// The template: its name, version, text and hash.
    pub fn template(&self) -> &'static Template {
        self.task.template()
    }

    /// The labels as the prompt shows them, without control characters: an answer is one of these.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// A label as it follows the prompt: with a space behind `Answer:`, escaped inside JSON.
    pub fn answer_text(&self, label: &str) -> String {
        match self.form {
            Form::Json => untrusted::json_inside(label),
            Form::Word if self.is_spaced => format!(" {label}"),
            Form::Word => label.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
