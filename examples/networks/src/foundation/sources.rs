//! Where the models come from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Result;
use sc_fm::embed::{FoundationModel, OpenParams};
use sc_fm::models::LoadOptions;

use sc_examples::end::{NotFetched, Usage};

/// A kind of model, as flags name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// `geneformer`
    Geneformer,
    /// `scgpt`
    Scgpt,
    /// `scfoundation`
    Scfoundation,
}

const NAMES: [(Name, &str); 3] =
    [(Name::Geneformer, "geneformer"), (Name::Scgpt, "scgpt"), (Name::Scfoundation, "scfoundation")];

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, name) = NAMES.iter().find(|(kind, _)| kind == self).expect("every kind has a name");
        f.write_str(name)
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(_, name)| name.eq_ignore_ascii_case(text.trim()));
        let unknown = || format!("there is no model {text:?}; there are geneformer, scgpt and scfoundation");
        found.map(|(kind, _)| *kind).ok_or_else(unknown)
    }
}

/// A path, with the kind of model that it is for, if that was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    kind: Option<Name>,
    path: PathBuf,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = text.split_once('=').and_then(|(name, path)| Some((name.parse().ok()?, path)));
        let (kind, path) = named.map_or((None, text), |(kind, path)| (Some(kind), path));
        match path.is_empty() {
            true => Err("expected a path".to_owned()),
            false => Ok(Self { kind, path: path.into() }),
        }
    }
}

/// Seed of random weights.
const SEED: u64 = 0;

/// A model that takes part.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Its name in the results.
    pub name: String,
    /// What its weights are.
    pub weights: Weights,
    /// Where its dictionaries are, if not beside the weights.
    pub dictionaries: Option<PathBuf>,
}

/// What the weights of a model are.
#[derive(Clone, Debug, PartialEq)]
pub enum Weights {
    /// Those in a folder.
    Folder(PathBuf),
    /// Random, in the shape of a configuration.
    Random(PathBuf),
    /// Small, with a vocabulary of the training cells' own genes.
    OwnGenes {
        /// Whether it learns from the training cells, without their labels, what follows on what; random otherwise.
        pretrained: bool,
    },
}

impl Source {
    /// Whether its vocabulary is learnt from the training cells.
    pub fn learns_genes(&self) -> bool {
        matches!(self.weights, Weights::OwnGenes { .. })
    }

    /// Whether its weights are random.
    pub(super) fn is_random(&self) -> bool {
        !matches!(self.weights, Weights::Folder(_) | Weights::OwnGenes { pretrained: true })
    }

    /// The files that a model was made of.
    ///
    /// * `model`: as [`Source::open`] made it.
    pub(super) fn files(&self, model: &FoundationModel) -> Vec<PathBuf> {
        let config = match &self.weights {
            Weights::Random(path) => vec![path.clone()],
            Weights::Folder(path) => ["config.json", "args.json"].map(|name| path.join(name)).to_vec(),
            Weights::OwnGenes { .. } => Vec::new(),
        };
        let weights = model.report().weights.files.iter().map(|file| file.path.clone());
        let config = config.into_iter().filter(|path| path.is_file());
        config.chain(weights).chain(model.report().dictionaries.iter().cloned()).collect()
    }

    /// Loads the model, or makes it of random weights; `None` if its vocabulary must be learnt first.
    ///
    /// # Errors
    /// As [`FoundationModel::open`] and [`FoundationModel::random`].
    pub(super) fn open(&self, load: LoadOptions) -> Result<Option<FoundationModel>> {
        let params = OpenParams { dictionaries: self.dictionaries.clone(), load, ..Default::default() };
        Ok(match &self.weights {
            Weights::Folder(path) => Some(FoundationModel::open(path, &params)?),
            Weights::Random(config) => Some(FoundationModel::random(config, &params, SEED)?),
            Weights::OwnGenes { .. } => None,
        })
    }
}

/// The models that the flags name; a small one of the data's own genes, as it begins and pretrained, if they name none.
///
/// # Errors
/// [`NotFetched`] for a kind without weights, [`Usage`] for weights of a kind that does not take part.
pub(super) fn sources(
    wanted: &[Name],
    checkpoints: &[Named],
    configs: &[Named],
    dictionaries: &[Named],
) -> Result<Vec<Source>> {
    let mut found = Vec::new();
    for (named, weights) in (checkpoints.iter().map(|named| (named, Weights::Folder(named.path.clone()))))
        .chain(configs.iter().map(|named| (named, Weights::Random(named.path.clone()))))
    {
        let kind = named.kind.unwrap_or_else(|| kind_of(&named.path));
        if !wanted.is_empty() && !wanted.contains(&kind) {
            let text = format!("{} is of {kind}, which is not among --model", named.path.display());
            return Err(Usage(text).into());
        }
        let own = dictionaries.iter().find(|dictionary| dictionary.kind == Some(kind));
        let own = own.or_else(|| dictionaries.iter().find(|dictionary| dictionary.kind.is_none()));
        let random = matches!(weights, Weights::Random(_));
        let name = free_name(&short_name(&named.path), random, &found);
        let dictionaries = own.map(|dictionary| dictionary.path.clone());
        found.push((kind, Source { name, weights, dictionaries }));
    }
    if let Some(missing) = wanted.iter().find(|name| !found.iter().any(|(kind, _)| kind == *name)) {
        return Err(NotFetched {
            text: format!("{missing} takes part, but no weights of it are named"),
            help: format!(
                "get a released checkpoint and pass --checkpoint {missing}=FOLDER, or --random-weights \
                 {missing}=CONFIG.json for the same shape without what it learnt"
            ),
        }
        .into());
    }
    if found.is_empty() {
        let small = |name: &str, pretrained| Source {
            name: name.to_owned(),
            weights: Weights::OwnGenes { pretrained },
            dictionaries: None,
        };
        return Ok(vec![small("random Geneformer", false), small("small Geneformer", true)]);
    }
    Ok(found.into_iter().map(|(_, source)| source).collect())
}

/// What kind of model a folder or configuration looks like; opening it decides.
fn kind_of(path: &Path) -> Name {
    let of_text = |text: String| if text.contains("\"embsize\"") { Name::Scgpt } else { Name::Geneformer };
    if path.is_file() {
        return std::fs::read_to_string(path).map_or(Name::Geneformer, of_text);
    }
    let is_scfoundation = || path.join("models.ckpt").is_file() && !path.join("config.json").is_file();
    match path.join("args.json").is_file() {
        true => Name::Scgpt,
        false if is_scfoundation() => Name::Scfoundation,
        false => Name::Geneformer,
    }
}

/// A name for tables: that of the folder, or of the configuration where it has one of its own.
fn short_name(path: &Path) -> String {
    let last = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let own = last(path).unwrap_or_else(|| "model".to_owned());
    let Some(stem) = own.strip_suffix(".json") else { return own };
    match stem {
        "config" | "args" => path.parent().and_then(last).unwrap_or_else(|| stem.to_owned()),
        _ => stem.strip_prefix("config_").unwrap_or(stem).to_owned(),
    }
}

fn free_name(name: &str, random: bool, found: &[(Name, Source)]) -> String {
    let ending = if random { " (random)" } else { "" };
    let mut numbered = (1..).map(|n| match n {
        1 => format!("{name}{ending}"),
        n => format!("{name} {n}{ending}"),
    });
    let free = numbered.find(|name| found.iter().all(|(_, source)| source.name != *name));
    free.expect("numbers do not end")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(texts: &[&str]) -> Vec<Named> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_path_may_name_its_model() {
        let [plain, prefixed, odd] = ["a/b", "scgpt=a/b", "x=y/b"].map(|text| text.parse::<Named>().unwrap());
        assert_eq!((plain.kind, plain.path), (None, "a/b".into()));
        assert_eq!((prefixed.kind, prefixed.path), (Some(Name::Scgpt), "a/b".into()));
        assert_eq!((odd.kind, odd.path), (None, "x=y/b".into()));
        assert!("geneformer=".parse::<Named>().is_err());
        assert!("bert".parse::<Name>().unwrap_err().contains("scfoundation"));
    }

    #[test]
    fn models_have_names_of_their_own() {
        let configs = named(&["x/config_Geneformer-V1-10M.json", "geneformer=y/config.json"]);
        let found = sources(&[], &named(&["y"]), &configs, &named(&["d", "scgpt=e"])).unwrap();
        let names: Vec<&str> = found.iter().map(|source| source.name.as_str()).collect();
        assert_eq!(names, ["y", "Geneformer-V1-10M (random)", "y (random)"]);
        assert!(found.iter().all(|source| source.dictionaries == Some("d".into())));
        let twice = sources(&[], &named(&["a/y", "b/y"]), &[], &[]).unwrap();
        assert_eq!(twice[1].name, "y 2");
    }

    #[test]
    fn a_model_without_weights_is_told_where_they_go() {
        let error = sources(&[Name::Scgpt], &[], &[], &[]).unwrap_err();
        let error = error.downcast_ref::<NotFetched>().unwrap();
        assert!(error.text.contains("scgpt") && error.help.contains("--checkpoint scgpt=FOLDER"));
        let text = sources(&[Name::Scgpt], &named(&["geneformer=x"]), &[], &[]).unwrap_err().to_string();
        assert!(text.contains("is of geneformer"), "{text}");
    }
}
