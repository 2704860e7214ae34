//! Pictures of a report, as PNG.
//!
//! Each figure lays its own shapes out and has kuva's rasteriser draw them, with the font that kuva carries: no system
//! font takes part, and the same numbers give the same bytes. kuva's ready-made plots are not used: their legends and
//! margins do not know thirty cell types with long names.

mod canvas;
mod confusion;
mod intervals;
mod names;
pub(super) mod palette;
pub(super) mod text;
mod umap;

pub(super) use confusion::confusion;
pub(super) use intervals::{Bar, intervals, range, ticks};
pub(super) use umap::{Entry, Map, MapFigure, umap_errors, umap_labels, umap_misses};
