//! Gradients of all variables.

use candle_core::Tensor;
use candle_core::backprop::GradStore;
use rayon::prelude::*;

use super::{Error, Variables};
use crate::Result;
use crate::nn::gather::{self, Gathered};

/// The gradient of each variable, in their order; `None` where the loss does not depend on it.
///
/// Everything here goes over the values in a fixed order: the bits do not depend on the number of threads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gradients {
    values: Vec<Option<Vec<f32>>>,
}

/// Values that one thread takes at a time.
const CHUNK: usize = 1 << 14;

impl Gradients {
    /// Goes back from a loss, a single number, to all variables.
    ///
    /// # Errors
    /// What the tensor library reports, a loss of several numbers above all.
    pub fn of(loss: &Tensor, variables: &Variables) -> Result<Self> {
        let (mut store, gathered) = gather::backward(loss)?;
        Self::of_both(&mut store, gathered, variables)
    }

    /// Takes the gradients of the variables out of the store of a backward pass.
    ///
    /// # Errors
    /// [`Error::Gradient`] for one that does not fit its variable, and what the tensor library reports.
    pub fn from_store(store: &mut GradStore, variables: &Variables) -> Result<Self> {
        Self::of_both(store, Gathered::new(), variables)
    }

    /// Out of the store and of what went round it.
    fn of_both(store: &mut GradStore, mut gathered: Gathered, variables: &Variables) -> Result<Self> {
        let mut gradients = Self { values: vec![None; variables.len()] };
        for (index, (name, variable)) in variables.iter().enumerate() {
            let stored = store.remove(variable).map(|gradient| gradient.flatten_all()?.to_vec1::<f32>());
            let values = match (gathered.remove(&variable.id()), stored.transpose()?) {
                (Some(mut sum), Some(other)) => {
                    gather::add(&mut sum, &other);
                    Some(sum)
                }
                (sum, other) => sum.or(other),
            };
            if let Some(values) = values {
                if values.len() != variable.elem_count() {
                    let (found, expected) = (values.len(), variable.elem_count());
                    return Err(Error::Gradient { name: name.to_owned(), found, expected }.into());
                }
                gradients.values[index] = Some(values);
            }
        }
        Ok(gradients)
    }

    /// Number of variables.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether they are of no variable.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The gradient of variable `index`, if it has one.
    pub fn get(&self, index: usize) -> Option<&[f32]> {
        self.values.get(index)?.as_deref()
    }

    /// Adds gradients of the same variables, those of another part of a batch or of another loss.
    ///
    /// # Errors
    /// [`Error::Variables`] unless they are of as many variables.
    ///
    /// # Panics
    /// If two gradients of one variable differ in length: they come from different variables then.
    pub fn add(&mut self, other: Self) -> Result<()> {
        if other.len() != self.len() {
            let (found, expected) = (other.len(), self.len());
            return Err(Error::Variables { what: "gradients", found, expected }.into());
        }
        for (sum, other) in self.values.iter_mut().zip(other.values) {
            match (sum, other) {
                (Some(sum), Some(other)) => {
                    assert_eq!(sum.len(), other.len(), "gradients of one variable");
                    gather::add(sum, &other);
                }
                (sum @ None, other) => *sum = other,
                (Some(_), None) => {}
            }
        }
        Ok(())
    }

    /// Multiplies every value.
    pub fn scale(&mut self, factor: f32) {
        for values in self.values.iter_mut().flatten() {
            values.par_chunks_mut(CHUNK).for_each(|values| values.iter_mut().for_each(|x| *x *= factor));
        }
    }

    /// The Euclidean norm of all values together; not finite if one of them is not.
    pub fn norm(&self) -> f64 {
        let squares = self.values.iter().flatten().map(|values| {
            let parts: Vec<f64> = values.par_chunks(CHUNK).map(sum_of_squares).collect();
            parts.iter().sum::<f64>()
        });
        squares.sum::<f64>().sqrt()
    }

    /// Makes the norm `max_norm` at most, as PyTorch's `clip_grad_norm_`: all values are multiplied by
    /// `max_norm / (norm + 1e-6)` where that is below 1. Returns the norm that they had.
    ///
    /// A norm that is not finite is returned, and the values are left alone: no step should be made with them.
    pub fn clip_norm(&mut self, max_norm: f64) -> f64 {
        let norm = self.norm();
        let factor = max_norm / (norm + 1e-6);
        if norm.is_finite() && factor < 1.0 {
            self.scale(factor as f32);
        }
        norm
    }
}

/// In eight chains, so that the processor does not wait for one.
fn sum_of_squares(values: &[f32]) -> f64 {
    let mut sums = [0f64; 8];
    for values in values.chunks(8) {
        for (sum, &x) in sums.iter_mut().zip(values) {
            *sum += f64::from(x) * f64::from(x);
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::checkpoint::Weights;
    use crate::nn::testing::{numbers, on_threads, same_bits};

    fn gradients(values: &[Option<&[f32]>]) -> Gradients {
        Gradients { values: values.iter().map(|values| values.map(<[f32]>::to_vec)).collect() }
    }

    #[test]
    fn they_stand_in_the_order_of_the_variables() {
        let tensor = |x: f32| Tensor::new(&[x, 2.0], &Device::Cpu).unwrap();
        let mut weights =
            Weights::new([("a", 3.0), ("b", 5.0), ("c", 7.0)].map(|(name, x)| (name.to_owned(), tensor(x))));
        let variables = Variables::of(&mut weights, |_| true).unwrap();
        let [a, c] = ["a", "c"].map(|name| weights.take(name, &[2]).unwrap());
        let loss = (a * c).unwrap().sum_all().unwrap();
        let found = Gradients::of(&loss, &variables).unwrap();
        assert_eq!(found, gradients(&[Some(&[7.0, 2.0]), None, Some(&[3.0, 2.0])]));
        assert_eq!((found.len(), found.get(1), found.get(3)), (3, None, None));
    }

    #[test]
    fn parts_of_a_batch_are_added() {
        let mut sum = gradients(&[Some(&[1.0]), None, Some(&[4.0])]);
        sum.add(gradients(&[Some(&[2.0]), Some(&[3.0]), None])).unwrap();
        sum.scale(0.5);
        assert_eq!(sum, gradients(&[Some(&[1.5]), Some(&[1.5]), Some(&[2.0])]));
        let error = sum.add(Gradients::default()).unwrap_err();
        assert_eq!(error.to_string(), "gradients of 0 variables, expected 3");
    }

    #[test]
    fn the_norm_is_cut_to_the_largest_that_is_allowed() {
        let mut some = gradients(&[Some(&[3.0]), None, Some(&[0.0, 4.0])]);
        assert_eq!(some.clip_norm(10.0), 5.0);
        assert_eq!(some, gradients(&[Some(&[3.0]), None, Some(&[0.0, 4.0])]));
        assert_eq!(some.clip_norm(1.0), 5.0);
        assert!((some.norm() - 1.0).abs() < 1e-6 && some.norm() < 1.0);
        let mut bad = gradients(&[Some(&[f32::NAN, 1.0])]);
        assert!(bad.clip_norm(1e-3).is_nan());
        assert_eq!(bad.get(0).unwrap()[1], 1.0);
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let of = |seed| Gradients { values: vec![Some(numbers(seed, 100_003)), Some(numbers(seed + 1, 7))] };
        let run = || {
            let mut sum = of(1);
            sum.add(of(5)).unwrap();
            (sum.clip_norm(0.1), sum)
        };
        let (norm, sum) = on_threads(1, run);
        let (again, other) = on_threads(4, run);
        assert_eq!(norm.to_bits(), again.to_bits());
        assert!(same_bits(sum.get(0).unwrap(), other.get(0).unwrap()));
    }
}
