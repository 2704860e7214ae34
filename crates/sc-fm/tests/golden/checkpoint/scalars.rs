//! NumPy's scalars in every protocol.

use sc_fm::checkpoint::pickle::{self, Value};

use crate::support;

#[test]
fn scalars_of_numpy_are_numbers_and_text_in_every_protocol() {
    let folder = support::kept().join("checkpoint");
    let names = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"];
    let whole = names.map(|name| (name, Value::Int(3)));
    let others = [
        ("f2", Value::Float(3.0)),
        ("f4", Value::Float(3.0)),
        ("f8", Value::Float(3.0)),
        ("bool", Value::Bool(true)),
        ("<U3", Value::Str("aé".into())),
        (">i4", Value::Int(3)),
        (">f8", Value::Float(3.0)),
        ("minus", Value::Int(-300)),
        ("tenth", Value::Float(0.1)),
    ];
    let expected: Vec<(Value, Value)> =
        whole.into_iter().chain(others).map(|(name, value)| (Value::Str(name.into()), value)).collect();
    for file in ["protocol2", "protocol3", "protocol4", "protocol5", "numpy1"] {
        let value = pickle::read(folder.join(format!("scalars_{file}.pkl"))).unwrap();
        assert_eq!(value.entries().unwrap(), expected, "{file}");
    }
}
