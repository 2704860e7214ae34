//! Cells of another file, about which everything that was fitted on the first data set is asked as well.
//!
//! The file stays on disk and is read some rows at a time: it may be far larger than memory.

mod answers;
mod args;
mod asker;
mod comparison;
mod embedded;
mod file;
mod genes;
mod scores;
mod sections;

pub(super) use args::AwayArgs;
pub use args::AwaySettings;
pub(super) use asker::{Asker, Learnt, Question};
pub(super) use embedded::AwayEmbedded;
pub(super) use file::Away;
pub(super) use scores::score;
pub(super) use sections::Abroad;
