//! Tables and their columns.

use super::super::encoding::{self, Encoding};
use super::super::legacy;
use super::Read;
use super::array::one_axis;
use crate::hdf5::{Dataset, Fault, NumberKind, Object};
use crate::{Categorical, Column, DataFrame, Problem};

/// The name that anndata gives to an index without one.
const UNNAMED_INDEX: &str = "_index";

pub(super) fn read(group: &Object<'_>) -> Read<DataFrame> {
    let missing = |name: &str| group.fault(Problem::MissingAttribute { name: name.to_owned() });
    let index_name = group.string_attribute("_index")?.ok_or_else(|| missing("_index"))?;
    let order = group.attribute("column-order")?.ok_or_else(|| missing("column-order"))?;
    let order = order.strings().map_err(|p| group.fault(p))?;

    let mut frame = DataFrame::new(index(&at(group, &index_name)?)?);
    for name in order {
        let element = at(group, &name)?;
        if frame.get(&name).is_some() || name == index_name {
            return Err(element.fault(crate::Error::DuplicateColumn { column: name }));
        }
        if let Some(column) = column(&element)? {
            frame.insert(name, column).map_err(|e| element.fault(e))?;
        }
    }
    if index_name != UNNAMED_INDEX {
        frame.set_index_name(Some(&index_name)).map_err(|e| group.fault(e))?;
    }
    Ok(frame)
}

/// The element of a column: a slash in the name of a column makes groups on disk.
fn at<'f>(group: &Object<'f>, name: &str) -> Read<Object<'f>> {
    let (first, rest) = match name.split_once('/') {
        Some((first, rest)) if !group.contains(name)? => (first, Some(rest)),
        _ => (name, None),
    };
    let element = group.member(first)?;
    match rest {
        Some(rest) => at(&element, rest),
        None => Ok(element),
    }
}

fn index(element: &Object<'_>) -> Read<Vec<String>> {
    let column = column(element)?;
    let names = column.as_ref().and_then(|c| c.labels().ok());
    let Some(names) = names else {
        let found = column.map_or("values of an unknown kind", |c| c.kind()).to_owned();
        return Err(element.fault(Problem::Kind { found, expected: "row names" }));
    };
    let missing = |at| {
        let expected = "a name for every row".to_owned();
        element.fault(Problem::Value { at, value: "missing".to_owned(), expected })
    };
    names.into_iter().enumerate().map(|(at, name)| name.ok_or_else(|| missing(at))).collect()
}

/// A column, or `None` with a warning if it is of a kind that is left out.
pub(super) fn column(element: &Object<'_>) -> Read<Option<Column>> {
    let encoding = match encoding::of(element)? {
        Ok(encoding) => encoding,
        Err(problem) => {
            tracing::warn!("left out `{}`: {problem}", element.path());
            return Ok(None);
        }
    };
    match encoding {
        Encoding::Array | Encoding::StringArray => {
            let dataset = element.dataset()?;
            one_axis(&dataset)?;
            match legacy::referenced_categories(element)? {
                Some(categories) => {
                    let ordered = ordered(&categories)?;
                    categorical(&dataset, self::categories(&categories)?, ordered).map(Some)
                }
                None => list(&dataset).map(Some),
            }
        }
        Encoding::Categorical => {
            let codes = element.member("codes")?.dataset()?;
            one_axis(&codes)?;
            let categories = categories(&element.member("categories")?)?;
            categorical(&codes, categories, ordered(element)?).map(Some)
        }
        Encoding::NullableInteger => {
            let (values, mask) = masked(element)?;
            Ok(Some(Column::NullableI64(with_gaps(element, values.numbers()?, mask)?)))
        }
        Encoding::NullableBoolean => {
            let (values, mask) = masked(element)?;
            Ok(Some(Column::NullableBool(with_gaps(element, values.numbers()?, mask)?)))
        }
        Encoding::NullableStringArray => {
            let (values, mask) = masked(element)?;
            Ok(Some(Column::NullableStrings(with_gaps(element, values.strings()?, mask)?)))
        }
        other => {
            tracing::warn!("left out `{}`: {other:?} is no column", element.path());
            Ok(None)
        }
    }
}

/// Values of one axis without gaps.
pub(super) fn list(dataset: &Dataset<'_>) -> Read<Column> {
    Ok(match dataset.dtype().number() {
        Some(NumberKind::Bool) => Column::Bool(dataset.numbers()?),
        Some(NumberKind::F64) => Column::F64(dataset.numbers()?),
        Some(NumberKind::F16 | NumberKind::F32) => Column::F32(dataset.numbers()?),
        Some(_) => Column::I64(dataset.numbers()?),
        None => Column::Strings(dataset.strings()?),
    })
}

fn ordered(element: &Object<'_>) -> Read<bool> {
    let Some(attribute) = element.attribute("ordered")? else { return Ok(false) };
    let values = attribute.numbers::<bool>().map_err(|p| element.fault(p))?;
    Ok(values.first().copied().unwrap_or(false))
}

fn categorical(codes: &Dataset<'_>, categories: Vec<String>, ordered: bool) -> Read<Column> {
    let codes_read = codes.numbers::<i32>()?;
    Categorical::new(codes_read, categories, ordered).map(Column::Categorical).map_err(|e| {
        let element = match e {
            crate::Error::DuplicateCategory { .. } => codes.path().replace("/codes", "/categories"),
            _ => codes.path().to_owned(),
        };
        Fault::new(element, e)
    })
}

/// Categories as text; numbers are written as Python writes them.
fn categories(element: &Object<'_>) -> Read<Vec<String>> {
    let column = column(element)?;
    let names = column.as_ref().and_then(|column| match column {
        Column::F32(v) => Some(v.iter().map(|x| Some(format!("{x:?}"))).collect()),
        Column::F64(v) => Some(v.iter().map(|x| Some(format!("{x:?}"))).collect()),
        other => other.labels().ok(),
    });
    let Some(names) = names else {
        let found = "values of an unknown kind".to_owned();
        return Err(element.fault(Problem::Kind { found, expected: "categories" }));
    };
    let missing = |at| {
        let expected = "a category".to_owned();
        element.fault(Problem::Value { at, value: "missing".to_owned(), expected })
    };
    names.into_iter().enumerate().map(|(at, name)| name.ok_or_else(|| missing(at))).collect()
}

fn masked<'f>(element: &Object<'f>) -> Read<(Dataset<'f>, Vec<bool>)> {
    let values = element.member("values")?.dataset()?;
    one_axis(&values)?;
    let mask = element.member("mask")?.dataset()?;
    Ok((values, mask.numbers()?))
}

/// Values, `None` where the mask is true.
fn with_gaps<T>(element: &Object<'_>, values: Vec<T>, mask: Vec<bool>) -> Read<Vec<Option<T>>> {
    if values.len() != mask.len() {
        let found = vec![mask.len() as u64];
        let problem = Problem::Shape { found, expected: format!("[{}], as the values have", values.len()) };
        return Err(Fault::new(element.member_path("mask"), problem));
    }
    Ok(values.into_iter().zip(mask).map(|(value, missing)| (!missing).then_some(value)).collect())
}
