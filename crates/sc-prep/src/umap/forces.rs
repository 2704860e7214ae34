//! Attraction and repulsion as functions of the squared distance, from a table.

/// Squared distances covered: 2⁻³² to 2³²; outside, the nearest entry holds. Below, displacements are too small for the
/// force to matter; above, a layout never is.
const LEAST_EXPONENT: i32 = -32;
const OCTAVES: usize = 64;

/// Straight pieces in each octave, and the bits of the mantissa that number them.
const PIECE_BITS: u32 = 6;
const N_PIECES: usize = OCTAVES << PIECE_BITS;
const SHIFT: u32 = 23 - PIECE_BITS;

/// umap-learn's offset that keeps repulsion finite.
const REPULSION_OFFSET: f64 = 0.001;

/// One straight piece of both forces.
#[derive(Clone, Copy)]
struct Piece {
    attraction: f32,
    attraction_slope: f32,
    repulsion: f32,
    repulsion_slope: f32,
}

/// What a displacement is multiplied with, for attraction (towards the other cell) and repulsion (away from it).
///
/// * attraction: `2 a b r^(b-1) / (1 + a r^b)`
/// * repulsion: `2 gamma b / ((0.001 + r) (1 + a r^b))`, `r` being the squared distance.
///
/// The pieces are numbered by the leading bits of `r` as an f32, so finding one costs a shift. Linear interpolation over
/// a 64th of an octave is off by less than 3e-4 of the force on scanpy's default curve, and 1e-3 on a steep one.
pub(super) struct Forces {
    pieces: Box<[Piece; N_PIECES]>,
}

impl Forces {
    pub(super) fn new(a: f64, b: f64, gamma: f64) -> Self {
        let at = |node: usize| {
            let (octave, part) = (node >> PIECE_BITS, node & ((1 << PIECE_BITS) - 1));
            let r =
                libm::ldexp(1.0 + part as f64 / f64::from(1 << PIECE_BITS), LEAST_EXPONENT + octave as i32);
            let power = libm::pow(r, b);
            let curve = 1.0 + a * power;
            (2.0 * a * b * power / r / curve, 2.0 * gamma * b / ((REPULSION_OFFSET + r) * curve))
        };
        let mut left = at(0);
        let pieces: Vec<Piece> = (1..=N_PIECES)
            .map(|node| {
                let right = at(node);
                let piece = Piece {
                    attraction: left.0 as f32,
                    attraction_slope: (right.0 - left.0) as f32,
                    repulsion: left.1 as f32,
                    repulsion_slope: (right.1 - left.1) as f32,
                };
                left = right;
                piece
            })
            .collect();
        let Ok(pieces) = <Box<[Piece; N_PIECES]>>::try_from(pieces.into_boxed_slice()) else {
            unreachable!("one piece was made for each number")
        };
        Self { pieces }
    }

    #[inline(always)]
    fn piece(&self, r: f32) -> (Piece, f32) {
        const LEAST: u32 = ((127 + LEAST_EXPONENT) as u32) << 23;
        const MOST: u32 = LEAST + ((OCTAVES as u32) << 23) - 1;
        // Positive floats are ordered as their bits are.
        let bits = r.to_bits().clamp(LEAST, MOST) - LEAST;
        let within = (bits & ((1 << SHIFT) - 1)) as f32 * (1.0 / (1u32 << SHIFT) as f32);
        (self.pieces[(bits >> SHIFT) as usize & (N_PIECES - 1)], within)
    }

    #[inline(always)]
    pub(super) fn attraction(&self, r: f32) -> f32 {
        let (piece, within) = self.piece(r);
        piece.attraction + within * piece.attraction_slope
    }

    #[inline(always)]
    pub(super) fn repulsion(&self, r: f32) -> f32 {
        let (piece, within) = self.piece(r);
        piece.repulsion + within * piece.repulsion_slope
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_close_to_the_formula() {
        for (a, b, tolerance) in [(0.583, 1.334, 3e-4), (1.577, 0.895, 3e-4), (0.1, 3.0, 1e-3)] {
            let forces = Forces::new(a, b, 1.5);
            let mut r = 1e-7f32;
            while r < 1e7 {
                let (r64, power) = (f64::from(r), f64::from(r).powf(b));
                let attraction = 2.0 * a * b * power / r64 / (1.0 + a * power);
                let repulsion = 3.0 * b / ((0.001 + r64) * (1.0 + a * power));
                assert!(
                    (f64::from(forces.attraction(r)) / attraction - 1.0).abs() < tolerance,
                    "{a} {b} {r}"
                );
                assert!((f64::from(forces.repulsion(r)) / repulsion - 1.0).abs() < tolerance, "{a} {b} {r}");
                r *= 1.0137;
            }
        }
    }

    #[test]
    fn distances_outside_the_table_take_its_ends() {
        let forces = Forces::new(0.583, 1.334, 1.0);
        for r in [0.0, 1e-30, 1e30, f32::INFINITY, f32::NAN] {
            assert!(forces.attraction(r).is_finite() && forces.repulsion(r).is_finite());
        }
        assert_eq!(forces.repulsion(0.0), forces.repulsion(2f32.powi(-32)));
    }
}
