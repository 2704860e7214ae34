//! Models behind OpenAI-compatible servers: where they are, what they may cost, and what they answer.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use clap::Args;
use sc_examples::end::Usage;
use sc_examples::progress::{bar, say, thousands};
use sc_examples::run::at_least_1;
use sc_llm::endpoint::{
    self, Client, EndpointParams, Lexicon, Match, Mode, Outcome, Prices, Record, Request, Secret, Structure,
};

use super::args::{Decoding, LlmArgs};
use super::models::prompt_params;
use super::records::{Line, Records};
use super::scores::Row;
use super::tasks::{Asked, Task};
use crate::waits;

/// The flags of servers.
#[derive(Args, Clone, Debug)]
pub(super) struct ServerArgs {
    /// Models behind OpenAI-compatible servers, such as llama3.1@http://localhost:11434/v1. The key is taken from
    /// SC_LLM_API_KEY or OPENAI_API_KEY if all of them are on one server, else as --key-from says
    #[arg(long, value_name = "[NAME=]MODEL@URL", num_args = 1..)]
    pub(super) endpoint: Vec<Server>,
    /// The environment variable with the key of a server; NAME is that of the model in tables. Without NAME: of all
    #[arg(long, value_name = "[NAME=]VARIABLE", num_args = 1.., requires = "endpoint")]
    pub(super) key_from: Vec<KeyFrom>,
    /// Prices per million tokens, for the limit on cost: a TOML file with ["MODEL"], input = 0.15 and output = 0.6 for
    /// each model, or the same as YAML or JSON
    #[arg(long, value_name = "FILE.toml", requires = "endpoint")]
    pub(super) prices: Option<PathBuf>,
    /// Most money that this run spends; the request that could exceed it is not sent
    #[arg(long, value_name = "AMOUNT", requires = "prices")]
    pub(super) max_cost: Option<f64>,
    /// Requests to a server at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = at_least_1, requires = "endpoint")]
    pub(super) concurrency: usize,
    /// Tokens of an answer of a server at most; a model that reasons needs thousands
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..), requires = "endpoint")]
    pub(super) max_reply_tokens: u32,
    /// Answers that were kept in OUT/answers, and no server: replays an earlier run
    #[arg(long, requires = "endpoint")]
    pub(super) offline: bool,
    /// Ask servers at private or otherwise special addresses; this machine needs no leave
    #[arg(long, requires = "endpoint")]
    pub(super) allow_private: bool,
    /// Root certificates that are trusted instead of Mozilla's, for a network whose proxy looks into connections
    #[arg(long, value_name = "FILE.pem", requires = "endpoint")]
    pub(super) root_certificates: Option<PathBuf>,
}

/// Where the key is looked for if nothing else is said.
const KEYS: [&str; 2] = ["SC_LLM_API_KEY", "OPENAI_API_KEY"];

/// A model behind a server, and the name that it has in tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) model: String,
    pub(super) base: String,
}

/// Which variable holds the key of which server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyFrom {
    name: Option<String>,
    variable: String,
}

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected MODEL@URL or NAME=MODEL@URL, such as llama3.1@http://localhost:11434/v1";
        // Names of models may hold @ and =.
        let at = ["@https://", "@http://"].iter().find_map(|scheme| text.rfind(scheme)).ok_or(expected)?;
        let (model, base) = (&text[..at], &text[at + 1..]);
        let (name, model) = match model.split_once('=') {
            Some((name, model)) => (name, model),
            None => (model, model),
        };
        if name.is_empty() || model.is_empty() {
            return Err(expected.to_owned());
        }
        Ok(Self { name: name.to_owned(), model: model.to_owned(), base: base.to_owned() })
    }
}

impl FromStr for KeyFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, variable) = match text.rsplit_once('=') {
            Some((name, variable)) => (Some(name.to_owned()), variable),
            None => (None, text),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if variable.is_empty() || variable.len() > 64 || !variable.chars().all(is_name) {
            return Err("expected the name of an environment variable, not the key".to_owned());
        }
        Ok(Self { name, variable: variable.to_owned() })
    }
}

/// What may still be spent, and what was.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Purse {
    /// Money that is left, if it is limited.
    left: Option<f64>,
    /// Money and tokens that this run spent.
    pub(super) cost: Option<f64>,
    pub(super) tokens: u64,
}

impl Purse {
    pub(super) fn new(args: &LlmArgs) -> Self {
        Self { left: args.servers.max_cost, ..Self::default() }
    }

    fn pay(&mut self, spent: endpoint::Spent) {
        self.tokens += spent.tokens;
        if let Some(cost) = spent.cost {
            *self.cost.get_or_insert(0.0) += cost;
            self.left = self.left.map(|left| (left - cost).max(0.0));
        }
    }
}

impl Server {
    /// Sees whether it can be asked at all: address, key, price.
    pub(super) fn check(&self, args: &LlmArgs) -> Result<()> {
        let params = self.params(args, true, args.servers.max_cost)?;
        // Nothing is kept yet.
        let params = EndpointParams { cache: None, mode: Mode::Online, ..params };
        self.client(args, params).map(drop)
    }

    fn key(&self, args: &LlmArgs) -> Result<Option<Secret>> {
        let servers = &args.servers;
        if servers.offline {
            return Ok(None);
        }
        let named = |from: &&KeyFrom| from.name.as_ref().is_none_or(|name| *name == self.name);
        // One that names the server comes before one for all.
        let own = servers.key_from.iter().filter(named).max_by_key(|from| from.name.is_some());
        if let Some(KeyFrom { variable, .. }) = own {
            return Ok(Some(Secret::from_env(&[variable.as_str()])?));
        }
        // A key goes to the server that it is of, and to no other.
        if servers.endpoint.iter().any(|other| other.base != self.base) {
            return Ok(None);
        }
        match Secret::from_env(&KEYS) {
            Ok(key) => Ok(Some(key)),
            // A server on this machine may need none.
            Err(endpoint::Error::NoKey { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn params(&self, args: &LlmArgs, is_free: bool, left: Option<f64>) -> Result<EndpointParams> {
        let servers = &args.servers;
        let mut params = EndpointParams::new(&self.base, &self.model);
        params.max_tokens = servers.max_reply_tokens;
        params.concurrency = servers.concurrency;
        params.seed = args.run.seed;
        params.cache = Some(args.out.join("answers"));
        params.mode = if servers.offline { Mode::Offline } else { Mode::Online };
        params.allow_private = servers.allow_private;
        params.root_certificates.clone_from(&servers.root_certificates);
        params.max_cost = left;
        if let Some(path) = &servers.prices {
            params.prices = Prices::from_file(path)?;
        }
        if is_free {
            params.structure = Some(Structure::Plain);
            params.repair = false;
        }
        Ok(params)
    }

    fn client(&self, args: &LlmArgs, params: EndpointParams) -> Result<Client> {
        Client::new(params, self.key(args)?).with_context(|| format!("cannot ask {}", self.name))
    }

    /// What the model answers in one way, as far as it is not on record; none for a way that needs the weights.
    pub(super) fn row(
        &self,
        task: &Task,
        (items, method): (&[Asked], &str),
        decoding: Decoding,
        args: &LlmArgs,
        (records, purse): (&mut Records, &mut Purse),
    ) -> Result<Option<Row>> {
        let is_free = match decoding {
            Decoding::Free | Decoding::Strict => true,
            Decoding::Constrained => false,
            Decoding::Posterior | Decoding::Template => return Ok(None),
        };
        let (word, way) = (task.name.word(), decoding.word());
        let prompter =
            sc_llm::prompt::Prompter::new(&prompt_params(task, args)).map_err(sc_llm::Error::from)?;
        let left: Vec<&Asked> =
            items.iter().filter(|asked| records.get(word, method, way, &asked.id).is_none()).collect();
        let request = |asked: &&Asked| -> Result<Request> {
            let messages = prompter.messages(&asked.evidence).map_err(sc_llm::Error::from)?;
            Ok(Request { id: asked.id.clone(), messages })
        };
        let requests: Vec<Request> = left.iter().map(request).collect::<Result<_>>()?;
        let lexicon = Lexicon::new(prompter.labels())?;
        // Answers that did not come are asked for again by the next run, so they are not kept.
        let mut failed: BTreeMap<String, Line> = BTreeMap::new();
        if !requests.is_empty() {
            let client = self.client(args, self.params(args, is_free, purse.left)?)?;
            if let Some(cost) = client.estimate(&requests, &lexicon)?.cost {
                say(&format!(
                    "{word}: {method}, {way}: {} requests, {cost:.4} in money at most",
                    requests.len()
                ));
            }
            let steps = bar(requests.len());
            let what = format!("{word}: {method}, {way}");
            steps.set_message(what.clone());
            let truth: BTreeMap<&str, usize> =
                left.iter().map(|asked| (asked.id.as_str(), asked.truth)).collect();
            let mut failure = None;
            let done = client.annotate_all(&requests, &lexicon, &mut |event| {
                let Some(record) = waits::record(&event, &steps, &what) else {
                    return ControlFlow::Continue(());
                };
                let truth = truth.get(record.id.as_str()).map_or("", |&truth| task.labels[truth].as_str());
                let line = line((word, method, way), decoding, truth, record, &task.labels);
                if record.outcome == Outcome::Failed {
                    failed.insert(record.id.clone(), line);
                    return ControlFlow::Continue(());
                }
                match records.add(line) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        failure = Some(error);
                        ControlFlow::Break(())
                    }
                }
            })?;
            steps.finish_and_clear();
            purse.pay(done.spent);
            if let Some(failure) = failure {
                return Err(failure);
            }
            if let Some(error) = done.stopped {
                let context = format!("{} was not asked to the end; pass --resume to go on", self.name);
                bail!(anyhow::Error::new(error).context(context));
            }
            if let Some(line) = failed.values().next() {
                say(&format!(
                    "{word}: {method}, {way}: {} requests failed and count as wrong, the first because {}; pass --resume \
                     to ask again",
                    thousands(failed.len()),
                    line.text
                ));
            }
        }
        let line_of = |asked: &Asked| {
            let line = records.get(word, method, way, &asked.id).or_else(|| failed.get(&asked.id));
            line.cloned().context("an answer is not on record")
        };
        let lines = items.iter().map(line_of).collect::<Result<Vec<Line>>>()?;
        let mut row = Row::of_lines(task, method, way, lines);
        if decoding == Decoding::Strict && args.decoding.contains(&Decoding::Free) {
            // The same answers, which were paid once.
            row.cost = None;
        }
        Ok(Some(row))
    }
}

fn line(
    (task, method, way): (&str, &str, &str),
    decoding: Decoding,
    truth: &str,
    record: &Record,
    labels: &[String],
) -> Line {
    // The same rules as for the models of --model.
    let counts = match (decoding, record.matched) {
        (_, None) => false,
        (Decoding::Free, Some(how)) => matches!(how, Match::Exact | Match::Folded),
        (Decoding::Strict, Some(how)) => how == Match::Exact,
        (Decoding::Constrained | Decoding::Posterior | Decoding::Template, Some(_)) => true,
    };
    let outcome = match (record.outcome, record.matched) {
        (Outcome::Label, Some(Match::Exact | Match::Number)) if counts => "exact",
        (Outcome::Label, Some(Match::Folded)) if counts => "folded",
        (Outcome::Label, _) if counts => "normal form",
        (Outcome::Label | Outcome::Unparsed, _) => "not a label",
        (Outcome::Refused, _) => "refused",
        (Outcome::Length, _) => "cut at the limit",
        (Outcome::Filtered, _) => "filtered",
        (Outcome::Failed | Outcome::NotAsked, _) => "failed",
    };
    let why = record.why.as_deref().filter(|_| record.outcome == Outcome::Failed);
    Line {
        task: task.to_owned(),
        method: method.to_owned(),
        decoding: way.to_owned(),
        id: record.id.clone(),
        truth: truth.to_owned(),
        // What is shown of a label may lack characters that cannot be seen: its place tells which one it is.
        label: record.label_index.filter(|_| counts).map(|label| labels[label].clone()),
        outcome: outcome.to_owned(),
        text: why.unwrap_or(&record.text).to_owned(),
        ended: record.outcome != Outcome::Length,
        probability: record.confidence.filter(|_| counts),
        n_prompt: record.tokens.input as usize,
        n_shared: 0,
        n_generated: record.tokens.output as usize,
        seconds: record.seconds,
        cost: record.cost,
    }
}

/// What leaves this machine.
pub(super) fn tell(args: &LlmArgs) -> Result<()> {
    let servers = &args.servers;
    for from in servers.key_from.iter().filter_map(|from| from.name.as_ref()) {
        if !servers.endpoint.iter().any(|server| server.name == *from) {
            bail!(Usage(format!("--key-from names {from:?}, and no --endpoint has that name")));
        }
    }
    if servers.offline {
        return Ok(());
    }
    for Server { name, base, .. } in &servers.endpoint {
        let barcodes = match args.tasks.contains(&super::args::TaskName::BarcodeCluster) {
            true => "; task barcode-cluster also sends names of cells",
            false => "",
        };
        say(&format!(
            "{name} at {base}: names and values of genes, labels, species and tissue leave this machine{barcodes}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_model_at_an_address() {
        let server = |text: &str| text.parse::<Server>().map(|s| (s.name, s.model, s.base));
        let of =
            |name: &str, model: &str, base: &str| Ok((name.to_owned(), model.to_owned(), base.to_owned()));
        assert_eq!(server("m@http://localhost:1/v1"), of("m", "m", "http://localhost:1/v1"));
        assert_eq!(server("gpt=gpt-4o@https://a.org/v1"), of("gpt", "gpt-4o", "https://a.org/v1"));
        assert_eq!(server("x=@cf/meta/m@https://a.org"), of("x", "@cf/meta/m", "https://a.org"));
        for text in ["m", "m@a.org", "@http://a.org", "=m@http://a.org", "n=@http://a.org"] {
            assert!(server(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_is_named_and_never_given() {
        let from = |text: &str| text.parse::<KeyFrom>().map(|from| (from.name, from.variable));
        assert_eq!(from("MY_KEY"), Ok((None, "MY_KEY".to_owned())));
        assert_eq!(from("gpt=MY_KEY"), Ok((Some("gpt".to_owned()), "MY_KEY".to_owned())));
        let error = from("sk-abc/123").unwrap_err();
        assert!(!error.contains("sk-abc"), "{error}");
        assert!(from("gpt=").is_err());
    }
}
