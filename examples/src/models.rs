//! Models as they are named on a command line and in a configuration.

use anyhow::Result;
use sc_eval::classifiers::Model;
use sc_eval::grid::ModelPlan;
use serde_json::Value;

use crate::end::Usage;

/// A model and its name in the results.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedModel {
    /// The name in the results: that of the model, or another.
    pub name: String,
    /// The model.
    pub model: Model,
}

impl NamedModel {
    /// A model under its own name.
    pub fn new(model: Model) -> Self {
        Self { name: model.name().to_owned(), model }
    }

    /// A model from a configuration: a name, or a table with `name`, the parameters of the model, and `as`, another name
    /// for the results.
    ///
    /// # Errors
    /// If there is no such model or parameter.
    pub fn from_value(mut value: Value) -> Result<Self> {
        let other_name = value.as_object_mut().and_then(|table| table.remove("as"));
        let model = match &value {
            // A name alone has an error of its own, which lists the names that there are.
            Value::String(name) => name.parse::<Model>()?,
            _ => serde_json::from_value(value).map_err(|error| Usage(format!("in `models`: {error}")))?,
        };
        let name = match other_name {
            None => model.name().to_owned(),
            Some(Value::String(name)) => name,
            Some(other) => return Err(Usage(format!("`as` is {other}, expected a name")).into()),
        };
        Ok(Self { name, model })
    }

    /// The entry of a plan: all parameters, those left at their default included; the seed is that of each cell.
    ///
    /// # Errors
    /// If a parameter is no JSON.
    pub fn plan(&self) -> Result<ModelPlan> {
        let mut parameters = serde_json::to_value(&self.model)?;
        if let Some(table) = parameters.as_object_mut() {
            table.remove("seed");
        }
        Ok(ModelPlan { name: self.name.clone(), parameters })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_model_has_its_own_name_or_another() {
        let named = |value| NamedModel::from_value(value).map(|named| named.name);
        assert_eq!(named(json!("knn")).unwrap(), "knn");
        assert_eq!(named(json!({"name": "knn", "as": "neighbours"})).unwrap(), "neighbours");
        let unknown = named(json!("forest")).unwrap_err().to_string();
        assert!(unknown.contains("forest") && unknown.contains("random_forest"), "{unknown}");
        assert!(named(json!({"name": "knn", "as": 5})).unwrap_err().to_string().contains("`as` is 5"));
        assert!(named(json!(5)).is_err());
    }

    #[test]
    fn parameters_are_read_and_reach_the_plan_without_the_seed() {
        let value = json!({"name": "random_forest", "as": "small forest", "n_trees": 7});
        let forest = NamedModel::from_value(value).unwrap().plan().unwrap();
        assert_eq!((forest.name.as_str(), &forest.parameters["n_trees"]), ("small forest", &json!(7)));
        assert_eq!(forest.parameters["name"], "random_forest");
        assert!(forest.parameters.get("seed").is_none() && forest.parameters.get("max_depth").is_some());
        let unknown = NamedModel::from_value(json!({"name": "knn", "k": 3})).unwrap_err().to_string();
        assert!(unknown.contains("`models`") && unknown.contains("`k`"), "{unknown}");
    }
}
