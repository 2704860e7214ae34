//! Shapes in a list, drawn by kuva's rasteriser.

use kuva::backend::raster::RasterBackend;
use kuva::render::color::Color;
use kuva::render::render::{Primitive, Scene, TextAnchor, TextSpan};

use super::palette::Rgb;
use super::text;

/// Pixels per unit of length: sharp on a dense screen, and 200 dots per inch on a page 4.8 inches wide.
const SCALE: f32 = 2.0;

/// On which side of its point a text lies.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl From<Anchor> for TextAnchor {
    fn from(anchor: Anchor) -> Self {
        match anchor {
            Anchor::Start => Self::Start,
            Anchor::Middle => Self::Middle,
            Anchor::End => Self::End,
        }
    }
}

/// A picture that is being drawn; later shapes lie over earlier ones.
pub(super) struct Canvas {
    scene: Scene,
}

impl Canvas {
    /// A white picture.
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self { scene: Scene::new(width.ceil(), height.ceil()) }
    }

    pub(super) fn rect(&mut self, (x, y): (f64, f64), width: f64, height: f64, fill: Rgb) {
        let fill = color(fill);
        self.scene.add(Primitive::Rect {
            x,
            y,
            width,
            height,
            fill,
            stroke: None,
            stroke_width: None,
            opacity: None,
        });
    }

    pub(super) fn line(
        &mut self,
        from: (f64, f64),
        to: (f64, f64),
        width: f64,
        stroke: Rgb,
        dashes: Option<&str>,
    ) {
        self.scene.add(Primitive::Line {
            x1: from.0,
            y1: from.1,
            x2: to.0,
            y2: to.1,
            stroke: color(stroke),
            stroke_width: width,
            stroke_dasharray: dashes.map(str::to_owned),
        });
    }

    pub(super) fn dot(&mut self, (cx, cy): (f64, f64), r: f64, fill: Rgb, opacity: f64) {
        let fill_opacity = Some(opacity);
        self.scene.add(Primitive::Circle {
            cx,
            cy,
            r,
            fill: color(fill),
            fill_opacity,
            stroke: None,
            stroke_width: None,
        });
    }

    pub(super) fn text(&mut self, at: (f64, f64), content: &str, size: u32, anchor: Anchor, ink: Rgb) {
        self.span(at, content, size, anchor, ink, false);
    }

    pub(super) fn bold(&mut self, at: (f64, f64), content: &str, size: u32, anchor: Anchor, ink: Rgb) {
        self.span(at, content, size, anchor, ink, true);
    }

    /// Bold text in a white outline, to be read over dots.
    pub(super) fn outlined(&mut self, (x, y): (f64, f64), content: &str, size: u32, ink: Rgb) {
        for (dx, dy) in [
            (-1.5, 0.0),
            (1.5, 0.0),
            (0.0, -1.5),
            (0.0, 1.5),
            (-1.0, -1.0),
            (1.0, -1.0),
            (-1.0, 1.0),
            (1.0, 1.0),
        ] {
            self.bold((x + dx, y + dy), content, size, Anchor::Middle, [255; 3]);
        }
        self.bold((x, y), content, size, Anchor::Middle, ink);
    }

    /// Text turned by degrees, clockwise, about its point.
    pub(super) fn turned(
        &mut self,
        (x, y): (f64, f64),
        content: &str,
        size: u32,
        degrees: f64,
        anchor: Anchor,
    ) {
        // This shape of kuva's reads formulas between dollar signs, unless they are escaped.
        let content = content.replace('$', "\\$");
        self.scene.add(Primitive::Text {
            x,
            y,
            content,
            size,
            anchor: anchor.into(),
            rotate: Some(degrees),
            bold: false,
            color: Some(color(super::palette::TURNED)),
        });
    }

    fn span(&mut self, (x, y): (f64, f64), content: &str, size: u32, anchor: Anchor, ink: Rgb, bold: bool) {
        let mut span = TextSpan::plain(text::fit(content, size, f64::INFINITY));
        span.bold = bold;
        let color = Some(color(ink));
        self.scene.add(Primitive::RichText { x, y, spans: vec![span], size, anchor: anchor.into(), color });
    }

    /// The picture as PNG; the reason if it cannot be drawn.
    pub(super) fn png(&self) -> Result<Vec<u8>, String> {
        RasterBackend::new().with_scale(SCALE).render_scene(&self.scene)
    }
}

fn color([r, g, b]: Rgb) -> Color {
    Color::Rgb(r, g, b)
}
