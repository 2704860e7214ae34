use std::collections::BTreeMap;

use ndarray::ArrayView1;
use sc_eval::ontology::{Ontology, TermId};

use super::Error;

/// Answers as narrow as the probabilities allow: a T cell where the kinds of T cells share the probability.
#[derive(Clone, Debug)]
pub struct BackOff<'o> {
    ontology: &'o Ontology,
    /// For each term that is or is above a label's: the labels.
    below: BTreeMap<TermId, Vec<usize>>,
    n_labels: usize,
}

/// An answer of a [`BackOff`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// The term.
    pub term: TermId,
    /// The probability of the labels that are kinds of it.
    pub mass: f64,
}

impl<'o> BackOff<'o> {
    /// * `terms`: the term of each label; a label without one takes part in no answer.
    pub fn new(ontology: &'o Ontology, terms: &[Option<TermId>]) -> Self {
        let mut below = BTreeMap::<TermId, Vec<usize>>::new();
        for (label, &term) in terms.iter().enumerate() {
            for &(ancestor, _) in term.iter().flat_map(|&term| ontology.ancestors(term)) {
                below.entry(ancestor).or_default().push(label);
            }
        }
        Self { ontology, below, n_labels: terms.len() }
    }

    /// The term with the most information (fewest kinds in the ontology) among those whose labels have at least the
    /// probability `mass` together; among equals the more probable, then the lower identifier. `None` if none has.
    ///
    /// # Errors
    /// [`Error::Length`] unless there is a probability for each label; [`Error::Param`] unless `mass` is above 0 and at
    /// most 1.
    pub fn answer(&self, probabilities: ArrayView1<'_, f64>, mass: f64) -> Result<Option<Answer>, Error> {
        if probabilities.len() != self.n_labels {
            return Err(Error::Length {
                what: "probabilities",
                found: probabilities.len(),
                expected: self.n_labels,
            });
        }
        if !(mass > 0.0 && mass <= 1.0) {
            return Err(Error::Param { field: "mass", found: mass, expected: "above 0 and at most 1" });
        }
        let of = |labels: &[usize]| labels.iter().map(|&label| probabilities[label]).sum::<f64>();
        let answers = self.below.iter().map(|(&term, labels)| Answer { term, mass: of(labels) });
        let information = |answer: &Answer| self.ontology.information_content(answer.term);
        // Of equals, `min_by` takes the first, which has the lower identifier.
        Ok(answers
            .filter(|answer| answer.mass >= mass)
            .min_by(|a, b| information(b).total_cmp(&information(a)).then(b.mass.total_cmp(&a.mass))))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    const OBO: &str = "[Term]\nid: CL:1\nname: cell\n\n[Term]\nid: CL:2\nname: T cell\nis_a: CL:1\n\n\
        [Term]\nid: CL:3\nname: CD4 T cell\nis_a: CL:2\n\n[Term]\nid: CL:4\nname: CD8 T cell\nis_a: CL:2\n\n\
        [Term]\nid: CL:5\nname: B cell\nis_a: CL:1\n";

    #[test]
    fn backs_off_to_what_is_probable_enough() {
        let ontology = Ontology::from_obo(OBO).expect("an ontology");
        let term = |id: &str| ontology.by_id(id);
        let back_off = BackOff::new(&ontology, &[term("CL:3"), term("CL:4"), term("CL:5")]);
        let answer = |p: [f64; 3], mass| {
            let answer = back_off.answer(array![p[0], p[1], p[2]].view(), mass).expect("three labels");
            answer.map(|answer| ontology.name(answer.term).to_owned())
        };
        assert_eq!(answer([0.9, 0.05, 0.05], 0.8).as_deref(), Some("CD4 T cell"));
        assert_eq!(answer([0.5, 0.4, 0.1], 0.8).as_deref(), Some("T cell"));
        assert_eq!(answer([0.4, 0.2, 0.4], 0.8).as_deref(), Some("cell"));
        assert_eq!(answer([0.5, 0.5, 0.0], 0.5).as_deref(), Some("CD4 T cell"), "the first of equals");
    }

    #[test]
    fn labels_without_a_term_are_in_no_answer() {
        let ontology = Ontology::from_obo(OBO).expect("an ontology");
        let back_off = BackOff::new(&ontology, &[ontology.by_id("CL:3"), None]);
        assert_eq!(back_off.answer(array![0.3, 0.7].view(), 0.5).expect("two labels"), None);
        let message = back_off.answer(array![1.0].view(), 0.5).unwrap_err().to_string();
        assert_eq!(message, "1 probabilities, expected 2");
        let message = back_off.answer(array![0.3, 0.7].view(), 0.0).unwrap_err().to_string();
        assert_eq!(message, "`mass` is 0, expected above 0 and at most 1");
    }
}
