//! `SummarizedExperiment` and `SingleCellExperiment` of Bioconductor.

use super::assay::{Assay, Layer};
use super::frame::{aligned, row_names};
use super::matrix::{names, shape, texts};
use super::object::{Document, Object, Value};
use super::seurat::{copy, embedded};
use crate::hdf5::Fault;
use crate::{AnnData, Problem};

/// What the experiment itself is called where it has no name of its own.
const MAIN: &str = "main";

pub(super) fn is(object: &Object) -> bool {
    ["SingleCellExperiment", "SummarizedExperiment", "RangedSummarizedExperiment", "SpatialExperiment"]
        .iter()
        .any(|class| object.is_a(class))
}

/// The name of the experiment and those of its alternatives (antibodies, spikes).
pub(super) fn assay_names(object: &Object) -> Vec<&str> {
    let main = object
        .slot("int_metadata")
        .and_then(|list| list.member("mainExpName"))
        .and_then(Object::string)
        .unwrap_or(MAIN);
    std::iter::once(main).chain(alternatives(object).map(|list| list.names()).unwrap_or_default()).collect()
}

/// A member of the table of what is kept for each cell apart from `colData`: reductions, alternative experiments.
fn internal<'a>(object: &'a Object, name: &str) -> Option<&'a Object> {
    object.slot("int_colData")?.slot("listData")?.member(name)?.slot("listData")
}

fn alternatives(object: &Object) -> Option<&Object> {
    internal(object, "altExps")
}

/// The experiment of a name: itself or an alternative.
fn named<'a>(object: &'a Object, name: &str) -> Option<&'a Object> {
    if assay_names(object).first() == Some(&name) {
        return Some(object);
    }
    let alternative = alternatives(object)?.member(name)?;
    // Its columns are wrapped so that it can be one column of a table.
    Some(alternative.slot("se").unwrap_or(alternative))
}

/// The list of matrices: in a slot, or, in objects of before 2019, in an environment.
fn matrices<'a>(document: &'a Document, object: &'a Object) -> Option<&'a Object> {
    let assays = object.slot("assays")?;
    let data = match assays.slot("data") {
        Some(data) => data,
        None => {
            let environment = assays.slot(".xData").unwrap_or(assays);
            let Value::Environment(at) = environment.value else { return None };
            let contents = document.environments.get(at)?;
            contents.iter().find(|(name, _)| &**name == "data").map(|(_, object)| object)?
        }
    };
    Some(data.slot("listData").unwrap_or(data))
}

/// The table of features, and their names.
fn features(object: &Object) -> (Option<&Object>, Option<Vec<String>>) {
    let ranges = object.slot("rowRanges");
    let table = ranges.and_then(|r| r.slot("elementMetadata")).or_else(|| object.slot("elementMetadata"));
    let of_ranges = ranges.and_then(|ranges| {
        let inner = ranges.slot("ranges").or_else(|| ranges.slot("partitioning"))?;
        inner.slot("NAMES").and_then(texts)
    });
    (table, of_ranges.or_else(|| object.slot("NAMES").and_then(texts)))
}

pub(super) fn assay<'a>(document: &'a Document, object: &'a Object, name: &str) -> Result<Assay<'a>, Fault> {
    let experiment = named(object, name).unwrap_or(object);
    let Some(list) = matrices(document, experiment) else {
        let found = experiment.slot("assays").map_or("nothing".to_owned(), Object::describe);
        return Err(Fault::new("assays", Problem::Kind { found, expected: "a list of matrices" }));
    };
    let mut layers = Vec::new();
    let mut size = None;
    let (mut row_names_found, mut column_names_found) =
        (features(experiment).1, object.slot("colData").and_then(row_names));
    for (number, (given, matrix)) in list.members().enumerate() {
        let name = if given.is_empty() { format!("assay{}", number + 1) } else { given.to_owned() };
        let at = format!("assays${name}");
        let Some(its_size) = shape(matrix, &at)? else {
            let expected = "a matrix in memory";
            return Err(Fault::new(at, Problem::Kind { found: matrix.describe(), expected }));
        };
        if size.is_some_and(|size| size != its_size) {
            let found = its_size.map(|n| n as u64).to_vec();
            return Err(Fault::new(at, Problem::Shape { found, expected: "that of the first".to_owned() }));
        }
        size = Some(its_size);
        let [rows, columns] = names(matrix);
        row_names_found = row_names_found.or(rows);
        column_names_found = column_names_found.or(columns);
        layers.push(Layer { name, matrix, features: None, cells: None, at });
    }
    let [n_features, n_cells] = size.unwrap_or_default();
    let features = named_axis("the rows", row_names_found, n_features)?;
    let cells = named_axis("the columns", column_names_found, n_cells)?;
    Ok(Assay { features, cells, layers })
}

/// The names of an axis; numbers from 1 where it has none.
pub(super) fn named_axis(axis: &str, names: Option<Vec<String>>, n: usize) -> Result<Vec<String>, Fault> {
    match names {
        Some(names) if names.len() == n => Ok(names),
        Some(names) => {
            let why = format!("{axis} have {} names, and there are {n}", names.len());
            Err(Fault::new("assays", Problem::Malformed(why)))
        }
        None => {
            tracing::warn!("{axis} have no names: they are numbered");
            Ok((1..=n).map(|i| i.to_string()).collect())
        }
    }
}

pub(super) fn anndata(object: &Object, name: &str, assay: &Assay<'_>, layer: &str) -> Result<AnnData, Fault> {
    let (mut adata, _) = assay.anndata(layer)?;
    if let Some(table) = object.slot("colData") {
        let obs = aligned(table, "colData", &assay.cells)?;
        copy(&obs, |name, column| adata.obs_mut().insert(name, column))?;
    }
    if let Some(table) = features(named(object, name).unwrap_or(object)).0 {
        let var = aligned(table, "rowData", &assay.features)?;
        copy(&var, |name, column| adata.var_mut().insert(name, column))?;
    }
    for (reduction, array) in internal(object, "reducedDims").map(Object::members).into_iter().flatten() {
        let at = format!("reducedDims${reduction}");
        match embedded(array, &at, &assay.cells)? {
            Some(array) => {
                let key = format!("X_{}", reduction.to_lowercase());
                adata.insert_obsm(key, array).map_err(|e| Fault::new(at, e))?;
            }
            None => tracing::warn!("left out `{at}`: it is no matrix with a row for each cell"),
        }
    }
    Ok(adata)
}
