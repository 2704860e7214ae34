//! What the names on the list build, and the finished tree.

use std::collections::HashSet;

use super::global::Global;
use super::machine::{Id, MAX_DEPTH, Machine, Node};
use super::numpy::Dtype;
use super::{Problem, Value};
use crate::checkpoint::torch::{StorageRef, TensorView};

impl Machine<'_> {
    /// What a constructor builds; `None` if it does not take these arguments.
    pub(super) fn construct(&self, global: Global, arguments: &[Id]) -> Option<Node> {
        let arguments: Vec<&Node> = arguments.iter().map(|&id| self.node(id)).collect();
        match (global, arguments.as_slice()) {
            (Global::OrderedDict, []) => Some(Node::Dict { entries: Vec::new(), is_ordered: true }),
            (Global::Bytes, []) => Some(Node::Bytes(Box::default())),
            (Global::Dtype, [Node::Str(text), Node::Bool(_), Node::Bool(_)]) => {
                Dtype::new(text).map(Node::Dtype)
            }
            (Global::Scalar, [Node::Dtype(dtype), Node::Bytes(bytes)]) => dtype.scalar(bytes),
            (Global::Encode, [Node::Str(text), Node::Str(encoding)]) if encoding.as_ref() == "latin1" => {
                let bytes: Result<Box<[u8]>, _> = text.chars().map(|c| u8::try_from(u32::from(c))).collect();
                bytes.ok().map(Node::Bytes)
            }
            (Global::Size, [Node::Tuple(sizes)]) => Some(Node::Tuple(sizes.clone())),
            (
                Global::RebuildTensor,
                [
                    Node::Storage(storage),
                    Node::Int(offset),
                    Node::Tuple(shape),
                    Node::Tuple(strides),
                    Node::Bool(_),
                    hooks,
                    ..,
                ],
            ) if arguments.len() <= 7 && is_empty_dict(hooks) => {
                let (shape, strides) = (self.sizes(shape)?, self.sizes(strides)?);
                let view =
                    TensorView::new((**storage).clone(), usize::try_from(*offset).ok()?, shape, strides)?;
                Some(Node::Tensor(Box::new(view)))
            }
            (Global::RebuildParameter, [Node::Tensor(view), Node::Bool(_), hooks])
                if is_empty_dict(hooks) =>
            {
                Some(Node::Tensor(view.clone()))
            }
            _ => None,
        }
    }

    fn sizes(&self, ids: &[Id]) -> Option<Vec<usize>> {
        let size = |&id: &Id| match *self.node(id) {
            Node::Int(size) => usize::try_from(size).ok(),
            _ => None,
        };
        ids.iter().map(size).collect()
    }

    /// The storage that a persistent id names. The last item of five or six is a view, which only old files have.
    pub(super) fn storage(&self, id: Id) -> Option<StorageRef> {
        let Node::Tuple(items) = self.node(id) else { return None };
        let items: Vec<&Node> = items.iter().map(|&id| self.node(id)).collect();
        match items.as_slice() {
            [
                Node::Str(tag),
                Node::Global(Global::Storage(stored)),
                Node::Str(key),
                Node::Str(_),
                Node::Int(length),
            ]
            | [
                Node::Str(tag),
                Node::Global(Global::Storage(stored)),
                Node::Str(key),
                Node::Str(_),
                Node::Int(length),
                Node::None,
            ] if tag.as_ref() == "storage" => Some(StorageRef {
                key: key.to_string(),
                stored: *stored,
                length: usize::try_from(*length).ok()?,
            }),
            _ => None,
        }
    }

    /// Only two values have a state: NumPy's types (their order of bytes) and ordered dictionaries, on which PyTorch
    /// leaves a note of versions.
    pub(super) fn set_state(&mut self, target: Id, state: Id) -> Result<(), Problem> {
        let changed = match (self.node(target), self.node(state)) {
            (Node::Dtype(dtype), Node::Tuple(items)) => {
                let order = items.get(1).and_then(|&id| match self.node(id) {
                    Node::Str(order) => dtype.ordered(order),
                    _ => None,
                });
                let expected = "(version, \"<\", \">\" or \"|\", ...)";
                Node::Dtype(order.ok_or(Problem::Arguments { name: "the state of numpy.dtype", expected })?)
            }
            (Node::Dict { is_ordered: true, .. }, Node::Dict { entries, .. }) => {
                let is_note = |&(key, _): &(Id, Id)| matches!(self.node(key), Node::Str(key) if key.as_ref() == "_metadata");
                return if entries.iter().all(is_note) { Ok(()) } else { Err(Problem::State) };
            }
            _ => return Err(Problem::State),
        };
        self.nodes[target as usize] = changed;
        Ok(())
    }

    /// The finished value. `budget` is what the tree may still weigh, in bytes.
    pub(super) fn value(&self, id: Id, depth: usize, budget: &mut usize) -> Result<Value, Problem> {
        if depth > MAX_DEPTH {
            return Err(Problem::Depth { limit: MAX_DEPTH });
        }
        let node = self.node(id);
        let weight = size_of::<Value>() + node.extent();
        *budget = budget
            .checked_sub(weight)
            .ok_or(Problem::Size { limit: super::machine::MAX_TREE, what: "bytes of values" })?;
        let mut all = |ids: &[Id]| {
            ids.iter().map(|&id| self.value(id, depth + 1, budget)).collect::<Result<Vec<_>, _>>()
        };
        Ok(match node {
            Node::None => Value::None,
            Node::Bool(value) => Value::Bool(*value),
            Node::Int(value) => Value::Int(*value),
            Node::Float(value) => Value::Float(*value),
            Node::Str(text) => Value::Str(text.to_string()),
            Node::Bytes(bytes) => Value::Bytes(bytes.to_vec()),
            Node::List(items) => Value::List(all(items)?),
            Node::Tuple(items) => Value::Tuple(all(items)?),
            Node::Dict { entries, .. } => {
                self.check_keys(entries)?;
                let mut pairs = Vec::with_capacity(entries.len());
                for &(key, value) in entries {
                    pairs.push((self.value(key, depth + 1, budget)?, self.value(value, depth + 1, budget)?));
                }
                Value::Dict(pairs)
            }
            Node::Tensor(view) => Value::Tensor(view.clone()),
            Node::Global(global) => return Err(Problem::Class { name: global.name() }),
            Node::Dtype(_) => return Err(Problem::Class { name: "numpy.dtype" }),
            Node::Storage(_) => return Err(Problem::Class { name: "a torch storage" }),
        })
    }

    fn check_keys(&self, entries: &[(Id, Id)]) -> Result<(), Problem> {
        let (mut texts, mut numbers) = (HashSet::with_capacity(entries.len()), HashSet::new());
        for &(key, _) in entries {
            let (is_new, key): (bool, &dyn std::fmt::Debug) = match self.node(key) {
                Node::Str(text) => (texts.insert(text.as_ref()), text),
                Node::Int(number) => (numbers.insert(*number), number),
                _ => return Err(Problem::Key),
            };
            if !is_new {
                return Err(Problem::KeyTwice { key: format!("{key:?}") });
            }
        }
        Ok(())
    }
}

impl Node {
    /// Bytes outside the node itself.
    fn extent(&self) -> usize {
        match self {
            Self::Str(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Tensor(view) => view.shape().len() * 32 + 64,
            _ => 0,
        }
    }
}

fn is_empty_dict(node: &Node) -> bool {
    matches!(node, Node::Dict { entries, .. } if entries.is_empty())
}
