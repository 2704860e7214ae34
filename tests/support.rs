//! Where the data of the tests are, and what to do where they are not.

use std::io::Write;
use std::path::{Path, PathBuf};

/// A file of the real-data folder: `SC_TEST_DATA`, else `../shared/data` beside the repository.
///
/// Without that folder the caller leaves its test out, and stderr says so; with `SC_REQUIRE_DATA` set (as in CI) it
/// is a failure instead. A folder that is there but lacks the file is always a failure.
pub(crate) fn data(file: &str) -> Option<PathBuf> {
    outside("real-data folder", "SC_TEST_DATA", "../shared/data", file)
}

/// A folder of reference outputs of models: below `SC_TEST_FIXTURES`, else `../shared/fixtures` beside the repository.
/// Where there is none, as for [`data`].
pub(crate) fn fixtures(folder: &str) -> Option<PathBuf> {
    outside("fixture folder", "SC_TEST_FIXTURES", "../shared/fixtures", folder)
}

fn outside(what: &str, variable: &str, default: &str, entry: &str) -> Option<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository");
    let folder = std::env::var_os(variable).map_or_else(|| repository.join(default), PathBuf::from);
    if !folder.is_dir() {
        assert!(
            std::env::var_os("SC_REQUIRE_DATA").is_none(),
            "SC_REQUIRE_DATA is set, but {} is not a folder",
            folder.display()
        );
        // Straight to stderr: the test harness swallows what the print macros write.
        let note = format!("left out (no {what}; set {variable}): a test on {entry}\n");
        std::io::stderr().write_all(note.as_bytes()).expect("stderr is open");
        return None;
    }
    let path = folder.join(entry);
    assert!(path.exists(), "{} is missing from the {what}", path.display());
    Some(path)
}

/// A golden file of the repository, parsed.
pub(crate) fn golden(file: &str) -> serde_json::Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
