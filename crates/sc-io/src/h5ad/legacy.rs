//! What older versions of anndata wrote.
//!
//! * 0.7 kept the categories of a column in `__categories` and referred to them from the codes.
//! * 0.5 and 0.6 wrote tables, `obsm` and `varm` as records, one a row, with the categories of a column in
//!   `uns["<column>_categories"]`, and sparse matrices under other attribute names.
//! * scanpy before 1.5 kept the graphs of the neighbours in `uns["neighbors"]`.

use ndarray::Array2;

use crate::hdf5::{Dataset, Dtype, Fault, Member, Number, NumberKind, Object, decode_numbers};
use crate::{AnnData, Categorical, Column, DataFrame, Problem, Value};

type Read<T> = Result<T, Fault>;

/// The categories that a column of codes refers to, in files of anndata 0.7.
pub(super) fn referenced_categories<'f>(codes: &Object<'f>) -> Read<Option<Object<'f>>> {
    let Some(attribute) = codes.attribute("categories")? else { return Ok(None) };
    let path = match codes.path().rsplit_once('/') {
        Some((table, column)) => format!("{table}/__categories/{column}"),
        None => codes.path().to_owned(),
    };
    match attribute.references().map_err(|p| codes.fault(p))?[..] {
        [address] => codes.referenced(address, path).map(Some),
        _ => Err(codes.fault(Problem::Malformed("it refers to more than one list of categories".to_owned()))),
    }
}

/// Records, read once and taken apart field by field.
struct Records<'f> {
    dataset: Dataset<'f>,
    members: Vec<Member>,
    size: usize,
    bytes: Vec<u8>,
}

impl<'f> Records<'f> {
    fn read(object: &Object<'f>) -> Read<Self> {
        let dataset = object.dataset()?;
        let Dtype::Compound { size, members } = dataset.dtype().clone() else {
            let found = dataset.dtype().describe();
            return Err(dataset.fault(Problem::Dtype { found, expected: "records" }));
        };
        if dataset.dims().len() > 1 {
            let found = dataset.dims().to_vec();
            return Err(dataset.fault(Problem::Shape { found, expected: "one axis".to_owned() }));
        }
        let bytes = dataset.bytes()?;
        Ok(Self { dataset, members, size, bytes })
    }

    fn n_rows(&self) -> usize {
        self.bytes.len() / self.size
    }

    fn fault(&self, member: &Member, problem: impl Into<Problem>) -> Fault {
        Fault::new(format!("{}/{}", self.dataset.path(), member.name), problem)
    }

    /// The bytes of one field, row behind row.
    fn field(&self, member: &Member) -> Read<Vec<u8>> {
        let width = self.dataset.size_of(&member.dtype);
        let end = member.offset.checked_add(width).filter(|&end| end <= self.size && width > 0);
        let Some(end) = end else {
            return Err(
                self.fault(member, Problem::Malformed("the field lies outside its record".to_owned()))
            );
        };
        Ok(self
            .bytes
            .chunks_exact(self.size)
            .flat_map(|record| &record[member.offset..end])
            .copied()
            .collect())
    }

    fn numbers<T: Number>(&self, member: &Member, dtype: &Dtype) -> Read<Vec<T>> {
        decode_numbers(dtype, &self.field(member)?).map_err(|p| self.fault(member, p))
    }

    fn strings(&self, member: &Member) -> Read<Vec<String>> {
        self.dataset.field_strings(&member.dtype, &self.field(member)?)
    }

    /// One field as a column, `None` if it is neither text nor one number a row.
    fn column(&self, member: &Member) -> Read<Option<Column>> {
        let dtype = &member.dtype;
        Ok(Some(match dtype {
            Dtype::Number { kind, .. } => match kind {
                NumberKind::Bool => Column::Bool(self.numbers(member, dtype)?),
                NumberKind::F64 => Column::F64(self.numbers(member, dtype)?),
                NumberKind::F16 | NumberKind::F32 => Column::F32(self.numbers(member, dtype)?),
                _ => Column::I64(self.numbers(member, dtype)?),
            },
            dtype if dtype.is_string() => Column::Strings(self.strings(member)?),
            _ => {
                tracing::warn!("left out field {:?} of `{}`", member.name, self.dataset.path());
                return Ok(None);
            }
        }))
    }
}

/// A table of anndata 0.5 or 0.6.
pub(super) fn records(object: &Object<'_>, uns: Option<&Object<'_>>) -> Read<DataFrame> {
    let records = Records::read(object)?;
    let index = records.members.iter().find(|m| m.name == "index" || m.name == "_index");
    let Some(index) = index.or(records.members.first()) else {
        return Err(object.fault(Problem::Malformed("records without fields".to_owned())));
    };
    let names = match index.dtype.is_string() {
        true => records.strings(index)?,
        false => records.numbers::<i64>(index, &index.dtype)?.iter().map(i64::to_string).collect(),
    };
    let mut frame = DataFrame::new(names);
    for member in records.members.iter().filter(|m| m.name != index.name) {
        let Some(column) = records.column(member)? else { continue };
        let column = match (column, categories(uns, &member.name)?) {
            (Column::I64(codes), Some(categories)) => {
                let codes = codes.iter().map(|&code| i32::try_from(code).unwrap_or(i32::MIN)).collect();
                let column = Categorical::new(codes, categories, false);
                Column::Categorical(column.map_err(|e| records.fault(member, e))?)
            }
            (column, _) => column,
        };
        frame.insert(member.name.clone(), column).map_err(|e| records.fault(member, e))?;
    }
    Ok(frame)
}

/// The categories of a column, which were kept in `uns`.
fn categories(uns: Option<&Object<'_>>, column: &str) -> Read<Option<Vec<String>>> {
    let Some(uns) = uns else { return Ok(None) };
    match uns.find(&categories_key(column))? {
        Some(found) if found.is_dataset() && found.dataset()?.dtype().is_string() => {
            found.dataset()?.strings().map(Some)
        }
        _ => Ok(None),
    }
}

fn categories_key(column: &str) -> String {
    format!("{column}_categories")
}

/// Takes out of `uns` what [`records`] made part of a column.
pub(super) fn drop_categories(adata: &mut AnnData) {
    let made_of = |frame: &DataFrame| -> Vec<String> {
        let categorical = frame.columns().filter_map(|(name, column)| match column {
            Column::Categorical(c) => Some((name, c)),
            _ => None,
        });
        categorical
            .map(|(name, c)| (categories_key(name), c.categories().to_vec()))
            .filter(|(key, categories)| match adata.uns().get(key) {
                Some(Value::StringArray(listed)) => listed.iter().eq(categories),
                _ => false,
            })
            .map(|(key, _)| key)
            .collect()
    };
    let keys = [made_of(adata.obs()), made_of(adata.var())].concat();
    for key in keys {
        adata.uns_mut().remove(&key);
    }
}

/// Moves the graphs of scanpy 1.4 and older from `uns["neighbors"]` to `obsp`, as anndata does.
pub(super) fn move_graphs(adata: &mut AnnData) {
    for key in ["connectivities", "distances"] {
        if adata.obsp().contains_key(key) {
            continue;
        }
        let n_obs = adata.n_obs();
        let Some(Value::Map(neighbors)) = adata.uns_mut().get_mut("neighbors") else { return };
        let fits = |value: &Value| match value {
            Value::Matrix(m) => m.n_rows() == n_obs && m.n_cols() == n_obs,
            _ => false,
        };
        if neighbors.get(key).is_some_and(fits)
            && let Some(Value::Matrix(graph)) = neighbors.remove(key)
        {
            adata.insert_obsp(key, graph.into_csr()).expect("its shape was compared with n_obs");
        }
    }
}

/// `obsm` or `varm` of anndata 0.5 or 0.6: each field holds one row of one array.
pub(super) fn record_arrays(object: &Object<'_>) -> Read<Vec<(String, Array2<f32>)>> {
    let records = Records::read(object)?;
    let mut arrays = Vec::new();
    for member in &records.members {
        let (element, width) = match &member.dtype {
            Dtype::Array { element, length } => (&**element, *length),
            number => (number, 1),
        };
        if element.number().is_none() {
            tracing::warn!("left out field {:?} of `{}`", member.name, object.path());
            continue;
        }
        let values = records.numbers::<f32>(member, element)?;
        let array = Array2::from_shape_vec((records.n_rows(), width), values).map_err(|_| {
            records.fault(member, Problem::Malformed("the field has no fixed length".to_owned()))
        })?;
        arrays.push((member.name.clone(), array));
    }
    Ok(arrays)
}

/// Records in `uns`, such as the results of `rank_genes_groups`; fields that are no column are left out.
pub(super) fn record_value(object: &Object<'_>) -> Read<Value> {
    let records = Records::read(object)?;
    let mut fields = Vec::with_capacity(records.members.len());
    for member in &records.members {
        if let Some(column) = records.column(member)? {
            fields.push((member.name.clone(), column));
        }
    }
    Ok(Value::Records(fields))
}
