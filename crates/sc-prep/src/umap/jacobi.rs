//! Eigenvalues of a small symmetric matrix, by Jacobi's rotations.

/// Eigenvalues, descending, and the eigenvectors as columns. Only the upper triangle is read.
pub(super) fn eigen<const P: usize>(mut m: [[f64; P]; P]) -> ([f64; P], [[f64; P]; P]) {
    let mut vectors = [[0f64; P]; P];
    for i in 0..P {
        vectors[i][i] = 1.0;
        let (above, from_here) = m.split_at_mut(i);
        for (j, row) in above.iter().enumerate() {
            from_here[0][j] = row[i];
        }
    }
    // Sweeps converge quadratically; far fewer than this are needed at any size used here.
    for _ in 0..50 {
        let mut rotated = false;
        for p in 0..P {
            for q in p + 1..P {
                let scale = m[p][p].abs() + m[q][q].abs();
                if m[p][q].abs() <= 1e-17 * scale {
                    continue;
                }
                rotated = true;
                let theta = (m[q][q] - m[p][p]) / (2.0 * m[p][q]);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for row in &mut m {
                    (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
                }
                let (above, from_q) = m.split_at_mut(q);
                for (a, b) in above[p].iter_mut().zip(&mut from_q[0]) {
                    (*a, *b) = (c * *a - s * *b, s * *a + c * *b);
                }
                for row in &mut vectors {
                    (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
                }
            }
        }
        if !rotated {
            break;
        }
    }
    let mut order: [usize; P] = std::array::from_fn(|i| i);
    order.sort_by(|&i, &j| m[j][j].total_cmp(&m[i][i]));
    (order.map(|i| m[i][i]), vectors.map(|row| order.map(|i| row[i])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvectors_rebuild_the_matrix() {
        let m: [[f64; 5]; 5] = std::array::from_fn(|i| {
            std::array::from_fn(|j| ((i * j) as f64).cos() + if i == j { i as f64 } else { 0.0 })
        });
        let (values, vectors) = eigen(m);
        assert!(values.is_sorted_by(|a, b| a >= b));
        for i in 0..5 {
            for j in 0..5 {
                let rebuilt: f64 = (0..5).map(|k| vectors[i][k] * values[k] * vectors[j][k]).sum();
                let dot: f64 = (0..5).map(|k| vectors[k][i] * vectors[k][j]).sum();
                assert!((rebuilt - m[i][j]).abs() < 1e-12);
                assert!((dot - if i == j { 1.0 } else { 0.0 }).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn equal_eigenvalues_and_zeros_are_no_trouble() {
        assert_eq!(eigen([[0.0; 3]; 3]).0, [0.0; 3]);
        let (values, _) = eigen([[1.0, 1.0], [1.0, 1.0]]);
        assert!((values[0] - 2.0).abs() < 1e-15 && values[1].abs() < 1e-15);
    }
}
