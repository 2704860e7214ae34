//! What can go wrong, where, and what to do about it.

mod help;
mod problem;

pub use problem::Problem;

use std::path::PathBuf;

/// What this crate's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong in reading, writing and holding annotated data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A slot does not fit its axis.
    #[error("`{slot}` has {found} {what}, but {axis} = {expected}")]
    SlotShape {
        /// The slot, such as `obsm["X_pca"]`.
        slot: String,
        /// `rows` or `columns`.
        what: &'static str,
        /// How many it has.
        found: usize,
        /// The axis it should fit: `n_obs`, `n_vars` or `raw.n_vars`.
        axis: &'static str,
        /// The length of that axis.
        expected: usize,
    },
    /// A slot that was asked for is not there.
    #[error("`{group}[{name:?}]` does not exist; there {}", list(known))]
    NoSlot {
        /// The group of slots, such as `layers`.
        group: &'static str,
        /// The name that was asked for.
        name: String,
        /// The names that are there.
        known: Vec<String>,
    },
    /// A column is not as long as its table.
    #[error("column {column:?} has {found} values, but the table has {expected} rows")]
    ColumnLength {
        /// The column.
        column: String,
        /// Number of values.
        found: usize,
        /// Number of rows.
        expected: usize,
    },
    /// A column that was asked for is not there.
    #[error("no column {column:?}{}; there {}", did_you_mean(nearest), list(columns))]
    NoColumn {
        /// The name that was asked for.
        column: String,
        /// The column whose name is nearest, if one is near.
        nearest: Option<String>,
        /// The columns that are there.
        columns: Vec<String>,
    },
    /// Two columns, or a column and the index, would have the same name.
    #[error("the name {column:?} is used twice in one table")]
    DuplicateColumn {
        /// The name.
        column: String,
    },
    /// A code points outside the categories.
    #[error("row {row} has category code {code}, but there are {n_categories} categories (-1 means none)")]
    CategoryCode {
        /// The row.
        row: usize,
        /// Its code.
        code: i32,
        /// Number of categories.
        n_categories: usize,
    },
    /// The same category is listed twice.
    #[error("category {category:?} is listed twice")]
    DuplicateCategory {
        /// The category.
        category: String,
    },
    /// A column of real numbers was asked for labels.
    #[error("{} holds {kind}, not labels", column_or_this(column))]
    NotLabels {
        /// The column, where its name is known.
        column: Option<String>,
        /// What it holds.
        kind: &'static str,
    },
    /// A column of text was asked for numbers.
    #[error("the column holds {kind}, not numbers")]
    NotNumbers {
        /// What it holds.
        kind: &'static str,
    },
    /// An index that was asked for lies outside its axis.
    #[error("index {index} is outside {axis} = {bound}")]
    OutOfBounds {
        /// The axis.
        axis: &'static str,
        /// The index.
        index: usize,
        /// Its length.
        bound: usize,
    },
    /// There is nothing at this path.
    #[error("{}: no such file or folder", path.display())]
    NoSuchPath {
        /// The path.
        path: PathBuf,
    },
    /// The operating system refused something.
    #[error("{}: cannot {doing}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was being done: `read`, `write`, ...
        doing: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A file is there already, and was not to be replaced.
    #[error("{}: the file exists already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file is not HDF5.
    #[error("{}: not an HDF5 file; its first bytes are {first_bytes}", path.display())]
    NotHdf5 {
        /// The file.
        path: PathBuf,
        /// The bytes it starts with, printable ones as text.
        first_bytes: String,
    },
    /// A file ends before it should.
    #[error("{}: the file is cut short: it has {found} bytes and declares {declared}", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes it should have.
        declared: u64,
        /// Bytes it has.
        found: u64,
    },
    /// A folder holds no matrix.
    #[error("{}: no matrix.mtx or matrix.mtx.gz in this folder; there {}", path.display(), list(found))]
    NotTenX {
        /// The folder.
        path: PathBuf,
        /// What is in it.
        found: Vec<String>,
    },
    /// A folder lacks one of the files that belong together.
    #[error("{}: found none of {}", path.display(), looked_for.join(", "))]
    MissingFile {
        /// The folder.
        path: PathBuf,
        /// The names that were looked for.
        looked_for: Vec<String>,
    },
    /// A file has no matrix in the slot that was asked for.
    #[error("{}: the file has no `{slot}`", path.display())]
    NoMatrix {
        /// The file.
        path: PathBuf,
        /// The slot: `X` or `raw.X`.
        slot: &'static str,
    },
    /// A slot of a file that is there already, and was not to be replaced.
    #[error("{}: `{slot}` is there already", path.display())]
    SlotTaken {
        /// The file.
        path: PathBuf,
        /// The slot, such as `obsm["X_pca"]`.
        slot: String,
    },
    /// An element of a file cannot be read.
    #[error("{}: cannot read `{element}`", path.display())]
    Element {
        /// The file.
        path: PathBuf,
        /// The element, such as `X/indptr`; `/` is the file as a whole.
        element: String,
        /// What is wrong with it.
        source: Problem,
    },
    /// A line of a text file cannot be read.
    #[error("{}: line {line}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        source: Problem,
    },
    /// A file of a format that this build does not read.
    #[error("{}: files of {format} are read with the feature {feature:?} of sc-io, which is off", path.display())]
    FeatureOff {
        /// The file.
        path: PathBuf,
        /// The format.
        format: &'static str,
        /// The feature.
        feature: &'static str,
    },
    /// A file of R cannot be read.
    #[cfg(feature = "rds")]
    #[error(transparent)]
    Rds(#[from] crate::rds::Error),
    /// An element cannot be written.
    #[error("{}: cannot write `{element}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The element.
        element: String,
        /// Why.
        source: Problem,
    },
}

/// At most this many names are listed in one message.
const LISTED: usize = 30;

pub(crate) fn list(names: &[String]) -> String {
    match names {
        [] => "is none".to_owned(),
        [one] => format!("is {one:?}"),
        many => {
            let shown: Vec<String> = many.iter().take(LISTED).map(|name| format!("{name:?}")).collect();
            let more = if many.len() > LISTED {
                format!(" and {} more", many.len() - LISTED)
            } else {
                String::new()
            };
            format!("are {}{more}", shown.join(", "))
        }
    }
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default()
}

fn column_or_this(column: &Option<String>) -> String {
    column.as_ref().map_or_else(|| "the column".to_owned(), |name| format!("column {name:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_of_names_is_cut() {
        let columns: Vec<String> = (0..100).map(|i| i.to_string()).collect();
        let text = Error::NoColumn { column: "x".into(), nearest: None, columns }.to_string();
        assert!(text.ends_with("\"29\" and 70 more"), "{text}");
        let text =
            Error::NoColumn { column: "x".into(), nearest: Some("y".into()), columns: vec!["y".into()] };
        assert_eq!(text.to_string(), "no column \"x\" (did you mean \"y\"?); there is \"y\"");
    }
}
