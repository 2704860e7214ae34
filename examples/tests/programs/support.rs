//! Running a program, and files for it to read.

use std::path::{Path, PathBuf};
use std::process::Command;

use ndarray::Array2;
use sc_io::{AnnData, Categorical, Column, Csr, DataFrame, Matrix, h5ad};

/// What a program left behind.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Where an example of this package is, which `cargo test` has built beside this test.
pub(crate) fn program(example: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let built = test.parent().and_then(Path::parent).unwrap().join("examples");
    built.join(format!("{example}{}", std::env::consts::EXE_SUFFIX))
}

/// Runs an example of this package.
pub(crate) fn run(example: &str, arguments: &[&str]) -> Ended {
    let program = program(example);
    let ended = Command::new(&program).args(arguments).output();
    let ended = ended.unwrap_or_else(|e| panic!("{}: {e}", program.display()));
    Ended {
        code: ended.status.code().expect("the program was not killed"),
        stdout: String::from_utf8(ended.stdout).unwrap(),
        stderr: String::from_utf8(ended.stderr).unwrap(),
    }
}

/// Checks that a program refused its input with this exit code, naming all `words`.
#[track_caller]
pub(crate) fn refused(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, code, "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "no {word:?} in: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

/// 40 cells of two types and 12 genes; each type has six genes of its own.
pub(crate) fn counts() -> Array2<f32> {
    Array2::from_shape_fn((40, 12), |(i, j)| {
        let own = (i % 2 == 0) == (j < 6);
        ((i * 7 + j * 5) % 4 + if own { 3 } else { 0 }) as f32
    })
}

/// `B` for even cells, `T` for odd ones.
pub(crate) fn types() -> Vec<Option<&'static str>> {
    (0..40).map(|i| Some(if i % 2 == 0 { "B" } else { "T" })).collect()
}

/// Writes an `.h5ad` file with the columns `cell_type` and `donor` (ten cells each) and returns its path.
pub(crate) fn write_h5ad(dir: &Path, x: &Array2<f32>, types: &[Option<&str>]) -> PathBuf {
    let names = |prefix: &str, n| (0..n).map(|i| format!("{prefix}{i}")).collect();
    let mut obs = DataFrame::new(names("cell", x.nrows()));
    obs.insert("cell_type", Column::Categorical(Categorical::from_labels(types))).unwrap();
    let donors: Vec<Option<String>> = (0..types.len()).map(|i| Some(format!("d{}", i / 10))).collect();
    obs.insert("donor", Column::Categorical(Categorical::from_labels(&donors))).unwrap();
    let x = Matrix::Csr(Csr::from_dense(x.view()));
    let n_vars = x.n_cols();
    let adata = AnnData::new(x, obs, DataFrame::new(names("gene", n_vars))).unwrap();
    let path = dir.join("cells.h5ad");
    h5ad::write(&adata, &path).unwrap();
    path
}
