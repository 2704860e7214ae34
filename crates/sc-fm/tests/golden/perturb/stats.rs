//! Statistics beside SciPy's and scikit-learn's.

use std::path::Path;

use sc_fm::perturb::stats::{self, GoalParams, MixtureParams};
use sc_fm::perturb::{Table, Value};

use crate::models::compare;
use crate::support;

/// A table of shifts to a state `b`, one cell a value.
fn table(folder: &Path, genes: &serde_json::Value) -> Table {
    let mut text =
        "perturbation,gene_id,gene_name,token,anchor,cell,position,affected_gene_id,affected_token,cosine,shift_b\n"
            .to_owned();
    for (gene, values) in genes.as_array().unwrap().iter().enumerate() {
        for (cell, value) in values.as_array().unwrap().iter().enumerate() {
            text += &format!("delete,G{gene},,{gene},,{cell},0,,,1,{}\n", value.as_f64().unwrap());
        }
    }
    let path = folder.join("table.csv");
    std::fs::write(&path, text).unwrap();
    Table::read(&path).unwrap()
}

fn close(what: &str, found: f64, expected: &serde_json::Value, tolerance: f64) {
    let expected = expected.as_f64().unwrap();
    let difference = (found - expected).abs();
    assert!(difference <= tolerance * expected.abs().max(1e-12), "{what}: {found} instead of {expected}");
}

#[test]
fn every_statistic_of_shifts() {
    let reference = compare::json(&support::kept().join("perturb_stats/stats.json"));
    let folder = tempfile::tempdir().unwrap();
    let test = table(folder.path(), &reference["genes"]);
    let null = table(folder.path(), &reference["null"]);
    let number = |id: &str| id[1..].parse::<usize>().unwrap();

    let shifts = stats::goal_state_shift(&test, "b", &[], &GoalParams::default()).unwrap();
    assert_eq!(shifts.len(), reference["genes"].as_array().unwrap().len());
    for row in &shifts {
        let gene = number(&row.gene.id);
        close("mean", row.goal.mean, &reference["mean"][gene], 1e-9);
        close("p", row.goal.p, &reference["p"][gene], 1e-9);
        close("fdr", row.goal.fdr, &reference["fdr"][gene], 1e-9);
        assert_eq!(row.is_significant, reference["fdr"][gene].as_f64().unwrap() < 0.05);
        assert_eq!(row.n_detections, reference["genes"][gene].as_array().unwrap().len());
    }
    let (significant, others): (Vec<_>, Vec<_>) = shifts.iter().partition(|row| row.is_significant);
    assert!(!significant.is_empty() && shifts[..significant.len()].iter().all(|row| row.is_significant));
    assert!(others.is_sorted_by(|a, b| a.goal.mean >= b.goal.mean));

    for row in stats::vs_null(&test, &null, Value::Shift("b")).unwrap() {
        let gene = number(&row.gene.id);
        close("p against null", row.p.unwrap(), &reference["p_null"][gene], 1e-9);
        close("fdr against null", row.fdr.unwrap(), &reference["fdr_null"][gene], 1e-9);
    }

    let mixture = stats::mixture_model(&test, Value::Shift("b"), &MixtureParams::default()).unwrap();
    for (name, component) in [("impact", mixture.impact), ("rest", mixture.rest)] {
        for (i, found) in [component.mean, component.variance, component.weight].into_iter().enumerate() {
            close(&format!("{name}, {i}"), found, &reference[name][i], 1e-5);
        }
    }
    for (gene, row) in mixture.rows.iter().enumerate() {
        close("impact fraction", row.impact_fraction, &reference["impact_fraction"][gene], 1e-9);
        assert_eq!(row.has_impact, reference["has_impact"][gene].as_bool().unwrap(), "gene {gene}");
    }
    for (gene, row) in stats::aggregate_data(&test, Value::Shift("b")).unwrap().iter().enumerate() {
        close("mean over cells", row.mean, &reference["mean"][gene], 1e-9);
        close("deviation over cells", row.sd, &reference["sd"][gene], 1e-9);
    }
}

#[test]
fn statistics_of_what_is_not_there_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(folder.path(), &serde_json::json!([[0.5, 0.25]]));
    let error = stats::goal_state_shift(&table, "c", &[], &GoalParams::default()).unwrap_err();
    assert_eq!(error.to_string(), "no state \"c\", only \"b\"");
    let error = stats::mixture_model(&table, Value::Cosine, &MixtureParams::default()).unwrap_err();
    let message = "a mixture of two components needs at least 2 genes with different means, found 1";
    assert_eq!(error.to_string(), message);
    assert!(stats::aggregate_gene_shifts(&table).is_err());
    assert!(stats::vs_null(&table, &Table::default(), Value::Cosine).is_err());
}
