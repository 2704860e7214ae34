use std::collections::HashMap;
use std::path::Path;

use super::csv::{COLUMNS, SHIFT};
use super::perturber::Outcome;
use super::{Error, Perturber};

/// The results of perturbations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The states that cells move to or from: start, goal, alternatives.
    pub states: Vec<String>,
    /// The genes of the rows, in order of first appearance.
    pub genes: Vec<Gene>,
    /// A row for each perturbation of each cell, and behind it one for each gene affected, if these were asked for.
    pub rows: Vec<Row>,
    by_id: HashMap<String, usize>,
}

/// A gene, or several that were perturbed together, joined by `+`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gene {
    /// Id in the dictionary.
    pub id: String,
    /// Name, if known.
    pub name: Option<String>,
}

/// A row of a [`Table`].
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The perturbed gene, among [`Table::genes`].
    pub gene: usize,
    /// The row of the data set.
    pub cell: usize,
    /// The rank of the gene in the cell, from 0; none for lists.
    pub position: Option<usize>,
    /// The gene that the cosine is of, among [`Table::genes`]; none where it is of the cell.
    pub affected: Option<usize>,
    /// Between perturbed and original.
    pub cosine: f32,
    /// For each of [`Table::states`]; empty where the cosine is of a gene.
    pub shifts: Vec<f32>,
}

/// A value of the rows of cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'v> {
    /// The cosine between perturbed and original cell.
    Cosine,
    /// The shift to a state.
    Shift(&'v str),
}

impl Table {
    pub(super) fn new(states: Vec<String>) -> Self {
        Self { states, ..Self::default() }
    }

    pub(super) fn push(&mut self, perturber: &Perturber<'_>, outcome: &Outcome) {
        let (id, name) = perturber.gene(&outcome.tokens);
        let gene = self.gene(&id, Some(name).filter(|name| !name.is_empty()));
        let row = |affected, cosine, shifts| Row {
            gene,
            cell: outcome.row,
            position: outcome.position,
            affected,
            cosine,
            shifts,
        };
        let compared = &outcome.compared;
        self.rows.push(row(None, compared.cosine, compared.shifts.clone()));
        for &(token, cosine) in &compared.affected {
            let (id, name) = perturber.gene(&[token]);
            let affected = self.gene(&id, Some(name).filter(|name| !name.is_empty()));
            self.rows.push(row(Some(affected), cosine, vec![]));
        }
    }

    fn gene(&mut self, id: &str, name: Option<String>) -> usize {
        if let Some(&gene) = self.by_id.get(id) {
            if self.genes[gene].name.is_none() {
                self.genes[gene].name = name;
            }
            return gene;
        }
        self.genes.push(Gene { id: id.to_owned(), name });
        self.by_id.insert(id.to_owned(), self.genes.len() - 1);
        self.genes.len() - 1
    }

    /// Reads a file that [`Perturber::run_to_file`] wrote. Genes that are only affected have no name in it.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NotATable`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let wrong = |what: String| Error::NotATable { path: path.to_owned(), what };
        let frame = sc_io::delimited::read(path)?;
        let labels = |name: &str| frame.labels(name).map_err(Error::from);
        for name in &COLUMNS[1..] {
            if frame.get(name).is_none() {
                return Err(wrong(format!("no column `{name}`")));
            }
        }
        let states: Vec<String> =
            frame.columns().filter_map(|(name, _)| name.strip_prefix(SHIFT)).map(str::to_owned).collect();
        let shifts = states.iter().map(|state| labels(&format!("{SHIFT}{state}")));
        let shifts = shifts.collect::<Result<Vec<_>, Error>>()?;
        let (ids, names) = (labels("gene_id")?, labels("gene_name")?);
        let (cells, positions) = (labels("cell")?, labels("position")?);
        let (affected, cosines) = (labels("affected_gene_id")?, labels("cosine")?);
        let mut table = Self::new(states);
        for row in 0..ids.len() {
            let invalid = |name: &str| wrong(format!("line {}: no valid `{name}`", row + 2));
            let float = |text: &Option<String>, name: &str| match text.as_deref().map(str::parse::<f32>) {
                Some(Ok(value)) => Ok(value),
                _ => Err(invalid(name)),
            };
            let id = ids[row].as_deref().ok_or_else(|| invalid("gene_id"))?;
            let cell = cells[row].as_deref().and_then(|text| text.parse().ok());
            let position = match &positions[row] {
                None => None,
                Some(text) => Some(text.parse().map_err(|_| invalid("position"))?),
            };
            let entry = Row {
                gene: table.gene(id, names[row].clone()),
                cell: cell.ok_or_else(|| invalid("cell"))?,
                position,
                affected: affected[row].as_deref().map(|id| table.gene(id, None)),
                cosine: float(&cosines[row], "cosine")?,
                shifts: match &affected[row] {
                    Some(_) => vec![],
                    None => {
                        let of_states = shifts.iter().map(|column| float(&column[row], "shift"));
                        of_states.collect::<Result<_, Error>>()?
                    }
                },
            };
            table.rows.push(entry);
        }
        Ok(table)
    }

    /// Puts the rows of another table behind these: results of the same perturbations of other cells.
    ///
    /// # Errors
    /// [`Error::OtherStates`].
    pub fn append(&mut self, other: &Self) -> Result<(), Error> {
        if self.states != other.states {
            return Err(Error::OtherStates { first: self.states.clone(), second: other.states.clone() });
        }
        let genes: Vec<usize> =
            other.genes.iter().map(|gene| self.gene(&gene.id, gene.name.clone())).collect();
        self.rows.extend(other.rows.iter().map(|row| Row {
            gene: genes[row.gene],
            affected: row.affected.map(|gene| genes[gene]),
            ..row.clone()
        }));
        Ok(())
    }

    /// A value of every perturbed gene, one for each cell, in order of the rows; none for genes that are only affected.
    ///
    /// # Errors
    /// [`Error::NoState`].
    pub fn values(&self, value: Value<'_>) -> Result<Vec<Vec<f64>>, Error> {
        let state = match value {
            Value::Cosine => None,
            Value::Shift(label) => match self.states.iter().position(|state| state == label) {
                Some(state) => Some(state),
                None => {
                    return Err(Error::NoState { label: label.to_owned(), known: self.states.clone() });
                }
            },
        };
        let mut values = vec![vec![]; self.genes.len()];
        for row in self.rows.iter().filter(|row| row.affected.is_none()) {
            values[row.gene].push(f64::from(state.map_or(row.cosine, |state| row.shifts[state])));
        }
        Ok(values)
    }
}
