//! Cells on a map.

use ndarray::Array2;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// Cells on a map, by label and by what models say of them.
#[derive(Clone, Debug, PartialEq)]
pub struct CellMap {
    /// Place of each cell, cells × 2. A place that is not finite is left out.
    pub coordinates: Array2<f32>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Class of each cell.
    pub codes: Vec<u32>,
    /// Name of each cell; may be empty. Above 50,000 cells the page leaves them out.
    pub names: Vec<String>,
    /// What models say of the cells; may be empty.
    pub answers: Vec<Answers>,
}

/// What a model says of the cells of a map.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// The model.
    pub name: String,
    /// Class of each cell; `None` where it was not asked.
    pub codes: Vec<Option<u32>>,
    /// How sure it is of each cell, 0 to 1; NaN where it was not asked.
    pub confidence: Option<Vec<f32>>,
}

/// The coordinates are a picture's: a program that wants them has them from where they were made.
impl Serialize for CellMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_struct("CellMap", 3)?;
        map.serialize_field("n_cells", &self.codes.len())?;
        map.serialize_field("classes", &self.classes)?;
        map.serialize_field("models", &self.answers.iter().map(|a| &a.name).collect::<Vec<_>>())?;
        map.end()
    }
}
