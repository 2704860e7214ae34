use super::*;

/// Names through which a pickle can run code, read files or reach the network.
const DANGEROUS: [(&str, &str); 44] = [
    ("os", "system"),
    ("posix", "system"),
    ("nt", "system"),
    ("os", "popen"),
    ("os", "execv"),
    ("os", "remove"),
    ("subprocess", "Popen"),
    ("subprocess", "check_output"),
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("builtins", "compile"),
    ("builtins", "getattr"),
    ("builtins", "setattr"),
    ("builtins", "open"),
    ("builtins", "__import__"),
    ("builtins", "globals"),
    ("builtins", "bytearray"),
    ("builtins", "map"),
    ("__builtin__", "eval"),
    ("__builtin__", "file"),
    ("__main__", "Model"),
    ("importlib", "import_module"),
    ("operator", "attrgetter"),
    ("operator", "methodcaller"),
    ("functools", "partial"),
    ("types", "FunctionType"),
    ("types", "CodeType"),
    ("marshal", "loads"),
    ("pickle", "loads"),
    ("_pickle", "Unpickler"),
    ("copyreg", "_reconstructor"),
    ("copy_reg", "_reconstructor"),
    ("collections", "defaultdict"),
    ("collections", "OrderedDict.fromkeys"),
    ("shutil", "rmtree"),
    ("socket", "create_connection"),
    ("webbrowser", "open"),
    ("runpy", "run_path"),
    ("torch", "load"),
    ("torch.hub", "load"),
    ("torch.storage", "_load_from_bytes"),
    ("torch", "FloatStorage.from_file"),
    ("numpy", "load"),
    ("numpy.core.multiarray", "_reconstruct"),
];

/// A pickle of protocol `2` around instructions.
fn pickle(parts: &[&[u8]]) -> Vec<u8> {
    [b"\x80\x02".as_slice(), &parts.concat(), b"."].concat()
}

fn global(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

fn text(text: &str) -> Vec<u8> {
    [b"X".as_slice(), &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

fn read(bytes: &[u8]) -> Result<Value, Error> {
    from_bytes(bytes, Path::new("a.pkl"))
}

fn refused(bytes: &[u8]) -> Problem {
    match read(bytes).unwrap_err() {
        Error::Pickle { problem, .. } => problem,
        other => panic!("{other}"),
    }
}

fn refused_of_torch(bytes: &[u8]) -> Problem {
    parse(bytes, Tensors::Read).expect_err("must be refused").problem
}

fn named(name: &str) -> Problem {
    Problem::Global { name: name.to_owned() }
}

#[test]
fn a_name_outside_the_list_is_refused_in_every_spelling() {
    for (module, name) in DANGEROUS {
        let expected = named(&format!("{module}.{name}"));
        let spellings = [
            // By name, and called.
            pickle(&[&global(module, name), b"(", &text("touch /x"), b"tR"]),
            // From two texts on the stack.
            pickle(&[&text(module), &text(name), b"\x93(", &text("touch /x"), b"tR"]),
            // From texts that were kept earlier, under other values.
            pickle(&[&text(name), b"q\x01", &text(module), b"q\x00]h\x00h\x01\x93)R"]),
            // Called in one instruction.
            pickle(&[b"(", &text("touch /x"), format!("i{module}\n{name}\n").as_bytes()]),
            // As a class to make an object of, in two ways.
            pickle(&[b"(", &global(module, name), b"o"]),
            pickle(&[&global(module, name), b")\x81"]),
            // Inside a dictionary that looks like the real thing.
            pickle(&[b"}(", &text("ENSG00000000003"), &global(module, name), b")Ru"]),
            // Made the state of a value.
            pickle(&[&global("collections", "OrderedDict"), b")R", &global(module, name), b")Rb"]),
            // Never used: the name is enough.
            pickle(&[&global(module, name), b"0N"]),
        ];
        for (i, bytes) in spellings.iter().enumerate() {
            assert_eq!(refused(bytes), expected, "spelling {i}");
            assert_eq!(refused_of_torch(bytes), expected, "spelling {i} in a file of torch.save");
        }
    }
}

#[test]
fn the_error_names_file_place_and_what_was_named() {
    let error = read(&pickle(&[b"N0", &global("posix", "system"), b"(", &text("id"), b"tR"])).unwrap_err();
    let expected = "a.pkl: at byte 4: the pickle names \"posix.system\", which is not on the list of plain data; nothing was run";
    assert_eq!(error.to_string(), expected);
    assert!(error.help().unwrap().contains(".safetensors"));
    let long = "x".repeat(10_000);
    let Problem::Global { name } = refused(&pickle(&[&global("os", &long), b")R"])) else { panic!() };
    assert_eq!(name.len(), 200);
}

#[test]
fn a_chain_that_reaches_for_attributes_stops_at_its_first_link() {
    // getattr(getattr(OrderedDict, "__init__"), "__globals__"), as exploits without `os` begin.
    let inner = [
        &global("builtins", "getattr")[..],
        b"(",
        &global("collections", "OrderedDict"),
        &text("__init__"),
        b"tR",
    ]
    .concat();
    let bytes = pickle(&[&global("builtins", "getattr"), b"(", &inner, &text("__globals__"), b"tR"]);
    assert_eq!(refused(&bytes), named("builtins.getattr"));
}

#[test]
fn constructors_on_the_list_take_their_own_arguments_alone() {
    let dict = global("collections", "OrderedDict");
    let dtype = global("numpy", "dtype");
    let scalar = global("numpy.core.multiarray", "scalar");
    let encode = global("_codecs", "encode");
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("collections.OrderedDict", pickle(&[&dict, b"(]tR"])),
        ("collections.OrderedDict", pickle(&[&dict, b"]R"])),
        ("collections.OrderedDict", pickle(&[&dict, b"NR"])),
        // An object type: NumPy would unpickle the bytes of such a scalar.
        ("numpy.dtype", pickle(&[&dtype, b"(", &text("O8"), b"\x89\x88tR"])),
        ("numpy.dtype", pickle(&[&dtype, b"(", &text("V8"), b"\x89\x88tR"])),
        ("numpy.dtype", pickle(&[&dtype, b"(", &text("f3"), b"\x89\x88tR"])),
        ("numpy.dtype", pickle(&[&dtype, b"(", &text("é8"), b"\x89\x88tR"])),
        ("numpy.dtype", pickle(&[&dtype, b"(", &text("U99999999999999999999"), b"\x89\x88tR"])),
        ("numpy.dtype", pickle(&[&dtype, b"(", &text(""), b"\x89\x88tR"])),
        ("numpy.dtype", pickle(&[&dtype, b")R"])),
        ("numpy.core.multiarray.scalar", pickle(&[&scalar, b"(", &text("f8"), b"NtR"])),
        (
            "numpy.core.multiarray.scalar",
            pickle(&[&scalar, b"(", &dtype, b"(", &text("f8"), b"\x89\x88tRC\x04aaaatR"]),
        ),
        (
            "the state of numpy.dtype",
            pickle(&[&dtype, b"(", &text("f8"), b"\x89\x88tR(K\x03", &text("?"), b"tb"]),
        ),
        ("the state of numpy.dtype", pickle(&[&dtype, b"(", &text("f8"), b"\x89\x88tR)b"])),
        ("_codecs.encode", pickle(&[&encode, b"(", &text("a"), &text("rot13"), b"tR"])),
        ("_codecs.encode", pickle(&[&encode, b"(", &text("Ā"), &text("latin1"), b"tR"])),
        // A terabyte of zeros.
        ("builtins.bytes", pickle(&[&global("builtins", "bytes"), b"(\x8a\x06\0\0\0\0\0\x01tR"])),
        ("torch.Size", pickle(&[&global("torch", "Size"), b"(]tR"])),
        ("torch._utils._rebuild_tensor_v2", pickle(&[&global("torch._utils", "_rebuild_tensor_v2"), b")R"])),
        (
            "torch._utils._rebuild_parameter",
            pickle(&[&global("torch._utils", "_rebuild_parameter"), b"(N\x88NtR"]),
        ),
        ("a torch storage", pickle(&[&global("torch", "FloatStorage"), b"(K\x01tR"])),
    ];
    for (expected, bytes) in cases {
        let Problem::Arguments { name, .. } = refused(&bytes) else {
            panic!("{expected}: {:?}", refused(&bytes))
        };
        assert_eq!(name, expected);
    }
}

#[test]
fn what_is_no_constructor_is_not_called() {
    for callee in [text("os.system"), b"}".to_vec(), b"K\x01".to_vec(), b"]".to_vec()] {
        assert_eq!(refused(&pickle(&[&callee, b")R"])), Problem::NotCallable);
    }
}

#[test]
fn a_state_is_set_on_nothing_but_a_type_of_numpy_and_an_ordered_dictionary() {
    let dict = global("collections", "OrderedDict");
    let state = [b"}".as_slice(), &text("__class__"), b"Ns"].concat();
    let nested = [&dict[..], b")R", &state, b"b"].concat();
    for bytes in [
        pickle(&[b"}", &state, b"b"]),
        pickle(&[b"]", &state, b"b"]),
        pickle(&[&dict, &state, b"b"]),
        pickle(&[&dict, b")R", &state, b"b"]),
        pickle(&[&dict, b")R", &nested, b"b"]),
        pickle(&[&dict, b")R}b(N", b"N\x86b"]),
        pickle(&[&text("a"), b"}b"]),
    ] {
        assert!(matches!(refused(&bytes), Problem::State | Problem::Stack { .. }), "{:?}", refused(&bytes));
    }
    let note = [b"}".as_slice(), &text("_metadata"), b"}s"].concat();
    assert_eq!(read(&pickle(&[&dict, b")R", &note, b"b"])).unwrap(), Value::Dict(Vec::new()));
}

#[test]
fn instructions_that_plain_data_does_not_need_are_refused_by_name() {
    let dict = global("collections", "OrderedDict");
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("INST", pickle(&[b"(icollections\nOrderedDict\n"])),
        ("OBJ", pickle(&[b"(", &dict, b"o"])),
        ("NEWOBJ", pickle(&[&dict, b")\x81"])),
        ("NEWOBJ_EX", pickle(&[&dict, b")}\x92"])),
        ("EXT1", pickle(&[b"\x82\x01"])),
        ("EXT2", pickle(&[b"\x83\x01\x01"])),
        ("EXT4", pickle(&[b"\x84\x01\x01\x01\x01"])),
        ("PERSID", pickle(&[b"Pid\n"])),
        ("BINPERSID", pickle(&[&text("id"), b"Q"])),
        ("EMPTY_SET", pickle(&[b"\x8f"])),
        ("ADDITEMS", pickle(&[b"(\x90"])),
        ("FROZENSET", pickle(&[b"(\x91"])),
        ("BYTEARRAY8", pickle(&[b"\x96\0\0\0\0\0\0\0\0"])),
        ("NEXT_BUFFER", pickle(&[b"\x97"])),
        ("READONLY_BUFFER", pickle(&[b"\x98"])),
        ("INT", pickle(&[b"I1\n"])),
        ("LONG", pickle(&[b"L1L\n"])),
        ("FLOAT", pickle(&[b"F1.0\n"])),
        ("STRING", pickle(&[b"S'a'\n"])),
        ("UNICODE", pickle(&[b"Va\n"])),
        ("GET", pickle(&[b"g0\n"])),
        ("PUT", pickle(&[b"Np0\n"])),
    ];
    for (name, bytes) in cases {
        assert_eq!(refused(&bytes), Problem::Opcode { name });
    }
    assert!(Problem::Opcode { name: "EXT1" }.help().is_some());
    assert_eq!(refused(&pickle(&[b"\xff"])), Problem::NoOpcode { byte: 0xff });
}

#[test]
fn a_persistent_id_is_a_storage_or_nothing() {
    let storage = |id: &[u8]| refused_of_torch(&pickle(&[id, b"Q"]));
    let float = global("torch", "FloatStorage");
    for id in [
        text("os.system"),
        [b"(".as_slice(), &text("module"), &float, &text("0"), &text("cpu"), b"K\x01t"].concat(),
        [b"(".as_slice(), &text("storage"), &text("FloatStorage"), &text("0"), &text("cpu"), b"K\x01t"]
            .concat(),
        [b"(".as_slice(), &text("storage"), &float, &text("0"), &text("cpu"), b"J\xff\xff\xff\xfft"].concat(),
        [b"(".as_slice(), &text("storage"), &float, b"t"].concat(),
    ] {
        assert!(
            matches!(storage(&id), Problem::Arguments { name: "a persistent id", .. }),
            "{:?}",
            storage(&id)
        );
    }
}

#[test]
fn a_tensor_stays_inside_its_storage() {
    let tensor = |offset: &[u8], shape: &[u8], strides: &[u8], hooks: &[u8]| {
        let storage = [
            b"(".as_slice(),
            &text("storage"),
            &global("torch", "FloatStorage"),
            &text("0"),
            &text("cpu"),
            b"K\x06tQ",
        ];
        let (rebuild, storage) = (global("torch._utils", "_rebuild_tensor_v2"), storage.concat());
        parse(
            &pickle(&[&rebuild, b"(", &storage, offset, shape, strides, b"\x89", hooks, b"tR"]),
            Tensors::Read,
        )
    };
    let whole = tensor(b"K\0", b"(K\x02K\x03t", b"(K\x03K\x01t", b"}").expect("a plain tensor").value;
    assert!(matches!(whole, Value::Tensor(view) if view.shape() == [2, 3]));
    let hook = [b"}".as_slice(), &text("hook"), b"Ns"].concat();
    let huge = b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f".as_slice();
    let of_two = |a: &[u8]| [b"(".as_slice(), a, a, b"t"].concat();
    for (offset, shape, strides, hooks) in [
        (b"K\x01".as_slice(), b"(K\x02K\x03t".to_vec(), b"(K\x03K\x01t".to_vec(), b"}".to_vec()),
        (b"J\xff\xff\xff\xff", b"(K\x02t".to_vec(), b"(K\x01t".to_vec(), b"}".to_vec()),
        (b"K\0", b"(K\x02K\x03t".to_vec(), b"(K\x04K\x01t".to_vec(), b"}".to_vec()),
        (b"K\0", b"(K\x02K\x03t".to_vec(), b"(K\x01t".to_vec(), b"}".to_vec()),
        (b"K\0", of_two(huge), of_two(b"K\0"), b"}".to_vec()),
        (b"K\0", of_two(b"K\x02"), of_two(huge), b"}".to_vec()),
        (b"K\0", b"(K\x02t".to_vec(), b"(K\x01t".to_vec(), hook),
        (b"K\0", b"(K\x02t".to_vec(), b"(K\x01t".to_vec(), b"N".to_vec()),
    ] {
        let failure = tensor(offset, &shape, &strides, &hooks).expect_err("must be refused");
        assert!(matches!(failure.problem, Problem::Arguments { .. }), "{:?}", failure.problem);
    }
}

#[test]
fn declared_lengths_are_compared_with_what_is_left() {
    for instruction in [
        b"X\xff\xff\xff\xff".as_slice(),
        b"B\xff\xff\xff\xff",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x8b\xff\xff\xff\x7f",
        b"\x95\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x8a\xff",
        b"\x8c\xff",
        b"cos\nsystem",
    ] {
        assert!(matches!(refused(&pickle(&[instruction])), Problem::Truncated { .. }), "{instruction:?}");
    }
    assert_eq!(refused(&pickle(&[b"\x8a\x09\0\0\0\0\0\0\0\0\x01"])), Problem::Integer);
    assert!(Problem::Truncated { wanted: 2, left: 1 }.help().unwrap().contains("SHA-256"));
}

#[test]
fn values_without_end_and_bombs_are_refused() {
    let depth = Problem::Depth { limit: 64 };
    // A list that holds itself, a dictionary that holds itself, a tuple of a list that holds the tuple.
    assert_eq!(refused(&pickle(&[b"]q\0h\0a"])), depth);
    assert_eq!(refused(&pickle(&[b"}q\0", &text("a"), b"h\0s"])), depth);
    assert_eq!(refused(&pickle(&[b"]q\0h\0\x85a"])), depth);
    // Deeper than any configuration.
    assert_eq!(refused(&pickle(&[&b"]".repeat(10_000), &b"a".repeat(9_999)])), depth);
    assert_eq!(refused(&pickle(&[&b"(".repeat(10_000)])), depth);
    // Each tuple holds the one before it twice: forty of them, a million million values.
    let doubling: Vec<u8> = (0..40_u8).flat_map(|i| [b'(', b'h', i, b'h', i, b't', b'q', i + 1]).collect();
    let bytes = pickle(&[b"Nq\0", &doubling]);
    assert!(matches!(refused(&bytes), Problem::Size { .. }), "{:?}", refused(&bytes));
    // A long text, referred to again and again.
    let bytes = pickle(&[&text(&"x".repeat(1 << 20)), b"q\x000](", &b"h\0".repeat(10_000), b"e"]);
    assert!(matches!(refused(&bytes), Problem::Size { .. }), "{:?}", refused(&bytes));
    // More values than any checkpoint has.
    let bytes = pickle(&[&b"N".repeat((1 << 22) + 1)]);
    assert_eq!(refused(&bytes), Problem::Size { limit: 1 << 22, what: "values" });
    let bytes = pickle(&[b"N", &b"\x94".repeat((1 << 22) + 1)]);
    assert_eq!(refused(&bytes), Problem::Size { limit: 1 << 22, what: "kept values" });
    let bytes = pickle(&[b"N", &b"2".repeat(1 << 22)]);
    assert_eq!(refused(&bytes), Problem::Size { limit: 1 << 22, what: "values" });
}

#[test]
fn numbers_of_kept_values_may_be_any_but_must_be_there() {
    assert_eq!(read(&pickle(&[b"K\x07r\xff\xff\xff\xff0j\xff\xff\xff\xff"])).unwrap(), Value::Int(7));
    assert_eq!(refused(&pickle(&[b"h\x05"])), Problem::Memo { index: 5 });
    assert_eq!(refused(&pickle(&[b"j\xff\xff\xff\x7f"])), Problem::Memo { index: 0x7fff_ffff });
}

#[test]
fn instructions_find_what_they_take_or_are_refused() {
    for instructions in [
        b"".as_slice(),
        b"0",
        b"1",
        b"2",
        b"R",
        b"b",
        b"a",
        b"e",
        b"s",
        b"u",
        b"t",
        b"\x85",
        b"\x93",
        b"q\0",
        b"\x94",
        b"N)a",
        b"](Nu",
        b"}(Nu",
        b"}(NNe",
        b"K\x01K\x02\x93",
        b"(N0.",
        b"N(\x85",
        b"N(0",
    ] {
        let problem = refused(&pickle(&[instructions]));
        assert!(matches!(problem, Problem::Stack { .. }), "{instructions:?}: {problem:?}");
    }
}

#[test]
fn keys_are_text_or_whole_numbers_each_once() {
    assert_eq!(
        refused(&pickle(&[b"}", &text("a"), b"Ns", &text("a"), b"Ns"])),
        Problem::KeyTwice { key: "\"a\"".into() }
    );
    assert_eq!(refused(&pickle(&[b"}K\x01NsK\x01Ns"])), Problem::KeyTwice { key: "1".into() });
    for key in [b"N".as_slice(), b"\x88", b"]", b")", b"G\0\0\0\0\0\0\0\0"] {
        assert_eq!(refused(&pickle(&[b"}", key, b"Ns"])), Problem::Key, "{key:?}");
    }
}

#[test]
fn a_class_is_no_value() {
    let expected = Problem::Class { name: "collections.OrderedDict" };
    assert_eq!(refused(&pickle(&[&global("collections", "OrderedDict")])), expected);
    let dtype = [&global("numpy", "dtype")[..], b"(", &text("f8"), b"\x89\x88tR"].concat();
    assert_eq!(refused(&pickle(&[&dtype])), Problem::Class { name: "numpy.dtype" });
}

#[test]
fn only_protocols_2_to_5_without_anything_after_them_are_read() {
    for found in [0, 1, 6, 255] {
        assert_eq!(refused(&[0x80, found, b'N', b'.']), Problem::Protocol { found });
    }
    for found in 2..=5 {
        assert_eq!(read(&[0x80, found, b'N', b'.']).unwrap(), Value::None);
    }
    assert_eq!(refused(b"\x80\x02N.N."), Problem::Trailing { bytes: 2 });
    assert_eq!(refused(&pickle(&[b"X\x01\0\0\0\xff"])), Problem::Text);
    // A surrogate, which Python may write.
    assert_eq!(refused(&pickle(&[b"X\x03\0\0\0\xed\xa0\x80"])), Problem::Text);
}

#[test]
fn a_file_of_another_kind_is_called_by_its_name() {
    for (bytes, found) in [
        (b"".as_slice(), "the end of the file"),
        (b"(lp0\n.", "the byte 0x28"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\x1f\x8b\x08", "a gzip file"),
        (b"{\"a\": 1}", "JSON"),
        (b"<!DOCTYPE html>", "a web page or other markup"),
        (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
    ] {
        let error = read(bytes).unwrap_err();
        let expected = format!("a.pkl: at byte 0 is {found}, expected a pickle of protocol 2 to 5");
        assert_eq!(error.to_string(), expected);
        assert!(error.help().is_some());
    }
}

#[test]
fn integers_of_every_width_keep_their_sign() {
    for (bytes, expected) in [
        (b"K\xff".as_slice(), 255),
        (b"M\xff\xff", 65_535),
        (b"J\xff\xff\xff\xff", -1),
        (b"\x8a\x00", 0),
        (b"\x8a\x01\x80", -128),
        (b"\x8a\x02\x80\x00", 128),
        (b"\x8a\x08\0\0\0\0\0\0\0\x80", i64::MIN),
        (b"\x8b\x02\0\0\0\x00\x80", -32_768),
    ] {
        assert_eq!(read(&pickle(&[bytes])).unwrap(), Value::Int(expected));
    }
    assert_eq!(read(&pickle(&[b"G\x3f\xb9\x99\x99\x99\x99\x99\x9a"])).unwrap(), Value::Float(0.1));
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let bytes = include_bytes!("../../../tests/golden/fm/checkpoint/scalars_protocol2.pkl");
    assert!(read(bytes).is_ok());
    for length in 0..bytes.len() {
        assert!(read(&bytes[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn a_file_with_any_byte_changed_is_read_or_refused() {
    for bytes in [
        include_bytes!("../../../tests/golden/fm/checkpoint/scalars_protocol2.pkl").as_slice(),
        include_bytes!("../../../tests/golden/fm/checkpoint/scalars_protocol5.pkl"),
    ] {
        let mut changed = bytes.to_vec();
        for i in 0..bytes.len() {
            for bit in 0..8 {
                changed[i] ^= 1 << bit;
                // Reading ends, whatever comes of it.
                let _ = read(&changed);
                changed[i] = bytes[i];
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = parse(&[b"\x80\x04".as_slice(), &bytes].concat(), Tensors::Read);
    }
}
