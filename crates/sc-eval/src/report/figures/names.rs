//! Names of classes on a map, each where it hides the least.

use super::text::{fit, width};
use super::umap::SIDE;

/// Classes that get a name, the largest ones: more would cover the map.
const MOST: usize = 60;

/// A name on the map.
pub(super) struct Name {
    /// The middle of its base line.
    pub(super) place: (f64, f64),
    pub(super) text: String,
    pub(super) size: u32,
    /// Whose name it is.
    pub(super) class: usize,
}

/// Left, top, right, bottom.
type Area = [f64; 4];

/// Places names beside or on their classes, those of large classes first.
///
/// Of the middle of a class and the four sides of it, a name takes the one where it lies over the fewest cells,
/// cells of other classes counting more; it takes none where it would touch another name or leave the map.
pub(super) fn names(places: &[Option<(f64, f64)>], classes: &[String], codes: &[u32]) -> Vec<Name> {
    let mut members: Vec<Vec<(f64, f64)>> = vec![Vec::new(); classes.len()];
    for (place, &code) in places.iter().zip(codes) {
        members[code as usize].extend(*place);
    }
    let mut by_size: Vec<usize> = (0..classes.len()).filter(|&class| !members[class].is_empty()).collect();
    by_size.sort_by_key(|&class| (std::cmp::Reverse(members[class].len()), class));
    let size = if by_size.len() > 20 { 11 } else { 13 };
    let mut taken: Vec<Area> = Vec::new();
    let mut names = Vec::new();
    for class in by_size.into_iter().take(MOST) {
        let text = fit(&classes[class], size, 180.0);
        // Names are bold, which is wider by an eighth.
        let half = width(&text, size) * 0.5625 + 3.0;
        let free = |area: &Area| {
            let apart = |b: &Area| area[2] < b[0] || b[2] < area[0] || area[3] < b[1] || b[3] < area[1];
            area[0] >= 0.0 && area[1] >= 0.0 && area[2] <= SIDE && area[3] <= SIDE && taken.iter().all(apart)
        };
        let mut best: Option<(f64, (f64, f64), Area)> = None;
        for (rank, place) in candidates(&members[class], half).into_iter().enumerate() {
            let area = [place.0 - half, place.1 - f64::from(size) - 1.0, place.0 + half, place.1 + 5.0];
            if !free(&area) {
                continue;
            }
            let cost = hidden(&members, class, &area) + rank as f64 * 0.1;
            if best.as_ref().is_none_or(|(least, ..)| cost < *least) {
                best = Some((cost, place, area));
            }
        }
        if let Some((_, place, area)) = best {
            taken.push(area);
            names.push(Name { place, text, size, class });
        }
    }
    names
}

/// Base-line middles of a name above, below, right and left of a class, and in its middle.
fn candidates(members: &[(f64, f64)], half: f64) -> [(f64, f64); 5] {
    let (mut xs, mut ys): (Vec<f64>, Vec<f64>) = members.iter().copied().unzip();
    xs.sort_by(f64::total_cmp);
    ys.sort_by(f64::total_cmp);
    let quantile = |values: &[f64], q: f64| values[((values.len() - 1) as f64 * q).round() as usize];
    let (x, y) = (quantile(&xs, 0.5), quantile(&ys, 0.5));
    let near = |x: f64| x.clamp(half.min(SIDE / 2.0), (SIDE - half).max(SIDE / 2.0));
    [
        (near(x), quantile(&ys, 0.02) - 9.0),
        (near(x), quantile(&ys, 0.98) + 19.0),
        (quantile(&xs, 0.98) + half + 6.0, y + 5.0),
        (quantile(&xs, 0.02) - half - 6.0, y + 5.0),
        (near(x), y + 5.0),
    ]
}

/// How much an area hides: a cell of its own class counts less than another's, unless the class has few.
fn hidden(members: &[Vec<(f64, f64)>], class: usize, area: &Area) -> f64 {
    let inside = |&&(x, y): &&(f64, f64)| area[0] <= x && x <= area[2] && area[1] <= y && y <= area[3];
    let count = |class: usize| members[class].iter().filter(inside).count() as f64;
    let own = count(class);
    let others: f64 = (0..members.len()).filter(|&other| other != class).map(count).sum();
    others + own * 0.3 + own / members[class].len() as f64 * 40.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_neither_overlap_nor_leave_the_map() {
        let places: Vec<_> =
            (0..400).map(|i| Some((f64::from(i / 10) * 14.0, f64::from(i / 10) * 14.0))).collect();
        let classes: Vec<String> = (0..40).map(|i| format!("cell type number {i}")).collect();
        let codes: Vec<u32> = (0..400).map(|i| i / 10).collect();
        let names = names(&places, &classes, &codes);
        assert!(names.len() > 10, "{}", names.len());
        let half = width("cell type number", 11) / 2.0;
        for (i, a) in names.iter().enumerate() {
            assert!((half..=SIDE - half).contains(&a.place.0) && (12.0..=SIDE).contains(&a.place.1));
            let apart =
                |b: &Name| (a.place.1 - b.place.1).abs() > 12.0 || (a.place.0 - b.place.0).abs() > 2.0 * half;
            assert!(names[..i].iter().all(apart));
        }
    }

    #[test]
    fn a_name_goes_where_the_map_is_empty() {
        // One class with another right above it: its name goes below.
        let places: Vec<_> =
            (0..200).map(|i| Some((200.0 + f64::from(i % 10), 300.0 - f64::from(i / 100) * 12.0))).collect();
        let codes: Vec<u32> = (0..200).map(|i| i / 100).collect();
        let names = names(&places, &["low".to_owned(), "high".to_owned()], &codes);
        assert!(names[0].text == "low" && names[0].place.1 > 310.0);
        assert!(names[1].text == "high" && names[1].place.1 < 290.0);
    }
}
