//! Reports and manifests on disk, through the public interface.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::path::Path;

use sc_eval::manifest::hash_input;
use sc_eval::protocol::{FoldOutput, cross_validate};
use sc_eval::split::StratifiedKFold;
use sc_eval::{Error, Labels, Manifest, Prediction, Report};

use crate::support;

/// What `sha256sum` says of the files of PBMC 3k in the data folder, and their sizes.
const PBMC3K: [(&str, &str, u64); 3] = [
    ("barcodes.tsv", "58c2a224a2b4258f7e8799a18890bda6d23824b247b80db2b08a0dcc36a4c660", 45900),
    ("genes.tsv", "8778dd78085086be6dcafa8334f95f7cf76b25526e8ef2b63186db5127a1492c", 816952),
    ("matrix.mtx.gz", "68b4860d58696332721611fdff212846847db778bd827f54b87384809c3a3515", 7490548),
];

#[test]
fn the_files_of_a_10x_folder_are_known_by_their_digests() {
    let Some(folder) = support::data("pbmc3k/filtered_gene_bc_matrices/hg19") else { return };
    let files = hash_input(&folder).unwrap();
    assert_eq!(files.len(), PBMC3K.len());
    for (file, (name, sha256, bytes)) in files.iter().zip(PBMC3K) {
        assert_eq!(Path::new(&file.path), folder.join(name));
        assert_eq!((file.sha256.as_str(), file.bytes), (sha256, bytes), "{name}");
    }
}

/// Ninety cells of three types, and models that are wrong about every n-th.
fn report(models: &[(&str, usize)]) -> Report {
    let names: Vec<&str> = (0..90).map(|cell| ["B cell", "T cell", "NK cell"][cell % 3]).collect();
    let labels = Labels::new(&names).unwrap();
    let splits = StratifiedKFold { n_splits: 3, ..Default::default() }.split(&labels).unwrap();
    let mut manifest = Manifest::new("test", "0.0.0");
    manifest.labels(&labels);
    let mut report = Report::new("Three types", "made up", labels.clone(), manifest);
    for &(name, n) in models {
        let code = |&cell: &usize| (labels.codes()[cell] + u32::from(cell % n == 0)) % 3;
        let result = cross_validate(&labels, &splits, |_, test| {
            let prediction = Prediction { codes: test.iter().map(code).collect(), probabilities: None };
            Ok::<_, Infallible>(FoldOutput { prediction, fit_seconds: 0.5, predict_seconds: 0.25 })
        });
        report.models.push((name.to_owned(), result.unwrap()));
    }
    report
}

fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entry =
        |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
    fs::read_dir(dir).unwrap().map(|e| entry(e.unwrap())).collect()
}

#[test]
fn what_is_on_disk_is_what_the_index_lists() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("results");
    report(&[("good", 20), ("fair", 7)]).write(&dir, false).unwrap();
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(dir.join("metrics.json")).unwrap()).unwrap();
    let listed: Vec<_> = index["files"].as_array().unwrap().iter().collect();
    let mut digests: BTreeMap<_, _> = hash_input(&dir)
        .unwrap()
        .into_iter()
        .map(|file| (Path::new(&file.path).file_name().unwrap().to_str().unwrap().to_owned(), file.sha256))
        .collect();
    digests.remove("metrics.json");
    assert_eq!(digests.len(), listed.len());
    for file in listed {
        assert_eq!(digests[file["name"].as_str().unwrap()], file["sha256"].as_str().unwrap());
    }
}

#[test]
fn a_second_run_needs_leave_and_writes_the_same_bytes() {
    let root = tempfile::tempdir().unwrap();
    let report = report(&[("good", 20), ("fair", 7)]);
    report.write(root.path(), false).unwrap();
    let first = contents(root.path());
    let refused = report.write(root.path(), false).unwrap_err();
    assert!(matches!(refused, Error::NotEmpty { .. }) && refused.help().is_some(), "{refused}");
    report.write(root.path(), true).unwrap();
    assert_eq!(contents(root.path()).keys().collect::<Vec<_>>(), first.keys().collect::<Vec<_>>());
    assert!(contents(root.path()) == first, "the same report is the same bytes");
}

#[test]
fn a_smaller_run_takes_its_old_figures_away_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path();
    report(&[("good", 20), ("fair", 7)]).write(dir, false).unwrap();
    fs::write(dir.join("confusion_by_hand.png"), "mine").unwrap();
    fs::write(dir.join("notes.txt"), "mine too").unwrap();
    report(&[("good", 20)]).write(dir, true).unwrap();
    assert!(!dir.join("confusion_fair.png").exists());
    assert_eq!(fs::read(dir.join("confusion_by_hand.png")).unwrap(), b"mine");
    assert_eq!(fs::read(dir.join("notes.txt")).unwrap(), b"mine too");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "x").unwrap();
    let refused = report(&[("good", 20)]).write(&file.join("results"), false).unwrap_err();
    assert!(refused.to_string().contains("results"), "{refused}");
    assert!(std::error::Error::source(&refused).is_some());
}
