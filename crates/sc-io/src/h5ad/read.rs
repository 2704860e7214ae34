//! A whole file, slot by slot.

pub(super) mod array;
mod frame;
pub(super) mod sparse;
mod value;

use std::collections::HashSet;

use ndarray::Array2;

use super::encoding::{self, Encoding};
use super::legacy;
use crate::anndata::Raw;
use crate::hdf5::{Fault, File, Object};
use crate::{AnnData, Csr, DataFrame, Matrix, Problem, keys};

pub(super) type Read<T> = Result<T, Fault>;

/// Reads everything that this crate holds.
pub(super) fn anndata(file: &File) -> Read<AnnData> {
    let root = file.root()?;
    let (obs, var) = axes(&root)?;
    let uns = root.find(keys::UNS)?;
    let mut adata = AnnData::without_x(obs, var);

    if let Some(x) = x(&root)? {
        let matrix = matrix(&x)?;
        adata.set_x(Some(matrix)).map_err(|e| x.fault(e))?;
    }
    for element in members(&root, keys::LAYERS)? {
        if let Some(layer) = optional(&element, matrix)? {
            adata.insert_layer(name(&element), layer).map_err(|e| element.fault(e))?;
        }
    }
    for (group, insert) in [
        (keys::OBSM, AnnData::insert_obsm as fn(&mut AnnData, String, Array2<f32>) -> crate::Result<()>),
        (keys::VARM, AnnData::insert_varm),
    ] {
        let Some(object) = root.find(group)? else { continue };
        for (name, array) in arrays(&object)? {
            insert(&mut adata, name, array).map_err(|e| object.fault(e))?;
        }
    }
    for (group, insert) in [
        (keys::OBSP, AnnData::insert_obsp as fn(&mut AnnData, String, Csr) -> crate::Result<()>),
        (keys::VARP, AnnData::insert_varp),
    ] {
        for element in members(&root, group)? {
            if let Some(graph) = optional(&element, matrix)? {
                insert(&mut adata, name(&element), graph.into_csr()).map_err(|e| element.fault(e))?;
            }
        }
    }
    if let Some(uns) = &uns {
        *adata.uns_mut() = value::map(uns)?;
        if root.member(keys::OBS)?.is_dataset() {
            legacy::drop_categories(&mut adata);
        }
        legacy::move_graphs(&mut adata);
    }
    if let Some(raw) = raw(&root, uns.as_ref())? {
        adata.set_raw(Some(raw)).map_err(|e| Fault::new(keys::RAW, e))?;
    }
    Ok(adata)
}

/// `obs` and `var`.
pub(super) fn axes(root: &Object<'_>) -> Read<(DataFrame, DataFrame)> {
    match encoding::expect(root)? {
        // Files before 0.8 do not say what they are.
        Encoding::AnnData | Encoding::Dict => {}
        _ => return Err(root.fault(not("an anndata file"))),
    }
    let uns = root.find(keys::UNS)?;
    let obs = table(root, keys::OBS, uns.as_ref())?;
    let var = table(root, keys::VAR, uns.as_ref())?;
    warn_of_repeats(keys::OBS, &obs);
    warn_of_repeats(keys::VAR, &var);
    Ok((obs, var))
}

/// `X`, if there is one.
pub(super) fn x<'f>(root: &Object<'f>) -> Read<Option<Object<'f>>> {
    match root.find(keys::X)? {
        Some(x) if matches!(encoding::of(&x)?, Ok(Encoding::Null)) => Ok(None),
        found => Ok(found),
    }
}

fn not(what: &'static str) -> Problem {
    Problem::Kind { found: "something else".to_owned(), expected: what }
}

/// The last part of an element's path.
fn name(element: &Object<'_>) -> String {
    element.path().rsplit('/').next().unwrap_or_default().to_owned()
}

fn members<'f>(root: &Object<'f>, group: &str) -> Read<Vec<Object<'f>>> {
    match root.find(group)? {
        Some(group) => group.names()?.iter().map(|name| group.member(name)).collect(),
        None => Ok(Vec::new()),
    }
}

/// Reads an element that may be of a kind that this crate leaves out.
fn optional<T>(element: &Object<'_>, read: impl FnOnce(&Object<'_>) -> Read<T>) -> Read<Option<T>> {
    if let Err(problem) = encoding::of(element)? {
        tracing::warn!("left out `{}`: {problem}", element.path());
        return Ok(None);
    }
    read(element).map(Some)
}

fn table(root: &Object<'_>, slot: &str, uns: Option<&Object<'_>>) -> Read<DataFrame> {
    let object = root.member(slot)?;
    match encoding::expect(&object)? {
        Encoding::DataFrame => frame::read(&object),
        Encoding::RecArray => legacy::records(&object, uns),
        _ => Err(object.fault(not("a dataframe"))),
    }
}

fn warn_of_repeats(slot: &str, frame: &DataFrame) {
    let unique: HashSet<&String> = frame.index().iter().collect();
    if unique.len() < frame.n_rows() {
        tracing::warn!("`{slot}` has {} rows, but only {} different names", frame.n_rows(), unique.len());
    }
}

/// `X`, a layer or a graph.
fn matrix(object: &Object<'_>) -> Read<Matrix> {
    match encoding::expect(object)? {
        Encoding::Csr => sparse::csr(object).map(Matrix::Csr),
        Encoding::Csc => sparse::csc(object).map(Matrix::Csc),
        Encoding::Array => array::dense(object).map(Matrix::Dense),
        _ => Err(object.fault(not("a sparse matrix or a dense array"))),
    }
}

/// The arrays of `obsm` or `varm`, which before 0.7 were the fields of one record a row.
fn arrays(group: &Object<'_>) -> Read<Vec<(String, Array2<f32>)>> {
    if group.is_dataset() {
        return legacy::record_arrays(group);
    }
    let mut arrays = Vec::new();
    for member in group.names()? {
        let element = group.member(&member)?;
        match encoding::of(&element)? {
            Ok(Encoding::Array) if element.dataset()?.dims().len() == 2 => {
                arrays.push((member, array::dense(&element)?));
            }
            _ => tracing::warn!("left out `{}`: only dense arrays of two axes are kept here", element.path()),
        }
    }
    Ok(arrays)
}

fn raw(root: &Object<'_>, uns: Option<&Object<'_>>) -> Read<Option<Raw>> {
    let Some((x, var)) = raw_parts(root, uns)? else { return Ok(None) };
    Raw::new(matrix(&x)?, var).map(Some).map_err(|e| x.fault(e))
}

/// The matrix and the table of `raw`.
pub(super) fn raw_parts<'f>(
    root: &Object<'f>,
    uns: Option<&Object<'f>>,
) -> Read<Option<(Object<'f>, DataFrame)>> {
    let Some((x, var)) = raw_objects(root)? else { return Ok(None) };
    let frame = match encoding::expect(&var)? {
        Encoding::DataFrame => frame::read(&var)?,
        Encoding::RecArray => legacy::records(&var, uns)?,
        _ => return Err(var.fault(not("a dataframe"))),
    };
    Ok(Some((x, frame)))
}

/// `X` and `var` of `raw`, which before 0.7 were `raw.X` and `raw.var` beside the other slots.
pub(super) fn raw_objects<'f>(root: &Object<'f>) -> Read<Option<(Object<'f>, Object<'f>)>> {
    let (x, var) = if let Some(raw) = root.find(keys::RAW)? {
        if matches!(encoding::of(&raw)?, Ok(Encoding::Null)) {
            return Ok(None);
        }
        if let Some(varm) = raw.find(keys::VARM)?
            && varm.is_group()
            && !varm.names()?.is_empty()
        {
            tracing::warn!("left out `{}`", varm.path());
        }
        (raw.find(keys::X)?, raw.find(keys::VAR)?)
    } else {
        (root.find("raw.X")?, root.find("raw.var")?)
    };
    Ok(x.zip(var))
}
