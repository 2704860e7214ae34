//! Objects of R in memory: as much of them as data needs.

use std::sync::Arc;

/// Names of slots and symbols, which occur many times.
pub(super) type Text = Arc<str>;

/// How R writes the integer and logical NA.
pub(super) const NA_INTEGER: i32 = i32::MIN;

/// A string; `None` is NA.
pub(super) type Str = Option<Box<str>>;

/// A value and its attributes (for an S4 object its slots), in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Object {
    pub(super) value: Value,
    pub(super) attributes: Vec<(Text, Object)>,
}

#[derive(Debug, Default)]
pub(super) enum Value {
    #[default]
    Null,
    Logical(Vec<i32>),
    Integer(Vec<i32>),
    Real(Vec<f64>),
    Strings(Vec<Str>),
    List(Vec<Object>),
    /// A list of pairs; a name is empty where there is none.
    Pairs(Vec<(Text, Object)>),
    Symbol(Text),
    /// An environment, by its place in [`Document::environments`]: environments may hold each other.
    Environment(usize),
    /// An S4 object without data of its own.
    S4,
    /// What carries no data here: functions, calls, pointers, raw bytes, complex numbers.
    Other(&'static str),
}

/// Everything in a file.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) root: Object,
    /// What is in each environment.
    pub(super) environments: Vec<Vec<(Text, Object)>>,
}

impl From<Value> for Object {
    fn from(value: Value) -> Self {
        Self { value, attributes: Vec::new() }
    }
}

/// What a slot holds instead of NULL, which an attribute cannot be.
const NULL_SLOT: &str = "\u{1}NULL\u{1}";

impl Object {
    /// An attribute or a slot, unless it is NULL.
    pub(super) fn slot(&self, name: &str) -> Option<&Object> {
        let found = self.attributes.iter().find(|(n, _)| &**n == name).map(|(_, object)| object)?;
        match &found.value {
            Value::Null => None,
            Value::Symbol(symbol) if &**symbol == NULL_SLOT => None,
            _ => Some(found),
        }
    }

    /// The classes it is of, the most special first; empty for a plain vector.
    pub(super) fn classes(&self) -> impl Iterator<Item = &str> {
        self.slot("class").and_then(Object::strings).unwrap_or_default().iter().filter_map(|s| s.as_deref())
    }

    pub(super) fn is_a(&self, class: &str) -> bool {
        self.classes().any(|c| c == class)
    }

    /// Its class, or what it is, for messages.
    pub(super) fn describe(&self) -> String {
        match self.classes().next() {
            Some(class) => format!("a {class}"),
            None if self.slot("dim").is_some() => "a matrix".to_owned(),
            None => self.value.describe().to_owned(),
        }
    }

    pub(super) fn strings(&self) -> Option<&[Str]> {
        match &self.value {
            Value::Strings(v) => Some(v),
            _ => None,
        }
    }

    /// Whole numbers: integers and logicals as they are.
    pub(super) fn integers(&self) -> Option<&[i32]> {
        match &self.value {
            Value::Integer(v) | Value::Logical(v) => Some(v),
            _ => None,
        }
    }

    pub(super) fn list(&self) -> Option<&[Object]> {
        match &self.value {
            Value::List(v) => Some(v),
            _ => None,
        }
    }

    /// The only string of a vector of one.
    pub(super) fn string(&self) -> Option<&str> {
        match self.strings() {
            Some([Some(only)]) => Some(only),
            _ => None,
        }
    }

    /// The names of the elements of a list; an element without a name has an empty one.
    pub(super) fn names(&self) -> Vec<&str> {
        let n = self.list().map_or(0, <[Object]>::len);
        let named = self.slot("names").and_then(Object::strings).unwrap_or_default();
        (0..n).map(|i| named.get(i).and_then(|s| s.as_deref()).unwrap_or_default()).collect()
    }

    /// The elements of a list with their names.
    pub(super) fn members(&self) -> impl Iterator<Item = (&str, &Object)> {
        self.names().into_iter().zip(self.list().unwrap_or_default())
    }

    /// The element of a list that has this name.
    pub(super) fn member(&self, name: &str) -> Option<&Object> {
        self.members().find(|(n, _)| *n == name).map(|(_, object)| object)
    }

    /// Number of values of a vector.
    pub(super) fn len(&self) -> usize {
        match &self.value {
            Value::Logical(v) | Value::Integer(v) => v.len(),
            Value::Real(v) => v.len(),
            Value::Strings(v) => v.len(),
            Value::List(v) => v.len(),
            Value::Pairs(v) => v.len(),
            _ => 0,
        }
    }
}

impl Value {
    fn describe(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Logical(_) => "a logical vector",
            Self::Integer(_) => "an integer vector",
            Self::Real(_) => "a numeric vector",
            Self::Strings(_) => "a character vector",
            Self::List(_) => "a list",
            Self::Pairs(_) => "a pairlist",
            Self::Symbol(_) => "a symbol",
            Self::Environment(_) => "an environment",
            Self::S4 => "an S4 object",
            Self::Other(what) => what,
        }
    }
}
