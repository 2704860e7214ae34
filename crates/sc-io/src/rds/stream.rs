//! A stream of objects, read into a tree.
//!
//! The format is that of `R Internals`, section "Serialization Formats": each item is a word of flags (type, whether it
//! has attributes, a tag) and what the type asks for. Symbols and environments are listed as they come, and later items
//! refer to that list. Functions, calls and byte code are read past; nothing is ever run.

use super::error::Damage;
use super::object::{Document, Object, Str, Text, Value};
use super::source::{Parsed, Source};
use super::{altrep, bytecode};

/// Objects may lie in each other this deep. Lists of pairs are long, not deep.
pub(super) const MAX_DEPTH: usize = 256;

/// Type codes of items.
pub(super) mod code {
    pub(in super::super) const NIL: u32 = 0;
    pub(in super::super) const SYMBOL: u32 = 1;
    pub(in super::super) const PAIRS: u32 = 2;
    pub(in super::super) const CLOSURE: u32 = 3;
    pub(in super::super) const ENVIRONMENT: u32 = 4;
    pub(in super::super) const PROMISE: u32 = 5;
    pub(in super::super) const LANGUAGE: u32 = 6;
    pub(in super::super) const SPECIAL: u32 = 7;
    pub(in super::super) const BUILTIN: u32 = 8;
    pub(in super::super) const CHARS: u32 = 9;
    pub(in super::super) const LOGICAL: u32 = 10;
    pub(in super::super) const INTEGER: u32 = 13;
    pub(in super::super) const REAL: u32 = 14;
    pub(in super::super) const COMPLEX: u32 = 15;
    pub(in super::super) const STRINGS: u32 = 16;
    pub(in super::super) const DOTS: u32 = 17;
    pub(in super::super) const LIST: u32 = 19;
    pub(in super::super) const EXPRESSIONS: u32 = 20;
    pub(in super::super) const BYTE_CODE: u32 = 21;
    pub(in super::super) const POINTER: u32 = 22;
    pub(in super::super) const WEAK_REFERENCE: u32 = 23;
    pub(in super::super) const RAW: u32 = 24;
    pub(in super::super) const S4: u32 = 25;
    pub(in super::super) const ALTREP: u32 = 238;
    pub(in super::super) const ATTRIBUTE_PAIRS: u32 = 239;
    pub(in super::super) const ATTRIBUTE_LANGUAGE: u32 = 240;
    pub(in super::super) const BASE_ENVIRONMENT: u32 = 241;
    pub(in super::super) const EMPTY_ENVIRONMENT: u32 = 242;
    pub(in super::super) const BYTE_CODE_REFERENCE: u32 = 243;
    pub(in super::super) const BYTE_CODE_DEFINITION: u32 = 244;
    pub(in super::super) const PERSISTENT: u32 = 247;
    pub(in super::super) const PACKAGE: u32 = 248;
    pub(in super::super) const NAMESPACE: u32 = 249;
    pub(in super::super) const BASE_NAMESPACE: u32 = 250;
    pub(in super::super) const MISSING_ARGUMENT: u32 = 251;
    pub(in super::super) const UNBOUND: u32 = 252;
    pub(in super::super) const GLOBAL_ENVIRONMENT: u32 = 253;
    pub(in super::super) const NIL_VALUE: u32 = 254;
    pub(in super::super) const REFERENCE: u32 = 255;
}

/// The word in front of an item.
#[derive(Clone, Copy)]
pub(super) struct Flags(u32);

impl Flags {
    fn code(self) -> u32 {
        self.0 & 0xff
    }
    fn has_attributes(self) -> bool {
        self.0 & (1 << 9) != 0
    }
    fn has_tag(self) -> bool {
        self.0 & (1 << 10) != 0
    }
    /// Whether a string is declared as Latin-1.
    fn is_latin1(self) -> bool {
        self.0 & (1 << 14) != 0
    }
}

/// What an item can refer to.
enum Known {
    Symbol(Text),
    Environment(usize),
    Other,
}

pub(super) struct Reader<'r> {
    pub(super) source: Source<'r>,
    known: Vec<Known>,
    environments: Vec<Vec<(Text, Object)>>,
}

impl<'r> Reader<'r> {
    pub(super) fn new(source: Source<'r>) -> Self {
        Self { source, known: Vec::new(), environments: Vec::new() }
    }

    /// Reads everything behind the mark of the format.
    pub(super) fn document(&mut self) -> Parsed<Document> {
        let version = self.source.int()?;
        let (_writer, _oldest_reader) = (self.source.int()?, self.source.int()?);
        match version {
            2 => {}
            3 => {
                // The name of the encoding that strings have unless they say otherwise; see `text`.
                let n = self.source.length()?;
                self.source.string(n)?;
            }
            found => return Err(Damage::Version { found }),
        }
        let root = self.item(MAX_DEPTH)?;
        Ok(Document { root, environments: std::mem::take(&mut self.environments) })
    }

    fn flags(&mut self) -> Parsed<Flags> {
        Ok(Flags(self.source.int()? as u32))
    }

    pub(super) fn item(&mut self, depth: usize) -> Parsed<Object> {
        let flags = self.flags()?;
        self.item_of(flags, depth)
    }

    fn item_of(&mut self, flags: Flags, depth: usize) -> Parsed<Object> {
        let depth = depth.checked_sub(1).ok_or(Damage::TooDeep { limit: MAX_DEPTH })?;
        self.source.charge(size_of::<Object>())?;
        let value = match flags.code() {
            code::PAIRS
            | code::LANGUAGE
            | code::CLOSURE
            | code::PROMISE
            | code::DOTS
            | code::ATTRIBUTE_PAIRS
            | code::ATTRIBUTE_LANGUAGE => return self.pairs(flags, depth),
            code::ALTREP => return self.altrep(depth),
            code::NIL
            | code::NIL_VALUE
            | code::MISSING_ARGUMENT
            | code::UNBOUND
            | code::GLOBAL_ENVIRONMENT
            | code::BASE_ENVIRONMENT
            | code::EMPTY_ENVIRONMENT
            | code::BASE_NAMESPACE => return Ok(Object::default()),
            code::REFERENCE => return self.reference(flags),
            code::SYMBOL => return self.symbol(),
            code::PERSISTENT | code::PACKAGE | code::NAMESPACE => return self.named(),
            code::ENVIRONMENT => return self.environment(depth),
            code::LOGICAL => {
                self.source.length().and_then(|n| self.source.integers(n)).map(Value::Logical)?
            }
            code::INTEGER => {
                self.source.length().and_then(|n| self.source.integers(n)).map(Value::Integer)?
            }
            code::REAL => self.source.length().and_then(|n| self.source.reals(n)).map(Value::Real)?,
            code::STRINGS => {
                let n = self.source.length()?;
                self.strings(n).map(Value::Strings)?
            }
            code::LIST => self.list(depth).map(Value::List)?,
            code::EXPRESSIONS => self.list(depth).map(|_| Value::Other("expressions"))?,
            code::S4 => Value::S4,
            other => self.rest(other, depth)?,
        };
        let attributes = if flags.has_attributes() { self.attributes(depth)? } else { Vec::new() };
        Ok(Object { value, attributes })
    }

    /// Types that carry no data here; apart from the others to keep the frame of `item_of` small.
    fn rest(&mut self, code: u32, depth: usize) -> Parsed<Value> {
        Ok(Value::Other(match code {
            code::CHARS => {
                self.chars()?;
                "a string on its own"
            }
            code::COMPLEX => {
                let n = self.source.length()?;
                self.source.reals(n.saturating_mul(2))?;
                "complex numbers"
            }
            code::RAW => {
                let n = self.source.length()?;
                self.source.skip_raw(n)?;
                "raw bytes"
            }
            code::SPECIAL | code::BUILTIN => {
                let n = self.source.length()?;
                self.source.string(n)?;
                "a function"
            }
            code::POINTER => {
                self.known.push(Known::Other);
                self.item(depth)?;
                self.item(depth)?;
                "a pointer"
            }
            code::WEAK_REFERENCE => {
                self.known.push(Known::Other);
                "a weak reference"
            }
            code::BYTE_CODE => {
                bytecode::skip(self, depth)?;
                "byte code"
            }
            code => return Err(Damage::Type { code }),
        }))
    }

    /// A list of pairs, or one of the types that are stored like it.
    fn pairs(&mut self, first: Flags, depth: usize) -> Parsed<Object> {
        let (mut pairs, mut attributes) = (Vec::new(), Vec::new());
        let mut flags = first;
        loop {
            if flags.has_attributes() {
                // Those of the first pair are those of the list.
                let found = self.attributes(depth)?;
                if pairs.is_empty() {
                    attributes = found;
                }
            }
            let tag = if flags.has_tag() { Some(self.item(depth)?) } else { None };
            let name = match tag.map(|tag| tag.value) {
                Some(Value::Symbol(name)) => name,
                _ => Text::default(),
            };
            self.source.charge(size_of::<(Text, Object)>())?;
            pairs.push((name, self.item(depth)?));
            flags = self.flags()?;
            match flags.code() {
                code::PAIRS | code::LANGUAGE => {}
                code::NIL_VALUE | code::NIL => break,
                _ => {
                    pairs.push((Text::default(), self.item_of(flags, depth)?));
                    break;
                }
            }
        }
        let value = match first.code() {
            code::PAIRS | code::ATTRIBUTE_PAIRS => Value::Pairs(pairs),
            code::CLOSURE => Value::Other("a function"),
            code::PROMISE => Value::Other("a promise"),
            _ => Value::Other("a call"),
        };
        Ok(Object { value, attributes })
    }

    fn attributes(&mut self, depth: usize) -> Parsed<Vec<(Text, Object)>> {
        match self.item(depth)?.value {
            Value::Pairs(pairs) => Ok(pairs),
            Value::Null => Ok(Vec::new()),
            _ => Err(Damage::Value {
                what: "the attributes of an object",
                found: "something else".to_owned(),
                expected: "a list of pairs",
            }),
        }
    }

    fn list(&mut self, depth: usize) -> Parsed<Vec<Object>> {
        let n = self.source.length()?;
        let mut list = Vec::new();
        for _ in 0..n {
            list.push(self.item(depth)?);
        }
        Ok(list)
    }

    fn altrep(&mut self, depth: usize) -> Parsed<Object> {
        let class = self.item(depth)?;
        let state = self.item(depth)?;
        let attributes = self.attributes(depth)?;
        let mut object = altrep::expanded(&mut self.source, &class, state)?;
        object.attributes.extend(attributes);
        Ok(object)
    }

    fn reference(&mut self, flags: Flags) -> Parsed<Object> {
        let index = match flags.0 >> 8 {
            0 => self.source.int()?,
            packed => packed as i32,
        };
        let known = usize::try_from(index).ok().and_then(|i| self.known.get(i.checked_sub(1)?));
        Ok(Object::from(match known {
            Some(Known::Symbol(name)) => Value::Symbol(name.clone()),
            Some(&Known::Environment(at)) => Value::Environment(at),
            Some(Known::Other) => Value::Other("a reference"),
            None => {
                return Err(Damage::Value {
                    what: "a reference",
                    found: index.to_string(),
                    expected: "the place of something that came before",
                });
            }
        }))
    }

    fn symbol(&mut self) -> Parsed<Object> {
        let name = self.string_item()?.unwrap_or_default();
        let name = Text::from(name);
        self.known.push(Known::Symbol(name.clone()));
        Ok(Value::Symbol(name).into())
    }

    /// A package, a namespace or a persistent name: strings that stand for an environment elsewhere.
    fn named(&mut self) -> Parsed<Object> {
        if self.source.int()? != 0 {
            return Err(Damage::Refused { what: "an environment whose name has names".to_owned() });
        }
        let n = self.source.length()?;
        self.strings(n)?;
        self.known.push(Known::Other);
        Ok(Value::Other("a namespace").into())
    }

    fn environment(&mut self, depth: usize) -> Parsed<Object> {
        let _locked = self.source.int()?;
        let at = self.environments.len();
        self.environments.push(Vec::new());
        // It can be referred to from its own contents.
        self.known.push(Known::Environment(at));
        let _enclosing = self.item(depth)?;
        let (frame, table) = (self.item(depth)?, self.item(depth)?);
        let attributes = self.item(depth)?;
        let mut contents = Vec::new();
        let buckets = match table.value {
            Value::List(buckets) => buckets,
            _ => Vec::new(),
        };
        for pairs in std::iter::once(frame).chain(buckets) {
            if let Value::Pairs(pairs) = pairs.value {
                contents.extend(pairs);
            }
        }
        self.environments[at] = contents;
        let attributes = match attributes.value {
            Value::Pairs(pairs) => pairs,
            _ => Vec::new(),
        };
        Ok(Object { value: Value::Environment(at), attributes })
    }

    fn strings(&mut self, n: usize) -> Parsed<Vec<Str>> {
        let mut strings = Vec::new();
        for _ in 0..n {
            strings.push(self.string_item()?);
        }
        Ok(strings)
    }

    fn string_item(&mut self) -> Parsed<Str> {
        let flags = self.flags()?;
        match flags.code() {
            code::CHARS => {
                let bytes = self.chars()?;
                Ok(bytes.map(|bytes| text(bytes, flags)))
            }
            code => Err(Damage::Value {
                what: "an element of a character vector",
                found: format!("of type {code}"),
                expected: "a string",
            }),
        }
    }

    /// The bytes of a string, `None` if it is NA.
    fn chars(&mut self) -> Parsed<Option<Vec<u8>>> {
        self.source.charge(size_of::<Str>())?;
        match self.source.int()? {
            -1 => Ok(None),
            n => match usize::try_from(n) {
                Ok(n) => self.source.string(n).map(Some),
                Err(_) => Err(Damage::Value {
                    what: "the length of a string",
                    found: n.to_string(),
                    expected: "a number that is not negative",
                }),
            },
        }
    }
}

/// Strings say that they are UTF-8, Latin-1 or ASCII, or nothing: then they are of the machine that wrote them, which is
/// taken for UTF-8 where the bytes allow it, else for Latin-1.
fn text(bytes: Vec<u8>, flags: Flags) -> Box<str> {
    let latin1 = |bytes: &[u8]| bytes.iter().map(|&b| char::from(b)).collect::<String>();
    let text = match flags.is_latin1() {
        true => latin1(&bytes),
        false => String::from_utf8(bytes).unwrap_or_else(|e| latin1(e.as_bytes())),
    };
    text.into_boxed_str()
}
