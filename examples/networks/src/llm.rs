//! Language models that name cells, beside baselines: tasks, models, what they answered, the report.

mod args;
mod asking;
mod baselines;
mod clusters;
pub(crate) mod markers;
mod models;
mod records;
mod report;
mod scores;
mod servers;
mod small;
mod study;
mod tasks;

pub use args::LlmArgs;
pub use study::run;
