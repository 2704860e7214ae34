//! The species that gene ids speak of.

/// Columns of one species that is not human.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OtherSpecies {
    pub(crate) species: &'static str,
    pub(crate) n: usize,
    pub(crate) first: String,
}

/// Names of the letters between `ENS` and `G`.
const SPECIES: [(&str, &str); 8] = [
    ("MUS", "mouse"),
    ("RNO", "rat"),
    ("DAR", "zebrafish"),
    ("MMU", "macaque"),
    ("SSC", "pig"),
    ("GAL", "chicken"),
    ("CAF", "dog"),
    ("PTR", "chimpanzee"),
];

/// The species that more than half of the ids belong to, if it is not human.
pub(crate) fn other_species<S: AsRef<str>>(ids: &[S]) -> Option<OtherSpecies> {
    let mut tally: Vec<OtherSpecies> = Vec::new();
    for id in ids.iter().map(AsRef::as_ref) {
        let Some(species) = species(id) else { continue };
        match tally.iter_mut().find(|other| other.species == species) {
            Some(other) => other.n += 1,
            None => tally.push(OtherSpecies { species, n: 1, first: id.to_owned() }),
        }
    }
    tally.into_iter().find(|other| 2 * other.n > ids.len())
}

/// The species of an id; `None` for human ones and all that tells nothing.
fn species(id: &str) -> Option<&'static str> {
    if let Some(letters) = ensembl_species(id) {
        return match letters {
            "" => None,
            _ => Some(
                SPECIES
                    .iter()
                    .find(|(code, _)| code.eq_ignore_ascii_case(letters))
                    .map_or("another species", |(_, name)| name),
            ),
        };
    }
    // Rodent symbols have one capital in front (Cd3e, Lyz2); of the human ones only open reading frames do (C1orf112).
    let (head, tail) = id.split_at_checked(1)?;
    let rodent = head.bytes().all(|b| b.is_ascii_uppercase())
        && tail.bytes().any(|b| b.is_ascii_lowercase())
        && !tail.bytes().any(|b| b.is_ascii_uppercase())
        && !tail.contains("orf");
    rodent.then_some("mouse or rat")
}

/// The letters between `ENS` and `G` of an Ensembl gene id, with or without version, in any case.
fn ensembl_species(id: &str) -> Option<&str> {
    let stem = id.split_once('.').map_or(id, |(stem, _)| stem);
    let (head, number) = stem.split_at_checked(stem.len().checked_sub(11)?)?;
    let (ens, letters) = head.split_at_checked(3)?;
    let letters = letters.strip_suffix(['G', 'g'])?;
    let is_id = ens.eq_ignore_ascii_case("ENS")
        && letters.bytes().all(|b| b.is_ascii_alphabetic())
        && number.bytes().all(|b| b.is_ascii_digit());
    is_id.then_some(letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_tell_their_species() {
        for (id, expected) in [
            ("ENSG00000000003", None),
            ("ensg00000000003.15", None),
            ("ENSMUSG00000000003", Some("mouse")),
            ("ENSRNOG00000000003.2", Some("rat")),
            ("ENSXYZG00000000003", Some("another species")),
            ("CD3E", None),
            ("C1orf112", None),
            ("Cd3e", Some("mouse or rat")),
            ("RP11-34P13.7", None),
            ("G10", None),
            ("", None),
            ("é", None),
        ] {
            assert_eq!(species(id), expected, "{id}");
        }
    }

    #[test]
    fn half_of_the_ids_do_not_make_a_species() {
        assert_eq!(other_species(&["Cd3e", "CD3E"]), None);
        let ids = ["ENSMUSG00000000001", "ENSMUSG00000000002", "CD3E"];
        let first = ids[0].to_owned();
        assert_eq!(other_species(&ids), Some(OtherSpecies { species: "mouse", n: 2, first }));
    }
}
