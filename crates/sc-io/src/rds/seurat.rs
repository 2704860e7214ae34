//! Seurat objects: `Assay` of versions 3 and 4 with its three slots, `Assay5` of version 5 with its layers.

use ndarray::Array2;

use super::assay::{Assay, Layer};
use super::frame::{aligned, column, places, row_names};
use super::matrix::{names, shape, texts, transposed};
use super::object::{Object, Value};
use crate::hdf5::Fault;
use crate::{AnnData, DataFrame, Matrix, Problem};

/// The slots of an assay of version 3.
const SLOTS: [&str; 3] = ["counts", "data", "scale.data"];

/// The column that the identities of the cells become, named as Seurat itself does in a SingleCellExperiment.
const IDENT: &str = "ident";

pub(super) fn is(object: &Object) -> bool {
    object.is_a("Seurat")
}

/// The names of the assays, and the active one.
pub(super) fn assay_names(seurat: &Object) -> (Vec<&str>, Option<&str>) {
    let names = seurat.slot("assays").map(Object::names).unwrap_or_default();
    (names, seurat.slot("active.assay").and_then(Object::string))
}

/// How R writes the place of an assay.
fn at(name: &str) -> String {
    format!("assays${name}")
}

fn missing(at: String, slot: &str, object: &Object) -> Fault {
    let present = object.attributes.iter().map(|(name, _)| name.to_string()).collect();
    Fault::new(format!("{at}@{slot}"), Problem::Missing { present })
}

pub(super) fn assay<'a>(seurat: &'a Object, name: &str) -> Result<Assay<'a>, Fault> {
    let at = at(name);
    let found = seurat.slot("assays").and_then(|assays| assays.member(name));
    let object = found.ok_or_else(|| missing(String::new(), "assays", seurat))?;
    match object.slot("layers") {
        Some(layers) => version_5(object, layers, &at),
        None => version_3(object, &at),
    }
}

/// All features and cells are those of `data`; `counts` may be empty, and `scale.data` of some features.
fn version_3<'a>(object: &'a Object, at: &str) -> Result<Assay<'a>, Fault> {
    let mut found: Vec<(String, &Object, [usize; 2])> = Vec::new();
    for slot in SLOTS {
        let path = format!("{at}@{slot}");
        if let Some(matrix) = object.slot(slot)
            && let Some(size) = shape(matrix, &path)?
            && size[0] > 0
            && size[1] > 0
        {
            found.push((slot.to_owned(), matrix, size));
        }
    }
    let Some((_, whole, size)) = found.iter().find(|(slot, ..)| slot == "data").or(found.first()) else {
        return Ok(Assay { features: Vec::new(), cells: Vec::new(), layers: Vec::new() });
    };
    let [Some(features), Some(cells)] = names(whole) else {
        let why = "its rows or columns have no names".to_owned();
        return Err(Fault::new(at, Problem::Malformed(why)));
    };
    if [features.len(), cells.len()] != *size {
        let why = "it has not one name for each row and column".to_owned();
        return Err(Fault::new(at, Problem::Malformed(why)));
    }
    let mut layers = Vec::new();
    for (name, matrix, _) in found {
        let path = format!("{at}@{name}");
        let [its_features, its_cells] = names(matrix);
        let part = |its: Option<Vec<String>>, all: &[String]| match its {
            Some(its) if its != all => distinct(places(all, &its, &path)?, &its, &path).map(Some),
            _ => Ok(None),
        };
        let (its_features, its_cells) = (part(its_features, &features)?, part(its_cells, &cells)?);
        layers.push(Layer { name, matrix, features: its_features, cells: its_cells, at: path });
    }
    Ok(Assay { features, cells, layers })
}

/// Two rows of one name cannot be told apart.
fn distinct(places: Vec<usize>, names: &[String], at: &str) -> Result<Vec<usize>, Fault> {
    let mut seen = std::collections::HashSet::new();
    match places.iter().position(|place| !seen.insert(place)) {
        None => Ok(places),
        Some(twice) => {
            let why = format!("two rows or columns are named {:?}", names[twice]);
            Err(Fault::new(at, Problem::Malformed(why)))
        }
    }
}

/// `features` and `cells` are tables of truth values: a row for each name, a column for each layer that may have it.
fn version_5<'a>(object: &'a Object, layers: &'a Object, at: &str) -> Result<Assay<'a>, Fault> {
    let map = |slot: &str| {
        let path = format!("{at}@{slot}");
        let map = object.slot(slot).ok_or_else(|| missing(at.to_owned(), slot, object))?;
        Membership::new(map, path)
    };
    let (features, cells) = (map("features")?, map("cells")?);
    let mut found = Vec::new();
    for (name, matrix) in layers.members() {
        let path = format!("{at}@layers${name}");
        let Some([n_features, n_cells]) = shape(matrix, &path)? else {
            let expected = "a matrix in memory";
            return Err(Fault::new(path, Problem::Kind { found: matrix.describe(), expected }));
        };
        if n_features == 0 || n_cells == 0 {
            continue;
        }
        let (features, cells) = (features.of(name)?, cells.of(name)?);
        found.push(Layer { name: name.to_owned(), matrix, features, cells, at: path });
    }
    Ok(Assay { features: features.names, cells: cells.names, layers: found })
}

struct Membership<'a> {
    names: Vec<String>,
    layers: Vec<String>,
    is_member: &'a [i32],
    at: String,
}

impl<'a> Membership<'a> {
    fn new(map: &'a Object, at: String) -> Result<Self, Fault> {
        let [rows, columns] = names(map);
        let (names, layers) = (rows.unwrap_or_default(), columns.unwrap_or_default());
        match map.integers() {
            Some(is_member) if names.len().checked_mul(layers.len()) == Some(is_member.len()) => {
                Ok(Self { names, layers, is_member, at })
            }
            _ => {
                let why = "it is no table of truth values with names on both sides".to_owned();
                Err(Fault::new(at, Problem::Malformed(why)))
            }
        }
    }

    /// The places of a layer's members, `None` if it has all.
    fn of(&self, layer: &str) -> Result<Option<Vec<usize>>, Fault> {
        let Some(column) = self.layers.iter().position(|l| l == layer) else {
            let why = format!("it has no column for layer {layer:?}");
            return Err(Fault::new(&self.at, Problem::Malformed(why)));
        };
        let n = self.names.len();
        let members = &self.is_member[column * n..(column + 1) * n];
        if members.iter().all(|&m| m == 1) {
            return Ok(None);
        }
        Ok(Some((0..n).filter(|&i| members[i] == 1).collect()))
    }
}

/// `X` and layers of an assay, with the tables of cells and features, the identities and the reductions.
pub(super) fn anndata(seurat: &Object, name: &str, assay: &Assay<'_>, layer: &str) -> Result<AnnData, Fault> {
    let (mut adata, features) = assay.anndata(layer)?;
    let cells = adata.obs().index().to_vec();
    if let Some(table) = seurat.slot("meta.data") {
        let obs = aligned(table, "meta.data", &cells)?;
        copy(&obs, |name, column| adata.obs_mut().insert(name, column))?;
        if adata.obs().get(IDENT).is_none()
            && let Some(ident) = identities(seurat, row_names(table), &cells)?
        {
            adata.obs_mut().insert(IDENT, ident).map_err(|e| Fault::new("active.ident", e))?;
        }
    }
    let object = seurat.slot("assays").and_then(|assays| assays.member(name));
    for slot in ["meta.features", "meta.data"] {
        if let Some(table) = object.and_then(|object| object.slot(slot)) {
            let var = aligned(table, &format!("{}@{slot}", at(name)), &assay.features)?.select(&features);
            copy(&var, |name, column| adata.var_mut().insert(name, column))?;
        }
    }
    for (reduction, object) in seurat.slot("reductions").map(Object::members).into_iter().flatten() {
        let path = format!("reductions${reduction}@cell.embeddings");
        let Some(embedding) = object.slot("cell.embeddings") else { continue };
        match embedded(embedding, &path, &cells)? {
            Some(array) => {
                adata.insert_obsm(format!("X_{reduction}"), array).map_err(|e| Fault::new(path, e))?;
            }
            None => tracing::warn!("left out `{path}`: it has not all cells"),
        }
    }
    Ok(adata)
}

/// The columns of a table, put into another.
pub(super) fn copy(
    from: &DataFrame,
    mut insert: impl FnMut(String, crate::Column) -> crate::Result<()>,
) -> Result<(), Fault> {
    for (name, column) in from.columns() {
        insert(name.to_owned(), column.clone()).map_err(|e| Fault::new(name, e))?;
    }
    Ok(())
}

/// The identities, a factor that is named by the cells or in the order of the table of cells.
fn identities(
    seurat: &Object,
    rows: Option<Vec<String>>,
    cells: &[String],
) -> Result<Option<crate::Column>, Fault> {
    const AT: &str = "active.ident";
    let Some(ident) = seurat.slot(AT) else { return Ok(None) };
    let names = ident.slot("names").and_then(texts).or(rows);
    let Some(names) = names.filter(|names| names.len() == ident.len()) else { return Ok(None) };
    let rows = places(&names, cells, AT)?;
    Ok(column(ident, names.len(), AT)?.map(|column| column.select(&rows)))
}

/// Coordinates of these cells; `None` if some have none.
pub(super) fn embedded(object: &Object, at: &str, cells: &[String]) -> Result<Option<Array2<f32>>, Fault> {
    let Some([n_cells, n_dims]) = shape(object, at)? else { return Ok(None) };
    if !matches!(object.value, Value::Real(_) | Value::Integer(_)) {
        return Ok(None);
    }
    // Of this matrix the cells are the rows, which turning it round makes columns.
    let Matrix::Dense(turned) = transposed(object, at)? else { return Ok(None) };
    let array = turned.t().as_standard_layout().into_owned();
    let rows: Vec<usize> = match names(object)[0].take() {
        Some(names) if names == cells => return Ok(Some(array)),
        Some(names) if names.len() == n_cells => match places(&names, cells, at) {
            Ok(rows) => rows,
            Err(_) => return Ok(None),
        },
        _ if n_cells == cells.len() => return Ok(Some(array)),
        _ => return Ok(None),
    };
    debug_assert_eq!(array.ncols(), n_dims);
    Ok(Some(array.select(ndarray::Axis(0), &rows)))
}
