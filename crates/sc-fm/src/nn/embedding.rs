//! Rows of a table, by number.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{cpu, gather};

/// The rows of `table` that `ids` name; differentiable.
///
/// * `table`: `entries × width`. Returns `ids.len() × width`.
///
/// The gradient of an entry is the sum over its places in `ids`, in order, so it does not depend on the number of
/// threads.
///
/// # Errors
/// An id that is no entry, and what the tensor library reports.
pub fn embedding(table: &Tensor, ids: &[u32]) -> Result<Tensor> {
    let (entries, _) = table.dims2()?;
    if let Some((place, id)) = ids.iter().enumerate().find(|(_, id)| **id as usize >= entries) {
        bail!("embedding: the id at place {place} is {id}, expected less than {entries}");
    }
    if cpu::is_fused(&[table]) {
        return cpu::contiguous_rows(table)?.apply_op1(Embedding { ids: ids.to_vec() });
    }
    table.contiguous()?.index_select(&Tensor::new(ids, table.device())?, 0)
}

struct Embedding {
    ids: Vec<u32>,
}

/// Rows that one thread takes at a time.
const ROWS: usize = 64;

impl CustomOp1 for Embedding {
    fn name(&self) -> &'static str {
        "embedding"
    }

    fn cpu_fwd(&self, table: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let table = cpu::matrix(table, layout)?;
        let width = table.n_cols;
        let mut out = vec![0.0; self.ids.len() * width];
        if width > 0 {
            out.par_chunks_mut(ROWS * width).zip(self.ids.par_chunks(ROWS)).for_each(|(out, ids)| {
                for (out, &id) in out.chunks_exact_mut(width).zip(ids) {
                    out.copy_from_slice(table.row(id as usize));
                }
            });
        }
        Ok(cpu::result(out, (self.ids.len(), width)))
    }

    fn bwd(&self, table: &Tensor, node: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (entries, width) = table.dims2()?;
        let gradient = cpu::contiguous_rows(gradient)?;
        let (storage, layout) = gradient.storage_and_layout();
        let gradient = cpu::matrix(cpu::storage(&storage)?, layout)?;
        // Places by entry, in order.
        let mut ends = vec![0; entries + 1];
        for &id in &self.ids {
            ends[id as usize + 1] += 1;
        }
        for i in 0..entries {
            ends[i + 1] += ends[i];
        }
        let mut next = ends.clone();
        let mut places = vec![0; self.ids.len()];
        for (place, &id) in self.ids.iter().enumerate() {
            places[next[id as usize]] = place;
            next[id as usize] += 1;
        }
        let add_to = |out: &mut [f32]| {
            if width == 0 {
                return;
            }
            let rows = out.par_chunks_mut(width).with_min_len(ROWS).zip(ends.par_windows(2));
            rows.filter(|(_, range)| range[0] < range[1]).for_each_init(
                || vec![0.0; width],
                |sum, (out, range)| {
                    sum.fill(0.0);
                    for &place in &places[range[0]..range[1]] {
                        sum.iter_mut().zip(gradient.row(place)).for_each(|(sum, x)| *sum += x);
                    }
                    out.iter_mut().zip(&*sum).for_each(|(out, sum)| *out += sum);
                },
            );
        };
        if gather::add_with(node, table, add_to) {
            return Ok(None);
        }
        let mut out = vec![0.0; entries * width];
        add_to(&mut out);
        Ok(Some(Tensor::from_vec(out, table.shape(), table.device())?))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::nn::testing::{largest_difference, numbers, on_threads, same_bits};

    fn values(x: &Tensor) -> Vec<f32> {
        x.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn both(ids: &[u32], f: impl Fn(&Tensor) -> Result<Tensor>) -> Vec<f32> {
        let table = Tensor::from_vec(numbers(1, 50 * 9), (50, 9), &Device::Cpu).unwrap();
        let table = Var::from_tensor(&table).unwrap();
        let y = f(&table).unwrap();
        let w = Tensor::from_vec(numbers(2, ids.len() * 9), (ids.len(), 9), &Device::Cpu).unwrap();
        let gradients = (&y * w).unwrap().sum_all().unwrap().backward().unwrap();
        [values(&y), values(gradients.get(&table).unwrap())].concat()
    }

    #[test]
    fn rows_and_gradients_equal_those_of_the_tensor_library() {
        let ids: Vec<u32> = (0..501_u32).map(|i| i * i % 43).collect();
        let expected = both(&ids, |table| table.index_select(&Tensor::new(&ids[..], &Device::Cpu)?, 0));
        for threads in [1, 2, 4] {
            let found = on_threads(threads, || both(&ids, |table| embedding(table, &ids)));
            assert!(largest_difference(&found, &expected).0 < 1e-6);
            assert!(same_bits(&found[..501 * 9], &expected[..501 * 9]));
            assert!(same_bits(&found, &both(&ids, |table| embedding(table, &ids))));
        }
    }

    #[test]
    fn an_id_without_a_row_is_named() {
        let table = Tensor::from_vec(numbers(1, 6), (3, 2), &Device::Cpu).unwrap();
        let message = embedding(&table, &[0, 2, 3]).unwrap_err().to_string();
        assert!(message.contains("the id at place 2 is 3, expected less than 3"), "{message}");
        assert_eq!(embedding(&table, &[]).unwrap().dims(), [0, 2]);
    }
}
