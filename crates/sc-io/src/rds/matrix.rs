//! Matrices of R: features × cells there, cells × features here.
//!
//! The sparse classes of the package Matrix are told by their slots: `p` and `i` (by column, `dgCMatrix`), `p` and `j` (by
//! row, `dgRMatrix`), `i` and `j` (triplets, `dgTMatrix`), `x` alone (dense, `dgeMatrix`); without `x` every stored entry is
//! 1 (`ngCMatrix`).

use ndarray::Array2;

use super::object::{NA_INTEGER, Object, Value};
use crate::hdf5::Fault;
use crate::{Csc, Csr, Matrix, Problem};

/// An axis may always be this long, whatever is stored.
const ALWAYS_ALLOWED: usize = 1 << 20;

/// Features and cells of a matrix; `None` if the object is none.
pub(super) fn shape(matrix: &Object, at: &str) -> Result<Option<[usize; 2]>, Fault> {
    let Some(dim) = matrix.slot("Dim").or_else(|| matrix.slot("dim")) else { return Ok(None) };
    let sizes: Vec<Option<usize>> = match &dim.value {
        Value::Integer(v) => v.iter().map(|&n| usize::try_from(n).ok()).collect(),
        Value::Real(v) => v.iter().map(|&n| (0.0..=1e15).contains(&n).then_some(n as usize)).collect(),
        _ => Vec::new(),
    };
    let [Some(features), Some(cells)] = sizes[..] else {
        let why = "its dimensions are not two numbers from 0".to_owned();
        return Err(Fault::new(at, Problem::Malformed(why)));
    };
    // Names are made for an axis without names, so that a length must be backed by something that was stored.
    let stored = ["x", "i", "j", "p"].iter().filter_map(|s| matrix.slot(s)).map(Object::len).max();
    let stored = stored.unwrap_or(0).max(matrix.len());
    if features.max(cells) > ALWAYS_ALLOWED.max(stored) {
        let why = format!("it declares {features} x {cells} values and stores {stored}");
        return Err(Fault::new(at, Problem::Malformed(why)));
    }
    Ok(Some([features, cells]))
}

/// The names of features and of cells, where the matrix has them.
pub(super) fn names(matrix: &Object) -> [Option<Vec<String>>; 2] {
    let names = matrix.slot("Dimnames").or_else(|| matrix.slot("dimnames"));
    let list = names.and_then(Object::list).unwrap_or_default();
    [list.first().and_then(texts), list.get(1).and_then(texts)]
}

/// Strings, none of which is NA; `None` if they are not strings.
pub(super) fn texts(object: &Object) -> Option<Vec<String>> {
    let strings = object.strings()?;
    Some(strings.iter().map(|s| s.as_deref().unwrap_or("NA").to_owned()).collect())
}

/// Turns a matrix round: sparse ones become [`Csr`], dense ones stay dense.
pub(super) fn transposed(matrix: &Object, at: &str) -> Result<Matrix, Fault> {
    let Some([features, cells]) = shape(matrix, at)? else {
        let found = matrix.describe();
        return Err(Fault::new(at, Problem::Kind { found, expected: "a matrix" }));
    };
    if matrix.slot("uplo").is_some() {
        let found = matrix.describe();
        return Err(Fault::new(at, Problem::Kind { found, expected: "a general matrix, not half of one" }));
    }
    let invalid = |e: crate::InvalidSparse| Fault::new(at, e);
    let values = |n: usize| match matrix.slot("x") {
        Some(x) => singles(x, &format!("{at}@x")),
        None => Ok(vec![1.0; n]),
    };
    match (matrix.slot("p"), matrix.slot("i"), matrix.slot("j")) {
        (Some(p), Some(i), _) => {
            let (p, i) = (whole(p, &format!("{at}@p"))?, whole(i, &format!("{at}@i"))?);
            let values = values(i.len())?;
            Csr::from_unsorted(cells, features, p, narrow(i), values).map(Matrix::Csr).map_err(invalid)
        }
        (Some(p), None, Some(j)) => {
            let (p, j) = (whole(p, &format!("{at}@p"))?, whole(j, &format!("{at}@j"))?);
            let values = values(j.len())?;
            let by_feature = Csc::from_unsorted(cells, features, p, narrow(j), values).map_err(invalid)?;
            Ok(Matrix::Csr(by_feature.to_csr()))
        }
        (None, Some(i), Some(j)) => {
            let (i, j) = (whole(i, &format!("{at}@i"))?, whole(j, &format!("{at}@j"))?);
            let x = match matrix.slot("x") {
                Some(x) => reals(x, &format!("{at}@x"))?,
                None => vec![1.0; i.len()],
            };
            let logical = !matches!(matrix.slot("x").map(|x| &x.value), Some(Value::Real(_)));
            triplets([features, cells], &i, &j, &x, logical, at).map(Matrix::Csr)
        }
        _ => {
            let (object, at) = match matrix.slot("x") {
                Some(x) => (x, format!("{at}@x")),
                None => (matrix, at.to_owned()),
            };
            let (values, n) = (singles(object, &at)?, features.checked_mul(cells));
            if n != Some(values.len()) {
                let found = vec![values.len() as u64];
                let expected = format!("{features} x {cells} values");
                return Err(Fault::new(at, Problem::Shape { found, expected }));
            }
            let dense = Array2::from_shape_vec((cells, features), values);
            Ok(Matrix::Dense(dense.expect("the number of values was compared with the shape")))
        }
    }
}

/// Entries of the same place are added up, as the package Matrix defines it; of truth values, any is enough.
fn triplets(
    [features, cells]: [usize; 2],
    i: &[usize],
    j: &[usize],
    x: &[f64],
    logical: bool,
    at: &str,
) -> Result<Csr, Fault> {
    if i.len() != j.len() || i.len() != x.len() {
        let why = format!("it has {} rows, {} columns and {} values", i.len(), j.len(), x.len());
        return Err(Fault::new(at, Problem::Malformed(why)));
    }
    for (index, bound, slot) in [(i, features, "i"), (j, cells, "j")] {
        if let Some(position) = index.iter().position(|&n| n >= bound) {
            let (value, expected) = (index[position].to_string(), format!("a number below {bound}"));
            return Err(Fault::new(format!("{at}@{slot}"), Problem::Value { at: position, value, expected }));
        }
    }
    let mut order: Vec<usize> = (0..i.len()).collect();
    order.sort_by_key(|&n| (j[n], i[n]));
    let (mut counts, mut indices, mut sums) = (vec![0usize; cells], Vec::new(), Vec::<f64>::new());
    let mut last = None;
    for n in order {
        let place = (j[n], i[n]);
        match sums.last_mut() {
            Some(sum) if last == Some(place) => *sum = if logical { sum.max(x[n]) } else { *sum + x[n] },
            _ => {
                counts[place.0] += 1;
                indices.push(place.1 as u32);
                sums.push(x[n]);
            }
        }
        last = Some(place);
    }
    let mut indptr = vec![0];
    for n in counts {
        indptr.push(indptr.last().copied().unwrap_or(0) + n);
    }
    let values = sums.iter().enumerate().map(|(n, &x)| single(n, x)).collect::<Result<_, _>>();
    let values = values.map_err(|problem| Fault::new(format!("{at}@x"), problem))?;
    Csr::new(cells, features, indptr, indices, values).map_err(|e| Fault::new(at, e))
}

/// Offsets and indices.
fn whole(object: &Object, at: &str) -> Result<Vec<usize>, Fault> {
    let wrong = |n: usize, value: String| {
        let expected = "a whole number from 0".to_owned();
        Fault::new(at, Problem::Value { at: n, value, expected })
    };
    match &object.value {
        Value::Integer(v) => {
            let one = |(n, &x): (usize, &i32)| usize::try_from(x).map_err(|_| wrong(n, x.to_string()));
            v.iter().enumerate().map(one).collect()
        }
        _ => Err(Fault::new(at, Problem::Kind { found: object.describe(), expected: "an integer vector" })),
    }
}

/// Indices came from integers of 32 bits.
fn narrow(indices: Vec<usize>) -> Vec<u32> {
    indices.into_iter().map(|i| i as u32).collect()
}

fn reals(object: &Object, at: &str) -> Result<Vec<f64>, Fault> {
    let whole = |v: &[i32]| v.iter().map(|&x| if x == NA_INTEGER { f64::NAN } else { x.into() }).collect();
    match &object.value {
        Value::Real(v) => Ok(v.clone()),
        Value::Integer(v) | Value::Logical(v) => Ok(whole(v)),
        _ => Err(Fault::new(at, Problem::Kind { found: object.describe(), expected: "numbers" })),
    }
}

/// Numbers in single precision.
pub(super) fn singles(object: &Object, at: &str) -> Result<Vec<f32>, Fault> {
    let fault = |problem| Fault::new(at, problem);
    match &object.value {
        Value::Real(v) => v.iter().enumerate().map(|(n, &x)| single(n, x).map_err(fault)).collect(),
        Value::Integer(v) | Value::Logical(v) => {
            let one = |(n, &x): (usize, &i32)| match x {
                NA_INTEGER => Ok(f32::NAN),
                x => single(n, x.into()).map_err(fault),
            };
            v.iter().enumerate().map(one).collect()
        }
        _ => Err(fault(Problem::Kind { found: object.describe(), expected: "numbers" })),
    }
}

/// R stores counts in double precision. A whole number must have an exact `f32`, if it was itself exact; others are rounded
/// to the nearest.
fn single(at: usize, x: f64) -> Result<f32, Problem> {
    const EXACT: f64 = (1u64 << 53) as f64;
    let near = x as f32;
    let changed = x.fract() == 0.0 && x.abs() <= EXACT && f64::from(near) != x;
    if changed || (x.is_finite() && !near.is_finite()) {
        return Err(Problem::NotExact { at, value: x.to_string() });
    }
    Ok(near)
}
