//! Models as they are named on a command line and in a configuration.

use anyhow::{Context, Result};
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
        let model = model(value)?;
        let name = match other_name {
            None => model.name().to_owned(),
            Some(Value::String(name)) => name,
            Some(other) => return Err(Usage(format!("`as` is {other}, expected a name")).into()),
        };
        Ok(Self { name, model })
    }

    /// The entry of a plan: all parameters, those left at their default included.
    ///
    /// # Errors
    /// If a parameter is no JSON.
    pub fn plan(&self) -> Result<ModelPlan> {
        Ok(ModelPlan { name: self.name.clone(), parameters: Value::String(format!("{:?}", self.model)) })
    }
}

/// A model by its name.
fn model(value: Value) -> Result<Model> {
    let name = match &value {
        Value::String(name) => Some(name.as_str()),
        Value::Object(table) if table.len() == 1 => table.get("name").and_then(Value::as_str),
        _ => None,
    };
    let name = name.with_context(|| Usage(format!("a model is {value}, expected its name")))?;
    Ok(name.parse::<Model>()?)
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
}
