//! Archives: the good one is read, those that are made to harm are refused.

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use sc_io::datasets::{pbmc3k, read_pbmc3k};
use sc_io::fetch::{Error, unpack_tar_gz};
use tar::{Builder, EntryType, Header};

/// An entry whose name is put into the header as it is.
fn entry(tar: &mut Builder<Vec<u8>>, kind: EntryType, name: &str, link: &str, content: &[u8]) {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.name[..name.len()].copy_from_slice(name.as_bytes());
    gnu.linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_cksum();
    tar.append(&header, content).unwrap();
}

fn packed(folder: &Path, tar: Builder<Vec<u8>>) -> PathBuf {
    let path = folder.join("a.tar.gz");
    let mut file = GzEncoder::new(std::fs::File::create(&path).unwrap(), Compression::fast());
    file.write_all(&tar.into_inner().unwrap()).unwrap();
    file.finish().unwrap();
    path
}

#[test]
fn files_and_folders_are_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let mut tar = Builder::new(Vec::new());
    entry(&mut tar, EntryType::Directory, "a/", "", b"");
    entry(&mut tar, EntryType::Regular, "./a/b.txt", "", b"text");
    let out = folder.path().join("out");
    let files = unpack_tar_gz(packed(folder.path(), tar), &out, 100).unwrap();
    assert_eq!(files, [out.join("a/b.txt")]);
    assert_eq!(std::fs::read(&files[0]).unwrap(), b"text");
}

#[test]
fn entries_that_lead_out_of_the_folder_or_are_no_files_are_refused() {
    let outside = "/tmp/outside";
    let cases = [
        (EntryType::Regular, "../evil", "", "leads out"),
        (EntryType::Regular, "a/../../evil", "", "leads out"),
        (EntryType::Regular, "/evil", "", "leads out"),
        (EntryType::Regular, "..\\evil", "", "leads out"),
        (EntryType::Regular, "C:evil", "", "leads out"),
        (EntryType::Directory, "../evil/", "", "leads out"),
        (EntryType::Symlink, "link", outside, "neither a file nor a folder"),
        (EntryType::Link, "link", "../evil", "neither a file nor a folder"),
        (EntryType::Fifo, "pipe", "", "neither a file nor a folder"),
        (EntryType::Char, "device", "", "neither a file nor a folder"),
        (EntryType::Regular, "GOOD.txt", "", "comes twice"),
        (EntryType::Regular, ".", "", "has no name"),
        (EntryType::Regular, "large", "", "more than 100 bytes"),
    ];
    for (kind, name, link, reason) in cases {
        let folder = tempfile::tempdir().unwrap();
        let mut tar = Builder::new(Vec::new());
        entry(&mut tar, EntryType::Regular, "good.txt", "", b"good");
        let content: &[u8] = if name == "large" { &[0; 200] } else { b"" };
        entry(&mut tar, kind, name, link, content);
        entry(&mut tar, EntryType::Regular, "link/behind", "", b"");
        let out = folder.path().join("out");
        let e = unpack_tar_gz(packed(folder.path(), tar), &out, 100).unwrap_err();
        assert!(matches!(&e, Error::Archive { entry, .. } if entry == name), "{name}: {e:?}");
        assert!(e.to_string().contains(reason), "{name}: {e}");
        // The archive, and the folder with the good file, and nothing else.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "{name}");
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1, "{name}");
    }
}

#[test]
fn a_bomb_and_a_torn_archive_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut tar = Builder::new(Vec::new());
    for i in 0..20 {
        entry(&mut tar, EntryType::Regular, &format!("zeros{i}"), "", &[0; 1 << 20]);
    }
    let path = packed(folder.path(), tar);
    let e = unpack_tar_gz(&path, folder.path().join("out"), 10 << 20).unwrap_err();
    assert!(matches!(e, Error::Archive { entry, .. } if entry == "zeros10"));
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(matches!(unpack_tar_gz(&path, folder.path().join("torn"), 100 << 20), Err(Error::Io { .. })));
    std::fs::write(&path, b"no archive").unwrap();
    assert!(matches!(unpack_tar_gz(&path, folder.path().join("none"), 100), Err(Error::Io { .. })));
}

#[test]
fn an_archive_that_is_not_the_set_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut tar = Builder::new(Vec::new());
    entry(&mut tar, EntryType::Regular, "readme.txt", "", b"");
    let e = read_pbmc3k(packed(folder.path(), tar)).unwrap_err();
    let sc_io::Error::Element { source: sc_io::Problem::Missing { present }, .. } = e else {
        panic!("{e:?}")
    };
    assert_eq!(present, ["readme.txt"]);

    let mut tar = Builder::new(Vec::new());
    let matrix = "%%MatrixMarket matrix coordinate integer general\n2 1 1\n1 1 5\n";
    for (name, content) in [("matrix.mtx", matrix), ("barcodes.tsv", "A\n"), ("genes.tsv", "E1\tA\nE2\tB\n")]
    {
        entry(&mut tar, EntryType::Regular, &format!("g/{name}"), "", content.as_bytes());
    }
    let e = read_pbmc3k(packed(folder.path(), tar)).unwrap_err();
    let sc_io::Error::Element { source: sc_io::Problem::Shape { found, .. }, .. } = e else {
        panic!("{e:?}")
    };
    assert_eq!(found, [1, 2, 1, 5]);
    assert!(pbmc3k().urls.iter().all(|url| url.starts_with("https://")));
}

/// Packs the real folder, where it is at hand, as the publisher does.
#[test]
fn the_real_set_is_read_from_an_archive() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let data =
        std::env::var_os("SC_TEST_DATA").map_or_else(|| repository.join("../shared/data"), PathBuf::from);
    let real = data.join("pbmc3k/filtered_gene_bc_matrices/hg19");
    if !real.is_dir() {
        assert!(
            std::env::var_os("SC_REQUIRE_DATA").is_none(),
            "SC_REQUIRE_DATA is set, but there is no {real:?}"
        );
        let note = b"left out (no real-data folder; set SC_TEST_DATA): the test on the archive of PBMC 3k\n";
        std::io::stderr().write_all(note).unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut tar = Builder::new(Vec::new());
    tar.append_dir_all("filtered_gene_bc_matrices/hg19", &real).unwrap();
    let adata = read_pbmc3k(packed(folder.path(), tar)).unwrap();
    assert_eq!(adata, sc_io::tenx::read_mtx(&real).unwrap());
}
