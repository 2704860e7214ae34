//! Markup of a drawing. Every text passes through [`escape`]; class names are this program's own.

use std::fmt::Write;

/// A drawing that grows shape by shape.
pub(super) struct Svg {
    out: String,
}

/// Where a text is held.
#[derive(Clone, Copy)]
pub(super) enum Hold {
    Middle,
    End,
}

impl Svg {
    /// An empty drawing of a size, with its description for those who do not see it.
    pub(super) fn new((width, height): (f64, f64), label: &str) -> Self {
        let label = escape(label);
        let out = format!(
            "<svg class=\"chart\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{label}\">"
        );
        Self { out }
    }

    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.put(format_args!(
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"></line>"
        ));
    }

    pub(super) fn rect(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64), title: &str) {
        self.put(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\">"
        ));
        self.title(title);
        self.out.push_str("</rect>");
    }

    pub(super) fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64, title: &str) {
        self.put(format_args!("<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\">"));
        self.title(title);
        self.out.push_str("</circle>");
    }

    /// Points joined by straight lines; one point alone draws nothing.
    pub(super) fn path(&mut self, class: &str, points: &[(f64, f64)], closed: bool) {
        if points.len() < 2 {
            return;
        }
        self.put(format_args!("<path class=\"{class}\" d=\""));
        for (i, (x, y)) in points.iter().enumerate() {
            self.put(format_args!("{}{x:.1} {y:.1}", if i == 0 { 'M' } else { 'L' }));
        }
        self.out.push_str(if closed { "Z\"></path>" } else { "\"></path>" });
    }

    pub(super) fn text(&mut self, (x, y): (f64, f64), hold: Hold, text: &str) {
        let anchor = match hold {
            Hold::Middle => "middle",
            Hold::End => "end",
        };
        let text = escape(text);
        self.put(format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"));
    }

    /// A text that reads from below to above.
    pub(super) fn upright(&mut self, (x, y): (f64, f64), text: &str) {
        let text = escape(text);
        self.put(format_args!(
            "<text transform=\"translate({x:.1} {y:.1}) rotate(-90)\" text-anchor=\"middle\">{text}</text>"
        ));
    }

    pub(super) fn finish(mut self) -> String {
        self.out.push_str("</svg>");
        self.out
    }

    fn title(&mut self, title: &str) {
        if !title.is_empty() {
            self.put(format_args!("<title>{}</title>", escape(title)));
        }
    }

    fn put(&mut self, markup: std::fmt::Arguments<'_>) {
        self.out.write_fmt(markup).expect("memory takes every write");
    }
}

/// A text that is no markup, neither between tags nor in a quoted attribute.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_its_element_or_its_attribute() {
        let mut svg = Svg::new((10.0, 10.0), "\"><script>");
        svg.text((0.0, 0.0), Hold::End, "</text><script>alert('1')</script>");
        svg.dot("x", (1.0, 1.0), 1.0, "</title><b>");
        let markup = svg.finish();
        assert!(!markup.contains("<script") && !markup.contains("<b>"), "{markup}");
        assert!(markup.contains("aria-label=\"&quot;&gt;&lt;script&gt;\""));
        assert_eq!(markup.matches('"').count() % 2, 0);
    }
}
