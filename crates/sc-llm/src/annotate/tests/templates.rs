//! Templates, filled by models.

use super::*;
use crate::decode::template::{Hole, Part, Template, Value, json};

/// Thoughts, then an object with the label.
fn template(tokenizer: &Tokenizer, model: &LanguageModel, max_tokens: usize) -> Template {
    let mut parts = vec![
        Part::Text(" <think>".to_owned()),
        Part::Hole(Hole::Thoughts { stop: vec!["</think>".to_owned()], max_tokens }),
        Part::Text("</think>\n".to_owned()),
    ];
    let names = NAMES.map(|forms| forms.iter().map(|&form| form.to_owned()).collect());
    let fields = [
        ("reason", Hole::Text { max_tokens }),
        ("cell_type", Hole::Labels(names.into())),
        ("confidence", Hole::Number { decimals: 2 }),
    ];
    parts.extend(json(&fields).unwrap());
    let prefix = if model.answer_start().is_some() { "" } else { "Answer:" };
    Template::new(tokenizer, prefix, &parts).unwrap()
}

/// The models of the other tests, with room for a longer answer.
fn long_models() -> Vec<LanguageModel> {
    let n_tokens = tokenizer().n_tokens();
    let model = |architecture| {
        let mut config = config(architecture, n_tokens + 3);
        match &mut config {
            Config::GptNeo(config) => config.max_position_embeddings = 400,
            Config::Opt(config) => config.max_position_embeddings = 400,
            Config::Phi(config) => config.max_position_embeddings = 400,
            Config::Qwen2(config) => config.max_position_embeddings = 400,
            Config::T5(_) => {}
        }
        LanguageModel::random(&config, 7, &OpenParams::default()).unwrap()
    };
    Architecture::ALL.map(model).into()
}

#[test]
fn every_architecture_fills_a_template_alike_in_any_company_and_ends_in_a_label() {
    let tokenizer = tokenizer();
    let items = items(&tokenizer);
    let sampling = Sampling::Random { temperature: 1.0, top_k: 0, top_p: 1.0, seed: 3 };
    for model in long_models() {
        let template = template(&tokenizer, &model, 8);
        for decoding in [Decoding::Constrained, Decoding::Posterior] {
            let what = format!("{:?} {decoding:?}", model.architecture());
            let run = |items: &[Item], batch_tokens, scoring| {
                let generate = GenerateParams { sampling, ..GenerateParams::default() };
                let params = AnnotateParams { decoding, scoring, generate, batch_tokens };
                let annotator = Annotator::with_template(&model, &tokenizer, &template, params).unwrap();
                annotator.run(items, &mut go).unwrap()
            };
            let together = run(&items, 2048, Scoring::Tree);
            assert_eq!(together.compliance(), 1.0, "{what}");
            let together = without_time(together);
            assert_eq!(without_time(run(&items, 1, Scoring::Serial)), together, "{what}");
            let mut alone = without_time(run(&items[3..4], 2048, Scoring::Batched));
            alone[0].item = 3;
            assert_eq!(alone[0], together[3], "{what}");
            for said in &together {
                let filled = said.filled.as_ref().unwrap();
                let [
                    Value::Free { text: thoughts, .. },
                    Value::Free { text: reason, .. },
                    Value::Label(label),
                    Value::Text(_),
                ] = filled.values.as_slice()
                else {
                    panic!("{what}: {:?}", filled.values)
                };
                assert_eq!((Some(*label), &filled.text), (said.label(), &said.text), "{what}");
                let answer = said.text.strip_prefix(&format!(" <think>{thoughts}</think>\n")).unwrap();
                let answer: serde_json::Value = serde_json::from_str(answer).unwrap();
                assert_eq!(answer["reason"], *reason, "{what}");
                assert!(NAMES[*label].iter().any(|form| answer["cell_type"] == *form), "{what}");
                assert!((0.0..=1.0).contains(&answer["confidence"].as_f64().unwrap()), "{what}");
                assert_eq!(said.posterior.is_some(), decoding == Decoding::Posterior, "{what}");
                if let Some(posterior) = &said.posterior {
                    assert_eq!(posterior.best(), *label, "{what}");
                }
            }
        }
    }
}

#[test]
fn the_posterior_in_a_template_is_that_of_the_labels_behind_its_text() {
    let tokenizer = tokenizer();
    let items = items(&tokenizer);
    for (model, labels) in models().into_iter().filter(|(model, _)| model.answer_start().is_none()) {
        let names = NAMES.map(|forms| forms.iter().map(|form| format!(" {form}")).collect());
        let parts = [Part::Hole(Hole::Labels(names.into())), Part::Text("\n".to_owned())];
        let template = Template::new(&tokenizer, "Answer:", &parts).unwrap();
        let params = || AnnotateParams { decoding: Decoding::Posterior, ..AnnotateParams::default() };
        let plain = Annotator::new(&model, &tokenizer, &NAMES, &labels, params()).unwrap();
        let within = Annotator::with_template(&model, &tokenizer, &template, params()).unwrap();
        let [plain, within] = [plain, within].map(|annotator| {
            let annotator = annotator.without_prior(items[2].tokens.clone()).unwrap();
            annotator.run(&items, &mut go).unwrap().items
        });
        for (plain, within) in plain.iter().zip(&within) {
            assert_eq!(plain.posterior, within.posterior, "{:?}", model.architecture());
            assert_eq!(plain.label(), within.label());
        }
    }
}

#[test]
fn templates_that_cannot_be_asked_for_are_refused_with_what_to_do() {
    let tokenizer = tokenizer();
    let (model, _) = models().remove(0);
    let number = Template::new(&tokenizer, "", &[Part::Hole(Hole::Number { decimals: 1 })]).unwrap();
    let refused =
        Annotator::with_template(&model, &tokenizer, &number, AnnotateParams::default()).unwrap_err();
    assert!(refused.to_string() == "the template has no hole for labels" && refused.help().is_some());
    let template = template(&tokenizer, &model, 100);
    let params = AnnotateParams { decoding: Decoding::Free, ..AnnotateParams::default() };
    let refused = Annotator::with_template(&model, &tokenizer, &template, params).unwrap_err();
    assert_eq!(refused.to_string(), "a template is filled constrained or by posterior, not free");
    let annotator =
        Annotator::with_template(&model, &tokenizer, &template, AnnotateParams::default()).unwrap();
    let refused = annotator.run(&items(&tokenizer), &mut go).unwrap_err();
    assert!(
        refused.to_string().contains("of the longest answer, but the model reads 64 at most"),
        "{refused}"
    );
    assert!(refused.help().is_some_and(|help| help.contains("smaller budget")));
}
