//! Output that is there whole or not at all.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Writes a file aside, in the same folder, and puts it in place when it is complete and on disk.
///
/// Whatever interrupts it, afterwards the old file is whole or the new one is. With `overwrite` false an existing file is
/// left alone, even one that appears meanwhile. A link is followed: the file that it leads to is replaced. A new file gets
/// the permissions that the process gives to new files; a replaced one keeps its own.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("result.json");
/// sc_io::atomic::write_aside(&path, false, |file| std::io::Write::write_all(file, b"{}"))?;
/// assert_eq!(std::fs::read_to_string(&path)?, "{}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Exists`] if there is a file that may not be replaced; [`Error::Io`] if anything fails, with the temporary file
/// gone.
pub fn write_aside(
    path: impl AsRef<Path>,
    overwrite: bool,
    write: impl FnOnce(&mut File) -> std::io::Result<()>,
) -> Result<()> {
    let path = path.as_ref();
    with_temporary(path, overwrite, |file, _| write(file).map_err(|source| failed(path, source)))
}

/// [`write_aside`] for writers that open their file by its path, and with errors of their own.
pub(crate) fn with_temporary(
    path: &Path,
    overwrite: bool,
    write: impl FnOnce(&mut File, &Path) -> Result<()>,
) -> Result<()> {
    let target = followed(path);
    let old = std::fs::metadata(&target).ok();
    if old.is_some() && !overwrite {
        return Err(Error::Exists { path: path.to_owned() });
    }
    let folder = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut temporary = new_file(folder, old.map(|m| m.permissions())).map_err(|e| failed(path, e))?;
    let aside = temporary.path().to_owned();
    write(temporary.as_file_mut(), &aside)?;
    temporary
        .as_file_mut()
        .flush()
        .and_then(|()| temporary.as_file().sync_all())
        .map_err(|e| failed(path, e))?;
    let placed = if overwrite { temporary.persist(&target) } else { temporary.persist_noclobber(&target) };
    placed.map_err(|e| match e.error.kind() {
        std::io::ErrorKind::AlreadyExists => Error::Exists { path: path.to_owned() },
        _ => failed(path, e.error),
    })?;
    sync_folder(folder).map_err(|e| failed(path, e))
}

fn failed(path: &Path, source: std::io::Error) -> Error {
    Error::Io { path: path.to_owned(), doing: "write", source }
}

/// Where a link leads; the path itself if it is none or leads nowhere.
fn followed(path: &Path) -> PathBuf {
    match path.symlink_metadata() {
        Ok(meta) if meta.is_symlink() => path.canonicalize().unwrap_or_else(|_| path.to_owned()),
        _ => path.to_owned(),
    }
}

fn new_file(folder: &Path, old: Option<std::fs::Permissions>) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".sc-").suffix(".part");
    #[cfg(unix)]
    {
        // The mask of the process takes away from these what it takes away from any new file.
        let new = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        builder.permissions(new);
    }
    let file = builder.tempfile_in(folder)?;
    if let Some(old) = old {
        file.as_file().set_permissions(old)?;
    }
    Ok(file)
}

/// The new name is on disk only when the folder is.
#[cfg(unix)]
pub(crate) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Folders cannot be opened as files here; the system writes them on its own.
#[cfg(not(unix))]
pub(crate) fn sync_folder(_: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "old").unwrap();
        let e = write_aside(&path, true, |file| {
            file.write_all(b"half of the n")?;
            Err(std::io::ErrorKind::StorageFull.into())
        });
        assert!(matches!(e, Err(Error::Io { doing: "write", .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn a_file_is_replaced_only_when_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_aside(&path, false, |f| f.write_all(b"one")).unwrap();
        let e = write_aside(&path, false, |f| f.write_all(b"two")).unwrap_err();
        assert!(matches!(e, Error::Exists { .. }) && e.help().is_some());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
        write_aside(&path, true, |f| f.write_all(b"two")).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn a_file_that_appears_meanwhile_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let e = write_aside(&path, false, |f| {
            std::fs::write(&path, "somebody else's")?;
            f.write_all(b"ours")
        });
        assert!(matches!(e, Err(Error::Exists { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "somebody else's");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_followed_and_permissions_are_kept() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        std::fs::write(&real, "old").unwrap();
        std::fs::set_permissions(&real, PermissionsExt::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write_aside(&link, true, |f| f.write_all(b"new")).unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(std::fs::read_to_string(&real).unwrap(), "new");
        assert_eq!(real.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    }
}
