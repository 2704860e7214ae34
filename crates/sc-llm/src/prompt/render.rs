//! The texts of a prompt.

use std::fmt::Write;

use super::untrusted::{capped, clean, gene_symbol, json, json_inside};
use super::{Error, Form, Frame, Instruction, PromptParams, Task};
use crate::chat::{Message, Role, cellreasoner};
use crate::evidence::Evidence;

const MAX_GENE_CHARS: usize = 64;
const MAX_LABEL_CHARS: usize = 200;
const MAX_CONTEXT_CHARS: usize = 200;

/// Stands for the evidence while the messages are rendered; text of others holds no private characters.
pub(super) const EVIDENCE: &str = "\u{F8FE}";

/// What is said of a cell, ready to be put together.
pub(super) struct Shown {
    items: Vec<String>,
    kind: Kind,
    pub(super) n_unnamed: usize,
}

enum Kind {
    List,
    Table,
    Single,
    Commas,
}

impl Shown {
    pub(super) fn new(task: Task, evidence: &Evidence) -> Result<Self, Error> {
        let (found, fits) = match (evidence, task) {
            (Evidence::Genes(_), task) => ("genes", task != Task::BarcodeCluster),
            (Evidence::Values(_), task) => ("genes with values", task == Task::Expression),
            (Evidence::Barcode(_), task) => ("a barcode", task == Task::BarcodeCluster),
        };
        if !fits {
            let expected = match task {
                Task::Expression => "genes, with values or without",
                Task::BarcodeCluster => "a barcode",
                Task::Markers | Task::CellReasoner { .. } => "genes",
            };
            return Err(Error::OtherEvidence { task: task.name(), expected, found });
        }
        let name = |gene: &str| capped(gene, MAX_GENE_CHARS).map(|gene| json(&gene));
        let (items, kind): (Vec<Option<String>>, Kind) = match (evidence, task) {
            (Evidence::Genes(genes), Task::CellReasoner { .. }) => {
                (genes.iter().map(|gene| gene_symbol(gene, MAX_GENE_CHARS)).collect(), Kind::Commas)
            }
            (Evidence::Genes(genes), _) => (genes.iter().map(|gene| name(gene)).collect(), Kind::List),
            (Evidence::Values(values), _) => {
                let pair = |(gene, value): &(String, f32)| match value.is_finite() {
                    true => Ok(name(gene).map(|gene| format!("{gene}: {}", rounded(*value)))),
                    false => Err(Error::NotFinite { gene: gene.clone(), value: *value }),
                };
                (values.iter().map(pair).collect::<Result<_, _>>()?, Kind::Table)
            }
            (Evidence::Barcode(cell), _) => (vec![name(cell)], Kind::Single),
        };
        let n_given = items.len();
        let items: Vec<String> = items.into_iter().flatten().collect();
        match items.len() {
            0 => Err(Error::NoGenes { n_given }),
            n_named => Ok(Self { items, kind, n_unnamed: n_given - n_named }),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// The first `n` genes.
    pub(super) fn text(&self, n: usize) -> String {
        let joined = self.items[..n.min(self.items.len())].join(", ");
        match self.kind {
            Kind::List => format!("[{joined}]"),
            Kind::Table => format!("{{{joined}}}"),
            Kind::Single | Kind::Commas => joined,
        }
    }
}

/// Two decimals, without zeros at the end: counts stay whole.
fn rounded(value: f32) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// The labels as they are shown.
pub(super) fn checked_labels(params: &PromptParams<'_>) -> Result<Vec<String>, Error> {
    if matches!(params.task, Task::CellReasoner { .. }) && params.labels.is_empty() {
        return Ok(Vec::new());
    }
    if params.labels.is_empty() {
        return Err(Error::NoLabels);
    }
    let mut first_of = std::collections::BTreeMap::new();
    let mut labels = Vec::with_capacity(params.labels.len());
    for (label, text) in params.labels.iter().enumerate() {
        let found = text.chars().count();
        if found > MAX_LABEL_CHARS {
            return Err(Error::LabelTooLong { label, found, limit: MAX_LABEL_CHARS });
        }
        let clean = clean(text).ok_or(Error::EmptyLabel { label })?;
        if let Some(first) = first_of.insert(clean.clone(), label) {
            return Err(Error::SameLabel { first, second: label });
        }
        labels.push(clean);
    }
    Ok(labels)
}

/// What is before and behind the evidence.
pub(super) fn around(params: &PromptParams<'_>, labels: &[String]) -> Result<(String, String), Error> {
    let template = params.task.template();
    let case = |evidence: &str| fill(template.section("case"), |_| evidence.to_owned());
    let skeleton = match params.form {
        Form::Json => "{\"cell_type\": \"",
        Form::Word => "",
    };
    let text = match params.frame {
        Frame::Plain | Frame::Question => {
            let question = question(params, labels, form(params.form));
            let mut text = joined(&[template.section("system"), &question], "\n");
            let answer = if matches!(params.frame, Frame::Plain) { "\nAnswer:" } else { "" };
            for (evidence, label) in &examples(params, labels)? {
                // As the model is to write it, the space and the end included.
                let said = joined(&[answer.trim_start(), label], " ");
                let _infallible = write!(text, "\n{}\n{said}", case(evidence));
            }
            let space = if skeleton.is_empty() { "" } else { " " };
            let _infallible = write!(text, "\n{}{answer}{space}{skeleton}", case(EVIDENCE));
            text
        }
        Frame::Chat(chat) => {
            let messages = turns(params, labels, form(params.form))?;
            let rendered = chat.render(&messages, true)?;
            let rendered = match params.task {
                Task::CellReasoner { reasoning } => cellreasoner(&rendered, reasoning),
                _ => rendered,
            };
            rendered + skeleton
        }
    };
    match text.split(EVIDENCE).collect::<Vec<_>>().as_slice() {
        [prefix, suffix] => Ok(((*prefix).to_owned(), (*suffix).to_owned())),
        parts => Err(Error::ChatDropsMessage { found: parts.len() - 1 }),
    }
}

/// The messages of a chat; the last one is of the user and holds [`EVIDENCE`].
///
/// * `form`: what is said about the form of the answer; may be empty.
pub(super) fn turns(params: &PromptParams<'_>, labels: &[String], form: &str) -> Result<Vec<Message>, Error> {
    let template = params.task.template();
    let system = template.section("system");
    let case = |evidence: &str| fill(template.section("case"), |_| evidence.to_owned());
    let question = question(params, labels, form);
    let (mut messages, mut before) = match params.instruction {
        Instruction::InSystem => (vec![Message::new(Role::System, system)], question),
        Instruction::InUser => (Vec::new(), joined(&[system, &question], "\n")),
    };
    for (evidence, label) in examples(params, labels)? {
        messages.push(Message::new(Role::User, joined(&[&before, &case(&evidence)], "\n")));
        messages.push(Message::new(Role::Assistant, label));
        before.clear();
    }
    messages.push(Message::new(Role::User, joined(&[&before, &case(EVIDENCE)], "\n")));
    Ok(messages)
}

/// Context and labels.
fn question(params: &PromptParams<'_>, labels: &[String], form: &str) -> String {
    let filled = fill(params.task.template().section("user"), |name| match name {
        "context" => context(params),
        "labels" => list(labels),
        _ => form.to_owned(),
    });
    filled.trim_end().to_owned()
}

/// The evidence and the answer of every example, as text.
fn examples(params: &PromptParams<'_>, labels: &[String]) -> Result<Vec<(String, String)>, Error> {
    let example = |(example, (evidence, label)): (usize, &(Evidence, String))| {
        let shown = Shown::new(params.task, evidence)?;
        let clean = clean(label).filter(|label| labels.is_empty() || labels.contains(label));
        let clean = clean.ok_or_else(|| Error::ExampleLabel { example, label: label.clone() })?;
        let answer = match params.form {
            Form::Word => clean.replace('<', ""),
            Form::Json => format!("{{\"cell_type\": \"{}\"}}", json_inside(&clean)),
        };
        Ok((shown.text(shown.len()), answer))
    };
    params.examples.iter().enumerate().map(example).collect()
}

fn context(params: &PromptParams<'_>) -> String {
    let value = |text: Option<&str>| {
        text.and_then(|text| capped(text, MAX_CONTEXT_CHARS)).map_or("null".to_owned(), |text| json(&text))
    };
    format!("{{\"species\": {}, \"tissue\": {}}}", value(params.species), value(params.tissue))
}

fn list(labels: &[String]) -> String {
    let labels: Vec<String> = labels.iter().map(|label| json(label)).collect();
    format!("[{}]", labels.join(", "))
}

fn form(form: Form) -> &'static str {
    match form {
        Form::Word => "Answer with one entry of this list, written exactly as there, and with nothing else.",
        Form::Json => {
            "Answer with a JSON object with the single key cell_type, whose value is one entry of this list, written exactly as there, and with nothing else."
        }
    }
}

fn joined(parts: &[&str], between: &str) -> String {
    let parts: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    parts.join(between)
}

/// Puts values in the place of `{{name}}`, in one pass: what a value holds is not looked at again.
fn fill(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once("{{") {
        let (name, behind) = behind.split_once("}}").unwrap_or((behind, ""));
        text.push_str(before);
        text.push_str(&value(name));
        rest = behind;
    }
    text + rest
}
