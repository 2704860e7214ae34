//! What the programs share: reading labelled cells, the features of a fold, progress, and how a program ends.

pub mod cells;
pub mod clusterings;
pub mod config;
pub mod end;
pub mod facts;
pub mod fold;
pub mod genes;
pub mod integration;
pub mod map;
pub mod models;
pub mod ontology;
pub mod progress;
pub mod record;
pub mod run;
pub mod settings;
pub mod splits;
pub mod strange;
pub mod study;
pub mod subset;
pub mod tissues;
pub mod transfers;
