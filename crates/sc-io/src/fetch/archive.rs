//! Archives, unpacked with suspicion.

use std::fs::OpenOptions;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::EntryType;

use super::cache::failed;
use super::{Error, Result};

/// More entries than this are refused.
const MAX_ENTRIES: usize = 10_000;

/// Unpacks a `.tar.gz` into an empty folder and gives the paths of its files, in their order.
///
/// Only files and folders are unpacked. An entry is refused, and nothing after it unpacked, if it is a link or a device, if
/// its path is absolute or leads upwards, if it comes twice (letters of either case count as one), or if all files
/// together would have more than `max_bytes`. Owners, permissions and times are those of any new file.
///
/// # Errors
/// [`Error::Archive`] names the entry; [`Error::Io`] for damaged archives and what the system refuses.
pub fn unpack_tar_gz(
    archive: impl AsRef<Path>,
    folder: impl AsRef<Path>,
    max_bytes: u64,
) -> Result<Vec<PathBuf>> {
    let (archive, folder) = (archive.as_ref(), folder.as_ref());
    let unreadable = |e| failed(archive, "read the archive", e);
    let file = std::fs::File::open(archive).map_err(unreadable)?;
    // What is declared is not believed: the whole stream ends a little behind the limit.
    let headers = (MAX_ENTRIES as u64 + 16) * 4096;
    let stream = MultiGzDecoder::new(file).take(max_bytes.saturating_add(headers));
    let mut tar = tar::Archive::new(stream);
    let mut seen = std::collections::HashSet::new();
    let mut files = Vec::new();
    let mut left = max_bytes;
    for (count, entry) in tar.entries().map_err(unreadable)?.enumerate() {
        let mut entry = entry.map_err(unreadable)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let refused = |why: &str| Error::Archive {
            path: archive.to_owned(),
            entry: name.chars().take(200).collect(),
            why: why.to_owned(),
        };
        if count >= MAX_ENTRIES {
            return Err(refused("is one too many"));
        }
        let target = inside(&name).ok_or_else(|| refused("has a path that leads out of the folder"))?;
        match entry.header().entry_type() {
            EntryType::Directory => {
                let path = folder.join(target);
                std::fs::create_dir_all(&path).map_err(|e| failed(&path, "create the folder", e))?;
            }
            EntryType::Regular | EntryType::Continuous => {
                if target.as_os_str().is_empty() || !seen.insert(target.to_string_lossy().to_lowercase()) {
                    return Err(refused("comes twice or has no name"));
                }
                left = left
                    .checked_sub(entry.size())
                    .ok_or_else(|| refused(&format!("makes more than {max_bytes} bytes")))?;
                let path = folder.join(target);
                let above = path.parent().unwrap_or(folder);
                std::fs::create_dir_all(above).map_err(|e| failed(above, "create the folder", e))?;
                let out = OpenOptions::new().write(true).create_new(true).open(&path);
                let mut out = out.map_err(|e| failed(&path, "create the file", e))?;
                let copied = std::io::copy(&mut entry, &mut out).map_err(unreadable)?;
                if copied != entry.size() {
                    return Err(refused("is cut short"));
                }
                files.push(path);
            }
            // The words of the archive about itself, such as times with fractions.
            EntryType::XGlobalHeader | EntryType::XHeader => {}
            _ => return Err(refused("is neither a file nor a folder")),
        }
    }
    Ok(files)
}

/// The path below the folder; none if it leads out of it.
fn inside(name: &str) -> Option<PathBuf> {
    if name.contains(['\\', ':', '\0']) {
        return None;
    }
    let mut path = PathBuf::new();
    for component in Path::new(name).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(path)
}
