use super::*;

use crate::checkpoint::{hub, write_safetensors};

fn write(folder: &Path, file: &str, tensors: &[(&str, f32)]) {
    let tensors: Vec<(&str, Tensor)> =
        tensors.iter().map(|&(name, value)| (name, Tensor::new(&[value], &Device::Cpu).unwrap())).collect();
    let tensors = tensors.iter().map(|(name, tensor)| (*name, tensor));
    write_safetensors(folder.join(file), tensors, &[], true).unwrap();
}

fn index(folder: &Path, map: &str) {
    std::fs::write(folder.join("model.safetensors.index.json"), format!("{{\"weight_map\": {map}}}"))
        .unwrap();
}

fn message(path: &Path) -> String {
    let error = Weights::open(path).unwrap_err();
    error.to_string().replace(&format!("{}/", path.display()), "")
}

#[test]
fn shards_are_one_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "1.safetensors", &[("a", 1.0), ("b", 2.0)]);
    write(folder.path(), "2.safetensors", &[("c", 3.0)]);
    index(folder.path(), r#"{"a": "1.safetensors", "b": "1.safetensors", "c": "2.safetensors"}"#);
    let mut weights = Weights::open(folder.path()).unwrap();
    assert_eq!(weights.names().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(weights.take("c", &[1]).unwrap().to_vec1::<f32>().unwrap(), [3.0]);
    let names: Vec<_> =
        weights.report().files.iter().map(|file| file.path.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["model.safetensors.index.json", "1.safetensors", "2.safetensors"]);
    let report = weights.report().hashed().unwrap();
    assert!(report.files.iter().all(|file| file.sha256.as_ref().is_some_and(|hash| hash.len() == 64)));
}

#[test]
fn an_index_and_its_shards_must_name_the_same_tensors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path, "1.safetensors", &[("a", 1.0), ("b", 2.0)]);
    index(path, r#"{"a": "1.safetensors", "c": "1.safetensors"}"#);
    assert_eq!(
        message(path),
        "model.safetensors.index.json: shard 1.safetensors does not hold what the index lists; not in the shard: c; not in \
         the index: b"
    );
    index(path, r#"{"a": "1.safetensors", "b": "1.safetensors", "c": "2.safetensors"}"#);
    assert_eq!(message(path), "2.safetensors: cannot open");
    // The same tensor in two shards is one too many in one of them.
    write(path, "2.safetensors", &[("a", 1.0), ("c", 1.0)]);
    assert!(
        message(path).contains("shard 2.safetensors does not hold what the index lists; not in the index: a")
    );
    index(path, r#"{"a": "1.safetensors", "a": "2.safetensors"}"#);
    assert_eq!(message(path), "model.safetensors.index.json: not valid JSON");
    for shard in ["../1.safetensors", "/etc/passwd", "x/1.safetensors", "..", "", "a\\\\b"] {
        index(path, &format!(r#"{{"a": "{shard}"}}"#));
        let expected = "model.safetensors.index.json: \"a\" is a path, expected the file name of a shard beside the index";
        assert_eq!(message(path), expected, "{shard}");
    }
    index(path, r#"{"a": 1}"#);
    assert!(message(path).contains("\"a\" is a whole number"));
    index(path, "[]");
    assert!(message(path).contains("\"weight_map\" is no dictionary"));
}

#[cfg(unix)]
#[test]
fn a_hub_cache_is_followed_from_branch_to_blob() {
    use std::os::unix::fs::symlink;
    let cache = tempfile::tempdir().unwrap();
    let commit = "a".repeat(40);
    let folder = cache.path().join("models--lab--Model");
    let files = folder.join("snapshots").join(&commit).join("small");
    for created in [&files, &folder.join("blobs"), &folder.join("refs")] {
        std::fs::create_dir_all(created).unwrap();
    }
    std::fs::write(folder.join("refs/main"), &commit).unwrap();
    write(&folder.join("blobs"), "123", &[("a", 1.0)]);
    symlink("../../../blobs/123", files.join("model.safetensors")).unwrap();
    symlink("../../../blobs/456", files.parent().unwrap().join("model.safetensors")).unwrap();
    let snapshot = hub::snapshot(cache.path(), "lab/Model", "main").unwrap();
    let weights = Weights::open(snapshot.path.join("small")).unwrap();
    assert_eq!(weights.report().revision, Some(commit.clone()));
    assert_eq!(weights.names().collect::<Vec<_>>(), ["a"]);
    // The folder of the model itself; its download was cut short.
    let error = Weights::open(&folder).unwrap_err();
    assert!(error.to_string().ends_with("a link to ../../../blobs/456, which does not exist"), "{error}");
    assert!(error.help().unwrap().contains("fetch the files again"));
    std::fs::remove_file(folder.join("refs/main")).unwrap();
    let error = Weights::open(&folder).unwrap_err();
    assert!(error.to_string().ends_with("no files of revision \"main\""), "{error}");
}

#[test]
fn a_file_of_another_kind_is_called_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    for (bytes, found) in [
        (b"version https://git-lfs.github.com/spec/v1\noid".as_slice(), "a pointer of Git LFS"),
        (b"<!DOCTYPE html>", "a web page or other markup"),
        (b"", "the end of the file"),
        (b"\x89HDF\r\n", "an HDF5 file"),
        (b"\x80\x04N.", "a pickle"),
        (b"12345678", "the byte 0x31"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = Weights::open(&path).unwrap_err();
        let expected = format!("at byte 0 is {found}, expected a .safetensors file or a file of torch.save");
        assert!(error.to_string().ends_with(&expected), "{error}");
        assert_eq!(error.help().unwrap().contains("git lfs pull"), found.contains("LFS"));
    }
    assert!(matches!(Weights::open(folder.path().join("none")), Err(Error::Io { doing: "open", .. })));
}

#[test]
fn weights_are_read_as_floating_point_alone() {
    let params = OpenParams { dtype: Some(DType::I64), ..OpenParams::default() };
    let error = Weights::open_with("none", &params).unwrap_err();
    assert_eq!(error.to_string(), "weights cannot be read as i64, expected f64, f32, f16 or bf16");
}

#[test]
fn keys_lead_nowhere_in_a_file_without_keys() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "model.safetensors", &[("a", 1.0)]);
    let params = OpenParams { inside: vec!["state_dict".into()], ..OpenParams::default() };
    let error = Weights::open_with(folder.path(), &params).unwrap_err();
    assert!(error.to_string().contains("\"state_dict\" is not a dictionary of tensors alone"), "{error}");
}

#[test]
fn a_file_that_has_changed_is_not_hashed_as_if_it_had_not() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "model.safetensors", &[("a", 1.0)]);
    let report = Weights::open(folder.path()).unwrap().report();
    write(folder.path(), "model.safetensors", &[("a", 1.0), ("b", 1.0)]);
    assert!(matches!(report.hashed(), Err(Error::Changed { .. })));
}

#[test]
fn deferred_tensors_are_read_when_they_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path, "1.safetensors", &[("a", 1.0), ("b", 2.0)]);
    write(path, "2.safetensors", &[("c", 3.0), ("d", 2.0)]);
    index(
        path,
        r#"{"a": "1.safetensors", "b": "1.safetensors", "c": "2.safetensors", "d": "2.safetensors"}"#,
    );
    let params = OpenParams { dtype: Some(DType::BF16), ..OpenParams::default() };
    let weights = Weights::open_deferred(path, &params).unwrap();
    let mut weights = weights.renamed(|name| Some(format!("x.{name}")));
    assert_eq!(weights.shape("x.c"), Some(&[1][..]));
    let c = weights.take("x.c", &[1]).unwrap();
    assert_eq!(
        (c.dtype(), c.to_dtype(DType::F32).unwrap().to_vec1::<f32>().unwrap()),
        (DType::BF16, vec![3.0])
    );
    let b = weights.take("x.b", &[1]).unwrap();
    weights.tied("x.d", &b, "x.b").unwrap();
    assert!(weights.tied("x.a", &b, "x.b").unwrap_err().to_string().contains("x.a"));
    assert!(weights.take("x.a", &[2]).unwrap_err().to_string().contains("x.a"));
    weights.finish().unwrap();
    // What was not there is said as ever.
    std::fs::remove_file(path.join("2.safetensors")).unwrap();
    assert!(Weights::open_deferred(path, &params).is_err());
}
