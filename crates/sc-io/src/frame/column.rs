//! One column of a table.

use crate::{Error, Result};

/// The code of a row without category.
pub const NO_CATEGORY: i32 = -1;

/// A column of labels stored as a list of categories and one code a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Categorical {
    codes: Vec<i32>,
    categories: Vec<String>,
    ordered: bool,
}

impl Categorical {
    /// Checks codes and categories and takes them over.
    ///
    /// * `codes`: for each row the position of its category, or [`NO_CATEGORY`].
    /// * `ordered`: whether the order of the categories means something.
    ///
    /// # Errors
    /// [`Error::CategoryCode`] for a code outside the categories, [`Error::DuplicateCategory`] for a repeated one.
    pub fn new(codes: Vec<i32>, categories: Vec<String>, ordered: bool) -> Result<Self> {
        let n_categories = categories.len();
        let outside =
            |&code: &i32| code != NO_CATEGORY && usize::try_from(code).map_or(true, |c| c >= n_categories);
        if let Some(row) = codes.iter().position(outside) {
            return Err(Error::CategoryCode { row, code: codes[row], n_categories });
        }
        let mut sorted: Vec<&String> = categories.iter().collect();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::DuplicateCategory { category: pair[0].clone() });
        }
        Ok(Self { codes, categories, ordered })
    }

    /// From one label a row: the categories are the labels that occur, sorted, as pandas sorts them.
    pub fn from_labels<S: AsRef<str>>(labels: &[Option<S>]) -> Self {
        let mut categories: Vec<&str> = labels.iter().flatten().map(AsRef::as_ref).collect();
        categories.sort_unstable();
        categories.dedup();
        let code = |label: &Option<S>| match label {
            None => NO_CATEGORY,
            Some(label) => categories
                .binary_search(&label.as_ref())
                .expect("every label was put into the categories") as i32,
        };
        let codes = labels.iter().map(code).collect();
        Self { codes, categories: categories.into_iter().map(str::to_owned).collect(), ordered: false }
    }

    /// The position of each row's category, or [`NO_CATEGORY`].
    pub fn codes(&self) -> &[i32] {
        &self.codes
    }

    /// The categories, each once. Some may not occur in any row.
    pub fn categories(&self) -> &[String] {
        &self.categories
    }

    /// Whether the order of the categories means something.
    pub fn ordered(&self) -> bool {
        self.ordered
    }

    /// The category of row `i`, `None` if it has none.
    ///
    /// # Panics
    /// If `i` is out of bounds.
    pub fn label(&self, i: usize) -> Option<&str> {
        usize::try_from(self.codes[i]).ok().map(|code| self.categories[code].as_str())
    }

    fn select(&self, rows: &[usize]) -> Self {
        Self {
            codes: rows.iter().map(|&i| self.codes[i]).collect(),
            categories: self.categories.clone(),
            ordered: self.ordered,
        }
    }
}

/// The values of one column, one a row.
///
/// Integers of any width are widened to `i64` on reading; half precision becomes `f32`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Column {
    /// Text, none missing.
    Strings(Vec<String>),
    /// Text with missing values.
    NullableStrings(Vec<Option<String>>),
    /// Labels from a list of categories; a label may be missing.
    Categorical(Categorical),
    /// Whole numbers.
    I64(Vec<i64>),
    /// Whole numbers with missing values.
    NullableI64(Vec<Option<i64>>),
    /// Real numbers, double precision; NaN is a value.
    F64(Vec<f64>),
    /// Real numbers, single precision; NaN is a value.
    F32(Vec<f32>),
    /// True or false.
    Bool(Vec<bool>),
    /// True or false with missing values.
    NullableBool(Vec<Option<bool>>),
}

impl Column {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Strings(v) => v.len(),
            Self::NullableStrings(v) => v.len(),
            Self::Categorical(c) => c.codes.len(),
            Self::I64(v) => v.len(),
            Self::NullableI64(v) => v.len(),
            Self::F64(v) => v.len(),
            Self::F32(v) => v.len(),
            Self::Bool(v) => v.len(),
            Self::NullableBool(v) => v.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What kind of column this is, in words, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Strings(_) => "strings",
            Self::NullableStrings(_) => "strings with missing values",
            Self::Categorical(_) => "categories",
            Self::I64(_) => "integers",
            Self::NullableI64(_) => "integers with missing values",
            Self::F64(_) | Self::F32(_) => "real numbers",
            Self::Bool(_) => "booleans",
            Self::NullableBool(_) => "booleans with missing values",
        }
    }

    /// One label a row, `None` where it is missing.
    ///
    /// Integers are written in decimal, booleans as `True` and `False`, as pandas writes them. Text is taken as it is:
    /// the empty string and the word `nan` are labels.
    ///
    /// # Errors
    /// [`Error::NotLabels`] for real numbers: they name no classes.
    pub fn labels(&self) -> Result<Vec<Option<String>>> {
        let word = |b: bool| if b { "True" } else { "False" }.to_owned();
        Ok(match self {
            Self::Strings(v) => v.iter().cloned().map(Some).collect(),
            Self::NullableStrings(v) => v.clone(),
            Self::Categorical(c) => (0..c.codes.len()).map(|i| c.label(i).map(str::to_owned)).collect(),
            Self::I64(v) => v.iter().map(|i| Some(i.to_string())).collect(),
            Self::NullableI64(v) => v.iter().map(|i| i.map(|i| i.to_string())).collect(),
            Self::Bool(v) => v.iter().map(|&b| Some(word(b))).collect(),
            Self::NullableBool(v) => v.iter().map(|b| b.map(word)).collect(),
            Self::F64(_) | Self::F32(_) => return Err(Error::NotLabels { column: None, kind: self.kind() }),
        })
    }

    /// One number a row, `None` where it is missing; booleans count 0 and 1.
    ///
    /// # Errors
    /// [`Error::NotNumbers`] for text and categories.
    pub fn numbers(&self) -> Result<Vec<Option<f64>>> {
        Ok(match self {
            Self::I64(v) => v.iter().map(|&i| Some(i as f64)).collect(),
            Self::NullableI64(v) => v.iter().map(|i| i.map(|i| i as f64)).collect(),
            Self::F64(v) => v.iter().copied().map(Some).collect(),
            Self::F32(v) => v.iter().map(|&x| Some(x.into())).collect(),
            Self::Bool(v) => v.iter().map(|&b| Some(u8::from(b).into())).collect(),
            Self::NullableBool(v) => v.iter().map(|b| b.map(|b| u8::from(b).into())).collect(),
            Self::Strings(_) | Self::NullableStrings(_) | Self::Categorical(_) => {
                return Err(Error::NotNumbers { kind: self.kind() });
            }
        })
    }

    /// The rows `rows`, in that order; a row may be asked for more than once. Categories are kept, used or not.
    ///
    /// # Panics
    /// If an index is out of bounds.
    pub fn select(&self, rows: &[usize]) -> Self {
        fn pick<T: Clone>(values: &[T], rows: &[usize]) -> Vec<T> {
            rows.iter().map(|&i| values[i].clone()).collect()
        }
        match self {
            Self::Strings(v) => Self::Strings(pick(v, rows)),
            Self::NullableStrings(v) => Self::NullableStrings(pick(v, rows)),
            Self::Categorical(c) => Self::Categorical(c.select(rows)),
            Self::I64(v) => Self::I64(pick(v, rows)),
            Self::NullableI64(v) => Self::NullableI64(pick(v, rows)),
            Self::F64(v) => Self::F64(pick(v, rows)),
            Self::F32(v) => Self::F32(pick(v, rows)),
            Self::Bool(v) => Self::Bool(pick(v, rows)),
            Self::NullableBool(v) => Self::NullableBool(pick(v, rows)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_become_sorted_categories_and_come_back() {
        let labels = [Some("b"), None, Some("a"), Some("b")];
        let c = Categorical::from_labels(&labels);
        assert_eq!(c.categories(), ["a", "b"]);
        assert_eq!(c.codes(), [1, -1, 0, 1]);
        let back = Column::Categorical(c).labels().unwrap();
        assert_eq!(back, labels.map(|l| l.map(str::to_owned)));
    }

    #[test]
    fn a_code_without_category_and_a_category_named_twice_are_refused() {
        let names = || vec!["a".to_owned(), "b".to_owned()];
        let e = Categorical::new(vec![0, 2], names(), false).unwrap_err();
        assert!(matches!(e, Error::CategoryCode { row: 1, code: 2, n_categories: 2 }));
        let e = Categorical::new(vec![-2], names(), false).unwrap_err();
        assert!(matches!(e, Error::CategoryCode { row: 0, code: -2, .. }));
        let twice = vec!["a".to_owned(), "a".to_owned()];
        assert!(matches!(Categorical::new(vec![0], twice, false), Err(Error::DuplicateCategory { .. })));
    }

    #[test]
    fn every_kind_of_label_is_written_as_pandas_writes_it() {
        let labels =
            |c: Column| c.labels().unwrap().into_iter().map(|l| l.unwrap_or("-".into())).collect::<Vec<_>>();
        assert_eq!(labels(Column::I64(vec![-1, 7])), ["-1", "7"]);
        assert_eq!(labels(Column::NullableI64(vec![None, Some(7)])), ["-", "7"]);
        assert_eq!(labels(Column::Bool(vec![true, false])), ["True", "False"]);
        assert_eq!(labels(Column::NullableBool(vec![None, Some(false)])), ["-", "False"]);
        assert_eq!(labels(Column::Strings(vec!["".into(), "nan".into()])), ["", "nan"]);
        assert_eq!(labels(Column::NullableStrings(vec![None])), ["-"]);
        assert!(matches!(Column::F32(vec![1.0]).labels(), Err(Error::NotLabels { .. })));
    }

    #[test]
    fn numbers_are_numbers_and_text_is_not() {
        assert_eq!(Column::Bool(vec![true]).numbers().unwrap(), [Some(1.0)]);
        assert_eq!(Column::NullableI64(vec![None, Some(3)]).numbers().unwrap(), [None, Some(3.0)]);
        assert!(matches!(Column::Strings(vec![]).numbers(), Err(Error::NotNumbers { .. })));
    }
}
