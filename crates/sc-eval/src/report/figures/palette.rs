//! Colours of classes and of shares.

/// A colour, red, green, blue.
pub(crate) type Rgb = [u8; 3];

/// Text and axes.
pub(crate) const INK: Rgb = [31, 36, 48];
/// Text at an angle, which the rasteriser draws a little bolder.
pub(crate) const TURNED: Rgb = [62, 70, 86];
/// Secondary text.
pub(crate) const MUTED: Rgb = [95, 104, 120];
/// Grid lines and frames.
pub(crate) const RULE: Rgb = [221, 225, 232];
/// Cells that are only there for the shape of the map.
pub(crate) const GHOST: Rgb = [208, 212, 220];
/// The accent of a figure.
pub(crate) const ACCENT: Rgb = [0, 114, 178];
/// What is wrong.
pub(crate) const WRONG: Rgb = [213, 94, 0];

// The first six are Okabe and Ito's, whose black and light yellow are replaced, since dots of theirs are lost among
// the axes and on white. Each colour after the tenth is the one farthest, in OKLab, from all before it, for the
// poorest of normal, protanopic and deuteranopic sight, among colours of middle lightness and chroma.
const CLASSES: [u32; 40] = [
    0x0072B2, 0xE69F00, 0x009E73, 0xD55E00, 0xCC79A7, 0x56B4E9, 0x8C6BB1, 0xE3C900, 0x7A4A21, 0x8A9A5B,
    0x601880, 0x00E0A8, 0xB03070, 0x800038, 0x5888F8, 0x4040B0, 0x006858, 0xA0C070, 0xA8C8E0, 0xC0A098,
    0x404058, 0x887050, 0x606088, 0xA85010, 0x1898D0, 0x5868D8, 0x704090, 0x688088, 0xF090C0, 0x782000,
    0x589028, 0x18C0C0, 0xA04048, 0xE890F8, 0xC870D8, 0x882070, 0xF07058, 0x00B880, 0xF8B098, 0x00A0A8,
];

/// Colour of a class; from the forty-first on they begin again.
pub(crate) fn class(index: usize) -> Rgb {
    let [_, r, g, b] = CLASSES[index % CLASSES.len()].to_be_bytes();
    [r, g, b]
}

/// The colour of a class, light enough to be seen on a dark page.
pub(crate) fn night(index: usize) -> Rgb {
    let colour = class(index);
    let light = |part: u16| colour.map(|v| (u16::from(v) + (255 - u16::from(v)) * part / 20) as u8);
    let seen = |colour: &Rgb| {
        let [r, g, b] = colour.map(u32::from);
        2_126 * r + 7_152 * g + 722 * b >= 105 * 10_000
    };
    (0..20).map(light).find(seen).unwrap_or(colour)
}

/// The colour of a class, dark enough for text on white.
pub(crate) fn dark(index: usize) -> Rgb {
    class(index).map(|v| (u16::from(v) * 3 / 5) as u8)
}

/// Colour of a share of right answers, white (0) to blue (1).
pub(crate) fn right(share: f64) -> Rgb {
    ramp(&[[247, 250, 253], [158, 202, 225], [33, 113, 181], [8, 48, 107]], share)
}

/// Colour of a share of wrong answers, white (0) to brown (1). The square root lets a few percent be seen.
pub(crate) fn wrong(share: f64) -> Rgb {
    ramp(&[[255, 250, 245], [253, 190, 133], [217, 95, 14], [127, 39, 4]], share.max(0.0).sqrt())
}

/// Black or white, whichever can be read on a colour.
pub(crate) fn on(background: Rgb) -> Rgb {
    // Square of the sRGB value instead of its exact curve: near enough to choose between two.
    let linear = background.map(|v| (f64::from(v) / 255.0) * (f64::from(v) / 255.0));
    let luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    if luminance > 0.25 { INK } else { [255, 255, 255] }
}

fn ramp(stops: &[Rgb], share: f64) -> Rgb {
    let at = share.clamp(0.0, 1.0) * (stops.len() - 1) as f64;
    let below = (at as usize).min(stops.len() - 2);
    let part = at - below as f64;
    let mix = |i: usize| {
        let (a, b) = (f64::from(stops[below][i]), f64::from(stops[below + 1][i]));
        (a + (b - a) * part + 0.5) as u8
    };
    [mix(0), mix(1), mix(2)]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn forty_classes_have_forty_colours() {
        assert_eq!((0..40).map(class).collect::<BTreeSet<_>>().len(), 40);
        assert_eq!(class(40), class(0));
    }

    #[test]
    fn ramps_begin_light_end_dark_and_take_any_number() {
        for colour in [right, wrong] {
            assert_eq!(on(colour(0.0)), INK);
            assert_eq!(on(colour(1.0)), [255, 255, 255]);
            assert_eq!(colour(-3.0), colour(0.0));
            assert_eq!(colour(3.0), colour(1.0));
        }
    }
}
