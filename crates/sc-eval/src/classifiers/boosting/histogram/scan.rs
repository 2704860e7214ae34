//! One block of columns: rows into a histogram, and its largest gain.

use super::{BINS, Bin, Found};
use crate::classifiers::binned::{LANES, Packed};
use crate::classifiers::boosting::search::Node;

/// Rows that are sorted faster than a histogram is looked through.
pub(super) const VERY_FEW: usize = 48;

/// Adds rows to a histogram, or takes them off.
#[inline(always)]
pub(super) fn add<const OFF: bool>(
    histogram: &mut [Bin],
    bins: &[[u8; LANES]],
    rows: &[u32],
    gathered: &[[f64; 2]],
) {
    let sign = if OFF { -1.0 } else { 1.0 };
    for (&r, &[first, second]) in rows.iter().zip(gathered) {
        let line = bins[r as usize];
        for lane in 0..LANES {
            let bin = &mut histogram[usize::from(line[lane])];
            bin[2 * lane] += sign * first;
            bin[2 * lane + 1] += sign * second;
        }
    }
}

/// As [`best`], for so few rows that most bins are empty: it looks at the others only.
#[inline(always)]
pub(super) fn best_of_few(
    packed: &Packed,
    block: usize,
    columns: Option<&[bool]>,
    rows: &[u32],
    gathered: &[[f64; 2]],
    node: &Node<'_>,
    floor: f32,
) -> Option<Found> {
    let bins = packed.block(block);
    let mut lines = [[0u8; LANES]; VERY_FEW];
    lines.iter_mut().zip(rows).for_each(|(line, &r)| *line = bins[r as usize]);
    let lines = &lines[..rows.len()];
    let mut found: Option<Found> = None;
    for (lane, column) in packed.columns(block).enumerate() {
        if columns.is_some_and(|columns| !columns[column]) {
            continue;
        }
        let at = |line: &[u8; LANES]| (usize::from(line[lane] / 64), line[lane] % 64);
        let mut occupied = [0u64; BINS / 64];
        for line in lines {
            let (word, bit) = at(line);
            occupied[word] |= 1 << bit;
        }
        // Occupied bins below those of each word.
        let mut below = [0; BINS / 64];
        for word in 1..below.len() {
            below[word] = below[word - 1] + occupied[word - 1].count_ones() as usize;
        }
        let [mut first, mut second] = [[0.0; VERY_FEW]; 2];
        for (line, &[a, b]) in lines.iter().zip(gathered) {
            let (word, bit) = at(line);
            let rank = below[word] + (occupied[word] & ((1 << bit) - 1)).count_ones() as usize;
            first[rank] += a;
            second[rank] += b;
        }
        for rank in 1..rows.len() {
            first[rank] += first[rank - 1];
            second[rank] += second[rank - 1];
        }
        let mut gains = [f32::NEG_INFINITY; VERY_FEW];
        node.gains(&first[..rows.len()], &second[..rows.len()], &mut gains);
        for (rank, &gain) in gains.iter().enumerate() {
            if gain > found.map_or(floor, |found| found.gain) {
                let bin = nth(&occupied, rank);
                found = Some(Found { gain, column, bin });
            }
        }
    }
    found
}

/// The place of the bit that has `n` below it.
fn nth(bits: &[u64; BINS / 64], mut n: usize) -> usize {
    for (word, &bits) in bits.iter().enumerate() {
        let mut left = bits;
        while left != 0 {
            if n == 0 {
                return 64 * word + left.trailing_zeros() as usize;
            }
            left &= left - 1;
            n -= 1;
        }
    }
    BINS - 1
}

/// Bins whose gains are worked out together, if one of them may be the largest.
const CHUNK: usize = 16;

/// The largest gain of a block above `floor`, which is at least 0; of equals the first column's, and its lowest bin's.
#[inline(always)]
pub(super) fn best(
    packed: &Packed,
    block: usize,
    columns: Option<&[bool]>,
    histogram: &[Bin],
    node: &Node<'_>,
    floor: f32,
) -> Option<Found> {
    let split = node.split();
    let mut found: Option<Found> = None;
    let mut sums: Bin = [0.0; 2 * LANES];
    for (chunk, histogram) in histogram.chunks(CHUNK).enumerate() {
        // Not a number is never heavy enough.
        let mut up_to = [[f64::NAN; 2 * LANES]; CHUNK];
        for (up_to, bin) in up_to.iter_mut().zip(histogram) {
            for (sum, value) in sums.iter_mut().zip(bin) {
                *sum += value;
            }
            *up_to = sums;
        }
        let largest = found.map_or(floor, |found| found.gain);
        let least = split.least(largest);
        let pairs = up_to.as_flattened();
        let mut any = false;
        for pair in pairs.chunks_exact(2) {
            any |= split.reaches(least, pair[0], pair[1]);
        }
        if !any {
            continue;
        }
        let mut gains = [0f32; CHUNK * LANES];
        for (gain, pair) in gains.iter_mut().zip(pairs.chunks_exact(2)) {
            *gain = split.gain(pair[0], pair[1]);
        }
        for (lane, column) in packed.columns(block).enumerate() {
            if columns.is_some_and(|columns| !columns[column]) {
                continue;
            }
            for at in 0..histogram.len() {
                let gain = gains[at * LANES + lane];
                // Bins come in order, but not columns.
                let better = match found {
                    None => gain > floor,
                    Some(found) => gain > found.gain || (gain == found.gain && column < found.column),
                };
                if better {
                    found = Some(Found { gain, column, bin: chunk * CHUNK + at });
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Features;
    use crate::classifiers::binned::dense;
    use crate::classifiers::boosting::search::{Rules, Sums};

    #[test]
    fn few_rows_have_the_gain_of_their_histogram() {
        let rules = Rules {
            max_depth: 3,
            lightest: 2.0,
            lambda: 1.0,
            alpha: 0.1,
            gain_above: 0.0,
            gain_at_least: 0.0,
        };
        let mut n_found = 0;
        for n_values in [2, 5, 300] {
            let x = ndarray::Array2::from_shape_fn((400, 6), |(i, j)| {
                ((i * 31 + i * i * j) / 3 % n_values) as f32
            });
            let packed: Packed = dense(&Features::dense(x.view()).unwrap(), 256);
            let rows: Vec<u32> = (0..VERY_FEW as u32).map(|i| i * 8).collect();
            // Eighths and their sums are exact.
            let gathered: Vec<[f64; 2]> = rows
                .iter()
                .map(|&r| [f64::from(r * 7 % 17) / 8.0 - 1.0, f64::from(1 + r % 5) / 8.0])
                .collect();
            let sum = |k: usize| gathered.iter().map(|pair| pair[k]).sum();
            let node = Node::new(Sums { first: sum(0), second: sum(1) }, &rules);
            for columns in [None, Some(&[true, false, true, true, false, true][..])] {
                for block in 0..packed.n_blocks() {
                    let mut histogram = [[0.0; 2 * LANES]; BINS];
                    add::<false>(&mut histogram, packed.block(block), &rows, &gathered);
                    let n_bins = packed.n_bins(block);
                    let of_all = best(&packed, block, columns, &histogram[..n_bins], &node, 0.0);
                    let of_few = best_of_few(&packed, block, columns, &rows, &gathered, &node, 0.0);
                    let parts = |found: Found| (found.gain, found.column, found.bin);
                    assert_eq!(of_all.map(parts), of_few.map(parts));
                    if let Some(Found { gain, column, .. }) = of_all {
                        n_found += 1;
                        assert!(columns.is_none_or(|columns| columns[column]));
                        let above = best(&packed, block, columns, &histogram[..n_bins], &node, gain);
                        assert!(above.is_none());
                    }
                    add::<true>(&mut histogram, packed.block(block), &rows, &gathered);
                    assert!(histogram.iter().flatten().all(|&sum| sum == 0.0));
                }
            }
        }
        assert!(n_found >= 8, "only {n_found} splits");
    }
}
