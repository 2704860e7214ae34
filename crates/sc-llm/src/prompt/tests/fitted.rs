//! Prompts in tokens.

use super::*;
use crate::tokenizer::Tokenizer;

fn tokenizer(model: &str) -> Tokenizer {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tokenizer").join(model);
    Tokenizer::open(folder).unwrap()
}

fn genes(n: usize) -> Evidence {
    Evidence::Genes((0..n).map(|i| format!("CD{i}A")).collect())
}

#[test]
fn genes_are_cut_at_the_end_and_the_template_never_is() {
    let labels = strings(&["B cell", "T cell"]);
    let params = PromptParams { labels: &labels, ..PromptParams::new(Task::Markers) };
    let prompter = Prompter::new(&params).unwrap();
    for model in ["gpt_neo", "opt", "phi", "qwen2_tied", "t5_gated"] {
        let tokenizer = tokenizer(model);
        let whole = prompter.fit(&genes(100), &tokenizer, usize::MAX).unwrap();
        assert_eq!((whole.prompt.n_genes, whole.prompt.n_cut), (100, 0));
        let least = prompter.fit(&genes(1), &tokenizer, usize::MAX).unwrap().ids.len();
        for max_tokens in [least, least + 1, least + 50, whole.ids.len() - 1, whole.ids.len()] {
            let fitted = prompter.fit(&genes(100), &tokenizer, max_tokens).unwrap();
            assert!(fitted.ids.len() <= max_tokens);
            assert_eq!(fitted.prompt.n_genes + fitted.prompt.n_cut, 100);
            let more = prompter.fit(&genes(fitted.prompt.n_genes + 1), &tokenizer, usize::MAX).unwrap();
            assert!(fitted.prompt.n_cut == 0 || more.ids.len() > max_tokens, "{model}: one more would fit");
            assert_eq!(fitted.ids, tokenizer.encode(&fitted.prompt.text(), true).unwrap());
            assert!(fitted.prompt.text().ends_with("]\nAnswer:"));
        }
        let error = prompter.fit(&genes(100), &tokenizer, least - 1).unwrap_err();
        assert!(matches!(error, Error::TooLong { found, limit } if found == least && limit == least - 1));
        assert!(error.help().unwrap().contains("fewer labels"));
    }
}

#[test]
fn cells_share_the_tokens_of_the_prefix() {
    let labels = strings(&["B cell", "T cell"]);
    let chat = Chat::qwen2_5();
    for (model, frame) in
        [("gpt_neo", Frame::Plain), ("opt", Frame::Plain), ("qwen2_tied", Frame::Chat(&chat))]
    {
        let tokenizer = tokenizer(model);
        let params = PromptParams { labels: &labels, frame, ..PromptParams::new(Task::Markers) };
        let prompter = Prompter::new(&params).unwrap();
        let cells =
            [genes(3), Evidence::Genes(strings(&["γδ", "x"])), Evidence::Genes(strings(&["\"", "1"]))];
        let fitted: Vec<Fitted> =
            cells.iter().map(|cell| prompter.fit(cell, &tokenizer, usize::MAX).unwrap()).collect();
        let n_shared = fitted.iter().map(|cell| cell.n_shared).min().unwrap();
        assert!(fitted.iter().all(|cell| cell.ids[..n_shared] == fitted[0].ids[..n_shared]));
        assert!(fitted.iter().all(|cell| cell.n_unshared <= 1), "{model}: a space before the list at most");
        assert!(n_shared > 50, "{model}: {n_shared}");
    }
}

#[test]
fn no_payload_becomes_a_special_token() {
    let chat = Chat::qwen2_5();
    for (model, frame) in [
        ("gpt_neo", Frame::Plain),
        ("opt", Frame::Plain),
        ("qwen2_tied", Frame::Chat(&chat)),
        ("t5_gated", Frame::Question),
    ] {
        let tokenizer = tokenizer(model);
        let n_special = |gene: &str, tissue: &str| {
            let labels = strings(&["B cell", "T cell"]);
            let params = PromptParams {
                labels: &labels,
                tissue: Some(tissue),
                frame,
                ..PromptParams::new(Task::Markers)
            };
            let fitted = Prompter::new(&params).unwrap().fit(
                &evidence_for(Task::Markers, gene),
                &tokenizer,
                usize::MAX,
            );
            let unk = tokenizer.special().unk;
            let is_special = |id: &&u32| tokenizer.is_special(**id) && Some(**id) != unk;
            fitted.unwrap().ids.iter().filter(is_special).count()
        };
        let benign = n_special("CD3D", "blood");
        for payload in payloads() {
            assert_eq!(
                n_special(&payload, &payload),
                benign,
                "{model}: {:?}",
                &payload.chars().take(50).collect::<String>()
            );
        }
    }
}

#[test]
fn labels_follow_every_prompt_of_a_run() {
    let labels = strings(&["B cell", "T cell", "γδ T cell", "T cell, CD4+", "NK \"cell\""]);
    let chat = Chat::qwen2_5();
    for form in [Form::Word, Form::Json] {
        for (model, frame) in [
            ("gpt_neo", Frame::Plain),
            ("phi", Frame::Plain),
            ("opt", Frame::Plain),
            ("qwen2_tied", Frame::Chat(&chat)),
        ] {
            let tokenizer = tokenizer(model);
            let params = PromptParams { labels: &labels, form, frame, ..PromptParams::new(Task::Markers) };
            let prompter = Prompter::new(&params).unwrap();
            let answers = prompter.label_tokens(&tokenizer).unwrap();
            let fitted = prompter.fit(&genes(5), &tokenizer, usize::MAX).unwrap();
            let start = answers.start_of(&fitted.ids).unwrap();
            for (index, label) in labels.iter().enumerate() {
                let text = fitted.prompt.text() + &prompter.answer_text(label);
                let ids = tokenizer.encode(&text, true).unwrap();
                assert!(ids.starts_with(start), "{model}");
                let end = [answers.end()];
                let mut cursor = answers.trie().cursor();
                for token in ids[start.len()..].iter().chain(&end) {
                    cursor = cursor.child(token).unwrap_or_else(|| panic!("{model} {form:?} {label}"));
                }
                assert_eq!(cursor.label().and_then(|leaf| answers.label_of(leaf)), Some(index));
            }
        }
    }
}
