//! From the fields of XGBoost's file to a model that cannot fail.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::CLASSES;
use crate::classifiers::boosting::ensemble::{BoostedTree, Ensemble};
use crate::classifiers::boosting::xgboost::{Xgboost, log_odds};
use crate::classifiers::training::Classes;
use crate::classifiers::tree::Tree;
use crate::{Error, Result};

/// Most classes of a file: more is a lie, and would be believed with memory.
const MAX_CLASSES: usize = 1 << 20;

/// A file that is read twice: what kind of model it holds, and the model.
pub(super) enum Source<'a> {
    Json(&'a [u8]),
    Ubjson(serde_json::Value),
}

impl Source<'_> {
    fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        let (format, parsed) = match self {
            Self::Json(bytes) => ("JSON", serde_json::from_slice(bytes)),
            Self::Ubjson(value) => ("UBJSON", T::deserialize(value)),
        };
        parsed.map_err(|source| Error::XgboostSyntax { format, source: source.into() })
    }
}

/// The wrapper of all files; `L` is what is wanted of the model inside.
#[derive(Deserialize)]
struct File<L> {
    learner: L,
}

#[derive(Deserialize)]
struct Kind {
    gradient_booster: Named,
    objective: Named,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Learner {
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    gradient_booster: Booster,
    learner_model_param: LearnerParam,
}

#[derive(Deserialize)]
struct LearnerParam {
    base_score: String,
    num_class: String,
    num_feature: String,
    #[serde(default = "one")]
    num_target: String,
}

#[derive(Deserialize)]
struct Booster {
    model: Trees,
}

#[derive(Deserialize)]
struct Trees {
    gbtree_model_param: TreesParam,
    tree_info: Vec<i64>,
    trees: Vec<RawTree>,
}

#[derive(Deserialize)]
struct TreesParam {
    num_trees: String,
}

#[derive(Deserialize)]
struct RawTree {
    tree_param: TreeParam,
    left_children: Vec<i64>,
    right_children: Vec<i64>,
    split_indices: Vec<i64>,
    /// Thresholds, and values of leaves.
    split_conditions: Vec<f32>,
    default_left: Vec<Flag>,
    #[serde(default)]
    loss_changes: Vec<f32>,
    #[serde(default)]
    sum_hessian: Vec<f32>,
    #[serde(default)]
    split_type: Vec<i64>,
    #[serde(default)]
    categories_nodes: Vec<i64>,
}

#[derive(Deserialize)]
struct TreeParam {
    num_nodes: String,
    #[serde(default = "one")]
    size_leaf_vector: String,
}

/// A truth value, which is a number in newer files.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Flag {
    Bool(bool),
    Number(i64),
}

impl Flag {
    fn is_set(self) -> bool {
        match self {
            Self::Bool(flag) => flag,
            Self::Number(number) => number != 0,
        }
    }
}

fn one() -> String {
    "1".into()
}

fn wrong<T>(place: impl Into<String>, found: impl Display, expected: impl Into<String>) -> Result<T> {
    Err(Error::XgboostModel { place: place.into(), found: found.to_string(), expected: expected.into() })
}

/// The number that a field holds as text.
fn count(place: &str, text: &str) -> Result<usize> {
    // Indices are stored in 32 bits.
    match text.parse::<u32>() {
        Ok(number) => Ok(number as usize),
        Err(_) => wrong(place, format_args!("{text:?}"), "a whole number"),
    }
}

pub(super) fn model(source: &Source<'_>) -> Result<Xgboost> {
    let Kind { gradient_booster, objective } = source.parse::<File<Kind>>()?.learner;
    if gradient_booster.name != "gbtree" {
        let found = format_args!("{:?}", gradient_booster.name);
        return wrong("learner.gradient_booster.name", found, "\"gbtree\"");
    }
    let is_binary = match objective.name.as_str() {
        "multi:softprob" | "multi:softmax" => false,
        "binary:logistic" => true,
        name => {
            let expected = "\"multi:softprob\", \"multi:softmax\" or \"binary:logistic\"";
            return wrong("learner.objective.name", format_args!("{name:?}"), expected);
        }
    };
    let Learner { attributes, gradient_booster, learner_model_param: param } =
        source.parse::<File<Learner>>()?.learner;
    if !["0", "1"].contains(&param.num_target.as_str()) {
        return wrong("learner_model_param.num_target", param.num_target, "1");
    }
    let num_class = count("learner_model_param.num_class", &param.num_class)?;
    let (least, most) = if is_binary { (0, 1) } else { (1, MAX_CLASSES) };
    if num_class < least || num_class > most {
        return wrong("learner_model_param.num_class", num_class, format!("{least} to {most}"));
    }
    let n_features = count("learner_model_param.num_feature", &param.num_feature)?;
    let n_outputs = num_class.max(1);
    let base = base(&param.base_score, n_outputs, is_binary)?;
    let trees = trees(gradient_booster.model, n_outputs, n_features)?;
    let n_classes = if is_binary { 2 } else { num_class };
    let mut ensemble = Ensemble { base, trees };
    if n_outputs == 2 {
        join(&mut ensemble);
    }
    let classes = classes(attributes.get(CLASSES), n_classes, n_features)?;
    let model = Xgboost { classes, ensemble };
    match model.check() {
        Ok(()) => Ok(model),
        Err(problem) => wrong("learner", problem, "a model that holds together"),
    }
}

/// Start margins from a number, or a list of them in brackets: probabilities for two classes, else margins.
fn base(text: &str, n_outputs: usize, is_binary: bool) -> Result<Vec<f64>> {
    let place = "learner_model_param.base_score";
    let inner = text.trim().trim_start_matches('[').trim_end_matches(']');
    let values: std::result::Result<Vec<f32>, _> =
        inner.split(',').map(|v| v.trim().parse::<f32>()).collect();
    let Ok(values) = values else { return wrong(place, format_args!("{text:?}"), "numbers") };
    let values = match values.as_slice() {
        [value] => vec![*value; n_outputs],
        _ if values.len() == n_outputs => values,
        _ => return wrong(place, format_args!("{} numbers", values.len()), format!("1 or {n_outputs}")),
    };
    for &value in &values {
        if is_binary && !(value > 0.0 && value < 1.0) {
            return wrong(place, value, "a probability between 0 and 1");
        }
        if !value.is_finite() {
            return wrong(place, value, "finite numbers");
        }
    }
    Ok(values.into_iter().map(|v| if is_binary { log_odds(v) } else { f64::from(v) }).collect())
}

fn trees(model: Trees, n_outputs: usize, n_features: usize) -> Result<Vec<BoostedTree>> {
    let Trees { gbtree_model_param, tree_info, trees } = model;
    let n_trees = count("gbtree_model_param.num_trees", &gbtree_model_param.num_trees)?;
    for (place, found) in [("model.trees", trees.len()), ("model.tree_info", tree_info.len())] {
        if found != n_trees {
            return wrong(place, format_args!("{found} entries"), format!("{n_trees} (`num_trees`)"));
        }
    }
    let each = trees.iter().zip(tree_info).enumerate();
    each.map(|(at, (raw, output))| match u32::try_from(output) {
        Ok(output) if (output as usize) < n_outputs => tree(raw, at, output, n_features),
        _ => wrong(format!("model.tree_info[{at}]"), output, format!("a class below {n_outputs}")),
    })
    .collect()
}

/// Walks from the root, so that only nodes that can be reached count, and each of them once.
fn tree(raw: &RawTree, at: usize, output: u32, n_features: usize) -> Result<BoostedTree> {
    let place = |field: &str| format!("model.trees[{at}].{field}");
    let n = count(&place("tree_param.num_nodes"), &raw.tree_param.num_nodes)?;
    if !["0", "1"].contains(&raw.tree_param.size_leaf_vector.as_str()) {
        let found = &raw.tree_param.size_leaf_vector;
        return wrong(place("tree_param.size_leaf_vector"), found, "1 (one value per leaf)");
    }
    if n == 0 {
        return wrong(place("tree_param.num_nodes"), 0, "at least 1");
    }
    if !raw.categories_nodes.is_empty() || raw.split_type.iter().any(|&kind| kind != 0) {
        return wrong(place("split_type"), "a categorical split", "numeric splits (0) only");
    }
    let lengths = [
        ("left_children", raw.left_children.len(), false),
        ("right_children", raw.right_children.len(), false),
        ("split_indices", raw.split_indices.len(), false),
        ("split_conditions", raw.split_conditions.len(), false),
        ("default_left", raw.default_left.len(), false),
        ("loss_changes", raw.loss_changes.len(), true),
        ("sum_hessian", raw.sum_hessian.len(), true),
    ];
    for (field, found, may_lack) in lengths {
        if found != n && !(may_lack && found == 0) {
            return wrong(place(field), format_args!("{found} entries"), format!("{n} (`num_nodes`)"));
        }
    }
    let seen =
        |values: &[f32], node: usize| values.get(node).copied().filter(|v| v.is_finite()).unwrap_or(0.0);
    let child = |field: &str, node: usize, child: i64| match usize::try_from(child) {
        Ok(child) if child < n => Ok(child),
        _ => wrong(place(&format!("{field}[{node}]")), child, format!("a node below {n}")),
    };
    let mut tree = Tree::leaf(0);
    let (mut values, mut default_left) = (Vec::new(), vec![false]);
    let mut is_known = vec![false; n];
    let mut open = vec![(0usize, 0u32)];
    while let Some((node, new)) = open.pop() {
        if std::mem::replace(&mut is_known[node], true) {
            return wrong(place("left_children"), format_args!("a way back to node {node}"), "a tree");
        }
        let condition = raw.split_conditions[node];
        let cover = seen(&raw.sum_hessian, node);
        if !condition.is_finite() {
            return wrong(place(&format!("split_conditions[{node}]")), condition, "a finite number");
        }
        if raw.left_children[node] == -1 && raw.right_children[node] == -1 {
            tree.set_leaf(new, values.len() as u32);
            tree.set_seen(new, 0.0, cover);
            values.push(condition);
            continue;
        }
        let left = child("left_children", node, raw.left_children[node])?;
        let right = child("right_children", node, raw.right_children[node])?;
        let column = match u32::try_from(raw.split_indices[node]) {
            Ok(column) if (column as usize) < n_features => column,
            _ => {
                let (found, expected) = (raw.split_indices[node], format!("a feature below {n_features}"));
                return wrong(place(&format!("split_indices[{node}]")), found, expected);
            }
        };
        // Left is below the threshold there, at or below it here: at or below the float before.
        let (new_left, new_right) = tree.split(new, column, condition.next_down());
        tree.set_seen(new, seen(&raw.loss_changes, node), cover);
        default_left[new as usize] = raw.default_left[node].is_set();
        default_left.extend([false; 2]);
        open.extend([(right, new_right), (left, new_left)]);
    }
    if !default_left.contains(&true) {
        default_left.clear();
    }
    Ok(BoostedTree { default_left, ..BoostedTree::new(output, tree, values) })
}

/// Two outputs of a softmax as the one of a logistic function: their difference.
fn join(ensemble: &mut Ensemble) {
    if let [first, second] = ensemble.base[..] {
        ensemble.base = vec![second - first];
    }
    for boosted in &mut ensemble.trees {
        if boosted.output == 0 {
            boosted.values.iter_mut().for_each(|value| *value = -*value);
        }
        boosted.output = 0;
    }
}

/// The classes of the file, or those that [`CLASSES`] names: indices and, behind a slash, the number of all classes.
fn classes(attribute: Option<&String>, n_present: usize, n_features: usize) -> Result<Classes> {
    let Some(text) = attribute else {
        return Ok(Classes::new((0..n_present as u32).collect(), n_present, n_features));
    };
    let parsed = text.split_once('/').and_then(|(present, n_classes)| {
        let present: Option<Vec<u32>> = present.split(',').map(|code| code.parse().ok()).collect();
        let n_classes = n_classes.parse().ok().filter(|&n| n <= MAX_CLASSES)?;
        Some(Classes::new(present?, n_classes, n_features))
    });
    match parsed {
        Some(classes) if classes.n_present() == n_present && classes.check().is_ok() => Ok(classes),
        _ => {
            let expected = format!("{n_present} ascending indices, a slash and the number of classes");
            wrong(format!("learner.attributes[{CLASSES:?}]"), format_args!("{text:?}"), expected)
        }
    }
}
