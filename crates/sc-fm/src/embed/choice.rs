use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::models::Layer;

/// What stands for a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Mode {
    /// The mean over the genes, special tokens left out: `cell`.
    Cell,
    /// The state of `<cls>`: `cls`.
    Cls,
    /// scFoundation's four poolings side by side: `all`.
    All,
    /// scFoundation's maximum over all tokens: `max`.
    Max,
}

/// The names of the modes.
const MODES: [(Mode, &str); 4] =
    [(Mode::Cell, "cell"), (Mode::Cls, "cls"), (Mode::All, "all"), (Mode::Max, "max")];

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, name) = MODES.iter().find(|(mode, _)| mode == self).expect("every mode has a name");
        f.write_str(name)
    }
}

impl FromStr for Mode {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let mode = MODES.iter().find(|(_, known)| *known == name).map(|(mode, _)| *mode);
        mode.ok_or_else(|| Error::Name {
            what: "mode",
            found: name.to_owned(),
            expected: "cell, cls, all or max",
        })
    }
}

/// `last`, `second_to_last`, or the number of layers gone through.
impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last => f.write_str("last"),
            Self::SecondToLast => f.write_str("second_to_last"),
            Self::Index(depth) => write!(f, "{depth}"),
        }
    }
}

/// From what [`Display`](fmt::Display) writes.
impl FromStr for Layer {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "last" => Ok(Self::Last),
            "second_to_last" => Ok(Self::SecondToLast),
            _ => name.parse().map(Self::Index).map_err(|_| Error::Name {
                what: "layer",
                found: name.to_owned(),
                expected: "last, second_to_last or a number from 0 on",
            }),
        }
    }
}

/// What an embedding is of: decided for every model, whether it was asked for or is the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What stands for a cell.
    pub mode: Mode,
    /// The layer whose states are taken.
    pub layer: Layer,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for (mode, name) in MODES {
            assert_eq!((mode.to_string().as_str(), name.parse::<Mode>().unwrap()), (name, mode));
        }
        for layer in [Layer::Last, Layer::SecondToLast, Layer::Index(3)] {
            assert_eq!(layer.to_string().parse::<Layer>().unwrap(), layer);
        }
    }

    #[test]
    fn other_names_are_told_the_known_ones() {
        let error = "mean".parse::<Mode>().unwrap_err();
        assert_eq!(error.to_string(), "\"mean\" is no mode, expected cell, cls, all or max");
        let error = "-1".parse::<Layer>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"-1\" is no layer, expected last, second_to_last or a number from 0 on"
        );
        assert!(error.help().unwrap().contains("second_to_last"));
    }
}
