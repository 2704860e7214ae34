use super::*;

fn file(header: &str, numbers: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; numbers]].concat()
}

fn open(bytes: &[u8]) -> Result<Vec<String>, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    std::fs::write(&path, bytes).unwrap();
    let file = Safetensors::open(&path)?;
    let loaded = file.load(None, &Device::Cpu)?;
    assert_eq!(loaded.len(), file.names().count());
    Ok(loaded.into_iter().map(|(name, _)| name).collect())
}

fn refused(bytes: &[u8]) -> String {
    let error = open(bytes).unwrap_err().to_string();
    let place = error.find("a.safetensors: ").expect("names the file");
    error[place + "a.safetensors: ".len()..].to_owned()
}

#[test]
fn headers_that_lie_are_refused_before_anything_is_allocated() {
    let entry = |dtype: &str, shape: &str, place: &str| {
        format!(r#"{{"w":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{place}}}}}"#)
    };
    assert_eq!(open(&file(&entry("F32", "[2]", "[0,8]"), 8)).unwrap(), ["w"]);
    assert_eq!(open(&file(&entry("F32", "[]", "[0,4]"), 4)).unwrap(), ["w"]);
    assert_eq!(open(&file(&entry("F32", "[0,7]", "[0,0]"), 0)).unwrap(), ["w"]);
    assert!(open(&file("{}", 0)).unwrap().is_empty());
    for (header, numbers, expected) in [
        (entry("F32", "[2]", "[0,8]"), 7, "the end of the file"),
        (entry("F32", "[2]", "[0,8]"), 9, "1 bytes more"),
        (entry("F32", "[2]", "[4,12]"), 12, "each right after the one before"),
        (entry("F32", "[2]", "[0,4]"), 4, "shape [2] and the place 0..4"),
        (entry("F32", "[2]", "[8,0]"), 8, "shape [2] and the place 8..0"),
        (entry("F32", "[4611686018427387904,4]", "[0,0]"), 0, "as many bytes as the shape has"),
        (entry("F32", "[4611686018427387903]", "[0,18446744073709551612]"), 8, "not valid JSON"),
        (entry("F32", "[1152921504606846976]", "[0,4611686018427387904]"), 8, "the end of the file"),
        (entry("F32", "[0,4611686018427387904,4]", "[0,0]"), 0, "as many bytes as the shape has"),
        (entry("F32", "[-1]", "[0,8]"), 8, "no shape"),
        (entry("F32", "[1.5]", "[0,8]"), 8, "no shape"),
        (entry("F32", "[2]", "[0]"), 8, "no place"),
        (entry("F8_E4M3", "[2]", "[0,2]"), 2, "tensor \"w\" is of type \"F8_E4M3\", expected F64"),
        (entry("U64", "[1]", "[0,8]"), 8, "tensor \"w\" is of type \"U64\""),
        (r#"{"w":1}"#.to_owned(), 0, "is of type \"none\""),
        (r#"{"w":{},"w":{}}"#.to_owned(), 0, "not valid JSON"),
        ("{".to_owned(), 0, "not valid JSON"),
        (format!("{{\"__metadata__\":{}1{}}}", "[".repeat(300), "]".repeat(300)), 0, "not valid JSON"),
    ] {
        let message = refused(&file(&header, numbers));
        assert!(message.contains(expected), "{header}: {message}");
    }
}

#[test]
fn a_header_longer_than_the_file_or_the_limit_is_refused() {
    for length in [3_u64, 100, MAX_HEADER + 1, u64::MAX] {
        let bytes = [&length.to_le_bytes()[..], b"{}"].concat();
        assert!(refused(&bytes).contains(&format!("a header of {length} bytes")), "{length}");
    }
    assert!(refused(b"{}").starts_with("at byte 0 is JSON"));
}

#[test]
fn two_tensors_in_one_place_are_refused() {
    let header = r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#;
    assert!(refused(&file(header, 6)).contains("tensor \"b\", expected each right after the one before"));
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let bytes = include_bytes!("../../../tests/golden/fm/checkpoint/module.safetensors");
    assert_eq!(open(bytes).unwrap().len(), 2);
    for length in 0..bytes.len() {
        assert!(open(&bytes[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn what_is_written_is_read_back_and_the_same_bytes_come_out_for_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| folder.path().join(name).with_extension("safetensors"));
    let tensors = [
        ("b", Tensor::new(&[[1.5_f32, -0.0], [f32::NAN, 2.0]], &Device::Cpu).unwrap()),
        ("a\"\n", Tensor::new(&[7_i64], &Device::Cpu).unwrap()),
        ("h", Tensor::new(&[1.0_f32, 3.0], &Device::Cpu).unwrap().to_dtype(DType::BF16).unwrap()),
        ("t", Tensor::new(&[[1_u8, 2, 3], [4, 5, 6]], &Device::Cpu).unwrap().t().unwrap()),
    ];
    let pairs = || tensors.iter().map(|(name, tensor)| (*name, tensor));
    write(&one, pairs(), &[("step", "3")], false).unwrap();
    write(&two, pairs().collect::<Vec<_>>().into_iter().rev(), &[("step", "3")], false).unwrap();
    let bytes = std::fs::read(&one).unwrap();
    assert!(bytes == std::fs::read(&two).unwrap());
    assert_eq!(u64::from_le_bytes(bytes[..8].try_into().unwrap()) % 8, 0);
    let (_, metadata) = ::safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = metadata.metadata().as_ref().unwrap();
    assert_eq!((metadata["format"].as_str(), metadata["step"].as_str()), ("pt", "3"));
    let loaded = Safetensors::open(&one).unwrap().load(None, &Device::Cpu).unwrap();
    assert_eq!(loaded.len(), 4);
    for (name, tensor) in pairs() {
        let (_, found) = loaded.iter().find(|(found, _)| found == name).unwrap();
        let text = |tensor: &Tensor| {
            tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap()
        };
        assert_eq!((found.dtype(), found.dims()), (tensor.dtype(), tensor.dims()));
        assert_eq!(format!("{:?}", text(found)), format!("{:?}", text(tensor)), "{name}");
    }
}

#[test]
fn nothing_is_written_that_could_not_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let tensor = Tensor::new(&[1.0_f32], &Device::Cpu).unwrap();
    assert!(matches!(write(&path, [("a", &tensor), ("a", &tensor)], &[], false), Err(Error::Twice { .. })));
    let odd = Tensor::zeros(2, DType::I16, &Device::Cpu).unwrap();
    let error = write(&path, [("a", &odd)], &[], false).unwrap_err();
    assert_eq!(error.to_string(), "tensor \"a\" is of type i16, which is not written");
    assert!(!path.exists());
    write(&path, [("a", &tensor)], &[], false).unwrap();
    let error = write(&path, [("b", &tensor)], &[], false).unwrap_err();
    assert!(matches!(&error, Error::Write(_)), "{error}");
    assert!(error.help().is_some());
    assert_eq!(open(&std::fs::read(&path).unwrap()).unwrap(), ["a"]);
}
