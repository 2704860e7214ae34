//! How it was done: the protocol, remarks and parameters.

use super::Findings;
use crate::foundation::Protocol;
use crate::foundation::tuning::Tuning;
use sc_examples::facts;
use sc_examples::progress::thousands;

impl Findings<'_> {
    /// How it was done, as named facts.
    pub(in crate::foundation) fn protocol(&self) -> Vec<(String, String)> {
        let settings = self.settings;
        let mut facts = facts::protocol(String::new(), &settings.fold, false);
        let learnt = facts
            .pop()
            .map_or_else(String::new, |(_, text)| text)
            .replace("nearest neighbours", "HVG + PCA + LR");
        let seeds: Vec<String> = settings.seeds.iter().map(u64::to_string).collect();
        let (sets, chosen) = match settings.protocol {
            Protocol::Corrected => (
                "80 % of the cells train, 10 % validate, 10 % test; stratified by label",
                "layer, C, learning rate and epoch, by the cross-entropy of the validation cells; test cells are asked about \
                 once",
            ),
            Protocol::AsPublished => (
                "80 % of the cells train, 20 % test; stratified by label",
                "the epoch of trained models, by the test cells",
            ),
        };
        let heads = "logistic regression on standardised values; XGBoost with 400 rounds, depth 6, rate 0.05, 80 % of the \
                     cells and values a tree";
        let mut told = vec![
            ("Cells", format!("{sets}, drawn with seeds {}", seeds.join(", "))),
            ("Frozen models", "no weight is changed by these cells".to_owned()),
            ("Classifiers on them", heads.to_owned()),
            ("Chosen", chosen.to_owned()),
        ];
        told.extend(self.tuned());
        match settings.protocol {
            Protocol::Corrected => told.push(("Input of the models", "raw counts of all genes that they know".to_owned())),
            Protocol::AsPublished => told.push((
                "Input of the models",
                "highly variable genes of all cells, scaled and clipped at 10, in the order that the reference gives them"
                    .to_owned(),
            )),
        }
        let mut all: Vec<(String, String)> =
            told.into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
        all.push(("Baselines see".to_owned(), "counts of each cell normalised to 10,000, log1p".to_owned()));
        all.push(("Baselines learn on training cells".to_owned(), learnt));
        if settings.map {
            all.push(facts::map());
        }
        all
    }

    /// How each model is trained.
    fn tuned(&self) -> Vec<(&'static str, String)> {
        let mut told = Vec::new();
        for model in self.models {
            let Some(trainee) = model.trainee(0) else { continue };
            for &tuning in &model.tunings {
                let rates = self.settings.tuning.rates(tuning, trainee.small);
                let params = self.settings.tuning.params(tuning, rates[0], trainee, 0);
                let rates: Vec<String> = match rates[0] {
                    Some(_) => rates.iter().flatten().map(|rate| format!("{rate:e}")).collect(),
                    None => vec![format!("{:e}", params.train.schedule.learning_rate)],
                };
                let what = match tuning {
                    Tuning::LinearProbe => "a linear layer on standardised frozen embeddings".to_owned(),
                    Tuning::Lora => {
                        format!("adapters of rank {} and a new head", self.settings.tuning.lora_rank)
                    }
                    Tuning::FineTuned => "all weights and a new head".to_owned(),
                };
                told.push((
                    "Trained",
                    format!(
                        "{}, {}: {what}; {} epochs, {} cells a step, learning rate {}",
                        model.name,
                        tuning.words(),
                        params.train.epochs,
                        params.train.batch_size,
                        rates.join(" or ")
                    ),
                ));
            }
        }
        told
    }

    /// Remarks for the page.
    pub(in crate::foundation) fn notes(&self) -> Vec<String> {
        let mut notes = self.cells.notes();
        for model in self.models {
            notes.push(format!("{}: {}; weights: {}.", model.name, model.words, model.weights));
            let missing = model.of(0).tokens.cells.n_empty;
            if missing > 0 {
                notes.push(format!(
                    "{}: {} cells have no gene of the model; classifiers see the mean of the training cells for them, and \
                     trained models give them the shares of the classes.",
                    model.name,
                    thousands(missing)
                ));
            }
        }
        notes
    }

    /// The parameters of the run, for the manifest.
    pub(in crate::foundation) fn parameters(&self) -> Vec<(String, String)> {
        let settings = self.settings;
        let list = |items: Vec<String>| if items.is_empty() { "default".to_owned() } else { items.join(",") };
        let mut parameters: Vec<(String, String)> = [
            ("protocol", format!("{:?}", settings.protocol)),
            ("seeds", list(settings.seeds.iter().map(u64::to_string).collect())),
            ("model_layer", list(settings.layers.iter().map(ToString::to_string).collect())),
            ("mode", settings.mode.map_or_else(|| "default".to_owned(), |mode| mode.to_string())),
            ("precision", settings.precision.kernel().to_owned()),
            ("memory", settings.memory.to_string()),
            ("heads", list(settings.heads.iter().map(|head| head.words().to_owned()).collect())),
            ("n_genes", settings.fold.genes.n_top_genes.to_string()),
            ("n_components", settings.fold.n_components.to_string()),
            ("layer", settings.cells.layer.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
        for model in self.models {
            let keys: Vec<&str> = model.embedded.iter().map(|embedded| embedded.key.as_str()).collect();
            parameters.push((format!("embeddings of {}", model.name), keys.join(",")));
        }
        parameters
    }
}
