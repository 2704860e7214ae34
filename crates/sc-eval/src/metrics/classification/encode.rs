//! Class indices from the label names of any tool.

use std::collections::BTreeMap;

use super::{ConfusionMatrix, MAX_CLASSES, confusion_matrix};
use crate::{Error, Result};

/// True and predicted labels as indices into one list of classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedPair {
    classes: Vec<String>,
    truth: Vec<u32>,
    predicted: Vec<u32>,
}

/// Encodes true and predicted label names over the sorted union of both.
///
/// Unlike [`crate::Labels`] it takes labels that are all the same, and predictions that are no true label: what an
/// annotation tool may well return. Names are compared as they are, letter case and spaces included.
///
/// # Errors
/// [`Error::Empty`], [`Error::Length`]; [`Error::Parameter`] above [`MAX_CLASSES`] different names.
///
/// ```
/// use sc_eval::metrics::classification::encode;
///
/// let pair = encode(&["NK", "B"], &["T", "B"])?;
/// assert_eq!(pair.classes(), ["B", "NK", "T"]);
/// assert_eq!(pair.confusion_matrix().accuracy(), 0.5);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn encode<T: AsRef<str>, P: AsRef<str>>(truth: &[T], predicted: &[P]) -> Result<EncodedPair> {
    if truth.is_empty() {
        return Err(Error::Empty { what: "truth" });
    }
    if predicted.len() != truth.len() {
        return Err(Error::Length { what: "predicted", found: predicted.len(), expected: truth.len() });
    }
    let names = truth.iter().map(AsRef::as_ref).chain(predicted.iter().map(AsRef::as_ref));
    let mut index: BTreeMap<&str, u32> = names.map(|name| (name, 0)).collect();
    if index.len() > MAX_CLASSES {
        let expected = "at most 16384 different labels";
        return Err(Error::Parameter { name: "labels", value: index.len().to_string(), expected });
    }
    for (code, value) in index.values_mut().enumerate() {
        *value = code as u32;
    }
    Ok(EncodedPair {
        classes: index.keys().map(|&name| name.to_owned()).collect(),
        truth: truth.iter().map(|name| index[name.as_ref()]).collect(),
        predicted: predicted.iter().map(|name| index[name.as_ref()]).collect(),
    })
}

impl EncodedPair {
    /// Label names, sorted by byte order; the union of true and predicted ones.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Index of each cell's true label.
    pub fn truth(&self) -> &[u32] {
        &self.truth
    }

    /// Index of each cell's predicted label.
    pub fn predicted(&self) -> &[u32] {
        &self.predicted
    }

    /// The counts that the metrics are computed from.
    pub fn confusion_matrix(&self) -> ConfusionMatrix {
        confusion_matrix(&self.truth, &self.predicted, self.classes.len())
            .expect("lengths, indices and the number of classes were checked in `encode`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_the_sorted_union() {
        let pair = encode(&["b", "a", "b"], &[String::from("c"), "a".into(), "a".into()]).unwrap();
        assert_eq!(pair.classes(), ["a", "b", "c"]);
        assert_eq!((pair.truth(), pair.predicted()), (&[1, 0, 1][..], &[2, 0, 0][..]));
    }

    #[test]
    fn one_label_everywhere_is_fine_but_no_label_is_not() {
        assert_eq!(encode(&["a"], &["a"]).unwrap().confusion_matrix().accuracy(), 1.0);
        assert!(encode::<&str, &str>(&[], &[]).is_err());
        assert!(encode(&["a", "b"], &["a"]).is_err());
        let many: Vec<String> = (0..=MAX_CLASSES).map(|i| i.to_string()).collect();
        assert!(encode(&many, &many).is_err());
    }
}
