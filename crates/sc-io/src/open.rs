//! One door for every format: what is there decides, not what it is called.

use std::path::Path;

use crate::hdf5::File;
use crate::{AnnData, Error, Result, h5ad, tenx};

/// Reads annotated data from an `.h5ad` file, a 10x folder, a 10x `.h5` file or, with the feature `rds`, a file of R.
///
/// A folder is read as [`tenx::read_mtx`] does; a file of R is told by its ending (`.rds`, `.rda`, `.RData`), another file
/// by its contents, whatever its name.
///
/// # Errors
/// [`Error::NoSuchPath`] if there is nothing, [`Error::NotTenX`] for a folder without a matrix (with what is in it),
/// [`Error::NotHdf5`] for a file that is none (with its first bytes), [`Error::FeatureOff`] for a file of R without the
/// feature `rds`, and whatever the reader of the format finds.
pub fn open(path: impl AsRef<Path>) -> Result<AnnData> {
    let path = path.as_ref();
    let kind = std::fs::metadata(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => Error::NoSuchPath { path: path.to_owned() },
        _ => Error::Io { path: path.to_owned(), doing: "open", source },
    })?;
    if kind.is_dir() {
        return tenx::read_mtx(path);
    }
    if is_r(path) {
        #[cfg(feature = "rds")]
        return crate::rds::read(path);
        #[cfg(not(feature = "rds"))]
        return Err(Error::FeatureOff { path: path.to_owned(), format: "R", feature: "rds" });
    }
    let file =
        File::open(path, h5ad::ReadOptions::default().limits()).map_err(|e| h5ad::open_error(path, e))?;
    let ten_x = file.root().and_then(|root| tenx::is_tenx(&root)).map_err(|f| Error::Element {
        path: path.to_owned(),
        element: f.element,
        source: f.problem,
    })?;
    if ten_x { tenx::read_h5(path) } else { h5ad::read_file(path, &file) }
}

/// Whether a path has an ending of R's files, in any case.
pub(crate) fn is_r(path: &Path) -> bool {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    ["rds", "rda", "rdata"].iter().any(|known| ending.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_r_are_told_by_their_ending() {
        for name in ["a.rds", "b.RDS", "c.rda", "d.RData"] {
            assert!(is_r(Path::new(name)), "{name}");
        }
        for name in ["a.h5ad", "rds", "a.rds.gz"] {
            assert!(!is_r(Path::new(name)), "{name}");
        }
    }

    #[cfg(not(feature = "rds"))]
    #[test]
    fn without_the_feature_a_file_of_r_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pbmc.rds");
        std::fs::write(&path, "X\n").unwrap();
        let error = open(&path).unwrap_err();
        assert!(matches!(error, Error::FeatureOff { feature: "rds", .. }) && error.help().is_some());
    }
}
