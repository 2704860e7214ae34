//! Whether the page can be read, by day and by night: contrast as WCAG 2 defines it.

use std::collections::BTreeMap;

/// What WCAG asks of ordinary text at level AA.
const READABLE: f64 = 4.5;

type Colours = BTreeMap<String, [u8; 3]>;

/// Custom properties that are colours, of the light page and of the dark one.
fn schemes() -> [Colours; 2] {
    let style = include_str!("../html/style.css");
    let mut blocks = style.split(":root {").skip(1).map(|block| block.split('}').next().unwrap());
    let light = colours(blocks.next().unwrap());
    let mut dark = light.clone();
    dark.extend(colours(blocks.next().unwrap()));
    [light, dark]
}

fn colours(block: &str) -> Colours {
    let declarations = block.split(';').filter_map(|declaration| declaration.split_once(':'));
    declarations.filter_map(|(name, value)| Some((name.trim().to_owned(), hex(value.trim())?))).collect()
}

fn hex(value: &str) -> Option<[u8; 3]> {
    let number = u32::from_str_radix(value.strip_prefix('#')?, 16).ok()?;
    let [_, r, g, b] = number.to_be_bytes();
    (value.len() == 7).then_some([r, g, b])
}

fn luminance(colour: [u8; 3]) -> f64 {
    let linear = colour.map(|v| {
        let v = f64::from(v) / 255.0;
        if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
}

fn contrast(a: [u8; 3], b: [u8; 3]) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn text_can_be_read_on_its_ground() {
    for scheme in schemes() {
        for (text, ground) in [
            ("--ink", "--page"),
            ("--ink", "--card"),
            ("--muted", "--page"),
            ("--muted", "--card"),
            ("--accent", "--card"),
            ("--card", "--accent"),
            ("--alert", "--card"),
        ] {
            let ratio = contrast(scheme[text], scheme[ground]);
            assert!(ratio >= READABLE, "{text} on {ground}: {ratio:.2}");
        }
    }
}

#[test]
fn numbers_can_be_read_on_every_shade() {
    for scheme in schemes() {
        for (ramp, first) in [('r', 0), ('w', 1)] {
            for level in first..=10 {
                let ground = format!("--{ramp}{level}");
                let text = if level <= 6 { "--on-light" } else { "--on-dark" };
                let ratio = contrast(scheme[text], scheme[&ground]);
                assert!(ratio >= READABLE, "{text} on {ground}: {ratio:.2}");
            }
        }
    }
}
