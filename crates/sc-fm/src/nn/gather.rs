//! Gradients of variables, gathered beside the tensor library's store.
//!
//! The library begins each gradient as a tensor of zeros and makes a new tensor of every sum. For a table of tokens, the
//! largest tensor of a model, that is more work than the sums. While a pass is gathered, operations of this crate hand the
//! gradients of variables over here instead, where they are moved, or added in place.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, TensorId};
use rayon::prelude::*;

/// Gradients by the variables that they are of.
pub(crate) type Gathered = HashMap<TensorId, Vec<f32>>;

/// A backward pass under way.
struct Pass {
    /// The graph's nodes. A thread that waits inside an operation may be given a pass through another graph, whose
    /// gradients are not to be had here.
    nodes: HashSet<TensorId>,
    gathered: Gathered,
}

thread_local! {
    static OPEN: RefCell<Option<Pass>> = const { RefCell::new(None) };
}

/// Values that one thread takes at a time.
const CHUNK: usize = 1 << 14;

/// Goes back from `root`. Returns the library's store and the gradients that did not go into it.
///
/// # Errors
/// What the tensor library reports.
pub(crate) fn backward(root: &Tensor) -> Result<(GradStore, Gathered)> {
    /// Puts back what was open, also where the pass panics.
    struct Outer(Option<Pass>);
    impl Drop for Outer {
        fn drop(&mut self) {
            OPEN.replace(self.0.take());
        }
    }
    let nodes = root.sorted_nodes().into_iter().map(Tensor::id).collect();
    let outer = Outer(OPEN.replace(Some(Pass { nodes, gathered: Gathered::new() })));
    let store = root.backward();
    let gathered = OPEN.take().map(|pass| pass.gathered).unwrap_or_default();
    drop(outer);
    Ok((store?, gathered))
}

/// Hands over a gradient that `node` has for `tensor`, if that is a variable and the pass through `node` is gathered; else
/// it comes back.
pub(super) fn offer(node: &Tensor, tensor: &Tensor, values: Vec<f32>) -> Option<Vec<f32>> {
    let mut values = Some(values);
    with_open(node, tensor, |gathered| {
        let Some(new) = values.take() else { return };
        match gathered.get_mut(&tensor.id()) {
            Some(sum) => add(sum, &new),
            None => drop(gathered.insert(tensor.id(), new)),
        }
    });
    values
}

/// Calls `f` with the sum so far of the gradients of `tensor`, zeros at first, under the same conditions; says whether it
/// did.
pub(super) fn add_with(node: &Tensor, tensor: &Tensor, f: impl FnOnce(&mut [f32])) -> bool {
    with_open(node, tensor, |gathered| {
        f(gathered.entry(tensor.id()).or_insert_with(|| vec![0.0; tensor.elem_count()]));
    })
}

/// `sum += x`.
pub(crate) fn add(sum: &mut [f32], x: &[f32]) {
    sum.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(sum, x)| {
        sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
    });
}

/// The pass is taken out meanwhile, for `f` may wait as well.
fn with_open(node: &Tensor, tensor: &Tensor, f: impl FnOnce(&mut Gathered)) -> bool {
    if !tensor.is_variable() {
        return false;
    }
    let Some(mut pass) = OPEN.take() else { return false };
    let is_ours = pass.nodes.contains(&node.id());
    if is_ours {
        f(&mut pass.gathered);
    }
    OPEN.set(Some(pass));
    is_ours
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::nn::testing::numbers;
    use crate::nn::{Activation, Linear, embedding};

    fn variable(seed: u64, shape: &[usize]) -> Var {
        Var::from_vec(numbers(seed, shape.iter().product()), shape, &Device::Cpu).unwrap()
    }

    fn values(x: &Tensor) -> Vec<f32> {
        x.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn a_table_that_is_used_twice_has_the_gradient_of_the_library() {
        let (table, bias, ids) = (variable(1, &[11, 8]), variable(2, &[11]), [3, 7, 3, 0]);
        let head = Linear::new(table.as_tensor().clone(), Some(bias.as_tensor().clone()));
        let x = embedding(&table, &ids).unwrap();
        let loss = head.cross_entropy(&x, &ids.map(Some)).unwrap();
        let expected = loss.backward().unwrap();
        let (store, gathered) = backward(&loss).unwrap();
        assert!(store.get(&table).is_none());
        assert_eq!(gathered[&table.id()], values(expected.get(&table).unwrap()));
        assert_eq!(values(store.get(&bias).unwrap()), values(expected.get(&bias).unwrap()));
    }

    #[test]
    fn what_is_no_variable_goes_on_through_the_graph() {
        let (table, other) = (variable(1, &[5, 4]), variable(2, &[3, 4]));
        let x = embedding(&(table.as_tensor() * 2.0).unwrap(), &[4, 1]).unwrap();
        let y = Linear::new(other.as_tensor().clone(), None).forward(&x, Activation::Identity).unwrap();
        let loss = y.sqr().unwrap().sum_all().unwrap();
        let expected = loss.backward().unwrap();
        let (store, gathered) = backward(&loss).unwrap();
        assert!(gathered.is_empty());
        assert_eq!(values(store.get(&table).unwrap()), values(expected.get(&table).unwrap()));
    }

    #[test]
    fn a_pass_takes_only_what_belongs_to_its_own_graph() {
        let [own, other] = [variable(1, &[1]), variable(2, &[1])];
        let node = (own.as_tensor() * 2.0).unwrap();
        let nodes = node.sorted_nodes().into_iter().map(Tensor::id).collect();
        OPEN.set(Some(Pass { nodes, gathered: Gathered::new() }));
        assert_eq!(offer(&node, &own, vec![1.0]), None);
        assert!(add_with(&node, &own, |sum| sum[0] += 4.0));
        let foreign = (other.as_tensor() * 2.0).unwrap();
        assert_eq!(offer(&foreign, &other, vec![1.0]), Some(vec![1.0]));
        assert_eq!(offer(&node, &node, vec![1.0]), Some(vec![1.0]));
        let pass = OPEN.take().unwrap();
        assert_eq!(pass.gathered.into_iter().collect::<Vec<_>>(), [(own.id(), vec![5.0])]);
        assert_eq!(offer(&node, &own, vec![1.0]), Some(vec![1.0]));
    }
}
