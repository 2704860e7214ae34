use std::fmt;

/// A cell or a gene in a message: by its name where the caller gave names, else by its index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Row (cell) or column (gene) of the matrix.
    pub index: usize,
    /// Its name, if known.
    pub name: Option<String>,
}

impl Place {
    /// Entry `index` of `names`, or the bare index where `names` is too short to hold it.
    pub fn new(index: usize, names: &[String]) -> Self {
        Self { index, name: names.get(index).cloned() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name:?}"),
            None => write!(f, "{}", self.index),
        }
    }
}
