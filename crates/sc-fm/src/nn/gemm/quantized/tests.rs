//! Every kernel against plain arithmetic, to the last bit.

use half::f16;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::super::*;

/// Shapes `(rows, inputs, outputs)` around the sizes of tiles, panels and blocks.
const SHAPES: [(usize, usize, usize); 17] = [
    (1, 1, 1),
    (1, 0, 3),
    (0, 4, 5),
    (3, 4, 0),
    (1, 32, 16),
    (2, 31, 17),
    (4, 256, 33),
    (5, 33, 15),
    (12, 512, 16),
    (13, 96, 40),
    (25, 300, 47),
    (30, 768, 100),
    (61, 1024, 130),
    (100, 64, 5),
    (1, 512, 112),
    (2, 288, 130),
    (1, 4096, 135),
];

fn values(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| (rng.next_u32() >> 8) as f32 / 8_388_608.0 - 1.0).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| if value.is_nan() { f32::NAN } else { *value }.to_bits()).collect()
}

fn kernels() -> Vec<Kernel> {
    Kernel::available().into_iter().filter(|kernel| kernel.blocks().is_some()).collect()
}

fn plain(kernel: Kernel) -> Kernel {
    let first = |other: &Kernel| other.blocks() == kernel.blocks();
    kernels().into_iter().find(first).unwrap()
}

/// A row in blocks of 32: whole numbers and scales, as the documentation defines them.
fn rounded(row: &[f32]) -> Vec<([i32; 32], f32)> {
    let block = |values: &[f32]| {
        let largest = values.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        let mut quants = [0; 32];
        if largest >= 1e-30 {
            for (quant, value) in quants.iter_mut().zip(values) {
                *quant = (value * (127.0 / largest)).round_ties_even() as i32;
            }
        }
        (quants, largest / 127.0)
    };
    row.chunks(32).map(block).collect()
}

/// The bytes of a weight, rows filled up with zeros, and its format.
fn stored(w: &[f32], inputs: usize, kernel: Kernel) -> (Vec<u8>, BlockFormat) {
    let format = match inputs.is_multiple_of(256) {
        true => kernel.blocks().unwrap(),
        false => BlockFormat::Q8_0,
    };
    let mut bytes = Vec::new();
    for row in w.chunks(inputs.max(1)) {
        let mut row = row.to_vec();
        row.resize(inputs.next_multiple_of(format.values()), 0.0);
        assert!(format.quantize(&row, &mut bytes));
    }
    (bytes, format)
}

/// Whole numbers, scale and offset of block `b` of 32 inputs of a row, read from its bytes.
fn weight_block(row: &[u8], format: BlockFormat, b: usize) -> ([i32; 32], f32, f32) {
    let half = |bytes: &[u8]| f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
    if format == BlockFormat::Q8_0 {
        let block = &row[b * 34..][..34];
        return (std::array::from_fn(|l| i32::from(block[2 + l] as i8)), half(block), 0.0);
    }
    let (block, part) = (&row[b / 8 * 144..][..144], b % 8);
    let shift = 4 * (part % 2);
    let quants = std::array::from_fn(|l| i32::from(block[16 + part / 2 * 32 + l] >> shift & 15));
    // Scale and offset from values: those of two neighbouring whole numbers differ by the scale.
    let (scale, offset) = match part {
        0..4 => (block[4 + part] & 63, block[8 + part] & 63),
        _ => (block[8 + part] & 15 | block[part] >> 6 << 4, block[8 + part] >> 4 | block[4 + part] >> 6 << 4),
    };
    (quants, half(block) * f32::from(scale), half(&block[2..]) * f32::from(offset))
}

#[test]
fn every_kernel_computes_what_the_documentation_defines() {
    for kernel in kernels() {
        for (m, k, n) in SHAPES {
            let (a, w, bias, held) = (values(m * k, 1), values(n * k, 2), values(n, 3), values(m * n, 4));
            let packed = Packed::try_new(View::new(&w, n, k), kernel).unwrap();
            let mut out = held.clone();
            let epilogue = Epilogue { accumulate: true, bias: Some(&bias), relu: true };
            gemm(View::new(&a, m, k), &packed, epilogue, &mut out);
            let (bytes, format) = stored(&w, k, kernel);
            let row_bytes = bytes.len() / n.max(1);
            assert_eq!(packed.kernel().blocks(), Some(format));
            for i in 0..m {
                let row = rounded(&a[i * k..][..k]);
                for j in 0..n {
                    let weight = &bytes[j * row_bytes..][..row_bytes];
                    let mut sum = 0f32;
                    for (b, (quants, scale)) in row.iter().enumerate() {
                        let (w, d, m) = weight_block(weight, format, b);
                        let dot: i32 = quants.iter().zip(w).map(|(a, w)| a * w).sum();
                        sum = (dot as f32).mul_add(d * scale, sum);
                        if format == BlockFormat::Q4_K {
                            sum = (-m).mul_add(scale * quants.iter().sum::<i32>() as f32, sum);
                        }
                    }
                    let expected = (held[i * n + j] + sum + bias[j]).max(0.0);
                    let name = kernel.name();
                    assert_eq!(
                        out[i * n + j].to_bits(),
                        expected.to_bits(),
                        "{name} {m} {k} {n}: ({i}, {j})"
                    );
                }
            }
        }
    }
}

#[test]
fn extreme_bytes_do_not_saturate_any_kernel() {
    let (m, k, n) = (14, 256, 35);
    let a: Vec<f32> = (0..m * k).map(|at| if at / k % 2 == 0 { 1.0 } else { -1.0 }).collect();
    for kernel in kernels() {
        let format = kernel.blocks().unwrap();
        // Every byte at its largest and at its smallest; scales of 1.
        for byte in [0x80, 0x7f, 0xff, 0] {
            let mut block = vec![byte; format.bytes()];
            block[..2].copy_from_slice(&f16::ONE.to_le_bytes());
            if format == BlockFormat::Q4_K {
                block[2..4].copy_from_slice(&f16::ONE.to_le_bytes());
            }
            let blocks = block.repeat(n * k / format.values());
            let packed = Packed::from_blocks(&blocks, format, (n, k), kernel).unwrap();
            let out = gemm_vec(View::new(&a, m, k), &packed, Epilogue::default());
            let twin = Packed::from_blocks(&blocks, format, (n, k), plain(kernel)).unwrap();
            let expected = gemm_vec(View::new(&a, m, k), &twin, Epilogue::default());
            assert_eq!(bits(&out), bits(&expected), "{} {byte:#x}", kernel.name());
            let mut row = vec![0.0; k];
            packed.unpack(n - 1..n, &mut row);
            let sum = row.iter().sum::<f32>();
            assert!(
                (out[0] - sum).abs() <= 1e-5 * sum.abs(),
                "{} {byte:#x}: {} for {sum}",
                kernel.name(),
                out[0]
            );
        }
    }
}

#[test]
fn a_product_is_near_that_of_the_values() {
    let (m, k, n) = (9, 1024, 40);
    let (a, w) = (values(m * k, 1), values(n * k, 2));
    for (precision, tolerance) in [(Precision::Q8_0, 1e-3), (Precision::Q4_K, 1e-2)] {
        let packed = Packed::new(View::new(&w, n, k), Kernel::new(precision));
        let out = gemm_vec(View::new(&a, m, k), &packed, Epilogue::default());
        for (at, found) in out.iter().enumerate() {
            let pairs = a[at / n * k..][..k].iter().zip(&w[at % n * k..][..k]);
            let products = pairs.map(|(a, w)| f64::from(*a) * f64::from(*w));
            let (sum, size) = products.fold((0.0, 0.0), |(sum, size), p| (sum + p, size + p.abs()));
            let error = (f64::from(*found) - sum).abs() / size;
            assert!(error <= tolerance, "{precision:?} at {at}: {error:e}");
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads_nor_on_other_rows() {
    let (m, k, n) = (101, 512, 270);
    let (a, w, bias) = (values(m * k, 1), values(n * k, 2), values(n, 3));
    for kernel in kernels() {
        let run = |rows: std::ops::Range<usize>, threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let packed = Packed::new(View::new(&w, n, k), kernel);
                let a = View::new(&a[rows.start * k..rows.end * k], rows.len(), k);
                bits(&gemm_vec(a, &packed, Epilogue { bias: Some(&bias), ..Default::default() }))
            })
        };
        let all = run(0..m, 1);
        assert_eq!(all, run(0..m, 2), "{}", kernel.name());
        for rows in [0..1, 1..4, 50..63, 100..101] {
            assert_eq!(run(rows.clone(), 3), all[rows.start * n..rows.end * n], "{} {rows:?}", kernel.name());
        }
    }
}

#[test]
fn pieces_blocks_transposes_and_the_calling_thread_give_the_same_bits() {
    let (m, k, n) = (21, 512, 300);
    let (a, w) = (values(m * k, 1), values(n * k, 2));
    let transposed = |values: &[f32], rows: usize, columns: usize| -> Vec<f32> {
        (0..columns * rows).map(|at| values[at % rows * columns + at / rows]).collect()
    };
    let (a_t, w_t) = (transposed(&a, m, k), transposed(&w, n, k));
    for kernel in kernels() {
        let packed = Packed::new(View::new(&w, n, k), kernel);
        let expected = bits(&gemm_vec(View::new(&a, m, k), &packed, Epilogue::default()));
        let pieces = Packed::from_pieces((n, k), kernel, |rows, values| {
            values.copy_from_slice(&w[rows.start * k..rows.end * k]);
            Ok::<(), Error>(())
        });
        let (bytes, format) = stored(&w, k, kernel);
        let blocks = Packed::from_blocks(&bytes, format, (n, k), kernel);
        let mut repacked = Packed::new(View::new(&[1.0; 64 * 99], 64, 99), kernel);
        repacked.repack(View::new(&w_t, k, n).t());
        let odd = repacked.kernel();
        for (name, other) in
            [("pieces", pieces.unwrap()), ("blocks", blocks.unwrap()), ("repacked", repacked)]
        {
            // A weight of 99 inputs is of 8 bits, and its kernel stays.
            if other.kernel() == kernel {
                let mut wide = vec![7.0; m * (n + 3)];
                let a = View::new(&a_t, k, m).t();
                Serial::default().gemm(a, &other, Epilogue::default(), &mut wide, n + 3);
                for (i, row) in wide.chunks(n + 3).enumerate() {
                    assert_eq!(bits(&row[..n]), expected[i * n..][..n], "{} {name} row {i}", kernel.name());
                    assert_eq!(row[n..], [7.0; 3], "{} {name} row {i}", kernel.name());
                }
            } else {
                assert_eq!(odd.blocks(), Some(BlockFormat::Q8_0));
            }
        }
    }
}

#[test]
fn floating_point_numbers_come_in_pieces_too() {
    let (m, k, n) = (7, 410, 300);
    let (a, w) = (values(m * k, 1), values(n * k, 2));
    for kernel in Kernel::available() {
        let pieces = Packed::from_pieces((n, k), kernel, |rows, values| {
            values.copy_from_slice(&w[rows.start * k..rows.end * k]);
            Ok::<(), Error>(())
        });
        let whole = Packed::new(View::new(&w, n, k), kernel);
        let product = |packed: &Packed| bits(&gemm_vec(View::new(&a, m, k), packed, Epilogue::default()));
        assert_eq!(product(&pieces.unwrap()), product(&whole), "{}", kernel.name());
    }
}

#[test]
fn unpacked_rows_are_the_rounded_values() {
    for kernel in Kernel::available() {
        for (k, n) in [(512, 70), (70, 33)] {
            let w = values(n * k, 2);
            let packed = Packed::new(View::new(&w, n, k), kernel);
            let mut all = vec![0.0; n * k];
            packed.unpack(0..n, &mut all);
            let mut some = vec![0.0; 19 * k];
            packed.unpack(13..32, &mut some);
            assert_eq!(bits(&some), bits(&all[13 * k..32 * k]), "{}", kernel.name());
            let expected = match packed.kernel().blocks() {
                Some(_) => {
                    let (bytes, format) = stored(&w, k, kernel);
                    let mut values = vec![0.0; bytes.len() / format.bytes() * format.values()];
                    format.dequantize(&bytes, &mut values);
                    let row = values.len() / n;
                    values.chunks(row).flat_map(|row| row[..k].to_vec()).collect()
                }
                None if kernel.name().starts_with("f32") => w,
                None => w
                    .iter()
                    .zip(&all)
                    .map(|(w, found)| if (w - found).abs() < 4e-3 { *found } else { *w })
                    .collect(),
            };
            assert_eq!(bits(&all), bits(&expected), "{} {k}", kernel.name());
        }
    }
}

#[test]
fn selected_outputs_have_the_bits_of_the_whole_product() {
    let (m, k, n) = (5, 512, 100);
    let (a, w) = (values(m * k, 1), values(n * k, 2));
    let chosen: Vec<u32> = (0..70).map(|i| i * 37 % 100).collect();
    for kernel in Kernel::available() {
        let packed = Packed::new(View::new(&w, n, k), kernel);
        let product = |packed: &Packed| gemm_vec(View::new(&a, m, k), packed, Epilogue::default());
        let (all, some) = (product(&packed), product(&packed.select(&chosen)));
        let expected: Vec<f32> = (0..m)
            .flat_map(|i| chosen.iter().map(move |&j| (i, j as usize)))
            .map(|(i, j)| all[i * n + j])
            .collect();
        assert_eq!(bits(&some), bits(&expected), "{}", kernel.name());
    }
}

#[test]
#[should_panic(expected = "output 3 of 3")]
fn an_output_that_is_not_there_is_refused() {
    _ = Packed::new(View::new(&[0.0; 6], 3, 2), Kernel::available()[0]).select(&[3]);
}

#[test]
fn nan_and_infinity_make_their_row_and_their_output_nan_and_nothing_else() {
    let (m, k, n) = (14, 256, 40);
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e9] {
        let (mut a, mut w) = (values(m * k, 1), values(n * k, 2));
        a[3 * k + 9] = if value == 1e9 { f32::NAN } else { value };
        w[11 * k + 77] = value;
        for kernel in kernels() {
            let packed = Packed::new(View::new(&w, n, k), kernel);
            for (at, out) in gemm_vec(View::new(&a, m, k), &packed, Epilogue::default()).iter().enumerate() {
                assert_eq!(
                    out.is_nan(),
                    at / n == 3 || at % n == 11,
                    "{} {value} at {at}: {out}",
                    kernel.name()
                );
            }
            let error = Packed::try_new(View::new(&w, n, k), kernel).unwrap_err();
            let Error::NotHeld { output: 11, input: 77, value: found, .. } = error else {
                panic!("{}: {error}", kernel.name());
            };
            assert_eq!(found.to_bits(), value.to_bits());
            assert!(error.help().is_some());
            let late = Packed::from_pieces((n + 128, k), kernel, |rows, values| {
                values.fill(0.0);
                if rows.start > 0 {
                    values.copy_from_slice(&w[..values.len()]);
                }
                Ok::<(), Error>(())
            });
            assert!(
                matches!(late.unwrap_err(), Error::NotHeld { output: 139, input: 77, .. }),
                "{}",
                kernel.name()
            );
        }
    }
    for kernel in Kernel::available().into_iter().filter(|kernel| kernel.blocks().is_none()) {
        assert!(Packed::try_new(View::new(&[f32::NAN], 1, 1), kernel).is_ok(), "{}", kernel.name());
    }
}

#[test]
fn blocks_that_are_no_weight_of_the_shape_are_refused() {
    let q8 = Kernel::new(Precision::Q8_0);
    let of = |bytes: usize, format, shape, kernel| {
        Packed::from_blocks(&vec![0; bytes], format, shape, kernel).unwrap_err().to_string()
    };
    assert_eq!(
        of(67, BlockFormat::Q8_0, (2, 32), q8),
        "67 bytes of Q8_0 for a weight of 2 x 32, which has 68"
    );
    assert_eq!(of(34, BlockFormat::Q8_0, (1, 33), q8), "rows of 33 values, but blocks of Q8_0 have 32");
    let message = of(144, BlockFormat::Q4_K, (1, 256), q8);
    assert!(message.starts_with("blocks of Q4_K for the kernel q8_0-"), "{message}");
    let message = of(34, BlockFormat::Q8_0, (1, 32), Kernel::new(Precision::F32));
    assert!(message.starts_with("blocks of Q8_0 for the kernel f32-"), "{message}");
    let large = usize::MAX / 256 * 256;
    assert!(of(0, BlockFormat::Q4_K, (3, large), q8).ends_with("is larger than memory can be"));
    let read = |_: std::ops::Range<usize>, _: &mut [f32]| Ok::<(), Error>(());
    assert!(matches!(Packed::from_pieces((1 << 40, 1 << 40), q8, read), Err(Error::TooLarge { .. })));
}

#[test]
fn blocks_that_are_not_multiplied_are_kept_in_eight_bits_or_rounded_to_them() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let q8 = Kernel::new(Precision::Q8_0);
    for format in BlockFormat::ALL.into_iter().filter(|format| *format != format.product_format()) {
        // More rows than are read at a time.
        let (outputs, inputs) = (131, 512);
        let n_blocks = outputs * inputs / format.values();
        let mut blocks = vec![0; format.bytes() * n_blocks];
        rng.fill_bytes(&mut blocks);
        let scale = f16::from_f32(0.01).to_le_bytes();
        for block in blocks.chunks_exact_mut(format.bytes()) {
            let last = format.bytes() - 2;
            match format {
                BlockFormat::Q3_K | BlockFormat::Q6_K => block[last..].copy_from_slice(&scale),
                BlockFormat::Q2_K => block[last - 2..].copy_from_slice(&[scale, scale].concat()),
                BlockFormat::Q4_0 | BlockFormat::Q5_0 => block[..2].copy_from_slice(&scale),
                _ => block[..4].copy_from_slice(&[scale, scale].concat()),
            }
        }
        let packed = Packed::from_blocks(&blocks, format, (outputs, inputs), q8).unwrap();
        let (mut exact, mut found) = (vec![0.0; outputs * inputs], vec![0.0; outputs * inputs]);
        format.dequantize(&blocks, &mut exact);
        packed.unpack(0..outputs, &mut found);
        let is_kept = format.product_blocks(&[]).is_some();
        for (exact, found) in exact.chunks(32).zip(found.chunks(32)) {
            let largest = exact.iter().fold(0f32, |largest, value| largest.max(value.abs()));
            let most = if is_kept { 0.0 } else { largest / 220.0 };
            assert!(exact.iter().zip(found).all(|(a, b)| (a - b).abs() <= most), "{format:?}");
        }
        let error = Packed::from_blocks(&blocks, format, (outputs, inputs), Kernel::new(Precision::Q4_K));
        let message = error.unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("blocks of {} for the kernel q4_k-", format.name())),
            "{message}"
        );
        let error = Packed::from_blocks(&blocks[1..], format, (outputs, inputs), q8).unwrap_err();
        assert!(matches!(error, Error::Length { .. }), "{error}");
    }
}
