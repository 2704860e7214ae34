use half::f16;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::*;

fn normal(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // Sums of uniform numbers are nearly normal.
    let mut uniform = || (rng.next_u32() >> 8) as f32 / 16_777_216.0 - 0.5;
    (0..n).map(|_| (0..12).map(|_| uniform()).sum::<f32>() * 0.02).collect()
}

fn round_trip(format: BlockFormat, values: &[f32]) -> Vec<f32> {
    let mut blocks = Vec::new();
    assert!(format.quantize(values, &mut blocks));
    assert_eq!(blocks.len(), values.len() / format.values() * format.bytes());
    let mut found = vec![0.0; values.len()];
    format.dequantize(&blocks, &mut found);
    found
}

#[test]
fn eight_bits_are_within_half_a_step_and_the_rounding_of_the_scale() {
    let values = normal(32 * 500, 1);
    for (values, found) in values.chunks(32).zip(round_trip(BlockFormat::Q8_0, &values).chunks(32)) {
        let largest = values.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        // Half of a step of max/127, and half a unit of the scale's 11 bits.
        let bound = largest * (0.5 / 127.0 + 0.5 / 1024.0) * 1.001;
        assert!(values.iter().zip(found).all(|(a, b)| (a - b).abs() <= bound));
    }
}

#[test]
fn four_bits_keep_more_of_normal_values_than_even_steps_over_their_range() {
    let values = normal(256 * 40, 2);
    let found = round_trip(BlockFormat::Q4_K, &values);
    let error = |found: &[f32]| {
        let squares = |values: &mut dyn Iterator<Item = f32>| values.map(|x| f64::from(x * x)).sum::<f64>();
        let off = squares(&mut values.iter().zip(found).map(|(a, b)| a - b));
        (off / squares(&mut values.iter().copied())).sqrt()
    };
    let even: Vec<f32> = values
        .chunks(32)
        .flat_map(|part| {
            let low = part.iter().copied().fold(0.0, f32::min);
            let step = (part.iter().copied().fold(f32::MIN, f32::max) - low) / 15.0;
            part.iter().map(move |value| ((value - low) / step).round() * step + low).collect::<Vec<_>>()
        })
        .collect();
    // The even steps have scales in f32; six bits of scale cost less than the search gains.
    assert!(error(&found) < 0.075, "{}", error(&found));
    assert!(error(&found) < error(&even) * 1.02, "{} and {}", error(&found), error(&even));
}

#[test]
fn zeros_equal_values_and_tiny_values_are_kept_or_become_zero() {
    for format in [BlockFormat::Q8_0, BlockFormat::Q4_K] {
        for value in [0.0, 0.5, -0.5, 1e-38, 1e-45, -1e-45] {
            let found = round_trip(format, &vec![value; format.values()]);
            assert!(
                found.iter().all(|found| (found - value).abs() <= 0.004 * value.abs().max(1e-6)),
                "{value}"
            );
        }
    }
    for format in BlockFormat::ALL.into_iter().filter(|format| *format != format.product_format()) {
        assert!(!format.quantize(&[0.0; 256], &mut Vec::new()), "{format:?}");
    }
}

/// A block of a format whose scales are all `d`, and whose bytes count up.
fn with_scales(format: BlockFormat, d: f16) -> Vec<u8> {
    let mut block: Vec<u8> = (0..format.bytes()).map(|byte| (byte * 37 + 11) as u8).collect();
    let places: &[usize] = match format {
        BlockFormat::Q4_0 | BlockFormat::Q5_0 | BlockFormat::Q8_0 => &[0],
        BlockFormat::Q4_1 | BlockFormat::Q5_1 | BlockFormat::Q4_K | BlockFormat::Q5_K => &[0, 2],
        BlockFormat::Q2_K => &[80, 82],
        BlockFormat::Q3_K => &[108],
        BlockFormat::Q6_K => &[208],
    };
    places.iter().for_each(|&at| block[at..at + 2].copy_from_slice(&d.to_le_bytes()));
    block
}

#[test]
fn scales_of_zero_and_scales_that_are_no_numbers_come_out_as_they_are() {
    for format in BlockFormat::ALL {
        let values = |d: f16| {
            let mut values = vec![1.0; format.values()];
            format.dequantize(&with_scales(format, d), &mut values);
            values
        };
        assert!(values(f16::ZERO).iter().all(|value| *value == 0.0), "{format:?}");
        assert!(values(f16::NAN).iter().all(|value| value.is_nan()), "{format:?}");
        assert!(values(f16::INFINITY).iter().all(|value| !value.is_finite()), "{format:?}");
        assert!(values(f16::MAX).iter().all(|value| value.is_finite()), "{format:?}");
    }
}

#[test]
fn a_value_is_where_the_format_says() {
    // Each value by its place: set the bits of one, and no other changes.
    for (format, at, byte, mask, step) in [
        (BlockFormat::Q4_0, 17, 2 + 1, 0xf0, 1.0),
        (BlockFormat::Q4_1, 3, 4 + 3, 0x0f, 1.0),
        (BlockFormat::Q5_0, 30, 2 + 3, 1 << 6, 16.0),
        (BlockFormat::Q5_1, 9, 4 + 1, 1 << 1, 16.0),
    ] {
        let mut block = vec![0; format.bytes()];
        block[..2].copy_from_slice(&f16::ONE.to_le_bytes());
        let values = |block: &[u8]| {
            let mut values = vec![0.0; format.values()];
            format.dequantize(block, &mut values);
            values
        };
        let before = values(&block);
        block[byte] = mask;
        let after = values(&block);
        let changed: Vec<usize> = (0..format.values()).filter(|&at| before[at] != after[at]).collect();
        assert_eq!(changed, [at], "{format:?}");
        let most = if step == 1.0 { 15.0 } else { step };
        assert_eq!(after[at] - before[at], most, "{format:?}");
    }
}

#[test]
fn blocks_of_eight_bits_hold_the_values_of_four_and_five_without_an_offset() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    for format in BlockFormat::ALL {
        let mut blocks = vec![0; 20 * format.bytes()];
        rng.fill_bytes(&mut blocks);
        let kept = format.product_blocks(&blocks);
        let expected =
            matches!(format, BlockFormat::Q4_0 | BlockFormat::Q5_0 | BlockFormat::Q8_0 | BlockFormat::Q4_K);
        assert_eq!(kept.is_some(), expected, "{format:?}");
        let Some(kept) = kept else { continue };
        let (mut own, mut other) = (vec![0.0; 20 * format.values()], vec![0.0; 20 * format.values()]);
        format.dequantize(&blocks, &mut own);
        format.product_format().dequantize(&kept, &mut other);
        assert!(own.iter().zip(&other).all(|(a, b)| a.to_bits() == b.to_bits()), "{format:?}");
    }
}

#[test]
fn what_a_block_cannot_hold_is_nan_as_a_whole() {
    for format in [BlockFormat::Q8_0, BlockFormat::Q4_K] {
        for value in [f32::NAN, f32::INFINITY, -f32::INFINITY, f32::MAX, 1e8] {
            let mut values = vec![0.25; 2 * format.values()];
            values[5] = value;
            let found = round_trip(format, &values);
            assert!(found[..format.values()].iter().all(|found| found.is_nan()), "{format:?} {value}");
            assert!(found[format.values()..].iter().all(|found| (found - 0.25).abs() < 1e-3));
        }
    }
}

#[test]
fn any_bytes_are_a_block_and_come_back() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for _ in 0..200 {
        let (mut q8, mut q4) = ([0; 34], [0; 144]);
        rng.fill_bytes(&mut q8);
        rng.fill_bytes(&mut q4);
        assert_eq!((Q8::from_bytes(&q8).to_bytes(), Q4K::from_bytes(&q4).to_bytes()), (q8, q4));
    }
    let block =
        Q4K { d: f16::ONE.to_bits(), dmin: 0, scales: [1, 2, 3, 4, 61, 62, 63, 5], ..Q4K::new(&[0.0; 256]) };
    let again = Q4K::from_bytes(&block.to_bytes());
    assert_eq!((again.scales, again.part(6)), (block.scales, (63.0, 0.0)));
}
