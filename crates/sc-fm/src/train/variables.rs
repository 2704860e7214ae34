//! The tensors that are trained.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor, Var};

use super::Error;
use crate::Result;
use crate::checkpoint::Weights;

/// The trained tensors of a model, by the names of its file, in the order of their names; with those that stay as they
/// are beside them, so that the model can be written.
///
/// A clone names the same variables.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    trained: Vec<(String, Var)>,
    constant: BTreeMap<String, Tensor>,
}

/// Ends of the names of statistics of a batch norm.
const RUNNING: [&str; 2] = [".running_mean", ".running_var"];

/// Ends of the names of what no gradient reaches: statistics, counts, and repetitions of other tensors.
const NEVER: [&str; 6] = [
    ".running_mean",
    ".running_var",
    ".num_batches_tracked",
    "position_ids",
    "cls.predictions.decoder.weight",
    "cls.predictions.decoder.bias",
];

impl Variables {
    /// Turns those tensors of `weights` into variables that `trainable` chooses by name; a model built of the weights
    /// afterwards is trained with them. The others stay constants: no gradient of them is computed.
    ///
    /// Running statistics of batch norms, which move by themselves, if at all, and tensors that repeat another one (`cls.predictions.decoder`), are never chosen.
    ///
    /// # Errors
    /// [`Error::NothingToTrain`]; [`Error::NotTrainable`] for tensors that are not f32 in the memory of the processor.
    pub fn of(weights: &mut Weights, trainable: impl Fn(&str) -> bool) -> Result<Self> {
        let mut variables = Self::default();
        weights.replace(|name, tensor| {
            if !trainable(name) || NEVER.iter().any(|end| name.ends_with(end)) {
                // Running statistics may move in training: those of another model of the same tensors stay.
                let moves = RUNNING.iter().any(|end| name.ends_with(end));
                let tensor = if moves { tensor.copy()?.detach() } else { tensor.clone() };
                variables.constant.insert(name.to_owned(), tensor.clone());
                return Ok(tensor);
            }
            let variable = variable(name, tensor)?;
            variables.trained.push((name.to_owned(), variable.clone()));
            Ok::<_, crate::Error>(variable.as_tensor().clone())
        })?;
        match variables.trained.is_empty() {
            true => Err(Error::NothingToTrain { n_tensors: variables.constant.len() }.into()),
            false => Ok(variables),
        }
    }

    /// Number of variables.
    pub fn len(&self) -> usize {
        self.trained.len()
    }

    /// Whether there is no variable.
    pub fn is_empty(&self) -> bool {
        self.trained.is_empty()
    }

    /// Numbers in all variables.
    pub fn n_parameters(&self) -> usize {
        self.trained.iter().map(|(_, variable)| variable.elem_count()).sum()
    }

    /// Name and tensor of every variable, in the order of the names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.trained.iter().map(|(name, variable)| (name.as_str(), variable.as_tensor()))
    }

    /// The place of a variable in the order of the names.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.trained.binary_search_by(|(own, _)| own.as_str().cmp(name)).ok()
    }

    /// Name and tensor of every variable and every constant: what a file of the model holds.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        let constant = self.constant.iter().map(|(name, tensor)| (name.as_str(), tensor));
        self.iter().chain(constant)
    }

    /// A copy of the values of all variables, in their order, which further steps do not change.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn snapshot(&self) -> Result<Vec<Tensor>> {
        Ok(self
            .iter()
            .map(|(_, tensor)| tensor.copy().map(|copy| copy.detach()))
            .collect::<Result<_, _>>()?)
    }

    /// Gives all variables the values of a [`snapshot`](Self::snapshot).
    ///
    /// # Errors
    /// [`Error::Variables`] unless there is a tensor for each, and what the tensor library reports.
    pub fn restore(&self, snapshot: &[Tensor]) -> Result<()> {
        if snapshot.len() != self.len() {
            let (found, expected) = (snapshot.len(), self.len());
            return Err(Error::Variables { what: "values", found, expected }.into());
        }
        for ((_, variable), values) in self.trained.iter().zip(snapshot) {
            variable.set(values)?;
        }
        Ok(())
    }

    /// Gives all variables the values that `weights` has under their names; nothing changes if they do not fit.
    ///
    /// # Errors
    /// Those of [`Weights::build`]: each variable must be there in its shape, and nothing else.
    pub fn read(&self, weights: &mut Weights) -> Result<()> {
        let values = weights.build(|weights| {
            let take = |(name, tensor): (&str, &Tensor)| weights.take(name, tensor.dims());
            self.iter().map(take).collect::<Result<Vec<Tensor>, crate::checkpoint::Error>>()
        })?;
        self.restore(&values)
    }

    pub(crate) fn variable(&self, index: usize) -> &Var {
        &self.trained[index].1
    }

    /// Refuses what was made for another number of variables.
    pub(crate) fn check(&self, what: &'static str, found: usize) -> Result<(), Error> {
        match found == self.len() {
            true => Ok(()),
            false => Err(Error::Variables { what, found, expected: self.len() }),
        }
    }
}

/// A variable with the values of a tensor.
fn variable(name: &str, tensor: &Tensor) -> Result<Var> {
    if !tensor.device().is_cpu() || tensor.dtype() != DType::F32 {
        let place =
            if tensor.device().is_cpu() { "in the memory of the processor" } else { "on another device" };
        let found = format!("{} {place}", tensor.dtype().as_str());
        return Err(Error::NotTrainable { name: name.to_owned(), found }.into());
    }
    Ok(Var::from_tensor(tensor)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn weights() -> Weights {
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).unwrap();
        Weights::new([
            ("b".to_owned(), tensor(&[1.0, 2.0])),
            ("a".to_owned(), tensor(&[3.0])),
            ("bn.running_mean".to_owned(), tensor(&[0.0])),
            ("cls.predictions.decoder.weight".to_owned(), tensor(&[4.0])),
        ])
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.to_vec1().unwrap()
    }

    #[test]
    fn the_weights_and_the_variables_are_the_same_memory() {
        let mut weights = weights();
        let variables = Variables::of(&mut weights, |_| true).unwrap();
        assert_eq!(variables.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((variables.len(), variables.n_parameters(), variables.all().count()), (2, 3, 4));
        assert_eq!((variables.index("b"), variables.index("bn.running_mean")), (Some(1), None));
        let b = weights.take("b", &[2]).unwrap();
        let before = variables.snapshot().unwrap();
        variables.variable(1).set(&Tensor::new(&[7f32, 8.0], &Device::Cpu).unwrap()).unwrap();
        assert_eq!(values(&b), [7.0, 8.0]);
        variables.restore(&before).unwrap();
        assert_eq!(values(&b), [1.0, 2.0]);
        assert!(b.track_op() && !weights.take("bn.running_mean", &[1]).unwrap().track_op());
    }

    #[test]
    fn values_come_from_weights_of_the_same_names_alone() {
        let mut weights = weights();
        let variables = Variables::of(&mut weights, |name| name == "a").unwrap();
        let file =
            |name: &str| Weights::new([(name.to_owned(), Tensor::new(&[9f32], &Device::Cpu).unwrap())]);
        let error = variables.read(&mut file("c")).unwrap_err();
        assert!(error.to_string().contains("1 tensor is missing: a [1]"), "{error}");
        variables.read(&mut file("a")).unwrap();
        assert_eq!(values(&weights.take("a", &[1]).unwrap()), [9.0]);
        let error = variables.restore(&[]).unwrap_err();
        assert_eq!(error.to_string(), "values of 0 variables, expected 1");
    }

    #[test]
    fn a_training_of_nothing_is_refused() {
        let error = Variables::of(&mut weights(), |_| false).unwrap_err();
        assert_eq!(error.to_string(), "nothing is to be trained: none of the 4 tensors is chosen");
        assert!(error.help().unwrap().contains("freeze less"));
    }

    #[test]
    fn tensors_of_another_type_are_refused() {
        let half = Tensor::new(&[1f32], &Device::Cpu).unwrap().to_dtype(DType::BF16).unwrap();
        let error = Variables::of(&mut Weights::new([("a".to_owned(), half)]), |_| true).unwrap_err();
        let expected =
            "`a` is bf16 in the memory of the processor, expected f32 in the memory of the processor";
        assert_eq!(error.to_string(), expected);
        assert!(error.help().unwrap().contains("`dtype` F32"));
    }
}
