//! Where reference files are.

use std::io::Write;
use std::path::{Path, PathBuf};

/// A folder of reference outputs, if it is there: below `SC_TEST_FIXTURES`, else `../shared/fixtures` beside the
/// repository.
pub(crate) fn fixtures(folder: &str) -> Option<PathBuf> {
    outside("SC_TEST_FIXTURES", "../shared/fixtures", folder)
}

/// A folder of real data, if it is there: below `SC_TEST_DATA`, else `../shared/data` beside the repository.
pub(crate) fn data(folder: &str) -> Option<PathBuf> {
    outside("SC_TEST_DATA", "../shared/data", folder)
}

/// The small part of the reference outputs that is kept with the tests.
pub(crate) fn kept(folder: &str) -> Option<PathBuf> {
    Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder))
}

fn outside(variable: &str, beside: &str, folder: &str) -> Option<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = std::env::var_os(variable).map_or_else(|| repository.join(beside), PathBuf::from);
    let path = root.join(folder);
    if path.is_dir() {
        return Some(path);
    }
    assert!(std::env::var_os("SC_REQUIRE_DATA").is_none(), "{} is not there", path.display());
    // Straight to stderr: the test harness swallows what the print macros write.
    let note =
        format!("left out: what needs {} ({variable} names the folder that holds it)\n", path.display());
    std::io::stderr().write_all(note.as_bytes()).expect("stderr is open");
    None
}
