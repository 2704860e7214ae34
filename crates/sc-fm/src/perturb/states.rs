use super::Error;
use crate::embed::StateEmbedding;

/// States that cells shall move from and to.
#[derive(Clone, Debug, PartialEq)]
pub struct GoalStates<'s> {
    /// The state of each row of the data set.
    pub labels: &'s [Option<String>],
    /// The state whose cells are perturbed.
    pub start: &'s str,
    /// The state that they shall come closer to.
    pub goal: &'s str,
    /// Further states to look at.
    pub alternatives: &'s [&'s str],
    /// An embedding for each state, of the same model, layer and pooling: by
    /// [`Embedding::states`](crate::embed::Embedding::states).
    pub embeddings: &'s StateEmbedding,
}

/// The names of the states and their embeddings: start, goal, alternatives.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Targets {
    pub(crate) names: Vec<String>,
    pub(crate) vectors: Vec<Vec<f32>>,
}

impl GoalStates<'_> {
    pub(crate) fn targets(&self, width: usize) -> Result<Targets, Error> {
        let mut targets = Targets::default();
        for &label in [self.start, self.goal].iter().chain(self.alternatives) {
            let StateEmbedding { labels, n_cells, values } = self.embeddings;
            let label = label.to_owned();
            let Some(state) = labels.iter().position(|name| *name == label) else {
                return Err(Error::NoState { label, known: labels.clone() });
            };
            if targets.names.contains(&label) {
                return Err(Error::StateTwice { label });
            }
            if n_cells[state] < 2 {
                return Err(Error::FewCells { label, found: n_cells[state] });
            }
            if values.ncols() != width {
                return Err(Error::StateWidth { found: values.ncols(), expected: width });
            }
            targets.names.push(label);
            targets.vectors.push(values.row(state).to_vec());
        }
        Ok(targets)
    }
}
