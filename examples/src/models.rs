//! Models as they are named on a command line and in a configuration.

use anyhow::Result;
use sc_eval::classifiers::{Engine, Model};
use sc_eval::grid::ModelPlan;
use sc_eval::protocol::FoldOutput;
use serde_json::Value;

use crate::end::Usage;
use crate::fold::{Failure, Fold};

/// A model and its name in the results.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedModel {
    /// The name in the results: that of the model, or another.
    pub name: String,
    /// The model.
    pub model: Model,
    /// Who fits it.
    pub engine: Engine,
}

impl NamedModel {
    /// A model under its own name, with that of its engine where it is not this project's own.
    ///
    /// # Errors
    /// If the engine cannot fit it.
    pub fn new(engine: Engine, model: Model) -> Result<Self> {
        engine.check(&model)?;
        Ok(Self { name: engine.label(&model), model, engine })
    }

    /// A model from a configuration: a name, or a table with `name`, the parameters of the model, `engine`, who fits
    /// it, and `as`, another name for the results.
    ///
    /// # Errors
    /// If there is no such model, parameter or engine, or the engine cannot fit the model.
    pub fn from_value(mut value: Value) -> Result<Self> {
        let mut text = |key: &str| match value.as_object_mut().and_then(|table| table.remove(key)) {
            None => Ok(None),
            Some(Value::String(name)) => Ok(Some(name)),
            Some(other) => Err(Usage(format!("`{key}` is {other}, expected a name"))),
        };
        let other_name = text("as")?;
        let engine = text("engine")?.map_or(Ok(Engine::Own), |name| name.parse())?;
        let model = match &value {
            // A name alone has an error of its own, which lists the names that there are.
            Value::String(name) => name.parse::<Model>()?,
            _ => serde_json::from_value(value).map_err(|error| Usage(format!("in `models`: {error}")))?,
        };
        let named = Self::new(engine, model)?;
        Ok(Self { name: other_name.unwrap_or(named.name), ..named })
    }

    /// The entry of a plan: all parameters, those left at their default included; the seed is that of each cell.
    ///
    /// # Errors
    /// If a parameter is no JSON.
    pub fn plan(&self) -> Result<ModelPlan> {
        let mut parameters = serde_json::to_value(&self.model)?;
        if let Some(table) = parameters.as_object_mut() {
            table.remove("seed");
            if self.engine != Engine::Own {
                table.insert("engine".to_owned(), self.engine.name().into());
            }
        }
        Ok(ModelPlan { name: self.name.clone(), parameters })
    }

    /// What it says of the test cells of a fold, its random steps drawn from `seed`.
    ///
    /// # Errors
    /// As the fit of the model.
    pub fn run(&self, fold: &Fold<'_>, seed: u64) -> Result<FoldOutput, Failure> {
        fold.run_with(self.engine, &self.model.clone().with_seed(seed))
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
    fn an_engine_stands_beside_the_name_and_reaches_the_plan() {
        let own = NamedModel::from_value(json!({"name": "knn", "engine": "own"})).unwrap();
        assert_eq!((own.name.as_str(), own.engine), ("knn", Engine::Own));
        assert!(own.plan().unwrap().parameters.get("engine").is_none());
        let linfa = NamedModel::from_value(json!({"name": "svm_rbf", "engine": "linfa", "c": 2}));
        if Engine::Linfa.is_built() {
            let linfa = linfa.unwrap();
            assert_eq!(linfa.name, "svm_rbf (linfa)");
            let parameters = linfa.plan().unwrap().parameters;
            assert_eq!((&parameters["engine"], &parameters["c"]), (&json!("linfa"), &json!(2.0)));
        } else {
            assert!(linfa.unwrap_err().to_string().contains("linfa is not part of this build"));
        }
        let refused = |value| NamedModel::from_value(value).unwrap_err().to_string();
        assert!(refused(json!({"name": "knn", "engine": 5})).contains("`engine` is 5"));
        assert!(refused(json!({"name": "knn", "engine": "scikit"})).contains("own, linfa, smartcore"));
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
