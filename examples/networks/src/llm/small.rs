//! The model that is trained on the spot.

use std::path::Path;

use anyhow::Result;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sc_llm::evidence::Evidence;
use sc_llm::sft::Example;

use super::args::LlmArgs;
use super::models::{Asker, Manner};
use super::tasks::Task;
use crate::small::{NAME, POSITIONS, Training};

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
    // Every pass has examples of its own, so the training itself has one.
    let training = Training { what: task.name.word(), epochs: 1, seed: args.run.seed, folder };
    let (model, tokenizer) = training.run(&texts, |tokenizer| {
        let most = POSITIONS - prompter.label_tokens(tokenizer)?.trie().max_len();
        let mut examples = Vec::new();
        for pass in 0..passes(task, args) {
            let mut rng = ChaCha8Rng::seed_from_u64(args.run.seed);
            rng.set_stream(pass as u64);
            for asked in &task.train {
                // Few cells are learnt by heart if they are always the same.
                let evidence = thinned(&asked.evidence, &mut rng);
                let prompt = prompter.fit(&evidence, tokenizer, most).map_err(sc_llm::Error::from)?.ids;
                let answer = tokenizer.encode(&answer(asked.truth), false).map_err(sc_llm::Error::from)?;
                examples.push(Example { prompt, answer });
            }
        }
        Ok(examples)
    })?;
    Ok(Asker { name: NAME.to_owned(), model, tokenizer, manner: Manner::Plain })
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
