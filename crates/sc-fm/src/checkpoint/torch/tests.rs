use super::*;

const ARCHIVE: &[u8] = include_bytes!("../../../tests/golden/fm/checkpoint/zip.pt");
const ROW: &[u8] = include_bytes!("../../../tests/golden/fm/checkpoint/older.pt");

/// An archive of stored entries.
fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in entries {
        let offset = bytes.len() as u32;
        let mut middle = vec![0; 8];
        middle.extend(crc32fast::hash(data).to_le_bytes());
        middle.extend([data.len() as u32, data.len() as u32].map(u32::to_le_bytes).concat());
        middle.extend([name.len() as u16, 0].map(u16::to_le_bytes).concat());
        bytes.extend([b"PK\x03\x04\x14\0", &middle[..], name.as_bytes(), data].concat());
        directory.extend(
            [b"PK\x01\x02\0\0\x14\0", &middle[..], &[0; 10], &offset.to_le_bytes(), name.as_bytes()].concat(),
        );
    }
    let (offset, count) = (bytes.len() as u32, (entries.len() as u16).to_le_bytes());
    bytes.extend(&directory);
    bytes.extend([b"PK\x05\x06\0\0\0\0", &count[..], &count].concat());
    bytes.extend([(directory.len() as u32).to_le_bytes(), offset.to_le_bytes()].concat());
    bytes.extend([0, 0]);
    bytes
}

/// A dictionary of one tensor `w` of two numbers, in the storage `0`.
fn description(storage: &str) -> Vec<u8> {
    let text = |text: &str| [b"X".as_slice(), &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
    [
        b"\x80\x02}".as_slice(),
        &text("w"),
        b"ctorch._utils\n_rebuild_tensor_v2\n((",
        &text("storage"),
        format!("ctorch\n{storage}\n").as_bytes(),
        &text("0"),
        &text("cpu"),
        b"K\x02tQK\0K\x02\x85K\x01\x85\x89}tRs.",
    ]
    .concat()
}

fn open(bytes: &[u8], inside: &[&str]) -> Result<Vec<(String, Tensor)>, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pt");
    std::fs::write(&path, bytes).unwrap();
    let file = TorchFile::open(&path)?;
    let inside: Vec<String> = inside.iter().map(|key| (*key).to_owned()).collect();
    file.load(&file.views(&inside)?, None, &Device::Cpu)
}

fn refused(bytes: &[u8]) -> String {
    let error = open(bytes, &[]).unwrap_err().to_string();
    let place = error.find("a.pt: ").expect("names the file");
    error[place + "a.pt: ".len()..].to_owned()
}

/// Names, shapes and numbers; those that are not finite as they print.
fn text(tensors: &[(String, Tensor)]) -> String {
    let numbers = |tensor: &Tensor| tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
    let line =
        |(name, tensor): &(String, Tensor)| format!("{name} {:?} {:?}\n", tensor.dims(), numbers(tensor));
    let mut lines: Vec<String> = tensors.iter().map(line).collect();
    lines.sort_unstable();
    lines.concat()
}

#[test]
fn an_archive_of_stored_entries_is_read() {
    let numbers: Vec<u8> = [1.5_f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let good = zip(&[("m/data.pkl", &description("FloatStorage")), ("m/data/0", &numbers)]);
    let tensors = open(&good, &[]).unwrap();
    assert_eq!(tensors[0].1.to_vec1::<f32>().unwrap(), [1.5, -2.0]);
    // A comment after the directory, as the format allows.
    let mut commented = good.clone();
    let length = commented.len();
    commented[length - 2] = 3;
    commented.extend(b"abc");
    assert!(open(&commented, &[]).is_ok());
}

#[test]
fn a_program_in_place_of_the_description_is_refused_where_it_stands() {
    let payload = b"\x80\x02cposix\nsystem\n(X\x02\0\0\0idtR.";
    let message = refused(&zip(&[("m/version", b"3"), ("m/data.pkl", payload)]));
    // The description begins after the first entry and its own header.
    let start = 30 + 9 + 1 + 30 + 10;
    let expected = format!("at byte {}: the pickle names \"posix.system\"", start + 2);
    assert!(message.starts_with(&expected), "{message}");
    let in_a_row = [&ROW[..15], payload].concat();
    assert!(
        refused(&in_a_row).starts_with("at byte 17: the pickle names \"posix.system\""),
        "{}",
        refused(&in_a_row)
    );
}

#[test]
fn archives_that_lie_are_refused() {
    let numbers = [0; 8].as_slice();
    let float = description("FloatStorage");
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (zip(&[("m/data/0", numbers)]), "a zip archive without a data.pkl of its own"),
        (zip(&[("m/x/data.pkl", &float)]), "a zip archive without a data.pkl of its own"),
        (
            zip(&[("m/data.pkl", &float), ("n/data.pkl", &float)]),
            "a zip archive without a data.pkl of its own",
        ),
        (zip(&[("m/data.pkl", &float)]), "no data \"0\""),
        (zip(&[("m/data.pkl", &float), ("n/data/0", numbers)]), "no data \"0\""),
        (zip(&[("m/data.pkl", &float), ("m/data/0", &[0; 7])]), "7 bytes for 2 numbers of type F32"),
        (zip(&[("m/data.pkl", &float), ("m/data/0", &[0; 9])]), "9 bytes for 2 numbers of type F32"),
        (zip(&[("m/data.pkl", &float), ("m/data/0", numbers), ("m/data/0", numbers)]), "for the second time"),
        (
            zip(&[("m/data.pkl", &float), ("m/data/0", numbers), ("m/byteorder", b"big")]),
            "another order of bytes",
        ),
        (
            zip(&[("m/data.pkl", &float), ("m/data/0", numbers), ("m/constants.pkl", b"")]),
            "a program of TorchScript",
        ),
        (zip(&[("m/data.pkl", &description("ComplexFloatStorage"))]), "names \"torch.ComplexFloatStorage\""),
        (b"PK\x03\x04".to_vec(), "the directory of the zip archive before it"),
    ];
    for (bytes, expected) in cases {
        assert!(refused(&bytes).contains(expected), "{expected}: {}", refused(&bytes));
    }
}

#[test]
fn changed_headers_are_refused() {
    let good = zip(&[("m/data.pkl", &description("FloatStorage")), ("m/data/0", &[0; 8])]);
    let find = |what: &[u8], nth: usize| {
        good.windows(what.len()).enumerate().filter(|(_, window)| *window == what).nth(nth).unwrap().0
    };
    let (central, end) = (find(b"PK\x01\x02", 1), find(b"PK\x05\x06", 0));
    for (at, byte, expected) in [
        (central + 8, 1, "an encrypted entry"),
        (central + 10, 8, "compressed by method 8"),
        (central + 24, 9, "8 bytes for an entry of 9"),
        (central + 16, good[central + 16] ^ 1, "with the checksum"),
        (central + 42, 1, "the header of a zip entry"),
        (central + 45, 0x7f, "the end of the file"),
        (central + 28, 200, "an entry that goes beyond the directory"),
        (central, b'X', "an entry of the zip directory"),
        (end + 10, 9, "as many as its end says"),
        (end + 19, 0x7f, "expected one inside the file"),
        (find(b"m/data/0", 0), b'n', "an entry of another name"),
    ] {
        let mut bytes = good.clone();
        bytes[at] = byte;
        assert!(refused(&bytes).contains(expected), "{expected}: {}", refused(&bytes));
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    for (bytes, step) in [(ARCHIVE, 31), (ROW, 19)] {
        assert!(open(bytes, &["state"]).is_ok());
        for length in (0..bytes.len()).step_by(step) {
            assert!(open(&bytes[..length], &["state"]).is_err(), "{length} bytes");
        }
    }
}

#[test]
fn a_changed_byte_in_an_archive_is_an_error_or_changes_nothing() {
    let expected = text(&open(ARCHIVE, &["state"]).unwrap());
    let mut bytes = ARCHIVE.to_vec();
    let (mut refused, mut tried) = (0, 0);
    for i in (0..bytes.len()).step_by(11) {
        bytes[i] ^= 1 << (i % 8);
        tried += 1;
        match open(&bytes, &["state"]) {
            Err(_) => refused += 1,
            // Padding, dates, and storages of other dictionaries.
            Ok(found) => assert!(text(&found) == expected, "byte {i}"),
        }
        bytes[i] = ARCHIVE[i];
    }
    assert!(refused > tried / 4, "{refused} of {tried}");
}

#[test]
fn a_changed_byte_in_a_row_of_pickles_is_read_or_refused() {
    let mut bytes = ROW.to_vec();
    for i in (0..bytes.len()).step_by(7) {
        bytes[i] ^= 1 << (i % 8);
        let _ = open(&bytes, &["state"]);
        bytes[i] = ROW[i];
    }
}
