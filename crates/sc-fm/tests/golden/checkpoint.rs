//! Files as Python writes them.

mod dictionaries;
mod safetensors;
mod scalars;
mod torch;

use candle_core::{DType, Tensor};

/// The bits of a tensor's numbers, so that NaN is equal to itself.
fn bits(tensor: &Tensor) -> Vec<u64> {
    let flat = tensor.flatten_all().unwrap();
    match tensor.dtype() {
        DType::F64 => flat.to_vec1::<f64>().unwrap().iter().map(|x| x.to_bits()).collect(),
        DType::F32 => flat.to_vec1::<f32>().unwrap().iter().map(|x| u64::from(x.to_bits())).collect(),
        DType::F16 => flat.to_vec1::<half::f16>().unwrap().iter().map(|x| u64::from(x.to_bits())).collect(),
        DType::BF16 => flat.to_vec1::<half::bf16>().unwrap().iter().map(|x| u64::from(x.to_bits())).collect(),
        DType::I64 => flat.to_vec1::<i64>().unwrap().iter().map(|&x| x as u64).collect(),
        DType::U8 => flat.to_vec1::<u8>().unwrap().iter().map(|&x| u64::from(x)).collect(),
        other => panic!("{other:?}"),
    }
}

fn assert_same(name: &str, found: &Tensor, expected: &Tensor) {
    assert_eq!((found.dims(), found.dtype()), (expected.dims(), expected.dtype()), "{name}");
    let (found, expected) = (bits(found), bits(expected));
    let first = found.iter().zip(&expected).position(|(a, b)| a != b);
    assert!(first.is_none(), "{name}: number {first:?} differs");
}
