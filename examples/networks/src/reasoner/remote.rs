//! A model behind an endpoint. Its answers are kept in a folder beside the result.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Result, bail};
use indicatif::ProgressBar;
use sc_examples::progress::{say, thousands};
use sc_llm::cellreasoner::Record;
use sc_llm::chat::{Message, Role};
use sc_llm::endpoint::{self, Client, EndpointParams, Lexicon, Mode, Outcome, Prices, Request, Secret};

use super::answers::Part;
use super::infer::InferArgs;
use crate::lines::sweep;
use crate::waits;

/// Where the key is looked for.
const KEYS: [&str; 2] = ["SC_LLM_API_KEY", "OPENAI_API_KEY"];

/// Asks about the records that have no answer yet; returns what that cost.
///
/// * `max_cost`: most money.
pub(super) fn ask(
    args: &InferArgs,
    records: &[Record],
    labels: &[String],
    (out, answers): (&Path, &mut Part<'_>),
    bar: &ProgressBar,
    max_cost: Option<f64>,
) -> Result<f64> {
    let (base, model) =
        (args.endpoint.as_deref().unwrap_or_default(), args.model.as_deref().unwrap_or_default());
    let mut params = EndpointParams::new(base, model);
    params.seed = args.seed;
    params.max_tokens = u32::try_from(args.answer_tokens()).unwrap_or(u32::MAX);
    params.concurrency = args.concurrency;
    let kept = out.with_extension("answers");
    sweep(&kept)?;
    params.cache = Some(kept);
    params.mode = if args.offline { Mode::Offline } else { Mode::Online };
    params.max_cost = max_cost;
    params.allow_private = args.allow_private;
    params.root_certificates.clone_from(&args.root_certificates);
    if let Some(path) = &args.prices {
        params.prices = Prices::from_file(path)?;
    }
    // A server on this machine may need none.
    let key = Secret::from_env(&KEYS).ok();
    let client = Client::new(params, key)?;
    let lexicon = Lexicon::new(labels)?;
    let left = answers.left();
    say(&format!(
        "{model} at {base} is told the genes, instructions and labels of {} cells; their names stay here",
        left.len()
    ));
    let list = serde_json::to_string(labels)?;
    let request = |record: &Record| Request {
        id: record.cell_name.clone(),
        messages: vec![
            Message::new(
                Role::System,
                format!("{} The answer is one of these cell types: {list}.", record.instruction),
            ),
            Message::new(Role::User, record.input.as_str()),
        ],
    };
    let requests: Vec<Request> = left.iter().map(|&place| request(&records[place])).collect();
    let places: HashMap<&str, usize> =
        requests.iter().map(|request| request.id.as_str()).zip(left.iter().copied()).collect();
    let (mut failure, mut n_cut) = (None, 0);
    let done = client.annotate_all(&requests, &lexicon, &mut |event| {
        let Some(record) = waits::record(&event, bar, model) else { return ControlFlow::Continue(()) };
        let Some(&place) = places.get(record.id.as_str()).filter(|_| is_answer(record)) else {
            return ControlFlow::Continue(());
        };
        n_cut += usize::from(record.outcome == Outcome::Length);
        match answers.push(place, record.label.clone().unwrap_or_else(|| record.text.clone())) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    if n_cut > 0 {
        say(&format!(
            "  {} answers were cut at {} tokens and are no label: raise --max-new-tokens if the model reasons before it answers",
            thousands(n_cut),
            args.answer_tokens()
        ));
    }
    let failed: Vec<_> = done.records.iter().filter(|record| !is_answer(record)).collect();
    let spent = done.spent;
    let cost = spent.cost.map_or_else(String::new, |cost| format!(", {cost:.4} in money"));
    say(&format!("  {} tokens{cost}", spent.tokens));
    if let Some(error) = done.stopped {
        bail!(anyhow::Error::new(error).context("the run stopped; run it again to go on"));
    }
    if let Some(first) = failed.first() {
        bail!(
            "{} of {} cells have no answer; {}: {}; run it again to ask for those alone",
            failed.len(),
            left.len(),
            first.id,
            first.why.as_deref().unwrap_or("not asked")
        );
    }
    Ok(spent.cost.unwrap_or(0.0))
}

/// Whether a server said anything. A refusal is an answer that is no label.
fn is_answer(record: &endpoint::Record) -> bool {
    !matches!(record.outcome, Outcome::Failed | Outcome::NotAsked)
}
