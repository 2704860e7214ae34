//! The fields of XGBoost's file from a model.

use serde_json::{Value, json};

use super::CLASSES;
use crate::classifiers::boosting::ensemble::BoostedTree;
use crate::classifiers::boosting::xgboost::Xgboost;
use crate::classifiers::tree::{Node, Tree};

/// Version whose files these are.
const VERSION: [u32; 3] = [3, 2, 0];

/// What XGBoost stores as the parent of a root.
const NO_PARENT: i32 = i32::MAX;

pub(super) fn json(model: &Xgboost) -> String {
    let Xgboost { classes, ensemble } = model;
    let n_features = classes.n_features();
    let n_outputs = ensemble.base.len();
    let is_binary = classes.n_present() == 2;
    let base: Vec<String> = ensemble
        .base
        .iter()
        .map(|&base| if is_binary { 1.0 / (1.0 + libm::exp(-base)) } else { base })
        .map(|base| format!("{:E}", base as f32))
        .collect();
    let objective = match is_binary {
        true => json!({"name": "binary:logistic", "reg_loss_param": {"scale_pos_weight": "1"}}),
        false => json!({
            "name": "multi:softprob",
            "softmax_multiclass_param": {"num_class": n_outputs.to_string()}
        }),
    };
    let mut attributes = serde_json::Map::new();
    if classes.n_present() < classes.n_classes() {
        let present: Vec<String> = classes.present().iter().map(u32::to_string).collect();
        attributes.insert(CLASSES.into(), format!("{}/{}", present.join(","), classes.n_classes()).into());
    }
    let rounds = rounds(&ensemble.trees, n_outputs);
    let trees: Vec<Value> =
        rounds.iter().enumerate().map(|(id, &tree)| self::tree(tree, id, n_features)).collect();
    let num_class = if is_binary { 0 } else { n_outputs };
    let mut file = json!({
        "learner": {
            "attributes": attributes,
            "feature_names": [],
            "feature_types": [],
            "gradient_booster": {
                "model": {
                    "cats": {"enc": [], "feature_segments": [], "sorted_idx": []},
                    "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": trees.len().to_string()},
                    "iteration_indptr": (0..=trees.len()).step_by(n_outputs).collect::<Vec<_>>(),
                    "tree_info": (0..trees.len()).map(|id| id % n_outputs).collect::<Vec<_>>(),
                    "trees": trees,
                },
                "name": "gbtree",
            },
            "learner_model_param": {
                "base_score": format!("[{}]", base.join(",")),
                "boost_from_average": "1",
                "num_class": num_class.to_string(),
                "num_feature": n_features.to_string(),
                "num_target": "1",
            },
            "objective": objective,
        },
        "version": VERSION,
    });
    // The keys are in order, whatever order a map keeps in this build.
    file.sort_all_objects();
    file.to_string()
}

/// The trees with one of each output in turn. Files can have several of one in a round, or fewer of another: those
/// make rounds of their own, where `None` stands for a tree that adds nothing.
fn rounds(trees: &[BoostedTree], n_outputs: usize) -> Vec<Option<&BoostedTree>> {
    let mut of_output: Vec<Vec<&BoostedTree>> = vec![Vec::new(); n_outputs];
    trees.iter().for_each(|tree| of_output[tree.output as usize].push(tree));
    let n_rounds = of_output.iter().map(Vec::len).max().unwrap_or_default();
    (0..n_rounds).flat_map(|round| of_output.iter().map(move |trees| trees.get(round).copied())).collect()
}

fn tree(boosted: Option<&BoostedTree>, id: usize, n_features: usize) -> Value {
    let nothing = BoostedTree::new(0, Tree::leaf(0), vec![0.0]);
    let BoostedTree { tree, values, default_left, .. } = boosted.unwrap_or(&nothing);
    let n = tree.nodes().len();
    let (mut left_children, mut right_children, mut parents) = (vec![-1; n], vec![-1; n], vec![NO_PARENT; n]);
    let mut split_indices = vec![0u32; n];
    let (mut conditions, mut weights) = (vec![0f32; n], vec![0f32; n]);
    for (at, node) in tree.nodes().iter().enumerate() {
        match *node {
            Node::Split { column, threshold, left, right } => {
                (left_children[at], right_children[at]) = (left as i32, right as i32);
                (parents[left as usize], parents[right as usize]) = (at as i32, at as i32);
                split_indices[at] = column;
                // Left is at or below the threshold here, below it there: below the next float.
                conditions[at] = threshold.next_up();
            }
            Node::Leaf { value } => {
                (conditions[at], weights[at]) = (values[value as usize], values[value as usize]);
            }
        }
    }
    let directions = (0..n).map(|at| u8::from(default_left.get(at) == Some(&true)));
    json!({
        "base_weights": weights,
        "categories": [],
        "categories_nodes": [],
        "categories_segments": [],
        "categories_sizes": [],
        "default_left": directions.collect::<Vec<_>>(),
        "id": id,
        "left_children": left_children,
        "loss_changes": tree.seen().iter().map(|seen| seen.gain).collect::<Vec<_>>(),
        "parents": parents,
        "right_children": right_children,
        "split_conditions": conditions,
        "split_indices": split_indices,
        "split_type": vec![0; n],
        "sum_hessian": tree.seen().iter().map(|seen| seen.cover).collect::<Vec<_>>(),
        "tree_param": {
            "num_deleted": "0",
            "num_feature": n_features.to_string(),
            "num_nodes": n.to_string(),
            "size_leaf_vector": "1",
        },
    })
}
