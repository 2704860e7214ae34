//! Where two JSON documents differ, in words.

use std::collections::BTreeSet;

use serde_json::Value;

/// Differences that are told; more of them are counted.
const MOST: usize = 8;
/// Characters of a value that are shown.
const WIDTH: usize = 60;

/// Each place where the documents differ: `parameters.n_genes is 2000 there and 1000 here`.
///
/// Entries of a list that have names are compared by name.
pub(super) fn differences(there: &Value, here: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk("", Some(there), Some(here), &mut found);
    let more = found.len().saturating_sub(MOST);
    found.truncate(MOST);
    if more > 0 {
        found.push(format!("and {more} more"));
    }
    found
}

fn walk(place: &str, there: Option<&Value>, here: Option<&Value>, found: &mut Vec<String>) {
    if there == here {
        return;
    }
    let at = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    match (there, here) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            for name in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                walk(&at(name), a.get(name), b.get(name), found);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) if named(a) && named(b) => {
            let before = found.len();
            let get = |list: &[Value], name: &str| list.iter().find(|entry| entry["name"] == name).cloned();
            let names: BTreeSet<&str> =
                a.iter().chain(b).filter_map(|entry| entry["name"].as_str()).collect();
            for name in names {
                walk(&at(name), get(a, name).as_ref(), get(b, name).as_ref(), found);
            }
            if found.len() == before {
                found.push(format!("{place} are in another order"));
            }
        }
        _ => found.push(match (there, here) {
            (Some(there), Some(here)) => {
                format!("{place} is {} there and {} here", short(there), short(here))
            }
            (Some(_), None) => format!("{place} is only there"),
            _ => format!("{place} is only here"),
        }),
    }
}

/// Whether every entry has a name of its own.
fn named(list: &[Value]) -> bool {
    let names: BTreeSet<&str> = list.iter().filter_map(|entry| entry.get("name")?.as_str()).collect();
    !list.is_empty() && names.len() == list.len()
}

fn short(value: &Value) -> String {
    let mut value = value.clone();
    value.sort_all_objects();
    let text = value.to_string();
    match text.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_difference_is_told_with_its_place() {
        let there = json!({"n": 1, "models": [{"name": "knn", "k": 5}, {"name": "svm"}], "seeds": [1, 2]});
        let here = json!({"n": 1, "models": [{"name": "knn", "k": 6}, {"name": "tree"}], "seeds": [1]});
        assert_eq!(
            differences(&there, &here),
            [
                "models.knn.k is 5 there and 6 here",
                "models.svm is only there",
                "models.tree is only here",
                "seeds is [1,2] there and [1] here"
            ]
        );
        assert!(differences(&there, &there).is_empty());
    }

    #[test]
    fn another_order_is_a_difference_and_many_are_counted() {
        let names = |names: [&str; 2]| json!({"models": names.map(|name| json!({"name": name}))});
        assert_eq!(differences(&names(["a", "b"]), &names(["b", "a"])), ["models are in another order"]);
        let many = |value| Value::Object((0..20).map(|i| (format!("k{i:02}"), json!(value))).collect());
        let told = differences(&many(0), &many(1));
        assert_eq!(told.len(), MOST + 1);
        assert_eq!(told[MOST], "and 12 more");
    }

    #[test]
    fn a_long_value_is_cut() {
        let told = differences(&json!({"a": "x".repeat(500)}), &json!({"a": 1}));
        assert!(told[0].len() < 120 && told[0].contains('…'), "{told:?}");
    }
}
