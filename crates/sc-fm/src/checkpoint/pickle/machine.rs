//! The machine: a stack, kept values, and the instructions that build plain data.

use std::collections::HashMap;
use std::path::Path;

use super::global::Global;
use super::numpy::Dtype;
use super::opcode as op;
use super::{Problem, Value};
use crate::checkpoint::Error;
use crate::checkpoint::torch::{StorageRef, TensorView};

/// Values under construction: more than the largest dictionary has by a factor of twenty.
const MAX_NODES: usize = 1 << 22;
pub(super) const MAX_DEPTH: usize = 64;
/// What the finished tree may weigh beyond a multiple of the file: values that are referred to many times count each time.
pub(super) const MAX_TREE: usize = 1 << 26;

/// Whether references to tensors are read, as in PyTorch's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tensors {
    Read,
    Refused,
}

/// A pickle, read to its end.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) value: Value,
    /// Bytes up to and with the end of the pickle.
    pub(crate) used: usize,
}

/// A refusal, and the byte of the instruction that led to it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) offset: usize,
    pub(crate) problem: Problem,
}

impl Failure {
    /// As an error of the file in which the pickle begins at `start`.
    pub(crate) fn in_file(self, path: &Path, start: u64) -> Error {
        Error::Pickle { path: path.to_owned(), offset: start + self.offset as u64, problem: self.problem }
    }
}

/// Reads the pickle at the beginning of `bytes`.
pub(crate) fn parse(bytes: &[u8], tensors: Tensors) -> Result<Parsed, Failure> {
    let mut machine = Machine {
        bytes,
        at: 0,
        nodes: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        tensors,
    };
    loop {
        let offset = machine.at;
        let step = machine.step().and_then(|end| match end {
            Some(root) => {
                let mut budget = MAX_TREE + 16 * bytes.len();
                machine.value(root, 0, &mut budget).map(Some)
            }
            None => Ok(None),
        });
        match step {
            Ok(Some(value)) => return Ok(Parsed { value, used: machine.at }),
            Ok(None) => {}
            Err(problem) => return Err(Failure { offset, problem }),
        }
    }
}

pub(super) type Id = u32;

/// A value under construction. Children are numbers of nodes, because values may be referred to before they are complete.
#[derive(Clone, Debug)]
pub(super) enum Node {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Box<str>),
    Bytes(Box<[u8]>),
    List(Vec<Id>),
    Tuple(Box<[Id]>),
    Dict { entries: Vec<(Id, Id)>, is_ordered: bool },
    Global(Global),
    Dtype(Dtype),
    Storage(Box<StorageRef>),
    Tensor(Box<TensorView>),
}

pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    pub(super) nodes: Vec<Node>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    tensors: Tensors,
}

impl<'a> Machine<'a> {
    /// One instruction; the result, if it was the last.
    fn step(&mut self) -> Result<Option<Id>, Problem> {
        let is_first = self.at == 0;
        let byte = self.take(1)?[0];
        let name = op::name(byte).ok_or(Problem::NoOpcode { byte })?;
        if is_first && byte != op::PROTO {
            return Err(Problem::Protocol { found: 0 });
        }
        match byte {
            op::PROTO => match self.take(1)?[0] {
                2..=5 => {}
                found => return Err(Problem::Protocol { found }),
            },
            op::FRAME => {
                let wanted = self.number::<8>()?;
                let left = self.left();
                if wanted > left {
                    return Err(Problem::Truncated { wanted, left });
                }
            }
            op::STOP => return self.pop(name).map(Some),
            op::MARK => {
                if self.marks.len() == MAX_DEPTH * 2 {
                    return Err(Problem::Depth { limit: MAX_DEPTH });
                }
                self.marks.push(self.stack.len());
            }
            op::POP => {
                self.pop(name)?;
            }
            op::POP_MARK => {
                self.pop_mark(name)?;
            }
            op::DUP => {
                let top = self.top(name)?;
                self.push_id(top)?;
            }
            op::NONE => self.push(Node::None)?,
            op::NEWTRUE => self.push(Node::Bool(true))?,
            op::NEWFALSE => self.push(Node::Bool(false))?,
            op::BININT => {
                let value = self.number::<4>()? as u32 as i32;
                self.push(Node::Int(i64::from(value)))?;
            }
            op::BININT1 => self.push_number::<1>()?,
            op::BININT2 => self.push_number::<2>()?,
            op::LONG1 => {
                let length = self.number::<1>()?;
                self.long(length)?;
            }
            op::LONG4 => {
                let length = self.number::<4>()?;
                self.long(length)?;
            }
            op::BINFLOAT => {
                let bits = <[u8; 8]>::try_from(self.take(8)?).expect("eight bytes were taken");
                self.push(Node::Float(f64::from_be_bytes(bits)))?;
            }
            op::SHORT_BINUNICODE => self.text::<1>()?,
            op::BINUNICODE => self.text::<4>()?,
            op::BINUNICODE8 => self.text::<8>()?,
            op::SHORT_BINBYTES => self.raw::<1>()?,
            op::BINBYTES => self.raw::<4>()?,
            op::BINBYTES8 => self.raw::<8>()?,
            op::EMPTY_LIST => self.push(Node::List(Vec::new()))?,
            op::EMPTY_DICT => self.push(Node::Dict { entries: Vec::new(), is_ordered: false })?,
            op::EMPTY_TUPLE => self.tuple(name, 0)?,
            op::TUPLE1 => self.tuple(name, 1)?,
            op::TUPLE2 => self.tuple(name, 2)?,
            op::TUPLE3 => self.tuple(name, 3)?,
            op::TUPLE => {
                let items = self.pop_mark(name)?;
                self.push(Node::Tuple(items.into()))?;
            }
            op::APPEND => {
                let item = self.pop(name)?;
                self.append(name, &[item])?;
            }
            op::APPENDS => {
                let items = self.pop_mark(name)?;
                self.append(name, &items)?;
            }
            op::SETITEM => {
                let (value, key) = (self.pop(name)?, self.pop(name)?);
                self.set_items(name, &[key, value])?;
            }
            op::SETITEMS => {
                let items = self.pop_mark(name)?;
                self.set_items(name, &items)?;
            }
            op::BINPUT => self.keep::<1>(name)?,
            op::LONG_BINPUT => self.keep::<4>(name)?,
            op::MEMOIZE => {
                self.remember(name, self.memo.len() as u64)?;
            }
            op::BINGET => self.fetch::<1>()?,
            op::LONG_BINGET => self.fetch::<4>()?,
            op::GLOBAL | op::INST => {
                let (module, attribute) = (self.line()?, self.line()?);
                let global = known(module, attribute)?;
                if byte == op::INST {
                    return Err(Problem::Opcode { name });
                }
                self.push(Node::Global(global))?;
            }
            op::STACK_GLOBAL => {
                let (attribute, module) = (self.pop(name)?, self.pop(name)?);
                match (self.node(module), self.node(attribute)) {
                    (Node::Str(module), Node::Str(attribute)) => {
                        let global = known(module, attribute)?;
                        self.push(Node::Global(global))?;
                    }
                    _ => return Err(Problem::Stack { opcode: name, needed: "two texts" }),
                }
            }
            op::REDUCE => {
                let (arguments, callee) = (self.pop(name)?, self.pop(name)?);
                let &Node::Global(global) = self.node(callee) else { return Err(Problem::NotCallable) };
                let built = match self.node(arguments) {
                    Node::Tuple(items) => self.construct(global, items),
                    _ => None,
                };
                let wrong = Problem::Arguments { name: global.name(), expected: global.arguments() };
                self.push(built.ok_or(wrong)?)?;
            }
            op::BUILD => {
                let state = self.pop(name)?;
                let target = self.top(name)?;
                self.set_state(target, state)?;
            }
            op::BINPERSID if self.tensors == Tensors::Read => {
                let id = self.pop(name)?;
                let wrong = Problem::Arguments {
                    name: "a persistent id",
                    expected: "(\"storage\", a torch storage, its key, its device, its number of elements)",
                };
                let storage = self.storage(id).ok_or(wrong)?;
                self.push(Node::Storage(Box::new(storage)))?;
            }
            _ => return Err(Problem::Opcode { name }),
        }
        Ok(None)
    }

    fn left(&self) -> u64 {
        (self.bytes.len() - self.at) as u64
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Problem> {
        let left = self.left();
        if length > left {
            return Err(Problem::Truncated { wanted: length, left });
        }
        let start = self.at;
        self.at += length as usize;
        Ok(&self.bytes[start..self.at])
    }

    /// An unsigned integer of `N` bytes, at most eight.
    fn number<const N: usize>(&mut self) -> Result<u64, Problem> {
        let mut low = [0; 8];
        low[..N].copy_from_slice(self.take(N as u64)?);
        Ok(u64::from_le_bytes(low))
    }

    /// Text up to the end of the line, for the names of protocol 2.
    fn line(&mut self) -> Result<&'a str, Problem> {
        let rest = &self.bytes[self.at..];
        let left = rest.len() as u64;
        let length = rest
            .iter()
            .position(|&byte| byte == b'\n')
            .ok_or(Problem::Truncated { wanted: left + 1, left })?;
        self.at += length + 1;
        std::str::from_utf8(&rest[..length]).map_err(|_| Problem::Text)
    }

    fn push_number<const N: usize>(&mut self) -> Result<(), Problem> {
        let value = self.number::<N>()?;
        self.push(Node::Int(value as i64))
    }

    /// A signed integer of any number of bytes, lowest first.
    fn long(&mut self, length: u64) -> Result<(), Problem> {
        let bytes = self.take(length)?;
        if bytes.len() > 8 {
            return Err(Problem::Integer);
        }
        let is_negative = bytes.last().is_some_and(|&high| high >= 0x80);
        let mut low = [if is_negative { 0xff } else { 0 }; 8];
        low[..bytes.len()].copy_from_slice(bytes);
        self.push(Node::Int(i64::from_le_bytes(low)))
    }

    fn text<const N: usize>(&mut self) -> Result<(), Problem> {
        let length = self.number::<N>()?;
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| Problem::Text)?;
        self.push(Node::Str(text.into()))
    }

    fn raw<const N: usize>(&mut self) -> Result<(), Problem> {
        let length = self.number::<N>()?;
        let bytes = self.take(length)?;
        self.push(Node::Bytes(bytes.into()))
    }

    fn push(&mut self, node: Node) -> Result<(), Problem> {
        if self.nodes.len() == MAX_NODES {
            return Err(Problem::Size { limit: MAX_NODES, what: "values" });
        }
        self.nodes.push(node);
        self.push_id(self.nodes.len() as Id - 1)
    }

    fn push_id(&mut self, id: Id) -> Result<(), Problem> {
        if self.stack.len() == MAX_NODES {
            return Err(Problem::Size { limit: MAX_NODES, what: "values" });
        }
        self.stack.push(id);
        Ok(())
    }

    /// The top of the stack; values under the last mark belong to what comes after it.
    fn top(&self, opcode: &'static str) -> Result<Id, Problem> {
        match self.stack.last() {
            Some(&id) if self.stack.len() > self.marks.last().copied().unwrap_or(0) => Ok(id),
            _ => Err(Problem::Stack { opcode, needed: "a value" }),
        }
    }

    fn pop(&mut self, opcode: &'static str) -> Result<Id, Problem> {
        let top = self.top(opcode)?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_mark(&mut self, opcode: &'static str) -> Result<Vec<Id>, Problem> {
        let mark = self.marks.pop().ok_or(Problem::Stack { opcode, needed: "a mark" })?;
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, opcode: &'static str, length: usize) -> Result<(), Problem> {
        let mut items = vec![0; length];
        for item in items.iter_mut().rev() {
            *item = self.pop(opcode)?;
        }
        self.push(Node::Tuple(items.into()))
    }

    fn append(&mut self, opcode: &'static str, items: &[Id]) -> Result<(), Problem> {
        let target = self.top(opcode)?;
        match &mut self.nodes[target as usize] {
            Node::List(list) => list.extend_from_slice(items),
            _ => return Err(Problem::Stack { opcode, needed: "a list" }),
        }
        Ok(())
    }

    /// `items`: key, value, key, value, ...
    fn set_items(&mut self, opcode: &'static str, items: &[Id]) -> Result<(), Problem> {
        let target = self.top(opcode)?;
        match &mut self.nodes[target as usize] {
            Node::Dict { entries, .. } if items.len().is_multiple_of(2) => {
                entries.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
            }
            Node::Dict { .. } => return Err(Problem::Stack { opcode, needed: "a value for every key" }),
            _ => return Err(Problem::Stack { opcode, needed: "a dictionary" }),
        }
        Ok(())
    }

    fn keep<const N: usize>(&mut self, opcode: &'static str) -> Result<(), Problem> {
        let index = self.number::<N>()?;
        self.remember(opcode, index)
    }

    fn remember(&mut self, opcode: &'static str, index: u64) -> Result<(), Problem> {
        let top = self.top(opcode)?;
        if self.memo.len() == MAX_NODES {
            return Err(Problem::Size { limit: MAX_NODES, what: "kept values" });
        }
        self.memo.insert(index, top);
        Ok(())
    }

    fn fetch<const N: usize>(&mut self) -> Result<(), Problem> {
        let index = self.number::<N>()?;
        let id = *self.memo.get(&index).ok_or(Problem::Memo { index })?;
        self.push_id(id)
    }

    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[id as usize]
    }
}

fn known(module: &str, name: &str) -> Result<Global, Problem> {
    Global::find(module, name).ok_or_else(|| {
        // A name may be as long as the file; the beginning of it is enough to know it by.
        let name = format!("{module}.{name}").chars().take(200).collect();
        Problem::Global { name }
    })
}
