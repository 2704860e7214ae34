//! The part of Jinja that chat templates use.

use std::io::{self, Write};

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, ErrorKind, State, context, filters, functions, tests};

use super::{Error, Message};

/// Steps of one rendering; a message takes about fifty.
const FUEL: u64 = 200_000;
const MAX_OUTPUT_BYTES: usize = 8 << 20;

#[derive(Debug)]
pub(super) struct Jinja {
    environment: Environment<'static>,
    bos: String,
    eos: String,
}

const NAME: &str = "chat_template";

impl Jinja {
    pub(super) fn new(template: &str, bos: &str, eos: &str) -> Result<Self, Error> {
        let mut environment = Environment::empty();
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(64);
        // As Hugging Face transformers sets up Jinja.
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_unknown_method_callback(method);
        environment.add_function("range", functions::range);
        environment.add_function("namespace", functions::namespace);
        environment.add_function("raise_exception", |reason: String| -> Result<String, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, reason))
        });
        environment.add_filter("trim", filters::trim);
        environment.add_filter("length", filters::length);
        environment.add_filter("count", filters::length);
        environment.add_filter("first", filters::first);
        environment.add_filter("last", filters::last);
        environment.add_filter("default", filters::default);
        environment.add_filter("upper", filters::upper);
        environment.add_filter("lower", filters::lower);
        environment.add_filter("title", filters::title);
        environment.add_filter("items", filters::items);
        environment.add_filter("string", filters::string);
        environment.add_filter("list", filters::list);
        environment.add_filter("selectattr", filters::selectattr);
        environment.add_filter("rejectattr", filters::rejectattr);
        environment.add_filter("tojson", to_json);
        environment.add_test("defined", tests::is_defined);
        environment.add_test("undefined", tests::is_undefined);
        environment.add_test("none", tests::is_none);
        environment.add_test("string", tests::is_string);
        environment.add_test("mapping", tests::is_mapping);
        environment.add_test("sequence", tests::is_sequence);
        environment.add_test("iterable", tests::is_iterable);
        environment.add_test("number", tests::is_number);
        environment.add_test("boolean", tests::is_boolean);
        environment.add_test("true", tests::is_true);
        environment.add_test("false", tests::is_false);
        environment.add_test("odd", tests::is_odd);
        environment.add_test("even", tests::is_even);
        for equal in ["eq", "equalto", "==", "sameas"] {
            environment.add_test(equal, tests::is_eq);
        }
        environment.add_test("in", tests::is_in);
        environment
            .add_template_owned(NAME, template.to_owned())
            .map_err(|source| Error::Parse { source })?;
        Ok(Self { environment, bos: bos.to_owned(), eos: eos.to_owned() })
    }

    pub(super) fn render(&self, messages: &[Message], answer: bool) -> Result<String, Error> {
        let failed = |source| Error::Render { source };
        let messages: Vec<Value> = messages
            .iter()
            .map(|message| context! { role => message.role.name(), content => message.content.as_str() })
            .collect();
        let context = context! {
            messages,
            add_generation_prompt => answer,
            bos_token => self.bos.as_str(),
            eos_token => self.eos.as_str(),
        };
        let mut output = Limited(Vec::new());
        let template = self.environment.get_template(NAME).map_err(failed)?;
        template.render_captured_to(context, &mut output).map_err(failed)?;
        Ok(String::from_utf8(output.0).expect("minijinja writes whole characters"))
    }
}

struct Limited(Vec<u8>);

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT_BYTES {
            return Err(io::Error::other(format!("more than {MAX_OUTPUT_BYTES} bytes of output")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// JSON as Python writes it, with spaces behind commas and colons and nothing escaped for HTML.
fn to_json(value: Value, _options: Kwargs) -> Result<String, minijinja::Error> {
    struct Python;
    impl serde_json::ser::Formatter for Python {
        fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
            if first { Ok(()) } else { writer.write_all(b", ") }
        }
        fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
            if first { Ok(()) } else { writer.write_all(b", ") }
        }
        fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
            writer.write_all(b": ")
        }
    }
    let mut text = Limited(Vec::new());
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, Python);
    serde::Serialize::serialize(&value, &mut serializer)
        .map_err(|source| minijinja::Error::new(ErrorKind::BadSerialization, source.to_string()))?;
    Ok(String::from_utf8(text.0).expect("JSON is UTF-8"))
}

/// The methods of Python's texts and tables that templates call.
fn method(_: &State<'_, '_>, value: &Value, name: &str, args: &[Value]) -> Result<Value, minijinja::Error> {
    let unknown = || minijinja::Error::new(ErrorKind::UnknownMethod, format!("no method `{name}`"));
    if value.kind() == ValueKind::Map {
        let get = |key: &Value| value.get_item(key).map(|found| (!found.is_undefined()).then_some(found));
        return match (name, args) {
            ("get", [key]) => Ok(get(key)?.unwrap_or(Value::from(()))),
            ("get", [key, other]) => Ok(get(key)?.unwrap_or_else(|| other.clone())),
            ("items", []) => filters::items(value),
            ("keys", []) => Ok(Value::from(value.try_iter()?.collect::<Vec<Value>>())),
            _ => Err(unknown()),
        };
    }
    let text = value.as_str().ok_or_else(unknown)?;
    let strings: Vec<&str> =
        args.iter().map(|arg| arg.as_str().ok_or_else(unknown)).collect::<Result<_, _>>()?;
    let set = |c: char| match strings.first() {
        Some(chars) => chars.contains(c),
        None => c.is_whitespace(),
    };
    Ok(match (name, strings.as_slice()) {
        ("strip", [] | [_]) => text.trim_matches(set).into(),
        ("lstrip", [] | [_]) => text.trim_start_matches(set).into(),
        ("rstrip", [] | [_]) => text.trim_end_matches(set).into(),
        ("startswith", [start]) => text.starts_with(start).into(),
        ("endswith", [end]) => text.ends_with(end).into(),
        ("upper", []) => text.to_uppercase().into(),
        ("lower", []) => text.to_lowercase().into(),
        ("split", []) => text.split_whitespace().map(Value::from).collect::<Vec<_>>().into(),
        ("split", [at]) if !at.is_empty() => text.split(at).map(Value::from).collect::<Vec<_>>().into(),
        _ => return Err(unknown()),
    })
}
