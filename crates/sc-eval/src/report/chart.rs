//! Drawings of the page as inline SVG: shapes with classes, which the style sheet colours by day, by night and on
//! paper.

mod bars;
mod curves;
mod reliability;
mod scale;
mod svg;

pub(super) use bars::bars;
pub(super) use curves::{curves, line_class};
pub(super) use reliability::reliability;
