//! What the programs share: reading labelled cells, the features of a fold, progress, and how a program ends.

pub mod cells;
pub mod end;
pub mod fold;
pub mod genes;
pub mod map;
pub mod ontology;
pub mod progress;
pub mod run;
pub mod tissues;
