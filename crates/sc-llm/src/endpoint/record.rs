//! What became of each request.

use std::io::Write;

use serde::{Deserialize, Serialize};

use super::{Match, Usage};

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The model named one label.
    Label,
    /// The model named no label, or several, even when it was asked again.
    Unparsed,
    /// The model refused to answer.
    Refused,
    /// The answer was cut at the limit of tokens, and does not count, whatever it says.
    Length,
    /// The provider held the question or the answer back.
    Filtered,
    /// No answer came; [`Record::why`] says why.
    Failed,
    /// The run was stopped before an answer came.
    NotAsked,
}

/// Where a confidence comes from. What is fitted to one kind, a threshold for instance, does not hold for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfidenceFrom {
    /// The probabilities of the tokens that name the label, multiplied. Where the server allows labels alone, they are
    /// probabilities among what it allows.
    Logprobs,
    /// The same, but for the first of these tokens the probability of its group of labels among all groups of
    /// [`Record::first_token`].
    TopLogprobs,
    /// The share of samples that name the label.
    Votes,
}

/// What a model could have begun its label with: labels that begin with the same token are one group.
///
/// The server lists the most probable tokens, at most 20, in the place of the first token of the label that it named. Each
/// leads to the labels that begin with it, or to none. Where the server allows labels alone, some list probabilities among
/// what is allowed and others those of the model without that; here they add up to 1 in both cases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FirstToken {
    /// The groups, most probable first.
    pub groups: Vec<LabelGroup>,
    /// The probability that the tokens of all groups had together. The rest was of other words and of tokens that are not
    /// in the list.
    pub seen: f64,
}

/// Labels that begin with the same token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelGroup {
    /// Their places in the list of labels. A token may lead to labels of another group too: `CD` to `CD4` and `CD8`.
    pub labels: Vec<usize>,
    /// The probability of the group among all groups.
    pub probability: f64,
}

/// What became of one request. There is one for every request, in their order; accuracies are over all of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Id of the request.
    pub id: String,
    /// What became of it.
    pub outcome: Outcome,
    /// The label, if there is one.
    pub label: Option<String>,
    /// Its place in the list of labels.
    pub label_index: Option<usize>,
    /// How the answer named it.
    pub matched: Option<Match>,
    /// How sure the model is, from 0 to 1.
    pub confidence: Option<f64>,
    /// Where the confidence comes from.
    pub confidence_from: Option<ConfidenceFrom>,
    /// What the label could have begun with, where the server tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token: Option<FirstToken>,
    /// The last answer, as it came; of several samples, one that names the label.
    pub text: String,
    /// Why there is no label, in words.
    pub why: Option<String>,
    /// Answers that were used: more than 1 with a repair or with samples.
    pub answers: u32,
    /// The model was asked a second time, because its first answer was no label.
    pub repaired: bool,
    /// Tokens of these answers, as the server counts them; else as counted here.
    pub tokens: Usage,
    /// The server counted so few tokens that it has hardly seen the whole prompt. Some cut long prompts and do not say so.
    pub prompt_cut: bool,
    /// What these answers cost when they were given, if the price is known.
    pub cost: Option<f64>,
    /// How long these answers took to come.
    pub seconds: f64,
    /// All of these answers were kept from an earlier run.
    pub from_cache: bool,
    /// The model as the server names it, which may say more than the name that was asked for.
    pub model: Option<String>,
    /// The state of the server, as it names it.
    pub fingerprint: Option<String>,
    /// When the last of these answers was given (UTC).
    pub date: Option<String>,
}

impl Record {
    pub(super) fn new(id: &str, outcome: Outcome) -> Self {
        Self {
            id: id.to_owned(),
            outcome,
            label: None,
            label_index: None,
            matched: None,
            confidence: None,
            confidence_from: None,
            first_token: None,
            text: String::new(),
            why: None,
            answers: 0,
            repaired: false,
            tokens: Usage::default(),
            prompt_cut: false,
            cost: None,
            seconds: 0.0,
            from_cache: false,
            model: None,
            fingerprint: None,
            date: None,
        }
    }
}

/// Writes one JSON object a line. Reading it back is `serde_json::from_str::<Record>` of each line.
///
/// # Errors
/// Those of the writer.
pub fn write_json_lines(records: &[Record], mut to: impl Write) -> std::io::Result<()> {
    for record in records {
        serde_json::to_writer(&mut to, record)?;
        to.write_all(b"\n")?;
    }
    to.flush()
}
