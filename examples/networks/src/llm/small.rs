//! The model that is trained on the spot.

use std::ops::ControlFlow;
use std::path::Path;

use anyhow::Result;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sc_examples::progress::{bar, say, thousands};
use sc_fm::train::{AdamParams, Decline, LoopParams, Schedule, TrainProgress, Warmup};
use sc_llm::evidence::Evidence;
use sc_llm::models::OpenParams;
use sc_llm::sft::{Example, SmallParams, sft_params, small_decoder};

use super::args::LlmArgs;
use super::models::{Asker, Manner};
use super::tasks::Task;

/// Its name in tables.
pub(super) const SMALL: &str = "small decoder";

/// Tokens of a prompt at most.
const POSITIONS: usize = 1024;
/// One gene in so many is left out of an item, others in each pass.
const LEFT_OUT: u32 = 5;

/// Items that are shown in all passes together, and passes at most, if nothing else is said.
const SHOWN: usize = 5000;
const MOST_PASSES: usize = 12;

/// Passes over the training items.
pub(super) fn passes(task: &Task, args: &LlmArgs) -> usize {
    args.epochs.unwrap_or_else(|| SHOWN.div_ceil(task.train.len().max(1)).min(MOST_PASSES))
}

/// Trains a small decoder on the prompts and labels of the training items, and keeps it in a folder.
pub(super) fn train(task: &Task, args: &LlmArgs, folder: &Path) -> Result<Asker> {
    let prompter = Manner::Plain.prompter(task, args)?;
    let answer = |truth: usize| format!("{}\n", prompter.answer_text(&task.labels[truth]));
    let mut texts = Vec::new();
    for asked in &task.train {
        let prompt = prompter.prompt(&asked.evidence).map_err(sc_llm::Error::from)?;
        texts.push(format!("{}{}", prompt.text(), answer(asked.truth)));
    }
    let shape = SmallParams { max_positions: POSITIONS, seed: args.run.seed, ..SmallParams::default() };
    let (tokenizer, base) = small_decoder(&texts, &shape)?;
    let most = POSITIONS - prompter.label_tokens(&tokenizer)?.trie().max_len();
    let mut examples = Vec::new();
    let passes = passes(task, args);
    for pass in 0..passes {
        let mut rng = ChaCha8Rng::seed_from_u64(args.run.seed);
        rng.set_stream(pass as u64);
        for asked in &task.train {
            // Few cells are learnt by heart if they are always the same.
            let evidence = thinned(&asked.evidence, &mut rng);
            let prompt = prompter.fit(&evidence, &tokenizer, most).map_err(sc_llm::Error::from)?.ids;
            let answer = tokenizer.encode(&answer(asked.truth), false).map_err(sc_llm::Error::from)?;
            examples.push(Example { prompt, answer });
        }
    }
    say(&format!(
        "{}: trains a small decoder ({} numbers, {} tokens) on {} training items, {} times",
        task.name.word(),
        thousands(base.n_parameters()),
        thousands(tokenizer.n_tokens()),
        thousands(task.train.len()),
        passes
    ));
    let params = LoopParams {
        epochs: 1,
        batch_size: 8,
        accumulate: 1,
        schedule: Schedule { learning_rate: 3e-3, warmup: Warmup::Ratio(0.1), decline: Decline::Cosine },
        optimizer: AdamParams::adamw(0.01),
        seed: args.run.seed,
        save_every: Some(50),
        ..sft_params()
    };
    let steps = bar(1);
    let mut watch = |now: &TrainProgress| {
        steps.set_length(now.n_steps as u64);
        steps.set_position(now.step as u64);
        steps.set_message(format!("{}: loss {:.3}", task.name.word(), now.loss));
        ControlFlow::Continue(())
    };
    let state = folder.join("state");
    let trained = sc_llm::sft::train(&base, &examples, &[], &params, Some(&state), &mut watch)?;
    steps.finish_and_clear();
    trained.base().save(folder, true)?;
    tokenizer.save(folder).map_err(sc_llm::Error::from)?;
    let model = trained.model(&OpenParams::default())?;
    Ok(Asker { name: SMALL.to_owned(), model, tokenizer, manner: Manner::Plain })
}

/// The evidence without some of its genes, but one at least; a barcode stays.
fn thinned(evidence: &Evidence, rng: &mut ChaCha8Rng) -> Evidence {
    let mut stays = |place: usize| !rng.next_u32().is_multiple_of(LEFT_OUT) || place == 0;
    match evidence {
        Evidence::Genes(genes) => {
            let kept = genes.iter().enumerate().filter(|(place, _)| stays(*place));
            Evidence::Genes(kept.map(|(_, gene)| gene.clone()).collect())
        }
        Evidence::Values(values) => {
            let kept = values.iter().enumerate().filter(|(place, _)| stays(*place));
            Evidence::Values(kept.map(|(_, value)| value.clone()).collect())
        }
        Evidence::Barcode(_) => evidence.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_leaves_out_a_fifth_of_the_genes_and_never_all() {
        let genes = Evidence::Genes((0..1000).map(|gene| gene.to_string()).collect());
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (first, second) = (thinned(&genes, &mut rng), thinned(&genes, &mut rng));
        assert!((750..850).contains(&first.len()), "{}", first.len());
        assert_ne!(first, second);
        let one = Evidence::Values(vec![("CD3D".into(), 1.0)]);
        assert!((0..50).all(|_| thinned(&one, &mut rng) == one));
    }
}
